"""carlive_frames.json: what nodes write on the wire, from certificates and frames to messages."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from consensus.messages import encode_message as encode_consensus_message
from identity.keys import PrivateKey
from ledger.block import Block, CertifiedBlock
from ledger.codec import encode, to_plain
from ledger.primitives import Height, Signature
from node.messages import (
    BlocksAnswer,
    BlocksRequest,
    MessageKind,
    Status,
    TransactionBatch,
    TransactionsRequest,
)
from p2p.certificate import build_certificate, compact_certificate, join_compact
from p2p.frames import FRAME_PAYLOAD_BYTES_MAX, Channel, encode_message
from p2p.hello import (
    ControlKind,
    Goodbye,
    GoodbyeReason,
    Hello,
    NodeRole,
    Seat,
    compute_seat_message,
    encode_hello,
)
from tests.vectors.certificates import build_proposal, certify
from tests.vectors.notation import to_notation
from tests.vectors.scene import CONSENSUS_KEYS, NODE_KEYS, Scene, build_scene


def build_frame_vectors() -> dict[str, Any]:
    """The whole file."""
    scene = build_scene()
    hello, seat_message = _build_hello(scene)
    return {
        "about": "Node certificates, the greeting, frames, and every message kind once. Long payloads are given by "
        "length, fill byte and SHA-256. See docs/protocol.md, Network.",
        "certificates": [_describe_certificate(key) for key in NODE_KEYS[:2]],
        "hello": {
            "own_certificate_hash": _hash_certificate(0).hex(),
            "peer_certificate_hash": _hash_certificate(1).hex(),
            "seat_message": seat_message.hex(),
            "plain": to_notation(to_plain(hello)),
            "payload": encode_hello(hello).hex(),
            "payload_of_an_observer": encode_hello(replace(hello, role=NodeRole.OBSERVER, seat=None)).hex(),
        },
        "frames": _list_frames(scene, hello),
        "long_frames": [
            _describe_long(size)
            for size in (FRAME_PAYLOAD_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX + 1, 2 * FRAME_PAYLOAD_BYTES_MAX)
        ],
        "refused": _list_refused(),
    }


def _describe_certificate(key: PrivateKey) -> dict[str, str]:
    der = build_certificate(key.secret)
    node_key, signature = compact_certificate(der)
    return {
        "secret": key.secret.hex(),
        "node_key": node_key.hex(),
        "compact": join_compact(node_key, signature).hex(),
        "der": der.hex(),
    }


def _hash_certificate(index: int) -> bytes:
    return sha256(build_certificate(NODE_KEYS[index].secret)).digest()


def _build_hello(scene: Scene) -> tuple[Hello, bytes]:
    """What node 0 says to node 1."""
    chain_id, genesis_hash = scene.genesis.chain_id, scene.genesis.hash
    message = compute_seat_message(chain_id, genesis_hash, _hash_certificate(0), _hash_certificate(1))
    seat = Seat(scene.committee.members[0].consensus_key, Signature(CONSENSUS_KEYS[0].sign(message)))
    return Hello(chain_id, genesis_hash, NodeRole.SUPER_NODE, Height(1), "127.0.0.1:8646", seat), message


def _list_frames(scene: Scene, hello: Hello) -> list[dict[str, Any]]:
    batch = TransactionBatch(tuple(transaction.raw for transaction in scene.transactions[:2]))
    wanted = TransactionsRequest(tuple(transaction.envelope_hash for transaction in scene.transactions[:2]))
    certified = CertifiedBlock(Block(scene.headers[1], (), ()), certify(scene.domain, scene.headers[1], (0, 1, 2)))
    blocks = BlocksAnswer(Height(2), ((encode(certified.block), encode(certified.certificate)),))
    proposal = encode_consensus_message(build_proposal(scene))
    control, transactions, sync = Channel.CONTROL, Channel.TRANSACTIONS, Channel.SYNC
    messages: Sequence[tuple[str, Channel, int, bytes]] = [
        ("HELLO", control, ControlKind.HELLO, encode_hello(hello)),
        ("WELCOME", control, ControlKind.WELCOME, b""),
        ("GOODBYE", control, ControlKind.GOODBYE, encode(Goodbye(GoodbyeReason.WRONG_GENESIS))),
        ("PING", control, ControlKind.PING, bytes(range(8))),
        ("PONG", control, ControlKind.PONG, bytes(range(8))),
        ("STATUS", control, MessageKind.STATUS, encode(Status(Height(2), Height(0)))),
        ("CONSENSUS", Channel.CONSENSUS, MessageKind.CONSENSUS, proposal),
        ("TRANSACTIONS", transactions, MessageKind.TRANSACTIONS, encode(batch)),
        ("TRANSACTIONS_REQUEST", transactions, MessageKind.TRANSACTIONS_REQUEST, encode(wanted)),
        ("TRANSACTIONS_ANSWER", transactions, MessageKind.TRANSACTIONS_ANSWER, encode(batch)),
        ("BLOCKS_REQUEST", sync, MessageKind.BLOCKS_REQUEST, encode(BlocksRequest(Height(2), 16))),
        ("BLOCKS_ANSWER", sync, MessageKind.BLOCKS_ANSWER, encode(blocks)),
    ]
    return [
        {
            "name": name,
            "channel": int(channel),
            "kind": int(kind),
            "payload": payload.hex(),
            "frames": b"".join(encode_message(channel, kind, payload)).hex(),
        }
        for name, channel, kind, payload in messages
    ]


def _describe_long(size: int) -> dict[str, Any]:
    frames = encode_message(Channel.SYNC, MessageKind.BLOCKS_ANSWER, b"\x5a" * size)
    return {
        "channel": int(Channel.SYNC),
        "kind": int(MessageKind.BLOCKS_ANSWER),
        "payload_bytes": size,
        "fill_byte": 0x5A,
        "frame_headers": [frame[:7].hex() for frame in frames],
        "frame_payload_bytes": [len(frame) - 7 for frame in frames],
        "sha256": sha256(b"".join(frames)).hexdigest(),
    }


def _list_refused() -> list[dict[str, str]]:
    """Starts of streams that end a connection whose greeting is complete."""
    cases = {
        "channel 4 does not exist": "00000000040001",
        "a frame of 65,537 bytes": "00010001030001",
        "a message on CONTROL longer than 4,096 bytes": "00001001000001",
        "a part that is not a full frame": "0000000183000100",
    }
    return [{"stream": stream, "why": why} for why, stream in cases.items()]
