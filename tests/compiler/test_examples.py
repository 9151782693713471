"""Every example contract shows the same under CPython and as WebAssembly: results, failures, storage, events, money."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler import compile_source
from contracts.maintenance.maintenance import NO_DID
from iov import Did, HostError, RevertError
from iov.contract import list_parameter_types
from iov.packing import from_plain, to_plain
from iov.testing import START_TIME_MS, Chain
from iov.values import Address
from tests.compiler import mirror
from tests.compiler.both import Outcome, get_contract_class, load_module, load_wasm
from tests.compiler.on_chain import OnChain
from tests.compiler.wasm_host import Refused, Reverted, World
from vm.contracts.abi import Method, MethodKind
from vm.contracts.gate import check_contract

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "contracts"
SOURCES = sorted(path for path in EXAMPLES.glob("*/*.py") if path.stem == path.parent.name)
CODE_BYTES_MAX = {"token": 4_000, "vote": 7_500, "credits": 9_500}
"""What is measured, and some room; any other example has at most 6,500."""
ADDRESS = Address(bytes(19) + b"\x07")
DIDS = [Did(bytes([number]) * 20) for number in range(0x41, 0x45)]
NAMES = {"alice": DIDS[0], "bob": DIDS[1], "carol": DIDS[2], "dave": DIDS[3], "erin": None}
"""People with their DIDs."""
PEOPLE = [Chain().account(name) for name in NAMES]
START_GRAINS = 10**6
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MIRROR_TIMEOUT_S = 250


@dataclass(frozen=True)
class Step:
    """One transaction, some time after the one before."""

    method: str
    arguments: tuple[Any, ...]
    sender: int = 0
    value: int = 0
    blocks: int = 1
    milliseconds: int = 1


class Pair:
    """An example on both sides, and people with money."""

    def __init__(self, name: str) -> None:
        """Deploy without running the init method."""
        source = read_source(name)
        self.instance = load_wasm(source)
        self.contract = get_contract_class(load_module(source))()
        self.chain = Chain()
        self.chain.place(ADDRESS, self.contract)
        for name, did in NAMES.items():
            self.chain.account(name, START_GRAINS, did)
        self.world = World(address=bytes(ADDRESS), balances={bytes(each): START_GRAINS for each in PEOPLE})

    def run(self, step: Step) -> Outcome:
        """Send a transaction on both sides; both must show the same."""
        self.chain.advance(step.blocks, step.milliseconds)
        python, wasm = self._run_python(step), self._run_wasm(step)
        assert wasm == python
        held = {bytes(each): self.chain.balance(each) for each in (ADDRESS, *PEOPLE)}
        assert {each: self.world.balances.get(each, 0) for each in held} == held
        return wasm

    def _run_python(self, step: Step) -> Outcome:
        method = getattr(self.contract, step.method)
        kinds, _ = list_parameter_types(method)
        typed = [from_plain(kind, each) for kind, each in zip(kinds, step.arguments, strict=True)]
        sender, is_view = PEOPLE[step.sender], method.__iov_kind__ is MethodKind.VIEW
        result, failure = None, None
        try:
            answer = self.chain.enter(sender, sender, ADDRESS, step.method, typed, step.value, is_view=is_view)
            result = to_plain(answer)
        except RevertError as error:
            failure = int(error.code)
        except HostError as error:
            failure = error.reason
        events = [
            (type(each.event).__name__, [to_plain(getattr(each.event, name)) for name in each.event.__slots__])
            for each in self.chain.events
        ]
        return Outcome(result, failure, self.chain.storage(self.contract), events)

    def _run_wasm(self, step: Step) -> Outcome:
        world, sender = self.world, bytes(PEOPLE[step.sender])
        world.caller = world.signer = sender
        world.signer_did = self.chain.get_did(PEOPLE[step.sender])
        world.height, world.time_ms, world.value = int(self.chain.height), int(self.chain.time_ms), step.value
        (declared,) = [each for each in self.instance.interface.methods if each.name == step.method]
        result, failure = None, None
        before = dict(world.balances)
        try:
            if step.value and not declared.is_payable:
                raise Refused("NOT_PAYABLE")
            world.balances[sender] -= step.value
            world.balances[bytes(ADDRESS)] = world.balances.get(bytes(ADDRESS), 0) + step.value
            result = self.instance.run(world, step.method, list(step.arguments))
        except (Reverted, Refused) as error:
            world.balances = before
            failure = error.code if isinstance(error, Reverted) else error.reason
        return Outcome(result, failure, dict(sorted(world.storage.items())), list(world.events))


@cache
def read_source(name: str) -> str:
    """The source of an example."""
    return (EXAMPLES / name / f"{name}.py").read_text(encoding="utf-8")


addresses = st.sampled_from([bytes(each) for each in PEOPLE])
dids = st.sampled_from([bytes(each) for each in DIDS])
numbers = st.sampled_from([1, 1, 2, 2, 3, 0, 4])
moments_ms = st.sampled_from([START_TIME_MS + days * DAY_MS for days in (4, 5, 6, 7, 9, 1, -2)] + [0, (1 << 64) - 1])
amounts = st.integers(1, 30) | st.sampled_from([2, 10, 20, 0, 1 << 63, (1 << 64) - 1])
hashes = st.sampled_from([bytes(32), b"\x01" * 32, b"short"])
mileages_km = amounts | st.sampled_from([5_000_001])

Calls = dict[str, tuple[st.SearchStrategy[Any], ...]]
"""Every method with strategies for its arguments."""

METHODS: dict[str, Calls] = {
    "membership": {
        "mint": (addresses, st.integers(0, 4), moments_ms),
        "transfer": (numbers, addresses),
        "renew": (numbers, moments_ms),
        "change_tier": (numbers, st.integers(0, 4)),
        "burn": (numbers,),
        "hand_over": (addresses,),
        "owner_of": (numbers,),
        "find_pass": (numbers,),
        "has_benefits": (addresses, numbers, st.integers(0, 4)),
        "balance_of": (addresses,),
        "count": (),
        "list_passes": (numbers,),
    },
    "escrow": {
        "open_deal": (
            addresses,
            addresses,
            moments_ms,
            st.sampled_from([0, 0, 20, 1]),
            st.sampled_from([HOUR_MS, DAY_MS, 0, 91 * DAY_MS]),
        ),
        "release": (numbers,),
        "refund": (numbers,),
        "dispute": (numbers,),
        "rule": (numbers, amounts),
        "conclude": (numbers,),
        "withdraw": (addresses,),
        "find_deal": (numbers,),
        "due_to": (addresses,),
        "count": (),
    },
    "vote": {
        "register": (st.lists(st.tuples(addresses, amounts).map(list), max_size=4),),
        "open_vote": (moments_ms,),
        "cast": (st.integers(0, 4),),
        "delegate": (addresses,),
        "take_back": (),
        "close": (),
        "result": (),
        "find_member": (addresses,),
        "decides_for": (addresses,),
        "list_weights": (numbers,),
    },
    "credits": {
        "admit_issuer": (addresses, amounts),
        "stop_issuer": (addresses,),
        "admit_workshop": (addresses,),
        "stop_workshop": (addresses,),
        "grant": (addresses, addresses, amounts, moments_ms),
        "redeem": (addresses, amounts, hashes),
        "expire": (addresses, addresses),
        "settle": (addresses, amounts),
        "credits_of": (addresses, addresses),
        "list_lots": (addresses, addresses),
        "find_issuer": (addresses,),
        "owed_by": (addresses, addresses),
        "list_debts": (addresses, numbers),
    },
    "maintenance": {
        "register": (dids, dids, mileages_km.map(lambda each: each % 10_000_000)),
        "authorise": (dids, dids, moments_ms),
        "revoke": (dids, dids),
        "change_owner": (dids, dids),
        "write": (dids, st.integers(0, 6), mileages_km.map(lambda each: each % 10_000_000), hashes),
        "find_vehicle": (dids,),
        "may_write": (dids, dids),
        "list_entries": (dids, numbers),
        "count": (),
        "list_vehicles": (numbers,),
    },
}
"""Methods but init."""

USUAL: dict[str, dict[str, int]] = {
    "membership": {"mint": 0, "transfer": 1, "renew": 0, "change_tier": 0, "burn": 1, "hand_over": 0},
    "escrow": {"open_deal": 0, "release": 0, "refund": 1, "rule": 2},
    "vote": {"register": 0, "open_vote": 0},
    "credits": {
        **dict.fromkeys(["admit_issuer", "stop_issuer", "admit_workshop", "stop_workshop", "redeem"], 0),
        "grant": 1,
        "settle": 2,
    },
    "maintenance": {"register": 0, "authorise": 1, "revoke": 1, "change_owner": 1, "write": 2},
}
"""Who calls a method more often than others."""

A, B, C, D, E = (bytes(each) for each in PEOPLE)
LATER_MS = START_TIME_MS + 5 * DAY_MS
OPENINGS: dict[str, list[Step]] = {
    "membership": [
        Step("create", ("Riders' club", 3)),
        Step("mint", (B, 2, LATER_MS)),
        Step("mint", (C, 1, START_TIME_MS + DAY_MS)),
    ],
    "escrow": [
        Step("create", ()),
        Step("open_deal", (B, C, LATER_MS, 0, DAY_MS), value=1_001),
        Step("open_deal", (C, D, START_TIME_MS + DAY_MS, 40, HOUR_MS), sender=1, value=7),
        Step("dispute", (1,), sender=1),
    ],
    "vote": [
        Step("create", ("Another workshop?", 3, 5_000)),
        Step("register", ([[A, 5], [B, 7], [C, 11], [D, 13]],)),
        Step("open_vote", (LATER_MS,)),
        Step("delegate", (B,)),
    ],
    "credits": [
        Step("create", ()),
        Step("admit_issuer", (B, 2)),
        Step("admit_issuer", (C, 3)),
        Step("admit_workshop", (D,)),
        Step("grant", (A, D, 20, START_TIME_MS + DAY_MS), sender=1),
        Step("grant", (A, D, 30, LATER_MS), sender=2),
        Step("redeem", (D, 25, bytes(32))),
    ],
    "maintenance": [
        Step("create", (bytes(DIDS[0]),)),
        Step("register", (bytes(DIDS[3]), bytes(DIDS[1]), 10)),
        Step("authorise", (bytes(DIDS[3]), bytes(DIDS[2]), LATER_MS), sender=1),
        Step("write", (bytes(DIDS[3]), 1, 20, bytes(32)), sender=2),
    ],
}
"""From init to a state in which every method can succeed."""


@st.composite
def steps(draw: Callable[..., Any], name: str) -> Step:
    """Any call by anybody, now and then with money or after days."""
    method = draw(st.sampled_from(sorted(METHODS[name])))
    arguments = tuple(draw(each) for each in METHODS[name][method])
    is_view = find_method(name, method).kind is MethodKind.VIEW
    value = 0 if is_view else draw(st.sampled_from([0, 0, 0, 1, 10, 60]))
    everybody = list(range(len(PEOPLE)))
    usual = USUAL[name].get(method)
    sender = draw(st.sampled_from(everybody if usual is None else [*[usual] * len(PEOPLE), *everybody]))
    return Step(method, arguments, sender, value, 1, draw(st.sampled_from([1, 1, 1, HOUR_MS, DAY_MS])))


def find_method(name: str, method: str) -> Method:
    """A method as the compiled interface declares it."""
    return next(each for each in load_wasm(read_source(name)).interface.methods if each.name == method)


def open_pair(name: str) -> Pair:
    """An example after its opening."""
    pair = Pair(name)
    for step in OPENINGS[name]:
        assert pair.run(step).failure is None, step
    return pair


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_an_example_compiles_to_little_code(path):
    code = compile_source(path.read_text(encoding="utf-8"), str(path)).code
    assert len(code) <= CODE_BYTES_MAX.get(path.stem, 6_500)


def test_the_smallest_contract_has_less_than_1_kb():
    source = (
        "from iov import Contract, Var, call, init, u64, view\n"
        "class Counter(Contract):\n"
        "    count: Var[u64]\n"
        "    @init\n    def create(self) -> None:\n        self.count = u64(0)\n"
        "    @call\n    def increment(self) -> None:\n        self.count += 1\n"
        "    @view\n    def get(self) -> u64:\n        return self.count\n"
    )
    assert len(compile_source(source, "counter.py").code) < 1_000


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_same_source_gives_the_same_bytes_in_every_process(path):
    program = (
        "import sys, pathlib, hashlib, compiler\n"
        "source = pathlib.Path(sys.argv[1]).read_text(encoding='utf-8')\n"
        "print(hashlib.sha256(compiler.compile_source(source, 'contract.py').code).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_example_passes_the_gate_with_all_its_methods(name):
    checked = check_contract(compile_source(read_source(name), f"{name}.py").code)
    declared = {each.name for each in checked.interface.methods if each.kind is not MethodKind.INIT}
    assert declared == set(METHODS[name])


@pytest.mark.parametrize("name", sorted(METHODS))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_example_shows_the_same_on_both_sides(name, data):
    pair = open_pair(name)
    for step in data.draw(st.lists(steps(name), min_size=12, max_size=24)):
        pair.run(step)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_opening_is_the_same_on_the_engine_of_a_node(name):
    pair = Pair(name)
    node = OnChain(compile_source(read_source(name), f"{name}.py").code, PEOPLE, START_GRAINS)
    create, *following = OPENINGS[name]
    pair.run(create)
    node.seal(*create.arguments)
    for step in following:
        expected = pair.run(step)
        node.height, node.time_ms = int(pair.chain.height), int(pair.chain.time_ms)
        seen = node.run(step.sender, step.method, *step.arguments, value=step.value)
        if name == "maintenance":
            assert seen.failure == NO_DID, "accounts of the chain have no DIDs yet"
        else:
            assert seen == expected
            assert [node.get_grains(each) for each in PEOPLE] == [pair.chain.balance(each) for each in PEOPLE]


def list_failure_codes(name: str) -> set[int]:
    """What the source hands to `require` and `revert`."""
    module = load_module(read_source(name))
    codes = set()
    for node in ast.walk(ast.parse(read_source(name))):
        match node:
            case ast.Call(func=ast.Name(id="require"), args=[_, ast.Name(id=code)]):
                codes.add(getattr(module, code))
            case ast.Call(func=ast.Name(id="revert"), args=[ast.Name(id=code)]):
                codes.add(getattr(module, code))
    return codes


def test_every_rule_that_the_examples_test_holds_on_both_sides(tmp_path):
    report = tmp_path / "compared.json"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", mirror.__name__, *(str(each.parent) for each in SOURCES)],
        cwd=ROOT,
        env=os.environ | {mirror.REPORT_VARIABLE: str(report), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=MIRROR_TIMEOUT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    compared = json.loads(report.read_text())
    for name in (each.stem for each in SOURCES):
        contract = get_contract_class(load_module(read_source(name))).__name__
        methods = {each.name for each in load_wasm(read_source(name)).interface.methods}
        assert {method for each, method, code, _ in compared if (each, code) == (contract, 0)} == methods
        assert {code for each, _, code, _ in compared if each == contract} - {0} == list_failure_codes(name)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_page_tells_all_methods_events_and_failures(name):
    page = (ROOT / "docs" / "contracts" / f"{name}.md").read_text(encoding="utf-8")
    interface = load_wasm(read_source(name)).interface
    for method in interface.methods:
        parameters = ", ".join(f"{each.name}: {each.type}" for each in method.parameters)
        assert f"| `{method.name}({parameters})` | {method.kind.name.lower()}" in page
    for event in interface.events:
        fields = ", ".join(f"`{each.name}: {each.type}`" for each in event.fields)
        assert f"| `{event.name}` | {fields} |" in page
    module = load_module(read_source(name))
    told = {int(code): constant for code, constant in re.findall(r"^\| (\d+) \| `([A-Z_]+)` \|", page, re.MULTILINE)}
    assert set(told) == list_failure_codes(name)
    assert all(getattr(module, constant) == code for code, constant in told.items())
