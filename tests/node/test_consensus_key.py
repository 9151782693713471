"""Where a node finds its consensus key, and what it says when it cannot."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from identity.keys import KeyType
from ledger.primitives import BlockHash, ChainId, ConsensusKey, Signature
from node.config import NodeConfig
from node.consensus_key import build_sign_hello, find_token, open_consensus_signer
from node.errors import ConfigurationError
from node.home import Home
from node.key_files import CONSENSUS_KEY_FILE, create_key_file
from node.pkcs11_token import Token, TokenPlace
from node.remote_signer import RemoteSigner
from node.signer import ConsensusSigner, LocalSigner, SignedSubject, SignerUnavailableError
from node.token_signer import TokenSigner
from p2p.certificate import build_certificate, compact_certificate, join_compact
from p2p.hello import SessionCertificates, SigningUnavailableError
from tests.builders import make_key
from tests.softhsm import SoftHsm

KEY = make_key("consensus")
REMOTE = NodeConfig(
    signer_kind="remote",
    signer_address="127.0.0.1:1",
    signer_certificate=join_compact(*compact_certificate(build_certificate(make_key("signer").secret))).hex(),
    signer_public_key="0x" + KEY.public_key.key.hex(),
)


def open_signer(directory: Path, config: NodeConfig, pin: str | None = None) -> ConsensusSigner | None:
    with ExitStack() as stack:
        return open_consensus_signer(
            Home(directory), config, make_key("node").secret, ChainId("chain"), BlockHash(bytes(32)), pin, stack
        )


def test_a_key_in_a_file_is_used_where_there_is_one(tmp_path: Path) -> None:
    assert open_signer(tmp_path, NodeConfig()) is None
    create_key_file(tmp_path / "keys" / CONSENSUS_KEY_FILE, KEY)
    signer = open_signer(tmp_path, NodeConfig())
    assert isinstance(signer, LocalSigner)
    assert signer.public_key == KEY.public_key.key


def test_a_remote_signer_is_not_needed_to_start(tmp_path: Path) -> None:
    signer = open_signer(tmp_path, REMOTE)
    assert isinstance(signer, RemoteSigner)
    assert signer.public_key == KEY.public_key.key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signer_address", ""),
        ("signer_certificate", ""),
        ("signer_certificate", "ab" * 96),
        ("signer_public_key", ""),
        ("signer_public_key", "00" * 32),
    ],
)
def test_what_is_missing_or_wrong_for_a_remote_signer_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        open_signer(tmp_path, replace(REMOTE, **{name: value}))


def test_a_key_in_a_token_is_opened(tmp_path: Path, softhsm: SoftHsm) -> None:
    place = softhsm.make_token()
    with Token(place, is_writable=True) as token:
        made = token.generate("consensus", KeyType.ED25519)
        token.generate("other", KeyType.SECP256K1)
    config = NodeConfig(signer_kind="pkcs11", pkcs11_module=str(place.module), pkcs11_token=place.label)
    signer = open_signer(tmp_path, config, place.pin)
    assert isinstance(signer, TokenSigner)
    assert signer.public_key == made.public_key.key
    with pytest.raises(ConfigurationError, match="refuses the PIN"):
        open_signer(tmp_path, config, "0000000")
    with pytest.raises(ConfigurationError, match="SECP256K1"):
        open_signer(tmp_path, replace(config, pkcs11_key="other"), place.pin)
    with pytest.raises(ConfigurationError, match=r"PIN of .* is missing"):
        open_signer(tmp_path, config)
    with pytest.raises(ConfigurationError, match="pkcs11_token"):
        open_signer(tmp_path, replace(config, pkcs11_token=""), place.pin)


def test_the_pin_comes_from_a_private_file_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text("1111\n")
    file.chmod(0o600)
    assert find_token("/m.so", "t", str(file), "2222") == TokenPlace(Path("/m.so"), "t", "1111")
    assert find_token("/m.so", "t", "", "2222") == TokenPlace(Path("/m.so"), "t", "2222")
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        find_token("/m.so", "t", str(file), None)


async def test_the_transport_is_told_of_an_absent_key_in_its_own_words() -> None:
    class Absent:
        public_key = ConsensusKey(KEY.public_key.key)

        async def sign(self, subject: SignedSubject, message: bytes) -> Signature:
            raise SignerUnavailableError("gone")

    with pytest.raises(SigningUnavailableError, match="gone"):
        await build_sign_hello(Absent())(SessionCertificates(bytes(32), bytes(32)), b"")
