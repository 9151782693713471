"""No work goes unpaid: gas by basic blocks against gas counted instruction by instruction."""

import random
from dataclasses import replace

import pytest
import wasmtime

from tests.vm.contracts.programs import PROGRAMS, Run, Runner
from tests.wasm_fuzz.generator import Generator
from tests.wasm_fuzz.oracle import Oracle
from vm.contracts.gate import check_module
from vm.contracts.instrumenter import ADVANCE_UNITS_MAX, TRAP_OUT_OF_GAS, instrument
from vm.contracts.module import Body, ExportKind, Module
from vm.contracts.opcodes import OPERATORS, PRICE_BRANCH, PRICE_LOOP, Kind
from vm.contracts.parser import Reader, parse_module
from vm.contracts.validator import BasicBlock, CheckedBody, validate_module

IMMEDIATES = {
    **dict.fromkeys((Kind.BLOCK, Kind.LOOP, Kind.IF, Kind.BRANCH, Kind.BRANCH_IF, Kind.CALL, Kind.MEMORY_SIZE), 1),
    **dict.fromkeys((Kind.LOCAL_GET, Kind.LOCAL_SET, Kind.LOCAL_TEE, Kind.GLOBAL_GET, Kind.GLOBAL_SET), 1),
    **dict.fromkeys((Kind.I32_CONST, Kind.I64_CONST), 1),
    **dict.fromkeys((Kind.CALL_INDIRECT, Kind.LOAD, Kind.STORE), 2),
}
MODULES = 250
LOT_UNITS = 10**6
NATIVE_STACK_BYTES = 2 * 2**20  # counting each instruction makes frames larger


def skip_number(reader: Reader) -> None:
    while reader.byte() >= 0x80:
        pass


def split_instructions(module: Module, body: Body, checked: CheckedBody) -> tuple[BasicBlock, ...]:
    """Each instruction as a block of its own; two empty ones before, so that no function is flat, know the callees."""
    reader = Reader(module.code, body.instructions, body.end)
    callees = [callee for block in checked.blocks if block.is_live for callee in block.callees]
    blocks = [BasicBlock(body.instructions, False, True, callees=callees)] * 2
    while reader.at < reader.end:
        at = reader.at
        operator = OPERATORS[reader.byte()]
        blocks.append(BasicBlock(at, False, True, price=operator.price))
        if operator.kind is Kind.BRANCH_TABLE:
            for _ in range(reader.unsigned() + 1):
                skip_number(reader)
        for _ in range(IMMEDIATES.get(operator.kind, 0)):
            skip_number(reader)
        if operator.kind is Kind.LOOP:
            blocks.append(BasicBlock(reader.at, True, True, price=PRICE_LOOP))
    return tuple(blocks)


def count_each_instruction(code: bytes) -> bytes:
    module = parse_module(code)
    checked = validate_module(module, {})
    each = [
        replace(one, blocks=split_instructions(module, body, one))
        for one, body in zip(checked, module.bodies, strict=True)
    ]
    return instrument(module, tuple(each), module.exports)


def run_both(code: bytes, name: str, arguments: list[int]) -> tuple[Run, Run]:
    return _run(check_module(code), code, name, arguments), _run(count_each_instruction(code), code, name, arguments)


def _run(instrumented: bytes, code: bytes, name: str, arguments: list[int]) -> Run:
    oracle = Oracle()  # a fresh one: wasmtime binds types of functions to the engine that uses them first
    hosts = {each.name: (oracle.types[each.name], oracle.build_host(each.name)) for each in parse_module(code).imports}
    config = wasmtime.Config()
    config.max_wasm_stack = NATIVE_STACK_BYTES
    return Runner(instrumented, hosts, config).run(*arguments, name=name, gas_units=LOT_UNITS)


def check(by_blocks: Run, exactly: Run) -> None:
    """At least what each instruction costs, and at most what is paid in advance above it."""
    if TRAP_OUT_OF_GAS in (by_blocks.trap, exactly.trap):
        assert by_blocks.trap == TRAP_OUT_OF_GAS
        return
    assert (by_blocks.result, by_blocks.trap, by_blocks.trap_code) == (exactly.result, exactly.trap, exactly.trap_code)
    assert by_blocks.used_units >= exactly.used_units
    if exactly.trap_code is None:
        branches_max = exactly.used_units // PRICE_BRANCH
        assert by_blocks.used_units <= exactly.used_units + branches_max * ADVANCE_UNITS_MAX


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    text, _ = PROGRAMS[name]
    for argument in (0, 1, 5, 12):
        check(*run_both(bytes(wasmtime.wat2wasm(text)), "run", [argument]))


@pytest.mark.parametrize("first", range(0, MODULES, 50))
def test_random_modules(first: int) -> None:
    ended = 0
    for seed in range(first, first + 50):
        code = Generator(random.Random(seed)).build()
        module = parse_module(code)
        for export in module.exports:
            if export.kind is ExportKind.FUNCTION and export.index >= len(module.imports):
                arguments = [seed % 5] * len(module.get_type(export.index).parameters)
                by_blocks, exactly = run_both(code, export.name, arguments)
                check(by_blocks, exactly)
                ended += exactly.trap_code is None and exactly.used_units > 100
    assert ended > 20, "most random functions should end well, or little is compared"
