"""Statements, and whole functions."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from compiler import storage, values
from compiler.declarations import (
    RESERVED,
    Declarations,
    FunctionDeclaration,
    StorageDeclaration,
    check_identifier,
    is_docstring,
    read_type,
)
from compiler.diagnostics import Consequence, Mistake, Mistakes
from compiler.expressions import combine, find_storage, lower, lower_condition
from compiler.integers import convert
from compiler.packing import Assembly, load_value, store_value
from compiler.scope import UNREACHED, Flow, Loop, Scope, Value, Variable
from compiler.types import NONE, NOTHING, PLAIN, U64, U128, UNKNOWN, Type, Unknown, describe_type, list_slots
from compiler.wasm import Code, Function
from vm.contracts.abi import ListOf, Option, StorageKind, Unsigned

_REFUSED: Final[dict[type[ast.stmt], tuple[str, str]]] = {
    ast.Assert: ("assert is not part of the language", "write require(condition, CODE)"),
    ast.Raise: ("there are no exceptions", "write revert(CODE)"),
    ast.Try: ("there are no exceptions", "check first; what fails undoes the whole call"),
    ast.With: ("there is no with", ""),
    ast.FunctionDef: ("there are no functions inside of functions", "write a function of the module"),
    ast.AsyncFunctionDef: ("nothing is awaited in a contract", ""),
    ast.ClassDef: ("a class stands at the top of the module", ""),
    ast.Global: ("what changes is kept in storage", ""),
    ast.Nonlocal: ("there are no functions inside of functions", ""),
    ast.Import: ("imports stand at the top of the module", ""),
    ast.ImportFrom: ("imports stand at the top of the module", ""),
    ast.Match: ("there is no match", "write if, elif, else"),
}


def lower_function(
    declared: Declarations, assembly: Assembly, mistakes: Mistakes, function: FunctionDeclaration
) -> tuple[Function, Scope]:
    """Translate a function; mistakes are collected."""
    scope = Scope(declared, assembly, mistakes, function)
    for argument, (name, kind) in zip(_list_arguments(function), function.parameters, strict=True):
        with mistakes.collect():
            _check_name(scope, argument, name)
        scope.declare(name, kind, function.node.lineno)
    parameters = tuple(scope.locals)
    scope.flow = Flow(assigned=frozenset(scope.variables))
    code = lower_block(scope, function.node.body)
    if scope.flow.is_reached and function.result != NOTHING:
        mistakes.add(
            Mistake(function.node, f"{function.name} may end without giving anything back", "return on every way")
        )
    if not scope.flow.is_reached or function.result != NOTHING:
        code += ("unreachable",)
    result = None if function.result == NOTHING else list_slots(function.result)[0]
    return Function(function.symbol, parameters, result, tuple(scope.locals[len(parameters) :]), code), scope


def lower_block(scope: Scope, body: Sequence[ast.stmt]) -> Code:
    """Translate statements in order, each on its own: one mistake does not hide the next."""
    code: Code = ()
    for index, statement in enumerate(body):
        if index == 0 and is_docstring(statement):
            continue
        if not scope.flow.is_reached:
            scope.mistakes.add(Mistake(statement, "this is never reached", "delete it"))
            break
        with scope.mistakes.collect(), scope.lend():
            code += _lower_statement(scope, statement)
    return code


def _list_arguments(function: FunctionDeclaration) -> list[ast.arg]:
    arguments = function.node.args.args
    return arguments[1:] if function.is_method else arguments


def _lower_statement(scope: Scope, statement: ast.stmt) -> Code:
    match statement:
        case ast.Expr(value=ast.Call() as call):
            value = lower(scope, call)
            if value.never_returns:
                scope.flow = UNREACHED
            return (*value.code, *("drop" for _ in list_slots(value.type)))
        case ast.Expr():
            raise Mistake(statement, "this does nothing", "assign it, return it, or delete it")
        case ast.Assign(targets=[target]):
            return _assign(scope, statement, target, statement.value)
        case ast.Assign():
            raise Mistake(statement, "one value is assigned to one name")
        case ast.AnnAssign():
            return _assign_annotated(scope, statement)
        case ast.AugAssign():
            return _augment(scope, statement)
        case ast.If():
            return _lower_if(scope, statement)
        case ast.While():
            return _lower_while(scope, statement)
        case ast.For():
            return _lower_for(scope, statement)
        case ast.Return():
            return _lower_return(scope, statement)
        case ast.Break() | ast.Continue():
            return _lower_jump(scope, statement)
        case ast.Pass():
            return ()
        case ast.Delete(targets=targets):
            return tuple(line for target in targets for line in _delete(scope, target))
        case _:
            message, advice = _REFUSED.get(type(statement), ("this statement is not part of the language", ""))
            raise Mistake(statement, message, advice)


def _check_name(scope: Scope, node: ast.AST, name: str) -> None:
    check_identifier(node, name)
    if name in RESERVED | {"range"} or scope.declared.is_taken(name):
        raise Mistake(node, f"{name} already means something else", "choose another name")


def _assign(scope: Scope, statement: ast.stmt, target: ast.expr, source: ast.expr) -> Code:
    match target:
        case ast.Name(id=name):
            try:
                return _assign_name(scope, target, name, lower(scope, source), None)
            except (Mistake, Consequence):
                _give_up(scope, target, name)
                raise
        case ast.Attribute() | ast.Subscript():
            return _assign_place(scope, target, source)
        case _:
            raise Mistake(statement, "several names cannot be assigned at once", "declare a @struct")


def _assign_annotated(scope: Scope, statement: ast.AnnAssign) -> Code:
    match statement.target, statement.value:
        case ast.Name(id=name) as target, ast.expr() as source:
            try:
                kind = read_type(scope.declared, statement.annotation)
                return _assign_name(scope, target, name, lower(scope, source), kind)
            except (Mistake, Consequence):
                _give_up(scope, target, name)
                raise
        case _:
            raise Mistake(statement, "a variable is declared where it gets its first value", "write name: Type = value")


def _give_up(scope: Scope, target: ast.AST, name: str) -> None:
    """After a mistake nothing more is said about the variable."""
    if name not in scope.variables:
        scope.variables[name] = Variable(UNKNOWN, (), getattr(target, "lineno", 0))
    scope.flow = replace(scope.flow, assigned=scope.flow.assigned | {name})


def _assign_name(scope: Scope, node: ast.AST, name: str, value: Value, annotated: Type | None) -> Code:
    variable = scope.variables.get(name)
    if variable is None:
        _check_name(scope, node, name)
        kind = annotated or value.type
        if kind == NONE:
            raise Mistake(node, f"the type of {name} is not known", f"write {name}: Address | None = None")
        if kind == PLAIN:
            raise Mistake(node, f"{name} has no width", f"write {name} = u64({values.show_constant(value)})")
        if kind == NOTHING:
            raise Mistake(node, "there is no value here to be assigned")
        code = values.coerce(scope, node, value, kind)
        variable = scope.declare(name, kind, getattr(node, "lineno", 0))
    else:
        if isinstance(variable.type, Unknown):
            raise Consequence
        if annotated is not None:
            raise Mistake(node, f"{name} is declared on line {variable.line} already")
        try:
            code = values.coerce(scope, node, value, variable.type)
        except Mistake as mistake:
            was = describe_type(variable.type)
            raise Mistake(node, f"{name} is {was} since line {variable.line}: {mistake}", mistake.advice) from None
    present = scope.flow.forget(frozenset([name])).present
    if isinstance(variable.type, Option) and value.type == variable.type.item:
        present |= {name}
    scope.flow = Flow(scope.flow.assigned | {name}, present)
    return (*code, *variable.set)


def _assign_place(scope: Scope, target: ast.Attribute | ast.Subscript, source: ast.expr) -> Code:
    """A storage item or an item of a list. Python evaluates the value first, then the place."""
    value = lower(scope, source)
    item = find_storage(scope, target)
    if item is not None and item.kind is StorageKind.VAR:
        code, held = _hold(scope, source, value, item.value)
        return (*code, *storage.write(scope, target, item, None, held))
    if isinstance(target, ast.Attribute):
        raise _explain_no_place(scope, target)
    item = find_storage(scope, target.value)
    if item is not None and item.kind is not StorageKind.VAR:
        code, held = _hold(scope, source, value, item.value)
        key_code, key = storage.hold_key(scope, target.slice, item, lower(scope, target.slice))
        return (*code, *key_code, *storage.write(scope, target, item, key, held))
    array = lower(scope, target.value)
    kind = _check_list(target, array)
    code, held = _hold(scope, source, value, kind.item)
    place = scope.borrow(values.POINTER)
    locate = values.locate_item(scope, target, array, kind, lower(scope, target.slice))
    return (*code, *locate, *place.set, *store_value(kind.item, place.slots[0], held.slots))


def _hold(scope: Scope, node: ast.AST, value: Value, kind: Type) -> tuple[Code, Variable]:
    held = scope.borrow(kind)
    return (*values.coerce(scope, node, value, kind), *held.set), held


def _check_list(target: ast.Subscript, array: Value) -> ListOf:
    if isinstance(target.slice, ast.Slice):
        raise Mistake(target, "a slice is not assigned", "assign item by item")
    if not isinstance(array.type, ListOf):
        raise Mistake(target, f"{describe_type(array.type)} cannot be changed", "only lists and storage items can")
    return array.type


def _explain_no_place(scope: Scope, target: ast.Attribute) -> Mistake:
    if isinstance(target.value, ast.Name) and target.value.id == "self":
        item = scope.declared.storage.get(target.attr)
        if item is not None:
            return Mistake(target, f"{item.name} is a map", f"assign self.{item.name}[key]")
        return Mistake(target, f"{target.attr} is not a storage item", "annotate it in the class")
    return Mistake(target, "structs do not change", f"make a new one: replace(x, {target.attr}=…)")


def _augment(scope: Scope, statement: ast.AugAssign) -> Code:
    target = statement.target
    if isinstance(target, ast.Name):
        old = lower(scope, target)
        value = combine(scope, statement, statement.op, old, lower(scope, statement.value))
        return _assign_name(scope, target, target.id, value, None)
    item = find_storage(scope, target)
    if item is not None and item.kind is StorageKind.VAR:
        return _augment_storage(scope, statement, item, None)
    if isinstance(target, ast.Attribute):
        raise _explain_no_place(scope, target)
    item = find_storage(scope, target.value)
    if item is not None and item.kind is not StorageKind.VAR:
        code, key = storage.hold_key(scope, target.slice, item, lower(scope, target.slice))
        return (*code, *_augment_storage(scope, statement, item, key))
    array = lower(scope, target.value)
    kind = _check_list(target, array)
    # Python finds the item twice: when it is read, and when it is written.
    held_array, position = scope.borrow(kind), scope.borrow(U64)
    code = (*array.code, *held_array.set, *values.to_position(scope, target, lower(scope, target.slice)), *position.set)
    found = Value(kind, held_array.get)
    locate = values.locate_item(scope, target, found, kind, Value(U64, position.get))
    place = scope.borrow(values.POINTER)
    old = Value(kind.item, (*locate, *place.set, *load_value(kind.item, place.slots[0])))
    combined = combine(scope, statement, statement.op, old, lower(scope, statement.value))
    store, held = _hold(scope, statement, combined, kind.item)
    return (*code, *store, *locate, *place.set, *store_value(kind.item, place.slots[0], held.slots))


def _augment_storage(scope: Scope, statement: ast.AugAssign, item: StorageDeclaration, key: Variable | None) -> Code:
    old = Value(item.value, storage.read(scope, item, key))
    value = combine(scope, statement, statement.op, old, lower(scope, statement.value))
    code, held = _hold(scope, statement, value, item.value)
    return (*code, *storage.write(scope, statement, item, key, held))


def _delete(scope: Scope, target: ast.expr) -> Code:
    if isinstance(target, ast.Subscript):
        item = find_storage(scope, target.value)
        if item is not None and item.kind is not StorageKind.VAR:
            code, key = storage.hold_key(scope, target.slice, item, lower(scope, target.slice))
            return (*code, *storage.delete(scope, target, item, key))
    raise Mistake(target, "only keys of maps are deleted", "write del self.items[key]")


def _lower_test(scope: Scope, node: ast.expr) -> Value:
    """A condition; when it is a mistake, what hangs on it is still looked at."""
    with scope.mistakes.collect():
        return lower_condition(scope, node)
    return Value(UNKNOWN, ())


def _lower_if(scope: Scope, statement: ast.If) -> Code:
    condition = _lower_test(scope, statement.test)
    before = scope.flow
    scope.set_present(condition.present_if_true)
    first = lower_block(scope, statement.body)
    after_first, scope.flow = scope.flow, before
    scope.set_present(condition.present_if_false)
    second = lower_block(scope, statement.orelse)
    scope.flow = after_first.join(scope.flow)
    return (*condition.code, "if", *first, *(("else", *second) if second else ()), "end")


def _list_assigned(body: Sequence[ast.stmt]) -> frozenset[str]:
    """Names that get a new value somewhere inside."""
    return frozenset(
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def _forget_assigned(scope: Scope, body: Sequence[ast.stmt]) -> None:
    """At the top of a loop nothing is known of what its body assigns."""
    scope.flow = scope.flow.forget(_list_assigned(body))


def _refuse_else(statement: ast.While | ast.For) -> None:
    if statement.orelse:
        raise Mistake(statement.orelse[0], "a loop has no else", "keep a bool, or return from inside")


def _lower_body(scope: Scope, body: Sequence[ast.stmt]) -> tuple[Code, Loop]:
    """A loop's body in a block that `continue` leaves."""
    loop = Loop(scope.new_label("exit"), scope.new_label("next"))
    scope.loops.append(loop)
    code = lower_block(scope, body)
    scope.loops.pop()
    return (f"block {loop.next_label}", *code, "end"), loop


