"""Service credits: workshops promise work to drivers, honour each other's promises, and settle in IOV."""

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
    u32,
    u64,
    view,
)

NOT_OPERATOR: Final = 1
NOT_A_WORKSHOP: Final = 2
SUSPENDED: Final = 3
LIMIT_REACHED: Final = 4
NO_CREDIT: Final = 5
CREDIT_EXPIRED: Final = 6
NOTHING_OWED: Final = 7
AMOUNT_ZERO: Final = 8
STILL_VALID: Final = 9
TOO_LITTLE_PAID: Final = 10

PAGE: Final = 50  # workshops in one answer


@struct
class Workshop:
    """What a workshop may promise, has promised, and whether it may go on."""

    limit_minutes: u64
    open_minutes: u64
    is_active: bool


@struct
class Holding:
    """Whose promise a driver holds."""

    issuer: Address
    driver: Address


@struct
class Credit:
    """Minutes of work, until a day."""

    minutes: u64
    valid_until_ms: u64


@struct
class Debt:
    """Who owes whom for work that was done on another's promise."""

    debtor: Address
    creditor: Address


@event
class Issued:
    """A driver was promised work."""

    issuer: Address
    driver: Address
    minutes: u64


@event
class Redeemed:
    """Work was done on a promise."""

    issuer: Address
    driver: Address
    workshop: Address
    minutes: u64


@event
class Lapsed:
    """A promise was not used in time."""

    issuer: Address
    driver: Address
    minutes: u64


@event
class Paid:
    """A workshop paid another for its work."""

    debtor: Address
    creditor: Address
    minutes: u64
    amount_grains: u64


Workshops = List[Address, Literal[50]]


class ServiceCredits(Contract, upgrade="governance"):
    """A workshop's open minutes are the sum of all credits of it that drivers hold, and never above its limit."""

    operator: Var[Address]
    grains_per_minute: Var[u64]
    workshops: IndexedMap[Address, Workshop]
    credits: Map[Holding, Credit]
    debts: Map[Debt, u64]

    @init
    def create(self, grains_per_minute: u64) -> None:
        """The publisher admits workshops; a minute has one price for all."""
        self.operator = context.caller
        self.grains_per_minute = grains_per_minute

    @call
    def admit(self, workshop: Address, limit_minutes: u64) -> None:
        """Admit a workshop, or change how much it may promise."""
        self._check_operator()
        known = self.workshops.get(workshop)
        open_minutes = u64(0) if known is None else known.open_minutes
        self.workshops[workshop] = Workshop(limit_minutes, open_minutes, True)

    @call
    def suspend(self, workshop: Address) -> None:
        """Keep a workshop from promising and working; its promises stay."""
        self._check_operator()
        self.workshops[workshop] = replace(self._get(workshop), is_active=False)

    @call
    def issue(self, driver: Address, minutes: u64, valid_until_ms: u64) -> None:
        """Promise work; what the driver holds already is valid until the later day."""
        require(minutes > 0, AMOUNT_ZERO)
        require(valid_until_ms > context.time_ms, CREDIT_EXPIRED)
        issuer = self._get_active(context.caller)
        require(issuer.open_minutes + minutes <= issuer.limit_minutes, LIMIT_REACHED)
        holding = Holding(context.caller, driver)
        held = self.credits.get(holding, Credit(u64(0), u64(0)))
        require(held.minutes == 0 or held.valid_until_ms > context.time_ms, CREDIT_EXPIRED)
        self.credits[holding] = Credit(held.minutes + minutes, max(held.valid_until_ms, valid_until_ms))
        self.workshops[context.caller] = replace(issuer, open_minutes=issuer.open_minutes + minutes)
        emit(Issued(context.caller, driver, minutes))

    @call
    def redeem(self, issuer: Address, workshop: Address, minutes: u64) -> None:
        """The driver confirms work; if another workshop did it, the issuer owes it the minutes."""
        require(minutes > 0, AMOUNT_ZERO)
        self._get_active(workshop)
        holding = Holding(issuer, context.caller)
        held = self.credits.get(holding)
        if held is None or held.minutes < minutes:
            revert(NO_CREDIT)
        require(held.valid_until_ms > context.time_ms, CREDIT_EXPIRED)
        self._take(holding, held, minutes)
        if workshop != issuer:
            debt = Debt(issuer, workshop)
            self.debts[debt] = self.debts.get(debt, u64(0)) + minutes
        emit(Redeemed(issuer, context.caller, workshop, minutes))

    @call
    def lapse(self, issuer: Address, driver: Address) -> None:
        """Anybody clears a promise whose day is over."""
        holding = Holding(issuer, driver)
        held = self.credits.get(holding)
        if held is None:
            revert(NO_CREDIT)
        require(held.valid_until_ms <= context.time_ms, STILL_VALID)
        self._take(holding, held, held.minutes)
        emit(Lapsed(issuer, driver, held.minutes))

    @call
    @payable
    def settle(self, creditor: Address) -> u64:
        """Set off what both owe each other and pay for the rest; what is too much comes back. Gives the price."""
        debt = Debt(context.caller, creditor)
        counter_debt = Debt(creditor, context.caller)
        owed = self.debts.get(debt, u64(0))
        set_off = min(owed, self.debts.get(counter_debt, u64(0)))
        require(owed > 0, NOTHING_OWED)
        price_grains = (owed - set_off) * self.grains_per_minute
        require(context.value >= price_grains, TOO_LITTLE_PAID)
        del self.debts[debt]
        if set_off > 0:
            self.debts[counter_debt] -= set_off
        if price_grains > 0:
            transfer(creditor, price_grains)
        if context.value > price_grains:
            transfer(context.caller, context.value - price_grains)
        emit(Paid(context.caller, creditor, owed, price_grains))
        return price_grains

    @view
    def get_credit(self, issuer: Address, driver: Address) -> Credit | None:
        """What a driver holds of a workshop."""
        return self.credits.get(Holding(issuer, driver))

    @view
    def get_workshop(self, workshop: Address) -> Workshop | None:
        """A workshop's limit and promises."""
        return self.workshops.get(workshop)

    @view
    def get_debt(self, debtor: Address, creditor: Address) -> u64:
        """Minutes that one workshop owes another."""
        return self.debts.get(Debt(debtor, creditor), u64(0))

    @view
    def list_workshops(self, start: u32) -> Workshops:
        """Up to 50 workshops, from a position on."""
        found = Workshops()
        for position in range(start, min(u32(len(self.workshops)), start + PAGE)):
            found.append(self.workshops.key_at(position))
        return found

    def _take(self, holding: Holding, held: Credit, minutes: u64) -> None:
        """Minutes leave a driver's hands, one way or another."""
        if held.minutes == minutes:
            del self.credits[holding]
        else:
            self.credits[holding] = replace(held, minutes=held.minutes - minutes)
        issuer = self._get(holding.issuer)
        self.workshops[holding.issuer] = replace(issuer, open_minutes=issuer.open_minutes - minutes)

    def _check_operator(self) -> None:
        require(context.caller == self.operator, NOT_OPERATOR)

    def _get(self, workshop: Address) -> Workshop:
        found = self.workshops.get(workshop)
        if found is None:
            revert(NOT_A_WORKSHOP)
        return found

    def _get_active(self, workshop: Address) -> Workshop:
        found = self._get(workshop)
        require(found.is_active, SUSPENDED)
        return found
