"""Writes gas and stack counters into a valid module. The result depends on nothing but the module's bytes.

* Gas. Each basic block subtracts its price from the global `iov_gas` before it runs. The first block of a function,
  the head of every loop, and any block that brings what was subtracted since then above UNCHECKED_UNITS_MAX, also look
  whether anything is left. Calls of the host look before and after. So no work goes unpaid, and a contract that has
  used up its gas stops within a few hundred instructions.
* What follows a `br_if` or `if` and costs no more than ADVANCE_UNITS_MAX is paid before it, whether it runs or not.
* A *flat* function is one basic block without loops or branches that calls only flat ones: its price is added to
  the block that calls it, and it carries no counter at all.
* Stack. A frame costs FRAME_UNITS, its locals, the height of its operands, and the values it computes: more than a
  compiler can keep in the native frame. Functions that call nothing recursive and need little are *shallow*: they are
  not counted, but counted callers pay for the deepest of them. Others count themselves in and out.
* Functions keep their indices. After them come a wrapper for each import, through which it is called, and an entry
  for each exported function, which begins with an empty stack and looks at the gas once more before it ends.
"""

from dataclasses import dataclass
from typing import Final

from vm.contracts.encoder import (
    HEADER,
    encode_name,
    encode_section,
    encode_signed,
    encode_sized,
    encode_type,
    encode_unsigned,
    encode_vector,
)
from vm.contracts.module import Body, Export, ExportKind, FunctionType, Global, Module
from vm.contracts.opcodes import (
    BLOCK,
    CALL,
    EMPTY,
    END,
    GLOBAL_GET,
    GLOBAL_SET,
    I32,
    I32_ADD,
    I32_CONST,
    I32_GREATER_UNSIGNED,
    I32_SUBTRACT,
    I64,
    I64_CONST,
    I64_LESS_SIGNED,
    I64_SUBTRACT,
    IF,
    LOCAL_GET,
    LOCAL_SET,
    PRICE_CALL,
    UNREACHABLE,
)
from vm.contracts.parser import (
    FUNCTION_REFERENCE,
    SECTION_CODE,
    SECTION_DATA,
    SECTION_ELEMENT,
    SECTION_EXPORT,
    SECTION_FUNCTION,
    SECTION_GLOBAL,
    SECTION_IMPORT,
    SECTION_MEMORY,
    SECTION_TABLE,
    SECTION_TYPE,
)
from vm.contracts.validator import CheckedBody

GAS_EXPORT: Final = "iov_gas"
TRAP_EXPORT: Final = "iov_trap"
TRAP_OUT_OF_GAS: Final = 1
TRAP_CALL_DEPTH: Final = 2

UNCHECKED_UNITS_MAX: Final = 1_000  # a few hundred instructions that may run on empty
ADVANCE_UNITS_MAX: Final = 140  # a load, a branch and what belongs to them; counting costs a processor half as much
FLAT_UNITS_MAX: Final = 1_000  # of a flat function; callers' blocks stay small
FRAME_UNITS: Final = 16  # return address, saved registers, what an engine adds
SHALLOW_UNITS_MAX: Final = 256  # what a counted frame pays for uncounted ones below it
STACK_UNITS_MAX: Final = 65_536  # with 8 bytes a unit, half a MiB of native stack

_RETURN_GAS: Final = bytes((I64,))


@dataclass(frozen=True, slots=True)
class Frame:
    """How a function is counted."""

    flat_price: int | None
    """What its one basic block costs with all that it calls, or None."""
    units: int
    """Of the stack; with `is_counted` False, those of all that it calls included."""
    is_counted: bool


@dataclass(frozen=True, slots=True)
class _Counters:
    """Indices of the added globals."""

    gas: int
    trap: int
    depth: int


