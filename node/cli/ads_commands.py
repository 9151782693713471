"""`carlive ads`: campaigns, deliveries, channels, complaints and results."""

import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.accounts import keyring_options, open_keyring
from node.cli.ads_files import (
    KINDS,
    SALT_BYTES,
    Match,
    get_kind_number,
    read_match,
    read_offer,
    read_secret,
    read_tags,
    read_terms,
    write_match,
    write_offer,
)
from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE, signing_options
from node.cli.did_signing import Operation, Signing, find_public_key, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, format_time, parse_id, to_plain
from node.cli.sending import Intent, Sending, ask, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from node.cli.accounts import Keyring
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from rpc.models import AdsCampaignView
    from vm.native.ads_records import OfferPayload
    from vm.native.did_payloads import DidSignature

MODULE: Final = "ads"
CAMPAIGNS_SHOWN_MAX: Final = 50
VERDICTS: Final = ("upheld", "dismissed", "abusive")
COUNTERPARTIES: Final = ("user", "publisher")
CLOCK_TOLERANCE_MS: Final = 600_000  # so long is a new offer good for at least, by the time of the newest block
OFFER_HOURS_MAX: Final = 24 * 400  # no campaign lasts longer
_HOUR_MS: Final = 3_600_000

_campaign_argument = click.argument("number", metavar="CAMPAIGN", type=click.IntRange(1))
_reasons_option = click.option(
    "--reasons", type=FILE, default=None, help="File with the reasons: its SHA-256 goes on the chain."
)
_EXISTING = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group(cls=SuggestingGroup)
def ads() -> None:
    """Run campaigns, match and deliver advertisements, and see results.

    Advertisers, reviewers and complainers act by the account of their identity (--from); users, publishers and matchers
    sign with keys of theirs (--by), and anybody sends.
    """


@ads.group(cls=SuggestingGroup)
def campaign() -> None:
    """Make, fund, review and settle campaigns."""


@campaign.command()
@click.argument("terms", type=_EXISTING)
@sending_options
def create(terms: Path, sending: Sending) -> None:
    """Begin a campaign on the terms of the file TERMS, as a draft."""

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        return build_known_intent(client, facts, MODULE, "create", [_read_terms_json(terms, sending.keyring, facts)])

    send_intent(build, sending)


@campaign.command()
@_campaign_argument
@click.argument("terms", type=_EXISTING)
@sending_options
def revise(number: int, terms: Path, sending: Sending) -> None:
    """Give a draft the terms of the file TERMS."""

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        arguments = [number, _read_terms_json(terms, sending.keyring, facts)]
        return build_known_intent(client, facts, MODULE, "revise", arguments)

    send_intent(build, sending)


@campaign.command()
@_campaign_argument
@click.option("--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals.")
@click.option("--refund", default=None, metavar="ACCOUNT", help="Where the rest goes.  [default: as the terms say now]")
@sending_options
def fund(number: int, amount: str, refund: str | None, sending: Sending) -> None:
    """Pay into a campaign; what it does not spend goes to the account that is shown, or nothing is paid."""
    from identity.address import format_address
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        expected = client.run(calls.ads_campaign(number)).campaign.refund
        if refund is not None:
            expected = format_address(sending.keyring.find_address(refund, facts.network), facts.network)
        return build_known_intent(client, facts, MODULE, "fund", [number, grains, expected])

    send_intent(build, sending)


@campaign.command()
@_campaign_argument
@sending_options
def submit(number: int, sending: Sending) -> None:
    """Ask for a draft to be reviewed."""
    _send(sending, "submit", number)


@campaign.command()
@_campaign_argument
@click.option("--approve/--send-back", "is_approved", required=True, help="Let it run, or not.")
@click.option("--terms", default=None, metavar="0x…", help="Hash of the terms that were read.  [default: those of now]")
@_reasons_option
@sending_options
def review(number: int, is_approved: bool, terms: str | None, reasons: Path | None, sending: Sending) -> None:
    """Let a campaign run, or send it back to its advertiser, as a community administrator."""

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        terms_hash = client.run(calls.ads_campaign(number)).campaign.terms_hash
        if terms is not None and terms != "0x" + terms_hash.hex():
            raise CommandFailedError(f"campaign {number} has other terms by now: read them again", ExitCode.FAILED)
        arguments = [number, "0x" + terms_hash.hex(), is_approved, _hash_file(reasons)]
        return build_known_intent(client, facts, MODULE, "review", arguments)

    send_intent(build, sending)


