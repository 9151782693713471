"""Accounts of persons on platforms, such as those of a service from before this chain.

| key                                        | value                                                  |
|--------------------------------------------|--------------------------------------------------------|
| platform_account_key(platform, account)    | the person whose account it is                         |
| platform_link_key(person, platform)        | PlatformLink; kept when the account is given up        |
| migration_key(platform, root)              | Migration                                              |
| claimed_leaf_key(platform, leaf)           | empty                                                  |

Accounts stand here by a salted hash (identity/platform_account.py). Whoever sends a transaction has no say in it.

Rules
* P1 A platform is an identity that governance recognises as one; when it is no longer, it binds nothing more.
* P2 On a platform, an account is one person's and a person has one account. Persons are active identities of that kind.
* P3 Platform and person both sign a binding. Either ends it, also when the other one's identity has ended.
* P4 Bindings and their ends name the turn of person and platform, which then advances: nothing is replayed.
* P5 A platform posts the root of a list of accounts, how many they are, and a height, at most MIGRATION_HEIGHTS_MAX
  away, up to which they are claimed, that one included. A root is posted once.
* P6 A person claims an account of such a list, which agrees by its claim key's signature, as the platform has by
  posting it. An account of a list is claimed once, also if it is given up later or stands in another list as well.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Final

from annotated_types import Interval

from identity.did import DID_BYTES, Did
from identity.keys import KeyType, PublicKey, verify_signature
from identity.platform_account import AccountHash, ClaimKey, encode_claim_leaf
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import decode, encode
from ledger.merkle import ListProof, compute_leaf_hash, is_proof_valid
from ledger.primitives import JSON_INTEGER_MAX, Height, RootHash, Signature
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import (
    claimed_leaf_key,
    migration_key,
    platform_account_key,
    platform_link_key,
    platform_link_prefix,
)
from vm.context import Context, Moment
from vm.gas import GAS_SIGNATURE, GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_control import check_agreed, check_did_signatures, check_signatures, get_party
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import GAS_DID_READ, SIGNED_GAS_WORDS, DidKind, get_active_did
from vm.native.recognition import Recognition, check_recognised
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

MIGRATION_HEIGHTS_MAX: Final = 30_000_000  # about three years of three-second blocks: users come back late
LEAVES_MAX: Final = 2**32 - 1  # what a proof can count

GAS_BIND: Final = GAS_DID_READ + 3 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
GAS_MIGRATION: Final = 2 * GAS_STATE_READ + GAS_STATE_WRITE
GAS_CLAIM: Final = GAS_BIND + 2 * GAS_STATE_READ + 2 * GAS_STATE_WRITE + GAS_SIGNATURE[KeyType.ED25519]
GAS_PATH_STEP: Final = 5  # one hash of a proof, 0.45 us

Turn = Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
"""How often a person and a platform have bound an account, or ended that."""
LeafCount = Annotated[int, Interval(ge=1, le=LEAVES_MAX)]


@dataclass(frozen=True, slots=True)
class PlatformLink:
    """Which account a person has on a platform."""

    turn: Turn
    account: AccountHash | None


NO_LINK: Final = PlatformLink(0, None)


@dataclass(frozen=True, slots=True)
class Migration:
    """A list of accounts that are claimed by their users."""

    count: LeafCount
    until_height: Height
    claimed: Annotated[int, Interval(ge=0, le=LEAVES_MAX)]


@dataclass(frozen=True, slots=True)
class BindingPayload:
    """What platform and person sign: this account is that person's."""

    platform: Did
    person: Did
    account: AccountHash
    turn: Turn


@dataclass(frozen=True, slots=True)
class UnbindingPayload:
    """What platform or person signs to end that."""

    platform: Did
    person: Did
    is_by_platform: bool
    """Who signs: the platform, else the person."""
    turn: Turn


@dataclass(frozen=True, slots=True)
class MigrationPayload:
    """What the platform signs to have accounts claimed."""

    platform: Did
    root: RootHash
    """Of the tree (ledger/merkle.py) over encode_claim_leaf of each account."""
    count: LeafCount
    until_height: Height


@dataclass(frozen=True, slots=True)
class ClaimPayload:
    """What person and claim key sign: this account is that person's."""

    platform: Did
    root: RootHash
    person: Did
    account: AccountHash
    claim_key: ClaimKey


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind an account on a platform to a person."""

    payload: BindingPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Unbind:
    """Let an account be nobody's."""

    payload: UnbindingPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class PostMigration:
    """Let a list of accounts be claimed by their users."""

    payload: MigrationPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim an account of such a list."""

    payload: ClaimPayload
    proof: ListProof
    claim_signature: Signature
    """By the claim key, over the same bytes as those of the person."""
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class AccountBound:
    """An account is a person's."""

    platform: Did
    person: Did
    account: AccountHash


@dataclass(frozen=True, slots=True)
class AccountUnbound:
    """An account is nobody's any more."""

    platform: Did
    person: Did
    account: AccountHash


