"""Accounts: who may sign for an address, and its sequence.

An address is ruled by the one key it is the hash of, until a policy says otherwise; the address stays the same.

| key                | value                        |
|--------------------|------------------------------|
| account_key(addr)  | [sequence, balance in grains]|
| policy_key(addr)   | KeyPolicy                    |

Rules
* A1 `set_policy`: an account replaces its own rule; the keys that rule it now have signed, the new ones are acceptable.
* A2 `register_policy`: anybody may record the policy that a multi-signature address is the hash of.
* A3 The owner signs with enough weight, and with no key that does not belong to the account.
"""

from dataclasses import dataclass
from typing import NamedTuple

from msgpack import unpackb

from identity.address import Address, compute_key_address, compute_policy_address
from identity.policy import InvalidPolicyError, KeyPolicy, check_policy, is_satisfied, policy_to_bytes
from ledger.codec import decode, encode, pack, to_plain
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import account_key, policy_key
from ledger.transaction import Transaction
from vm.context import Context
from vm.gas import GAS_STATE_WRITE
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

GAS_KEY_CHECK = 300  # decompressing and checking one public key


class Account(NamedTuple):
    """What is kept for every address that was ever used."""

    sequence: int
    balance_grains: int


EMPTY_ACCOUNT = Account(0, 0)


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


def get_account(state: StateReader, address: Address) -> Account:
    """Sequence and balance; an unused address has neither."""
    encoded = state.get(account_key(address))
    if encoded is None:
        return EMPTY_ACCOUNT
    return Account._make(unpackb(encoded))


def put_account(state: State, address: Address, sequence: int, balance_grains: int) -> None:
    """Write sequence and balance; the caller keeps the sum of all balances as it was."""
    state.put(account_key(address), pack((sequence, balance_grains)))


def get_policy(state: StateReader, address: Address) -> KeyPolicy | None:
    """The account's policy; None while the one key rules whose hash the address is."""
    encoded = state.get(policy_key(address))
    return None if encoded is None else decode(KeyPolicy, encoded)


def is_authorised(state: StateReader, address: Address, transaction: Transaction, role: int) -> bool:
    """Rule A3: whether the keys that signed in this role rule the account."""
    signers = [each.public_key for each in transaction.authorisations if each.role == role]
    policy = get_policy(state, address)
    if policy is None:
        return len(signers) == 1 and compute_key_address(signers[0]) == address
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
    """One key check each, and one write."""
    return GAS_STATE_WRITE + GAS_KEY_CHECK * len(call.policy.keys)


def _put_policy(state: State, context: Context, address: Address, policy: KeyPolicy) -> None:
    _check_policy(policy)
    state.put(policy_key(address), encode(policy))
    context.emit(MODULE.name, PolicySet.__name__, address, to_plain(policy))


def _check_policy(policy: KeyPolicy) -> None:
    try:
        check_policy(policy)
    except InvalidPolicyError as error:
        raise Rejected(Reason.BAD_POLICY, str(error)) from None


_POLICY_GAS = f"{GAS_STATE_WRITE} + {GAS_KEY_CHECK} for each key"

MODULE = ModuleRule(
    name="accounts",
    summary="Who may sign for an address",
    calls=(
        CallRule("set_policy", SetPolicy, apply_set_policy, compute_policy_gas, _POLICY_GAS),
        CallRule("register_policy", RegisterPolicy, apply_register_policy, compute_policy_gas, _POLICY_GAS),
    ),
    events=(EventRule(PolicySet),),
    views=(
        ViewRule("account", (("address", Address),), lambda state, address: list(get_account(state, address))),
        ViewRule("policy", (("address", Address),), get_policy),
    ),
)
