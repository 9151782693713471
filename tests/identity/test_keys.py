import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.keys import (
    PUBLIC_KEY_BYTES,
    InvalidKeyError,
    KeyType,
    PrivateKey,
    PublicKey,
    check_public_key,
    verify_signature,
)
from tests.identity.edwards import (
    BASE,
    NEUTRAL,
    ORDER,
    PRIME,
    TORSION,
    add,
    encode_point,
    find_x,
    hash_to_scalar,
    multiply,
    sign_with,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "rfc8032_ed25519.json").read_text())["vectors"]
PURE = [vector for vector in VECTORS if vector["algorithm"] == "Ed25519"]
OTHER = [vector for vector in VECTORS if vector["algorithm"] != "Ed25519"]
GROUP_ORDERS = {
    KeyType.SECP256K1: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    KeyType.P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
ECDSA = [KeyType.SECP256K1, KeyType.P256]
MESSAGE = b"three keys per operator"
SECRET = 0x1234567890ABCDEF
NONCE = 0xFEDCBA0987654321


def make_key(key_type: KeyType, number: int = 7) -> PrivateKey:
    return PrivateKey(key_type, number.to_bytes(32, "big"))


def ed25519(key: bytes) -> PublicKey:
    return PublicKey(KeyType.ED25519, key)


def to_scalar_bytes(scalar: int) -> bytes:
    return scalar.to_bytes(32, "little")


@pytest.mark.parametrize("vector", PURE, ids=lambda vector: vector["name"])
def test_rfc_8032_vectors_hold(vector: dict[str, str]) -> None:
    private_key = PrivateKey(KeyType.ED25519, bytes.fromhex(vector["secret"]))
    message, signature = bytes.fromhex(vector["message"]), bytes.fromhex(vector["signature"])
    assert private_key.public_key == ed25519(bytes.fromhex(vector["public"]))
    assert private_key.sign(message) == signature
    assert verify_signature(private_key.public_key, message, signature)
    check_public_key(private_key.public_key)


@pytest.mark.parametrize("vector", OTHER, ids=lambda vector: vector["name"])
def test_signatures_with_context_or_prehash_do_not_count(vector: dict[str, str]) -> None:
    key, message = bytes.fromhex(vector["public"]), bytes.fromhex(vector["message"])
    assert not verify_signature(ed25519(key), message, bytes.fromhex(vector["signature"]))


def test_the_vectors_were_read() -> None:
    assert len(PURE) == 5 and len(OTHER) == 3


# Ed25519: points and scalars no honest signer makes


def list_small_order_encodings() -> list[bytes]:
    """All 8 small-order points, and every other 32 bytes that some decoder takes for one of them."""
    canonical = {encode_point(point) for point in TORSION}
    odd = {
        to_scalar_bytes(y | sign << 255)
        for y in {point[1] + shift for point in TORSION for shift in (0, PRIME)}
        for sign in (0, 1)
        if y < 2**255
    }
    return sorted(canonical | odd)


def test_there_are_fourteen_small_order_encodings() -> None:
    assert len(list_small_order_encodings()) == 14
    assert all(multiply(8, point) == NEUTRAL for point in TORSION)


@pytest.mark.parametrize("key", list_small_order_encodings(), ids=bytes.hex)
def test_a_small_order_key_is_refused_and_signs_nothing(key: bytes) -> None:
    with pytest.raises(InvalidKeyError):
        check_public_key(ed25519(key))
    for r_bytes in (key, encode_point(NEUTRAL), *map(encode_point, TORSION)):
        assert not verify_signature(ed25519(key), MESSAGE, r_bytes + bytes(32))


@pytest.mark.parametrize("r_bytes", list_small_order_encodings(), ids=bytes.hex)
def test_a_small_order_r_is_refused_though_the_equation_holds(r_bytes: bytes) -> None:
    key = encode_point(multiply(SECRET, BASE))
    s = hash_to_scalar(r_bytes, key, MESSAGE) * SECRET % ORDER
    assert not verify_signature(ed25519(key), MESSAGE, r_bytes + to_scalar_bytes(s))


@pytest.mark.parametrize("index", range(1, 8))
def test_a_key_of_mixed_order_is_refused(index: int) -> None:
    key = encode_point(add(multiply(SECRET, BASE), TORSION[index]))
    with pytest.raises(InvalidKeyError, match="prime-order"):
        check_public_key(ed25519(key))


@pytest.mark.parametrize("index", range(1, 8))
def test_r_with_a_torsion_part_is_refused(index: int) -> None:
    """Only a verifier that multiplies by the cofactor would take it."""
    key = encode_point(multiply(SECRET, BASE))
    r_bytes, s = sign_with(SECRET, NONCE, key, MESSAGE, TORSION[index])
    assert not verify_signature(ed25519(key), MESSAGE, r_bytes + to_scalar_bytes(s))
    plain_r, plain_s = sign_with(SECRET, NONCE, key, MESSAGE)
    assert verify_signature(ed25519(key), MESSAGE, plain_r + to_scalar_bytes(plain_s))


@pytest.mark.parametrize("multiple", range(1, 15))
def test_s_at_or_above_the_group_order_is_refused(multiple: int) -> None:
    private_key = make_key(KeyType.ED25519)
    signature = private_key.sign(MESSAGE)
    s = int.from_bytes(signature[32:], "little") + multiple * ORDER
    assert not verify_signature(private_key.public_key, MESSAGE, signature[:32] + to_scalar_bytes(s))


def list_non_canonical_keys() -> list[bytes]:
    """y from p to 2^255 - 1: nineteen values, with either sign."""
    return [to_scalar_bytes(y | sign << 255) for y in range(PRIME, 2**255) for sign in (0, 1)]


@pytest.mark.parametrize("key", list_non_canonical_keys(), ids=bytes.hex)
def test_a_non_canonical_key_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidKeyError, match="canonical"):
        check_public_key(ed25519(key))
    assert not verify_signature(ed25519(key), MESSAGE, encode_point(BASE) + bytes(32))