def instrument(module: Module, bodies: tuple[CheckedBody, ...], kept_exports: tuple[Export, ...]) -> bytes:
    """The module with counters, its host functions wrapped, its exports entered from outside only."""
    counters = _Counters(len(module.globals), len(module.globals) + 1, len(module.globals) + 2)
    frames = compute_frames(module, bodies)
    imports = len(module.imports)
    types = list(module.types)
    known = {kind: index for index, kind in reversed(list(enumerate(types)))}

    def index_type(kind: FunctionType) -> int:
        if kind not in known:
            known[kind] = len(types)
            types.append(kind)
        return known[kind]

    import_entries = []
    function_types = list(module.functions)
    codes = [
        _instrument_body(module, body, checked, frames, frames[imports + index], counters)
        for index, (body, checked) in enumerate(zip(module.bodies, bodies, strict=True))
    ]
    for index, each in enumerate(module.imports):
        kind = module.get_type(index)
        host_type = FunctionType(bytes((I64,)) + kind.parameters, _RETURN_GAS + kind.results)
        names = encode_name(each.module) + encode_name(each.name)
        import_entries.append(names + b"\0" + encode_unsigned(index_type(host_type)))
        function_types.append(index_type(kind))
        codes.append(_build_import_wrapper(index, kind, counters))
    exports = []
    entries: dict[int, int] = {}
    for export in kept_exports:
        if export.kind is ExportKind.FUNCTION and export.index not in entries:
            entries[export.index] = imports + len(function_types)
            kind = module.get_type(export.index)
            function_types.append(index_type(kind))
            callee = _through_wrapper(module, export.index)
            codes.append(_build_entry(callee, kind, frames[export.index].flat_price, counters))
        exports.append(_encode_export(export, entries))
    for name, variable in ((GAS_EXPORT, counters.gas), (TRAP_EXPORT, counters.trap)):
        exports.append(encode_name(name) + bytes((ExportKind.GLOBAL.value,)) + encode_unsigned(variable))

    sections = [
        (SECTION_TYPE, [encode_type(kind) for kind in types]),
        (SECTION_IMPORT, import_entries),
        (SECTION_FUNCTION, [encode_unsigned(index) for index in function_types]),
        (SECTION_TABLE, _encode_fixed_size(bytes((FUNCTION_REFERENCE,)), module.table_entries)),
        (SECTION_MEMORY, _encode_fixed_size(b"", module.memory_pages)),
        (SECTION_GLOBAL, [_encode_global(each) for each in (*module.globals, *_ADDED_GLOBALS)]),
        (SECTION_EXPORT, exports),
        (SECTION_ELEMENT, _encode_elements(module)),
        (SECTION_CODE, [encode_sized(code) for code in codes]),
        (
            SECTION_DATA,
            [b"\0" + _encode_place(segment.start) + encode_sized(segment.payload) for segment in module.data],
        ),
    ]
    return HEADER + b"".join(encode_section(number, encode_vector(items)) for number, items in sections if items)


# What a function costs


def compute_frames(module: Module, bodies: tuple[CheckedBody, ...]) -> list[Frame]:
    """How each function is counted, imports first."""
    imports = len(module.imports)
    own = [FRAME_UNITS + 2 * len(module.get_type(index).parameters) for index in range(imports)]
    for index, (body, checked) in enumerate(zip(module.bodies, bodies, strict=True), imports):
        own.append(FRAME_UNITS + len(module.get_type(index).parameters) + len(body.locals))
        own[-1] += checked.operands_max + checked.values
    callees: list[list[int]] = [[] for _ in range(imports)]
    for checked in bodies:
        called = [callee for block in checked.blocks if block.is_live for callee in block.callees]
        callees.append(list(dict.fromkeys(called)))
    in_table = {function for segment in module.elements for function in segment.functions}
    shallow: dict[int, int] = {}
    flat: dict[int, int] = {}
    for index in _sort_callees_first(callees):
        is_indirect = index >= imports and bodies[index - imports].has_indirect_call
        if not is_indirect and all(callee in shallow for callee in callees[index]):
            units = own[index] + max((shallow[callee] for callee in callees[index]), default=0)
            if units <= SHALLOW_UNITS_MAX:
                shallow[index] = units
        if not is_indirect and index >= imports and index not in in_table:
            price = _compute_flat_price(bodies[index - imports], flat)
            if price is not None:
                flat[index] = price
    table_units = max((shallow[index] for index in in_table if index in shallow), default=0)
    frames = []
    for index, units in enumerate(own):
        if index in shallow:
            frames.append(Frame(flat.get(index), shallow[index], is_counted=False))
            continue
        below = max((shallow[callee] for callee in callees[index] if callee in shallow), default=0)
        if bodies[index - imports].has_indirect_call:
            below = max(below, table_units)
        frames.append(Frame(flat.get(index), units + below, is_counted=True))
    return frames


