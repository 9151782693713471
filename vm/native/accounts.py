"""Accounts: who may sign for an address, and its sequence.

An address is ruled by the one key it is the hash of, until a policy says otherwise; the address stays the same.

| key                | value                        |
|--------------------|------------------------------|
| account_key(addr)  | Account                      |
| policy_key(addr)   | KeyPolicy                    |

Rules
* A1 `set_policy`: an account replaces its own rule; the keys that rule it now have signed, the new ones are acceptable.
* A2 `register_policy`: anybody may record the policy that a multi-signature address is the hash of.
* A3 The owner signs with enough weight, and with no key that does not belong to the account.
* A4 Coin age is the integral of holdings (balance and stake) over block time. It is brought up to date when holdings
  change, and only then; in between it follows from the record (paper 12.1, 12.3).
* A5 What is taken from an account with lock-ups leaves what they lock (rule L3 of vm/native/lockups.py).
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from msgpack import unpackb

from identity.address import Address, compute_key_address, compute_policy_address
from identity.policy import InvalidPolicyError, KeyPolicy, check_policy, is_satisfied, policy_to_bytes
from ledger.codec import decode, encode, pack, to_plain
from ledger.primitives import GrainDays, Grains
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import account_key, policy_key
from ledger.transaction import Transaction
from vm.context import Context, Moment
from vm.gas import GAS_KEY_CHECK, GAS_STATE_WRITE
from vm.native.lockup_records import compute_locked, get_lockups
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule


class Account(NamedTuple):
    """What is kept for every address that was ever used."""

    sequence: int
    balance_grains: int
    staked_grains: int
    """What it has put into stake; the coins themselves are in the staking module's account."""
    age_grain_ms: bytes
    """Coin age up to `since_ms`, unsigned big-endian without leading zeros: it outgrows 64 bits."""
    since_ms: int
    """Block time of the last change of its holdings."""
    flags: int
    """What else the state holds for it, so that nothing is looked up in vain."""


HAS_POLICY: Final = 1
IS_CONTRACT: Final = 2
"""Its code alone moves its coins, and it takes no direct transfers."""
HAS_LOCKUPS: Final = 4
"""Not all that it holds may be moved."""
DAY_MS: Final = 86_400_000
EMPTY_ACCOUNT: Final = Account(0, 0, 0, b"", 0, 0)


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Replace who may sign for the sender's account; the address stays."""

    policy: KeyPolicy


@dataclass(frozen=True, slots=True)
class RegisterPolicy:
    """Record the policy behind a multi-signature address, so that the address can sign."""

    policy: KeyPolicy


@dataclass(frozen=True, slots=True)
class PolicySet:
    """An account has a new policy."""

    account: Address
    policy: KeyPolicy


@dataclass(frozen=True, slots=True)
class AccountDescription:
    """An account as the view tells it."""

    sequence: int
    balance_grains: Grains
    staked_grains: Grains
    coin_age_grain_days: GrainDays
    """Rounded down to whole grain-days."""


def get_account(state: StateReader, address: Address) -> Account:
    """Sequence and balance; an unused address has neither."""
    encoded = state.get(account_key(address))
    if encoded is None:
        return EMPTY_ACCOUNT
    return Account._make(unpackb(encoded))


def describe_account(state: StateReader, moment: Moment, address: Address) -> AccountDescription:
    """What an account holds, and how old its coins are at this moment."""
    account = get_account(state, address)
    return AccountDescription(
        account.sequence,
        Grains(account.balance_grains),
        Grains(account.staked_grains),
        compute_coin_age_grain_days(account, moment.time_ms),
    )


def put_account(state: State, address: Address, account: Account) -> None:
    """Write an account; the caller keeps the sum of all balances as it was."""
    state.put(account_key(address), pack(account))


def add_to_balance(
    state: State,
    address: Address,
    change_grains: int,
    now_ms: int,
    *,
    sequences_used: int = 0,
    may_take_locked: bool = False,
) -> int:
    """Give to an account, or take from it when negative, and bring its coin age up to date (rule A4).

    Returns the account's flags. Raises Rejected when it holds less, or when less than what is locked would be left
    (rule A5) and that may not be taken. One step from record to record: a transfer takes four of them.
    """
    key = account_key(address)
    encoded = state.get(key)
    fields = EMPTY_ACCOUNT if encoded is None else unpackb(encoded)
    sequence, balance_grains, staked_grains, age, since_ms, flags = fields
    left_grains = balance_grains + change_grains
    if left_grains < 0:
        raise Rejected(Reason.INSUFFICIENT_BALANCE, held=balance_grains, needed=-change_grains)
    if flags & HAS_LOCKUPS and change_grains < 0 and not may_take_locked:
        _check_unlocked(state, address, left_grains + staked_grains, now_ms)
    if since_ms != now_ms:
        age = _grow_age(age, balance_grains + staked_grains, now_ms - since_ms)
    state.put(key, pack((sequence + sequences_used, left_grains, staked_grains, age, now_ms, flags)))
    return flags


