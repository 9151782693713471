"""`carlive did pseudonym`: derived, created by whoever pays, proven to an auditor."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from identity.policy import build_policy
from identity.pseudonym import derive_pseudonym
from identity.wallet.wallet_file import build_wallet
from ledger.codec import encode
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.key_files import load_key_file
from node.wallet_files import create_wallet_file
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import DEV, DidNode
from tests.rpc.fake_backend import DOMAIN
from vm.native.did_records import DidKind
from vm.native.recognition import Recognition, delete_recognised, put_recognised

PURPOSE = "Case 7"


@dataclass
class Trade:
    """Somebody whose key is dev1, a shop whose key is dev2, and an auditor whose key is dev3."""

    node: DidNode
    directory: Path
    main: str
    shop: str
    auditor: str

    def path(self, name: str) -> str:
        """A file of a party."""
        return str(self.directory / name)

    def name(self, *arguments: str) -> list[str]:
        """Which pseudonym, from the secret of dev1 unless said otherwise."""
        secret = [] if "--wallet" in arguments else ["--secret-of", "dev1"]
        return ["--main", self.main, "--counterparty", self.shop, *secret, *arguments]

    async def derive(self, *arguments: str) -> dict[str, Any]:
        """A pseudonym, not yet created."""
        made: dict[str, Any] = await self.node.run_json("did", "pseudonym", "derive", *self.name(*arguments))
        return made

    async def create(self) -> str:
        """A pseudonym on the chain, paid for by somebody else."""
        await self.derive("--out", self.path("creation"))
        created = await self.node.change("did", "pseudonym", "create", self.path("creation"), signer="dev9")
        return str(created["did"])

    async def prove(self, *arguments: str, out: str = "proof", by: str = "dev1") -> dict[str, Any]:
        """A proof for the auditor."""
        proof: dict[str, Any] = await self.node.run_json(*self.proving(*arguments, out=out, by=by))
        return proof

    def proving(self, *arguments: str, out: str = "proof", by: str = "dev1") -> list[str]:
        """The words of that command."""
        return [
            *("did", "pseudonym", "prove", *self.name(), "--auditor", self.auditor, "--purpose", PURPOSE),
            *("--by", by, "--out", self.path(out), *arguments),
        ]

    def opening(self, purpose: str = PURPOSE) -> list[str]:
        """The words of the auditor's command."""
        return [
            *("did", "pseudonym", "open", self.path("proof"), "--as", self.auditor),
            *("--secret", self.path("secret"), "--purpose", purpose),
        ]

    async def refuse(self, purpose: str = PURPOSE) -> str:
        """Why the auditor finds that a proof does not hold."""
        result = await self.node.run(*self.opening(purpose), "--output", "json")
        assert result.exit_code == ExitCode.FAILED, result.output
        return str(json.loads(result.stderr)["error"]["reason"])


def authorise(node: DidNode, auditor: str) -> None:
    """Let an identity be an auditor."""
    put_recognised(node.state, Recognition.AUDITOR, node.parse(auditor))


@pytest.fixture
async def trade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trade]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        node = DidNode(scene)
        key = make_auditor_key(tmp_path)
        main, shop = [await node.create("--key", name) for name in ("dev1", "dev2")]
        auditor = await node.create("--kind", "organisation", "--key", "dev3", "--agreement-key", key)
        authorise(node, auditor)
        yield Trade(node, tmp_path, main, shop, auditor)


