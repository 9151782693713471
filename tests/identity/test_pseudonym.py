"""Pseudonyms that nothing links, and links for one auditor."""

import hmac
from dataclasses import replace
from typing import Any

import nacl.bindings as sodium
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import assume, given
from hypothesis import strategies as st
from nacl.public import PrivateKey as AgreementKey
from nacl.public import SealedBox

from identity.did import Did, compute_did
from identity.keys import InvalidKeyError, KeyType, PrivateKey
from identity.policy import KeyPolicy, build_policy
from identity.pseudonym import (
    CONFIRMATIONS_MAX,
    LINK_PURPOSE_BYTES_MAX,
    PSEUDONYM_INDEX_MAX,
    SEALED_LINK_BYTES_MAX,
    Confirmation,
    ConfirmationForm,
    Link,
    LinkFacts,
    LinkParty,
    LinkReason,
    LinkRefusedError,
    LinkStatement,
    Pseudonym,
    check_link,
    confirm_link,
    derive_pseudonym,
    open_link,
    seal_link,
)
from identity.signing import SigningDomain, compute_signing_domain
from ledger.codec import encode
from tests.builders import DOMAIN, make_key
from vm.native.did_payloads import CreatePayload
from vm.native.did_records import Control, DidKeys, DidKind

CODE, SIGNATURE = ConfirmationForm
MAIN_PARTY, PSEUDONYM_PARTY = LinkParty
SECRET = b"seed".ljust(64, b"\1")
MAIN, SHOP, AUDITOR = (compute_did(name) for name in (b"main", b"shop", b"auditor"))
MAIN_KEY = make_key("main")
PSEUDONYM = derive_pseudonym(SECRET, DOMAIN, MAIN, SHOP, 0)
AUDITOR_SECRET = b"auditor".ljust(32, b"\1")
AUDITOR_KEY = sodium.crypto_scalarmult_base(AUDITOR_SECRET)
EPHEMERAL = b"once".ljust(32, b"\2")

secrets = st.binary(min_size=32, max_size=64)
dids = st.binary(min_size=20, max_size=20).map(Did)
domains = st.binary(min_size=32, max_size=32).map(SigningDomain)
indexes = st.integers(0, PSEUDONYM_INDEX_MAX)


def build_payload(pseudonym: Pseudonym) -> CreatePayload:
    """What it is created with on the chain."""
    policy = build_policy([(pseudonym.private_key.public_key, 1)], 1)
    return CreatePayload(DidKind.PERSON, None, Control(DidKeys(policy, ()), None, None, None, None), (), pseudonym.salt)


STATEMENT = LinkStatement(
    DOMAIN, MAIN, compute_did(encode(build_payload(PSEUDONYM))), AUDITOR, AUDITOR_KEY, 100, "Case 7"
)
FACTS = LinkFacts(
    DOMAIN,
    100,
    AUDITOR,
    "Case 7",
    True,
    [AUDITOR_KEY],
    build_policy([(MAIN_KEY.public_key, 1)], 1),
    build_policy([(PSEUDONYM.private_key.public_key, 1)], 1),
)


def make_link(
    statement: LinkStatement = STATEMENT,
    main: PrivateKey = MAIN_KEY,
    pseudonym: PrivateKey = PSEUDONYM.private_key,
    form: ConfirmationForm = CODE,
) -> Link:
    return Link(
        statement,
        (
            confirm_link(statement, MAIN_PARTY, main, form),
            confirm_link(statement, PSEUDONYM_PARTY, pseudonym, form),
        ),
    )


def check(link: Link, **changes: Any) -> LinkReason | None:
    """Why it is refused; None when it holds."""
    try:
        check_link(link, replace(FACTS, **changes), AUDITOR_SECRET)
    except LinkRefusedError as error:
        return error.reason
    return None


# Derivation


@given(secret=secrets, domain=domains, main=dids, counterparty=dids, index=indexes)
def test_the_same_inputs_give_the_same_pseudonym(secret, domain, main, counterparty, index):
    first, second = (derive_pseudonym(secret, domain, main, counterparty, index) for _ in range(2))
    assert first == second
    assert encode(build_payload(first)) == encode(build_payload(second))


def test_it_is_hkdf():
    info = DOMAIN + MAIN + SHOP + (7).to_bytes(4, "big")
    pseudonym = derive_pseudonym(SECRET, DOMAIN, MAIN, SHOP, 7)
    key, salt = (HKDF(SHA256(), 32, b"carlive pseudonym", info + part).derive(SECRET) for part in (b"\1", b"\2"))
    assert (pseudonym.private_key, pseudonym.salt) == (PrivateKey(KeyType.ED25519, key), salt[:16])