@dataclass(frozen=True, slots=True)
class MigrationPosted:
    """Accounts may be claimed, up to a height."""

    platform: Did
    root: RootHash
    count: int
    until_height: Height


@dataclass(frozen=True, slots=True)
class PersonAccount:
    """An account of a person, as the view tells it."""

    platform: Did
    account: AccountHash


# What calls do


def apply_bind(state: State, context: Context, call: Bind) -> None:
    """Rules P1 to P4."""
    given = call.payload
    check_recognised(state, Recognition.PLATFORM, given.platform)
    link = _get_present(state, given.person, given.platform, given.turn)
    check_signatures(context, SigningPurpose.PLATFORM_BINDING, encode(given), call.signatures)
    parties = [get_party(state, context, given.platform), get_party(state, context, given.person)]
    check_agreed(state, context, parties, call.signatures)
    _bind(state, context, given.platform, given.person, given.account, link)


def apply_unbind(state: State, context: Context, call: Unbind) -> None:
    """Rules P3 and P4."""
    given = call.payload
    link = _get_present(state, given.person, given.platform, given.turn)
    if link.account is None:
        raise Rejected(Reason.ACCOUNT_NOT_BOUND, "the person has no account on this platform")
    signer = given.platform if given.is_by_platform else given.person
    check_did_signatures(state, context, signer, SigningPurpose.PLATFORM_UNBINDING, encode(given), call.signatures)
    state.delete(platform_account_key(given.platform, link.account))
    state.put(platform_link_key(given.person, given.platform), encode(PlatformLink(link.turn + 1, None)))
    context.emit(MODULE.name, AccountUnbound.__name__, given.platform, given.person, link.account)


def apply_post_migration(state: State, context: Context, call: PostMigration) -> None:
    """Rules P1 and P5."""
    given, height = call.payload, context.block.height
    check_recognised(state, Recognition.PLATFORM, given.platform)
    if get_migration(state, given.platform, given.root) is not None:
        raise Rejected(Reason.MIGRATION_EXISTS, "the platform has posted this root already")
    if not height <= given.until_height <= height + MIGRATION_HEIGHTS_MAX:
        raise Rejected(
            Reason.BAD_MIGRATION,
            f"a migration posted now ends with a block from {height} to {height + MIGRATION_HEIGHTS_MAX}",
            minimum=height,
            maximum=height + MIGRATION_HEIGHTS_MAX,
        )
    purpose = SigningPurpose.PLATFORM_MIGRATION
    check_did_signatures(state, context, given.platform, purpose, encode(given), call.signatures)
    _put_migration(state, given.platform, given.root, Migration(given.count, given.until_height, 0))
    context.emit(MODULE.name, MigrationPosted.__name__, given.platform, given.root, given.count, given.until_height)


def apply_claim(state: State, context: Context, call: Claim) -> None:
    """Rules P1, P2 and P6. Neither platform nor person need a turn: an account of a list is claimed once."""
    given = call.payload
    check_recognised(state, Recognition.PLATFORM, given.platform)
    migration = get_migration(state, given.platform, given.root)
    if migration is None:
        raise Rejected(Reason.UNKNOWN_MIGRATION, "the platform has posted no such root")
    if context.block.height > migration.until_height:
        raise Rejected(Reason.MIGRATION_OVER, "the time to claim accounts of this list is over")
    leaf_hash = compute_leaf_hash(encode_claim_leaf(given.account, given.claim_key))
    if call.proof.size != migration.count or not is_proof_valid(call.proof, leaf_hash, given.root):
        raise Rejected(Reason.LEAF_NOT_PROVEN, "account and claim key are not proven to stand in the list")
    if is_claimed(state, given.platform, leaf_hash):
        raise Rejected(Reason.LEAF_CLAIMED, "the account was claimed already")
    purpose, payload = SigningPurpose.PLATFORM_CLAIM, encode(given)
    message = signing_bytes(purpose, context.block.domain, payload)
    if not verify_signature(PublicKey(KeyType.ED25519, given.claim_key), message, call.claim_signature):
        raise Rejected(Reason.BAD_CLAIM_SIGNATURE, "the account's claim key has not signed this")
    check_did_signatures(state, context, given.person, purpose, payload, call.signatures)
    link = get_link(state, given.person, given.platform)
    _bind(state, context, given.platform, given.person, given.account, link)
    state.put(claimed_leaf_key(given.platform, leaf_hash), b"")
    _put_migration(state, given.platform, given.root, replace(migration, claimed=migration.claimed + 1))


def _bind(state: State, context: Context, platform: Did, person: Did, account: AccountHash, link: PlatformLink) -> None:
    """Rule P2; raises Rejected."""
    if get_active_did(state, person).current.content.kind is not DidKind.PERSON:
        raise Rejected(Reason.NOT_A_PERSON, "accounts are persons'")
    if link.account is not None:
        raise Rejected(Reason.ACCOUNT_BOUND, "the person has an account on this platform already")
    if find_person(state, platform, account) is not None:
        raise Rejected(Reason.ACCOUNT_BOUND, "the account belongs to a person already")
    state.put(platform_account_key(platform, account), person)
    state.put(platform_link_key(person, platform), encode(PlatformLink(link.turn + 1, account)))
    context.emit(MODULE.name, AccountBound.__name__, platform, person, account)


