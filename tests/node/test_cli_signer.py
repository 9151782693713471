"""`carlive signer`: making one, moving a key into it, and what it refuses."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consensus.messages import Vote, VoteKind, get_vote_message
from consensus.safety import SafetyState, SignStep, decode_safety, encode_safety
from genesis.build import compute_genesis_hash
from genesis.document import GenesisDocument, GenesisNode, format_genesis
from genesis.presets import build_preset
from identity.address import NetworkKind
from identity.keys import KeyType
from identity.signing import compute_signing_domain
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Height, Round, Signature
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.config import SignerConfig, load_signer_config
from node.key_files import CONSENSUS_KEY_FILE, NODE_KEY_FILE, load_ed25519_key_file
from node.pkcs11_token import Token
from node.remote_signer import RemoteSigner
from node.safety_file import STATE_FILE, SafetyFile
from p2p.addresses import parse_peer_address
from p2p.certificate import CompactCertificate, build_certificate, compact_certificate, join_compact
from tests.builders import make_key
from tests.network.homes import HOST, find_free_ports
from tests.softhsm import SoftHsm

CHAIN_ID = "carlive-signer-test"
GENESIS_MS = 1_700_000_000_000


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["signer", *arguments])


def run_json(*arguments: str) -> Any:
    result = run(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node's home with a genesis file."""
    home = tmp_path / "node"
    result = CliRunner().invoke(cli, ["init", "--home", str(home), "--address", "127.0.0.1:9"])
    assert result.exit_code == 0, result.output
    (home / "genesis.json").write_bytes(format_genesis(build_genesis(home)))
    return home


def build_genesis(home: Path) -> GenesisDocument:
    entry = GenesisNode.model_validate_json((home / "genesis-node.json").read_bytes())
    return build_preset(NetworkKind.DEVNET, CHAIN_ID, GENESIS_MS, [entry], {})


def init_words(node: Path, home: Path) -> list[str]:
    return [
        *("init", "--home", str(home), "--genesis", str(node / "genesis.json")),
        *("--node", str(node / "genesis-node.json"), "--listen", "127.0.0.1:18648"),
    ]


def certify(path: Path) -> str:
    return join_compact(*compact_certificate(build_certificate(load_ed25519_key_file(path).secret))).hex()


def load_safety(home: Path) -> bytes | None:
    with SafetyFile(home / "safety") as safety_file:
        return safety_file.load()


def test_a_new_signer_has_a_key_a_certificate_and_the_node_that_may_ask(node: Path, tmp_path: Path) -> None:
    home = tmp_path / "signer"
    shown = run_json(*init_words(node, home))
    genesis_hash = compute_genesis_hash(build_genesis(node)).hex()
    assert load_signer_config(home / "config.toml", {}, {}) == SignerConfig(
        signer_listen="127.0.0.1:18648",
        signer_nodes=(certify(node / "keys" / NODE_KEY_FILE),),
        chain_id=CHAIN_ID,
        chain_genesis_hash=genesis_hash,
    )
    key = load_ed25519_key_file(home / "keys" / CONSENSUS_KEY_FILE).public_key.key
    expected = {
        "home": str(home),
        "chainId": CHAIN_ID,
        "genesisHash": "0x" + genesis_hash,
        "consensusKey": "0x" + key.hex(),
        "certificate": certify(home / "keys" / "signer.key"),
        "listen": "127.0.0.1:18648",
        "signedHeight": 0,
    }
    assert shown == expected == run_json("show", "--home", str(home))
    assert load_safety(home) is None


def test_a_key_moves_with_what_it_has_signed(node: Path, tmp_path: Path) -> None:
    home = tmp_path / "signer"
    key = load_ed25519_key_file(node / "keys" / CONSENSUS_KEY_FILE)
    signed = encode_safety(SafetyState(Height(77), Round(1), SignStep.PREVOTE, -1, None, None, None, None))
    with SafetyFile(node / "safety") as safety_file:
        safety_file.save(signed)
    assert run_json(*init_words(node, home), "--take-from", str(node))["signedHeight"] == 77
    assert load_ed25519_key_file(home / "keys" / CONSENSUS_KEY_FILE) == key
    assert not (node / "keys" / CONSENSUS_KEY_FILE).exists()
    assert load_safety(home) == load_safety(node) == signed


def test_the_key_of_a_running_node_is_not_taken(node: Path, tmp_path: Path) -> None:
    with SafetyFile(node / "safety"):
        result = run(*init_words(node, tmp_path / "signer"), "--take-from", str(node))
    assert result.exit_code == ExitCode.WRONG_USE
    assert "in use by another process" in result.stderr
    assert (node / "keys" / CONSENSUS_KEY_FILE).exists()
    assert not (tmp_path / "signer" / "keys" / CONSENSUS_KEY_FILE).exists()


def test_a_directory_that_holds_something_is_left_alone(node: Path, tmp_path: Path) -> None:
    assert run(*init_words(node, tmp_path / "signer")).exit_code == 0
    result = run(*init_words(node, tmp_path / "signer"))
    assert result.exit_code == ExitCode.WRONG_USE
    assert "is not empty" in result.stderr


