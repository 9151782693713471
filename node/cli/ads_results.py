"""Results for an advertiser: what the chain counts, and groups of persons by tag that are large enough."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.cli.did_signing import read_json_file
from node.cli.failures import CommandFailedError

if TYPE_CHECKING:
    from identity.targeting import TagValue
    from rpc.models import AdsCampaignView

Groups = Mapping[str, Mapping[str, int]]
"""Persons by value, by tag."""
Group = tuple[str, str]
"""A tag and one of its values."""
Row = dict[str, Any]
UNKNOWN: Final = "unknown"
"""The group of those who lack a tag, keep it back, or have this text in it."""
_COLUMNS: Final = ("measure", "group", "count", "units", "grains")


def read_buckets(path: Path) -> Groups:
    """Counts of persons by tag and value, as a matcher reports them; raises CommandFailedError."""
    record = read_json_file(path)
    if not isinstance(record, dict) or not all(_is_counts(each) for each in record.values()):
        raise CommandFailedError(f'{path} holds no counts by tag, as in {{"place.city": {{"Foshan": 120}}}}')
    return record


def count_groups(persons: Iterable[Mapping[str, "TagValue"]], names: Sequence[str], size_min: int) -> Groups:
    """Counts of persons by value of each of these tags that give no small group away: what a matcher may report.

    Whoever lacks a tag, or keeps it back, is UNKNOWN; of a set, every text counts. See `_find_told`.
    """
    members: dict[Group, set[int]] = {}
    everybody: set[int] = set()
    for person, tags in enumerate(persons):
        everybody.add(person)
        for name in names:
            for value in _list_values(tags.get(name)):
                members.setdefault((name, value), set()).add(person)
    told = _find_told(members, everybody, size_min)
    return {name: {value: len(members[tag, value]) for tag, value in sorted(told) if tag == name} for name in names}


def _find_told(members: Mapping[Group, set[int]], everybody: set[int], size_min: int) -> set[Group]:
    """Groups that are large enough, and from which no small one can be computed.

    Of everybody, and of every group that is told, the groups of one tag inside it may be subtracted, each alone and all
    together; when fewer than the minimum are left, but somebody, the smallest of them is not told either. So a district
    does not go out beside its city when the rest of the city is small.
    """
    told = {group for group, found in members.items() if len(found) >= size_min}
    pairs: list[tuple[Group | None, set[int], list[Group]]] = []
    for whole, found in [(None, everybody), *((group, members[group]) for group in sorted(told))]:
        inside = [group for group in sorted(told) if group != whole and members[group] <= found]
        pairs += [(whole, found, list(groups)) for _, groups in groupby(inside, key=lambda group: group[0])]
    is_settled = False
    while not is_settled:
        is_settled = True
        for whole, found, inside in pairs:
            left = [group for group in inside if group in told]
            if left and (whole is None or whole in told) and _is_revealing(found, [members[g] for g in left], size_min):
                told.remove(min(left, key=lambda group: (len(members[group]), group)))
                is_settled = False
    return told


def _is_revealing(whole: set[int], parts: Sequence[set[int]], size_min: int) -> bool:
    """Whether too few, but somebody, are left of a group without some others."""
    rests = [whole.difference(*parts), *(whole - part for part in parts)]
    return any(0 < len(rest) < size_min for rest in rests)


def _list_values(value: "TagValue | None") -> list[str]:
    if value is None:
        return [UNKNOWN]
    if isinstance(value, frozenset):
        return sorted(value) or [UNKNOWN]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def suppress_small(counts: Mapping[str, int], size_min: int, rest: int = 0) -> dict[str, int]:
    """The groups that may be told: of enough persons, and never so that the sum gives a small number away.

    `rest` persons are in none of them. When those that are not told come to fewer than the minimum together, the
    smallest that is left goes with them.
    """
    kept = sorted(counts.items(), key=lambda each: (each[1], each[0]))
    hidden = 0
    while kept and (kept[0][1] < size_min or ((len(kept) < len(counts) or rest) and hidden + rest < size_min)):
        hidden += kept.pop(0)[1]
    told = dict(kept)
    return {name: count for name, count in counts.items() if name in told}


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
        rest = max(0, found.persons - sum(counts.values()))  # of a set's texts there may be more than persons
        told = suppress_small(counts, size_min, rest)
        rows += [_row("persons", f"{tag} = {value}", count, None, None) for value, count in sorted(told.items())]
        if rest or len(told) < len(counts):
            rows.append(_row("persons", f"{tag}: unknown or too few to tell", None, None, None))
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
