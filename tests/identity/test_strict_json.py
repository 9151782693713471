import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.strict_json import (
    JSON_DEPTH_MAX,
    JSON_INTEGER_MAX,
    DeepJsonError,
    InvalidJsonError,
    check_json,
    format_json,
    parse_json,
    parse_json_object,
)

LEAVES = st.none() | st.booleans() | st.integers(-JSON_INTEGER_MAX, JSON_INTEGER_MAX) | st.text(max_size=5)
VALUES = st.recursive(LEAVES, lambda each: st.lists(each) | st.dictionaries(st.text(max_size=5), each), max_leaves=10)


@given(VALUES)
def test_values_come_back(value):
    assert parse_json(format_json(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"b": [{"a": 1, "\\u0061": 2}]}',
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1.0",
        "1e3",
        str(JSON_INTEGER_MAX + 1),
        str(-JSON_INTEGER_MAX - 1),
        "1" * 18,
        "1" * 10_000,
        '"\\ud800"',
        '{"\\udfff": 1}',
        '"\x01"',
        "01",
        "1 2",
        "[1,]",
        "'a'",
        "",
        "\ufeff1",
    ],
)
def test_what_readers_disagree_on_is_refused(text):
    with pytest.raises(InvalidJsonError):
        parse_json(text.encode())


def test_what_is_not_utf_8_is_refused():
    with pytest.raises(InvalidJsonError):
        parse_json(b'"\xff"')


def nest(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_depth_has_a_limit():
    assert parse_json(nest(JSON_DEPTH_MAX)) == json.loads(nest(JSON_DEPTH_MAX))
    for depth in (JSON_DEPTH_MAX + 1, 100_000):
        with pytest.raises(DeepJsonError):
            parse_json(nest(depth))


def test_an_object_is_asked_for():
    assert parse_json_object(b'{"a":-9007199254740991}') == {"a": -9007199254740991}
    with pytest.raises(InvalidJsonError, match="no object"):
        parse_json_object(b"[]")


@pytest.mark.parametrize("value", [1.5, b"", ("a",), {1: 2}, [{"a": {2}}], "\ud800", 2**53])
def test_what_is_no_json_here_is_not_written(value):
    with pytest.raises(InvalidJsonError):
        check_json(value)
