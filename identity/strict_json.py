"""JSON that is signed or sealed: every reader must see the same value, so what readers disagree on is refused.

Refused are: a name twice in one object, NaN and the infinities, fractions and exponents (an amount that needs them is
text), integers that not every reader holds exactly (RFC 7493 section 2.2), halves of surrogate pairs, and depth.
"""

import json
from typing import Any, Final, NoReturn, TypeAlias

JSON_DEPTH_MAX: Final = 16  # objects and arrays within each other; claims of people and vehicles need four
JSON_INTEGER_MAX: Final = 2**53 - 1  # what a reader with double precision numbers holds exactly
_INTEGER_CHARACTERS_MAX: Final = 17  # "-9007199254740991"

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"
"""A value without fractions."""


class InvalidJsonError(ValueError):
    """This is not JSON of which every reader sees the same value; the message never quotes it."""


class DeepJsonError(InvalidJsonError):
    """It is nested deeper than is read here."""


def parse_json_object(payload: bytes) -> dict[str, Json]:
    """The object that UTF-8 text stands for; raises InvalidJsonError. The caller has limited the size."""
    value = parse_json(payload)
    if type(value) is not dict:
        raise InvalidJsonError("this JSON is no object")
    return value


def parse_json(payload: bytes) -> Json:
    """The value that UTF-8 text stands for; raises InvalidJsonError. The caller has limited the size."""
    try:
        value: Json = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_refuse_doubles,
            parse_constant=_refuse_number,
            parse_float=_refuse_number,
            parse_int=_parse_integer,
        )
    except RecursionError:
        raise DeepJsonError(f"JSON is at most {JSON_DEPTH_MAX} objects and arrays deep here") from None
    except ValueError:
        raise InvalidJsonError("this is not JSON, or a name stands twice, or a number is not an integer") from None
    check_json(value)
    return value


def format_json(value: Json) -> bytes:
    """UTF-8 text without blanks, names in the order in which they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def check_json(value: object) -> None:
    """That a value is one which `parse_json` returns; raises InvalidJsonError."""
    waiting: list[tuple[object, int]] = [(value, 1)]
    while waiting:
        each, depth = waiting.pop()
        if type(each) in (dict, list) and depth > JSON_DEPTH_MAX:
            raise DeepJsonError(f"JSON is at most {JSON_DEPTH_MAX} objects and arrays deep here")
        match each:
            case None | bool():
                pass
            case int():
                if abs(each) > JSON_INTEGER_MAX:
                    raise InvalidJsonError("an integer is larger than every reader of JSON holds exactly")
            case str():
                _check_text(each)
            case list():
                waiting.extend((element, depth + 1) for element in each)
            case dict():
                for name, element in each.items():
                    if type(name) is not str:
                        raise InvalidJsonError("names of JSON objects are text")
                    _check_text(name)
                    waiting.append((element, depth + 1))
            case _:
                raise InvalidJsonError(f"{type(each).__name__} is no JSON here")


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidJsonError("half of a surrogate pair is no text") from None


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands twice")
    return fields


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no integer")


def _parse_integer(text: str) -> int:
    if len(text) > _INTEGER_CHARACTERS_MAX:
        raise ValueError("too long an integer")
    return int(text)
