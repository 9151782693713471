"""ads_: campaigns, orders, and where the money is."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from identity.address import NetworkKind
from identity.did import Did, format_did
from identity.targeting import compute_targeting_hash, format_expression, unpack_expression
from ledger.state import StateReader
from rpc.addresses import format_address
from rpc.errors import not_found
from rpc.models import (
    AdsCampaignParams,
    AdsCampaignResult,
    AdsCampaigns,
    AdsCampaignsParams,
    AdsCampaignView,
    AdsFixedReward,
    AdsItem,
    AdsKind,
    AdsKindTotal,
    AdsMoney,
    AdsOrderParams,
    AdsOrderResult,
    AdsOrderStatus,
    AdsSettlementResult,
    AdsSplit,
    AdsStatus,
)
from rpc.namespaces.did import parse
from rpc.session import Session
from vm.native.ads import CampaignDescription, describe_campaign
from vm.native.ads_formulas import compute_shares
from vm.native.ads_records import (
    CampaignId,
    CampaignStatus,
    DeliveryKind,
    OrderId,
    OrderStatus,
    compute_terms_hash,
    find_order,
    get_campaign,
    get_counts,
    list_campaigns_of,
)

_STATUSES: Final[dict[CampaignStatus, AdsStatus]] = {
    CampaignStatus.DRAFT: "draft",
    CampaignStatus.REVIEW: "review",
    CampaignStatus.RUNNING: "running",
    CampaignStatus.PAUSED: "paused",
    CampaignStatus.EXHAUSTED: "exhausted",
    CampaignStatus.ENDED: "ended",
    CampaignStatus.SETTLED: "settled",
}
_KINDS: Final[dict[DeliveryKind, AdsKind]] = {
    DeliveryKind.LIVE_VIEW: "live_view",
    DeliveryKind.MESSAGE_READ: "message_read",
    DeliveryKind.FAN_INTERACTION: "fan_interaction",
    DeliveryKind.CLICK: "click",
}
_ORDER_STATUSES: Final[dict[OrderStatus, AdsOrderStatus]] = {
    OrderStatus.ACCEPTED: "accepted",
    OrderStatus.COMPLETED: "completed",
    OrderStatus.LAPSED: "lapsed",
}


def get_one(session: Session, params: AdsCampaignParams) -> AdsCampaignResult:
    """A campaign: its terms, where it stands, and every grain of it."""
    with session.open_state(params.at) as state:
        described = _find(state, state.moment.time_ms, params.id)
        view = _build_campaign(described, session.backend.network)
        return AdsCampaignResult(height=state.height, block_hash=state.block_hash, campaign=view)


def list_campaigns(session: Session, params: AdsCampaignsParams) -> AdsCampaigns:
    """Campaigns, the newest first, a page at a time; of one advertiser, if one is named."""
    scope = f"ads:{params.advertiser or ''}"
    before = None
    if params.cursor is not None:
        (position,) = session.decode_cursor(scope, params.cursor, (int,))
        assert isinstance(position, int)
        before = position
    advertiser = None if params.advertiser is None else parse(session, params.advertiser)
    with session.open_state(params.at) as state:
        found = list(islice(list_below(state, advertiser, before), params.limit + 1))
        page = [_find(state, state.moment.time_ms, number) for number in found[: params.limit]]
        views = [_build_campaign(each, session.backend.network) for each in page]
        cursor = session.encode_cursor(scope, [page[-1].campaign]) if len(found) > params.limit else None
        return AdsCampaigns(height=state.height, block_hash=state.block_hash, campaigns=views, cursor=cursor)


def get_order(session: Session, params: AdsOrderParams) -> AdsOrderResult:
    """An order, and what it has paid to whom."""
    network = session.backend.network
    with session.open_state(params.at) as state:
        order = find_order(state, OrderId(params.id))
        if order is None:
            raise not_found("there is no such order")
        shares = compute_shares(get_campaign(state, order.campaign).terms.split, order.gross_grains)
        return AdsOrderResult(
            height=state.height,
            block_hash=state.block_hash,
            id=params.id,
            campaign=order.campaign,
            user=format_did(order.user, network),
            publisher=format_did(order.publisher, network),
            kind=_KINDS[order.kind],
            slot=order.slot,
            number=order.number,
            price=order.price_grains,
            units_max=order.units_max,
            reserved=order.reserved_grains,
            tags_commitment=order.tags_commitment,
            accepted_ms=order.accepted_ms,
            deadline_ms=order.deadline_ms,
            status=_ORDER_STATUSES[order.status],
            units=order.units,
            gross=order.gross_grains,
            user_grains=shares.user_grains,
            publisher_grains=shares.publisher_grains,
            platform_grains=shares.platform_grains,
        )


def get_settlement(session: Session, params: AdsCampaignParams) -> AdsSettlementResult:
    """Where what was paid into a campaign is, and what stands between it and its settlement."""
    with session.open_state(params.at) as state:
        described = _find(state, state.moment.time_ms, params.id)
        book, is_settled = described.book, described.status is CampaignStatus.SETTLED
        return AdsSettlementResult(
            height=state.height,
            block_hash=state.block_hash,
            id=params.id,
            status=_STATUSES[described.status],
            funded=book.funded_grains,
            paid=book.paid_grains,
            forfeited=book.forfeited_grains,
            refunded=book.refunded_grains,
            left=book.left_grains,
            settles_ms=None if is_settled else described.settles_ms,
            channels_open=book.channels_open,
            complaints_open=book.complaints_open,
        )


def list_below(state: StateReader, advertiser: Did | None, before: int | None) -> Iterator[int]:
    """Numbers of campaigns below one, the newest first."""
    newest = get_counts(state).campaigns
    if before is not None:
        newest = max(0, min(newest, before - 1))  # anybody can make a cursor of any number
    if advertiser is None:
        return iter(range(newest, 0, -1))
    return list_campaigns_of(state, advertiser, newest)


def _find(state: StateReader, now_ms: int, number: int) -> CampaignDescription:
    described = describe_campaign(state, now_ms, CampaignId(number))
    if described is None:
        raise not_found(f"there is no campaign {number}; there are {get_counts(state).campaigns}")
    return described


def _build_campaign(described: CampaignDescription, network: NetworkKind) -> AdsCampaignView:
    terms, book = described.found.terms, described.book
    totals = zip(DeliveryKind, book.totals, strict=True)
    return AdsCampaignView(
        id=described.campaign,
        advertiser=format_did(described.found.advertiser, network),
        status=_STATUSES[described.status],
        reviewer=None if book.reviewer is None else format_did(book.reviewer, network),
        content_hash=terms.content_hash,
        metadata_uri=terms.metadata_uri,
        metadata_hash=terms.metadata_hash,
        targeting=format_expression(unpack_expression(terms.targeting)),
        targeting_hash=compute_targeting_hash(terms.targeting),
        start_ms=terms.start_ms,
        end_ms=terms.end_ms,
        ended_ms=described.ended_ms,
        settles_ms=described.settles_ms,
        terms_hash=compute_terms_hash(terms),
        daily_max=terms.daily_grains_max,
        cap=terms.cap,
        items=[
            AdsItem(
                kind=_KINDS[item.kind],
                price_min=item.price_grains_min,
                price_max=item.price_grains_max,
                units_min=item.units_min,
                units_max=item.units_max,
            )
            for item in terms.items
        ],
        fixed=None
        if terms.fixed is None
        else AdsFixedReward(total=terms.fixed.total_grains, deliveries=terms.fixed.deliveries),
        split=AdsSplit(
            user_bps=terms.split.user_bps,
            publisher_bps=terms.split.publisher_bps,
            platform_bps=terms.split.platform_bps,
        ),
        platform=format_address(terms.platform, network),
        refund=format_address(terms.refund, network),
        offerer=format_did(terms.offerer, network),
        matcher=None if terms.matcher is None else format_did(terms.matcher, network),
        source=book.source,
        money=AdsMoney(
            funded=book.funded_grains,
            deposit=book.deposit_grains,
            reserved=book.reserved_grains,
            locked=book.locked_grains,
            paid=book.paid_grains,
            paid_by_channels=book.channel_grains,
            forfeited=book.forfeited_grains,
            refunded=book.refunded_grains,
            free=described.free_grains,
        ),
        accepted=book.accepted,
        orders_open=book.orders_open,
        persons=book.persons,
        channels=book.channels,
        channels_open=book.channels_open,
        complaints_open=book.complaints_open,
        totals=[
            AdsKindTotal(kind=_KINDS[kind], completed=each.completed, units=each.units, grains=each.grains)
            for kind, each in totals
        ],
    )
