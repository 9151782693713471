"""The genesis document: the one file every node of a network shares, and from which the first state follows.

It is JSON; amounts are decimal strings of grains, bytes are 0x-hex, addresses are bech32m of the network it names.
"""

from typing import Annotated, Any, Final, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from identity.address import Address, InvalidAddressError, NetworkKind, parse_address
from identity.did import Did, InvalidDidError, parse_did
from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key
from ledger.committee import COMMITTEE_MEMBERS_MAX
from ledger.primitives import JSON_INTEGER_MAX, SUPPLY_GRAINS, Grains, TimeMs
from ledger.reasons import Rejected
from vm.native.iov import MODULE_ACCOUNTS
from vm.native.lockup_records import (
    ACCOUNT_STEPS_MAX,
    LOCKUPS_MAX,
    STEPS_MAX,
    Clock,
    Linear,
    Schedule,
    Step,
    check_schedule,
)
from vm.native.lockups import ALLOCATIONS
from vm.native.network import is_endpoint
from vm.native.recognition import Recognition

GENESIS_FORMAT: Final = "carlive-genesis/1"
GENESIS_BYTES_MAX: Final = 16 * 2**20
ALLOCATIONS_MAX: Final = 200_000
IDENTITIES_MAX: Final = 1_000  # makers, platforms and issuers; everybody else creates an identity on the chain
IDENTITY_CHARACTERS_MAX: Final = 16_384  # the largest payload is about half of that

HexKey = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{64}$")]
HexSignature = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{128}$")]
GrainsText = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,18})$")]


class GenesisError(ValueError):
    """The document breaks a rule; the message names the field and what to do."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GenesisParameters(_Model):
    """The chain's first parameters; the bounds are those of vm/parameters.py and are checked there."""

    block_interval_ms: int
    block_gas_max: int
    block_bytes_max: int
    block_transactions_max: int
    price_floor_grains: int
    propose_timeout_ms: int
    propose_timeout_step_ms: int
    vote_timeout_ms: int
    vote_timeout_step_ms: int
    clock_precision_ms: int
    message_delay_ms: int
    epoch_heights: int
    committee_seats: int
    committee_members_min: int
    candidate_bond_min_grains: int
    unbonding_epochs: int
    double_sign_slash_bps: int
    absence_slash_bps: int
    absence_heights_max: int
    jail_epochs: int
    proposer_fee_bps: int
    voting_heights_normal: int
    voting_heights_urgent: int
    voting_heights_emergency: int
    pause_heights_max: int
    contract_publishers: int
    recovery_delay_heights: int
    free_quota_gas_daily: int
    free_quota_block_gas_max: int


class GenesisStep(_Model):
    """From this time or height on so much of a lock-up is unlocked in all."""

    at: Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX)]
    unlocked: GrainsText
    """In 1/10,000, or in grains."""


class GenesisLinear(_Model):
    """Unlocks evenly from start to end, but nothing before the cliff."""

    start_ms: Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX)]
    cliff_ms: Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX)]
    end_ms: Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX)]


class GenesisLockup(_Model):
    """Part of an account's allocation that unlocks by a schedule: evenly or in steps."""

    amount_grains: GrainsText
    linear: GenesisLinear | None = None
    clock: Literal["time", "height"] = "time"
    unit: Literal["bps", "grains"] = "bps"
    steps: Annotated[list[GenesisStep], Field(max_length=STEPS_MAX)] = []
    revocable: bool = False
    source: str
    """The module account whose share it is of, and to which a revocation gives it back."""

    @model_validator(mode="after")
    def _unlocks_exactly(self) -> Self:
        if self.source not in ALLOCATIONS:
            raise ValueError(f"locked coins come out of {', '.join(ALLOCATIONS)}, not {self.source}")
        if self.amount_grains == "0":
            raise ValueError("a lock-up is at least one grain")
        try:
            check_schedule(self.build_schedule(), int(self.amount_grains))
        except Rejected as error:
            raise ValueError(error.message) from None
        return self

    def build_schedule(self) -> Schedule:
        """As the chain keeps it."""
        linear = None
        if self.linear is not None:
            linear = Linear(TimeMs(self.linear.start_ms), TimeMs(self.linear.cliff_ms), TimeMs(self.linear.end_ms))
        steps = tuple([Step(step.at, Grains(int(step.unlocked))) for step in self.steps])
        return Schedule(linear, Clock[self.clock.upper()], self.unit == "grains", steps)


