"""Complaints about content, their panels, and the credit of advertisers: rules W17 to W21 and W23."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from identity.did import DID_BYTES, Did
from ledger.primitives import Grains, PositiveGrains, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from vm.context import BlockContext, Context
from vm.gas import GAS_BYTE, GAS_STATE_READ
from vm.native.ads_campaigns import end_campaign, get_sender_did, list_involved
from vm.native.ads_events import ComplaintDecided, ComplaintFiled, ComplaintJudged, PanelDrawn, ReviewersChanged
from vm.native.ads_formulas import POINTS_MAX, compute_penalty, compute_stake, draw_panel
from vm.native.ads_records import (
    ADS_ADDRESS,
    COMPLAINTS_OPEN_MAX,
    FINDINGS,
    MODULE_NAME,
    REVIEWERS_MAX,
    AdsRules,
    Book,
    Campaign,
    CampaignId,
    CampaignStatus,
    Complaint,
    ComplaintId,
    Credit,
    Draw,
    Hash32,
    Verdict,
    Vote,
    compute_status,
    find_complaint,
    find_complaint_of,
    find_ended_ms,
    get_book,
    get_campaign,
    get_counts,
    get_credit,
    get_points,
    get_reviewers,
    get_rules,
    list_draws,
    pay,
    put_book,
    put_complaint,
    put_complaint_of,
    put_counts,
    put_credit,
    put_draw,
    put_reviewers,
    remove_draw,
)
from vm.native.did_records import GAS_DID_READ
from vm.native.iov import credit, debit, deposit_treasury
from vm.native.role_records import Role, holds_role

GAS_ENROLLED: Final = 2 * GAS_BYTE * DID_BYTES  # of the one record that is read and written whole
GAS_CANDIDATE: Final = GAS_STATE_READ + GAS_DID_READ + GAS_ENROLLED
"""Whether somebody may judge, and to keep the identity until a panel is drawn."""
DRAWS_MAX: Final = 16  # in one block, within a millisecond together; those beyond wait for the next one
_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Enrol:
    """Be ready to judge complaints."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Judge no more complaints than those one was drawn for."""


@dataclass(frozen=True, slots=True)
class Complain:
    """Object to a campaign's content, with a stake."""

    campaign: CampaignId
    evidence_hash: Hash32
    stake_grains_max: PositiveGrains
    """It is refused if the complaints of others, open by then, ask for a higher stake."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Say what one finds about a complaint."""

    complaint: ComplaintId
    verdict: Verdict
    reasons_hash: Hash32


@dataclass(frozen=True, slots=True)
class CloseComplaint:
    """Dismiss a complaint that a panel has not decided in time, or give its stake back when another was upheld."""

    complaint: ComplaintId


def apply_enrol(state: State, context: Context, call: Enrol) -> None:
    """Rule W17; who reviews stands in vm/native/role_table.py."""
    did, enrolled = get_sender_did(state, context), _read_reviewers(state, context, GAS_CANDIDATE)
    kept = [each for each in enrolled if _is_reviewer(state, each, context.block.height)]
    if did in kept or len(kept) >= REVIEWERS_MAX:
        raise Rejected(Reason.ADS_BAD_COMPLAINT, f"{REVIEWERS_MAX} reviewers are enrolled at most, each once")
    put_reviewers(state, (*kept, did))
    for each in enrolled:
        if each not in kept:
            context.emit(MODULE_NAME, ReviewersChanged.__name__, each, False)
    context.emit(MODULE_NAME, ReviewersChanged.__name__, did, True)


def apply_withdraw(state: State, context: Context, call: Withdraw) -> None:
    """Rule W17."""
    did, enrolled = get_sender_did(state, context), _read_reviewers(state, context, GAS_ENROLLED)
    if did not in enrolled:
        raise Rejected(Reason.ADS_BAD_COMPLAINT, "the reviewer is not enrolled")
    put_reviewers(state, tuple([each for each in enrolled if each != did]))
    context.emit(MODULE_NAME, ReviewersChanged.__name__, did, False)


