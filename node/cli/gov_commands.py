"""`carlive gov`: propose, vote, and see what was decided."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.acceptor_commands import fetch_acceptor
from node.cli.connection import connect, node_option
from node.cli.did_signing import read_json_file
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.mining_names import get_behaviour_number
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.query_commands import format_grains, to_plain
from node.cli.role_names import EARNED_ROLES, RECOGNITIONS, ROLES, get_recognition_number, get_role_number
from node.cli.schedules import ScheduleOptions, build_schedule_json, schedule_options
from node.cli.sending import Intent, Sending, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client
    from rpc.models import ProposalStatus

MODULE: Final = "governance"
PRIORITIES: Final = ("normal", "urgent", "emergency")
BODIES: Final = ("foundation", "technical", "financial")
CATEGORIES: Final = ("core", "operations", "acquisitions", "marketing", "community")
ALLOCATIONS: Final = ("cornerstone", "subscription", "team")
STATUSES: Final = ("voting", "passed", "rejected", "expired", "applied", "failed")
EFFECT_MARGIN_HEIGHTS: Final = 20  # blocks that a proposal may take to be included, when no height is named
BODY_MEMBERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """How a proposal is voted on."""

    priority: str
    effective_height: int | None
    title: str


@click.group(cls=SuggestingGroup)
def gov() -> None:
    """Propose changes, vote on them, and see what was decided."""


@gov.group(cls=SuggestingGroup)
def propose() -> None:
    """Propose a change; the super nodes, or the body that it falls to, vote on it."""


def _terms_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the terms of a proposal; the command gets `terms`."""

    @wraps(function)
    def command(*args: Any, priority: str, effective_height: int | None, title: str, **given: Any) -> Any:
        return function(*args, terms=Terms(priority, effective_height, title), **given)

    decorated: Callable[..., Any] = command
    for option in (
        click.option("--title", required=True, help="What it is about, in a few words."),
        click.option(
            "--effective",
            "effective_height",
            type=click.IntRange(1),
            default=None,
            metavar="HEIGHT",
            help="Block with which it takes effect.  [default: soon after the vote]",
        ),
        click.option(
            "--priority",
            type=click.Choice(PRIORITIES),
            default="normal",
            show_default=True,
            help="How long the vote lasts, and how many must agree.",
        ),
    ):
        decorated = option(decorated)
    return decorated


@propose.command("operator")
@click.option("--operator", required=True, metavar="ADDRESS", help="Account of the operator: address or key name.")
@click.option("--name", required=True, help="By which others know it.")
@_terms_options
@sending_options
def propose_operator(operator: str, name: str, terms: Terms, sending: Sending) -> None:
    """Admit an operator: it may then register super nodes and stand for election."""
    _propose(sending, "propose_operator", terms, lambda find: [find(operator), name])


@propose.command("remove-operator")
@click.option("--operator", required=True, metavar="ADDRESS", help="Account of the operator: address or key name.")
@_terms_options
@sending_options
def propose_removal(operator: str, terms: Terms, sending: Sending) -> None:
    """Take an operator's admission away: it stands for election no more."""
    _propose(sending, "propose_operator_removal", terms, lambda find: [find(operator)])


@propose.command("parameter")
@click.argument("name")
@click.argument("value", type=int)
@_terms_options
@sending_options
def propose_parameter(name: str, value: int, terms: Terms, sending: Sending) -> None:
    """Set the chain parameter NAME to VALUE; carlive gov params lists all with their bounds.

    VALUE is a whole number in the unit that the name ends with: grains, milliseconds, 1/10,000 (bps), blocks (heights).
    """
    _propose(sending, "propose_parameter", terms, lambda _: [name.replace("-", "_"), value])


@propose.command("body")
@click.argument("body", type=click.Choice(BODIES))
@click.option(
    "--member", "members", multiple=True, metavar="ADDRESS", help="Address or key name; once for each. None: empty it."
)
@_terms_options
@sending_options
def propose_body(body: str, members: tuple[str, ...], terms: Terms, sending: Sending) -> None:
    """Decide who sits in BODY; the super nodes decide for a body that is empty."""
    if len(members) > BODY_MEMBERS_MAX:
        raise CommandFailedError(f"a body has at most {BODY_MEMBERS_MAX} members, not {len(members)}")
    _propose(sending, "propose_body", terms, lambda find: [_get_body(body), [find(each) for each in members]])


