"""A chain for tests under CPython: accounts, blocks, events, and calls that are undone when they fail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, ParamSpec, TypeVar

from iov.contract import (
    PAYABLE_MARK,
    REENTRANT_MARK,
    Contract,
    get_kind,
    is_marked,
    list_parameter_types,
)
from iov.failures import Panic, RevertError
from iov.host import HostError, enter_frame
from iov.integers import u64
from iov.packing import convert
from iov.values import Address, Did
from vm.contracts.abi import MethodKind
from vm.contracts.engine import CALL_DEPTH_MAX

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=Contract)

START_TIME_MS: Final = 1_700_000_000_000
BLOCK_MS: Final = 1_000
GAS_LIMIT: Final = 10_000_000


@dataclass(frozen=True)
class Emitted:
    """An event and the contract it comes from."""

    contract: Address
    event: object


@dataclass
class _State:
    balances: dict[Address, int] = field(default_factory=dict)
    dids: dict[Address, Did] = field(default_factory=dict)
    storage: dict[Address, dict[bytes, bytes]] = field(default_factory=dict)
    events: list[Emitted] = field(default_factory=list)

    def copy(self) -> "_State":
        storage = {address: dict(items) for address, items in self.storage.items()}
        return _State(dict(self.balances), dict(self.dids), storage, list(self.events))


class Chain:
    """One chain. A call that fails raises RevertError or HostError and leaves everything as it was."""

    def __init__(self) -> None:
        """Empty, at height 1."""
        self.height = u64(1)
        self.time_ms = u64(START_TIME_MS)
        self.epoch = u64(0)
        self.chain_id = "test"
        self.natives: dict[str, object] = {}
        """Stand-ins of native modules by name: objects with a method for each call or view."""
        self._state = _State()
        self._contracts: dict[Address, Contract] = {}
        self._running: list[Address] = []
        self._transactions = 0

    @property
    def events(self) -> list[Emitted]:
        """All events so far, oldest first."""
        return self._state.events

    def account(self, name: str, grains: int = 0, did: Did | None = None) -> Address:
        """The address of an account with that name, with so many grains more."""
        address = Address(sha256(b"account " + name.encode()).digest()[:20])
        self._state.balances[address] = self._state.balances.get(address, 0) + grains
        if did is not None:
            self._state.dids[address] = did
        return address

    def balance(self, address: Address) -> int:
        """Grains of an account or a contract."""
        return self._state.balances.get(address, 0)

    def storage(self, contract: Contract) -> dict[bytes, bytes]:
        """The contract's stored bytes, as the chain would hold them."""
        return dict(sorted(self._state.storage[self.address(contract)].items()))

    def address(self, contract: Contract) -> Address:
        """Where the contract is."""
        return next(address for address, each in self._contracts.items() if each is contract)

    def advance(self, blocks: int = 1, milliseconds: int | None = None) -> None:
        """Let blocks pass, and the time they take."""
        self.height += blocks
        self.time_ms += blocks * BLOCK_MS if milliseconds is None else milliseconds

    def deploy(self, sender: Address, kind: type[C], *arguments: Any, value_grains: int = 0) -> C:
        """Introduce and seal a contract; its init method gets the arguments."""
        contract = kind()
        address = Address(sha256(b"contract %d" % len(self._contracts)).digest()[:20])
        before = self._state.copy()
        self.place(address, contract)
        try:
            name = _find_special(kind, MethodKind.INIT)
            if name is not None:
                self._transact(sender, address, name, list(arguments), value_grains)
            elif arguments or value_grains:
                raise HostError("BAD_ARGUMENTS", f"{kind.__name__} has no init method")
        except BaseException:
            self._state = before
            del self._contracts[address]
            raise
        return contract

    def place(self, address: Address, contract: Contract) -> None:
        """Put a contract at an address without running its init method."""
        self._contracts[address] = contract
        self._state.storage[address] = {}

    def migrate(self, sender: Address, contract: Contract, kind: type[C], *arguments: Any) -> C:
        """Replace the code of a contract, keep its storage, and run the migrate method of the new code."""
        address = self.address(contract)
        upgraded = kind()
        self._contracts[address] = upgraded
        name = _find_special(kind, MethodKind.MIGRATE)
        try:
            if name is not None:
                self._transact(sender, address, name, list(arguments), 0)
        except BaseException:
            self._contracts[address] = contract
            raise
        return upgraded

    def call(self, sender: Address, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Call `contract.method` as a transaction of the sender."""
        return self.pay(sender, 0, method, *arguments, **named)

    def pay(
        self, sender: Address, value_grains: int, method: Callable[P, R], *arguments: P.args, **named: P.kwargs
    ) -> R:
        """Call a payable method and send grains along."""
        assert not named, "arguments are given by position"
        address, name = self._name_method(method)
        if get_kind(method) is not MethodKind.CALL:
            raise HostError("NO_SUCH_METHOD", f"{name} is not a @call")
        result: R = self._transact(sender, address, name, list(arguments), value_grains)
        return result

    def view(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Ask a view; nothing changes."""
        assert not named, "arguments are given by position"
        address, name = self._name_method(method)
        nobody = Address(bytes(20))
        result: R = self.enter(nobody, nobody, address, name, list(arguments), 0, is_view=True)
        return result

    def enter(
        self,
        signer: Address,
        caller: Address,
        address: Address,
        name: str,
        arguments: list[Any],
        value_grains: int,
        *,
        is_view: bool,
    ) -> Any:
        """Run one method of one contract; on failure nothing has changed."""
        method = self._find_method(address, name, value_grains, is_view=is_view)
        kinds, result = list_parameter_types(method)
        if len(kinds) != len(arguments):
            raise HostError("BAD_ARGUMENTS", f"{name} takes {len(kinds)} arguments")
        received = [convert(kind, each) for kind, each in zip(kinds, arguments, strict=True)]
        before = self._state.copy()
        self._running.append(address)
        try:
            frame = _TestFrame(self, address, caller, signer, u64(value_grains), is_view)
            self.move(caller, address, value_grains)
            with enter_frame(frame):
                answer = _run(method, received)
            return None if result is type(None) else convert(result, answer)
        except BaseException:
            self._state = before
            raise
        finally:
            self._running.pop()

    def move(self, sender: Address, recipient: Address, grains: int) -> None:
        """Move grains between accounts; raises HostError when there are too few."""
        if grains > self.balance(sender):
            raise HostError("INSUFFICIENT_BALANCE", f"{self.balance(sender)} grains, {grains} needed")
        if grains:
            self._state.balances[sender] = self.balance(sender) - grains
            self._state.balances[recipient] = self.balance(recipient) + grains

    def is_contract(self, address: Address) -> bool:
        """Whether code rules the account."""
        return address in self._contracts

    def is_running(self) -> bool:
        """Whether a call is running."""
        return bool(self._running)

    def get_contract(self, address: Address) -> Contract:
        """The contract at an address."""
        return self._contracts[address]

    def list_balances(self) -> dict[Address, int]:
        """Grains of all accounts."""
        return dict(self._state.balances)

    def get_did(self, address: Address) -> Did | None:
        """The identity of an account."""
        return self._state.dids.get(address)

    def get_storage(self, address: Address) -> dict[bytes, bytes]:
        """A contract's storage itself, to be changed."""
        return self._state.storage[address]

    def transaction_id(self) -> bytes:
        """The running transaction's name."""
        return sha256(b"transaction %d" % self._transactions).digest()

    def _transact(self, sender: Address, address: Address, name: str, arguments: list[Any], value_grains: int) -> Any:
        self._transactions += 1
        return self.enter(sender, sender, address, name, arguments, value_grains, is_view=False)

    def _name_method(self, method: Callable[..., Any]) -> tuple[Address, str]:
        contract = getattr(method, "__self__", None)
        if not isinstance(contract, Contract):
            raise TypeError("write chain.call(sender, contract.method, …)")
        return self.address(contract), method.__name__

    def _find_method(self, address: Address, name: str, value_grains: int, *, is_view: bool) -> Any:
        if address not in self._contracts:
            raise HostError("CONTRACT_NOT_FOUND", repr(address))
        method = getattr(self._contracts[address], name, None)
        kind = get_kind(method)
        if kind is None or (is_view and kind is not MethodKind.VIEW):
            raise HostError("NO_SUCH_METHOD", name)
        if value_grains and not is_marked(method, PAYABLE_MARK):
            raise HostError("NOT_PAYABLE", name)
        if address in self._running and not is_marked(method, REENTRANT_MARK):
            raise HostError("REENTRANCY", name)
        if len(self._running) >= CALL_DEPTH_MAX:
            raise HostError("CALL_DEPTH", name)
        return method


@dataclass(frozen=True)
class _TestFrame:
    """One running call; the implementation of `iov.host.Frame`."""

    chain: Chain
    address: Address
    caller: Address
    signer: Address
    value: u64
    is_view: bool

    @property
    def signer_did(self) -> Did | None:
        return self.chain.get_did(self.signer)

    @property
    def height(self) -> u64:
        return self.chain.height

    @property
    def time_ms(self) -> u64:
        return self.chain.time_ms

    @property
    def epoch(self) -> u64:
        return self.chain.epoch

    @property
    def gas_left(self) -> u64:
        return u64(GAS_LIMIT)

    @property
    def chain_id(self) -> str:
        return self.chain.chain_id

    @property
    def transaction_id(self) -> bytes:
        return self.chain.transaction_id()

    def storage_get(self, key: bytes) -> bytes | None:
        return self.chain.get_storage(self.address).get(key)

    def storage_put(self, key: bytes, value: bytes) -> None:
        self._check_may_write()
        self.chain.get_storage(self.address)[key] = value

    def storage_delete(self, key: bytes) -> bool:
        self._check_may_write()
        return self.chain.get_storage(self.address).pop(key, None) is not None

    def balance(self, address: Address) -> u64:
        return u64(self.chain.balance(address))

    def transfer(self, recipient: Address, amount_grains: u64) -> None:
        self._check_may_write()
        if self.chain.is_contract(recipient):
            raise HostError("RECIPIENT_NOT_ALLOWED", "contracts are paid through payable methods")
        self.chain.move(self.address, recipient, int(amount_grains))

    def emit(self, event: object) -> None:
        self._check_may_write()
        self.chain.events.append(Emitted(self.address, event))

    def call_contract(
        self, address: Address, method: str, arguments: list[Any], value_grains: u64, *, is_view: bool
    ) -> Any:
        if not is_view:
            self._check_may_write()
        try:
            return self.chain.enter(
                self.signer, self.address, address, method, arguments, int(value_grains), is_view=is_view
            )
        except (RevertError, HostError) as error:
            raise RevertError(Panic.CALL_FAILED, str(error)) from error

    def call_native(self, module: str, call: str, arguments: list[Any], *, is_view: bool) -> Any:
        if not is_view:
            self._check_may_write()
        native = self.chain.natives.get(module)
        if native is None:
            raise TypeError(f"put a stand-in of the native module into chain.natives[{module!r}]")
        try:
            return getattr(native, call)(*arguments)
        except (RevertError, HostError) as error:
            raise RevertError(Panic.CALL_FAILED, str(error)) from error

    def _check_may_write(self) -> None:
        if self.is_view:
            raise HostError("VIEW_WRITES")


def _run(method: Any, arguments: list[Any]) -> Any:
    """Only positions of bytes fail with Python's own exception."""
    try:
        return method(*arguments)
    except IndexError as error:
        raise RevertError(Panic.INDEX, str(error)) from error


def _find_special(kind: type[Contract], wanted: MethodKind) -> str | None:
    """The name of the init or migrate method of a contract class."""
    return next((name for name, each in vars(kind).items() if get_kind(each) is wanted), None)
