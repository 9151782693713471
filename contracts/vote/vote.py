"""A vote among registered members: each has a weight, may vote, change it, or hand the vote on.

Handed-on votes form trees: every member has at most one delegate, and nobody can hand a vote to somebody whose own
vote comes back in the end. `power` of a member is its weight and the power of all who handed their votes to it; the
member at the root of a tree decides for all of it.
"""

from typing import Final, Literal

from iov import (
    ROUND_UP,
    Address,
    Contract,
    IndexedMap,
    List,
    Map,
    Var,
    call,
    context,
    emit,
    event,
    init,
    mul_div,
    range,
    replace,
    require,
    revert,
    struct,
    u8,
    u16,
    u64,
    u128,
    view,
)

NOT_CONVENER: Final = 1
BAD_CHOICES: Final = 2
BAD_QUORUM: Final = 3
NOT_REGISTERING: Final = 4
ALREADY_REGISTERED: Final = 5
WEIGHT_ZERO: Final = 6
TOO_MANY_MEMBERS: Final = 7
NO_MEMBERS: Final = 8
BAD_END: Final = 9
NOT_OPEN: Final = 10
NOT_MEMBER: Final = 11
UNKNOWN_CHOICE: Final = 12
HAS_DELEGATED: Final = 13
NOT_DELEGATED: Final = 14
LOOP: Final = 15
TOO_EARLY: Final = 16

REGISTERING: Final = u8(1)
OPEN: Final = u8(2)
CLOSED: Final = u8(3)

CHOICES_MAX: Final = 8
BPS: Final = 10_000
MEMBERS_MAX: Final = 200  # a chain of delegates is walked in one call: so long can it become at most
PAGE_MAX: Final = 50


@struct
class Weight:
    """What a member is registered with."""

    member: Address
    weight: u64


@struct
class Member:
    """Where a member stands."""

    weight: u64
    power: u64  # its weight and the power of those whose delegate it is
    delegate: Address | None
    choice: u8  # 0 until it votes


@struct
class Result:
    """How the vote stands, or ended."""

    tallies: List[u64, Literal[8]]  # weight of each choice, the first one first
    turnout: u64
    registered: u64
    is_closed: bool
    is_quorate: bool
    winner: u8  # the choice with most weight; 0 while the quorum is missed, and when several are equal


@event
class Registered:
    """Somebody may vote."""

    member: Address
    weight: u64


@event
class OpenedVote:
    """Votes are taken."""

    closes_ms: u64
    registered: u64


@event
class Voted:
    """A member decided for so much power."""

    member: Address
    choice: u8
    power: u64


@event
class Delegated:
    """A member handed its power on."""

    member: Address
    delegate: Address
    power: u64


@event
class TookBack:
    """A member decides for itself again."""

    member: Address
    power: u64


@event
class ClosedVote:
    """The result is final."""

    winner: u8
    turnout: u64


