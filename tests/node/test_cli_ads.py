"""What `carlive ads` reads, signs, sends and shows; what it has signed is executed."""

import csv
import json
import re
from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from identity.ads_matching import compute_matched_nullifier
from ledger.primitives import Height
from ledger.reasons import Reason, Rejected
from node.atomic_file import PRIVATE_FILE_MODE
from node.cli.ads_commands import find_until
from node.cli.ads_results import count_groups, suppress_small
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.main import cli
from node.cli.query_commands import format_time
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import DidNode
from tests.rpc.fake_backend import DOMAIN, TIME_MS
from vm.native.ads_records import (
    CampaignId,
    CampaignStatus,
    ComplaintId,
    Nullifier,
    compute_order_id,
    find_channel,
    find_complaint,
    get_book,
)
from vm.native.role_records import Grant, Role, put_grant

HASH = "0x" + "07" * 32
TAGS = {"user.age": 30, "place.city": "Foshan", "scenario.likes": ["suv"], "user.vip": True}


class AdsNode(DidNode):
    """An advertiser (dev1), a reviewer (dev2), a publisher (dev3) and a user (dev4)."""

    advertiser: str
    reviewer: str
    publisher: str
    user: str
    directory: Path

    async def make(self, name: str, role: Role | None) -> str:
        """An identity with one key, for whose account it acts."""
        did = await self.create("--key", name)
        await self.change("did", "link", did, "--by", name, signer=name)
        if role is not None:
            put_grant(self.state, self.parse(did), role, Grant(Height(10**6), None), 1)
        return did

    def write(self, name: str, content: Any) -> str:
        """A file for a command."""
        path = self.directory / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    def terms(self, **changes: Any) -> dict[str, Any]:
        """Clicks for grown-ups in Foshan."""
        return {
            "contentHash": HASH,
            "metadataUri": "https://ads.example/1.json",
            "metadataHash": HASH,
            "targeting": 'user.age >= 18 and place.city == "Foshan"',
            "start": "1970-01-01T00:00:00Z",
            "end": "1970-12-31T00:00:00Z",
            "dailyMax": "100",
            "cap": 2,
            "items": [{"kind": "click", "price": ["0.00001001", "1"], "units": [1, 1]}],
            "fixed": None,
            "split": {"user": 5_000, "publisher": 3_333, "platform": 1_667},
            "platform": "dev5",
            "refund": "dev6",
            "offerer": self.advertiser,
            "matcher": None,
        } | changes

    async def run_campaign(self) -> None:
        """A campaign with 10 IOV that runs."""
        await self.change("ads", "campaign", "create", self.write("terms.json", self.terms()), signer="dev1")
        await self.change("ads", "campaign", "fund", "1", "--amount", "10", signer="dev1")
        await self.change("ads", "campaign", "submit", "1", signer="dev1")
        await self.change("ads", "campaign", "review", "1", "--approve", signer="dev2")

    async def match(self, *more: str) -> dict[str, Any]:
        """The user asks whether it is wanted."""
        tags = self.write("tags.json", TAGS)
        given = ("--as", self.user, "--tags", tags, "--out", str(self.directory / "match.json"))
        found: dict[str, Any] = await self.run_json("ads", "match", str(self.directory / "offer.json"), *given, *more)
        return found

    async def offer(self) -> None:
        """The advertiser offers a click for 1,001 grains."""
        given = ("--publisher", self.publisher, "--kind", "click", "--price", "0.00001001", "--by", "dev1")
        out = ("--out", str(self.directory / "offer.json"))
        result = await self.run("ads", "offer", "1", *given, *out, "--yes")
        assert result.exit_code == 0, result.output


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AdsNode]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        made = AdsNode(scene)
        made.directory = tmp_path
        made.advertiser = await made.make("dev1", Role.ADVERTISER)
        made.reviewer = await made.make("dev2", Role.COMMUNITY_ADMINISTRATOR)
        made.publisher = await made.make("dev3", None)
        made.user = await made.make("dev4", Role.PERSON)
        yield made


