"""What a source declares: constants, types, events, functions, the contract and the interfaces it calls."""

import ast
from dataclasses import dataclass, field
from typing import Final

from compiler.diagnostics import Consequence, Mistake, Mistakes
from compiler.types import (
    ADDRESS,
    BOOL,
    BYTES,
    DID,
    NOTHING,
    PLAIN,
    TEXT,
    Type,
    describe_type,
)
from vm.contracts.abi import (
    ADDRESS_BYTES,
    LIST_ITEMS_MAX,
    NAMES_MAX,
    TYPE_DEPTH_MAX,
    AbiType,
    Identifier,
    ListOf,
    MethodKind,
    Option,
    StorageKind,
    StructOf,
    Unsigned,
    UpgradeRule,
)

INTEGER_TYPES: Final = {f"u{bits}": Unsigned(bits) for bits in (8, 16, 32, 64, 128)}
IMPORTED_TYPES: Final[dict[str, AbiType]] = {**INTEGER_TYPES, "Address": ADDRESS, "Did": DID}
BUILTIN_TYPES: Final[dict[str, AbiType]] = {"bool": BOOL, "bytes": BYTES, "str": TEXT}
STORAGE_KINDS: Final = {"Var": StorageKind.VAR, "Map": StorageKind.MAP, "IndexedMap": StorageKind.INDEXED_MAP}
METHOD_KINDS: Final = {kind.name.lower(): kind for kind in MethodKind}
UPGRADE_RULES: Final = {rule.name.lower(): rule for rule in UpgradeRule}

FUNCTIONS: Final = frozenset(
    [
        "require",
        "revert",
        "emit",
        "balance",
        "transfer",
        "mul_div",
        "sha256",
        "keccak256",
        "ed25519_verify",
        "secp256k1_verify",
        "p256_verify",
        "merkle_verify",
        "pack",
        "replace",
        "range",
    ]
)
IMPORTABLE: Final = {
    "iov": frozenset(
        {
            *IMPORTED_TYPES,
            *STORAGE_KINDS,
            *METHOD_KINDS,
            *FUNCTIONS,
            *[
                "List",
                "Contract",
                "ContractInterface",
                "NativeModule",
                "payable",
                "reentrant",
                "event",
                "struct",
                "context",
            ],
            *["ROUND_DOWN", "ROUND_UP", "ROUND_NEAREST"],
        }
    ),
    "typing": frozenset({"Final", "Literal", "Optional"}),
}
NAMED_NUMBERS: Final = {"ROUND_DOWN": 0, "ROUND_UP": 1, "ROUND_NEAREST": 2}
NAME_CHARACTERS_MAX: Final = 64  # as in the interface
RESERVED: Final = frozenset({"len", "min", "max", "True", "False", "None", "self", *BUILTIN_TYPES})


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known while compiling."""

    type: Type
    value: int | bool | bytes | str


@dataclass(frozen=True, slots=True)
class FunctionDeclaration:
    """A function or method with its types."""

    name: str
    symbol: str
    """Name in the module of WebAssembly."""
    node: ast.FunctionDef
    parameters: tuple[tuple[str, AbiType], ...]
    result: Type
    kind: MethodKind | None = None
    """How it may be entered from outside; None if it may not."""
    is_payable: bool = False
    is_reentrant: bool = False
    is_method: bool = False


@dataclass(frozen=True, slots=True)
class StorageDeclaration:
    """A storage item; the key is None for a single value."""

    name: str
    position: int
    kind: StorageKind
    key: AbiType | None
    value: AbiType


@dataclass(frozen=True, slots=True)
class InterfaceDeclaration:
    """Another contract, or a native module, seen from outside."""

    name: str
    module: str | None
    """The native module's name."""
    methods: dict[str, FunctionDeclaration]


@dataclass(slots=True)
class Declarations:
    """Everything declared, by name, in the order of the source."""

    imported: set[str] = field(default_factory=set)
    constants: dict[str, Constant] = field(default_factory=dict)
    aliases: dict[str, AbiType] = field(default_factory=dict)
    structs: dict[str, StructOf] = field(default_factory=dict)
    events: dict[str, StructOf] = field(default_factory=dict)
    functions: dict[str, FunctionDeclaration] = field(default_factory=dict)
    interfaces: dict[str, InterfaceDeclaration] = field(default_factory=dict)
    contract: ast.ClassDef | None = None
    upgrade: UpgradeRule = UpgradeRule.NEVER
    storage: dict[str, StorageDeclaration] = field(default_factory=dict)
    methods: dict[str, FunctionDeclaration] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    """Names whose declaration was a mistake: whoever uses them is not told again."""

    def is_taken(self, name: str) -> bool:
        """Whether the name stands for something at the top of the module."""
        tables = (self.constants, self.aliases, self.structs, self.events, self.functions, self.interfaces)
        is_contract = self.contract is not None and self.contract.name == name
        return is_contract or name in self.imported or any(name in table for table in tables)


