"""The classes an author derives from, and how methods are marked."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, Final, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from iov.host import get_frame
from iov.integers import u64
from iov.packing import convert
from iov.storage import IndexedMap, Map, Var
from iov.values import Address, check_value
from vm.contracts.abi import MethodKind

F = TypeVar("F", bound=Callable[..., Any])

KIND_MARK: Final = "__iov_kind__"
PAYABLE_MARK: Final = "__iov_payable__"
REENTRANT_MARK: Final = "__iov_reentrant__"


def init(function: F) -> F:
    """Runs once, when the contract is sealed."""
    return _mark(function, KIND_MARK, MethodKind.INIT)


def call(function: F) -> F:
    """A method that transactions and contracts may call."""
    return _mark(function, KIND_MARK, MethodKind.CALL)


def view(function: F) -> F:
    """A method that reads and changes nothing."""
    return _mark(function, KIND_MARK, MethodKind.VIEW)


def migrate(function: F) -> F:
    """Runs once after an upgrade, with the new code."""
    return _mark(function, KIND_MARK, MethodKind.MIGRATE)


def payable(function: F) -> F:
    """IOV may come with the call."""
    return _mark(function, PAYABLE_MARK, True)


def reentrant(function: F) -> F:
    """May be entered while the contract is already running."""
    return _mark(function, REENTRANT_MARK, True)


class Contract:
    """A contract: annotated storage items and marked methods. `upgrade` says who may replace its code."""

    STORAGE: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, upgrade: Literal["never", "owner", "governance"] = "never") -> None:
        """Turn the annotations into storage items, numbered in their order."""
        hints = get_type_hints(cls)
        cls.STORAGE = tuple(name for name in cls.__annotations__)
        for position, name in enumerate(cls.STORAGE):
            setattr(cls, name, _make_item(position, hints[name]))

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.STORAGE:
            raise TypeError(f"{name} is not a storage item; annotate it in the class")
        super().__setattr__(name, value)


class ContractInterface:
    """Another contract, seen from outside: subclasses declare its methods, whose bodies never run."""

    def __init__(self, address: Address, value_grains: u64 = u64(0)) -> None:  # noqa: B008  # immutable
        """Of the contract at an address; the grains go with each call made through this object."""
        self.address = check_value(Address, address)
        self.value_grains = check_value(u64, value_grains)

    def __init_subclass__(cls) -> None:
        """Turn the declared methods into calls."""
        for name, kind in _list_marked(cls):
            setattr(cls, name, _make_contract_call(getattr(cls, name), kind is MethodKind.VIEW))


class NativeModule:
    """A native module: subclasses name it and declare the calls and views they use."""

    def __init_subclass__(cls, module: str) -> None:
        """Turn the declared methods into calls."""
        for name, kind in _list_marked(cls):
            setattr(cls, name, _make_native_call(getattr(cls, name), module, kind is MethodKind.VIEW))


def get_kind(function: Any) -> MethodKind | None:
    """How a method may be entered; None for one that is private."""
    return cast("MethodKind | None", getattr(function, KIND_MARK, None))


def is_marked(function: Any, mark: str) -> bool:
    """Whether a method bears the mark of `payable` or `reentrant`."""
    return bool(getattr(function, mark, False))


def list_parameter_types(function: Any) -> tuple[list[Any], Any]:
    """The declared types of the parameters, and of the result."""
    hints = get_type_hints(function)
    result = hints.pop("return", None)
    return list(hints.values()), result


def _mark(function: F, name: str, value: object) -> F:
    setattr(function, name, value)
    return function


def _make_item(position: int, hint: Any) -> object:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Var:
        return Var(position, *arguments)
    if origin is Map:
        return Map(position, *arguments)
    if origin is IndexedMap:
        return IndexedMap(position, *arguments)
    raise TypeError(f"{hint} is not a storage item: write Var[…], Map[…] or IndexedMap[…]")


def _list_marked(cls: type) -> list[tuple[str, MethodKind]]:
    kinds = [(name, get_kind(function)) for name, function in vars(cls).items()]
    return [(name, kind) for name, kind in kinds if kind is not None]


def _make_contract_call(function: Any, is_view: bool) -> Any:
    kinds, result = list_parameter_types(function)

    @wraps(function)
    def forward(self: ContractInterface, *arguments: Any) -> Any:
        sent = [convert(kind, each) for kind, each in zip(kinds, arguments, strict=True)]
        answer = get_frame().call_contract(self.address, function.__name__, sent, self.value_grains, is_view=is_view)
        return None if result is type(None) else convert(result, answer)

    return forward


def _make_native_call(function: Any, module: str, is_view: bool) -> Any:
    kinds, result = list_parameter_types(function)

    @wraps(function)
    def forward(self: NativeModule, *arguments: Any) -> Any:
        sent = [convert(kind, each) for kind, each in zip(kinds, arguments, strict=True)]
        answer = get_frame().call_native(module, function.__name__, sent, is_view=is_view)
        return None if result is type(None) else convert(result, answer)

    return forward