def test_a_non_canonical_r_is_refused() -> None:
    """R is compared as bytes, so of two spellings of one point only the canonical one counts."""
    key = encode_point(multiply(SECRET, BASE))
    for r_bytes in list_non_canonical_keys():
        s = hash_to_scalar(r_bytes, key, MESSAGE) * SECRET % ORDER
        assert not verify_signature(ed25519(key), MESSAGE, r_bytes + to_scalar_bytes(s))


def test_a_key_off_the_curve_is_refused() -> None:
    y = next(y for y in range(2, 100) if find_x(y, 0) is None)
    with pytest.raises(InvalidKeyError):
        check_public_key(ed25519(to_scalar_bytes(y)))


# ECDSA


RFC_6979 = [  # P-256: RFC 6979 A.2.5; secp256k1: the vectors bitcoin wallets share. With s made low.
    (
        KeyType.P256,
        0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721,
        b"sample",
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    ),
    (
        KeyType.P256,
        0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721,
        b"test",
        0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
        0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
    ),
    (
        KeyType.SECP256K1,
        1,
        b"Satoshi Nakamoto",
        0x934B1EA10A4B3C1757E2B0C017D0B6143CE3C9A7E6A4A49860D7A6AB210EE3D8,
        0x2442CE9D2B916064108014783E923EC36B49743E2FFA1C4496F01A512AAFD9E5,
    ),
    (
        KeyType.SECP256K1,
        1,
        b"All those moments will be lost in time, like tears in rain. Time to die...",
        0x8600DBD41E348FE5C9465AB92D23E3DB8B98B873BEECD930736488696438CB6B,
        0x547FE64427496DB33BF66019DACBF0039C04199ABB0122918601DB38A72CFC21,
    ),
]


@pytest.mark.parametrize(("key_type", "secret", "message", "r", "s"), RFC_6979)
def test_rfc_6979_vectors_hold(key_type: KeyType, secret: int, message: bytes, r: int, s: int) -> None:
    private_key = make_key(key_type, secret)
    low_s = min(s, GROUP_ORDERS[key_type] - s)
    signature = r.to_bytes(32, "big") + low_s.to_bytes(32, "big")
    assert private_key.sign(message) == signature
    assert verify_signature(private_key.public_key, message, signature)


def test_the_p256_public_key_of_rfc_6979_is_compressed() -> None:
    private_key = make_key(KeyType.P256, RFC_6979[0][1])
    assert private_key.public_key.key.hex() == "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"


@pytest.mark.parametrize("key_type", ECDSA)
def test_a_high_s_is_refused(key_type: KeyType) -> None:
    private_key = make_key(key_type)
    signature = private_key.sign(MESSAGE)
    high = GROUP_ORDERS[key_type] - int.from_bytes(signature[32:], "big")
    assert verify_signature(private_key.public_key, MESSAGE, signature)
    assert not verify_signature(private_key.public_key, MESSAGE, signature[:32] + high.to_bytes(32, "big"))


