"""Results for an advertiser: what the chain counts, and groups of persons by tag that are large enough."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.cli.did_signing import read_json_file
from node.cli.failures import CommandFailedError

if TYPE_CHECKING:
    from identity.targeting import TagValue
    from rpc.models import AdsCampaignView

Groups = Mapping[str, Mapping[str, int]]
"""Persons by value, by tag."""
Row = dict[str, Any]
_COLUMNS: Final = ("measure", "group", "count", "units", "grains")


def read_buckets(path: Path) -> Groups:
    """Counts of persons by tag and value, as a matcher reports them; raises CommandFailedError."""
    record = read_json_file(path)
    if not isinstance(record, dict) or not all(_is_counts(each) for each in record.values()):
        raise CommandFailedError(f'{path} holds no counts by tag, as in {{"place.city": {{"Foshan": 120}}}}')
    return record


def count_groups(persons: Iterable[Mapping[str, "TagValue"]], names: Sequence[str], size_min: int) -> Groups:
    """Persons by value of each of these tags, without groups that are too small: what a matcher may report.

    Whoever lacks a tag, or keeps it back, counts nowhere; of a set, every text counts.
    """
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    for tags in persons:
        for name in names:
            for value in _list_values(tags.get(name)):
                counts[name][value] = counts[name].get(value, 0) + 1
    return {name: suppress_small(found, size_min) for name, found in counts.items()}


def _list_values(value: "TagValue | None") -> list[str]:
    if value is None:
        return []
    if isinstance(value, frozenset):
        return sorted(value)
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def suppress_small(counts: Mapping[str, int], size_min: int) -> dict[str, int]:
    """The groups that may be told: of enough persons, and never all but one, whose size the sum would give away.

    When a single group is too small, or those that are too small come to fewer than the minimum together, the next
    smallest goes with them.
    """
    ordered = sorted(counts.items(), key=lambda each: (each[1], each[0]))
    hidden = [name for name, count in ordered if count < size_min]
    kept = [name for name, count in ordered if count >= size_min]
    while kept and hidden and (len(hidden) == 1 or sum(counts[name] for name in hidden) < size_min):
        hidden.append(kept.pop(0))
    return {name: counts[name] for name in counts if name in kept}


def build_rows(found: "AdsCampaignView", groups: Groups, size_min: int) -> list[Row]:
    """A row for each kind of delivery, for channels and persons, and for each group that may be told."""
    rows = [
        _row("deliveries", total.kind, total.completed, total.units, total.grains)
        for total in found.totals
        if total.completed
    ]
    rows.append(_row("channels", "settled", found.channels - found.channels_open, None, found.money.paid_by_channels))
    rows.append(_row("spent", "all", None, None, found.money.paid))
    rows.append(_row("persons", "all", found.persons, None, None))
    for tag, counts in sorted(groups.items()):
        told = suppress_small(counts, size_min)
        rows += [_row("persons", f"{tag} = {value}", count, None, None) for value, count in sorted(told.items())]
        if len(told) < len(counts):
            rows.append(_row("persons", f"{tag}: too few to tell", None, None, None))
    return rows


def export_rows(rows: Sequence[Row], path: Path) -> None:
    """Save as CSV or Parquet, as the name ends; raises CommandFailedError."""
    match path.suffix:
        case ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, _COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            _load_writer()(_COLUMNS, rows, path)
        case _:
            raise CommandFailedError(f"{path}: results are saved as .csv or .parquet")


def _load_writer() -> Callable[[Sequence[str], Sequence[Row], Path], None]:
    try:
        from economy.result_tables import write_parquet
    except ImportError:
        raise CommandFailedError("Parquet takes the package pyarrow: pip install 'carlive[economy]'") from None
    return write_parquet


def _row(measure: str, group: str, count: int | None, units: int | None, grains: int | None) -> Row:
    return dict(zip(_COLUMNS, (measure, group, count, units, grains), strict=True))


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and all(type(each) is int and each >= 0 for each in value.values())
