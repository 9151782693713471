"""Distributions: roots over lifetime totals, from which millions are paid by claims (docs/distribution.md).

What the state holds stands in distribution_records.py, the bytes of trees in distribution_tree.py.

Rules
* D1 A source is a fund with rules of its own. Modules and governance open sources; anybody may fund one.
* D2 The module account holds exactly what was funded less what was claimed, over all sources.
* D3 The owner takes back what is neither claimed nor promised by the newest root that is not void. No change of rules
  gives a source away that a module owns.
* D4 A root is posted under the next number of its source, signed by the threshold of the source's attesters, while no
  other root of it is open to challenges. A number is used once, also if the root is voided.
* D5 It comes with the roots and totals of its 256 shards, which give the root and add up to the lifetime total.
* D6 The lifetime total never falls below that of the newest root that is not void, and is at most what was funded.
* D7 A root counts once its challenge window has passed: the time that the source's rules say, and CHALLENGE_BLOCKS
  blocks, so that a chain that stood still takes challenges first. One that counts is claimed for ever: later roots do
  not end it.
* D8 A claim pays the lifetime total under the root less what the source has paid the beneficiary before, if that is
  more than nothing. So an old root pays no more than it says, and the same claim twice pays once.
* D9 All claims of a source together are no more than the lifetime total of its newest root that counts, nor than its
  funds.
* D10 Anybody claims for anybody; the coins go to the beneficiary: an account, or the account of an active identity.
  That is the one it has named here under its present owner and control, else the one linked to it. Modules and
  contracts are not paid.
* D11 Of several claims in one call, what cannot be paid now is skipped and told of; a wrong proof refuses all of them.
  After the one that trips the breaker (rule B2) nobody is looked at any more.
  A call that pays nobody and trips nothing is refused.
* D12 Within the window anybody voids a root by showing a fault in it: see distribution_faults.py.
* D13 Within the window the attesters void a root by the threshold that posts one. Governance voids any root.
* D14 When the newest root is voided, the one before it that is not void is the newest again.

The breaker
* B1 Within any window a source pays at most its limit: a share of what it held when the window began, not less than a
  floor and not more than an absolute number.
* B2 A claim for more than what is left of the limit is paid that much, and trips the breaker: the source pays nothing
  for one window. So nothing stops a source before the limit has really been paid out, and who is owed more than any
  window pays is paid over several. The rest stays due.
* B3 Governance resumes a source that was tripped, and changes its rules; either begins its window anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.address import Address
from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import encode
from ledger.primitives import JSON_INTEGER_MAX, Grains, Height, RootHash, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import BlockContext, Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.did_control import check_agreed, check_did_signatures, check_signatures
from vm.native.did_payloads import DidSignature, DidSignatures
from vm.native.did_records import GAS_DID_READ, SIGNED_GAS_WORDS, Controllers, get_active_did, get_did_record
from vm.native.distribution_breaker import add_paid, compute_limit_grains, slide, sum_paid, trip
from vm.native.distribution_events import (
    EVENTS,
    BreakerTripped,
    Claimed,
    ClaimSkipped,
    PayoutSet,
    RootPosted,
    RootVoided,
    SourceFunded,
    SourceWithdrawn,
)
from vm.native.distribution_faults import Fault, is_at_home, is_fault_shown
from vm.native.distribution_records import (
    CHALLENGE_BLOCKS,
    DISTRIBUTION_ADDRESS,
    MODULE_NAME,
    ManifestHash,
    Payout,
    PostedRoot,
    RootNumber,
    Source,
    SourceId,
    VoidCause,
    check_payable,
    compute_control_hash,
    compute_free_grains,
    count_sources,
    find_claimable_root,
    find_payout_account,
    find_recipient,
    find_root,
    find_source,
    find_standing_root,
    fund_source,
    get_claimed,
    get_flow,
    get_payout,
    get_root,
    get_source,
    is_open,
    put_claimed,
    put_flow,
    put_payout,
    put_root,
    put_source,
    void_root,
    withdraw_source,
)
from vm.native.distribution_tree import (
    EMPTY_SHARD,
    GAS_PROOF_HASH,
    SHARD_BITS,
    SHARDS,
    BeneficiaryId,
    BeneficiaryKind,
    Leaf,
    ProvenLeaf,
    ProvenShard,
    Shards,
    compute_epoch_root,
    is_leaf_proven,
    is_shard_proven,
)
from vm.native.iov import credit, debit
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

CLAIMS_MAX: Final = 50  # of 1 kB each in a distribution to 68 million: a transaction holds no more
FAULT_LEAVES_MAX: Final = 2  # every fault shows in a leaf or two
SOURCES_PAGE: Final = 50

GAS_SOURCE: Final = 3 * GAS_STATE_READ + 3 * GAS_STATE_WRITE
GAS_POST: Final = GAS_SOURCE + GAS_STATE_READ + GAS_STATE_WRITE + 2 * SHARDS * GAS_PROOF_HASH
"""Of the tree over all shards: as many leaves as shards, and one node less."""
GAS_CLAIM: Final = GAS_SOURCE + 2 * GAS_STATE_READ + 2 * GAS_STATE_WRITE  # records of source, root and flow
GAS_CLAIM_ENTRY: Final = 2 * GAS_STATE_READ + 5 * GAS_STATE_WRITE  # two keys that are new to the tree; an event
GAS_PROOF: Final = (SHARD_BITS + 3) * GAS_PROOF_HASH
"""Leaf, shard leaf, the number of the shard and the way from the shard to the root; the leaf's own path is besides."""
GAS_VOID: Final = 4 * GAS_STATE_READ + 2 * GAS_STATE_WRITE
GAS_PAYOUT: Final = 2 * GAS_STATE_READ + GAS_STATE_WRITE

