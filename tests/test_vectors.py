"""The vector files are what the code gives, what they call refused is refused, and the documentation quotes them."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from consensus.certificate import InvalidCertificateError, check_certificate
from consensus.messages import decode_message, encode_message
from genesis.build import compute_genesis_hash
from genesis.document import load_genesis
from identity.address import InvalidAddressError, NetworkKind, parse_address
from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key, verify_signature
from identity.signing import SigningDomain, SigningPurpose, compute_signing_domain, signing_bytes
from ledger.block import CommitCertificate, Header
from ledger.codec import DecodeError, decode, encode
from ledger.committee import Committee
from ledger.merkle import ListProof, compute_leaf_hash, compute_root, is_proof_valid
from ledger.primitives import RootHash
from ledger.receipt import Receipt
from ledger.state_proof import InvalidProof, StateProof, check_state_proof
from ledger.transaction import Call, decode_transaction
from p2p.certificate import expand_certificate, split_compact
from p2p.frames import MESSAGE_BYTES_MAX, Channel, FrameDecoder, PeerProtocolError
from p2p.frames import encode_message as encode_frames
from p2p.hello import decode_hello, encode_hello
from tests.vectors.generate import DIRECTORY, VECTORS, generate
from tests.vectors.notation import from_notation
from tests.vectors.scene import compute_state_root

PROTOCOL = DIRECTORY.parent.parent / "docs" / "protocol.md"
QUOTED_DIGITS_MIN = 16


def load(name: str) -> dict[str, Any]:
    return json.loads((DIRECTORY / f"carlive_{name}.json").read_text())


ADDRESSES = load("addresses")
CERTIFICATES = load("certificates")
CODEC = load("codec")
FRAMES = load("frames")
STATE_PROOFS = load("state_proofs")
TRANSACTIONS = load("transactions")


def by_reason(case: dict[str, Any]) -> str:
    return case.get("why") or case["name"]


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_file_is_what_the_code_gives(name):
    assert (DIRECTORY / name).read_text() == generate(name), (
        "run: python -m tests.vectors.generate, and review the diff"
    )


def test_every_vector_file_is_generated():
    assert {path.name for path in DIRECTORY.glob("carlive_*.json")} == set(VECTORS)


# Addresses


@pytest.mark.parametrize("case", ADDRESSES["refused_keys"], ids=by_reason)
def test_a_bad_key_is_refused(case):
    with pytest.raises(InvalidKeyError):
        check_public_key(PublicKey(KeyType(case["key_type"]), bytes.fromhex(case["public_key"])))


@pytest.mark.parametrize("case", ADDRESSES["refused_texts"], ids=by_reason)
def test_a_bad_address_text_is_refused(case):
    with pytest.raises(InvalidAddressError):
        parse_address(case["text"], NetworkKind.DEVNET)


def test_address_texts_lead_back_to_their_bytes():
    for key in ADDRESSES["keys"]:
        check_public_key(PublicKey(KeyType(key["key_type"]), bytes.fromhex(key["public_key"])))
        for network, text in key["texts"].items():
            assert parse_address(text, NetworkKind[network.upper()]).hex() == key["address"]


# Encoding


@pytest.mark.parametrize("case", CODEC["refused_values"], ids=by_reason)
def test_a_byte_form_that_is_not_canonical_is_refused(case):
    call = b"\x93\xa1m\xa1c" + bytes.fromhex(case["encoded"])
    with pytest.raises(DecodeError):
        decode(Call, call)


@pytest.mark.parametrize("case", CODEC["refused"], ids=by_reason)
def test_a_call_that_breaks_its_type_is_refused(case):
    with pytest.raises(DecodeError):
        decode(Call, bytes.fromhex(case["encoded"]))


def test_values_decode_to_what_is_written_beside_them():
    for case in CODEC["values"]:
        call = decode(Call, b"\x93\xa1m\xa1c" + bytes.fromhex(case["encoded"]))
        assert call.arguments == from_notation(case["value"])


def test_receipts_lead_to_the_root_of_the_next_header():
    encoded = [bytes.fromhex(case["encoded"]) for case in CODEC["receipts"]]
    assert [encode(decode(Receipt, each)) for each in encoded] == encoded
    root = compute_root([compute_leaf_hash(each) for each in encoded])
    assert root.hex() == CERTIFICATES["receipts_root"] == CERTIFICATES["headers"][2]["fields"]["receipts_root"]


# Transactions


@pytest.mark.parametrize("case", TRANSACTIONS["transactions"], ids=by_reason)
def test_a_transaction_has_these_bytes_id_and_good_signatures(case):
    transaction = decode_transaction(bytes.fromhex(case["raw"]))
    domain = compute_signing_domain(TRANSACTIONS["chain_id"], bytes.fromhex(TRANSACTIONS["genesis_hash"]))
    message = signing_bytes(SigningPurpose.TRANSACTION, domain, transaction.body_bytes)
    assert transaction.body_bytes.hex() == case["body_bytes"]
    assert message.hex() == case["signing_bytes"]
    assert transaction.id.hex() == sha256(transaction.body_bytes).hexdigest() == case["id"]
    assert transaction.envelope_hash.hex() == case["envelope_hash"]
    assert all(
        verify_signature(PublicKey(each.key_type, each.key), message, each.signature)
        for each in transaction.authorisations
    )


@pytest.mark.parametrize("case", TRANSACTIONS["refused"], ids=by_reason)
def test_an_envelope_that_is_no_transaction_is_refused(case):
    with pytest.raises(DecodeError):
        decode_transaction(bytes.fromhex(case["raw"]))


@pytest.mark.parametrize("case", TRANSACTIONS["bad_signatures"], ids=by_reason)
def test_a_bad_signature_is_refused(case):
    key = PublicKey(KeyType(case["key_type"]), bytes.fromhex(case["public_key"]))
    assert not verify_signature(key, bytes.fromhex(case["message"]), bytes.fromhex(case["signature"]))


def test_list_proofs_hold_at_their_index_alone():
    leaves = [compute_leaf_hash(bytes.fromhex(case["raw"])) for case in TRANSACTIONS["transactions"]]
    for case in TRANSACTIONS["lists"]:
        root = bytes.fromhex(case["root"])
        for index, path in enumerate(case["paths"]):
            proof = ListProof(index, case["size"], tuple(bytes.fromhex(sibling) for sibling in path))
            assert [other for other in range(case["size"]) if is_proof_valid(proof, leaves[other], root)] == [index]
    assert TRANSACTIONS["lists"][-1]["root"] == CERTIFICATES["headers"][1]["fields"]["transactions_root"]


# State


def test_states_have_these_roots():
    for case in (
        {"entries": STATE_PROOFS["state"], "root": STATE_PROOFS["state_root"]},
        *STATE_PROOFS["small_states"],
    ):
        state = {bytes.fromhex(key): bytes.fromhex(value) for key, value in case["entries"]}
        assert compute_state_root(state).hex() == case["root"]
    assert STATE_PROOFS["state_root"] == CERTIFICATES["headers"][2]["fields"]["state_root"]


@pytest.mark.parametrize("case", STATE_PROOFS["proofs"], ids=by_reason)
def test_a_state_proof_holds_and_no_flipped_byte_does(case):
    root = RootHash(bytes.fromhex(STATE_PROOFS["state_root"]))
    encoded = bytes.fromhex(case["encoded"])
    proof = decode(StateProof, encoded)
    proven = check_state_proof(proof, proof.key, root)
    assert (None if proven is None else proven.hex()) == case["value"]
    for index in range(len(encoded)):
        flipped = bytearray(encoded)
        flipped[index] ^= 1 << index % 8
        with pytest.raises((DecodeError, InvalidProof)):
            check_state_proof(decode(StateProof, bytes(flipped)), proof.key, root)


@pytest.mark.parametrize("case", STATE_PROOFS["refused"], ids=by_reason)
def test_a_false_state_proof_is_refused(case):
    proof = decode(StateProof, bytes.fromhex(case["encoded"]))
    with pytest.raises(InvalidProof):
        check_state_proof(proof, proof.key, RootHash(bytes.fromhex(STATE_PROOFS["state_root"])))


# Finality


def read_certified() -> tuple[Header, Committee, SigningDomain]:
    header = decode(Header, bytes.fromhex(CERTIFICATES["headers"][2]["encoded"]))
    committee = decode(Committee, bytes.fromhex(CERTIFICATES["committee"]["encoded"]))
    return header, committee, SigningDomain(bytes.fromhex(CERTIFICATES["signing_domain"]))


def test_the_genesis_document_leads_to_block_0_and_the_signing_domain():
    document = load_genesis(CERTIFICATES["genesis_document"])
    genesis_hash = compute_genesis_hash(document)
    assert genesis_hash.hex() == CERTIFICATES["headers"][0]["hash"] == TRANSACTIONS["genesis_hash"]
    assert compute_signing_domain(document.chain_id, genesis_hash).hex() == CERTIFICATES["signing_domain"]


@pytest.mark.parametrize("case", CERTIFICATES["certificates"], ids=by_reason)
def test_a_certificate_proves_its_header_final(case):
    header, committee, domain = read_certified()
    check_certificate(decode(CommitCertificate, bytes.fromhex(case["encoded"])), header, committee, domain)


@pytest.mark.parametrize("case", CERTIFICATES["refused"], ids=by_reason)
def test_a_false_certificate_is_refused(case):
    header, committee, domain = read_certified()
    certificate = decode(CommitCertificate, bytes.fromhex(case["encoded"]))
    with pytest.raises(InvalidCertificateError):
        check_certificate(certificate, header, committee, domain)


def test_consensus_messages_survive_the_wire():
    for case in (*CERTIFICATES["votes"], CERTIFICATES["proposal"], CERTIFICATES["summary"]):
        encoded = bytes.fromhex(case["message"])
        assert encode_message(decode_message(encoded)) == encoded


# Wire


def test_compact_certificates_expand_to_the_same_der():
    for case in FRAMES["certificates"]:
        key, signature = split_compact(bytes.fromhex(case["compact"]))
        assert (key.hex(), expand_certificate(key, signature).hex()) == (case["node_key"], case["der"])


def test_greetings_survive_the_wire():
    for name in ("payload", "payload_of_an_observer"):
        payload = bytes.fromhex(FRAMES["hello"][name])
        assert encode_hello(decode_hello(payload)) == payload


@pytest.mark.parametrize("case", FRAMES["frames"], ids=by_reason)
def test_frames_bring_their_message(case):
    (message,) = FrameDecoder(MESSAGE_BYTES_MAX).feed(bytes.fromhex(case["frames"]), 0.0)
    assert (message.channel, message.kind, message.payload.hex()) == (case["channel"], case["kind"], case["payload"])


def test_long_messages_are_cut_as_written():
    for case in FRAMES["long_frames"]:
        payload = bytes([case["fill_byte"]]) * case["payload_bytes"]
        frames = encode_frames(Channel(case["channel"]), case["kind"], payload)
        assert [frame[:7].hex() for frame in frames] == case["frame_headers"]
        assert sha256(b"".join(frames)).hexdigest() == case["sha256"]
        (message,) = FrameDecoder(MESSAGE_BYTES_MAX).feed(b"".join(frames), 0.0)
        assert message.payload == payload


@pytest.mark.parametrize("case", FRAMES["refused"], ids=by_reason)
def test_a_stream_that_breaks_the_framing_is_refused(case):
    with pytest.raises(PeerProtocolError):
        list(FrameDecoder(MESSAGE_BYTES_MAX).feed(bytes.fromhex(case["stream"]), 0.0))


# Documentation


def read_vector_text() -> str:
    return "".join(path.read_text() for path in sorted(DIRECTORY.glob("carlive_*.json")))


def find_quoted_hex(text: str) -> list[str]:
    """Runs of hexadecimal digits in a document that are long enough to be bytes of an example."""
    return re.findall(rf"\b(?:0x)?([0-9a-f]{{{QUOTED_DIGITS_MIN},}})\b", text)


def test_the_documents_examples_come_from_the_vectors():
    quoted = find_quoted_hex(Path(PROTOCOL).read_text())
    vectors = read_vector_text()
    assert len(quoted) >= 30
    assert [digits for digits in quoted if digits not in vectors] == []


def test_the_document_quotes_every_vector_file():
    text = Path(PROTOCOL).read_text()
    assert [name for name in VECTORS if name not in text] == []
