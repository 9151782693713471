"""Random contracts: well-typed method bodies over integers, bools, bytes, lists, structs, options and storage."""

import re
from dataclasses import dataclass, field

from hypothesis import strategies as st

BITS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64, "u128": 128}
INTEGERS = tuple(BITS)
CONSTANT = re.compile(r"(u\d+\()+\d+\)+")
HEADER = """\
from typing import Final, Literal

from iov import (
    Address, Contract, IndexedMap, List, Map, Var, call, context, emit, event, init, mul_div, pack, range, replace,
    require, revert, sha256, struct, u8, u16, u32, u64, u128, view, ROUND_UP,
)

LIMIT: Final = 2**16 + 3
Numbers = List[u64, Literal[5]]


@struct
class Pair:
    small: u16
    large: u128


@struct
class Entry:
    pair: Pair
    data: bytes
    number: u32 | None
    items: Numbers


Pairs = List[Pair, Literal[3]]
Flags = List[bool, Literal[9]]


@struct
class Deep:
    entry: Entry | None
    pairs: Pairs
    flags: Flags
    who: Address | None


@event
class Deepest:
    deep: Deep


@event
class Number:
    value: u128


@event
class Data:
    value: bytes
    is_right: bool


@event
class Whole:
    entry: Entry


def mix(first: u32, second: u64, flag: bool) -> u64:
    if flag and second > 7:
        return second // 2
    return u64(first) ^ second


def widen(number: u64) -> u128:
    return u128(number) * u128(number)


def choose(pairs: Pairs, index: u64, fallback: Pair | None) -> Pair | None:
    for pair in pairs:
        if u64(pair.small) == index:
            return pair
    while index > 5:
        if fallback is None:
            return None
        return replace(fallback, small=u16(9))
    return fallback


class Sample(Contract):
    total: Var[u128]
    flag: Var[bool]
    data: Var[bytes]
    numbers: Var[Numbers]
    entry: Var[Entry]
    by_small: Map[u8, u64]
    by_pair: Map[Pair, u128]
    by_data: Map[bytes, Pair]
    listed: IndexedMap[u16, Entry]
    counted: IndexedMap[bytes, u32]
    deep: IndexedMap[Address, Deep]
    by_flag: Map[bool, u128]

    @init
    def create(self, data: bytes) -> None:
        self.total = u128(5)
        self.flag = True
        self.data = data
        self.numbers = Numbers([u64(1), u64(2)])
        self.entry = Entry(Pair(u16(1), u128(2)), data, None, Numbers())

    def _touch(self, key: u8, amount: u64) -> u64:
        self.by_small[key] = self.by_small.get(key, u64(0)) + amount
        return self.by_small[key]

    def _dig(self, who: Address, index: u64) -> u128:
        found = self.deep.get(who)
        if found is None or found.entry is None:
            return self.by_flag.get(found is None, u128(6))
        pair = choose(found.pairs, index, found.entry.pair)
        if pair is None:
            revert(88)
        return pair.large

    @call
    def run(self, a: u8, b: u16, c: u32, d: u64, e: u128, flag: bool, data: bytes, ns: Numbers, n: u32 | None) -> u128:
"""
PARAMETERS = {
    "a": "u8",
    "b": "u16",
    "c": "u32",
    "d": "u64",
    "e": "u128",
    "flag": "bool",
    "data": "bytes",
    "ns": "Numbers",
    "n": "option",
}


