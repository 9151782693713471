"""The wallet page in a real browser, on a real devnet, against the Python code."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from identity.address import NetworkKind
from identity.attributes import compute_attribute_commitment, open_attribute
from identity.did import compute_did, format_did
from identity.signing import SigningDomain, SigningPurpose, compute_signing_domain, signing_bytes
from identity.wallet.chains import Chain, WalletAccount, derive_account
from identity.wallet.mnemonic import compute_seed, decode_mnemonic
from ledger.codec import encode
from ledger.transaction import decode_transaction
from tests.browser.browser import PASSWORD, SOURCES, Driver, WalletPage, find_chromium
from tests.interop.test_node_wallet import call, is_port_free, require_node_and_npm, wait_until_answering
from tests.ports import BROWSER_PORTS
from tests.vectors.generate import DIRECTORY as VECTORS

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("browser")]

REPOSITORY = SOURCES.parent.parent
VENDOR = REPOSITORY / "rpc" / "wallet" / "vendor"
PORTS_PER_DEVNET = 20
STOP_S = 15
INSTALL_TIMEOUT_S = 120
COMMAND_TIMEOUT_S = 60
ALICE = "legal winner thank year wave sausage worth useful legal winner thank yellow"
BOB = " ".join(["letter advice cage absurd amount doctor acoustic avoid"] * 2) + (
    " letter advice cage absurd amount doctor acoustic bless"
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Chromium behind the driver, with the packages of package-lock.json."""
    chromium = find_chromium()
    node, npm = require_node_and_npm()
    directory = tmp_path_factory.mktemp("driver")
    for source in (*SOURCES.glob("*.mjs"), *SOURCES.glob("package*.json")):
        shutil.copy(source, directory)
    install(npm, directory)
    running = Driver(node, directory, chromium, tmp_path_factory.mktemp("profiles"))
    yield running
    running.close()


def install(npm: str, directory: Path) -> None:
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    ran = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    if ran.returncode != 0:
        pytest.fail(f"npm ci could not fetch packages from the npm registry:\n{ran.stderr}")


@pytest.fixture(scope="module")
def node_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A devnet of one node."""
    directory = tmp_path_factory.mktemp("devnet")
    log = directory / "output.txt"
    firsts = BROWSER_PORTS[::PORTS_PER_DEVNET]
    port = next(each for each in firsts if all(map(is_port_free, range(each, each + PORTS_PER_DEVNET))))
    command = ["devnet", "--validators", "1", "--home", str(directory / "home"), "--port", str(port)]
    environment = os.environ | {"CARLIVE_RPC_ALLOWED_ORIGINS": get_other_origin(f"http://127.0.0.1:{port}")}
    with log.open("wb") as output:
        devnet = subprocess.Popen(
            [sys.executable, "-m", "node.cli.main", *command],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_answering(url, devnet, log)
        yield url
    finally:
        devnet.send_signal(signal.SIGINT)
        try:
            devnet.wait(STOP_S)
        except subprocess.TimeoutExpired:
            devnet.kill()
            devnet.wait()


def get_other_origin(node_url: str) -> str:
    """Where the page may be hosted apart from the node: the last of the devnet's ports."""
    first = int(node_url.rpartition(":")[2])
    return f"http://localhost:{first + PORTS_PER_DEVNET - 1}"