_ATTESTERS_PARTY: Final = Did(bytes(20))
"""Stands for the attesters together, in place of an identity that they control; no identity is the hash of zeros."""


@dataclass(frozen=True, slots=True)
class RootPayload:
    """What attesters sign: a root of a source, what it is over, and from what it was computed."""

    source: SourceId
    number: RootNumber
    root: RootHash
    lifetime_total_grains: Grains
    manifest_hash: ManifestHash


@dataclass(frozen=True, slots=True)
class VoidPayload:
    """What attesters sign: this root is wrong."""

    source: SourceId
    number: RootNumber
    root: RootHash


@dataclass(frozen=True, slots=True)
class PayoutPayload:
    """What an identity signs: pay me there; None: at the account that is linked to me."""

    did: Did
    turn: Annotated[int, Interval(ge=0, le=JSON_INTEGER_MAX)]
    account: Address | None


@dataclass(frozen=True, slots=True)
class Fund:
    """Pay coins into a source."""

    source: SourceId
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back, as the owner of a source, what no root promises."""

    source: SourceId
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class PostRoot:
    """Post the next root of a source."""

    payload: RootPayload
    shards: Shards
    """In order of their numbers."""
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class Claim:
    """Have beneficiaries paid what a root says."""

    source: SourceId
    number: RootNumber
    claims: Annotated[tuple[ProvenLeaf, ...], Len(1, CLAIMS_MAX)]


@dataclass(frozen=True, slots=True)
class Challenge:
    """Void a root by showing what is wrong with it."""

    source: SourceId
    number: RootNumber
    fault: Fault
    leaves: Annotated[tuple[ProvenLeaf, ...], Len(0, FAULT_LEAVES_MAX)]
    """Of the root."""
    base_leaf: ProvenLeaf | None
    """Of the root before that is not void, for LOWERED and LEFT_OUT."""
    empty_shard: ProvenShard | None
    """Of the root, for LEFT_OUT of a shard that has no leaf left to show."""


@dataclass(frozen=True, slots=True)
class VoidRoot:
    """Void a root as its attesters."""

    payload: VoidPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class SetPayout:
    """Say at which account an identity is paid."""

    payload: PayoutPayload
    signatures: DidSignatures


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """A source as the view tells it."""

    source: SourceId
    state: Source
    left_grains: Grains
    free_grains: Grains
    """What the owner may take back."""
    claimable_root: int
    """The newest root that counts; 0: none."""
    claimable_grains: Grains
    """Its lifetime total: what all claims together may be, of which claimed_grains were made."""
    window_limit_grains: Grains
    """What may be paid within one window now."""
    window_paid_grains: Grains
    """What was paid within it."""
    tripped_until_ms: TimeMs | None


@dataclass(frozen=True, slots=True)
class PayoutDescription:
    """Where an identity is paid, and the turn that its next word has to name."""

    account: Address | None
    turn: int


# Funds


def apply_fund(state: State, context: Context, call: Fund) -> None:
    """Rules D1 and D2."""
    fund_source(state, call.source, context.sender, call.amount_grains, context.block.time_ms)
    context.emit(MODULE_NAME, SourceFunded.__name__, call.source, context.sender, call.amount_grains)


def apply_withdraw(state: State, context: Context, call: Withdraw) -> None:
    """Rule D3, for owners that are accounts."""
    if get_source(state, call.source).rules.owner != context.sender:
        raise Rejected(Reason.DISTRIBUTION_NOT_OWNER, "the source belongs to another account")
    withdraw_source(state, call.source, context.sender, call.amount_grains, context.block.time_ms)
    context.emit(MODULE_NAME, SourceWithdrawn.__name__, call.source, context.sender, call.amount_grains)


# Roots


def apply_post_root(state: State, context: Context, call: PostRoot) -> None:
    """Rules D4 to D6."""
    given, block = call.payload, context.block
    source = get_source(state, given.source)
    _check_next(state, given, source, block)
    if given.lifetime_total_grains < source.promised_grains:
        raise Rejected(
            Reason.DISTRIBUTION_BAD_ROOT,
            "the lifetime total is lower than that of the root before",
            minimum=source.promised_grains,
        )
    if given.lifetime_total_grains > source.funded_grains:
        raise Rejected(
            Reason.DISTRIBUTION_UNFUNDED,
            "the source was paid less than the root promises",
            held=source.funded_grains,
            needed=given.lifetime_total_grains,
        )
    _check_shards(given, call.shards)
    _check_attested(state, context, source, SigningPurpose.DISTRIBUTION_ROOT, encode(given), call.signatures)
    counts_ms = TimeMs(block.time_ms + source.rules.challenge_ms)
    counts_height = Height(block.height + CHALLENGE_BLOCKS)
    posted = PostedRoot(
        given.root,
        given.lifetime_total_grains,
        given.manifest_hash,
        source.latest,
        block.time_ms,
        counts_ms,
        counts_height,
        None,
    )
    put_root(state, given.source, given.number, posted)
    promised_grains = given.lifetime_total_grains
    updated = replace(source, roots=given.number, latest=given.number, promised_grains=promised_grains)
    put_source(state, given.source, updated)
    promise = (given.lifetime_total_grains, given.manifest_hash)
    fields = (given.source, given.number, given.root, *promise, counts_ms, counts_height)
    context.emit(MODULE_NAME, RootPosted.__name__, *fields)


def apply_challenge(state: State, context: Context, call: Challenge) -> None:
    """Rule D12; anybody may."""
    posted = _get_open(state, call.source, call.number, context.block)
    if not all(is_leaf_proven(each, posted.root) for each in call.leaves):
        raise Rejected(Reason.DISTRIBUTION_NOT_PROVEN, "a leaf is not proven to stand under the root")
    if call.empty_shard is not None and not is_shard_proven(call.empty_shard, posted.root):
        raise Rejected(Reason.DISTRIBUTION_NOT_PROVEN, "the shard is not proven to stand under the root")
    if call.base_leaf is not None:
        base = find_standing_root(state, call.source, call.number)
        if base is None or not is_leaf_proven(call.base_leaf, base.root):
            raise Rejected(Reason.DISTRIBUTION_NOT_PROVEN, "a leaf is not proven to stand under the root before")
    if not is_fault_shown(call.fault, call.leaves, call.base_leaf, call.empty_shard):
        raise Rejected(Reason.DISTRIBUTION_NO_FAULT, f"what is shown is not the fault {call.fault.name}")
    _void(state, context, call.source, call.number, VoidCause.PROVEN_WRONG)


def apply_void_root(state: State, context: Context, call: VoidRoot) -> None:
    """Rule D13 for attesters."""
    given = call.payload
    posted = _get_open(state, given.source, given.number, context.block)
    if posted.root != given.root:
        raise Rejected(Reason.DISTRIBUTION_UNKNOWN_ROOT, "the source has another root under this number")
    source = get_source(state, given.source)
    _check_attested(state, context, source, SigningPurpose.DISTRIBUTION_VOID, encode(given), call.signatures)
    _void(state, context, given.source, given.number, VoidCause.RECOMPUTED)


def _check_next(state: StateReader, given: RootPayload, source: Source, block: BlockContext) -> None:
    """Rule D4; raises Rejected."""
    if given.number != source.roots + 1:
        raise Rejected(
            Reason.DISTRIBUTION_ROOT_NUMBER,
            f"the next root of the source has the number {source.roots + 1}",
            expected=source.roots + 1,
        )
    if source.latest and is_open(get_root(state, given.source, source.latest), block):
        raise Rejected(Reason.DISTRIBUTION_ROOT_PENDING, "the root before is still open to challenges")


def _check_shards(given: RootPayload, shards: Shards) -> None:
    """Rule D5; raises Rejected."""
    if sum(each.total_grains for each in shards) != given.lifetime_total_grains:
        raise Rejected(Reason.DISTRIBUTION_BAD_ROOT, "the totals of the shards are another lifetime total together")
    if any(each.root == EMPTY_SHARD.root and each != EMPTY_SHARD for each in shards):
        raise Rejected(Reason.DISTRIBUTION_BAD_ROOT, "a shard without leaves has a total")
    if compute_epoch_root(shards) != given.root:
        raise Rejected(Reason.DISTRIBUTION_BAD_ROOT, "the shards give another root")


def _check_attested(
    state: StateReader,
    context: Context,
    source: Source,
    purpose: SigningPurpose,
    payload: bytes,
    signatures: tuple[DidSignature, ...],
) -> None:
    """Rule D4: attesters agree as the controllers of an identity do; raises Rejected."""
    check_signatures(context, purpose, payload, signatures)
    authority = Controllers(source.rules.attesters, source.rules.threshold)
    check_agreed(state, context, [(_ATTESTERS_PARTY, authority)], signatures)


def _get_open(state: StateReader, source: SourceId, number: int, block: BlockContext) -> PostedRoot:
    """A root within its challenge window; raises Rejected."""
    posted = get_root(state, source, number)
    if not is_open(posted, block):
        raise Rejected(Reason.DISTRIBUTION_CHALLENGE_OVER, "the time to challenge this root is over")
    return posted


def _void(state: State, context: Context, source: SourceId, number: int, cause: VoidCause) -> None:
    void_root(state, source, number, cause)
    context.emit(MODULE_NAME, RootVoided.__name__, source, number, int(cause))


# Claims


def apply_claim(state: State, context: Context, call: Claim) -> None:
    """Rules D7 to D11, B1 and B2."""
    now_ms = context.block.time_ms
    source = get_source(state, call.source)
    breaker = source.rules.breaker
    flow = get_flow(state, call.source)
    if now_ms < flow.tripped_until_ms:
        raise Rejected(
            Reason.DISTRIBUTION_TRIPPED,
            "the source has paid too much in too short a time and waits",
            until_ms=flow.tripped_until_ms,
        )
    _check_claims(state, call, context.block)
    flow = slide(breaker, flow, now_ms)
    limit_grains = compute_limit_grains(breaker, source.left_grains, sum_paid(flow))
    _, claimable_grains = find_claimable_root(state, call.source, source, context.block)
    room_grains = min(claimable_grains - source.claimed_grains, source.left_grains)
    paid_grains, is_tripped, failure = 0, False, None
    for each in call.claims:
        leaf = each.leaf
        try:
            due_grains, recipient = _find_due(state, context, call.source, leaf, room_grains - paid_grains)
        except Rejected as skipped:
            if skipped.reason is Reason.OUT_OF_GAS:
                raise
            failure = failure or skipped
            _emit_claim(context, ClaimSkipped, call, leaf, int(skipped.reason))
            continue
        now_grains = min(due_grains, limit_grains - sum_paid(flow))
        if now_grains > 0:
            flow = add_paid(breaker, flow, now_grains, now_ms)
            paid_grains += now_grains
            put_claimed(state, call.source, leaf.kind, leaf.id, leaf.lifetime_grains - due_grains + now_grains)
            debit(state, DISTRIBUTION_ADDRESS, now_grains, now_ms)
            credit(state, recipient, now_grains, now_ms)
            _emit_claim(context, Claimed, call, leaf, recipient, now_grains)
        if now_grains < due_grains:
            is_tripped, flow = True, trip(breaker, now_ms)
            context.emit(MODULE_NAME, BreakerTripped.__name__, call.source, flow.tripped_until_ms)
            break
    if not paid_grains and not is_tripped:
        assert failure is not None, "a claim is paid, skipped or trips"
        raise failure
    put_source(state, call.source, replace(source, claimed_grains=Grains(source.claimed_grains + paid_grains)))
    put_flow(state, call.source, flow)


def _check_claims(state: StateReader, call: Claim, block: BlockContext) -> None:
    """Whether the root counts and has all these leaves (rule D7); raises Rejected."""
    posted = get_root(state, call.source, call.number)
    if is_open(posted, block):
        raise Rejected(
            Reason.DISTRIBUTION_ROOT_PENDING,
            "the root counts later",
            counts_ms=posted.counts_ms,
            counts_height=posted.counts_height,
        )
    for each in call.claims:
        if not is_at_home(each) or not is_leaf_proven(each, posted.root):
            raise Rejected(Reason.DISTRIBUTION_NOT_PROVEN, "a leaf is not proven to stand in its shard of the root")


def _find_due(
    state: StateReader, context: Context, source: SourceId, leaf: Leaf, room_grains: int
) -> tuple[int, Address]:
    """What a beneficiary has coming, and which account is paid (rules D8 to D10); raises Rejected."""
    due_grains = leaf.lifetime_grains - get_claimed(state, source, leaf.kind, leaf.id)
    if due_grains <= 0:
        raise Rejected(Reason.DISTRIBUTION_NOTHING_DUE, "the beneficiary has been paid as much already")
    if due_grains > room_grains:
        raise Rejected(Reason.DISTRIBUTION_EXCEEDED, "roots promise less than all claims together", held=room_grains)
    if leaf.kind is BeneficiaryKind.DID:
        context.gas.charge(GAS_DID_READ + GAS_STATE_READ)
    return due_grains, find_recipient(state, leaf.kind, leaf.id)


def _emit_claim(context: Context, event: type, call: Claim, leaf: Leaf, *more: object) -> None:
    context.emit(MODULE_NAME, event.__name__, call.source, call.number, int(leaf.kind), leaf.id, *more)


# Where identities are paid


def apply_set_payout(state: State, context: Context, call: SetPayout) -> None:
    """Rule D10: the authority over an identity says where; the account need not agree to be paid."""
    given = call.payload
    payout = get_payout(state, given.did)
    if payout.turn != given.turn:
        raise Rejected(
            Reason.DISTRIBUTION_TURN_STALE, f"the turn is {payout.turn} now: sign for that", turn=payout.turn
        )
    purpose = SigningPurpose.DISTRIBUTION_PAYOUT
    check_did_signatures(state, context, given.did, purpose, encode(given), call.signatures)
    if given.account is not None:
        check_payable(state, given.account)
    record = get_active_did(state, given.did)
    payout = Payout(given.turn + 1, given.account, record.ownership, compute_control_hash(record))
    put_payout(state, given.did, payout)
    context.emit(MODULE_NAME, PayoutSet.__name__, given.did, given.account)


# Views


def answer_source(state: StateReader, moment: Moment, source: SourceId) -> SourceDescription | None:
    """The view of a source."""
    found = find_source(state, source)
    return None if found is None else _describe(state, moment, source, found)


def answer_sources(state: StateReader, moment: Moment, before: int) -> list[SourceDescription]:
    """The view of at most SOURCES_PAGE sources below a number, the newest first; 0 begins with the newest."""
    newest = count_sources(state) if before == 0 else min(before - 1, count_sources(state))
    return list(_describe_all(state, moment, newest))


def answer_root(state: StateReader, _: Moment, source: SourceId, number: RootNumber) -> PostedRoot | None:
    """The view of a root."""
    return find_root(state, source, number)


def answer_claimed(
    state: StateReader, _: Moment, source: SourceId, kind: BeneficiaryKind, identifier: BeneficiaryId
) -> Grains:
    """The view of what a source has paid a beneficiary."""
    return Grains(get_claimed(state, source, kind, identifier))


def answer_payout(state: StateReader, _: Moment, did: Did) -> PayoutDescription:
    """The view of where an identity is paid."""
    record = get_did_record(state, did)
    is_active = record is not None and not record.is_deactivated
    account = find_payout_account(state, did, record) if record is not None and is_active else None
    return PayoutDescription(account, get_payout(state, did).turn)


def _describe_all(state: StateReader, moment: Moment, newest: int) -> Iterator[SourceDescription]:
    for number in range(newest, max(0, newest - SOURCES_PAGE), -1):
        source = SourceId(number)
        yield _describe(state, moment, source, get_source(state, source))


def _describe(state: StateReader, moment: Moment, source: SourceId, found: Source) -> SourceDescription:
    flow = slide(found.rules.breaker, get_flow(state, source), moment.time_ms)
    paid_grains = sum_paid(flow)
    claimable_root, claimable_grains = find_claimable_root(state, source, found, moment)
    return SourceDescription(
        source,
        found,
        Grains(found.left_grains),
        Grains(compute_free_grains(found)),
        claimable_root,
        claimable_grains,
        Grains(compute_limit_grains(found.rules.breaker, found.left_grains, paid_grains)),
        Grains(paid_grains),
        flow.tripped_until_ms if moment.time_ms < flow.tripped_until_ms else None,
    )


# What calls cost


def compute_claim_gas(call: Claim) -> int:
    """Claims cost more in a larger distribution."""
    return GAS_CLAIM + sum(GAS_CLAIM_ENTRY + _compute_proof_gas(each) for each in call.claims)


def compute_challenge_gas(call: Challenge) -> int:
    """A challenge costs what its leaves do."""
    leaves = call.leaves if call.base_leaf is None else (*call.leaves, call.base_leaf)
    return GAS_VOID + GAS_PROOF + sum(map(_compute_proof_gas, leaves))


def _compute_proof_gas(proven: ProvenLeaf) -> int:
    return GAS_PROOF + GAS_PROOF_HASH * len(proven.path.siblings)


_PROOF_WORDS: Final = f"{GAS_PROOF_HASH} for each hash of a leaf's path"

MODULE = ModuleRule(
    name=MODULE_NAME,
    summary="Payouts to millions, by roots over lifetime totals",
    calls=(
        CallRule("fund", Fund, apply_fund, lambda _: GAS_SOURCE, str(GAS_SOURCE)),
        CallRule("withdraw", Withdraw, apply_withdraw, lambda _: GAS_SOURCE, str(GAS_SOURCE)),
        CallRule("post_root", PostRoot, apply_post_root, lambda _: GAS_POST, f"{GAS_POST} + {SIGNED_GAS_WORDS}"),
        CallRule(
            "claim",
            Claim,
            apply_claim,
            compute_claim_gas,
            f"{GAS_CLAIM} + {GAS_CLAIM_ENTRY + GAS_PROOF} for each claim + {_PROOF_WORDS} + "
            f"{GAS_DID_READ + GAS_STATE_READ} for each identity",
        ),
        CallRule(
            "challenge",
            Challenge,
            apply_challenge,
            compute_challenge_gas,
            f"{GAS_VOID + GAS_PROOF} + {GAS_PROOF} for each leaf + {_PROOF_WORDS}",
        ),
        CallRule("void_root", VoidRoot, apply_void_root, lambda _: GAS_VOID, f"{GAS_VOID} + {SIGNED_GAS_WORDS}"),
        CallRule("set_payout", SetPayout, apply_set_payout, lambda _: GAS_PAYOUT, f"{GAS_PAYOUT} + {SIGNED_GAS_WORDS}"),
    ),
    events=tuple(map(EventRule, EVENTS)),
    views=(
        ViewRule("source", (("source", SourceId),), answer_source),
        ViewRule("sources", (("before", int),), answer_sources),
        ViewRule("root", (("source", SourceId), ("number", RootNumber)), answer_root),
        ViewRule(
            "claimed",
            (("source", SourceId), ("kind", BeneficiaryKind), ("id", BeneficiaryId)),
            answer_claimed,
        ),
        ViewRule("payout", (("did", Did),), answer_payout),
    ),
)
