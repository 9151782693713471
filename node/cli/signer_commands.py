"""`carlive signer`: the consensus key in a process of its own, apart from the node."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.failures import CommandFailedError
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from identity.signing import SigningPurpose
    from ledger.primitives import ConsensusKey
    from node.config import SignerConfig
    from node.home import Home

LOST_SAFETY_SUFFIX: Final = ".lost"


@click.group(cls=SuggestingGroup)
def signer() -> None:
    """Keep a consensus key in a process apart from its node.

    It has a guard of its own: whoever asks, and however often, it never signs twice.
    """


_home_option = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), required=True, help="The signer's directory."
)


@signer.command()
@_home_option
@click.option(
    "--genesis",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    required=True,
    help="Genesis file of the chain it will sign for.",
)
@click.option(
    "--node",
    "nodes",
    multiple=True,
    required=True,
    metavar="FILE|HEX",
    help="Who may ask: a node's genesis-node.json, or its certificate, 192 hexadecimal digits. May be repeated.",
)
@click.option("--listen", default="127.0.0.1:8648", show_default=True, help="host:port to listen on.")
@click.option(
    "--take-from",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=None,
    metavar="NODE_HOME",
    help="Move the consensus key, and what it has signed, out of a stopped node's home.",
)
@click.option("--pkcs11-module", default=None, help="The key is in a token: its vendor's module, an absolute path.")
@click.option("--pkcs11-token", default=None, metavar="LABEL", help="Which token.")
@click.option("--pkcs11-key", default="consensus", show_default=True, metavar="LABEL", help="Which key.")
@click.option("--pkcs11-pin-file", default="", help="File with the PIN; else CARLIVE_PKCS11_PIN.")
@output_option
def init(
    home: Path,
    genesis: Path,
    nodes: tuple[str, ...],
    listen: str,
    take_from: Path | None,
    pkcs11_module: str | None,
    pkcs11_token: str | None,
    pkcs11_key: str,
    pkcs11_pin_file: str,
    output: Output,
) -> None:
    """Make the directory of a signer.

    Without --take-from and --pkcs11-module a new consensus key is made. A key that has signed elsewhere comes with
    --take-from only: then what it has signed comes with it.
    """
    from genesis.build import compute_genesis_hash
    from genesis.document import parse_genesis
    from node.atomic_file import make_private_directory, replace_file
    from node.config import SignerConfig, format_config
    from node.home import Home
    from node.key_files import CONSENSUS_KEY_FILE, create_key_file, generate_key
    from node.safety_file import initialise_safety_directory
    from node.signer_process import SIGNER_TLS_KEY_FILE

    place = Home(home.absolute())
    if place.directory.exists() and any(place.directory.iterdir()):
        raise CommandFailedError(f"{home} is not empty: choose a new directory, or keep the signer that is there")
    if pkcs11_module is not None and take_from is not None:
        raise CommandFailedError("a key in a file cannot be moved into a token: leave one of the two out")
    document = parse_genesis(genesis.read_bytes())
    config = SignerConfig(
        signer_kind="file" if pkcs11_module is None else "pkcs11",
        signer_listen=listen,
        signer_nodes=tuple(_read_certificate(each) for each in nodes),
        chain_id=document.chain_id,
        chain_genesis_hash=compute_genesis_hash(document).hex(),
        pkcs11_module=pkcs11_module or "",
        pkcs11_token=pkcs11_token or "",
        pkcs11_key=pkcs11_key,
        pkcs11_pin_file=pkcs11_pin_file,
    )
    make_private_directory(place.directory)
    if take_from is not None:
        _take_key(Home(take_from.absolute()), place)
    else:
        initialise_safety_directory(place.safety)
        if pkcs11_module is None:
            create_key_file(place.keys / CONSENSUS_KEY_FILE, generate_key())
    create_key_file(place.keys / SIGNER_TLS_KEY_FILE, generate_key())
    replace_file(place.config_file, format_config(config).encode())
    _show(place, output)


@signer.command()
@_home_option
@click.option("--listen", default=None, metavar="HOST:PORT", help="Where to listen.  [default: as in config.toml]")
def start(home: Path, listen: str | None) -> None:
    """Run the signer until it is told to stop."""
    from node.cli.start_command import find_cause, run_until_signalled
    from node.errors import ConfigurationError
    from node.logs import configure_logs, get_logger
    from node.signer_process import run_signer

    if not __debug__:
        raise ConfigurationError("python -O and PYTHONOPTIMIZE remove the signer's checks: start it without them")
    place = _open_home(home)
    config = _load_config(place, {"signer_listen": listen})
    configure_logs({"default": "info"}, config.node_log_style)
    logger = get_logger("signer")

    async def work(stop: "asyncio.Event") -> None:
        await run_signer(place, config, stop)

    try:
        run_until_signalled(work)
    except Exception as error:  # whatever ends a signer stands in its log
        cause = find_cause(error)
        if isinstance(cause, ConfigurationError):
            logger.error("the signer cannot run", reason=str(cause))
            raise ConfigurationError(str(cause)) from None
        logger.error("the signer has failed", exc_info=error)
        raise


@signer.command()
@_home_option
@output_option
def show(home: Path, output: Output) -> None:
    """Show the consensus key, the signer's certificate, and how far it has signed."""
    _show(_open_home(home), output)


