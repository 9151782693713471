import json
import tempfile
from collections.abc import Iterator
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from identity.address import NetworkKind, compute_key_address, format_address
from identity.keys import KeyType, PrivateKey
from identity.keystore import DEFAULT_COST, LIGHT_COST
from identity.wallet import chains, keystore_v3
from identity.wallet.bitcoin import BITCOIN, format_wif
from identity.wallet.chains import Chain, derive_account
from identity.wallet.eos import format_eos_secret, format_eos_wif
from identity.wallet.keystore_v3 import decrypt_v3, encrypt_v3
from identity.wallet.mnemonic import compute_seed, decode_mnemonic
from identity.wallet.wallet_file import build_wallet
from node import key_files, wallet_files
from node.cli import wallet_commands
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.key_files import create_key_file
from node.wallet_files import create_wallet_file, load_wallet_file
from tests.identity.wallet.vectors import load_vectors
from tests.node.cli_scene import open_cli_scene

PASSWORD = "correct horse"
MNEMONIC = load_vectors("bip39_english")["english"][1][1]
SEED = compute_seed(MNEMONIC)
MAINNET = NetworkKind.MAINNET
IOV_KEY = derive_account(SEED, Chain.IOV, MAINNET, 0, 0).private_key
ETH_KEY = derive_account(SEED, Chain.ETH, MAINNET, 0, 0).private_key
SECRETS = [
    PASSWORD,
    SEED.hex(),
    decode_mnemonic(MNEMONIC).hex(),
    *[derive_account(SEED, chain, MAINNET, 0, 0).private_key.secret.hex() for chain in Chain],
]
ETH_ADDRESS = derive_account(SEED, Chain.ETH, MAINNET, 0, 0).address


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CARLIVE_PASSWORD", PASSWORD)
    monkeypatch.setenv("CARLIVE_KEYS_DIR", str(tmp_path / "keys"))
    # The commands' own cost takes a second a file; that it is the default of these functions is tested beside them.
    for module, function in (
        (key_files, create_key_file),
        (wallet_files, create_wallet_file),
        (keystore_v3, encrypt_v3),
    ):
        monkeypatch.setattr(module, function.__name__, partial(function, cost=LIGHT_COST))
    return tmp_path / "keys"


@pytest.fixture
def alice(directory: Path) -> Path:
    """The path of a wallet, made as `create` does but with a cost that takes no time."""
    path = directory / "alice.wallet"
    create_wallet_file(path, build_wallet(decode_mnemonic(MNEMONIC)), PASSWORD, LIGHT_COST)
    create_key_file(directory / "alice.key", IOV_KEY, PASSWORD, LIGHT_COST)
    return path


def run(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["wallet", *arguments], input=text)


def run_json(*arguments: str, text: str | bytes | None = None) -> Any:
    result = run(*arguments, "--output", "json", text=text)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refuse(*arguments: str, text: str | bytes | None = None, code: ExitCode = ExitCode.WRONG_USE) -> str:
    result = run(*arguments, text=text)
    assert (result.exit_code, result.stdout) == (code, "")
    return result.stderr.strip().splitlines()[-1].removeprefix("carlive: ")


def assert_tells_nothing(text: str) -> None:
    words = [f" {word} " for word in MNEMONIC.split()]
    spaced = f" {' '.join(text.split())} "
    assert [secret for secret in (*SECRETS, *words) if secret in spaced] == []


# Create


def test_a_new_wallet_shows_its_words_this_once_and_keeps_them_encrypted(directory: Path) -> None:
    created = run_json("create", "alice", "--words", "12", "--yes")
    path = directory / "alice.wallet"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_wallet_file(path, PASSWORD).mnemonic == created["mnemonic"]
    assert len(created["mnemonic"].split()) == 12
    assert not set(created["mnemonic"].split()) & set(path.read_text().split())
    assert "mnemonic" not in run_json("list")[0]


def test_its_first_iov_account_is_a_key_of_that_name(directory: Path) -> None:
    created = run_json("create", "alice", "--yes")
    assert len(created["mnemonic"].split()) == 24
    account = derive_account(compute_seed(created["mnemonic"]), Chain.IOV, MAINNET, 0, 0)
    listed = json.loads(CliRunner().invoke(cli, ["keys", "list", "--output", "json"]).stdout)
    assert [(each["name"], each["mainnetAddress"]) for each in listed] == [("alice", account.address)]
    assert created["mainnetAddress"] == account.address


