"""Membership passes: numbered, each with a holder, a tier of benefits and an end."""

from typing import Final, Literal

from iov import (
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
    range,
    replace,
    require,
    revert,
    struct,
    u8,
    u32,
    u64,
    view,
)

NOT_ORGANISER: Final = 1
NO_PASS: Final = 2
NOT_HOLDER: Final = 3
UNKNOWN_TIER: Final = 4
EXPIRY_NOT_LATER: Final = 5
EXPIRED: Final = 6
SAME_HOLDER: Final = 7

PAGE_MAX: Final = 50  # passes in one answer: about 2 kB


@struct
class Pass:
    """One membership."""

    holder: Address
    tier: u8
    expires_ms: u64  # the first moment at which it is no longer valid


@struct
class NumberedPass:
    """A pass in a list."""

    number: u64
    membership: Pass


@event
class Minted:
    """There is a new pass."""

    number: u64
    holder: Address
    tier: u8
    expires_ms: u64


@event
class Transferred:
    """A pass has another holder."""

    number: u64
    sender: Address
    recipient: Address


@event
class Renewed:
    """A pass lasts longer."""

    number: u64
    expires_ms: u64


@event
class TierChanged:
    """A pass gives other benefits."""

    number: u64
    tier: u8


@event
class Burned:
    """A pass is gone; its number is not used again."""

    number: u64
    holder: Address


@event
class HandedOver:
    """Somebody else issues passes from now on."""

    organiser: Address


class Membership(Contract):
    """Every pass has one holder; the holders' counts add up to the number of passes."""

    name: Var[str]
    organiser: Var[Address]
    tiers: Var[u8]
    minted: Var[u64]
    passes: IndexedMap[u64, Pass]
    held: Map[Address, u32]

    @init
    def create(self, name: str, tiers: u8) -> None:
        """The publisher issues the passes; tiers are numbered from 1."""
        require(tiers > 0, UNKNOWN_TIER)
        self.name = name
        self.organiser = context.caller
        self.tiers = tiers
        self.minted = u64(0)

    @call
    def mint(self, holder: Address, tier: u8, expires_ms: u64) -> u64:
        """Issue a pass; gives its number, counted from 1."""
        self._check_organiser()
        self._check_tier(tier)
        require(expires_ms > context.time_ms, EXPIRY_NOT_LATER)
        number = self.minted + 1
        self.minted = number
        self.passes[number] = Pass(holder, tier, expires_ms)
        self.held[holder] = self.held.get(holder, u32(0)) + 1
        emit(Minted(number, holder, tier, expires_ms))
        return number

    @call
    def transfer(self, number: u64, recipient: Address) -> None:
        """Give an own valid pass away."""
        membership = self._get_pass(number)
        require(membership.holder == context.caller, NOT_HOLDER)
        require(context.time_ms < membership.expires_ms, EXPIRED)
        require(recipient != context.caller, SAME_HOLDER)
        self.passes[number] = replace(membership, holder=recipient)
        self._count_down(context.caller)
        self.held[recipient] = self.held.get(recipient, u32(0)) + 1
        emit(Transferred(number, context.caller, recipient))

    @call
    def renew(self, number: u64, expires_ms: u64) -> None:
        """Let a pass last longer, also one that has expired."""
        self._check_organiser()
        membership = self._get_pass(number)
        require(expires_ms > max(membership.expires_ms, context.time_ms), EXPIRY_NOT_LATER)
        self.passes[number] = replace(membership, expires_ms=expires_ms)
        emit(Renewed(number, expires_ms))

    @call
    def change_tier(self, number: u64, tier: u8) -> None:
        """Give a pass other benefits."""
        self._check_organiser()
        self._check_tier(tier)
        membership = self._get_pass(number)
        self.passes[number] = replace(membership, tier=tier)
        emit(TierChanged(number, tier))

    @call
    def burn(self, number: u64) -> None:
        """End a pass: its holder at any time, the organiser once it has expired."""
        membership = self._get_pass(number)
        if membership.holder != context.caller:
            require(context.caller == self.organiser, NOT_HOLDER)
            require(context.time_ms >= membership.expires_ms, NOT_HOLDER)
        del self.passes[number]
        self._count_down(membership.holder)
        emit(Burned(number, membership.holder))

    @call
    def hand_over(self, organiser: Address) -> None:
        """Let somebody else issue passes."""
        self._check_organiser()
        self.organiser = organiser
        emit(HandedOver(organiser))

    @view
    def owner_of(self, number: u64) -> Address:
        """Who holds a pass, valid or not."""
        return self._get_pass(number).holder

    @view
    def find_pass(self, number: u64) -> Pass | None:
        """A pass, if there is one of that number."""
        return self.passes.get(number)

    @view
    def has_benefits(self, holder: Address, number: u64, tier: u8) -> bool:
        """Whether the holder has this pass, it is valid, and its tier is at least the given one."""
        membership = self.passes.get(number)
        if membership is None:
            return False
        is_valid = context.time_ms < membership.expires_ms
        return membership.holder == holder and is_valid and membership.tier >= tier

    @view
    def balance_of(self, holder: Address) -> u32:
        """How many passes somebody holds, valid or not."""
        return self.held.get(holder, u32(0))

    @view
    def count(self) -> u64:
        """How many passes there are."""
        return u64(len(self.passes))

    @view
    def list_passes(self, first: u64) -> List[NumberedPass, Literal[50]]:
        """Passes from a position on, as many as fit."""
        page = List[NumberedPass, Literal[50]]()
        if first < len(self.passes):
            for index in range(first, min(u64(len(self.passes)), first + PAGE_MAX)):
                number = self.passes.key_at(index)
                page.append(NumberedPass(number, self.passes[number]))
        return page

    def _check_organiser(self) -> None:
        require(context.caller == self.organiser, NOT_ORGANISER)

    def _check_tier(self, tier: u8) -> None:
        require(0 < tier <= self.tiers, UNKNOWN_TIER)

    def _get_pass(self, number: u64) -> Pass:
        membership = self.passes.get(number)
        if membership is None:
            revert(NO_PASS)
        return membership

    def _count_down(self, holder: Address) -> None:
        left = self.held[holder] - 1
        if left == 0:
            del self.held[holder]
        else:
            self.held[holder] = left