@given(inputs=st.tuples(secrets, domains, dids, dids, indexes), others=st.tuples(secrets, domains, dids, dids, indexes))
def test_any_other_input_gives_another_pseudonym(inputs, others):
    made = derive_pseudonym(*inputs)
    for place, other in enumerate(others):
        changed = [*inputs[:place], other, *inputs[place + 1 :]]
        if changed[place] == inputs[place]:
            continue
        different = derive_pseudonym(*changed)
        assert different.private_key != made.private_key
        assert different.salt != made.salt


@given(secret=secrets, main=dids, counterparties=st.tuples(dids, dids), indexes=st.tuples(indexes, indexes))
def test_nothing_that_is_created_links(secret, main, counterparties, indexes):
    """All but key and salt is the same for everybody; these two are the output of a keyed hash."""
    assume((counterparties[0], indexes[0]) != (counterparties[1], indexes[1]))
    made = [
        derive_pseudonym(secret, DOMAIN, main, counterparty, index)
        for counterparty, index in zip(counterparties, indexes, strict=True)
    ]
    payloads = [encode(build_payload(each)) for each in made]
    templates = {
        payload.replace(each.private_key.public_key.key, bytes(32)).replace(each.salt, bytes(16))
        for payload, each in zip(payloads, made, strict=True)
    }
    strangers = Pseudonym(make_key("stranger"), b"nothing in common")
    stranger = encode(build_payload(replace(strangers, salt=strangers.salt[:16])))
    blank = stranger.replace(strangers.private_key.public_key.key, bytes(32)).replace(strangers.salt[:16], bytes(16))
    assert templates == {blank}
    varying = [each.private_key.public_key.key + each.salt for each in made]
    for known in (main, *counterparties, secret, varying[1]):
        pieces = {known[start : start + 5] for start in range(len(known) - 4)}
        assert not any(varying[0][start : start + 5] in pieces for start in range(len(varying[0]) - 4))
    assert compute_did(payloads[0]) != compute_did(payloads[1])


def test_bits_of_pseudonyms_are_spread_evenly():
    """Over neighbouring indexes every bit of key and salt is 1 about half of the time: no place gives them away."""
    made = [derive_pseudonym(SECRET, DOMAIN, MAIN, SHOP, index) for index in range(400)]
    varying = [int.from_bytes(each.private_key.public_key.key[:31] + each.salt, "big") for each in made]
    for place in range(47 * 8):
        ones = sum(each >> place & 1 for each in varying)
        assert 130 < ones < 270  # seven standard deviations


@pytest.mark.parametrize("index", [-1, PSEUDONYM_INDEX_MAX + 1])
def test_an_index_has_bounds(index):
    with pytest.raises(InvalidKeyError, match="index"):
        derive_pseudonym(SECRET, DOMAIN, MAIN, SHOP, index)


def test_a_short_secret_is_none():
    with pytest.raises(InvalidKeyError, match="32 secret bytes"):
        derive_pseudonym(bytes(31), DOMAIN, MAIN, SHOP, 0)


def test_a_pseudonym_does_not_show_its_secrets():
    shown = repr(PSEUDONYM)
    assert (PSEUDONYM.private_key.secret.hex() in shown, repr(PSEUDONYM.salt) in shown) == (False, False)


# Links


@pytest.mark.parametrize("form", ConfirmationForm)
def test_what_is_sealed_is_opened_and_holds(form):
    link = make_link(form=form)
    opened = open_link(seal_link(link, EPHEMERAL), AUDITOR_SECRET)
    assert opened == link
    assert check(opened) is None


@pytest.mark.parametrize("key_type", [KeyType.SECP256K1, KeyType.P256])
def test_keys_of_other_curves_sign_and_make_no_codes(key_type):
    key = make_key("main", key_type)
    main = confirm_link(STATEMENT, MAIN_PARTY, key, SIGNATURE)
    pseudonym = confirm_link(STATEMENT, PSEUDONYM_PARTY, PSEUDONYM.private_key, CODE)
    link = open_link(seal_link(Link(STATEMENT, (main, pseudonym)), EPHEMERAL), AUDITOR_SECRET)
    policy = build_policy([(key.public_key, 1)], 1)
    assert check(link, main_policy=policy) is None
    forged = Confirmation(MAIN_PARTY, CODE, key.public_key, bytes(32))
    assert check(Link(STATEMENT, (forged, pseudonym)), main_policy=policy) is LinkReason.BAD_CONFIRMATION
    with pytest.raises(LinkRefusedError, match="Ed25519"):
        confirm_link(STATEMENT, MAIN_PARTY, key, CODE)


