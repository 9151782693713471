"""Storage items: the layout is told in `iov/storage.py`."""

import ast
from typing import Final

from compiler.declarations import StorageDeclaration
from compiler.diagnostics import Mistake
from compiler.packing import load_value, pack_code, unpack_code
from compiler.scope import Effect, Scope, Value, Variable
from compiler.types import BOOL, PLAIN, U32, get_packed_bytes_max, is_scalar
from compiler.values import POINTER, coerce
from compiler.wasm import Code
from iov.storage import KEY_BYTES_MAX, VALUE_BYTES_MAX
from vm.contracts.abi import AbiType, Identifier, Option, StorageKind

INDEX_BYTES: Final = 4  # before the value in a record of an IndexedMap


def hold_key(scope: Scope, node: ast.AST, item: StorageDeclaration, key: Value | None) -> tuple[Code, Variable | None]:
    """Evaluate a key once: the code that does it, and the variable that has it afterwards."""
    if item.key is None or key is None:
        return (), None
    held = scope.borrow(item.key)
    return (*coerce(scope, node, key, item.key), *held.set), held


def read(scope: Scope, item: StorageDeclaration, key: Variable | None) -> Code:
    """The stored value; panics when there is none."""
    build, place = _build_key(scope, item, key)
    return (*build, *place.get, "call load_present", *_read_loaded(scope, item, place))


def read_or_none(scope: Scope, item: StorageDeclaration, key: Variable | None) -> Value:
    """The stored value or None."""
    build, place = _build_key(scope, item, key)
    record = scope.borrow(POINTER)
    kind = Option(item.value)
    code = (*build, *place.get, "call load", f"local.tee {record.slots[0]}", "if i32")
    if is_scalar(item.value):  # packed and boxed are alike
        offset = (f"i32.const {_header_bytes(item)}", "i32.add") if _header_bytes(item) else ()
        return Value(kind, (*code, *record.get, *offset, "else", "i32.const 0", "end"))
    return Value(kind, (*code, *record.get, *_read_loaded(scope, item, place), "else", "i32.const 0", "end"))


def read_or(scope: Scope, item: StorageDeclaration, key: Variable | None, default: Code) -> Code:
    """The stored value or a default, which is evaluated before the storage is asked."""
    result = scope.borrow(item.value)
    build, place = _build_key(scope, item, key)
    record = scope.borrow(POINTER)
    ask = (*default, *result.set, *build, *place.get, "call load", f"local.tee {record.slots[0]}")
    return (*ask, "if", *record.get, *_read_loaded(scope, item, place), *result.set, "end", *result.get)


def write(scope: Scope, node: ast.AST, item: StorageDeclaration, key: Variable | None, value: Variable) -> Code:
    """Store a value that is in a variable already."""
    scope.effects.append(Effect(node, "writes to storage"))
    build, place = _build_key(scope, item, key)
    packed = scope.borrow(POINTER)
    header: Code = ()
    if item.kind is StorageKind.INDEXED_MAP:
        index = scope.borrow(U32)
        build += (f"i32.const {item.position}", *place.get, "call place_indexed", *index.set)
        header = (*index.get, "call put_32")
    code = (*build, "global.get heap", *packed.set, *header, *value.get, *pack_code(scope.assembly, item.value))
    longest = get_packed_bytes_max(item.value)
    if longest is None or longest + _header_bytes(item) > VALUE_BYTES_MAX:
        code += (*packed.get, "call limit_value")
    return (*code, *place.get, *packed.get, "call store")


def contains(scope: Scope, item: StorageDeclaration, key: Variable | None) -> Value:
    """Whether there is a value."""
    build, place = _build_key(scope, item, key)
    return Value(BOOL, (*build, *place.get, "call has"))


def delete(scope: Scope, node: ast.AST, item: StorageDeclaration, key: Variable | None) -> Code:
    """Delete a value; panics when there is none."""
    scope.effects.append(Effect(node, "deletes from storage"))
    build, place = _build_key(scope, item, key)
    if item.kind is StorageKind.INDEXED_MAP:
        return (*build, f"i32.const {item.position}", *place.get, "call delete_indexed")
    return (*build, *place.get, "call delete_present")


def count(item: StorageDeclaration) -> Value:
    """How many keys an indexed map has."""
    return Value(PLAIN, (f"i32.const {item.position}", "call indexed_count", "i64.extend_i32_u"))


def key_at(scope: Scope, node: ast.AST, item: StorageDeclaration, index: Code) -> Value:
    """The key at an index, an i64; panics outside."""
    if item.kind is not StorageKind.INDEXED_MAP or item.key is None:
        raise Mistake(node, "a Map cannot be listed", f"declare {item.name} as an IndexedMap")
    place = scope.borrow(POINTER)
    code = (f"i32.const {item.position}", *index, "call key_at", *place.set)
    return Value(item.key, (*code, *_read_at(scope, item.key, place, 0)))


def _build_key(scope: Scope, item: StorageDeclaration, key: Variable | None) -> tuple[Code, Variable]:
    """Pack the key at the end of the heap; the variable has the address where it begins."""
    place = scope.borrow(POINTER)
    code: Code = ("global.get heap", *place.set, f"i32.const {item.position}", "call put_8")
    if item.kind is StorageKind.INDEXED_MAP:
        code += ("i32.const 0", "call put_8")
    if item.key is not None and key is not None:
        code += (*key.get, *pack_code(scope.assembly, item.key))
        longest = get_packed_bytes_max(item.key)
        if longest is None or longest + 2 > KEY_BYTES_MAX:
            code += (*place.get, "call limit_key")
    return code, place


def _header_bytes(item: StorageDeclaration) -> int:
    return INDEX_BYTES if item.kind is StorageKind.INDEXED_MAP else 0


def _read_loaded(scope: Scope, item: StorageDeclaration, place: Variable) -> Code:
    """The value in the record whose address is on the stack; what can be given back is given back."""
    record = scope.borrow(POINTER)
    give_back = (*place.get, "global.set heap") if is_scalar(item.value) else ()
    return (*record.set, *_read_at(scope, item.value, record, _header_bytes(item)), *give_back)


def _read_at(scope: Scope, kind: AbiType, record: Variable, offset: int) -> Code:
    if is_scalar(kind):
        return load_value(kind, record.slots[0], offset)
    skip: Code = (f"i32.const {offset}", "i32.add") if offset else ()
    if isinstance(kind, Identifier):
        return (*record.get, *skip)
    return (*record.get, *skip, "global.set cursor", *unpack_code(scope.assembly, kind))