def _repeat(scope: Scope, loop: Loop, condition: Code, body: Code, step: Code) -> Code:
    top = scope.new_label("top")
    test = (*condition, "i32.eqz", f"br_if {loop.exit_label}") if condition else ()
    return (f"block {loop.exit_label}", f"loop {top}", *test, *body, *step, f"br {top}", "end", "end")


def _lower_while(scope: Scope, statement: ast.While) -> Code:
    _refuse_else(statement)
    _forget_assigned(scope, statement.body)
    is_endless = isinstance(statement.test, ast.Constant) and statement.test.value is True
    condition = Value(NOTHING, ()) if is_endless else _lower_test(scope, statement.test)
    before = scope.flow
    scope.set_present(condition.present_if_true)
    body, loop = _lower_body(scope, statement.body)
    scope.flow = before
    scope.set_present(condition.present_if_false)
    scope.flow = loop.exits if is_endless else scope.flow.join(loop.exits)
    return _repeat(scope, loop, condition.code, body, ())


def _lower_for(scope: Scope, statement: ast.For) -> Code:
    _refuse_else(statement)
    if not isinstance(statement.target, ast.Name):
        raise Mistake(statement.target, "one name takes each value", "count with range(len(x)) to have positions too")
    name = statement.target.id
    try:
        start, condition, item, step = _iterate(scope, statement.iter)
    except (Mistake, Consequence):
        before = scope.flow
        _give_up(scope, statement.target, name)
        _lower_body(scope, statement.body)
        scope.flow = before
        raise
    _forget_assigned(scope, [statement])
    before = scope.flow
    assign = _assign_name(scope, statement.target, name, item, None)
    body, loop = _lower_body(scope, statement.body)
    scope.flow = before.join(loop.exits)
    return (*start, *_repeat(scope, loop, condition, (*assign, *body), step))


