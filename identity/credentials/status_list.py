"""Status lists: one bit for each credential of an issuer, 1 when it is revoked or suspended.

An issuer publishes the whole list, so asking for it does not tell about which credential. What goes on chain is the
hash of the bits (`compute_status_list_hash`): it does not depend on who compressed them.

| form                                   | order of bits in a byte | compression  | text                |
|----------------------------------------|-------------------------|--------------|---------------------|
| W3C Bitstring Status List v1.0         | highest first           | GZIP         | "u" and base64url   |
| Token Status List (IETF), of SD-JWT VC | lowest first            | ZLIB         | base64url, 1 bit    |

Both have the same entries here: a credential's index is the same in both.
"""

import re
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from identity.credentials.base64url import decode_base64url, encode_base64url
from identity.credentials.reasons import CredentialError, CredentialReason
from identity.strict_json import Json

ENTRIES_MIN: Final = (
    131_072  # Bitstring Status List section 3.2 (and 6.1): a crowd in which one entry does not stand out
)
ENTRIES_MAX: Final = 8_388_608  # 1 MiB of bits: what a reader unpacks at most; an issuer with more has several lists
ENCODED_CHARACTERS_MAX: Final = 1_500_000  # 1 MiB that does not compress has 1,398,500 as base64url
LIST_URI_CHARACTERS_MAX: Final = 1_024

_MULTIBASE_BASE64URL: Final = "u"
_GZIP_WINDOW: Final = 31  # zlib's number for a GZIP wrapper with the largest window
_ZLIB_WINDOW: Final = 15
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,6}")
_ENTRY_TYPE: Final = "BitstringStatusListEntry"
_LIST_TYPE: Final = "BitstringStatusList"


class StatusPurpose(Enum):
    """What a 1 means; the values are W3C's."""

    REVOCATION = "revocation"
    """For ever."""
    SUSPENSION = "suspension"
    """For now."""


@dataclass(frozen=True, slots=True)
class StatusList:
    """The bits, highest first: entry 0 is the bit 0x80 of the first byte."""

    bits: bytes

    def __post_init__(self) -> None:
        if not ENTRIES_MIN <= 8 * len(self.bits) <= ENTRIES_MAX:
            raise CredentialError(
                CredentialReason.LIMIT_EXCEEDED, f"a status list has {ENTRIES_MIN} to {ENTRIES_MAX} entries"
            )

    @property
    def entries(self) -> int:
        """How many credentials it has room for."""
        return 8 * len(self.bits)


@dataclass(frozen=True, slots=True)
class StatusReference:
    """Where a credential's status stands."""

    list_uri: str
    index: int
    purpose: StatusPurpose