async def test_a_campaign_from_draft_to_delivery(node: AdsNode) -> None:
    await node.run_campaign()
    await node.offer()
    consent = ("--consent", "user.age", "--consent", "place.city")
    assert (await node.match(*consent))["isMatch"]
    saved = json.loads((node.directory / "match.json").read_text("utf-8"))
    assert set(saved) == {"campaign", "slot", "nullifier", "tagsCommitment", "salt"}
    assert (node.directory / "match.json").stat().st_mode & 0o777 == PRIVATE_FILE_MODE
    files = (str(node.directory / "offer.json"), str(node.directory / "match.json"))
    signers = ("--by", f"{node.user}=dev4", "--by", f"{node.publisher}=dev3")
    await node.change("ads", "accept", *files, "--as", node.user, *signers)
    book = get_book(node.state, CampaignId(1))
    assert (book.status, book.accepted, book.reserved_grains) == (CampaignStatus.RUNNING, 1, 1_001)
    nullifier = Nullifier(bytes.fromhex(saved["nullifier"][2:]))
    order = "0x" + compute_order_id(CampaignId(1), nullifier).hex()
    await node.change("ads", "complete", order, *signers)
    assert (await node.run_json("ads", "order", order))["userGrains"] == "502"
    shown = await node.run_json("ads", "campaign", "show", "1")
    assert (shown["money"]["paid"], shown["persons"]) == ("1001", 1)
    table = (await node.run("ads", "campaign", "list")).stdout
    assert "ended" in table  # the node that answers lives later than the blocks
    assert "place.city" in table


async def test_an_offer_is_shown_before_it_is_signed(node: AdsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    await node.run_campaign()
    monkeypatch.setattr("time.time_ns", lambda: TIME_MS * 10**6)
    path = node.directory / "offer.json"
    given = ("--publisher", node.publisher, "--kind", "click", "--price", "0.5", "--hours", "2", "--by", "dev1")
    asked = await node.run("ads", "offer", "1", *given, "--out", str(path))
    assert (asked.exit_code, path.exists()) == (ExitCode.WRONG_USE, False)
    shown = {
        "campaign": "1",
        "offerer": node.advertiser,
        "publisher": node.publisher,
        "kind": "click",
        "price": "0.5 IOV a unit",
        "units max": "1",
        "until": format_time(TIME_MS + 2 * 3_600_000),
    }
    lines = dict(re.split(r" {2,}", line, maxsplit=1) for line in asked.stderr.splitlines() if "  " in line)
    assert {name: lines[name] for name in shown} == shown
    answer = await node.run_json("ads", "offer", "1", *given, "--out", str(path), "--yes")
    assert answer["until"] == shown["until"]


@pytest.mark.parametrize(("head_ms", "is_signed"), [(TIME_MS + 3_000_000, True), (TIME_MS + 3_000_001, False)])
def test_the_end_of_an_offer_is_this_machines(monkeypatch: pytest.MonkeyPatch, head_ms: int, is_signed: bool) -> None:
    """A node that says that it is late does not make an offer last."""
    monkeypatch.setattr("time.time_ns", lambda: TIME_MS * 10**6)
    if is_signed:
        assert find_until(head_ms, 1) == TIME_MS + 3_600_000
    else:
        with pytest.raises(CommandFailedError, match="after this machine's clock"):
            find_until(head_ms, 1)


async def test_tags_without_consent_match_nothing(node: AdsNode) -> None:
    await node.run_campaign()
    await node.offer()
    answer = await node.match("--consent", "user.age")
    assert answer == {"isMatch": False, "asksFor": "place.city, user.age"}
    assert not (node.directory / "match.json").exists()
    assert (await node.run_json("ads", "campaign", "list"))[0]["id"] == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"targeting": "user.age >"}, "targeting: character 11: expected a number"),
        ({"start": "2020-01-01"}, "has no zone"),
        ({"contentHash": "0x00"}, "a hash has 32 bytes"),
        ({"dailyMax": "x"}, "not an amount"),
        ({"items": [{"kind": "banner"}]}, "is no campaign's terms"),
        ({"more": 1}, "has the fields"),
    ],
)
async def test_terms_that_cannot_be_read(node: AdsNode, changes: dict[str, Any], problem: str) -> None:
    file = node.write("terms.json", node.terms(**changes))
    result = await node.run("ads", "campaign", "create", file, "--from", "dev1", "--yes")
    assert result.exit_code == ExitCode.WRONG_USE
    assert problem in result.stderr


