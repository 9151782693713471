"""Expressions: from syntax to typed code. Everything is evaluated in Python's order."""

import ast
from collections.abc import Callable
from typing import Final

from compiler import storage, values
from compiler.calls import (
    CRYPTOGRAPHY,
    build_emit,
    build_external_call,
    build_revert,
    call_function,
    compute_mul_div,
    locate_destination,
    transfer_grains,
    verify_merkle,
    verify_signature,
)
from compiler.declarations import (
    FUNCTIONS,
    INTEGER_TYPES,
    FunctionDeclaration,
    InterfaceDeclaration,
    StorageDeclaration,
    evaluate,
    read_type,
)
from compiler.diagnostics import Consequence, Mistake
from compiler.integers import compare, compute, convert, is_integer
from compiler.packing import unbox
from compiler.scope import Scope, Value
from compiler.types import ADDRESS, BOOL, BYTES, NONE, NOTHING, PLAIN, U64, UNKNOWN, Unknown, describe_type
from compiler.wasm import Code
from vm.contracts.abi import AbiType, Bytes, Identifier, ListOf, Option, StorageKind, StructOf, Text, Unsigned

REFUSED: Final[dict[type[ast.expr], tuple[str, str]]] = {
    ast.Lambda: ("there are no functions inside of functions", "write a function of the module"),
    ast.ListComp: ("there are no comprehensions", "append to a list in a for loop"),
    ast.SetComp: ("there are no comprehensions", "append to a list in a for loop"),
    ast.DictComp: ("there are no comprehensions", "append to a list in a for loop"),
    ast.GeneratorExp: ("there are no generators", "use a for loop"),
    ast.Yield: ("there are no generators", "return a list"),
    ast.YieldFrom: ("there are no generators", "return a list"),
    ast.Await: ("nothing is awaited in a contract", ""),
    ast.Dict: ("there are no dicts", "keep a Map in storage, or declare a @struct"),
    ast.Set: ("there are no sets", "use a List, or a Map in storage"),
    ast.List: ("a list says how long it may become", "write List[T, Literal[100]]([…])"),
    ast.Tuple: ("there are no tuples", "declare a @struct"),
    ast.JoinedStr: ("there are no f-strings", "text is put together with +"),
    ast.Starred: ("arguments are given one by one", ""),
    ast.NamedExpr: ("there is no :=", "assign in a statement of its own"),
    ast.Slice: ("a slice stands in brackets only", ""),
}
_FORBIDDEN_CALLS: Final = {
    "print": "emit an event",
    "int": "choose a width: u64(…)",
    "isinstance": "every value has one known type",
    "sum": "add in a for loop",
    "sorted": "sort outside of the contract and pass the order in",
    "enumerate": "count with range(len(x))",
    "zip": "count with range(len(x))",
    "reversed": "count with range(len(x))",
    "abs": "integers are never negative",
    "pow": "multiply in a loop",
    "super": "a contract has no base of its own",
}


def lower(scope: Scope, node: ast.expr) -> Value:
    """The type and the code of an expression; raises Mistake."""
    constant = _find_constant(scope, node)
    if constant is not None:
        return constant
    match node:
        case ast.Constant(value=None):
            return Value(NONE, ())
        case ast.Constant():
            raise Mistake(node, f"{node.value!r} is not a value of contracts", "there are only whole numbers")
        case ast.Name():
            return _lower_name(scope, node)
        case ast.Attribute():
            return _lower_attribute(scope, node)
        case ast.Subscript():
            return _lower_subscript(scope, node)
        case ast.BinOp():
            return combine(scope, node, node.op, lower(scope, node.left), lower(scope, node.right))
        case ast.UnaryOp():
            return _lower_unary(scope, node)
        case ast.BoolOp():
            return _lower_logic(scope, node)
        case ast.Compare():
            return _lower_comparison(scope, node)
        case ast.IfExp():
            return _lower_choice(scope, node)
        case ast.Call():
            return _lower_call(scope, node)
        case _:
            message, advice = REFUSED.get(type(node), (f"{type(node).__name__} is not part of the language", ""))
            raise Mistake(node, message, advice)


def lower_condition(scope: Scope, node: ast.expr) -> Value:
    """The code of an expression that must be a bool."""
    value = lower(scope, node)
    values.check_bool(node, value)
    return value


