"""Tendermint's algorithm (arXiv:1807.04938, Algorithm 1) as a machine: one event in, effects out.

Comments like `# L28` name the line of the algorithm. The core knows no clock, network, disk or secret key: it says what
is to be done, in order, and hears what came of it. Only messages whose signature it has verified change its state.

Where it differs from the paper, and why that is safe:
- With nothing to do it idles before round 0; work, or a verified message of the height from a member, wakes it.
- It also waits for its own proposal (L21), because building or signing may fail.
- L36 and L49 take any copy of the block: two thirds of votes vouch for the proposer's message.
- A valid value (L42) is also taken from a polka of an earlier round: others can check it, whoever proposes it.
- L55 counts members in later rounds, see HeightState.compute_skip_round.
- Rounds far from the current one are forgotten, which is the same as a lost message.
- A fresh block must be timely to be prevoted (proposer-based timestamps).
"""

from dataclasses import replace
from typing import Final, assert_never

from consensus.early import EarlyEvent, EarlyMessages, get_height
from consensus.effects import (
    AppendLog,
    BlameMessage,
    Broadcast,
    BuildBlock,
    CheckBlock,
    Decide,
    Effect,
    FetchProposal,
    ReportEquivocation,
    SaveSafety,
    ScheduleTimeout,
    SendTo,
    SignProposal,
    SignVote,
)
from consensus.events import (
    BlockBuilt,
    BlockChecked,
    Event,
    HeightStarted,
    ProposalReceived,
    ProposalSigned,
    RoundSkipped,
    SummaryReceived,
    TimedOut,
    VoteReceived,
    VoteSigned,
    WorkArrived,
)
from consensus.gossip import build_summary, find_missing
from consensus.height import Decision, HeightState, Waiting, compute_waiting
from consensus.log import HeightBegan, LockTaken
from consensus.messages import (
    NO_VALID_ROUND,
    UNSIGNED,
    Proposal,
    RoundSummary,
    Step,
    Verify,
    Vote,
    VoteKind,
    find_proposal_fault,
    get_proposal_message,
    get_vote_message,
    is_proposal_authentic,
    is_vote_authentic,
    verify_consensus_signature,
)
from consensus.safety import (
    NOTHING_SIGNED,
    AlreadySigned,
    MaySign,
    Refused,
    SafetyState,
    SignRequest,
    SignStep,
    check_may_sign,
    record_signature,
)
from consensus.votes import VoteBook
from identity.signing import SigningDomain
from ledger.block import CommitCertificate
from ledger.primitives import BlockHash, ConsensusKey, Height, NodeKey, Round, Signature

_SIGN_STEPS: Final = {VoteKind.PREVOTE: SignStep.PREVOTE, VoteKind.PRECOMMIT: SignStep.PRECOMMIT}
_VOTE_KINDS: Final = {SignStep.PREVOTE: VoteKind.PREVOTE, SignStep.PRECOMMIT: VoteKind.PRECOMMIT}

_NOT_THIS_HEIGHT: Final = "of another height"
_HEIGHT_OVER: Final = "the height is decided"
_KNOWN: Final = "known already"
_ROUND_TOO_OLD: Final = "of a round too long ago"
_ROUND_TOO_FAR: Final = "of a round too far ahead, from a member known to be that far"
_CONFLICTING: Final = "conflicts with an earlier message that counts"
_TOO_EARLY: Final = "of the next height, and there is no more room for its sender"
_NOT_ASKED: Final = "answers nothing that is open"
_SIGNER_FAILED: Final = "the signer gave a bad signature"
_SIGNING_REFUSED: Final = "refused to sign: "


