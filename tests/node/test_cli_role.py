"""What `carlive role` signs, sends and shows; what it has signed is executed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.primitives import Height
from node.cli.failures import ExitCode
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import DidNode
from vm.native.recognition import Recognition, put_recognised
from vm.native.role_records import Grant, Role, get_role_record, put_grant


class RoleNode(DidNode):
    """An issuer, whose key is dev1, and a person, whose key is dev2."""

    issuer: str
    person: str

    async def grant(self, until: int = 900) -> None:
        """The issuer makes the person one."""
        await self.change(
            *("role", "grant", self.person, "person", "--as", self.issuer, "--until", str(until), "--by", "dev1")
        )


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RoleNode]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        made = RoleNode(scene)
        made.issuer = await made.create("--kind", "organisation", "--key", "dev1")
        made.person = await made.create("--key", "dev2")
        put_recognised(made.state, Recognition.PERSON_ISSUER, made.parse(made.issuer))
        yield made


async def test_a_role_is_granted_and_shown(node: RoleNode) -> None:
    assert await node.run_json("role", "list", node.person) == []
    await node.grant()
    shown = {"role": "person", "number": 1, "untilHeight": 900, "issuer": node.issuer}
    assert await node.run_json("role", "list", node.person) == [shown]
    await node.grant(901)
    record = get_role_record(node.state, node.parse(node.person), Role.PERSON)
    assert record is not None
    assert (record.number, record.grant) == (2, Grant(Height(901), node.parse(node.issuer)))


async def test_an_issuer_takes_a_role_back(node: RoleNode) -> None:
    await node.grant()
    await node.change("role", "revoke", node.person, "person", "--by", "dev1")
    assert await node.run_json("role", "list", node.person) == []


async def test_a_holder_gives_a_role_up(node: RoleNode) -> None:
    await node.grant()
    await node.change("role", "renounce", node.person, "person", "--by", "dev2")
    assert await node.run_json("role", "list", node.person) == []


async def test_issuers_of_a_role_are_listed(node: RoleNode) -> None:
    assert await node.run_json("role", "issuers", "person") == [{"did": node.issuer}]
    assert await node.run_json("role", "issuers", "attester") == []


async def test_what_cannot_be_taken_back_is_said_before_it_is_signed(node: RoleNode) -> None:
    count = len(node.scene.list_signed())
    revoke = ("role", "revoke", node.person, "person", "--by", "dev1", "--from", "dev0", "--yes")
    result = await node.run(*revoke)
    assert (result.exit_code, "does not have the role person now" in result.stderr) == (ExitCode.FAILED, True)
    put_grant(node.state, node.parse(node.person), Role.PERSON, Grant(Height(900), None), 1)
    result = await node.run(*revoke)
    assert (result.exit_code, "carlive gov propose remove-role" in result.stderr) == (ExitCode.FAILED, True)
    assert "governance" in (await node.run("role", "list", node.person)).stdout
    assert len(node.scene.list_signed()) == count
