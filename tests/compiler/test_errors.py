"""What is not part of the language is refused, with the place and what to write instead."""

import pytest

from compiler import CompileError, compile_source

HEADER = """\
from typing import Final, Literal

from iov import (
    Address, Contract, ContractInterface, IndexedMap, List, Map, NativeModule, Var, call, context, emit, event, init,
    mul_div, pack, payable, range, replace, require, revert, struct, transfer, u8, u32, u64, u128, view,
)

FULL: Final = 1


@struct
class Pair:
    first: u64
    second: u64


@event
class Happened:
    value: u64


class Token(ContractInterface):
    @call
    def pay(self, to: Address, amount: u128) -> u64:
        raise NotImplementedError  # the language: its code is in another contract or module


class Sample(Contract):
    total: Var[u64]
    by_name: Map[bytes, u64]
    members: IndexedMap[Address, Pair]

    @call
    def run(self, x: u64, small: u8, data: bytes, maybe: Address | None, items: List[u64, Literal[4]]) -> None:
"""
HEADER_LINES = HEADER.count("\n")

STATEMENTS = [
    ('y = "\\ud800"', "this text cannot be written as UTF-8", ""),
    ("__y = x", "names do not begin with two _", ""),
    ("\u00e4 = x", "\u00e4 is not written in ASCII", ""),
    # What Python has and the language has not.
    ("y = 1.5", "1.5 is not a value of contracts", "there are only whole numbers"),
    ("y = x / 2", "there is no such operation on integers", "write // for whole numbers"),
    ("y = x ** 2", "there is no such operation on integers", "multiply in a loop"),
    ("y = -x", "there is no such operation", "integers are never negative"),
    ("y = ~x", "there is no such operation", "write the largest value ^ x"),
    ("y = lambda: x", "there are no functions inside of functions", "write a function of the module"),
    ("y = [x for x in items]", "there are no comprehensions", "append to a list in a for loop"),
    ("y = {}", "there are no dicts", "keep a Map in storage, or declare a @struct"),
    ("y = {x}", "there are no sets", "use a List, or a Map in storage"),
    ("y = [x]", "a list says how long it may become", "write List[T, Literal[100]]([…])"),
    ("y = (x, x)", "there are no tuples", "declare a @struct"),
    ("a, b = x, x", "several names cannot be assigned at once", "declare a @struct"),
    ("a = b = x", "one value is assigned to one name", ""),
    ('y = f"{x}"', "there are no f-strings", "text is put together with +"),
    ("y = (z := x)", "there is no :=", "assign in a statement of its own"),
    ("assert x > 1", "assert is not part of the language", "write require(condition, CODE)"),
    ("raise ValueError", "there are no exceptions", "write revert(CODE)"),
    (
        "try:\n            pass\n        except ValueError:\n            pass",
        "there are no exceptions",
        "check first; what fails undoes the whole call",
    ),
    ("with x:\n            pass", "there is no with", ""),
    (
        "def inner() -> None:\n            pass",
        "there are no functions inside of functions",
        "write a function of the module",
    ),
    ("global x", "what changes is kept in storage", ""),
    ("import os", "imports stand at the top of the module", ""),
    ("match x:\n            case _:\n                pass", "there is no match", "write if, elif, else"),
    ("yield x", "this does nothing", "assign it, return it, or delete it"),
    ("x", "this does nothing", "assign it, return it, or delete it"),
    ("print(x)", "there is no print", "emit an event"),
    ("y = sum(items)", "there is no sum", "add in a for loop"),
    ("y = int(x)", "there is no int", "choose a width: u64(…)"),
    ("self.run(*items)", "run takes 5 arguments, not 1", ""),
    (
        "for i in range(3):\n            pass\n        else:\n            pass",
        "a loop has no else",
        "keep a bool, or return from inside",
    ),
    (
        "for i in range(0, 9, 2):\n            pass",
        "range takes a stop, or a start and a stop",
        "for larger steps use while",
    ),
    (
        "for b in data:\n            pass",
        "one cannot go through bytes",
        "only through lists, indexed maps and range(…)",
    ),
    ("for k in self.by_name:\n            pass", "a Map cannot be listed", "declare by_name as an IndexedMap"),
    ("break", "there is no loop around this", ""),
    # Types.
    ("y = 5", "y has no width", "write y = u64(5)"),
    ("y = len(data)", "y has no width", "write y = u64(…)"),
    ("y = len(data) - 1", "an int without a width does not count", "give one operand a width, as in u64(len(x)) + 1"),
    ("y = x + small", "u64 and u8 do not mix", "convert one of them: u64(…)"),
    ("y = x < small", "u64 and u8 do not mix", "convert one of them: u64(…)"),
    ("y = small + 256", "256 is not a u8", "it reaches from 0 to 255"),
    ("y = u8(256)", "256 is not a u8", "u8 reaches from 0 to 255"),
    ("y = x + True", "there is no such operation on u64 and bool", ""),
    ("y = (x > 1) + (x > 2)", "bools are combined with and, or, not and compared with == and !=", ""),
    ("x = small", "x is u64 since line 34: this is u8, but u64 is wanted", "convert it: u64(…)"),
    ("self.total = 5", "this is int, but u64 is wanted", "write u64(5)"),
    ("self.total = data", "this is bytes, but u64 is wanted", ""),
    ("if x:\n            pass", "a condition is a bool, not u64", "write x != 0"),
    ("if data:\n            pass", "a condition is a bool, not bytes", "write len(x) != 0"),
    ("if maybe:\n            pass", "a condition is a bool, not Address | None", "write x is not None"),
    ("while not items:\n            pass", "a condition is a bool, not List[u64, Literal[4]]", "write len(x) != 0"),
    ("y = x and x", "a condition is a bool, not u64", "write x != 0"),
    ("y = data == x", "bytes and u64 do not mix", ""),
    ("y = data < data", "bytes has no order", "only integers have"),
    ("y = maybe == None", "None is asked for with is", "write x is None"),
    ("y = x is None", "u64 is never None here", ""),
    ("y = x is small", "is asks for None only", "write =="),
    (
        "self.members[maybe] = Pair(x, x)",
        "this is Address | None, but Address is wanted",
        "check for None first: if x is None: …",
    ),
    (
        "if maybe is None:\n            return\n        self.members[maybe] = Pair(x, x)\n        maybe = None\n"
        "        self.members[maybe] = Pair(x, x)",
        "this is Address | None, but Address is wanted",
        "check for None first: if x is None: …",
    ),
    (
        "while maybe is not None:\n            if x > 5:\n                maybe = None\n"
        "            self.members[maybe] = Pair(x, x)",
        "this is Address | None, but Address is wanted",
        "check for None first: if x is None: …",
    ),
    ("y = None", "the type of y is not known", "write y: Address | None = None"),
    ("y = Pair(x)", "Pair has 2 fields, not 1", "first, second"),
    ("y = Pair(second=x, first=x)", "fields are given in their order", "Pair has first, second"),
    ("y = Pair(x, x).third", "Pair has nothing called third", ""),
    ("y = Pair(x, x)\n        y.first = x", "structs do not change", "make a new one: replace(x, first=…)"),
    ("y = replace(Pair(x, x), third=x)", "Pair has no field third", ""),
    ("y = items[-1]", "positions count from the start", "write x[u64(len(x)) - 1] for the last one"),
    ("y = data[::2]", "a slice has no step", ""),
    ("y = items[1:2]", "List[u64, Literal[4]] cannot be sliced", "only bytes can"),
    ("data[0] = 1", "bytes cannot be changed", "only lists and storage items can"),
    ("y = min(x, 5)", "min and max compare two integers of one type", "convert them, as in min(x, u64(5))"),
    ("y = x if x > 1 else 5", "u64 and int do not mix", "give the literal a width, as in u64(0)"),
    ("y = List[u64, Literal[2]]([x, x, x])", "the list holds at most 2", ""),
    ("y: list[u64] = items", "a list says how long it may become", "write List[T, Literal[100]], imported from iov"),
    ("y: int = x", "there is no type int", "choose a width: u8, u16, u32, u64 or u128"),
    ("items.sort()", "List[u64, Literal[4]] has no method sort", ""),
    ('y = len("abc")', "how long a str is depends on what one counts", "write len(x.encode()) for its bytes"),
    # Names.
    ("y = z", "there is nothing called z", ""),
    ("y = u16(x)", "u16 is not imported", "write from iov import u16"),
    ("y = sha256(data)", "sha256 is not imported", "write from iov import sha256"),
    ("y = foo(x)", "there is no function foo", ""),
    ("y = self.missing", "missing is not a storage item", "annotate it in the class"),
    ("self.missing = x", "missing is not a storage item", "annotate it in the class"),
    ("self.by_name = x", "by_name is a map", "assign self.by_name[key]"),
    ("y = self.by_name", "by_name is a map", "write self.by_name[key]"),
    ("y = len(self.by_name)", "a Map does not count its keys", "declare by_name as an IndexedMap"),
    ("self.nothing()", "the contract has no method nothing", ""),
    ("u64 = x", "u64 already means something else", "choose another name"),
    ("y = context.caler", "the context has nothing called caler", ""),
    ("y = self", "self cannot stand here on its own", ""),
    (
        "if x > 1:\n            y = x\n        z = y",
        "y may have no value yet",
        "assign it on every way that leads here",
    ),
    ("y = x\n        y = data", "y is u64 since line 35: this is bytes, but u64 is wanted", ""),
    ("return\n        y = x", "this is never reached", "delete it"),
    ("return x", "run gives nothing back", "change -> None"),
    ("del items", "only keys of maps are deleted", "write del self.items[key]"),
    # Calls.
    ("require(x > 1)", "require takes a condition, a code, and a message if you like", ""),
    ("require(x > 1, 0)", "a code is a constant from 1 to 64999", "write NAME: Final = 1 at the top"),
    ("require(x > 1, x)", "a code is a constant from 1 to 64999", "write NAME: Final = 1 at the top"),
    ("revert(65001)", "a code is a constant from 1 to 64999", "write NAME: Final = 1 at the top"),
    ("emit(x)", "emit takes a new event", "write emit(Name(…)) with an @event class"),
    ("y = Happened(x)", "an event is made to be emitted", "write emit(Happened(…))"),
    ("y = Token(context.caller)", "another contract is called at once", "write Token(address).method(…)"),
    ("Token(context.caller).burn(x)", "Token declares no method burn", ""),
    ("y = range(5)", "range stands in a for loop only", "write for i in range(…):"),
    ("self.run(x, small, data, maybe, items)", "run calls itself in the end", "use a loop"),
    ("y = pack(maybe)", "Address | None cannot be packed", "give it a type of its own"),
]