def _sort_callees_first(callees: list[list[int]]) -> list[int]:
    """The functions from which no recursion can be reached by direct calls."""
    callers: list[list[int]] = [[] for _ in callees]
    waiting = [len(called) for called in callees]
    for index, called in enumerate(callees):
        for callee in called:
            callers[callee].append(index)
    order = [index for index, count in enumerate(waiting) if count == 0]
    for index in order:  # grows while it is walked
        for caller in callers[index]:
            waiting[caller] -= 1
            if waiting[caller] == 0:
                order.append(caller)
    return order


def _compute_flat_price(checked: CheckedBody, flat: dict[int, int]) -> int | None:
    """What one call costs if it is always the same and little."""
    live = [block for block in checked.blocks if block.is_live]
    if len(live) > 1 or not all(callee in flat for callee in live[0].callees):
        return None
    price = live[0].price + sum(flat[callee] for callee in live[0].callees)
    return price if price <= FLAT_UNITS_MAX else None


# Code


def _instrument_body(
    module: Module, body: Body, checked: CheckedBody, frames: list[Frame], frame: Frame, counters: _Counters
) -> bytes:
    """A function with its counters, without its size."""
    edits: list[tuple[int, int, bytes]] = []  # from, to, what stands there instead
    if frame.flat_price is None:
        edits += _place_charges(checked, frames, counters)
    if frame.is_counted:
        edits += [(at, at, _count_stack(counters, I32_SUBTRACT, frame.units)) for at in checked.returns]
    for start, end, function in checked.calls:
        edits.append((start, end, bytes((CALL,)) + encode_unsigned(_through_wrapper(module, function))))
    edits += [(start, end, b"\0") for start, end in checked.indirect_tables]
    edits.sort(key=lambda edit: edit[:2])  # stable: at one place the charge comes first
    parts = [module.code[body.start : body.instructions]]
    if frame.is_counted:
        result = checked.result
        parts += [_enter_frame(counters, frame.units), bytes((BLOCK, result))]
    at = body.instructions
    for start, end, inserted in edits:
        parts += [module.code[at:start], inserted]
        at = end
    parts.append(module.code[at : body.end])
    if frame.is_counted:
        parts += [_count_stack(counters, I32_SUBTRACT, frame.units), bytes((END,))]
    return b"".join(parts)


def _place_charges(checked: CheckedBody, frames: list[Frame], counters: _Counters) -> list[tuple[int, int, bytes]]:
    """What each basic block subtracts, and where it looks whether anything is left."""
    prices = [block.price + sum(frames[callee].flat_price or 0 for callee in block.callees) for block in checked.blocks]
    for index in range(len(prices) - 1, -1, -1):
        follows = checked.blocks[index].follows
        if follows is not None and prices[index] <= ADVANCE_UNITS_MAX:
            prices[follows] += prices[index]
            prices[index] = 0
    charges = []
    unchecked = 0
    for index, (block, price) in enumerate(zip(checked.blocks, prices, strict=True)):
        if not block.is_live or price == 0:
            continue
        code = _charge(counters, price)
        unchecked += price
        if index == 0 or block.is_loop_head or unchecked > UNCHECKED_UNITS_MAX:
            code += _check_gas(counters)
            unchecked = 0
        charges.append((block.at, block.at, code))
    return charges


def _get(variable: int) -> bytes:
    return bytes((GLOBAL_GET,)) + encode_unsigned(variable)


def _set(variable: int) -> bytes:
    return bytes((GLOBAL_SET,)) + encode_unsigned(variable)


def _charge(counters: _Counters, price: int) -> bytes:
    subtract = bytes((I64_CONST,)) + encode_signed(price) + bytes((I64_SUBTRACT,))
    return _get(counters.gas) + subtract + _set(counters.gas)


