"""The JavaScript wallet, which shares no code with ours, agrees with the vectors and with a running devnet."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesis.presets import list_development_accounts
from identity.address import NetworkKind, format_address
from identity.keys import KeyType, PrivateKey
from tests.builders import address_of, make_key
from tests.ports import WALLET_PORTS
from tests.vectors.generate import DIRECTORY, VECTORS

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("interop")]

SOURCES = Path(__file__).parent
REPOSITORY = SOURCES.parent.parent
NODE_VERSION_MIN = (20, 19)
INSTALL_TIMEOUT_S = 120
WALLET_TIMEOUT_S = 90
DEVNET_START_S = 60
DEVNET_STOP_S = 15
DEVNET_PORTS = 40
DEVNET_URL_VARIABLE = "CARLIVE_TEST_DEVNET_URL"
DEVELOPMENT_KEYS = [account.key for account in list_development_accounts()]


def require_node_and_npm() -> tuple[str, str]:
    """Where both are; fails with what to install."""
    node, npm = shutil.which("node"), shutil.which("npm")
    wanted = ".".join(map(str, NODE_VERSION_MIN))
    if node is None or npm is None:
        pytest.fail(f"the wallet test needs node {wanted} or later and npm: on Debian, apt-get install nodejs npm")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < NODE_VERSION_MIN:
        pytest.fail(f"the wallet test needs node {wanted} or later, not {version}: install it from nodejs.org")
    return node, npm


class Wallet:
    """Runs wallet.mjs."""

    def __init__(self, node: str, directory: Path) -> None:
        self._node = node
        self._directory = directory

    def run(self, *arguments: str, key: PrivateKey | None = None) -> subprocess.CompletedProcess[str]:
        secret = {} if key is None else {"CARLIVE_SECRET": key.secret.hex()}
        return subprocess.run(
            [self._node, "wallet.mjs", *arguments],
            cwd=self._directory,
            env=os.environ | secret,
            capture_output=True,
            text=True,
            timeout=WALLET_TIMEOUT_S,
            check=False,
        )

    def transfer(self, url: str, key: PrivateKey, to: str, amount_grains: int, *options: str) -> dict[str, Any]:
        curve = {KeyType.ED25519: "ed25519", KeyType.SECP256K1: "secp256k1", KeyType.P256: "p256"}[key.key_type]
        basics = ("--url", url, "--to", to, "--amount-grains", str(amount_grains), "--key-type", curve)
        ran = self.run("transfer", *basics, *options, key=key)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    """The wallet with its packages, in a directory of its own."""
    node, npm = require_node_and_npm()
    directory = tmp_path_factory.mktemp("wallet")
    for source in (*SOURCES.glob("*.mjs"), *SOURCES.glob("package*.json")):
        shutil.copy(source, directory)
    installed = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if installed.returncode != 0:
        pytest.fail(f"npm ci could not fetch the wallet's packages from the npm registry:\n{installed.stderr}")
    return Wallet(node, directory)


def is_port_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_port_range() -> int:
    """The first of so many free ports in a row."""
    for first in WALLET_PORTS[::DEVNET_PORTS][:-1]:
        if all(is_port_free(port) for port in range(first, first + DEVNET_PORTS)):
            return first
    pytest.fail("no free range of ports for a devnet")


def call(url: str, method: str, **params: Any) -> Any:
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/rpc", request, headers), timeout=10) as response:
        answer = json.loads(response.read())
    assert "error" not in answer, answer
    return answer["result"]


def wait_until_answering(url: str, devnet: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + DEVNET_START_S
    while time.monotonic() < deadline_s:
        if devnet.poll() is not None:
            break
        try:
            call(url, "chain_id")
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the devnet did not answer:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def devnet_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The RPC address of the first of four super nodes, or of a devnet that runs already."""
    if running := os.environ.get(DEVNET_URL_VARIABLE):
        yield running
        return
    directory = tmp_path_factory.mktemp("devnet")
    port, log = find_port_range(), directory / "output.txt"
    command = [sys.executable, "-m", "node.cli.main", "devnet", "--home", str(directory / "home"), "--port", str(port)]
    with log.open("wb") as output:
        devnet = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_answering(url, devnet, log)
        yield url
    finally:
        devnet.send_signal(signal.SIGINT)
        try:
            devnet.wait(DEVNET_STOP_S)
        except subprocess.TimeoutExpired:
            devnet.kill()
            devnet.wait()


def test_the_lock_file_pins_versions_and_names_no_download_address():
    lock = (SOURCES / "package-lock.json").read_text()
    packages = {name: each for name, each in json.loads(lock)["packages"].items() if name}
    assert packages
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert not any("resolved" in each for each in packages.values())
    wanted = json.loads((SOURCES / "package.json").read_text())["dependencies"]
    assert wanted == {name.removeprefix("node_modules/"): each["version"] for name, each in packages.items()}


