"""Pseudonyms: an identity of its own for each counterparty, and a proof for an auditor that it is somebody's.

A wallet derives key and salt of a pseudonym from its secret; without the secret they are as random as any. What is
created on the chain has the form of every identity with one Ed25519 key, so nothing in it leads to the main identity or
to another pseudonym. Whoever has the secret makes the same pseudonym again, from the words on paper.

    prk  = HMAC-SHA256("carlive pseudonym", secret)                                   HKDF (RFC 5869) with SHA-256
    part = HMAC-SHA256(prk, signing domain ‖ main ‖ counterparty ‖ index, u32 ‖ 1 key, 2 salt ‖ 01)

A link says to one auditor that a pseudonym is a main identity's. Keys of both confirm it, so nobody claims a pseudonym
that is another's, and nobody hangs one on another's main identity.

    statement = version 01 ‖ signing domain ‖ main ‖ pseudonym ‖ auditor ‖ auditor's X25519 key ‖ expiry height, u64
                ‖ length of the purpose, u16 ‖ purpose
    link      = statement ‖ number of confirmations, u8 ‖ confirmation … ‖ zeros up to a multiple of 256 bytes
    confirmation = party, u8 ‖ form, u8 ‖ key type, u8 ‖ public key ‖ value
    sealed    = libsodium sealed box of the link for the auditor's key

A confirmation is over `signing_bytes(purpose of the party, domain, statement)` and has one of two forms:

* code, 32 bytes: HMAC-SHA256 with HMAC-SHA256(shared, "carlive pseudonym link" 00 ‖ public key ‖ auditor's key), where
  `shared` is X25519 of the Ed25519 key, converted, and the auditor's. The auditor computes the same code, so it
  convinces the auditor, who has not made it, and nobody else, because the auditor could have made it up (a designated
  verifier proof).
* signature, 64 bytes: of any key; whoever gets it from the auditor is convinced too.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, unique
from typing import Final

import nacl.bindings as sodium
from nacl.exceptions import CryptoError

from identity.did import DID_BYTES, Did
from identity.keys import (
    PUBLIC_KEY_BYTES,
    SECRET_BYTES,
    SIGNATURE_BYTES,
    InvalidKeyError,
    KeyType,
    PrivateKey,
    PublicKey,
    verify_signature,
)
from identity.multikey import AGREEMENT_KEY_BYTES, check_agreement_key
from identity.policy import KeyPolicy, is_satisfied
from identity.sealing import seal
from identity.signing import SigningDomain, SigningPurpose, signing_bytes

PSEUDONYM_SECRET_BYTES_MIN: Final = SECRET_BYTES  # a key's secret; the seed of a mnemonic has 64
PSEUDONYM_SALT_BYTES: Final = 16  # as of every identity that the command line makes: they look alike
PSEUDONYM_INDEX_MAX: Final = 2**32 - 1
LINK_PURPOSE_BYTES_MAX: Final = 256  # a sentence or the number of a case
CONFIRMATIONS_MAX: Final = 32  # of two key policies with up to 16 keys each
SEALED_LINK_BYTES_MAX: Final = 8_192  # 32 confirmations with a signature have 3,200

_DERIVATION_SALT: Final = b"carlive pseudonym"
_KEY_PART: Final = b"\x01"
_SALT_PART: Final = b"\x02"
_CODE_DOMAIN: Final = b"carlive pseudonym link\0"
_CODE_BYTES: Final = 32
_DOMAIN_BYTES: Final = 32
_VERSION: Final = b"\x01"
_PAD_BYTES: Final = 256  # hides how long the purpose is, and how many keys there are
_HEIGHT_BYTES: Final = 8


@unique
class LinkReason(Enum):
    """Why a link is refused."""

    MALFORMED = "malformed"
    NOT_OPENED = "not_opened"
    """It was sealed for another key, or was changed."""
    WRONG_CHAIN = "wrong_chain"
    WRONG_AUDITOR = "wrong_auditor"
    """It names another auditor, or a key that is none of the auditor's."""
    NOT_AN_AUDITOR = "not_an_auditor"
    WRONG_PURPOSE = "wrong_purpose"
    EXPIRED = "expired"
    INACTIVE = "inactive"
    """Main identity or pseudonym is not there, has ended, or has no keys of its own."""
    UNKNOWN_KEY = "unknown_key"
    """A key has confirmed that its identity does not have now."""
    BAD_CONFIRMATION = "bad_confirmation"
    NOT_CONFIRMED = "not_confirmed"
    """The keys of one of the two do not weigh enough."""


