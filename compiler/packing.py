"""Functions that are made for each type: packing, unpacking, comparing; and the constant data of a module."""

from collections.abc import Callable
from typing import Final

from compiler.runtime import DATA_OFFSET, build_runtime
from compiler.types import format_type, get_load, get_memory_bytes, get_store, is_scalar, list_slots
from compiler.wasm import I32, Code, Function
from vm.contracts.abi import AbiType, Bool, Bytes, Identifier, ListOf, Option, StructOf, Text, Unsigned

U128_BITS: Final = 128
_LITERAL_COUNT_BYTES: Final = 4


class Assembly:
    """The functions and the data of one module as they come together."""

    def __init__(self) -> None:
        self.functions: dict[str, Function] = build_runtime()
        self.data = bytearray()
        self._literals: dict[bytes, int] = {}

    def place_literal(self, raw: bytes) -> int:
        """The address of the length and the bytes of a literal."""
        if raw not in self._literals:
            self._literals[raw] = DATA_OFFSET + len(self.data)
            self.data += len(raw).to_bytes(_LITERAL_COUNT_BYTES, "little") + raw
        return self._literals[raw]

    def place_raw(self, raw: bytes) -> int:
        """The address of the bytes of a literal, without their length."""
        return self.place_literal(raw) + _LITERAL_COUNT_BYTES

    def make(self, name: str, build: Callable[[], Function]) -> str:
        """The name of a function that is made when it is first wanted."""
        if name not in self.functions:
            self.functions[name] = build()
        return name


def get_offsets(kind: StructOf) -> list[int]:
    """Where the fields of a struct begin in memory."""
    offsets, offset = [], 0
    for _, field in kind.fields:
        offsets.append(offset)
        offset += get_memory_bytes(field)
    return offsets


def get_struct_bytes(kind: StructOf) -> int:
    """Memory of a struct."""
    return sum(get_memory_bytes(field) for _, field in kind.fields)


def load_value(kind: AbiType, address: str, offset: int = 0) -> Code:
    """Read a value at the address in a local."""
    if kind == Unsigned(U128_BITS):
        return (f"local.get {address}", f"i64.load {offset}", f"local.get {address}", f"i64.load {offset + 8}")
    return (f"local.get {address}", *get_load(kind, offset))


def store_value(kind: AbiType, address: str, slots: tuple[str, ...], offset: int = 0) -> Code:
    """Write a value from locals at the address in a local."""
    if kind == Unsigned(U128_BITS):
        return (
            *(f"local.get {address}", f"local.get {slots[0]}", f"i64.store {offset}"),
            *(f"local.get {address}", f"local.get {slots[1]}", f"i64.store {offset + 8}"),
        )
    return (f"local.get {address}", f"local.get {slots[0]}", get_store(kind, offset))


def unbox(kind: AbiType, box: str) -> Code:
    """The value of an option that is known to be there."""
    return load_value(kind, box) if is_scalar(kind) else (f"local.get {box}",)


def pack_code(assembly: Assembly, kind: AbiType) -> Code:
    """Add the value on the stack to the end of the heap."""
    match kind:
        case Unsigned(bits):
            return (f"call put_{bits}",)
        case Bool():
            return ("call put_8",)
        case Identifier():
            return ("call put_identifier",)
        case Text() | Bytes():
            return ("call put_bytes",)
        case Option() | ListOf() | StructOf():
            return (f"call {assembly.make(_name('pack', kind), lambda: _build_pack(assembly, kind))}",)


def unpack_code(assembly: Assembly, kind: AbiType) -> Code:
    """Take a value from the cursor."""
    match kind:
        case Unsigned(128):
            return ("call take_128", "global.get high")
        case Unsigned():
            return (f"i32.const {get_memory_bytes(kind)}", "call take", *get_load(kind))
        case Bool():
            return ("call take_flag",)
        case Identifier():
            return ("i32.const 20", "call take")
        case Text() | Bytes():
            return ("call take_bytes",)
        case Option() | ListOf() | StructOf():
            return (f"call {assembly.make(_name('unpack', kind), lambda: _build_unpack(assembly, kind))}",)


def same_code(assembly: Assembly, kind: AbiType) -> Code:
    """Whether the two values on the stack are equal."""
    match kind:
        case Unsigned(128):
            return ("call u128_eq",)
        case Unsigned(64):
            return ("i64.eq",)
        case Unsigned() | Bool():
            return ("i32.eq",)
        case Identifier():
            return ("call same_identifier",)
        case Text() | Bytes():
            return ("call same_bytes",)
        case Option() | ListOf() | StructOf():
            return (f"call {assembly.make(_name('same', kind), lambda: _build_same(assembly, kind))}",)


def holds_code(assembly: Assembly, kind: ListOf) -> Code:
    """Whether the list below contains the value on the stack."""
    return (f"call {assembly.make(_name('holds', kind), lambda: _build_holds(assembly, kind))}",)


def loop_items(length: Code, step: Code, index: str = "index") -> Code:
    """Repeat a step with the local counting from 0 up to a length."""
    return (
        *("i32.const 0", f"local.set {index}", "block done", "loop next"),
        *(f"local.get {index}", *length, "i32.ge_u", "br_if done"),
        *step,
        *(f"local.get {index}", "i32.const 1", "i32.add", f"local.set {index}", "br next", "end", "end"),
    )


def item_address(kind: ListOf, array: str, index: str = "index") -> Code:
    """The address of an item of the list in a local."""
    size = get_memory_bytes(kind.item)
    scaled = () if size == 1 else (f"i32.const {size}", "i32.mul")
    return (f"local.get {array}", "i32.load 8", f"local.get {index}", *scaled, "i32.add")


