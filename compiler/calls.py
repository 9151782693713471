"""Calls of functions, of the host, of other contracts, and the ways to fail."""

import ast
from dataclasses import dataclass
from typing import Final

from compiler.declarations import FunctionDeclaration, InterfaceDeclaration
from compiler.diagnostics import Mistake
from compiler.packing import unpack_code
from compiler.scope import Effect, Scope, Value, Variable
from compiler.types import ADDRESS, BOOL, BYTES, NOTHING, PLAIN, TEXT, U64, U128
from compiler.values import coerce, pack_packed
from compiler.wasm import Code
from iov.failures import CODE_MAX, MESSAGE_BYTES_MAX
from vm.contracts.abi import AbiType, MethodKind, StructOf

CRYPTOGRAPHY: Final = {"ed25519_verify": 32, "secp256k1_verify": 33, "p256_verify": 33}
"""Signature checks and the bytes of their keys."""
SIGNATURE_BYTES: Final = 64
ROOT_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call goes: evaluated once, before the arguments."""

    code: Code
    address: Variable | None
    grains: Code


def call_function(scope: Scope, node: ast.AST, function: FunctionDeclaration, arguments: list[Code]) -> Value:
    """Call a function of the source."""
    scope.callees.setdefault(function.symbol, node)
    code = (*(line for each in arguments for line in each), f"call {function.symbol}")
    return Value(function.result, (*code, "global.get high") if function.result == U128 else code)


def build_revert(scope: Scope, node: ast.Call, arguments: list[Value]) -> Code:
    """Fail with a code and perhaps a message, both constants."""
    code = arguments[0].constant
    if arguments[0].type != PLAIN or not isinstance(code, int) or not 1 <= code <= CODE_MAX:
        raise Mistake(node, f"a code is a constant from 1 to {CODE_MAX}", "write NAME: Final = 1 at the top")
    message: Code = ("i32.const 0", "i32.const 0")
    if len(arguments) == 2:
        text = arguments[1].constant
        if arguments[1].type != TEXT or not isinstance(text, str) or len(text.encode()) > MESSAGE_BYTES_MAX:
            raise Mistake(node, f"a message is a text literal of at most {MESSAGE_BYTES_MAX} bytes")
        raw = text.encode()
        message = (f"i32.const {scope.assembly.place_raw(raw)}", f"i32.const {len(raw)}")
    return (f"i32.const {code}", *message, "call revert", "unreachable")


def build_emit(scope: Scope, node: ast.AST, kind: StructOf, parts: list[Code]) -> Code:
    """Emit an event."""
    scope.effects.append(Effect(node, "emits an event"))
    types = [field for _, field in kind.fields]
    pack, place, give_back = pack_packed(scope, list(zip(types, parts, strict=True)))
    return (*pack, *_name_literal(scope, kind.name), *place, "call emit", *give_back)


def transfer_grains(scope: Scope, node: ast.Call, recipient: Value, amount: Value) -> Value:
    """Pay from the contract's account."""
    scope.effects.append(Effect(node, "pays"))
    code = (*coerce(scope, node.args[0], recipient, ADDRESS), *coerce(scope, node.args[1], amount, U64))
    return Value(NOTHING, (*code, "call transfer"))


def compute_mul_div(scope: Scope, node: ast.Call, arguments: list[Value]) -> Value:
    """a * b // c with a wide product."""
    code = tuple(
        line
        for each, argument in zip(arguments[:3], node.args, strict=False)
        for line in coerce(scope, argument, each, U128)
    )
    rounding = arguments[3].constant if len(arguments) == 4 else 0
    if rounding not in (0, 1, 2) or isinstance(rounding, bool):
        raise Mistake(node, "the rounding is not known", "ROUND_DOWN, ROUND_UP or ROUND_NEAREST, imported from iov")
    return Value(U128, (*code, f"i32.const {rounding}", "call u128_mul_div", "global.get high"))


def verify_signature(scope: Scope, node: ast.Call, name: str, arguments: list[Value]) -> Value:
    """Check a signature; a key or signature of another length panics."""
    code: Code = ()
    held = []
    for argument, value in zip(node.args, arguments, strict=True):
        variable = scope.borrow(BYTES)
        code += (*coerce(scope, argument, value, BYTES), *variable.set)
        held.append(variable)
    key, message, signature = held
    code += (*key.get, f"i32.const {CRYPTOGRAPHY[name]}", "call exact", *_place_of(message))
    return Value(BOOL, (*code, *signature.get, f"i32.const {SIGNATURE_BYTES}", "call exact", f"call {name}"))


def verify_merkle(scope: Scope, node: ast.Call, arguments: list[Value]) -> Value:
    """Check that a leaf is in a list."""
    code: Code = ()
    held = []
    kinds: tuple[AbiType, ...] = (BYTES, BYTES, U64, U64, BYTES)
    for argument, value, kind in zip(node.args, arguments, kinds, strict=True):
        variable = scope.borrow(kind)
        code += (*coerce(scope, argument, value, kind), *variable.set)
        held.append(variable)
    root, leaf, index, count, proof = held
    code += (*root.get, f"i32.const {ROOT_BYTES}", "call exact", *_place_of(leaf), *index.get, *count.get)
    return Value(BOOL, (*code, *_place_of(proof), "call merkle_verify"))


def locate_destination(scope: Scope, address: Code, grains: Code | None) -> Destination:
    """Evaluate where a call goes; a native module has no address."""
    if not address:
        return Destination((), None, ())
    held = scope.borrow(ADDRESS)
    code: Code = (*address, *held.set)
    if grains is None:
        return Destination(code, held, ("i64.const 0",))
    paid = scope.borrow(U64)
    return Destination((*code, *grains, *paid.set), held, paid.get)


def build_external_call(
    scope: Scope,
    node: ast.AST,
    interface: InterfaceDeclaration,
    method: FunctionDeclaration,
    destination: Destination,
    arguments: list[tuple[AbiType, Code]],
) -> Value:
    """Call another contract or a native module; panics when it fails."""
    is_view = method.kind is MethodKind.VIEW
    if not is_view:
        scope.effects.append(Effect(node, f"calls {interface.name}.{method.name}, which may change something"))
    pack, place, give_back = pack_packed(scope, arguments)
    code = (*destination.code, *pack)
    name = _name_literal(scope, method.name)
    if interface.module is not None:
        function = "view_native" if is_view else "call_native"
        code += (*_name_literal(scope, interface.module), *name, *place, "i32.const 0", f"call {function}")
    else:
        assert destination.address is not None
        code += (*destination.address.get, *name, *place)
        code += (
            ("i64.const 0", "i32.const 0", "call view")
            if is_view
            else (
                *destination.grains,
                *("i64.const 0", "i32.const 0", "call call"),
            )
        )
    code += ("call check_call", *give_back)
    if method.result == NOTHING:
        return Value(NOTHING, code)
    result = scope.borrow(method.result)
    unpack = unpack_code(scope.assembly, method.result)  # type: ignore[arg-type]  # declared: a type of the border
    return Value(method.result, (*code, "call read_register", *unpack, *result.set, "call take_all", *result.get))


def _name_literal(scope: Scope, name: str) -> Code:
    raw = name.encode()
    return (f"i32.const {scope.assembly.place_raw(raw)}", f"i32.const {len(raw)}")


def _place_of(value: Variable) -> Code:
    return (*value.get, "i32.const 4", "i32.add", *value.get, "i32.load")
