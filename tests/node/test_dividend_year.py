"""A dividend from its declaration to what goes back, over whole blocks, with the builders' commands in between."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from economy.distribution_manifest import read_manifest
from genesis.document import format_genesis
from identity.did import Did, format_did
from identity.signing import SigningPurpose
from ledger.codec import encode, from_plain, to_plain
from ledger.primitives import GRAINS_PER_IOV, SUPPLY_GRAINS, GrainDays, Grains, TimeMs
from ledger.state import State
from ledger.state_keys import Table
from ledger.transaction import Call
from node.cli import block_source, dividend_commands
from node.cli.main import cli
from node.errors import ConfigurationError
from node.leveldb_store import LevelDbStore
from node.period_states import Period, PeriodHeights, execute_period
from node.store_copy import copy_store
from rpc.arguments import answer_to_json, describe_answer, describe_type, from_json
from rpc.views import build_block_view
from tests.builders import address_of, make_key, transfer
from tests.did_scene import build_call, build_create, control_of, sign
from tests.distribution_scene import check_conservation
from tests.node.test_audit import DOCUMENT, DOMAIN, NETWORK, DocumentChain
from vm.context import Moment
from vm.native.accounts import DAY_MS, get_account
from vm.native.did_payloads import LinkPayload
from vm.native.did_records import get_did_record
from vm.native.distribution import Claim, PostRoot, RootPayload
from vm.native.distribution_records import CHALLENGE_BLOCKS, Breaker, SourceId
from vm.native.distribution_tree import BeneficiaryKind, ProvenLeaf
from vm.native.dividend import DividendRules, Merit, compute_dividend, compute_totals
from vm.native.dividends import CLAIMS_MS_MIN, DividendTerms, answer_dividend
from vm.native.iov import TREASURY_ADDRESSES, get_balance

YEAR_MS = 365 * DAY_MS
IOV = GRAINS_PER_IOV
POOL = 1_000 * IOV + 1
RULES = DividendRules(Grains(POOL), 3_000, 2_000, 10)
CHALLENGE_MS = 2 * DAY_MS
FORCES = {"anne": 10, "bert": 31, "carl": 9}
MERITS = {
    "anne": Merit(Grains(100 * IOV), GrainDays(365 * 100 * IOV), 10),
    "bert": Merit(Grains(150 * IOV), GrainDays(365 * 150 * IOV), 31),
}
"""Anne has held 100 IOV all the time, Bert 300 IOV from the middle on; Carl's force is too low."""
BUDGET = TREASURY_ADDRESSES["community"]