def read_declarations(module: ast.Module, mistakes: Mistakes) -> Declarations:
    """Go through the module once, from top to bottom, as Python does."""
    declared = Declarations()
    for index, statement in enumerate(module.body):
        if index == 0 and is_docstring(statement):
            continue
        with mistakes.collect():
            _read_statement(declared, statement, mistakes)
    if declared.contract is None and not declared.broken:
        mistakes.add(Mistake(module, "there is no contract", "write class Name(Contract): …"))
    return declared


def read_type(declared: Declarations, node: ast.expr) -> AbiType:
    """The type an annotation stands for."""
    kind = _read_type(declared, node)
    if _get_depth(kind) > TYPE_DEPTH_MAX:
        raise Mistake(node, f"types are nested at most {TYPE_DEPTH_MAX} deep")
    return kind


def evaluate(declared: Declarations, node: ast.expr) -> Constant | None:
    """The value of an expression of constants; None if it is not one."""
    match node:
        case ast.Constant(value=bool() as value):
            return Constant(BOOL, value)
        case ast.Constant(value=int() as value):
            return Constant(PLAIN, value)
        case ast.Constant(value=str() as value):
            if any("\ud800" <= each <= "\udfff" for each in value):
                raise Mistake(node, "this text cannot be written as UTF-8")
            return Constant(TEXT, value)
        case ast.Constant(value=bytes() as value):
            return Constant(BYTES, value)
        case ast.Name(id=name) if name in declared.constants:
            return declared.constants[name]
        case ast.Name(id=name) if name in NAMED_NUMBERS and name in declared.imported:
            return Constant(PLAIN, NAMED_NUMBERS[name])
        case ast.UnaryOp(op=ast.USub(), operand=ast.expr() as operand):
            inner = evaluate(declared, operand)
            return Constant(PLAIN, -int(inner.value)) if inner is not None and inner.type == PLAIN else None
        case ast.BinOp():
            return _evaluate_operation(declared, node)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in declared.imported:
            return _evaluate_conversion(declared, node, name, argument)
        case _:
            return None


def check_identifier(node: ast.AST, name: str) -> None:
    """Raise Mistake for a name that Python would treat in its own way, or the interface has no room for."""
    if not name.isascii():
        raise Mistake(node, f"{name} is not written in ASCII")
    if name.startswith("__"):
        raise Mistake(node, "names do not begin with two _")
    if len(name) > NAME_CHARACTERS_MAX:
        raise Mistake(node, f"a name has at most {NAME_CHARACTERS_MAX} characters")


