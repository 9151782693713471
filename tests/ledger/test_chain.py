"""The chain in its store: one atomic write a block, caches that never disagree with it, and frozen views."""

from dataclasses import replace
from pathlib import Path

import pytest

from ledger.block import Block, CertifiedBlock, CertifiedHeader
from ledger.chain import (
    STORE_FORMAT,
    Chain,
    UnknownFormatError,
    _ValueCache,
    clear_unfinished,
    initialise_store,
    is_initialised,
    write_snapshot,
)
from ledger.codec import encode
from ledger.committee import Committee
from ledger.memory_store import MemoryStore
from ledger.merkle import compute_leaf_hash, compute_root
from ledger.primitives import EMPTY_ROOT
from ledger.state_keys import account_key
from ledger.state_proof import InvalidProof, check_state_proof
from ledger.store_keys import EARLIEST_HEIGHT_KEY, FORMAT_KEY
from ledger.tree import StateTree
from node.leveldb_store import LevelDbStore
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import COMMITTEE, OTHER_COMMITTEE, SmallChain, sign_certificate
from vm.native.accounts import get_account
from vm.native.iov import get_balance

ALICE, BOB = make_key("alice"), make_key("bob")
A, B = address_of(ALICE), address_of(BOB)
START = 10**9


def make_chain(**options) -> SmallChain:
    return SmallChain({A: START}, **options)


def pay(sequence: int, amount: int = 5) -> Draft:
    return Draft(ALICE, [transfer(B, amount)], sequence=sequence)


class FailingStore(MemoryStore):
    """Refuses writes, or tears power away right after one."""

    fails_before = False
    fails_after = False

    def write(self, changes, *, sync):
        if self.fails_before:
            raise OSError("no power")
        super().write(changes, sync=sync)
        if self.fails_after:
            raise OSError("no power")


def test_genesis_is_block_zero_and_needs_nothing_more():
    small = make_chain()
    head = small.chain.head
    assert (head.header, head.is_sealed, head.receipts_root) == (small.genesis, True, EMPTY_ROOT)
    assert head.state_root == small.genesis.state_root
    certified = small.chain.get_block(0)
    assert certified is not None
    assert certified.block == Block(small.genesis, (), ())
    assert certified.certificate.signatures == ()
    assert small.chain.get_receipts(0) == []
    assert small.chain.find_height(small.genesis.hash) == 0


def test_a_committed_block_can_be_read_back_whole():
    small = make_chain()
    certified = small.build_block([pay(0).sign()])
    receipts = small.add_block([pay(0).sign()])
    assert small.chain.get_block(1) == certified
    assert small.chain.get_encoded_block(1) == (encode(certified.block), encode(certified.certificate))
    assert small.chain.get_receipts(1) == receipts
    assert small.chain.find_height(certified.block.header.hash) == 1
    assert get_account(small.chain.open_state(), A)[:2] == (1, START - 5 - receipts[0].fee_grains)
    assert get_balance(small.chain.open_state(), B) == 5


def test_what_is_not_there_is_none():
    chain = make_chain().chain
    absent = (chain.get_block(1), chain.get_encoded_block(1), chain.get_receipts(1), chain.find_height(bytes(32)))
    assert (*absent, chain.get_committee(bytes(32))) == (None,) * 5


def test_the_next_header_states_the_roots_of_the_block_before():
    small = make_chain()
    receipts = small.add_block([pay(0).sign(), pay(1).sign()])
    head = small.chain.head
    assert head.receipts_root == compute_root([compute_leaf_hash(encode(receipt)) for receipt in receipts])
    assert head.state_root != small.genesis.state_root
    small.add_block()
    header = small.chain.head.header
    assert (header.state_root, header.receipts_root) == (head.state_root, head.receipts_root)


def test_only_a_block_that_changed_nothing_leaves_nothing_to_certify():
    small = make_chain()
    small.add_block([pay(0).sign()])
    assert not small.chain.head.is_sealed
    small.add_block()
    assert small.chain.head.is_sealed
    small.add_block([pay(9).sign()])
    assert not small.chain.head.is_sealed, "a skipped transaction has a receipt that a header must state"


