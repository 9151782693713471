"""`carlive growth`: tasks that lead to a role, what identities have reached, evidence and stars."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE, signing_options
from node.cli.did_signing import Operation, Signing, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.module_calls import build_known_intent
from node.cli.output import Output, output_option
from node.cli.role_names import format_role
from node.cli.sending import Intent, Sending, send_intent, sending_options
from rpc import calls

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client

MODULE: Final = "growth"
_CONDITIONS: Final = {1: "evidence", 2: "raters", 3: "mean"}

_task_argument = click.argument("task", metavar="TASK", type=click.IntRange(1))
_period_option = click.option(
    "--period", type=click.IntRange(0), default=None, metavar="N", help="Number of the period.  [default: the present]"
)


@click.group(cls=SuggestingGroup)
def growth() -> None:
    """See growth tasks and progress, report, rate and certify.

    Governance defines tasks: carlive gov propose task. Stars are sent by the account that acts for a person.
    """


@growth.command()
@node_option
@output_option
def tasks(node_url: str, output: Output) -> None:
    """List the open tasks: what they ask for, and the role they lead to."""
    with connect(node_url) as client:
        found = client.run(calls.module_view(MODULE, "tasks", {})).value
    if output.is_json:
        output.show_list([_name_role(each) for each in found], [])
        return
    columns = ["id", "title", "role", "evidence", "raters", "mean", "period", "term"]
    output.show_list([_format_task(each) for each in found], columns, empty="there are no tasks")


@growth.command()
@click.argument("identity", metavar="DID")
@_task_argument
@node_option
@output_option
def progress(identity: str, task: int, node_url: str, output: Output) -> None:
    """Show what DID has reached of TASK and what is missing: in the present period, and the one before."""
    with connect(node_url) as client:
        parse_did_text(identity, read_chain_facts(client).network)
        description = _fetch_task(client, task)
        found = _fetch_progress(client, identity, task)
    if output.is_json:
        output.show_list(found, [])
        return
    kinds = [each["kind"] for each in description["task"]["requirements"]]
    columns = ["period", "lastHeight", "evidence", "raters", "mean", "missing"]
    output.show_list([_format_progress(each, kinds) for each in found], columns)


@growth.command()
@click.argument("identity", metavar="DID")
@node_option
@output_option
def rating(identity: str, node_url: str, output: Output) -> None:
    """Show all stars of DID that stand, of all tasks and periods."""
    with connect(node_url) as client:
        parse_did_text(identity, read_chain_facts(client).network)
        output.show_record(client.run(calls.module_view(MODULE, "rating", {"did": identity})).value)


@growth.command()
@click.argument("identity", metavar="DID")
@_task_argument
@click.argument("kind")
@click.argument("count", type=click.IntRange(0))
@click.option("--as", "reporter", required=True, metavar="DID", help="The reporter.")
@click.option("--file", "file", type=FILE, default=None, help="What was counted: its SHA-256 goes with the report.")
@click.option("--commitment", default=None, metavar="0x…", help="A hash of what was counted, in place of a file.")
@_period_option
@signing_options
@sending_options
def report(
    identity: str,
    task: int,
    kind: str,
    count: int,
    reporter: str,
    file: Path | None,
    commitment: str | None,
    period: int | None,
    signing: Signing,
    sending: Sending,
) -> None:
    """Say that DID has COUNT of KIND in a period of TASK, as a reporter that governance recognises.

    COUNT is all of the period and replaces the reporter's last one.
    """
    from vm.native.growth_records import EvidenceCommitment, ReportPayload

    committed = EvidenceCommitment(_read_commitment(file, commitment))

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did, reporter_did = parse_did_text(identity, facts.network), parse_did_text(reporter, facts.network)
        when = _fetch_task(client, task)["period"] if period is None else period
        place = {"did": identity, "task": task, "period": when, "reporter": reporter, "kind": kind}
        former = client.run(calls.module_view(MODULE, "evidence", place)).value
        sequence = 1 if former is None else former["sequence"] + 1
        payload = ReportPayload(reporter_did, did, task, when, kind, count, committed, sequence)
        return Operation("growth.report", payload, find_signer(client, facts, reporter_did))

    send_operation(prepare, signing, sending)


@growth.command()
@click.argument("identity", metavar="DID")
@_task_argument
@click.argument("stars", type=click.IntRange(1, 5))
@sending_options
def rate(identity: str, task: int, stars: int, sending: Sending) -> None:
    """Give DID so many stars in the present period of TASK, or change them, as a person."""
    _send(sending, "rate", lambda _: [identity, task, stars])


@growth.command()
@click.argument("identity", metavar="DID")
@_task_argument
@_period_option
@sending_options
def withdraw(identity: str, task: int, period: int | None, sending: Sending) -> None:
    """Take back the stars that one has given DID in a period of TASK."""
    _send(sending, "withdraw_rating", lambda client: [identity, task, _find_period(client, task, period)])


@growth.command()
@click.argument("identity", metavar="DID")
@_task_argument
@click.argument("rater", metavar="RATER")
@_period_option
@sending_options
def drop(identity: str, task: int, rater: str, period: int | None, sending: Sending) -> None:
    """Let the stars count no more that RATER, who is no longer a person, gave DID in a period of TASK; anybody may."""
    _send(sending, "drop_rating", lambda client: [identity, task, _find_period(client, task, period), rater])


@growth.command()
@click.argument("identity", metavar="DID")
@_task_argument
@click.option(
    "--period", type=click.IntRange(0), default=None, metavar="N", help="[default: that in which everything is reached]"
)
@sending_options
def certify(identity: str, task: int, period: int | None, sending: Sending) -> None:
    """Give DID the role of TASK, of which it has reached everything; anybody may."""

    def arguments(client: "Client") -> list[Any]:
        return [identity, task, _find_reached(client, identity, task) if period is None else period]

    _send(sending, "certify", arguments)


def _send(sending: Sending, call: str, arguments: "Callable[[Client], list[Any]]") -> None:
    def build(client: "Client", facts: "ChainFacts") -> Intent:
        return build_known_intent(client, facts, MODULE, call, arguments(client))

    send_intent(build, sending)


def _fetch_task(client: "Client", task: int) -> dict[str, Any]:
    """Raises CommandFailedError."""
    found: dict[str, Any] | None = client.run(calls.module_view(MODULE, "task", {"task": task})).value
    if found is None:
        raise CommandFailedError(f"there is no task {task}: see carlive growth tasks", ExitCode.FAILED)
    return found


def _fetch_progress(client: "Client", identity: str, task: int) -> list[dict[str, Any]]:
    found = client.run(calls.module_view(MODULE, "progress", {"did": identity, "task": task})).value
    return [
        each | {"missing": [part | {"condition": _CONDITIONS[part["condition"]]} for part in each["missing"]]}
        for each in found
    ]


def _find_period(client: "Client", task: int, period: int | None) -> int:
    return int(_fetch_task(client, task)["period"]) if period is None else period


def _find_reached(client: "Client", identity: str, task: int) -> int:
    """The newest period in which all is reached, and for which it was not certified; raises CommandFailedError."""
    _fetch_task(client, task)
    found = _fetch_progress(client, identity, task)
    for each in found:
        if not each["missing"] and not each["standing"]["isCertified"]:
            return int(each["period"])
    missing = _format_missing(found[0]["missing"]) or "nothing, but it was certified for this period"
    raise CommandFailedError(f"{identity} is not to be certified now; missing is {missing}", ExitCode.FAILED)


def _read_commitment(file: Path | None, commitment: str | None) -> bytes:
    """Raises CommandFailedError."""
    from rpc.json_codec import parse_hex

    if (file is None) == (commitment is None):
        raise CommandFailedError("say either --file or --commitment")
    if file is not None:
        with file.open("rb") as opened:
            digest = sha256()
            while block := opened.read(2**20):
                digest.update(block)
        return digest.digest()
    assert commitment is not None, "one of both is said"
    try:
        parsed = parse_hex(commitment)
    except ValueError as error:
        raise CommandFailedError(f"--commitment: {error}") from None
    if len(parsed) != sha256().digest_size:
        raise CommandFailedError("--commitment: a hash has 32 bytes")
    return parsed


def _name_role(description: dict[str, Any]) -> dict[str, Any]:
    task = description["task"]
    return description | {"task": task | {"role": format_role(task["role"])}}


def _format_task(description: dict[str, Any]) -> dict[str, Any]:
    task = description["task"]
    return {
        "id": description["id"],
        "title": task["title"],
        "role": format_role(task["role"]),
        "evidence": ", ".join(f"{each['count']} {each['kind']}" for each in task["requirements"]),
        "raters": task["ratersMin"],
        "mean": _format_hundredths(task["meanHundredthsMin"]),
        "period": f"{description['period']} of {task['periodHeights']} blocks",
        "term": f"{task['termHeights']} blocks",
    }


def _format_progress(found: dict[str, Any], kinds: list[str]) -> dict[str, Any]:
    standing = found["standing"]
    done = "certified" if standing["isCertified"] else "nothing"
    return {
        "period": found["period"],
        "lastHeight": found["lastHeight"],
        "evidence": ", ".join(f"{count} {kind}" for kind, count in zip(kinds, standing["counts"], strict=True)),
        "raters": standing["ratings"],
        "mean": _format_hundredths(found["meanHundredths"]),
        "missing": _format_missing(found["missing"]) or done,
    }


def _format_missing(missing: list[dict[str, Any]]) -> str:
    return ", ".join(f"{each['kind'] or each['condition']} {each['held']}/{each['needed']}" for each in missing)


def _format_hundredths(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02}"
