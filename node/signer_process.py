"""The composition root of a signer: opens key and safety state, and serves until it is told to stop."""

import asyncio
import os
from contextlib import ExitStack, suppress
from typing import Final

from consensus.safety import NOTHING_SIGNED, SafetyState, decode_safety
from identity.signing import compute_signing_domain
from ledger.codec import DecodeError
from ledger.primitives import BlockHash, ChainId
from node.clock import Clock
from node.config import SignerConfig, parse_hex_setting
from node.consensus_key import load_local_signer, open_token_signer
from node.errors import ConfigurationError
from node.home import Home
from node.key_files import PIN_VARIABLE, KeyFileError, load_ed25519_key_file
from node.logs import get_logger
from node.safety_file import SafetyFile, SafetyFileError
from node.signer import ConsensusKeyHolder
from node.signer_guard import SigningGuard
from node.signer_server import SignerIdentity, SignerServer
from p2p.addresses import parse_peer_address
from p2p.certificate import CompactCertificate, InvalidCertificateError

SIGNER_TLS_KEY_FILE: Final = "signer.key"


async def run_signer(home: Home, config: SignerConfig, stop: asyncio.Event) -> None:
    """Run until `stop` is set; raises ConfigurationError when it cannot start or can no longer keep what it signs."""
    logger = get_logger("signer")
    with ExitStack() as stack:
        safety_file = _open_safety(home, stack)
        if safety_file.warning is not None:
            logger.warning("the safety state was repaired", detail=safety_file.warning)
        holder = open_holder(home, config, os.environ.get(PIN_VARIABLE), stack)
        identity = SignerIdentity(ChainId(config.chain_id), BlockHash(parse_hex_setting(config.chain_genesis_hash)))
        domain = compute_signing_domain(identity.chain_id, identity.genesis_hash)
        guard = SigningGuard(holder, safety_file, load_safety_state(safety_file), domain)
        server = _build_server(home, config, identity, holder, guard)
        try:
            server.listen()
        except OSError as error:
            raise ConfigurationError(f"{config.signer_listen} cannot be listened on ({error.strerror})") from None
        logger.info("running", port=server.port, key=holder.public_key.hex(), signed_height=guard.height)
        serving, stopping = asyncio.create_task(_serve(server)), asyncio.create_task(stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stop.is_set():
            serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
        logger.info("stopped", signed_height=guard.height)


def load_safety_state(safety_file: SafetyFile) -> SafetyState:
    """What the key has signed; raises ConfigurationError when it cannot be told."""
    encoded = safety_file.load()
    try:
        return NOTHING_SIGNED if encoded is None else decode_safety(encoded)
    except DecodeError as error:
        raise ConfigurationError(f"safety/: {error}; see 'The safety directory' in docs/keys.md") from None


def load_tls_secret(home: Home) -> bytes:
    """The key of the signer's certificate, 32 bytes; raises ConfigurationError."""
    try:
        return load_ed25519_key_file(home.keys / SIGNER_TLS_KEY_FILE).secret
    except KeyFileError as error:
        raise ConfigurationError(str(error)) from None


async def _serve(server: SignerServer) -> None:
    try:
        await server.run()
    except* SafetyFileError as errors:
        raise ConfigurationError(str(errors.exceptions[0])) from None


def _open_safety(home: Home, stack: ExitStack) -> SafetyFile:
    try:
        return stack.enter_context(SafetyFile(home.safety))
    except SafetyFileError as error:
        raise ConfigurationError(f"{error}; 'The remote signer' there says what a signer can do") from None


def open_holder(home: Home, config: SignerConfig, pin: str | None, stack: ExitStack) -> ConsensusKeyHolder:
    """The key, wherever the settings say that it is; `pin` is the environment's. Raises ConfigurationError."""
    if config.signer_kind == "file":
        return load_local_signer(home)
    token_signer = open_token_signer(config, pin)
    stack.callback(token_signer.close)
    return token_signer


def _build_server(
    home: Home, config: SignerConfig, identity: SignerIdentity, holder: ConsensusKeyHolder, guard: SigningGuard
) -> SignerServer:
    try:
        return SignerServer(
            parse_peer_address(config.signer_listen),
            load_tls_secret(home),
            [CompactCertificate(parse_hex_setting(each)) for each in config.signer_nodes],
            identity,
            holder,
            guard,
            Clock(),
            get_logger("signer"),
        )
    except InvalidCertificateError as error:
        raise ConfigurationError(f"signer_nodes: {error}") from None
