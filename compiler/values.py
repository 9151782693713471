"""Values besides integers: where one type fits another, structs, lists, bytes, equality."""

import ast

from compiler.diagnostics import Mistake
from compiler.integers import convert
from compiler.packing import (
    Assembly,
    get_offsets,
    get_struct_bytes,
    holds_code,
    load_value,
    pack_code,
    same_code,
    store_value,
)
from compiler.scope import Scope, Value
from compiler.types import (
    ADDRESS,
    BOOL,
    BYTES,
    NONE,
    NOTHING,
    PLAIN,
    TEXT,
    U32,
    U64,
    U128,
    Type,
    describe_type,
    get_memory_bytes,
    get_packed_bytes_max,
    is_scalar,
)
from compiler.wasm import Code
from vm.contracts.abi import (
    ADDRESS_BYTES,
    PACKED_BYTES_MAX,
    AbiType,
    Bool,
    Bytes,
    Identifier,
    ListOf,
    Option,
    StructOf,
    Text,
    Unsigned,
)

POINTER = U32
"""The type to borrow a local for an address."""
MAY_BE_NONE = ("this may be None", "keep it in a variable and check first: if x is None: …")


def make_constant(assembly: Assembly, kind: Type, value: int | bool | bytes | str) -> Value:
    """The value of a literal or a constant."""
    match kind:
        case Unsigned(128):
            code: Code = (f"i64.const {int(value) & (1 << 64) - 1}", f"i64.const {int(value) >> 64}")
        case Unsigned(64):
            code = (f"i64.const {int(value)}",)
        case Unsigned() | Bool():
            code = (f"i32.const {int(value)}",)
        case Text():
            code = (f"i32.const {assembly.place_literal(str(value).encode())}",)
        case Bytes() if isinstance(value, bytes):
            code = (f"i32.const {assembly.place_literal(value)}",)
        case Identifier() if isinstance(value, bytes):
            code = (f"i32.const {assembly.place_raw(value)}",)
        case _:
            code = (f"i64.const {int(value)}",) if 0 <= int(value) < 1 << 64 else ("unreachable",)
    return Value(kind, code, value)


def coerce(scope: Scope, node: ast.AST, value: Value, kind: Type) -> Code:
    """The value where the type is wanted: of that type, or as something that may be None."""
    if value.type == kind:
        return value.code
    if isinstance(kind, Option):
        if value.type == NONE:
            return ("i32.const 0",)
        if value.type == kind.item:
            return box(scope, kind.item, value.code)
    advice = ""
    if value.type == PLAIN and isinstance(kind, Unsigned):
        advice = f"write {describe_type(kind)}({show_constant(value)})"
    elif isinstance(value.type, Unsigned) and isinstance(kind, Unsigned):
        advice = f"convert it: {describe_type(kind)}(…)"
    elif isinstance(value.type, Option) and value.type.item == kind:
        advice = "check for None first: if x is None: …"
    raise Mistake(node, f"this is {describe_type(value.type)}, but {describe_type(kind)} is wanted", advice)


def show_constant(value: Value) -> str:
    """A literal as it was written, as far as it is known."""
    return "…" if value.constant is None else repr(value.constant)


def box(scope: Scope, kind: AbiType, code: Code) -> Code:
    """A value as one that may be None."""
    if not is_scalar(kind):
        return code
    value, address = scope.borrow(kind), scope.borrow(POINTER)
    place = (f"i32.const {get_memory_bytes(kind)}", "call alloc", *address.set)
    return (*code, *value.set, *place, *store_value(kind, address.slots[0], value.slots), *address.get)


def check_bool(node: ast.AST, value: Value) -> None:
    """Conditions are bools: nothing else is true or false."""
    if value.type == BOOL:
        return
    match value.type:
        case Option():
            advice = "write x is not None"
        case ListOf() | Bytes() | Text():
            advice = "write len(x) != 0"
        case _:
            advice = "write x != 0"
    raise Mistake(node, f"a condition is a bool, not {describe_type(value.type)}", advice)


def join_types(node: ast.AST, a: Type, b: Type) -> Type:
    """The type of a value that is either."""
    for one, other in ((a, b), (b, a)):
        if one == other or (isinstance(one, Option) and other in (one.item, NONE)):
            return one
        if other == NONE and isinstance(one, (Unsigned, Bool, Identifier, Text, Bytes, ListOf, StructOf)):
            return Option(one)
    hint = "give the literal a width, as in u64(0)" if PLAIN in (a, b) else ""
    raise Mistake(node, f"{describe_type(a)} and {describe_type(b)} do not mix", hint)


