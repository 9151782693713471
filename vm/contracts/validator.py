"""Type checking by the algorithm of the WASM specification (appendix "Validation Algorithm"), in one pass.

The pass also notes what the instrumenter needs: basic blocks with their prices, calls, returns, and what a frame needs.
"""

from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from vm.contracts.module import (
    BRANCH_TARGETS_MAX,
    COMPILE_WORK_MAX,
    INSTRUCTIONS_MAX,
    LOOP_NESTING_MAX,
    NESTING_MAX,
    OPERANDS_MAX,
    PAGE_BYTES,
    Body,
    ExportKind,
    FunctionType,
    Module,
    RefusalKind,
    RefusedError,
)
from vm.contracts.opcodes import (
    ELSE,
    EMPTY,
    FEATURE_REFUSALS,
    I32,
    I64,
    IF,
    LOOP,
    OPERATORS,
    PREFIX_MISCELLANEOUS,
    PRICE_LOOP,
    REFUSED_OPERATORS,
    TYPE_NAMES,
    UNKNOWN,
    Feature,
    Kind,
)
from vm.contracts.parser import Reader, refuse, refuse_feature

_PRICES: Final = tuple(OPERATORS[opcode].price if opcode in OPERATORS else 0 for opcode in range(256))
_OPERANDS: Final = tuple(OPERATORS[opcode].operand if opcode in OPERATORS else 0 for opcode in range(256))
_RESULTS: Final = tuple(OPERATORS[opcode].result if opcode in OPERATORS else 0 for opcode in range(256))
_MULTI_MEMORY_FLAG: Final = 0x40  # in the alignment of a load or store


@dataclass(slots=True)
class BasicBlock:
    """Instructions that run equally often unless one of them traps: a straight line of code, and what follows the
    blocks and loops in it when no branch from inside leads past their ends.
    """

    at: int
    """Where its first instruction stands in the module."""
    is_loop_head: bool
    is_live: bool
    """Whether any path leads to it."""
    follows: int | None = None
    """The basic block that goes on with this one if its `br_if` or `if` says so."""
    price: int = 0
    callees: list[int] = field(default_factory=list)
    """Functions it calls directly, with repetitions."""


@dataclass(frozen=True, slots=True)
class CheckedBody:
    """What was learnt about a function with code."""

    result: int
    """EMPTY, I32 or I64."""
    blocks: tuple[BasicBlock, ...]
    calls: tuple[tuple[int, int, int], ...]
    """Calls of imports: where the instruction begins, where it ends, and which function it names."""
    indirect_tables: tuple[tuple[int, int], ...]
    """Numbers of tables in `call_indirect` that take more than one byte: from, to."""
    returns: tuple[int, ...]
    has_indirect_call: bool
    values: int
    """How many values its instructions compute: a bound for what a compiler may keep in the frame."""
    operands_max: int
    instructions: int
    compile_work: int
    """See COMPILE_WORK_MAX."""


@dataclass(slots=True)
class _Control:
    """One open block."""

    opcode: int
    result: int
    """EMPTY, I32 or I64."""
    height: int
    """Of the operand stack below it."""
    is_live: bool
    """Whether it was reached."""
    is_unreachable: bool = False
    """Whether the code from here on is not reached: any operands may be taken from the stack."""
    is_target: bool = False
    """Whether a branch leads to its end."""
    opened_in: int = 0
    """The basic block in which it stands."""
    escapes_to: int = NESTING_MAX
    """The outermost block that a branch inside leads to, counted from the function's body: 0."""


def validate_module(module: Module, names: dict[int, str]) -> tuple[CheckedBody, ...]:
    """Check everything that the parser did not; names of functions are for messages. Raises RefusedError."""
    _check_indices(module)
    checked: list[CheckedBody] = []
    instructions = compile_work = 0
    for index, body in enumerate(module.bodies):
        function = index + len(module.imports)
        try:
            walker = _Walker(module, module.get_type(function), body, INSTRUCTIONS_MAX - instructions)
            checked.append(walker.walk())
            compile_work += checked[-1].compile_work
            if compile_work > COMPILE_WORK_MAX:
                why = "too many branches and locals together for a compiler: split functions into smaller ones"
                refuse(RefusalKind.LIMIT, body.start, why)
        except RefusedError as error:
            name = f" ({names[function]})" if function in names else ""
            raise error.within(f"function {function}{name}") from None
        instructions += checked[-1].instructions
    return tuple(checked)


