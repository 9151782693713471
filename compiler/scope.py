"""What is known at one place of a function: variables, which of them are set, which are known not to be None."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from compiler.declarations import Declarations, FunctionDeclaration
from compiler.diagnostics import Mistakes
from compiler.packing import Assembly
from compiler.types import Type, list_slots
from compiler.wasm import Code

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Value:
    """The type of an expression and the code that leaves its value on the stack."""

    type: Type
    code: Code
    constant: int | bool | bytes | str | None = None
    """Its value when it is a literal or a constant."""
    present_if_true: frozenset[str] = NOBODY
    """Variables, and fields of them as in `x.y`, that are not None when this is True."""
    present_if_false: frozenset[str] = NOBODY
    never_returns: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A local variable: its type and the locals that hold it."""

    type: Type
    slots: tuple[str, ...]
    line: int

    @property
    def get(self) -> Code:
        """Put it on the stack."""
        return tuple(f"local.get {slot}" for slot in self.slots)

    @property
    def set(self) -> Code:
        """Take it from the stack."""
        return tuple(f"local.set {slot}" for slot in reversed(self.slots))


@dataclass(frozen=True, slots=True)
class Flow:
    """What holds when control is here."""

    assigned: frozenset[str] = NOBODY
    present: frozenset[str] = NOBODY
    is_reached: bool = True

    def join(self, other: "Flow") -> "Flow":
        """What holds when control comes from either side."""
        if not self.is_reached:
            return other
        if not other.is_reached:
            return self
        return Flow(self.assigned & other.assigned, self.present & other.present)

    def forget(self, names: frozenset[str]) -> "Flow":
        """What holds when the variables get new values: nothing is known of them and of their fields."""
        return replace(self, present=frozenset(path for path in self.present if path.split(".")[0] not in names))


UNREACHED = Flow(is_reached=False)


@dataclass(slots=True)
class Loop:
    """The innermost loop: its labels, and what holds where it is left by break."""

    exit_label: str
    next_label: str
    exits: Flow = UNREACHED


@dataclass(frozen=True, slots=True)
class Effect:
    """Something a view must not do."""

    node: ast.AST
    what: str


@dataclass(slots=True)
class Scope:
    """The state of translating one function."""

    declared: Declarations
    assembly: Assembly
    mistakes: Mistakes
    function: FunctionDeclaration
    flow: Flow = field(default_factory=Flow)
    variables: dict[str, Variable] = field(default_factory=dict)
    locals: list[tuple[str, str]] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)
    callees: dict[str, ast.AST] = field(default_factory=dict)
    """Symbols of the functions it calls, and where first."""
    effects: list[Effect] = field(default_factory=list)
    _labels: int = 0
    _free: dict[str, list[str]] = field(default_factory=dict)
    _lent: list[tuple[str, str]] = field(default_factory=list)

    def new_label(self, word: str) -> str:
        """A label that no other block has."""
        self._labels += 1
        return f"{word}{self._labels}"

    def borrow(self, kind: Type) -> Variable:
        """Locals for a value within one statement."""
        slots = []
        for wasm_type in list_slots(kind):
            free = self._free.setdefault(wasm_type, [])
            slot = free.pop() if free else self._new_local(wasm_type)
            self._lent.append((wasm_type, slot))
            slots.append(slot)
        return Variable(kind, tuple(slots), 0)

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Locals that are borrowed inside are free again behind it."""
        outer, self._lent = self._lent, []
        try:
            yield
        finally:
            for wasm_type, slot in self._lent:
                self._free[wasm_type].append(slot)
            self._lent = outer

    def declare(self, name: str, kind: Type, line: int) -> Variable:
        """A new variable of the source."""
        variable = Variable(kind, tuple(f"{name}.{index}" for index in range(len(list_slots(kind)))), line)
        self.variables[name] = variable
        self.locals += zip(variable.slots, list_slots(kind), strict=True)
        return variable

    def set_present(self, names: frozenset[str]) -> None:
        """Note variables that are known not to be None from here on."""
        self.flow = replace(self.flow, present=self.flow.present | names)

    def _new_local(self, wasm_type: str) -> str:
        name = f"~{wasm_type}.{len(self.locals)}"
        self.locals.append((name, wasm_type))
        return name