class Core:
    """One member's, or observer's, part in deciding one height after another."""

    def __init__(
        self,
        domain: SigningDomain,
        own_key: ConsensusKey | None,
        safety: SafetyState = NOTHING_SIGNED,
        verify: Verify = verify_consensus_signature,
    ) -> None:
        """`safety` is what was saved last; without an own key the core only follows."""
        self._domain = domain
        self._own_key = own_key
        self._safety = safety
        self._verify = verify
        self._state: HeightState | None = None
        self._last_decision: Decision | None = None
        self._early = EarlyMessages()
        self._effects: list[Effect] = []
        self._ignored: dict[str, int] = {}

    def handle(self, event: Event) -> list[Effect]:
        """Take one event; the node performs the returned effects in order."""
        self._dispatch(event)
        effects, self._effects = self._effects, []
        return effects

    # queries

    @property
    def safety(self) -> SafetyState:
        """What this member has signed."""
        return self._safety

    @property
    def height(self) -> Height | None:
        """The height being decided; None before the first HeightStarted."""
        return None if self._state is None else self._state.height

    @property
    def step(self) -> Step:
        """Where in the round this member stands."""
        return Step.NEW_HEIGHT if self._state is None else self._state.step

    @property
    def round(self) -> Round:
        """The round going on."""
        return Round(0) if self._state is None else self._state.round

    @property
    def ignored_counts(self) -> dict[str, int]:
        """How many events changed nothing, by reason."""
        return dict(self._ignored)

    def get_summary(self) -> RoundSummary | None:
        """What to tell peers from time to time; None before the first HeightStarted."""
        return None if self._state is None else build_summary(self._state)

    def get_missing_for(self, summary: RoundSummary) -> list[Proposal | Vote]:
        """What a peer with this summary lacks and we have; a small number of messages."""
        return [] if self._state is None else find_missing(self._state, self._last_decision, summary)

    def explain_waiting(self) -> Waiting | None:
        """What stands between this member and the next block; None before the first HeightStarted."""
        return None if self._state is None else compute_waiting(self._state)

    def is_due(self, effect: Effect) -> bool:
        """Whether an effect from before a crash still has to be performed."""
        state = self._state
        match effect:
            case CheckBlock(proposal):
                return state is not None and state.checks.get(proposal.block_hash, True) is None
            case SignVote(vote):
                return state is not None and not self._has_vote(state, vote)
            case SignProposal(proposal):
                return state is not None and proposal.block_hash not in state.blocks
            case BuildBlock(height, round_number):
                return self._is_at(height, round_number, Step.PROPOSE) and not self._has_signed_for(SignStep.PROPOSAL)
            case FetchProposal(height, _, block_hash):
                return state is not None and state.height == height and state.is_block_wanted(block_hash)
            case ScheduleTimeout(height, round_number, step):
                return self._is_wait_open(height, round_number, step)
            case SaveSafety() | Broadcast() | Decide() | ReportEquivocation():
                return True
            case AppendLog() | SendTo() | BlameMessage():
                return False
            case _:
                assert_never(effect)

    # handlers

    def _dispatch(self, event: Event) -> None:
        match event:
            case HeightStarted():
                self._on_height_started(event)
            case WorkArrived():
                self._on_work_arrived(event)
            case ProposalReceived():
                self._on_proposal_received(event)
            case VoteReceived():
                self._on_vote_received(event)
            case BlockChecked():
                self._on_block_checked(event)
            case BlockBuilt():
                self._on_block_built(event)
            case VoteSigned():
                self._on_vote_signed(event)
            case ProposalSigned():
                self._on_proposal_signed(event)
            case TimedOut():
                self._on_timed_out(event)
            case RoundSkipped():
                self._on_round_skipped(event)
            case SummaryReceived(peer, summary):
                self._effects += [SendTo(peer, message) for message in self.get_missing_for(summary)]
            case _:
                assert_never(event)

    def _on_height_started(self, event: HeightStarted) -> None:
        previous = self._state
        assert previous is None or event.height > previous.height, "heights are decided once, in order"
        keys = [member.consensus_key for member in event.committee.members]
        assert len(set(keys)) == len(keys), "a consensus key has one seat"
        assert sorted(event.turns) == list(range(len(keys))), "every member has a turn"
        is_next = previous is not None and previous.height + 1 == event.height
        self._last_decision = previous.decision if previous is not None and is_next else None
        state = HeightState(
            event.height,
            event.committee,
            event.turns,
            event.previous_hash,
            event.previous_time_ms,
            event.timeouts,
            None if self._own_key is None else event.committee.find(self._own_key),
            VoteBook(len(keys)),
        )
        self._state = state
        self._effects.append(AppendLog(HeightBegan(event.height, event.previous_hash), sync=False))
        if state.own_index is not None and self._safety.height == event.height:
            self._resume(state, state.own_index)
        for early in self._early.take(event.height):
            self._dispatch(early)

    def _on_work_arrived(self, event: WorkArrived) -> None:
        state = self._get_state(event.height)
        if state is None or state.step is not Step.NEW_HEIGHT:
            return
        self._effects.append(AppendLog(event, sync=False))
        self._wake(state)
        self._apply_rules(state)

    def _on_proposal_received(self, event: ProposalReceived) -> None:
        state, proposal = self._get_state(event.proposal.height), event.proposal
        if state is None:
            self._keep_for_next_height(event)
            return
        if (reason := self._why_ignore_proposal(state, proposal)) is not None:
            self._ignore(reason)
            return
        if not is_proposal_authentic(proposal, state.committee, state.turns, self._domain, self._verify):
            self._blame(event.peer, "the signature of a proposal is bad")
            return
        if (fault := find_proposal_fault(proposal, state.committee, state.turns)) is not None:
            self._blame(event.peer, f"a proposal is against the rules: {fault}")
            return
        proposer = state.get_proposer(proposal.round)
        if state.is_round_ahead(proposal.round):
            self._note_far_message(state, proposer, proposal.round)
            return
        first = state.get_proposal(proposal.round)
        if first is not None and get_proposal_message(self._domain, first) != get_proposal_message(
            self._domain, proposal
        ):
            self._report_equivocation(state, first, proposal, (proposal.round, None, proposer))
            if not state.is_block_wanted(proposal.block_hash):
                self._ignore(_CONFLICTING)
                return
        self._effects.append(AppendLog(replace(event, peer=None), sync=False))
        self._wake(state)
        self._note_round(state, proposer, proposal.round)
        is_timely = state.timeouts.is_timely(proposal.header.time_ms, event.received_ms, proposal.round)
        if first is None and proposal.valid_round == NO_VALID_ROUND and is_timely:
            state.timely_rounds.add(proposal.round)
        self._store_proposal(state, proposal)
        self._apply_rules(state)

    def _on_vote_received(self, event: VoteReceived) -> None:
        state, vote = self._get_state(event.vote.height), event.vote
        if state is None:
            self._keep_for_next_height(event)
            return
        if (reason := self._why_ignore_vote(state, vote)) is not None:
            self._ignore(reason)
            return
        if not is_vote_authentic(vote, state.committee, self._domain, self._verify):
            self._blame(event.peer, "the signature of a vote is bad")
            return
        if state.is_round_ahead(vote.round):
            self._note_far_message(state, vote.member_index, vote.round)
            return
        first = state.votes.find_any(vote.round, vote.kind, vote.member_index)
        if first is not None:
            self._report_equivocation(state, first, vote, (vote.round, vote.kind, vote.member_index))
            if not state.is_vote_of_interest(vote.round, vote.block_hash):
                self._ignore(_CONFLICTING)
                return
        self._effects.append(AppendLog(replace(event, peer=None), sync=False))
        self._wake(state)
        self._note_round(state, vote.member_index, vote.round)
        state.votes.add(vote)
        self._apply_rules(state)

    def _on_block_checked(self, event: BlockChecked) -> None:
        state = self._state
        if state is None or state.checks.get(event.block_hash, True) is not None:
            self._ignore(_NOT_ASKED)
            return
        self._effects.append(AppendLog(event, sync=False))
        state.checks[event.block_hash] = event.is_valid
        self._apply_rules(state)

    def _on_block_built(self, event: BlockBuilt) -> None:
        state = self._get_state(event.height)
        if state is None or not self._is_at(event.height, event.round, Step.PROPOSE) or not state.is_own_turn:
            self._ignore(_NOT_ASKED)
            return
        proposal = Proposal(event.header, event.round, NO_VALID_ROUND, event.envelope_hashes, event.evidence, UNSIGNED)
        fault = find_proposal_fault(proposal, state.committee, state.turns) or state.find_block_fault(event.header)
        assert fault is None, f"the node built a block that breaks the rules: {fault}"
        self._request_proposal(state, proposal)

    def _on_vote_signed(self, event: VoteSigned) -> None:
        state, vote = self._state, event.vote
        if state is None or vote.height != state.height or vote.member_index != state.own_index:
            self._ignore(_NOT_ASKED)
            return
        if not is_vote_authentic(vote, state.committee, self._domain, self._verify):
            self._ignore(_SIGNER_FAILED)
            return
        message = get_vote_message(self._domain, vote)
        self._safety = record_signature(self._safety, _SIGN_STEPS[vote.kind], vote.height, message, vote.signature)
        self._accept_own_vote(state, vote)
        self._apply_rules(state)

    def _on_proposal_signed(self, event: ProposalSigned) -> None:
        state, proposal = self._state, event.proposal
        is_own = state is not None and state.own_index == state.get_proposer(proposal.round)
        if state is None or proposal.height != state.height or not is_own:
            self._ignore(_NOT_ASKED)
            return
        if not is_proposal_authentic(proposal, state.committee, state.turns, self._domain, self._verify):
            self._ignore(_SIGNER_FAILED)
            return
        message = get_proposal_message(self._domain, proposal)
        self._safety = record_signature(self._safety, SignStep.PROPOSAL, proposal.height, message, proposal.signature)
        self._accept_own_proposal(state, proposal)
        self._apply_rules(state)

    def _on_timed_out(self, event: TimedOut) -> None:
        if not self._is_wait_open(event.height, event.round, event.step):
            return
        state = self._state
        assert state is not None, "a wait is open"
        self._effects.append(AppendLog(event, sync=False))
        match event.step:
            case Step.PROPOSE:  # L57-L60
                self._prevote(state, None)
            case Step.PREVOTE:  # L61-L64
                self._precommit(state, None)
            case Step.PRECOMMIT:  # L65-L67
                self._enter_round(state, Round(state.round + 1))
            case Step.NEW_HEIGHT | Step.DECIDED:
                raise AssertionError("no wait is open in these steps")
        self._apply_rules(state)

    def _on_round_skipped(self, event: RoundSkipped) -> None:
        """Only the log tells this: what made the core skip may not be in the log, but later records rest on it."""
        state = self._get_state(event.height)
        if state is None or event.round <= state.round:
            return
        self._enter_round(state, event.round)
        self._apply_rules(state)

    # guards

    def _why_ignore_proposal(self, state: HeightState, proposal: Proposal) -> str | None:
        if state.is_round_ahead(proposal.round):
            is_known = state.farthest_rounds.get(state.get_proposer(proposal.round), -1) >= proposal.round
            return _ROUND_TOO_FAR if is_known else None
        if not state.is_round_kept(proposal.round):
            return _ROUND_TOO_OLD
        known = state.proposals.get(proposal.round, ())
        if any((other.block_hash, other.valid_round) == (proposal.block_hash, proposal.valid_round) for other in known):
            return _KNOWN
        is_reported = (proposal.round, None, state.get_proposer(proposal.round)) in state.equivocations
        return _CONFLICTING if is_reported and not state.is_block_wanted(proposal.block_hash) else None

    def _why_ignore_vote(self, state: HeightState, vote: Vote) -> str | None:
        if state.is_round_ahead(vote.round):
            is_known = state.farthest_rounds.get(vote.member_index, -1) >= vote.round
            return _ROUND_TOO_FAR if is_known else None
        if not state.is_round_kept(vote.round):
            return _ROUND_TOO_OLD
        if self._has_vote(state, vote):
            return _KNOWN
        is_reported = (vote.round, vote.kind, vote.member_index) in state.equivocations
        return _CONFLICTING if is_reported and not state.is_vote_of_interest(vote.round, vote.block_hash) else None

    def _get_state(self, height: Height) -> HeightState | None:
        """The state, if this height is the one being decided and still open."""
        state = self._state
        return state if state is not None and state.height == height and state.step is not Step.DECIDED else None

    def _has_vote(self, state: HeightState, vote: Vote) -> bool:
        return state.votes.find(vote.round, vote.kind, vote.block_hash, vote.member_index) is not None

    def _has_signed_for(self, step: SignStep) -> bool:
        """Whether this member has signed for this step of the current round, or for a later one."""
        state, safety = self._state, self._safety
        assert state is not None, "only asked while a height goes on"
        return (safety.height, safety.round, safety.step) >= (state.height, state.round, step)

    def _is_at(self, height: Height, round_number: Round, step: Step) -> bool:
        state = self._state
        return state is not None and (state.height, state.round, state.step) == (height, round_number, step)

    def _is_wait_open(self, height: Height, round_number: Round, step: Step) -> bool:
        """Whether the end of this wait still means something: L58, L62, L66."""
        state = self._state
        if state is None or not state.is_running or (state.height, state.round) != (height, round_number):
            return False
        return step is Step.PRECOMMIT or step is state.step

    # rules: each returns whether it changed the step, the round or a value, so that the others are tried again

    def _apply_rules(self, state: HeightState) -> None:
        while state.is_running and self._apply_one_rule(state):
            pass

    def _apply_one_rule(self, state: HeightState) -> bool:
        self._fetch_wanted_blocks(state)
        return (
            self._try_decide(state)
            or self._try_prevote_fresh(state)
            or self._try_prevote_again(state)
            or self._try_lock(state)
            or self._try_raise_valid(state)
            or self._try_precommit_nil(state)
            or self._try_wait_for_prevotes(state)
            or self._try_wait_for_precommits(state)
            or self._try_skip_round(state)
        )

    def _try_prevote_fresh(self, state: HeightState) -> bool:
        proposal = state.get_proposal(state.round)
        if state.step is not Step.PROPOSE or proposal is None or proposal.valid_round != NO_VALID_ROUND:  # L22
            return False
        block_hash = proposal.block_hash
        is_unlocked = state.locked_round == NO_VALID_ROUND or state.locked_hash == block_hash
        return self._try_prevote(state, block_hash, is_unlocked and state.round in state.timely_rounds)  # L23

    def _try_prevote_again(self, state: HeightState) -> bool:
        proposal = state.get_proposal(state.round)
        if state.step is not Step.PROPOSE or proposal is None or proposal.valid_round == NO_VALID_ROUND:
            return False
        block_hash, valid_round = proposal.block_hash, Round(proposal.valid_round)
        if not state.votes.has_quorum_for(valid_round, VoteKind.PREVOTE, block_hash):  # L28
            return False
        is_unlocked = state.locked_round <= valid_round or state.locked_hash == block_hash
        return self._try_prevote(state, block_hash, is_unlocked)  # L29

    def _try_prevote(self, state: HeightState, block_hash: BlockHash, is_acceptable: bool) -> bool:
        """Prevote the block, or nil; wait if that depends on a check the node has not answered."""
        is_valid = state.checks.get(block_hash)
        if is_acceptable and is_valid is None:
            return False
        self._prevote(state, block_hash if is_acceptable and is_valid else None)  # L24, L26, L30, L32
        return True

    def _try_lock(self, state: HeightState) -> bool:
        if state.step is Step.PROPOSE or state.is_polka_done:
            return False
        for block_hash in state.votes.get_quorum_blocks(state.round, VoteKind.PREVOTE):  # L36
            if state.checks.get(block_hash) is True:
                state.is_polka_done = True
                if state.step is Step.PREVOTE:  # L37
                    self._lock(state, block_hash)
                    self._precommit(state, block_hash)
                self._set_valid(state, state.round, block_hash)
                return True
        return False

    def _try_raise_valid(self, state: HeightState) -> bool:
        for round_number in reversed(state.votes.get_rounds()):
            if not state.valid_round < round_number < state.round:
                continue
            for block_hash in state.votes.get_quorum_blocks(round_number, VoteKind.PREVOTE):
                if state.checks.get(block_hash) is True:
                    self._set_valid(state, round_number, block_hash)
                    return True
        return False

    def _try_precommit_nil(self, state: HeightState) -> bool:
        if state.step is not Step.PREVOTE or not state.votes.has_quorum_for(state.round, VoteKind.PREVOTE, None):  # L44
            return False
        self._precommit(state, None)  # L45
        return True

    def _try_wait_for_prevotes(self, state: HeightState) -> bool:
        is_due = state.step is Step.PREVOTE and not state.is_prevote_wait_scheduled
        if is_due and state.votes.has_quorum_any(state.round, VoteKind.PREVOTE):  # L34
            state.is_prevote_wait_scheduled = True
            self._schedule(state, Step.PREVOTE)  # L35
        return False

    def _try_wait_for_precommits(self, state: HeightState) -> bool:
        is_due = not state.is_precommit_wait_scheduled
        if is_due and state.votes.has_quorum_any(state.round, VoteKind.PRECOMMIT):  # L47
            state.is_precommit_wait_scheduled = True
            self._schedule(state, Step.PRECOMMIT)  # L48
        return False

    def _try_decide(self, state: HeightState) -> bool:
        for round_number in state.votes.get_rounds():
            for block_hash in state.votes.get_quorum_blocks(round_number, VoteKind.PRECOMMIT):  # L49
                if block_hash in state.blocks and state.checks.get(block_hash) is True:  # L50
                    self._decide(state, round_number, block_hash)
                    return True
        return False

    def _try_skip_round(self, state: HeightState) -> bool:
        round_number = state.compute_skip_round()  # L55
        if round_number is None:
            return False
        self._effects.append(AppendLog(RoundSkipped(state.height, round_number), sync=False))
        self._enter_round(state, round_number)  # L56
        return True

    def _fetch_wanted_blocks(self, state: HeightState) -> None:
        for round_number in state.votes.get_rounds():
            for kind in VoteKind:
                for block_hash in state.votes.get_quorum_blocks(round_number, kind):
                    if block_hash not in state.blocks and (round_number, block_hash) not in state.fetches:
                        state.fetches.add((round_number, block_hash))
                        self._effects.append(FetchProposal(state.height, round_number, block_hash))

    # transitions

    def _wake(self, state: HeightState) -> None:
        if state.step is Step.NEW_HEIGHT:
            self._enter_round(state, Round(0))  # L10

    def _resume(self, state: HeightState, own_index: int) -> None:
        """Go on at the round in which this member signed last, with the lock and the votes it had.

        Earlier rounds are of no use to it: it could not sign there. Its votes go out again, for others may wait.
        """
        safety = self._safety
        state.locked_round, state.locked_hash = safety.locked_round, safety.locked_hash
        state.valid_round, state.valid_hash = safety.locked_round, safety.locked_hash
        self._enter_round(state, safety.round)
        for step, kind in _VOTE_KINDS.items():
            last = safety.get_last(step)
            if last is None:
                continue
            vote = Vote(kind, state.height, last.round, last.block_hash, own_index, last.signature or UNSIGNED)
            if last.signature is not None:
                self._accept_own_vote(state, vote)
            elif last.message == get_vote_message(self._domain, vote):
                self._effects += [SaveSafety(safety), SignVote(vote, last.message)]
        self._apply_rules(state)

    def _enter_round(self, state: HeightState, round_number: Round) -> None:
        """L11: StartRound."""
        state.round, state.step = round_number, Step.PROPOSE  # L12, L13
        state.is_polka_done = state.is_prevote_wait_scheduled = state.is_precommit_wait_scheduled = False
        self._forget_far_rounds(state)
        if state.is_own_turn:  # L14
            self._propose(state)
        self._schedule(state, Step.PROPOSE)  # L21

    def _propose(self, state: HeightState) -> None:
        if state.valid_hash is not None:  # L15
            block = state.blocks.get(state.valid_hash)
            if block is not None:
                proposal = replace(block, round=state.round, valid_round=state.valid_round, signature=UNSIGNED)
                self._request_proposal(state, proposal)  # L16, L19
        elif not self._has_signed_for(SignStep.PROPOSAL):
            self._effects.append(BuildBlock(state.height, state.round))  # L18

    def _prevote(self, state: HeightState, block_hash: BlockHash | None) -> None:
        state.step = Step.PREVOTE  # L27, L33, L60
        self._request_vote(state, VoteKind.PREVOTE, block_hash)

    def _precommit(self, state: HeightState, block_hash: BlockHash | None) -> None:
        state.step = Step.PRECOMMIT  # L41, L46, L64
        self._request_vote(state, VoteKind.PRECOMMIT, block_hash)

    def _lock(self, state: HeightState, block_hash: BlockHash) -> None:
        if state.round > state.locked_round:  # a lock from before a restart is never given up for an older one
            state.locked_hash, state.locked_round = block_hash, state.round  # L38, L39
        self._effects.append(AppendLog(LockTaken(state.height, state.round, block_hash), sync=True))

    def _set_valid(self, state: HeightState, round_number: Round, block_hash: BlockHash) -> None:
        if round_number > state.valid_round:
            state.valid_hash, state.valid_round = block_hash, round_number  # L42, L43

    def _decide(self, state: HeightState, round_number: Round, block_hash: BlockHash) -> None:
        votes = state.votes.get_votes_for(round_number, VoteKind.PRECOMMIT, block_hash)
        signatures = tuple((vote.member_index, vote.signature) for vote in votes)
        certificate = CommitCertificate(state.height, round_number, block_hash, signatures)
        state.decision = Decision(state.blocks[block_hash], certificate)  # L51
        state.step = Step.DECIDED  # the next height begins when the node has persisted this one: L52-L54
        self._effects.append(Decide(state.decision.proposal, certificate))

    def _schedule(self, state: HeightState, step: Step) -> None:
        delay_ms = state.timeouts.compute_delay_ms(step, state.round)
        self._effects.append(ScheduleTimeout(state.height, state.round, step, delay_ms))

    def _store_proposal(self, state: HeightState, proposal: Proposal) -> None:
        block_hash = proposal.block_hash
        state.proposals.setdefault(proposal.round, []).append(proposal)
        state.blocks.setdefault(block_hash, proposal)
        if block_hash in state.checks:
            return
        if state.find_block_fault(proposal.header) is not None:
            state.checks[block_hash] = False
        else:
            state.checks[block_hash] = None
            self._effects.append(CheckBlock(proposal))

    def _request_vote(self, state: HeightState, kind: VoteKind, block_hash: BlockHash | None) -> None:
        if state.own_index is None:
            return
        vote = Vote(kind, state.height, state.round, block_hash, state.own_index, UNSIGNED)
        message = get_vote_message(self._domain, vote)
        signature = self._ask_to_sign(state, _SIGN_STEPS[kind], block_hash, message, SignVote(vote, message))
        if signature is not None:
            self._accept_own_vote(state, replace(vote, signature=signature))

    def _request_proposal(self, state: HeightState, proposal: Proposal) -> None:
        message = get_proposal_message(self._domain, proposal)
        signature = self._ask_to_sign(
            state, SignStep.PROPOSAL, proposal.block_hash, message, SignProposal(proposal, message)
        )
        if signature is not None:
            self._accept_own_proposal(state, replace(proposal, signature=signature))

    def _ask_to_sign(
        self,
        state: HeightState,
        step: SignStep,
        block_hash: BlockHash | None,
        message: bytes,
        ask: SignVote | SignProposal,
    ) -> Signature | None:
        """Save the safety state and ask the signer; or the signature, if this very message was signed before."""
        request = SignRequest(
            state.height, state.round, step, block_hash, message, state.locked_round, state.locked_hash
        )
        match check_may_sign(self._safety, request):
            case MaySign(safety):
                self._safety = safety
                self._effects += [SaveSafety(safety), ask]
                return None
            case AlreadySigned(signature):
                return signature
            case Refused(reason):
                self._ignore(_SIGNING_REFUSED + reason)
                return None

    def _accept_own_vote(self, state: HeightState, vote: Vote) -> None:
        """Count and send our own signed vote."""
        if self._has_vote(state, vote) or not state.is_round_kept(vote.round):
            return
        other = state.votes.find_any(vote.round, vote.kind, vote.member_index)
        if other is not None:  # somebody else signs with our key
            self._report_equivocation(state, other, vote, (vote.round, vote.kind, vote.member_index))
        state.votes.add(vote)
        self._effects += [AppendLog(VoteSigned(vote), sync=False), Broadcast(vote)]

    def _accept_own_proposal(self, state: HeightState, proposal: Proposal) -> None:
        """Count and send our own signed proposal, with the polka it rests on if it is an earlier round's block."""
        known = state.proposals.get(proposal.round, ())
        is_known = any(other.block_hash == proposal.block_hash for other in known)
        if is_known or not state.is_round_kept(proposal.round):
            return
        state.checks[proposal.block_hash] = True  # we only sign what we built, or held for valid
        if proposal.valid_round == NO_VALID_ROUND:
            state.timely_rounds.add(proposal.round)
        self._effects += [AppendLog(ProposalSigned(proposal), sync=False), Broadcast(proposal)]
        self._store_proposal(state, proposal)
        if proposal.valid_round != NO_VALID_ROUND:
            polka = state.votes.get_votes_for(Round(proposal.valid_round), VoteKind.PREVOTE, proposal.block_hash)
            self._effects += [Broadcast(vote) for vote in polka]

    def _note_round(self, state: HeightState, member_index: int, round_number: Round) -> None:
        """Remember how far a member is, for L55."""
        known = state.farthest_rounds.get(member_index, Round(-1))
        state.farthest_rounds[member_index] = max(known, round_number)

    def _note_far_message(self, state: HeightState, member_index: int, round_number: Round) -> None:
        """A message too far ahead to keep. It is not logged either, or a lying member could fill the disk."""
        self._wake(state)
        self._note_round(state, member_index, round_number)
        self._apply_rules(state)

    def _forget_far_rounds(self, state: HeightState) -> None:
        """Drop what concerns rounds long ago, except what locks, valid values and open proposals rest on."""
        rounds = {*state.votes.get_rounds(), *state.proposals}
        kept = {round_number for round_number in rounds if state.is_round_kept(round_number)}
        if kept == rounds:
            return
        state.votes.keep_rounds(kept)
        state.proposals = {number: held for number, held in state.proposals.items() if number in kept}
        needed = {proposal.block_hash for held in state.proposals.values() for proposal in held}
        needed |= {block_hash for block_hash in (state.valid_hash, state.locked_hash) if block_hash is not None}
        state.blocks = {block_hash: held for block_hash, held in state.blocks.items() if block_hash in needed}
        state.checks = {block_hash: held for block_hash, held in state.checks.items() if block_hash in needed}
        state.timely_rounds &= kept
        state.fetches = {fetch for fetch in state.fetches if fetch[0] in kept}
        state.equivocations = {reported for reported in state.equivocations if reported[0] in kept}

    def _keep_for_next_height(self, event: EarlyEvent) -> None:
        state = self._state
        height = get_height(event)
        if state is None or height != state.height + 1:
            is_over = state is not None and height == state.height
            self._ignore(_HEIGHT_OVER if is_over else _NOT_THIS_HEIGHT)
        elif not self._early.add(event):
            self._ignore(_TOO_EARLY)

    def _report_equivocation(
        self,
        state: HeightState,
        first: Vote | Proposal,
        second: Vote | Proposal,
        case: tuple[Round, VoteKind | None, int],
    ) -> None:
        if case not in state.equivocations:
            state.equivocations.add(case)
            self._effects.append(ReportEquivocation(first, second))

    def _blame(self, peer: NodeKey | None, reason: str) -> None:
        self._ignore(reason)
        if peer is not None:
            self._effects.append(BlameMessage(peer, reason))

    def _ignore(self, reason: str) -> None:
        self._ignored[reason] = self._ignored.get(reason, 0) + 1
