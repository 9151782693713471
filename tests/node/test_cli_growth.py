"""What `carlive growth` signs, sends and shows; what it has signed is executed."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.primitives import Height
from node.cli.failures import ExitCode
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import DidNode
from vm.native.growth_records import Evidence, Requirement, Task, define_task, get_evidence
from vm.native.recognition import Recognition, put_recognised
from vm.native.role_records import Grant, Role, end_grant, get_role_record, put_grant

TASK = Task("Guide", Role.ADVERTISER, 500, 10_000, (Requirement("posts", 3),), 1, 425)
HASH = "0x" + "07" * 32


class GrowthNode(DidNode):
    """A reporter, whose key is dev1, somebody who is to grow, and a person for whom dev3 acts."""

    reporter: str
    grown: str
    person: str

    async def report(self, count: int, *more: str) -> None:
        """The reporter counts posts."""
        given = more or ("--commitment", HASH)
        await self.change(
            *("growth", "report", self.grown, "1", "posts", str(count)),
            *("--as", self.reporter, "--by", "dev1", *given),
        )

    async def rate(self, stars: int) -> None:
        """The person gives stars."""
        await self.change("growth", "rate", self.grown, "1", str(stars), signer="dev3")

    def get_evidence(self) -> Evidence | None:
        """The newest report."""
        return get_evidence(self.state, self.parse(self.grown), 1, 0, self.parse(self.reporter), 0)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GrowthNode]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        made = GrowthNode(scene)
        made.reporter = await made.create("--kind", "organisation", "--key", "dev1")
        made.grown = await made.create("--key", "dev2")
        made.person = await made.create("--key", "dev3")
        await made.change("did", "link", made.person, "--by", "dev3", signer="dev3")
        put_recognised(made.state, Recognition.EVIDENCE_REPORTER, made.parse(made.reporter))
        put_grant(made.state, made.parse(made.person), Role.PERSON, Grant(Height(10**6), None), 1)
        define_task(made.state, TASK)
        yield made


async def test_tasks_are_listed(node: GrowthNode) -> None:
    (task,) = await node.run_json("growth", "tasks")
    assert (task["id"], task["isOpen"], task["period"]) == (1, True, 0)
    assert (task["task"]["role"], task["task"]["requirements"]) == ("advertiser", [{"kind": "posts", "count": 3}])
    table = (await node.run("growth", "tasks")).stdout
    for word in ("Guide", "advertiser", "3 posts", "4.25", "0 of 10000 blocks", "500 blocks"):
        assert word in table


async def test_a_report_is_signed_with_its_number_and_hash(node: GrowthNode, tmp_path: Path) -> None:
    await node.report(2)
    assert node.get_evidence() == Evidence(1, 2, bytes([7]) * 32)
    counted = tmp_path / "posts.json"
    counted.write_bytes(b"[]")
    await node.report(4, "--file", str(counted))
    assert node.get_evidence() == Evidence(2, 4, sha256(b"[]").digest())


@pytest.mark.parametrize(
    "given", [(), ("--commitment", "0x00"), ("--commitment", "7"), ("--commitment", HASH, "--file", "x")]
)
async def test_a_report_takes_one_hash(node: GrowthNode, given: tuple[str, ...]) -> None:
    count = len(node.scene.list_signed())
    report = ("growth", "report", node.grown, "1", "posts", "2", "--as", node.reporter, "--by", "dev1", *given)
    assert (await node.run(*report, "--from", "dev0", "--yes")).exit_code == ExitCode.WRONG_USE
    assert len(node.scene.list_signed()) == count


async def test_progress_shows_what_is_there_and_what_is_missing(node: GrowthNode) -> None:
    await node.report(2)
    await node.rate(4)
    (progress,) = await node.run_json("growth", "progress", node.grown, "1")
    assert progress == {
        "period": 0,
        "lastHeight": 19_999,
        "standing": {"counts": [2], "ratings": 1, "stars": 4, "isCertified": False},
        "meanHundredths": 400,
        "missing": [
            {"condition": "evidence", "kind": "posts", "held": 2, "needed": 3},
            {"condition": "mean", "kind": "", "held": 400, "needed": 425},
        ],
    }
    assert "posts 2/3, mean 400/425" in (await node.run("growth", "progress", node.grown, "1")).stdout
    assert await node.run_json("growth", "rating", node.grown) == {"ratings": 1, "stars": 4, "meanHundredths": 400}


async def test_stars_are_taken_back_and_dropped(node: GrowthNode) -> None:
    empty = {"ratings": 0, "stars": 0, "meanHundredths": 0}
    await node.rate(4)
    await node.change("growth", "withdraw", node.grown, "1", signer="dev3")
    assert await node.run_json("growth", "rating", node.grown) == empty
    await node.rate(5)
    end_grant(node.state, node.parse(node.person), Role.PERSON)
    await node.change("growth", "drop", node.grown, "1", node.person)
    assert await node.run_json("growth", "rating", node.grown) == empty


async def test_who_has_reached_everything_is_certified(node: GrowthNode) -> None:
    count = len(node.scene.list_signed())
    certify = ("growth", "certify", node.grown, "1")
    result = await node.run(*certify, "--from", "dev0", "--yes")
    assert (result.exit_code, "posts 0/3, raters 0/1" in result.stderr) == (ExitCode.FAILED, True)
    assert len(node.scene.list_signed()) == count
    await node.report(3)
    await node.rate(5)
    await node.change(*certify)
    record = get_role_record(node.state, node.parse(node.grown), Role.ADVERTISER)
    assert record is not None
    assert record.grant is not None
    assert "certified" in (await node.run("growth", "progress", node.grown, "1")).stdout
    again = await node.run(*certify, "--from", "dev0", "--yes")
    assert "it was certified for this period" in again.stderr


async def test_what_is_no_task_is_said(node: GrowthNode) -> None:
    assert (await node.run("growth", "progress", node.grown, "9")).exit_code == ExitCode.FAILED
    result = await node.run("growth", "certify", node.grown, "9", "--from", "dev0", "--yes")
    assert "there is no task 9" in result.stderr
