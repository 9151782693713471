"""The floor every scenario is compared with: how many Ed25519 signatures one core verifies a second with PyNaCl."""

import time

from nacl.signing import SigningKey

_SIGNATURES = 256
_SECONDS = 1.0


def measure_floor() -> float:
    """Verifications per second on one core, over transfers' usual length."""
    key = SigningKey(bytes(range(32)))
    signed = [key.sign(index.to_bytes(4, "big") + bytes(170)) for index in range(_SIGNATURES)]
    verify_key = key.verify_key
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < _SECONDS:
        for each in signed:
            verify_key.verify(each)
        count += _SIGNATURES
    return count / (time.perf_counter() - start)
