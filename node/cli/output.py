"""What commands print on standard output: a table for people, JSON or one field of it for programs.

Everything else goes to standard error.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from node.cli.failures import CommandFailedError

Function = TypeVar("Function", bound=Callable[..., Any])
Formats = Mapping[str, Callable[[Any], str]]
"""How the table shows a field."""

_WIDE_COLUMNS: Final = 400  # no terminal: nothing is wrapped or cut
_FIELD_STYLE: Final = "field="
_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNIT: Final = re.compile(r" (grains|ms)$")


class Output:
    """One of the styles."""

    def __init__(self, style: str) -> None:
        self.is_json = style != "table"
        """Whether what is shown is for programs."""
        self._field = style.removeprefix(_FIELD_STYLE) if style.startswith(_FIELD_STYLE) else None

    def show_record(self, record: Mapping[str, Any], formats: Formats | None = None) -> None:
        """One thing: JSON as it is, or a line per field."""
        if self._field is not None:
            click.echo(_pick(record, self._field))
        elif self.is_json:
            click.echo(json.dumps(record, indent=2))
        else:
            click.echo(format_record(record, formats))

    def show_list(
        self,
        records: Sequence[Mapping[str, Any]],
        columns: Sequence[str],
        formats: Formats | None = None,
        empty: str = "",
    ) -> None:
        """Many things of a kind: a JSON list, or a table of these columns."""
        if self._field is not None:
            for record in records:
                click.echo(_pick(record, self._field))
            return
        if self.is_json:
            click.echo(json.dumps(list(records), indent=2))
            return
        if not records:
            click.echo(empty, err=True)
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(_to_label(column, formats), overflow="fold")
        for record in records:
            table.add_row(*[Text(_to_text(record.get(column), column, formats or {})) for column in columns])
        width = None if sys.stdout.isatty() else _WIDE_COLUMNS
        Console(width=width, soft_wrap=width is not None).print(table)

    def show_line(self, record: Mapping[str, Any], text: str) -> None:
        """One of a stream of things: a line of JSON, or this text."""
        if self._field is not None:
            click.echo(_pick(record, self._field))
        else:
            click.echo(json.dumps(record) if self.is_json else make_printable(text))

    def show_text(self, text: str) -> None:
        """For people only."""
        if not self.is_json:
            click.echo(text)


def output_option(function: Function) -> Function:
    """Add --output; the command gets an `output`."""
    return click.option(
        "--output",
        "output",
        metavar="[table|json|field=NAME]",
        default="table",
        show_default=True,
        callback=lambda _context, _option, style: _parse_style(style),
        help="How to print the result; field=NAME prints that field of the JSON alone.",
    )(function)


def format_record(record: Mapping[str, Any], formats: Formats | None = None) -> str:
    """Lines of label and value, the values below each other."""
    labels = [_to_label(name, formats) for name in record]
    width = max(map(len, labels), default=0)
    values = [_to_text(value, name, formats or {}) for name, value in record.items()]
    return "\n".join(f"{label:<{width}}  {value}" for label, value in zip(labels, values, strict=True))


def format_fields(fields: Mapping[str, Any]) -> str:
    """A record within a record, on its line."""
    return ", ".join(f"{_to_label(name)} {value}" for name, value in fields.items())


def make_printable(text: str) -> str:
    """Text from elsewhere without what could steer the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _parse_style(style: str) -> Output:
    if style not in ("table", "json") and not style.startswith(_FIELD_STYLE):
        raise click.BadParameter(f"{style!r} is none of table, json, field=NAME", param_hint="--output")
    return Output(style)


def _pick(record: Mapping[str, Any], name: str) -> str:
    """A field alone, text without quotes; raises CommandFailedError."""
    if name not in record:
        raise CommandFailedError(f"--output: there is no field {name!r}; there are: {', '.join(record)}")
    value = record[name]
    return value if isinstance(value, str) else json.dumps(value)


def _to_label(name: str, formats: Formats | None = None) -> str:
    """Words for a name; without its unit when the value is shown with another one."""
    words = _WORD_START.sub(" ", name).lower()
    return _UNIT.sub("", words) if name in (formats or {}) else words


def _to_text(value: Any, name: str, formats: Formats) -> str:
    if value is None:
        return "-"
    if name in formats:
        return make_printable(formats[name](value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return make_printable(json.dumps(value, ensure_ascii=False))
    return make_printable(str(value))
