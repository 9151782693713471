"""Registering and exchanging a consensus key that is in no file of the node: in a token, or at a signer."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genesis.presets import list_development_accounts
from identity.address import NetworkKind, compute_key_address, format_address
from identity.keys import KeyType, PublicKey, verify_signature
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import pack
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.config import NodeConfig, SignerConfig, format_config
from node.key_files import CONSENSUS_KEY_FILE, NODE_KEY_FILE, create_key_file, generate_key, load_ed25519_key_file
from node.pkcs11_token import Token
from node.safety_file import initialise_safety_directory
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import CHAIN_ID, DOMAIN, GENESIS_HASH
from tests.softhsm import SoftHsm
from vm.native.network_calls import RegisterNode, RotateConsensus

OPERATOR = compute_key_address(list_development_accounts()[0].key.public_key)
OPERATOR_TEXT = format_address(OPERATOR, NetworkKind.DEVNET)


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        yield scene


def make_home(path: Path, *words: str) -> Path:
    made = CliRunner().invoke(cli, ["init", "--home", str(path), "--address", "127.0.0.1:9000", *words])
    assert made.exit_code == 0, made.output
    return path


def make_signer(path: Path) -> Path:
    """A signer for the chain that the scene's node pretends to be."""
    config = SignerConfig(signer_nodes=("ab" * 96,), chain_id=CHAIN_ID, chain_genesis_hash=GENESIS_HASH.hex())
    create_key_file(path / "keys" / CONSENSUS_KEY_FILE, generate_key())
    initialise_safety_directory(path / "safety")
    (path / "config.toml").write_text(format_config(config))
    return path


def configure(home: Path, **settings: Any) -> None:
    (home / "config.toml").write_text(format_config(replace(NodeConfig(), **settings)))


def load(home: Path, name: str) -> bytes:
    return load_ed25519_key_file(home / "keys" / name).public_key.key