def make_auditor_key(directory: Path) -> str:
    """The public key; the secret is in a file."""
    words = ["did", "pseudonym", "auditor-key", "--secret", str(directory / "secret"), "--output", "json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert (directory / "secret").stat().st_mode & 0o777 == 0o600
    return str(json.loads(result.stdout)["agreementKey"])


async def test_from_derivation_to_proof(trade: Trade) -> None:
    text = await trade.create()
    assert text not in (trade.main, trade.shop)
    content = trade.node.get(text).current.content
    did = trade.node.parse
    expected = derive_pseudonym(DEV[1].secret, DOMAIN, did(trade.main), did(trade.shop), 0)
    assert content.control.keys.policy == build_policy([(expected.private_key.public_key, 1)], 1)
    assert content.kind is DidKind.PERSON
    proof = await trade.prove()
    assert (proof["pseudonym"], proof["auditor"], proof["transferable"]) == (text, trade.auditor, False)
    assert (trade.directory / "proof").stat().st_mode & 0o777 == 0o600
    opened = await trade.node.run_json(*trade.opening())
    assert opened == {
        "verdict": "proven",
        "main": trade.main,
        "pseudonym": text,
        "purpose": PURPOSE,
        "expiryHeight": proof["expiryHeight"],
        "transferable": False,
    }


async def test_nothing_that_is_sent_leads_to_the_main_identity(trade: Trade) -> None:
    await trade.create()
    (call,) = trade.node.scene.list_signed()[-1]
    sent = encode(call.arguments)
    for text in (trade.main, trade.shop):
        assert trade.node.parse(text) not in sent
    assert DEV[1].public_key.key not in sent
    creation = (trade.directory / "creation").read_text()
    assert (trade.main in creation, trade.shop in creation) == (False, False)


async def test_the_same_words_lead_to_the_same_pseudonym(trade: Trade) -> None:
    first = await trade.derive()
    assert await trade.derive() == first
    others = [
        await trade.derive("--index", "1"),
        await trade.derive("--kind", "organisation"),
        await trade.derive("--counterparty", trade.auditor),
    ]
    assert len({first["did"], *(each["did"] for each in others)}) == 4


async def test_a_wallet_is_a_secret_too(trade: Trade, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = trade.directory / "keys"
    keys.mkdir(mode=0o700)
    made = build_wallet(bytes(range(16)))
    create_wallet_file(keys / "mine.wallet", made, "password")
    monkeypatch.setenv("CARLIVE_PASSWORD", "password")
    derived = await trade.derive("--wallet", "mine", "--save-key", "shopping")
    did = trade.node.parse
    expected = derive_pseudonym(made.compute_seed(), DOMAIN, did(trade.main), did(trade.shop), 0)
    assert derived["key"] == "ed25519:0x" + expected.private_key.public_key.key.hex()
    assert load_key_file(keys / "shopping.key", "password") == expected.private_key


async def test_signatures_are_transferable_and_say_so(trade: Trade) -> None:
    await trade.create()
    assert (await trade.prove("--transferable"))["transferable"] is True
    assert (await trade.node.run_json(*trade.opening()))["transferable"] is True


async def test_a_proof_holds_for_its_purpose_alone(trade: Trade) -> None:
    await trade.create()
    await trade.prove()
    assert await trade.refuse("Case 8") == "wrong_purpose"


async def test_a_proof_is_for_an_auditor_who_is_authorised(trade: Trade) -> None:
    await trade.create()
    await trade.prove()
    delete_recognised(trade.node.state, Recognition.AUDITOR, trade.node.parse(trade.auditor))
    assert await trade.refuse() == "not_an_auditor"
    result = await trade.node.run(*trade.proving(out="other"))
    assert (result.exit_code, "not recognised as an auditor" in result.output) == (ExitCode.FAILED, True)
    assert not (trade.directory / "other").exists()


async def test_an_auditor_that_has_ended_is_one_no_longer(trade: Trade) -> None:
    await trade.create()
    await trade.prove()
    await trade.node.change("did", "deactivate", trade.auditor, "--by", "dev3")
    assert await trade.refuse() == "not_an_auditor"


async def test_a_proof_ends_with_the_keys(trade: Trade) -> None:
    await trade.create()
    await trade.prove()
    await trade.node.change("did", "rotate", trade.main, "--key", "dev4", "--by", "dev1")
    assert await trade.refuse() == "unknown_key"
    await trade.node.change("did", "deactivate", trade.main, "--by", "dev4")
    assert await trade.refuse() == "inactive"


async def test_a_proof_is_opened_by_the_auditors_key_alone(trade: Trade) -> None:
    await trade.create()
    await trade.prove()
    (trade.directory / "secret").write_text("11" * 32)
    assert await trade.refuse() == "not_opened"


async def test_only_who_rules_the_main_identity_proves(trade: Trade) -> None:
    await trade.create()
    result = await trade.node.run(*trade.proving(by="dev2"))
    assert (result.exit_code, "rule the main identity" in result.output) == (ExitCode.FAILED, True)


async def test_what_does_not_exist_yet_is_not_proven(trade: Trade) -> None:
    result = await trade.node.run(*trade.proving())
    assert (result.exit_code, "there is no identity" in result.output) == (ExitCode.FAILED, True)


async def test_an_auditor_without_a_key_cannot_be_shown_anything(trade: Trade) -> None:
    await trade.create()
    authorise(trade.node, trade.shop)
    result = await trade.node.run(*trade.proving("--auditor", trade.shop))
    assert (result.exit_code, "no X25519 key" in result.output) == (ExitCode.FAILED, True)


@pytest.mark.parametrize("content", ["nonsense", "[]", '{"chain": "x", "did": "x", "arguments": {}}'])
async def test_a_creation_that_is_none(trade: Trade, content: str) -> None:
    Path(trade.path("creation")).write_text(content)
    result = await trade.node.run("did", "pseudonym", "create", trade.path("creation"), "--from", "dev0", "--yes")
    assert (result.exit_code, "no creation" in result.output) == (ExitCode.WRONG_USE, True)


async def test_a_creation_for_another_chain(trade: Trade) -> None:
    await trade.derive("--out", trade.path("creation"))
    record = json.loads(Path(trade.path("creation")).read_text())
    Path(trade.path("creation")).write_text(json.dumps({**record, "chain": "another"}))
    result = await trade.node.run("did", "pseudonym", "create", trade.path("creation"), "--from", "dev0", "--yes")
    assert (result.exit_code, "the chain another" in result.output) == (ExitCode.WRONG_USE, True)


async def test_the_secret_is_named_once(trade: Trade) -> None:
    for arguments in ([], ["--secret-of", "dev1", "--wallet", "mine"]):
        result = await trade.node.run(
            "did", "pseudonym", "derive", "--main", trade.main, "--counterparty", trade.shop, *arguments
        )
        assert (result.exit_code, "--secret-of KEY" in result.output) == (ExitCode.WRONG_USE, True)