@propose.command("spending")
@click.option("--category", type=click.Choice(CATEGORIES), required=True, help="Which budget of the treasury.")
@click.option("--to", "recipient", required=True, metavar="ADDRESS", help="Address or key name of the recipient.")
@click.option("--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5.")
@_terms_options
@sending_options
def propose_spending(category: str, recipient: str, amount: str, terms: Terms, sending: Sending) -> None:
    """Pay IOV from a budget of the treasury."""
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))
    _propose(sending, "propose_spending", terms, lambda find: [category, find(recipient), grains])


@propose.command("grant")
@click.option("--source", type=click.Choice(ALLOCATIONS), required=True, help="Out of which allocation.")
@click.option("--to", "recipient", required=True, metavar="ADDRESS", help="Address or key name of the recipient.")
@click.option("--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5.")
@click.option("--revocable", is_flag=True, help="What has not unlocked may be taken back by a later decision.")
@schedule_options
@_terms_options
@sending_options
def propose_grant(
    source: str,
    recipient: str,
    amount: str,
    revocable: bool,
    schedule: ScheduleOptions,
    terms: Terms,
    sending: Sending,
) -> None:
    """Grant IOV of an allocation of genesis, locked by a schedule: --cliff, --linear or --schedule."""
    from node.cli.amounts import parse_iov

    grains, plain = str(parse_iov(amount)), build_schedule_json(schedule)
    _propose(sending, "propose_grant", terms, lambda find: [source, find(recipient), grains, plain, revocable])


@propose.command("revocation")
@click.option("--account", required=True, metavar="ADDRESS", help="Address or key name of the holder.")
@click.option("--number", type=click.IntRange(1), required=True, help="Of the lock-up: see carlive token locks.")
@_terms_options
@sending_options
def propose_revocation(account: str, number: int, terms: Terms, sending: Sending) -> None:
    """Take back what has not unlocked of a revocable grant."""
    _propose(sending, "propose_revocation", terms, lambda find: [find(account), number])