class LinkRefusedError(ValueError):
    """A link does not hold, or cannot be made."""

    def __init__(self, reason: LinkReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@unique
class LinkParty(IntEnum):
    """Who confirms; wire number, never reused."""

    MAIN = 1
    PSEUDONYM = 2


@unique
class ConfirmationForm(IntEnum):
    """How it is confirmed; wire number, never reused."""

    CODE = 1
    """For the auditor alone."""
    SIGNATURE = 2
    """For whoever sees it."""


_PURPOSES: Final = {
    LinkParty.MAIN: SigningPurpose.PSEUDONYM_LINK_BY_MAIN,
    LinkParty.PSEUDONYM: SigningPurpose.PSEUDONYM_LINK_BY_PSEUDONYM,
}
_VALUE_BYTES: Final = {ConfirmationForm.CODE: _CODE_BYTES, ConfirmationForm.SIGNATURE: SIGNATURE_BYTES}


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """What an identity for one counterparty is created with: its one key, and the salt."""

    private_key: PrivateKey
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class LinkStatement:
    """That a pseudonym is a main identity's: to whom, what for, until when, on which chain."""

    domain: SigningDomain
    main: Did
    pseudonym: Did
    auditor: Did
    auditor_key: bytes
    """X25519, one of the auditor's."""
    expiry_height: int
    """The last height at which it holds."""
    purpose: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A key's word that a statement is true."""

    party: LinkParty
    form: ConfirmationForm
    public_key: PublicKey
    value: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """What an auditor opens; nothing of it is true before `check_link`."""

    statement: LinkStatement
    confirmations: tuple[Confirmation, ...]


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What the chain says, as the auditor asks it; and who the auditor is, and what for."""

    domain: SigningDomain
    height: int
    auditor: Did
    purpose: str
    is_auditor: bool
    """Whether governance, or whoever it has listed for that, lets the auditor audit now."""
    auditor_keys: Sequence[bytes]
    """The auditor's X25519 keys."""
    main_policy: KeyPolicy | None
    """None: not there, ended, or without keys of its own."""
    pseudonym_policy: KeyPolicy | None


def derive_pseudonym(secret: bytes, domain: SigningDomain, main: Did, counterparty: Did, index: int) -> Pseudonym:
    """The pseudonym for a counterparty; another index is another one. The same arguments give the same, always.

    `secret` is the seed of the wallet's mnemonic, or 32 secret bytes. Raises InvalidKeyError.
    """
    if len(secret) < PSEUDONYM_SECRET_BYTES_MIN:
        raise InvalidKeyError(f"pseudonyms are derived from at least {PSEUDONYM_SECRET_BYTES_MIN} secret bytes")
    if not 0 <= index <= PSEUDONYM_INDEX_MAX:
        raise InvalidKeyError(f"the index of a pseudonym is 0 to {PSEUDONYM_INDEX_MAX}")
    base = hmac.digest(_DERIVATION_SALT, secret, "sha256")
    info = domain + main + counterparty + index.to_bytes(4, "big")
    key, salt = (hmac.digest(base, info + part + b"\x01", "sha256") for part in (_KEY_PART, _SALT_PART))
    return Pseudonym(PrivateKey(KeyType.ED25519, key), salt[:PSEUDONYM_SALT_BYTES])


def confirm_link(
    statement: LinkStatement, party: LinkParty, private_key: PrivateKey, form: ConfirmationForm
) -> Confirmation:
    """Raises LinkRefusedError for a code by a key that is not Ed25519, and for a statement that cannot be made."""
    message = _build_message(statement, party)
    if form is ConfirmationForm.SIGNATURE:
        return Confirmation(party, form, private_key.public_key, private_key.sign(message))
    if private_key.key_type is not KeyType.ED25519:
        raise LinkRefusedError(
            LinkReason.BAD_CONFIRMATION, "only Ed25519 keys confirm for the auditor alone; others sign for everybody"
        )
    _, secret = sodium.crypto_sign_seed_keypair(private_key.secret)
    shared = sodium.crypto_scalarmult(sodium.crypto_sign_ed25519_sk_to_curve25519(secret), statement.auditor_key)
    code = _compute_code(shared, private_key.public_key, statement, message)
    return Confirmation(party, form, private_key.public_key, code)


def seal_link(link: Link, ephemeral_secret: bytes) -> bytes:
    """A link for its auditor alone; raises LinkRefusedError.

    `ephemeral_secret` is 32 fresh random bytes, used once and forgotten.
    """
    assert len(ephemeral_secret) == AGREEMENT_KEY_BYTES, "an X25519 secret"
    return seal(_encode_link(link), link.statement.auditor_key, ephemeral_secret)


def open_link(sealed: bytes, auditor_secret: bytes) -> Link:
    """What was sealed for this X25519 secret; raises LinkRefusedError. Nothing of it is checked yet."""
    if len(sealed) > SEALED_LINK_BYTES_MAX:
        raise LinkRefusedError(LinkReason.MALFORMED, f"a sealed link has at most {SEALED_LINK_BYTES_MAX} bytes")
    try:
        text = sodium.crypto_box_seal_open(sealed, sodium.crypto_scalarmult_base(auditor_secret), auditor_secret)
    except CryptoError:
        raise LinkRefusedError(LinkReason.NOT_OPENED, "it was sealed for another key, or was changed") from None
    return _decode_link(text)


def check_link(link: Link, facts: LinkFacts, auditor_secret: bytes) -> None:
    """That both identities have confirmed this, to this auditor, for this purpose, now; raises LinkRefusedError."""
    statement = link.statement
    if statement.domain != facts.domain:
        raise LinkRefusedError(LinkReason.WRONG_CHAIN, "the link is for another chain")
    if statement.auditor != facts.auditor or statement.auditor_key not in facts.auditor_keys:
        raise LinkRefusedError(LinkReason.WRONG_AUDITOR, "the link is for another auditor, or another key")
    if not facts.is_auditor:
        raise LinkRefusedError(LinkReason.NOT_AN_AUDITOR, "the auditor is not authorised now")
    if statement.purpose != facts.purpose:
        raise LinkRefusedError(LinkReason.WRONG_PURPOSE, "the link was made for another purpose")
    if facts.height > statement.expiry_height:
        raise LinkRefusedError(LinkReason.EXPIRED, f"the link held up to height {statement.expiry_height}")
    for party, policy in ((LinkParty.MAIN, facts.main_policy), (LinkParty.PSEUDONYM, facts.pseudonym_policy)):
        _check_party(link, party, policy, auditor_secret)


def _check_party(link: Link, party: LinkParty, policy: KeyPolicy | None, auditor_secret: bytes) -> None:
    if policy is None:
        raise LinkRefusedError(LinkReason.INACTIVE, f"the {party.name.lower()} identity is not there, or has ended")
    own = [each for each in link.confirmations if each.party is party]
    known = [each.public_key for each in policy.keys]
    for each in own:
        if each.public_key not in known:
            raise LinkRefusedError(LinkReason.UNKNOWN_KEY, "a key has confirmed that its identity does not have now")
        if not _is_confirmed(link.statement, each, auditor_secret):
            raise LinkRefusedError(LinkReason.BAD_CONFIRMATION, f"a key of the {party.name.lower()} did not confirm it")
    if not is_satisfied(policy, [each.public_key for each in own]):
        raise LinkRefusedError(
            LinkReason.NOT_CONFIRMED, f"too few keys of the {party.name.lower()} identity have confirmed it"
        )


def _is_confirmed(statement: LinkStatement, confirmation: Confirmation, auditor_secret: bytes) -> bool:
    """The key is one that the chain has, so it is a good one."""
    message = _build_message(statement, confirmation.party)
    if confirmation.form is ConfirmationForm.SIGNATURE:
        return verify_signature(confirmation.public_key, message, confirmation.value)
    if confirmation.public_key.key_type is not KeyType.ED25519:
        return False
    converted = sodium.crypto_sign_ed25519_pk_to_curve25519(confirmation.public_key.key)
    shared = sodium.crypto_scalarmult(auditor_secret, converted)
    return hmac.compare_digest(_compute_code(shared, confirmation.public_key, statement, message), confirmation.value)


def _build_message(statement: LinkStatement, party: LinkParty) -> bytes:
    return signing_bytes(_PURPOSES[party], statement.domain, _encode_statement(statement))


def _compute_code(shared: bytes, public_key: PublicKey, statement: LinkStatement, message: bytes) -> bytes:
    key = hmac.digest(shared, _CODE_DOMAIN + public_key.key + statement.auditor_key, "sha256")
    return hmac.digest(key, message, "sha256")


def _encode_statement(statement: LinkStatement) -> bytes:
    """Raises LinkRefusedError."""
    try:
        purpose = statement.purpose.encode()
    except UnicodeEncodeError:
        raise LinkRefusedError(LinkReason.MALFORMED, "half of a surrogate pair is no text") from None
    if not 1 <= len(purpose) <= LINK_PURPOSE_BYTES_MAX:
        raise LinkRefusedError(LinkReason.MALFORMED, f"a purpose has 1 to {LINK_PURPOSE_BYTES_MAX} bytes of UTF-8")
    if not 0 <= statement.expiry_height < 2 ** (8 * _HEIGHT_BYTES):
        raise LinkRefusedError(LinkReason.MALFORMED, "the expiry is the height of a block")
    if statement.main == statement.pseudonym:
        raise LinkRefusedError(LinkReason.MALFORMED, "an identity is not its own pseudonym")
    try:
        check_agreement_key(statement.auditor_key)
    except InvalidKeyError as error:
        raise LinkRefusedError(LinkReason.MALFORMED, str(error)) from None
    identities = statement.main + statement.pseudonym + statement.auditor + statement.auditor_key
    height = statement.expiry_height.to_bytes(_HEIGHT_BYTES, "big")
    return _VERSION + statement.domain + identities + height + len(purpose).to_bytes(2, "big") + purpose


def _encode_link(link: Link) -> bytes:
    """Raises LinkRefusedError."""
    if not 1 <= len(link.confirmations) <= CONFIRMATIONS_MAX:
        raise LinkRefusedError(LinkReason.MALFORMED, f"a link has 1 to {CONFIRMATIONS_MAX} confirmations")
    if len({(each.party, each.public_key) for each in link.confirmations}) < len(link.confirmations):
        raise LinkRefusedError(LinkReason.MALFORMED, "a key confirms once")
    text = _encode_statement(link.statement) + bytes([len(link.confirmations)])
    for each in link.confirmations:
        text += bytes([each.party, each.form, each.public_key.key_type]) + each.public_key.key + each.value
    return text + bytes(-len(text) % _PAD_BYTES)


def _decode_link(text: bytes) -> Link:
    """The link that has exactly these bytes; raises LinkRefusedError."""
    try:
        link = _read_link(_Cursor(text))
        is_exact = _encode_link(link) == text
    except (IndexError, ValueError) as error:
        message = str(error) if isinstance(error, LinkRefusedError) else "what was sealed is no link"
        raise LinkRefusedError(LinkReason.MALFORMED, message) from None
    if not is_exact:
        raise LinkRefusedError(LinkReason.MALFORMED, "what was sealed is no link in its one form")
    return link


class _Cursor:
    """Takes bytes from the front; raises IndexError when there are too few."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._position = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self._position + count
        if end > len(self._text):
            raise IndexError("the text is too short")
        taken, self._position = self._text[self._position : end], end
        return taken

    def take_integer(self, count: int) -> int:
        """The next bytes, big-endian."""
        return int.from_bytes(self.take(count), "big")


def _read_link(cursor: _Cursor) -> Link:
    """Raises IndexError, ValueError."""
    cursor.take(len(_VERSION))  # compared when the whole is
    domain = SigningDomain(cursor.take(_DOMAIN_BYTES))
    main, pseudonym, auditor = (Did(cursor.take(DID_BYTES)) for _ in range(3))
    auditor_key, height = cursor.take(AGREEMENT_KEY_BYTES), cursor.take_integer(_HEIGHT_BYTES)
    purpose = cursor.take(cursor.take_integer(2)).decode()
    statement = LinkStatement(domain, main, pseudonym, auditor, auditor_key, height, purpose)
    return Link(statement, tuple(_read_confirmation(cursor) for _ in range(cursor.take_integer(1))))


def _read_confirmation(cursor: _Cursor) -> Confirmation:
    party, form = LinkParty(cursor.take_integer(1)), ConfirmationForm(cursor.take_integer(1))
    key_type = KeyType(cursor.take_integer(1))
    public_key = PublicKey(key_type, cursor.take(PUBLIC_KEY_BYTES[key_type]))
    return Confirmation(party, form, public_key, cursor.take(_VALUE_BYTES[form]))
