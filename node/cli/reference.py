"""Writes docs/cli.md from the commands themselves: python -m node.cli.reference."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from node.cli.failures import ExitCode
from node.cli.main import cli

REFERENCE_FILE: Final = Path(__file__).parents[2] / "docs" / "cli.md"

_EXIT_MEANINGS: Final = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "the transaction was included and failed, what was asked for is not there, or a check failed",
    ExitCode.WRONG_USE: "wrong command, option, file or configuration; nothing was sent",
    ExitCode.UNREACHABLE: "the node does not answer",
    ExitCode.REFUSED: "the node refused: the transaction is not admitted, or the call is not possible now",
    ExitCode.UNDECIDED: "sent, but not final within 30 s; it may still become final",
    ExitCode.INTERNAL: "a fault of carlive itself; the message names a file with the details",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


def build_reference() -> str:
    """The whole page."""
    lines = [
        "# The command line",
        "",
        "Written by `python -m node.cli.reference`; do not edit.",
        "",
        "Results go to standard output, as a table or with `--output json` as JSON; everything else, errors included,",
        'goes to standard error. With `--output json` an error is `{"error": {"message", "exitCode", …}}`, with the',
        "node's `reason` where it gave one. JSON amounts are decimal strings of grains (1 IOV = 100,000,000 grains).",
        "",
        "| exit code | meaning |",
        "|---|---|",
        *[f"| {code.value} | {meaning} |" for code, meaning in _EXIT_MEANINGS.items()],
    ]
    for path, command in _walk(cli, ("carlive",)):
        lines += _describe(path, command)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the file."""
    REFERENCE_FILE.write_text(build_reference(), encoding="utf-8")
    click.echo(f"wrote {REFERENCE_FILE}")


def _walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, f"{name} is in the list"
            yield from _walk(child, (*path, name))


def _describe(path: tuple[str, ...], command: click.Command) -> list[str]:
    name = " ".join(path)
    usage = " ".join([name, *command.collect_usage_pieces(click.Context(command))])
    title = "#" * min(1 + len(path), 3)
    lines = ["", f"{title} {name}", "", f"`{usage}`", "", *_paragraphs(command.help or "")]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        lines += ["", "| option | meaning |", "|---|---|", *[_describe_option(option) for option in options]]
    return lines


def _paragraphs(text: str) -> list[str]:
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text.strip())]
    return [line for index, block in enumerate(blocks) for line in ([block] if index == 0 else ["", block])]


def _describe_option(option: click.Option) -> str:
    context = click.Context(click.Command("any"), max_content_width=10_000, terminal_width=10_000)
    record = option.get_help_record(context)
    assert record is not None, "hidden options are left out"
    names, text = record
    escaped = text.replace("|", "\\|")
    return f"| `{names.replace('|', '/')}` | {escaped} |"


if __name__ == "__main__":
    main()
