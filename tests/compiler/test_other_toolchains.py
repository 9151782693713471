"""Contracts of other toolchains pass the same gate, and do on the engine what the same contract in Python does."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import compile_source
from contracts.other.counter import AMOUNT_ZERO
from iov import Panic
from node.cli.contract_sources import attach_interface
from tests.compiler.both import Both, Outcome
from tests.compiler.on_chain import OnChain
from tests.interop.test_node_wallet import INSTALL_TIMEOUT_S, require_node_and_npm
from vm.contracts.gate import check_contract

OTHER = Path(__file__).parents[2] / "contracts" / "other"
ASSEMBLYSCRIPT = OTHER / "assemblyscript"
INTERFACE = OTHER / "counter.json"
SOURCE = (OTHER / "counter.py").read_text(encoding="utf-8")
COMPILE_TIMEOUT_S = 60
LARGEST = (1 << 64) - 1

amounts = st.sampled_from([0, 1, 2, 1 << 32, LARGEST - 3, LARGEST]) | st.integers(0, LARGEST)
calls = st.lists(st.tuples(st.integers(0, 1), amounts), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def assembled() -> bytes:
    """counter.wat with its interface, as `carlive contract build` makes it."""
    return attach_interface(OTHER / "counter.wat", INTERFACE).code


@pytest.fixture(scope="module")
def assemblyscript(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """counter.ts, compiled by the pinned version, with the same interface."""
    node, npm = require_node_and_npm()
    directory = tmp_path_factory.mktemp("assemblyscript")
    for source in ASSEMBLYSCRIPT.iterdir():
        shutil.copy(source, directory)
    install = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    compile_it = [node, "node_modules/assemblyscript/bin/asc.js", "--config", "asconfig.json"]
    for command, timeout_s in ((install, INSTALL_TIMEOUT_S), (compile_it, COMPILE_TIMEOUT_S)):
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=timeout_s, check=False)
        assert done.returncode == 0, done.stderr
    return attach_interface(directory / "counter.wasm", INTERFACE).code


class Comparison:
    """A module beside the Python source: under CPython, and compiled, on the same engine."""

    def __init__(self, code: bytes) -> None:
        """Publish all of them."""
        self.python = Both(SOURCE)
        self.people = [bytes(self.python.chain.account(name)) for name in ("alice", "bob")]
        self.sides = [OnChain(code, self.people), OnChain(compile_source(SOURCE, "counter.py").code, self.people)]
        self.act(0, "create")
        for side in self.sides:
            side.seal()

    def act(self, sender: int, name: str, *arguments: object) -> Outcome:
        """Let Python do it, in the name of one of the people."""
        self.python.sender = self.python.chain.account(("alice", "bob")[sender])
        return self.python.run_python(name, arguments)

    def run(self, sender: int, name: str, *arguments: object) -> Outcome:
        """Call all of them; all must show the same."""
        expected = self.act(sender, name, *arguments)
        assert [side.run(sender, name, *arguments) for side in self.sides] == [expected, expected]
        return expected


def check_counter(code: bytes) -> None:
    """Results, failures, storage and events that stand here, on all sides."""
    compared = Comparison(code)
    alice, bob = compared.people
    assert compared.run(0, "add", 5).result == 5
    assert compared.run(1, "add", 7).result == 12
    assert compared.run(0, "add", LARGEST - 12) == Outcome(
        LARGEST,
        None,
        {
            b"\0": LARGEST.to_bytes(8, "little"),
            b"\1" + alice: (LARGEST - 7).to_bytes(8, "little"),
            b"\1" + bob: (7).to_bytes(8, "little"),
        },
        [("Added", [alice, 5, 5]), ("Added", [bob, 7, 12]), ("Added", [alice, LARGEST - 12, LARGEST])],
    )
    assert compared.run(0, "add", 0).failure == AMOUNT_ZERO
    assert compared.run(1, "add", 1).failure == Panic.OVERFLOW
    assert compared.run(0, "total").result == LARGEST
    assert compared.run(0, "count_of", bob).result == 7
    assert compared.run(0, "count_of", bytes(20)).result == 0


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=calls)
def check_random_calls(code: bytes, drawn: list[tuple[int, int]]) -> None:
    """Whatever is added by whomever."""
    compared = Comparison(code)
    for sender, amount in drawn:
        compared.run(sender, "add", amount)
        compared.run(sender, "total")
        compared.run(sender, "count_of", compared.people[sender])


def test_the_counter_in_webassembly_text_does_what_the_one_in_python_does(assembled):
    check_counter(assembled)


def test_the_counter_in_webassembly_text_does_so_for_all_amounts(assembled):
    check_random_calls(assembled)


@pytest.mark.xdist_group("interop")
def test_the_counter_in_assemblyscript_does_what_the_one_in_python_does(assemblyscript):
    check_counter(assemblyscript)
    check_random_calls(assemblyscript)


def test_the_python_source_has_the_interface_that_the_others_declare(assembled):
    written, declared = check_contract(compile_source(SOURCE, "counter.py").code), check_contract(assembled)
    for part in ("name", "upgrade", "structs", "methods", "events", "storage"):
        assert getattr(written.interface, part) == getattr(declared.interface, part), part


def test_the_lock_file_pins_versions_and_names_no_download_address():
    lock = (ASSEMBLYSCRIPT / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: each for name, each in json.loads(lock)["packages"].items() if name}
    wanted = json.loads((ASSEMBLYSCRIPT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert (
        wanted.items()
        <= {name.removeprefix("node_modules/"): each["version"] for name, each in packages.items()}.items()
    )
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert not any("resolved" in each for each in packages.values())