@contextmanager
def host_apart(node_url: str, directory: Path) -> Iterator[str]:
    """The page on a web server of its own, as docs/wallet-page.md says."""
    origin = get_other_origin(node_url)
    page = shutil.copytree(VENDOR.parent, directory / "page") / "index.html"
    named = page.read_text().replace('name="carlive-node" content=""', f'name="carlive-node" content="{node_url}"')
    page.write_text(named)
    documented = (REPOSITORY / "docs" / "wallet-page.md").read_text().split("```")[1].strip()
    addresses = {"https://node.example:8645": node_url, "wss://node.example:8645": node_url.replace("http", "ws")}
    for example, address in addresses.items():
        documented = documented.replace(example, address)

    class Files(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for line in documented.splitlines():
                self.send_header(*line.split(": ", 1))
            super().end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(
        ("127.0.0.1", int(origin.rpartition(":")[2])), partial(Files, directory=page.parent)
    ) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield origin
        finally:
            server.shutdown()
            thread.join()


def carlive(url: str, *arguments: str) -> Any:
    """What a command of the program prints as JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", "node.cli.main", *arguments, "--yes", "--output", "json"],
        cwd=REPOSITORY,
        env=os.environ | {"CARLIVE_NODE": url},
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def compute_account(phrase: str) -> WalletAccount:
    """The first IOV account of `carlive wallet` on a devnet."""
    decode_mnemonic(phrase)
    return derive_account(compute_seed(phrase), Chain.IOV, NetworkKind.DEVNET, 0, 0)


def fund(url: str, address: str, iov: int) -> None:
    """From the devnet's first account."""
    assert call(url, "dev_fund", address=address, amount=str(iov * 10**8))["status"] == "final"


@dataclass(frozen=True)
class Person:
    """Somebody with a wallet that is open in a browser."""

    page: WalletPage
    phrase: str
    account: WalletAccount

    @property
    def address(self) -> str:
        return self.account.address


@pytest.fixture(scope="module")
def alice(driver: Driver, node_url: str) -> Person:
    """With 100 IOV."""
    page = WalletPage(driver, "alice").open(f"{node_url}/wallet")
    page.restore(ALICE)
    person = Person(page, ALICE, compute_account(ALICE))
    fund(node_url, person.address, 100)
    page.wait("#balance", "100 IOV")
    return person


@pytest.fixture(scope="module")
def bob(driver: Driver, node_url: str) -> Person:
    """With nothing."""
    page = WalletPage(driver, "bob").open(f"{node_url}/wallet")
    page.restore(BOB)
    return Person(page, BOB, compute_account(BOB))


@pytest.fixture(scope="module")
def stranger(driver: Driver, node_url: str) -> WalletPage:
    """A browser that never gets a wallet."""
    return WalletPage(driver, "stranger").open(f"{node_url}/wallet")


@pytest.fixture(scope="module")
def alice_did(alice: Person, node_url: str) -> str:
    """The identity that she has made with the page."""
    alice.page.show("identity")
    alice.page.click("#identity-create")
    statement, transaction = alice.page.sign_operation()
    assert statement["title"] == "Your identity signs: did.create"
    assert statement["doc"] == "Begin an identity; its name is the hash of the payload."
    assert statement["Kind"] == "1, person"
    assert statement["Public key"] == "0x" + alice.account.private_key.public_key.key.hex()
    assert transaction["title"] == "Your account signs: did.create"
    alice.page.wait("#did", "did:iov:devnet:")
    return alice.page.read("#did")


@pytest.fixture(scope="module")
def shop(node_url: str) -> str:
    """A verifier, whose key is dev1."""
    made = carlive(
        node_url, "did", "create", "--kind", "organisation", "--key", "dev1", "--from", "dev1", "--by", "dev1"
    )
    return str(made["did"])


def ask(url: str, shop: str, holder: str, secret: Path, purpose: str, *names: str) -> str:
    """A request of the shop: its id."""
    asked = [part for name in names for part in ("--attribute", name)]
    options = ("--as", shop, "--purpose", purpose, "--secret", str(secret), "--by", "dev1", "--from", "dev1")
    return str(carlive(url, "did", "request", holder, *options, *asked)["requestId"])


def find_request(url: str, holder: str, request_id: str) -> dict[str, Any]:
    requests = call(url, "did_requests", did=holder)["requests"]
    return next(each for each in requests if each["requestId"] == request_id)


def card_of(request_id: str) -> str:
    return f'li[data-request-id="{request_id}"]'


# Opening a wallet


def test_phrases_lead_to_the_addresses_of_the_command_line_wallet(alice, bob):
    assert [len(each.phrase.split()) for each in (alice, bob)] == [12, 24]
    assert [each.page.read("#address") for each in (alice, bob)] == [alice.address, bob.address]


@pytest.mark.parametrize(
    ("phrase", "told"),
    [
        (ALICE.replace("yellow", "year"), "their checksum does not match"),
        (ALICE.replace("wave", "wafe"), "Word 5 is not on the list"),
        (ALICE.removesuffix(" yellow"), "not 11"),
    ],
    ids=["checksum", "word", "count"],
)
def test_a_wrong_phrase_is_refused_by_name(stranger, phrase, told):
    stranger.type_phrase(phrase)
    stranger.wait("#restore-status.problem", told)
    assert stranger.run("evaluate", text="Object.keys(localStorage)") == []


@pytest.mark.parametrize(
    ("password", "repeated", "told"),
    [("short", "short", "at least 8 characters"), (PASSWORD, PASSWORD + "!", "The two passwords differ")],
)
def test_a_password_that_protects_nothing_is_refused(stranger, password, repeated, told):
    stranger.fill("#create-password", password)
    stranger.fill("#create-repeated", repeated)
    stranger.click("#create-button")
    stranger.wait("#create-status.problem", told)
    assert not stranger.run("isShown", "#view-backup")


def test_a_new_wallet_is_written_down_locked_and_unlocked(driver, node_url):
    page = WalletPage(driver, "new").open(f"{node_url}/wallet")
    page.fill("#create-password", PASSWORD)
    page.fill("#create-repeated", PASSWORD)
    page.click("#create-button")
    page.wait("#view-backup")
    words = page.run("texts", "#backup-words li")
    account = compute_account(" ".join(words))
    asked = [int(text.removeprefix("Word ").split()[0]) for text in page.run("texts", "#backup-questions label")]
    assert len(words) == 24
    for position in asked:
        page.fill(f"#backup-word-{position}", "wrong")
    page.click("#backup-button")
    page.wait("#backup-status.problem", f"Word {asked[0]} is another one")
    for position in asked:
        page.fill(f"#backup-word-{position}", words[position - 1])
    page.click("#backup-button")
    page.wait("#address", account.address)
    assert page.run("texts", "#backup-words li") == []

    page.run("reload")
    page.wait("#view-unlock")
    page.unlock("not the password")
    page.wait("#unlock-status.problem", "Wrong password")
    assert not page.run("isShown", "#view-wallet")
    page.unlock(PASSWORD)
    page.wait("#address", account.address)

    page.show("phrase")
    assert page.run("texts", "#phrase-words li") == []
    page.fill("#phrase-password", "not the password")
    page.click("#phrase-button")
    page.wait("#phrase-status.problem", "Wrong password")
    page.fill("#phrase-password", PASSWORD)
    page.click("#phrase-button")
    page.wait("#phrase-shown")
    assert page.run("texts", "#phrase-words li") == words
    page.show("money")
    assert page.run("texts", "#phrase-words li") == []
    check_nothing_is_told(page, " ".join(words))


def test_a_wallet_that_nobody_touches_locks_itself(driver, node_url):
    page = WalletPage(driver, "idle").open(f"{node_url}/wallet")
    page.run("freezeClock")
    page.run("reload")
    address = page.restore(f"  {ALICE.upper()}\n")
    page.run("passTime", seconds=4 * 60)
    page.show("money")
    page.run("passTime", seconds=4 * 60)
    assert page.read("#address") == address
    page.run("passTime", seconds=5 * 60 + 2)
    page.wait("#view-unlock")
    assert page.run("evaluate", text="document.getElementById('address').textContent") == ""


def test_a_vault_that_was_changed_is_not_opened(driver, node_url):
    page = WalletPage(driver, "changed").open(f"{node_url}/wallet")
    page.restore(ALICE)
    cheaper = "localStorage.setItem(NAME, localStorage.getItem(NAME).replace('131072', '1024'))"
    page.run("evaluate", text=cheaper.replace("NAME", "'carlive-wallet'"))
    page.click("#lock")
    page.unlock(PASSWORD)
    page.wait("#unlock-status.problem", "damaged")

    page.click("#forget")
    page.wait("#view-welcome")
    page.restore(ALICE)
    other_genesis = "localStorage.setItem('carlive-wallet-chain', 'another')"
    page.run("evaluate", text=other_genesis)
    page.click("#lock")
    page.unlock(PASSWORD)
    page.wait("#chain-changed", "This node is on another chain")
    assert not page.run("isShown", "#view-wallet")
    page.click("#chain-trust")
    page.wait("#view-wallet")
    assert not page.run("isShown", "#chain-changed")


# Money


def test_what_is_sent_arrives_and_stands_in_both_histories(alice, bob, node_url):
    bob.page.wait("#history-empty")
    before = int(call(node_url, "account_get", address=alice.address)["balance"])
    alice.page.start_sending(bob.address, "1.5")
    review = alice.page.sign()
    alice.page.wait("#send-status", "Final in block")

    identifier = review["Transaction id"]
    found = call(node_url, "chain_getTransaction", id=identifier)
    body = decode_transaction(bytes.fromhex(found["raw"][2:])).body_bytes
    chain = call(node_url, "chain_id")
    domain = compute_signing_domain(chain["chainId"], bytes.fromhex(chain["genesisHash"][2:]))
    assert review == {
        "title": "Your account signs: iov.transfer",
        "doc": "Move coins from the sender to another account.",
        "To": bob.address,
        "Amount": "1.5 IOV (150000000 grains)",
        "From": alice.address,
        "Fee at most": review["Fee at most"],
        "Gas limit": str(found["transaction"]["gasLimit"]),
        "Sequence number": str(found["transaction"]["sequence"]),
        "Valid until block": str(found["transaction"]["validUntil"]),
        "Chain": f"{chain['chainId']}, genesis {chain['genesisHash']}",
        "Transaction id": "0x" + sha256(body).hexdigest(),
        "hash": "0x" + sha256(signing_bytes(SigningPurpose.TRANSACTION, domain, body)).hexdigest(),
    }
    assert review["Fee at most"].endswith(f"({found['transaction']['feeMax']} grains)")

    bob.page.wait("#balance", "1.5 IOV")
    bob.page.wait("#history tr", "+1.5 IOV")
    alice.page.wait("#history tr", "−1.5 IOV")
    after = int(alice.page.run("evaluate", text="document.getElementById('balance').dataset.grains"))
    assert after == before - 150_000_000 - int(found["receipt"]["fee"])


def test_more_than_there_is_cannot_be_sent(alice, bob):
    alice.page.start_sending(bob.address, "5000")
    alice.page.wait("#send-status.problem", "There is not enough money")


@pytest.mark.parametrize(
    ("recipient", "amount", "told"),
    [
        ("iov1g7zk9aac6zf7x4wmdtvlng4m8xyk7gqh62a4dp", "1", "another network"),
        ("iovd1g7zk9aac6zf7x4wmdtvlng4m8xyk7gqhnahmmx", "1", "typing error"),
        ("iovd1g7zk9aac6zf7x4wmdtvlng4m8xyk7gqhnahmmt", "1,5", "such as 1.5"),
        ("iovd1g7zk9aac6zf7x4wmdtvlng4m8xyk7gqhnahmmt", "0.000000001", "8 decimals"),
    ],
)
def test_wrong_entries_are_told_before_anything_is_signed(alice, recipient, amount, told):
    alice.page.start_sending(recipient, amount)
    alice.page.wait("#send-status.problem", told)
    assert not alice.page.run("isShown", "#review")


def test_nothing_is_sent_without_consent(alice, bob, node_url):
    before = call(node_url, "account_get", address=alice.address)["sequence"]
    alice.page.start_sending(bob.address, "1")
    alice.page.read_review()
    alice.page.run("press", text="Escape")
    alice.page.wait("#send-status.problem", "Nothing was signed")
    assert call(node_url, "account_get", address=alice.address)["sequence"] == before


def test_older_history_comes_page_by_page(bob, node_url):
    for _ in range(11):
        fund(node_url, bob.address, 1)
    newest = [each["id"] for each in call(node_url, "account_history", address=bob.address)["entries"]]
    bob.page.wait(f'#history tr[title="{newest[0]}"]')
    assert len(bob.page.run("texts", "#history tr")) == 10
    bob.page.click("#history-more")
    bob.page.wait(f'#history tr[title="{newest[-1]}"]')
    assert len(bob.page.run("texts", "#history tr")) == len(newest)
    assert not bob.page.run("isShown", "#history-more")


def test_a_node_that_names_arguments_otherwise_gets_no_signature(bob, node_url):
    bob.page.run("reload")  # descriptions are asked for once
    bob.page.unlock(PASSWORD)
    bob.page.wait("#history tr")
    changed = {"from": "Move coins from the sender to another account.", "to": "Receive coins."}
    bob.page.run("changeAnswers", text="module_describe", **changed)
    bob.page.start_sending(compute_account(ALICE).address, "0.1")
    bob.page.wait("#send-status.problem", "The node describes iov.transfer otherwise")
    bob.page.run("leaveAnswers")


DOMAIN = compute_signing_domain("a-chain", bytes(32))
TRANSFER = ["iov", "transfer", [bytes(20), 5]]


def build_message(
    *, calls: Any = (TRANSFER,), domain: bytes = DOMAIN, sender: bytes = bytes(20), payer: Any = None, fee: int = 9
) -> bytes:
    body = [1, "a-chain", sender, 0, 9, 9, fee, payer, list(calls), ""]
    return signing_bytes(SigningPurpose.TRANSACTION, SigningDomain(domain), encode(body))


EXPLAIN = """(async () => {
  const [{ explain }, { Client }, { fromHex }] = await Promise.all(
    ["calls.js", "rpc.js", "bytes.js"].map((name) => import("/wallet/" + name)));
  const chain = { chainId: "a-chain", network: "devnet", domain: fromHex("DOMAIN"), genesisHash: new Uint8Array(32) };
  const describe = (module) => new Client(location.origin).call("module_describe", { module });
  const known = { requests: new Map(), boxKeys: new Map() };
  try {
    return (await explain(fromHex("MESSAGE"), chain, { address: new Uint8Array(20) }, describe, known)).title;
  } catch (problem) {
    return problem.message;
  }
})()"""


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (build_message(), "Your account signs: iov.transfer"),
        (build_message(domain=bytes(32)), "This would be signed for another chain."),
        (build_message(sender=bytes([1] * 20)), "of another chain or account"),
        (build_message(payer=bytes([1] * 20)), "somebody else is to pay"),
        (build_message(fee=10**8), "Your account signs: iov.transfer"),
        (build_message(fee=10**8 + 1), "a fee above 1 IOV"),
        (build_message(calls=[TRANSFER, TRANSFER]), "one call at a time"),
        (build_message(calls=[["staking", "delegate", [bytes(20), 5]]]), "does not sign staking.delegate"),
        (build_message(calls=[["iov", "transfer", [bytes(20), 5, 1]]]), "other arguments than these"),
        (build_message(calls=[["iov", "transfer", [bytes(19), 5]]]), "To: not of type address"),
        (build_message(calls=[["iov", "transfer", [bytes(20), "5"]]]), "Amount: not of type grains"),
        (build_message()[:-1] + b"\xd9\x00", "not the shortest form"),
        (build_message() + b"\x00", "bytes after the value"),
        (signing_bytes(SigningPurpose.PRECOMMIT, DOMAIN, encode([1, 0, None])), "nothing for the purpose 4"),
        (signing_bytes(SigningPurpose.ATTRIBUTE_REFUSAL, DOMAIN, encode([bytes(20), bytes(32)])), "has not seen what"),
        (b"carlive/message/1\x00" + bytes(64), "these are no signing bytes"),
    ],
)
def test_only_what_is_understood_as_a_whole_is_explained(stranger, message, told):
    text = EXPLAIN.replace("DOMAIN", "0x" + DOMAIN.hex()).replace("MESSAGE", "0x" + message.hex())
    assert told in stranger.run("evaluate", text=text)