def _get_present(state: StateReader, person: Did, platform: Did, turn: Turn) -> PlatformLink:
    """Rule P4; raises Rejected."""
    link = get_link(state, person, platform)
    if link.turn != turn:
        raise Rejected(
            Reason.PLATFORM_TURN_STALE,
            f"the turn of person and platform is {link.turn} now: sign for that",
            turn=link.turn,
        )
    return link


def _put_migration(state: State, platform: Did, root: RootHash, migration: Migration) -> None:
    state.put(migration_key(platform, root), encode(migration))


# Questions


def get_link(state: StateReader, person: Did, platform: Did) -> PlatformLink:
    """Which account a person has on a platform."""
    encoded = state.get(platform_link_key(person, platform))
    return NO_LINK if encoded is None else decode(PlatformLink, encoded)


def get_migration(state: StateReader, platform: Did, root: RootHash) -> Migration | None:
    """A list of accounts that a platform has posted."""
    encoded = state.get(migration_key(platform, root))
    return None if encoded is None else decode(Migration, encoded)


def is_claimed(state: StateReader, platform: Did, leaf_hash: bytes) -> bool:
    """Whether an account of a list was claimed."""
    return state.get(claimed_leaf_key(platform, leaf_hash)) is not None


def find_person(state: StateReader, platform: Did, account: AccountHash) -> Did | None:
    """Whose an account is."""
    encoded = state.get(platform_account_key(platform, account))
    return None if encoded is None else Did(encoded)


def list_accounts(state: StateReader, person: Did) -> list[PersonAccount]:
    """All accounts of a person, in order of the platforms, of which governance admits few."""
    links = [
        (Did(key[-DID_BYTES:]), decode(PlatformLink, encoded))
        for key, encoded in state.iterate_prefix(platform_link_prefix(person))
    ]
    return [PersonAccount(platform, link.account) for platform, link in links if link.account is not None]


def answer_person(state: StateReader, _: Moment, platform: Did, account: AccountHash) -> Did | None:
    """The view of whose an account is."""
    return find_person(state, platform, account)


def answer_link(state: StateReader, _: Moment, person: Did, platform: Did) -> PlatformLink:
    """The view of a person's account on a platform, and of the turn that the next operation has to name."""
    return get_link(state, person, platform)


def answer_accounts(state: StateReader, _: Moment, person: Did) -> list[PersonAccount]:
    """The view of all accounts of a person."""
    return list_accounts(state, person)


def answer_migration(state: StateReader, _: Moment, platform: Did, root: RootHash) -> Migration | None:
    """The view of a list of accounts."""
    return get_migration(state, platform, root)


def answer_is_claimed(state: StateReader, _: Moment, platform: Did, account: AccountHash, claim_key: ClaimKey) -> bool:
    """The view of whether an account of a list was claimed."""
    return is_claimed(state, platform, compute_leaf_hash(encode_claim_leaf(account, claim_key)))


def compute_claim_gas(call: Claim) -> int:
    """A claim costs more in a longer list."""
    return GAS_CLAIM + GAS_PATH_STEP * len(call.proof.path)


MODULE = ModuleRule(
    name="platforms",
    summary="Accounts of persons on platforms",
    calls=(
        CallRule("bind", Bind, apply_bind, lambda _: GAS_BIND, f"{GAS_BIND} + {SIGNED_GAS_WORDS}"),
        CallRule("unbind", Unbind, apply_unbind, lambda _: GAS_BIND, f"{GAS_BIND} + {SIGNED_GAS_WORDS}"),
        CallRule(
            "post_migration",
            PostMigration,
            apply_post_migration,
            lambda _: GAS_MIGRATION,
            f"{GAS_MIGRATION} + {SIGNED_GAS_WORDS}",
        ),
        CallRule(
            "claim",
            Claim,
            apply_claim,
            compute_claim_gas,
            f"{GAS_CLAIM} + {GAS_PATH_STEP} for each hash of the proof + {SIGNED_GAS_WORDS}",
        ),
    ),
    events=tuple(map(EventRule, (AccountBound, AccountUnbound, MigrationPosted))),
    views=(
        ViewRule("person", (("platform", Did), ("account", AccountHash)), answer_person),
        ViewRule("link", (("person", Did), ("platform", Did)), answer_link),
        ViewRule("accounts", (("person", Did),), answer_accounts),
        ViewRule("migration", (("platform", Did), ("root", RootHash)), answer_migration),
        ViewRule(
            "is_claimed",
            (("platform", Did), ("account", AccountHash), ("claim_key", ClaimKey)),
            answer_is_claimed,
        ),
    ),
)
