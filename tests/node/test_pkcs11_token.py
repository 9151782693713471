"""Keys in a real software token: what is made, found, refused and signed."""

import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11.constants import Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType as TokenKeyType
from pkcs11.mechanisms import Mechanism

from identity.keys import KeyType, check_public_key, verify_signature
from node.pkcs11_token import (
    LABEL_CHARACTERS_MAX,
    PinRefusedError,
    Token,
    TokenError,
    TokenKeyListing,
    TokenPlace,
    TokenUnavailableError,
)
from p2p.certificate import build_certificate
from p2p.tls import build_contexts
from tests.builders import make_key
from tests.softhsm import SoftHsm

MESSAGE = b"a message"
SIGNATURES = 24
"""Of which each has an s in the upper half with a chance of one in two."""


@pytest.fixture(scope="module")
def place(softhsm: SoftHsm) -> TokenPlace:
    return softhsm.make_token()


@pytest.fixture
def token(place: TokenPlace) -> Iterator[Token]:
    with Token(place, is_writable=True) as token:
        yield token


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_key_made_in_the_token_signs_in_the_form_that_the_chain_accepts(token: Token, key_type: KeyType) -> None:
    made = token.generate(f"makes {key_type.name}", key_type)
    found = token.get_key(f"makes {key_type.name}")
    assert found.key_type is key_type
    assert found.public_key == made.public_key == token.get_public_key(f"makes {key_type.name}")
    check_public_key(found.public_key)
    for number in range(SIGNATURES):
        message = MESSAGE + bytes([number])
        assert verify_signature(found.public_key, message, found.sign(message))
        assert not verify_signature(found.public_key, MESSAGE, found.sign(message))


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_key_made_in_the_token_cannot_be_read_out(token: Token, place: TokenPlace, key_type: KeyType) -> None:
    label = f"stays {key_type.name}"
    token.generate(label, key_type)
    (private,) = token._find(label, ObjectClass.PRIVATE_KEY)
    facts = [Attribute.EXTRACTABLE, Attribute.NEVER_EXTRACTABLE, Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE]
    assert [private[each] for each in facts] == [False, True, True, True]
    with pytest.raises(pkcs11.exceptions.AttributeSensitive):
        private[Attribute.VALUE]


def test_an_ed25519_signature_is_the_same_each_time(token: Token) -> None:
    key = token.generate("same", KeyType.ED25519)
    assert key.sign(MESSAGE) == key.sign(MESSAGE)


def test_the_keys_are_listed_by_label_without_a_login(softhsm: SoftHsm) -> None:
    place = softhsm.make_token()
    with Token(place, is_writable=True) as token:
        second, first = token.generate("b", KeyType.P256), token.generate("a", KeyType.ED25519)
        _make_foreign_key(token, "c")
    with Token(replace(place, pin=None)) as token:
        assert token.list_keys() == [
            TokenKeyListing("a", first.public_key, None),
            TokenKeyListing("b", second.public_key, None),
            TokenKeyListing("c", None, "on a curve that the chain does not know"),
        ]


def test_a_label_is_never_taken_twice(token: Token) -> None:
    before = token.generate("taken", KeyType.ED25519).public_key
    with pytest.raises(TokenError, match="already"):
        token.generate("taken", KeyType.P256)
    assert token.get_public_key("taken") == before


def test_two_keys_of_one_label_are_refused(token: Token) -> None:
    for _ in range(2):
        _make_foreign_key(token, "twins")
    with pytest.raises(TokenError, match="2 public keys"):
        token.get_key("twins")


def test_a_key_of_another_curve_is_refused(token: Token) -> None:
    _make_foreign_key(token, "foreign")
    with pytest.raises(TokenError, match="curve that the chain does not know"):
        token.get_key("foreign")


def test_a_pair_whose_halves_do_not_belong_together_is_refused(token: Token) -> None:
    token.generate("halves", KeyType.ED25519)
    (private,) = token._find("halves", ObjectClass.PRIVATE_KEY)
    private[Attribute.ID] = b"another"
    with pytest.raises(TokenError, match="different ids"):
        token.get_key("halves")


def test_a_signature_of_another_key_than_was_found_is_never_handed_on(token: Token) -> None:
    key, other = token.generate("mine", KeyType.ED25519), token.generate("other", KeyType.ED25519)
    key._private_object = other._private_object
    with pytest.raises(TokenError, match="not one of mine"):
        key.sign(MESSAGE)


@pytest.mark.parametrize("label", ["", "x" * (LABEL_CHARACTERS_MAX + 1), "a\nb"])
def test_a_bad_label_is_refused(token: Token, label: str) -> None:
    with pytest.raises(TokenError, match="label"):
        token.generate(label, KeyType.ED25519)


def test_a_key_that_is_not_there_is_an_error(token: Token) -> None:
    with pytest.raises(TokenError, match="no public key called nobody"):
        token.get_key("nobody")


def test_a_wrong_pin_is_refused_and_stands_nowhere(softhsm: SoftHsm) -> None:
    wrong = replace(softhsm.make_token(), pin="918273645")
    assert "918273645" not in repr(wrong)
    with pytest.raises(PinRefusedError, match="not tried again") as refusal:
        Token(wrong)
    assert "918273645" not in "".join(traceback.format_exception(refusal.value))
    assert refusal.value.__suppress_context__


def test_a_token_that_is_not_there_may_come_back(place: TokenPlace) -> None:
    with pytest.raises(TokenUnavailableError, match="no token of that label"):
        Token(replace(place, label="nowhere"))


def test_a_module_that_is_none_is_the_operators_mistake(place: TokenPlace, tmp_path: Path) -> None:
    (tmp_path / "module.so").write_text("no library")
    for module in (Path("relative.so"), tmp_path / "absent.so", tmp_path / "module.so"):
        with pytest.raises(TokenError) as refusal:
            Token(replace(place, module=module))
        assert not isinstance(refusal.value, TokenUnavailableError)
        assert str(module) in str(refusal.value)


def test_what_a_module_leaves_in_openssls_queue_never_meets_tls(softhsm: SoftHsm) -> None:
    softhsm.restart()
    trusted = build_certificate(make_key("trusted").secret)
    assert build_contexts(make_key("own").secret, [trusted]).client.get_ca_certs(binary_form=True) == []


def test_only_who_uses_a_token_loads_its_binding() -> None:
    code = (
        "import sys, node.node, node.signer_process\n"
        "import node.cli.keys_commands, node.cli.signer_commands, node.cli.sending\n"
        "sys.exit('pkcs11' in sys.modules or 'node.pkcs11_token' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _make_foreign_key(token: Token, label: str) -> None:
    """A pair on P-384."""
    curve = token._session.create_domain_parameters(
        TokenKeyType.EC, {Attribute.EC_PARAMS: bytes.fromhex("06052b81040022")}, local=True
    )
    curve.generate_keypair(
        label=label,
        store=True,
        mechanism=Mechanism.EC_KEY_PAIR_GEN,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
    )