async def test_results_leave_small_groups_out_and_are_exported(node: AdsNode) -> None:
    await node.run_campaign()
    groups = node.write("buckets.json", {"place.city": {"Foshan": 40, "Wuhan": 9, "Xian": 12, "Jinan": 70}})
    for name in ("results.csv", "results.parquet"):
        path = node.directory / name
        rows = await node.run_json("ads", "results", "1", "--buckets", groups, "--export", str(path))
        assert [(row["group"], row["count"]) for row in rows if row["measure"] == "persons"] == [
            ("all", 0),
            ("place.city = Foshan", 40),
            ("place.city = Jinan", 70),
            ("place.city: unknown or too few to tell", None),
        ]
    with (node.directory / "results.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert parquet.read_table(node.directory / "results.parquet").to_pylist() == rows
    bad = await node.run("ads", "results", "1", "--export", str(node.directory / "results.xls"))
    assert bad.exit_code == ExitCode.WRONG_USE


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({}, {}),
        ({"a": 10, "b": 11}, {"a": 10, "b": 11}),
        ({"a": 9, "b": 11, "c": 50}, {"c": 50}),
        ({"a": 9}, {}),
        ({"a": 0, "b": 20, "c": 30}, {"c": 30}),
        ({"a": 5, "b": 5, "c": 30}, {"c": 30}),
        ({"a": 2, "b": 2, "c": 10, "d": 30}, {"d": 30}),
    ],
)
def test_no_small_group_is_told_or_given_away_by_the_sum(counts: dict[str, int], told: dict[str, int]) -> None:
    assert suppress_small(counts, 10) == told


async def test_a_balance_goes_from_hand_to_hand(node: AdsNode) -> None:
    await node.run_campaign()
    parties = ("--user", node.user, "--publisher", node.publisher, "--counterparty", "user")
    keys = ("--offerer-key", "dev7", "--counterparty-key", "dev8", "--amount", "0.0001")
    await node.change("ads", "open-channel", "1", *parties, *keys, "--by", "dev1", "--by", f"{node.user}=dev4")
    assert get_book(node.state, CampaignId(1)).locked_grains == 10_000
    file = str(node.directory / "balance.json")
    balance = ("ads", "sign-balance", "1", "1", "--version", "3", "--earned", "0.00007001", "--file", file)
    stranger = await node.run(*balance, "--by", "dev4")
    assert (stranger.exit_code, "none of the channel's" in stranger.stderr) == (ExitCode.WRONG_USE, True)
    assert await node.run_json(*balance, "--by", "dev7") == {"signedAs": "offerer", "file": file, "isComplete": False}
    other = ("ads", "sign-balance", "1", "1", "--version", "4", "--earned", "0.00007001", "--file", file)
    assert (await node.run(*other, "--by", "dev8")).exit_code == ExitCode.WRONG_USE
    assert (await node.run_json(*balance, "--by", "dev8"))["isComplete"]
    await node.change("ads", "post-balance", file)
    channel = find_channel(node.state, CampaignId(1), 1)
    assert channel is not None
    assert (channel.version, channel.gross_grains) == (3, 7_001)