@signer.command("replace-safety")
@_home_option
@click.option(
    "--signed-up-to",
    type=click.IntRange(min=1),
    required=True,
    metavar="HEIGHT",
    help="A height that the network has not reached yet; nothing up to it will be signed.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def replace_safety(home: Path, signed_up_to: int, yes: bool, output: Output) -> None:
    """Make a new safety directory in the place of a lost one.

    The new one says that everything up to a height was signed. That is safe only if the network has not reached this
    height, so that the key cannot have signed anything above it. Until the network is past it, the member is silent.
    """
    from consensus.messages import NO_VALID_ROUND
    from consensus.safety import SafetyState, SignStep, encode_safety
    from ledger.primitives import JSON_INTEGER_MAX, Height, Round
    from node.safety_file import (
        MARKER_FILE,
        SafetyFile,
        SafetyFileError,
        SafetyFileInUseError,
        initialise_safety_directory,
    )

    place = _open_home(home)
    if signed_up_to > JSON_INTEGER_MAX:
        raise CommandFailedError(f"a height is at most {JSON_INTEGER_MAX}")
    if place.safety.exists():
        if not (place.safety / MARKER_FILE).exists():
            raise CommandFailedError(f"{place.safety} is no safety directory: move it away first")
        try:
            SafetyFile(place.safety).close()
        except SafetyFileInUseError as error:
            raise CommandFailedError(str(error)) from None
        except SafetyFileError as error:
            click.echo(str(error), err=True)
        else:
            raise CommandFailedError(f"{place.safety} is sound: there is nothing to replace")
    if not yes:
        click.confirm(
            f"Has the network certainly not reached height {signed_up_to}? Else the key may sign twice", abort=True
        )
    lost = place.safety.with_name(place.safety.name + LOST_SAFETY_SUFFIX)
    if place.safety.exists():
        if lost.exists():
            raise CommandFailedError(f"{lost} exists already: move it away first")
        place.safety.rename(lost)
    signed = SafetyState(
        Height(signed_up_to), Round(2**31 - 1), SignStep.PRECOMMIT, NO_VALID_ROUND, None, None, None, None
    )
    initialise_safety_directory(place.safety, encode_safety(signed))
    _show(place, output)


@signer.command("sign-possession")
@_home_option
@click.option("--operator", required=True, metavar="ADDRESS", help="The account that registers the node.")
@click.option("--node-key", required=True, metavar="HEX", help="The public node key, as carlive init gave it.")
@output_option
def sign_possession(home: Path, operator: str, node_key: str, output: Output) -> None:
    """Prove that the operator has the consensus key, for carlive operator register."""
    from identity.signing import SigningPurpose

    _show_proof(home, SigningPurpose.CONSENSUS_KEY_POSSESSION, operator, [node_key], output)


@signer.command("sign-rotation")
@_home_option
@click.option("--operator", required=True, metavar="ADDRESS", help="The account that exchanges the key.")
@click.option("--old", required=True, metavar="HEX", help="The public consensus key that the chain knows.")
@click.option("--new", required=True, metavar="HEX", help="The public consensus key that comes into its place.")
@output_option
def sign_rotation(home: Path, operator: str, old: str, new: str, output: Output) -> None:
    """Sign an exchange of consensus keys, for carlive operator rotate-consensus; the old and the new key both sign."""
    from identity.signing import SigningPurpose

    _show_proof(home, SigningPurpose.CONSENSUS_KEY_ROTATION, operator, [old, new], output)


def _show_proof(home: Path, purpose: "SigningPurpose", operator: str, keys: "Sequence[str]", output: Output) -> None:
    """Purpose, chain and fields keep it from ever being a vote."""
    import asyncio
    import os
    from contextlib import ExitStack

    from identity.address import NetworkKind, parse_address
    from identity.signing import compute_signing_domain, signing_bytes
    from ledger.codec import pack
    from node.config import parse_hex_setting
    from node.key_files import PIN_VARIABLE
    from node.signer_process import open_holder

    place = _open_home(home)
    config = _load_config(place, {})
    network = next((each for each in NetworkKind if operator.startswith(f"{each.value}1")), NetworkKind.MAINNET)
    fields = [parse_address(operator, network), *map(_read_key, keys)]
    domain = compute_signing_domain(config.chain_id, parse_hex_setting(config.chain_genesis_hash))
    with ExitStack() as stack:
        holder = open_holder(place, config, os.environ.get(PIN_VARIABLE), stack)
        signature = asyncio.run(holder.sign_message(signing_bytes(purpose, domain, pack(fields))))
        output.show_record({"consensusKey": "0x" + holder.public_key.hex(), "signature": "0x" + signature.hex()})


def _read_key(text: str) -> bytes:
    digits = text.removeprefix("0x")
    if not _is_hex(digits) or len(digits) != 64:
        raise CommandFailedError(f"a public key is 64 hexadecimal digits, not {text!r}")
    return bytes.fromhex(digits)


def _take_key(source: "Home", target: "Home") -> None:
    """Move the key; it is never in two places from which a process could sign, and its past goes before it."""
    from node.errors import ConfigurationError
    from node.key_files import CONSENSUS_KEY_FILE, create_key_file, load_ed25519_key_file
    from node.safety_file import SafetyFile, SafetyFileError, initialise_safety_directory

    path = source.keys / CONSENSUS_KEY_FILE
    key = load_ed25519_key_file(path)
    try:
        with SafetyFile(source.safety) as safety_file:  # its lock says that the node does not run
            initialise_safety_directory(target.safety, safety_file.load() or b"")
            create_key_file(target.keys / CONSENSUS_KEY_FILE, key)
            path.unlink()
    except SafetyFileError as error:
        raise ConfigurationError(str(error)) from None


def _read_certificate(text: str) -> str:
    """192 hexadecimal digits from themselves or from what carlive init wrote for the genesis file."""
    from pydantic import ValidationError

    from genesis.document import GenesisNode
    from p2p.certificate import InvalidCertificateError, split_compact

    digits = text
    if not _is_hex(text):
        try:
            entry = GenesisNode.model_validate_json(Path(text).read_bytes())
        except FileNotFoundError:
            raise CommandFailedError(f"--node: {text} is neither a file nor a certificate in hexadecimal") from None
        except ValidationError:
            raise CommandFailedError(f"--node: {text} is not a genesis-node.json of carlive init") from None
        digits = entry.node_key.removeprefix("0x") + entry.node_certificate_signature.removeprefix("0x")
    digits = digits.removeprefix("0x")
    try:
        split_compact(bytes.fromhex(digits))
    except InvalidCertificateError as error:
        raise CommandFailedError(f"--node: {error}") from None
    return digits


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return False
    return True


def _open_home(home: Path) -> "Home":
    from node.home import Home

    place = Home(home.absolute())
    if not place.config_file.exists():
        raise CommandFailedError(f"{home} is no signer's home: make it with carlive signer init --home {home}")
    return place


def _load_config(place: "Home", flags: dict[str, Any]) -> "SignerConfig":
    from node.config import load_signer_config, read_process_environment

    return load_signer_config(place.config_file, read_process_environment(), flags)


def _show(place: "Home", output: Output) -> None:
    from node.signer_process import load_tls_secret
    from p2p.certificate import build_certificate, compact_certificate, join_compact

    config = _load_config(place, {})
    certificate = join_compact(*compact_certificate(build_certificate(load_tls_secret(place))))
    record: dict[str, Any] = {
        "home": str(place.directory),
        "chainId": config.chain_id,
        "genesisHash": "0x" + config.chain_genesis_hash.removeprefix("0x"),
        "consensusKey": "0x" + _find_public_key(place, config).hex(),
        "certificate": certificate.hex(),
        "listen": config.signer_listen,
        "signedHeight": _read_signed_height(place),
    }
    output.show_record(record)
    output.show_text(
        "\nFor the config.toml of the node:\n[signer]\n"
        f'kind = "remote"\naddress = "{config.signer_listen}"\n'
        f'certificate = "{record["certificate"]}"\npublic_key = "{record["consensusKey"].removeprefix("0x")}"'
    )


def _read_signed_height(place: "Home") -> int | None:
    """None while a running signer has the safety directory, or when it is lost."""
    from node.safety_file import SafetyFile, SafetyFileError
    from node.signer_process import load_safety_state

    try:
        with SafetyFile(place.safety) as safety_file:
            return load_safety_state(safety_file).height
    except SafetyFileError:
        return None


def _find_public_key(place: "Home", config: "SignerConfig") -> "ConsensusKey":
    """Without a PIN: a token shows its public keys to everybody."""
    from ledger.primitives import ConsensusKey
    from node.cli.token_keys import TokenChoice, find_token_key
    from node.consensus_key import load_local_signer

    if config.signer_kind == "file":
        return load_local_signer(place).public_key
    choice = TokenChoice(Path(config.pkcs11_module), config.pkcs11_token, None)
    return ConsensusKey(find_token_key(choice, config.pkcs11_key).key)
