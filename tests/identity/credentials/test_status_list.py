import gzip
import zlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.credentials.base64url import encode_base64url
from identity.credentials.reasons import CredentialReason
from identity.credentials.status_list import (
    ENCODED_CHARACTERS_MAX,
    ENTRIES_MAX,
    ENTRIES_MIN,
    StatusList,
    StatusPurpose,
    StatusReference,
    compute_status_list_hash,
    create_status_list,
    decode_status_list,
    decode_token_status_list,
    encode_status_list,
    encode_token_status_list,
    format_status_claim,
    format_status_entry,
    format_status_list_subject,
    get_status,
    parse_status_claim,
    parse_status_entry,
    parse_status_list_subject,
    set_statuses,
)
from tests.identity.credentials.scene import STATUS_LISTS, refuses

REFERENCE = StatusReference("https://workshop.example/status/1", 94_567, StatusPurpose.REVOCATION)
ENTRY = {
    "type": "BitstringStatusListEntry",
    "statusPurpose": "revocation",
    "statusListIndex": "94567",
    "statusListCredential": "https://workshop.example/status/1",
}
CLAIM = {"status_list": {"idx": 94_567, "uri": "https://workshop.example/status/1"}}
EMPTY = create_status_list()


def test_the_example_of_w3c():
    example = STATUS_LISTS["bitstring"]
    assert decode_status_list(example["encoded_list"]) == create_status_list(example["entries"])


def test_the_example_of_the_token_status_list():
    example = STATUS_LISTS["token"]
    expected = set_statuses(create_status_list(example["entries"]), example["set"], True)
    assert decode_token_status_list(example["claim"]) == expected


