"""`carlive wallet`: one mnemonic, accounts on several chains, their addresses and message signatures.

Nothing secret is ever an argument: words, secrets and passwords come from a prompt, standard input, a private file or
the environment, and are shown only by the commands that are there for it.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.accounts import Keyring, PasswordSource, is_reserved, keyring_options, open_keyring
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option

if TYPE_CHECKING:
    from identity.address import NetworkKind
    from identity.keys import PrivateKey
    from identity.wallet.chains import Chain
    from identity.wallet.wallet_file import Wallet

CHAIN_NAMES: Final = ("iov", "btc", "btc-legacy", "eth", "eos", "qtum")
NETWORK_NAMES: Final = ("mainnet", "testnet", "devnet")
WORD_COUNT_NAMES: Final = ("12", "15", "18", "21", "24")
SECRET_FORMS: Final = ("hex", "wif", "eos", "eos-legacy")
"""How a secret stands as text."""
ACCOUNTS_LISTED_MAX: Final = 1000
CHECKED_WORDS: Final = 3
CHECK_ATTEMPTS_MAX: Final = 3  # a slip of the fingers is forgiven, guessing is not
SECRET_TEXT_CHARACTERS_MAX: Final = 4096  # a web3 key file has about 500

_PASSPHRASE: Final = PasswordSource("passphrase", "--passphrase-file", "CARLIVE_MNEMONIC_PASSPHRASE")
_FILE_PASSWORD: Final = PasswordSource("password of the key file", "--file-password-file", "CARLIVE_FILE_PASSWORD")


@click.group(cls=SuggestingGroup)
def wallet() -> None:
    """One mnemonic for IOV, Bitcoin, Ethereum, EOS and Qtum.

    Twelve or more words on paper lead to accounts on all these chains (BIP-39, BIP-44, SLIP-0010). The words also lie
    here in a file, encrypted under a password, beside the account keys.
    """


_chain_option = click.option("--chain", type=click.Choice(CHAIN_NAMES), required=True, help="Which chain.")
_passphrase_file_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help=f"File with the passphrase of BIP-39 in its one line; else {_PASSPHRASE.variable}, else a prompt.",
)
_with_passphrase_option = click.option(
    "--with-passphrase",
    is_flag=True,
    help="The accounts depend on a passphrase besides the words (BIP-39). It is kept nowhere: lost, all is lost.",
)
_file_password_option = click.option(
    "--file-password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help=f"File with the password of the web3 key file; else {_FILE_PASSWORD.variable}, else a prompt.",
)
_network_option = click.option(
    "--network", type=click.Choice(NETWORK_NAMES), default="mainnet", show_default=True, help="Which networks."
)
_account_option = click.option(
    "--account", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Account in the path."
)
_index_option = click.option(
    "--index", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Address in the account."
)


def _message_options(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option("--message", default=None, help="The message; else --message-file, else standard input.")(
        function
    )
    return click.option(
        "--message-file",
        type=click.Path(path_type=Path, dir_okay=False),
        default=None,
        help="File with the message, every byte of it.",
    )(function)


@wallet.command()
@click.argument("name")
@click.option(
    "--words", type=click.Choice(WORD_COUNT_NAMES), default="24", show_default=True, help="How many words to make."
)
@click.option("--yes", is_flag=True, help="Do not ask for words to see whether they were written down.")
@_with_passphrase_option
@_passphrase_file_option
@keyring_options
@output_option
def create(
    name: str,
    words: str,
    yes: bool,
    with_passphrase: bool,
    passphrase_file: Path | None,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """Make a wallet called NAME and show its words, this once.

    Its first IOV account becomes the key NAME, for carlive tx --from NAME.
    """
    from identity.wallet.wallet_file import build_wallet
    from node.wallet_files import generate_entropy

    keyring = open_keyring(keys_dir, password_file)
    _check_new(keyring, name)
    if not yes and not _is_interactive():
        raise CommandFailedError(
            "a new wallet shows its words and asks for some of them: run this in a terminal, or say --yes"
        )
    passphrase = _ask_new_passphrase(with_passphrase, passphrase_file)
    new_wallet = build_wallet(generate_entropy(int(words)), passphrase)
    password = keyring.ask_password(f"New password for {name}", is_new=True)
    if yes and output.is_json:
        _save(keyring, name, new_wallet, passphrase, password, output, {"mnemonic": new_wallet.mnemonic})
        return
    _show_words(new_wallet.mnemonic)
    if not yes:
        _check_written_down(new_wallet.mnemonic)
    _save(keyring, name, new_wallet, passphrase, password, output, {})


@wallet.command()
@click.argument("name")
@click.option(
    "--backup",
    "backup_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Take the words from this file of carlive wallet backup, which has the same password.",
)
@_with_passphrase_option
@_passphrase_file_option
@keyring_options
@output_option
def restore(
    name: str,
    backup_file: Path | None,
    with_passphrase: bool,
    passphrase_file: Path | None,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """Make the wallet NAME from words you have: from standard input or a prompt, never an argument."""
    from identity.wallet.mnemonic import MNEMONIC_CHARACTERS_MAX, decode_mnemonic
    from identity.wallet.wallet_file import build_wallet
    from node.wallet_files import load_wallet_file

    keyring = open_keyring(keys_dir, password_file)
    _check_new(keyring, name)
    if backup_file is not None:
        password = keyring.ask_password(f"Password of {backup_file}")
        restored = load_wallet_file(backup_file, password)
        passphrase = _ask_passphrase(restored.header.needs_passphrase, passphrase_file)
    else:
        entropy = decode_mnemonic(_read_secret_text("The words, with spaces between them", MNEMONIC_CHARACTERS_MAX + 1))
        passphrase = _ask_new_passphrase(with_passphrase, passphrase_file)
        restored = build_wallet(entropy, passphrase)
        password = keyring.ask_password(f"New password for {name}", is_new=True)
    _save(keyring, name, restored, passphrase, password, output, {})


@wallet.command("list")
@keyring_options
@output_option
def list_wallets(keys_dir: Path, password_file: Path | None, output: Output) -> None:
    """List all wallets; no password is needed."""
    from node.wallet_files import list_wallet_files

    directory = open_keyring(keys_dir, password_file).directory
    records: list[dict[str, Any]] = [
        {"name": each.name, "problem": each.problem}
        if each.header is None
        else {
            "name": each.name,
            "words": each.header.word_count,
            "fingerprint": each.header.fingerprint.hex(),
            "passphrase": each.header.needs_passphrase,
        }
        for each in list_wallet_files(directory)
    ]
    columns = ["name", "words", "fingerprint", "passphrase"]
    if any("problem" in record for record in records):
        columns.append("problem")
    output.show_list(
        records, columns, empty=f"there are no wallets in {directory}; carlive wallet create NAME makes one"
    )


@wallet.command()
@click.argument("name")
@click.option(
    "--count",
    type=click.IntRange(1, ACCOUNTS_LISTED_MAX),
    default=1,
    show_default=True,
    help="How many addresses of each chain.",
)
@click.option("--chain", type=click.Choice(CHAIN_NAMES), default=None, help="Only this chain.")
@_account_option
@_network_option
@_passphrase_file_option
@keyring_options
@output_option
def accounts(
    name: str,
    count: int,
    chain: str | None,
    account: int,
    network: str,
    passphrase_file: Path | None,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """List the addresses of the wallet NAME on all chains, with their paths."""
    from identity.wallet.chains import derive_account
    from identity.wallet.derivation_path import format_path
    from identity.wallet.eos import format_eos_legacy_public_key

    seed = _open_seed(open_keyring(keys_dir, password_file), name, passphrase_file)
    records: list[dict[str, Any]] = []
    for chain_name in CHAIN_NAMES if chain is None else (chain,):
        for index in range(count):
            derived = derive_account(seed, _parse_chain(chain_name), _parse_network(network), account, index)
            public_key = derived.private_key.public_key.key
            record = {"chain": chain_name, "path": format_path(derived.path), "address": derived.address}
            if chain_name == "eos":
                record["legacyAddress"] = format_eos_legacy_public_key(public_key)
            records.append(record | {"publicKey": "0x" + public_key.hex()})
    columns = ["chain", "path", "address"]
    if any("legacyAddress" in record for record in records):
        columns.append("legacyAddress")
    output.show_list(records, columns)


@wallet.command()
@click.argument("name")
@_chain_option
@_message_options
@_account_option
@_index_option
@_network_option
@_passphrase_file_option
@keyring_options
@output_option
def sign(
    name: str,
    chain: str,
    message: str | None,
    message_file: Path | None,
    account: int,
    index: int,
    network: str,
    passphrase_file: Path | None,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """Sign a message with an account of the wallet NAME, or with the key NAME.

    The signature has the form that the chain's own wallets write and check. It is no transaction.
    """
    from identity.wallet.chains import format_chain_address, sign_message

    content = _read_message(message, message_file)
    keyring = open_keyring(keys_dir, password_file)
    private_key = _open_private_key(keyring, name, chain, network, account, index, passphrase_file)
    signature = sign_message(_parse_chain(chain), private_key, content, _parse_network(network))
    address = format_chain_address(_parse_chain(chain), private_key.public_key, _parse_network(network))
    output.show_record({"chain": chain, "address": address, "signature": signature})


@wallet.command()
@_chain_option
@click.option("--address", required=True, help="Who is said to have signed; for EOS the public key.")
@click.option("--signature", required=True, help="The signature, in the chain's form.")
@_message_options
@_network_option
@output_option
def verify(
    chain: str,
    address: str,
    signature: str,
    message: str | None,
    message_file: Path | None,
    network: str,
    output: Output,
) -> None:
    """Check a message's signature; exit code 1 if it is not of this address."""
    from identity.wallet.chains import verify_message

    content = _read_message(message, message_file)
    if not verify_message(_parse_chain(chain), address, content, signature, _parse_network(network)):
        raise CommandFailedError(f"the signature is not {address}'s over this message", ExitCode.FAILED)
    output.show_record({"chain": chain, "address": address, "valid": True})


