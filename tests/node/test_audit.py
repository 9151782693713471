"""The audit: every grain accounted for, and whatever is wrong found."""

import csv
import json
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from consensus.messages import VoteKind, vote_signing_bytes
from genesis.build import compute_genesis_hash, initialise_chain
from genesis.document import GenesisNode, format_genesis
from genesis.presets import build_devnet, list_development_accounts
from identity.address import NetworkKind, compute_module_address, format_address, parse_address
from identity.signing import compute_signing_domain
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.chain import Chain
from ledger.codec import encode
from ledger.evidence import decode_evidence
from ledger.memory_store import MemoryStore
from ledger.primitives import GRAINS_PER_IOV, SUPPLY_GRAINS, Round, Signature, TimeMs
from ledger.receipt import BlockEvents
from ledger.store import Store
from ledger.store_keys import block_events_store_key, block_store_key
from ledger.transaction import Call
from node.audit import Audit, Flow, TracedState, match_moves, name_kind
from node.audit_page import COLUMNS, build_page
from node.cli import block_source
from node.cli.main import cli
from node.leveldb_store import LevelDbStore
from rpc.models import EventView
from rpc.views import build_block_view, build_event_view
from tests.builders import Draft, make_key, transfer
from tests.chains import MEMBER_KEYS
from tests.node.test_evidence_pool import accuse
from vm.context import BlockContext
from vm.native import punishment
from vm.native.accounts import EMPTY_ACCOUNT, get_account, put_account
from vm.native.iov import MODULE_ACCOUNTS, TREASURY_PERCENT, credit, debit, deposit_treasury
from vm.native.registry import CALLS
from vm.native.stake import build_event
from vm.offences import read_offences
from vm.proposal import build_header, get_next_block_rules
from vm.transition import apply_block

ACCOUNTS = list_development_accounts()
NETWORK = NetworkKind.DEVNET
TREASURY = [f"treasury_{category}" for category in TREASURY_PERCENT]


def make_document():
    """Four super nodes run by the first development accounts; votes last three blocks."""
    nodes = [
        GenesisNode(
            name=f"node-{index}",
            operator=ACCOUNTS[index].address,
            consensus_key="0x" + key.public_key.key.hex(),
            node_key="0x" + make_key(f"node {index}").public_key.key.hex(),
            node_certificate_signature="0x" + bytes(64).hex(),
        )
        for index, key in enumerate(MEMBER_KEYS)
    ]
    document = build_devnet(1_000, nodes)
    heights = {"voting_heights_normal": 3, "voting_heights_urgent": 2, "voting_heights_emergency": 1}
    return document.model_copy(update={"parameters": document.parameters.model_copy(update=heights)})


DOCUMENT = make_document()
GENESIS_HASH = compute_genesis_hash(DOCUMENT)
DOMAIN = compute_signing_domain(DOCUMENT.chain_id, GENESIS_HASH)


def certify(block: Block) -> CertifiedBlock:
    """With the precommits of three members."""
    header = block.header
    message = vote_signing_bytes(DOMAIN, VoteKind.PRECOMMIT, header.height, Round(0), header.hash)
    signatures = tuple((index, Signature(MEMBER_KEYS[index].sign(message))) for index in range(3))
    return CertifiedBlock(block, CommitCertificate(header.height, Round(0), header.hash, signatures))


class DocumentChain:
    """A chain of this genesis document, made without consensus."""

    def __init__(self, store: Store) -> None:
        initialise_chain(store, DOCUMENT)
        self.chain = Chain(store)
        self.blocks: list[CertifiedBlock] = []

    def add(
        self,
        *sent: tuple[int, Call],
        evidence: tuple[bytes, ...] = (),
        passed_ms: int = 500,
        gas_limit: int = 30_000,
    ) -> None:
        """The next block, with one call from each of these development accounts."""
        state = self.chain.open_state()
        rules = get_next_block_rules(self.chain.head, state)
        sequences: dict[int, int] = {}
        transactions = []
        for index, call in sent:
            key = ACCOUNTS[index].key
            draft = Draft(
                key, [call], valid_until=1_000, gas_limit=gas_limit, chain_id=DOCUMENT.chain_id, domain=DOMAIN
            )
            sequence = sequences.get(index, get_account(state, sender_of(index)).sequence)
            draft.sequence, sequences[index] = sequence, sequence + 1
            transactions.append(draft.sign())
        hashes = [transaction.envelope_hash for transaction in transactions]
        proposer = rules.committee.members[rules.turns[0]].consensus_key
        time_ms = TimeMs(rules.head.header.time_ms + passed_ms)
        header = build_header(rules, Round(0), time_ms, proposer, hashes, evidence)
        certified = certify(Block(header, tuple(transaction.raw for transaction in transactions), evidence))
        offences = read_offences(evidence)
        context = BlockContext(header.height, time_ms, proposer, rules.parameters, DOMAIN, Round(0), offences)
        result = apply_block(state, context, transactions)
        assert [receipt.reason for receipt in result.receipts] == [0] * len(sent)
        self.chain.commit(certified, result.receipts, result.events, result.changes)
        self.blocks.append(certified)