@campaign.command()
@_campaign_argument
@sending_options
def pause(number: int, sending: Sending) -> None:
    """Accept nothing for a while."""
    _send(sending, "pause", number)


@campaign.command()
@_campaign_argument
@sending_options
def resume(number: int, sending: Sending) -> None:
    """Go on after a pause."""
    _send(sending, "resume", number)


@campaign.command()
@_campaign_argument
@sending_options
def end(number: int, sending: Sending) -> None:
    """Accept nothing any more; what was accepted may complete within the grace period."""
    _send(sending, "end", number)


@campaign.command()
@_campaign_argument
@sending_options
def settle(number: int, sending: Sending) -> None:
    """Give back what a campaign has not spent; anybody may."""
    _send(sending, "settle", number)


@campaign.command()
@_campaign_argument
@node_option
@output_option
def show(number: int, node_url: str, output: Output) -> None:
    """Show a campaign: its terms, where it stands, and where its money is."""
    with connect(node_url) as client:
        found = client.run(calls.ads_campaign(number)).campaign
    output.show_record(to_plain(found) if output.is_json else _describe(found))


@campaign.command("list")
@click.option("--advertiser", default=None, metavar="DID", help="Only this advertiser's.")
@node_option
@output_option
def list_campaigns(advertiser: str | None, node_url: str, output: Output) -> None:
    """List the newest campaigns."""
    with connect(node_url) as client:
        found = client.run(calls.ads_campaigns(advertiser, limit=CAMPAIGNS_SHOWN_MAX)).campaigns
    if output.is_json:
        output.show_list([to_plain(each) for each in found], [])
        return
    rows = [_describe(each) for each in found]
    output.show_list(rows, ["id", "status", "free", "paid", "ends", "targeting"], empty="there are no campaigns")


# Deliveries


@ads.command()
@_campaign_argument
@click.option("--publisher", required=True, metavar="DID", help="Through whom it is delivered.")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What is delivered.")
@click.option("--price", default=None, metavar="IOV", help="Of one unit; none when a fixed total is shared.")
@click.option(
    "--units", type=click.IntRange(1), default=1, show_default=True, help="Most units, minutes of a live view."
)
@click.option(
    "--hours",
    type=click.IntRange(1, OFFER_HOURS_MAX),
    default=24,
    show_default=True,
    help="How long it may be taken up.",
)
@click.option("--by", "signers", multiple=True, required=True, metavar="KEY", help="Key of the campaign's offerer.")
@click.option("--out", "offer_file", type=FILE, required=True, help="Where the offer goes.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Sign without asking.")
@keyring_options
@node_option
@output_option
def offer(
    number: int,
    publisher: str,
    kind: str,
    price: str | None,
    units: int,
    hours: int,
    signers: tuple[str, ...],
    offer_file: Path,
    is_confirmed: bool,
    keys_dir: Path,
    password_file: Path | None,
    node_url: str,
    output: Output,
) -> None:
    """Sign an offer for everybody who matches; nothing is sent."""
    from identity.did import format_did
    from ledger.primitives import Grains, TimeMs
    from node.cli.amounts import parse_iov
    from vm.native.ads_records import CampaignId, DeliveryKind, OfferPayload

    keyring = open_keyring(keys_dir, password_file)
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        offerer = parse_did_text(client.run(calls.ads_campaign(number)).campaign.offerer, facts.network)
        until_ms = find_until(client.run(calls.chain_head()).time_ms, hours)
    payload = OfferPayload(
        CampaignId(number),
        parse_did_text(publisher, facts.network),
        DeliveryKind(get_kind_number(kind)),
        Grains(0 if price is None else parse_iov(price)),
        units,
        TimeMs(until_ms),
    )
    shown = {
        "campaign": number,
        "offerer": format_did(offerer, facts.network),
        "publisher": format_did(payload.publisher, facts.network),
        "kind": kind,
        "price": "by the campaign's total" if price is None else f"{format_grains(payload.price_grains)} a unit",
        "unitsMax": units,
        "until": format_time(until_ms),
    }
    if not is_confirmed:
        ask({"chain": f"{facts.chain_id} ({facts.network.name.lower()})", **shown}, "Sign this?")
    write_offer(offer_file, payload, _sign_offer(payload, offerer, signers, keyring, facts), facts)
    output.show_record({**shown, "file": str(offer_file)})


