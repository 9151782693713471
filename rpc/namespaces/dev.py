"""dev_: what a devnet lets developers do."""

from rpc.models import (
    DevAccounts,
    DevNodeParams,
    Done,
    FundParams,
    Head,
    MineParams,
    NoParams,
    PartitionParams,
    RevertParams,
    SetTimeParams,
    SnapshotResult,
    StatusResult,
)
from rpc.session import Session
from rpc.views import build_receipt_view


async def list_accounts(session: Session, _: NoParams) -> DevAccounts:
    """The devnet's funded accounts with their public development keys."""
    return DevAccounts(accounts=await session.get_dev_control().accounts())


async def fund(session: Session, params: FundParams) -> StatusResult:
    """Send IOV to an account and wait until it is final."""
    control = session.get_dev_control()
    status = await control.fund(session.parse_address(params.address), params.amount)
    receipt = status.receipt
    return StatusResult(
        id=status.id,
        status=status.status,
        height=status.height,
        index=status.index,
        reason=status.reason,
        receipt=None if receipt is None else build_receipt_view(receipt, session.backend.network),
    )


async def mine(session: Session, params: MineParams) -> Head:
    """Make blocks now."""
    return await session.get_dev_control().mine(params.blocks)


async def set_time(session: Session, params: SetTimeParams) -> Head:
    """Set the clock that block times are taken from."""
    return await session.get_dev_control().set_time(params.time_ms)


async def advance_epoch(session: Session, _: NoParams) -> Head:
    """Go on to the first block of the next epoch."""
    return await session.get_dev_control().advance_epoch()


async def crash(session: Session, params: DevNodeParams) -> Done:
    """Kill a node without warning."""
    await session.get_dev_control().crash(params.node)
    return Done()


async def restart(session: Session, params: DevNodeParams) -> Done:
    """Start a killed node."""
    await session.get_dev_control().restart(params.node)
    return Done()


async def partition(session: Session, params: PartitionParams) -> Done:
    """Cut the network into groups that see only themselves."""
    await session.get_dev_control().partition(params.groups)
    return Done()


async def heal(session: Session, _: NoParams) -> Done:
    """Join all groups again."""
    await session.get_dev_control().heal()
    return Done()


async def take_snapshot(session: Session, _: NoParams) -> SnapshotResult:
    """Remember the state."""
    return SnapshotResult(snapshot=await session.get_dev_control().snapshot())


async def revert(session: Session, params: RevertParams) -> Head:
    """Return to a remembered state."""
    return await session.get_dev_control().revert(params.snapshot)
