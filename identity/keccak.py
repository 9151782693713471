"""Keccak-256 with its original padding, as Ethereum uses it; SHA-3 of the standard library pads otherwise."""

from typing import Final

RATE_BYTES: Final = 136
_LANES: Final = 25
_MASK: Final = 2**64 - 1


def _build_round_constants() -> tuple[int, ...]:
    """FIPS 202, 3.2.5: bits of a linear feedback shift register."""
    constants = []
    register = 1
    for _ in range(24):
        constant = 0
        for position in range(7):
            if register & 1:
                constant |= 1 << ((1 << position) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _build_steps() -> tuple[tuple[int, int, int], ...]:
    """Rho and pi together: from which lane to which, rotated by how much."""
    steps = [(0, 0, 0)]
    x, y = 1, 0
    for index in range(24):
        steps.append((x + 5 * y, y + 5 * ((2 * x + 3 * y) % 5), (index + 1) * (index + 2) // 2 % 64))
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(steps)


_ROUND_CONSTANTS: Final = _build_round_constants()
_STEPS: Final = _build_steps()


def keccak256(message: bytes) -> bytes:
    """32 bytes."""
    padded = bytearray(message + bytes(RATE_BYTES - len(message) % RATE_BYTES))
    padded[len(message)] ^= 0x01
    padded[-1] ^= 0x80
    state = [0] * _LANES
    for start in range(0, len(padded), RATE_BYTES):
        for lane in range(RATE_BYTES // 8):
            offset = start + 8 * lane
            state[lane] ^= int.from_bytes(padded[offset : offset + 8], "little")
        state = _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def _permute(state: list[int]) -> list[int]:
    mask = _MASK
    for constant in _ROUND_CONSTANTS:
        columns = [state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20] for x in range(5)]
        mixed = [
            columns[(x + 4) % 5] ^ (columns[(x + 1) % 5] << 1 & mask | columns[(x + 1) % 5] >> 63) for x in range(5)
        ]
        moved = [0] * _LANES
        for source, target, bits in _STEPS:
            lane = state[source] ^ mixed[source % 5]
            moved[target] = lane << bits & mask | lane >> (64 - bits)
        state = [
            moved[row + x] ^ (~moved[row + (x + 1) % 5] & moved[row + (x + 2) % 5])
            for row in range(0, _LANES, 5)
            for x in range(5)
        ]
        state[0] ^= constant
    return state