class Allocation(_Model):
    """Who holds what at the start: an account by address, or a module account by name."""

    account: str | None = None
    module: str | None = None
    amount_grains: GrainsText
    lockups: Annotated[list[GenesisLockup] | None, Field(max_length=LOCKUPS_MAX)] = None
    """Parts of an account's amount that it must not move yet."""

    @model_validator(mode="after")
    def _names_one_holder(self) -> Self:
        if (self.account is None) == (self.module is None):
            raise ValueError("an allocation names either an account or a module")
        if self.module is not None and self.module not in MODULE_ACCOUNTS:
            raise ValueError(f"there is no module account {self.module}; there are {', '.join(MODULE_ACCOUNTS)}")
        if self.lockups is not None and self.module is not None:
            raise ValueError("a module account has no lock-ups")
        if sum(int(lockup.amount_grains) for lockup in self.lockups or ()) > int(self.amount_grains):
            raise ValueError("more is locked than allocated")
        if sum(len(lockup.steps) for lockup in self.lockups or ()) > ACCOUNT_STEPS_MAX:
            raise ValueError(f"an account's lock-ups have at most {ACCOUNT_STEPS_MAX} steps together")
        return self


class GenesisNode(_Model):
    """A node that may connect from the start. A super node has a consensus key and a seat in the first committee."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    role: Literal["super_node", "observer", "gateway"] = "super_node"
    operator: str
    """Address of the operator's account."""
    consensus_key: HexKey | None = None
    node_key: HexKey
    node_certificate_signature: HexSignature
    addresses: Annotated[list[str], Field(max_length=4)] = []
    """host:port where it listens for peers."""
    bond_grains: GrainsText = "0"
    """A super node's own stake from the start; part of the supply like the allocations."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.role == "super_node") != (self.consensus_key is not None):
            raise ValueError("exactly the super nodes have a consensus key")
        if self.role != "super_node" and self.bond_grains != "0":
            raise ValueError("exactly the super nodes have a bond")
        for address in self.addresses:
            if not is_endpoint(address):
                raise ValueError(f"{address!r} is not host:port")
        return self


class GenesisIdentity(_Model):
    """An identity that is there from the start. Nobody signs it: the document is what all have agreed on."""

    payload: Annotated[str, StringConstraints(pattern=r"^0x([0-9a-f]{2})+$", max_length=IDENTITY_CHARACTERS_MAX)]
    """What keys sign to create it, as carlive did create --payload-out writes it; its name is the hash of this."""


class GenesisRecognition(_Model):
    """What one of these identities is recognised for from the start."""

    recognition: Annotated[str, StringConstraints(max_length=64)]
    """In lower case: vin_attester, platform, …"""
    did: str

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        names = [each.name.lower() for each in Recognition]
        if self.recognition not in names:
            raise ValueError(f"nobody is recognised as {self.recognition!r}; there are {', '.join(names)}")
        return self


class GenesisDocument(_Model):
    """Everything that nodes must agree on before the first block."""

    format: Literal["carlive-genesis/1"]
    chain_id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")]
    network: Literal["mainnet", "testnet", "devnet"]
    time_ms: Annotated[int, Field(ge=0, le=JSON_INTEGER_MAX)]
    parameters: GenesisParameters
    allocations: Annotated[list[Allocation], Field(max_length=ALLOCATIONS_MAX)]
    nodes: Annotated[list[GenesisNode], Field(max_length=256)]
    bodies: dict[Literal["foundation", "technical", "financial"], Annotated[list[str], Field(max_length=64)]] = {}
    """Who sits in the bodies of governance, by address; an empty body's decisions are the super nodes'."""
    identities: Annotated[list[GenesisIdentity], Field(max_length=IDENTITIES_MAX)] = []
    """In an order in which each names only those before it."""
    recognised: Annotated[list[GenesisRecognition], Field(max_length=IDENTITIES_MAX * len(Recognition))] = []

    @property
    def network_kind(self) -> NetworkKind:
        """Which address texts belong to this network."""
        return NetworkKind[self.network.upper()]

    @property
    def super_nodes(self) -> list[GenesisNode]:
        """The first committee, in its order."""
        return [node for node in self.nodes if node.role == "super_node"]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        total = sum(int(allocation.amount_grains) for allocation in self.allocations)
        total += sum(int(node.bond_grains) for node in self.nodes)
        if total != SUPPLY_GRAINS:
            raise ValueError(f"allocations and bonds add up to {total} grains; the supply is {SUPPLY_GRAINS}")
        for allocation in self.allocations:
            if allocation.account is not None:
                _parse(allocation.account, self.network_kind)
        holders = [allocation.account or f"module {allocation.module}" for allocation in self.allocations]
        _refuse_repeats("allocation", holders)
        for node in self.nodes:
            _parse(node.operator, self.network_kind)
            for key in (node.consensus_key, node.node_key):
                if key is not None:
                    _check_key(node.name, key)
        for name, members in self.bodies.items():
            for member in members:
                _parse(member, self.network_kind)
            _refuse_repeats(f"member of the {name} body", members)
        operators = [node.operator for node in self.super_nodes]
        _refuse_repeats("operator of a super node", operators)
        _refuse_repeats("node name", [node.name for node in self.nodes])
        keys = [key for node in self.nodes for key in (node.consensus_key, node.node_key) if key is not None]
        _refuse_repeats("key", keys)
        for entry in self.recognised:
            _parse_did(entry.did, self.network_kind)
        if len(self.super_nodes) > COMMITTEE_MEMBERS_MAX:
            raise ValueError(f"a committee has at most {COMMITTEE_MEMBERS_MAX} super nodes")
        return self


def parse_genesis(text: bytes) -> GenesisDocument:
    """Read and check a document; raises GenesisError with one sentence."""
    if len(text) > GENESIS_BYTES_MAX:
        raise GenesisError(f"a genesis file has at most {GENESIS_BYTES_MAX} bytes")
    try:
        plain = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise GenesisError(f"the genesis file is not JSON: {error}") from None
    return load_genesis(plain)


def load_genesis(plain: Any) -> GenesisDocument:
    """A document from parsed JSON; raises GenesisError."""
    try:
        return GenesisDocument.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise GenesisError(f"genesis {place}: {first['msg'].removeprefix('Value error, ')}") from None


def format_genesis(document: GenesisDocument) -> bytes:
    """The file's bytes: indented, in field order."""
    return orjson.dumps(document.model_dump(exclude_none=True), option=orjson.OPT_INDENT_2) + b"\n"


def _parse(text: str, network: NetworkKind) -> Address:
    try:
        return parse_address(text, network)
    except InvalidAddressError as error:
        raise ValueError(f"{text}: {error}") from None


def _parse_did(text: str, network: NetworkKind) -> Did:
    try:
        return parse_did(text, network)
    except InvalidDidError as error:
        raise ValueError(f"{text}: {error}") from None


def _check_key(name: str, key: str) -> None:
    try:
        check_public_key(PublicKey(KeyType.ED25519, bytes.fromhex(key[2:])))
    except InvalidKeyError as error:
        raise ValueError(f"{name}: {key} is not acceptable: {error}") from None


def _refuse_repeats(what: str, values: list[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} stands twice")
        seen.add(value)