def is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is nothing but text."""
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _evaluate_operation(declared: Declarations, node: ast.BinOp) -> Constant | None:
    left, right = evaluate(declared, node.left), evaluate(declared, node.right)
    if left is None or right is None or left.type != PLAIN or right.type != PLAIN:
        return None
    a, b = int(left.value), int(right.value)
    match node.op:
        case ast.Add():
            value = a + b
        case ast.Sub():
            value = a - b
        case ast.Mult():
            value = a * b
        case ast.Pow() if 0 <= b <= 128 and abs(a) < 1 << 16:
            value = a**b
        case ast.FloorDiv() if b:
            value = a // b
        case ast.Mod() if b:
            value = a % b
        case ast.LShift() if 0 <= b <= 128:
            value = a << b
        case ast.RShift() if b >= 0:
            value = a >> b
        case ast.BitAnd():
            value = a & b
        case ast.BitOr():
            value = a | b
        case ast.BitXor():
            value = a ^ b
        case _:
            raise Mistake(node, "this cannot be computed")
    if abs(value) >> 256:
        raise Mistake(node, "the number is too large: constants have at most 256 bits")
    return Constant(PLAIN, value)


def _evaluate_conversion(declared: Declarations, node: ast.Call, name: str, argument: ast.expr) -> Constant | None:
    inner = evaluate(declared, argument)
    if inner is None:
        return None
    if name in INTEGER_TYPES:
        kind = INTEGER_TYPES[name]
        if not _is_int(inner.value) or not isinstance(inner.type, (Unsigned, type(PLAIN))):
            raise Mistake(node, f"{name} is made of an integer, not of {describe_type(inner.type)}")
        value = int(inner.value)
        if not 0 <= value < 1 << kind.bits:
            raise Mistake(node, f"{value} is not a {name}", f"{name} reaches from 0 to {(1 << kind.bits) - 1}")
        return Constant(kind, value)
    if name in ("Address", "Did") and isinstance(inner.value, bytes):
        if len(inner.value) != ADDRESS_BYTES:
            raise Mistake(node, f"{len(inner.value)} bytes are no {name}; it has {ADDRESS_BYTES}")
        return Constant(Identifier(name), inner.value)
    return None


def _read_statement(declared: Declarations, statement: ast.stmt, mistakes: Mistakes) -> None:
    match statement:
        case ast.ImportFrom(module=module, names=names, level=0) if module in IMPORTABLE:
            for alias in names:
                with mistakes.collect():
                    _read_import(declared, module, alias)
        case ast.Import() | ast.ImportFrom():
            raise Mistake(statement, "a contract imports from iov and typing only", "write from iov import …")
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            _read_assignment(declared, statement, name, value)
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
            _check_final(declared, annotation)
            _read_assignment(declared, statement, name, value)
        case ast.FunctionDef(name=name):
            try:
                _claim(declared, statement, name)
                if statement.decorator_list:
                    raise Mistake(statement.decorator_list[0], "a function outside of a class has no decorators")
                declared.functions[name] = read_function(declared, statement, f"f.{name}", is_method=False)
            except (Mistake, Consequence):
                declared.broken.add(name)
                raise
        case ast.ClassDef(name=name):
            try:
                _claim(declared, statement, name)
                _read_class(declared, statement, mistakes)
            except (Mistake, Consequence):
                declared.broken.add(name)
                raise
        case _:
            raise Mistake(
                statement, "this cannot stand outside of a function", "declare constants, structs, events and classes"
            )


def _read_import(declared: Declarations, module: str, alias: ast.alias) -> None:
    if alias.asname is not None:
        raise Mistake(alias, "imported names keep their names", f"write import {alias.name}")
    if alias.name not in IMPORTABLE[module]:
        raise Mistake(alias, f"contracts know nothing called {alias.name} in {module}")
    declared.imported.add(alias.name)


def _claim(declared: Declarations, node: ast.AST, name: str) -> None:
    if name in RESERVED or declared.is_taken(name):
        raise Mistake(node, f"{name} already means something else", "choose another name")
    check_identifier(node, name)


def _check_final(declared: Declarations, annotation: ast.expr) -> None:
    names = {each.id for each in ast.walk(annotation) if isinstance(each, ast.Name)}
    if "Final" not in names:
        raise Mistake(annotation, "what stands outside of a function is a constant", "write NAME: Final = …")
    if "Final" not in declared.imported:
        raise Mistake(annotation, "Final is not imported", "write from typing import Final")


def _read_assignment(declared: Declarations, statement: ast.stmt, name: str, value: ast.expr) -> None:
    try:
        _claim(declared, statement, name)
        if isinstance(value, ast.Subscript):
            declared.aliases[name] = read_type(declared, value)
            return
        constant = evaluate(declared, value)
        if constant is None:
            raise Mistake(value, "a constant is an int, bool, str or bytes literal, or u64(…), or arithmetic of ints")
        declared.constants[name] = constant
    except (Mistake, Consequence):
        declared.broken.add(name)
        raise


def _read_type(declared: Declarations, node: ast.expr) -> AbiType:
    match node:
        case ast.Name(id=name):
            return _read_named_type(declared, node, name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return _make_option(node, _read_type(declared, left))
        case ast.BinOp(left=ast.Constant(value=None), op=ast.BitOr(), right=right):
            return _make_option(node, _read_type(declared, right))
        case ast.Subscript(value=ast.Name(id="Optional"), slice=item) if "Optional" in declared.imported:
            return _make_option(node, _read_type(declared, item))
        case ast.Subscript(value=ast.Name(id="List"), slice=ast.Tuple(elts=[item, bound])) if (
            "List" in declared.imported
        ):
            return ListOf(_read_type(declared, item), _read_bound(declared, bound))
        case ast.Subscript(value=ast.Name(id="list" | "List")):
            raise Mistake(node, "a list says how long it may become", "write List[T, Literal[100]], imported from iov")
        case ast.Subscript(value=ast.Name(id="dict" | "set" | "tuple" | "frozenset" as name)):
            raise Mistake(node, f"there is no {name}", "keep a Map or IndexedMap in storage, or declare a @struct")
        case ast.Constant(value=str()):
            raise Mistake(node, "types are not written as text")
        case _:
            raise Mistake(node, f"{ast.unparse(node)} is not a type of contracts")


def _read_named_type(declared: Declarations, node: ast.expr, name: str) -> AbiType:
    if name in BUILTIN_TYPES:
        return BUILTIN_TYPES[name]
    if name in IMPORTED_TYPES:
        if name not in declared.imported:
            raise Mistake(node, f"{name} is not imported", f"write from iov import {name}")
        return IMPORTED_TYPES[name]
    if name in declared.structs:
        return declared.structs[name]
    if name in declared.aliases:
        return declared.aliases[name]
    if name in declared.broken:
        raise Consequence
    advice = {
        "int": "choose a width: u8, u16, u32, u64 or u128",
        "float": "there are no fractions: count in a smaller unit, use mul_div",
        "object": "every value has one known type",
    }.get(name, "a struct is declared above its first use")
    raise Mistake(node, f"there is no type {name}", advice)


def _make_option(node: ast.expr, item: AbiType) -> AbiType:
    if isinstance(item, Option):
        raise Mistake(node, "None is allowed already")
    return Option(item)


def _read_bound(declared: Declarations, node: ast.expr) -> int:
    match node:
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Constant(value=int() as count)) if (
            "Literal" in declared.imported and _is_int(count)
        ):
            if not 1 <= count <= LIST_ITEMS_MAX:
                raise Mistake(node, f"a list holds 1 to {LIST_ITEMS_MAX} items")
            return count
        case _:
            raise Mistake(node, "the longest length is a literal", "write Literal[100], imported from typing")


def _get_depth(kind: AbiType) -> int:
    match kind:
        case Option(item) | ListOf(item, _):
            return 1 + _get_depth(item)
        case StructOf(_, fields):
            return 1 + max(_get_depth(field) for _, field in fields)
        case _:
            return 1


def _read_class(declared: Declarations, node: ast.ClassDef, mistakes: Mistakes) -> None:
    marks = [each.id for each in node.decorator_list if isinstance(each, ast.Name)]
    bases = [each.id for each in node.bases if isinstance(each, ast.Name)]
    for name in (*marks, *bases):
        if name not in declared.imported:
            raise Mistake(node, f"{name} is not imported", f"write from iov import {name}")
    match marks, bases, len(node.decorator_list), len(node.bases):
        case ["struct"], [], 1, 0:
            declared.structs[node.name] = StructOf(node.name, _read_fields(declared, node, mistakes, is_event=False))
        case ["event"], [], 1, 0:
            declared.events[node.name] = StructOf(node.name, _read_fields(declared, node, mistakes, is_event=True))
        case [], ["Contract"], 0, 1:
            _read_contract(declared, node, mistakes)
        case [], ["ContractInterface"], 0, 1:
            _refuse_keywords(node)
            declared.interfaces[node.name] = _read_interface(declared, node, None, mistakes)
        case [], ["NativeModule"], 0, 1:
            match node.keywords:
                case [ast.keyword(arg="module", value=ast.Constant(value=str() as module))]:
                    declared.interfaces[node.name] = _read_interface(declared, node, module, mistakes)
                case _:
                    raise Mistake(
                        node, "the native module is not named", f'write {node.name}(NativeModule, module="…")'
                    )
        case _:
            raise Mistake(
                node,
                "a class is a Contract, a ContractInterface, a NativeModule, a @struct or an @event, and nothing else",
            )


def _refuse_keywords(node: ast.ClassDef) -> None:
    if node.keywords:
        raise Mistake(node, f"{node.name} takes no {node.keywords[0].arg}")


def _read_fields(
    declared: Declarations, node: ast.ClassDef, mistakes: Mistakes, *, is_event: bool
) -> tuple[tuple[str, AbiType], ...]:
    _refuse_keywords(node)
    fields: dict[str, AbiType] = {}
    for index, statement in enumerate(node.body):
        with mistakes.collect():
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=None):
                    if name in fields:
                        raise Mistake(statement, f"{name} stands twice")
                    check_identifier(statement, name)
                    fields[name] = read_type(declared, annotation)
                case ast.Pass() if is_event:
                    pass
                case _ if index == 0 and is_docstring(statement):
                    pass
                case _:
                    raise Mistake(statement, "only fields without a default stand here", "write name: Type")
    if not (is_event or fields):
        if not all(is_docstring(each) for each in node.body):
            raise Consequence
        raise Mistake(node, "a struct has at least one field")
    if len(fields) > NAMES_MAX:
        raise Mistake(node, f"there are at most {NAMES_MAX} fields")
    return tuple(fields.items())


def _read_contract(declared: Declarations, node: ast.ClassDef, mistakes: Mistakes) -> None:
    if declared.contract is not None:
        raise Mistake(node, "a module holds one contract", f"{declared.contract.name} is one already")
    declared.contract = node
    match node.keywords:
        case []:
            pass
        case [ast.keyword(arg="upgrade", value=ast.Constant(value=str() as rule))] if rule in UPGRADE_RULES:
            declared.upgrade = UPGRADE_RULES[rule]
        case _:
            mistakes.add(Mistake(node, "who may upgrade is not clear", f"write upgrade= one of {[*UPGRADE_RULES]}"))
    for index, statement in enumerate(node.body):
        with mistakes.collect():
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=None):
                    _read_storage(declared, statement, name, annotation)
                case ast.FunctionDef(name=name):
                    _read_method(declared, statement, name)
                case ast.Pass():
                    pass
                case _ if index == 0 and is_docstring(statement):
                    pass
                case _:
                    raise Mistake(statement, "a contract has storage items and methods only", "write name: Var[u64]")
    _check_contract(declared, node, mistakes)


def _check_contract(declared: Declarations, node: ast.ClassDef, mistakes: Mistakes) -> None:
    exported = [each for each in declared.methods.values() if each.kind is not None]
    if not exported and not declared.broken:
        mistakes.add(Mistake(node, "nothing can be called", "decorate a method with @call or @view"))
    for kind in (MethodKind.INIT, MethodKind.MIGRATE):
        for each in [each for each in exported if each.kind is kind][1:]:
            mistakes.add(Mistake(each.node, f"there is more than one @{kind.name.lower()} method"))
    if len(exported) > NAMES_MAX or len(declared.storage) > NAMES_MAX or len(declared.events) > NAMES_MAX:
        mistakes.add(Mistake(node, f"at most {NAMES_MAX} methods, storage items and events"))


def _read_storage(declared: Declarations, statement: ast.AnnAssign, name: str, annotation: ast.expr) -> None:
    if name in declared.storage or name in declared.methods:
        raise Mistake(statement, f"{name} stands twice")
    check_identifier(statement, name)
    position = len(declared.storage) + sum(each.startswith("self.") for each in declared.broken)
    try:
        match annotation:
            case ast.Subscript(value=ast.Name(id="Var"), slice=value) if "Var" in declared.imported:
                kind, key = StorageKind.VAR, None
            case ast.Subscript(
                value=ast.Name(id="Map" | "IndexedMap" as word), slice=ast.Tuple(elts=[first, value])
            ) if word in declared.imported:
                kind, key = STORAGE_KINDS[word], read_type(declared, first)
            case _:
                raise Mistake(annotation, "this is not a storage item", "write Var[T], Map[K, V] or IndexedMap[K, V]")
        if key is not None and _contains_list(key):
            raise Mistake(annotation, "a list cannot be a key")
        declared.storage[name] = StorageDeclaration(name, position, kind, key, read_type(declared, value))
    except (Mistake, Consequence):
        declared.broken.add(f"self.{name}")
        raise


def _contains_list(kind: AbiType) -> bool:
    match kind:
        case ListOf():
            return True
        case Option(item):
            return _contains_list(item)
        case StructOf(_, fields):
            return any(_contains_list(each) for _, each in fields)
        case _:
            return False


def _read_method(declared: Declarations, node: ast.FunctionDef, name: str) -> None:
    try:
        if name in declared.storage or name in declared.methods:
            raise Mistake(node, f"{name} stands twice")
        declared.methods[name] = read_function(declared, node, f"m.{name}", is_method=True)
    except (Mistake, Consequence):
        declared.broken.add(f"self.{name}")
        raise


def _read_interface(
    declared: Declarations, node: ast.ClassDef, module: str | None, mistakes: Mistakes
) -> InterfaceDeclaration:
    methods: dict[str, FunctionDeclaration] = {}
    for index, statement in enumerate(node.body):
        with mistakes.collect():
            if index == 0 and is_docstring(statement):
                continue
            if not isinstance(statement, ast.FunctionDef):
                raise Mistake(statement, "an interface declares methods only")
            method = read_function(declared, statement, "", is_method=True)
            if method.kind not in (MethodKind.CALL, MethodKind.VIEW):
                raise Mistake(statement, "a method of an interface is a @call or a @view")
            body = [each for each in statement.body if not is_docstring(each)]
            # not a stub of ours: the form in which authors declare what other contracts do (mypy refuses `...`)
            if [ast.unparse(each) for each in body] != ["raise NotImplementedError"]:
                raise Mistake(statement, "its code is elsewhere", "write raise NotImplementedError as its body")
            methods[method.name] = method
    return InterfaceDeclaration(node.name, module, methods)


def read_function(
    declared: Declarations, node: ast.FunctionDef, symbol: str, *, is_method: bool
) -> FunctionDeclaration:
    """A function's types and marks; its body is not looked at."""
    check_identifier(node, node.name)
    kind, marks = _read_marks(declared, node) if is_method else (None, set())
    if node.name == "memory":
        raise Mistake(node, "memory is the name of something else in every module", "choose another name")
    if is_method and kind is None and not node.name.startswith("_"):
        raise Mistake(
            node,
            f"nothing says who may call {node.name}",
            "decorate it with @call or @view, or name it with a leading _",
        )
    arguments = node.args
    extra = (arguments.vararg, arguments.kwarg, *arguments.kwonlyargs, *arguments.posonlyargs, *arguments.defaults)
    for each in extra:
        if each is not None:
            raise Mistake(each, "parameters are plain: no defaults, no * and **, no keyword-only ones")
    names = arguments.args
    if is_method:
        if not names or names[0].arg != "self" or names[0].annotation is not None:
            raise Mistake(node, "a method's first parameter is self")
        names = names[1:]
    parameters = []
    for each in names:
        if each.annotation is None:
            raise Mistake(each, f"{each.arg} has no type", f"write {each.arg}: u64")
        check_identifier(each, each.arg)
        parameters.append((each.arg, read_type(declared, each.annotation)))
    result = _read_result(declared, node)
    _check_marks(node, kind, marks, result)
    return FunctionDeclaration(
        node.name,
        symbol,
        node,
        tuple(parameters),
        result,
        kind,
        is_payable="payable" in marks,
        is_reentrant="reentrant" in marks,
        is_method=is_method,
    )