@pytest.mark.parametrize(("statement", "message", "advice"), STATEMENTS)
def test_a_statement_that_is_not_part_of_the_language_is_explained(statement, message, advice):
    with pytest.raises(CompileError) as caught:
        compile_source(f"{HEADER}        {statement}\n", "sample.py")
    (found,) = caught.value.diagnostics
    assert (found.message, found.advice) == (message, advice)
    assert found.line > HEADER_LINES
    assert found.source_line.strip() in statement


MODULES = [
    ("import os", "a contract imports from iov and typing only", "write from iov import …"),
    ("from iov import u16 as short", "imported names keep their names", "write import u16"),
    ("from iov import Panic", "contracts know nothing called Panic in iov", ""),
    ("from __future__ import annotations", "a contract imports from iov and typing only", "write from iov import …"),
    ("x: int = 5", "what stands outside of a function is a constant", "write NAME: Final = …"),
    ("X = [1, 2]", "a constant is an int, bool, str or bytes literal, or u64(…), or arithmetic of ints", ""),
    ("X = u8(300)", "300 is not a u8", "u8 reaches from 0 to 255"),
    ("FULL = 2", "FULL already means something else", "choose another name"),
    ("for i in []: pass", "this cannot stand outside of a function", "declare constants, structs, events and classes"),
    ("def f(x): return x", "x has no type", "write x: u64"),
    ("def f(x: u64): return x", "f does not say what it gives back", "write -> u64, or -> None"),
    ("def f(x: u64 = 5) -> None: pass", "parameters are plain: no defaults, no * and **, no keyword-only ones", ""),
    ("def f(*x: u64) -> None: pass", "parameters are plain: no defaults, no * and **, no keyword-only ones", ""),
    (
        "def f(x: float) -> None: pass",
        "there is no type float",
        "there are no fractions: count in a smaller unit, use mul_div",
    ),
    (
        "def f(x: dict[u8, u8]) -> None: pass",
        "there is no dict",
        "keep a Map or IndexedMap in storage, or declare a @struct",
    ),
    ('def f(x: "u64") -> None: pass', "types are not written as text", ""),
    (
        "def f(x: List[u64, 4]) -> None: pass",
        "the longest length is a literal",
        "write Literal[100], imported from typing",
    ),
    ("def f(x: u64) -> u64: x += 1", "f may end without giving anything back", "return on every way"),
    ("@view\ndef f() -> None: pass", "a function outside of a class has no decorators", ""),
    (
        "class Plain: pass",
        "a class is a Contract, a ContractInterface, a NativeModule, a @struct or an @event, and nothing else",
        "",
    ),
    ("@struct\nclass Empty: pass", "only fields without a default stand here", "write name: Type"),
    ("@struct\nclass S:\n    x: u64 = 5", "only fields without a default stand here", "write name: Type"),
    ('@struct\nclass S:\n    """Nothing."""', "a struct has at least one field", ""),
    ("class Second(Contract): pass", "a module holds one contract", "Sample is one already"),
    (
        "class I(ContractInterface):\n    @call\n    def f(self) -> u64:\n        return u64(5)",
        "its code is elsewhere",
        "write raise NotImplementedError as its body",
    ),
    ("class N(NativeModule): pass", "the native module is not named", 'write N(NativeModule, module="…")'),
]


