"""What a block does after its transactions, on a stored chain that begins with a genesis document."""

from collections.abc import Sequence
from dataclasses import replace

from genesis.build import build_committee, build_parameters, initialise_chain
from genesis.document import GenesisDocument
from genesis.presets import build_devnet
from identity.signing import SigningDomain, compute_signing_domain
from ledger.block import Block, CertifiedBlock, CommitCertificate, Header
from ledger.chain import Chain
from ledger.codec import to_plain
from ledger.evidence import Offence, OffenceKind
from ledger.memory_store import MemoryStore
from ledger.primitives import GRAINS_PER_IOV, Round, TimeMs
from ledger.transaction import Call
from tests.builders import Draft, address_of, make_key
from tests.genesis.test_genesis import make_node
from tests.stake_scene import check_books
from vm.context import BlockContext
from vm.native.accounts import get_account
from vm.native.election import get_committee
from vm.proposal import build_header, get_next_block_rules
from vm.transition import apply_block

EPOCH_HEIGHTS = 4
BOND_GRAINS = 200_000 * GRAINS_PER_IOV
OPERATOR_KEYS = [make_key(f"operator {index}") for index in range(4)]


def make_document() -> GenesisDocument:
    document = build_devnet(1_000, [make_node(index, bond_grains=BOND_GRAINS) for index in range(4)])
    parameters = document.parameters.model_copy(update={"epoch_heights": EPOCH_HEIGHTS})
    return document.model_copy(update={"parameters": parameters})


class GenesisChain:
    """Blocks on a genesis document; their votes are taken for granted."""

    def __init__(self) -> None:
        self.document = make_document()
        self.parameters = build_parameters(self.document)
        store = MemoryStore()
        genesis = initialise_chain(store, self.document)
        self.chain = Chain(store)
        self.domain: SigningDomain = compute_signing_domain(self.document.chain_id, genesis.hash)
        self.headers: list[Header] = [genesis]
        self.events: list[list] = []

    def add_block(self, drafts: Sequence[Draft] = (), offences: Sequence[Offence] = (), round_number: int = 0):
        transactions = [replace(each, chain_id=self.document.chain_id, domain=self.domain).sign() for each in drafts]
        rules = get_next_block_rules(self.chain.head, self.chain.open_state())
        proposer = rules.committee.members[rules.turns[round_number % len(rules.turns)]].consensus_key
        time_ms = TimeMs(self.chain.head.header.time_ms + 500)
        hashes = [transaction.envelope_hash for transaction in transactions]
        header = build_header(rules, Round(round_number), time_ms, proposer, hashes)
        context = BlockContext(
            header.height, time_ms, proposer, rules.parameters, self.domain, header.round, tuple(offences)
        )
        state = self.chain.open_state()
        result = apply_block(state, context, transactions)
        check_books(state)
        certificate = CommitCertificate(header.height, header.round, header.hash, ())
        block = Block(header, tuple(transaction.raw for transaction in transactions), ())
        self.chain.commit(CertifiedBlock(block, certificate), result.receipts, result.events, result.changes)
        self.headers.append(header)
        self.events.append([to_plain(event)[1:] for event in result.events])
        return result.receipts


def test_an_idle_chain_is_sealed_after_every_epochs_end():
    chain = GenesisChain()
    sealed = []
    for _ in range(2 * EPOCH_HEIGHTS + 1):
        chain.add_block()
        sealed.append(chain.chain.head.is_sealed)
    assert sealed == [True, True, True, False, True, True, True, False, True]
    assert [events for events in chain.events if events] == [[["EpochEnded", [0]]], [["EpochEnded", [1]]]]


def test_missed_turns_are_settled_by_the_next_blocks_and_then_sealed():
    chain = GenesisChain()
    chain.add_block(round_number=1)
    assert not chain.chain.head.is_sealed
    for _ in range(3 * EPOCH_HEIGHTS):
        chain.add_block()
    sealed = 0
    while not chain.chain.head.is_sealed:
        chain.add_block()
        sealed += 1
        assert sealed < 5


def test_every_header_names_the_committee_that_the_next_one_has():
    chain = GenesisChain()
    committee = build_committee(chain.document)
    culprit = committee.members[2]
    offence = Offence(OffenceKind.PRECOMMIT, culprit.consensus_key, chain.headers[0].height + 1, Round(0))
    chain.add_block()
    chain.add_block(offences=(offence,))
    for _ in range(2 * EPOCH_HEIGHTS):
        chain.add_block()
    for before, after in zip(chain.headers, chain.headers[1:], strict=False):
        assert after.committee_hash == before.next_committee_hash
    changed = [header.height for header in chain.headers if header.committee_hash != committee.hash]
    assert changed[0] == 4, "punished with block 2"
    assert [member.operator for member in get_committee(chain.chain.open_state()).members] == sorted(
        member.operator for member in committee.members if member != culprit
    )


def test_an_operator_acts_with_its_account_key_and_the_fee_reaches_the_pools():
    chain = GenesisChain()
    address = address_of(OPERATOR_KEYS[0])
    calls = [Call("staking", "set_commission", [10_000]), Call("staking", "unbond", [BOND_GRAINS // 2])]
    (receipt,) = chain.add_block([Draft(OPERATOR_KEYS[0], calls)])
    assert (receipt.status, receipt.reason) == (0, 0)
    assert [event.name for event in receipt.events] == ["CommissionSet", "Undelegated"]
    for _ in range(4 * EPOCH_HEIGHTS):
        chain.add_block()
    released = [plain for events in chain.events for plain in events if plain[0] == "Released"]
    assert released == [["Released", [address, address, BOND_GRAINS // 2]]]
    shared = [plain[1] for events in chain.events for plain in events if plain[0] == "FeesShared"]
    assert sum(commission + pool for _, commission, pool in shared) <= receipt.fee_grains
    assert len(shared) >= 4
    assert get_account(chain.chain.open_state(), address).staked_grains == BOND_GRAINS - BOND_GRAINS // 2
