"""sub_: subscriptions, over the WebSocket only."""

from rpc.errors import not_found
from rpc.models import Done, SubscribeParams, SubscribeResult, UnsubscribeParams
from rpc.session import Session


async def subscribe(session: Session, params: SubscribeParams) -> SubscribeResult:
    """Follow a topic without gaps or duplicates; messages come as `sub_message` notifications."""
    return await session.get_subscriber().subscribe(params)


async def unsubscribe(session: Session, params: UnsubscribeParams) -> Done:
    """End a subscription of this connection."""
    if not await session.get_subscriber().unsubscribe(params.id):
        raise not_found("this connection has no such subscription")
    return Done()
