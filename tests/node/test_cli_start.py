import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli.failures import ExitCode
from node.cli.main import cli
from node.cli.start_command import find_cause, parse_log_levels
from node.config import list_settings
from node.errors import ConfigurationError, StoreDamagedError

WAITING = """
import asyncio, sys
from node.cli.start_command import run_until_signalled

async def work(stop):
    print("running", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    if "stubborn" in sys.argv:
        await asyncio.sleep(60)
    if "deaf" in sys.argv:
        import time
        time.sleep(60)

run_until_signalled(work, stop_when_stdin_closes=True)
print("stopped", flush=True)
"""


def begin(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_order(number: signal.Signals) -> None:
    with begin() as process:
        process.send_signal(number)
        assert process.communicate()[0] == "stopping\nstopped\n"
    assert process.returncode == 0


def test_the_second_signal_ends_at_once() -> None:
    with begin("stubborn") as process:
        process.terminate()
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping\n"
        process.terminate()
        assert process.wait(timeout=5) == ExitCode.INTERRUPTED


def test_it_stops_when_its_parent_is_gone() -> None:
    with begin() as process:
        assert process.communicate(timeout=5)[0] == "stopping\nstopped\n"
    assert process.returncode == 0


def test_even_a_deaf_one_ends_when_its_parent_is_gone() -> None:
    with begin("deaf") as process:
        process.communicate(timeout=10)
    assert process.returncode == ExitCode.INTERRUPTED


def test_every_setting_is_an_option() -> None:
    shown = CliRunner().invoke(cli, ["start", "--help"]).output
    for name, _, _ in list_settings():
        assert f"--{name.replace('_', '-')} " in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rpc-port", "many"], "--rpc-port is a number"),
        (["--rpc-port", "70000"], "from 0 to 65535"),
        (["--dev-enabled", "perhaps"], "true or false"),
        (["--node-log-levels", "loud"], "component=level"),
        (["--rpc-prot", "1"], "--rpc-port"),
    ],
)
def test_a_bad_setting_is_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["start", "--home", str(tmp_path), *arguments])
    assert result.exit_code == ExitCode.WRONG_USE
    assert message in result.stderr


def test_a_home_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["start", "--home", str(tmp_path / "x")])
    assert result.exit_code == ExitCode.WRONG_USE
    assert "carlive init" in result.stderr


@pytest.mark.parametrize("command", [["start", "--home", "."], ["devnet"]])
def test_without_asserts_nothing_runs(tmp_path: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", "node.cli.main", *command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
    )
    assert done.returncode == ExitCode.WRONG_USE
    assert "-O" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_levels_by_component() -> None:
    assert parse_log_levels(("default=info", " p2p = debug ")) == {"default": "info", "p2p": "debug"}


@pytest.mark.parametrize("entry", ["", "info", "=info", "p2p=", "p2p=loud", "p2p=info=debug"])
def test_bad_levels_are_refused(entry: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_log_levels((entry,))


def test_the_operators_mistake_is_found_among_what_failed_with_it() -> None:
    damage = StoreDamagedError("the disk")
    group = BaseExceptionGroup("tasks", [ValueError("x"), ExceptionGroup("inner", [damage])])
    assert find_cause(group) is damage
    fault = ValueError("x")
    assert find_cause(ExceptionGroup("tasks", [fault])) is fault
