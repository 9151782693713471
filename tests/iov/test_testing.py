"""The chain of tests: what fails is undone, contracts call each other, and the host's rules hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iov import (
    Address,
    Contract,
    ContractInterface,
    Did,
    HostError,
    IndexedMap,
    Map,
    NativeModule,
    Panic,
    RevertError,
    Var,
    balance,
    call,
    context,
    emit,
    event,
    init,
    migrate,
    payable,
    reentrant,
    require,
    transfer,
    u8,
    u64,
    view,
)
from iov.testing import Chain, Emitted
from vm.contracts.engine import CALL_DEPTH_MAX


@event
class Noted:
    """Something was written."""

    number: u64


class Note(ContractInterface):
    """What `Caller` knows of `Notes`."""

    @call
    def write(self, number: u64) -> u64:
        """Write and give back the sum."""
        raise NotImplementedError  # the language: its code is in another contract or module

    @view
    def read(self) -> u64:
        """The sum."""
        raise NotImplementedError  # the language: its code is in another contract or module


class Iov(NativeModule, module="iov"):
    """A native module."""

    @call
    def burn(self, amount_grains: u64) -> None:
        """Destroy money."""
        raise NotImplementedError  # the language: its code is in another contract or module


class Notes(Contract):
    """Adds numbers up."""

    total: Var[u64]
    callers: Map[Address, u64]

    @init
    def create(self, start: u64) -> None:
        """Begin with a number."""
        require(start < 100, 1)
        self.total = start

    @call
    @payable
    def write(self, number: u64) -> u64:
        """Add; 13 fails after everything was done."""
        self.total += number
        self.callers[context.caller] = number
        emit(Noted(number))
        require(number != 13, 13, "unlucky")
        return self.total

    @view
    def read(self) -> u64:
        """The sum."""
        return self.total

    @view
    def cheat(self) -> u64:
        """A view that writes."""
        self.total += 1
        return self.total


class Caller(Contract):
    """Calls others, and itself."""

    note: Var[Address]

    @init
    def create(self, note: Address) -> None:
        """Whom to call."""
        self.note = note

    @call
    @payable
    def forward(self, number: u64) -> u64:
        """Pass money and number on."""
        return Note(self.note, context.value).write(number) + Note(self.note).read()

    @call
    def again(self, itself: Address) -> None:
        """Enter once more."""
        Note(itself).write(u64(0))

    @call
    @reentrant
    def write(self, number: u64) -> u64:
        """Enter without end."""
        return Note(context.address).write(number)

    @call
    def burn(self, amount: u64) -> None:
        """Call a native module."""
        Iov().burn(amount)

    @call
    def pay(self, recipient: Address, amount: u64) -> None:
        """Pay from the contract's account."""
        transfer(recipient, amount)
        require(balance(recipient) >= amount, 2)


class NotesAgain(Contract):
    """The next version."""

    total: Var[u64]
    callers: Map[Address, u64]
    version: Var[u8]

    @migrate
    def upgrade(self, version: u8) -> None:
        """Keep the sum."""
        self.version = version
        self.total *= 2

    @view
    def read(self) -> u64:
        """The sum."""
        return self.total


def deploy() -> tuple[Chain, Address, Notes, Caller]:
    chain = Chain()
    alice = chain.account("alice", grains=1_000)
    notes = chain.deploy(alice, Notes, u64(1))
    return chain, alice, notes, chain.deploy(alice, Caller, chain.address(notes))


def test_a_failed_call_leaves_nothing_behind():
    chain, alice, notes, _ = deploy()
    before = chain.storage(notes), list(chain.events), chain.balance(alice)
    with pytest.raises(RevertError, match="13: unlucky") as caught:
        chain.pay(alice, 100, notes.write, u64(13))
    assert caught.value.code == 13
    assert (chain.storage(notes), chain.events, chain.balance(alice)) == before


def test_a_failed_init_leaves_no_contract_behind():
    chain, alice, notes, _ = deploy()
    with pytest.raises(RevertError):
        chain.deploy(alice, Notes, u64(100))
    assert chain.address(chain.deploy(alice, Notes, u64(2))) != chain.address(notes)


def test_a_contract_calls_another_with_money():
    chain, alice, notes, caller = deploy()
    assert chain.pay(alice, 70, caller.forward, u64(5)) == 12
    assert chain.balance(chain.address(notes)) == 70
    assert chain.events == [Emitted(chain.address(notes), Noted(u64(5)))]
    assert bytes([1]) + bytes(chain.address(caller)) in chain.storage(notes)


