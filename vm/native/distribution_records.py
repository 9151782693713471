"""What the state holds for distributions; the rules stand in vm/native/distribution.py.

| key                                       | value                                                          |
|-------------------------------------------|----------------------------------------------------------------|
| DISTRIBUTION_COUNT_KEY                    | number of sources, 8 bytes big-endian                          |
| distribution_source_key(source)           | Source                                                         |
| distribution_root_key(source, number)     | PostedRoot                                                     |
| distribution_claimed_key(source, key)     | grains that a beneficiary has been paid, 8 bytes big-endian    |
| distribution_flow_key(source)             | Flow: what the source has paid lately; absent: nothing         |
| distribution_payout_key(did)              | Payout: where an identity wants to be paid; absent: never said |

The coins of all sources lie in one module account, which holds exactly the sum over all sources of what was funded less
what was claimed. Modules that pay through a source use the functions here; their callers tell of it in events.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, unique
from hashlib import sha256
from typing import Annotated, Final, NewType

from annotated_types import Interval, Len

from identity.address import Address, compute_module_address
from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import (
    HASH_BYTES,
    INTEGER_MAX,
    JSON_INTEGER_MAX,
    Grains,
    Height,
    PositiveGrains,
    RootHash,
    TimeMs,
)
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import (
    DISTRIBUTION_COUNT_KEY,
    distribution_claimed_key,
    distribution_flow_key,
    distribution_payout_key,
    distribution_root_key,
    distribution_source_key,
)
from vm.context import BlockContext, Moment
from vm.native.accounts import DAY_MS, IS_CONTRACT, get_account
from vm.native.did_records import CONTROLLERS_MAX, DidRecord, get_active_did
from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind, encode_key
from vm.native.iov import credit, debit, is_module_address

MODULE_NAME: Final = "distribution"
DISTRIBUTION_ADDRESS: Final = compute_module_address(MODULE_NAME)

ATTESTERS_MAX: Final = CONTROLLERS_MAX  # they are counted as controllers are
CHALLENGE_MS_MAX: Final = 30 * DAY_MS  # the next root waits for it
CHALLENGE_BLOCKS: Final = 8  # a halt of the chain eats no window whole: so many blocks, and proposers, take challenges
WINDOW_MS_MAX: Final = 30 * DAY_MS  # a source that was tripped waits for it
WINDOW_PARTS: Final = 24  # a day's window slides by the hour; more make the record of what was paid longer
WINDOW_MS_MIN: Final = 1_000 * WINDOW_PARTS  # a part is no shorter than a second: blocks are not
SHARE_BPS_MAX: Final = 10_000
LABEL_CHARACTERS_MAX: Final = 64
_NUMBER_BYTES: Final = 8

SourceId = NewType("SourceId", Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)])
"""Number of a source, from 1."""
RootNumber = Annotated[int, Interval(ge=1, le=JSON_INTEGER_MAX)]
"""Number of a root of a source, from 1; one that was voided keeps its number."""
ManifestHash = NewType("ManifestHash", Annotated[bytes, Len(32, 32)])
"""SHA-256 of the manifest that names the inputs and shards of a root."""
ControlHash = NewType("ControlHash", Annotated[bytes, Len(HASH_BYTES, HASH_BYTES)])
"""SHA-256 of who rules an identity."""


@unique
class VoidCause(IntEnum):
    """Why a root counts for nothing; wire number, never reused."""

    PROVEN_WRONG = 1
    """Somebody has shown that it contradicts itself, or the root before it."""
    RECOMPUTED = 2
    """Attesters have recomputed it and found another one."""
    GOVERNANCE = 3


@dataclass(frozen=True, slots=True)
class Breaker:
    """What a source pays at most in any window of time."""

    window_ms: Annotated[int, Interval(ge=WINDOW_MS_MIN, le=WINDOW_MS_MAX)]
    limit_grains: PositiveGrains
    share_bps: Annotated[int, Interval(ge=1, le=SHARE_BPS_MAX)]
    """Of what the source held before it paid what it has paid in the window."""
    floor_grains: PositiveGrains
    """What it pays in any case: the share of the last few coins would never let them go."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """Who speaks for a source, and how carefully it pays."""

    label: Annotated[str, Len(1, LABEL_CHARACTERS_MAX)]
    owner: Address
    """Account or module to which goes back what no root promises."""
    attesters: Annotated[tuple[Did, ...], Len(1, ATTESTERS_MAX)]
    """In order, each once."""
    threshold: Annotated[int, Interval(ge=1, le=ATTESTERS_MAX)]
    challenge_ms: Annotated[int, Interval(ge=1, le=CHALLENGE_MS_MAX)]
    """How long a root is open to challenges before it counts."""
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class Source:
    """A fund that pays by roots."""

    rules: SourceRules
    funded_grains: Grains
    """All that was paid in, less what went back to the owner."""
    claimed_grains: Grains
    """All that was paid out to beneficiaries."""
    roots: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    """How many were posted."""
    latest: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    """The newest root that is not void; 0: none."""
    promised_grains: Grains
    """Lifetime total of that root."""

    @property
    def left_grains(self) -> int:
        """What the module account holds for it."""
        return self.funded_grains - self.claimed_grains


@dataclass(frozen=True, slots=True)
class PostedRoot:
    """A root and since when it counts."""

    root: RootHash
    lifetime_total_grains: Grains
    manifest_hash: ManifestHash
    base: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    """The root before it that was not void; 0: none. No lifetime total is lower here than there."""
    posted_ms: TimeMs
    counts_ms: TimeMs
    """From here on it is claimed and challenged no more, unless …"""
    counts_height: Height
    """… the chain has made too few blocks since: then from this one on."""
    voided: VoidCause | None


@dataclass(frozen=True, slots=True)
class Paid:
    """What was paid in one part of a window."""

    part: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    """Block time over the length of a part."""
    grains: Grains


@dataclass(frozen=True, slots=True)
class Flow:
    """What a source has paid lately, and whether that was too much."""

    paid: Annotated[tuple[Paid, ...], Len(0, WINDOW_PARTS + 1)]
    tripped_until_ms: TimeMs
    """Nothing is claimed before; 0: never tripped, or resumed."""


NO_FLOW: Final = Flow((), TimeMs(0))


@dataclass(frozen=True, slots=True)
class Payout:
    """Where an identity wants to be paid instead of at its linked account."""

    turn: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    """How often it has said so; the next word names it."""
    account: Address | None
    ownership: int
    """Under which it was said: it counts as long as that lasts, so a sold vehicle no longer pays its former owner."""
    control_hash: ControlHash
    """Of who ruled the identity then: it ends with them, so a stolen key has no say after rotation or recovery."""


NO_PAYOUT: Final = Payout(0, None, 0, ControlHash(bytes(HASH_BYTES)))


# Sources


def create_source(state: State, rules: SourceRules) -> SourceId:
    """Open a source, without funds; raises Rejected."""
    check_rules(state, rules)
    source = SourceId(count_sources(state) + 1)
    state.put(DISTRIBUTION_COUNT_KEY, source.to_bytes(_NUMBER_BYTES, "big"))
    put_source(state, source, Source(rules, Grains(0), Grains(0), 0, 0, Grains(0)))
    return source


def set_source_rules(state: State, source: SourceId, rules: SourceRules) -> None:
    """Replace the rules of a source, whose breaker begins anew; raises Rejected. A posted root keeps its window.

    What a module owns stays its own (rule D3): another owner could take out what waits for the module's purpose.
    """
    check_rules(state, rules)
    found = get_source(state, source)
    if is_module_address(found.rules.owner) and rules.owner != found.rules.owner:
        raise Rejected(Reason.DISTRIBUTION_BAD_RULES, "the source belongs to a module, and stays the module's")
    put_source(state, source, replace(found, rules=rules))
    put_flow(state, source, NO_FLOW)


def fund_source(state: State, source: SourceId, payer: Address, grains: int, time_ms: int) -> None:
    """Move coins into a source; raises Rejected."""
    found = get_source(state, source)
    if grains <= 0:
        raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
    if found.funded_grains + grains > INTEGER_MAX:
        raise Rejected(Reason.AMOUNT_OVERFLOW, "the source would have been paid more than can be counted")
    debit(state, payer, grains, time_ms)
    credit(state, DISTRIBUTION_ADDRESS, grains, time_ms)
    put_source(state, source, replace(found, funded_grains=Grains(found.funded_grains + grains)))


def withdraw_source(state: State, source: SourceId, recipient: Address, grains: int, time_ms: int) -> None:
    """Move out of a source what no root promises; raises Rejected. The caller acts for the owner."""
    found = get_source(state, source)
    if grains <= 0:
        raise Rejected(Reason.AMOUNT_ZERO, "an amount is at least one grain")
    free_grains = compute_free_grains(found)
    if grains > free_grains:
        raise Rejected(Reason.DISTRIBUTION_PROMISED, "the rest is promised", held=free_grains, needed=grains)
    debit(state, DISTRIBUTION_ADDRESS, grains, time_ms)
    credit(state, recipient, grains, time_ms)
    put_source(state, source, replace(found, funded_grains=Grains(found.funded_grains - grains)))


def close_source(state: State, source: SourceId, recipient: Address, time_ms: int) -> Grains:
    """Move out of a source all that is left, promised or not, and how much that was; raises Rejected.

    The caller has announced since when. Whoever claims later finds nothing.
    """
    found = get_source(state, source)
    grains = found.left_grains
    if grains == 0:
        raise Rejected(Reason.DISTRIBUTION_NOTHING_DUE, "nothing is left in the source")
    debit(state, DISTRIBUTION_ADDRESS, grains, time_ms)
    credit(state, recipient, grains, time_ms)
    promised_grains = Grains(min(found.promised_grains, found.claimed_grains))
    put_source(state, source, replace(found, funded_grains=found.claimed_grains, promised_grains=promised_grains))
    return Grains(grains)


def compute_free_grains(source: Source) -> int:
    """What the owner may take: neither claimed nor promised. A root that was voided may have left more claimed."""
    return source.funded_grains - max(source.promised_grains, source.claimed_grains)


def get_source(state: StateReader, source: SourceId) -> Source:
    """A source that exists; raises Rejected."""
    found = find_source(state, source)
    if found is None:
        raise Rejected(Reason.DISTRIBUTION_UNKNOWN_SOURCE, "there is no such source")
    return found


def find_source(state: StateReader, source: SourceId) -> Source | None:
    """A source by its number."""
    encoded = state.get(distribution_source_key(source))
    return None if encoded is None else decode(Source, encoded)


def put_source(state: State, source: SourceId, value: Source) -> None:
    """Write a source; the caller keeps the module account as it says."""
    state.put(distribution_source_key(source), encode(value))


def count_sources(state: StateReader) -> int:
    """How many sources there are; they are numbered from 1."""
    encoded = state.get(DISTRIBUTION_COUNT_KEY)
    return 0 if encoded is None else int.from_bytes(encoded, "big")


def check_rules(state: StateReader, rules: SourceRules) -> None:
    """Whether a source can have these rules; raises Rejected."""
    if list(rules.attesters) != sorted(frozenset(rules.attesters)) or rules.threshold > len(rules.attesters):
        raise Rejected(
            Reason.DISTRIBUTION_BAD_RULES, "attesters stand in order, each once, and the threshold is no more of them"
        )
    if rules.breaker.floor_grains > rules.breaker.limit_grains:
        raise Rejected(Reason.DISTRIBUTION_BAD_RULES, "what is paid in any case is no more than the limit")
    for attester in rules.attesters:
        _check_attester(state, attester)


def _check_attester(state: StateReader, attester: Did) -> None:
    """Whoever makes the rules names the attesters, so they need no role besides; raises Rejected."""
    get_active_did(state, attester)


# Roots


def find_root(state: StateReader, source: SourceId, number: int) -> PostedRoot | None:
    """A root by its number."""
    encoded = state.get(distribution_root_key(source, number))
    return None if encoded is None else decode(PostedRoot, encoded)


def get_root(state: StateReader, source: SourceId, number: int) -> PostedRoot:
    """A root that was posted and is not void; raises Rejected."""
    found = find_root(state, source, number)
    if found is None:
        raise Rejected(Reason.DISTRIBUTION_UNKNOWN_ROOT, "the source has no root of this number")
    if found.voided is not None:
        raise Rejected(Reason.DISTRIBUTION_ROOT_VOID, f"this root is void: {found.voided.name}", cause=found.voided)
    return found


def put_root(state: State, source: SourceId, number: int, root: PostedRoot) -> None:
    """Write a root."""
    state.put(distribution_root_key(source, number), encode(root))


def is_open(root: PostedRoot, block: BlockContext | Moment) -> bool:
    """Whether a root is still challenged, and not claimed yet (rule D7)."""
    return block.time_ms < root.counts_ms or block.height < root.counts_height


def void_root(state: State, source: SourceId, number: int, cause: VoidCause) -> None:
    """Let a root count for nothing; the source promises again what the one before it promised. Raises Rejected."""
    put_root(state, source, number, replace(get_root(state, source, number), voided=cause))
    found = get_source(state, source)
    if found.latest == number:
        latest, promised = _find_standing(state, source, number)
        promised = Grains(min(promised, found.funded_grains))  # of a source that was closed nothing is left to promise
        put_source(state, source, replace(found, latest=latest, promised_grains=promised))


def find_claimable_root(
    state: StateReader, source: SourceId, found: Source, block: BlockContext | Moment
) -> tuple[int, Grains]:
    """The newest root that counts, and its lifetime total, which all claims together do not exceed; (0, 0): none."""
    if found.latest and not is_open(get_root(state, source, found.latest), block):
        return found.latest, found.promised_grains
    return _find_standing(state, source, found.latest)  # a root is posted when the one before it counts


def find_standing_root(state: StateReader, source: SourceId, below: int) -> PostedRoot | None:
    """The newest root below this one that is not void."""
    number, _ = _find_standing(state, source, below)
    return find_root(state, source, number)


def _find_standing(state: StateReader, source: SourceId, below: int) -> tuple[int, Grains]:
    """The newest root below this one that is not void, and its total; (0, 0) without one."""
    number = below
    while number:
        root = find_root(state, source, number)
        assert root is not None, "roots are kept"
        if number != below and root.voided is None:
            return number, root.lifetime_total_grains
        number = root.base
    return 0, Grains(0)


# Beneficiaries


def get_claimed(state: StateReader, source: SourceId, kind: BeneficiaryKind, identifier: BeneficiaryId) -> int:
    """What a source has paid a beneficiary in all its life."""
    encoded = state.get(distribution_claimed_key(source, encode_key(kind, identifier)))
    return 0 if encoded is None else int.from_bytes(encoded, "big")


def put_claimed(state: State, source: SourceId, kind: BeneficiaryKind, identifier: BeneficiaryId, grains: int) -> None:
    """Note what a source has paid a beneficiary in all its life."""
    state.put(distribution_claimed_key(source, encode_key(kind, identifier)), grains.to_bytes(_NUMBER_BYTES, "big"))


def find_recipient(state: StateReader, kind: BeneficiaryKind, identifier: BeneficiaryId) -> Address:
    """The account that is paid for a beneficiary; raises Rejected when there is none that may be."""
    if kind is BeneficiaryKind.ACCOUNT:
        recipient: Address | None = Address(identifier)
    else:
        did = Did(identifier)
        recipient = find_payout_account(state, did, get_active_did(state, did))
    if recipient is None:
        raise Rejected(Reason.DISTRIBUTION_NO_ACCOUNT, "the identity has no account at which it could be paid")
    check_payable(state, recipient)
    return recipient


def check_payable(state: StateReader, account: Address) -> None:
    """Whether an account takes payments; raises Rejected."""
    if is_module_address(account) or get_account(state, account).flags & IS_CONTRACT:
        raise Rejected(Reason.RECIPIENT_NOT_ALLOWED, "modules and contracts are not paid in this way")


def find_payout_account(state: StateReader, did: Did, record: DidRecord) -> Address | None:
    """Where an active identity is paid: where it has said, else at the account that is linked to it."""
    payout = get_payout(state, did)
    said_by = payout.ownership, payout.control_hash
    if payout.account is not None and said_by == (record.ownership, compute_control_hash(record)):
        return payout.account
    return record.account


def compute_control_hash(record: DidRecord) -> ControlHash:
    """SHA-256 of who rules an identity: its keys, controllers, guardians and commitments."""
    return ControlHash(sha256(encode(record.current.content.control)).digest())


def get_payout(state: StateReader, did: Did) -> Payout:
    """Where an identity wants to be paid."""
    encoded = state.get(distribution_payout_key(did))
    return NO_PAYOUT if encoded is None else decode(Payout, encoded)


def put_payout(state: State, did: Did, payout: Payout) -> None:
    """Write where an identity wants to be paid."""
    state.put(distribution_payout_key(did), encode(payout))


# What was paid lately


def get_flow(state: StateReader, source: SourceId) -> Flow:
    """What a source has paid lately."""
    encoded = state.get(distribution_flow_key(source))
    return NO_FLOW if encoded is None else decode(Flow, encoded)


def put_flow(state: State, source: SourceId, flow: Flow) -> None:
    """Write what a source has paid lately."""
    if flow != NO_FLOW:
        state.put(distribution_flow_key(source), encode(flow))
    elif state.get(distribution_flow_key(source)) is not None:
        state.delete(distribution_flow_key(source))
