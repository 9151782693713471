"""Commands against a server in this process, behind which a state stands still: what they sign can be looked at."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ledger.transaction import Call
from node.cli.main import cli
from rpc.server import RpcServer
from tests.rpc.conftest import serve
from tests.rpc.fake_backend import FakeBackend
from tests.stake_scene import StakeScene
from vm.native.registry import find_call


@dataclass
class CliScene:
    """A node with the operators and holders of a StakeScene."""

    backend: FakeBackend
    server: RpcServer
    scene: StakeScene

    async def run(self, *arguments: str) -> Result:
        """A command in a thread of its own: it waits for the server, which runs here."""
        self.backend.state_values = {key: value for key, value in self.scene.state.changes.items() if value is not None}
        return await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, "--node", self.url])

    async def run_json(self, *arguments: str) -> Any:
        """What a command prints; it succeeds."""
        result = await self.run(*arguments, "--output", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    async def sign(self, *arguments: str, signer: str = "dev0") -> Any:
        """The arguments of the one call that a command signs, as the module reads them."""
        result = await self.run(*arguments, "--from", signer, "--yes", "--wait", "admitted", "--output", "json")
        assert result.exit_code == 0, result.output
        (call,) = self.list_signed()[-1]
        return find_call(call.module, call.call).read_arguments(call.arguments)

    def list_signed(self) -> list[Sequence[Call]]:
        """The calls of every transaction that arrived, in their order."""
        return [transaction.body.calls for transaction in self.backend.pending.values()]

    @property
    def url(self) -> str:
        """For --node."""
        return f"http://127.0.0.1:{self.server.port}"


@asynccontextmanager
async def open_cli_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    """The server runs until the end; keys lie in a directory of the test's own."""
    monkeypatch.setenv("CARLIVE_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("CARLIVE_DEVNET_HOME", str(tmp_path / "devnet"))
    backend = FakeBackend()
    async with serve(backend) as server:
        yield CliScene(backend, server, StakeScene())