def equal(scope: Scope, node: ast.AST, left: Value, right: Value) -> Code:
    """Whether two values of one type are the same."""
    kind = join_types(node, left.type, right.type)
    if kind in (NONE, NOTHING, PLAIN):
        raise Mistake(node, "this cannot be compared", "write is None to ask for None")
    code = (*coerce(scope, node, left, kind), *coerce(scope, node, right, kind))
    return (*code, *same_code(scope.assembly, kind))  # type: ignore[arg-type]  # the others were refused above


def build_struct(scope: Scope, kind: StructOf, parts: list[Code]) -> Code:
    """A new struct of the codes of its fields, which run in order."""
    address = scope.borrow(POINTER)
    (place,) = address.slots
    code: Code = (f"i32.const {get_struct_bytes(kind)}", "call alloc", *address.set)
    for (_, field), part, offset in zip(kind.fields, parts, get_offsets(kind), strict=True):
        value = scope.borrow(field)
        code += (*part, *value.set, *store_value(field, place, value.slots, offset))
    return (*code, *address.get)


def get_field(scope: Scope, node: ast.AST, value: Value, name: str) -> Value:
    """A field of a struct."""
    if isinstance(value.type, Option):
        raise Mistake(node, *MAY_BE_NONE)
    if isinstance(value.type, StructOf):
        for (field, kind), offset in zip(value.type.fields, get_offsets(value.type), strict=True):
            if field == name:
                address = scope.borrow(POINTER)
                return Value(kind, (*value.code, *address.set, *load_value(kind, address.slots[0], offset)))
    raise Mistake(node, f"{describe_type(value.type)} has nothing called {name}")


def build_list(scope: Scope, node: ast.AST, kind: ListOf, items: list[Code]) -> Code:
    """A new list of the codes of its items."""
    if len(items) > kind.items_max:
        raise Mistake(node, f"the list holds at most {kind.items_max}")
    address = scope.borrow(POINTER)
    size = get_memory_bytes(kind.item)
    code: Code = (f"i32.const {len(items)}", f"i32.const {size}", "call list_new", *address.set)
    for item in items:
        code += (*item, *_push(scope, kind, address.get))
    return (*code, *address.get)


def append(scope: Scope, node: ast.AST, array: Value, kind: ListOf, item: Value) -> Code:
    """Add to a list; the list is evaluated first."""
    address = scope.borrow(POINTER)
    return (*array.code, *address.set, *coerce(scope, node, item, kind.item), *_push(scope, kind, address.get))


def pop(scope: Scope, array: Value, kind: ListOf) -> Value:
    """Take the last item."""
    address = scope.borrow(POINTER)
    code = (*array.code, f"i32.const {get_memory_bytes(kind.item)}", "call list_pop", *address.set)
    return Value(kind.item, (*code, *load_value(kind.item, address.slots[0])))


def locate_item(scope: Scope, node: ast.AST, array: Value, kind: ListOf, index: Value) -> Code:
    """The address of an item; panics outside of the list."""
    size = get_memory_bytes(kind.item)
    return (*array.code, *to_position(scope, node, index), f"i32.const {size}", "call list_at")


def to_position(scope: Scope, node: ast.AST, index: Value) -> Code:
    """An index as an i64."""
    if isinstance(index.constant, int) and index.constant < 0:
        raise Mistake(node, "positions count from the start", "write x[u64(len(x)) - 1] for the last one")
    if not (index.type == PLAIN or isinstance(index.type, Unsigned)):
        raise Mistake(node, f"a position is an integer, not {describe_type(index.type)}")
    if index.type == U128:
        raise Mistake(node, "a position has at most 64 bits", "convert it: u64(…)")
    return convert(scope, node, index, U64)


def get_item(scope: Scope, node: ast.AST, value: Value, index: Value) -> Value:
    """An item of a list, or a byte."""
    match value.type:
        case ListOf(item, _) as kind:
            address = scope.borrow(POINTER)
            code = (*locate_item(scope, node, value, kind, index), *address.set)
            return Value(item, (*code, *load_value(item, address.slots[0])))
        case Bytes():
            return Value(PLAIN, (*value.code, *to_position(scope, node, index), "call bytes_at"))
        case Option():
            raise Mistake(node, *MAY_BE_NONE)
        case _:
            raise Mistake(node, f"{describe_type(value.type)} has no positions", "only lists, bytes and maps have")


def contains(scope: Scope, node: ast.AST, item: Value, array: Value) -> Code:
    """Whether a list has an equal item; the item is evaluated first."""
    if not isinstance(array.type, ListOf):
        raise Mistake(node, f"in does not work on {describe_type(array.type)}", "only on lists and maps")
    kind = array.type.item
    held = scope.borrow(kind)
    wanted = (*coerce(scope, node, item, kind), *held.set)
    return (*wanted, *array.code, *held.get, *holds_code(scope.assembly, array.type))


