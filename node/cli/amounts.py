"""Numbers as people write them: IOV with up to eight decimals, shares in percent with two; never through a float."""

import re
from typing import Final

from ledger.primitives import GRAINS_PER_IOV, SUPPLY_GRAINS
from node.cli.failures import CommandFailedError

DECIMALS: Final = 8
PERCENT_DECIMALS: Final = 2
BPS_PER_PERCENT: Final = 100
_PERCENT: Final = re.compile(rf"(0|[1-9][0-9]{{0,2}})(?:\.([0-9]{{1,{PERCENT_DECIMALS}}}))?%?", re.ASCII)
_IOV: Final = re.compile(rf"(0|[1-9][0-9]{{0,10}})(?:\.([0-9]{{1,{DECIMALS}}}))?", re.ASCII)


def parse_iov(text: str) -> int:
    """Grains from 1.5; raises CommandFailedError for anything but a positive amount of at most eight decimals."""
    match = _IOV.fullmatch(text)
    if match is None:
        raise CommandFailedError(
            f"{text!r} is not an amount: write IOV with a point and at most {DECIMALS} decimals, for instance 1.5"
        )
    grains = int(match[1]) * GRAINS_PER_IOV + int((match[2] or "").ljust(DECIMALS, "0"))
    if not 0 < grains <= SUPPLY_GRAINS:
        raise CommandFailedError(
            f"{text} IOV is not possible: an amount is from 0.00000001 to {format_iov(SUPPLY_GRAINS)} IOV"
        )
    return grains


def format_iov(grains: int) -> str:
    """1.5 from 150,000,000 grains."""
    whole, rest = divmod(grains, GRAINS_PER_IOV)
    return f"{whole}.{rest:0{DECIMALS}d}".rstrip("0").rstrip(".")


def parse_percent(text: str) -> int:
    """Basis points from 5.25; raises CommandFailedError for anything but 0 to 100 with at most two decimals."""
    match = _PERCENT.fullmatch(text)
    bps = 0
    if match is not None:
        bps = int(match[1]) * BPS_PER_PERCENT + int((match[2] or "").ljust(PERCENT_DECIMALS, "0"))
    if match is None or bps > 100 * BPS_PER_PERCENT:
        raise CommandFailedError(
            f"{text!r} is not a share: write percent from 0 to 100 with at most {PERCENT_DECIMALS} decimals, "
            "for instance 5.25"
        )
    return bps


def format_percent(bps: int) -> str:
    """5.25 from 525 basis points; always two decimals."""
    whole, rest = divmod(bps, BPS_PER_PERCENT)
    return f"{whole}.{rest:0{PERCENT_DECIMALS}d}"
