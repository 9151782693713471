"""What identities are drawn to do reaches every event and keeps every rule; a state that breaks one is noticed."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import pytest

from ledger.codec import decode, encode
from ledger.state import State
from ledger.state_keys import FREE_GAS_KEY, Table, quota_usage_key, role_key
from tests.builders import DOMAIN, PARAMETERS, Draft, address_of, block_context, make_key, make_state
from tests.simulation.identities import CARS, ISSUER, PERSONS, PERSONS_ACCOUNTS, SHOP, IdentityTraffic, found_identities
from tests.simulation.identity_checks import check_identities
from tests.simulation.violation import ViolationError
from vm.context import BlockContext
from vm.native import attributes, did, platforms, roles, vehicles
from vm.native.accounts import get_account
from vm.native.attribute_records import AttributeRecord, AttributeRequest, RequestState, list_waiting
from vm.native.did_records import DidRecord, Recovery
from vm.native.free_quota import FreeGas, QuotaUsage
from vm.native.platforms import Migration
from vm.native.role_records import Role
from vm.native.vehicle_records import Binding, VehicleRecord, get_vehicle, put_vehicle
from vm.parameters import put_parameters
from vm.transition import apply_transaction

KEYS = [make_key(f"account {index}") for index in range(12)]
ACCOUNTS = [address_of(key) for key in KEYS]
CALLS = 1_200
SNAPSHOT_CALLS = 100
GAS_LIMIT = 20_000
FREE = replace(PARAMETERS, free_quota_gas_daily=100_000, free_quota_block_gas_max=GAS_LIMIT)
MODULES = (did.MODULE, attributes.MODULE, vehicles.MODULE, platforms.MODULE, roles.MODULE)


Snapshot = tuple[int, dict[bytes, bytes | None]]
"""A height, and all keys of the state after it."""


@cache
def run_traffic() -> tuple[list[Snapshot], Counter[str], Counter[str]]:
    """States on the way of many calls, each in a block of its own; the events that happened; calls that succeeded."""
    state = make_state(dict.fromkeys(ACCOUNTS, 10**14))
    put_parameters(state, FREE)
    found_identities(state, ACCOUNTS)
    random = Random(4)
    traffic = IdentityTraffic(random, DOMAIN, ACCOUNTS)
    snapshots, events, succeeded = [], Counter[str](), Counter[str]()
    for height in range(1, CALLS + 1):
        wish = traffic.draw(state, height)
        number = random.randrange(len(KEYS)) if wish.account is None else wish.account
        draft = Draft(
            KEYS[number],
            [wish.call],
            get_account(state, ACCOUNTS[number]).sequence,
            valid_until=height,
            gas_limit=GAS_LIMIT,
            price_grains=random.randrange(2) if number in PERSONS_ACCOUNTS else 1,
        )
        receipt = apply_transaction(state, build_block(height), draft.sign())
        state.forget_marks()
        events.update(f"{event.module}.{event.name}" for event in receipt.events)
        succeeded[f"{wish.call.module}.{wish.call.call}"] += receipt.reason == 0 and receipt.gas_used > 0
        succeeded["free"] += receipt.reason == 0 and receipt.fee_grains == 0
        if height % 10 == 0:
            check_identities(state, height)
        if height % SNAPSHOT_CALLS == 0:
            snapshots.append((height, dict(state.changes)))
    return snapshots, events, succeeded


def build_block(height: int) -> BlockContext:
    return replace(block_context(height, height * 3_000_000), parameters=FREE)


def test_traffic_reaches_every_call_and_event_and_keeps_every_rule() -> None:
    _, events, succeeded = run_traffic()
    calls = {f"{module.name}.{rule.name}" for module in MODULES for rule in module.calls}
    assert calls - {name for name, count in succeeded.items() if count} == {"did.recover"}, "nobody commits to keys"
    assert {f"{module.name}.{rule.fields.__name__}" for module in MODULES for rule in module.events} == set(events)
    assert succeeded["free"] > 5


class Broken:
    """A state of the traffic, to be changed where no transaction would; IndexError: there is nothing to change."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.height, changes = snapshot
        self.state = State(lambda key: None, lambda start, stop: iter(()))
        for key, value in changes.items():
            if value is not None:
                self.state.put(key, value)

    def list(self, table: Table) -> list[tuple[bytes, bytes]]:
        """Keys and values of a table."""
        return list(self.state.iterate_prefix(bytes([table])))

    def find(self, table: Table, kind: type[Any], is_wanted: Any = lambda record: True) -> tuple[bytes, Any]:
        """The first record that is as wanted."""
        records = [(key, decode(kind, value)) for key, value in self.list(table)]
        wanted = [(key, record) for key, record in records if is_wanted(record)]
        return wanted[0]

    def change(self, table: Table, kind: type[Any], is_wanted: Any = lambda record: True, **changes: Any) -> None:
        """Other fields of that record."""
        key, record = self.find(table, kind, is_wanted)
        self.state.put(key, encode(replace(record, **changes)))

    def delete(self, table: Table) -> None:
        """Without the first entry of a table."""
        self.state.delete(self.list(table)[0][0])

    def copy(self, table: Table, changed: int) -> None:
        """The first entry a second time, under a key that differs in one byte."""
        key, value = self.list(table)[0]
        self.state.put(key[:changed] + bytes([key[changed] ^ 1]) + key[changed + 1 :], value)