def apply_complain(state: State, context: Context, call: Complain) -> None:
    """Rules W18 and W19."""
    now_ms, rules = context.block.time_ms, get_rules(state)
    complainer = get_sender_did(state, context)
    found, book = get_campaign(state, call.campaign), get_book(state, call.campaign)
    _check_complaint(state, call.campaign, found, book, complainer, now_ms)
    counts = get_counts(state)
    complaint = ComplaintId(counts.complaints + 1)
    candidates = _list_candidates(state, context, found, book, complainer)
    if not candidates:
        raise Rejected(Reason.ADS_BAD_COMPLAINT, "nobody is enrolled who could judge this")
    stake_grains = compute_stake(rules.stake_grains, book.complaints_open)
    if stake_grains > call.stake_grains_max:
        raise Rejected(Reason.ADS_STAKE_HIGHER, "a complaint takes a higher stake now", needed=stake_grains)
    debit(state, context.sender, stake_grains, now_ms)
    credit(state, ADS_ADDRESS, stake_grains, now_ms)
    put_counts(state, replace(counts, complaints=complaint))
    filed = Complaint(
        campaign=call.campaign,
        complainer=complainer,
        account=context.sender,
        stake_grains=Grains(stake_grains),
        evidence_hash=call.evidence_hash,
        panel=(),
        until_ms=TimeMs(now_ms + rules.judging_ms),
        votes=(),
        verdict=None,
    )
    put_complaint(state, complaint, filed)
    put_draw(state, complaint, Draw(context.block.height, tuple(candidates)))
    put_complaint_of(state, call.campaign, complainer, complaint)
    put_book(state, call.campaign, replace(book, complaints_open=book.complaints_open + 1))
    context.emit(MODULE_NAME, ComplaintFiled.__name__, complaint, call.campaign, complainer)


def draw_due_panels(state: State, block: BlockContext) -> tuple[Event, ...]:
    """Rule W19, at a block's end: panels of complaints of earlier blocks, the oldest first, DRAWS_MAX at most."""
    events: list[Event] = []
    for number, draw in list_draws(state, DRAWS_MAX):
        if draw.height >= block.height:
            break
        remove_draw(state, number)
        complaint = find_complaint(state, number)
        assert complaint is not None, "a panel is drawn for a complaint"
        if complaint.verdict is None:  # it may be moot already
            rules = get_rules(state)
            panel = draw_panel(draw.candidates, compute_seed(block, number), rules.panel_size)
            until_ms = TimeMs(block.time_ms + rules.judging_ms)
            put_complaint(state, number, replace(complaint, panel=panel, until_ms=until_ms))
            events.append(Event(MODULE_NAME, PanelDrawn.__name__, [number, complaint.campaign, list(panel)]))
    return tuple(events)


def apply_judge(state: State, context: Context, call: Judge) -> None:
    """Rule W20."""
    if call.verdict not in FINDINGS:
        raise Rejected(Reason.BAD_ARGUMENTS, "a panel finds for one side or the other, or that a complaint is abusive")
    complaint = _get_open(state, call.complaint)
    if get_book(state, complaint.campaign).is_upheld:
        raise Rejected(Reason.ADS_UPHELD_ALREADY, "another complaint was upheld: this one is closed without a verdict")
    member = get_sender_did(state, context)
    if context.block.time_ms > complaint.until_ms:
        raise Rejected(Reason.ADS_NOT_ON_PANEL, "the time to judge this is over")
    if member not in complaint.panel or any(vote.member == member for vote in complaint.votes):
        raise Rejected(Reason.ADS_NOT_ON_PANEL, "the members of the panel judge, each once")
    complaint = replace(complaint, votes=(*complaint.votes, Vote(member, call.verdict, call.reasons_hash)))
    context.emit(MODULE_NAME, ComplaintJudged.__name__, call.complaint, member, int(call.verdict))
    verdict = find_verdict(complaint)
    if verdict is None:
        put_complaint(state, call.complaint, complaint)
    else:
        _decide(state, context, call.complaint, complaint, verdict)


def apply_close_complaint(state: State, context: Context, call: CloseComplaint) -> None:
    """Rules W20 and W23; anybody may."""
    complaint = _get_open(state, call.complaint)
    if get_book(state, complaint.campaign).is_upheld:
        _decide(state, context, call.complaint, complaint, Verdict.MOOT)
        return
    if not complaint.panel or context.block.time_ms <= complaint.until_ms:
        raise Rejected(Reason.ADS_TOO_EARLY, "the panel may still decide", until_ms=complaint.until_ms)
    _decide(state, context, call.complaint, complaint, Verdict.DISMISSED)


def find_verdict(complaint: Complaint) -> Verdict | None:
    """What more than half of the panel finds; dismissed when all have voted and no verdict has that many."""
    for verdict in FINDINGS:
        if 2 * sum(vote.verdict is verdict for vote in complaint.votes) > len(complaint.panel):
            return verdict
    return Verdict.DISMISSED if len(complaint.votes) == len(complaint.panel) else None


def compute_seed(block: BlockContext, complaint: ComplaintId) -> bytes:
    """SHA-256(signing domain ‖ hash of the block before ‖ complaint, 8 bytes): what draws a panel in a block."""
    return sha256(block.domain + block.previous_hash + complaint.to_bytes(_ID_BYTES, "big")).digest()