@pytest.mark.parametrize(("text", "word"), [("ab" * 96, "not a point"), ("abcd", "96 bytes"), ("nowhere", "neither")])
def test_a_node_that_is_none_is_refused(node: Path, tmp_path: Path, text: str, word: str) -> None:
    result = run(*init_words(node, tmp_path / "signer"), "--node", text)
    assert result.exit_code == ExitCode.WRONG_USE
    assert word in result.stderr


def test_a_sound_safety_directory_is_not_replaced(node: Path, tmp_path: Path) -> None:
    home = tmp_path / "signer"
    assert run(*init_words(node, home)).exit_code == 0
    result = run("replace-safety", "--home", str(home), "--signed-up-to", "9", "--yes")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "sound" in result.stderr
    with SafetyFile(home / "safety"):
        assert "in use" in run("replace-safety", "--home", str(home), "--signed-up-to", "9", "--yes").stderr


@pytest.mark.parametrize("is_wholly_lost", [False, True])
def test_a_lost_safety_directory_is_replaced_by_one_that_has_signed_up_to_a_height(
    node: Path, tmp_path: Path, is_wholly_lost: bool
) -> None:
    home = tmp_path / "signer"
    assert run(*init_words(node, home)).exit_code == 0
    if is_wholly_lost:
        (home / "safety").rename(tmp_path / "elsewhere")
    else:
        (home / "safety" / STATE_FILE).unlink()
    assert run_json("replace-safety", "--home", str(home), "--signed-up-to", "500", "--yes")["signedHeight"] == 500
    encoded = load_safety(home)
    assert encoded is not None
    state = decode_safety(encoded)
    assert (state.height, state.round, state.step) == (500, 2**31 - 1, SignStep.PRECOMMIT)
    assert (home / "safety.lost").exists() is not is_wholly_lost


def test_replacing_needs_a_yes(node: Path, tmp_path: Path) -> None:
    home = tmp_path / "signer"
    assert run(*init_words(node, home)).exit_code == 0
    (home / "safety" / STATE_FILE).unlink()
    assert run("replace-safety", "--home", str(home), "--signed-up-to", "500").exit_code != 0
    assert not (home / "safety" / STATE_FILE).exists()


def test_a_signer_without_its_safety_state_does_not_start(node: Path, tmp_path: Path) -> None:
    home = tmp_path / "signer"
    assert run(*init_words(node, home)).exit_code == 0
    (home / "safety" / STATE_FILE).unlink()
    result = subprocess.run(
        [sys.executable, "-m", "node.cli.main", "signer", "start", "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == ExitCode.WRONG_USE
    assert "signing without it could sign twice" in result.stderr


async def test_a_signer_process_signs_with_a_key_in_a_token(
    node: Path, tmp_path: Path, softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, home = softhsm.make_token(), tmp_path / "signer"
    with Token(place, is_writable=True) as token:
        key = ConsensusKey(token.generate("consensus", KeyType.ED25519).public_key.key)
    shown = run_json(*init_words(node, home), "--pkcs11-module", str(place.module), "--pkcs11-token", place.label)
    assert shown["consensusKey"] == "0x" + key.hex()
    assert not (home / "keys" / CONSENSUS_KEY_FILE).exists()
    assert place.pin is not None
    monkeypatch.setenv("CARLIVE_PKCS11_PIN", place.pin)
    address = f"{HOST}:{find_free_ports(1)[0]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", "signer", "start", "--home", str(home), "--listen", address],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert '"running"' in await asyncio.to_thread(process.stderr.readline)
        genesis_hash = BlockHash(bytes.fromhex(shown["genesisHash"].removeprefix("0x")))
        remote = RemoteSigner(
            parse_peer_address(address),
            CompactCertificate(bytes.fromhex(shown["certificate"])),
            load_ed25519_key_file(node / "keys" / NODE_KEY_FILE).secret,
            key,
            ChainId(CHAIN_ID),
            genesis_hash,
        )
        vote = Vote(VoteKind.PREVOTE, Height(1), Round(0), None, 0, Signature(b""))
        domain = compute_signing_domain(CHAIN_ID, genesis_hash)
        assert len(await remote.sign(vote, get_vote_message(domain, vote))) == 64
        remote.close()
    finally:
        process.terminate()
        _, rest = process.communicate(timeout=15)
    assert process.returncode == 0
    assert place.pin not in rest


def test_further_nodes_may_be_named_by_their_certificates(node: Path, tmp_path: Path) -> None:
    stranger = join_compact(*compact_certificate(build_certificate(make_key("standby").secret))).hex()
    home = tmp_path / "signer"
    assert run(*init_words(node, home), "--node", "0x" + stranger).exit_code == 0
    nodes = load_signer_config(home / "config.toml", {}, {}).signer_nodes
    assert nodes == (certify(node / "keys" / NODE_KEY_FILE), stranger)
