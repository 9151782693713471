"""Faults of wrong roots are found in what was published of them, and the chain takes the proof."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from economy.distribution_challenge import Difference, find_challenge, find_difference, list_differing_shards
from economy.distribution_manifest import (
    MANIFEST_FILE,
    Manifest,
    Plan,
    ShardSummary,
    UnusableError,
    encode_manifest,
)
from economy.distribution_shards import BENEFICIARY_BYTES, get_shard_path
from ledger.codec import to_plain
from ledger.primitives import Grains
from ledger.transaction import Call
from tests.distribution_scene import (
    Distribution,
    DistributionScene,
    account_key,
    distribute,
    find_names,
    leaf_of,
)
from vm.native.distribution_faults import Fault
from vm.native.distribution_records import VoidCause, find_root
from vm.native.distribution_tree import SHARDS, Leaf, encode_key

SHARD, OTHER = 7, 8
NAMES = find_names(SHARD, 5)
KEYS = [account_key(name) for name in NAMES]
STRANGER = account_key(find_names(OTHER, 1)[0])
LIFETIMES = dict(zip(KEYS[:4], (10, 20, 30, 40), strict=True))
LEAVES = distribute(LIFETIMES).leaves[SHARD]


def publish(directory: Path, built: Distribution) -> Path:
    """What somebody publishes of a root, as wrong as it is."""
    (directory / "shards").mkdir(parents=True)
    summaries = []
    for number, (shard, leaves) in enumerate(zip(built.shards, built.leaves, strict=True)):
        columns = {
            "beneficiary": pa.array([encode_key(leaf.kind, leaf.id) for leaf in leaves], pa.binary(BENEFICIARY_BYTES)),
            "lifetime_grains": pa.array([leaf.lifetime_grains for leaf in leaves], pa.int64()),
            "before_grains": pa.array([leaf.before_grains for leaf in leaves], pa.int64()),
        }
        pq.write_table(pa.table(columns), get_shard_path(directory, number))
        summaries.append(ShardSummary(shard.root, shard.total_grains, len(leaves), 0))
    (directory / MANIFEST_FILE).write_bytes(encode_manifest(Manifest(Plan((), None), tuple(summaries))))
    return directory


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right root before."""
    return publish(tmp_path_factory.mktemp("base") / "out", distribute(LIFETIMES))


def with_leaves(*leaves: Leaf, total: int | None = None) -> Distribution:
    return distribute(LIFETIMES).replace_shard(SHARD, leaves, total)


def chain(keys: Sequence, lifetimes: Sequence[int]) -> list[Leaf]:
    """Leaves whose sums are right."""
    befores = [sum(lifetimes[:index]) for index in range(len(lifetimes))]
    return [leaf_of(*each) for each in zip(keys, lifetimes, befores, strict=True)]


def shift(leaves: Sequence[Leaf], grains: int) -> list[Leaf]:
    """Leaves that say that more came before them."""
    return [replace(each, before_grains=Grains(each.before_grains + grains)) for each in leaves]


WRONG: list[tuple[str, Callable[[], Distribution], Fault, int]] = [
    ("wrong shard", lambda: with_leaves(*chain([*KEYS[:4], STRANGER], [10, 20, 30, 40, 5])), Fault.WRONG_SHARD, 1),
    ("first sum", lambda: with_leaves(*shift(LEAVES, 1), total=101), Fault.WRONG_SUM, 1),
    ("total", lambda: with_leaves(*LEAVES, total=101), Fault.WRONG_SUM, 1),
    ("sum between", lambda: with_leaves(*LEAVES[:2], *shift(LEAVES[2:], 7), total=107), Fault.WRONG_SUM, 2),
    ("order", lambda: with_leaves(*chain([KEYS[1], KEYS[0], *KEYS[2:4]], [20, 10, 30, 40])), Fault.WRONG_ORDER, 2),
    ("twice", lambda: with_leaves(*chain([KEYS[0], KEYS[0], *KEYS[1:4]], [10, 10, 20, 30, 40])), Fault.WRONG_ORDER, 2),
    ("lowered", lambda: with_leaves(*chain(KEYS[:4], [10, 20, 29, 41])), Fault.LOWERED, 1),
    ("left out between", lambda: with_leaves(*chain([KEYS[0], *KEYS[2:4]], [10, 50, 40])), Fault.LEFT_OUT, 2),
    ("left out first", lambda: with_leaves(*chain(KEYS[1:4], [30, 30, 40])), Fault.LEFT_OUT, 1),
    ("left out last", lambda: with_leaves(*chain(KEYS[:3], [10, 20, 70])), Fault.LEFT_OUT, 1),
    ("empty shard", lambda: distribute({STRANGER: 100}), Fault.LEFT_OUT, 0),
]


