import pytest

from identity.address import NetworkKind, compute_key_address, format_address
from identity.keys import KeyType, PrivateKey, verify_signature
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from identity.wallet.errors import WalletError
from identity.wallet.iov import sign_iov_message, verify_iov_message

KEY = PrivateKey(KeyType.ED25519, bytes(range(32)))
SIGNATURE = sign_iov_message(KEY, b"hello")


def address_of(private_key: PrivateKey, network: NetworkKind = NetworkKind.MAINNET) -> str:
    return format_address(compute_key_address(private_key.public_key), network)


@pytest.mark.parametrize("key_type", KeyType)
@pytest.mark.parametrize("network", NetworkKind)
def test_a_key_of_any_type_signs_for_its_address(key_type: KeyType, network: NetworkKind) -> None:
    private_key = PrivateKey(key_type, b"\x07" * 32)
    signature = sign_iov_message(private_key, b"hello")
    assert verify_iov_message(address_of(private_key, network), b"hello", signature, network)
    assert not verify_iov_message(address_of(private_key, network), b"hellp", signature, network)
    assert not verify_iov_message(address_of(KEY, network), b"hello", signature, network)


def test_the_form_is_pinned() -> None:
    assert SIGNATURE == (
        "0x01"
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
        "312fe178c3d7081d4be5d74c831f438a21fad28ec8cf0ce35b7073beef2401f2"
        "74fc2d5bb0f7bc2c756f3fc056391b52d29852b04642a1622b70e619f3dd5300"
    )


def test_a_message_is_never_what_the_chain_accepts() -> None:
    """Whatever the message: the text before it is no beginning of a transaction's, nor the other way round."""
    signed = signing_bytes(SigningPurpose.TRANSACTION, SigningDomain(bytes(32)), b"")
    public_key, signature = KEY.public_key, bytes.fromhex(SIGNATURE[2:])[-64:]
    assert verify_signature(public_key, b"carlive/message/1\x00hello", signature)
    assert not b"carlive/message/1\x00".startswith(signed[:10])
    assert not verify_signature(public_key, b"hello", signature)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "0x04" + SIGNATURE[4:],
        "0x00" + SIGNATURE[4:],
        SIGNATURE[:-2],
        SIGNATURE + "00",
        SIGNATURE.upper(),
        "0xé",
    ],
)
def test_what_is_no_signature_is_told(text: str) -> None:
    with pytest.raises(WalletError, match="key type, public key and 64 bytes"):
        verify_iov_message(address_of(KEY), b"hello", text, NetworkKind.MAINNET)


def test_an_address_of_another_network_is_foreign() -> None:
    with pytest.raises(WalletError, match="this network's addresses with iov1"):
        verify_iov_message(address_of(KEY, NetworkKind.DEVNET), b"hello", SIGNATURE, NetworkKind.MAINNET)