# Identity and attributes


def test_an_identity_is_shown_as_text_code_and_document(alice, alice_did, node_url):
    key = alice.account.private_key.public_key.key
    payload = [1, None, [[[[[1, key, 1]], 1], []], None, None, None, None], [], b""]
    assert alice_did == format_did(compute_did(encode(payload)), NetworkKind.DEVNET)
    alice.page.show("identity")
    assert alice.page.run("readQr", "#did-qr svg") == alice_did
    alice.page.click("#identity-own summary")
    document = call(node_url, "did_resolve", did=alice_did)["didDocument"]
    assert json.loads(alice.page.read("#did-document")) == document


def test_an_approved_request_is_opened_by_its_verifier_and_withdrawn(alice, alice_did, shop, node_url, tmp_path):
    alice.page.show("requests")
    secret = tmp_path / "answer.key"
    request_id = ask(node_url, shop, alice_did, secret, "To rent a car", "adult", "name.full", "residence")
    card = card_of(request_id)
    alice.page.wait(f"#requests-open {card}", "To rent a car")
    assert shop in alice.page.read(card)
    given = {"adult": "yes", "name.full": "Åsa Øst", "residence": "12 Long Street, " * 3}
    for name, value in given.items():
        alice.page.fill(f'{card} input[name="{name}"]', value)
    alice.page.click(f'{card} button:text("Approve")')
    statement, transaction = alice.page.sign_operation()
    for review in (statement, transaction):
        shown = {label: review[label] for label in ("Request", "Asked by", "Wants to know", "What for")}
        assert shown == {
            "Request": request_id,
            "Asked by": shop,
            "Wants to know": "adult, name.full, residence",
            "What for": "To rent a car",
        }
        assert {name: review[f"You tell {name}"] for name in ("adult", "name.full")} == {
            "adult": "yes",
            "name.full": "Åsa Øst",
        }
    alice.page.wait(f"#requests-given {card}")

    found = find_request(node_url, alice_did, request_id)
    assert found["state"] == "approved"
    opened = {}
    for answer in found["answers"]:
        value, salt = open_attribute(bytes.fromhex(answer["sealed"][2:]), bytes.fromhex(secret.read_text()))
        commitment = compute_attribute_commitment(answer["name"], value, salt)
        assert answer["commitment"] == "0x" + commitment.hex()
        opened[answer["name"]] = value.decode()
    assert opened == given
    assert [len(bytes.fromhex(answer["sealed"][2:])) for answer in found["answers"]] == [48 + 64, 48 + 64, 48 + 128]

    alice.page.click(f'#requests-given {card} button:text("Withdraw")')
    statement, _ = alice.page.sign_operation()
    assert statement["doc"] == "End the consent to a request that was approved, as the holder."
    alice.page.wait("#requests-given-none")
    assert find_request(node_url, alice_did, request_id)["state"] == "withdrawn"


