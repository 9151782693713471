"""Whom a campaign wants to reach: a small typed language over tags, its one byte form, and what it says of a person.

    expression = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term       = "not" term | "(" expression ")" | variable [ test ]
    test       = ( "==" | "!=" ) literal | ( "<" | "<=" | ">" | ">=" ) integer | "in" "[" literal { "," literal } "]"
               | "has" text
    variable   = namespace "." name          namespaces: user, app, device, attribute, scenario, place
    literal    = "true" | "false" | integer | text          text stands in double quotes, with \\" and \\\\ inside

`a > b` is short for `not a <= b`, `a >= b` for `not a < b`. A variable alone is a yes or no.

Whoever is asked may lack a tag, keep it back, or have it in another type. What is then not known stays unknown under
`not`, and in `and` and `or` unless the other side decides alone (Kleene's strong logic). Only what is true is a match.

    packed    = 01 ‖ node
    node      = 01 variable                                   yes or no
              | 02 variable literal  (==) | 03 … (!=) | 04 … (<) | 05 … (<=)
              | 06 variable, number of literals, literal …    in; ascending, each once, all of one type
              | 07 variable text literal                      has
              | 08 node                                       not
              | 09 number of nodes, node … (and) | 0a … (or)  two at least, none of its own kind
    variable  = number of the namespace ‖ length ‖ name
    literal   = 01 (00 | 01) | 02 integer, 8 bytes big-endian, signed | 03 length ‖ UTF-8
    Numbers and lengths are one byte.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Any, Final, NewType

from annotated_types import Len

EXPRESSION_BYTES_MAX: Final = 1_024  # it stands in the campaign's record, which every order reads
EXPRESSION_CHARACTERS_MAX: Final = 4_096
EXPRESSION_NODES_MAX: Final = 64
EXPRESSION_DEPTH_MAX: Final = 8  # nobody reads deeper ones
LIST_LITERALS_MAX: Final = 32
TAG_NAME_CHARACTERS_MAX: Final = 32
TAG_TEXT_BYTES_MAX: Final = 64
TAG_INTEGER_MAX: Final = 2**63 - 1
_INTEGER_BYTES: Final = 8
_VERSION: Final = 1

PackedExpression = NewType("PackedExpression", Annotated[bytes, Len(1, EXPRESSION_BYTES_MAX)])
"""The one byte form of an expression."""
Literal = bool | int | str
TagValue = bool | int | str | frozenset[str]


class InvalidTargetingError(ValueError):
    """This is no expression; the message says why, and at which character or byte."""


@unique
class TagNamespace(IntEnum):
    """What a tag is about; wire number, never reused."""

    USER = 1
    APP = 2
    DEVICE = 3
    ATTRIBUTE = 4
    SCENARIO = 5
    PLACE = 6


@unique
class Comparator(IntEnum):
    """How a tag is compared; wire number, never reused."""

    EQUAL = 2
    UNEQUAL = 3
    LESS = 4
    LESS_OR_EQUAL = 5


@dataclass(frozen=True, slots=True)
class Variable:
    """Name of a tag."""

    namespace: TagNamespace
    name: str

    def __str__(self) -> str:
        return f"{self.namespace.name.lower()}.{self.name}"


@dataclass(frozen=True, slots=True)
class Flag:
    """A yes or no."""

    variable: Variable


@dataclass(frozen=True, slots=True)
class Comparison:
    """A tag against a literal; only integers have an order."""

    variable: Variable
    comparator: Comparator
    literal: Literal


@dataclass(frozen=True, slots=True)
class OneOf:
    """A tag that is one of these."""

    variable: Variable
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A set that holds this."""

    variable: Variable
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """What is not so."""

    term: "Expression"


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of it is so."""

    terms: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some of it is so."""

    terms: "tuple[Expression, ...]"


Expression = Flag | Comparison | OneOf | Has | Not | AllOf | AnyOf