@ads.command()
@click.argument("offer_file", metavar="OFFER", type=_EXISTING)
@click.option("--as", "holder", required=True, metavar="DID", help="The person, also when a pseudonym will sign.")
@click.option("--tags", type=_EXISTING, required=True, help="JSON object of tags by their names; it stays here.")
@click.option("--consent", "consented", multiple=True, metavar="NAME", help="Tag that may be used; none else is.")
@click.option("--slot", type=click.IntRange(0), default=0, show_default=True, help="Which delivery to this person.")
@click.option("--matcher-secret", type=_EXISTING, default=None, help="The matcher's secret, for campaigns with one.")
@click.option("--out", "match_file", type=FILE, required=True, help="Where the match goes; its salt is secret.")
@node_option
@output_option
def match(
    offer_file: Path,
    holder: str,
    tags: Path,
    consented: tuple[str, ...],
    slot: int,
    matcher_secret: Path | None,
    match_file: Path,
    node_url: str,
    output: Output,
) -> None:
    """Find out whether somebody is wanted, by tags that never leave this machine."""
    from identity.ads_matching import compute_matched_nullifier, compute_open_nullifier, find_match
    from identity.targeting import list_variables, pack_expression, parse_expression

    with connect(node_url) as client:
        facts = read_chain_facts(client)
        found, _ = read_offer(offer_file, facts)
        campaign = client.run(calls.ads_campaign(found.campaign)).campaign
    person = parse_did_text(holder, facts.network)
    expression = parse_expression(campaign.targeting)
    place = (facts.domain, found.campaign, person, slot)
    if (campaign.matcher is None) is not (matcher_secret is None):
        raise CommandFailedError("campaigns with a matcher, and only those, are matched with --matcher-secret")
    if matcher_secret is None:
        nullifier = compute_open_nullifier(*place)
    else:
        nullifier = compute_matched_nullifier(read_secret(matcher_secret), *place)
    salt = secrets.token_bytes(SALT_BYTES)
    matched = find_match(
        pack_expression(expression),
        read_tags(tags),
        consented,
        campaign=found.campaign,
        slot=slot,
        nullifier=nullifier,
        salt=salt,
    )
    asked = ", ".join(list_variables(expression))
    if matched is None:
        output.show_record({"isMatch": False, "asksFor": asked})
        return
    write_match(match_file, Match(found.campaign, slot, nullifier, matched.tags_commitment), salt)
    output.show_record({"isMatch": True, "asksFor": asked, "file": str(match_file)})


@ads.command()
@click.argument("offer_file", metavar="OFFER", type=_EXISTING)
@click.argument("match_file", metavar="MATCH", type=_EXISTING)
@click.option("--as", "user", required=True, metavar="DID", help="Who signs: the person, or a pseudonym.")
@signing_options
@sending_options
def accept(offer_file: Path, match_file: Path, user: str, signing: Signing, sending: Sending) -> None:
    """Take up an offer; user, publisher and the campaign's matcher sign."""
    from ledger.primitives import HASH_BYTES
    from vm.native.ads_records import AcceptancePayload, Nullifier, compute_order_id

    matched = read_match(match_file)
    assert len(matched.nullifier) == HASH_BYTES, "the file was checked"

    def prepare(_: "Client", facts: "ChainFacts") -> Operation:
        found, signatures = read_offer(offer_file, facts)
        if found.campaign != matched.campaign:
            raise CommandFailedError(f"{match_file} is for campaign {matched.campaign}, the offer for {found.campaign}")
        did = parse_did_text(user, facts.network)
        payload = AcceptancePayload(found, did, matched.slot, Nullifier(matched.nullifier), matched.tags_commitment)
        return Operation("ads.accept", payload, did, (signatures,))

    order = compute_order_id(_campaign_id(matched.campaign), Nullifier(matched.nullifier))
    send_operation(prepare, signing, sending, {"order": "0x" + order.hex()})


