"""What a method is: one line of the table that dispatcher, OpenRPC document and reference share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from rpc.errors import ERROR_KINDS, invalid_params
from rpc.models import Params

Handler = Callable[[Any, Any], Any]


@unique
class Place(Enum):
    """Where a handler runs."""

    LOOP = "loop"
    """On the event loop: a few point reads at most."""
    LOOP_AT_HEAD = "loop at head"
    """On the event loop for the state at the head, on a thread for any other height."""
    THREAD = "thread"
    """On a read thread: may take a while."""
    AWAITED = "awaited"
    """A coroutine that waits for something and limits its own time."""
    SUBMIT = "submit"
    """Runs of these in a batch are handed to the node together."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    name: str
    params: type[Params]
    result: Any
    handler: Handler
    place: Place
    reasons: tuple[str, ...] = ()
    """What it can fail for besides what every method can."""
    adapter: TypeAdapter[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert all(reason in ERROR_KINDS for reason in self.reasons), f"{self.name} names an unknown reason"
        object.__setattr__(self, "adapter", TypeAdapter(self.result))

    @property
    def doc(self) -> str:
        """One line from the handler."""
        return (self.handler.__doc__ or "").strip()

    def parse_params(self, given: list[Any] | dict[str, Any] | None) -> Params:
        """Checked parameters from named or positional ones; raises RpcError INVALID_PARAMS."""
        named = self._name_params(given)
        try:
            return self.params.model_validate(named, by_alias=True, by_name=False)
        except ValidationError as error:
            raise invalid_params(_explain(error)) from None

    def encode_result(self, result: Any) -> bytes:
        """A result as JSON."""
        if isinstance(result, BaseModel):
            return result.__pydantic_serializer__.to_json(result, by_alias=True)
        return self.adapter.dump_json(result, by_alias=True)

    def list_params(self) -> list[str]:
        """Parameter names as clients write them, in positional order."""
        return [info.alias or name for name, info in self.params.model_fields.items()]

    def _name_params(self, given: list[Any] | dict[str, Any] | None) -> dict[str, Any]:
        if given is None:
            return {}
        if isinstance(given, dict):
            return given
        names = self.list_params()
        if len(given) > len(names):
            raise invalid_params(f"takes at most {len(names)} parameters: {', '.join(names) or 'none'}")
        return dict(zip(names, given, strict=False))


_PROBLEMS_SHOWN_MAX = 3


def _explain(error: ValidationError) -> str:
    """Which parameters are wrong and why, without repeating what was sent."""
    problems = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(str(part)[:64] for part in problem["loc"]) or "params"
        problems.append(f"{place}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(problems[:_PROBLEMS_SHOWN_MAX])


def build_table(methods: tuple[Method, ...]) -> dict[str, Method]:
    """Methods by name."""
    table = {method.name: method for method in methods}
    assert len(table) == len(methods), "a method stands twice in the table"
    return table
