"""What advertising tells of; fields in this order."""

from dataclasses import dataclass
from typing import Final

from identity.address import Address
from identity.did import Did
from ledger.primitives import Grains, TimeMs
from vm.native.ads_records import (
    CampaignId,
    CampaignStatus,
    ChannelNumber,
    ComplaintId,
    DeliveryKind,
    Hash32,
    OrderId,
    Verdict,
)
from vm.native.distribution_records import SourceId


@dataclass(frozen=True, slots=True)
class CampaignCreated:
    """There is a draft."""

    campaign: CampaignId
    advertiser: Did


@dataclass(frozen=True, slots=True)
class CampaignRevised:
    """A draft has other terms."""

    campaign: CampaignId


@dataclass(frozen=True, slots=True)
class CampaignFunded:
    """Money came in."""

    campaign: CampaignId
    payer: Address
    grains: Grains
    deposit_grains: Grains
    """The part of all that came in which waits for complaints."""


@dataclass(frozen=True, slots=True)
class CampaignMoved:
    """A campaign stands elsewhere."""

    campaign: CampaignId
    status: CampaignStatus


@dataclass(frozen=True, slots=True)
class CampaignReviewed:
    """A reviewer has approved a campaign, or sent it back."""

    campaign: CampaignId
    reviewer: Did
    is_approved: bool
    reasons_hash: Hash32


@dataclass(frozen=True, slots=True)
class CampaignSettled:
    """What was not spent went back."""

    campaign: CampaignId
    recipient: Address
    refunded_grains: Grains


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """Somebody is to be delivered an advertisement."""

    order: OrderId
    campaign: CampaignId
    publisher: Did
    kind: DeliveryKind
    reserved_grains: Grains


@dataclass(frozen=True, slots=True)
class OrderCompleted:
    """It was delivered and paid."""

    order: OrderId
    campaign: CampaignId
    units: int
    user_grains: Grains
    publisher_grains: Grains
    platform_grains: Grains


@dataclass(frozen=True, slots=True)
class OrderLapsed:
    """It was not delivered in time."""

    order: OrderId
    campaign: CampaignId
    released_grains: Grains


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """Money is set aside."""

    campaign: CampaignId
    channel: ChannelNumber
    user: Did | None
    publisher: Did
    locked_grains: Grains


@dataclass(frozen=True, slots=True)
class BalancePosted:
    """A channel has earned so much, unless a newer balance says more before it closes."""

    campaign: CampaignId
    channel: ChannelNumber
    version: int
    gross_grains: Grains
    closes_ms: TimeMs


@dataclass(frozen=True, slots=True)
class ChannelSettled:
    """A channel is paid; what it was not paid is the campaign's again."""

    campaign: CampaignId
    channel: ChannelNumber
    user_grains: Grains
    publisher_grains: Grains
    platform_grains: Grains
    released_grains: Grains


@dataclass(frozen=True, slots=True)
class ComplaintFiled:
    """Somebody objects to a campaign's content."""

    complaint: ComplaintId
    campaign: CampaignId
    complainer: Did


@dataclass(frozen=True, slots=True)
class PanelDrawn:
    """At the end of a block: who is to judge a complaint."""

    complaint: ComplaintId
    campaign: CampaignId
    panel: tuple[Did, ...]


@dataclass(frozen=True, slots=True)
class ComplaintJudged:
    """A member of the panel has found something."""

    complaint: ComplaintId
    member: Did
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ComplaintDecided:
    """A complaint is over."""

    complaint: ComplaintId
    campaign: CampaignId
    verdict: Verdict
    complainer_grains: Grains
    """Stake and reward."""
    treasury_grains: Grains
    points: int
    """Of the advertiser from now on."""


@dataclass(frozen=True, slots=True)
class ReviewersChanged:
    """Somebody may be drawn for panels, or no more."""

    reviewer: Did
    is_enrolled: bool


@dataclass(frozen=True, slots=True)
class DistributionOpened:
    """A campaign pays users of channels through this source of distributions."""

    campaign: CampaignId
    source: SourceId


EVENTS: Final = (
    CampaignCreated,
    CampaignRevised,
    CampaignFunded,
    CampaignMoved,
    CampaignReviewed,
    CampaignSettled,
    OrderAccepted,
    OrderCompleted,
    OrderLapsed,
    ChannelOpened,
    BalancePosted,
    ChannelSettled,
    ComplaintFiled,
    PanelDrawn,
    ComplaintJudged,
    ComplaintDecided,
    ReviewersChanged,
    DistributionOpened,
)