@dataclass
class Year:
    """A chain on which the dividend of a year was declared; its source has the number 1."""

    blocks: DocumentChain
    dids: dict[str, Did]
    home: Path
    forces: Path

    @property
    def state(self) -> State:
        return self.blocks.chain.open_state()

    @property
    def now_ms(self) -> int:
        return self.blocks.chain.head.header.time_ms

    def balance(self, name: str) -> int:
        return get_balance(self.state, address_of(make_key(name)))

    def check(self) -> None:
        """Not a grain more or fewer than at genesis, and the sources' account holds what they say."""
        state = self.state
        accounts = [get_account(state, key[1:]) for key, _ in state.iterate_prefix(bytes([Table.ACCOUNT]))]
        assert sum(account.balance_grains for account in accounts) == SUPPLY_GRAINS
        check_conservation(state)


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("home")
    store = LevelDbStore(home / "running")
    blocks = DocumentChain(store)
    dids = {}
    for name in ("anne", "bert", "carl", "ann attester"):
        dids[name], call = build_create(control_of(name), name, domain=DOMAIN)
        blocks.add((5, call), gas_limit=200_000)
    for name in FORCES:
        record = get_did_record(blocks.chain.open_state(), dids[name])
        assert record is not None
        link = LinkPayload(dids[name], record.current.version_id, address_of(make_key(name)))
        blocks.add((5, build_call(link, name, name="link_account", domain=DOMAIN)), gas_limit=200_000)
    blocks.add((5, transfer(address_of(make_key("anne")), 100 * IOV)), (6, Call("governance", "donate", [10**4 * IOV])))
    starts_ms = blocks.chain.head.header.time_ms + 700
    blocks.add(passed_ms=500)
    blocks.add((5, transfer(address_of(make_key("bert")), 300 * IOV)), passed_ms=200 + YEAR_MS // 2)
    blocks.add((5, transfer(address_of(make_key("carl")), 10**5 * IOV)), passed_ms=YEAR_MS // 2 + 1)
    ends_ms = TimeMs(starts_ms + YEAR_MS)
    terms = DividendTerms(
        *("Dividend 1", "community", RULES, TimeMs(starts_ms), ends_ms, TimeMs(ends_ms + CLAIMS_MS_MIN + DAY_MS)),
        *((dids["ann attester"],), 1, CHALLENGE_MS, Breaker(DAY_MS, POOL, 10_000, POOL)),
    )
    proposal = [*to_plain((terms,)), [1, blocks.chain.head.header.height + 5, "Dividend 1"]]
    blocks.add((0, Call("governance", "propose_dividend", proposal)))
    blocks.add(*((index, Call("governance", "vote", [1, True])) for index in range(3)))
    for _ in range(4):
        blocks.add()
    forces = home / "forces.parquet"
    columns = {"did": [dids[name] for name in FORCES], "user_force": list(FORCES.values()), "driver_force": [0, 0, 0]}
    pq.write_table(pa.table(columns), forces)
    (home / "genesis.json").write_bytes(format_genesis(DOCUMENT))
    copy_store(store, home / "data", lambda _: None)
    yield Year(blocks, dids, home, forces)
    store.close()


def run(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(cli, [*map(str, arguments), "--output", "json"])
    assert result.exit_code == 0, result.output
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


def compute_expected() -> dict[str, int]:
    totals = compute_totals(RULES, list(MERITS.values()))
    return {name: compute_dividend(RULES, totals, merit) for name, merit in MERITS.items()}


def build_records(year: Year, out: Path, *arguments: object) -> dict[str, Any]:
    return run("dividend", "build", 1, "--force", year.forces, "--out", out, *arguments)


def test_the_records_follow_from_the_blocks_of_a_stopped_node(year, tmp_path):
    shown = build_records(year, tmp_path / "records", "--home", year.home)
    expected = compute_expected()
    paid = sum(expected.values())
    assert shown == {
        "records": str(tmp_path / "records"),
        "identities": 2,
        "paid": str(paid),
        "rest": str(POOL - paid),
        "blockBefore": 9,
        "blockAfter": 10,
    }
    rows = pq.read_table(tmp_path / "records").to_pylist()
    assert rows == [
        {
            "beneficiary": b"\2" + year.dids[name],
            "amount_grains": expected[name],
            "reference": "dividend 1",
            "average_holdings_grains": MERITS[name].average_holdings_grains,
            "coin_age_grain_days": MERITS[name].coin_age_grain_days,
            "force": MERITS[name].force,
        }
        for name in sorted(MERITS, key=lambda name: year.dids[name])
    ]


def test_a_running_node_gives_the_same_bytes(year, tmp_path, monkeypatch):
    build_records(year, tmp_path / "first", "--home", year.home)
    chain, blocks = year.blocks.chain, year.blocks.blocks
    head = chain.head.header
    described = answer_dividend(year.state, Moment(head.height, head.time_ms), SourceId(1))
    answers: dict[str, Callable[[Any], Any]] = {
        "chain_genesis": lambda params: SimpleNamespace(document=DOCUMENT.model_dump(exclude_none=True)),
        "chain_head": lambda params: SimpleNamespace(height=head.height),
        "chain_getBlock": lambda params: build_block_view(blocks[params["height"] - 1], NETWORK, full=params["full"]),
        "chain_getCommit": lambda params: SimpleNamespace(
            certificate_bytes=encode(blocks[params["height"] - 1].certificate)
        ),
        "module_view": lambda params: SimpleNamespace(
            value=answer_to_json(describe_answer(answer_dividend), described, NETWORK)
        ),
    }

    @contextmanager
    def connect(url):
        yield SimpleNamespace(run=lambda call: answers[call.method](call.params))

    for module in (block_source, dividend_commands):
        monkeypatch.setattr(module, "connect", connect)
    build_records(year, tmp_path / "second", "--node", "http://node.example:1")
    assert (tmp_path / "second").read_bytes() == (tmp_path / "first").read_bytes()


def test_it_is_declared_built_posted_claimed_and_taken_back(year, tmp_path):
    expected = compute_expected()
    year.check()
    treasury_grains = get_balance(year.state, BUDGET)
    build_records(year, tmp_path / "records", "--home", year.home)
    run("distribution", "build", "--records", tmp_path / "records", "--out", tmp_path / "built")
    manifest, manifest_hash = read_manifest(tmp_path / "built")
    payload = RootPayload(SourceId(1), 1, manifest.root, Grains(manifest.lifetime_total_grains), manifest_hash)
    signatures = sign(SigningPurpose.DISTRIBUTION_ROOT, payload, [(year.dids["ann attester"], "ann attester")], DOMAIN)
    post = Call("distribution", "post_root", to_plain(PostRoot(payload, manifest.list_shards(), signatures)))
    year.blocks.add((5, post), gas_limit=200_000)
    for _ in range(CHALLENGE_BLOCKS - 1):
        year.blocks.add()
    before_grains = year.balance("anne")
    year.blocks.add((5, claim(year, tmp_path, "anne")), passed_ms=CHALLENGE_MS)
    assert year.balance("anne") - before_grains == expected["anne"]
    year.check()
    ends_ms = answer_dividend(year.state, Moment(1, TimeMs(1)), SourceId(1)).dividend.terms.claims_end_ms
    year.blocks.add((5, Call("dividends", "take_back", [1])), passed_ms=ends_ms - year.now_ms)
    assert get_balance(year.state, BUDGET) - treasury_grains == POOL - expected["anne"]
    year.check()


def claim(year: Year, place: Path, name: str) -> Call:
    shown = run("distribution", "proof", format_did(year.dids[name], NETWORK), "--in", place / "built")
    proven = from_plain(ProvenLeaf, from_json(describe_type(ProvenLeaf), shown, NETWORK))
    assert proven.leaf.kind is BeneficiaryKind.DID
    return Call("distribution", "claim", to_plain(Claim(SourceId(1), 1, (proven,))))


def execute(year: Year, place: Path, starts_ms: int, ends_ms: int) -> PeriodHeights:
    blocks = year.blocks.blocks
    period = Period(TimeMs(starts_ms), TimeMs(ends_ms))
    return execute_period(DOCUMENT, 6, lambda height: blocks[height - 1], period, place, lambda: None)


def test_a_period_ends_with_the_last_block_that_is_no_later(year, tmp_path):
    times = [block.block.header.time_ms for block in year.blocks.blocks]
    assert execute(year, tmp_path / "exact", times[1], times[3]) == PeriodHeights(2, 4)
    assert execute(year, tmp_path / "below", times[1] - 1, times[3] - 1) == PeriodHeights(1, 3)
    assert execute(year, tmp_path / "early", DOCUMENT.time_ms - 1, times[3]) == PeriodHeights(None, 4)
    assert not (tmp_path / "early" / "before").exists()


def test_a_period_that_is_not_over_is_not_executed(year, tmp_path):
    time_ms = year.blocks.blocks[5].block.header.time_ms
    with pytest.raises(ConfigurationError, match="the period is not over: block 6"):
        execute(year, tmp_path, time_ms - 1, time_ms)


def test_a_period_before_the_chain_is_not_executed(year, tmp_path):
    with pytest.raises(ConfigurationError, match="the period ends before the chain begins"):
        execute(year, tmp_path, DOCUMENT.time_ms - 2, DOCUMENT.time_ms - 1)


def test_blocks_that_do_not_follow_are_not_executed(year, tmp_path):
    period = Period(DOCUMENT.time_ms, TimeMs(2**50))
    with pytest.raises(ConfigurationError, match="block 1 does not follow from the chain before it"):
        execute_period(DOCUMENT, 6, lambda height: year.blocks.blocks[height], period, tmp_path, lambda: None)


def test_what_is_no_dividend_is_not_built(year, tmp_path):
    arguments = ["dividend", "build", "2", "--out", str(tmp_path / "records"), "--home", str(year.home)]
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, "there is no dividend of source 2" in result.output) == (1, True)