@ads.command()
@click.argument("order", metavar="ORDER")
@click.option("--units", type=click.IntRange(1), default=1, show_default=True, help="Minutes of a live view.")
@signing_options
@sending_options
def complete(order: str, units: int, signing: Signing, sending: Sending) -> None:
    """Say that an order was delivered: user and publisher sign, and everybody is paid."""
    from vm.native.ads_records import CompletionPayload, OrderId

    name = OrderId(parse_id(order))

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        user = parse_did_text(client.run(calls.ads_order(name)).user, facts.network)
        return Operation("ads.complete", CompletionPayload(name, units), user)

    send_operation(prepare, signing, sending)


@ads.command()
@click.argument("order", metavar="ORDER")
@sending_options
def lapse(order: str, sending: Sending) -> None:
    """Let a campaign have again what an order has not earned in time; anybody may."""
    _send(sending, "lapse", "0x" + parse_id(order).hex())


@ads.command("order")
@click.argument("order", metavar="ORDER")
@node_option
@output_option
def show_order(order: str, node_url: str, output: Output) -> None:
    """Show an order, and what it has paid to whom."""
    with connect(node_url) as client:
        found = to_plain(client.run(calls.ads_order(parse_id(order))))
    output.show_record(found)


# Channels


@ads.command("open-channel")
@_campaign_argument
@click.option(
    "--user", default=None, metavar="DID", help="Whose share it pays.  [default: many users', by a distribution]"
)
@click.option("--publisher", required=True, metavar="DID", help="Through whom it is delivered.")
@click.option("--counterparty", type=click.Choice(COUNTERPARTIES), required=True, help="Who signs balances.")
@click.option("--offerer-key", required=True, metavar="KEY", help="Ed25519 key that signs balances for the campaign.")
@click.option(
    "--counterparty-key", required=True, metavar="KEY", help="The same of the other side: name, or ed25519:0x…."
)
@click.option("--amount", required=True, metavar="IOV", help="What is set aside.")
@signing_options
@sending_options
def open_channel(
    number: int,
    user: str | None,
    publisher: str,
    counterparty: str,
    offerer_key: str,
    counterparty_key: str,
    amount: str,
    signing: Signing,
    sending: Sending,
) -> None:
    """Set money aside for a balance that grows off the chain; offerer and counterparty sign."""
    from ledger.primitives import Grains
    from node.cli.amounts import parse_iov
    from vm.native.ads_records import ChannelKey, ChannelPayload, Counterparty

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        found = client.run(calls.ads_campaign(number)).campaign
        keys = [find_public_key(each, sending.keyring, facts.network) for each in (offerer_key, counterparty_key)]
        payload = ChannelPayload(
            _campaign_id(number),
            found.channels + 1,
            None if user is None else parse_did_text(user, facts.network),
            parse_did_text(publisher, facts.network),
            Counterparty(COUNTERPARTIES.index(counterparty) + 1),
            ChannelKey(keys[0].key),
            ChannelKey(keys[1].key),
            Grains(parse_iov(amount)),
        )
        return Operation("ads.open_channel", payload, parse_did_text(found.offerer, facts.network))

    send_operation(prepare, signing, sending)


@ads.command("sign-balance")
@_campaign_argument
@click.argument("channel", type=click.IntRange(1))
@click.option("--version", type=click.IntRange(0), required=True, help="Rises with every balance; 0: nothing earned.")
@click.option("--earned", default=None, metavar="IOV", help="All that was earned so far.")
@click.option("--by", "signer", required=True, metavar="KEY", help="The channel's key of one side.")
@click.option(
    "--file", "balance_file", type=FILE, required=True, help="The balance; the other side signs the same file."
)
@keyring_options
@node_option
@output_option
def sign_balance(
    number: int,
    channel: int,
    version: int,
    earned: str | None,
    signer: str,
    balance_file: Path,
    keys_dir: Path,
    password_file: Path | None,
    node_url: str,
    output: Output,
) -> None:
    """Sign what a channel has earned so far; nothing is sent."""
    from ledger.primitives import Grains
    from node.cli.ads_files import sign_balance_file
    from node.cli.amounts import parse_iov
    from vm.native.ads_records import BalancePayload

    with connect(node_url) as client:
        facts = read_chain_facts(client)
        arguments = {"campaign": number, "channel": channel}
        found = client.run(calls.module_view(MODULE, "channel", arguments)).value
    if found is None:
        raise CommandFailedError(f"campaign {number} has no channel {channel}", ExitCode.FAILED)
    payload = BalancePayload(_campaign_id(number), channel, version, Grains(0 if earned is None else parse_iov(earned)))
    key = open_keyring(keys_dir, password_file).load(signer, facts.network)
    output.show_record(sign_balance_file(balance_file, payload, found, key, facts))