def test_a_call_of_another_contract_that_fails_fails_the_caller():
    chain, alice, notes, caller = deploy()
    with pytest.raises(RevertError) as caught:
        chain.pay(alice, 70, caller.forward, u64(13))
    assert caught.value.code == Panic.CALL_FAILED
    assert (chain.balance(alice), chain.events, chain.view(notes.read)) == (1_000, [], 1)


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        (lambda chain, alice, notes, caller: chain.pay(alice, 5, caller.burn, u64(1)), "NOT_PAYABLE"),
        (lambda chain, alice, notes, caller: chain.pay(alice, 1_001, notes.write, u64(1)), "INSUFFICIENT_BALANCE"),
        (lambda chain, alice, notes, caller: chain.call(alice, notes.read), "NO_SUCH_METHOD"),
        (lambda chain, alice, notes, caller: chain.view(notes.cheat), "VIEW_WRITES"),
        (lambda chain, alice, notes, caller: chain.view(notes.write, u64(1)), "NO_SUCH_METHOD"),
        (lambda chain, alice, notes, caller: chain.call(alice, caller.pay, alice, u64(1)), "INSUFFICIENT_BALANCE"),
        (
            lambda chain, alice, notes, caller: chain.call(alice, caller.pay, chain.address(notes), u64(0)),
            "RECIPIENT_NOT_ALLOWED",
        ),
        (lambda chain, alice, notes, caller: notes.read(), "NO_CALL_RUNNING"),
    ],
)
def test_the_host_refuses(attempt, reason):
    with pytest.raises(HostError) as caught:
        attempt(*deploy())
    assert caught.value.reason == reason


def test_a_contract_is_entered_again_only_where_it_says_so():
    chain, alice, _, caller = deploy()
    with pytest.raises(RevertError, match=f"CALL_FAILED: {'CALL_FAILED: ' * (CALL_DEPTH_MAX - 2)}CALL_DEPTH"):
        chain.call(alice, caller.write, u64(1))
    with pytest.raises(RevertError, match="CALL_FAILED"):
        chain.call(alice, caller.again, chain.address(caller))


def test_a_native_module_is_stood_in_for():
    chain, alice, _, caller = deploy()
    burnt = []
    chain.natives["iov"] = type("StandIn", (), {"burn": staticmethod(burnt.append)})()
    chain.call(alice, caller.burn, u64(5))
    assert burnt == [5]
    del chain.natives["iov"]
    with pytest.raises(TypeError, match="stand-in"):
        chain.call(alice, caller.burn, u64(5))


def test_an_upgrade_keeps_the_storage():
    chain, alice, notes, _ = deploy()
    upgraded = chain.migrate(alice, notes, NotesAgain, u8(2))
    assert chain.view(upgraded.read) == 2
    assert chain.storage(upgraded)[b"\x02"] == b"\x02"


class Listed(Contract):
    """An indexed map alone."""

    items: IndexedMap[u8, u64]

    @call
    def put(self, key: u8, value: u64) -> None:
        """Set."""
        self.items[key] = value

    @call
    def drop(self, key: u8) -> None:
        """Delete."""
        del self.items[key]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=30))
def test_an_indexed_map_is_a_list_from_which_the_last_fills_the_gap(steps):
    chain = Chain()
    alice = chain.account("alice")
    contract = chain.deploy(alice, Listed)
    keys: list[int] = []
    for is_put, key in steps:
        if is_put:
            chain.call(alice, contract.put, u8(key), u64(key))
            keys += [key] * (key not in keys)
        elif key in keys:
            chain.call(alice, contract.drop, u8(key))
            last = keys.pop()
            keys[:] = [last if each == key else each for each in keys]
        else:
            with pytest.raises(RevertError):
                chain.call(alice, contract.drop, u8(key))
    stored = chain.storage(contract)
    found = [stored[b"\0\1" + index.to_bytes(4, "little")][0] for index, _ in enumerate(keys)]
    assert found == keys
    assert len(stored) == 2 * len(keys) + (b"\0\2" in stored)


def test_an_account_may_have_a_did():
    chain = Chain()
    did = Did(bytes(20))
    assert chain.get_did(chain.account("alice", did=did)) == did