def _check_indices(module: Module) -> None:
    """What sections say about each other."""
    for each in module.imports:
        if each.type_index >= len(module.types):
            refuse(RefusalKind.INVALID, each.offset, f"import {each.name!r}: type {each.type_index} does not exist")
    for index, type_index in enumerate(module.functions, len(module.imports)):
        if type_index >= len(module.types):
            refuse(RefusalKind.INVALID, 0, f"function {index}: type {type_index} does not exist")
    counts = {
        ExportKind.FUNCTION: module.function_count,
        ExportKind.TABLE: int(module.table_entries is not None),
        ExportKind.MEMORY: int(module.memory_pages is not None),
        ExportKind.GLOBAL: len(module.globals),
    }
    names: set[str] = set()
    for export in module.exports:
        if export.index >= counts[export.kind]:
            why = f"export {export.name!r}: {export.kind.name.lower()} {export.index} does not exist"
            refuse(RefusalKind.INVALID, export.offset, why)
        if export.name in names:
            refuse(RefusalKind.INVALID, export.offset, f"export {export.name!r} stands twice")
        names.add(export.name)
    for segment in module.elements:
        if module.table_entries is None:
            refuse(RefusalKind.INVALID, segment.offset, "an element segment without a table")
        for function in segment.functions:
            if function >= module.function_count:
                refuse(RefusalKind.INVALID, segment.offset, f"element: function {function} does not exist")
    for part in module.data:
        if module.memory_pages is None:
            refuse(RefusalKind.INVALID, part.offset, "a data segment without a memory")
    for segment in module.elements:
        if segment.start + len(segment.functions) > (module.table_entries or 0):
            refuse(RefusalKind.NOT_ALLOWED, segment.offset, "an element segment beyond the end of the table")
    for part in module.data:
        if part.start + len(part.payload) > (module.memory_pages or 0) * PAGE_BYTES:
            refuse(RefusalKind.NOT_ALLOWED, part.offset, "a data segment beyond the end of the memory")


