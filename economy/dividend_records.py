"""From the states at the beginning and the end of a period to what each identity is paid as dividend.

Whoever has the chain's blocks has both states: the result is the same on every machine. It is the input for a payout:
lines in the order of the identities, each with the grains of this dividend.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from identity.address import Address
from identity.did import DID_BYTES, Did
from ledger.primitives import Grains, TimeMs
from ledger.state import StateReader
from ledger.state_keys import Table
from vm.native.accounts import compute_coin_age_grain_ms, get_account
from vm.native.dividend import (
    DividendRules,
    Merit,
    check_rules,
    compute_dividend,
    compute_merit,
    compute_totals,
    takes_part,
)

_LINKS: Final = bytes([Table.DID_OF_ACCOUNT])
COLUMNS: Final = ("kind", "id", "grains", "average_holdings_grains", "coin_age_grain_days", "force")
BENEFICIARY_DID: Final = "2"
"""A payout's kind of beneficiary: an identity."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state and the time of its block."""

    state: StateReader
    time_ms: TimeMs


@dataclass(frozen=True, slots=True)
class DividendLine:
    """What one identity is paid, and why."""

    did: Did
    grains: Grains
    merit: Merit


@dataclass(frozen=True, slots=True)
class Dividend:
    """Everything that is paid, and what stays in the pool."""

    lines: tuple[DividendLine, ...]
    """In the order of the identities; only those that are paid something."""
    paid_grains: Grains
    rest_grains: Grains


def build_dividend(rules: DividendRules, before: Snapshot, after: Snapshot, forces: Mapping[Did, int]) -> Dividend:
    """Share the pool among the identities that have an account at the end of the period; raises Rejected."""
    check_rules(rules)
    merits = {did: merit for did, merit in _list_merits(before, after, forces) if takes_part(rules, merit)}
    totals = compute_totals(rules, list(merits.values()))
    lines = [DividendLine(did, compute_dividend(rules, totals, merits[did]), merits[did]) for did in sorted(merits)]
    paid = tuple([line for line in lines if line.grains])
    paid_grains = sum([line.grains for line in paid])
    assert paid_grains <= rules.pool_grains, "shares are rounded down"
    return Dividend(paid, Grains(paid_grains), Grains(rules.pool_grains - paid_grains))


def write_dividend(dividend: Dividend, file: TextIO) -> None:
    """One line each, for the builder of payouts; the columns beside the amount explain it."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in dividend.lines:
        merit = line.merit
        writer.writerow(
            (
                BENEFICIARY_DID,
                line.did.hex(),
                line.grains,
                merit.average_holdings_grains,
                merit.coin_age_grain_days,
                merit.force,
            )
        )


def _list_merits(before: Snapshot, after: Snapshot, forces: Mapping[Did, int]) -> Iterator[tuple[Did, Merit]]:
    """Of the account that acts for each identity at the end; coins that came with it count from when it held them."""
    period_ms = after.time_ms - before.time_ms
    for key, encoded in after.state.iterate_prefix(_LINKS):
        account, did = Address(key[len(_LINKS) :]), Did(encoded)
        assert len(did) == DID_BYTES
        yield did, compute_merit(_get_age(before, account), _get_age(after, account), period_ms, forces.get(did, 0))


def _get_age(snapshot: Snapshot, address: Address) -> int:
    account = get_account(snapshot.state, address)
    return compute_coin_age_grain_ms(account, snapshot.time_ms)