def test_the_first_entry_is_the_highest_bit_of_the_first_byte():
    assert set_statuses(EMPTY, [0, 15], True).bits == b"\x80\x01" + bytes(ENTRIES_MIN // 8 - 2)


INDEXES = st.sets(st.integers(0, ENTRIES_MIN - 1), max_size=20)


@given(INDEXES, INDEXES)
def test_entries_are_set_and_cleared(revoked, pardoned):
    changed = set_statuses(set_statuses(EMPTY, revoked, True), pardoned, False)
    assert {index for index in revoked | pardoned if get_status(changed, index)} == revoked - pardoned
    assert int.from_bytes(changed.bits, "big").bit_count() == len(revoked - pardoned)


@given(INDEXES)
def test_lists_come_back_in_both_forms(revoked):
    changed = set_statuses(EMPTY, revoked, True)
    assert decode_status_list(encode_status_list(changed)) == changed
    assert decode_token_status_list(encode_token_status_list(changed)) == changed


@pytest.mark.parametrize("index", [-1, ENTRIES_MIN])
def test_an_index_outside_is_refused(index):
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        get_status(EMPTY, index)
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        set_statuses(EMPTY, [0, index], True)


@pytest.mark.parametrize("entries", [-8, 0, ENTRIES_MIN - 8, ENTRIES_MIN + 1, ENTRIES_MAX + 8])
def test_a_list_has_a_smallest_and_a_largest_size(entries):
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        create_status_list(entries)


def test_the_largest_list_comes_back():
    largest = create_status_list(ENTRIES_MAX)
    assert decode_status_list(encode_status_list(largest)) == largest


def test_a_list_in_which_one_stands_out_is_refused():
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        decode_token_status_list(STATUS_LISTS["token_small"])
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        decode_status_list("u" + encode_base64url(gzip.compress(bytes(ENTRIES_MIN // 8 - 1))))


def test_a_bomb_is_not_unpacked():
    """64 MiB of zeros pack into 64 kB, and are refused after the first MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    for payload in (bomb, gzip.compress(bytes(ENTRIES_MAX // 8 + 1))):
        with refuses(CredentialReason.LIMIT_EXCEEDED, "at most 8388608 entries"):
            decode_status_list("u" + encode_base64url(payload))


def test_a_text_that_is_too_long_is_not_unpacked():
    with refuses(CredentialReason.LIMIT_EXCEEDED, "1500000 characters"):
        decode_status_list("u" + "A" * (ENCODED_CHARACTERS_MAX + 1))


PACKED = gzip.compress(EMPTY.bits, mtime=0)


@pytest.mark.parametrize(
    "payload",
    [
        PACKED[:-1],
        PACKED + b"\0",
        PACKED + PACKED,
        PACKED[:-8] + bytes(8),
        zlib.compress(EMPTY.bits),
        EMPTY.bits,
        b"",
    ],
    ids=["cut", "longer", "twice", "checksum", "zlib", "unpacked", "empty"],
)
def test_what_is_not_gzip_of_a_list_is_refused(payload):
    with refuses(CredentialReason.MALFORMED):
        decode_status_list("u" + encode_base64url(payload))


def test_the_text_is_multibase_base64url():
    text = encode_status_list(EMPTY)
    assert text[0] == "u"
    for changed in (text[1:], "z" + text[1:], text + "="):
        with refuses(CredentialReason.MALFORMED):
            decode_status_list(changed)


@pytest.mark.parametrize(
    "claim",
    [
        None,
        {"bits": 1},
        {"bits": 2, "lst": ""},
        {"bits": True, "lst": encode_token_status_list(EMPTY)["lst"]},
        {"bits": 1, "lst": 1},
        {**encode_token_status_list(EMPTY), "aggregation_uri": "https://a.example"},
    ],
)
def test_a_token_status_list_has_one_bit_an_entry(claim):
    with refuses(CredentialReason.MALFORMED):
        decode_token_status_list(claim)


def test_the_hash_is_over_the_bits_and_not_over_their_packing():
    changed = set_statuses(EMPTY, [7], True)
    assert compute_status_list_hash(changed) == sha256(b"\x01" + bytes(ENTRIES_MIN // 8 - 1)).digest()
    repacked = "u" + encode_base64url(gzip.compress(changed.bits, compresslevel=1, mtime=1))
    assert repacked != encode_status_list(changed)
    assert compute_status_list_hash(decode_status_list(repacked)) == compute_status_list_hash(changed)


def test_a_list_is_an_immutable_value():
    assert set_statuses(EMPTY, [1], True) != EMPTY == StatusList(bytes(ENTRIES_MIN // 8))


def test_the_subject_of_a_status_list_credential():
    changed = set_statuses(EMPTY, [7], True)
    subject = format_status_list_subject("https://workshop.example/status/1#list", changed, StatusPurpose.SUSPENSION)
    assert subject == {
        "id": "https://workshop.example/status/1#list",
        "type": "BitstringStatusList",
        "statusPurpose": "suspension",
        "encodedList": encode_status_list(changed),
    }
    assert parse_status_list_subject(subject) == (changed, StatusPurpose.SUSPENSION)
    for name in subject:
        with refuses(CredentialReason.MALFORMED):
            parse_status_list_subject({**subject, name: None})
    with refuses(CredentialReason.MALFORMED):
        parse_status_list_subject({**subject, "statusSize": 2})


def test_references_come_back():
    assert format_status_entry(REFERENCE) == ENTRY
    assert parse_status_entry(ENTRY) == parse_status_entry({"id": "https://a.example", **ENTRY}) == REFERENCE
    assert format_status_claim(REFERENCE) == CLAIM
    assert parse_status_claim(CLAIM) == REFERENCE


@pytest.mark.parametrize(
    "change",
    [
        {"type": "StatusList2021Entry"},
        {"statusPurpose": "message"},
        {"statusListIndex": 94_567},
        {"statusListIndex": "-1"},
        {"statusListIndex": "01"},
        {"statusListIndex": "１"},
        {"statusListIndex": "1e3"},
        {"statusListIndex": "99999999"},
        {"statusListCredential": None},
        {"statusSize": 2},
    ],
)
def test_an_entry_has_its_form(change):
    with refuses(CredentialReason.MALFORMED):
        parse_status_entry({**ENTRY, **change})


@pytest.mark.parametrize(
    "claim",
    [
        None,
        {},
        {"status_list": None},
        {"status_list": {"idx": "1", "uri": "a"}},
        {"status_list": {"idx": True, "uri": "a"}},
        {"status_list": {"idx": 1, "uri": 1}},
        {"status_list": {"idx": 1, "uri": "a", "more": 1}},
        {**CLAIM, "more": 1},
    ],
)
def test_a_claim_has_its_form(claim):
    with refuses(CredentialReason.MALFORMED):
        parse_status_claim(claim)


@pytest.mark.parametrize(("index", "uri"), [(-1, "a"), (ENTRIES_MAX, "a"), (1, ""), (1, "a" * 1_025)])
def test_references_have_limits(index, uri):
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        parse_status_claim({"status_list": {"idx": index, "uri": uri}})
    with refuses(CredentialReason.LIMIT_EXCEEDED):
        format_status_entry(StatusReference(uri, index, StatusPurpose.REVOCATION))


def test_a_status_claim_cannot_say_suspended():
    with refuses(CredentialReason.BAD_CLAIM):
        format_status_claim(StatusReference("a", 1, StatusPurpose.SUSPENSION))