def test_a_refused_request_gets_nothing(alice, alice_did, shop, node_url, tmp_path):
    alice.page.show("requests")
    request_id = ask(node_url, shop, alice_did, tmp_path / "answer.key", "Just so", "income")
    card = card_of(request_id)
    alice.page.wait(card)
    alice.page.click(f'{card} button:text("Refuse")')
    statement, _ = alice.page.sign_operation()
    assert (statement["title"], statement["Request"]) == ("Your identity signs: attributes.refuse", request_id)
    alice.page.wait(f"#section-requests:not(:has(#requests-open {card}))")
    found = find_request(node_url, alice_did, request_id)
    assert (found["state"], found["answers"]) == ("refused", [])


def test_a_request_that_is_not_what_its_id_says_cannot_be_answered(alice, alice_did, shop, node_url, tmp_path):
    alice.page.show("requests")
    alice.page.run("changeAnswers", text='"name":"request"', **{"from": "To check my age", "to": "To win a car"})
    request_id = ask(node_url, shop, alice_did, tmp_path / "answer.key", "To check my age", "born")
    card = card_of(request_id)
    alice.page.wait(f"{card} .problem", "is not the request of this id")
    assert alice.page.run("texts", f"{card} button") == []
    alice.page.run("leaveAnswers")


# What must never happen