@dataclass
class Program:
    """The body as it is written."""

    draw: st.DrawFn
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=lambda: dict(PARAMETERS))
    present: set[str] = field(default_factory=set)
    number: int = 0
    statements_left: int = 24
    loop_depth: int = 0

    def pick(self, options):
        return self.draw(st.sampled_from(options))

    def new_name(self) -> str:
        self.number += 1
        return f"x{self.number}"

    def list_variables(self, kind: str) -> list[str]:
        return [name for name, each in self.variables.items() if each == kind]

    def literal(self, kind: str) -> str:
        largest = (1 << BITS[kind]) - 1
        near = self.pick([0, 1, 2, 3, 5, 7, BITS[kind] - 1, largest // 2, largest - 1, largest])
        return str(near)

    def integer(self, kind: str, depth: int) -> str:
        names = self.list_variables(kind)
        if depth <= 0 or self.draw(st.integers(0, 5)) == 0:
            return self.pick(names) if names and self.draw(st.booleans()) else f"{kind}({self.literal(kind)})"
        forms = ["operation", "operation", "literal_operation", "convert", "choice", "extreme"]
        forms += {
            "u8": ["byte"],
            "u16": ["field"],
            "u32": ["counted", "option"],
            "u64": ["length", "item", "map", "touch", "mix", "context"],
            "u128": ["field", "total", "widen", "mul_div", "dig", "dig", "pair_map"],
        }[kind]
        match self.pick(forms):
            case "operation":
                operator = self.pick(["+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^"])
                return f"({self.integer(kind, depth - 1)} {operator} {self.integer(kind, depth - 1)})"
            case "literal_operation":
                operator = self.pick(["+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^"])
                return f"({self.integer(kind, depth - 1)} {operator} {self.literal(kind)})"
            case "convert":
                source = self.pick(INTEGERS)
                number = self.integer(source, depth - 1)
                if CONSTANT.fullmatch(number):  # the compiler would refuse one that does not fit
                    number = self.pick(self.list_variables(source))
                return f"{kind}({number})"
            case "choice":
                first, second = self.integer(kind, depth - 1), self.integer(kind, depth - 1)
                return f"({first} if {self.boolean(depth - 1)} else {second})"
            case "extreme":
                return f"{self.pick(['min', 'max'])}({self.integer(kind, depth - 1)}, {self.integer(kind, depth - 1)})"
            case "byte":
                return f"u8({self.bytes(depth - 1)}[{self.integer('u16', 0)}])"
            case "field":
                return f"{self.pair(depth - 1)}.{'small' if kind == 'u16' else 'large'}"
            case "counted":
                return f"self.counted.get({self.bytes(depth - 1)}, {self.integer('u32', depth - 1)})"
            case "option":
                if not self.present:
                    return "u32(9)"
                return self.pick(sorted(self.present))
            case "length":
                measured = self.pick([self.bytes(depth - 1), self.numbers(depth - 1), "self.listed", "self.counted"])
                return f"u64(len({measured}))"
            case "item":
                return f"{self.numbers(depth - 1)}[{self.integer('u8', depth - 1)}]"
            case "map":
                return self.pick(["self.by_small[{}]", "self.by_small.get({}, u64(3))"]).format(
                    self.integer("u8", depth - 1)
                )
            case "touch":
                return f"self._touch({self.integer('u8', depth - 1)}, {self.integer('u64', depth - 1)})"
            case "mix":
                parts = self.integer("u32", depth - 1), self.integer("u64", depth - 1), self.boolean(depth - 1)
                return f"mix({', '.join(parts)})"
            case "context":
                return self.pick(["context.height", "context.time_ms", "context.value", "context.epoch"])
            case "total":
                return "self.total"
            case "widen":
                return f"widen({self.integer('u64', depth - 1)})"
            case "dig":
                return f"self._dig({self.address()}, {self.integer('u64', depth - 1)})"
            case "mul_div":
                factors = [self.integer(kind, depth - 1), self.integer(kind, 0), self.integer(kind, 0)]
                return f"mul_div({', '.join(factors)}, ROUND_UP)"
            case _:
                return f"self.by_pair.get({self.pair(depth - 1)}, u128(8))"

    def boolean(self, depth: int) -> str:
        names = self.list_variables("bool")
        if depth <= 0:
            return self.pick([*names, "True", "False"])
        match self.pick(["compare", "compare", "chain", "logic", "not", "equal", "member", "mixed", "flag"]):
            case "compare":
                kind = self.pick(INTEGERS)
                operator = self.pick(["==", "!=", "<", "<=", ">", ">="])
                right = self.pick([self.integer(kind, depth - 1), self.literal(kind)])
                return f"({self.integer(kind, depth - 1)} {operator} {right})"
            case "chain":
                kind = self.pick(INTEGERS)
                parts = [self.integer(kind, depth - 1) for _ in range(3)]
                return f"({parts[0]} {self.pick(['<', '<='])} {parts[1]} {self.pick(['<', '!='])} {parts[2]})"
            case "logic":
                return f"({self.boolean(depth - 1)} {self.pick(['and', 'or'])} {self.boolean(depth - 1)})"
            case "not":
                return f"(not {self.boolean(depth - 1)})"
            case "equal":
                operator = self.pick(["==", "!="])
                make = self.pick([self.bytes, self.pair, self.numbers, self.boolean, self.entry, self.deep])
                return f"({make(depth - 1)} {operator} {make(depth - 1)})"
            case "member":
                return self.pick(
                    [
                        f"({self.integer('u64', depth - 1)} in {self.numbers(depth - 1)})",
                        f"({self.integer('u8', depth - 1)} in self.by_small)",
                        f"({self.pair(depth - 1)} not in self.by_pair)",
                        f"({self.integer('u16', depth - 1)} in self.listed)",
                        f"(self.by_small.get({self.integer('u8', depth - 1)}) is None)",
                        f"(self.listed.get({self.integer('u16', depth - 1)}) is not None)",
                        f"({self.integer('u128', depth - 1)} < LIMIT)",
                    ]
                )
            case "mixed":
                kind = self.pick(INTEGERS)
                return f"({self.integer(kind, depth - 1)} {self.pick(['<', '>=', '=='])} len({self.bytes(depth - 1)}))"
            case _:
                return "self.flag"

    def bytes(self, depth: int) -> str:
        names = self.list_variables("bytes")
        if depth <= 0:
            return self.pick([*names, 'b""', r'b"\x00\xff"', 'b"abcdefghij"'])
        match self.pick(["join", "slice", "hash", "pack", "data", "field", "text"]):
            case "join":
                return f"({self.bytes(depth - 1)} + {self.bytes(depth - 1)})"
            case "slice":
                first = self.pick(["", self.integer("u8", depth - 1), "1"])
                second = self.pick(["", self.integer("u16", depth - 1), "4"])
                return f"{self.bytes(depth - 1)}[{first}:{second}]"
            case "hash":
                return f"sha256({self.bytes(depth - 1)})"
            case "pack":
                make = self.pick([self.pair, self.bytes, self.boolean, self.entry])
                return f"pack({make(depth - 1)})"
            case "data":
                return "self.data"
            case "field":
                return f"{self.entry(depth - 1)}.data"
            case _:
                return '("ab" + "cde").encode()'

    def numbers(self, depth: int) -> str:
        names = self.list_variables("Numbers")
        if depth <= 0:
            return self.pick([*names, "Numbers()"])
        items = ", ".join(self.integer("u64", depth - 1) for _ in range(self.draw(st.integers(0, 3))))
        return self.pick([f"Numbers([{items}])", "self.numbers", "self.entry.items"])

    def pair(self, depth: int) -> str:
        names = self.list_variables("Pair")
        if depth <= 0:
            return self.pick([*names, "Pair(u16(1), u128(2))"])
        match self.pick(["new", "replace", "field", "map"]):
            case "new":
                return f"Pair({self.integer('u16', depth - 1)}, {self.integer('u128', depth - 1)})"
            case "replace":
                change = self.pick(["small", "large"])
                value = self.integer("u16" if change == "small" else "u128", depth - 1)
                return f"replace({self.pair(depth - 1)}, {change}={value})"
            case "field":
                return f"{self.entry(depth - 1)}.pair"
            case _:
                return f"self.by_data.get({self.bytes(depth - 1)}, {self.pair(depth - 1)})"

    def entry(self, depth: int) -> str:
        names = self.list_variables("Entry")
        if depth <= 0:
            return self.pick([*names, "self.entry"])
        if self.draw(st.booleans()):
            return self.pick(["self.entry", f"self.listed[{self.integer('u16', depth - 1)}]"])
        option = self.pick(["None", self.integer("u32", depth - 1), *self.list_variables("option")])
        parts = self.pair(depth - 1), self.bytes(depth - 1), option, self.numbers(depth - 1)
        return f"Entry({', '.join(parts)})"

    def address(self) -> str:
        return self.pick(
            ["context.caller", "context.address", 'Address(b"aaaaaaaaaabbbbbbbbbb")', "Address(data[0:20])"]
        )

    def deep(self, depth: int) -> str:
        if depth <= 0 or self.draw(st.booleans()):
            return f"self.deep[{self.address()}]"
        pairs = ", ".join(self.pair(depth - 1) for _ in range(self.draw(st.integers(0, 3))))
        flags = ", ".join(self.boolean(depth - 1) for _ in range(self.draw(st.integers(0, 3))))
        entry, who = self.pick(["None", self.entry(depth - 1)]), self.pick(["None", self.address()])
        return f"Deep({entry}, Pairs([{pairs}]), Flags([{flags}]), {who})"

    def make(self, kind: str, depth: int) -> str:
        if kind in BITS:
            return self.integer(kind, depth)
        makers = {
            "bool": self.boolean,
            "bytes": self.bytes,
            "Numbers": self.numbers,
            "Pair": self.pair,
            "Entry": self.entry,
            "Deep": self.deep,
        }
        return makers[kind](depth)

    def write(self, indent: int, line: str) -> None:
        self.lines.append("    " * indent + line)

    def block(self, indent: int) -> bool:
        """Some statements; whether control goes on behind them."""
        outer = dict(self.variables), set(self.present)
        goes_on = True
        for _ in range(self.draw(st.integers(1, 4))):
            self.statements_left -= 1
            goes_on = self.statement(indent)
            if not goes_on:
                break
        self.variables, self.present = outer
        return goes_on

    def statement(self, indent: int) -> bool:
        if self.statements_left <= 0:
            self.write(indent, "pass")
            return True
        forms = ["assign", "assign", "augment", "storage", "storage", "list", "emit", "if", "if", "for", "while"]
        forms += ["option", "require", "leave", "each"]
        return getattr(self, f"write_{self.pick(forms)}")(indent)

    def write_assign(self, indent: int) -> bool:
        kind = self.pick([*INTEGERS, "bool", "bytes", "Numbers", "Pair", "Entry", "Deep"])
        value = self.make(kind, 2)
        names = [each for each in self.list_variables(kind) if self.loop_depth == 0 or each not in ("ns",)]
        if names and self.draw(st.booleans()):
            self.write(indent, f"{self.pick(names)} = {value}")
        else:
            name = self.new_name()
            self.write(indent, f"{name} = {value}")
            self.variables[name] = kind
        return True

    def write_augment(self, indent: int) -> bool:
        kind = self.pick(INTEGERS)
        operator = self.pick(["+=", "-=", "*=", "//=", "%=", ">>=", "<<=", "&=", "|=", "^="])
        targets = self.list_variables(kind)
        targets += {
            "u64": [f"self.by_small[{self.integer('u8', 1)}]", f"ns[{self.integer('u8', 1)}]"],
            "u128": ["self.total", f"self.by_pair[{self.pair(1)}]"],
            "u32": [f"self.counted[{self.bytes(1)}]"],
        }.get(kind, [])
        self.write(indent, f"{self.pick(targets)} {operator} {self.integer(kind, 2)}")
        return True

    def write_storage(self, indent: int) -> bool:
        self.write(
            indent,
            self.pick(
                [
                    f"self.total = {self.integer('u128', 2)}",
                    f"self.flag = {self.boolean(2)}",
                    f"self.data = {self.bytes(2)}",
                    f"self.numbers = {self.numbers(2)}",
                    f"self.entry = {self.entry(2)}",
                    f"self.by_small[{self.integer('u8', 1)}] = {self.integer('u64', 2)}",
                    f"self.by_pair[{self.pair(1)}] = {self.integer('u128', 2)}",
                    f"self.by_data[{self.bytes(1)}] = {self.pair(2)}",
                    f"self.listed[{self.integer('u16', 0)}] = {self.entry(2)}",
                    f"self.listed[{self.integer('u16', 0)}] = {self.entry(1)}",
                    f"self.counted[{self.bytes(1)}] = {self.integer('u32', 1)}",
                    f"self.deep[{self.address()}] = {self.deep(2)}",
                    f"self.deep[{self.address()}] = {self.deep(2)}",
                    f"self.by_flag[{self.boolean(1)}] = {self.integer('u128', 1)}",
                    f"del self.deep[{self.address()}]",
                    f"del self.listed[{self.integer('u16', 0)}]",
                    f"del self.counted[{self.bytes(1)}]",
                    f"del self.by_small[{self.integer('u8', 0)}]",
                ]
            ),
        )
        return True

    def write_list(self, indent: int) -> bool:
        name = self.pick(self.list_variables("Numbers"))
        line = self.pick(
            [
                f"{name}.append({self.integer('u64', 1)})",
                f"{name}[{self.integer('u8', 1)}] = {self.integer('u64', 1)}",
                f"{name}.pop()",
                f"d = {name}.pop()",
            ]
        )
        self.write(indent, line)
        return True

    def write_emit(self, indent: int) -> bool:
        self.write(
            indent,
            self.pick(
                [
                    f"emit(Number({self.integer('u128', 2)}))",
                    f"emit(Data({self.bytes(2)}, is_right={self.boolean(1)}))",
                    f"emit(Whole({self.entry(1)}))",
                    f"emit(Deepest({self.deep(1)}))",
                ]
            ),
        )
        return True

    def write_if(self, indent: int) -> bool:
        self.write(indent, f"if {self.boolean(2)}:")
        first = self.block(indent + 1)
        if not self.draw(st.booleans()):
            return True
        if self.draw(st.booleans()):
            self.write(indent, f"elif {self.boolean(1)}:")
            first = self.block(indent + 1) or first
        self.write(indent, "else:")
        return self.block(indent + 1) or first

    def write_for(self, indent: int) -> bool:
        kind = self.pick(["u8", "u16", "u32", "u64"])
        name = self.new_name()
        stop = self.pick([f"{kind}(3)", f"min({self.integer(kind, 1)}, {kind}(4))"])
        self.write(indent, f"for {name} in range({self.pick(['', f'{kind}(1), '])}{stop}):")
        return self.write_loop_body(indent, name, kind)

    def write_each(self, indent: int) -> bool:
        name = self.new_name()
        source, kind = self.pick(
            [("self.listed", "u16"), ("self.counted", "bytes"), (self.numbers(1), "u64"), ("range(3)", "u64")]
        )
        self.write(indent, f"for {name} in {source}:")
        if source.startswith("self.") and kind != "u64":
            self.write(indent + 1, f"if len({source}) > 6:")  # else a body that adds a key each turn never ends
            self.write(indent + 2, "break")
        return self.write_loop_body(indent, name, kind)

    def write_loop_body(self, indent: int, name: str, kind: str) -> bool:
        self.variables[name] = kind
        self.loop_depth += 1
        self.block(indent + 1)
        self.loop_depth -= 1
        del self.variables[name]
        return True

    def write_while(self, indent: int) -> bool:
        name = self.new_name()
        self.write(indent, f"{name} = u32(0)")
        self.write(indent, f"while {name} < {self.draw(st.integers(1, 3))} and {self.boolean(1)}:")
        self.write(indent + 1, f"{name} += 1")
        self.loop_depth += 1
        self.block(indent + 1)
        self.loop_depth -= 1
        return True

    def write_option(self, indent: int) -> bool:
        name = self.new_name()
        source = self.pick([f"self.counted.get({self.bytes(1)})", f"{self.entry(1)}.number", "n"])
        self.write(indent, f"{name} = {source}")
        self.write(indent, f"if {name} is None{self.pick(['', f' or {name} == 7'])}:")
        goes_on = self.block(indent + 1)
        self.write(indent, "else:")
        self.present.add(name)
        goes_on = self.block(indent + 1) or goes_on
        self.present.discard(name)
        self.variables[name] = "option"
        return goes_on

    def write_require(self, indent: int) -> bool:
        self.write(indent, f'require({self.boolean(2)}, {self.draw(st.integers(1, 9))}, "no")')
        return True

    def write_leave(self, indent: int) -> bool:
        forms = [f"return {self.integer('u128', 1)}", "revert(77)"]
        if self.loop_depth:
            forms += ["break", "continue"] * 2
        self.write(indent, self.pick(forms))
        return False


@st.composite
def programs(draw: st.DrawFn) -> str:
    """The source of a contract with a method `run`."""
    program = Program(draw)
    indent = 2
    for _ in range(draw(st.integers(2, 7))):
        if not program.statement(indent):
            return HEADER + "\n".join(program.lines) + "\n"
    program.write(indent, f"return {program.integer('u128', 2)}")
    return HEADER + "\n".join(program.lines) + "\n"
