"""Starting points of the three networks."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from genesis.document import GENESIS_FORMAT, Allocation, GenesisDocument, GenesisNode, GenesisParameters
from identity.address import NetworkKind, compute_key_address, format_address
from identity.keys import KeyType, PrivateKey
from ledger.primitives import GRAINS_PER_IOV, SUPPLY_GRAINS

ALLOCATION_PERCENT: Final = {"cornerstone": 10, "subscription": 25, "team": 35, "mining": 30}
"""Paper 12.4."""

DEVELOPMENT_ACCOUNTS: Final = 10
DEVELOPMENT_ACCOUNT_GRAINS: Final = 10_000_000 * GRAINS_PER_IOV
DEVELOPMENT_BOND_GRAINS: Final = 1_000_000 * GRAINS_PER_IOV
DEVELOPMENT_OPERATOR_GRAINS: Final = 1_000_000 * GRAINS_PER_IOV
DEVNET_CHAIN_ID: Final = "carlive-devnet"


@dataclass(frozen=True, slots=True)
class DevelopmentAccount:
    """A funded account whose key is public."""

    key: PrivateKey
    address: str


def get_parameters_preset(network: NetworkKind, super_nodes: int = 4) -> GenesisParameters:
    """The parameters a network starts with; one super node alone has nobody to wait for."""
    if network is NetworkKind.DEVNET:
        interval_ms = 20 if super_nodes == 1 else 500
        return GenesisParameters(
            block_interval_ms=interval_ms,
            block_gas_max=16_000_000,
            block_bytes_max=2 * 2**20,
            block_transactions_max=5_000,
            price_floor_grains=1,
            propose_timeout_ms=600,
            propose_timeout_step_ms=500,
            vote_timeout_ms=250,
            vote_timeout_step_ms=250,
            clock_precision_ms=500,
            message_delay_ms=2_000,
            epoch_heights=100,
            committee_seats=21,
            committee_members_min=1,
            candidate_bond_min_grains=100_000 * GRAINS_PER_IOV,
            unbonding_epochs=2,
            double_sign_slash_bps=500,
            absence_slash_bps=10,
            absence_heights_max=150,
            jail_epochs=1,
            proposer_fee_bps=3_000,
            voting_heights_normal=40,
            voting_heights_urgent=20,
            voting_heights_emergency=10,
            pause_heights_max=1_000,
            contract_publishers=0,
            recovery_delay_heights=50,
            free_quota_gas_daily=200_000,
            free_quota_block_gas_max=1_600_000,
        )
    return GenesisParameters(
        block_interval_ms=2_000,
        block_gas_max=32_000_000,
        block_bytes_max=4 * 2**20,
        block_transactions_max=10_000,
        price_floor_grains=10,
        propose_timeout_ms=3_000,
        propose_timeout_step_ms=1_000,
        vote_timeout_ms=1_000,
        vote_timeout_step_ms=500,
        clock_precision_ms=500,
        message_delay_ms=4_000,
        epoch_heights=43_200,
        committee_seats=21,
        committee_members_min=4,
        candidate_bond_min_grains=1_000_000 * GRAINS_PER_IOV,
        unbonding_epochs=21,
        double_sign_slash_bps=500,
        absence_slash_bps=10,
        absence_heights_max=43_200,
        jail_epochs=1,
        proposer_fee_bps=3_000,
        voting_heights_normal=302_400,
        voting_heights_urgent=43_200,
        voting_heights_emergency=1_800,
        pause_heights_max=302_400,
        contract_publishers=1,
        recovery_delay_heights=302_400,
        free_quota_gas_daily=50_000,  # some thirty transfers
        free_quota_block_gas_max=3_200_000,  # a tenth of a block
    )


def list_development_accounts() -> list[DevelopmentAccount]:
    """The ten accounts every devnet funds. Their keys are public: never use them elsewhere."""
    accounts = []
    for index in range(DEVELOPMENT_ACCOUNTS):
        secret = sha256(f"CarLive devnet account {index}: this key is public".encode()).digest()
        key = PrivateKey(KeyType.ED25519, secret)
        address = format_address(compute_key_address(key.public_key), NetworkKind.DEVNET)
        accounts.append(DevelopmentAccount(key, address))
    return accounts


def build_preset(
    network: NetworkKind, chain_id: str, time_ms: int, nodes: list[GenesisNode], funded: dict[str, int] | None = None
) -> GenesisDocument:
    """A document with the allocation of paper 12.4; what `funded` accounts get and super nodes
    have bonded comes out of the subscription share.
    """
    shares = {name: SUPPLY_GRAINS * percent // 100 for name, percent in ALLOCATION_PERCENT.items()}
    shares["subscription"] -= sum((funded or {}).values()) + sum(int(node.bond_grains) for node in nodes)
    allocations = [Allocation(module=name, amount_grains=str(grains)) for name, grains in shares.items()]
    allocations += [
        Allocation(account=address, amount_grains=str(grains)) for address, grains in (funded or {}).items()
    ]
    super_nodes = sum(node.role == "super_node" for node in nodes)
    return GenesisDocument(
        format=GENESIS_FORMAT,
        chain_id=chain_id,
        network=network.name.lower(),  # type: ignore[arg-type]  # the enum's names are the literal's values
        time_ms=time_ms,
        parameters=get_parameters_preset(network, super_nodes),
        allocations=allocations,
        nodes=nodes,
    )


def build_devnet(time_ms: int, nodes: list[GenesisNode]) -> GenesisDocument:
    """A devnet with its ten funded accounts; the super nodes' operators have something to spend too."""
    funded = {account.address: DEVELOPMENT_ACCOUNT_GRAINS for account in list_development_accounts()}
    funded |= {node.operator: DEVELOPMENT_OPERATOR_GRAINS for node in nodes if node.role == "super_node"}
    return build_preset(NetworkKind.DEVNET, DEVNET_CHAIN_ID, time_ms, nodes, funded)