def check_nothing_is_told(page: WalletPage, phrase: str) -> None:
    """Neither storage nor traffic nor the console holds phrase, entropy, seed, key or password, in any usual form."""
    dump = "Object.entries(localStorage).concat(Object.entries(sessionStorage), await indexedDB.databases())"
    kept = json.dumps(page.run("evaluate", text=dump), ensure_ascii=False)
    said = "\n".join(page.run("readSaid"))
    seed, secret = compute_seed(phrase), compute_account(phrase).private_key.secret
    words = phrase.split()
    assert len(said) > 1_000
    assert "scrypt-aes256gcm" in kept
    for place in (kept, said):
        for secret_bytes in (decode_mnemonic(phrase), seed, secret):
            assert secret_bytes.hex() not in place.lower()
            assert json.dumps(list(secret_bytes), separators=(",", ":"))[1:-1] not in place
        for pair in pairwise(words):
            assert " ".join(pair) not in place
        assert PASSWORD not in place
    assert page.run("readProblems") == []


def test_no_secret_is_kept_or_sent_in_the_clear(alice, alice_did):
    check_nothing_is_told(alice.page, alice.phrase)


def test_the_page_may_run_no_foreign_code_and_talk_to_nobody_else(alice, node_url):
    policy = alice.page.run("readHeaders")["content-security-policy"]
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    hosts = {line.split("/")[2] for line in alice.page.run("readSaid") if line.startswith(("http", "ws"))}
    assert hosts == {node_url.removeprefix("http://")}
    watched = """(() => new Promise((resolve) => {
      const tell = (event) => resolve(event.effectiveDirective);
      document.addEventListener("securitypolicyviolation", tell, { once: true });
      (async () => { ATTEMPT })().catch(() => {});
    }))()"""
    attempts = {
        "await fetch('http://localhost:9/')": "connect-src",
        "new Image().src = 'http://localhost:9/'": "img-src",
        "document.body.setAttribute('onclick', '1')": "require-trusted-types-for",
        "document.body.innerHTML = '<b>x</b>'": "require-trusted-types-for",
        "document.createElement('script').src = 'http://localhost:9/'": "require-trusted-types-for",
    }
    stopped = {each: alice.page.run("evaluate", text=watched.replace("ATTEMPT", each)) for each in attempts}
    assert stopped == attempts


