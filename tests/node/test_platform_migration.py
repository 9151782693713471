"""Lists of accounts to be claimed: the same tree as in memory, resumed, and refused for wrong input."""

import json
from pathlib import Path

import pytest

from identity.platform_account import (
    compute_account_hash,
    derive_account_secrets,
    encode_claim_leaf,
    get_claim_private_key,
)
from ledger.merkle import build_proof, compute_leaf_hash, compute_root
from node import platform_migration
from node.errors import ConfigurationError
from node.platform_migration import (
    ClaimPackage,
    MigrationTree,
    build_claim_package,
    build_migration,
    format_claim_package,
    load_master_key,
    load_migration,
    load_or_create_master_key,
)
from tests.platform_scene import MASTER, NAMES, PlatformScene


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform_migration, "LEAVES_PER_CHUNK", 4)


def list_names(count: int) -> list[str]:
    return [f"user-{number:04}" for number in range(count)]


def write_accounts(directory: Path, names: list[str]) -> Path:
    path = directory / "accounts.csv"
    path.write_text("".join(["account,since\n", *[f"{name},2019\n" for name in names]]), encoding="utf-8")
    return path


def compute_leaf_hashes(names: list[str]) -> list[bytes]:
    secrets = [derive_account_secrets(MASTER, name) for name in names]
    return [
        compute_leaf_hash(
            encode_claim_leaf(compute_account_hash(name, each.salt), get_claim_private_key(each).public_key.key)
        )
        for name, each in zip(names, secrets, strict=True)
    ]


def build(directory: Path, accounts: Path, reports: list[tuple[int, int]] | None = None) -> MigrationTree:
    seen = [] if reports is None else reports
    return build_migration(accounts, directory, MASTER, lambda done, count: seen.append((done, count)))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 17, 31])
def test_tree_and_proofs_are_those_of_the_list_in_memory(tmp_path, count):
    names = list_names(count)
    tree = build(tmp_path / "out", write_accounts(tmp_path, names))
    hashes = compute_leaf_hashes(names)
    assert tree == load_migration(tmp_path / "out") == MigrationTree(compute_root(hashes), count)
    for index, name in enumerate(names):
        package = build_claim_package(tmp_path / "out", MASTER, name)
        secrets = derive_account_secrets(MASTER, name)
        assert package == ClaimPackage(
            name,
            secrets,
            compute_account_hash(name, secrets.salt),
            get_claim_private_key(secrets).public_key.key,
            tree.root,
            build_proof(hashes, index),
        )


def test_the_chain_takes_the_claims_of_a_list(tmp_path):
    """Root and proofs are what `platforms.claim` checks."""
    scene = PlatformScene()
    tree = build(tmp_path / "out", write_accounts(tmp_path, list(NAMES)))
    scene.accept(scene.post(root=tree.root, count=tree.count))
    package = build_claim_package(tmp_path / "out", MASTER, "e")
    scene.accept(scene.claim(4, root=package.root, proof=package.proof))
    assert scene.answer("person", scene.shop, package.account) == scene.alice


class InterruptedBuildError(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize("stop", [0, 4, 8, 12, 16])
@pytest.mark.parametrize("torn_bytes", [0, 7])
def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path, stop, torn_bytes):
    names = list_names(18)
    accounts, directory = write_accounts(tmp_path, names), tmp_path / "out"

    def interrupt(done: int, _: int) -> None:
        if done == stop:
            raise InterruptedBuildError

    with pytest.raises(InterruptedBuildError):
        build_migration(accounts, directory, MASTER, interrupt)
    with pytest.raises(ConfigurationError, match="no complete migration"):
        load_migration(directory)
    with (directory / "level-00").open("ab") as file:
        file.write(bytes(torn_bytes))
    reports: list[tuple[int, int]] = []
    tree = build(directory, accounts, reports)
    assert tree == MigrationTree(compute_root(compute_leaf_hashes(names)), 18)
    first = max(0, stop - 4)
    assert reports == [(done, 18) for done in [*range(first, 18, 4), 18]]


def test_a_complete_list_is_left_as_it_is(tmp_path):
    accounts = write_accounts(tmp_path, list_names(5))
    tree = build(tmp_path / "out", accounts)
    reports: list[tuple[int, int]] = []
    assert build(tmp_path / "out", accounts, reports) == tree
    assert reports == []


def test_a_directory_is_of_one_input_and_master_key(tmp_path):
    accounts = write_accounts(tmp_path, list_names(5))
    build(tmp_path / "out", accounts)
    with pytest.raises(ConfigurationError, match="another input or master key"):
        build_migration(accounts, tmp_path / "out", bytes(32), lambda _done, _count: None)
    with pytest.raises(ConfigurationError, match="another input or master key"):
        build(tmp_path / "out", write_accounts(tmp_path, list_names(6)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name\nx\n", "no column 'account'"),
        (b"", "no column 'account'"),
        (b"account\n", "has no accounts"),
        (b"account\nb\na\n", "account 2 of .* not in order"),
        (b"account\na\na\n", "account 2 of .* stands twice"),
        (b"account,x\na,1\n,2\n", "account 2 of .* 1 to 256 bytes"),
        (b"account\n\xff\n", "no CSV in UTF-8"),
        (b'account\n"a\n', "no CSV in UTF-8"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_written(tmp_path, content, message):
    accounts = tmp_path / "accounts.csv"
    accounts.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        build(tmp_path / "out", accounts)
    assert not (tmp_path / "out").exists()


def test_input_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        build(tmp_path / "out", tmp_path / "accounts.csv")


def test_only_accounts_of_the_list_have_packages(tmp_path):
    build(tmp_path / "out", write_accounts(tmp_path, list_names(5)))
    for master_key, name in ((MASTER, "stranger"), (bytes(32), "user-0000")):
        with pytest.raises(ConfigurationError, match="not in this migration"):
            build_claim_package(tmp_path / "out", master_key, name)
    with pytest.raises(ConfigurationError, match="1 to 256 bytes"):
        build_claim_package(tmp_path / "out", MASTER, "")


def test_a_package_is_json_in_hexadecimal(tmp_path):
    build(tmp_path / "out", write_accounts(tmp_path, list_names(2)))
    package = build_claim_package(tmp_path / "out", MASTER, "user-0001")
    assert json.loads(format_claim_package(package)) == {
        "name": "user-0001",
        "secrets": {"salt": package.secrets.salt.hex(), "claim_seed": package.secrets.claim_seed.hex()},
        "account": package.account.hex(),
        "claim_key": package.claim_key.hex(),
        "root": package.root.hex(),
        "proof": {"index": 1, "size": 2, "path": [each.hex() for each in package.proof.path]},
    }


def test_a_master_key_is_made_once_and_private(tmp_path):
    path = tmp_path / "master.key"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_master_key(path)
    master_key = load_or_create_master_key(path)
    assert load_or_create_master_key(path) == load_master_key(path) == master_key
    assert (len(master_key), path.stat().st_mode & 0o777) == (32, 0o600)
    path.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="no master key"):
        load_master_key(path)