def sender_of(index: int):
    return parse_address(ACCOUNTS[index].address, NETWORK)


RECIPIENT = sender_of(9)
DONATED = 1_000 * GRAINS_PER_IOV
SPENT = 7 * GRAINS_PER_IOV


def fill(chain: DocumentChain) -> DocumentChain:
    """A transfer, a donation, and a payment out of the marketing budget: six blocks."""
    chain.add((5, transfer(RECIPIENT, 12_345)), (6, transfer(RECIPIENT, 1)))
    chain.add((5, Call("governance", "donate", [DONATED])), (6, transfer(RECIPIENT, 5)))
    spending = ["marketing", RECIPIENT, SPENT, [1, 7, "Posters"]]
    chain.add((0, Call("governance", "propose_spending", spending)))
    chain.add(*((index, Call("governance", "vote", [1, True])) for index in range(3)))
    for _ in range(3):
        chain.add()
    return chain


def start_audit(flows: list[Flow] | None = None) -> Audit:
    store = MemoryStore()
    initialise_chain(store, DOCUMENT)
    return Audit(store, DOMAIN, NETWORK, (lambda flow: None) if flows is None else flows.append)


def audit_blocks(blocks: Sequence[CertifiedBlock], flows: list[Flow] | None = None):
    books = start_audit(flows)
    for block in blocks:
        if not books.add_block(block):
            break
    return books.finish()


@pytest.fixture(scope="module")
def filled() -> DocumentChain:
    return fill(DocumentChain(MemoryStore()))


