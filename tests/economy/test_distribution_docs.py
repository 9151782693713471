"""The bytes in docs/distribution.md are those that the code makes."""

from pathlib import Path

from tests.distribution_scene import distribute
from vm.native.distribution_tree import compute_shard_number, encode_leaf, encode_shard

PAGE = (Path(__file__).parents[2] / "docs" / "distribution.md").read_text(encoding="utf-8")


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