async def test_a_matcher_hides_who_the_person_is(node: AdsNode) -> None:
    await node.change(
        "ads", "campaign", "create", node.write("terms.json", node.terms(matcher=node.publisher)), signer="dev1"
    )
    await node.offer()
    consent = ("--consent", "user.age", "--consent", "place.city")
    files = ("--as", node.user, "--tags", node.write("tags.json", TAGS), "--out", str(node.directory / "match.json"))
    without = await node.run("ads", "match", str(node.directory / "offer.json"), *files, *consent)
    assert (without.exit_code, "--matcher-secret" in without.stderr) == (ExitCode.WRONG_USE, True)
    secret = node.directory / "secret"
    secret.write_text("05" * 32, encoding="ascii")
    assert (await node.match(*consent, "--matcher-secret", str(secret)))["isMatch"]
    saved = json.loads((node.directory / "match.json").read_text("utf-8"))
    expected = compute_matched_nullifier(bytes([5]) * 32, DOMAIN, 1, node.parse(node.user), 0)
    assert saved["nullifier"] == "0x" + expected.hex()


async def test_complaints_and_credit(node: AdsNode) -> None:
    await node.run_campaign()
    await node.change("ads", "enrol", signer="dev2")
    credit = await node.run_json("ads", "credit", node.advertiser)
    assert (credit["score"], credit["depositBps"], credit["upheld"]) == (10_000, 500, 0)
    evidence = node.write("evidence.json", {"claim": "the fastest car"})
    stranger = await node.run("ads", "judge", "1", "nonsense", "--from", "dev2", "--yes")
    assert stranger.exit_code == ExitCode.WRONG_USE
    with pytest.raises(Rejected) as caught:  # the only reviewer who has enrolled let it run
        await node.change("ads", "complain", "1", "--evidence", evidence, signer="dev4")
    assert caught.value.reason is Reason.ADS_BAD_COMPLAINT


@pytest.mark.parametrize(("rest", "told"), [(0, {"a": 20, "b": 30}), (9, {"b": 30}), (10, {"a": 20, "b": 30})])
def test_who_is_in_no_group_is_a_group(rest: int, told: dict[str, int]) -> None:
    assert suppress_small({"a": 20, "b": 30}, 10, rest) == told


async def test_whoever_pays_in_may_say_where_the_rest_goes(node: AdsNode) -> None:
    await node.change("ads", "campaign", "create", node.write("terms.json", node.terms()), signer="dev1")
    fund = ("ads", "campaign", "fund", "1", "--amount", "10")
    with pytest.raises(Rejected) as caught:
        await node.change(*fund, "--refund", "dev7", signer="dev1")
    assert caught.value.reason is Reason.ADS_OTHER_REFUND
    await node.change(*fund, "--refund", "dev6", signer="dev1")
    assert get_book(node.state, CampaignId(1)).funded_grains == 10**9


async def test_complaints_stake_what_it_takes_and_no_more_than_is_said(node: AdsNode) -> None:
    await node.run_campaign()
    await node.make("dev7", Role.COMMUNITY_ADMINISTRATOR)
    await node.change("ads", "enrol", signer="dev7")
    complain = ("ads", "complain", "1", "--evidence", node.write("evidence.json", "unfair"))
    await node.change(*complain, signer="dev4")
    with pytest.raises(Rejected) as caught:
        await node.change(*complain, "--stake-max", "19", signer="dev3")
    assert caught.value.reason is Reason.ADS_STAKE_HIGHER
    await node.change(*complain, signer="dev3")
    found = [find_complaint(node.state, ComplaintId(number)) for number in (1, 2)]
    assert [each.stake_grains for each in found if each] == [10**9, 2 * 10**9]
    with pytest.raises(Rejected) as caught:
        await node.change("ads", "close-complaint", "1")
    assert caught.value.reason is Reason.ADS_TOO_EARLY


PLACES = {"Foshan": ("Nanhai", "Shunde", "Gaoming"), "Wuhan": ("Jianghan", "Huangpi"), "Jinan": ("Lixia",)}
CITIZENS = st.sampled_from([(city, district) for city, districts in PLACES.items() for district in districts])