@wallet.command()
@click.argument("name")
@click.option(
    "--form",
    type=click.Choice([*SECRET_FORMS, "v3", "key", "xpub", "mnemonic"]),
    required=True,
    help="hex; wif (Bitcoin, Qtum); eos (PVT_K1_…), eos-legacy (5…); v3: Ethereum's key file; key: a key for "
    "carlive keys; xpub: the public key of an account for watching; mnemonic: the words.",
)
@click.option("--chain", type=click.Choice(CHAIN_NAMES), default=None, help="Which chain; not for the words.")
@click.option("--to", default=None, help="The file to write, which must not exist; for a key its name.")
@click.option("--reveal", is_flag=True, help="Show the secret instead; make sure that nobody looks on.")
@_account_option
@_index_option
@_network_option
@_file_password_option
@_passphrase_file_option
@keyring_options
@output_option
def export(
    name: str,
    form: str,
    chain: str | None,
    to: str | None,
    reveal: bool,
    account: int,
    index: int,
    network: str,
    file_password_file: Path | None,
    passphrase_file: Path | None,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """Write a secret of the wallet or key NAME for another wallet, into a private file or as another key."""
    keyring = open_keyring(keys_dir, password_file)
    is_shown = form == "xpub" or (reveal and form not in ("v3", "key"))
    if (to is None) is not is_shown:
        raise CommandFailedError("say where to write it with --to, or for a secret as text --reveal, and not both")
    if form == "mnemonic":
        record, text = {"form": form}, _open_wallet(keyring, name)[0].mnemonic
    elif chain is None:
        raise CommandFailedError("say of which chain with --chain")
    elif form == "xpub":
        record, text = (
            {"form": form, "chain": chain},
            _build_xpub(keyring, name, chain, network, account, passphrase_file),
        )
    else:
        private_key = _open_private_key(keyring, name, chain, network, account, index, passphrase_file)
        record = {"form": form, "chain": chain, "address": _format_address(chain, network, private_key)}
        if form == "key":
            assert to is not None, "checked above"
            _save_key(keyring, to, private_key, output, record)
            return
        text = _format_secret(form, chain, network, private_key, file_password_file)
    if to is None:
        output.show_record(record | {"publicKey" if form == "xpub" else "secret": text})
        return
    from node.key_files import create_private

    create_private(Path(to).expanduser(), text.rstrip("\n") + "\n")
    output.show_record(record | {"file": to})


@wallet.command("import")
@click.argument("name")
@click.option(
    "--form",
    type=click.Choice([*SECRET_FORMS, "v3"]),
    required=True,
    help="hex; wif (Bitcoin, Qtum); eos or eos-legacy (PVT_K1_… or 5…); v3: Ethereum's key file.",
)
@click.option("--chain", type=click.Choice(CHAIN_NAMES), default="btc", show_default=True, help="Whose WIF it is.")
@click.option(
    "--file",
    "source",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Private file with the secret; else standard input or a prompt.",
)
@_network_option
@_file_password_option
@keyring_options
@output_option
def import_secret(
    name: str,
    form: str,
    chain: str,
    source: Path | None,
    network: str,
    file_password_file: Path | None,
    keys_dir: Path,
    password_file: Path | None,
    output: Output,
) -> None:
    """Keep a secret from another wallet as the key NAME.

    It signs messages with carlive wallet sign and transactions of this chain with --from NAME.
    """
    from node.key_files import read_private

    keyring = open_keyring(keys_dir, password_file)
    if source is not None:
        text = read_private(source)
    else:
        text = _read_secret_text("The secret", SECRET_TEXT_CHARACTERS_MAX + 1)
    private_key = _parse_secret(form, chain, network, text.strip(), file_password_file)
    _save_key(keyring, name, private_key, output, {"form": form})


@wallet.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@keyring_options
@output_option
def backup(name: str, file: Path, keys_dir: Path, password_file: Path | None, output: Output) -> None:
    """Write the wallet NAME to FILE, encrypted under its password, and see that FILE opens.

    One file holds everything but a passphrase of BIP-39. carlive wallet restore --backup FILE reads it.
    """
    from node.wallet_files import create_wallet_file, load_wallet_file

    opened, password = _open_wallet(open_keyring(keys_dir, password_file), name)
    path = file.expanduser()
    create_wallet_file(path, opened, password)
    assert load_wallet_file(path, password) == opened
    output.show_record({"file": str(path), "fingerprint": opened.header.fingerprint.hex()})


def _check_new(keyring: Keyring, name: str) -> None:
    """Neither a wallet nor a key is called so."""
    from node.key_files import get_key_path
    from node.wallet_files import get_wallet_path

    if is_reserved(name):
        raise CommandFailedError(f"{name} means the devnet's account of that name: choose another name")
    for path in (get_wallet_path(keyring.directory, name), get_key_path(keyring.directory, name)):
        if path.exists():
            raise CommandFailedError(f"{path} exists already: choose another name or move it away")


def _save(
    keyring: Keyring,
    name: str,
    saved: "Wallet",
    passphrase: str,
    password: str,
    output: Output,
    more: dict[str, Any],
) -> None:
    """The wallet's file, and its first IOV account as a key."""
    from identity.address import NetworkKind, compute_key_address, format_address
    from identity.wallet.chains import Chain, derive_account
    from node.key_files import create_key_file, get_key_path
    from node.wallet_files import create_wallet_file, get_wallet_path

    account = derive_account(saved.compute_seed(passphrase), Chain.IOV, NetworkKind.MAINNET, 0, 0)
    address = compute_key_address(account.private_key.public_key)
    path = get_wallet_path(keyring.directory, name)
    create_wallet_file(path, saved, password)
    create_key_file(get_key_path(keyring.directory, name), account.private_key, password)
    addresses = {f"{each.name.lower()}Address": format_address(address, each) for each in reversed(NetworkKind)}
    output.show_record(
        {"name": name, "file": str(path), "fingerprint": saved.header.fingerprint.hex(), **addresses, **more}
    )


def _save_key(keyring: Keyring, name: str, private_key: "PrivateKey", output: Output, record: dict[str, Any]) -> None:
    from node.key_files import create_key_file, get_key_path

    _check_new(keyring, name)
    path = get_key_path(keyring.directory, name)
    create_key_file(path, private_key, keyring.ask_password(f"New password for {name}", is_new=True))
    key_type = private_key.public_key.key_type.name.lower()
    output.show_record({"name": name, "type": key_type, **record, "file": str(path)})


def _open_wallet(keyring: Keyring, name: str) -> tuple["Wallet", str]:
    """With the password that opened it."""
    from node.wallet_files import get_wallet_path, load_wallet_file, load_wallet_header

    path = get_wallet_path(keyring.directory, name)
    if not path.exists():
        raise CommandFailedError(
            f"there is no wallet {name} in {keyring.directory}: see carlive wallet list, or make it with "
            "carlive wallet create"
        )
    load_wallet_header(path)  # a damaged file is said before anybody types a password
    password = keyring.ask_password(f"Password of {name}")
    return load_wallet_file(path, password), password


def _open_seed(keyring: Keyring, name: str, passphrase_file: Path | None) -> bytes:
    opened, _ = _open_wallet(keyring, name)
    return opened.compute_seed(_ask_passphrase(opened.header.needs_passphrase, passphrase_file))


def _open_private_key(
    keyring: Keyring, name: str, chain: str, network: str, account: int, index: int, passphrase_file: Path | None
) -> "PrivateKey":
    """The account of a wallet, or a key of that name."""
    from identity.wallet.chains import derive_account
    from node.key_files import KeyFileError
    from node.wallet_files import get_wallet_path

    try:
        is_wallet = get_wallet_path(keyring.directory, name).exists()
    except KeyFileError:  # a path to a key, for instance
        is_wallet = False
    if not is_wallet:
        if account or index:
            raise CommandFailedError(f"{name} is no wallet but a single key: it has no other accounts")
        return keyring.load(name, _parse_network(network))
    seed = _open_seed(keyring, name, passphrase_file)
    return derive_account(seed, _parse_chain(chain), _parse_network(network), account, index).private_key


def _build_xpub(
    keyring: Keyring, name: str, chain: str, network: str, account: int, passphrase_file: Path | None
) -> str:
    from identity.wallet.bip32 import format_extended_key
    from identity.wallet.chains import derive_account_public_key

    seed = _open_seed(keyring, name, passphrase_file)
    return format_extended_key(derive_account_public_key(seed, _parse_chain(chain), _parse_network(network), account))


def _ask_passphrase(is_needed: bool, file: Path | None) -> str:
    return _PASSPHRASE.ask(file, "Passphrase of the words (BIP-39)") if is_needed else ""


def _ask_new_passphrase(is_wanted: bool, file: Path | None) -> str:
    if not is_wanted and file is not None:
        raise CommandFailedError("a passphrase file needs --with-passphrase")
    return _PASSPHRASE.ask(file, "Passphrase for the words (BIP-39)", is_new=True) if is_wanted else ""


def _show_words(mnemonic: str) -> None:
    """On standard error, so that a result that is kept in a file does not hold them."""
    numbered = [f"{position:>4}. {word}" for position, word in enumerate(mnemonic.split(), start=1)]
    click.echo("Write these words down, in this order, on paper. They are shown this once.\n", err=True)
    for start in range(0, len(numbered), 3):
        click.echo("".join(f"{each:<20}" for each in numbered[start : start + 3]).rstrip(), err=True)
    click.echo("", err=True)


def _check_written_down(mnemonic: str) -> None:
    """Ask for words at random places; raises CommandFailedError."""
    from secrets import SystemRandom

    click.prompt("Press Enter when they are on paper", default="", show_default=False, hide_input=True, err=True)
    click.clear()
    words = mnemonic.split()
    for position in sorted(SystemRandom().sample(range(len(words)), CHECKED_WORDS)):
        for _ in range(CHECK_ATTEMPTS_MAX):
            answer: str = click.prompt(f"Word {position + 1}", hide_input=True, err=True)
            if answer.strip().lower() == words[position]:
                break
            click.echo("that is not the word", err=True)
        else:
            raise CommandFailedError(f"word {position + 1} was not repeated, so nothing was kept: make another wallet")


def _is_interactive() -> bool:
    return sys.stdin.isatty()


def _read_secret_text(prompt: str, characters_max: int) -> str:
    if _is_interactive():
        answer: str = click.prompt(prompt, hide_input=True, err=True)
        return answer
    return sys.stdin.read(characters_max)


def _read_message(message: str | None, file: Path | None) -> bytes:
    from identity.wallet.chains import MESSAGE_BYTES_MAX

    if message is not None:
        if file is not None:
            raise CommandFailedError("say --message or --message-file, and not both")
        return message.encode("utf-8", "surrogateescape")  # as it stood on the command line
    if file is not None:
        with file.expanduser().open("rb") as opened:
            return opened.read(MESSAGE_BYTES_MAX + 1)
    return sys.stdin.buffer.read(MESSAGE_BYTES_MAX + 1)


def _format_address(chain: str, network: str, private_key: "PrivateKey") -> str:
    from identity.wallet.chains import format_chain_address

    return format_chain_address(_parse_chain(chain), private_key.public_key, _parse_network(network))


def _format_secret(
    form: str, chain: str, network: str, private_key: "PrivateKey", file_password_file: Path | None
) -> str:
    from identity.wallet.bitcoin import format_wif
    from identity.wallet.chains import Chain, get_bitcoin_network
    from identity.wallet.eos import format_eos_secret, format_eos_wif
    from identity.wallet.keystore_v3 import ID_BYTES, IV_BYTES, SALT_BYTES, encrypt_v3

    if form == "hex":
        return "0x" + private_key.secret.hex()
    if form == "wif":
        return format_wif(private_key, get_bitcoin_network(_parse_chain(chain), _parse_network(network)))
    expected = Chain.ETH if form == "v3" else Chain.EOS
    if _parse_chain(chain) is not expected:
        raise CommandFailedError(f"the form {form} is for keys of {expected.value}, not of {chain}")
    if form == "eos":
        return format_eos_secret(private_key)
    if form == "eos-legacy":
        return format_eos_wif(private_key)
    password = _FILE_PASSWORD.ask(file_password_file, "New password for the key file", is_new=True)
    return encrypt_v3(private_key, password, os.urandom(SALT_BYTES), os.urandom(IV_BYTES), os.urandom(ID_BYTES))


def _parse_secret(form: str, chain: str, network: str, text: str, file_password_file: Path | None) -> "PrivateKey":
    from identity.keys import KeyType
    from identity.wallet.bitcoin import parse_wif
    from identity.wallet.chains import get_bitcoin_network
    from identity.wallet.eos import parse_eos_secret
    from identity.wallet.keystore_v3 import decrypt_v3
    from node.cli.keys_commands import parse_hex_secret

    if form == "hex":
        return parse_hex_secret(text, KeyType.SECP256K1)
    if form == "wif":
        return parse_wif(text, get_bitcoin_network(_parse_chain(chain), _parse_network(network)))
    if form == "v3":
        return decrypt_v3(text, _FILE_PASSWORD.ask(file_password_file, "Password of the key file"))
    return parse_eos_secret(text)


def _parse_chain(name: str) -> "Chain":
    from identity.wallet.chains import Chain

    return Chain(name)


def _parse_network(name: str) -> "NetworkKind":
    from identity.address import NetworkKind

    return NetworkKind[name.upper()]
