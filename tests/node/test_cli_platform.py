"""`carlive platform`: what it builds, signs, sends and shows; what it has signed is executed."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from identity.platform_account import compute_account_hash
from ledger.merkle import ListProof, compute_leaf_hash, is_proof_valid
from node.cli.failures import ExitCode
from node.cli.main import cli
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import DidNode
from vm.native.platforms import PersonAccount, list_accounts
from vm.native.recognition import Recognition, put_recognised


def run(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(cli, ["platform", *arguments, "--output", "json"])
    assert result.exit_code == 0, result.output
    shown: dict[str, object] = json.loads(result.stdout)
    return shown


def test_a_list_is_built_and_an_account_of_it_proven(tmp_path: Path) -> None:
    accounts, out, key = tmp_path / "accounts.csv", tmp_path / "out", tmp_path / "master.key"
    accounts.write_text("account\nann\nbob\ncid\n", encoding="utf-8")
    made = run("build-migration", str(accounts), "--out", str(out), "--master-key", str(key))
    assert (made["count"], made["directory"]) == (3, str(out))
    options = ("--migration", str(out), "--master-key", str(key), "--out", str(tmp_path / "bob.json"))
    shown = run("claim-package", "bob", *options)
    package = json.loads((tmp_path / "bob.json").read_text(encoding="utf-8"))
    assert shown == {"account": f"0x{package['account']}", "index": 1, "file": str(tmp_path / "bob.json")}
    assert made["root"] == f"0x{package['root']}"
    path = tuple(bytes.fromhex(each) for each in package["proof"]["path"])
    leaf_hash = compute_leaf_hash(bytes.fromhex(package["account"] + package["claim_key"]))
    assert is_proof_valid(ListProof(1, 3, path), leaf_hash, bytes.fromhex(package["root"]))
    again = CliRunner().invoke(cli, ["platform", "claim-package", "bob", *options])
    assert again.exit_code == 2


@dataclass
class Shop:
    """A platform, whose key is dev2, and Ann, whose key is dev1."""

    node: DidNode
    shop: str
    ann: str
    directory: Path
    master_key: Path

    def write_package(self, name: str) -> Path:
        """What Ann gets of the list."""
        package = self.directory.parent / f"{name}.json"
        options = ("--migration", str(self.directory), "--master-key", str(self.master_key), "--out", str(package))
        run("claim-package", name, *options)
        return package

    async def post(self) -> None:
        """A list of three accounts is there to be claimed."""
        accounts = self.directory.parent / "accounts.csv"
        accounts.write_text("account\nann\nbob\ncid\n", encoding="utf-8")
        run("build-migration", str(accounts), "--out", str(self.directory), "--master-key", str(self.master_key))
        await self.node.change(
            *("platform", "post-migration", self.shop, "--migration", str(self.directory), "--heights", "90"),
            *("--by", "dev2"),
        )

    def list_accounts(self) -> list[PersonAccount]:
        """Ann's."""
        return list_accounts(self.node.state, self.node.parse(self.ann))


@pytest.fixture
async def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        node = DidNode(scene)
        platform = await node.create("--kind", "organisation", "--key", "dev2")
        put_recognised(node.state, Recognition.PLATFORM, node.parse(platform))
        ann = await node.create("--key", "dev1")
        yield Shop(node, platform, ann, tmp_path / "migration", tmp_path / "master.key")


async def test_an_account_is_claimed_with_its_package_alone(shop: Shop) -> None:
    await shop.post()
    package = shop.write_package("ann")
    sent = await shop.node.change("platform", "claim", str(package), "--as", shop.ann, "--by", "dev1")
    assert (sent["did"], sent["account"]) == (shop.shop, "ann")
    account = bytes.fromhex(json.loads(package.read_text())["account"])
    assert shop.list_accounts() == [PersonAccount(shop.node.parse(shop.shop), account)]
    shown = await shop.node.run_json("platform", "show", shop.shop, "--migration", str(shop.directory))
    assert (shown["isPlatform"], shown["accounts"], shown["count"], shown["claimed"]) == (True, [], 3, 1)
    shown = await shop.node.run_json("platform", "show", shop.ann)
    assert (shown["isPlatform"], shown["accounts"]) == (
        False,
        [{"platform": shop.shop, "account": "0x" + account.hex()}],
    )


async def test_a_claim_is_signed_by_a_phone_elsewhere(shop: Shop, tmp_path: Path) -> None:
    await shop.post()
    payload, signature = tmp_path / "claim.json", tmp_path / "phone.json"
    words = ("platform", "claim", str(shop.write_package("ann")), "--as", shop.ann, "--from", "dev0")
    await shop.node.run_json(*words, "--payload-out", str(payload))
    await shop.node.run_json("did", "sign", str(payload), "--key", "dev1", "--out", str(signature), "--yes")
    await shop.node.change("did", "send", str(payload), "--signature", str(signature))
    assert len(shop.list_accounts()) == 1


async def test_a_package_that_is_none_or_was_changed_or_comes_too_early(shop: Shop, tmp_path: Path) -> None:
    await shop.post()
    package = shop.write_package("ann")
    record = json.loads(package.read_text())
    changed = tmp_path / "changed.json"
    other_list = {"root": "00" * 32}
    endless = {"proof": {**record["proof"], "size": -5}}
    for change, advice in (
        (other_list, "was changed"),
        ({"name": "bob"}, "was changed"),
        (endless, "is not a package"),
        ({"secrets": {}}, "is not a package"),
    ):
        changed.write_text(json.dumps(record | change))
        result = await shop.node.run(
            "platform", "claim", str(changed), "--as", shop.ann, "--by", "dev1", "--from", "dev0"
        )
        assert (result.exit_code, advice in result.stderr) == (ExitCode.WRONG_USE, True), result.stderr


async def test_a_list_that_nobody_has_posted(shop: Shop, tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("account\nann\n", encoding="utf-8")
    run("build-migration", str(accounts), "--out", str(shop.directory), "--master-key", str(shop.master_key))
    package = shop.write_package("ann")
    result = await shop.node.run("platform", "claim", str(package), "--as", shop.ann, "--by", "dev1", "--from", "dev0")
    assert (result.exit_code, "has posted this list" in result.stderr) == (ExitCode.FAILED, True)


async def test_an_account_is_bound_and_given_up_by_either(shop: Shop) -> None:
    words = ("platform", "bind", shop.shop, shop.ann, "ann@example.com", "--master-key", str(shop.master_key))
    sent = await shop.node.change(*words, "--by", "dev2", "--by", f"{shop.ann}=dev1")
    account = compute_account_hash("ann@example.com", bytes.fromhex(sent["salt"][2:]))
    assert sent["account"] == "0x" + account.hex()
    assert shop.list_accounts() == [PersonAccount(shop.node.parse(shop.shop), account)]
    await shop.node.change("platform", "unbind", shop.shop, shop.ann, "--by", "dev1")
    assert shop.list_accounts() == []
    await shop.node.change(*words, "--by", "dev2", "--by", f"{shop.ann}=dev1")
    await shop.node.change("platform", "unbind", shop.shop, shop.ann, "--as-platform", "--by", "dev2")
    assert shop.list_accounts() == []


async def test_a_name_that_is_none(shop: Shop) -> None:
    words = ("platform", "bind", shop.shop, shop.ann, "", "--master-key", str(shop.master_key), "--from", "dev0")
    result = await shop.node.run(*words, "--by", "dev2")
    assert (result.exit_code, "256 bytes" in result.stderr) == (ExitCode.WRONG_USE, True)