def _iterate(scope: Scope, node: ast.expr) -> tuple[Code, Code, Value, Code]:
    """What a for loop does at first, before each turn, to get the next value, and after each turn."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        return _iterate_range(scope, node)
    item = find_storage(scope, node)
    if item is not None and item.kind is not StorageKind.VAR:
        index = scope.borrow(U64)
        count = storage.count(item).code
        key = storage.key_at(scope, node, item, index.get)
        return *_count_up(index, count), key, _increment(index)
    array = lower(scope, node)
    if not isinstance(array.type, ListOf):
        message = f"one cannot go through {describe_type(array.type)}"
        raise Mistake(node, message, "only through lists, indexed maps and range(…)")
    kind = array.type
    held, index, place = scope.borrow(kind), scope.borrow(U64), scope.borrow(values.POINTER)
    start, condition = _count_up(index, (*held.get, "i32.load", "i64.extend_i32_u"))
    locate = values.locate_item(scope, node, Value(kind, held.get), kind, Value(U64, index.get))
    value = Value(kind.item, (*locate, *place.set, *load_value(kind.item, place.slots[0])))
    return (*array.code, *held.set, *start), condition, value, _increment(index)


def _iterate_range(scope: Scope, node: ast.Call) -> tuple[Code, Code, Value, Code]:
    if "range" not in scope.declared.imported:
        raise Mistake(
            node, "range is not imported; Python's own gives int without a width", "write from iov import range"
        )
    if node.keywords or not 1 <= len(node.args) <= 2:
        raise Mistake(node, "range takes a stop, or a start and a stop", "for larger steps use while")
    bounds = [lower(scope, each) for each in node.args]
    kinds = [each.type for each in bounds if isinstance(each.type, Unsigned)]
    if any(not isinstance(each.type, Unsigned) and each.type != PLAIN for each in bounds):
        raise Mistake(node, "range counts integers")
    kind = kinds[0] if kinds else U64
    if any(each != kind for each in kinds):
        raise Mistake(node, "start and stop have different types", "convert one of them")
    if kind == U128:
        raise Mistake(node, "a loop that needs 128 bits would never end", "convert it: u64(…)")
    index, stop = scope.borrow(kind), scope.borrow(kind)
    codes = [convert(scope, node, each, kind) for each in bounds]
    word = list_slots(kind)[0]
    first = codes[0] if len(codes) == 2 else (f"{word}.const 0",)
    start = (*first, *index.set, *codes[-1], *stop.set)
    condition = (*index.get, *stop.get, f"{word}.lt_u")
    return start, condition, Value(kind, index.get), (*index.get, f"{word}.const 1", f"{word}.add", *index.set)


def _count_up(index: Variable, count: Code) -> tuple[Code, Code]:
    return ("i64.const 0", *index.set), (*index.get, *count, "i64.lt_u")


def _increment(index: Variable) -> Code:
    return (*index.get, "i64.const 1", "i64.add", *index.set)


def _lower_return(scope: Scope, statement: ast.Return) -> Code:
    result = scope.function.result
    if statement.value is None:
        if result != NOTHING:
            raise Mistake(statement, f"{scope.function.name} gives back {describe_type(result)}", "write return value")
        scope.flow = UNREACHED
        return ("return",)
    try:
        if result == NOTHING:
            raise Mistake(statement, f"{scope.function.name} gives nothing back", "change -> None")
        code = values.coerce(scope, statement, lower(scope, statement.value), result)
    finally:
        scope.flow = UNREACHED
    return (*code, *(("global.set high",) if result == U128 else ()), "return")


def _lower_jump(scope: Scope, statement: ast.Break | ast.Continue) -> Code:
    if not scope.loops:
        raise Mistake(statement, "there is no loop around this")
    loop = scope.loops[-1]
    if isinstance(statement, ast.Break):
        loop.exits = loop.exits.join(scope.flow)
        label = loop.exit_label
    else:
        label = loop.next_label
    scope.flow = UNREACHED
    return (f"br {label}",)
