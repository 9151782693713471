"""carlive_transactions.json: signed transactions with every byte on the way, and what is refused."""

from hashlib import sha512
from typing import Any, Final

import nacl.bindings as sodium

from identity.keys import KeyType, PrivateKey, PublicKey
from identity.signing import SigningDomain, SigningPurpose, compute_signing_domain, signing_bytes
from ledger.codec import pack, to_plain, unpack
from ledger.merkle import build_proof, compute_leaf_hash, compute_root
from ledger.receipt import Receipt
from ledger.transaction import MEMO_BYTES_MAX, Transaction
from tests.builders import Draft, address_of, transfer
from tests.vectors.notation import to_notation
from tests.vectors.scene import ALICE, BOB, CAROL, ERIN, PAYER, Scene, build_scene, list_block_drafts
from vm.transition import compute_ordering_gas

_ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_ED25519_PRIME: Final = 2**255 - 19
_CLAMP_MASK: Final = 2**255 - 1 - 7 - 2**254  # RFC 8032 5.1.5: the lowest three bits and the highest are cleared
_CLAMP_BIT: Final = 2**254
_NONCES_MAX: Final = 64
_SECP256K1_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_VERSION, _MEMO, _CALLS = 0, 9, 8
"""Positions in the body."""


def build_transaction_vectors() -> dict[str, Any]:
    """The whole file."""
    scene = build_scene()
    chain_id = scene.document.chain_id
    drafts = list_block_drafts(scene.domain, chain_id)
    described = [
        _describe(name, draft, transaction, receipt, scene.domain)
        for (name, draft), transaction, receipt in zip(drafts.items(), scene.transactions, scene.receipts, strict=True)
    ]
    return {
        "about": "Transactions of the chain of carlive_certificates.json: they are its block 1, in this order. "
        "Amounts are decimal text; arguments are in the notation of carlive_codec.json. "
        "See docs/protocol.md, Transactions.",
        "chain_id": chain_id,
        "genesis_hash": scene.genesis.hash.hex(),
        "signing_domain": scene.domain.hex(),
        "transactions": described,
        "refused": _list_refused(scene),
        "bad_signatures": _list_bad_signatures(scene),
        "lists": [_describe_list(scene, size) for size in (0, 1, 2, 3, 7, len(described))],
    }


def _describe(
    name: str, draft: Draft, transaction: Transaction, receipt: Receipt, domain: SigningDomain
) -> dict[str, Any]:
    body = transaction.body
    return {
        "name": name,
        "body": {
            "version": body.version,
            "chain_id": body.chain_id,
            "sender": body.sender.hex(),
            "ordering": {"sequence": body.ordering}
            if isinstance(body.ordering, int)
            else {"salt": body.ordering.hex()},
            "valid_until": body.valid_until,
            "gas_limit": body.gas_limit,
            "fee_max_grains": str(body.fee_max_grains),
            "fee_payer": None if body.fee_payer is None else body.fee_payer.hex(),
            "calls": [[each.module, each.call, to_notation(to_plain(each.arguments))] for each in body.calls],
            "memo": body.memo,
        },
        "sender_secrets": [_describe_secret(key) for key in (draft.key, *draft.more_keys)],
        "fee_payer_secrets": [] if draft.fee_payer_key is None else [_describe_secret(draft.fee_payer_key)],
        "body_bytes": transaction.body_bytes.hex(),
        "signing_bytes": signing_bytes(SigningPurpose.TRANSACTION, domain, transaction.body_bytes).hex(),
        "authorisations": [
            {
                "role": each.role,
                "key_type": int(each.key_type),
                "public_key": each.key.hex(),
                "signature": each.signature.hex(),
            }
            for each in transaction.authorisations
        ],
        "raw": transaction.raw.hex(),
        "id": transaction.id.hex(),
        "envelope_hash": transaction.envelope_hash.hex(),
        "is_unordered": body.is_unordered,
        "price_grains": str(body.price_grains),
        "intrinsic_gas": compute_ordering_gas(transaction),
        "outcome": {
            "status": int(receipt.status),
            "reason": receipt.reason,
            "gas_used": receipt.gas_used,
            "fee_grains": str(receipt.fee_grains),
        },
    }


def _describe_secret(key: PrivateKey) -> dict[str, Any]:
    return {"key_type": int(key.key_type), "secret": key.secret.hex()}