def _check_gas(counters: _Counters) -> bytes:
    is_negative = _get(counters.gas) + bytes((I64_CONST, 0, I64_LESS_SIGNED))
    return is_negative + _trap_if(counters, TRAP_OUT_OF_GAS)


def _trap_if(counters: _Counters, trap: int) -> bytes:
    """Leave the number of the trap behind and stop, if the operand is not 0."""
    return bytes((IF, EMPTY, I32_CONST, trap)) + _set(counters.trap) + bytes((UNREACHABLE, END))


def _count_stack(counters: _Counters, opcode: int, units: int) -> bytes:
    change = bytes((I32_CONST,)) + encode_signed(units) + bytes((opcode,))
    return _get(counters.depth) + change + _set(counters.depth)


def _enter_frame(counters: _Counters, units: int) -> bytes:
    most = bytes((I32_CONST,)) + encode_signed(STACK_UNITS_MAX) + bytes((I32_GREATER_UNSIGNED,))
    check = _get(counters.depth) + most + _trap_if(counters, TRAP_CALL_DEPTH)
    return _count_stack(counters, I32_ADD, units) + check


def _through_wrapper(module: Module, function: int) -> int:
    """The index to call a function by: imports have wrappers behind all functions."""
    return function if function >= len(module.imports) else module.function_count + function


def _push_parameters(kind: FunctionType) -> bytes:
    return b"".join(bytes((LOCAL_GET,)) + encode_unsigned(index) for index in range(len(kind.parameters)))


def _build_import_wrapper(index: int, kind: FunctionType, counters: _Counters) -> bytes:
    """Calls the host with the gas that is left, and takes back what is left then."""
    call = bytes((CALL,)) + encode_unsigned(index)
    keep, give = b"", b""
    if kind.results:
        local = encode_unsigned(len(kind.parameters))
        keep, give = bytes((LOCAL_SET,)) + local, bytes((LOCAL_GET,)) + local
    parts = [
        encode_vector([b"\x01" + kind.results] if kind.results else []),
        _check_gas(counters),
        _get(counters.gas),
        _push_parameters(kind),
        call,
        keep,
        _set(counters.gas),
        _check_gas(counters),
        give,
        bytes((END,)),
    ]
    return b"".join(parts)


def _build_entry(callee: int, kind: FunctionType, flat_price: int | None, counters: _Counters) -> bytes:
    """What the host calls: an empty stack, the function, and a last look at the gas."""
    parts = [
        encode_vector([]),
        bytes((I32_CONST, 0)) + _set(counters.depth),
        _charge(counters, PRICE_CALL + (flat_price or 0)),
        _push_parameters(kind),
        bytes((CALL,)) + encode_unsigned(callee),
        _check_gas(counters),
        bytes((END,)),
    ]
    return b"".join(parts)


# Sections

_ADDED_GLOBALS: Final = (
    Global(I64, is_mutable=True, initial=bytes((I64_CONST, 0))),
    Global(I32, is_mutable=True, initial=bytes((I32_CONST, 0))),
    Global(I32, is_mutable=True, initial=bytes((I32_CONST, 0))),
)


def _encode_fixed_size(prefix: bytes, size: int | None) -> list[bytes]:
    return [] if size is None else [prefix + b"\x01" + encode_unsigned(size) * 2]


def _encode_global(variable: Global) -> bytes:
    return bytes((variable.type, variable.is_mutable)) + variable.initial + bytes((END,))


def _encode_export(export: Export, entries: dict[int, int]) -> bytes:
    index = entries[export.index] if export.kind is ExportKind.FUNCTION else export.index
    return encode_name(export.name) + bytes((export.kind.value,)) + encode_unsigned(index)


def _encode_place(start: int) -> bytes:
    signed = start - (1 << 32) if start >> 31 else start
    return bytes((I32_CONST,)) + encode_signed(signed) + bytes((END,))


def _encode_elements(module: Module) -> list[bytes]:
    return [
        b"\0"
        + _encode_place(segment.start)
        + encode_vector([encode_unsigned(_through_wrapper(module, function)) for function in segment.functions])
        for segment in module.elements
    ]
