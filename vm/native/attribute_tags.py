"""Tags that identities give themselves: rules A1 to A4."""

import re
from dataclasses import dataclass, replace
from typing import Final

from identity.attributes import SEALED_OVERHEAD_BYTES
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.reasons import Reason, Rejected
from ledger.state import State
from vm.context import Context
from vm.native.attribute_payloads import Tag, TagForm, TagPayload, TagRemovalPayload
from vm.native.attribute_records import (
    TAGS_MAX,
    delete_tag,
    get_attribute_record,
    get_tag,
    put_attribute_record,
    put_tag,
    take_sequence,
)
from vm.native.did_control import check_did_signatures
from vm.native.did_payloads import DidSignatures

MODULE_NAME: Final = "attributes"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class SetTag:
    """Set or replace a tag of an identity."""

    payload: TagPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class RemoveTag:
    """Remove a tag of an identity."""

    payload: TagRemovalPayload
    signatures: DidSignatures


def apply_set_tag(state: State, context: Context, call: SetTag) -> None:
    """Rules A1 to A4."""
    given, did = call.payload, call.payload.did
    check_did_signatures(state, context, did, SigningPurpose.ATTRIBUTE_TAG, encode(given), call.signatures)
    record = take_sequence(get_attribute_record(state, did), given.sequence)
    check_name(given.tag.name)
    _check_value(given.tag)
    if get_tag(state, did, given.tag.name) is None:
        if record.tags == TAGS_MAX:
            raise Rejected(Reason.ATTRIBUTE_TAGS_LIMIT, f"an identity has at most {TAGS_MAX} tags", limit=TAGS_MAX)
        record = replace(record, tags=record.tags + 1)
    put_tag(state, did, given.tag)
    put_attribute_record(state, context, did, record)
    context.emit(MODULE_NAME, "TagSet", did, given.tag.name)


def apply_remove_tag(state: State, context: Context, call: RemoveTag) -> None:
    """Rules A1 and A2."""
    given, did = call.payload, call.payload.did
    check_did_signatures(state, context, did, SigningPurpose.ATTRIBUTE_TAG_REMOVAL, encode(given), call.signatures)
    record = take_sequence(get_attribute_record(state, did), given.sequence)
    if get_tag(state, did, given.name) is None:
        raise Rejected(Reason.ATTRIBUTE_UNKNOWN_TAG, "the identity has no such tag")
    delete_tag(state, did, given.name)
    put_attribute_record(state, context, did, replace(record, tags=record.tags - 1))
    context.emit(MODULE_NAME, "TagRemoved", did, given.name)


def check_name(name: str) -> None:
    """Rule A3: one spelling for each name; raises Rejected."""
    if not _NAME.fullmatch(name):
        raise Rejected(
            Reason.ATTRIBUTE_BAD_NAME,
            "a name has lower-case words of letters and digits, with single dots, hyphens or underscores between",
        )


def _check_value(tag: Tag) -> None:
    """Rule A4; raises Rejected."""
    if tag.form is TagForm.ENCRYPTED:
        if len(tag.value) <= SEALED_OVERHEAD_BYTES:
            raise Rejected(Reason.ATTRIBUTE_BAD_TAG, "an encrypted value is longer than what encryption adds")
        return
    try:
        tag.value.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.ATTRIBUTE_BAD_TAG, "a plain value is UTF-8 text") from None
