"""What a running contract may ask of the chain. Under CPython `iov.testing.Chain` answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from iov.integers import u64
from iov.values import Address, Did


class HostError(Exception):
    """The chain itself refuses what was asked; the reason's name is that of receipts."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Frame(Protocol):
    """One call of one contract, while it runs."""

    @property
    def address(self) -> Address:
        """The running contract."""

    @property
    def caller(self) -> Address:
        """The account or contract that called."""

    @property
    def signer(self) -> Address:
        """The transaction's sender."""

    @property
    def signer_did(self) -> Did | None:
        """The identity of the signer, if it has one."""

    @property
    def value(self) -> u64:
        """Grains that came with this call; the contract has them already."""

    @property
    def height(self) -> u64:
        """Number of the block."""

    @property
    def time_ms(self) -> u64:
        """Time of the block in milliseconds since 1970."""

    @property
    def epoch(self) -> u64:
        """Number of the epoch."""

    @property
    def gas_left(self) -> u64:
        """Gas the transaction may still use."""

    @property
    def chain_id(self) -> str:
        """Name of the chain."""

    @property
    def transaction_id(self) -> bytes:
        """The 32 bytes that name the transaction."""

    def storage_get(self, key: bytes) -> bytes | None:
        """A stored value."""

    def storage_put(self, key: bytes, value: bytes) -> None:
        """Store a value."""

    def storage_delete(self, key: bytes) -> bool:
        """Delete a value; whether it was there."""

    def balance(self, address: Address) -> u64:
        """Grains of an account."""

    def transfer(self, recipient: Address, amount_grains: u64) -> None:
        """Pay from the contract's account."""

    def emit(self, event: object) -> None:
        """Tell the world."""

    def call_contract(
        self, address: Address, method: str, arguments: list[Any], value_grains: u64, *, is_view: bool
    ) -> Any:
        """Call another contract."""

    def call_native(self, module: str, call: str, arguments: list[Any], *, is_view: bool) -> Any:
        """Call a native module as this contract."""


_frames: list[Frame] = []


def get_frame() -> Frame:
    """The innermost running call; raises HostError outside of one."""
    if not _frames:
        raise HostError("NO_CALL_RUNNING", "use Chain.call, Chain.view or Chain.deploy of iov.testing")
    return _frames[-1]


@contextmanager
def enter_frame(frame: Frame) -> Iterator[None]:
    """Run inside a call."""
    _frames.append(frame)
    try:
        yield
    finally:
        _frames.pop()
