"""`carlive platform`: a list is built, and a user's package comes out of it."""

import json
from pathlib import Path

from click.testing import CliRunner

from ledger.merkle import ListProof, compute_leaf_hash, is_proof_valid
from node.cli.main import cli


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