@pytest.mark.parametrize(("text", "message", "advice"), MODULES)
def test_a_declaration_that_is_not_part_of_the_language_is_explained(text, message, advice):
    with pytest.raises(CompileError) as caught:
        compile_source(f"{HEADER}        pass\n\n\n{text}\n", "sample.py")
    first = caught.value.diagnostics[0]
    assert (first.message, first.advice) == (message, advice)
    assert first.line > HEADER_LINES


MEMBERS = [
    (
        "@view\n    def memory(self) -> None: pass",
        "memory is the name of something else in every module",
        "choose another name",
    ),
    ("def __init__(self) -> None: pass", "names do not begin with two _", ""),
    ("__x: Var[u64]", "names do not begin with two _", ""),
    (f"{'x' * 65}: Var[u64]", "a name has at most 64 characters", ""),
    ("total: Var[u64]", "total stands twice", ""),
    ("x: u64", "this is not a storage item", "write Var[T], Map[K, V] or IndexedMap[K, V]"),
    ("x: Map[List[u8, Literal[2]], u64]", "a list cannot be a key", ""),
    ("x = 5", "a contract has storage items and methods only", "write name: Var[u64]"),
    (
        "def f(self) -> None: pass",
        "nothing says who may call f",
        "decorate it with @call or @view, or name it with a leading _",
    ),
    ("@call\n    def f() -> None: pass", "a method's first parameter is self", ""),
    ("@view\n    @payable\n    def f(self) -> None: pass", "a view takes no IOV", ""),
    (
        "@init\n    def f(self) -> u64: return u64(1)",
        "an @init method gives nothing back and is entered once",
        "write -> None",
    ),
    ("@payable\n    def _f(self) -> None: pass", "a private method is neither payable nor reentrant", ""),
    (
        "@view\n    def f(self) -> None: self.total = u64(1)",
        "this writes to storage, but the view f runs it",
        "use @call",
    ),
    (
        "@view\n    def f(self) -> None: emit(Happened(u64(1)))",
        "this emits an event, but the view f runs it",
        "use @call",
    ),
    (
        "@view\n    def f(self) -> None: transfer(context.caller, u64(1))",
        "this pays, but the view f runs it",
        "use @call",
    ),
    (
        "@view\n    def f(self) -> u64: return Token(context.caller).pay(context.caller, u128(1))",
        "this calls Token.pay, which may change something, but the view f runs it",
        "use @call",
    ),
]