def _name(verb: str, kind: AbiType) -> str:
    return f"{verb}.{format_type(kind)}".replace(" ", "")


def _build_pack(assembly: Assembly, kind: Option | ListOf | StructOf) -> Function:
    locals_: tuple[tuple[str, str], ...] = ()
    match kind:
        case Option(item):
            present = (*unbox(item, "value"), *pack_code(assembly, item))
            body: Code = (
                *("local.get value", "if", "i32.const 1", "call put_8", *present),
                *("else", "i32.const 0", "call put_8", "end"),
            )
        case ListOf(item, _):
            locals_ = (("index", I32), ("place", I32))
            step = (
                *(*item_address(kind, "value"), "local.set place"),
                *(*load_value(item, "place"), *pack_code(assembly, item)),
            )
            length = ("local.get value", "i32.load")
            body = (*length, "call put_32", *loop_items(length, step))
        case StructOf(_, fields):
            body = tuple(
                line
                for (_, field), offset in zip(fields, get_offsets(kind), strict=True)
                for line in (*load_value(field, "value", offset), *pack_code(assembly, field))
            )
    return Function(_name("pack", kind), (("value", I32),), None, locals_, body)


def _build_unpack(assembly: Assembly, kind: Option | ListOf | StructOf) -> Function:
    locals_: tuple[tuple[str, str], ...] = (("value", I32),)
    match kind:
        case Option(item):
            locals_ = ()
            body: Code = ("call take_flag", "if i32", *_take_box(assembly, item), "else", "i32.const 0", "end")
        case ListOf(item, items_max):
            locals_ = (("value", I32), ("count", I32), ("index", I32), ("place", I32))
            body = (
                *("i32.const 4", "call take", "i32.load", "local.tee count", f"i32.const {items_max}", "i32.gt_u"),
                *("if", "call panic_malformed", "end"),
                *("local.get count", f"i32.const {get_memory_bytes(item)}", "call list_new", "local.set value"),
                *loop_items(
                    ("local.get count",),
                    (*item_address(kind, "value"), "local.set place", *_unpack_to(assembly, item, "place", 0)),
                ),
                *("local.get value", "local.get count", "i32.store", "local.get value"),
            )
        case StructOf(_, fields):
            body = (
                *(f"i32.const {get_struct_bytes(kind)}", "call alloc", "local.set value"),
                *(
                    line
                    for (_, field), offset in zip(fields, get_offsets(kind), strict=True)
                    for line in _unpack_to(assembly, field, "value", offset)
                ),
                "local.get value",
            )
    return Function(_name("unpack", kind), (), I32, locals_, body)


def _take_box(assembly: Assembly, item: AbiType) -> Code:
    """A packed scalar is its own box: it stays where it is."""
    if isinstance(item, Bool):
        return ("global.get cursor", "call take_flag", "drop")
    if is_scalar(item):
        return (f"i32.const {get_memory_bytes(item)}", "call take")
    return unpack_code(assembly, item)


def _unpack_to(assembly: Assembly, kind: AbiType, address: str, offset: int) -> Code:
    if kind == Unsigned(U128_BITS):
        return (
            *(f"local.get {address}", "call take_128", f"i64.store {offset}"),
            *(f"local.get {address}", "global.get high", f"i64.store {offset + 8}"),
        )
    return (f"local.get {address}", *unpack_code(assembly, kind), get_store(kind, offset))


def _build_same(assembly: Assembly, kind: Option | ListOf | StructOf) -> Function:
    locals_: tuple[tuple[str, str], ...] = ()
    unequal = ("i32.eqz", "if", "i32.const 0", "return", "end")
    match kind:
        case Option(item):
            body: Code = (
                *("local.get a", "i32.eqz", "local.get b", "i32.eqz", "i32.or"),
                *("if", "local.get a", "local.get b", "i32.eq", "return", "end"),
                *(*unbox(item, "a"), *unbox(item, "b"), *same_code(assembly, item)),
            )
        case ListOf(item, _):
            locals_ = (("index", I32), ("a_place", I32), ("b_place", I32))
            step = (
                *(*item_address(kind, "a"), "local.set a_place", *item_address(kind, "b"), "local.set b_place"),
                *(*load_value(item, "a_place"), *load_value(item, "b_place"), *same_code(assembly, item), *unequal),
            )
            body = (
                *("local.get a", "i32.load", "local.get b", "i32.load", "i32.eq", *unequal),
                *(*loop_items(("local.get a", "i32.load"), step), "i32.const 1"),
            )
        case StructOf(_, fields):
            body = (
                *(
                    line
                    for (_, field), offset in zip(fields, get_offsets(kind), strict=True)
                    for line in (
                        *load_value(field, "a", offset),
                        *load_value(field, "b", offset),
                        *same_code(assembly, field),
                        *unequal,
                    )
                ),
                "i32.const 1",
            )
    return Function(_name("same", kind), (("a", I32), ("b", I32)), I32, locals_, body)


def _build_holds(assembly: Assembly, kind: ListOf) -> Function:
    parts = [(f"part{index}", slot) for index, slot in enumerate(list_slots(kind.item))]
    value = tuple(f"local.get {name}" for name, _ in parts)
    step = (
        *(*item_address(kind, "array"), "local.set place", *load_value(kind.item, "place"), *value),
        *(*same_code(assembly, kind.item), "if", "i32.const 1", "return", "end"),
    )
    body = (*loop_items(("local.get array", "i32.load"), step), "i32.const 0")
    locals_ = (("index", I32), ("place", I32))
    return Function(_name("holds", kind), (("array", I32), *parts), I32, locals_, body)
