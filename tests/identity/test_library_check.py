import pytest

from identity import library_check
from identity.keys import PublicKey, verify_signature
from identity.library_check import ED25519_ANSWERS, MESSAGE, UnsuitableLibraryError, check_signature_libraries
from tests.identity.edwards import BASE, ORDER, PRIME, TORSION, add, encode_point, find_x, hash_to_scalar, multiply


def decode_point(encoded: bytes) -> tuple[int, int]:
    number = int.from_bytes(encoded, "little")
    y = number & (2**255 - 1)
    x = find_x(y, number >> 255)
    assert x is not None and y < PRIME
    return x, y


def test_the_installed_libraries_follow_the_rules() -> None:
    check_signature_libraries()


def test_the_cofactor_answer_is_what_its_name_says() -> None:
    """Multiplied by 8 the equation holds, without that it does not: the two kinds of verifier differ on it."""
    answer = next(answer for answer in ED25519_ANSWERS if "cofactor" in answer.name)
    key, r_bytes = answer.public_key.key, answer.signature[:32]
    s = int.from_bytes(answer.signature[32:], "little")
    left = multiply(s, BASE)
    right = add(decode_point(r_bytes), multiply(hash_to_scalar(r_bytes, key, MESSAGE), decode_point(key)))
    assert s < ORDER
    assert left != right
    assert multiply(8, left) == multiply(8, right)
    assert decode_point(r_bytes) not in TORSION and r_bytes == encode_point(decode_point(r_bytes))


@pytest.mark.parametrize("wrong", ED25519_ANSWERS, ids=lambda answer: answer.name)
def test_a_library_that_answers_otherwise_is_refused(
    wrong: library_check.KnownAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify(public_key: PublicKey, message: bytes, signature: bytes) -> bool:
        if signature == wrong.signature:
            return not wrong.is_accepted
        return verify_signature(public_key, message, signature)

    monkeypatch.setattr(library_check, "verify_signature", verify)
    with pytest.raises(UnsuitableLibraryError, match=r"libsodium.*constraints\.txt"):
        check_signature_libraries()


def test_an_openssl_that_takes_every_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {(answer.public_key, answer.signature): answer.is_accepted for answer in ED25519_ANSWERS}
    monkeypatch.setattr(library_check, "verify_signature", lambda key, _message, sig: answers.get((key, sig), True))
    with pytest.raises(UnsuitableLibraryError, match="OpenSSL"):
        check_signature_libraries()