class _Walker:
    """The state of checking one function; a method per kind of operator."""

    __slots__ = (
        "blocks",
        "branches",
        "calls",
        "controls",
        "current",
        "has_indirect_call",
        "indirect_tables",
        "instructions_max",
        "locals",
        "module",
        "open_loops",
        "operands_max",
        "price",
        "reader",
        "result",
        "returns",
        "stack",
        "start",
        "values",
    )

    def __init__(self, module: Module, kind: FunctionType, body: Body, instructions_max: int) -> None:
        self.module = module
        self.reader = Reader(module.code, body.instructions, body.end)
        self.locals = kind.parameters + body.locals
        self.result = kind.results[0] if kind.results else EMPTY
        self.instructions_max = instructions_max
        self.stack: list[int] = []
        self.controls = [_Control(opcode=0, result=self.result, height=0, is_live=True)]
        self.blocks = [BasicBlock(body.instructions, is_loop_head=False, is_live=True)]
        self.current = 0
        self.price = 0
        self.calls: list[tuple[int, int, int]] = []
        self.indirect_tables: list[tuple[int, int]] = []
        self.returns: list[int] = []
        self.has_indirect_call = False
        self.values = 0
        self.branches = 0
        self.open_loops = 0
        self.operands_max = 0
        self.start = body.instructions

    def walk(self) -> CheckedBody:
        """Check every instruction up to the function's `end`."""
        reader, controls, data, end = self.reader, self.controls, self.reader.data, self.reader.end
        count = 0
        while controls:
            at = reader.at
            if at >= end:
                refuse(RefusalKind.MALFORMED, at, "the code ends without end")
            opcode = data[at]
            self.start = at
            reader.at = at + 1
            self.price += _PRICES[opcode]
            _HANDLERS[opcode](self, opcode)
            count += 1
            if count > self.instructions_max:
                refuse(RefusalKind.LIMIT, at, f"more than {INSTRUCTIONS_MAX} instructions in the module")
        if reader.at != end:
            refuse(RefusalKind.MALFORMED, reader.at, "code goes on after its end")
        self.blocks[self.current].price += self.price
        return CheckedBody(
            self.result,
            tuple(self.blocks),
            tuple(self.calls),
            tuple(self.indirect_tables),
            tuple(self.returns),
            self.has_indirect_call,
            self.values,
            self.operands_max,
            count,
            self.branches**2 * (1 + len(self.locals) + self.operands_max),
        )

    # The stack of operands

    def refuse(self, why: str) -> NoReturn:
        """The function breaks a rule of WASM."""
        refuse(RefusalKind.INVALID, self.start, why)

    def push(self, kind: int) -> None:
        """A value that an instruction computes."""
        self.stack.append(kind)
        self.values += 1
        if len(self.stack) > self.operands_max:
            self._note_height()

    def push_copy(self, kind: int) -> None:
        """A value that was there before, in a local or a constant."""
        self.stack.append(kind)
        if len(self.stack) > self.operands_max:
            self._note_height()

    def _note_height(self) -> None:
        self.operands_max = len(self.stack)
        if self.operands_max > OPERANDS_MAX:
            refuse(RefusalKind.LIMIT, self.start, f"more than {OPERANDS_MAX} operands on the stack")

    def pop(self, expected: int) -> int:
        """Take a value of that type, or of any if UNKNOWN is expected."""
        stack, control = self.stack, self.controls[-1]
        if len(stack) == control.height:
            if control.is_unreachable:
                return expected
            self.refuse(f"the stack is empty, {TYPE_NAMES[expected]} is expected")
        kind = stack.pop()
        if kind != expected and kind != UNKNOWN and expected != UNKNOWN:
            self.refuse(f"the operand is {TYPE_NAMES[kind]}, not {TYPE_NAMES[expected]}")
        return kind if expected == UNKNOWN else expected

    # Blocks

    def begin_block(self, is_live: bool, is_loop_head: bool = False, follows: int | None = None) -> None:
        """A basic block begins after the instruction just read."""
        self.blocks.append(BasicBlock(self.reader.at, is_loop_head, is_live, follows))
        self.continue_block(len(self.blocks) - 1)

    def continue_block(self, index: int) -> None:
        """What comes now runs as often as that basic block."""
        self.blocks[self.current].price += self.price
        self.price = 0
        self.current = index

    def is_live(self) -> bool:
        """Whether any path leads to this instruction."""
        control = self.controls[-1]
        return control.is_live and not control.is_unreachable

    def stop(self) -> None:
        """What follows is not reached: drop the block's operands."""
        control = self.controls[-1]
        del self.stack[control.height :]
        control.is_unreachable = True
        self.begin_block(is_live=False)

    def open(self, opcode: int) -> None:
        """Enter a block."""
        kind = self.reader.byte()
        if kind not in (EMPTY, I32, I64):
            self._refuse_block_type(kind)
        if len(self.controls) > NESTING_MAX:
            refuse(RefusalKind.LIMIT, self.start, f"blocks nested deeper than {NESTING_MAX}")
        self.controls.append(_Control(opcode, kind, len(self.stack), self.is_live(), opened_in=self.current))

    def _refuse_block_type(self, kind: int) -> NoReturn:
        at = self.reader.at - 1
        if kind in (0x7D, 0x7C):
            refuse_feature(Feature.FLOATS, at, f"a block of type {kind:#x}")
        if kind == 0x7B:
            refuse_feature(Feature.SIMD, at, f"a block of type {kind:#x}")
        if kind < EMPTY or kind >= 0x80:
            refuse_feature(Feature.MULTI_VALUE, at, "a block with a function's type")
        refuse_feature(Feature.REFERENCE_TYPES, at, f"a block of type {kind:#x}")

    def close(self) -> _Control:
        """Leave a block: its result is on the stack, and nothing else of it."""
        control = self.controls[-1]
        if control.result != EMPTY:
            self.pop(control.result)
        if len(self.stack) != control.height:
            self.refuse(f"{len(self.stack) - control.height} operands too many at the end of a block")
        self.controls.pop()
        self.open_loops -= control.opcode == LOOP
        if self.controls and control.escapes_to < self.controls[-1].escapes_to:
            self.controls[-1].escapes_to = control.escapes_to
        return control

    def target(self, depth: int) -> int:
        """What a branch to that label takes along: EMPTY, I32 or I64."""
        if depth >= len(self.controls):
            self.refuse(f"label {depth} does not exist")
        control = self.controls[-1 - depth]
        self.branches += 1
        self.escape(len(self.controls) - 1 - depth)
        if control.opcode == LOOP:
            return EMPTY
        control.is_target = True
        return control.result

    def escape(self, target: int) -> None:
        """A branch leads out of the blocks inside of that one."""
        if target < self.controls[-1].escapes_to:
            self.controls[-1].escapes_to = target

    # One method per kind of operator

    def on_unreachable(self, _: int) -> None:
        """Traps."""
        self.stop()

    def on_nop(self, _: int) -> None:
        """Nothing."""

    def on_block(self, opcode: int) -> None:
        """Stays in the same basic block."""
        self.open(opcode)

    def on_loop(self, opcode: int) -> None:
        """Branches come back here."""
        self.open(opcode)
        self.open_loops += 1
        if self.open_loops > LOOP_NESTING_MAX:
            refuse(RefusalKind.LIMIT, self.start, f"loops nested deeper than {LOOP_NESTING_MAX}")
        self.branches += 1
        self.begin_block(self.is_live(), is_loop_head=True)
        self.price = PRICE_LOOP

    def on_if(self, opcode: int) -> None:
        """Two ways from here."""
        self.pop(I32)
        self.open(opcode)
        self.branches += 1
        self.begin_block(self.is_live(), follows=self.current)

    def on_else(self, _: int) -> None:
        """The other way."""
        if self.controls[-1].opcode != IF:
            self.refuse("else without if")
        control = self.close()
        self.controls.append(replace(control, opcode=ELSE, is_unreachable=False))
        self.begin_block(control.is_live)

    def on_end(self, _: int) -> None:
        """Ways join, unless nothing branches here."""
        is_live = self.is_live()
        control = self.close()
        if control.opcode == IF and control.result != EMPTY:
            self.refuse("an if with a result needs an else")
        if control.result != EMPTY and self.controls:
            self.push_copy(control.result)
        if control.escapes_to >= len(self.controls):
            self.continue_block(control.opened_in)
        elif control.is_target or control.opcode in (IF, ELSE) or not is_live:
            self.begin_block(self.controls != [] and self.is_live())

    def on_branch(self, _: int) -> None:
        """br."""
        kind = self.target(self.reader.unsigned())
        if kind != EMPTY:
            self.pop(kind)
        self.stop()

    def on_branch_if(self, _: int) -> None:
        """br_if: goes on, or not."""
        self.pop(I32)
        kind = self.target(self.reader.unsigned())
        if kind != EMPTY:
            self.pop(kind)
            self.push_copy(kind)
        self.begin_block(self.is_live(), follows=self.current)

    def on_branch_table(self, _: int) -> None:
        """br_table: every label takes the same along."""
        self.pop(I32)
        count = self.reader.count("branch targets", BRANCH_TARGETS_MAX)
        depths = [self.reader.unsigned() for _ in range(count + 1)]
        kinds = {depth: self.target(depth) for depth in dict.fromkeys(depths)}
        if len({kind == EMPTY for kind in kinds.values()}) > 1:
            self.refuse("labels of a br_table that take different numbers of operands")
        for kind in kinds.values():
            if kind != EMPTY:
                self.stack_peek(kind)
        self.stop()

    def stack_peek(self, expected: int) -> None:
        """Take a value and put it back as it was."""
        if len(self.stack) == self.controls[-1].height:
            self.pop(expected)
        else:
            kind = self.stack[-1]
            self.pop(expected)
            self.push_copy(kind)

    def on_return(self, _: int) -> None:
        """Leaves the function."""
        if self.result != EMPTY:
            self.pop(self.result)
        self.branches += 1
        self.returns.append(self.start)
        self.escape(0)
        self.stop()

    def on_call(self, _: int) -> None:
        """A direct call; imports are noted, to be called through their wrappers."""
        index = self.reader.unsigned()
        if index >= self.module.function_count:
            self.refuse(f"function {index} does not exist")
        self._apply_type(self.module.get_type(index))
        self.blocks[self.current].callees.append(index)
        if index < len(self.module.imports):
            self.calls.append((self.start, self.reader.at, index))

    def on_call_indirect(self, _: int) -> None:
        """A call through the table. Linkers pad its number, which is 0."""
        index = self.reader.unsigned()
        at = self.reader.at
        table = self.reader.unsigned()
        if table:
            refuse_feature(Feature.REFERENCE_TYPES, at, f"table {table}")
        if self.module.table_entries is None:
            self.refuse("an indirect call without a table")
        if index >= len(self.module.types):
            self.refuse(f"type {index} does not exist")
        self.pop(I32)
        self._apply_type(self.module.types[index])
        self.has_indirect_call = True
        if self.reader.at - at > 1:
            self.indirect_tables.append((at, self.reader.at))

    def _apply_type(self, kind: FunctionType) -> None:
        for parameter in reversed(kind.parameters):
            self.pop(parameter)
        for result in kind.results:
            self.push(result)

    def on_drop(self, _: int) -> None:
        """Any value."""
        self.pop(UNKNOWN)

    def on_select(self, _: int) -> None:
        """Two values of one type."""
        self.pop(I32)
        kind = self.pop(UNKNOWN)
        self.push(self.pop(kind) or kind)

    def on_local_get(self, _: int) -> None:
        """local.get."""
        self.push_copy(self._read_local())

    def on_local_set(self, _: int) -> None:
        """local.set."""
        self.pop(self._read_local())

    def on_local_tee(self, _: int) -> None:
        """local.tee."""
        kind = self._read_local()
        self.pop(kind)
        self.push_copy(kind)

    def _read_local(self) -> int:
        index = self.reader.unsigned()
        if index >= len(self.locals):
            self.refuse(f"local {index} does not exist")
        return self.locals[index]

    def on_global_get(self, _: int) -> None:
        """global.get."""
        index = self._read_global()
        self.push(self.module.globals[index].type)

    def on_global_set(self, _: int) -> None:
        """global.set."""
        index = self._read_global()
        if not self.module.globals[index].is_mutable:
            self.refuse(f"global {index} cannot be changed")
        self.pop(self.module.globals[index].type)

    def _read_global(self) -> int:
        index = self.reader.unsigned()
        if index >= len(self.module.globals):
            self.refuse(f"global {index} does not exist")
        return index

    def on_load(self, opcode: int) -> None:
        """An address becomes the value at it."""
        self._read_memory_argument(opcode)
        self.pop(I32)
        self.push(_RESULTS[opcode])

    def on_store(self, opcode: int) -> None:
        """A value goes to an address."""
        self._read_memory_argument(opcode)
        self.pop(_OPERANDS[opcode])
        self.pop(I32)

    def _read_memory_argument(self, opcode: int) -> None:
        at = self.reader.at
        align = self.reader.unsigned()
        if _MULTI_MEMORY_FLAG <= align < 2 * _MULTI_MEMORY_FLAG:
            refuse_feature(Feature.MULTI_MEMORY, at, "a memory is named")
        self.reader.unsigned()
        if self.module.memory_pages is None:
            self.refuse("there is no memory")
        if align > OPERATORS[opcode].align_max:
            self.refuse(f"an alignment of 2**{align} is more than natural")

    def on_memory_size(self, _: int) -> None:
        """The size never changes."""
        at = self.reader.at
        if self.reader.byte():
            refuse_feature(Feature.MULTI_MEMORY, at, "another memory")
        if self.module.memory_pages is None:
            self.refuse("there is no memory")
        self.push(I32)

    def on_i32_const(self, _: int) -> None:
        """i32.const."""
        self.reader.signed(32)
        self.push_copy(I32)

    def on_i64_const(self, _: int) -> None:
        """i64.const."""
        self.reader.signed(64)
        self.push_copy(I64)

    def on_unary(self, opcode: int) -> None:
        """One value becomes another."""
        self.pop(_OPERANDS[opcode])
        self.push(_RESULTS[opcode])

    def on_binary(self, opcode: int) -> None:
        """Two values become one."""
        kind = _OPERANDS[opcode]
        stack = self.stack
        if len(stack) - self.controls[-1].height > 1 and stack[-1] == kind == stack[-2]:
            stack.pop()
            stack[-1] = _RESULTS[opcode]
            self.values += 1
        else:
            self.pop(kind)
            self.pop(kind)
            self.push(_RESULTS[opcode])

    def on_refused(self, opcode: int) -> None:
        """What contracts do not get, or no operator at all."""
        if opcode == PREFIX_MISCELLANEOUS:
            number = self.reader.unsigned()
            feature = Feature.REFERENCE_TYPES
            if number < 8:
                feature = Feature.FLOAT_TO_INTEGER
            elif number < 12:
                feature = Feature.BULK_MEMORY
            refuse_feature(feature, self.start, f"operator 0xfc {number}")
        if opcode not in REFUSED_OPERATORS:
            refuse(RefusalKind.MALFORMED, self.start, f"{opcode:#x} is no operator")
        name, feature = REFUSED_OPERATORS[opcode]
        refuse(RefusalKind.NOT_ALLOWED, self.start, f"{name}: {FEATURE_REFUSALS[feature]}")


