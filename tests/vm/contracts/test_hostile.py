"""No module costs the gate more than a second and 256 MiB, and none makes it fail in another way than by refusing."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.vm.contracts.hostile import HOSTILE
from tests.vm.contracts.programs import FIBONACCI, INDIRECT, SIEVE
from tests.wasm_fuzz.oracle import Oracle
from vm.contracts.gate import RefusedError, check_module

ROOT = Path(__file__).parents[3]
SECONDS_MAX = 1.0
ACCEPTED = {
    "empty groups of locals",
    "locals in every function",
    "blocks in blocks, as deep as allowed",
    "many tiny functions",
    "everyone calls everyone",
    "one calls all",
    "a chain of calls",
    "calls that double",
    "operands up and down",
    "a tall stack in unreachable code",
    "only nops",
    "only constants",
    "constants of ten bytes",
    "unreachable code",
    "values through loops in loops",
    "br_tables",
    "br_tables to many labels",
    "br_tables in unreachable code",
    "types like bombs",
    "wide indirect calls",
    "many data segments",
    "all elements in all segments",
    "many exports",
    "a big custom section",
    "a bad name section",
    "a full name section",
}


@cache
def get_measured() -> dict[str, Any]:
    """All hostile modules in a process whose memory is limited."""
    command = [sys.executable, "-m", "tests.vm.contracts.hostile"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr.decode()[-2_000:]
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_module(name: str) -> None:
    measured = get_measured()[name]
    assert measured["seconds"] < SECONDS_MAX
    assert measured["said"].startswith("accepted: ") is (name in ACCEPTED), measured["said"][:200]


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_what_is_accepted_runs_safely(name: str) -> None:
    """wasmtime takes it too, and every function of it ends."""
    assert Oracle().check(HOSTILE[name]()).kind is None


@pytest.mark.parametrize("text", [FIBONACCI, SIEVE, INDIRECT])
def test_truncated_at_every_byte(text: str) -> None:
    code = bytes(wasmtime.wat2wasm(text))
    oracle = Oracle()
    for length in range(len(code)):
        try:
            check_module(code[:length])
        except RefusedError:
            continue
        oracle.check(code[:length])  # what is cut between two sections may still be a module
