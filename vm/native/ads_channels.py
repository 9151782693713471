"""Channels: balances that grow off the chain, rules W14 to W16 and W22."""

from dataclasses import dataclass, replace
from typing import Final

from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key, verify_signature
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import encode
from ledger.primitives import SUPPLY_GRAINS, Grains, Signature, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context
from vm.gas import GAS_KEY_CHECK, GAS_SIGNATURE
from vm.native.accounts import DAY_MS
from vm.native.ads_campaigns import check_grace_over
from vm.native.ads_events import BalancePosted, ChannelOpened, ChannelSettled, DistributionOpened
from vm.native.ads_formulas import BPS, Shares, compute_shares
from vm.native.ads_orders import check_running, find_payee, get_payee, pay_platform, pay_shares, promise
from vm.native.ads_records import (
    ADS_ADDRESS,
    CHANNELS_OPEN_MAX,
    MODULE_NAME,
    BalancePayload,
    Book,
    Campaign,
    CampaignId,
    Channel,
    ChannelNumber,
    ChannelPayload,
    Counterparty,
    Terms,
    find_channel,
    find_ended_ms,
    get_book,
    get_campaign,
    pay,
    put_book,
    put_channel,
)
from vm.native.did_control import check_agreed, check_signatures, get_party
from vm.native.did_payloads import DidSignatures
from vm.native.did_records import GAS_DID_READ
from vm.native.distribution_records import (
    CHALLENGE_MS_MAX,
    Breaker,
    SourceId,
    SourceRules,
    create_source,
    fund_source,
)

_NO_BREAKER: Final = Breaker(DAY_MS, Grains(SUPPLY_GRAINS), BPS, Grains(SUPPLY_GRAINS))
"""What may be claimed was co-signed balance by balance; there is nothing that a breaker could wait for."""


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """Set money aside for a balance that grows off the chain."""

    payload: ChannelPayload
    signatures: DidSignatures
    """By the campaign's offerer and the counterparty."""


@dataclass(frozen=True, slots=True)
class PostBalance:
    """Bring a channel's balance on the chain."""

    payload: BalancePayload
    offerer_signature: Signature
    counterparty_signature: Signature | None
    """None for version 0 alone."""


@dataclass(frozen=True, slots=True)
class SettleChannel:
    """Pay what a channel's newest balance says."""

    campaign: CampaignId
    channel: ChannelNumber


def apply_open_channel(state: State, context: Context, call: OpenChannel) -> None:
    """Rule W14."""
    given, now_ms = call.payload, context.block.time_ms
    found, book = get_campaign(state, given.campaign), get_book(state, given.campaign)
    check_running(found, book, now_ms)
    if given.number != book.channels + 1:
        raise Rejected(Reason.ADS_BAD_BALANCE, "this is not the next channel", expected=book.channels + 1)
    if book.channels_open >= CHANNELS_OPEN_MAX:
        raise Rejected(
            Reason.ADS_BAD_BALANCE, f"at most {CHANNELS_OPEN_MAX} channels are open", maximum=CHANNELS_OPEN_MAX
        )
    _check_parties(context, found.terms, given)
    user_account = None if given.user is None else get_payee(state, given.user)
    publisher_account = get_payee(state, given.publisher)
    book = promise(found.terms, book, given.locked_grains, now_ms)
    purpose = SigningPurpose.ADS_CHANNEL
    signer = given.user if given.counterparty is Counterparty.USER else given.publisher
    assert signer is not None, "a user who signs is named"
    check_signatures(context, purpose, encode(given), call.signatures)
    parties = [get_party(state, context, found.terms.offerer), get_party(state, context, signer)]
    check_agreed(state, context, parties, call.signatures)
    if given.user is None and book.source is None:
        book = replace(book, source=_open_source(state, context, given.campaign, found.terms, book))
        context.emit(MODULE_NAME, DistributionOpened.__name__, given.campaign, book.source)
    nothing = Grains(0)
    opened = Channel(
        user=given.user,
        user_account=user_account,
        publisher=given.publisher,
        publisher_account=publisher_account,
        counterparty=given.counterparty,
        offerer_key=given.offerer_key,
        counterparty_key=given.counterparty_key,
        locked_grains=Grains(given.locked_grains),
        version=0,
        gross_grains=nothing,
        closes_ms=TimeMs(0),
        is_settled=False,
    )
    put_channel(state, given.campaign, given.number, opened)
    locked = Grains(book.locked_grains + given.locked_grains)
    counted = replace(book, locked_grains=locked, channels=given.number, channels_open=book.channels_open + 1)
    put_book(state, given.campaign, counted)
    fields = (given.campaign, given.number, given.user, given.publisher, given.locked_grains)
    context.emit(MODULE_NAME, ChannelOpened.__name__, *fields)


