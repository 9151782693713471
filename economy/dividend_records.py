"""From the states at the beginning and the end of a period to what each identity is paid as dividend.

Whoever has the chain's blocks has both states: the result is the same on every machine. It is the input for a payout:
lines in the order of the identities, each with the grains of this dividend.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from economy.distribution_engines import Engine
from economy.distribution_lifetimes import SUM_TYPE
from economy.distribution_manifest import UnusableError
from economy.whole_files import put_file
from identity.address import Address
from identity.did import DID_BYTES, Did
from ledger.primitives import Grains, TimeMs
from ledger.state import StateReader
from ledger.state_keys import Table
from vm.native.accounts import compute_coin_age_grain_ms, get_account
from vm.native.distribution_tree import BeneficiaryKind
from vm.native.dividend import (
    FORCE_MAX,
    DividendRules,
    Merit,
    check_rules,
    compute_dividend,
    compute_merit,
    compute_totals,
    takes_part,
)

_LINKS: Final = bytes([Table.DID_OF_ACCOUNT])
_SCHEMA: Final = pa.schema(
    [
        pa.field("beneficiary", pa.binary(1 + DID_BYTES), nullable=False),
        pa.field("amount_grains", pa.int64(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
        pa.field("average_holdings_grains", pa.int64(), nullable=False),
        pa.field("coin_age_grain_days", pa.decimal128(38, 0), nullable=False),
        pa.field("force", pa.int64(), nullable=False),
    ]
)


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


def write_records(dividend: Dividend, source: int, path: Path) -> None:
    """Parquet for the builder of distributions, there whole or not at all; columns beside the amount explain it."""
    lines = dividend.lines
    columns = (
        [bytes([BeneficiaryKind.DID]) + line.did for line in lines],
        [line.grains for line in lines],
        [f"dividend {source}"] * len(lines),
        [line.merit.average_holdings_grains for line in lines],
        [line.merit.coin_age_grain_days for line in lines],
        [line.merit.force for line in lines],
    )
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=_SCHEMA)
    put_file(path, lambda part: pq.write_table(table, part, compression="zstd"))


def read_forces(paths: Sequence[Path], engine: Engine) -> dict[Did, int]:
    """Force of each identity, added up over all files and columns of force; raises UnusableError.

    A file is Parquet with the column `did` (20 bytes) and integer columns whose names end with `force`.
    """
    if not paths:
        return {}
    parts = [_take_forces(engine.read(path), path) for path in paths]
    rows = reduce(lambda left, right: left.union(right), parts)
    totals = engine.fetch(rows.group_by("did").aggregate(force=rows.force.sum().cast(SUM_TYPE)))
    forces: dict[Did, int] = {}
    for did, force in zip(totals["did"].to_pylist(), totals["force"].to_pylist(), strict=True):
        if did is None or len(did) != DID_BYTES or force is None or not 0 <= force <= FORCE_MAX:
            raise UnusableError(f"{force} is no force of an identity")
        forces[Did(did)] = int(force)
    return forces


def _take_forces(table: ir.Table, path: Path) -> ir.Table:
    names = [name for name in table.columns if name.endswith("force") and table[name].type().is_integer()]
    if "did" not in table.columns or not names:
        raise UnusableError(f"{path} has no column did, or none of integers whose name ends with force")
    total = reduce(lambda left, right: left + right, [table[name].cast(SUM_TYPE) for name in names])
    return table.select(did=table.did.cast("binary"), force=total)


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
