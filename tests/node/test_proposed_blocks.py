"""Blocks kept before a vote: whole, private, and gone when the height is decided."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from node.disk_full import DiskFullError
from node.proposed_blocks import ProposedBlocks
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import SmallChain
from tests.node.disk_faults import file_size_limit, list_names

ALICE = make_key("alice")


def make_blocks(count: int):
    small = SmallChain({address_of(ALICE): 10**9})
    transactions = [Draft(ALICE, [transfer(address_of(ALICE), 1)], sequence=number).sign() for number in range(count)]
    return [small.build_block([transaction]).block for transaction in transactions]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log" / "blocks"


def by_hash(blocks):
    return sorted(blocks, key=lambda block: block.header.hash)


def test_what_was_saved_is_loaded_by_the_next_run(directory):
    blocks = make_blocks(3)
    proposed = ProposedBlocks(directory)
    for block in blocks:
        proposed.save(block)
    assert ProposedBlocks(directory).load() == by_hash(blocks)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in directory.iterdir())


def test_saving_twice_is_saving_once(directory):
    (block,) = make_blocks(1)
    proposed = ProposedBlocks(directory)
    proposed.save(block)
    proposed.save(block)
    assert list_names(directory) == [block.header.hash.hex() + ".block"]


def test_an_empty_block_needs_no_file_but_one_with_evidence_does(directory):
    (block,) = make_blocks(1)
    proposed = ProposedBlocks(directory)
    proposed.save(replace(block, transactions=()))
    assert list_names(directory) == []
    with_evidence = replace(block, transactions=(), evidence=(b"evidence",))
    proposed.save(with_evidence)
    assert proposed.load() == [with_evidence]


def test_the_decision_clears_everything(directory):
    proposed = ProposedBlocks(directory)
    for block in make_blocks(2):
        proposed.save(block)
    proposed.clear()
    assert proposed.load() == []
    assert list_names(directory) == []
    proposed.clear()


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-1], lambda raw: raw[:20], lambda raw: b"", lambda raw: raw + b"x"])
def test_a_torn_file_is_removed_and_the_others_stay(directory, spoil):
    torn, whole = make_blocks(2)
    proposed = ProposedBlocks(directory)
    proposed.save(torn)
    proposed.save(whole)
    path = directory / (torn.header.hash.hex() + ".block")
    path.write_bytes(spoil(path.read_bytes()))
    assert proposed.load() == [whole]
    assert not path.exists()


def test_every_flipped_byte_is_noticed(directory):
    (block,) = make_blocks(1)
    proposed = ProposedBlocks(directory)
    proposed.save(block)
    (path,) = directory.iterdir()
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        spoilt = bytearray(content)
        spoilt[position] ^= 1
        path.write_bytes(spoilt)
        assert proposed.load() == []


def test_a_full_disk_is_told_and_leaves_no_part(directory):
    (block,) = make_blocks(1)
    proposed = ProposedBlocks(directory)
    with file_size_limit(10), pytest.raises(DiskFullError):
        proposed.save(block)
    assert list_names(directory) == []
    proposed.save(block)
    assert proposed.load() == [block]


def test_what_a_crash_left_beside_is_removed_at_the_start(directory):
    (block,) = make_blocks(1)
    ProposedBlocks(directory).save(block)
    leftover = directory / ".half.tmp"
    leftover.write_bytes(b"half")
    other = directory / "README"
    other.write_text("not ours")
    proposed = ProposedBlocks(directory)
    assert not leftover.exists()
    assert proposed.load() == [block]
    proposed.clear()
    assert list_names(directory) == ["README"]