def compute_movable_grains(state: StateReader, address: Address, account: Account, now_ms: int) -> int:
    """What may leave an account's balance at a block's time (rule A5)."""
    if not account.flags & HAS_LOCKUPS:
        return account.balance_grains
    locked_grains = compute_locked(get_lockups(state, address), now_ms)
    return max(0, min(account.balance_grains, account.balance_grains + account.staked_grains - locked_grains))


def change_stake(account: Account, staked_grains: int, now_ms: int) -> Account:
    """The account with another stake and its coin age up to date (rule A4)."""
    return account._replace(staked_grains=staked_grains, age_grain_ms=_compute_age(account, now_ms), since_ms=now_ms)


def compute_coin_age_grain_ms(account: Account, now_ms: int) -> int:
    """Coin age at a block's time, in grains times milliseconds."""
    return int.from_bytes(_compute_age(account, now_ms), "big")


def compute_coin_age_grain_days(account: Account, now_ms: int) -> GrainDays:
    """Coin age at a block's time in whole grain-days, rounded down."""
    return GrainDays(compute_coin_age_grain_ms(account, now_ms) // DAY_MS)


def _check_unlocked(state: StateReader, address: Address, left_grains: int, now_ms: int) -> None:
    """Rule A5; raises Rejected."""
    locked_grains = compute_locked(get_lockups(state, address), now_ms)
    if left_grains < locked_grains:
        raise Rejected(Reason.FUNDS_LOCKED, "this has not unlocked yet", left=left_grains, locked=locked_grains)


def _compute_age(account: Account, now_ms: int) -> bytes:
    _, balance_grains, staked_grains, age, since_ms, _ = account
    return _grow_age(age, balance_grains + staked_grains, now_ms - since_ms)


def _grow_age(age: bytes, holdings_grains: int, passed_ms: int) -> bytes:
    grown = holdings_grains * passed_ms
    if grown == 0:
        return age
    total = int.from_bytes(age, "big") + grown
    return total.to_bytes((total.bit_length() + 7) // 8, "big")


def get_policy(state: StateReader, address: Address) -> KeyPolicy | None:
    """The account's policy; None while the one key rules whose hash the address is."""
    encoded = state.get(policy_key(address))
    return None if encoded is None else decode(KeyPolicy, encoded)


def is_authorised(state: StateReader, address: Address, account: Account, transaction: Transaction, role: int) -> bool:
    """Rule A3: whether the keys that signed in this role rule the account, which stands at the address."""
    signers = [each.public_key for each in transaction.authorisations if each.role == role]
    if not account.flags & HAS_POLICY:
        return len(signers) == 1 and compute_key_address(signers[0]) == address
    policy = get_policy(state, address)
    assert policy is not None, "the flag says so"
    return is_satisfied(policy, signers)


def apply_set_policy(state: State, context: Context, call: SetPolicy) -> None:
    """Rule A1."""
    _put_policy(state, context, context.sender, call.policy)


def apply_register_policy(state: State, context: Context, call: RegisterPolicy) -> None:
    """Rule A2: never overwrites, because an account that has rotated its keys keeps its later policy."""
    _check_policy(call.policy)
    address = compute_policy_address(policy_to_bytes(call.policy))
    if get_policy(state, address) is not None:
        raise Rejected(Reason.BAD_POLICY, "this policy is registered already")
    _put_policy(state, context, address, call.policy)


def compute_policy_gas(call: SetPolicy | RegisterPolicy) -> int:
    """One key check each, and two writes: the policy, and that there is one."""
    return 2 * GAS_STATE_WRITE + GAS_KEY_CHECK * len(call.policy.keys)


def _put_policy(state: State, context: Context, address: Address, policy: KeyPolicy) -> None:
    _check_policy(policy)
    state.put(policy_key(address), encode(policy))
    account = get_account(state, address)
    put_account(state, address, account._replace(flags=account.flags | HAS_POLICY))
    context.emit(MODULE.name, PolicySet.__name__, address, to_plain(policy))


def _check_policy(policy: KeyPolicy) -> None:
    try:
        check_policy(policy)
    except InvalidPolicyError as error:
        raise Rejected(Reason.BAD_POLICY, str(error)) from None


_POLICY_GAS = f"{2 * GAS_STATE_WRITE} + {GAS_KEY_CHECK} for each key"

MODULE = ModuleRule(
    name="accounts",
    summary="Who may sign for an address",
    calls=(
        CallRule("set_policy", SetPolicy, apply_set_policy, compute_policy_gas, _POLICY_GAS),
        CallRule("register_policy", RegisterPolicy, apply_register_policy, compute_policy_gas, _POLICY_GAS),
    ),
    events=(EventRule(PolicySet),),
    views=(
        ViewRule("account", (("address", Address),), describe_account),
        ViewRule("policy", (("address", Address),), lambda state, _, address: get_policy(state, address)),
    ),
)