async def ask_signer(*words: str) -> dict[str, str]:
    """In a thread: the command has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["signer", *words, "--output", "json"])
    assert result.exit_code == 0, result.output
    answer: dict[str, str] = json.loads(result.stdout)
    return answer


def is_signed(key: bytes, purpose: SigningPurpose, value: list[bytes], signature: bytes) -> bool:
    return verify_signature(PublicKey(KeyType.ED25519, key), signing_bytes(purpose, DOMAIN, pack(value)), signature)


def test_a_node_whose_key_is_elsewhere_is_made_without_one(tmp_path: Path) -> None:
    key = generate_key().public_key.key
    home = make_home(tmp_path / "home", "--consensus-key", "0x" + key.hex())
    assert json.loads((home / "genesis-node.json").read_text())["consensus_key"] == "0x" + key.hex()
    assert not (home / "keys" / CONSENSUS_KEY_FILE).exists()
    assert (home / "safety" / "initialised").exists()
    for bad in ("zz" * 32, "00" * 32, "ab"):
        refused = CliRunner().invoke(cli, ["init", "--home", str(tmp_path / "bad"), "--consensus-key", bad])
        assert refused.exit_code == ExitCode.WRONG_USE
        assert not (tmp_path / "bad").exists()


async def test_a_key_in_a_token_registers_its_node(
    scene: CliScene, tmp_path: Path, softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = softhsm.make_token()
    with Token(place, is_writable=True) as token:
        key = token.generate("consensus", KeyType.ED25519).public_key.key
    home = make_home(tmp_path / "home", "--consensus-key", key.hex())
    configure(home, signer_kind="pkcs11", pkcs11_module=str(place.module), pkcs11_token=place.label)
    assert place.pin is not None
    monkeypatch.setenv("CARLIVE_PKCS11_PIN", place.pin)
    signed = await scene.sign("operator", "register", "--home", str(home))
    assert isinstance(signed, RegisterNode)
    assert signed.consensus_key == key
    assert signed.consensus_signature is not None
    named = [OPERATOR, load(home, NODE_KEY_FILE)]
    assert is_signed(key, SigningPurpose.CONSENSUS_KEY_POSSESSION, named, signed.consensus_signature)


async def test_a_key_at_a_signer_registers_its_node_with_what_the_signer_gave(scene: CliScene, tmp_path: Path) -> None:
    signer = make_signer(tmp_path / "signer")
    key = load(signer, CONSENSUS_KEY_FILE)
    home = make_home(tmp_path / "home", "--consensus-key", key.hex())
    configure(home, signer_kind="remote", signer_public_key=key.hex())
    node_key = load(home, NODE_KEY_FILE)
    words = ["sign-possession", "--home", str(signer), "--operator", OPERATOR_TEXT, "--node-key"]
    given = await ask_signer(*words, node_key.hex())
    assert given["consensusKey"] == "0x" + key.hex()
    register = ["operator", "register", "--home", str(home)]
    signed = await scene.sign(*register, "--possession", given["signature"])
    assert isinstance(signed, RegisterNode)
    assert (signed.consensus_key, signed.consensus_signature) == (key, bytes.fromhex(given["signature"][2:]))
    assert is_signed(
        key, SigningPurpose.CONSENSUS_KEY_POSSESSION, [OPERATOR, node_key], signed.consensus_signature or b""
    )

    count = len(scene.list_signed())
    for more in ([], ["--possession", (await ask_signer(*words, "ab" * 32))["signature"]]):
        refused = await scene.run(*register, *more, "--from", "dev0", "--yes")
        assert refused.exit_code == ExitCode.WRONG_USE
    assert len(scene.list_signed()) == count


async def test_a_key_in_a_file_is_exchanged_for_one_at_a_signer(scene: CliScene, tmp_path: Path) -> None:
    home, signer = make_home(tmp_path / "home"), make_signer(tmp_path / "signer")
    old, new = load(home, CONSENSUS_KEY_FILE), load(signer, CONSENSUS_KEY_FILE)
    given = await ask_signer(
        *("sign-rotation", "--home", str(signer), "--operator", OPERATOR_TEXT, "--old", old.hex(), "--new", new.hex())
    )
    words = ["operator", "rotate-consensus", "--home", str(home), "--new-key", new.hex()]
    signed = await scene.sign(*words, "--new-signature", given["signature"])
    assert isinstance(signed, RotateConsensus)
    assert (signed.key, signed.consensus_key) == (load(home, NODE_KEY_FILE), new)
    for key, signature in ((old, signed.old_signature), (new, signed.new_signature)):
        assert is_signed(key, SigningPurpose.CONSENSUS_KEY_ROTATION, [OPERATOR, old, new], signature)
    assert load(home, CONSENSUS_KEY_FILE) == old
    refused = await scene.run(*words, "--from", "dev0", "--yes")
    assert "together" in refused.stderr


async def test_a_key_at_a_signer_is_exchanged_for_another(scene: CliScene, tmp_path: Path) -> None:
    first, second = make_signer(tmp_path / "first"), make_signer(tmp_path / "second")
    old, new = load(first, CONSENSUS_KEY_FILE), load(second, CONSENSUS_KEY_FILE)
    home = make_home(tmp_path / "home", "--consensus-key", old.hex())
    configure(home, signer_kind="remote", signer_public_key=old.hex())
    signatures = [
        (
            await ask_signer(
                *("sign-rotation", "--home", str(each), "--operator", OPERATOR_TEXT),
                *("--old", old.hex(), "--new", new.hex()),
            )
        )["signature"]
        for each in (first, second)
    ]
    words = ["operator", "rotate-consensus", "--home", str(home), "--new-key", new.hex()]
    signed = await scene.sign(*words, "--old-signature", signatures[0], "--new-signature", signatures[1])
    assert isinstance(signed, RotateConsensus)
    assert [signed.old_signature, signed.new_signature] == [bytes.fromhex(each[2:]) for each in signatures]