def test_the_root_is_that_of_the_whole_map_however_it_came_about():
    small = make_chain()
    for sequence in range(12):
        small.add_block([pay(sequence, sequence + 1).sign()])
    small.add_block([Draft(ALICE, [transfer(B, 1)], sequence=b"saltsalt", valid_until=15).sign()])
    for _ in range(3):
        small.add_block()
    view = small.chain.take_view()
    values = {key: value for prefix in range(255) for key, value in view.iterate_prefix(bytes([prefix]))}
    assert StateTree(MemoryStore().get, 100).compute_update(dict(values)).root == view.head.state_root
    view.close()


def test_blocks_are_committed_in_order():
    small = make_chain()
    certified = small.build_block()
    small.add_block()
    with pytest.raises(AssertionError, match="in order"):
        small.chain.commit(certified, [], (), {})


def test_a_chain_opened_again_is_the_same(tmp_path: Path):
    store = LevelDbStore(tmp_path / "data")
    small = make_chain(store=store)
    for sequence in range(3):
        small.add_block([pay(sequence).sign()])
    head = small.chain.head
    store.close()
    store = LevelDbStore(tmp_path / "data")
    again = Chain(store)
    assert again.head == head
    assert get_balance(again.open_state(), B) == 15
    small.store, small.chain = store, again
    small.add_block([pay(3).sign()])
    assert get_balance(again.open_state(), B) == 20
    store.close()


def test_both_stores_give_the_same_roots(tmp_path: Path):
    disk = LevelDbStore(tmp_path / "data")
    chains = [make_chain(), make_chain(store=disk)]
    for small in chains:
        for sequence in range(3):
            small.add_block([pay(sequence).sign()])
    assert chains[0].chain.head == chains[1].chain.head
    disk.close()


def test_a_write_that_did_not_get_through_leaves_the_chain_where_it_was():
    store = FailingStore()
    small = make_chain(store=store)
    small.add_block([pay(0).sign()])
    head = small.chain.head
    store.fails_before = True
    with pytest.raises(OSError, match="no power"):
        small.add_block([pay(1).sign()])
    store.fails_before = False
    assert small.chain.head == head
    assert get_balance(small.chain.open_state(), B) == 5
    small.add_block([pay(1, 7).sign()])
    assert get_balance(small.chain.open_state(), B) == 12
    small.chain.reload()
    assert get_balance(small.chain.open_state(), B) == 12


def test_after_a_write_that_got_through_unnoticed_a_reload_finds_it():
    store = FailingStore()
    small = make_chain(store=store)
    assert get_balance(small.chain.open_state(), B) == 0
    store.fails_after = True
    with pytest.raises(OSError, match="no power"):
        small.add_block([pay(0).sign()])
    store.fails_after = False
    small.chain.reload()
    assert small.chain.head.header.height == 1
    assert get_balance(small.chain.open_state(), B) == 5
    small.add_block([pay(1).sign()])
    assert small.chain.head.header.height == 2


def test_a_view_stays_as_it_was_while_the_chain_goes_on():
    small = make_chain()
    small.add_block([pay(0).sign()])
    view = small.chain.take_view()
    head = small.chain.head
    small.add_block([pay(1).sign()])
    assert view.head == head
    assert get_balance(view, B) == 5
    assert get_balance(small.chain.open_state(), B) == 10
    assert [key for key, _ in view.iterate_prefix(account_key(B))] == [account_key(B)]
    view.close()


def test_a_view_proves_presence_and_absence_against_its_own_root():
    small = make_chain()
    small.add_block([pay(0).sign()])
    view = small.chain.take_view()
    root = view.head.state_root
    small.add_block([pay(1).sign()])
    value = view.get(account_key(B))
    absent = account_key(address_of(make_key("nobody")))
    assert check_state_proof(view.prove(account_key(B)), account_key(B), root) == value
    assert check_state_proof(view.prove(absent), absent, root) is None
    with pytest.raises(InvalidProof):
        check_state_proof(view.prove(account_key(B)), account_key(B), small.chain.head.state_root)
    view.close()


def test_committees_are_found_by_hash_for_headers_of_any_age():
    small = make_chain(next_committee=OTHER_COMMITTEE)
    chain = small.chain
    assert chain.get_committee(small.genesis.committee_hash) == COMMITTEE
    assert chain.get_committee(small.genesis.next_committee_hash) == OTHER_COMMITTEE
    assert chain.get_committee(Committee(COMMITTEE.members[1:]).hash) is None


