"""Runs files of the WASM core test-suite, converted to JSON and binaries, through the gate and wasmtime.

A case ends in one of five ways, and every case is counted:
* passed: the instrumented module did what the suite demands, or the gate refused what the suite calls wrong;
* failed;
* refused as meant: the case needs what contracts do not get (floats, imports, growing memories, ...);
* text: the case is about the text format, which the gate does not read;
* left out: it calls a function that needs what contracts do not get, and that `convert.py` replaced by a stub.
"""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import wasmtime

from vm.contracts.encoder import encode_section, encode_unsigned, encode_vector
from vm.contracts.gate import RefusalKind, RefusedError, check_module
from vm.contracts.instrumenter import GAS_EXPORT, TRAP_CALL_DEPTH, TRAP_EXPORT
from vm.contracts.parser import SECTION_MEMORY, SECTION_TABLE, Reader

GAS_START_UNITS = 10**12
SIZE_MAX = 65_536  # of a memory; what is larger is left to the gate to refuse

TRAPS = {
    "unreachable": wasmtime.TrapCode.UNREACHABLE,
    "integer divide by zero": wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO,
    "integer overflow": wasmtime.TrapCode.INTEGER_OVERFLOW,
    "out of bounds memory access": wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS,
    "indirect call type mismatch": wasmtime.TrapCode.BAD_SIGNATURE,
    "indirect call": wasmtime.TrapCode.BAD_SIGNATURE,
    "undefined element": wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS,
    "undefined": wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS,
    "uninitialized element": wasmtime.TrapCode.INDIRECT_CALL_TO_NULL,
    "uninitialized": wasmtime.TrapCode.INDIRECT_CALL_TO_NULL,
}


class Folder(Protocol):
    """A folder or a ZIP archive: `pathlib.Path` or `zipfile.Path`."""

    def __truediv__(self, name: str) -> "Folder": ...
    def read_bytes(self) -> bytes: ...