def test_every_flow_of_the_treasury_is_told_with_the_balance_after_it(filled):
    flows: list[Flow] = []
    result = audit_blocks(filled.blocks, flows)
    assert result.problems == []
    donor, payee = ACCOUNTS[5].address, format_address(RECIPIENT, NETWORK)
    shares = {name: DONATED * percent // 100 for name, percent in TREASURY_PERCENT.items()}
    expected = [
        Flow(2, "donation", category, donor, f"treasury_{category}", share, share) for category, share in shares.items()
    ]
    spending = Flow(7, "spending", "marketing", "treasury_marketing", payee, SPENT, shares["marketing"] - SPENT)
    assert [flow for flow in flows if flow.category] == [*expected, spending]
    assert result.treasury_flows == [*expected, spending]
    assert result.points == [
        (0, (0, 0, 0, 0, 0)),
        (2, tuple(shares.values())),
        (7, tuple(share - SPENT * (name == "marketing") for name, share in shares.items())),
    ]


def test_every_grain_is_accounted_for(filled):
    flows: list[Flow] = []
    result = audit_blocks(filled.blocks, flows)
    assert result.height == 7
    assert (result.supply_grains, result.balances_grains) == (SUPPLY_GRAINS, SUPPLY_GRAINS)
    assert sum(flow.amount_grains for flow in flows if flow.kind == "genesis") == SUPPLY_GRAINS
    assert set(result.opening) == set(result.closing) == set(MODULE_ACCOUNTS)
    fees = [receipt.fee_grains for height in range(1, 8) for receipt in filled.chain.get_receipts(height) or []]
    assert result.kinds["fee"] == sum(fees)
    assert result.kinds["transfer"] == 12_345 + 1 + 5
    assert (result.kinds["donation"], result.kinds["spending"]) == (DONATED, SPENT)
    for name, closing in result.closing.items():
        moved = [flow.amount_grains * ((flow.target == name) - (flow.source == name)) for flow in flows]
        assert closing == sum(moved)


def test_the_plot_reaches_to_the_last_block(filled):
    assert [height for height, _ in audit_blocks(filled.blocks[:4]).points] == [0, 2, 4]


def test_the_same_blocks_give_the_same_books(filled):
    assert audit_blocks(filled.blocks) == audit_blocks(filled.blocks)


def tamper_transactions(block: Block) -> Block:
    return replace(block, transactions=block.transactions[:1])


def tamper_time(block: Block) -> Block:
    return replace(block, header=replace(block.header, time_ms=TimeMs(block.header.time_ms + 1)))


def tamper_state_root(block: Block) -> Block:
    return replace(block, header=replace(block.header, state_root=bytes(32)))


def tamper_receipts_root(block: Block) -> Block:
    return replace(block, header=replace(block.header, receipts_root=bytes(32)))


def tamper_bytes(block: Block) -> Block:
    return replace(block, transactions=(b"\0", *block.transactions[1:]))


@pytest.mark.parametrize(
    ("tamper", "is_signed_anew", "message"),
    [
        (tamper_transactions, False, "transactions_root"),
        (tamper_time, False, "certificate is about another block"),
        (tamper_state_root, False, "state_root"),
        (tamper_state_root, True, "state_root"),
        (tamper_receipts_root, True, "receipts_root"),
        (tamper_bytes, False, "block 2 does not follow"),
    ],
)
def test_a_tampered_block_is_found(filled, tamper, is_signed_anew, message):
    """Even if the whole committee were to sign it."""
    honest = filled.blocks[1]
    block = tamper(honest.block)
    tampered = certify(block) if is_signed_anew else CertifiedBlock(block, honest.certificate)
    result = audit_blocks([filled.blocks[0], tampered, *filled.blocks[2:]])
    assert result.height == 1
    assert len(result.problems) == 1
    assert message in result.problems[0]


def test_a_block_without_enough_precommits_is_found(filled):
    certificate = filled.blocks[1].certificate
    weak = replace(certificate, signatures=certificate.signatures[:2])
    result = audit_blocks([filled.blocks[0], CertifiedBlock(filled.blocks[1].block, weak)])
    assert "2 signatures where 3 are needed" in result.problems[0]


def test_a_transaction_that_nobody_signed_is_found(filled):
    """The committee may have certified it: the books do not take it all the same."""
    chain = DocumentChain(MemoryStore())
    state = chain.chain.open_state()
    rules = get_next_block_rules(chain.chain.head, state)
    draft = Draft(ACCOUNTS[5].key, [transfer(RECIPIENT, 1)], chain_id=DOCUMENT.chain_id)  # of another domain
    transaction = draft.sign()
    proposer = rules.committee.members[0].consensus_key
    header = build_header(rules, Round(0), TimeMs(2_000), proposer, [transaction.envelope_hash])
    result = audit_blocks([certify(Block(header, (transaction.raw,), ()))])
    assert result.problems == [
        f"block 1 does not follow from the chain before it: transaction {transaction.id.hex()} has a bad signature"
    ]


def test_grains_from_nothing_are_found(filled, monkeypatch):
    """As if the rules themselves were wrong: a donation that gives the treasury one grain too many."""

    def deposit_too_much(state, grains, now_ms):
        credit(state, compute_module_address("treasury_core"), grains + 1, now_ms)

    monkeypatch.setattr("vm.native.governance.deposit_treasury", deposit_too_much)
    chain = DocumentChain(MemoryStore())
    chain.add((5, Call("governance", "donate", [100])))
    result = audit_blocks(chain.blocks)
    assert "block 1 makes 1 grains from nothing" in result.problems
    assert f"all balances add up to {SUPPLY_GRAINS + 1} grains, not to {SUPPLY_GRAINS}" in result.problems


def test_money_that_moved_without_being_announced_is_found(monkeypatch):
    def donate_silently(state, context, call):
        debit(state, context.sender, call.amount_grains, context.block.time_ms)
        deposit_treasury(state, call.amount_grains, context.block.time_ms)

    rule = CALLS["governance", "donate"].rule
    monkeypatch.setattr(
        "vm.transition.find_call",
        lambda module, call: replace(CALLS[module, call], rule=replace(rule, apply=donate_silently)),
    )
    chain = DocumentChain(MemoryStore())
    chain.add((5, Call("governance", "donate", [100])))
    result = audit_blocks(chain.blocks)
    assert result.problems == ["block 1: 0 grains of donations were announced, 100 have moved"]


def test_a_state_that_does_not_follow_from_the_blocks_is_found(filled):
    complaint = "the node's state is not the one that follows from its blocks"
    for root, problems in [(filled.chain.head.state_root, []), (bytes(32), [complaint])]:
        books = start_audit()
        assert all(books.add_block(block) for block in filled.blocks)
        assert books.finish(root).problems == problems


# Punishments

CULPRIT = 1
"""A member; the development account of the same number is its operator."""
BONDED = 1_000 * GRAINS_PER_IOV
LEAVING = 100 * GRAINS_PER_IOV


def punish(chain: DocumentChain) -> DocumentChain:
    """A member with stake, some of it on its way out, has signed twice: twice in one block it is slashed."""
    chain.add((CULPRIT, Call("staking", "bond", [BONDED])), (5, Call("staking", "delegate", [sender_of(1), BONDED])))
    chain.add((5, Call("staking", "undelegate", [sender_of(CULPRIT), LEAVING])))
    chain.add(evidence=sort_evidence(*[accuse(CULPRIT, 1, round_number, DOMAIN) for round_number in (0, 1)]))
    chain.add()
    return chain


def sort_evidence(*pieces: bytes) -> tuple[bytes, ...]:
    """As blocks keep it."""
    return tuple(sorted(pieces, key=lambda piece: decode_evidence(piece)[1].id))


def compute_slashes() -> list[int]:
    """What each of the two takes, of stake and of what is on its way out."""
    pools, slashes = [2 * BONDED - LEAVING, LEAVING], []
    for _ in range(2):
        parts = [pool * DOCUMENT.parameters.double_sign_slash_bps // 10_000 for pool in pools]
        pools = [pool - part for pool, part in zip(pools, parts, strict=True)]
        slashes.append(sum(parts))
    return slashes


def tell(chain: DocumentChain, height: int):
    """What a node tells of a block's end."""
    return [build_event_view(event, NETWORK) for event in chain.chain.get_block_events(height)]


def test_slashes_agree_with_pools_rates_evidence_and_events():
    chain = punish(DocumentChain(MemoryStore()))
    told = [event for event in tell(chain, 3) if event.name == "Slashed"]
    assert [event.fields["amountGrains"] for event in told] == [str(grains) for grains in compute_slashes()]
    books = start_audit()
    assert all(books.add_block(block, tell(chain, height)) for height, block in enumerate(chain.blocks, 1))
    result = books.finish(chain.chain.head.state_root)
    assert (result.problems, result.kinds["slash"]) == ([], sum(compute_slashes()))


def test_a_node_that_tells_a_forged_event_is_found():
    chain = punish(DocumentChain(MemoryStore()))
    told = tell(chain, 3)
    slashed = next(index for index, event in enumerate(told) if event.name == "Slashed")
    cheaper = EventView(**told[slashed].model_dump() | {"fields": {**told[slashed].fields, "amountGrains": "1"}})
    for forged in ([*told[:slashed], cheaper, *told[slashed + 1 :]], told[1:], [*told, told[0]], []):
        books = start_audit()
        for height, block in enumerate(chain.blocks, 1):
            assert books.add_block(block, forged if height == 3 else tell(chain, height))
        assert books.finish().problems == ["block 3: the node tells other events of its end than follow from it"]


def forge(monkeypatch, kind: type, **fields: object) -> None:
    """As if the rules themselves announced something else than they do."""

    def build_forged(event):
        return build_event(replace(event, **fields) if isinstance(event, kind) else event)

    monkeypatch.setattr(punishment, "build_event", build_forged)


def test_a_slash_of_another_amount_than_announced_is_found(monkeypatch):
    forge(monkeypatch, punishment.Slashed, amount_grains=7)
    name, taken = ACCOUNTS[CULPRIT].address, sum(compute_slashes())
    assert audit_blocks(punish(DocumentChain(MemoryStore())).blocks).problems == [
        f"block 3: 14 grains of slashes of {name} were announced, {taken} have moved",
        f"block 3: 14 grains of slashes were announced, {taken} have moved",
    ]


def test_a_slash_of_another_candidate_than_announced_is_found(monkeypatch):
    forge(monkeypatch, punishment.Slashed, operator=sender_of(2))
    problems = audit_blocks(punish(DocumentChain(MemoryStore())).blocks).problems
    culprit, other, taken = ACCOUNTS[CULPRIT].address, ACCOUNTS[2].address, sum(compute_slashes())
    assert f"block 3: 0 grains of slashes of {culprit} were announced, {taken} have moved" in problems
    assert f"block 3: {taken} grains of slashes of {other} were announced, 0 have moved" in problems


def test_a_slash_at_the_rate_of_another_cause_is_found(monkeypatch):
    forge(monkeypatch, punishment.Slashed, cause=punishment.ABSENCE)
    problems = audit_blocks(punish(DocumentChain(MemoryStore())).blocks).problems
    pool, parameters = 2 * BONDED - LEAVING, DOCUMENT.parameters
    taken, due = (pool * bps // 10_000 for bps in (parameters.double_sign_slash_bps, parameters.absence_slash_bps))
    assert len(problems) == 4, "of each slash two pools"
    assert problems[0] == f"block 3: {ACCOUNTS[CULPRIT].address} lost {taken} of {pool} grains, due were {due}"


def test_a_jail_without_evidence_is_found(monkeypatch):
    forge(monkeypatch, punishment.Jailed, operator=sender_of(2))
    culprit, other = ACCOUNTS[CULPRIT].address, ACCOUNTS[2].address
    assert audit_blocks(punish(DocumentChain(MemoryStore())).blocks).problems == [
        f"block 3: its evidence convicts {culprit}, {culprit}, it jails {other}, {other}"
    ]


# The parts


def test_what_is_given_comes_from_what_was_taken_last():
    a, b, c, fees = (bytes([index]) * 20 for index in range(4))
    moves = [(a, -100), (a, -5), (b, 5), (b, -9), (c, 4), (a, 5), (a, 30), (fees, 70)]
    assert match_moves(moves) == ([(a, b, 5), (b, c, 4), (b, a, 5), (a, fees, 70)], 0)
    assert match_moves([(a, 5), (b, -5)]) == ([(b, a, 5)], 0)
    assert match_moves([(a, 5), (b, -3)])[1] == 2
    assert match_moves([(a, -5), (b, 3)])[1] == -2
    assert match_moves([(a, -5), (a, 5)]) == ([], 0)


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        (None, None, "transfer"),
        (None, "fees", "fee"),
        ("fees", None, "reward"),
        ("fees", "staking", "reward"),
        (None, "staking", "bond"),
        ("staking", None, "release"),
        ("staking", "treasury_core", "slash"),
        (None, "treasury_core", "donation"),
        ("fees", "treasury_core", "deposit"),
        ("treasury_core", None, "spending"),
        (None, "distribution", "funding"),
        ("mining", "distribution", "funding"),
        ("distribution", None, "payout"),
        ("mining", None, "allocation"),
        ("team", None, "allocation"),
        (None, "team", "return"),
        ("subscription", "sale", "offer"),
        ("sale", "subscription", "return"),
        ("sale", None, "delivery"),
        (None, "ads", "campaign"),
        ("ads", None, "advertising"),
        ("ads", "treasury_core", "deposit"),
        (None, "gifts", "gift"),
        ("gifts", None, "gift claim"),
    ],
)
def test_a_flow_is_named_by_the_accounts_it_joins(source, target, kind):
    assert name_kind(source, target) == kind


def test_what_was_taken_back_has_not_moved():
    state = TracedState(MemoryStore())
    a, b = b"a" * 20, b"b" * 20
    put_account(state, a, EMPTY_ACCOUNT._replace(balance_grains=10))
    state.forget_marks()
    mark = state.get_mark()
    put_account(state, b, EMPTY_ACCOUNT._replace(balance_grains=3))
    put_account(state, a, EMPTY_ACCOUNT._replace(balance_grains=7))
    assert state.moves == [(a, 10), (b, 3), (a, -3)]
    state.undo_to(mark)
    assert state.moves == [(a, 10)]
    put_account(state, a, EMPTY_ACCOUNT._replace(balance_grains=10, sequence=1))
    assert state.moves == [(a, 10)]


def test_the_page_needs_no_other_file_and_shows_no_markup_of_others(filled):
    result = audit_blocks(filled.blocks)
    result.problems.append("<script>alert(1)</script>")
    page = build_page("chain<b>", GENESIS_HASH, result)
    assert "<script" not in page
    assert "chain<b>" not in page
    for outside in ("http:", "https:", "//", "src=", "href=", "@import", "url("):
        assert outside not in page
    assert page.count("<polyline") == len(TREASURY_PERCENT)


# The command


def run_audit(*arguments: str):
    return CliRunner().invoke(cli, ["audit", *arguments, "--output", "json"])


def make_home(place: Path) -> Path:
    """A stopped node's directory."""
    home = place / "home"
    home.mkdir()
    (home / "genesis.json").write_bytes(format_genesis(DOCUMENT))
    store = LevelDbStore(home / "data")
    fill(DocumentChain(store))
    store.close()
    return home


def test_the_command_audits_a_stopped_nodes_home(tmp_path):
    home, books = make_home(tmp_path), tmp_path / "books"
    result = run_audit("--home", str(home), "--directory", str(books))
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["problems"] == []
    assert record["genesisHash"] == "0x" + GENESIS_HASH.hex()
    totals = (record["height"], record["balances"], record["donations"])
    assert totals == (7, str(SUPPLY_GRAINS), str(DONATED))
    with (books / "audit.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(COLUMNS)
    assert [line["grains"] for line in lines if line["kind"] == "spending"] == [str(SPENT)]
    assert "Everything adds up." in (books / "audit.html").read_text()


@pytest.mark.parametrize("is_readable", [True, False])
def test_the_command_fails_for_a_home_whose_blocks_were_changed(tmp_path, is_readable):
    home = make_home(tmp_path)
    store = LevelDbStore(home / "data")
    block = Chain(store).get_block(2)
    assert block is not None
    changed = encode(tamper_transactions(block.block)) if is_readable else b"\0"
    store.write([(block_store_key(2), changed)], sync=True)
    store.close()
    result = run_audit("--home", str(home), "--directory", str(tmp_path))
    assert result.exit_code == 1
    assert "block 2" in json.loads(result.stdout)["problems"][0]
    assert "This does not add up" in (tmp_path / "audit.html").read_text()


@pytest.mark.parametrize("is_readable", [True, False])
def test_the_command_fails_for_a_home_whose_events_were_forged(tmp_path, is_readable):
    home = make_home(tmp_path)
    store = LevelDbStore(home / "data")
    jailed = build_event(punishment.Jailed(RECIPIENT, 2, punishment.DOUBLE_SIGN))
    store.write([(block_events_store_key(2), encode(BlockEvents((jailed,))) if is_readable else b"\0")], sync=True)
    store.close()
    result = run_audit("--home", str(home), "--directory", str(tmp_path))
    assert result.exit_code == 1
    expected = "block 2: the node tells other events" if is_readable else "the events of block 2 cannot be read"
    assert expected in json.loads(result.stdout)["problems"][0]


def test_the_command_audits_over_rpc(tmp_path, monkeypatch, filled):
    answers = {
        "chain_genesis": lambda params: SimpleNamespace(document=DOCUMENT.model_dump(exclude_none=True)),
        "chain_head": lambda params: SimpleNamespace(height=len(filled.blocks)),
        "chain_getBlock": lambda params: build_block_view(
            filled.blocks[params["height"] - 1], NETWORK, full=params["full"]
        ),
        "chain_getCommit": lambda params: SimpleNamespace(
            certificate_bytes=encode(filled.blocks[params["height"] - 1].certificate)
        ),
        "chain_getResults": lambda params: SimpleNamespace(events=tell(filled, params["height"])),
    }

    @contextmanager
    def connect(url):
        assert url == "http://audited.example:1"
        yield SimpleNamespace(run=lambda call: answers[call.method](call.params))

    monkeypatch.setattr(block_source, "connect", connect)
    result = run_audit("--node", "http://audited.example:1", "--directory", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["spending"] == str(SPENT)


def test_the_command_says_what_is_no_home(tmp_path):
    result = run_audit("--home", str(tmp_path), "--directory", str(tmp_path))
    assert result.exit_code == 2
    assert "holds no chain" in result.stderr