def apply_post_balance(state: State, context: Context, call: PostBalance) -> None:
    """Rule W15."""
    given, now_ms = call.payload, context.block.time_ms
    channel = _get_open(state, given.campaign, given.channel)
    found, book = get_campaign(state, given.campaign), get_book(state, given.campaign)
    _check_newer(found, book, channel, given, now_ms)
    _check_balance_signed(context, channel, call)
    closes_ms = channel.closes_ms or TimeMs(now_ms + book.windows.challenge_ms)
    posted = replace(channel, version=given.version, gross_grains=given.gross_grains, closes_ms=closes_ms)
    put_channel(state, given.campaign, given.channel, posted)
    fields = (given.campaign, given.channel, given.version, given.gross_grains, closes_ms)
    context.emit(MODULE_NAME, BalancePosted.__name__, *fields)


def apply_settle_channel(state: State, context: Context, call: SettleChannel) -> None:
    """Rule W16; anybody may."""
    now_ms = context.block.time_ms
    channel = _get_open(state, call.campaign, call.channel)
    found, book = get_campaign(state, call.campaign), get_book(state, call.campaign)
    if channel.closes_ms == 0:
        if find_ended_ms(found, book, now_ms) is None:
            raise Rejected(Reason.ADS_TOO_EARLY, "nobody has posted a balance, and the campaign goes on")
        check_grace_over(found, book, now_ms)
    elif now_ms < channel.closes_ms:
        raise Rejected(Reason.ADS_TOO_EARLY, "newer balances may be posted", until_ms=channel.closes_ms)
    gross = channel.gross_grains
    shares = _pay_channel(state, found, book, channel, now_ms)
    put_channel(state, call.campaign, call.channel, replace(channel, is_settled=True))
    settled = replace(
        book,
        locked_grains=Grains(book.locked_grains - channel.locked_grains),
        paid_grains=Grains(book.paid_grains + gross),
        channel_grains=Grains(book.channel_grains + gross),
        channels_open=book.channels_open - 1,
    )
    put_book(state, call.campaign, settled)
    paid = (shares.user_grains, shares.publisher_grains, shares.platform_grains)
    released = channel.locked_grains - gross
    context.emit(MODULE_NAME, ChannelSettled.__name__, call.campaign, call.channel, *paid, released)


def _check_balance_signed(context: Context, channel: Channel, call: PostBalance) -> None:
    """Rule W15: by the keys that the channel was opened with; raises Rejected."""
    message = signing_bytes(SigningPurpose.ADS_BALANCE, context.block.domain, encode(call.payload))
    signed = [(channel.offerer_key, call.offerer_signature)]
    if call.payload.version:
        if call.counterparty_signature is None:
            raise Rejected(Reason.ADS_BAD_BALANCE, "both sides sign a balance")
        signed.append((channel.counterparty_key, call.counterparty_signature))
    for key, signature in signed:
        context.gas.charge(GAS_SIGNATURE[KeyType.ED25519])
        if not verify_signature(PublicKey(KeyType.ED25519, key), message, signature):
            raise Rejected(Reason.ADS_BAD_BALANCE, "a key of the channel has not signed this balance")


