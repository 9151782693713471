"""Service credits: what issuers (car makers, insurers) grant to customers, to be spent at one workshop until a day.

A credit is counted in the smallest unit that is ever charged. A customer redeems the credits that expire first, the
workshop gets a claim on whoever issued them, and the issuer settles the claim in IOV at the rate it was admitted with.
"""

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
    payable,
    range,
    replace,
    require,
    revert,
    struct,
    transfer,
    u64,
    view,
)

NOT_OPERATOR: Final = 1
ALREADY_KNOWN: Final = 2
RATE_ZERO: Final = 3
NOT_ISSUER: Final = 4
UNKNOWN_ISSUER: Final = 5
UNKNOWN_WORKSHOP: Final = 6
AMOUNT_ZERO: Final = 7
EXPIRY_NOT_LATER: Final = 8
TOO_MANY_LOTS: Final = 9
BAD_HASH: Final = 10
NOT_ENOUGH_CREDITS: Final = 11
MORE_THAN_OWED: Final = 12
WRONG_PAYMENT: Final = 13

LOTS_MAX: Final = 16  # of one customer at one workshop: each is read with every redemption
PAGE_MAX: Final = 50
HASH_BYTES: Final = 32


@struct
class Account:
    """A customer's credits at a workshop."""

    customer: Address
    workshop: Address


@struct
class Lot:
    """Credits of one issuer that expire together."""

    issuer: Address
    credits: u64
    expires_ms: u64  # the first moment at which they are gone


Lots = List[Lot, Literal[16]]


@struct
class Claim:
    """Whose credits a workshop took."""

    issuer: Address
    workshop: Address


@struct
class Issuer:
    """granted = outstanding + redeemed + expired; redeemed = owed + settled."""

    is_active: bool  # whether it may grant more
    grains_per_credit: u64
    granted: u64
    redeemed: u64
    expired: u64
    settled: u64


@struct
class Debt:
    """What an issuer owes to a workshop."""

    issuer: Address
    credits: u64
    grains: u64


@event
class IssuerAdmitted:
    """Somebody may grant credits."""

    issuer: Address
    grains_per_credit: u64


@event
class IssuerStopped:
    """Somebody grants no more; what was granted stays good."""

    issuer: Address


@event
class WorkshopAdmitted:
    """Credits may be granted for a workshop."""

    workshop: Address


@event
class WorkshopStopped:
    """No more credits are granted for a workshop; it still redeems those it has."""

    workshop: Address


@event
class Granted:
    """A customer has more credits."""

    issuer: Address
    customer: Address
    workshop: Address
    credits: u64
    expires_ms: u64


@event
class Redeemed:
    """A customer paid a workshop with credits of one issuer."""

    issuer: Address
    customer: Address
    workshop: Address
    credits: u64
    order_hash: bytes


@event
class Expired:
    """Credits are gone."""

    issuer: Address
    customer: Address
    workshop: Address
    credits: u64


@event
class SettledDebt:
    """An issuer paid a workshop."""

    issuer: Address
    workshop: Address
    credits: u64
    grains: u64


