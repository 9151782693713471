"""Commands against a real node."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from node.cli.failures import ExitCode
from node.cli.main import cli
from tests.node.test_devnet_network import RunningDevnet, call, find_ports, get_balance

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("devnet")]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("cli") / "d"
    devnet = RunningDevnet(home, "--validators", "1", "--port", str(find_ports(1)))
    try:
        yield devnet.wait_for("ready")["nodes"][0]["rpc"].removesuffix("/rpc")
        devnet.stop()
    finally:
        devnet.close()


@pytest.fixture(autouse=True)
def keys_and_node(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARLIVE_NODE", url)
    monkeypatch.setenv("CARLIVE_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setenv("CARLIVE_PASSWORD", "correct horse")


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=text)


def run_json(*arguments: str, text: str | None = None) -> Any:
    result = run(*arguments, "--output", "json", text=text)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def address_of(name: str) -> str:
    return str(run_json("keys", "show", name)["devnetAddress"])


def pay(*arguments: str) -> Result:
    return run("tx", "transfer", "--from", "dev0", "--to", "dev1", "--yes", "--output", "json", *arguments)


@pytest.mark.parametrize("key_type", ["ed25519", "secp256k1", "p256"])
def test_a_key_of_every_type_can_receive_and_pay(url: str, key_type: str) -> None:
    run_json("keys", "new", "car", "--type", key_type)
    address = address_of("car")
    assert pay("--to", "car", "--amount", "2").exit_code == 0
    sent = run_json("tx", "transfer", "--from", "car", "--to", "dev1", "--amount", "0.5", "--memo", "toll", "--yes")
    assert sent["status"] == "final"
    left = 150_000_000 - int(sent["fee"])
    assert get_balance(f"{url}/rpc", address) == left
    shown = run_json("query", "account", "car")
    assert (shown["address"], shown["sequence"], shown["balance"]) == (address, 1, str(left))
    found = run_json("query", "tx", sent["id"])
    assert (found["status"], found["transaction"]["memo"], found["height"]) == ("final", "toll", sent["height"])
    table = run("query", "tx", sent["id"]).stdout
    assert "toll" in table
    assert "iov.transfer" in table


def test_the_fee_can_be_paid_by_another(url: str) -> None:
    run_json("keys", "new", "guest")
    assert pay("--to", "guest", "--amount", "1").exit_code == 0
    before = get_balance(f"{url}/rpc", address_of("dev3"))
    sent = run_json(
        *("tx", "transfer", "--from", "guest", "--to", "dev1", "--amount", "1", "--fee-payer", "dev3", "--yes")
    )
    assert get_balance(f"{url}/rpc", address_of("guest")) == 0
    assert get_balance(f"{url}/rpc", address_of("dev3")) == before - int(sent["fee"])


def test_many_at_once_without_sequence(url: str) -> None:
    before = get_balance(f"{url}/rpc")
    command = [sys.executable, "-P", "-m", "node.cli.main", "tx", "transfer", "--from", "dev0", "--to", "dev1"]
    command += ["--amount", "1", "--unordered", "--yes"]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert get_balance(f"{url}/rpc") == before + 300_000_000


def test_several_in_a_row_without_waiting() -> None:
    ids = []
    for _ in range(5):
        result = pay("--amount", "0.1", "--wait", "admitted")
        assert result.exit_code == 0, result.output
        ids.append(json.loads(result.stdout)["id"])
    assert len(set(ids)) == 5
    assert pay("--amount", "0.1").exit_code == 0
    assert [run_json("query", "tx", each)["status"] for each in ids] == ["final"] * 5


def test_a_batch_pays_all_of_its_lines(url: str, tmp_path: Path) -> None:
    file = tmp_path / "wages.csv"
    for name in ("ann", "ben"):
        run_json("keys", "new", name)
    file.write_text(f"{address_of('ann')},1.25\n\nben , 0.00000001\n", encoding="utf-8-sig")
    assert run_json("tx", "batch", str(file), "--from", "dev0", "--yes")["status"] == "final"
    assert get_balance(f"{url}/rpc", address_of("ann")) == 125_000_000
    assert get_balance(f"{url}/rpc", address_of("ben")) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "0 payments"),
        ("dev1,1\ndev2\n", "line 2"),
        ("dev1,1\ndev2,x\n", "line 2"),
        ("dev1,1\n" * 501, "501 payments"),
        ("nobody,1\n", "nobody"),
    ],
)
def test_a_bad_batch_sends_nothing(url: str, tmp_path: Path, content: str, message: str) -> None:
    before = get_balance(f"{url}/rpc", address_of("dev0"))
    (tmp_path / "x.csv").write_text(content)
    result = run("tx", "batch", str(tmp_path / "x.csv"), "--from", "dev0", "--yes")
    assert result.exit_code == ExitCode.WRONG_USE
    assert message in result.stderr
    assert get_balance(f"{url}/rpc", address_of("dev0")) == before


def test_signed_on_one_machine_and_sent_from_another(url: str) -> None:
    info, account = run_json("node", "info"), run_json("query", "account", "dev4")
    offline = ["tx", "sign", "--from", "dev4", "--to", address_of("dev1"), "--amount", "1", "--network", "devnet"]
    offline += ["--chain-id", info["chainId"], "--genesis-hash", info["genesisHash"], "--price", "1"]
    offline += ["--sequence", str(account["sequence"]), "--valid-until", str(account["height"] + 1_000)]
    signed = run_json(*offline)
    assert run_json("tx", "send", "-", text=signed["raw"])["id"] == signed["id"]
    again = run_json("tx", "send", signed["raw"])
    assert (again["id"], again["known"], again["status"]) == (signed["id"], True, "final")

    next_sequence = str(account["sequence"] + 1)
    foreign = run_json(*offline, "--genesis-hash", "0x" + "00" * 32, "--sequence", next_sequence)
    refused = run("tx", "send", foreign["raw"], "--output", "json")
    assert refused.exit_code == ExitCode.REFUSED
    assert json.loads(refused.stderr)["error"]["reason"] == "BAD_SIGNATURE"


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--amount", "99999999"], ExitCode.REFUSED, "INSUFFICIENT_BALANCE"),
        (["--amount", "99999999", "--gas-limit", "5000"], ExitCode.FAILED, "INSUFFICIENT_BALANCE"),
        (["--amount", "1", "--price", "0"], ExitCode.REFUSED, "FEE_TOO_LOW"),
        (["--amount", "1", "--gas-limit", "1"], ExitCode.REFUSED, "GAS_LIMIT_TOO_LOW"),
        (["--amount", "1", "--sender", "dev5"], ExitCode.REFUSED, "SENDER_NOT_ALLOWED"),
        (["--amount", "1", "--fee-payer", "dev0"], ExitCode.WRONG_USE, "--fee-payer"),
        (["--amount", "1", "--memo", "ü" * 200], ExitCode.WRONG_USE, "memo"),
        (["--amount", "1", "--from", "nobody"], ExitCode.WRONG_USE, "carlive keys"),
        (["--amount", "1", "--to", "iovt1qqqq"], ExitCode.WRONG_USE, "address"),
        (["--amount", "-1"], ExitCode.WRONG_USE, "amount"),
        (["--amount", "1", "--node", "http://127.0.0.1:9"], ExitCode.UNREACHABLE, "no node answers"),
        (["--amount", "1", "--node", "nonsense"], ExitCode.WRONG_USE, "--node"),
    ],
)
def test_every_failure_has_its_exit_code_and_reason(arguments: list[str], code: ExitCode, word: str) -> None:
    result = pay(*arguments)
    assert result.exit_code == code, result.output
    error = json.loads(result.stderr)["error"]
    assert word in json.dumps(error)
    assert result.stdout == ""


def test_nothing_is_signed_without_consent(url: str) -> None:
    before = get_balance(f"{url}/rpc")
    result = run("tx", "transfer", "--from", "dev0", "--to", "dev1", "--amount", "1")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "1 IOV" in result.stderr
    assert address_of("dev1") in result.stderr
    assert "--yes" in result.stderr
    assert get_balance(f"{url}/rpc") == before


@pytest.mark.parametrize("text", ["00", "zz", "0x", "ff" * 70_000])
def test_what_is_no_transaction_is_not_sent(text: str) -> None:
    assert run("tx", "send", "-", text=text).exit_code == ExitCode.WRONG_USE


def test_looking_around(url: str) -> None:
    head = call(f"{url}/rpc", "chain_head")
    block = run_json("query", "block", str(head["height"]), "--full")
    assert block["blockHash"] == head["blockHash"]
    assert run_json("query", "supply")["supply"] == str(10**18)
    assert len(run_json("query", "committee")["members"]) == 1
    assert run_json("query", "params")["params"]["price_floor_grains"] == "1"
    assert run_json("node", "peers") == []
    assert run_json("status")["superNode"] is True
    for command in (["query", "committee"], ["query", "params"], ["node", "peers"], ["status"], ["query", "supply"]):
        assert run(*command).exit_code == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["query", "block", "999999"], ExitCode.FAILED),
        (["query", "block", "-1"], ExitCode.WRONG_USE),
        (["query", "tx", "0x" + "00" * 32], ExitCode.FAILED),
        (["query", "tx", "0x00"], ExitCode.WRONG_USE),
        (["query", "account", "nobody"], ExitCode.WRONG_USE),
    ],
)
def test_what_is_not_there(command: list[str], code: ExitCode) -> None:
    result = run(*command)
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1


def test_watching_goes_on_until_it_is_interrupted() -> None:
    command = [sys.executable, "-P", "-m", "node.cli.main", "status", "--watch", "--output", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        heights = [json.loads(process.stdout.readline())["height"] for _ in range(2)]
        process.send_signal(2)
        assert process.wait(timeout=10) == 0
    assert heights[0] <= heights[1]