def combine(scope: Scope, node: ast.AST, operator: ast.operator, left: Value, right: Value) -> Value:
    """An operation of two values."""
    if is_integer(left.type) and is_integer(right.type):
        return compute(scope, node, operator, left, right)
    if isinstance(operator, ast.Add) and isinstance(left.type, (Bytes, Text)):
        return values.concatenate(node, left, right)
    if left.type == BOOL and right.type == BOOL:
        raise Mistake(node, "bools are combined with and, or, not and compared with == and !=")
    a, b = describe_type(left.type), describe_type(right.type)
    raise Mistake(node, f"there is no such operation on {a} and {b}")


def find_storage(scope: Scope, node: ast.expr) -> StorageDeclaration | None:
    """The storage item that `self.name` stands for."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if scope.function.is_method:
            if f"self.{name}" in scope.declared.broken:
                raise Consequence
            return scope.declared.storage.get(name)
        case _:
            return None


def _find_constant(scope: Scope, node: ast.expr) -> Value | None:
    if isinstance(node, ast.Name) and node.id in scope.variables:
        return None
    constant = evaluate(scope.declared, node)
    return None if constant is None else values.make_constant(scope.assembly, constant.type, constant.value)


def _lower_name(scope: Scope, node: ast.Name) -> Value:
    variable = scope.variables.get(node.id)
    if variable is None:
        if node.id in scope.declared.broken:
            raise Consequence
        if node.id in ("self", "context") or scope.declared.is_taken(node.id):
            raise Mistake(node, f"{node.id} cannot stand here on its own")
        raise Mistake(node, f"there is nothing called {node.id}", _suggest_import(node.id))
    if isinstance(variable.type, Unknown):
        raise Consequence
    if node.id not in scope.flow.assigned:
        raise Mistake(node, f"{node.id} may have no value yet", "assign it on every way that leads here")
    if isinstance(variable.type, Option) and node.id in scope.flow.present:
        return Value(variable.type.item, unbox(variable.type.item, variable.slots[0]))
    return Value(variable.type, variable.get)


def _suggest_import(name: str) -> str:
    return f"write from iov import {name}" if name in FUNCTIONS | INTEGER_TYPES.keys() | {"context"} else ""


def _lower_attribute(scope: Scope, node: ast.Attribute) -> Value:
    item = find_storage(scope, node)
    if item is not None:
        if item.kind is not StorageKind.VAR:
            raise Mistake(node, f"{item.name} is a map", f"write self.{item.name}[key]")
        return Value(item.value, storage.read(scope, item, None))
    match node.value:
        case ast.Name(id="context") if "context" in scope.declared.imported:
            return values.get_context(scope, node, node.attr)
        case ast.Name(id="self") if scope.function.is_method:
            advice = "call it" if node.attr in scope.declared.methods else "annotate it in the class"
            raise Mistake(node, f"{node.attr} is not a storage item", advice)
        case inner:
            field = values.get_field(scope, node, lower(scope, inner), node.attr)
            if isinstance(field.type, Option) and _get_path(scope, node) in scope.flow.present:
                return _unwrap(scope, field.type.item, field.code)
            return field


def _get_path(scope: Scope, node: ast.expr) -> str | None:
    """A variable or a field of one as it is written; structs do not change, so what holds for it goes on to hold."""
    match node:
        case ast.Name(id=name) if name in scope.variables:
            return name
        case ast.Attribute(value=inner, attr=name):
            path = _get_path(scope, inner)
            return None if path is None else f"{path}.{name}"
        case _:
            return None


def _unwrap(scope: Scope, kind: AbiType, code: Code) -> Value:
    """The value of something that is known not to be None."""
    held = scope.borrow(values.POINTER)
    return Value(kind, (*code, *held.set, *unbox(kind, held.slots[0])))


def _lower_subscript(scope: Scope, node: ast.Subscript) -> Value:
    item = find_storage(scope, node.value)
    if item is not None and item.kind is not StorageKind.VAR:
        code, key = storage.hold_key(scope, node.slice, item, lower(scope, node.slice))
        return Value(item.value, (*code, *storage.read(scope, item, key)))
    value = lower(scope, node.value)
    if not isinstance(node.slice, ast.Slice):
        return values.get_item(scope, node, value, lower(scope, node.slice))
    if value.type != BYTES:
        raise Mistake(node, f"{describe_type(value.type)} cannot be sliced", "only bytes can")
    if node.slice.step is not None:
        raise Mistake(node.slice.step, "a slice has no step")
    return Value(BYTES, (*value.code, *_lower_bounds(scope, node.slice), "call slice"))


def _lower_bounds(scope: Scope, node: ast.Slice) -> Code:
    code: Code = ()
    for bound, default in ((node.lower, "i64.const 0"), (node.upper, "i64.const -1")):
        if bound is None:
            code += (default,)
        else:
            code += values.to_position(scope, bound, lower(scope, bound))
    return code


def _lower_unary(scope: Scope, node: ast.UnaryOp) -> Value:
    if isinstance(node.op, ast.Not):
        inner = lower_condition(scope, node.operand)
        return Value(
            BOOL,
            (*inner.code, "i32.eqz"),
            present_if_true=inner.present_if_false,
            present_if_false=inner.present_if_true,
        )
    advice = "write the largest value ^ x" if isinstance(node.op, ast.Invert) else "integers are never negative"
    raise Mistake(node, "there is no such operation", advice)


def _lower_logic(scope: Scope, node: ast.BoolOp) -> Value:
    is_and = isinstance(node.op, ast.And)
    before = scope.flow
    result = lower_condition(scope, node.values[0])
    for each in node.values[1:]:
        scope.set_present(result.present_if_true if is_and else result.present_if_false)
        right = lower_condition(scope, each)
        if is_and:
            code = (*result.code, "if i32", *right.code, "else", "i32.const 0", "end")
            result = Value(
                BOOL,
                code,
                present_if_true=result.present_if_true | right.present_if_true,
                present_if_false=result.present_if_false & right.present_if_false,
            )
        else:
            code = (*result.code, "if i32", "i32.const 1", "else", *right.code, "end")
            result = Value(
                BOOL,
                code,
                present_if_true=result.present_if_true & right.present_if_true,
                present_if_false=result.present_if_false | right.present_if_false,
            )
    scope.flow = before
    return result


def _lower_choice(scope: Scope, node: ast.IfExp) -> Value:
    before = scope.flow
    condition = lower_condition(scope, node.test)
    scope.set_present(condition.present_if_true)
    first = lower(scope, node.body)
    scope.flow = before
    scope.set_present(condition.present_if_false)
    second = lower(scope, node.orelse)
    scope.flow = before
    kind = values.join_types(node, first.type, second.type)
    if kind in (NONE, NOTHING, PLAIN):
        raise Mistake(node, "this has no type", "give a literal a width, as in u64(0)")
    result = scope.borrow(kind)
    arms = [(*values.coerce(scope, node, each, kind), *result.set) for each in (first, second)]
    return Value(kind, (*condition.code, "if", *arms[0], "else", *arms[1], "end", *result.get))


def _lower_comparison(scope: Scope, node: ast.Compare) -> Value:
    if len(node.ops) == 1:
        return _compare_one(scope, node, node.left, node.ops[0], node.comparators[0])
    left = lower(scope, node.left)
    code: Code = ()
    for operator, right_node in zip(node.ops[:-1], node.comparators[:-1], strict=True):
        right = lower(scope, right_node)
        held = right
        store: Code = right.code
        if right.constant is None:
            variable = scope.borrow(right.type)
            store, held = (*right.code, *variable.set), Value(right.type, variable.get)
            # The right operand is kept for the next comparison, so the left one has to be kept as well.
            kept = scope.borrow(left.type)
            code += (*left.code, *kept.set, *store)
            left = Value(left.type, kept.get, left.constant)
        code += (*_compare_values(scope, node, operator, left, held).code, "if i32")
        left = held
    last = _compare_values(scope, node, node.ops[-1], left, lower(scope, node.comparators[-1]))
    code += last.code
    for _ in node.ops[:-1]:
        code += ("else", "i32.const 0", "end")
    return Value(BOOL, code)


def _compare_one(scope: Scope, node: ast.Compare, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Value:
    if isinstance(operator, (ast.Is, ast.IsNot)):
        return _compare_with_none(scope, node, left, operator, right)
    if isinstance(operator, (ast.In, ast.NotIn)):
        item = find_storage(scope, right)
        if item is not None and item.kind is not StorageKind.VAR:
            code, key = storage.hold_key(scope, left, item, lower(scope, left))
            code = (*code, *storage.contains(scope, item, key).code)
        else:
            code = values.contains(scope, node, lower(scope, left), lower(scope, right))
        return Value(BOOL, code if isinstance(operator, ast.In) else (*code, "i32.eqz"))
    return _compare_values(scope, node, operator, lower(scope, left), lower(scope, right))


def _compare_with_none(scope: Scope, node: ast.Compare, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Value:
    if not (isinstance(right, ast.Constant) and right.value is None):
        raise Mistake(node, "is asks for None only", "write ==")
    value = lower(scope, left)
    if not isinstance(value.type, Option):
        raise Mistake(node, f"{describe_type(value.type)} is never None here")
    path = _get_path(scope, left)
    names = frozenset() if path is None else frozenset([path])
    if isinstance(operator, ast.Is):
        return Value(BOOL, (*value.code, "i32.eqz"), present_if_false=names)
    return Value(BOOL, (*value.code, "i32.eqz", "i32.eqz"), present_if_true=names)


def _compare_values(scope: Scope, node: ast.Compare, operator: ast.cmpop, left: Value, right: Value) -> Value:
    if isinstance(operator, (ast.Is, ast.IsNot, ast.In, ast.NotIn)):
        raise Mistake(node, "is and in stand alone", "combine comparisons with and")
    if is_integer(left.type) and is_integer(right.type):
        return compare(scope, node, operator, left, right)
    if NONE in (left.type, right.type):
        raise Mistake(node, "None is asked for with is", "write x is None")
    if not isinstance(operator, (ast.Eq, ast.NotEq)):
        raise Mistake(node, f"{describe_type(left.type)} has no order", "only integers have")
    code = values.equal(scope, node, left, right)
    return Value(BOOL, code if isinstance(operator, ast.Eq) else (*code, "i32.eqz"))


def _lower_call(scope: Scope, node: ast.Call) -> Value:
    match node.func:
        case ast.Name(id=name):
            return _call_name(scope, node, name)
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if scope.function.is_method:
            return _call_method(scope, node, name)
        case ast.Attribute(value=ast.Call(func=ast.Name(id=name)) as target, attr=method) if (
            name in scope.declared.interfaces
        ):
            return _call_outside(scope, node, scope.declared.interfaces[name], target, method)
        case ast.Attribute(value=inner, attr=name):
            return _call_on_value(scope, node, inner, name)
        case ast.Subscript():
            return _make_list(scope, node, read_type(scope.declared, node.func))
        case _:
            raise Mistake(node, "this cannot be called")


def _call_name(scope: Scope, node: ast.Call, name: str) -> Value:
    declared = scope.declared
    if name in declared.broken:
        raise Consequence
    if name in declared.functions:
        return _call_declared(scope, node, declared.functions[name])
    if name in declared.structs:
        made = declared.structs[name]
        return Value(made, values.build_struct(scope, made, _lower_parts(scope, node, made)))
    if name in declared.aliases:
        return _make_list(scope, node, declared.aliases[name])
    if name in declared.events:
        raise Mistake(node, "an event is made to be emitted", f"write emit({name}(…))")
    if name in declared.interfaces:
        raise Mistake(node, "another contract is called at once", f"write {name}(address).method(…)")
    if name in INTEGER_TYPES.keys() | {"Address", "Did"} | FUNCTIONS and name not in declared.imported:
        raise Mistake(node, f"{name} is not imported", f"write from iov import {name}")
    if name in INTEGER_TYPES:
        (argument,) = _lower_arguments(scope, node, 1)
        if not is_integer(argument.type):
            raise Mistake(node, f"{name} is made of an integer, not of {describe_type(argument.type)}")
        kind = INTEGER_TYPES[name]
        return Value(kind, convert(scope, node, argument, kind))
    if name in ("Address", "Did"):
        (argument,) = _lower_arguments(scope, node, 1)
        return values.to_identifier(scope, node, Identifier(name), argument)
    if name in _BUILTINS:
        return _BUILTINS[name](scope, node)
    if name in _FORBIDDEN_CALLS:
        raise Mistake(node, f"there is no {name}", _FORBIDDEN_CALLS[name])
    raise Mistake(node, f"there is no function {name}", _suggest_import(name))


def _refuse_keywords(node: ast.Call) -> None:
    if node.keywords:
        raise Mistake(node.keywords[0], "arguments are given by position")


def _lower_arguments(scope: Scope, node: ast.Call, count: int, count_max: int | None = None) -> list[Value]:
    _refuse_keywords(node)
    if not count <= len(node.args) <= (count_max or count):
        wanted = str(count) if count_max is None else f"{count} to {count_max}"
        raise Mistake(node, f"{wanted} arguments are wanted, not {len(node.args)}")
    return [lower(scope, each) for each in node.args]


def _lower_parts(scope: Scope, node: ast.Call, kind: StructOf) -> list[Code]:
    """The codes of the fields in their order; named ones must come in that order too."""
    nodes = [*node.args]
    names = [name for name, _ in kind.fields]
    for keyword in node.keywords:
        if keyword.arg is None or len(nodes) >= len(names) or keyword.arg != names[len(nodes)]:
            raise Mistake(keyword, "fields are given in their order", f"{kind.name} has {', '.join(names)}")
        nodes.append(keyword.value)
    if len(nodes) != len(names):
        raise Mistake(node, f"{kind.name} has {len(names)} fields, not {len(nodes)}", ", ".join(names))
    return [
        values.coerce(scope, each, lower(scope, each), field)
        for each, (_, field) in zip(nodes, kind.fields, strict=True)
    ]


def _make_list(scope: Scope, node: ast.Call, kind: object) -> Value:
    if not isinstance(kind, ListOf):
        raise Mistake(node, "only a List is made like this")
    _refuse_keywords(node)
    match node.args:
        case []:
            items: list[ast.expr] = []
        case [ast.List(elts=items)]:
            pass
        case _:
            raise Mistake(node, "a list is made of a list of values", "write List[T, Literal[3]]([a, b])")
    codes = [values.coerce(scope, each, lower(scope, each), kind.item) for each in items]
    return Value(kind, values.build_list(scope, node, kind, codes))


def _call_declared(scope: Scope, node: ast.Call, function: FunctionDeclaration) -> Value:
    _refuse_keywords(node)
    if len(node.args) != len(function.parameters):
        raise Mistake(node, f"{function.name} takes {len(function.parameters)} arguments, not {len(node.args)}")
    codes = [
        values.coerce(scope, each, lower(scope, each), kind)
        for each, (_, kind) in zip(node.args, function.parameters, strict=True)
    ]
    return call_function(scope, node, function, codes)


def _call_method(scope: Scope, node: ast.Call, name: str) -> Value:
    if f"self.{name}" in scope.declared.broken:
        raise Consequence
    if name not in scope.declared.methods:
        raise Mistake(node, f"the contract has no method {name}")
    return _call_declared(scope, node, scope.declared.methods[name])


def _call_on_value(scope: Scope, node: ast.Call, inner: ast.expr, name: str) -> Value:
    item = find_storage(scope, inner)
    if item is not None and item.kind is not StorageKind.VAR:
        return _call_on_map(scope, node, item, name)
    value = lower(scope, inner)
    match value.type, name:
        case ListOf() as kind, "append":
            (argument,) = _lower_arguments(scope, node, 1)
            return Value(NOTHING, values.append(scope, node, value, kind, argument))
        case ListOf() as kind, "pop":
            _lower_arguments(scope, node, 0)
            return values.pop(scope, value, kind)
        case Text(), "encode":
            _lower_arguments(scope, node, 0)
            return values.encode_text(value)
        case Option(), _:
            raise Mistake(node, *values.MAY_BE_NONE)
        case kind, _:
            raise Mistake(node, f"{describe_type(kind)} has no method {name}")


def _call_on_map(scope: Scope, node: ast.Call, item: StorageDeclaration, name: str) -> Value:
    if name == "get":
        arguments = _lower_arguments(scope, node, 1, 2)
        code, key = storage.hold_key(scope, node.args[0], item, arguments[0])
        if len(arguments) == 1:
            found = storage.read_or_none(scope, item, key)
            return Value(found.type, (*code, *found.code))
        default = values.coerce(scope, node.args[1], arguments[1], item.value)
        return Value(item.value, (*code, *storage.read_or(scope, item, key, default)))
    if name == "key_at":
        (index,) = _lower_arguments(scope, node, 1)
        return storage.key_at(scope, node, item, values.to_position(scope, node.args[0], index))
    raise Mistake(node, f"a map has no method {name}", "it has get, and an IndexedMap key_at")


def _call_outside(scope: Scope, node: ast.Call, interface: InterfaceDeclaration, target: ast.Call, name: str) -> Value:
    if name not in interface.methods:
        raise Mistake(node, f"{interface.name} declares no method {name}")
    method = interface.methods[name]
    _refuse_keywords(node)
    if len(node.args) != len(method.parameters):
        raise Mistake(node, f"{name} takes {len(method.parameters)} arguments, not {len(node.args)}")
    if interface.module is not None:
        _lower_arguments(scope, target, 0)
        place = locate_destination(scope, (), None)
    else:
        located = _lower_arguments(scope, target, 1, 2)
        address = values.coerce(scope, target.args[0], located[0], ADDRESS)
        grains = values.coerce(scope, target.args[1], located[1], U64) if len(located) == 2 else None
        place = locate_destination(scope, address, grains)
    arguments = [
        (kind, values.coerce(scope, each, lower(scope, each), kind))
        for each, (_, kind) in zip(node.args, method.parameters, strict=True)
    ]
    return build_external_call(scope, node, interface, method, place, arguments)


def _call_len(scope: Scope, node: ast.Call) -> Value:
    if len(node.args) == 1:
        item = find_storage(scope, node.args[0])
        if item is not None and item.kind is not StorageKind.VAR:
            if item.kind is StorageKind.MAP:
                raise Mistake(node, "a Map does not count its keys", f"declare {item.name} as an IndexedMap")
            return storage.count(item)
    (argument,) = _lower_arguments(scope, node, 1)
    return values.measure(node, argument)


def _call_bytes(scope: Scope, node: ast.Call) -> Value:
    (argument,) = _lower_arguments(scope, node, 1)
    return values.to_bytes(node, argument)


def _call_smaller(scope: Scope, node: ast.Call) -> Value:
    return _call_extreme(scope, node, ast.LtE())


def _call_larger(scope: Scope, node: ast.Call) -> Value:
    return _call_extreme(scope, node, ast.GtE())


def _call_extreme(scope: Scope, node: ast.Call, operator: ast.cmpop) -> Value:
    first, second = _lower_arguments(scope, node, 2)
    if not isinstance(first.type, Unsigned) or first.type != second.type:
        raise Mistake(node, "min and max compare two integers of one type", "convert them, as in min(x, u64(5))")
    a, b = scope.borrow(first.type), scope.borrow(first.type)
    chosen = compare(scope, node, operator, Value(first.type, a.get), Value(first.type, b.get))
    code = (*first.code, *a.set, *second.code, *b.set, *chosen.code)
    return Value(first.type, (*code, "if", "else", *b.get, *a.set, "end", *a.get))


def _call_require(scope: Scope, node: ast.Call) -> Value:
    _refuse_keywords(node)
    if not 2 <= len(node.args) <= 3:
        raise Mistake(node, "require takes a condition, a code, and a message if you like")
    condition = lower_condition(scope, node.args[0])
    failure = build_revert(scope, node, [lower(scope, each) for each in node.args[1:]])
    return Value(NOTHING, (*condition.code, "i32.eqz", "if", *failure, "end"))


def _call_revert(scope: Scope, node: ast.Call) -> Value:
    code = build_revert(scope, node, _lower_arguments(scope, node, 1, 2))
    return Value(NOTHING, code, never_returns=True)


def _call_emit(scope: Scope, node: ast.Call) -> Value:
    _refuse_keywords(node)
    match node.args:
        case [ast.Call(func=ast.Name(id=name)) as made] if name in scope.declared.events:
            kind = scope.declared.events[name]
            return Value(NOTHING, build_emit(scope, node, kind, _lower_parts(scope, made, kind)))
        case [ast.Call(func=ast.Name(id=name))] if name in scope.declared.broken:
            raise Consequence
        case _:
            raise Mistake(node, "emit takes a new event", "write emit(Name(…)) with an @event class")


def _call_balance(scope: Scope, node: ast.Call) -> Value:
    (address,) = _lower_arguments(scope, node, 1)
    return Value(U64, (*values.coerce(scope, node.args[0], address, ADDRESS), "call balance"))


def _call_transfer(scope: Scope, node: ast.Call) -> Value:
    recipient, amount = _lower_arguments(scope, node, 2)
    return transfer_grains(scope, node, recipient, amount)


def _call_mul_div(scope: Scope, node: ast.Call) -> Value:
    return compute_mul_div(scope, node, _lower_arguments(scope, node, 3, 4))


def _call_hash(scope: Scope, node: ast.Call) -> Value:
    (data,) = _lower_arguments(scope, node, 1)
    assert isinstance(node.func, ast.Name)
    held, place = scope.borrow(BYTES), scope.borrow(values.POINTER)
    code = (*values.coerce(scope, node, data, BYTES), *held.set, "i32.const 32", "call bytes_new", *place.set)
    code += (*held.get, "i32.const 4", "i32.add", *held.get, "i32.load", *place.get, "i32.const 4", "i32.add")
    return Value(BYTES, (*code, f"call {node.func.id}", *place.get))


def _call_verify(scope: Scope, node: ast.Call) -> Value:
    assert isinstance(node.func, ast.Name)
    return verify_signature(scope, node, node.func.id, _lower_arguments(scope, node, 3))


def _call_merkle_verify(scope: Scope, node: ast.Call) -> Value:
    return verify_merkle(scope, node, _lower_arguments(scope, node, 5))


def _call_pack(scope: Scope, node: ast.Call) -> Value:
    (value,) = _lower_arguments(scope, node, 1)
    if isinstance(value.type, Option) or value.type in (PLAIN, NONE, NOTHING, UNKNOWN):
        raise Mistake(node, f"{describe_type(value.type)} cannot be packed", "give it a type of its own")
    return values.pack_to_bytes(scope, value.type, value.code)  # type: ignore[arg-type]  # refused above


def _call_replace(scope: Scope, node: ast.Call) -> Value:
    if len(node.args) != 1:
        raise Mistake(node, "replace takes a struct and the fields that change by name")
    value = lower(scope, node.args[0])
    if not isinstance(value.type, StructOf):
        raise Mistake(node, f"replace takes a struct, not {describe_type(value.type)}")
    kind = value.type
    held = scope.borrow(kind)
    code: Code = (*value.code, *held.set)
    changed: dict[str, Code] = {}
    for keyword in node.keywords:
        field = dict(kind.fields).get(keyword.arg or "")
        if field is None or keyword.arg is None:
            raise Mistake(keyword, f"{kind.name} has no field {keyword.arg}")
        variable = scope.borrow(field)
        code += (*values.coerce(scope, keyword.value, lower(scope, keyword.value), field), *variable.set)
        changed[keyword.arg] = variable.get
    old = Value(kind, held.get)
    parts = [changed.get(name) or values.get_field(scope, node, old, name).code for name, _ in kind.fields]
    return Value(kind, (*code, *values.build_struct(scope, kind, parts)))


def _call_range(scope: Scope, node: ast.Call) -> Value:
    raise Mistake(node, "range stands in a for loop only", "write for i in range(…):")


_BUILTINS: Final[dict[str, Callable[[Scope, ast.Call], Value]]] = {
    "len": _call_len,
    "bytes": _call_bytes,
    "min": _call_smaller,
    "max": _call_larger,
    "require": _call_require,
    "revert": _call_revert,
    "emit": _call_emit,
    "balance": _call_balance,
    "transfer": _call_transfer,
    "mul_div": _call_mul_div,
    "sha256": _call_hash,
    "keccak256": _call_hash,
    **dict.fromkeys(CRYPTOGRAPHY, _call_verify),
    "merkle_verify": _call_merkle_verify,
    "pack": _call_pack,
    "replace": _call_replace,
    "range": _call_range,
}
