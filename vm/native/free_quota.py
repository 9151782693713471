"""What persons may do without a fee: so much gas a day, of everyday calls.

| key                 | value                                                              |
|---------------------|--------------------------------------------------------------------|
| quota_usage_key(did)| QuotaUsage: gas of the last day on which the identity used some    |
| FREE_GAS_KEY        | FreeGas: gas of the last block that had transactions without a fee |

Rules
* Q1 A transaction without a fee, where one is asked for, is a person's: its sender's account is linked to an identity
  that is active and has the role person. Nobody else is its fee payer, and all its calls are everyday ones.
* Q2 Its gas limit is within what is left of the identity's gas of the day, and of the block's gas for all of them. What
  it does not use is given back.
* Q3 A day is one of UTC, by the time of the block. What is left of a day is lost with it.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Interval

from identity.address import Address
from identity.did import Did
from ledger.codec import decode, encode
from ledger.primitives import Gas, Height
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from ledger.state_keys import FREE_GAS_KEY, quota_usage_key
from ledger.transaction import TransactionBody
from vm.context import Moment
from vm.native.did_records import get_account_did
from vm.native.role_records import Role, holds_role
from vm.parameters import Parameters, get_parameters

DAY_MS: Final = 86_400_000

EVERYDAY_CALLS: Final = frozenset(
    {
        ("ads", "accept"),
        ("ads", "complete"),
        ("ads", "post_balance"),
        ("ads", "settle_channel"),
        ("attributes", "approve"),
        ("attributes", "refuse"),
        ("attributes", "remove_tag"),
        ("attributes", "request"),
        ("attributes", "set_tag"),
        ("attributes", "withdraw_consent"),
        ("contracts", "call"),
        ("did", "complete_recovery"),
        ("did", "create"),
        ("did", "deactivate"),
        ("did", "link_account"),
        ("did", "object_to_recovery"),
        ("did", "recover"),
        ("did", "request_recovery"),
        ("did", "rotate"),
        ("did", "transfer"),
        ("did", "unlink_account"),
        ("did", "update"),
        ("distribution", "claim"),
        ("distribution", "set_payout"),
        ("gifts", "claim"),
        ("gifts", "refund"),
        ("gifts", "tip"),
        ("gifts", "tip_did"),
        ("growth", "rate"),
        ("growth", "withdraw_rating"),
        ("iov", "transfer"),
        ("mining", "appeal"),
        ("mining", "record"),
        ("platforms", "bind"),
        ("platforms", "claim"),
        ("platforms", "unbind"),
        ("roles", "renounce"),
        ("sale", "deliver"),
        ("sale", "withdraw"),
        ("vehicles", "bind"),
        ("vehicles", "grant_access"),
        ("vehicles", "release_vin"),
        ("vehicles", "revoke_access"),
    }
)
"""(module, call) of what takes no fee: what persons do in daily life, and what brings them the coins they have coming.

Somebody without a coin earns and collects the first ones by these. Not here: what puts coins at stake, up for others or
to work (staking, complaints, gifts, campaigns), and what is done for the network or as a trade (governance, attesting,
challenges, code); whoever does that has coins, or is paid to have them.
"""


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """How much gas an identity has used without a fee on a day."""

    day: Annotated[int, Interval(ge=0, le=2**53 - 1)]
    """Since 1970."""
    gas: Gas


@dataclass(frozen=True, slots=True)
class FreeGas:
    """How much gas a block's transactions without a fee have used."""

    height: Height
    gas: Gas


@dataclass(frozen=True, slots=True)
class FreeQuota:
    """What a person may still do today without a fee."""

    did: Did
    gas_daily: int
    gas_left: int


def compute_day(time_ms: int) -> int:
    """Rule Q3: the day of a block's time."""
    return time_ms // DAY_MS


def get_gas_used(state: StateReader, did: Did, day: int) -> int:
    """Gas that an identity has used without a fee on this day."""
    encoded = state.get(quota_usage_key(did))
    usage = None if encoded is None else decode(QuotaUsage, encoded)
    return usage.gas if usage is not None and usage.day == day else 0


def get_block_gas_used(state: StateReader, height: int) -> int:
    """Gas that the transactions without a fee of this block have used so far."""
    encoded = state.get(FREE_GAS_KEY)
    usage = None if encoded is None else decode(FreeGas, encoded)
    return usage.gas if usage is not None and usage.height == height else 0


def find_person(state: StateReader, account: Address, height: int) -> Did | None:
    """The person an account acts for (rule Q1)."""
    did = get_account_did(state, account)
    return did if did is not None and holds_role(state, did, Role.PERSON, height) else None


def check_free(state: StateReader, body: TransactionBody, height: Height, time_ms: int, parameters: Parameters) -> Did:
    """Rules Q1 and Q2: the person whose quota stands in for a fee below the floor; raises Rejected."""
    minimum = parameters.price_floor_grains * body.gas_limit
    message = f"offer at least {minimum} grains for this gas limit"
    if parameters.free_quota_gas_daily == 0 or body.fee_max_grains > 0 or body.fee_payer is not None:
        raise Rejected(Reason.FEE_TOO_LOW, message, minimum=minimum)
    if any((call.module, call.call) not in EVERYDAY_CALLS for call in body.calls):
        raise Rejected(Reason.FEE_TOO_LOW, f"{message}: not all its calls are everyday ones", minimum=minimum)
    did = find_person(state, body.sender, height)
    if did is None:
        raise Rejected(Reason.FEE_TOO_LOW, f"{message}: only persons have a free quota", minimum=minimum)
    left = _compute_left(parameters.free_quota_gas_daily, get_gas_used(state, did, compute_day(time_ms)))
    if body.gas_limit > left:
        raise Rejected(Reason.QUOTA_EXHAUSTED, f"{left} gas is left of today's free quota", left=left)
    block_left = _compute_left(parameters.free_quota_block_gas_max, get_block_gas_used(state, height))
    if body.gas_limit > block_left:
        raise Rejected(Reason.QUOTA_EXHAUSTED, f"the block has {block_left} gas left without a fee", left=block_left)
    return did


def add_free_gas(state: State, did: Did, height: Height, time_ms: int, gas: int) -> None:
    """Count gas against the day of an identity and against the block; a negative number gives it back."""
    day = compute_day(time_ms)
    used = Gas(get_gas_used(state, did, day) + gas)
    state.put(quota_usage_key(did), encode(QuotaUsage(day, used)))
    block_used = Gas(get_block_gas_used(state, height) + gas)
    state.put(FREE_GAS_KEY, encode(FreeGas(height, block_used)))


def answer_free_quota(state: StateReader, moment: Moment, account: Address) -> FreeQuota | None:
    """The view of what an account has left of today's quota; None: it acts for no person."""
    did = find_person(state, account, moment.height)
    if did is None:
        return None
    gas_daily = get_parameters(state).free_quota_gas_daily
    return FreeQuota(did, gas_daily, _compute_left(gas_daily, get_gas_used(state, did, compute_day(moment.time_ms))))


def _compute_left(most: int, used: int) -> int:
    """Governance may have lowered the most below what is used."""
    return max(0, most - used)
