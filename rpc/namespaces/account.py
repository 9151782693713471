"""account_ and iov_: accounts, their history and their money."""

from identity.did import format_did
from ledger.primitives import SUPPLY_GRAINS
from rpc.errors import pruned
from rpc.models import (
    AccountResult,
    AddressAtParams,
    AtParams,
    BalanceResult,
    HistoryEntry,
    HistoryParams,
    HistoryResult,
    SupplyResult,
)
from rpc.session import Session
from rpc.views import build_policy_view
from vm.native.accounts import compute_coin_age_grain_days, compute_movable_grains, get_policy
from vm.native.accounts import get_account as get_native_account
from vm.native.did_records import get_account_did


def get_account(session: Session, params: AddressAtParams) -> AccountResult:
    """Sequence, key policy, balance, stake, coin age and identity of an account."""
    address = session.parse_address(params.address)
    with session.open_state(params.at) as state:
        account = get_native_account(state, address)
        did = get_account_did(state, address)
        movable_grains = compute_movable_grains(state, address, account, state.moment.time_ms)
        return AccountResult(
            height=state.height,
            block_hash=state.block_hash,
            address=params.address.lower(),
            sequence=account.sequence,
            balance=account.balance_grains,
            locked=account.balance_grains - movable_grains,
            staked=account.staked_grains,
            coin_age_grain_days=compute_coin_age_grain_days(account, state.moment.time_ms),
            policy=build_policy_view(get_policy(state, address)),
            did=None if did is None else format_did(did, session.backend.network),
        )


def get_history(session: Session, params: HistoryParams) -> HistoryResult:
    """Transactions that touched an account, newest first, a page at a time."""
    address = session.parse_address(params.address)
    scope = f"history:{address.hex()}"
    before = None
    if params.cursor is not None:
        height, index = session.decode_cursor(scope, params.cursor, (int, int))
        assert isinstance(height, int)
        assert isinstance(index, int)
        before = (height, index)
    earliest_height = session.backend.get_earliest_height()
    if before is not None and before[0] < earliest_height:
        raise pruned(earliest_height)
    found = session.backend.list_history(address, before, params.limit + 1)
    entries = [HistoryEntry(height=height, index=index, id=identifier) for height, index, identifier in found]
    page, has_more = entries[: params.limit], len(entries) > params.limit
    cursor = session.encode_cursor(scope, [page[-1].height, page[-1].index]) if has_more else None
    return HistoryResult(entries=page, earliest_height=earliest_height, cursor=cursor)


def get_supply(session: Session, params: AtParams) -> SupplyResult:
    """All the IOV there is: fixed since genesis."""
    with session.open_state(params.at) as state:
        return SupplyResult(height=state.height, block_hash=state.block_hash, supply=SUPPLY_GRAINS)


def get_balance(session: Session, params: AddressAtParams) -> BalanceResult:
    """What an account holds."""
    address = session.parse_address(params.address)
    with session.open_state(params.at) as state:
        account = get_native_account(state, address)
        return BalanceResult(
            height=state.height,
            block_hash=state.block_hash,
            address=params.address.lower(),
            balance=account.balance_grains,
        )