def _check_parties(context: Context, terms: Terms, given: ChannelPayload) -> None:
    """Rule W14; raises Rejected."""
    for key in (given.offerer_key, given.counterparty_key):
        context.gas.charge(GAS_KEY_CHECK)
        try:
            check_public_key(PublicKey(KeyType.ED25519, key))
        except InvalidKeyError as error:
            raise Rejected(Reason.ADS_BAD_OFFER, f"no key of a channel: {error}") from None
    if given.user == given.publisher:
        raise Rejected(Reason.ADS_BAD_OFFER, "nobody publishes for oneself")
    if given.user is None and (given.counterparty is not Counterparty.PUBLISHER or terms.matcher is None):
        raise Rejected(
            Reason.ADS_BAD_OFFER, "for many users the publisher signs balances, and the matcher says who they are"
        )


def _open_source(state: State, context: Context, campaign: CampaignId, terms: Terms, book: Book) -> SourceId:
    """Rule W22: offerer and matcher attest roots together; nobody takes anything out but users."""
    assert terms.matcher is not None, "it was checked"
    attesters = tuple(sorted({terms.offerer, terms.matcher}))
    context.gas.charge(GAS_DID_READ * len(attesters))
    rules = SourceRules(
        label=f"ads campaign {campaign}",
        owner=ADS_ADDRESS,
        attesters=attesters,
        threshold=len(attesters),
        challenge_ms=min(book.windows.challenge_ms, CHALLENGE_MS_MAX),
        breaker=_NO_BREAKER,
    )
    return create_source(state, rules)


def _pay_channel(state: State, found: Campaign, book: Book, channel: Channel, now_ms: int) -> Shares:
    """Rules W16 and W22."""
    publisher = find_payee(state, channel.publisher) or channel.publisher_account
    if channel.user is not None:
        assert channel.user_account is not None, "a user had an account"
        user = find_payee(state, channel.user) or channel.user_account
        return pay_shares(state, found, user, publisher, channel.gross_grains, now_ms)
    assert book.source is not None, "the channel has opened it"
    shares = compute_shares(found.terms.split, channel.gross_grains)
    if shares.user_grains:
        fund_source(state, book.source, ADS_ADDRESS, shares.user_grains, now_ms)
    pay(state, publisher, shares.publisher_grains, now_ms)
    pay_platform(state, found, shares.platform_grains, now_ms)
    return shares


def _get_open(state: StateReader, campaign: CampaignId, number: ChannelNumber) -> Channel:
    """A channel that is not settled; raises Rejected."""
    channel = find_channel(state, campaign, number)
    if channel is None:
        raise Rejected(Reason.ADS_UNKNOWN_CHANNEL, "there is no such channel")
    if channel.is_settled:
        raise Rejected(Reason.ADS_UNKNOWN_CHANNEL, "the channel is settled")
    return channel


def _check_newer(found: Campaign, book: Book, channel: Channel, given: BalancePayload, now_ms: int) -> None:
    """Rule W15; raises Rejected."""
    if channel.closes_ms:
        if now_ms >= channel.closes_ms:
            raise Rejected(Reason.ADS_BAD_BALANCE, "the time for newer balances is over")
        if given.version <= channel.version:
            raise Rejected(Reason.ADS_BAD_BALANCE, "a newer balance stands", version=channel.version)
    else:
        ended_ms = find_ended_ms(found, book, now_ms)
        if ended_ms is not None and now_ms >= ended_ms + book.windows.grace_ms:
            raise Rejected(Reason.ADS_BAD_BALANCE, "the campaign's grace period is over")
    if given.version == 0 and given.gross_grains:
        raise Rejected(Reason.ADS_BAD_BALANCE, "version 0 says that nothing was earned")
    if not channel.gross_grains <= given.gross_grains <= channel.locked_grains:
        raise Rejected(
            Reason.ADS_BAD_BALANCE,
            "a balance grows, up to what was set aside",
            minimum=channel.gross_grains,
            maximum=channel.locked_grains,
        )