@pytest.mark.parametrize(("make", "fault", "leaves"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
def test_the_chain_takes_the_proof_of_each_fault(tmp_path, previous, make, fault, leaves):
    wrong = make()
    scene = DistributionScene()
    scene.settle(LIFETIMES)
    scene.accept(scene.post(wrong))
    found = find_challenge(scene.source, 2, publish(tmp_path / "out", wrong), previous, range(SHARDS))
    assert found is not None
    assert (found.fault, len(found.leaves)) == (fault, leaves)
    scene.accept(Call("distribution", "challenge", to_plain(found)))
    root = find_root(scene.state, scene.source, 2)
    assert root is not None
    assert root.voided is VoidCause.PROVEN_WRONG


def test_the_shortest_proof_is_sent(tmp_path):
    """A wrong sum between two leaves is there as well, and takes one leaf more."""
    both = with_leaves(LEAVES[0], *shift(LEAVES[1:], 7), leaf_of(STRANGER, 5, 107), total=112)
    found = find_challenge(1, 1, publish(tmp_path / "out", both), None, range(SHARDS))
    assert found is not None
    assert (found.fault, len(found.leaves)) == (Fault.WRONG_SHARD, 1)


def test_a_right_root_has_no_fault(tmp_path, previous):
    right = distribute(LIFETIMES | {KEYS[0]: 11, KEYS[4]: 3})
    assert find_challenge(1, 2, publish(tmp_path / "out", right), previous, range(SHARDS)) is None


def test_only_shards_that_differ_from_an_own_build_are_read(tmp_path, previous):
    wrong = publish(tmp_path / "out", with_leaves(*chain(KEYS[:4], [10, 20, 30, 41])))
    for number in range(SHARDS):
        if number != SHARD:
            get_shard_path(wrong, number).unlink()
    differing = list_differing_shards(wrong, previous)
    assert differing == [SHARD]
    assert find_challenge(1, 1, wrong, None, differing) is None
    key = encode_key(*KEYS[3])
    assert find_difference(wrong, previous, differing) == Difference(SHARD, key, 41, 40)
    assert find_difference(previous, previous, range(SHARDS)) is None


def test_a_file_of_another_root_is_refused(tmp_path):
    wrong = publish(tmp_path / "out", distribute(LIFETIMES))
    get_shard_path(wrong, SHARD).write_bytes(get_shard_path(wrong, OTHER).read_bytes())
    with pytest.raises(UnusableError, match="is not of the root in the manifest"):
        find_challenge(1, 1, wrong, None, [SHARD])
    get_shard_path(wrong, SHARD).write_bytes(b"nothing")
    with pytest.raises(UnusableError, match="is no file of a shard"):
        find_challenge(1, 1, wrong, None, [SHARD])


SHORT, UNKNOWN = b"\1" * 20, b"\3" * 21
TRAPS: dict[str, tuple[str, pa.Array]] = {
    "nothing": ("lifetime_grains", pa.array([None, 1, 1, 1], pa.int64())),
    "text": ("lifetime_grains", pa.array(["1"] * 4)),
    "fraction": ("lifetime_grains", pa.array([1.5] * 4)),
    "negative": ("lifetime_grains", pa.array([-1] * 4)),
    "nothing before": ("before_grains", pa.array([None, 1, 1, 1], pa.int64())),
    "text before": ("before_grains", pa.array(["1"] * 4)),
    "no such kind": ("beneficiary", pa.array([UNKNOWN] * 4, pa.binary(BENEFICIARY_BYTES))),
    "short": ("beneficiary", pa.array([SHORT] * 4)),
    "text of beneficiaries": ("beneficiary", pa.array(["x" * BENEFICIARY_BYTES] * 4)),
}
"""A column of a published file, and what stands in it."""


@pytest.mark.parametrize("trap", TRAPS)
def test_a_published_file_with_traps_is_refused_in_a_sentence(tmp_path, trap):
    published = publish(tmp_path / "out", distribute(LIFETIMES))
    path, (name, values) = get_shard_path(published, SHARD), TRAPS[trap]
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), path)
    with pytest.raises(UnusableError, match="is no file of a shard"):
        find_challenge(1, 1, published, None, [SHARD])


def test_a_published_file_without_a_column_or_with_two_is_refused(tmp_path):
    published = publish(tmp_path / "out", distribute(LIFETIMES))
    path = get_shard_path(published, SHARD)
    table = pq.read_table(path)
    for wrong in (table.drop_columns("lifetime_grains"), table.append_column("beneficiary", table["beneficiary"])):
        pq.write_table(wrong, path)
        with pytest.raises(UnusableError, match="is no file of a shard"):
            find_challenge(1, 1, published, None, [SHARD])