def test_a_store_of_another_format_or_none_is_refused():
    empty = MemoryStore()
    assert not is_initialised(empty)
    with pytest.raises(UnknownFormatError):
        Chain(empty)
    small = make_chain()
    assert is_initialised(small.store)
    small.store.write([(FORMAT_KEY, bytes([STORE_FORMAT + 1]))], sync=True)
    with pytest.raises(UnknownFormatError, match="this version reads 1"):
        Chain(small.store)


def test_a_store_is_filled_once():
    small = make_chain()
    with pytest.raises(AssertionError, match="already"):
        initialise_store(small.store, lambda root: small.genesis, {})


def test_the_value_cache_never_answers_with_an_old_value_and_stays_small():
    store = MemoryStore()
    cache = _ValueCache(store, 8)
    for number in range(100):
        key = b"%d" % (number % 7)
        store.write([(b"v" + key, b"%d" % number)], sync=False)
        cache.update({key: b"%d" % number})
        for each in range(7):
            assert cache.get(b"%d" % each) == store.get(b"v%d" % each)
        assert cache.get(b"absent %d" % number) is None
        assert len(cache._young) + len(cache._old) <= 8


def test_a_block_larger_than_a_generation_stays_cached_only_until_others_are_read():
    store = MemoryStore()
    cache = _ValueCache(store, 8)
    changes = {b"%d" % number: b"value" for number in range(20)}
    cache.update(changes)
    assert [len(cache._young), len(cache._old)] == [0, 20]
    for number in range(4):
        assert cache.get(b"absent %d" % number) is None
    assert [len(cache._young), len(cache._old)] == [0, 4]


def test_a_deleted_value_is_cached_as_absent():
    store = MemoryStore()
    store.write([(b"vkey", b"stale")], sync=False)
    cache = _ValueCache(store, 8)
    cache.update({b"key": None})
    assert cache.get(b"key") is None


def test_changes_of_the_committee_are_found_by_height():
    small = make_chain()
    small.add_block()
    assert small.chain.list_committee_changes(0, 10) == []
    changed = []
    for committee in (OTHER_COMMITTEE, COMMITTEE):
        certified = small.build_block()
        header = replace(certified.block.header, next_committee_hash=committee.hash, committee_hash=bytes(32))
        certificate = sign_certificate(header)
        small.chain.commit(CertifiedBlock(Block(header, (), ()), certificate), [], (), {})
        changed.append(CertifiedHeader(header, certificate))
    assert small.chain.list_committee_changes(0, 10) == changed
    assert small.chain.list_committee_changes(3, 10) == changed[1:]
    assert small.chain.list_committee_changes(0, 1) == changed[:1]


def test_the_earliest_block_is_genesis_unless_the_store_says_otherwise():
    small = make_chain()
    assert small.chain.earliest_height == 0
    small.store.write([(EARLIEST_HEIGHT_KEY, (7).to_bytes(8, "big"))], sync=True)
    assert Chain(small.store).earliest_height == 7


def test_leftovers_of_a_download_are_removed_before_a_chain_begins():
    store = MemoryStore()
    store.write([(b"v" + account_key(B), b"left"), (b"n", b"left"), (b"Mother", b"left")], sync=True)
    clear_unfinished(store)
    assert list(store.iterate(b"\x00", b"\xff")) == []
    assert make_chain(store=store).genesis == make_chain().genesis


def test_a_chain_is_not_cleared_away():
    with pytest.raises(AssertionError, match="is not removed"):
        clear_unfinished(make_chain().store)


def test_a_snapshot_is_written_only_over_its_whole_state():
    small = make_chain()
    small.add_block([pay(0).sign()])
    certified = small.chain.get_block(1)
    receipts = [encode(receipt) for receipt in small.chain.get_receipts(1)]
    store = MemoryStore()
    with pytest.raises(AssertionError, match="the whole state is there"):
        write_snapshot(
            store, small.chain.get_block(0), certified, receipts, None, small.chain.head.state_root, (), (COMMITTEE,)
        )
    assert not is_initialised(store)