def create_status_list(entries: int = ENTRIES_MIN) -> StatusList:
    """A list in which every entry is 0; `entries` is a multiple of 8. Raises CredentialError."""
    if entries % 8:
        raise CredentialError(CredentialReason.LIMIT_EXCEEDED, "a status list has a multiple of 8 entries")
    if not ENTRIES_MIN <= entries <= ENTRIES_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"a status list has {ENTRIES_MIN} to {ENTRIES_MAX} entries"
        )
    return StatusList(bytes(entries // 8))


def get_status(status_list: StatusList, index: int) -> bool:
    """Whether the entry is 1; raises CredentialError for an index outside."""
    _check_index(status_list, index)
    return bool(status_list.bits[index // 8] & (0x80 >> index % 8))


def set_statuses(status_list: StatusList, indexes: Collection[int], is_set: bool) -> StatusList:
    """The list with these entries changed; raises CredentialError for an index outside."""
    bits = bytearray(status_list.bits)
    for index in indexes:
        _check_index(status_list, index)
        mask = 0x80 >> index % 8
        bits[index // 8] = bits[index // 8] | mask if is_set else bits[index // 8] & ~mask
    return StatusList(bytes(bits))


def compute_status_list_hash(status_list: StatusList) -> bytes:
    """SHA-256 of the uncompressed bits in W3C's order, 32 bytes: what is anchored on chain."""
    return sha256(status_list.bits).digest()


def encode_status_list(status_list: StatusList) -> str:
    """W3C's `encodedList`."""
    return _MULTIBASE_BASE64URL + encode_base64url(_compress(status_list.bits, _GZIP_WINDOW))


def decode_status_list(text: str) -> StatusList:
    """The list of W3C's `encodedList`; raises CredentialError."""
    if not text.startswith(_MULTIBASE_BASE64URL):
        raise CredentialError(CredentialReason.MALFORMED, "an encoded list starts with u, for base64url")
    return StatusList(_decompress(text.removeprefix(_MULTIBASE_BASE64URL), _GZIP_WINDOW))


def encode_token_status_list(status_list: StatusList) -> dict[str, Json]:
    """The `status_list` claim of a Token Status List."""
    compressed = _compress(status_list.bits.translate(_REVERSED), _ZLIB_WINDOW)
    return {"bits": 1, "lst": encode_base64url(compressed)}


def decode_token_status_list(claim: Json) -> StatusList:
    """The list of a `status_list` claim with one bit for each entry; raises CredentialError."""
    match claim:
        case {"bits": int(bits), "lst": str(text), **rest} if bits == 1 and type(bits) is int and not rest:
            return StatusList(_decompress(text, _ZLIB_WINDOW).translate(_REVERSED))
        case _:
            raise CredentialError(CredentialReason.MALFORMED, "a status list here is {bits: 1, lst: …}")


def format_status_list_subject(subject_id: str, status_list: StatusList, purpose: StatusPurpose) -> dict[str, Json]:
    """The `credentialSubject` of W3C's BitstringStatusListCredential."""
    return {
        "id": subject_id,
        "type": _LIST_TYPE,
        "statusPurpose": purpose.value,
        "encodedList": encode_status_list(status_list),
    }


def parse_status_list_subject(value: Json) -> tuple[StatusList, StatusPurpose]:
    """The list of a BitstringStatusListCredential and what it is about; raises CredentialError."""
    match value:
        case {
            "id": str(),
            "type": "BitstringStatusList",
            "statusPurpose": purpose,
            "encodedList": str(text),
            **rest,
        } if not rest:
            return decode_status_list(text), _parse_purpose(purpose)
        case _:
            raise CredentialError(
                CredentialReason.MALFORMED, f"a {_LIST_TYPE} has id, type, statusPurpose and encodedList"
            )


def format_status_entry(reference: StatusReference) -> dict[str, Json]:
    """W3C's `credentialStatus`."""
    check_status_reference(reference)
    return {
        "type": _ENTRY_TYPE,
        "statusPurpose": reference.purpose.value,
        "statusListIndex": str(reference.index),
        "statusListCredential": reference.list_uri,
    }


def parse_status_entry(value: Json) -> StatusReference:
    """The reference of W3C's `credentialStatus`; an `id` is allowed and without meaning. Raises CredentialError."""
    fields = {name: each for name, each in value.items() if name != "id"} if isinstance(value, dict) else {}
    match fields:
        case {
            "type": "BitstringStatusListEntry",
            "statusPurpose": purpose,
            "statusListIndex": str(index),
            "statusListCredential": str(list_uri),
            **rest,
        } if not rest and _INDEX.fullmatch(index):
            reference = StatusReference(list_uri, int(index), _parse_purpose(purpose))
        case _:
            raise CredentialError(
                CredentialReason.MALFORMED,
                f"a {_ENTRY_TYPE} has type, statusPurpose, statusListIndex (decimal text) and statusListCredential",
            )
    check_status_reference(reference)
    return reference


def format_status_claim(reference: StatusReference) -> dict[str, Json]:
    """The `status` claim of SD-JWT VC. It has no purpose: 1 is "invalid", so only revocation can be said."""
    check_status_reference(reference)
    if reference.purpose is not StatusPurpose.REVOCATION:
        raise CredentialError(CredentialReason.BAD_CLAIM, "a status claim is about revocation")
    return {"status_list": {"idx": reference.index, "uri": reference.list_uri}}


def parse_status_claim(value: Json) -> StatusReference:
    """The reference of an SD-JWT VC's `status` claim; raises CredentialError."""
    match value:
        case {"status_list": {"idx": int(index), "uri": str(list_uri), **rest}, **others} if (
            not rest and not others and type(index) is int
        ):
            reference = StatusReference(list_uri, index, StatusPurpose.REVOCATION)
        case _:
            raise CredentialError(CredentialReason.MALFORMED, "a status claim is {status_list: {idx, uri}}")
    check_status_reference(reference)
    return reference


def check_status_reference(reference: StatusReference) -> None:
    """That the reference can point to an entry; raises CredentialError."""
    if not 0 <= reference.index < ENTRIES_MAX:
        raise CredentialError(CredentialReason.LIMIT_EXCEEDED, f"an index is 0 to {ENTRIES_MAX - 1}")
    if not 0 < len(reference.list_uri) <= LIST_URI_CHARACTERS_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"the address of a list has 1 to {LIST_URI_CHARACTERS_MAX} characters"
        )


def _check_index(status_list: StatusList, index: int) -> None:
    if not 0 <= index < status_list.entries:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"this list has the entries 0 to {status_list.entries - 1}"
        )


def _parse_purpose(value: Json) -> StatusPurpose:
    purpose = next((each for each in StatusPurpose if each.value == value), None)
    if purpose is None:
        raise CredentialError(CredentialReason.MALFORMED, "statusPurpose is revocation or suspension")
    return purpose


def _compress(bits: bytes, window: int) -> bytes:
    compressor = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zlib.DEFLATED, window)
    return compressor.compress(bits) + compressor.flush()


def _decompress(text: str, window: int) -> bytes:
    """Never unpacks more than the largest list, whatever the packed text would make of itself."""
    if len(text) > ENCODED_CHARACTERS_MAX:
        raise CredentialError(
            CredentialReason.LIMIT_EXCEEDED, f"an encoded list has at most {ENCODED_CHARACTERS_MAX} characters"
        )
    decompressor = zlib.decompressobj(window)
    try:
        bits = decompressor.decompress(decode_base64url(text), ENTRIES_MAX // 8 + 1)
    except zlib.error:
        raise CredentialError(CredentialReason.MALFORMED, "the list is not compressed as it should be") from None
    if len(bits) > ENTRIES_MAX // 8:
        raise CredentialError(CredentialReason.LIMIT_EXCEEDED, f"a status list has at most {ENTRIES_MAX} entries")
    if not decompressor.eof or decompressor.unused_data:
        raise CredentialError(CredentialReason.MALFORMED, "the compressed list is cut, or something follows it")
    return bits
