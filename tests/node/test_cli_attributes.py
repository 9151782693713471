"""What `carlive did` signs, sends and shows about attributes; what it has signed is executed."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from identity.address import NetworkKind
from identity.attributes import compute_answer_key, compute_attribute_commitment, open_attribute
from identity.did import parse_did
from node.cli.failures import ExitCode
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import DidNode
from vm.native.attribute_payloads import Tag, TagForm
from vm.native.attribute_records import list_tags


@dataclass
class Parties:
    """A holder, whose key is dev1, and a verifier, whose key is dev2."""

    node: DidNode
    holder: str
    verifier: str
    secret: Path

    async def request(self, *arguments: str) -> str:
        """A request's id."""
        sent = await self.node.change(
            *("did", "request", self.holder, "--as", self.verifier, "--purpose", "To rent a car"),
            *("--secret", str(self.secret), "--by", "dev2", *(arguments or ("--attribute", "adult"))),
        )
        return str(sent["requestId"])

    async def approve(self, request_id: str, *values: str) -> None:
        """The holder's answer."""
        given = [word for value in values for word in ("--value", value)]
        await self.node.change("did", "approve", request_id, *given, "--by", "dev1")

    async def list(self, *arguments: str) -> Any:
        """What the node lists of the holder's."""
        return await self.node.run_json("did", *arguments)


@pytest.fixture
async def parties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parties]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        node = DidNode(scene)
        yield Parties(
            node,
            await node.create("--key", "dev1"),
            await node.create("--key", "dev2"),
            tmp_path / "answer.key",
        )


async def test_a_request_its_answer_and_what_the_verifier_reads(parties: Parties) -> None:
    request_id = await parties.request("--attribute", "city", "--attribute", "adult")
    await parties.approve(request_id, "city=Paris", "adult=yes")
    opened = await parties.list("open", request_id, "--secret", str(parties.secret))
    assert [(each["name"], each["value"]) for each in opened] == [("adult", "yes"), ("city", "Paris")]
    assert parties.secret.stat().st_mode & 0o777 == 0o600
    (listed,) = await parties.list("requests", parties.holder, "--state", "approved")
    assert (listed["requestId"], listed["verifier"], listed["purpose"]) == (
        request_id,
        parties.verifier,
        "To rent a car",
    )
    salt = bytes.fromhex(opened[0]["salt"][2:])
    assert listed["answers"][0]["commitment"] == "0x" + compute_attribute_commitment("adult", b"yes", salt).hex()
    assert await parties.list("requests", parties.verifier, "--role", "verifier") == [listed]


async def test_refusal_and_withdrawal_stand_in_the_log(parties: Parties) -> None:
    first, second = await parties.request(), await parties.request()
    await parties.node.change("did", "refuse", first, "--by", "dev1")
    await parties.approve(second, "adult=yes")
    await parties.node.change("did", "withdraw", second, "--by", "dev1")
    log = await parties.list("log", parties.holder)
    assert [(each["number"], each["action"], each["requestId"]) for each in log] == [
        (5, "withdrawn", second),
        (4, "approved", second),
        (3, "refused", first),
        (2, "requested", second),
        (1, "requested", first),
    ]
    assert await parties.list("log", parties.holder, "--limit", "2") == log[:2]
    result = await parties.node.run("did", "open", second, "--secret", str(parties.secret))
    assert result.exit_code == ExitCode.FAILED
    assert "withdrawn" in result.output


async def test_an_approval_is_for_exactly_what_was_asked(parties: Parties) -> None:
    request_id = await parties.request()
    for values in (["city=Paris"], ["adult=yes", "city=Paris"], ["adult=yes", "adult=no"], ["adult"]):
        given = [word for value in values for word in ("--value", value)]
        result = await parties.node.run("did", "approve", request_id, *given, "--by", "dev1", "--from", "dev0", "--yes")
        assert (result.exit_code, "--value" in result.output) == (ExitCode.WRONG_USE, True)


async def test_a_request_that_is_not_there(parties: Parties) -> None:
    missing = "0x" + "11" * 32
    result = await parties.node.run("did", "refuse", missing, "--by", "dev1", "--from", "dev0", "--yes")
    assert result.exit_code == ExitCode.FAILED
    assert "no such request" in result.output


async def test_tags(parties: Parties) -> None:
    node, holder = parties.node, parse_did(parties.holder, NetworkKind.DEVNET)
    sent = await node.change("did", "tag", "set", parties.holder, "city", "Paris", "--commit", "--by", "dev1")
    commitment = compute_attribute_commitment("city", b"Paris", bytes.fromhex(sent["salt"][2:]))
    assert list_tags(node.state, holder) == [Tag("city", TagForm.PLAIN, b"Paris", commitment)]
    shown = {"name": "city", "form": "plain", "value": "Paris", "commitment": "0x" + commitment.hex()}
    assert await parties.list("tag", "list", parties.holder) == [shown]
    await node.change("did", "tag", "remove", parties.holder, "city", "--by", "dev1")
    assert await parties.list("tag", "list", parties.holder) == []