def _read_reviewers(state: StateReader, context: Context, gas_each: int) -> tuple[Did, ...]:
    """Who is enrolled; charges for what the record has grown to, and for what is done with each of them."""
    enrolled = get_reviewers(state)
    context.gas.charge(gas_each * len(enrolled))
    return enrolled


def _check_complaint(
    state: StateReader, campaign: CampaignId, found: Campaign, book: Book, complainer: Did, now_ms: int
) -> None:
    """Rules W18 and W23; raises Rejected."""
    if book.is_upheld:
        raise Rejected(Reason.ADS_UPHELD_ALREADY, "a complaint about these terms was upheld: they are punished once")
    if book.reviewer is None or compute_status(found, book, now_ms) is CampaignStatus.SETTLED:
        raise Rejected(Reason.ADS_BAD_COMPLAINT, "the campaign never ran, or is settled")
    ended_ms = find_ended_ms(found, book, now_ms)
    if ended_ms is not None and now_ms >= ended_ms + book.windows.grace_ms:
        raise Rejected(Reason.ADS_BAD_COMPLAINT, "the campaign's grace period is over")
    if complainer == found.advertiser or find_complaint_of(state, campaign, complainer) is not None:
        raise Rejected(Reason.ADS_BAD_COMPLAINT, "one complains once about a campaign, and not of one's own")
    if book.complaints_open >= COMPLAINTS_OPEN_MAX:
        raise Rejected(
            Reason.ADS_BAD_COMPLAINT,
            f"at most {COMPLAINTS_OPEN_MAX} complaints about a campaign are open",
            maximum=COMPLAINTS_OPEN_MAX,
        )


def _list_candidates(state: StateReader, context: Context, found: Campaign, book: Book, complainer: Did) -> list[Did]:
    """Rule W19: enrolled, still in the role, and with no part in the matter."""
    enrolled = _read_reviewers(state, context, GAS_CANDIDATE)
    parties = (*list_involved(state, found), book.reviewer, complainer)
    return [each for each in enrolled if each not in parties and _is_reviewer(state, each, context.block.height)]


def _is_reviewer(state: StateReader, did: Did, height: int) -> bool:
    return holds_role(state, did, Role.COMMUNITY_ADMINISTRATOR, height)


def _get_open(state: StateReader, number: ComplaintId) -> Complaint:
    """A complaint that is not decided; raises Rejected."""
    complaint = find_complaint(state, number)
    if complaint is None or complaint.verdict is not None:
        raise Rejected(Reason.ADS_BAD_COMPLAINT, "there is no such complaint, or it is decided")
    return complaint


def _decide(state: State, context: Context, number: ComplaintId, complaint: Complaint, verdict: Verdict) -> None:
    """Rules W21 and W23."""
    now_ms, rules = context.block.time_ms, get_rules(state)
    found, book = get_campaign(state, complaint.campaign), get_book(state, complaint.campaign)
    reward, treasury = 0, 0
    if verdict is Verdict.UPHELD:
        reward_max = min(rules.stake_grains, complaint.stake_grains)
        reward, treasury = compute_penalty(book.deposit_grains, rules.penalty_bps, reward_max)
    book = replace(
        book,
        complaints_open=book.complaints_open - 1,
        is_upheld=book.is_upheld or verdict is Verdict.UPHELD,
        deposit_grains=Grains(book.deposit_grains - reward - treasury),
        forfeited_grains=Grains(book.forfeited_grains + reward + treasury),
    )
    if verdict is Verdict.ABUSIVE:
        treasury = complaint.stake_grains
    else:
        reward += complaint.stake_grains
    pay(state, complaint.account, reward, now_ms)
    if treasury:
        debit(state, ADS_ADDRESS, treasury, now_ms)
        deposit_treasury(state, treasury, now_ms)
    put_complaint(state, number, replace(complaint, verdict=verdict))
    points = _note_credit(state, found.advertiser, rules, verdict, now_ms)
    put_book(state, complaint.campaign, book)
    fields = (number, complaint.campaign, int(verdict), reward, treasury, points)
    context.emit(MODULE_NAME, ComplaintDecided.__name__, *fields)
    if verdict is Verdict.UPHELD and find_ended_ms(found, book, now_ms) is None:
        end_campaign(state, context, complaint.campaign, book)


def _note_credit(state: State, advertiser: Did, rules: AdsRules, verdict: Verdict, now_ms: int) -> int:
    """Points of an advertiser from now on."""
    former, points = get_credit(state, advertiser), get_points(state, advertiser, rules, now_ms)
    if verdict is Verdict.UPHELD:
        points = min(POINTS_MAX, points + rules.upheld_points)
        put_credit(state, advertiser, Credit(points, TimeMs(now_ms), former.upheld + 1, former.dismissed))
    elif verdict is not Verdict.MOOT:
        put_credit(state, advertiser, replace(former, dismissed=former.dismissed + 1))
    return points
