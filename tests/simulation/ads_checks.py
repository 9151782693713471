"""What must hold of campaigns, orders, channels and complaints in every state, to the grain.

Found by going through the tables, not by the books' own sums.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from identity.did import Did
from ledger.codec import decode
from ledger.state import StateReader
from ledger.state_keys import Table
from tests.simulation.identity_checks import iterate_table
from tests.simulation.violation import require
from vm.native.ads_formulas import compute_fixed_reward, compute_shares
from vm.native.ads_records import (
    ADS_ADDRESS,
    Book,
    Campaign,
    CampaignStatus,
    Channel,
    Complaint,
    Credit,
    DeliveryKind,
    Order,
    OrderStatus,
    Verdict,
    find_complaint_of,
    get_counts,
)
from vm.native.distribution_records import get_source
from vm.native.iov import get_balance

_NUMBER_BYTES = 8


def check_ads(state: StateReader) -> None:
    """All laws of advertising; raises ViolationError."""
    campaigns = {_to_number(key): decode(Campaign, value) for key, value in _iterate_campaigns(state)}
    books, complaints = _list_books(state), _list_complaints(state)
    orders, channels = defaultdict[int, list[Order]](list), defaultdict[int, list[Channel]](list)
    for _, value in iterate_table(state, Table.ADS_ORDER):
        order = decode(Order, value)
        orders[order.campaign].append(order)
    for key, value in iterate_table(state, Table.ADS_CHANNEL):
        channels[_to_number(key[:_NUMBER_BYTES])].append(decode(Channel, value))
    reached = defaultdict[int, set[Did]](set)
    for key, _ in iterate_table(state, Table.ADS_REACHED):
        reached[_to_number(key[:_NUMBER_BYTES])].add(Did(key[_NUMBER_BYTES:]))
    check_ads_coins(state)
    _check_counts(state, campaigns, books, complaints)
    require(set(books) >= {*orders, *channels, *reached}, "orders and channels have a campaign")
    for number, book in books.items():
        of_campaign = [each for each in complaints.values() if each.campaign == number]
        _check_book(book, campaigns[number], of_campaign)
        _check_orders(book, campaigns[number], orders[number])
        _check_reached(book, orders[number], reached[number])
        _check_channels(state, book, campaigns[number], channels[number])
    _check_draws(state, complaints)
    _check_credit(state, campaigns, complaints)


def check_ads_coins(state: StateReader) -> None:
    """What of it is about coins alone, which also holds where a test has written records by hand."""
    books = _list_books(state).values()
    stakes_grains = sum(each.stake_grains for each in _list_complaints(state).values() if each.verdict is None)
    held_grains = sum(book.left_grains for book in books) + stakes_grains
    require(get_balance(state, ADS_ADDRESS) == held_grains, "ads holds what is left of campaigns, and stakes")
    for book in books:
        promised_grains = book.reserved_grains + book.locked_grains + book.deposit_grains
        require(0 <= promised_grains <= book.left_grains, "a campaign promises no more than it has left")
        by_orders_grains = sum(total.grains for total in book.totals)
        require(book.paid_grains == book.channel_grains + by_orders_grains, "a campaign pays by orders and channels")


def _list_books(state: StateReader) -> dict[int, Book]:
    return {_to_number(key): decode(Book, value) for key, value in iterate_table(state, Table.ADS_BOOK)}


def _list_complaints(state: StateReader) -> dict[int, Complaint]:
    return {_to_number(key): decode(Complaint, value) for key, value in iterate_table(state, Table.ADS_COMPLAINT)}


def _iterate_campaigns(state: StateReader) -> list[tuple[bytes, bytes]]:
    """The counts stand under the bare number of the table."""
    return [(key, value) for key, value in iterate_table(state, Table.ADS_CAMPAIGN) if key]


def _check_counts(
    state: StateReader, campaigns: dict[int, Campaign], books: dict[int, Book], complaints: dict[int, Complaint]
) -> None:
    counts = get_counts(state)
    numbers = list(range(1, counts.campaigns + 1))
    require(sorted(campaigns) == sorted(books) == numbers, "all campaigns are kept, each with a book")
    require(sorted(complaints) == list(range(1, counts.complaints + 1)), "all complaints are kept")
    for number, each in complaints.items():
        is_named = find_complaint_of(state, each.campaign, each.complainer) == number
        require(is_named, "one complains once about a campaign")


def _check_book(book: Book, campaign: Campaign, complaints: Sequence[Complaint]) -> None:
    require(book.day_grains <= campaign.terms.daily_grains_max, "a day promises no more than the terms allow")
    undecided = sum(each.verdict is None for each in complaints)
    require(book.complaints_open == undecided, "a campaign counts its complaints")
    upheld = sum(each.verdict is Verdict.UPHELD for each in complaints)
    require(upheld == book.is_upheld, "a campaign is punished once")
    if book.status is CampaignStatus.SETTLED:
        is_empty = (book.left_grains, book.channels_open, book.complaints_open) == (0, 0, 0)
        require(is_empty, "nothing is left of a settled campaign")


def _check_orders(book: Book, campaign: Campaign, orders: Sequence[Order]) -> None:
    numbers = sorted(each.number for each in orders)
    require(numbers == list(range(1, book.accepted + 1)), "a campaign counts its orders")
    standing = [each for each in orders if each.status is OrderStatus.ACCEPTED]
    if book.status is CampaignStatus.SETTLED:
        standing = []
    reserved_grains = sum(each.reserved_grains for each in standing)
    is_reserved = (book.orders_open, book.reserved_grains) == (len(standing), reserved_grains)
    require(is_reserved, "a campaign reserves what its open orders may come to")
    completed = [each for each in orders if each.status is OrderStatus.COMPLETED]
    for kind, total in zip(DeliveryKind, book.totals, strict=True):
        of_kind = [each for each in completed if each.kind == kind]
        found = (len(of_kind), sum(each.units for each in of_kind), sum(each.gross_grains for each in of_kind))
        require((total.completed, total.units, total.grains) == found, "a campaign has paid for what was completed")
    for each in orders:
        require(each.gross_grains <= each.reserved_grains, "an order pays no more than was reserved")
        if campaign.terms.fixed is not None:
            reward = compute_fixed_reward(campaign.terms.fixed, each.number)
            require(each.reserved_grains == reward, "a fixed total is shared out in turn")


def _check_reached(book: Book, orders: Sequence[Order], reached: set[Did]) -> None:
    users = {each.user for each in orders if each.status is OrderStatus.COMPLETED}
    require(reached == users and book.persons == len(users), "a campaign counts the persons it reached")


def _check_draws(state: StateReader, complaints: dict[int, Complaint]) -> None:
    """What was closed before its panel was drawn is forgotten in its turn."""
    waiting = {_to_number(key) for key, _ in iterate_table(state, Table.ADS_DRAW)}
    without = {number for number, each in complaints.items() if not each.panel}
    undecided = {number for number in without if complaints[number].verdict is None}
    require(undecided <= waiting <= without, "complaints without a panel wait for one")


def _check_channels(state: StateReader, book: Book, campaign: Campaign, channels: Sequence[Channel]) -> None:
    settled = [each for each in channels if each.is_settled]
    locked_grains = sum(each.locked_grains for each in channels if not each.is_settled)
    found = (len(channels), len(channels) - len(settled), locked_grains)
    is_locked = (book.channels, book.channels_open, book.locked_grains) == found
    require(is_locked, "a campaign locks what its open channels may earn")
    paid_grains = sum(each.gross_grains for each in settled)
    require(book.channel_grains == paid_grains, "a campaign has paid what settled channels have earned")
    for each in channels:
        require(each.gross_grains <= each.locked_grains, "a channel earns no more than was locked")
    for_many = [each for each in channels if each.user is None]
    require(not for_many or book.source is not None, "a channel for many has a distribution")
    if book.source is not None:
        earned = [compute_shares(campaign.terms.split, each.gross_grains) for each in for_many if each.is_settled]
        users_grains = sum(each.user_grains for each in earned)
        funded_grains = get_source(state, book.source).funded_grains
        require(funded_grains >= users_grains, "what many users have earned is in their distribution")


def _check_credit(state: StateReader, campaigns: dict[int, Campaign], complaints: dict[int, Complaint]) -> None:
    upheld, dismissed = Counter[Did](), Counter[Did]()
    for each in complaints.values():
        advertiser = campaigns[each.campaign].advertiser
        upheld[advertiser] += each.verdict is Verdict.UPHELD
        dismissed[advertiser] += each.verdict in (Verdict.DISMISSED, Verdict.ABUSIVE)
    noted = {Did(key): decode(Credit, value) for key, value in iterate_table(state, Table.ADS_CREDIT)}
    require({did: each.upheld for did, each in noted.items() if each.upheld} == +upheld, "upheld complaints are noted")
    found = {did: each.dismissed for did, each in noted.items() if each.dismissed}
    require(found == +dismissed, "dismissed complaints are noted")


def _to_number(encoded: bytes) -> int:
    return int.from_bytes(encoded, "big")
