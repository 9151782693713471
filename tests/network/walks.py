"""Walks: documents whose commands are run as they stand there on a devnet, and whose outputs are compared."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.node.test_devnet_network import RunningDevnet, find_ports

DOCUMENTS = Path(__file__).parents[2] / "docs"
WALK_SECONDS_MAX = 600.0
"""Of one document: several times what it takes on an idle machine; below the time that a test has."""
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"# exit code (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """Commands of the document, and what it says about them."""

    commands: str
    lines: list[str]
    """Lines of the output, in their order, among others; … is anything."""

    def list_codes(self) -> list[int]:
        """Exit codes of the commands that fail."""
        return [int(code) for code in _EXIT_CODE.findall(self.commands)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step."""

    output: str
    codes: list[int]


def read_steps(document: Path) -> list[Step]:
    """Blocks of commands, each with the block of output that may follow."""
    blocks = _BLOCK.findall(document.read_text(encoding="utf-8"))
    following = [*blocks[1:], ("sh", "")]
    return [
        Step(text, shown.splitlines() if kind == "text" else [])
        for (language, text), (kind, shown) in zip(blocks, following, strict=True)
        if language == "sh"
    ]


def run_steps(steps: list[Step], directory: Path, environment: dict[str, str]) -> list[Outcome]:
    """All of them in one shell, as somebody types them; a command that fails leaves its code behind."""
    script = ["trap 'echo \"@failed $?\"' ERR", *(f"{step.commands}\necho @step" for step in steps)]
    found = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WALK_SECONDS_MAX,
        check=False,
    )
    outputs = found.stdout.split("@step\n")[:-1]
    failed = re.compile(r"^@failed (\d+)\n", re.MULTILINE)
    return [Outcome(failed.sub("", output), [int(code) for code in failed.findall(output)]) for output in outputs]


def find_missing(lines: list[str], output: str) -> str | None:
    """The first line that the output does not have after those before it; how wide columns are does not matter."""
    left = (" ".join(each.split()) for each in output.splitlines())
    for line in lines:
        pattern = re.compile(".*".join(map(re.escape, " ".join(line.split()).split("…"))))
        if not any(pattern.fullmatch(each) for each in left):
            return line
    return None


@contextmanager
def open_environment(directory: Path) -> Iterator[dict[str, str]]:
    """A devnet whose home lies where commands are called, with a `carlive` and a `python3` that are this program's."""
    programs = directory / "bin"
    programs.mkdir()
    for name, options in (("carlive", "-P -m node.cli.main "), ("python3", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {options}"$@"\n')
        (programs / name).chmod(0o755)
    devnet = RunningDevnet(directory / ".devnet", "--validators", "1", "--port", str(find_ports(1)))
    try:
        url = devnet.wait_for("ready")["nodes"][0]["rpc"].removesuffix("/rpc")
        yield {**os.environ, "CARLIVE_NODE": url, "PATH": f"{programs}:{os.environ['PATH']}"}
        devnet.stop()
    finally:
        devnet.close()


def walk(document: Path, directory: Path, commands_min: int) -> None:
    """Every command does what is written; fewer than so many: the document was not read."""
    steps = read_steps(document)
    with open_environment(directory) as environment:
        started_s = time.monotonic()
        outcomes = run_steps(steps, directory, environment)
        print(f"{document.name} took {time.monotonic() - started_s:.0f} s")
    for step, outcome in zip(steps, outcomes, strict=False):
        assert outcome.codes == step.list_codes(), f"{step.commands}\n{outcome.output}"
        missing = find_missing(step.lines, outcome.output)
        assert missing is None, f"{missing}\nis missing after\n{step.commands}\n{outcome.output}"
    assert len(outcomes) == len(steps)
    commands = "".join(step.commands for step in steps)
    assert sum("carlive" in line for line in commands.splitlines()) > commands_min, "the whole document was read"
