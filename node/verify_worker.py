"""A process that only checks signatures, `python -m node.verify_worker`: batches in, answers out, on its stdin socket.

A batch is length, 4 bytes ‖ MessagePack [[key type, key, message, signature], …]; the answer is number of checks,
4 bytes ‖ one byte each, 1 for a good signature. It ends when the node closes the socket or dies.
"""

import signal
import socket
from collections.abc import Sequence
from struct import Struct
from typing import Final

import msgpack

from identity.keys import KeyType, PublicKey, verify_signature

Check = tuple[int, bytes, bytes, bytes]
"""Key type, public key, message, signature."""

LENGTH: Final = Struct(">I")
BATCH_FRAME_BYTES_MAX: Final = 2**22

_KEY_TYPES: Final = {int(key_type): key_type for key_type in KeyType}


def is_good(check: Check) -> bool:
    """Whether the signature counts; False as well for a key type that does not exist."""
    number, key, message, signature = check
    key_type = _KEY_TYPES.get(number)
    return key_type is not None and verify_signature(PublicKey(key_type, key), message, signature)


def encode_batch(checks: Sequence[Check]) -> bytes:
    """The frame of a batch."""
    packed: bytes = msgpack.packb(checks)
    return LENGTH.pack(len(packed)) + packed


def serve(connection: socket.socket) -> None:
    """Answer batches in order until the other side is gone."""
    while (header := _read_exactly(connection, LENGTH.size)) is not None:
        (length,) = LENGTH.unpack(header)
        assert length <= BATCH_FRAME_BYTES_MAX
        packed = _read_exactly(connection, length)
        if packed is None:
            return
        answers = bytes([is_good(check) for check in msgpack.unpackb(packed, use_list=False)])
        connection.sendall(LENGTH.pack(len(answers)) + answers)


def _read_exactly(connection: socket.socket, size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            return None
        received += part
    return bytes(received)


def main() -> None:
    """Ctrl-C and a service's stop signal are for the node, which lets its workers go when it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=0) as connection:
        try:
            serve(connection)
        except ConnectionError:  # the node died between our answer and its reading
            return


if __name__ == "__main__":
    main()