@pytest.mark.parametrize(("text", "message", "advice"), MEMBERS)
def test_a_member_that_is_not_part_of_the_language_is_explained(text, message, advice):
    with pytest.raises(CompileError) as caught:
        compile_source(f"{HEADER}        pass\n\n    {text}\n", "sample.py")
    (found,) = caught.value.diagnostics
    assert (found.message, found.advice) == (message, advice)


def test_a_view_may_not_write_through_a_private_method():
    private = "    def _f(self) -> None:\n        self.total = u64(1)\n\n"
    text = f"{private}    @view\n    def g(self) -> None:\n        self._f()\n"
    with pytest.raises(CompileError, match="this writes to storage, but the view g runs it"):
        compile_source(f"{HEADER}        pass\n\n{text}", "sample.py")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_source():
    body = "        y = x + small\n        z = y + 1\n        if x:\n            w = 5\n        assert z > 1\n"
    with pytest.raises(CompileError) as caught:
        compile_source(f"X = []\n{HEADER}{body}", "sample.py")
    found = [(each.line - HEADER_LINES, each.message) for each in caught.value.diagnostics]
    assert found == [
        (1 - HEADER_LINES, "a constant is an int, bool, str or bytes literal, or u64(…), or arithmetic of ints"),
        (2, "u64 and u8 do not mix"),
        (4, "a condition is a bool, not u64"),
        (5, "w has no width"),
        (6, "assert is not part of the language"),
    ]


