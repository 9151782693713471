"""`carlive did credential`: issue, present, verify, revoke; what is anchored is executed as on the chain."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from identity.credentials.status_list import (
    StatusPurpose,
    compute_status_list_hash,
    create_status_list,
    format_status_list_subject,
    get_status,
)
from identity.did import parse_did
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.status_lists import open_issuer_list, read_status_list
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import NETWORK, DidNode
from vm.native.credentials import StatusPurpose as AnchoredPurpose
from vm.native.credentials import get_status_list

KIND = "https://office.example/driver"
URI = "https://office.example/status/1"
AUDIENCE = "https://insurer.example"


@dataclass
class Office:
    """An issuer, whose key is dev1, a holder, whose key is dev2, and files of all parties in one directory."""

    node: DidNode
    directory: Path
    issuer: str
    holder: str

    @property
    def lists(self) -> Path:
        """The issuer's status list."""
        return self.directory / "list"

    def run(self, *arguments: str) -> Result:
        """A command that needs no node."""
        return CliRunner().invoke(cli, ["did", "credential", *arguments])

    def run_json(self, *arguments: str) -> Any:
        """What it prints; it succeeds."""
        result = self.run(*arguments, "--output", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def list_issued(self) -> list[dict[str, Any]]:
        """The issuer's book."""
        listed: list[dict[str, Any]] = self.run_json("list", str(self.lists))
        return listed

    async def begin(self, uri: str = URI, *arguments: str) -> dict[str, Any]:
        """The issuer's status list, anchored."""
        return await self.node.change(
            *("did", "credential", "new-list", str(self.lists), "--issuer", self.issuer, "--uri", uri),
            *("--by", "dev1", *arguments),
        )

    async def issue(self, name: str = "licence", *arguments: str) -> dict[str, Any]:
        """A credential about name and town."""
        return await self.node.run_json(
            *("did", "credential", "issue", "--list", str(self.lists), "--type", KIND, "--holder", self.holder),
            *("--claim", "name=Ada", "--claim", "town=Paris", "--by", "dev1", "--out", self.path(name), *arguments),
        )

    def ask(self, name: str = "demand") -> dict[str, Any]:
        """The verifier's demand."""
        return self.run_json("demand", "--audience", AUDIENCE, "--out", self.path(name))

    def present(self, *arguments: str, demand: str = "demand", out: str = "shown") -> dict[str, Any]:
        """What the holder shows."""
        return self.run_json(
            *("present", self.path("licence"), "--demand", self.path(demand)),
            *("--key", "dev2", "--out", self.path(out), *arguments),
        )

    def show(self, *arguments: str, name: str = "shown") -> None:
        """Ask, and present the town."""
        self.ask()
        self.present("--disclose", "town", *arguments, out=name)

    async def verify(self, *arguments: str, name: str = "shown", files: bool = True) -> dict[str, Any]:
        """The verifier's result; a refusal has exit code 1 and says the same on standard error."""
        copies = [word for each in sorted(self.lists.glob("*ion.json")) for word in ("--status-list", str(each))]
        given = arguments or ("--demand", self.path("demand"))
        result = await self.node.run(
            *("did", "credential", "verify", self.path(name), *given, *(copies if files else [])), "--output", "json"
        )
        record: dict[str, Any] = json.loads(result.stdout)
        if record["verdict"] == "refused":
            assert result.exit_code == ExitCode.FAILED
            error = json.loads(result.stderr)["error"]
            assert (error["check"], error["reason"]) == (record["check"], record["reason"])
        else:
            assert result.exit_code == ExitCode.OK
        return record

    async def change(self, command: str, *arguments: str) -> dict[str, Any]:
        """Revoke, suspend or unsuspend the licence."""
        given = arguments or ("--credential", self.path("licence"))
        return await self.node.change("did", "credential", command, str(self.lists), *given, "--by", "dev1")

    def path(self, name: str) -> str:
        """A file of a party."""
        return str(self.directory / name)


def refusal(record: dict[str, Any]) -> tuple[str, str]:
    assert record["verdict"] == "refused", record
    return record["check"], record["reason"]


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        node = DidNode(scene)
        issuer = await node.create("--kind", "organisation", "--key", "dev1")
        yield Office(node, tmp_path, issuer, await node.create("--key", "dev2"))


async def test_from_issuing_to_revocation(office: Office) -> None:
    begun = await office.begin()
    assert (begun["version"], begun["publish"], begun["at"]) == ("1", str(office.lists / "revocation.json"), URI)
    issued = await office.issue()
    assert (issued["issuer"], issued["holder"], issued["claims"]) == (office.issuer, office.holder, ["name", "town"])
    assert Path(issued["file"]).stat().st_mode & 0o777 == 0o600
    office.ask()
    presented = office.present("--disclose", "town")
    assert (presented["audience"], presented["disclosed"]) == (AUDIENCE, ["town"])
    assert Path(presented["file"]).stat().st_mode & 0o777 == 0o600
    verified = await office.verify()
    assert verified == {
        "verdict": "valid",
        "issuer": office.issuer,
        "holder": office.holder,
        "type": KIND,
        "claims": {"town": "Paris"},
        "validUntil": issued["validUntil"],
        "status": [{"purpose": "revocation", "set": False, "version": 1, "height": 3}],
        "passed": ["form", "issuer", "signature", "time", "holder", "expected", "status"],
    }
    revoked = await office.change("revoke")
    assert revoked["version"] == "2"
    office.ask("again")
    office.present("--disclose", "town", demand="again", out="shown again")
    record = await office.verify("--demand", office.path("again"), name="shown again")
    assert refusal(record) == ("status", "revoked")
    assert record["passed"] == ["form", "issuer", "signature", "time", "holder", "expected"]


async def test_the_chain_has_the_hash_of_the_list_on_disk(office: Office) -> None:
    await office.begin()
    index = (await office.issue())["index"]
    await office.change("revoke", "--index", str(index))
    on_disk = read_status_list(open_issuer_list(office.lists), StatusPurpose.REVOCATION)
    assert (on_disk.entries, get_status(on_disk, index), on_disk.bits.count(0)) == (131_072, True, 16_383)
    anchored = get_status_list(office.node.state, parse_did(office.issuer, NETWORK), 1, AnchoredPurpose.REVOCATION)
    assert anchored is not None
    assert (anchored.version, anchored.list_hash, anchored.uri) == (2, compute_status_list_hash(on_disk), URI)
    (shown,) = await office.node.run_json("did", "credential", "status", office.issuer)
    assert (shown["number"], shown["purpose"], shown["version"]) == (1, "revocation", 2)
    (listed,) = office.list_issued()
    assert (listed["index"], listed["holder"], listed["revoked"], listed["suspended"]) == (
        index,
        office.holder,
        True,
        False,
    )


async def test_a_suspension_ends(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    await office.change("suspend")
    assert refusal(await office.verify()) == ("status", "suspended")
    await office.change("unsuspend")
    assert [each["purpose"] for each in (await office.verify())["status"]] == ["revocation", "suspension"]


async def test_what_the_status_was_at_a_height(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    before = office.lists / "revocation.json"
    copy = office.directory / "before.json"
    copy.write_bytes(before.read_bytes())
    await office.change("revoke")
    earlier = ("--demand", office.path("demand"), "--status-list", str(copy), "--at-height")
    assert refusal(await office.verify(*earlier, "2", files=False)) == ("status", "not_anchored")
    assert (await office.verify(*earlier, "3", files=False))["status"][0]["version"] == 1


async def test_an_old_copy_of_the_list_is_refused(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    old = office.directory / "old.json"
    old.write_bytes((office.lists / "revocation.json").read_bytes())
    await office.change("revoke")
    record = await office.verify("--demand", office.path("demand"), "--status-list", str(old), files=False)
    assert refusal(record) == ("status", "hash_mismatch")


async def test_a_list_that_cannot_be_had_is_no_permission(office: Office) -> None:
    await office.begin("http://127.0.0.1:1/status")
    await office.issue()
    office.show()
    assert refusal(await office.verify(files=False)) == ("status", "list_unavailable")


async def test_an_address_that_is_none_of_the_web(office: Office) -> None:
    await office.begin("urn:office:1", "--suspension-uri", "urn:office:2")
    await office.issue()
    office.show()
    assert refusal(await office.verify(files=False)) == ("status", "list_unavailable")
    assert (await office.verify())["verdict"] == "valid"


class QuietServer(ThreadingHTTPServer):
    """Clients that hang up in the middle of an answer are part of the test."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: standard error is the command's."""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing: what it says would stand among what commands say."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    server = QuietServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


async def test_lists_are_fetched_from_where_they_are_published(office: Office) -> None:
    with serving(office.directory) as address:
        await office.begin(f"{address}/list/revocation.json", "--suspension-uri", f"{address}/list/suspension.json")
        await office.issue()
        office.show()
        assert (await office.verify(files=False))["verdict"] == "valid"
        for content, expected in [
            (b"{}", "malformed"),
            (b"x" * 1_600_000, "limit_exceeded"),
            (
                json.dumps(format_status_list_subject("x", create_status_list(), StatusPurpose.SUSPENSION)).encode(),
                "wrong_purpose",
            ),
        ]:
            (office.lists / "revocation.json").write_bytes(content)
            office.ask("other")
            office.present(demand="other", out="other shown")
            record = await office.verify("--demand", office.path("other"), name="other shown", files=False)
            assert refusal(record) == ("status", expected)
            for name in ("other", "other shown"):
                Path(office.path(name)).unlink()


async def test_a_demand_is_answered_once(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    assert (await office.verify())["verdict"] == "valid"
    assert refusal(await office.verify()) == ("holder", "nonce_used")


async def test_an_answer_is_for_one_verifier_and_one_question(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    nonce = json.loads(Path(office.path("demand")).read_text())["nonce"]
    for given in (("--audience", "https://other.example", "--nonce", nonce), ("--audience", AUDIENCE, "--nonce", "x")):
        assert refusal(await office.verify(*given)) == ("holder", "bad_key_binding")
    assert (await office.verify("--audience", AUDIENCE, "--nonce", nonce))["verdict"] == "valid"
    assert refusal(await office.verify(name="licence")) == ("holder", "no_key_binding")


async def test_the_holder_looks_at_what_was_received(office: Office) -> None:
    await office.begin()
    await office.issue()
    record = await office.verify("--as-holder", name="licence")
    assert (record["claims"], sorted(record["disclosable"])) == ({"name": "Ada", "town": "Paris"}, ["name", "town"])


async def test_only_the_holders_key_presents(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.ask()
    result = office.run(
        *("present", office.path("licence"), "--demand", office.path("demand")),
        *("--key", "dev3", "--out", office.path("shown")),
    )
    assert (result.exit_code, "another key" in result.output) == (ExitCode.WRONG_USE, True)


async def test_a_holder_without_that_key_is_refused(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    await office.node.change("did", "rotate", office.holder, "--key", "dev4", "--by", "dev2")
    assert refusal(await office.verify()) == ("holder", "key_not_in_authentication")
    await office.node.change("did", "deactivate", office.holder, "--by", "dev4")
    assert refusal(await office.verify()) == ("holder", "holder_deactivated")


async def test_an_issuer_without_that_key_is_refused(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    await office.node.change("did", "rotate", office.issuer, "--key", "dev4", "--by", "dev1")
    assert refusal(await office.verify()) == ("issuer", "key_not_in_assertion_method")
    await office.node.change("did", "deactivate", office.issuer, "--by", "dev4")
    assert refusal(await office.verify()) == ("issuer", "issuer_deactivated")


async def test_only_what_was_expected(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    demand = ("--demand", office.path("demand"))
    assert refusal(await office.verify(*demand, "--issuer", office.holder)) == ("expected", "other_issuer")
    assert refusal(await office.verify(*demand, "--type", "other")) == ("expected", "other_type")
    assert (await office.verify(*demand, "--issuer", office.issuer, "--type", KIND))["verdict"] == "valid"


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [
        ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", ("time", "expired")),
        ("2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z", ("time", "not_yet_valid")),
    ],
)
async def test_a_credential_has_its_time(office: Office, begins: str, ends: str, expected: tuple[str, str]) -> None:
    await office.begin()
    await office.issue("licence", "--valid-from", begins, "--valid-until", ends)
    office.show()
    assert refusal(await office.verify()) == expected


async def test_a_changed_presentation_is_refused(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    path = Path(office.path("shown"))
    signed, disclosure, proof = path.read_text().strip().split("~")
    head, payload, signature = signed.split(".")
    other = "A" if signature[0] != "A" else "B"
    for text, expected in [
        (f"{head}.{payload}.{other}{signature[1:]}~{disclosure}~{proof}", ("signature", "bad_signature")),
        (f"{signed}~{disclosure[:-4]}~{proof}", ("form", "malformed")),
        (f"{signed}~{proof}", ("holder", "bad_key_binding")),
        ("nothing", ("form", "malformed")),
    ]:
        path.write_text(text)
        assert refusal(await office.verify()) == expected


async def test_claims_from_a_file_are_disclosed_one_by_one(office: Office) -> None:
    await office.begin()
    claims = office.directory / "claims.json"
    claims.write_text('{"classes": ["AM", "B"], "points": 3}')
    await office.issue("licence", "--claims", str(claims))
    office.show("--disclose", "classes")
    assert (await office.verify())["claims"] == {"town": "Paris", "classes": ["AM", "B"]}
    result = office.run(
        *("present", office.path("licence"), "--demand", office.path("demand")),
        *("--disclose", "shoes", "--key", "dev2", "--out", office.path("other")),
    )
    assert (result.exit_code, "classes, name, points, town" in result.output) == (ExitCode.WRONG_USE, True)


async def test_all_claims_are_disclosed_when_asked_to(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.ask()
    office.present("--disclose-all")
    assert (await office.verify())["claims"] == {"name": "Ada", "town": "Paris"}


async def test_a_change_that_was_not_anchored_is_anchored_later(office: Office) -> None:
    await office.begin()
    await office.issue()
    office.show()
    result = await office.node.run(
        *("did", "credential", "revoke", str(office.lists), "--credential", office.path("licence"), "--by", "dev1"),
        *("--from", "dev0"),
    )
    assert result.exit_code == ExitCode.WRONG_USE, "nobody has agreed"
    assert f"carlive did credential anchor {office.lists} --purpose revocation" in result.stderr
    assert refusal(await office.verify()) == ("status", "hash_mismatch")
    anchored = await office.node.change("did", "credential", "anchor", str(office.lists), "--by", "dev1")
    assert anchored["version"] == "2"
    assert refusal(await office.verify()) == ("status", "revoked")
    again = await office.node.run_json(
        *("did", "credential", "anchor", str(office.lists), "--by", "dev1", "--from", "dev0", "--yes")
    )
    assert (again["status"], again["version"]) == ("anchored already", 2)


async def test_indexes_are_given_once(office: Office) -> None:
    await office.begin()
    indexes = {(await office.issue(f"licence {number}"))["index"] for number in range(4)}
    assert len(indexes) == 4
    listed = office.list_issued()
    assert {each["index"] for each in listed} == indexes


@pytest.mark.parametrize(
    ("arguments", "code", "advice"),
    [
        (["--index", "131072"], ExitCode.WRONG_USE, "no credential was issued"),
        ([], ExitCode.WRONG_USE, "--index or --credential"),
    ],
)
async def test_what_cannot_be_revoked(office: Office, arguments: list[str], code: ExitCode, advice: str) -> None:
    await office.begin()
    sent = len(office.node.scene.list_signed())
    result = await office.node.run(
        *("did", "credential", "revoke", str(office.lists), *arguments, "--by", "dev1", "--from", "dev0", "--yes")
    )
    assert (result.exit_code, advice in result.output) == (code, True), result.output
    assert len(office.node.scene.list_signed()) == sent


async def test_a_credential_of_another_list_is_not_revoked_here(office: Office) -> None:
    await office.begin()
    await office.issue()
    other = office.directory / "other"
    await office.node.change(
        *("did", "credential", "new-list", str(other), "--issuer", office.issuer, "--number", "2"),
        *("--uri", URI + "/2", "--by", "dev1"),
    )
    result = await office.node.run(
        *("did", "credential", "revoke", str(other), "--credential", office.path("licence")),
        *("--by", "dev1", "--from", "dev0", "--yes"),
    )
    assert (result.exit_code, "of another list" in result.output) == (ExitCode.WRONG_USE, True)


async def test_keys_that_do_not_attest_do_nothing(office: Office) -> None:
    await office.begin()
    result = await office.node.run(
        *("did", "credential", "issue", "--list", str(office.lists), "--type", KIND, "--holder", office.holder),
        *("--claim", "name=Ada", "--by", "dev3", "--out", office.path("licence")),
    )
    assert (result.exit_code, "attests" in result.output) == (ExitCode.FAILED, True)
    assert not Path(office.path("licence")).exists()
    assert office.list_issued() == []


@pytest.mark.parametrize(
    "arguments",
    [["--claim", "name"], ["--claim", "name=Eve"], ["--claim", "iss=Eve"], ["--valid-until", "1999-01-01T00:00:00Z"]],
)
async def test_what_cannot_be_issued_takes_no_index(office: Office, arguments: list[str]) -> None:
    await office.begin()
    result = await office.node.run(
        *("did", "credential", "issue", "--list", str(office.lists), "--type", KIND, "--holder", office.holder),
        *("--claim", "name=Ada", "--by", "dev1", "--out", office.path("licence"), *arguments),
    )
    assert result.exit_code == ExitCode.WRONG_USE, result.output
    assert office.list_issued() == []


async def test_a_list_is_not_begun_twice(office: Office) -> None:
    await office.begin()
    result = await office.node.run(
        *("did", "credential", "new-list", str(office.lists), "--issuer", office.issuer, "--uri", URI),
        *("--by", "dev1", "--from", "dev0", "--yes"),
    )
    assert (result.exit_code, "already" in result.output) == (ExitCode.WRONG_USE, True)
