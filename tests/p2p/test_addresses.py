import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.addresses import InvalidPeerAddressError, PeerAddress, format_peer_address, parse_peer_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:26656", PeerAddress("192.0.2.1", 26656)),
        ("node.example:0", PeerAddress("node.example", 0)),
        ("[::1]:65535", PeerAddress("::1", 65535)),
    ],
)
def test_addresses_are_read_and_written(text: str, address: PeerAddress) -> None:
    assert parse_peer_address(text) == address
    assert format_peer_address(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:",
        ":1",
        "host:65536",
        "host:-1",
        "host:１",
        "::1:80",
        "[host]:80",
        "[]:1",
        "ho st:1",
        "a" * 260 + ":80",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidPeerAddressError):
        parse_peer_address(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = parse_peer_address(text)
    except InvalidPeerAddressError:
        return
    assert parse_peer_address(format_peer_address(address)) == address
