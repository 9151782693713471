"""Opens the consensus key where the settings say it is. The binding for tokens is imported only when one is used."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key
from ledger.primitives import BlockHash, ChainId, ConsensusKey
from node.config import NodeConfig, SignerConfig, parse_hex_setting
from node.errors import ConfigurationError
from node.home import Home
from node.key_files import CONSENSUS_KEY_FILE, PIN_VARIABLE, KeyFileError, load_ed25519_key_file, read_password
from node.remote_signer import RemoteSigner
from node.signer import ConsensusSigner, LocalSigner, SignerUnavailableError
from p2p.addresses import parse_peer_address
from p2p.certificate import CompactCertificate, InvalidCertificateError
from p2p.hello import SessionCertificates, SignHello, SigningUnavailableError

if TYPE_CHECKING:
    from node.pkcs11_token import TokenPlace
    from node.token_signer import TokenSigner


def open_consensus_signer(
    home: Home,
    config: NodeConfig,
    node_secret: bytes,
    chain_id: ChainId,
    genesis_hash: BlockHash,
    pin: str | None,
    stack: ExitStack,
) -> ConsensusSigner | None:
    """The signer of a node, None for an observer; `pin` is the environment's. Raises ConfigurationError."""
    if config.signer_kind == "pkcs11":
        token_signer = open_token_signer(config, pin)
        stack.callback(token_signer.close)
        return token_signer
    if config.signer_kind == "remote":
        remote = _open_remote(config, node_secret, chain_id, genesis_hash)
        stack.callback(remote.close)
        return remote
    return load_local_signer(home) if (home.keys / CONSENSUS_KEY_FILE).exists() else None


def load_local_signer(home: Home) -> LocalSigner:
    """The key in keys/consensus.key; raises ConfigurationError."""
    try:
        return LocalSigner(load_ed25519_key_file(home.keys / CONSENSUS_KEY_FILE))
    except KeyFileError as error:
        raise ConfigurationError(str(error)) from None


def open_token_signer(config: NodeConfig | SignerConfig, pin: str | None) -> "TokenSigner":
    """The key in a token; raises ConfigurationError."""
    from node.pkcs11_token import TokenError
    from node.token_signer import TokenSigner

    _require(config, "pkcs11_module", "pkcs11_token", "pkcs11_key")
    place = find_token(config.pkcs11_module, config.pkcs11_token, config.pkcs11_pin_file, pin)
    try:
        return TokenSigner(place, config.pkcs11_key)
    except TokenError as error:
        raise ConfigurationError(str(error)) from None


def find_token(module: str, label: str, pin_file: str, pin: str | None) -> "TokenPlace":
    """Where a token is, with its PIN from the file, else the environment's; raises ConfigurationError."""
    from node.pkcs11_token import TokenPlace

    try:
        found = read_password(Path(pin_file) if pin_file else None, pin)
    except KeyFileError as error:
        raise ConfigurationError(str(error)) from None
    if found is None:
        raise ConfigurationError(
            f"the PIN of {label} is missing: name its file in pkcs11_pin_file, or set {PIN_VARIABLE}"
        )
    return TokenPlace(Path(module), label, found)


def build_sign_hello(signer: ConsensusSigner) -> SignHello:
    """How the transport has greetings signed; it knows one failure only."""

    async def sign_hello(certificates: SessionCertificates, message: bytes) -> bytes:
        try:
            return await signer.sign(certificates, message)
        except SignerUnavailableError as error:
            raise SigningUnavailableError(str(error)) from None

    return sign_hello


def _open_remote(config: NodeConfig, node_secret: bytes, chain_id: ChainId, genesis_hash: BlockHash) -> RemoteSigner:
    _require(config, "signer_address", "signer_certificate", "signer_public_key")
    key = ConsensusKey(parse_hex_setting(config.signer_public_key))
    try:
        check_public_key(PublicKey(KeyType.ED25519, key))
        return RemoteSigner(
            parse_peer_address(config.signer_address),
            CompactCertificate(parse_hex_setting(config.signer_certificate)),
            node_secret,
            key,
            chain_id,
            genesis_hash,
        )
    except InvalidKeyError as error:
        raise ConfigurationError(f"signer_public_key: {error}") from None
    except InvalidCertificateError as error:
        raise ConfigurationError(f"signer_certificate: {error}") from None


def _require(config: NodeConfig | SignerConfig, *names: str) -> None:
    for name in names:
        if not getattr(config, name):
            raise ConfigurationError(f'{name} is missing: signer_kind = "{config.signer_kind}" needs it')
