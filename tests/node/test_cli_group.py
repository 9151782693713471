import json
import subprocess
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import MEANT
from node.cli.main import ENTRIES, cli


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from walk(child, (*path, name))


COMMANDS = dict(walk(cli))
LEAVES = {path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)}


def test_the_table_of_the_root_says_what_the_commands_say() -> None:
    for name, (_, text) in ENTRIES.items():
        first_line = (COMMANDS[(name,)].help or "").split("\n")[0]
        assert text.rstrip(".") in first_line or first_line.rstrip(".") in text or name in ("status",), name


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_prints_json_too(path: tuple[str, ...]) -> None:
    if path[-1] == "start":
        return  # prints nothing but its log
    options = {option for parameter in LEAVES[path].params for option in parameter.opts}
    assert "--output" in options


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "carlive")
def test_every_command_and_option_has_help(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_every_word_of_other_tools_leads_to_a_command() -> None:
    for target in MEANT.values():
        assert tuple(target.split()) in COMMANDS


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["statsu"], "carlive status"),
        (["tx", "tranfser"], "carlive tx transfer"),
        (["send"], "carlive tx transfer"),
        (["trnasfer"], "carlive tx transfer"),
        (["keys", "lst"], "carlive keys list"),
        (["zzz"], "there are: devnet"),
        (["keys", "new", "--tpye", "p256"], "--type"),
        (["tx", "transfer"], "missing option"),
    ],
)
def test_a_wrong_command_says_which_one_was_meant(arguments: list[str], advice: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == ExitCode.WRONG_USE
    assert result.stdout == ""
    assert result.stderr.startswith("carlive: ")
    assert advice in result.stderr
    assert "--help" in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_error_of_a_json_command_is_json() -> None:
    result = CliRunner().invoke(cli, ["genesis", "hash", "/nonexistent", "--output", "json"])
    assert result.exit_code == ExitCode.WRONG_USE
    assert json.loads(result.stderr)["error"]["exitCode"] == 2


def test_a_fault_is_one_line_and_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("node.cli.genesis_commands._read", break_down)
    result = CliRunner().invoke(cli, ["genesis", "hash", "x"])
    assert result.exit_code == ExitCode.INTERNAL
    assert "Traceback" not in result.output
    assert "secret detail" not in result.output
    path = result.stderr.split(" are in ")[1].split(",")[0]
    assert "secret detail" in Path(path).read_text()


def test_interrupting_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("node.cli.genesis_commands._read", interrupt)
    assert CliRunner().invoke(cli, ["genesis", "hash", "x"]).exit_code == ExitCode.INTERRUPTED


def test_exit_codes_are_distinct_and_documented() -> None:
    assert len({code.value for code in ExitCode}) == len(ExitCode)
    epilog = cli.epilog or ""
    assert all(f"{code.value} " in epilog for code in ExitCode)
    assert CommandFailedError("x").code is ExitCode.WRONG_USE


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, node.cli.main as main\n"
        "try: main.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'rich', 'aiohttp', 'asyncio', 'nacl', 'cryptography', 'uvloop'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_near_names_do_not_shadow_each_other() -> None:
    assert get_close_matches("peer", ["peers", "info"], 1) == ["peers"]