async def test_an_encrypted_tag_is_read_by_its_key_alone(parties: Parties) -> None:
    secret, node = bytes([7]) * 32, parties.node
    key = "0x" + compute_answer_key(secret).hex()
    await node.change("did", "tag", "set", parties.holder, "born", "1990", "--encrypt-for", key, "--by", "dev1")
    (tag,) = list_tags(node.state, parse_did(parties.holder, NetworkKind.DEVNET))
    assert (tag.form, open_attribute(tag.value, secret)[0]) == (TagForm.ENCRYPTED, b"1990")
    (shown,) = await parties.list("tag", "list", parties.holder)
    assert shown["value"] == "0x" + tag.value.hex()


async def test_identities_of_another_network_are_refused(parties: Parties) -> None:
    foreign = "did:iov:testnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf"
    result = await parties.node.run(
        *("did", "request", foreign, "--as", parties.verifier, "--purpose", "x", "--attribute", "adult"),
        *("--secret", str(parties.secret), "--by", "dev2", "--from", "dev0", "--yes"),
    )
    assert (result.exit_code, "testnet" in result.output) == (ExitCode.WRONG_USE, True)


async def test_what_is_signed_is_shown_first(parties: Parties) -> None:
    result = await parties.node.run(
        *("did", "request", parties.holder, "--as", parties.verifier, "--purpose", "To rent", "--attribute", "adult"),
        *("--secret", str(parties.secret), "--by", "dev2", "--from", "dev0"),
    )
    for shown in (parties.holder, "To rent", "adult", "attributes.request"):
        assert shown in result.output
    assert json.dumps(parties.secret.read_text().strip()) not in result.output


async def test_who_answers_reads_first_who_asks_for_what_and_why(parties: Parties) -> None:
    request_id = await parties.request("--attribute", "adult", "--attribute", "city")
    for words in (["approve", request_id, "--value", "adult=yes", "--value", "city=Paris"], ["refuse", request_id]):
        result = await parties.node.run("did", *words, "--by", "dev1", "--from", "dev0")
        for shown in (parties.verifier, "To rent a car", "adult, city"):
            assert shown in result.output


async def test_keys_on_another_machine_sign_what_was_written_out(parties: Parties, tmp_path: Path) -> None:
    payload, signature = tmp_path / "payload.json", tmp_path / "signature.json"

    async def sign_elsewhere(key: str, *words: str) -> Any:
        written = await parties.node.run_json("did", *words, "--from", "dev0", "--payload-out", str(payload))
        await parties.node.run_json("did", "sign", str(payload), "--key", key, "--out", str(signature), "--yes")
        await parties.node.change("did", "send", str(payload), "--signature", str(signature))
        return written

    asked = await sign_elsewhere(
        *("dev2", "request", parties.holder, "--as", parties.verifier, "--purpose", "To rent a car"),
        *("--attribute", "adult", "--secret", str(parties.secret)),
    )
    await sign_elsewhere("dev1", "approve", asked["requestId"], "--value", "adult=yes")
    (opened,) = await parties.list("open", asked["requestId"], "--secret", str(parties.secret))
    assert opened["value"] == "yes"
    await sign_elsewhere("dev1", "withdraw", asked["requestId"])
    tag = await sign_elsewhere("dev1", "tag", "set", parties.holder, "city", "Paris", "--commit")
    salt = bytes.fromhex(tag["salt"][2:])
    (shown,) = await parties.list("tag", "list", parties.holder)
    assert shown["commitment"] == "0x" + compute_attribute_commitment("city", b"Paris", salt).hex()


async def test_who_signs_an_answer_elsewhere_reads_the_request_too(parties: Parties, tmp_path: Path) -> None:
    payload = tmp_path / "payload.json"
    request_id = await parties.request()
    words = ("did", "approve", request_id, "--value", "adult=yes", "--from", "dev0", "--payload-out", str(payload))
    await parties.node.run_json(*words)
    result = await parties.node.run("did", "sign", str(payload), "--key", "dev1")
    for shown in (parties.verifier, "To rent a car", "attributes.approve"):
        assert shown in result.stderr


async def test_a_vehicles_owner_answers_for_it(parties: Parties) -> None:
    car = await parties.node.create("--kind", "vehicle", "--owner", parties.holder, "--by", "dev1")
    await parties.node.change("did", "tag", "set", car, "colour", "red", "--by", "dev1")
    assert [each["value"] for each in await parties.list("tag", "list", car)] == ["red"]