def test_files_are_written_at_the_default_cost() -> None:
    for function in (create_key_file, create_wallet_file, encrypt_v3):
        assert signature(function).parameters["cost"].default == DEFAULT_COST


def test_two_wallets_have_different_words(directory: Path) -> None:
    mnemonics = {run_json("create", name, "--yes")["mnemonic"] for name in ("alice", "bob")}
    assert len(mnemonics) == 2


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Answers what create asks: the fixture's list, or the word that was shown where it is empty."""
    answers: list[str] = []
    shown: list[str] = []

    def prompt(text: str, **_settings: object) -> str:
        if answers:
            return answers.pop(0)
        return shown[int(text.removeprefix("Word ")) - 1].upper() if text.startswith("Word ") else ""

    def show(mnemonic: str) -> None:
        shown.extend(mnemonic.split())

    monkeypatch.setattr(wallet_commands, "_is_interactive", lambda: True)
    monkeypatch.setattr(wallet_commands, "_show_words", show)
    monkeypatch.setattr(click, "prompt", prompt)
    yield answers


def test_three_words_are_asked_for(directory: Path, terminal: list[str]) -> None:
    terminal += ["", "wrong", "wrong again"]  # Enter, and two slips
    created = run_json("create", "alice")
    assert "mnemonic" not in created
    assert (directory / "alice.wallet").exists()


def test_who_did_not_write_the_words_down_gets_no_wallet(directory: Path, terminal: list[str]) -> None:
    terminal += ["", "wrong", "wrong", "wrong"]
    message = refuse("create", "alice")
    assert message.endswith("was not repeated, so nothing was kept: make another wallet")
    assert not directory.exists()


def test_without_a_terminal_it_must_be_said_that_nobody_is_asked(directory: Path) -> None:
    assert refuse("create", "alice") == (
        "a new wallet shows its words and asks for some of them: run this in a terminal, or say --yes"
    )
    assert not directory.exists()


def test_people_see_the_words_on_standard_error_in_their_order(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet_files, "generate_entropy", lambda _words: decode_mnemonic(MNEMONIC))
    result = run("create", "alice", "--yes", "--words", "12")
    numbered = [f"{position}. {word}" for position, word in enumerate(MNEMONIC.split(), start=1)]
    places = [result.stderr.find(each) for each in numbered]
    assert -1 not in places and places == sorted(places)
    assert_tells_nothing(result.stdout)


@pytest.mark.parametrize("command", ["create", "restore"])
def test_neither_a_wallet_nor_a_key_is_overwritten(alice: Path, directory: Path, command: str) -> None:
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    arguments = ("--yes",) if command == "create" else ()
    assert "exists already" in refuse(command, "alice", *arguments, text=MNEMONIC)
    alice.unlink()
    assert "alice.key exists already" in refuse(command, "alice", *arguments, text=MNEMONIC)
    del before["alice.wallet"]
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


@pytest.mark.parametrize("name", ["../x", "a b", "", "dev0", "op1"])
def test_a_bad_name_is_refused(directory: Path, name: str) -> None:
    refuse("create", "--yes", "--", name)
    assert not directory.exists()


# Restore


def test_words_lead_to_their_wallet(directory: Path) -> None:
    restored = run_json("restore", "alice", text=f"{MNEMONIC.upper()}\n")
    assert restored["mainnetAddress"] == format_address(compute_key_address(IOV_KEY.public_key), MAINNET)
    assert load_wallet_file(directory / "alice.wallet", PASSWORD).mnemonic == MNEMONIC


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MNEMONIC.replace("sausage", "sausge"), "word 6 is not on the list of BIP-39; did you mean sausage?"),
        (MNEMONIC.removesuffix(" yellow"), "a mnemonic has 12, 15, 18, 21 or 24 words, not 11"),
        ("", "a mnemonic has 12, 15, 18, 21 or 24 words, not 0"),
        (
            MNEMONIC.replace("yellow", "zoo"),
            "the words are on the list, but their checksum does not match: one is wrong, or two have changed places",
        ),
        ("legal " * 10_000, "a mnemonic has 12, 15, 18, 21 or 24 words; this is far longer"),
    ],
)
def test_bad_words_are_explained(directory: Path, text: str, message: str) -> None:
    assert refuse("restore", "alice", text=text) == message
    assert not directory.exists()


