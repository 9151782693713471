"""Targeting: text, bytes, meaning."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.targeting import (
    EXPRESSION_BYTES_MAX,
    EXPRESSION_CHARACTERS_MAX,
    EXPRESSION_DEPTH_MAX,
    EXPRESSION_NODES_MAX,
    LIST_LITERALS_MAX,
    TAG_INTEGER_MAX,
    TAG_TEXT_BYTES_MAX,
    AllOf,
    AnyOf,
    Comparator,
    Comparison,
    Flag,
    Has,
    InvalidTargetingError,
    Not,
    OneOf,
    TagNamespace,
    Variable,
    compute_targeting_hash,
    evaluate,
    format_expression,
    is_match,
    list_variables,
    pack_expression,
    parse_expression,
    unpack_expression,
)

AGE = Variable(TagNamespace.USER, "age")
CITY = Variable(TagNamespace.PLACE, "city")
OWNER = Variable(TagNamespace.ATTRIBUTE, "car_owner")
LIKES = Variable(TagNamespace.SCENARIO, "likes")

names = st.from_regex(r"[a-z][a-z0-9]{0,4}(_[a-z0-9]{1,3})?", fullmatch=True)
variables = st.builds(Variable, st.sampled_from(TagNamespace), names)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
integers = st.integers(-TAG_INTEGER_MAX, TAG_INTEGER_MAX)
ordered = st.sampled_from([Comparator.LESS, Comparator.LESS_OR_EQUAL])
equal = st.sampled_from([Comparator.EQUAL, Comparator.UNEQUAL])


def _sort(literals):
    return tuple(sorted(literals, key=lambda each: each.encode() if isinstance(each, str) else each))


lists = st.one_of(
    [st.sets(kind, min_size=1, max_size=4).map(_sort) for kind in (st.booleans(), integers, texts)],
)
tests = st.one_of(
    st.builds(Flag, variables),
    st.builds(Comparison, variables, ordered, integers),
    st.builds(Comparison, variables, equal, st.one_of(st.booleans(), integers, texts)),
    st.builds(OneOf, variables, lists),
    st.builds(Has, variables, texts),
)


def _join(kind):
    def build(terms):
        flat = [inner for term in terms for inner in (term.terms if isinstance(term, kind) else (term,))]
        return kind(tuple(flat))

    return build


expressions = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(_join(AllOf)),
        st.lists(inner, min_size=2, max_size=3).map(_join(AnyOf)),
    ),
    max_leaves=8,
).filter(lambda each: _depth(each) <= EXPRESSION_DEPTH_MAX and _nodes(each) <= 30)


def _inner(expression):
    match expression:
        case Not(term):
            return (term,)
        case AllOf(terms) | AnyOf(terms):
            return terms
    return ()


def _depth(expression):
    return 1 + max([_depth(each) for each in _inner(expression)], default=0)


def _nodes(expression):
    return 1 + sum(map(_nodes, _inner(expression)))


@given(expressions)
def test_text_and_bytes_give_the_expression_again(expression):
    assert parse_expression(format_expression(expression)) == expression
    packed = pack_expression(expression)
    assert unpack_expression(packed) == expression
    assert compute_targeting_hash(packed) == compute_targeting_hash(pack_expression(unpack_expression(packed)))


def test_an_expression_reads_as_it_is_written():
    text = 'user.age >= 18 and (place.city in ["Shenzhen", "Guangzhou"] or attribute.car_owner) and not user.age < 3'
    parsed = parse_expression(text)
    assert parsed == AllOf(
        (
            Not(Comparison(AGE, Comparator.LESS, 18)),
            AnyOf((OneOf(CITY, ("Guangzhou", "Shenzhen")), Flag(OWNER))),
            Not(Comparison(AGE, Comparator.LESS, 3)),
        )
    )
    assert format_expression(parsed) == (
        'not user.age < 18 and (place.city in ["Guangzhou", "Shenzhen"] or attribute.car_owner) and not user.age < 3'
    )
    assert list_variables(parsed) == ("attribute.car_owner", "place.city", "user.age")


def test_packed_bytes_are_these():
    likes = "08" + "07" + "0505" + b"likes".hex() + "0303" + b"suv".hex()
    age = "05" + "0103" + b"age".hex() + "02" + "0000000000000001"
    packed = pack_expression(parse_expression('not scenario.likes has "suv" or user.age <= 1'))
    assert packed.hex() == "01" + "0a02" + likes + age


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "character 1: expected a tag, found the end"),
        ("user.age ==", "character 12: expected a number, a text, true or false, found the end"),
        ("person.age", "character 1: a tag begins with one of user, app, device, attribute, scenario, place"),
        ("user.Age", "character 1: a tag's name has"),
        ("user.age < true", "character 12: only integers have an order"),
        ('user.age < "a"', "character 12: only integers have an order"),
        ("user.age in [1, true]", "a list holds literals of one type"),
        ("user.age in []", "character 14: expected a number, a text, true or false, found ]"),
        ("user.likes has 1", "a set has texts"),
        ("(user.vip", "character 10: expected ), found the end"),
        ("user.vip user.vip", "character 10: expected and, or, or the end, found user.vip"),
        ("user.vip and or", "character 14: a tag begins with"),
        ("user.age == 1.5", "character 14: this begins no word, number, text or sign"),
        ('user.name == "a', "character 14: this begins no word, number, text or sign"),
        ("user.age == 9223372036854775808", "character 13: an integer has 64 bits"),
        ("user.age == -9223372036854775808", "character 13: an integer has 64 bits"),
        ('user.name == "a\x00b"', "character 14: a text has up to 64 bytes and no control characters"),
        ("not " * 40 + "user.vip", "nested deeper than 8"),
        ("not " * 8 + "user.vip", "nested deeper than 8"),
        ("(" * 40 + "user.vip" + ")" * 40, "nested deeper than 8"),
        ("x" * (EXPRESSION_CHARACTERS_MAX + 1), f"at most {EXPRESSION_CHARACTERS_MAX} characters"),
        (f"user.age in [{', '.join(map(str, range(LIST_LITERALS_MAX + 1)))}]", "a list holds 1 to 32 literals"),
        (" or ".join(["user.a"] * EXPRESSION_NODES_MAX), "at most 64 tests and operators"),
        (f'user.a == "{"x" * (TAG_TEXT_BYTES_MAX + 1)}"', "a text has up to 64 bytes"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text, problem):
    with pytest.raises(InvalidTargetingError) as caught:
        parse_expression(text)
    assert problem in str(caught.value)


def test_an_expression_is_not_too_long():
    text = " or ".join([f'user.a{n} == "{"x" * TAG_TEXT_BYTES_MAX}"' for n in range(20)])
    with pytest.raises(InvalidTargetingError, match=f"at most {EXPRESSION_BYTES_MAX} bytes, this one 14"):
        parse_expression(text)


@given(st.text(max_size=60) | st.text('user.age()not andorin<>=![]",1has', max_size=60))
def test_reading_text_never_fails_otherwise(text):
    try:
        expression = parse_expression(text)
    except InvalidTargetingError:
        return
    assert parse_expression(format_expression(expression)) == expression


@given(st.binary(max_size=80) | st.lists(st.integers(0, 11), max_size=40).map(lambda each: bytes([1, *each])))
def test_reading_bytes_never_fails_otherwise_and_takes_one_form(packed):
    try:
        expression = unpack_expression(packed)
    except InvalidTargetingError:
        return
    assert pack_expression(expression) == packed


@given(expressions, st.data())
def test_a_changed_byte_is_refused_or_another_expression(expression, data):
    packed = bytearray(pack_expression(expression))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidTargetingError):
        assert unpack_expression(bytes(packed)) != expression


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (b"", "no expression of version 1"),
        (b"\x02\x01\x01\x01a", "no expression of version 1"),
        (b"\x01", "byte 1: the expression is cut off"),
        (b"\x01\x0b\x01\x01a", "no kind of node"),
        (b"\x01\x01\x07\x01a", "no name of a tag"),
        (b"\x01\x01\x01\x01A", "no name of a tag"),
        (b"\x01\x01\x01\x01aa", "byte 5: more than one expression"),
        (b"\x01\x09\x01\x01\x01\x01a", "two terms at least"),
        (b"\x01\x09\x02\x09\x02" + b"\x01\x01\x01a" * 3, "none of its own kind"),
        (b"\x01\x06\x01\x01a\x02" + b"\x02" + bytes(8) + b"\x02" + bytes(8), "literals ascend, each once"),
        (b"\x01\x06\x01\x01a\x00", "a list holds literals of one type"),
        (b"\x01\x04\x01\x01a\x01\x01", "only integers have an order"),
        (b"\x01\x02\x01\x01a\x01\x02", "no literal"),
        (b"\x01\x02\x01\x01a\x02\x80" + bytes(7), "no literal"),
        (b"\x01\x02\x01\x01a\x03\x01\xff", "text is UTF-8"),
        (b"\x01\x02\x01\x01a\x03\x01\x07", "no control characters"),
        (b"\x01\x07\x01\x01a\x01\x01", "a set has texts"),
        (b"\x01" + b"\x08" * 8 + b"\x01\x01\x01a", "deeper than 8"),
    ],
)
def test_bytes_of_no_expression(packed, problem):
    with pytest.raises(InvalidTargetingError) as caught:
        unpack_expression(packed)
    assert problem in str(caught.value)


# Meaning

TAGS = {"user.age": 30, "user.vip": True, "place.city": "Guangzhou", "scenario.likes": frozenset({"suv", "race"})}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("user.vip", True),
        ("not user.vip", False),
        ("user.age == 30", True),
        ("user.age != 30", False),
        ("user.age < 30", False),
        ("user.age <= 30", True),
        ("user.age > 29", True),
        ("user.age >= 31", False),
        ("user.age in [1, 30]", True),
        ('place.city in ["Shenzhen"]', False),
        ('scenario.likes has "suv"', True),
        ('scenario.likes has "van"', False),
        # what is not known
        ("user.rich", None),
        ("not user.rich", None),
        ("user.rich == true", None),
        ("user.rich != true", None),
        ("user.rich and user.vip", None),
        ("user.rich and not user.vip", False),
        ("user.rich or user.vip", True),
        ("user.rich or not user.vip", None),
        # another type
        ("user.age", None),
        ("not user.age", None),
        ('user.age == "30"', None),
        ('not user.age != "30"', None),
        ("user.vip == 1", None),
        ("user.vip in [0, 1]", None),
        ("user.vip < 2", None),
        ('place.city has "G"', None),
        ('scenario.likes == "suv"', None),
    ],
)
def test_what_tags_say(text, answer):
    expression = parse_expression(text)
    assert evaluate(expression, TAGS) is answer
    assert is_match(expression, TAGS) is (answer is True)


def _interpret(expression, tags):
    """An interpreter of another kind: the sets of possible answers, over all values a missing tag could have."""
    match expression:
        case Not(term):
            return {not answer for answer in _interpret(term, tags)}
        case AllOf(terms):
            answers = [_interpret(term, tags) for term in terms]
            return ({True} if all(True in each for each in answers) else set()) | (
                {False} if any(False in each for each in answers) else set()
            )
        case AnyOf(terms):
            answers = [_interpret(term, tags) for term in terms]
            return ({True} if any(True in each for each in answers) else set()) | (
                {False} if all(False in each for each in answers) else set()
            )
    value = tags.get(str(expression.variable))
    try:
        return {_compute(expression, value)}
    except TypeError:
        return {True, False}


def _compute(test, value):
    def same(wanted):
        if type(value) is not wanted:
            raise TypeError
        return value

    match test:
        case Flag():
            return same(bool)
        case Has(_, text):
            return len(same(frozenset) & {text}) == 1
        case OneOf(_, literals):
            return any(same(type(each)) == each for each in literals)
        case Comparison(_, comparator, literal):
            signs = {2: "__eq__", 3: "__ne__", 4: "__lt__", 5: "__le__"}
            return getattr(same(type(literal)), signs[comparator])(literal)


values = st.one_of(st.booleans(), integers, texts, st.frozensets(texts, max_size=3), st.none(), st.floats())


@given(expressions, st.data())
def test_the_meaning_is_that_of_another_interpreter(expression, data):
    tags = {name: data.draw(values, label=name) for name in list_variables(expression) if data.draw(st.booleans())}
    answers = _interpret(expression, tags)
    assert evaluate(expression, tags) is (next(iter(answers)) if len(answers) == 1 else None)


@given(expressions, st.dictionaries(texts, values, max_size=3))
def test_nothing_known_matches_nothing(expression, others):
    tags = {f"other.{name}": value for name, value in others.items()}
    assert evaluate(expression, tags) is None
    assert not is_match(Not(expression), tags)