def _read_marks(declared: Declarations, node: ast.FunctionDef) -> tuple[MethodKind | None, set[str]]:
    kind: MethodKind | None = None
    marks: set[str] = set()
    for each in node.decorator_list:
        match each:
            case ast.Name(id=name) if name in declared.imported and name in METHOD_KINDS and kind is None:
                kind = METHOD_KINDS[name]
            case ast.Name(id="payable" | "reentrant" as name) if name in declared.imported and name not in marks:
                marks.add(name)
            case _:
                raise Mistake(
                    each,
                    f"@{ast.unparse(each)} cannot stand here",
                    "one of @init @call @view @migrate, then @payable, @reentrant; all imported from iov",
                )
    return kind, marks


def _read_result(declared: Declarations, node: ast.FunctionDef) -> Type:
    match node.returns:
        case None:
            raise Mistake(node, f"{node.name} does not say what it gives back", "write -> u64, or -> None")
        case ast.Constant(value=None):
            return NOTHING
        case annotation:
            return read_type(declared, annotation)


def _check_marks(node: ast.FunctionDef, kind: MethodKind | None, marks: set[str], result: Type) -> None:
    if marks and kind is None:
        raise Mistake(node, "a private method is neither payable nor reentrant")
    if kind is MethodKind.VIEW and "payable" in marks:
        raise Mistake(node, "a view takes no IOV")
    if kind in (MethodKind.INIT, MethodKind.MIGRATE) and ("reentrant" in marks or result != NOTHING):
        raise Mistake(node, f"an @{kind.name.lower()} method gives nothing back and is entered once", "write -> None")