def test_a_backup_restores_the_same_wallet(alice: Path, directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "away" / "alice.backup"
    backed = run_json("backup", "alice", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() != alice.read_text(), "fresh salt and nonce"
    restored = run_json("restore", "bob", "--backup", str(file))
    assert backed["fingerprint"] == restored["fingerprint"]
    assert load_wallet_file(directory / "bob.wallet", PASSWORD) == load_wallet_file(alice, PASSWORD)


def test_a_backup_overwrites_nothing(alice: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("something else")
    assert "is never overwritten" in refuse("backup", "alice", str(file))
    assert file.read_text() == "something else"


def test_a_truncated_backup_is_told(alice: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    run_json("backup", "alice", str(file))
    file.write_text(file.read_text()[:-40])
    assert refuse("restore", "bob", "--backup", str(file)).endswith(
        "this is not a wallet file (not JSON, or a field stands twice)"
    )


def test_a_file_that_others_can_read_is_refused(alice: Path) -> None:
    alice.chmod(0o644)
    assert "chmod 600" in refuse("accounts", "alice")


# Passphrase


def test_a_passphrase_leads_to_other_accounts_and_is_asked_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARLIVE_MNEMONIC_PASSPHRASE", "TREZOR")
    run_json("restore", "alice", "--with-passphrase", text=MNEMONIC)
    expected = derive_account(compute_seed(MNEMONIC, "TREZOR"), Chain.ETH, MAINNET, 0, 0).address
    assert run_json("accounts", "alice", "--chain", "eth")[0]["address"] == expected != ETH_ADDRESS
    assert run_json("list")[0]["passphrase"] is True
    monkeypatch.setenv("CARLIVE_MNEMONIC_PASSPHRASE", "trezor")
    assert "wrong passphrase" in refuse("accounts", "alice")
    monkeypatch.delenv("CARLIVE_MNEMONIC_PASSPHRASE")
    assert "a passphrase is needed: say --passphrase-file FILE" in refuse("accounts", "alice")


def test_a_passphrase_file_without_its_flag_is_no_silent_mistake(directory: Path, tmp_path: Path) -> None:
    message = refuse("restore", "alice", "--passphrase-file", str(tmp_path / "file"), text=MNEMONIC)
    assert message == "a passphrase file needs --with-passphrase"


# Accounts


def test_accounts_of_all_chains_have_their_paths(alice: Path) -> None:
    listed = run_json("accounts", "alice", "--count", "2", "--account", "1")
    assert [(each["chain"], each["path"]) for each in listed] == [
        (chain, path.format(index))
        for chain, path in (
            ("iov", "m/44'/234'/1'/0'/{}'"),
            ("btc", "m/84'/0'/1'/0/{}"),
            ("btc-legacy", "m/44'/0'/1'/0/{}"),
            ("eth", "m/44'/60'/1'/0/{}"),
            ("eos", "m/44'/194'/1'/0/{}"),
            ("qtum", "m/44'/2301'/1'/0/{}"),
        )
        for index in range(2)
    ]
    for each in listed:
        index = int(each["path"].rstrip("'").rpartition("/")[2])
        account = derive_account(SEED, Chain(each["chain"]), MAINNET, 1, index)
        assert each["address"] == account.address
        assert each["publicKey"] == "0x" + account.private_key.public_key.key.hex()
    assert [each["legacyAddress"][:3] for each in listed if "legacyAddress" in each] == ["EOS", "EOS"]


def test_people_get_a_table(alice: Path) -> None:
    assert ETH_ADDRESS in run("accounts", "alice").stdout


def test_no_wallet_of_that_name_is_told(directory: Path) -> None:
    assert refuse("accounts", "bob").startswith("there is no wallet bob in ")


def test_a_damaged_file_is_told_before_a_password_is_asked_for(alice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARLIVE_PASSWORD")
    alice.write_text(alice.read_text().replace('"words":12', '"words":15').replace('"words": 12', '"words": 15'))
    assert "damaged or was edited" in refuse("accounts", "alice")


def test_a_file_of_absurd_cost_is_refused(alice: Path) -> None:
    from identity import keystore

    document = json.loads(alice.read_text()) | {"scrypt": {"n": 2**30, "r": 8, "p": 1}}
    del document["checksum"]
    alice.write_text(keystore._seal_json(document))
    assert "is out of range" in refuse("accounts", "alice")


def test_an_unreadable_wallet_is_listed_with_its_problem(alice: Path, directory: Path) -> None:
    (directory / "eve.wallet").write_text("{}")
    (directory / "eve.wallet").chmod(0o600)
    listed = {each["name"]: each for each in run_json("list")}
    assert "is not a CarLive wallet file" in listed["eve"]["problem"]
    assert (listed["alice"]["words"], listed["alice"]["passphrase"]) == (12, False)


# Messages


@pytest.mark.parametrize("network", ["mainnet", "devnet"])
@pytest.mark.parametrize("chain", wallet_commands.CHAIN_NAMES)
def test_what_is_signed_is_verified(alice: Path, chain: str, network: str) -> None:
    place = ("--chain", chain, "--network", network, "--message", "Grüße")
    signed = run_json("sign", "alice", *place, "--account", "2", "--index", "3")
    assert signed["address"] == derive_account(SEED, Chain(chain), NetworkKind[network.upper()], 2, 3).address
    check = ("verify", *place, "--address", signed["address"], "--signature", signed["signature"])
    assert run_json(*check) == {"chain": chain, "address": signed["address"], "valid": True}
    message = refuse(*check, "--message", "Gruesse", code=ExitCode.FAILED)
    assert message == f"the signature is not {signed['address']}'s over this message"


def test_a_message_comes_from_a_file_or_standard_input_byte_by_byte(alice: Path, tmp_path: Path) -> None:
    content = b"two lines\n\xff\n"
    file = tmp_path / "message"
    file.write_bytes(content)
    from_file = run_json("sign", "alice", "--chain", "eth", "--message-file", str(file))
    assert run_json("sign", "alice", "--chain", "eth", text=content) == from_file
    assert from_file["signature"] == chains.sign_message(Chain.ETH, ETH_KEY, content, MAINNET)
    message = refuse("sign", "alice", "--chain", "eth", "--message-file", str(file), "--message", "x")
    assert message == "say --message or --message-file, and not both"


def test_a_message_that_is_too_long_is_told(alice: Path) -> None:
    assert "at most 65536 bytes" in refuse("sign", "alice", "--chain", "eth", text=b"m" * 65_537)


@pytest.mark.parametrize(
    ("chain", "network", "address", "message"),
    [
        ("eth", "mainnet", ETH_ADDRESS.swapcase().replace("X", "x"), "checksum of EIP-55"),
        ("btc", "testnet", "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "of another network"),
        ("qtum", "mainnet", "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA", "of another network"),
        ("iov", "mainnet", "iovd1fg44v6q67jndddvln7gj8yyn25w7w0peld5s6r", "this network's addresses with iov1"),
        ("eos", "mainnet", "PUB_R1_4ztaVy8L9zbmzTdpfq5GcaFYwGwXTNmN3qW7qcgHMmfUZhpzQQ", "EOS or PUB_K1_"),
    ],
)
def test_a_foreign_or_mistyped_address_is_told(chain: str, network: str, address: str, message: str) -> None:
    check = (
        "verify",
        "--chain",
        chain,
        "--network",
        network,
        "--address",
        address,
        "--message",
        "",
        "--signature",
        "0x",
    )
    assert message in refuse(*check)


# Export and import


@pytest.mark.parametrize(
    ("chain", "form", "secret"),
    [
        ("iov", "hex", "0x" + IOV_KEY.secret.hex()),
        ("eth", "hex", "0x" + ETH_KEY.secret.hex()),
        ("btc", "wif", format_wif(derive_account(SEED, Chain.BTC, MAINNET, 0, 0).private_key, BITCOIN)),
        ("qtum", "wif", format_wif(derive_account(SEED, Chain.QTUM, MAINNET, 0, 0).private_key, BITCOIN)),
        ("eos", "eos", format_eos_secret(derive_account(SEED, Chain.EOS, MAINNET, 0, 0).private_key)),
        ("eos", "eos-legacy", format_eos_wif(derive_account(SEED, Chain.EOS, MAINNET, 0, 0).private_key)),
    ],
)
def test_a_secret_is_exported_and_imported(alice: Path, tmp_path: Path, chain: str, form: str, secret: str) -> None:
    assert run_json("export", "alice", "--chain", chain, "--form", form, "--reveal")["secret"] == secret
    file = tmp_path / "secret"
    exported = run_json("export", "alice", "--chain", chain, "--form", form, "--to", str(file))
    assert "secret" not in exported
    assert (file.read_text(), file.stat().st_mode & 0o777) == (secret + "\n", 0o600)
    if chain != "iov":  # an ed25519 secret is imported with carlive keys import
        run_json("import", "bob", "--form", form, "--chain", chain, "--file", str(file))
        run_json("import", "carol", "--form", form, "--chain", chain, text=secret)
        for name in ("alice", "bob", "carol"):
            signed = run_json("sign", name, "--chain", chain, "--message", "hello")
            assert signed["address"] == exported["address"]


def test_an_ethereum_key_file_is_exported_and_imported(
    alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key.json"
    export = ("export", "alice", "--chain", "eth", "--form", "v3", "--to", str(file))
    assert "a password of the key file is needed: say --file-password-file FILE" in refuse(*export)
    monkeypatch.setenv("CARLIVE_FILE_PASSWORD", "another horse")
    run_json(*export)
    assert decrypt_v3(file.read_text(), "another horse") == ETH_KEY
    run_json("import", "bob", "--form", "v3", "--file", str(file))
    assert run_json("sign", "bob", "--chain", "eth", "--message", "hello")["address"] == ETH_ADDRESS
    monkeypatch.setenv("CARLIVE_FILE_PASSWORD", "wrong horse")
    assert "wrong password" in refuse("import", "carol", "--form", "v3", "--file", str(file))


def test_another_iov_account_becomes_a_key(alice: Path) -> None:
    exported = run_json("export", "alice", "--chain", "iov", "--index", "1", "--form", "key", "--to", "savings")
    assert exported["address"] == derive_account(SEED, Chain.IOV, MAINNET, 0, 1).address
    assert "exists already" in refuse("export", "alice", "--chain", "iov", "--form", "key", "--to", "savings")


def test_the_words_are_shown_to_who_asks_for_them(alice: Path, tmp_path: Path) -> None:
    assert run_json("export", "alice", "--form", "mnemonic", "--reveal") == {"form": "mnemonic", "secret": MNEMONIC}
    run_json("export", "alice", "--form", "mnemonic", "--to", str(tmp_path / "words"))
    assert (tmp_path / "words").read_text() == MNEMONIC + "\n"


def test_a_public_key_for_watching_is_no_secret(alice: Path) -> None:
    shown = run_json("export", "alice", "--chain", "btc", "--form", "xpub")
    assert shown["publicKey"].startswith("xpub")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--form", "hex", "--chain", "eth"), "say where to write it with --to"),
        (("--form", "hex", "--chain", "eth", "--reveal", "--to", "x"), "and not both"),
        (("--form", "v3", "--chain", "eth", "--reveal"), "say where to write it with --to"),
        (("--form", "hex", "--reveal"), "say of which chain with --chain"),
        (("--form", "wif", "--chain", "eth", "--reveal"), "no chain of Bitcoin's kind"),
        (("--form", "eos", "--chain", "eth", "--reveal"), "the form eos is for keys of eos, not of eth"),
        (("--form", "v3", "--chain", "btc", "--to", "x"), "the form v3 is for keys of eth, not of btc"),
        (("--form", "xpub", "--chain", "iov"), "no public key leads to others"),
    ],
)
def test_what_cannot_be_exported_is_told(alice: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in refuse("export", "alice", *arguments)


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("hex", "zz" * 32, "64 hexadecimal digits"),
        ("hex", "00" * 32, "outside the range"),
        ("wif", "5HpHagT65TZzG1PH3CSu63k8DbpvD8s5ip4nEB3kEsreAnchuDf", "uncompressed key"),
        ("wif", "KwDiBf89QgGbjEhKnhXJuH7LrciVrZi3qYjgd9M7rFU73sVHnoWm", "typing error or was cut off"),
        ("eos", "PVT_R1_GrfEfbv5at9kbeHcGagQmvbFLdm6jqEpgE1wsGbrfbZNjpVgT", "on another curve"),
        ("v3", "{}", "not a web3 key file of version 3"),
        ("v3", "x" * 5000, "at most 4096 characters"),
    ],
)
def test_what_cannot_be_imported_is_told_without_repeating_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch, form: str, text: str, message: str
) -> None:
    monkeypatch.setenv("CARLIVE_FILE_PASSWORD", "another horse")
    told = refuse("import", "bob", "--form", form, text=text)
    assert message in told
    assert text not in told
    assert not directory.exists()


def test_a_single_key_has_no_further_accounts(alice: Path) -> None:
    alice.unlink()
    signed = run_json("sign", "alice", "--chain", "iov", "--message", "hello")
    assert signed["address"] == format_address(compute_key_address(IOV_KEY.public_key), MAINNET)
    assert refuse("sign", "alice", "--chain", "iov", "--message", "hello", "--index", "1") == (
        "alice is no wallet but a single key: it has no other accounts"
    )
    assert "secp256k1 keys" in refuse("sign", "alice", "--chain", "eth", "--message", "hello")


# The wallet pays


async def test_a_transfer_is_signed_by_the_wallets_iov_account(
    alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        transfer = ("tx", "transfer", "--to", "dev1", "--amount", "1", "--from", "alice")
        result = await scene.run(*transfer, "--yes", "--wait", "admitted")
        assert result.exit_code == 0, result.output
        (transaction,) = scene.backend.pending.values()
        assert transaction.body.sender == compute_key_address(IOV_KEY.public_key)
        assert [each.key for each in transaction.authorisations] == [IOV_KEY.public_key.key]


# Secrets


FAILING = [
    ("accounts", "alice"),
    ("sign", "alice", "--chain", "eth", "--message", "hello"),
    ("export", "alice", "--chain", "eth", "--form", "hex", "--reveal"),
    ("export", "alice", "--chain", "btc", "--form", "xpub"),
]


@pytest.mark.parametrize("style", ["table", "json"])
@pytest.mark.parametrize("arguments", FAILING, ids=lambda arguments: arguments[0])
def test_a_fault_tells_no_secret_neither_on_the_terminal_nor_in_its_file(
    alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], style: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(chains, "compute_account_path", fail)
    result = run(*arguments, "--output", style)
    assert result.exit_code == ExitCode.INTERNAL
    (file,) = tmp_path.glob("carlive-fault-*.txt")
    assert "a fault" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert_tells_nothing(result.output + file.read_text())


@pytest.mark.parametrize("arguments", [*FAILING, ("backup", "alice", "file")], ids=lambda arguments: arguments[0])
def test_a_wrong_password_is_told_and_not_repeated(
    alice: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CARLIVE_PASSWORD", "wrong horse")
    message = refuse(*arguments)
    assert message.endswith("wrong password")
    assert "wrong horse" not in message


def test_words_that_are_refused_are_not_repeated(directory: Path) -> None:
    for text in (MNEMONIC.replace("yellow", "zoo"), MNEMONIC + " legal", f"{MNEMONIC} qqqqqqqq"):
        assert_tells_nothing(refuse("restore", "alice", text=text))


def test_no_option_takes_a_secret() -> None:
    """Arguments can be read by every process of the machine, and the shell keeps them."""
    taken = {
        (command.name, option.name)
        for command in wallet_commands.wallet.commands.values()
        for option in command.params
        if isinstance(option, click.Option)
        and not option.is_flag
        and any(word in str(option.name) for word in ("pass", "secret", "mnemonic", "words"))
        and not str(option.name).endswith("_file")
    }
    assert taken == {("create", "words")}, "how many words, not which"


def test_a_secp256k1_key_of_the_key_store_signs_for_other_chains(directory: Path) -> None:
    create_key_file(directory / "bob.key", PrivateKey(KeyType.SECP256K1, ETH_KEY.secret), PASSWORD, LIGHT_COST)
    assert run_json("sign", "bob", "--chain", "eth", "--message", "hello")["address"] == ETH_ADDRESS
