"""The history index: which entries a block makes, and how they are found again."""

from ledger.codec import decode, encode, to_plain
from ledger.history import (
    BLOCK_END_INDEX,
    compute_history_changes,
    find_transaction,
    get_indexed_height,
    list_contract_events,
    list_history,
)
from ledger.memory_store import MemoryStore
from ledger.primitives import Height
from ledger.receipt import Event, Receipt, Status
from ledger.transaction import Call
from tests.builders import Draft, address_of, block_context, make_key, make_state, transfer
from tests.vectors.scene import POLICY
from vm.transition import apply_block

ALICE, BOB, CAROL, DAVE = (make_key(name) for name in ("alice", "bob", "carol", "dave"))
A, B, C, D = (address_of(key) for key in (ALICE, BOB, CAROL, DAVE))


def index(store: MemoryStore, state, height: int, drafts: list[Draft]) -> tuple[list, list[Receipt]]:
    transactions = [draft.sign() for draft in drafts]
    receipts = apply_block(state, block_context(height), transactions).receipts
    changes = compute_history_changes(Height(height), [each.body for each in transactions], receipts)
    store.write(changes, sync=False)
    return transactions, receipts


def test_a_transaction_is_found_by_everyone_it_touches():
    store, state = MemoryStore(), make_state({A: 10**6, D: 10**6})
    payments = [[B, 1], [C, 2], [B, 3]]
    (batch, sponsored), receipts = index(
        store,
        state,
        7,
        [
            Draft(ALICE, [Call("iov", "batch_transfer", [payments])]),
            Draft(BOB, [transfer(C, 1)], fee_payer_key=DAVE),
        ],
    )
    assert [receipt.status for receipt in receipts] == [Status.SUCCEEDED] * 2
    assert get_indexed_height(store) == 7
    assert (find_transaction(store, batch.id), find_transaction(store, sponsored.id)) == ((7, 0), (7, 1))
    assert find_transaction(store, bytes(32)) is None
    assert list_history(store, A, None, 10) == [(7, 0, batch.id)]
    assert list_history(store, B, None, 10) == [(7, 1, sponsored.id), (7, 0, batch.id)]
    assert list_history(store, C, None, 10) == [(7, 1, sponsored.id), (7, 0, batch.id)]
    assert list_history(store, D, None, 10) == [(7, 1, sponsored.id)]


def test_a_failed_transaction_stands_in_its_senders_history_alone():
    store, state = MemoryStore(), make_state({A: 50_000})
    (failed,), receipts = index(store, state, 1, [Draft(ALICE, [transfer(B, 1), transfer(C, 10**9)])])
    assert receipts[0].status is Status.FAILED
    assert find_transaction(store, failed.id) == (1, 0)
    assert list_history(store, A, None, 10) == [(1, 0, failed.id)]
    assert list_history(store, B, None, 10) == list_history(store, C, None, 10) == []


def test_a_skipped_transaction_leaves_no_entry():
    store, state = MemoryStore(), make_state({A: 10**6})
    (early,), receipts = index(store, state, 1, [Draft(ALICE, [transfer(B, 1)], sequence=1)])
    assert receipts[0].status is Status.SKIPPED
    assert find_transaction(store, early.id) is None
    assert list_history(store, A, None, 10) == []
    assert get_indexed_height(store) == 1


def test_a_later_skip_does_not_hide_the_block_in_which_it_took_effect():
    store, state = MemoryStore(), make_state({A: 10**6})
    draft = Draft(ALICE, [transfer(B, 1)], sequence=b"saltsalt")
    (transaction,), _ = index(store, state, 1, [draft])
    _, receipts = index(store, state, 2, [draft])
    assert receipts[0].status is Status.SKIPPED
    assert find_transaction(store, transaction.id) == (1, 0)


def test_pages_go_backwards_without_gap_or_overlap_also_across_blocks():
    store, state = MemoryStore(), make_state({A: 10**9})
    sequence, expected = 0, []
    for height in (1, 255, 256, 70_000):
        drafts = [
            Draft(ALICE, [transfer(B, 1)], sequence=sequence + number, valid_until=10**6, gas_limit=5_000)
            for number in range(3)
        ]
        transactions, _ = index(store, state, height, drafts)
        sequence += 3
        expected += [(height, position, each.id) for position, each in enumerate(transactions)]
    expected.reverse()
    assert list_history(store, A, None, 100) == expected
    pages, before = [], None
    while page := list_history(store, A, before, 5):
        pages += page
        before = page[-1][:2]
    assert pages == expected
    assert list_history(store, A, (256, 0), 1) == [expected[6]]
    assert list_history(store, A, (1, 0), 5) == []


def test_one_accounts_history_never_shows_anothers():
    store = MemoryStore()
    state = make_state({A: 10**6, B: 10**6})
    index(store, state, 1, [Draft(ALICE, [transfer(C, 1)]), Draft(BOB, [transfer(D, 1)])])
    assert [entry[1] for entry in list_history(store, A, None, 10)] == [0]
    assert [entry[1] for entry in list_history(store, D, None, 10)] == [1]


def test_the_entries_are_the_same_from_executed_and_from_stored_receipts():
    state = make_state({A: 10**6})
    drafts = [
        Draft(ALICE, [Call("accounts", "set_policy", [to_plain(POLICY)])], gas_limit=10_000),
        Draft(ALICE, [transfer(B, 1)], sequence=1),
    ]
    transactions = [draft.sign() for draft in drafts]
    receipts = apply_block(state, block_context(1), transactions).receipts
    stored = [decode(Receipt, encode(receipt)) for receipt in receipts]
    assert stored == receipts
    bodies = [each.body for each in transactions]
    assert compute_history_changes(Height(1), bodies, stored) == compute_history_changes(Height(1), bodies, receipts)


def test_an_empty_store_is_indexed_to_genesis():
    assert get_indexed_height(MemoryStore()) == 0


def test_a_contracts_events_are_found_in_the_order_they_happened():
    store = MemoryStore()
    bodies = [Draft(ALICE, [transfer(B, 1)], sequence=sequence).sign().body for sequence in (0, 1)]
    paid = Event("iov", "Transferred", [A, C, 1])
    told, other = (Event("contracts", "Emitted", [contract, "Told", b"\1"]) for contract in (C, D))
    for height in (300, 2):
        receipts = [
            Receipt(bytes([height % 256, index]) * 16, Status.SUCCEEDED, 0, 1, 1, events)
            for index, events in enumerate([(paid, told, other), (told, told)])
        ]
        store.write(compute_history_changes(Height(height), bodies, receipts, [told]), sync=False)
    in_block_2 = [(2, 0, 1), (2, 1, 0), (2, 1, 1), (2, BLOCK_END_INDEX, 0)]
    in_block_300 = [(300, *position) for _, *position in in_block_2]
    assert list_contract_events(store, C, (0, 0, 0), 99) == [*in_block_2, *in_block_300]
    assert list_contract_events(store, C, (2, 1, 1), 3) == [*in_block_2[2:], in_block_300[0]]
    assert list_contract_events(store, D, (0, 0, 0), 99) == [(2, 0, 2), (300, 0, 2)]
    assert list_contract_events(store, A, (0, 0, 0), 99) == []