def test_it_is_a_sealed_box_of_libsodium_of_a_rounded_length():
    sealed = seal_link(make_link(), EPHEMERAL)
    text = SealedBox(AgreementKey(AUDITOR_SECRET)).decrypt(sealed)
    assert text[:33] == b"\1" + DOMAIN
    longer = replace(STATEMENT, purpose="Case 7, and all that was bought in May")
    assert len(text) % 256 == 0
    assert len(seal_link(make_link(longer), EPHEMERAL)) == len(sealed)


def test_nobody_else_opens_it():
    sealed = seal_link(make_link(), EPHEMERAL)
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for text, secret in [(sealed, b"thief".ljust(32, b"\1")), (changed, AUDITOR_SECRET), (b"", AUDITOR_SECRET)]:
        with pytest.raises(LinkRefusedError) as refused:
            open_link(text, secret)
        assert refused.value.reason is LinkReason.NOT_OPENED


def test_nothing_of_it_stands_in_the_clear():
    sealed = seal_link(make_link(), EPHEMERAL)
    for known in (MAIN, STATEMENT.pseudonym, AUDITOR, MAIN_KEY.public_key.key, b"Case 7", DOMAIN):
        assert known not in sealed


def test_the_auditor_could_have_made_the_codes():
    """Both codes from the auditor's secret and public keys alone: so they convince nobody but the auditor."""
    forged = []
    for genuine in make_link().confirmations:
        shared = sodium.crypto_scalarmult(
            AUDITOR_SECRET, sodium.crypto_sign_ed25519_pk_to_curve25519(genuine.public_key.key)
        )
        key = hmac.digest(shared, b"carlive pseudonym link\0" + genuine.public_key.key + AUDITOR_KEY, "sha256")
        statement = (
            b"\1" + DOMAIN + MAIN + STATEMENT.pseudonym + AUDITOR + AUDITOR_KEY + (100).to_bytes(8, "big")
        ) + b"\0\6Case 7"
        message = b"carlive/1\0" + bytes([44 + genuine.party]) + DOMAIN + statement
        forged.append(replace(genuine, value=hmac.digest(key, message, "sha256")))
    assert tuple(forged) == make_link().confirmations


@given(
    changes=st.sampled_from(
        [
            {"domain": compute_signing_domain("another", bytes(32))},
            {"main": SHOP},
            {"pseudonym": SHOP},
            {"auditor": SHOP},
            {"expiry_height": 101},
            {"purpose": "Case 8"},
        ]
    ),
    form=st.sampled_from(ConfirmationForm),
)
def test_no_confirmation_serves_for_another_statement(changes, form):
    statement = replace(STATEMENT, **changes)
    facts = {"domain": statement.domain, "auditor": statement.auditor, "purpose": statement.purpose}
    assert check(make_link(statement, form=form), **facts) is None
    stolen = Link(statement, make_link(form=form).confirmations)
    assert check(stolen, **facts) is LinkReason.BAD_CONFIRMATION


@given(data=st.data(), form=st.sampled_from(ConfirmationForm))
def test_a_changed_confirmation_is_refused(data, form):
    link = make_link(form=form)
    place = data.draw(st.integers(0, 1))
    value = link.confirmations[place].value
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    flipped = (int.from_bytes(value, "big") ^ 1 << bit).to_bytes(len(value), "big")
    changed = [*link.confirmations]
    changed[place] = replace(changed[place], value=flipped)
    assert check(Link(STATEMENT, tuple(changed))) is LinkReason.BAD_CONFIRMATION