@ads.command("post-balance")
@click.argument("balance_file", metavar="BALANCE", type=_EXISTING)
@sending_options
def post_balance(balance_file: Path, sending: Sending) -> None:
    """Bring a balance on the chain that both sides have signed, or the offerer alone that nothing was earned."""
    from node.cli.ads_files import read_balance_arguments

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        return build_known_intent(client, facts, MODULE, "post_balance", read_balance_arguments(balance_file, facts))

    send_intent(build, sending)


@ads.command("settle-channel")
@_campaign_argument
@click.argument("channel", type=click.IntRange(1))
@sending_options
def settle_channel(number: int, channel: int, sending: Sending) -> None:
    """Pay what a channel's newest balance says; anybody may."""
    _send(sending, "settle_channel", number, channel)


# Complaints


@ads.command()
@sending_options
def enrol(sending: Sending) -> None:
    """Be ready to judge complaints, as a community administrator."""
    _send(sending, "enrol")


@ads.command()
@_campaign_argument
@click.option("--evidence", type=_EXISTING, required=True, help="File: its SHA-256 goes on the chain.")
@click.option("--stake-max", default=None, metavar="IOV", help="Highest stake.  [default: what one more takes now]")
@sending_options
def complain(number: int, evidence: Path, stake_max: str | None, sending: Sending) -> None:
    """Object to a campaign's content, with a stake that an abusive complaint loses."""
    from node.cli.amounts import parse_iov
    from vm.native.ads_formulas import compute_stake

    allowed = None if stake_max is None else parse_iov(stake_max)

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        grains = allowed
        if grains is None:
            first = int(client.run(calls.module_view(MODULE, "rules", {})).value["stakeGrains"])
            grains = compute_stake(first, client.run(calls.ads_campaign(number)).campaign.complaints_open)
        arguments = [number, _hash_file(evidence), str(grains)]
        return build_known_intent(client, facts, MODULE, "complain", arguments)

    send_intent(build, sending)


@ads.command()
@click.argument("complaint", type=click.IntRange(1))
@click.argument("verdict", type=click.Choice(VERDICTS))
@_reasons_option
@sending_options
def judge(complaint: int, verdict: str, reasons: Path | None, sending: Sending) -> None:
    """Say what one finds about a complaint, as a member of its panel."""
    _send(sending, "judge", complaint, VERDICTS.index(verdict) + 1, _hash_file(reasons))


@ads.command("close-complaint")
@click.argument("complaint", type=click.IntRange(1))
@sending_options
def close_complaint(complaint: int, sending: Sending) -> None:
    """Close a complaint that was not decided in time, or after another one was upheld: the stake goes back."""
    _send(sending, "close_complaint", complaint)


@ads.command()
@click.argument("advertiser", metavar="DID")
@node_option
@output_option
def credit(advertiser: str, node_url: str, output: Output) -> None:
    """Show an advertiser's score, and which part of what it pays in is a deposit."""
    with connect(node_url) as client:
        found = client.run(calls.module_view(MODULE, "credit", {"advertiser": advertiser})).value
    shown = {"score": found["score"], "depositBps": found["depositBps"], **found["credit"]}
    output.show_record(shown)


@ads.command("rules")
@node_option
@output_option
def show_rules(node_url: str, output: Output) -> None:
    """Show the numbers that governance may change: windows, deposits, stakes, panels."""
    with connect(node_url) as client:
        value = client.run(calls.module_view(MODULE, "rules", {})).value
    output.show_record(value if output.is_json else {**value.pop("windows"), **value})


# Results


