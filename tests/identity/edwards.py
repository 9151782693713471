"""Edwards25519 by school arithmetic (RFC 8032 5.1), to make the odd points that a library refuses to make."""

from hashlib import sha512

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, PRIME) % PRIME
_ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)

Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(left: Point, right: Point) -> Point:
    (x1, y1), (x2, y2) = left, right
    product = _D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME) % PRIME
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME) % PRIME


def multiply(scalar: int, point: Point) -> Point:
    total = NEUTRAL
    while scalar:
        total = add(total, point) if scalar & 1 else total
        point = add(point, point)
        scalar >>= 1
    return total


def find_x(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * _ROOT_OF_MINUS_ONE % PRIME
    if (x * x - square) % PRIME:
        return None
    return x if x & 1 == sign else -x % PRIME


def encode_point(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def find_torsion_generator() -> Point:
    """A point of order 8."""
    y = 2
    while True:
        x = find_x(y, 0)
        if x is not None and multiply(4, torsion := multiply(ORDER, (x, y))) != NEUTRAL:
            return torsion
        y += 1


_BASE_Y = 4 * pow(5, -1, PRIME) % PRIME
BASE: Point = (find_x(_BASE_Y, 0) or 0, _BASE_Y)
TORSION = [multiply(index, find_torsion_generator()) for index in range(8)]


def hash_to_scalar(*parts: bytes) -> int:
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little") % ORDER


def sign_with(secret: int, nonce: int, key: bytes, message: bytes, nonce_torsion: Point = NEUTRAL) -> tuple[bytes, int]:
    """R and S for a key whose encoding and nonce point are chosen freely."""
    r_bytes = encode_point(add(multiply(nonce, BASE), nonce_torsion))
    return r_bytes, (nonce + hash_to_scalar(r_bytes, key, message) * secret) % ORDER
