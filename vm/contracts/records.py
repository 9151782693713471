"""What the state holds about contracts; their calls are in vm/native/contracts.py.

| key                                          | value                                             |
|----------------------------------------------|---------------------------------------------------|
| contract_key(contract)                       | Contract                                          |
| contract_storage_key(contract, its key)      | what the contract stored                          |
| code_key(hash)                               | the module as it was published                    |
| code_facts_key(hash)                         | CodeFacts                                         |
| instrumented_code_key(hash)                  | the module that runs, as the gate made it once    |
| code_part_key(uploader, hash, index)         | part of code that waits for its introduction      |
| contract_version_key(contract, number)       | Version                                           |
| developer_key(developer)                     | empty: certified                                  |
| approved_code_key(hash)                      | empty: governance lets it be published            |

The instrumented module is kept, not made again: what a contract costs and how deep it may go stays as it was on the day
it was published, whatever later versions of the gate do.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from functools import lru_cache
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.address import Address
from ledger.codec import decode, encode
from ledger.primitives import HASH_BYTES, Grains, Height
from ledger.state import State, StateReader
from ledger.state_keys import (
    CODE_PARTS_MAX,
    approved_code_key,
    code_facts_key,
    code_key,
    code_part_key,
    contract_key,
    contract_version_key,
    contract_version_prefix,
    developer_key,
    instrumented_code_key,
)
from vm.contracts.abi import INTERFACE_BYTES_MAX, PACKED_BYTES_MAX
from vm.contracts.module import MEMORY_PAGES_MAX

CodeHash = NewType("CodeHash", Annotated[bytes, Len(HASH_BYTES, HASH_BYTES)])
"""SHA-256 of the code as it was published."""
INSTRUMENTED_BYTES_MAX: Final = 2**20 - 1_024  # a value of the state
SALT_BYTES_MAX: Final = 32
VERSIONS_MAX: Final = 2**32 - 1

PackedArguments = Annotated[bytes, Len(0, PACKED_BYTES_MAX)]


@unique
class ContractStatus(IntEnum):
    """Number of how far a contract has come; never reused."""

    INTRODUCED = 1
    """Checked and tried; its introducer may seal it."""
    SEALED = 2
    """It runs."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract and the code it has now."""

    introducer: Address
    owner: Address
    """Who may upgrade it, if its interface lets the owner."""
    code_hash: CodeHash
    status: ContractStatus
    height: Height
    """Of its introduction, then of its sealing."""
    versions: Annotated[int, Interval(ge=0, le=VERSIONS_MAX)]
    """How many codes it has had."""
    init_arguments: PackedArguments
    """Of its init method, until it is sealed."""
    init_value_grains: Grains
    """What comes with init, until it is sealed."""


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What is to be known of a module before it runs."""

    interface: Annotated[bytes, Len(0, INTERFACE_BYTES_MAX)]
    """Encoded vm.contracts.abi.Interface."""
    instrumented_bytes: Annotated[int, Interval(ge=0, le=INSTRUMENTED_BYTES_MAX)]
    memory_pages: Annotated[int, Interval(ge=0, le=MEMORY_PAGES_MAX)]


@dataclass(frozen=True, slots=True)
class Version:
    """Since when a contract has had a code."""

    height: Height
    code_hash: CodeHash


def get_contract(state: StateReader, contract: Address) -> Contract | None:
    """The contract at an address."""
    encoded = state.get(contract_key(contract))
    return None if encoded is None else _decode_contract(encoded)


@lru_cache(maxsize=1_024)
def _decode_contract(encoded: bytes) -> Contract:
    """Asked for with every call, changed at most by an upgrade."""
    return decode(Contract, encoded)


def put_contract(state: State, address: Address, contract: Contract) -> None:
    """Write a contract."""
    state.put(contract_key(address), encode(contract))


def get_code_facts(state: StateReader, code_hash: bytes) -> CodeFacts | None:
    """What is to be known of published code; None when this code was not published."""
    encoded = state.get(code_facts_key(code_hash))
    return None if encoded is None else _decode_facts(encoded)


@lru_cache(maxsize=256)
def _decode_facts(encoded: bytes) -> CodeFacts:
    """Asked for with every call, never changed."""
    return decode(CodeFacts, encoded)


def put_code(state: State, code_hash: bytes, code: bytes, facts: CodeFacts, instrumented: bytes) -> None:
    """Keep code that the gate has let pass, and what it made of it."""
    state.put(code_key(code_hash), code)
    state.put(code_facts_key(code_hash), encode(facts))
    state.put(instrumented_code_key(code_hash), instrumented)


def take_parts(state: State, uploader: Address, code_hash: bytes) -> bytes:
    """All parts of a code in their order, which are then no longer kept; empty when there are none."""
    parts = []
    for index in range(CODE_PARTS_MAX):
        part = state.get(code_part_key(uploader, code_hash, index))
        if part is None:
            break
        state.delete(code_part_key(uploader, code_hash, index))
        parts.append(part)
    return b"".join(parts)


def add_version(state: State, address: Address, contract: Contract, height: Height) -> None:
    """Note in the history that the contract has its code from this height on."""
    state.put(contract_version_key(address, contract.versions), encode(Version(height, contract.code_hash)))


def get_versions(state: StateReader, address: Address) -> list[Version]:
    """All codes a contract has had, the first one first."""
    return [decode(Version, encoded) for _, encoded in state.iterate_prefix(contract_version_prefix(address))]


def is_developer(state: StateReader, address: Address) -> bool:
    """Whether governance has certified this developer."""
    return state.get(developer_key(address)) is not None


def is_approved_code(state: StateReader, code_hash: bytes) -> bool:
    """Whether governance lets this code be published."""
    return state.get(approved_code_key(code_hash)) is not None