@given(
    persons=st.lists(st.tuples(CITIZENS, st.booleans(), st.booleans()), max_size=40),
    size_min=st.integers(2, 6),
)
def test_no_subtraction_of_groups_that_are_told_leaves_few(
    persons: list[tuple[tuple[str, str], bool, bool]], size_min: int
) -> None:
    """Every choice of groups of one tag inside another one, or inside everybody, tried one by one."""
    tags = [
        {"place.city": city} | ({"place.district": district} if is_told else {}) | {"user.vip": str(is_vip)}
        for (city, district), is_told, is_vip in persons
    ]
    told = count_groups(tags, ["place.city", "place.district", "user.vip"], size_min)
    members = {
        (name, value): {n for n, each in enumerate(tags) if each.get(name, "unknown") == value}
        for name, counts in told.items()
        for value in counts
    }
    assert {group: len(found) for group, found in members.items()} == {
        (name, value): count for name, counts in told.items() for value, count in counts.items()
    }
    for whole in (set(range(len(tags))), *members.values()):
        for name in told:
            inside = [found for group, found in members.items() if group[0] == name and found <= whole]
            for size in range(len(inside) + 1):
                for chosen in combinations(inside, size):
                    rest = len(whole.difference(*chosen))
                    assert size == 0 or rest == 0 or rest >= size_min


def test_a_matcher_counts_persons_and_no_small_groups() -> None:
    persons = [
        {"place.city": "Foshan", "user.vip": n % 2 == 0, "scenario.likes": frozenset({"suv", "race"})} for n in range(4)
    ]
    persons += [{"place.city": "Wuhan"}, {"user.vip": True}]
    assert count_groups(persons, ["place.city", "user.vip", "scenario.likes"], 2) == {
        "place.city": {"Foshan": 4},  # the two others may be of Wuhan, or of nowhere
        "user.vip": {"true": 3},  # two without it would give away that one person keeps the tag back
        "scenario.likes": {"race": 4, "suv": 4, "unknown": 2},
    }


def test_who_keeps_a_tag_back_is_not_found_by_what_is_missing_to_the_sum() -> None:
    persons = [{"place.city": "Foshan"}] * 60 + [{"place.city": "Guangzhou"}] * 39 + [{}]
    assert count_groups(persons, ["place.city"], 10) == {"place.city": {"Foshan": 60}}


def test_no_small_group_is_the_difference_of_two_groupings() -> None:
    """Everybody knows which districts are Foshan's; of 31 there, 3 are in one of its small ones."""
    foshan = [("Foshan", "Nanhai")] * 15 + [("Foshan", "Shunde")] * 13 + [("Foshan", "Gaoming")] * 3
    wuhan = [("Wuhan", "Jianghan")] * 20 + [("Wuhan", "Huangpi")] * 9
    persons = [{"place.city": city, "place.district": district} for city, district in foshan + wuhan]
    assert count_groups(persons, ["place.city", "place.district"], 10) == {
        "place.city": {"Foshan": 31, "Wuhan": 29},
        "place.district": {"Nanhai": 15},  # without Shunde 16 are left of Foshan, and 9 of Wuhan without Jianghan
    }


def test_of_a_set_who_lacks_a_text_is_a_group_too() -> None:
    persons = [{"scenario.likes": frozenset({"suv", "race"})}] * 20 + [{"scenario.likes": frozenset({"race"})}] * 3
    assert count_groups(persons, ["scenario.likes"], 10) == {"scenario.likes": {"race": 23}}


def test_groups_are_counted_from_files(tmp_path: Path) -> None:
    files = [tmp_path / f"tags{n}.json" for n in range(3)]
    for file in files:
        file.write_text('{"place.city": "Foshan"}', encoding="utf-8")
    out = tmp_path / "groups.json"
    given = ["--tag", "place.city", "--size-min", "3", "--out", str(out), "--output", "json"]
    result = CliRunner().invoke(cli, ["ads", "groups", *map(str, files), *given])
    assert json.loads(result.stdout) == {"persons": 3, "groups": 1, "file": str(out)}
    assert json.loads(out.read_text("utf-8")) == {"place.city": {"Foshan": 3}}