@propose.command("sale")
@click.argument("terms_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_terms_options
@sending_options
def propose_sale(terms_file: Path, terms: Terms, sending: Sending) -> None:
    """Sell IOV of the subscription allocation, on the terms in FILE (JSON, see docs/economy.md)."""
    sale = read_json_file(terms_file)
    _propose(sending, "propose_sale", terms, lambda _: [sale])


@propose.command("sale-end")
@click.argument("number", type=click.IntRange(1))
@_terms_options
@sending_options
def propose_sale_end(number: int, terms: Terms, sending: Sending) -> None:
    """Close the open sale, of this NUMBER, before its time is over."""
    _propose(sending, "propose_sale_end", terms, lambda _: [number])


@propose.command("mining-rules")
@click.argument("rules_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_terms_options
@sending_options
def propose_mining_rules(rules_file: Path, terms: Terms, sending: Sending) -> None:
    """Change the numbers of mining to those in FILE: JSON, as carlive mining rules shows it."""
    rules = read_json_file(rules_file)
    _propose(sending, "propose_mining_rules", terms, lambda _: [rules.get("rules", rules)])


@propose.command("ads-rules")
@click.argument("rules_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_terms_options
@sending_options
def propose_ads_rules(rules_file: Path, terms: Terms, sending: Sending) -> None:
    """Change the numbers of advertising to those in FILE: JSON, as carlive ads rules shows it."""
    rules = read_json_file(rules_file)
    _propose(sending, "propose_ads_rules", terms, lambda _: [rules])


@propose.command("mining-behaviour")
@click.argument("behaviour")
@click.option("--user", metavar="BASE/FULL/MOST", help="What a user earns, for instance 100/2/6.")
@click.option("--provider", metavar="BASE/FULL/MOST", help="What earns who serves the user.")
@click.option("--vehicle-vouched", is_flag=True, help="A vehicle's signature suffices, without attesters.")
@_terms_options
@sending_options
def propose_mining_behaviour(
    behaviour: str, user: str | None, provider: str | None, vehicle_vouched: bool, terms: Terms, sending: Sending
) -> None:
    """Change what BEHAVIOUR earns: base force, times a day that earn all of it, times that earn at all."""
    rule = [get_behaviour_number(behaviour), _parse_earning(user), _parse_earning(provider), vehicle_vouched]
    _propose(sending, "propose_mining_behaviour", terms, lambda _: [rule])


@propose.command("end-mining-behaviour")
@click.argument("behaviour")
@_terms_options
@sending_options
def propose_mining_behaviour_end(behaviour: str, terms: Terms, sending: Sending) -> None:
    """Let BEHAVIOUR earn nothing."""
    number = get_behaviour_number(behaviour)
    _propose(sending, "propose_mining_behaviour_end", terms, lambda _: [number])


@propose.command("mining-source")
@click.argument("number", type=click.IntRange(1))
@_terms_options
@sending_options
def propose_mining_source(number: int, terms: Terms, sending: Sending) -> None:
    """Let mining pay through the source of distributions of this NUMBER, which the module mining owns."""
    _propose(sending, "propose_mining_source", terms, lambda _: [number])


@propose.command("mining-batch-void")
@click.argument("epoch", type=click.IntRange(0))
@click.argument("number", type=click.IntRange(1))
@_terms_options
@sending_options
def propose_mining_batch_void(epoch: int, number: int, terms: Terms, sending: Sending) -> None:
    """Let the batch NUMBER of the day of mining EPOCH, which is not closed, count for nothing."""
    _propose(sending, "propose_mining_batch_void", terms, lambda _: [epoch, number])


@propose.command("reinstate-attester")
@click.argument("identity", metavar="DID")
@_terms_options
@sending_options
def propose_mining_reinstatement(identity: str, terms: Terms, sending: Sending) -> None:
    """Hear an attester of mining again that was suspended."""
    _propose(sending, "propose_mining_reinstatement", terms, lambda _: [identity])


@propose.command("dividend")
@click.argument("terms_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_terms_options
@sending_options
def propose_dividend(terms_file: Path, terms: Terms, sending: Sending) -> None:
    """Declare a dividend out of a budget of the treasury, on the terms in FILE (JSON, see docs/economy.md)."""
    dividend = read_json_file(terms_file)
    _propose(sending, "propose_dividend", terms, lambda _: [dividend])


@propose.command("source")
@click.argument("rules_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_terms_options
@sending_options
def propose_source(rules_file: Path, terms: Terms, sending: Sending) -> None:
    """Open a source of distributions, with the rules in FILE (JSON, see docs/distribution.md)."""
    rules = read_json_file(rules_file)
    _propose(sending, "propose_source", terms, lambda _: [rules])


@propose.command("source-rules")
@click.argument("source", type=click.IntRange(1))
@click.argument("rules_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_terms_options
@sending_options
def propose_source_rules(source: int, rules_file: Path, terms: Terms, sending: Sending) -> None:
    """Replace the rules of SOURCE by those in FILE; whatever it was tripped for is forgotten."""
    rules = read_json_file(rules_file)
    _propose(sending, "propose_source_rules", terms, lambda _: [source, rules])


@propose.command("source-resume")
@click.argument("source", type=click.IntRange(1))
@_terms_options
@sending_options
def propose_source_resume(source: int, terms: Terms, sending: Sending) -> None:
    """Let SOURCE, whose breaker has tripped, pay again before its time."""
    _propose(sending, "propose_source_resume", terms, lambda _: [source])


@propose.command("root-void")
@click.argument("source", type=click.IntRange(1))
@click.argument("number", type=click.IntRange(1))
@_terms_options
@sending_options
def propose_root_void(source: int, number: int, terms: Terms, sending: Sending) -> None:
    """Let the root NUMBER of SOURCE count for nothing, also after its challenge window; what was claimed stays so."""
    _propose(sending, "propose_root_void", terms, lambda _: [source, number])


@propose.command("acceptor")
@click.option("--account", required=True, metavar="ADDRESS", help="Account that has applied: address or key name.")
@click.option(
    "--application", default=None, metavar="0x…", help="Hash of the application that was read.  [default: that of now]"
)
@_terms_options
@sending_options
def propose_acceptor(account: str, application: str | None, terms: Terms, sending: Sending) -> None:
    """List an acceptor with what it has applied with, and nothing else."""

    def build(client: "Client", facts: "ChainFacts") -> Intent:
        address = _make_find(sending, facts)(account)
        found = fetch_acceptor(client, address, facts.network)
        if application is not None and application != found["applicationHash"]:
            raise CommandFailedError("the account has applied with something else by now: read it again")
        arguments = [address, found["applicationHash"]]
        intent = _build_proposal(client, facts, "propose_acceptor", terms, arguments)
        approved = {name: found[name] for name in ("did", "name", "termsUrl", "termsHash")}
        return replace(intent, shown={**intent.shown, **approved})

    send_intent(build, sending)


@propose.command("remove-acceptor")
@click.option("--account", required=True, metavar="ADDRESS", help="Address or key name of the acceptor.")
@_terms_options
@sending_options
def propose_acceptor_removal(account: str, terms: Terms, sending: Sending) -> None:
    """Delist an acceptor, or refuse its application."""
    _propose(sending, "propose_acceptor_removal", terms, lambda find: [find(account)])


@propose.command("acceptor-rules")
@click.option("--holdings", required=True, metavar="IOV", help="Least balance and stake.")
@click.option("--coin-age", type=click.IntRange(0), required=True, metavar="N", help="Least coin age in IOV-days.")
@_terms_options
@sending_options
def propose_acceptor_rules(holdings: str, coin_age: int, terms: Terms, sending: Sending) -> None:
    """Change who qualifies as an acceptor."""
    from node.cli.amounts import parse_iov

    rules = {"holdingsMinGrains": str(parse_iov(holdings)), "coinAgeMinIovDays": coin_age}
    _propose(sending, "propose_acceptor_rules", terms, lambda _: [rules])


@propose.command("pause")
@click.argument("module")
@click.option("--heights", type=click.IntRange(1), required=True, metavar="N", help="For how many blocks.")
@_terms_options
@sending_options
def propose_pause(module: str, heights: int, terms: Terms, sending: Sending) -> None:
    """Refuse the calls of MODULE for a while; an emergency measure."""
    _propose(sending, "propose_pause", terms, lambda _: [module, heights])


@propose.command("resume")
@click.argument("module")
@_terms_options
@sending_options
def propose_resume(module: str, terms: Terms, sending: Sending) -> None:
    """End the pause of MODULE before its time."""
    _propose(sending, "propose_resume", terms, lambda _: [module])


@propose.command("recognition")
@click.argument("recognition", type=click.Choice(RECOGNITIONS))
@click.argument("identity", metavar="DID")
@_terms_options
@sending_options
def propose_recognition(recognition: str, identity: str, terms: Terms, sending: Sending) -> None:
    """Recognise DID for something, so that its word counts in that."""
    _propose(sending, "propose_recognition", terms, lambda _: [get_recognition_number(recognition), identity])


@propose.command("end-recognition")
@click.argument("recognition", type=click.Choice(RECOGNITIONS))
@click.argument("identity", metavar="DID")
@_terms_options
@sending_options
def propose_recognition_end(recognition: str, identity: str, terms: Terms, sending: Sending) -> None:
    """Recognise DID for this no longer; what it has vouched for stays."""
    _propose(sending, "propose_recognition_end", terms, lambda _: [get_recognition_number(recognition), identity])


@propose.command("role")
@click.argument("identity", metavar="DID")
@click.argument("role", type=click.Choice(ROLES))
@click.option("--until", "until_height", type=click.IntRange(1), required=True, metavar="HEIGHT", help="Last block.")
@_terms_options
@sending_options
def propose_role(identity: str, role: str, until_height: int, terms: Terms, sending: Sending) -> None:
    """Give DID the role ROLE up to a height, in place of a grant that it may have."""
    _propose(sending, "propose_role", terms, lambda _: [identity, get_role_number(role), until_height])


@propose.command("remove-role")
@click.argument("identity", metavar="DID")
@click.argument("role", type=click.Choice(ROLES))
@_terms_options
@sending_options
def propose_role_removal(identity: str, role: str, terms: Terms, sending: Sending) -> None:
    """Take the role ROLE back from DID, whoever granted it."""
    _propose(sending, "propose_role_removal", terms, lambda _: [identity, get_role_number(role)])


@propose.command("task")
@click.argument("name")
@click.option("--role", type=click.Choice(EARNED_ROLES), required=True, help="What the task leads to.")
@click.option("--term", "term_heights", type=click.IntRange(1), required=True, metavar="N", help="Blocks of the role.")
@click.option(
    "--period", "period_heights", type=click.IntRange(1), required=True, metavar="N", help="Blocks that count together."
)
@click.option(
    "--evidence", "evidence", multiple=True, metavar="KIND=COUNT", help="What must be counted; once for each kind."
)
@click.option("--raters", type=click.IntRange(0), default=0, show_default=True, help="How many persons must rate.")
@click.option("--mean", default="1", show_default=True, metavar="STARS", help="Least mean, with up to 2 decimals.")
@_terms_options
@sending_options
def propose_task(
    name: str,
    role: str,
    term_heights: int,
    period_heights: int,
    evidence: tuple[str, ...],
    raters: int,
    mean: str,
    terms: Terms,
    sending: Sending,
) -> None:
    """Define the growth task NAME: what is counted and how it is rated within a period leads to a role.

    For instance: carlive gov propose task Guide --role certified-influencer --term 200000 --period 20000
    --evidence posts=50 --raters 20 --mean 4.25 --title 'A way to become one' --from op0
    """
    requirements = [list(each) for each in sorted(_parse_evidence(evidence).items())]
    task = [name, get_role_number(role), term_heights, period_heights, requirements, raters, _parse_mean(mean)]
    _propose(sending, "propose_task", terms, lambda _: [task])


@propose.command("end-task")
@click.argument("task", metavar="TASK", type=click.IntRange(1))
@_terms_options
@sending_options
def propose_task_end(task: int, terms: Terms, sending: Sending) -> None:
    """End the growth task of this number; roles that it has led to stay."""
    _propose(sending, "propose_task_end", terms, lambda _: [task])


@gov.command()
@click.argument("proposal_id", metavar="ID", type=click.IntRange(1))
@click.argument("answer", type=click.Choice(["yes", "no"]))
@sending_options
def vote(proposal_id: int, answer: str, sending: Sending) -> None:
    """Vote yes or no on the proposal of this ID, as an operator in the committee or a member of its body."""
    _send(sending, "vote", lambda _: [proposal_id, answer == "yes"])


@gov.command()
@click.option("--amount", required=True, metavar="IOV", help="IOV with up to 8 decimals, for instance 1.5.")
@sending_options
def donate(amount: str, sending: Sending) -> None:
    """Give IOV to the treasury; its budgets share it."""
    from node.cli.amounts import parse_iov

    grains = str(parse_iov(amount))
    _send(sending, "donate", lambda _: [grains])


@gov.command()
@click.option("--status", type=click.Choice(STATUSES), default=None, help="Only those that stand so.  [default: all]")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, newest first.")
@node_option
@output_option
def proposals(status: "ProposalStatus | None", limit: int, node_url: str, output: Output) -> None:
    """List proposals, the newest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    with connect(node_url) as client:
        while len(found) < limit:
            page = client.run(calls.gov_proposals(status, limit=min(limit - len(found), 200), cursor=cursor))
            found += [to_plain(each) for each in page.proposals]
            cursor = page.cursor
            if cursor is None:
                break
    columns = ["id", "status", "kind", "title", "body", "votes", "deadline", "effectiveHeight"]
    if not output.is_json:
        found = [each | {"votes": _format_votes(each)} for each in found]
    output.show_list(found, columns, empty="no proposals")


@gov.command()
@click.argument("proposal_id", metavar="ID", type=click.IntRange(1))
@node_option
@output_option
def show(proposal_id: int, node_url: str, output: Output) -> None:
    """Show the proposal of this ID with its votes."""
    with connect(node_url) as client:
        page = client.run(calls.gov_proposals(proposal_id=proposal_id))
    if not page.proposals:
        raise CommandFailedError(f"there is no proposal {proposal_id}: see carlive gov proposals", ExitCode.FAILED)
    output.show_record(to_plain(page.proposals[0]))


@gov.command()
@click.argument("recognition", type=click.Choice(RECOGNITIONS))
@node_option
@output_option
def recognised(recognition: str, node_url: str, output: Output) -> None:
    """List the identities that are recognised as RECOGNITION."""
    arguments = {"recognition": get_recognition_number(recognition)}
    with connect(node_url) as client:
        found = client.run(calls.module_view(MODULE, "recognised", arguments)).value
    output.show_list([{"did": each} for each in found], ["did"], empty="nobody is recognised as this")


@gov.command()
@node_option
@output_option
def params(node_url: str, output: Output) -> None:
    """List the chain's parameters with their bounds and what they mean."""
    with connect(node_url) as client:
        records = to_plain(client.run(calls.gov_params()))["params"]
    output.show_list(records, ["name", "value", "least", "most", "meaning"])


@gov.command()
@node_option
@output_option
def treasury(node_url: str, output: Output) -> None:
    """Show what the treasury's budgets hold."""
    with connect(node_url) as client:
        result = to_plain(client.run(calls.gov_treasury()))
    if output.is_json:
        output.show_record(result)
    else:
        output.show_list(result["budgets"], ["category", "percent", "balance"], {"balance": format_grains})


def _format_votes(proposal: dict[str, Any]) -> str:
    return (
        f"{len(proposal['ayes'])} yes, {len(proposal['noes'])} no of {proposal['electors']}, "
        f"{proposal['ayesNeeded']} needed"
    )


Find = Callable[[str], str]
"""The address of an address or key name, as text."""


def _send(sending: Sending, call: str, arguments: Callable[[Find], Sequence[Any]]) -> None:
    def build(client: "Client", facts: "ChainFacts") -> Intent:
        return build_known_intent(client, facts, MODULE, call, arguments(_make_find(sending, facts)))

    send_intent(build, sending)


def _propose(sending: Sending, call: str, terms: Terms, arguments: Callable[[Find], Sequence[Any]]) -> None:
    send_intent(
        lambda client, facts: _build_proposal(client, facts, call, terms, arguments(_make_find(sending, facts))),
        sending,
    )


def _build_proposal(client: "Client", facts: "ChainFacts", call: str, terms: Terms, arguments: Sequence[Any]) -> Intent:
    encoded = [_get_priority(terms.priority), _find_effective_height(client, terms), terms.title]
    return build_known_intent(client, facts, MODULE, call, [*arguments, encoded])


def _find_effective_height(client: "Client", terms: Terms) -> int:
    """As named, or the end of the vote and some blocks for the proposal to be included."""
    if terms.effective_height is not None:
        return terms.effective_height
    parameters = client.run(calls.chain_params()).params
    return (
        client.run(calls.chain_head()).height
        + int(parameters[f"voting_heights_{terms.priority}"])
        + EFFECT_MARGIN_HEIGHTS
    )


def _make_find(sending: Sending, facts: "ChainFacts") -> Find:
    from identity.address import format_address

    return lambda text: format_address(sending.keyring.find_address(text, facts.network), facts.network)


def _parse_earning(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = text.split("/")
    if len(parts) != 3 or not all(re.fullmatch("[1-9][0-9]{0,4}", part, re.ASCII) for part in parts):
        raise CommandFailedError(f"{text!r}: write BASE/FULL/MOST, for instance 100/2/6")
    return [int(part) for part in parts]


def _parse_evidence(texts: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in texts:
        kind, _, count = text.partition("=")
        if not re.fullmatch("[1-9][0-9]{0,9}", count, re.ASCII) or kind in found:
            raise CommandFailedError(
                f"--evidence {text!r}: write KIND=COUNT, for instance posts=50, once for each kind"
            )
        found[kind] = int(count)
    return found


def _parse_mean(text: str) -> int:
    """Stars in hundredths."""
    match = re.fullmatch(r"([1-5])(?:\.([0-9]{1,2}))?", text, re.ASCII)
    if match is None:
        raise CommandFailedError(f"--mean {text!r}: write stars from 1 to 5, for instance 4.25")
    return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))


def _get_priority(name: str) -> int:
    from vm.native.governance import Priority

    return int(Priority[name.upper()])


def _get_body(name: str) -> int:
    from vm.native.governance import BodyKind

    return int(BodyKind[name.upper()])