@ads.command()
@click.argument("tag_files", metavar="TAGS", type=_EXISTING, nargs=-1, required=True)
@click.option("--tag", "names", multiple=True, required=True, metavar="NAME", help="Tag by which to count.")
@click.option("--size-min", type=click.IntRange(2), default=10, show_default=True, help="Smaller groups are left out.")
@click.option("--out", "groups_file", type=FILE, required=True, help="Where the counts go, for carlive ads results.")
@output_option
def groups(
    tag_files: tuple[Path, ...], names: tuple[str, ...], size_min: int, groups_file: Path, output: Output
) -> None:
    """Count the persons that were reached by tag, as their matcher, one file of tags each; only counts are saved."""
    from json import dumps

    from node.cli.ads_results import count_groups

    counted = count_groups(map(read_tags, tag_files), names, size_min)
    groups_file.write_text(dumps(counted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    output.show_record({"persons": len(tag_files), "groups": sum(map(len, counted.values())), "file": str(groups_file)})


@ads.command()
@_campaign_argument
@click.option("--buckets", type=_EXISTING, default=None, help="Groups of persons by tag, from whoever holds the tags.")
@click.option("--size-min", type=click.IntRange(2), default=10, show_default=True, help="Smaller groups are left out.")
@click.option("--export", "export_file", type=FILE, default=None, help="Save as .csv or .parquet.")
@node_option
@output_option
def results(
    number: int, buckets: Path | None, size_min: int, export_file: Path | None, node_url: str, output: Output
) -> None:
    """Show what a campaign has brought: deliveries, spending, persons; groups of enough persons, and no identities."""
    from node.cli.ads_results import build_rows, export_rows, read_buckets

    groups = {} if buckets is None else read_buckets(buckets)
    with connect(node_url) as client:
        found = client.run(calls.ads_campaign(number)).campaign
    rows = build_rows(found, groups, size_min)
    if export_file is not None:
        export_rows(rows, export_file)
    output.show_list(rows, ["measure", "group", "count", "units", "grains"])


def _send(sending: Sending, call: str, *arguments: Any) -> None:
    send_intent(lambda client, facts: build_known_intent(client, facts, MODULE, call, list(arguments)), sending)


def find_until(head_ms: int, hours: int) -> int:
    """The end of an offer, by this machine's clock alone; raises CommandFailedError when the chain's is far ahead."""
    now_ms = time.time_ns() // 1_000_000
    until_ms = now_ms + hours * _HOUR_MS
    if until_ms < head_ms + CLOCK_TOLERANCE_MS:
        raise CommandFailedError(
            f"the node's newest block is {(head_ms - now_ms) // _HOUR_MS} hours after this machine's clock, so the "
            "offer would be over: set the clock right, ask another node, or say more --hours",
            ExitCode.FAILED,
        )
    return until_ms


def _campaign_id(number: int) -> Any:
    from vm.native.ads_records import CampaignId

    return CampaignId(number)


def _hash_file(path: Path | None) -> str:
    from hashlib import sha256

    return "0x" + sha256(b"" if path is None else path.read_bytes()).hexdigest()


def _read_terms_json(path: Path, keyring: "Keyring", facts: "ChainFacts") -> Any:
    """Terms as the node's JSON has them."""
    from ledger.codec import to_plain as to_values
    from rpc.arguments import arguments_to_json, describe_fields
    from vm.native.ads_records import Terms

    return arguments_to_json(describe_fields(Terms), to_values(read_terms(path, keyring, facts)), facts.network)


def _sign_offer(
    payload: "OfferPayload", offerer: Any, signers: tuple[str, ...], keyring: "Keyring", facts: "ChainFacts"
) -> "list[DidSignature]":
    from identity.signing import SigningPurpose, signing_bytes
    from ledger.codec import encode
    from ledger.primitives import Signature
    from vm.native.did_payloads import DidSignature

    message = signing_bytes(SigningPurpose.ADS_OFFER, facts.domain, encode(payload))
    keys = [keyring.load(name, facts.network) for name in dict.fromkeys(signers)]
    return [DidSignature(offerer, key.key_type, key.public_key.key, Signature(key.sign(message))) for key in keys]


def _describe(found: "AdsCampaignView") -> dict[str, Any]:
    """A campaign for people: what it is about, and its money in IOV."""
    money = {name: format_grains(grains) for name, grains in to_plain(found.money).items()}
    return {
        "id": found.id,
        "status": found.status,
        "advertiser": found.advertiser,
        "metadata": found.metadata_uri,
        "targeting": found.targeting,
        "begins": format_time(found.start_ms),
        "ends": format_time(found.end_ms),
        "settlesFrom": None if found.settles_ms is None else format_time(found.settles_ms),
        "matcher": found.matcher,
        "source": found.source,
        "cap": found.cap,
        "accepted": found.accepted,
        "persons": found.persons,
        **money,
    }
