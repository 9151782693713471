"""Paths of derivation: m/44'/0'/0'/0/5 as numbers, an apostrophe adding 2^31."""

import re
from typing import Final

from identity.wallet.errors import WalletError

HARDENED: Final = 2**31
"""Added to a step whose child only the secret leads to."""
PATH_DEPTH_MAX: Final = 255  # BIP-32 keeps the depth in one byte
_STEP: Final = re.compile(r"(0|[1-9][0-9]{0,9})(['hH]?)")

DerivationPath = tuple[int, ...]


def parse_path(text: str) -> DerivationPath:
    """The steps of m/44'/0'/…; h and H count as the apostrophe. Raises WalletError."""
    first, *steps = text.split("/")
    if first != "m" or len(steps) > PATH_DEPTH_MAX:
        raise WalletError(f"a path begins with m and has at most {PATH_DEPTH_MAX} steps, for instance m/44'/0'/0'/0/0")
    return tuple(_parse_step(step) for step in steps)


def format_path(path: DerivationPath) -> str:
    """With apostrophes."""
    return "/".join(["m", *(f"{step - HARDENED}'" if step >= HARDENED else str(step) for step in path)])


def _parse_step(text: str) -> int:
    match = _STEP.fullmatch(text)
    if match is None or int(match[1]) >= HARDENED:
        raise WalletError("a step of a path is a number below 2147483648, with an apostrophe if it is hardened")
    return int(match[1]) + (HARDENED if match[2] else 0)
