"""Commands that create something with a number say which it has, and what is done with it next."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic.alias_generators import to_camel

from ledger.primitives import Height, TimeMs, TransactionId
from ledger.receipt import Receipt, Status
from ledger.transaction import decode_transaction
from node.cli.created import CREATIONS, find_creation
from node.cli.main import cli
from tests.builders import block_context
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_ads import AdsNode
from tests.rpc.fake_backend import DOMAIN, TIME_MS, FakeAdmitted
from vm.context import Context
from vm.gas import GasMeter
from vm.native.registry import CALLS, MODULES, find_call, list_fields
from vm.native.role_records import Role


class FinalNode(AdsNode):
    """What is sent is executed at once, and is final with what it has told."""

    async def submit_many(self, raws: Sequence[bytes]) -> list[FakeAdmitted]:
        (transaction,) = map(decode_transaction, raws)
        (call,) = transaction.body.calls
        ready = find_call(call.module, call.call)
        block = replace(block_context(), height=Height(self.height), time_ms=TimeMs(self.height * 1_000), domain=DOMAIN)
        sender = transaction.body.sender
        context = Context(block, sender, sender, TransactionId(bytes(32)), GasMeter(10**9, 0))
        ready.rule.apply(self.state, context, ready.read_arguments(call.arguments))
        self.height += 1
        receipt = Receipt(transaction.id, Status.SUCCEEDED, 0, 700, 700, tuple(context.events))
        self.scene.backend.known_receipts[transaction.id] = receipt
        self.scene.backend.make_block([transaction])
        return [FakeAdmitted(transaction.id, False)]

    async def send(self, *arguments: str, signer: str) -> dict[str, Any]:
        """What a command prints that waits until its transaction is final."""
        result = await self.run(*arguments, "--from", signer, "--yes", "--output", "json")
        assert result.exit_code == 0, result.output
        shown: dict[str, Any] = json.loads(result.stdout)
        return shown


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FinalNode]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        made = FinalNode(scene)
        made.directory = tmp_path
        made.advertiser = await made.make("dev1", Role.ADVERTISER)
        made.reviewer = await made.make("dev2", Role.COMMUNITY_ADMINISTRATOR)
        made.publisher = await made.make("dev3", None)
        made.user = await made.make("dev4", Role.PERSON)
        await made.make("dev7", Role.COMMUNITY_ADMINISTRATOR)
        monkeypatch.setattr(scene.backend, "submit_many", made.submit_many)
        yield made


async def test_a_campaign_says_its_number(node: FinalNode) -> None:
    terms = node.write("terms.json", node.terms())
    for number in (1, 2):
        shown = await node.send("ads", "campaign", "create", terms, signer="dev1")
        following = f"carlive ads campaign fund {number} --amount IOV, then carlive ads campaign submit {number}"
        assert (shown["campaign"], shown["next"], shown["status"]) == (number, following, "final")


async def test_so_do_channels_orders_and_complaints(node: FinalNode) -> None:
    for words in (
        ("create", node.write("terms.json", node.terms())),
        ("fund", "1", "--amount", "10"),
        ("submit", "1"),
    ):
        await node.send("ads", "campaign", *words, signer="dev1")
    await node.send("ads", "campaign", "review", "1", "--approve", signer="dev2")
    parties = ("--user", node.user, "--publisher", node.publisher, "--counterparty", "user", "--amount", "1")
    keys = ("--offerer-key", "dev1", "--counterparty-key", "dev4")
    signers = ("--by", f"{node.advertiser}=dev1", "--by", f"{node.user}=dev4")
    channel = await node.send("ads", "open-channel", "1", *parties, *keys, *signers, signer="dev0")
    assert channel["channel"] == 1
    assert channel["next"].startswith("carlive ads sign-balance 1 1 --version 1 ")
    await node.offer()
    await node.match("--consent", "user.age", "--consent", "place.city")
    files = [str(node.directory / name) for name in ("offer.json", "match.json")]
    signers = ("--as", node.user, "--by", f"{node.user}=dev4", "--by", f"{node.publisher}=dev3")
    order = await node.send("ads", "accept", *files, *signers, signer="dev0")
    assert order["next"].startswith(f"carlive ads complete {order['order']} ")
    await node.send("ads", "enrol", signer="dev7")
    evidence = node.write("evidence.json", "unfair")
    complaint = await node.send("ads", "complain", "1", "--evidence", evidence, signer="dev4")
    assert (complaint["complaint"], complaint["next"]) == (
        1,
        "carlive ads judge 1 VERDICT, by the panel that the next block draws",
    )


async def test_links_say_how_they_are_claimed(node: FinalNode) -> None:
    links = node.directory / "links"
    node.height = TIME_MS // 1_000
    shown = await node.send("gift", "link", "--amount", "0.001", "--out", str(links), signer="dev1")
    assert shown["next"] == f"carlive gift claim {links / 'gift-1.json'} --to ADDRESS, by who is given it"


async def test_what_creates_nothing_says_nothing_of_it(node: FinalNode) -> None:
    await node.send("ads", "campaign", "create", node.write("terms.json", node.terms()), signer="dev1")
    shown = await node.send("ads", "campaign", "fund", "1", "--amount", "10", signer="dev1")
    assert not {"campaign", "next"} & set(shown)


async def test_a_number_is_not_known_before_the_transaction_is_final(node: FinalNode) -> None:
    terms = node.write("terms.json", node.terms())
    result = await node.run(
        *("ads", "campaign", "create", terms, "--from", "dev1", "--yes", "--wait", "admitted", "--output", "json")
    )
    assert "campaign" not in json.loads(result.stdout)


def list_created() -> list[tuple[str, str]]:
    """Every call that creates something with a number."""
    return [*CREATIONS, *[each for each in CALLS if find_creation(*each) and each not in CREATIONS]]


@pytest.mark.parametrize(("module", "name"), list_created())
def test_what_is_said_is_what_the_event_tells_and_commands_can_do(module: str, name: str) -> None:
    creation = find_creation(module, name)
    assert creation is not None and (module, name) in CALLS
    (event,) = [rule.fields for rule in MODULES[creation.module].events if rule.fields.__name__ == creation.event]
    fields = {to_camel(field) for field, _ in list_fields(event)}
    assert {creation.field, *re.findall(r"{(\w+)}", creation.following)} <= fields
    for command in re.findall(r"carlive ([^,]+)", creation.following):
        found, words = cli, command.split()
        while isinstance(found, click.Group):
            found = found.get_command(click.Context(found), words.pop(0))
        assert found is not None, command
        options = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_every_proposal_is_covered() -> None:
    proposals = [name for module, name in CALLS if module == "governance" and name.startswith("propose_")]
    assert len(proposals) > 30
    assert {find_creation("governance", name) for name in proposals} == {find_creation("governance", "propose_body")}
