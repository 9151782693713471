"""Which heights may go, and what goes with them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import encode
from ledger.history import (
    BLOCK_END_INDEX,
    compute_history_changes,
    find_transaction,
    list_contract_events,
    list_history,
)
from ledger.primitives import Height
from ledger.pruning import (
    KEEP_BLOCKS_MIN,
    PEER_LAG_BLOCKS_MAX,
    KeptBlocks,
    PruningRules,
    compute_deletions,
    plan_earliest_height,
)
from ledger.receipt import BlockEvents, Event
from ledger.store_keys import HEAD_KEY, block_events_store_key, committee_change_store_key
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import OTHER_COMMITTEE, SmallChain

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))
KEPT = KeptBlocks(Height(100), Height(1_000), indexed_height=1_000, kept_bytes=9_010, peer_heights=())
ALL = PruningRules(0, 0, 0)


def plan(rules: PruningRules, kept: KeptBlocks = KEPT, now_ms: int = 1_000_000) -> int:
    """Block times are 1000 ms apart, and every block has 10 bytes."""
    return plan_earliest_height(rules, kept, now_ms, lambda height: 1_000 * height, lambda _: 10)


@pytest.mark.parametrize(
    ("rules", "earliest"),
    [
        (ALL, 100),
        (PruningRules(500, 0, 0), 501),
        (PruningRules(901, 0, 0), 100),
        (PruningRules(5_000, 0, 0), 100),
        (PruningRules(1, 0, 0), 1_000 - KEEP_BLOCKS_MIN + 1),
        (PruningRules(0, 300_000, 0), 700),
        (PruningRules(0, 300_500, 0), 700),
        (PruningRules(0, 1, 0), 1_000 - KEEP_BLOCKS_MIN + 1),
        (PruningRules(0, 0, 9_010), 100),
        (PruningRules(0, 0, 9_009), 101),
        (PruningRules(0, 0, 5_000), 501),
        (PruningRules(0, 0, 1), 1_000 - KEEP_BLOCKS_MIN + 1),
        (PruningRules(500, 300_000, 5_000), 700),
        (PruningRules(500, 900_000, 9_000), 501),
    ],
)
def test_each_rule_gives_up_its_share_and_the_last_blocks_always_stay(rules, earliest):
    assert plan(rules) == earliest


def test_what_is_not_in_the_history_index_yet_stays():
    assert plan(PruningRules(500, 0, 0), replace(KEPT, indexed_height=300)) == 301
    assert plan(PruningRules(500, 0, 0), replace(KEPT, indexed_height=0)) == 100


@pytest.mark.parametrize(
    ("peer_heights", "earliest"),
    [((1_000, 1_000), 501), ((1_000, 400), 401), ((400, 350), 351), ((50,), 100), ((2_000,), 501)],
)
def test_a_connected_peer_gets_what_it_lacks(peer_heights, earliest):
    assert plan(PruningRules(500, 0, 0), replace(KEPT, peer_heights=peer_heights)) == earliest


def test_a_peer_far_behind_stops_nothing():
    kept = replace(KEPT, head_height=Height(10_000), indexed_height=10_000)
    for lag, earliest in ((PEER_LAG_BLOCKS_MAX, 10_000 - PEER_LAG_BLOCKS_MAX + 1), (PEER_LAG_BLOCKS_MAX + 1, 9_501)):
        assert plan(PruningRules(500, 0, 0), replace(kept, peer_heights=(10_000 - lag,))) == earliest


@given(
    st.builds(PruningRules, st.integers(0, 2_000), st.integers(0, 2**40), st.integers(0, 20_000)),
    st.integers(0, 1_000),
    st.integers(0, 1_000),
    st.lists(st.integers(0, 1_200), max_size=4),
)
def test_no_plan_goes_back_or_touches_the_last_blocks(rules, earliest, indexed, peers):
    kept = KeptBlocks(Height(earliest), Height(1_000), indexed, 10 * (1_001 - earliest), tuple(peers))
    planned = plan(rules, kept)
    assert planned >= earliest
    assert planned == earliest or planned <= min(1_000 - KEEP_BLOCKS_MIN + 1, indexed + 1)


def test_all_of_a_height_goes_and_nothing_else():
    small = SmallChain({A: 10**9}, next_committee=None)
    for sequence in range(3):
        before = dict(small.store.iterate(b"", b"\xff"))
        transaction = Draft(ALICE, [transfer(B, 1)], sequence=sequence).sign()
        receipts = small.add_block([transaction])
        height = small.chain.head.header.height
        small.store.write(compute_history_changes(height, [transaction.body], receipts), sync=False)
        added = {key for key, _ in small.store.iterate(b"", b"\xff")} - before.keys()
        lasting = {key for key in added if key[:1] in b"vnMiKL"}
        assert {key for key, value in compute_deletions(small.store, height) if value is None} >= added - lasting
        assert not {key for key, _ in compute_deletions(small.store, height)} & lasting
    first = small.chain.get_block(1)
    assert first is not None
    small.chain.forget_blocks([*compute_deletions(small.store, 0), *compute_deletions(small.store, 1)], Height(2))
    assert small.chain.earliest_height == 2
    assert [small.chain.get_block(height) is None for height in range(4)] == [False, True, False, False]
    assert small.chain.find_height(first.block.header.hash) is None
    assert [height for height, _, _ in list_history(small.store, A, None, 9)] == [3, 2]
    assert compute_deletions(small.store, 1) == [], "there is nothing left to delete"
    assert small.store.get(HEAD_KEY) is not None


def test_a_repetition_that_was_skipped_leaves_the_entry_of_the_block_that_counts():
    small = SmallChain({A: 10**9})
    unordered = Draft(ALICE, [transfer(B, 5)], sequence=b"saltsalt").sign()
    early = Draft(ALICE, [transfer(B, 5)], sequence=1).sign()
    for transactions in ([early], [Draft(ALICE, [transfer(B, 1)]).sign()], [early], [unordered], [unordered]):
        receipts = small.add_block(transactions)
        bodies = [each.body for each in transactions]
        small.store.write(compute_history_changes(small.chain.head.header.height, bodies, receipts), sync=False)
    small.chain.forget_blocks(compute_deletions(small.store, 1), Height(2))
    assert find_transaction(small.store, early.id) == (3, 0)


def test_the_header_of_a_change_of_committee_stays():
    small = SmallChain({A: 10**9}, next_committee=OTHER_COMMITTEE)
    small.store.write([(committee_change_store_key(1), b"kept")], sync=False)
    small.add_block()
    assert committee_change_store_key(1) not in {key for key, _ in compute_deletions(small.store, 1)}


def test_a_contracts_events_go_with_their_block():
    small = SmallChain({A: 10**9})
    small.add_block()
    told = Event("contracts", "Emitted", [A, "Told", b""])
    small.store.write([(block_events_store_key(1), encode(BlockEvents((told,))))], sync=False)
    small.store.write(compute_history_changes(Height(1), [], [], [told]), sync=False)
    assert list_contract_events(small.store, A, (0, 0, 0), 9) == [(1, BLOCK_END_INDEX, 0)]
    small.store.write(compute_deletions(small.store, 1), sync=False)
    assert list_contract_events(small.store, A, (0, 0, 0), 9) == []
