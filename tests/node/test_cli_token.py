"""What the commands about locked coins, the sale, gifts and acceptors sign and show."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from genesis.presets import list_development_accounts
from identity.address import NetworkKind, compute_key_address, format_address
from identity.did import Did, format_did
from identity.keys import KeyType, PrivateKey
from ledger.codec import encode
from ledger.primitives import Grains, Height, TimeMs, TransactionId
from ledger.state_keys import acceptor_key
from node.cli.failures import ExitCode
from node.key_files import create_key_file
from tests.builders import make_key
from tests.lockup_scene import LockupScene, linear, steps
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import DOMAIN
from tests.sale_scene import SaleScene, reference_of
from tests.stake_scene import HOLDERS, IOV
from vm.context import Context
from vm.gas import GasMeter
from vm.native.acceptors import FIRST_RULES, Acceptor, Apply, Check, Withdraw, compute_application_hash
from vm.native.gifts import Claim, Give, Refund, Tip, TipDid
from vm.native.governance import (
    ProposeAcceptor,
    ProposeAcceptorRemoval,
    ProposeAcceptorRules,
    ProposeGrant,
    ProposeRevocation,
    ProposeSale,
    ProposeSaleEnd,
)
from vm.native.iov import credit
from vm.native.lockup_records import Clock, build_cliff
from vm.native.lockups import Settle
from vm.native.registry import find_call
from vm.native.sale import Deliver
from vm.native.sale_records import PurchaseStatus

NETWORK = NetworkKind.DEVNET
DEV = [compute_key_address(account.key.public_key) for account in list_development_accounts()]
DEV_TEXTS = [format_address(address, NETWORK) for address in DEV]
ALICE_TEXT = format_address(HOLDERS[0], NETWORK)
TERMS = ["--title", "Why", "--effective", "1000"]
FIRST_OF_2027_MS = 1_798_761_600_000


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        yield scene


def execute(node: CliScene, state: Any, height: int, sender: int = 0) -> None:
    """Execute the call signed last."""
    (call,) = node.list_signed()[-1]
    ready = find_call(call.module, call.call)
    block = LockupScene().build_block()
    block = replace(block, height=Height(height), time_ms=TimeMs(height * 1_000), domain=DOMAIN)
    context = Context(block, DEV[sender], DEV[sender], TransactionId(bytes(32)), GasMeter(10**9, 0))
    ready.rule.apply(state, context, ready.read_arguments(call.arguments))


# Locked coins


async def test_lockups_are_shown_with_when_they_unlock(node: CliScene) -> None:
    scene = LockupScene()
    node.scene = scene
    scene.grant(HOLDERS[0], 5 * IOV, linear(0, FIRST_OF_2027_MS, FIRST_OF_2027_MS))
    scene.grant(HOLDERS[0], IOV, steps((7, 2_550), (9, 10_000), clock=Clock.HEIGHT), is_revocable=False)
    table = (await node.run("token", "locks", ALICE_TEXT)).stdout
    for part in ("5 IOV", "evenly from 1970-01-01", "2027-01-01", "revocable", "25.50 % after block 7", "for good"):
        assert part in table
    records = await node.run_json("token", "locks", ALICE_TEXT)
    assert [each["amountGrains"] for each in records["lockups"]] == [str(5 * IOV), str(IOV)]
    account = await node.run_json("query", "account", ALICE_TEXT)
    assert account["locked"] == str(6 * IOV)
    assert "nothing is locked" in (await node.run("token", "locks", DEV_TEXTS[0])).stderr


async def test_anybody_settles_an_account(node: CliScene) -> None:
    assert await node.sign("token", "settle", "dev1") == Settle(DEV[1])


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        (["--cliff", "2027-01-01T00:00:00Z"], build_cliff(FIRST_OF_2027_MS)),
        (
            ["--linear", "2026-12-31T00:00:00Z,2027-01-01T00:00:00Z,2027-01-01T01:00:00+01:00"],
            linear(FIRST_OF_2027_MS - 86_400_000, FIRST_OF_2027_MS, FIRST_OF_2027_MS),
        ),
    ],
)
async def test_a_grant_is_proposed_with_its_schedule(node: CliScene, options: list[str], schedule: object) -> None:
    grant = ["gov", "propose", "grant", "--source", "team", "--to", "dev1", "--amount", "1.5", "--revocable"]
    signed = await node.sign(*grant, *options, *TERMS)
    assert replace(signed, terms=None) == ProposeGrant("team", DEV[1], Grains(150_000_000), schedule, True, None)


async def test_a_schedule_may_stand_in_a_file(node: CliScene, tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    plain = {"linear": None, "clock": 2, "isInGrains": True, "steps": [{"at": 7, "unlocked": "100000000"}]}
    path.write_text(json.dumps(plain), encoding="utf-8")
    grant = ["gov", "propose", "grant", "--source", "team", "--to", "dev1", "--amount", "1", "--schedule", str(path)]
    signed = await node.sign(*grant, *TERMS)
    assert signed.schedule == steps((7, IOV), clock=Clock.HEIGHT, is_in_grains=True)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ([], "one of --cliff, --linear and --schedule"),
        (["--cliff", "2027-01-01T00:00:00Z", "--linear", "1,2,3"], "one of"),
        (["--cliff", "2027-01-01T00:00:00"], "is not a time"),
        (["--linear", "2027-01-01T00:00:00Z"], "write three times"),
        (["--schedule", "nowhere.json"], "does not exist"),
    ],
)
async def test_wrong_schedules_are_answered_with_what_to_write(node: CliScene, options: list[str], advice: str) -> None:
    grant = ["gov", "propose", "grant", "--source", "team", "--to", "dev1", "--amount", "1", "--from", "dev0"]
    result = await node.run(*grant, *options, *TERMS, "--yes")
    assert result.exit_code == ExitCode.WRONG_USE
    assert advice in result.stderr


async def test_other_decisions_are_proposed(node: CliScene) -> None:
    signed = await node.sign("gov", "propose", "revocation", "--account", "dev1", "--number", "3", *TERMS)
    assert replace(signed, terms=None) == ProposeRevocation(DEV[1], 3, None)
    signed = await node.sign("gov", "propose", "sale-end", "2", *TERMS)
    assert replace(signed, terms=None) == ProposeSaleEnd(2, None)
    signed = await node.sign("gov", "propose", "acceptor-rules", "--holdings", "5", "--coin-age", "7", *TERMS)
    assert isinstance(signed, ProposeAcceptorRules)
    assert (signed.rules.holdings_min_grains, signed.rules.coin_age_min_iov_days) == (5 * IOV, 7)
    signed = await node.sign("gov", "propose", "remove-acceptor", "--account", "dev1", *TERMS)
    assert replace(signed, terms=None) == ProposeAcceptorRemoval(DEV[1], None)


# The sale


@pytest.fixture
def sale(node: CliScene, tmp_path: Path) -> SaleScene:
    """An open sale behind the node; the keys of its cashier and of Alice are here."""
    scene = SaleScene()
    for name in ("cashier", "alice"):
        create_key_file(tmp_path / "keys" / f"{name}.key", make_key(name))
    scene.open()
    node.scene = scene  # type: ignore[assignment]  # its state is what the node answers from
    return scene


async def test_a_sale_is_proposed_from_a_file(node: CliScene, sale: SaleScene, tmp_path: Path) -> None:
    shown = await node.run_json("sale", "show")
    path = tmp_path / "sale.json"
    path.write_text(json.dumps(shown["terms"]), encoding="utf-8")
    signed = await node.sign("gov", "propose", "sale", str(path), *TERMS)
    assert replace(signed, terms=None) == ProposeSale(sale.terms, None)


async def test_a_purchase_from_payment_to_delivery(node: CliScene, sale: SaleScene) -> None:
    alice = format_did(sale.alice, NETWORK)
    buy = ["sale", "buy", "--sale", "1", "--tier", "0", "--buyer", alice, "--payment", "wire 7", "--paid", "300"]
    await node.sign(*buy, "--currency", "EUR", "--jurisdiction", "DE", "--by", "cashier")
    execute(node, sale.state, sale.height)
    purchase = sale.get_purchase()
    assert (purchase.reference, purchase.amount_grains) == (sha256(b"wire 7").digest(), 800)
    table = (await node.run("sale", "purchases", "--sale", "1")).stdout
    assert "bought" in table
    repaid = ["sale", "repaid", "--sale", "1", "--purchase", "1", "--by", "cashier", "--amount"]
    await node.sign(*repaid, "60")
    execute(node, sale.state, sale.height)
    assert sale.get_purchase().repaid_minor == 60
    nothing = await node.run(*repaid, "60", "--from", "dev0", "--yes")
    assert (nothing.exit_code, "0 minor units are owed" in nothing.stderr) == (ExitCode.FAILED, True)
    await node.sign("sale", "withdraw", "--sale", "1", "--purchase", "1", "--by", f"{alice}=alice")
    execute(node, sale.state, sale.height)
    assert sale.get_purchase().status is PurchaseStatus.WITHDRAWN
    await node.sign(*repaid, "240")
    execute(node, sale.state, sale.height)
    assert (sale.get_purchase().owed_minor, sale.get_purchase().repaid_minor) == (0, 300)
    assert await node.sign("sale", "deliver", "--sale", "1", "--purchase", "1") == Deliver(1, 1)
    missing = await node.run(
        *("sale", "withdraw", "--sale", "1", "--purchase", "9", "--by", "alice", "--from", "dev0", "--yes")
    )
    assert missing.exit_code == ExitCode.FAILED


async def test_a_sale_is_shown_with_its_tiers(node: CliScene, sale: SaleScene) -> None:
    sale.accept(sale.pay(30))
    table = (await node.run("sale", "show", "1")).stdout
    for part in ("0.000015 IOV", "CN, US", "EUR", "3 minor units for 0.0000001 IOV", "0.000009 IOV"):
        assert part in table
    assert (await node.run("sale", "show", "2")).exit_code == ExitCode.FAILED
    assert sale.answer("payment", reference_of(1)) is not None


# Gifts


async def test_a_tip_goes_to_an_address_a_key_or_an_identity(node: CliScene, sale: SaleScene) -> None:
    tip = ["gift", "send", "--amount", "1.5", "--message", "thanks"]
    assert await node.sign(*tip, "--to", "dev1") == Tip(DEV[1], Grains(150_000_000), "thanks")
    did = format_did(sale.alice, NETWORK)
    assert await node.sign(*tip, "--to", did) == TipDid(sale.alice, Grains(150_000_000), "thanks")
    wrong = await node.run(*tip, "--to", "did:iov:nobody", "--from", "dev0", "--yes")
    assert wrong.exit_code == ExitCode.WRONG_USE


async def test_links_are_written_before_the_gifts_are_sent_and_claimed_by_their_file(
    node: CliScene, tmp_path: Path
) -> None:
    out = tmp_path / "links"
    signed = await node.sign("gift", "link", "--amount", "2", "--count", "2", "--days", "1", "--out", str(out))
    assert isinstance(signed, Give)
    links = [json.loads((out / f"gift-{index}.json").read_text(encoding="utf-8")) for index in (1, 2)]
    keys = [PrivateKey(KeyType.ED25519, bytes.fromhex(link["seed"])) for link in links]
    assert [link["giver"] for link in links] == [DEV_TEXTS[0]] * 2
    assert [line.claim_key for line in signed.gifts] == [key.public_key.key for key in keys]
    assert [line.amount_grains for line in signed.gifts] == [2 * IOV, 2 * IOV]
    state = node.scene.state
    credit(state, DEV[0], 100 * IOV, 0)
    execute(node, state, signed.expires_ms // 1_000 - 10)
    link = str(out / "gift-1.json")
    waiting = {"giver": DEV_TEXTS[0], "amountGrains": str(2 * IOV), "expiresMs": signed.expires_ms, "message": ""}
    assert await node.run_json("gift", "show", link) == waiting
    claimed = await node.sign("gift", "claim", link, "--to", "dev2", signer="dev1")
    assert isinstance(claimed, Claim)
    execute(node, state, signed.expires_ms // 1_000 - 10, sender=1)
    assert node.scene.get_balance(DEV[2]) == 2 * IOV
    assert (await node.run("gift", "show", link)).exit_code == ExitCode.WRONG_USE
    refunded = await node.sign("gift", "refund", str(out / "gift-2.json"))
    assert refunded == Refund(signed.gifts[1].claim_key, DEV[0])
    again = await node.run("gift", "link", "--amount", "2", "--out", str(out), "--from", "dev0", "--yes")
    assert again.exit_code == ExitCode.WRONG_USE
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("{}", "is not a link"),
        ('{"chain": "other", "giver": "", "seed": "' + "00" * 32 + '"}', "is for the chain other"),
        ('{"chain": "carlive-test", "giver": "", "seed": "' + "00" * 32 + '"}', "is not a link"),
        ('{"chain": "carlive-test", "giver": 7, "seed": "' + "00" * 32 + '"}', "is not a link"),
        ('{"chain": "carlive-test", "seed": "' + "00" * 32 + '"}', "is not a link"),
        (f'{{"chain": "carlive-test", "giver": "{DEV_TEXTS[0]}", "seed": "00"}}', "is not a link"),
        ("[]", "is not a link"),
        ("no", "is not JSON"),
    ],
)
async def test_what_is_no_link_is_told(node: CliScene, tmp_path: Path, text: str, advice: str) -> None:
    path = tmp_path / "link.json"
    path.write_text(text, encoding="utf-8")
    result = await node.run("gift", "refund", str(path), "--from", "dev0", "--yes")
    assert result.exit_code == ExitCode.WRONG_USE
    assert advice in result.stderr


# Acceptors


async def test_an_acceptor_applies_with_the_hash_of_its_terms(node: CliScene, tmp_path: Path) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("one for one", encoding="utf-8")
    options = ["--name", "Bank", "--terms-url", "https://example.org/terms", "--terms", str(path)]
    expected = Apply("Bank", "https://example.org/terms", sha256(b"one for one").digest())
    assert await node.sign("acceptor", "apply", *options) == expected
    assert await node.sign("acceptor", "withdraw") == Withdraw()
    assert await node.sign("acceptor", "check", "dev1") == Check(DEV[1])


async def test_acceptors_and_rules_are_listed(node: CliScene) -> None:
    assert "there are no acceptors" in (await node.run("acceptor", "list")).stderr
    for index in range(102):
        listed = Height(5) if index % 2 else None
        record = Acceptor(DEV[1], f"Bank {index}", "https://example.org", bytes(32), Height(1), listed)  # type: ignore[arg-type]  # any 20 bytes
        node.scene.state.put(acceptor_key(index.to_bytes(20, "big")), encode(record))  # type: ignore[arg-type]
    table = (await node.run("acceptor", "list")).stdout
    assert "waits for approval" in table
    assert "listed since block 5" in table
    records = await node.run_json("acceptor", "list")
    assert [each["name"] for each in records] == [f"Bank {index}" for index in range(102)]
    assert (await node.run_json("acceptor", "rules"))["holdingsMinGrains"] == str(FIRST_RULES.holdings_min_grains)


async def test_an_acceptor_is_approved_with_what_is_shown(node: CliScene) -> None:
    application = Acceptor(Did(DEV[1]), "Bank", "https://example.org/terms", bytes(32), Height(1), None)
    node.scene.state.put(acceptor_key(DEV[1]), encode(application))
    hash_text = "0x" + compute_application_hash(application).hex()
    shown = await node.run_json("acceptor", "show", DEV_TEXTS[1])
    assert (shown["name"], shown["applicationHash"]) == ("Bank", hash_text)
    assert "waits for approval" in (await node.run("acceptor", "show", DEV_TEXTS[1])).stdout
    propose = ["gov", "propose", "acceptor", "--account", "dev1", *TERMS]
    expected = ProposeAcceptor(DEV[1], compute_application_hash(application), None)
    for options in ([], ["--application", hash_text]):
        assert replace(await node.sign(*propose, *options), terms=None) == expected
    asked = await node.run(*propose, "--from", "dev0")
    for part in ("Bank", "https://example.org/terms", format_did(application.did, NETWORK), hash_text):
        assert part in asked.stderr
    other = await node.run(*propose, "--application", "0x" + "00" * 32, "--from", "dev0", "--yes")
    assert (other.exit_code, "something else by now" in other.stderr) == (ExitCode.WRONG_USE, True)
    missing = await node.run("gov", "propose", "acceptor", "--account", "dev2", *TERMS, "--from", "dev0", "--yes")
    assert (missing.exit_code, "has not applied" in missing.stderr) == (ExitCode.FAILED, True)
