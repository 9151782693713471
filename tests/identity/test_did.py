"""Identifiers between 20 bytes and text."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.address import NetworkKind
from identity.did import (
    DID_CHARACTERS_MAX,
    Did,
    InvalidDidError,
    compute_did,
    format_did,
    parse_did,
    parse_did_of_any_network,
)

DID = Did(bytes(range(1, 21)))
ENCODED = "Ci9TDNmoZN2SfQDyS8NgCcB8egf"
MAINNET, TESTNET, DEVNET = NetworkKind.MAINNET, NetworkKind.TESTNET, NetworkKind.DEVNET


def test_a_name_is_the_hash_of_what_created_it():
    assert compute_did(b"payload") == sha256(b"payload").digest()[:20]


@pytest.mark.parametrize("network", NetworkKind)
@given(did=st.binary(min_size=20, max_size=20))
def test_every_identity_has_one_text_in_a_network(network, did):
    text = format_did(Did(did), network)
    assert len(text) <= DID_CHARACTERS_MAX
    assert parse_did(text, network) == did
    assert parse_did_of_any_network(text) == (did, network)


def test_the_network_is_left_out_on_the_mainnet():
    texts = [format_did(DID, network).removesuffix(format_did(DID, MAINNET)[8:]) for network in NetworkKind]
    assert texts == ["did:iov:", "did:iov:testnet:", "did:iov:devnet:"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "starts with did:iov:"),
        ("did:key:z6Mk", "starts with did:iov:"),
        ("DID:iov:2", "starts with did:iov:"),
        ("did:IOV:2", "starts with did:iov:"),
        ("did:iov:", "has 20 bytes, not 0"),
        ("did:iov:mainnet:" + "2" * 27, "there is no network 'mainnet'"),
        ("did:iov::" + "2" * 27, "there is no network ''"),
        ("did:iov:testnet:devnet:2", "there is no network 'testnet:devnet'"),
        ("did:iov:devnet:0", "does not use"),
        ("did:iov:devnet:" + "2" * 26, "has 20 bytes, not 19"),
        ("did:iov:devnet:" + "z" * 28, "has 20 bytes, not 21"),
        ("did:iov:devnet:" + "1" * 21, "has 20 bytes, not 21"),
        (format_did(DID, DEVNET) + "#key", "does not use"),
        (format_did(DID, DEVNET) + " " * 10, "too long"),
    ],
)
def test_what_is_no_identifier_is_told_why(text, why):
    with pytest.raises(InvalidDidError, match=why):
        parse_did(text, DEVNET)


def test_an_identifier_of_another_network_is_refused():
    with pytest.raises(InvalidDidError, match="is an identifier of the testnet, not of the mainnet"):
        parse_did(format_did(DID, TESTNET), MAINNET)