def test_the_page_works_from_a_server_of_its_own(driver, node_url, tmp_path):
    with host_apart(node_url, tmp_path) as origin:
        page = WalletPage(driver, "apart").open(f"{origin}/")
        assert page.restore(BOB) == compute_account(BOB).address
        page.wait("#link", "live")
        page.wait("#balance", "IOV")
        hosts = {line.split("/")[2] for line in page.run("readSaid") if line.startswith(("http", "ws"))}
        assert hosts == {node_url.removeprefix("http://"), origin.removeprefix("http://")}
        page.driver.run("close", page=page.name)


# The parts


def test_the_codec_agrees_with_every_vector(stranger):
    vectors = json.loads((VECTORS / "carlive_codec.json").read_text())
    check = """(async () => {
      const { decode, encode } = await import("/wallet/codec.js");
      const { fromHex, toHex } = await import("/wallet/bytes.js");
      const name = (value) => {
        if (Array.isArray(value)) return value.map(name);
        if (typeof value === "string") return { text: value };
        if (value instanceof Uint8Array) return { bytes: toHex(value).slice(2) };
        return typeof value === "boolean" || value === null ? value : { int: String(value) };
      };
      const isRefused = (digits) => { try { decode(fromHex("0x" + digits)); return false; } catch { return true; } };
      const decoded = GOOD.map((each) => decode(fromHex("0x" + each)));
      const encoded = decoded.map((each) => toHex(encode(each)).slice(2));
      return [decoded.map(name), encoded, BAD.filter((each) => !isRefused(each))];
    })()"""
    good = [each["encoded"] for each in vectors["values"]]
    of_arguments = ("not an array", "nested deeper than 16")  # rules of calls, whose types this wallet knows
    bad = [each["encoded"] for each in vectors["refused_values"] if each["why"] not in of_arguments]
    found = stranger.run("evaluate", text=check.replace("GOOD", json.dumps(good)).replace("BAD", json.dumps(bad)))
    assert found == [[each["value"] for each in vectors["values"]], good, []]


@pytest.mark.parametrize("directory", [SOURCES, VENDOR], ids=["driver", "libraries"])
def test_lock_files_pin_versions_and_name_no_download_address(directory):
    lock = json.loads((directory / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert not any("resolved" in each for each in packages.values())
    manifest = json.loads((directory / "package.json").read_text())
    wanted = manifest.get("dependencies", {}) | manifest.get("devDependencies", {})
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in wanted.items())


def test_the_bundled_libraries_are_what_their_packages_build(tmp_path):
    _, npm = require_node_and_npm()
    for name in ("package.json", "package-lock.json", "entry.js"):
        shutil.copy(VENDOR / name, tmp_path)
    install(npm, tmp_path)
    built = subprocess.run([npm, "run", "build"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "libraries.js").read_bytes() == (VENDOR / "libraries.js").read_bytes()
    notices = (VENDOR / "LICENCES.txt").read_text()
    manifest = json.loads((VENDOR / "package.json").read_text())
    for name, version in manifest["devDependencies"].items():
        if name != "esbuild":  # builds, and leaves nothing of itself behind
            assert f"==== {name}, version {version}" in notices
            assert (tmp_path / "node_modules" / name / "LICENSE").read_text() in notices
