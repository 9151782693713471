"""What `carlive dividend` shows and signs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from identity.address import NetworkKind
from identity.did import format_did
from ledger.codec import to_plain
from node.cli.failures import ExitCode
from rpc.arguments import describe_type, to_json
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.vm.test_dividends import POOL, YEAR_MS, DividendScene
from vm.native.dividends import CLAIMS_MS_MIN, DividendTerms, TakeBack
from vm.native.governance import Priority, ProposeDividend, Terms


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        yield scene


SUMMARY = {
    "source": 2,
    "label": "Dividend 1970",
    "pool": str(POOL),
    "claimed": "0",
    "left": str(POOL),
    "claimsEnd": YEAR_MS + CLAIMS_MS_MIN,
}


async def test_dividends_are_listed_and_shown(node: CliScene) -> None:
    assert await node.run_json("dividend", "list") == []
    scene = DividendScene()
    node.scene.state = scene.state
    assert await node.run_json("dividend", "list") == [SUMMARY]
    assert await node.run_json("dividend", "show", "2") == SUMMARY | {
        "budget": "community",
        "returned": "0",
        "starts": 0,
        "ends": YEAR_MS,
        "holdingsBps": 3_000,
        "ageBps": 2_000,
        "forceMin": 10,
        "attesters": [format_did(did, NetworkKind.DEVNET) for did in scene.terms.attesters],
        "threshold": 2,
    }
    missing = await node.run("dividend", "show", "1")
    assert missing.exit_code == ExitCode.FAILED


async def test_what_is_left_is_taken_back(node: CliScene) -> None:
    assert await node.sign("dividend", "take-back", "2") == TakeBack(2)


async def test_a_dividend_is_proposed_from_a_file(node: CliScene, tmp_path: Path) -> None:
    scene = DividendScene()
    path = tmp_path / "dividend.json"
    shown = to_json(describe_type(DividendTerms), to_plain(scene.terms), NetworkKind.DEVNET)
    path.write_text(json.dumps(shown), encoding="utf-8")
    signed = await node.sign("gov", "propose", "dividend", str(path), "--title", "Because", "--effective", "500")
    assert signed == ProposeDividend(scene.terms, Terms(Priority.NORMAL, 500, "Because"))