def _list_refused(scene: Scene) -> list[dict[str, str]]:
    """Envelopes that are no transaction, whatever their signatures."""
    chain: dict[str, Any] = {"chain_id": scene.document.chain_id, "domain": scene.domain}
    calls = [transfer(address_of(ERIN), 1)]
    plain = Draft(ALICE, calls, **chain).sign()
    paid = Draft(ALICE, calls, fee_payer_key=PAYER, **chain).sign()
    shared = Draft(ALICE, calls, more_keys=[BOB], **chain).sign()
    body_bytes, signed = unpack(plain.raw)
    _, paid_signed = unpack(paid.raw)
    _, shared_signed = unpack(shared.raw)
    cases = {
        "an extra byte": plain.raw + b"\x00",
        "no signature": pack([body_bytes, []]),
        "a third field": pack([body_bytes, signed, None]),
        "the body as an array": pack([unpack(body_bytes), signed]),
        "signatures out of order": pack([body_bytes, shared_signed[::-1]]),
        "the same key twice": pack([body_bytes, [signed[0], signed[0]]]),
        "the sender's signature is missing": pack([paid.body_bytes, paid_signed[1:]]),
        "the fee payer's signature is missing": pack([paid.body_bytes, paid_signed[:1]]),
        "a fee payer signs and none is named": pack([body_bytes, [signed[0], [1, *signed[0][1:]]]]),
        "the fee payer is the sender": pack([_with_field(body_bytes, 7, bytes(plain.body.sender)), paid_signed]),
        "role 2": pack([body_bytes, [signed[0], [2, *signed[0][1:]]]]),
        "key type 4": pack([body_bytes, [[0, 4, *signed[0][2:]]]]),
        "a signature of 63 bytes": pack([body_bytes, [[*signed[0][:3], signed[0][3][:63]]]]),
        "version 2": pack([_with_field(body_bytes, _VERSION, 2), signed]),
        "no call": pack([_with_field(body_bytes, _CALLS, []), signed]),
        "a sender of 19 bytes": pack([_with_field(body_bytes, 2, bytes(19)), signed]),
        "a salt of 7 bytes": pack([_with_field(body_bytes, 3, bytes(7)), signed]),
        "a negative sequence": pack([_with_field(body_bytes, 3, -1), signed]),
        "no gas": pack([_with_field(body_bytes, 5, 0), signed]),
        "a height of 2^53": pack([_with_field(body_bytes, 4, 2**53), signed]),
        "a memo longer in bytes than in characters": pack([_with_field(body_bytes, _MEMO, "ö" * 129), signed]),
        "the sequence in a longer form": pack([_lengthen_sequence(body_bytes), signed]),
    }
    assert len("ö" * 129) <= MEMO_BYTES_MAX < len(("ö" * 129).encode())
    return [{"raw": raw.hex(), "why": why} for why, raw in cases.items()]


def _list_bad_signatures(scene: Scene) -> list[dict[str, Any]]:
    """Signatures that are not the accepted one of their key over these signing bytes."""
    draft = list_block_drafts(scene.domain, scene.document.chain_id)["transfer signed with ed25519"]
    body_bytes = draft.sign().body_bytes
    message = signing_bytes(SigningPurpose.TRANSACTION, scene.domain, body_bytes)
    vote = signing_bytes(SigningPurpose.PRECOMMIT, scene.domain, body_bytes)
    elsewhere = signing_bytes(
        SigningPurpose.TRANSACTION, compute_signing_domain("another-chain", scene.genesis.hash), body_bytes
    )
    good = ALICE.sign(message)
    scalar = int.from_bytes(good[32:], "little")
    ecdsa = BOB.sign(message)
    high = _SECP256K1_ORDER - int.from_bytes(ecdsa[32:], "big")
    cases = [
        (ALICE, good[:63], "63 bytes"),
        (ALICE, bytes([good[0] ^ 1]) + good[1:], "a flipped bit"),
        (ALICE, good[:32] + (scalar + _ED25519_ORDER).to_bytes(32, "little"), "S is not below the group order"),
        (ALICE, (1).to_bytes(32, "little") + bytes(32), "R has small order"),
        (ALICE, ALICE.sign(body_bytes), "signed without purpose and domain"),
        (ALICE, ALICE.sign(vote), "signed as a precommit"),
        (ALICE, ALICE.sign(elsewhere), "signed for another chain"),
        (BOB, ecdsa[:32] + high.to_bytes(32, "big"), "high s"),
        (BOB, bytes(64), "r and s are 0"),
        (CAROL, BOB.sign(message), "another key's signature"),
    ]
    mixed_key, mixed_signature = _sign_with_torsion(ALICE, message)
    refused = [(key.public_key, signature, why) for key, signature, why in cases]
    refused.append((mixed_key, mixed_signature, "the equation holds, but the key is not of prime order"))
    return [
        {
            "key_type": int(public_key.key_type),
            "public_key": public_key.key.hex(),
            "message": message.hex(),
            "signature": signature.hex(),
            "why": why,
        }
        for public_key, signature, why in refused
    ]


def _sign_with_torsion(key: PrivateKey, message: bytes) -> tuple[PublicKey, bytes]:
    """An Ed25519 key with the point of order 2 added, and a signature that satisfies the equation under it."""
    secret_scalar = int.from_bytes(sha512(key.secret).digest()[:32], "little") & _CLAMP_MASK | _CLAMP_BIT
    encoded = int.from_bytes(key.public_key.key, "little")
    y, sign_bit = encoded & (2**255 - 1), encoded >> 255
    # adding (0, -1) turns (x, y) into (-x, -y)
    mixed = (_ED25519_PRIME - y | (1 - sign_bit) << 255).to_bytes(32, "little")
    for nonce in range(1, _NONCES_MAX):
        r = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
        k = int.from_bytes(sha512(r + mixed + message).digest(), "little") % _ED25519_ORDER
        if k % 2 == 0:  # k times the point of order 2 vanishes
            s = (nonce + k * secret_scalar) % _ED25519_ORDER
            return PublicKey(KeyType.ED25519, mixed), r + s.to_bytes(32, "little")
    raise AssertionError("half of all nonces fit")


def _describe_list(scene: Scene, size: int) -> dict[str, Any]:
    """The RFC 6962 root of the first transactions, and a proof for each of them."""
    leaf_hashes = [compute_leaf_hash(transaction.raw) for transaction in scene.transactions[:size]]
    proofs = [build_proof(leaf_hashes, index) for index in range(size)]
    return {
        "size": size,
        "root": compute_root(leaf_hashes).hex(),
        "paths": [[sibling.hex() for sibling in proof.path] for proof in proofs],
    }


def _with_field(body_bytes: bytes, position: int, plain: Any) -> bytes:
    fields = unpack(body_bytes)
    fields[position] = plain
    return pack(fields)


def _lengthen_sequence(body_bytes: bytes) -> bytes:
    """The body with its sequence 0 written as a uint 8."""
    fields = [pack(field) for field in unpack(body_bytes)]
    fields[3] = b"\xcc\x00"
    return bytes([0x90 | len(fields)]) + b"".join(fields)