_BY_KIND: Final = {
    Kind.UNREACHABLE: _Walker.on_unreachable,
    Kind.NOP: _Walker.on_nop,
    Kind.BLOCK: _Walker.on_block,
    Kind.LOOP: _Walker.on_loop,
    Kind.IF: _Walker.on_if,
    Kind.ELSE: _Walker.on_else,
    Kind.END: _Walker.on_end,
    Kind.BRANCH: _Walker.on_branch,
    Kind.BRANCH_IF: _Walker.on_branch_if,
    Kind.BRANCH_TABLE: _Walker.on_branch_table,
    Kind.RETURN: _Walker.on_return,
    Kind.CALL: _Walker.on_call,
    Kind.CALL_INDIRECT: _Walker.on_call_indirect,
    Kind.DROP: _Walker.on_drop,
    Kind.SELECT: _Walker.on_select,
    Kind.LOCAL_GET: _Walker.on_local_get,
    Kind.LOCAL_SET: _Walker.on_local_set,
    Kind.LOCAL_TEE: _Walker.on_local_tee,
    Kind.GLOBAL_GET: _Walker.on_global_get,
    Kind.GLOBAL_SET: _Walker.on_global_set,
    Kind.LOAD: _Walker.on_load,
    Kind.STORE: _Walker.on_store,
    Kind.MEMORY_SIZE: _Walker.on_memory_size,
    Kind.I32_CONST: _Walker.on_i32_const,
    Kind.I64_CONST: _Walker.on_i64_const,
    Kind.UNARY: _Walker.on_unary,
    Kind.BINARY: _Walker.on_binary,
}
_HANDLERS: Final = tuple(
    _BY_KIND[OPERATORS[opcode].kind] if opcode in OPERATORS else _Walker.on_refused for opcode in range(256)
)