def test_a_message_shows_the_line_and_points_at_the_place():
    with pytest.raises(CompileError) as caught:
        compile_source(f"{HEADER}        self.total = x + small  # é\n", "sample.py")
    assert str(caught.value) == (
        "sample.py:35:22: u64 and u8 do not mix\n"
        "            self.total = x + small  # é\n"
        "                         ^\n"
        "    convert one of them: u64(…)"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = (", "sample.py:1:5: not Python: '(' was never closed"),
        ("\nx = = 1", "sample.py:2:5: not Python: invalid syntax"),
        ("\0", "sample.py:1:1: not Python"),
        ("", "sample.py:1:1: there is no contract"),
    ],
)
def test_what_is_no_contract_at_all_is_refused_politely(source, message):
    with pytest.raises(CompileError) as caught:
        compile_source(source, "sample.py")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("count", [600, 900, 5000])
@pytest.mark.parametrize("operator", ["data + ", "-", "not "])
def test_an_expression_that_is_nested_too_deeply_is_a_mistake(count, operator):
    with pytest.raises(CompileError) as caught:
        compile_source(f"{HEADER}        y = {operator * count}x\n", "sample.py")
    assert all(len(str(each)) < 1_000 for each in caught.value.diagnostics)


def test_an_interface_or_a_module_that_is_too_large_to_be_published_is_a_mistake():
    events = "\n".join(
        f"@event\nclass E{n}:\n" + "\n".join(f"    {'f' * 50}{m}: u64" for m in range(60)) for n in range(9)
    )
    with pytest.raises(CompileError, match=r"the chain would not take the module: .*16384"):
        compile_source(f"{HEADER}        pass\n\n\n{events}\n", "sample.py")
    lines = "        self.by_name[data] += 1\n" * 2_000
    with pytest.raises(CompileError, match="the chain would not take the module: "):
        compile_source(f"{HEADER}{lines}\n", "sample.py")