@pytest.mark.parametrize("key_type", ECDSA)
def test_r_and_s_out_of_range_are_refused(key_type: KeyType) -> None:
    private_key = make_key(key_type)
    signature = private_key.sign(MESSAGE)
    r, s = signature[:32], signature[32:]
    order = GROUP_ORDERS[key_type]
    for odd in (0, order, order + 1, 2**256 - 1, (int.from_bytes(r, "big") + order) % 2**256):
        assert not verify_signature(private_key.public_key, MESSAGE, odd.to_bytes(32, "big") + s)
    for odd in (0, order // 2 + 1, order, order + 1, 2**256 - 1):
        assert not verify_signature(private_key.public_key, MESSAGE, r + odd.to_bytes(32, "big"))


@pytest.mark.parametrize("key_type", ECDSA)
def test_only_compressed_points_on_the_curve_are_keys(key_type: KeyType) -> None:
    good = make_key(key_type).public_key.key
    check_public_key(PublicKey(key_type, good))
    x = good[1:]
    off_curve = next(
        key for number in range(1, 50) if not is_acceptable(key_type, key := b"\x02" + number.to_bytes(32, "big"))
    )
    for bad in (
        b"",
        b"\x00",
        b"\x04" + x + x,
        b"\x04" + x,
        b"\x05" + x,
        b"\x06" + x,
        bytes(33),
        b"\x02" + bytes([255]) * 32,
        good[:-1],
        good + b"\0",
        off_curve,
    ):
        with pytest.raises(InvalidKeyError):
            check_public_key(PublicKey(key_type, bad))
        assert not verify_signature(PublicKey(key_type, bad), MESSAGE, make_key(key_type).sign(MESSAGE))


def is_acceptable(key_type: KeyType, key: bytes) -> bool:
    try:
        check_public_key(PublicKey(key_type, key))
    except InvalidKeyError:
        return False
    return True


@pytest.mark.parametrize("key_type", ECDSA)
def test_a_secret_out_of_range_is_refused(key_type: KeyType) -> None:
    for number in (0, GROUP_ORDERS[key_type], 2**256 - 1):
        with pytest.raises(InvalidKeyError, match="range"):
            make_key(key_type, number)
    assert make_key(key_type, GROUP_ORDERS[key_type] - 1).public_key.key[1:] == make_key(key_type, 1).public_key.key[1:]


# All types


@pytest.mark.parametrize("key_type", KeyType)
def test_a_signature_is_for_one_key_and_message(key_type: KeyType) -> None:
    private_key, other = make_key(key_type), make_key(key_type, 8)
    signature = private_key.sign(MESSAGE)
    assert verify_signature(private_key.public_key, MESSAGE, signature)
    assert not verify_signature(other.public_key, MESSAGE, signature)
    assert not verify_signature(private_key.public_key, MESSAGE + b"\0", signature)
    assert not verify_signature(private_key.public_key, b"", signature)
    assert not verify_signature(private_key.public_key, MESSAGE, signature[:-1])
    assert not verify_signature(private_key.public_key, MESSAGE, signature + b"\0")
    assert not verify_signature(private_key.public_key, MESSAGE, b"")


@pytest.mark.parametrize("key_type", KeyType)
def test_every_flipped_bit_spoils_a_signature(key_type: KeyType) -> None:
    private_key = make_key(key_type)
    signature = int.from_bytes(private_key.sign(MESSAGE), "big")
    for bit in range(0, 512, 3):
        spoilt = (signature ^ 1 << bit).to_bytes(64, "big")
        assert not verify_signature(private_key.public_key, MESSAGE, spoilt)


@given(st.sampled_from(KeyType), st.binary(max_size=70), st.binary(max_size=40), st.binary(max_size=70))
@settings(deadline=None)
def test_verification_never_raises(key_type: KeyType, key: bytes, message: bytes, signature: bytes) -> None:
    assert verify_signature(PublicKey(key_type, key), message, signature) is False


@given(st.sampled_from(KeyType), st.binary(min_size=33, max_size=33), st.binary(min_size=64, max_size=64))
@settings(deadline=None)
def test_verification_never_raises_on_the_right_sizes(key_type: KeyType, key: bytes, signature: bytes) -> None:
    sized = PublicKey(key_type, key[: PUBLIC_KEY_BYTES[key_type]])
    assert verify_signature(sized, MESSAGE, signature) is False
    assert verify_signature(PublicKey(key_type, b"\x02" + key[1:]), MESSAGE, bytes(64)) is False


@given(st.sampled_from(KeyType), st.integers(1, 2**200), st.binary(max_size=200))
@settings(deadline=None, max_examples=50)
def test_what_is_signed_verifies(key_type: KeyType, number: int, message: bytes) -> None:
    private_key = make_key(key_type, number)
    check_public_key(private_key.public_key)
    assert verify_signature(private_key.public_key, message, private_key.sign(message))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_secret_has_32_bytes(size: int) -> None:
    with pytest.raises(InvalidKeyError, match="32 bytes"):
        PrivateKey(KeyType.ED25519, bytes(size))


@pytest.mark.parametrize("key_type", KeyType)
def test_a_private_key_never_shows_its_secret(key_type: KeyType) -> None:
    private_key = make_key(key_type, 0xDEADBEEFCAFE)
    private_key.sign(MESSAGE)
    shown = f"{private_key} {private_key!r} {[private_key]}"
    assert "deadbeef" not in shown.lower() and "\\xde" not in shown and key_type.name in shown


def test_private_keys_compare_by_what_they_are() -> None:
    used, fresh = make_key(KeyType.P256), make_key(KeyType.P256)
    used.sign(MESSAGE)
    assert used == fresh and hash(used) == hash(fresh)
    assert used != make_key(KeyType.SECP256K1)