class Outcome(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    REFUSED = "refused as meant"
    TEXT = "text format"
    LEFT_OUT = "left out"


@dataclass
class Instance:
    """A running module."""

    store: wasmtime.Store
    instance: wasmtime.Instance

    def get(self, name: str) -> Any:
        return self.instance.exports(self.store)[name]

    def call(self, name: str, arguments: list[int]) -> Any:
        self.get(GAS_EXPORT).set_value(self.store, GAS_START_UNITS)
        return self.get(name)(self.store, *arguments)


@dataclass
class Report:
    """What happened to one file."""

    name: str
    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def fix_sizes(code: bytes) -> bytes:
    """Give memories and tables a maximum equal to their minimum: without `memory.grow` that changes nothing."""
    reader = Reader(code, 8, len(code))
    parts = [code[:8]]
    while reader.at < reader.end:
        start = reader.at
        number = reader.byte()
        size = reader.unsigned()
        section = Reader(code, reader.at, reader.at + size)
        reader.take(size)
        if number not in (SECTION_TABLE, SECTION_MEMORY):
            parts.append(code[start : reader.at])
            continue
        items = []
        for _ in range(section.unsigned()):
            kind = section.take(1) if number == SECTION_TABLE else b""
            flags = section.unsigned()
            least = section.unsigned()
            most = section.unsigned() if flags else least
            if flags > 1 or not least <= most <= SIZE_MAX:
                return code
            items.append(kind + b"\x01" + encode_unsigned(least) * 2)
        parts.append(encode_section(number, encode_vector(items)))
    return b"".join(parts)


class SuiteRun:
    """One file: modules follow each other, and cases call the last one or one by its name."""

    def __init__(self, folder: Folder, name: str) -> None:
        self.folder = folder
        self.report = Report(name)
        self.engine = wasmtime.Engine()
        self.last: Instance | None = None
        self.named: dict[str, Instance | None] = {}

    def run(self) -> Report:
        """All cases of the file."""
        text = (self.folder / f"{self.report.name}.json").read_bytes()
        content = json.loads(text)
        self.report.counts[Outcome.LEFT_OUT] = content.get("left_out", 0)
        for command in content["commands"]:
            if command["type"] == "register":
                continue  # nothing may import it
            outcome, why = self._run(command)
            self.report.counts[outcome] += 1
            if outcome is Outcome.FAILED:
                self.report.failures.append(f"{self.report.name}.wast:{command['line']}: {command['type']}: {why}")
        return self.report

    def _run(self, command: dict[str, Any]) -> tuple[Outcome, str]:
        if command.get("module_type") == "text":
            return Outcome.TEXT, ""
        match command["type"]:
            case "module":
                return self._load(command)
            case "assert_return" | "action":
                return self._check_return(command)
            case "assert_trap" | "assert_exhaustion" if "action" in command:
                return self._check_trap(command)
            case "assert_malformed" | "assert_invalid":
                return self._check_refused(command, (RefusalKind.MALFORMED, RefusalKind.INVALID))
            case "assert_unlinkable" | "assert_uninstantiable" | "assert_trap":
                return self._check_refused(command, (RefusalKind.NOT_ALLOWED,))
        return Outcome.FAILED, "a case of an unknown kind"

    def _load(self, command: dict[str, Any]) -> tuple[Outcome, str]:
        self.last = None
        outcome, why = Outcome.PASSED, ""
        try:
            code = check_module(fix_sizes((self.folder / command["filename"]).read_bytes()))
            store = wasmtime.Store(self.engine)
            self.last = Instance(store, wasmtime.Instance(store, wasmtime.Module(self.engine, code), []))
        except RefusedError as error:
            is_meant = error.kind in (RefusalKind.NOT_ALLOWED, RefusalKind.LIMIT)
            outcome, why = Outcome.REFUSED if is_meant else Outcome.FAILED, str(error)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            outcome, why = Outcome.FAILED, str(error)
        if "name" in command:
            self.named[command["name"]] = self.last
        return outcome, why

    def _find(self, action: dict[str, Any]) -> Instance | None:
        return self.named[action["module"]] if "module" in action else self.last

    def _perform(self, instance: Instance, action: dict[str, Any]) -> Any:
        if action["type"] == "get":
            return instance.get(action["field"]).value(instance.store)
        return instance.call(action["field"], [_to_signed(each) for each in action["args"]])

    def _check_return(self, command: dict[str, Any]) -> tuple[Outcome, str]:
        instance = self._find(command["action"])
        if instance is None:
            return Outcome.REFUSED, ""
        try:
            got = self._perform(instance, command["action"])
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            return Outcome.FAILED, str(error)
        expected = [_to_signed(each) for each in command["expected"]] if command["type"] == "assert_return" else None
        if expected is not None and got != (expected[0] if expected else None):
            return Outcome.FAILED, f"got {got}, expected {expected}"
        return Outcome.PASSED, ""

    def _check_trap(self, command: dict[str, Any]) -> tuple[Outcome, str]:
        instance = self._find(command["action"])
        if instance is None:
            return Outcome.REFUSED, ""
        try:
            got = self._perform(instance, command["action"])
        except wasmtime.Trap as trap:
            number = instance.get(TRAP_EXPORT).value(instance.store)
            instance.get(TRAP_EXPORT).set_value(instance.store, 0)
            if command["type"] == "assert_exhaustion":
                is_right = number == TRAP_CALL_DEPTH
            else:
                is_right = number == 0 and trap.trap_code == TRAPS[command["text"]]
            return (Outcome.PASSED, "") if is_right else (Outcome.FAILED, f"trap {number}, {trap.trap_code}")
        return Outcome.FAILED, f"got {got}, a trap is expected: {command['text']}"

    def _check_refused(self, command: dict[str, Any], kinds: tuple[RefusalKind, ...]) -> tuple[Outcome, str]:
        code = (self.folder / command["filename"]).read_bytes()
        with suppress(RefusedError):  # if it is that broken, the gate sees it as it is
            code = fix_sizes(code)
        try:
            check_module(code)
        except RefusedError as error:
            return (Outcome.PASSED if error.kind in kinds else Outcome.REFUSED), ""
        return Outcome.FAILED, f"accepted, but: {command['text']}"


def _to_signed(value: dict[str, str]) -> int:
    """The suite writes unsigned decimals, wasmtime gives signed integers."""
    bits = {"i32": 32, "i64": 64}[value["type"]]
    number = int(value["value"])
    return number - (1 << bits) if number >> bits - 1 else number


def format_reports(reports: list[Report]) -> str:
    """A table with a line for each file and one for all."""
    lines = [f"{'file':28}" + "".join(f"{outcome.value:>18}" for outcome in Outcome)]
    total: Counter[Outcome] = Counter()
    for report in reports:
        lines.append(f"{report.name:28}" + "".join(f"{report.counts[outcome]:18,}" for outcome in Outcome))
        total += report.counts
    lines.append(f"{'all':28}" + "".join(f"{total[outcome]:18,}" for outcome in Outcome))
    return "\n".join(lines)
