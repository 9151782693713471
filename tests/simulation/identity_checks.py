"""What must hold of identities, vehicles, platforms, attributes, roles and quotas in every state.

Both directions of what refers to each other agree, and what is counted is there. Found by going through the tables, not
by the modules' own reads.
"""

from collections import Counter
from collections.abc import Iterator

from identity.address import Address
from identity.did import DID_BYTES, Did
from ledger.codec import decode
from ledger.state import StateReader
from ledger.state_keys import FREE_GAS_KEY, Table
from tests.simulation.violation import require
from vm.native.attribute_payloads import RequestId
from vm.native.attribute_records import AttributeRecord, AttributeRequest, RequestState, list_waiting
from vm.native.did_records import DidKind, DidRecord, Recovery
from vm.native.free_quota import FreeGas, QuotaUsage
from vm.native.platforms import Migration, PlatformLink
from vm.native.role_records import HOLDERS, Role
from vm.native.vehicle_records import VehicleRecord
from vm.parameters import get_parameters


def check_identities(state: StateReader, height: int) -> None:
    """All rules, after the block of this height; raises ViolationError."""
    identities = {Did(key): decode(DidRecord, value) for key, value in iterate_table(state, Table.DID)}
    _check_dids(state, identities)
    _check_vehicles(state, identities)
    _check_platforms(state, identities)
    _check_attributes(state, height)
    _check_roles(state, identities)
    _check_quotas(state)


def iterate_table(state: StateReader, table: Table) -> Iterator[tuple[bytes, bytes]]:
    """Keys of a table without its number, and their values."""
    for key, value in state.iterate_prefix(bytes([table])):
        yield key[1:], value


def _count_by_did(state: StateReader, table: Table) -> Counter[Did]:
    return Counter(Did(key[:DID_BYTES]) for key, _ in iterate_table(state, table))


def _check_dids(state: StateReader, identities: dict[Did, DidRecord]) -> None:
    former = {did: record.current.number - 1 for did, record in identities.items() if record.current.number > 1}
    require(_count_by_did(state, Table.DID_VERSION) == former, "every former version of an identity is kept")
    require(_count_by_did(state, Table.DID_VERSION_NUMBER) == former, "every former version is found by its id")
    linked = {record.account: did for did, record in identities.items() if record.account is not None}
    accounts = {Address(key): Did(value) for key, value in iterate_table(state, Table.DID_OF_ACCOUNT)}
    require(accounts == linked, "an identity and its account name each other")
    for key, value in iterate_table(state, Table.DID_RECOVERY):
        record = identities[Did(key)]
        is_present = decode(Recovery, value).previous == record.current.version_id and not record.is_deactivated
        require(is_present, "a recovery waits for the present version only")


def _check_vehicles(state: StateReader, identities: dict[Did, DidRecord]) -> None:
    records = {Did(key): decode(VehicleRecord, value) for key, value in iterate_table(state, Table.VEHICLE)}
    attested = [(record.vin.nullifier, vehicle) for vehicle, record in records.items() if record.vin is not None]
    owners = [(key, Did(value)) for key, value in iterate_table(state, Table.VIN_NULLIFIER)]
    require(sorted(owners) == sorted(attested), "a vehicle and its number, which is no other's, name each other")
    for vehicle, record in records.items():
        require(identities[vehicle].current.content.kind is DidKind.VEHICLE, "only vehicles have numbers and bindings")
        ownership = identities[vehicle].ownership
        require(record.binding is None or record.binding.ownership <= ownership, "a binding is of an owner so far")


def _check_platforms(state: StateReader, identities: dict[Did, DidRecord]) -> None:
    bound = {
        (key[:DID_BYTES], key[DID_BYTES:]): Did(value) for key, value in iterate_table(state, Table.PLATFORM_ACCOUNT)
    }
    links = {key: decode(PlatformLink, value) for key, value in iterate_table(state, Table.PLATFORM_LINK)}
    linked = {
        (key[DID_BYTES:], link.account): Did(key[:DID_BYTES]) for key, link in links.items() if link.account is not None
    }
    require(bound == linked, "a person and an account on a platform name each other")
    persons = {identities[person].current.content.kind for person in bound.values()}
    require(persons <= {DidKind.PERSON}, "accounts on platforms are persons'")
    claimed = Counter[bytes]()
    for key, value in iterate_table(state, Table.MIGRATION):
        claimed[key[:DID_BYTES]] += decode(Migration, value).claimed
    leaves = Counter(key[:DID_BYTES] for key, _ in iterate_table(state, Table.CLAIMED_LEAF))
    require(+claimed == leaves, "what was claimed of a platform's lists is counted")


def _check_attributes(state: StateReader, height: int) -> None:
    records = {Did(key): decode(AttributeRecord, value) for key, value in iterate_table(state, Table.ATTRIBUTES)}
    for table, counts in (
        (Table.ATTRIBUTE_TAG, {did: record.tags for did, record in records.items()}),
        (Table.ATTRIBUTE_RECEIVED, {did: record.received for did, record in records.items()}),
        (Table.ATTRIBUTE_SENT, {did: record.sent for did, record in records.items()}),
        (Table.ATTRIBUTE_LOG, {did: record.logged for did, record in records.items()}),
    ):
        require(_count_by_did(state, table) == +Counter(counts), f"{table.name}: the counts are those of the entries")
    requests = {
        RequestId(key): decode(AttributeRequest, value) for key, value in iterate_table(state, Table.ATTRIBUTE_REQUEST)
    }
    open_requests = {
        request_id: each
        for request_id, each in requests.items()
        if each.state is RequestState.OPEN and each.payload.expiry_height >= height
    }
    received = {
        (did, each.request_id) for did, record in records.items() for each in list_waiting(record.open_received, height)
    }
    sent = {
        (did, each.request_id) for did, record in records.items() for each in list_waiting(record.open_sent, height)
    }
    holders = {(each.payload.holder, request_id) for request_id, each in open_requests.items()}
    verifiers = {(each.payload.did, request_id) for request_id, each in open_requests.items()}
    require(received == holders, "a holder's open requests are those that wait for it")
    require(sent == verifiers, "a verifier's open requests are those that wait for others")
    for each in requests.values():
        is_answered = each.state is RequestState.APPROVED
        require(bool(each.answers) == is_answered, "answers are kept while consent is in force")


def _check_roles(state: StateReader, identities: dict[Did, DidRecord]) -> None:
    for key, _ in iterate_table(state, Table.ROLE):
        did, role = Did(key[:DID_BYTES]), Role(key[DID_BYTES])
        require(identities[did].current.content.kind in HOLDERS[role], "roles are held by those who may hold them")


def _check_quotas(state: StateReader) -> None:
    parameters = get_parameters(state)
    encoded = state.get(FREE_GAS_KEY)
    used = 0 if encoded is None else decode(FreeGas, encoded).gas
    require(used <= parameters.free_quota_block_gas_max, "a block's free gas is within its limit")
    for _, value in iterate_table(state, Table.QUOTA_USAGE):
        usage = decode(QuotaUsage, value)
        require(usage.gas <= parameters.free_quota_gas_daily, "a person's free gas is within that of a day")
