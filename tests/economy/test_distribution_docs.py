"""The bytes in docs/distribution.md are those that the code makes, and its rules can be proposed."""

import json
import re
from pathlib import Path

import pytest

from identity.address import NetworkKind
from ledger.codec import from_plain
from rpc.arguments import describe_type, from_json
from tests.distribution_scene import DistributionScene, account_key, distribute
from tests.economy.test_economy_page import Lines, read_examples
from vm.native.distribution_breaker import add_paid, compute_limit_grains, slide, sum_paid, trip
from vm.native.distribution_records import NO_FLOW, Breaker, Source, compute_free_grains
from vm.native.distribution_tree import compute_shard_number, encode_leaf, encode_shard

ANNE = account_key("anne")
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "distribution.md").read_text(encoding="utf-8")


def test_the_example_of_bytes_is_computed():
    key = (1, bytes([0x11]) * 20)
    built = distribute({key: 300})
    number = compute_shard_number(*key)
    assert f"stands in shard {number}:" in PAGE
    for name, content in (
        ("leaf      ", encode_leaf(built.leaves[number][0])),
        ("shard leaf", encode_shard(built.shards[number])),
        ("epoch root", built.root),
    ):
        assert f"\n{name}  {content.hex()}\n" in PAGE


@pytest.mark.parametrize("page", ["distribution.md", "economy.md"])
def test_the_breaker_of_an_example_is_one_that_can_be_proposed(page):
    blocks = re.findall(r"^```json\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (shown,) = [given["breaker"] for given in map(json.loads, blocks) if "breaker" in given]
    breaker = from_plain(Breaker, from_json(describe_type(Breaker), shown, NetworkKind.DEVNET))
    assert breaker.floor_grains <= breaker.limit_grains


def compute_claims(given: Lines) -> Lines:
    """Each root is claimed when it has come, and then the old one again."""
    values = dict(given)
    scene, built, paid = DistributionScene(), [], []
    lifetimes = [int(lifetime) for lifetime in values["lifetimes"].split()]
    for number in map(int, values["claimed_under"].split()):
        if number > len(built):
            built.append(scene.settle({ANNE: lifetimes[number - 1]}))
        before = scene.balance("anne")
        scene.send(scene.claim(built[number - 1], ANNE, number=number))
        paid.append(str(scene.balance("anne") - before))
    return [("paid", " ".join(paid))]


def compute_free(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    rules = DistributionScene().rules()
    source = Source(rules, values["funded"], values["claimed"], 1, 1, values["promised"])
    return [("free", str(compute_free_grains(source)))]


def compute_breaker(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    breaker = Breaker(86_400_000, values["limit"], values["share_bps"], values["floor"])
    limit = compute_limit_grains(breaker, values["left"], values["paid"])
    return [("window_limit", str(limit)), ("may_pay", str(min(limit - values["paid"], values["left"])))]


def compute_window(given: Lines) -> Lines:
    values = dict(given)
    breaker, flow = Breaker(int(values["window"]), 1, 1, 1), NO_FLOW
    for at, grains in (pair.split(":") for pair in values["paid"].split()):
        flow = add_paid(breaker, flow, int(grains), int(at))
    moments = [int(at) for at in values["at"].split()]
    counted = [str(sum_paid(slide(breaker, flow, at))) for at in moments]
    return [("counted", " ".join(counted)), ("pays_again", str(trip(breaker, moments[-1]).tripped_until_ms))]


COMPUTE = {
    "claim": compute_claims,
    "free": compute_free,
    "breaker": compute_breaker,
    "breaker_floor": compute_breaker,
    "breaker_window": compute_window,
}


@pytest.mark.parametrize("name", COMPUTE)
def test_an_example_gives_what_it_says(name):
    inputs, results = read_examples(DOCS / "distribution.md")[name]
    assert COMPUTE[name](inputs) == results


def test_every_example_is_computed():
    assert set(read_examples(DOCS / "distribution.md")) == set(COMPUTE)