class Credits(Contract):
    """No credit appears or disappears: see `Issuer`."""

    operator: Var[Address]
    issuers: IndexedMap[Address, Issuer]
    workshops: Map[Address, bool]
    lots: Map[Account, Lots]
    owed: Map[Claim, u64]

    @init
    def create(self) -> None:
        """The publisher admits issuers and workshops."""
        self.operator = context.caller

    @call
    def admit_issuer(self, issuer: Address, grains_per_credit: u64) -> None:
        """Let somebody grant credits, at a rate that never changes."""
        self._check_operator()
        require(grains_per_credit > 0, RATE_ZERO)
        require(issuer not in self.issuers, ALREADY_KNOWN)
        self.issuers[issuer] = Issuer(True, grains_per_credit, u64(0), u64(0), u64(0), u64(0))
        emit(IssuerAdmitted(issuer, grains_per_credit))

    @call
    def stop_issuer(self, issuer: Address) -> None:
        """Let an issuer grant no more."""
        self._check_operator()
        known = self._get_issuer(issuer)
        require(known.is_active, NOT_ISSUER)
        self.issuers[issuer] = replace(known, is_active=False)
        emit(IssuerStopped(issuer))

    @call
    def admit_workshop(self, workshop: Address) -> None:
        """Let credits be granted for a workshop, also again after a stop."""
        self._check_operator()
        require(not self.workshops.get(workshop, False), ALREADY_KNOWN)
        self.workshops[workshop] = True
        emit(WorkshopAdmitted(workshop))

    @call
    def stop_workshop(self, workshop: Address) -> None:
        """Let no more credits be granted for a workshop."""
        self._check_operator()
        require(self.workshops.get(workshop, False), UNKNOWN_WORKSHOP)
        self.workshops[workshop] = False
        emit(WorkshopStopped(workshop))

    @call
    def grant(self, customer: Address, workshop: Address, credits: u64, expires_ms: u64) -> None:
        """Give a customer credits; those that expire together are one lot."""
        issuer = self.issuers.get(context.caller)
        if issuer is None:
            revert(NOT_ISSUER)
        require(issuer.is_active, NOT_ISSUER)
        require(self.workshops.get(workshop, False), UNKNOWN_WORKSHOP)
        require(credits > 0, AMOUNT_ZERO)
        require(expires_ms > context.time_ms, EXPIRY_NOT_LATER)
        self.issuers[context.caller] = replace(issuer, granted=issuer.granted + credits)
        account = Account(customer, workshop)
        held = self._drop_expired(account)
        self.lots[account] = self._insert(held, Lot(context.caller, credits, expires_ms))
        emit(Granted(context.caller, customer, workshop, credits, expires_ms))

    @call
    def redeem(self, workshop: Address, credits: u64, order_hash: bytes) -> None:
        """Pay a workshop with the caller's credits; those that expire first go first."""
        require(credits > 0, AMOUNT_ZERO)
        require(len(order_hash) == HASH_BYTES, BAD_HASH)
        account = Account(context.caller, workshop)
        kept = Lots()
        left = credits
        for lot in self._drop_expired(account):
            taken = min(lot.credits, left)
            if taken > 0:
                left -= taken
                self._claim(lot.issuer, workshop, taken)
                emit(Redeemed(lot.issuer, context.caller, workshop, taken, order_hash))
            if taken < lot.credits:
                kept.append(replace(lot, credits=lot.credits - taken))
        require(left == 0, NOT_ENOUGH_CREDITS)
        self._store_lots(account, kept)

    @call
    def expire(self, customer: Address, workshop: Address) -> None:
        """Anybody may have expired credits struck off."""
        account = Account(customer, workshop)
        self._store_lots(account, self._drop_expired(account))

    @call
    @payable
    def settle(self, workshop: Address, credits: u64) -> None:
        """An issuer pays a workshop for credits it took; exactly their price comes with the call."""
        issuer = self._get_issuer(context.caller)
        claim = Claim(context.caller, workshop)
        owed = self.owed.get(claim, u64(0))
        require(credits > 0, AMOUNT_ZERO)
        require(credits <= owed, MORE_THAN_OWED)
        require(context.value == credits * issuer.grains_per_credit, WRONG_PAYMENT)
        if credits == owed:
            del self.owed[claim]
        else:
            self.owed[claim] = owed - credits
        self.issuers[context.caller] = replace(issuer, settled=issuer.settled + credits)
        transfer(workshop, context.value)
        emit(SettledDebt(context.caller, workshop, credits, context.value))

    @view
    def credits_of(self, customer: Address, workshop: Address) -> u64:
        """Credits that can be spent now."""
        total = u64(0)
        for lot in self.lots.get(Account(customer, workshop), Lots()):
            if context.time_ms < lot.expires_ms:
                total += lot.credits
        return total

    @view
    def list_lots(self, customer: Address, workshop: Address) -> Lots:
        """All lots, those that expire first in front; expired ones are among them until they are struck off."""
        return self.lots.get(Account(customer, workshop), Lots())

    @view
    def find_issuer(self, issuer: Address) -> Issuer | None:
        """An issuer's books."""
        return self.issuers.get(issuer)

    @view
    def owed_by(self, issuer: Address, workshop: Address) -> u64:
        """Credits an issuer has to settle with a workshop."""
        return self.owed.get(Claim(issuer, workshop), u64(0))

    @view
    def list_debts(self, workshop: Address, first: u64) -> List[Debt, Literal[50]]:
        """What is owed to a workshop by the issuers from a position on; issuers without a debt are left out."""
        page = List[Debt, Literal[50]]()
        if first < len(self.issuers):
            for index in range(first, min(u64(len(self.issuers)), first + PAGE_MAX)):
                issuer = self.issuers.key_at(index)
                credits = self.owed.get(Claim(issuer, workshop), u64(0))
                if credits > 0:
                    page.append(Debt(issuer, credits, credits * self.issuers[issuer].grains_per_credit))
        return page

    def _check_operator(self) -> None:
        require(context.caller == self.operator, NOT_OPERATOR)

    def _get_issuer(self, address: Address) -> Issuer:
        issuer = self.issuers.get(address)
        if issuer is None:
            revert(UNKNOWN_ISSUER)
        return issuer

    def _insert(self, lots: Lots, added: Lot) -> Lots:
        """The lots with one more, in order of expiry."""
        result = Lots()
        is_placed = False
        for lot in lots:
            if not is_placed and lot.issuer == added.issuer and lot.expires_ms == added.expires_ms:
                result.append(replace(lot, credits=lot.credits + added.credits))
                is_placed = True
                continue
            if not is_placed and added.expires_ms < lot.expires_ms:
                require(len(lots) < LOTS_MAX, TOO_MANY_LOTS)
                result.append(added)
                is_placed = True
            result.append(lot)
        if not is_placed:
            require(len(lots) < LOTS_MAX, TOO_MANY_LOTS)
            result.append(added)
        return result

    def _drop_expired(self, account: Account) -> Lots:
        """The account's lots that are still good; the others are booked as expired, but stay stored."""
        good = Lots()
        for lot in self.lots.get(account, Lots()):
            if context.time_ms < lot.expires_ms:
                good.append(lot)
            else:
                issuer = self.issuers[lot.issuer]
                self.issuers[lot.issuer] = replace(issuer, expired=issuer.expired + lot.credits)
                emit(Expired(lot.issuer, account.customer, account.workshop, lot.credits))
        return good

    def _store_lots(self, account: Account, lots: Lots) -> None:
        if len(lots) > 0:
            self.lots[account] = lots
        elif account in self.lots:
            del self.lots[account]

    def _claim(self, issuer: Address, workshop: Address, credits: u64) -> None:
        books = self.issuers[issuer]
        self.issuers[issuer] = replace(books, redeemed=books.redeemed + credits)
        claim = Claim(issuer, workshop)
        self.owed[claim] = self.owed.get(claim, u64(0)) + credits
