"""Acceptors: accounts that exchange IOV for their customers, and whom the foundation has listed (paper 12.1).

| key                   | value                                     |
|-----------------------|-------------------------------------------|
| acceptor_key(account) | Acceptor that has applied, or is listed   |
| ACCEPTOR_RULES_KEY    | AcceptorRules; absent: FIRST_RULES        |

Rules
* C1 An account with an active identity applies, with a name and where its terms stand: their address and their SHA-256,
  so that they do not change unseen. It applies while it has not applied, or again to replace what it said; then it has
  to be approved again.
* C2 It qualifies by what it holds, balance and stake, and by its coin age (rule A4 of vm/native/accounts.py): both at
  least what the rules say when it applies and when it is approved.
* C3 Governance approves the application whose hash it names, all of it and no other, which lists the acceptor; it
  delists whom it wants, and also changes the rules.
* C4 An acceptor withdraws at any time.
* C5 Whoever finds that an acceptor's holdings are below what the rules say, or that its identity has ended or acts by
  another account, has it delisted. Coin age never falls.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from typing import Annotated, Final

from annotated_types import Interval, Len

from identity.address import ADDRESS_BYTES, Address
from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import GRAINS_PER_IOV, HASH_BYTES, SUPPLY_GRAINS, Grains, Height
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state import State, StateReader
from ledger.state_keys import ACCEPTOR_PREFIX, ACCEPTOR_RULES_KEY, acceptor_key
from vm.context import BlockContext, Context, Moment
from vm.gas import GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.accounts import compute_coin_age_grain_days, get_account
from vm.native.did_records import GAS_DID_READ, get_account_did, get_did_record
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

ACCEPTORS_SHOWN_MAX: Final = 100
COIN_AGE_IOV_DAYS_MAX: Final = 10**15
"""All IOV for 270 years."""

AcceptorName = Annotated[str, Len(1, 64)]
TermsUrl = Annotated[str, Len(1, 256)]
TermsHash = Annotated[bytes, Len(HASH_BYTES, HASH_BYTES)]
ApplicationHash = Annotated[bytes, Len(HASH_BYTES, HASH_BYTES)]


@dataclass(frozen=True, slots=True)
class AcceptorRules:
    """Who qualifies."""

    holdings_min_grains: Annotated[Grains, Interval(ge=0, le=SUPPLY_GRAINS)]
    """Balance and stake."""
    coin_age_min_iov_days: Annotated[int, Interval(ge=0, le=COIN_AGE_IOV_DAYS_MAX)]


FIRST_RULES: Final = AcceptorRules(Grains(1_000_000 * GRAINS_PER_IOV), 90_000_000)
"""A million IOV, and as much coin age as that has in three months."""


@dataclass(frozen=True, slots=True)
class Acceptor:
    """Who exchanges, on which terms, and since when it is listed."""

    did: Did
    name: AcceptorName
    terms_url: TermsUrl
    terms_hash: TermsHash
    """SHA-256 of the text at that address."""
    applied_height: Height
    listed_height: Height | None
    """None: it waits for approval."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Apply to be listed as an acceptor, or replace what the application said."""

    name: AcceptorName
    terms_url: TermsUrl
    terms_hash: TermsHash


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Be an acceptor no longer, or apply no longer."""


@dataclass(frozen=True, slots=True)
class Check:
    """Delist an acceptor that does not qualify any longer."""

    account: Address


@dataclass(frozen=True, slots=True)
class AcceptorApplied:
    """An account wants to be an acceptor."""

    account: Address
    did: Did
    name: AcceptorName


@dataclass(frozen=True, slots=True)
class AcceptorListed:
    """Governance has approved an acceptor."""

    account: Address
    did: Did


@dataclass(frozen=True, slots=True)
class AcceptorRemoved:
    """An account is no acceptor, and does not apply to be one."""

    account: Address
    did: Did


@dataclass(frozen=True, slots=True)
class AcceptorRulesSet:
    """Other acceptors qualify from now on."""

    holdings_min_grains: Grains
    coin_age_min_iov_days: int


@dataclass(frozen=True, slots=True)
class AcceptorDescription:
    """An acceptor with its account."""

    account: Address
    acceptor: Acceptor


def apply_apply(state: State, context: Context, call: Apply) -> None:
    """Rules C1 and C2."""
    account = context.sender
    did = _get_did(state, account)
    check_qualified(state, account, context.block.time_ms)
    application = Acceptor(did, call.name, call.terms_url, call.terms_hash, context.block.height, None)
    _put_acceptor(state, account, application)
    context.emit(MODULE.name, AcceptorApplied.__name__, account, did, call.name)


def apply_withdraw(state: State, context: Context, _: Withdraw) -> None:
    """Rule C4."""
    get_acceptor(state, context.sender)
    context.events.append(remove_acceptor(state, context.sender))


def apply_check(state: State, context: Context, call: Check) -> None:
    """Rule C5."""
    acceptor = get_acceptor(state, call.account)
    has_enough = _get_holdings(state, call.account) >= get_rules(state).holdings_min_grains
    if has_enough and _find_did(state, call.account) == acceptor.did:
        raise Rejected(Reason.STILL_QUALIFIED, "its identity acts by this account, which holds enough")
    context.events.append(remove_acceptor(state, call.account))


def compute_application_hash(application: Acceptor) -> bytes:
    """SHA-256 of its canonical bytes: what governance has read."""
    return sha256(encode(application)).digest()


def check_application(state: StateReader, account: Address, application_hash: ApplicationHash) -> None:
    """Whether an account waits for approval, with this application; raises Rejected."""
    application = get_acceptor(state, account)
    if application.listed_height is not None:
        raise Rejected(Reason.ACCEPTOR_EXISTS, "this acceptor is listed already")
    if compute_application_hash(application) != application_hash:
        raise Rejected(Reason.APPLICATION_REPLACED, "the account has applied with something else")


def approve_acceptor(state: State, block: BlockContext, account: Address, application_hash: ApplicationHash) -> Event:
    """Rules C2 and C3; raises Rejected."""
    check_application(state, account, application_hash)
    acceptor = get_acceptor(state, account)
    if _get_did(state, account) != acceptor.did:
        raise Rejected(Reason.DID_NOT_LINKED, "another identity has applied by this account")
    check_qualified(state, account, block.time_ms)
    _put_acceptor(state, account, replace(acceptor, listed_height=block.height))
    return _event(AcceptorListed, account, acceptor.did)


def remove_acceptor(state: State, account: Address) -> Event:
    """End a listing or an application."""
    did = get_acceptor(state, account).did
    state.delete(acceptor_key(account))
    return _event(AcceptorRemoved, account, did)


def set_rules(state: State, rules: AcceptorRules) -> Event:
    """Rule C3: they count from now on; nobody is delisted before it is checked."""
    state.put(ACCEPTOR_RULES_KEY, encode(rules))
    return _event(AcceptorRulesSet, rules.holdings_min_grains, rules.coin_age_min_iov_days)


def check_qualified(state: StateReader, account: Address, now_ms: int) -> None:
    """Rule C2; raises Rejected."""
    rules, holdings_grains = get_rules(state), _get_holdings(state, account)
    if holdings_grains < rules.holdings_min_grains:
        raise Rejected(
            Reason.NOT_QUALIFIED, "it holds too little", held=holdings_grains, needed=rules.holdings_min_grains
        )
    age_iov_days = compute_coin_age_grain_days(get_account(state, account), now_ms) // GRAINS_PER_IOV
    if age_iov_days < rules.coin_age_min_iov_days:
        raise Rejected(
            Reason.NOT_QUALIFIED, "its coins are too young", held=age_iov_days, needed=rules.coin_age_min_iov_days
        )


def find_acceptor(state: StateReader, account: Address) -> Acceptor | None:
    """An acceptor, listed or not."""
    encoded = state.get(acceptor_key(account))
    return None if encoded is None else decode(Acceptor, encoded)


def get_acceptor(state: StateReader, account: Address) -> Acceptor:
    """The same; raises Rejected."""
    acceptor = find_acceptor(state, account)
    if acceptor is None:
        raise Rejected(Reason.UNKNOWN_ACCEPTOR, "this account is no acceptor and has not applied")
    return acceptor


def get_rules(state: StateReader) -> AcceptorRules:
    """Who qualifies now."""
    encoded = state.get(ACCEPTOR_RULES_KEY)
    return FIRST_RULES if encoded is None else decode(AcceptorRules, encoded)


def _put_acceptor(state: State, account: Address, acceptor: Acceptor) -> None:
    state.put(acceptor_key(account), encode(acceptor))


def _get_holdings(state: StateReader, address: Address) -> int:
    account = get_account(state, address)
    return account.balance_grains + account.staked_grains


def _find_did(state: StateReader, account: Address) -> Did | None:
    """The active identity that acts by an account."""
    did = get_account_did(state, account)
    record = None if did is None else get_did_record(state, did)
    return None if record is None or record.is_deactivated else did


def _get_did(state: StateReader, account: Address) -> Did:
    did = _find_did(state, account)
    if did is None:
        raise Rejected(Reason.DID_NOT_LINKED, "no active identity acts by this account")
    return did


def _event(kind: type, *values: object) -> Event:
    return Event(MODULE.name, kind.__name__, list(values))


# Views


def answer_acceptors(state: StateReader, _: Moment, first: Address) -> list[AcceptorDescription]:
    """The view of acceptors and applications by account, from one on, a page of them."""
    end = ACCEPTOR_PREFIX + bytes([255]) * (ADDRESS_BYTES + 1)
    found = islice(state.iterate_range(acceptor_key(first), end), ACCEPTORS_SHOWN_MAX)
    return [
        AcceptorDescription(Address(key[len(ACCEPTOR_PREFIX) :]), decode(Acceptor, encoded)) for key, encoded in found
    ]


def answer_acceptor(state: StateReader, _: Moment, account: Address) -> Acceptor | None:
    """The view of one."""
    return find_acceptor(state, account)


def answer_rules(state: StateReader, _: Moment) -> AcceptorRules:
    """The view of who qualifies."""
    return get_rules(state)


_APPLY_GAS: Final = GAS_STATE_WRITE + 3 * GAS_STATE_READ + GAS_DID_READ
_WITHDRAW_GAS: Final = GAS_STATE_WRITE + GAS_STATE_READ

MODULE = ModuleRule(
    name="acceptors",
    summary="Who is listed as an exchanger of IOV",
    calls=(
        CallRule("apply", Apply, apply_apply, lambda _: _APPLY_GAS, str(_APPLY_GAS)),
        CallRule("withdraw", Withdraw, apply_withdraw, lambda _: _WITHDRAW_GAS, str(_WITHDRAW_GAS)),
        CallRule("check", Check, apply_check, lambda _: _APPLY_GAS, str(_APPLY_GAS)),
    ),
    events=tuple(map(EventRule, (AcceptorApplied, AcceptorListed, AcceptorRemoved, AcceptorRulesSet))),
    views=(
        ViewRule("acceptors", (("first", Address),), answer_acceptors),
        ViewRule("acceptor", (("account", Address),), answer_acceptor),
        ViewRule("rules", (), answer_rules),
    ),
)