class Vote(Contract):
    """The power of all without a delegate adds up to the registered weight, of those who voted to the tallies."""

    question: Var[str]
    convener: Var[Address]
    choices: Var[u8]
    quorum_bps: Var[u16]
    stage: Var[u8]
    closes_ms: Var[u64]
    registered: Var[u64]
    members: IndexedMap[Address, Member]
    tallies: Map[u8, u64]

    @init
    def create(self, question: str, choices: u8, quorum_bps: u16) -> None:
        """The publisher convenes; choices are numbered from 1, the quorum is a share of all weight."""
        require(2 <= choices <= CHOICES_MAX, BAD_CHOICES)
        require(quorum_bps <= BPS, BAD_QUORUM)
        self.question = question
        self.convener = context.caller
        self.choices = choices
        self.quorum_bps = quorum_bps
        self.stage = REGISTERING
        self.closes_ms = u64(0)
        self.registered = u64(0)

    @call
    def register(self, weights: List[Weight, Literal[50]]) -> None:
        """Add members, before the vote is opened."""
        self._check_registering()
        total = self.registered
        for entry in weights:
            require(entry.weight > 0, WEIGHT_ZERO)
            require(entry.member not in self.members, ALREADY_REGISTERED)
            self.members[entry.member] = Member(entry.weight, entry.weight, None, u8(0))
            total += entry.weight
            emit(Registered(entry.member, entry.weight))
        require(len(self.members) <= MEMBERS_MAX, TOO_MANY_MEMBERS)
        self.registered = total

    @call
    def open_vote(self, closes_ms: u64) -> None:
        """Fix the members and take votes until a moment."""
        self._check_registering()
        require(len(self.members) > 0, NO_MEMBERS)
        require(closes_ms > context.time_ms, BAD_END)
        self.stage = OPEN
        self.closes_ms = closes_ms
        emit(OpenedVote(closes_ms, self.registered))

    @call
    def cast(self, choice: u8) -> None:
        """Vote, or vote otherwise, with the own weight and all that was handed on."""
        self._check_open()
        member = self._get_member(context.caller)
        require(member.delegate is None, HAS_DELEGATED)
        require(0 < choice <= self.choices, UNKNOWN_CHOICE)
        self._uncount(member.choice, member.power)
        self._count(choice, member.power)
        self.members[context.caller] = replace(member, choice=choice)
        emit(Voted(context.caller, choice, member.power))

    @call
    def delegate(self, delegate: Address) -> None:
        """Hand the vote on, with all that was handed to the caller; an own vote is withdrawn."""
        self._check_open()
        member = self._get_member(context.caller)
        require(member.delegate is None, HAS_DELEGATED)
        self._uncount(member.choice, member.power)
        self.members[context.caller] = replace(member, delegate=delegate, choice=u8(0))
        place = delegate
        while True:
            require(place != context.caller, LOOP)
            passed = self._get_member(place)
            self.members[place] = replace(passed, power=passed.power + member.power)
            following = passed.delegate
            if following is None:
                self._count(passed.choice, member.power)
                break
            place = following
        emit(Delegated(context.caller, delegate, member.power))

    @call
    def take_back(self) -> None:
        """Decide for oneself again."""
        self._check_open()
        member = self._get_member(context.caller)
        following = member.delegate
        if following is None:
            revert(NOT_DELEGATED)
        self.members[context.caller] = replace(member, delegate=None)
        place = following
        while True:
            passed = self._get_member(place)
            self.members[place] = replace(passed, power=passed.power - member.power)
            following = passed.delegate
            if following is None:
                self._uncount(passed.choice, member.power)
                break
            place = following
        emit(TookBack(context.caller, member.power))

    @call
    def close(self) -> None:
        """Anybody fixes the result when the time is over."""
        require(self.stage == OPEN, NOT_OPEN)
        require(context.time_ms >= self.closes_ms, TOO_EARLY)
        self.stage = CLOSED
        result = self._compute_result()
        emit(ClosedVote(result.winner, result.turnout))

    @view
    def result(self) -> Result:
        """How the vote stands, or ended."""
        return self._compute_result()

    @view
    def find_member(self, member: Address) -> Member | None:
        """Where a member stands, if it is one."""
        return self.members.get(member)

    @view
    def decides_for(self, member: Address) -> Address:
        """Who votes for a member in the end; the member itself if it handed nothing on."""
        place = member
        following = self._get_member(place).delegate
        while following is not None:
            place = following
            following = self._get_member(place).delegate
        return place

    @view
    def list_weights(self, first: u64) -> List[Weight, Literal[50]]:
        """Registered members from a position on, as many as fit."""
        page = List[Weight, Literal[50]]()
        if first < len(self.members):
            for index in range(first, min(u64(len(self.members)), first + PAGE_MAX)):
                member = self.members.key_at(index)
                page.append(Weight(member, self.members[member].weight))
        return page

    def _check_registering(self) -> None:
        require(context.caller == self.convener, NOT_CONVENER)
        require(self.stage == REGISTERING, NOT_REGISTERING)

    def _check_open(self) -> None:
        require(self.stage == OPEN and context.time_ms < self.closes_ms, NOT_OPEN)

    def _get_member(self, address: Address) -> Member:
        member = self.members.get(address)
        if member is None:
            revert(NOT_MEMBER)
        return member

    def _count(self, choice: u8, power: u64) -> None:
        if choice > 0:
            self.tallies[choice] = self.tallies.get(choice, u64(0)) + power

    def _uncount(self, choice: u8, power: u64) -> None:
        if choice > 0:
            self.tallies[choice] = self.tallies[choice] - power

    def _compute_result(self) -> Result:
        tallies = List[u64, Literal[8]]()
        turnout = u64(0)
        most = u64(0)
        winner = u8(0)
        for choice in range(u8(1), self.choices + 1):
            tally = self.tallies.get(choice, u64(0))
            tallies.append(tally)
            turnout += tally
            if tally > most:
                most = tally
                winner = choice
            elif tally == most:
                winner = u8(0)
        needed = mul_div(u128(self.registered), u128(self.quorum_bps), u128(BPS), ROUND_UP)
        is_quorate = turnout > 0 and u128(turnout) >= needed
        if not is_quorate:
            winner = u8(0)
        return Result(tallies, turnout, self.registered, self.stage == CLOSED, is_quorate, winner)