_SIGNS: Final = {
    "==": Comparator.EQUAL,
    "!=": Comparator.UNEQUAL,
    "<": Comparator.LESS,
    "<=": Comparator.LESS_OR_EQUAL,
}
_SIGN_OF: Final = {comparator: sign for sign, comparator in _SIGNS.items()}
_OPPOSITES: Final = {">": Comparator.LESS_OR_EQUAL, ">=": Comparator.LESS}
_NAMESPACE_NUMBERS: Final = frozenset(TagNamespace)
_NAMESPACES: Final = {each.name.lower(): each for each in TagNamespace}
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)
_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<text>"(?:[^"\\]|\\["\\])*")
      | (?P<integer>-?[0-9]+(?![0-9A-Za-z_]))
      | (?P<word>[A-Za-z_][A-Za-z0-9_.]*)
      | (?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
      | (?P<end>\Z)
    )""",
    re.ASCII | re.VERBOSE,
)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")


# Meaning


def is_match(expression: Expression, tags: Mapping[str, TagValue]) -> bool:
    """Whether these tags, by name, are known to be wanted. Never raises."""
    return evaluate(expression, tags) is True


def evaluate(expression: Expression, tags: Mapping[str, TagValue]) -> bool | None:
    """True, False, or None for what these tags leave unknown. Never raises."""
    match expression:
        case Not(term):
            inner = evaluate(term, tags)
            return None if inner is None else not inner
        case AllOf(terms):
            return _decide([evaluate(term, tags) for term in terms], decisive=False)
        case AnyOf(terms):
            return _decide([evaluate(term, tags) for term in terms], decisive=True)
        case _:
            return _test(expression, tags.get(str(expression.variable)))


def _decide(answers: list[bool | None], *, decisive: bool) -> bool | None:
    if decisive in answers:
        return decisive
    return None if None in answers else not decisive


def _test(test: Flag | Comparison | OneOf | Has, value: object) -> bool | None:
    """A single test; another type than the wanted one is unknown, and a bool is no integer."""
    match test:
        case Flag():
            return value if isinstance(value, bool) else None
        case Has(_, text):
            return text in value if isinstance(value, frozenset) else None
        case OneOf(_, literals):
            return value in literals if type(value) is type(literals[0]) else None
        case Comparison(_, comparator, literal):
            return _compare(comparator, value, literal) if type(value) is type(literal) else None


def _compare(comparator: Comparator, value: Any, literal: Any) -> bool:
    match comparator:
        case Comparator.EQUAL:
            return bool(value == literal)
        case Comparator.UNEQUAL:
            return bool(value != literal)
        case Comparator.LESS:
            return bool(value < literal)
        case Comparator.LESS_OR_EQUAL:
            return bool(value <= literal)


def list_variables(expression: Expression) -> tuple[str, ...]:
    """Names of all tags that an expression asks for, in order: what a holder has to consent to."""
    return tuple(sorted({str(test.variable) for test in _list_tests(expression)}))


def _list_tests(expression: Expression) -> Iterator[Flag | Comparison | OneOf | Has]:
    match expression:
        case Not(term):
            yield from _list_tests(term)
        case AllOf(terms) | AnyOf(terms):
            for each in terms:
                yield from _list_tests(each)
        case _:
            yield expression


# Text


def parse_expression(text: str) -> Expression:
    """An expression from its text; raises InvalidTargetingError with the character it fails at."""
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        raise InvalidTargetingError(f"an expression has at most {EXPRESSION_CHARACTERS_MAX} characters")
    parser = _Parser(text)
    expression = parser.parse_any(0)
    parser.take("end", "and, or, or the end")
    pack_expression(expression)  # its limits
    return expression


def format_expression(expression: Expression) -> str:
    """The text of an expression; parsing it gives the same again."""
    match expression:
        case Flag(variable):
            return str(variable)
        case Comparison(variable, comparator, literal):
            return f"{variable} {_SIGN_OF[comparator]} {_format_literal(literal)}"
        case OneOf(variable, literals):
            return f"{variable} in [{', '.join(map(_format_literal, literals))}]"
        case Has(variable, text):
            return f"{variable} has {_format_literal(text)}"
        case Not(term):
            return f"not {_format_within(term)}"
        case AllOf(terms):
            return " and ".join(map(_format_within, terms))
        case AnyOf(terms):
            return " or ".join(map(_format_within, terms))


def _format_within(expression: Expression) -> str:
    text = format_expression(expression)
    return f"({text})" if isinstance(expression, (AllOf, AnyOf)) else text


def _format_literal(literal: Literal) -> str:
    if isinstance(literal, bool):
        return "true" if literal else "false"
    if isinstance(literal, int):
        return str(literal)
    escaped = literal.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Parser:
    """Reads tokens from left to right; every error names the character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._kind = ""
        self._token = ""
        self._next = 0
        self._advance()

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._next)
        if found is None:
            rest = self._text[self._next :]
            self._place = self._next + len(rest) - len(rest.lstrip(" \t\r\n"))
            raise self._fail("this begins no word, number, text or sign")
        self._kind = found.lastgroup or ""
        self._token = found[self._kind]
        self._place, self._next = found.start(self._kind), found.end()

    def _fail(self, problem: str) -> InvalidTargetingError:
        return InvalidTargetingError(f"character {self._place + 1}: {problem}")

    def take(self, kind: str, wanted: str) -> str:
        """The present token, of this kind; raises InvalidTargetingError."""
        if self._kind != kind:
            raise self._fail(f"expected {wanted}, found {self._token or 'the end'}")
        token = self._token
        if kind != "end":
            self._advance()
        return token

    def _skip(self, token: str) -> bool:
        if self._kind not in ("word", "sign") or self._token != token:
            return False
        self._advance()
        return True

    def _demand(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._fail(f"expected {sign}, found {self._token or 'the end'}")

    def parse_any(self, depth: int) -> Expression:
        """Conjunctions, one of which is so."""
        terms = [self._parse_all(depth)]
        while self._skip("or"):
            terms.append(self._parse_all(depth))
        flat = [inner for term in terms for inner in (term.terms if isinstance(term, AnyOf) else (term,))]
        return AnyOf(tuple(flat)) if len(flat) > 1 else flat[0]

    def _parse_all(self, depth: int) -> Expression:
        terms = [self._parse_term(depth)]
        while self._skip("and"):
            terms.append(self._parse_term(depth))
        flat = [inner for term in terms for inner in (term.terms if isinstance(term, AllOf) else (term,))]
        return AllOf(tuple(flat)) if len(flat) > 1 else flat[0]

    def _parse_term(self, depth: int) -> Expression:
        if depth > 2 * EXPRESSION_DEPTH_MAX:  # parentheses need not be nodes
            raise self._fail(f"nested deeper than {EXPRESSION_DEPTH_MAX}")
        if self._skip("not"):
            return Not(self._parse_term(depth + 1))
        if self._skip("("):
            inner = self.parse_any(depth + 1)
            self._demand(")")
            return inner
        return self._parse_test(self._parse_variable())

    def _parse_variable(self) -> Variable:
        if self._kind != "word":
            raise self._fail(f"expected a tag, found {self._token or 'the end'}")
        namespace, _, name = self._token.partition(".")
        if namespace not in _NAMESPACES:
            raise self._fail(f"a tag begins with one of {', '.join(_NAMESPACES)}, as in user.age")
        if not _is_name(name):
            raise self._fail(
                f"a tag's name has up to {TAG_NAME_CHARACTERS_MAX} small letters, digits and single _ between them"
            )
        self._advance()
        return Variable(_NAMESPACES[namespace], name)

    def _parse_test(self, variable: Variable) -> Expression:
        if self._skip("has"):
            literal = self._parse_literal()
            if not isinstance(literal, str):
                raise self._fail("a set has texts")
            return Has(variable, literal)
        if self._skip("in"):
            return OneOf(variable, self._parse_list())
        sign = self._token if self._kind == "sign" else ""
        if sign not in _SIGNS and sign not in _OPPOSITES:
            return Flag(variable)
        self._advance()
        place, literal = self._place, self._parse_literal()
        if sign not in ("==", "!=") and type(literal) is not int:
            self._place = place
            raise self._fail("only integers have an order")
        if sign in _OPPOSITES:
            return Not(Comparison(variable, _OPPOSITES[sign], literal))
        return Comparison(variable, _SIGNS[sign], literal)

    def _parse_list(self) -> tuple[Literal, ...]:
        self._demand("[")
        literals = [self._parse_literal()]
        while self._skip(","):
            literals.append(self._parse_literal())
        self._demand("]")
        if len({type(each) for each in literals}) > 1:
            raise self._fail("a list holds literals of one type")
        return tuple(sorted(set(literals), key=_literal_key))

    def _parse_literal(self) -> Literal:
        if self._kind == "integer":
            return self._parse_integer()
        if self._kind == "text":
            text = re.sub(r'\\(["\\])', r"\1", self._token[1:-1])
            if not _is_text(text):
                raise self._fail(f"a text has up to {TAG_TEXT_BYTES_MAX} bytes and no control characters")
            self._advance()
            return text
        for word, value in (("true", True), ("false", False)):
            if self._skip(word):
                return value
        raise self._fail(f"expected a number, a text, true or false, found {self._token or 'the end'}")

    def _parse_integer(self) -> int:
        if len(self._token) > len(str(-TAG_INTEGER_MAX)) or not _is_integer(int(self._token)):
            raise self._fail("an integer has 64 bits")
        value = int(self._token)
        self._advance()
        return value


def _is_name(text: str) -> bool:
    return len(text) <= TAG_NAME_CHARACTERS_MAX and _NAME.fullmatch(text) is not None


def _is_text(text: str) -> bool:
    try:
        return len(text.encode()) <= TAG_TEXT_BYTES_MAX and _CONTROL.search(text) is None
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def _is_integer(value: int) -> bool:
    return -TAG_INTEGER_MAX <= value <= TAG_INTEGER_MAX


def _literal_key(literal: Literal) -> tuple[int, bytes]:
    """Integers in their order, texts in the order of their bytes."""
    if isinstance(literal, str):
        return 0, literal.encode()
    return int(literal), b""


# Bytes


def pack_expression(expression: Expression) -> PackedExpression:
    """The one byte form of an expression; raises InvalidTargetingError when it is over a limit."""
    counted = _count_nodes(expression, 1)
    if counted > EXPRESSION_NODES_MAX:
        raise InvalidTargetingError(f"an expression has at most {EXPRESSION_NODES_MAX} tests and operators")
    packed = bytes([_VERSION]) + _pack(expression)
    if len(packed) > EXPRESSION_BYTES_MAX:
        raise InvalidTargetingError(f"an expression has at most {EXPRESSION_BYTES_MAX} bytes, this one {len(packed)}")
    return PackedExpression(packed)


def unpack_expression(packed: bytes) -> Expression:
    """An expression from its one byte form; raises InvalidTargetingError, never anything else."""
    if not 1 <= len(packed) <= EXPRESSION_BYTES_MAX or packed[0] != _VERSION:
        raise InvalidTargetingError(f"no expression of version {_VERSION} with up to {EXPRESSION_BYTES_MAX} bytes")
    reader = _Reader(packed)
    expression = reader.read_node(1)
    if reader.place != len(packed):
        raise InvalidTargetingError(f"byte {reader.place}: more than one expression")
    if pack_expression(expression) != packed:
        raise InvalidTargetingError("not the one form of this expression")
    return expression


def compute_targeting_hash(packed: bytes) -> bytes:
    """SHA-256 of the packed expression."""
    return sha256(packed).digest()


def _count_nodes(expression: Expression, depth: int) -> int:
    if depth > EXPRESSION_DEPTH_MAX:
        raise InvalidTargetingError(f"nested deeper than {EXPRESSION_DEPTH_MAX}")
    match expression:
        case Not(term):
            return 1 + _count_nodes(term, depth + 1)
        case AllOf(terms) | AnyOf(terms):
            return 1 + sum(_count_nodes(term, depth + 1) for term in terms)
        case OneOf(_, literals) if not 1 <= len(literals) <= LIST_LITERALS_MAX:
            raise InvalidTargetingError(f"a list holds 1 to {LIST_LITERALS_MAX} literals")
        case _:
            return 1


def _pack(expression: Expression) -> bytes:
    match expression:
        case Flag(variable):
            return b"\x01" + _pack_variable(variable)
        case Comparison(variable, comparator, literal):
            return bytes([comparator]) + _pack_variable(variable) + _pack_literal(literal)
        case OneOf(variable, literals):
            packed = b"".join(map(_pack_literal, literals))
            return b"\x06" + _pack_variable(variable) + bytes([len(literals)]) + packed
        case Has(variable, text):
            return b"\x07" + _pack_variable(variable) + _pack_literal(text)
        case Not(term):
            return b"\x08" + _pack(term)
        case AllOf(terms):
            return b"\x09" + bytes([len(terms)]) + b"".join(map(_pack, terms))
        case AnyOf(terms):
            return b"\x0a" + bytes([len(terms)]) + b"".join(map(_pack, terms))


def _pack_variable(variable: Variable) -> bytes:
    name = variable.name.encode()
    return bytes([variable.namespace, len(name)]) + name


def _pack_literal(literal: Literal) -> bytes:
    if isinstance(literal, bool):
        return bytes([1, literal])
    if isinstance(literal, int):
        return b"\x02" + literal.to_bytes(_INTEGER_BYTES, "big", signed=True)
    text = literal.encode()
    return bytes([3, len(text)]) + text


class _Reader:
    """Reads a packed expression from its first to its last byte."""

    def __init__(self, packed: bytes) -> None:
        self.place = 1
        self._packed = packed
        self._nodes = 0

    def _fail(self, problem: str) -> InvalidTargetingError:
        return InvalidTargetingError(f"byte {self.place}: {problem}")

    def _take(self, count: int) -> bytes:
        taken = self._packed[self.place : self.place + count]
        if len(taken) < count:
            raise self._fail("the expression is cut off")
        self.place += count
        return taken

    def read_node(self, depth: int) -> Expression:
        """A node and all beneath it; raises InvalidTargetingError."""
        self._nodes += 1
        if depth > EXPRESSION_DEPTH_MAX or self._nodes > EXPRESSION_NODES_MAX:
            raise self._fail(f"deeper than {EXPRESSION_DEPTH_MAX}, or more than {EXPRESSION_NODES_MAX} nodes")
        kind = self._take(1)[0]
        match kind:
            case 1:
                return Flag(self._read_variable())
            case 2 | 3 | 4 | 5:
                return self._read_comparison(Comparator(kind))
            case 6:
                return self._read_one_of()
            case 7:
                variable, text = self._read_variable(), self._read_literal()
                if not isinstance(text, str):
                    raise self._fail("a set has texts")
                return Has(variable, text)
            case 8:
                return Not(self.read_node(depth + 1))
            case 9:
                return AllOf(self._read_terms(depth, AllOf))
            case 10:
                return AnyOf(self._read_terms(depth, AnyOf))
            case _:
                raise self._fail("no kind of node")

    def _read_terms(self, depth: int, own: type) -> tuple[Expression, ...]:
        count = self._take(1)[0]
        terms = tuple([self.read_node(depth + 1) for _ in range(count)])
        if count < 2 or any(isinstance(term, own) for term in terms):
            raise self._fail("two terms at least, none of its own kind")
        return terms

    def _read_comparison(self, comparator: Comparator) -> Comparison:
        variable, literal = self._read_variable(), self._read_literal()
        if comparator in (Comparator.LESS, Comparator.LESS_OR_EQUAL) and type(literal) is not int:
            raise self._fail("only integers have an order")
        return Comparison(variable, comparator, literal)

    def _read_one_of(self) -> OneOf:
        variable, count = self._read_variable(), self._take(1)[0]
        literals = tuple([self._read_literal() for _ in range(count)])
        if len({type(each) for each in literals}) != 1:
            raise self._fail("a list holds literals of one type")
        if list(literals) != sorted(set(literals), key=_literal_key):
            raise self._fail("literals ascend, each once")
        return OneOf(variable, literals)

    def _read_variable(self) -> Variable:
        number, length = self._take(2)
        name = self._take(length).decode("ascii", "replace")
        if number not in _NAMESPACE_NUMBERS or not _is_name(name):
            raise self._fail("no name of a tag")
        return Variable(TagNamespace(number), name)

    def _read_literal(self) -> Literal:
        kind, first = self._take(2)
        if kind == 1 and first <= 1:
            return first == 1
        if kind == 2:
            self.place -= 1
            value = int.from_bytes(self._take(_INTEGER_BYTES), "big", signed=True)
            if _is_integer(value):
                return value
        if kind == 3:
            return self._read_text(first)
        raise self._fail("no literal")

    def _read_text(self, length: int) -> str:
        try:
            text = self._take(length).decode()
        except UnicodeDecodeError:
            raise self._fail("text is UTF-8") from None
        if not _is_text(text):
            raise self._fail(f"a text has up to {TAG_TEXT_BYTES_MAX} bytes and no control characters")
        return text
