"""Short ways to make keys, signed transactions and states for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from identity.address import Address, compute_key_address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningDomain, SigningPurpose, compute_signing_domain, signing_bytes
from ledger.committee import Committee, Member
from ledger.primitives import ChainId, ConsensusKey, Gas, Grains, Height, TimeMs
from ledger.primitives import Sequence as SequenceNumber
from ledger.state import State
from ledger.transaction import (
    FEE_PAYER,
    SENDER,
    Authorisation,
    Call,
    Transaction,
    TransactionBody,
    UnorderedSalt,
    build_transaction,
    encode_body,
)
from vm.context import BlockContext
from vm.native.election import begin_first_epoch
from vm.native.iov import credit
from vm.parameters import Parameters

CHAIN_ID = ChainId("test-chain")
DOMAIN = compute_signing_domain(CHAIN_ID, bytes(32))
PARAMETERS = Parameters(
    block_interval_ms=500,
    block_gas_max=16_000_000,
    block_bytes_max=2 * 2**20,
    block_transactions_max=5_000,
    price_floor_grains=1,
    propose_timeout_ms=1_000,
    propose_timeout_step_ms=500,
    vote_timeout_ms=500,
    vote_timeout_step_ms=250,
    clock_precision_ms=500,
    message_delay_ms=2_000,
    epoch_heights=1_000,
    committee_seats=21,
    committee_members_min=1,
    candidate_bond_min_grains=1_000,
    unbonding_epochs=2,
    double_sign_slash_bps=500,
    absence_slash_bps=10,
    absence_heights_max=100,
    jail_epochs=1,
    proposer_fee_bps=3_000,
    voting_heights_normal=40,
    voting_heights_urgent=20,
    voting_heights_emergency=10,
    pause_heights_max=1_000,
    contract_publishers=0,
    recovery_delay_heights=10,
    free_quota_gas_daily=0,
    free_quota_block_gas_max=0,
)


def make_key(name: str, key_type: KeyType = KeyType.ED25519) -> PrivateKey:
    """A key that depends on the name alone."""
    return PrivateKey(key_type, sha256(name.encode()).digest())


def address_of(key: PrivateKey) -> Address:
    """The address a key rules."""
    return compute_key_address(key.public_key)


def authorise(key: PrivateKey, body_bytes: bytes, role: int, domain: SigningDomain = DOMAIN) -> Authorisation:
    """A signature for a role."""
    signature = key.sign(signing_bytes(SigningPurpose.TRANSACTION, domain, body_bytes))
    return Authorisation(role, key.key_type, key.public_key.key, signature)


@dataclass
class Draft:
    """A transaction in the making; every field has a sensible default."""

    key: PrivateKey
    calls: Sequence[Call]
    sequence: int | bytes = 0
    sender: Address | None = None
    valid_until: int = 100
    gas_limit: int = 20_000
    price_grains: int = 1
    memo: str = ""
    chain_id: str = CHAIN_ID
    domain: SigningDomain = DOMAIN
    fee_payer_key: PrivateKey | None = None
    more_keys: Sequence[PrivateKey] = field(default_factory=tuple)

    def sign(self) -> Transaction:
        """The signed transaction."""
        ordering = self.sequence
        body = TransactionBody(
            version=1,
            chain_id=ChainId(self.chain_id),
            sender=self.sender or address_of(self.key),
            ordering=UnorderedSalt(ordering) if isinstance(ordering, bytes) else SequenceNumber(ordering),
            valid_until=Height(self.valid_until),
            gas_limit=Gas(self.gas_limit),
            fee_max_grains=Grains(self.gas_limit * self.price_grains),
            fee_payer=None if self.fee_payer_key is None else address_of(self.fee_payer_key),
            calls=tuple(self.calls),
            memo=self.memo,
        )
        body_bytes = encode_body(body)
        authorisations = [authorise(key, body_bytes, SENDER, self.domain) for key in (self.key, *self.more_keys)]
        if self.fee_payer_key is not None:
            authorisations.append(authorise(self.fee_payer_key, body_bytes, FEE_PAYER, self.domain))
        return build_transaction(body_bytes, tuple(authorisations))


def transfer(recipient: Address, amount_grains: int) -> Call:
    """The call iov.transfer."""
    return Call("iov", "transfer", [recipient, amount_grains])


def make_state(balances: dict[Address, int]) -> State:
    """An uncommitted state with these balances, in the first epoch of a committee of one."""
    state = State(lambda key: None, lambda start, stop: iter(()))
    operator = address_of(make_key("operator"))
    begin_first_epoch(state, Committee((Member(operator, ConsensusKey(make_key("consensus").public_key.key)),)))
    for address, grains in balances.items():
        credit(state, address, grains, 0)
    state.forget_marks()
    return state


def block_context(height: int = 1, time_ms: int = 1_000) -> BlockContext:
    """A block to execute in."""
    return BlockContext(Height(height), TimeMs(time_ms), ConsensusKey(bytes(32)), PARAMETERS, DOMAIN)