def test_the_wallet_agrees_with_every_vector(wallet):
    ran = wallet.run("self-test", "--vectors", str(DIRECTORY))
    report = json.loads(ran.stdout)
    assert report["failures"] == []
    assert ran.returncode == 0
    assert report["checks"] > 4_000


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("carlive_addresses.json", ("keys", 0, "address")),
        ("carlive_codec.json", ("values", 20, "encoded")),
        ("carlive_transactions.json", ("transactions", 2, "raw")),
        ("carlive_transactions.json", ("transactions", 5, "id")),
        ("carlive_state_proofs.json", ("proofs", 0, "encoded")),
        ("carlive_certificates.json", ("certificates", 0, "encoded")),
        ("carlive_certificates.json", ("headers", 2, "encoded")),
    ],
)
def test_the_self_test_notices_a_changed_vector(wallet, tmp_path, name, path):
    for each in VECTORS:
        shutil.copy(DIRECTORY / each, tmp_path)
    vectors = json.loads((tmp_path / name).read_text())
    *parents, last = path
    target = vectors
    for step in parents:
        target = target[step]
    target[last] = target[last][:-1] + f"{int(target[last][-1], 16) ^ 1:x}"
    (tmp_path / name).write_text(json.dumps(vectors))
    ran = wallet.run("self-test", "--vectors", str(tmp_path))
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["failures"]


def test_a_transfer_is_final_and_its_balance_is_proven(wallet, devnet_url):
    recipient = format_address(address_of(make_key("recipient of a transfer")), NetworkKind.DEVNET)
    genesis_hash = call(devnet_url, "chain_id")["genesisHash"]
    sent = wallet.transfer(devnet_url, DEVELOPMENT_KEYS[0], recipient, 123_456_789, "--genesis-hash", genesis_hash)
    assert int(sent["balanceAfterGrains"]) - int(sent["balanceBeforeGrains"]) == 123_456_789
    assert sent["provenByHeight"] > sent["height"]
    assert sent["isGenesisHashPinned"]
    assert sent["forgeriesRefused"] > 50
    assert call(devnet_url, "account_get", address=recipient)["balance"] == sent["balanceAfterGrains"]
    receipt = call(devnet_url, "tx_status", id=sent["transactionId"])
    assert (receipt["status"], receipt["height"]) == ("final", sent["height"])


@pytest.mark.parametrize("key_type", list(KeyType))
def test_accounts_of_every_key_type_send_in_both_orderings(wallet, devnet_url, key_type):
    key = make_key(f"wallet with {key_type.name}", key_type)
    address = format_address(address_of(key), NetworkKind.DEVNET)
    recipient = format_address(address_of(make_key(f"paid by {key_type.name}")), NetworkKind.DEVNET)
    wallet.transfer(devnet_url, DEVELOPMENT_KEYS[1], address, 10**9)
    before = call(devnet_url, "account_get", address=address)
    first = wallet.transfer(devnet_url, key, recipient, 5)
    second = wallet.transfer(devnet_url, key, recipient, 6, "--unordered", "--memo", "Ölwechsel 换油")
    assert int(first["balanceAfterGrains"]) - int(first["balanceBeforeGrains"]) == 5
    assert int(second["balanceAfterGrains"]) - int(first["balanceAfterGrains"]) == 6
    after = call(devnet_url, "account_get", address=address)
    assert after["sequence"] == before["sequence"] + 1
    fees_grains = int(first["feeGrains"]) + int(second["feeGrains"])
    assert int(after["balance"]) == int(before["balance"]) - 11 - fees_grains


def test_another_genesis_hash_stops_the_wallet_before_it_sends(wallet, devnet_url):
    address = format_address(address_of(DEVELOPMENT_KEYS[2]), NetworkKind.DEVNET)
    before = call(devnet_url, "account_get", address=address)
    arguments = ("--url", devnet_url, "--to", address, "--amount-grains", "1", "--genesis-hash", "0x" + "00" * 32)
    ran = wallet.run("transfer", *arguments, key=DEVELOPMENT_KEYS[2])
    assert ran.returncode == 1
    assert "genesis hash" in ran.stderr
    assert call(devnet_url, "account_get", address=address)["sequence"] == before["sequence"]


def test_an_amount_above_the_balance_is_reported_as_failed(wallet, devnet_url):
    address = format_address(address_of(DEVELOPMENT_KEYS[4]), NetworkKind.DEVNET)
    arguments = ("--url", devnet_url, "--to", address, "--amount-grains", str(2**63 - 1))
    ran = wallet.run("transfer", *arguments, key=DEVELOPMENT_KEYS[3])
    assert ran.returncode == 1
    assert "INSUFFICIENT_BALANCE" in ran.stderr