def measure(node: ast.AST, value: Value) -> Value:
    """The length of a list or of bytes."""
    match value.type:
        case ListOf() | Bytes():
            return Value(PLAIN, (*value.code, "i32.load", "i64.extend_i32_u"))
        case Text():
            raise Mistake(node, "how long a str is depends on what one counts", "write len(x.encode()) for its bytes")
        case _:
            raise Mistake(node, f"{describe_type(value.type)} has no length")


def concatenate(node: ast.AST, left: Value, right: Value) -> Value:
    """Two bytes or two str in a row."""
    if left.type != right.type:
        raise Mistake(node, f"{describe_type(left.type)} and {describe_type(right.type)} do not mix")
    return Value(left.type, (*left.code, *right.code, "call concat"))


def to_identifier(scope: Scope, node: ast.AST, kind: Identifier, value: Value) -> Value:
    """An Address or Did of bytes; panics unless there are 20."""
    code = coerce(scope, node, value, BYTES)
    return Value(kind, (*code, f"i32.const {ADDRESS_BYTES}", "call exact"))


def to_bytes(node: ast.AST, value: Value) -> Value:
    """The bytes of an Address or Did."""
    if not isinstance(value.type, Identifier):
        raise Mistake(node, f"bytes(…) is made of an Address or a Did, not of {describe_type(value.type)}", "use pack")
    return Value(BYTES, (*value.code, f"i32.const {ADDRESS_BYTES}", "call bytes_of"))


def encode_text(value: Value) -> Value:
    """A str and its UTF-8 lie in memory alike."""
    assert value.type == TEXT
    return Value(BYTES, value.code)


def pack_packed(scope: Scope, values: list[tuple[AbiType, Code]]) -> tuple[Code, Code, Code]:
    """Pack several values: code that does it; code for address and length; code that gives the memory back."""
    code: Code = ()
    held = []
    for kind, each in values:
        variable = scope.borrow(kind)
        code += (*each, *variable.set)
        held.append((kind, variable))
    start = scope.borrow(POINTER)
    code += ("global.get heap", *start.set)
    for kind, variable in held:
        code += (*variable.get, *pack_code(scope.assembly, kind))
    longest = [get_packed_bytes_max(kind) for kind, _ in values]
    if any(each is None for each in longest) or sum(each or 0 for each in longest) > PACKED_BYTES_MAX:
        code += (*start.get, "call limit_packed")
    place = (*start.get, "global.get heap", *start.get, "i32.sub")
    return code, place, (*start.get, "global.set heap")


def pack_to_bytes(scope: Scope, kind: AbiType, value: Code) -> Value:
    """The packed form of a value as bytes."""
    code, place, _ = pack_packed(scope, [(kind, value)])
    return Value(BYTES, (*code, *place, "call bytes_of"))


def get_context(scope: Scope, node: ast.AST, name: str) -> Value:
    """Something of the running call or its block."""
    integers = {"value": "value", "height": "block_height", "time_ms": "block_time_ms", "epoch": "epoch"}
    integers["gas_left"] = "gas_left"
    addresses = {"address": "self_address", "caller": "caller", "signer": "signer"}
    if name in integers:
        return Value(U64, (f"call {integers[name]}",))
    code: Code
    place = scope.borrow(POINTER)
    (slot,) = place.slots
    if name in addresses:
        code = (f"i32.const {ADDRESS_BYTES}", "call alloc", f"local.tee {slot}", f"call {addresses[name]}")
        return Value(ADDRESS, (*code, *place.get))
    if name == "signer_did":
        code = (f"i32.const {ADDRESS_BYTES}", "call alloc", f"local.tee {slot}", "call signer_did")
        return Value(Option(Identifier("Did")), (*code, "if i32", *place.get, "else", "i32.const 0", "end"))
    if name == "transaction_id":
        code = ("i32.const 32", "call bytes_new", f"local.tee {slot}", "i32.const 4", "i32.add", "call transaction_id")
        return Value(BYTES, (*code, *place.get))
    if name == "chain_id":
        code = ("i32.const 0", "call chain_id", "i32.const 0", "call register_length", "call bytes_new")
        code = (*code, *place.set, "i32.const 0", *place.get, "i32.const 4", "i32.add", "call register_read")
        return Value(TEXT, (*code, *place.get))
    raise Mistake(node, f"the context has nothing called {name}")


def _push(scope: Scope, kind: ListOf, array: Code) -> Code:
    """Append the value on the stack."""
    value, place = scope.borrow(kind.item), scope.borrow(POINTER)
    size = get_memory_bytes(kind.item)
    room = (*array, f"i32.const {size}", f"i32.const {kind.items_max}", "call list_push", *place.set)
    return (*value.set, *room, *store_value(kind.item, place.slots[0], value.slots))