def let_recovery_wait(broken: Broken) -> None:
    key, record = broken.find(Table.DID, DidRecord, lambda record: not record.is_deactivated)
    recovery = Recovery(bytes(32), 5, record.current.content.control)  # type: ignore[arg-type]
    broken.state.put(bytes([Table.DID_RECOVERY]) + key[1:], encode(recovery))


def number_two_vehicles_alike(broken: Broken) -> None:
    key, record = broken.find(Table.VEHICLE, VehicleRecord, lambda record: record.vin is not None)
    other = next(car.did for car in CARS if car.did != key[1:])
    broken.state.put(bytes([Table.VEHICLE]) + other, encode(record))


def bind_an_owner_to_come(broken: Broken) -> None:
    binding = Binding(1_000, 5, ())  # type: ignore[arg-type]
    put_vehicle(broken.state, CARS[0].did, replace(get_vehicle(broken.state, CARS[0].did), binding=binding))


def give_a_shop_an_account(broken: Broken) -> None:
    key, person = broken.list(Table.PLATFORM_ACCOUNT)[0]
    link = broken.state.get(bytes([Table.PLATFORM_LINK]) + person + SHOP.did)
    assert link is not None
    broken.state.delete(bytes([Table.PLATFORM_LINK]) + person + SHOP.did)
    broken.state.put(key, ISSUER.did)
    broken.state.put(bytes([Table.PLATFORM_LINK]) + ISSUER.did + SHOP.did, link)


def is_approved(request: AttributeRequest) -> bool:
    return request.state is RequestState.APPROVED


COUNTS = "the counts are those of the entries"
FREE_GAS_MUCH = encode(FreeGas(1, GAS_LIMIT + 1))  # type: ignore[arg-type]
USAGE_MUCH = encode(QuotaUsage(1, 100_001))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spoil", "noticed"),
    [
        (lambda broken: broken.delete(Table.DID_VERSION), "every former version of an identity is kept"),
        (lambda broken: broken.delete(Table.DID_VERSION_NUMBER), "every former version is found by its id"),
        (lambda broken: broken.delete(Table.DID_OF_ACCOUNT), "an identity and its account name each other"),
        (lambda broken: broken.copy(Table.DID_OF_ACCOUNT, 5), "an identity and its account name each other"),
        (let_recovery_wait, "a recovery waits for the present version only"),
        (lambda broken: broken.delete(Table.VIN_NULLIFIER), "a vehicle and its number, which is no other's, name"),
        (lambda broken: broken.copy(Table.VIN_NULLIFIER, 5), "a vehicle and its number, which is no other's, name"),
        (number_two_vehicles_alike, "a vehicle and its number, which is no other's, name"),
        (bind_an_owner_to_come, "a binding is of an owner so far"),
        (lambda broken: broken.delete(Table.PLATFORM_ACCOUNT), "a person and an account on a platform name each other"),
        (lambda broken: broken.copy(Table.PLATFORM_ACCOUNT, 30), "a person and an account on a platform name each"),
        (give_a_shop_an_account, "accounts on platforms are persons'"),
        (lambda broken: broken.change(Table.MIGRATION, Migration, claimed=50), "of a platform's lists is counted"),
        (lambda broken: broken.delete(Table.CLAIMED_LEAF), "what was claimed of a platform's lists is counted"),
        (lambda broken: broken.delete(Table.ATTRIBUTE_TAG), f"ATTRIBUTE_TAG: {COUNTS}"),
        (lambda broken: broken.delete(Table.ATTRIBUTE_RECEIVED), f"ATTRIBUTE_RECEIVED: {COUNTS}"),
        (lambda broken: broken.delete(Table.ATTRIBUTE_SENT), f"ATTRIBUTE_SENT: {COUNTS}"),
        (lambda broken: broken.delete(Table.ATTRIBUTE_LOG), f"ATTRIBUTE_LOG: {COUNTS}"),
        (
            lambda broken: broken.change(
                Table.ATTRIBUTES,
                AttributeRecord,
                lambda record: list_waiting(record.open_received, broken.height),
                open_received=(),
            ),
            "a holder's open requests are those that wait for it",
        ),
        (
            lambda broken: broken.change(
                Table.ATTRIBUTES,
                AttributeRecord,
                lambda record: list_waiting(record.open_sent, broken.height),
                open_sent=(),
            ),
            "a verifier's open requests are those that wait for others",
        ),
        (
            lambda broken: broken.change(Table.ATTRIBUTE_REQUEST, AttributeRequest, is_approved, answers=()),
            "answers are kept while consent is in force",
        ),
        (
            lambda broken: broken.state.put(role_key(SHOP.did, Role.PERSON), b""),
            "roles are held by those who may hold them",
        ),
        (lambda broken: broken.state.put(FREE_GAS_KEY, FREE_GAS_MUCH), "a block's free gas is within its limit"),
        (
            lambda broken: broken.state.put(quota_usage_key(PERSONS[0].did), USAGE_MUCH),
            "a person's free gas is within that of a day",
        ),
    ],
)
def test_a_state_that_breaks_a_rule_is_noticed(spoil: Any, noticed: str) -> None:
    for snapshot in run_traffic()[0]:
        broken = Broken(snapshot)
        with suppress(IndexError):
            spoil(broken)
            break
    with pytest.raises(ViolationError, match=noticed):
        check_identities(broken.state, broken.height)
