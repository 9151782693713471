"""The bytes in docs/distribution.md are those that the code makes, and its rules can be proposed."""

import json
import re
from pathlib import Path

import pytest

from identity.address import NetworkKind
from ledger.codec import from_plain
from rpc.arguments import describe_type, from_json
from tests.distribution_scene import distribute
from vm.native.distribution_records import Breaker
from vm.native.distribution_tree import compute_shard_number, encode_leaf, encode_shard

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