@pytest.mark.parametrize("form", ConfirmationForm)
def test_the_parties_do_not_confirm_for_each_other(form):
    """One key may stand in both policies; each party says it for itself."""
    both: dict[str, KeyPolicy | None] = {"main_policy": FACTS.pseudonym_policy}
    pseudonym = make_link(form=form).confirmations[1]
    as_main = replace(pseudonym, party=MAIN_PARTY)
    assert check(Link(STATEMENT, (as_main, pseudonym)), **both) is LinkReason.BAD_CONFIRMATION


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"domain": compute_signing_domain("another", bytes(32))}, LinkReason.WRONG_CHAIN),
        ({"auditor": SHOP}, LinkReason.WRONG_AUDITOR),
        ({"auditor_keys": [sodium.crypto_scalarmult_base(EPHEMERAL)]}, LinkReason.WRONG_AUDITOR),
        ({"auditor_keys": []}, LinkReason.WRONG_AUDITOR),
        ({"is_auditor": False}, LinkReason.NOT_AN_AUDITOR),
        ({"purpose": "Case 8"}, LinkReason.WRONG_PURPOSE),
        ({"height": 101}, LinkReason.EXPIRED),
        ({"main_policy": None}, LinkReason.INACTIVE),
        ({"pseudonym_policy": None}, LinkReason.INACTIVE),
        ({"main_policy": build_policy([(make_key("new").public_key, 1)], 1)}, LinkReason.UNKNOWN_KEY),
        ({"pseudonym_policy": build_policy([(make_key("new").public_key, 1)], 1)}, LinkReason.UNKNOWN_KEY),
    ],
)
@pytest.mark.parametrize("form", ConfirmationForm)
def test_a_link_is_refused_with_a_reason(form, changes, reason):
    assert check(make_link(form=form), **changes) is reason


def test_it_takes_as_many_keys_as_rule_the_identity():
    second = make_key("second")
    policy = build_policy([(MAIN_KEY.public_key, 1), (second.public_key, 1)], 2)
    assert check(make_link(), main_policy=policy) is LinkReason.NOT_CONFIRMED
    more = (*make_link().confirmations, confirm_link(STATEMENT, MAIN_PARTY, second, CODE))
    assert check(Link(STATEMENT, more), main_policy=policy) is None


@pytest.mark.parametrize("missing", [0, 1])
def test_both_sides_confirm(missing):
    link = make_link()
    assert check(Link(STATEMENT, (link.confirmations[1 - missing],))) is LinkReason.NOT_CONFIRMED


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": ""},
        {"purpose": "x" * (LINK_PURPOSE_BYTES_MAX + 1)},
        {"purpose": "\ud800"},
        {"expiry_height": -1},
        {"expiry_height": 2**64},
        {"pseudonym": MAIN},
        {"auditor_key": bytes(32)},
        {"auditor_key": bytes(31)},
    ],
)
def test_what_cannot_be_stated(changes):
    for form in ConfirmationForm:
        with pytest.raises(LinkRefusedError) as refused:
            confirm_link(replace(STATEMENT, **changes), MAIN_PARTY, MAIN_KEY, form)
        assert refused.value.reason is LinkReason.MALFORMED


def test_confirmations_have_a_limit_and_none_stands_twice():
    one = make_link().confirmations[0]
    many = tuple(confirm_link(STATEMENT, MAIN_PARTY, make_key(f"key {n}"), SIGNATURE) for n in range(33))
    for confirmations in ((), (one, one), many):
        with pytest.raises(LinkRefusedError) as refused:
            seal_link(Link(STATEMENT, confirmations), EPHEMERAL)
        assert refused.value.reason is LinkReason.MALFORMED
    largest = seal_link(Link(replace(STATEMENT, purpose="x" * 256), many[:CONFIRMATIONS_MAX]), EPHEMERAL)
    assert len(largest) <= SEALED_LINK_BYTES_MAX


def seal_text(text: bytes) -> bytes:
    return SealedBox(AgreementKey(AUDITOR_SECRET).public_key).encrypt(text)


def test_what_was_sealed_has_one_form():
    text = SealedBox(AgreementKey(AUDITOR_SECRET)).decrypt(seal_link(make_link(), EPHEMERAL))
    assert open_link(seal_text(text), AUDITOR_SECRET) == make_link()
    party = text.index(b"Case 7") + 7
    for other in (
        b"",
        b"\2" + text[1:],
        text[:-1],
        text + bytes(256),
        text[:-1] + b"\1",
        text[:party] + b"\3" + text[party + 1 :],
        text[:100],
        bytes(SEALED_LINK_BYTES_MAX),
    ):
        with pytest.raises(LinkRefusedError) as refused:
            open_link(seal_text(other), AUDITOR_SECRET)
        assert refused.value.reason is LinkReason.MALFORMED


@given(text=st.binary(max_size=600))
def test_bytes_of_others_raise_nothing_else(text):
    with pytest.raises(LinkRefusedError):
        open_link(seal_text(text), AUDITOR_SECRET)
