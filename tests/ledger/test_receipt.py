"""Receipts: the quick way to their bytes is the codec's."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.codec import decode, encode
from ledger.receipt import Event, Receipt, Status, encode_receipt

names = st.text(min_size=1, max_size=32)
plain = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(), st.binary())
events = st.builds(Event, names, names, st.lists(st.one_of(plain, st.lists(plain, max_size=3)), max_size=4))
receipts = st.builds(
    Receipt,
    st.binary(min_size=32, max_size=32),
    st.sampled_from(Status),
    st.integers(0, 65_535),
    st.integers(0, 2**53 - 1),
    st.integers(0, 2**63 - 1),
    st.lists(events, max_size=3).map(tuple),
)


@given(receipts)
def test_a_receipt_has_the_one_byte_form_of_the_codec(receipt: Receipt) -> None:
    encoded = encode_receipt(receipt)
    assert encoded == encode(receipt)
    assert decode(Receipt, encoded) == receipt
