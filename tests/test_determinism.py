"""The same history gives the same bytes whatever the process around it looks like."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from ledger.reasons import Reason
from tests.determinism import run
from vm.native import (
    acceptors,
    ads,
    attributes,
    did,
    distribution,
    dividends,
    gifts,
    lockups,
    mining,
    platforms,
    roles,
    sale,
    vehicles,
)

ROOT = Path(__file__).parent.parent
SEED, BLOCKS = 20_269, 500

ENVIRONMENTS = [
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "1"},
    {"PYTHONHASHSEED": "random", "TZ": "Pacific/Apia", "LANG": "de_DE.ISO-8859-1", "PYTHONDEVMODE": "1"},
]


@cache
def run_child(index: int) -> list[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **ENVIRONMENTS[index]}
    command = [sys.executable, "-m", "tests.determinism", str(SEED), str(BLOCKS)]
    ended = subprocess.run(
        command,
        env=environment,
        cwd=ROOT if index % 2 else "/",
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode().splitlines()


@pytest.mark.parametrize("index", range(1, len(ENVIRONMENTS)))
def test_the_same_history_gives_the_same_bytes(index):
    first, other = run_child(0), run_child(index)
    assert len(first) == BLOCKS
    for expected, got in zip(first, other, strict=True):
        assert got == expected, "the first block that differs"


def test_the_history_holds_every_outcome():
    """Or the comparison above would compare little."""
    text = "\n".join(run_child(0))
    for status in ("SUCCEEDED", "FAILED", "SKIPPED"):
        assert text.count(f"{status}:") > 50, status
    for reason in (
        Reason.SEQUENCE_TOO_LOW,
        Reason.SEQUENCE_TOO_HIGH,
        Reason.SENDER_NOT_ALLOWED,
        Reason.FEE_TOO_LOW,
        Reason.INSUFFICIENT_FUNDS,
        Reason.UNKNOWN_MODULE,
        Reason.UNKNOWN_CALL,
        Reason.BAD_ARGUMENTS,
        Reason.INSUFFICIENT_BALANCE,
        Reason.AMOUNT_ZERO,
        Reason.BAD_POLICY,
        Reason.CONTRACT_NOT_FOUND,
        Reason.STACK_OVERFLOW,
        Reason.UNREACHABLE,
        Reason.DID_UNKNOWN_KEY,
        Reason.DID_VERSION_STALE,
        Reason.ATTRIBUTE_SEQUENCE,
        Reason.VEHICLE_TURN_STALE,
        Reason.PLATFORM_TURN_STALE,
        Reason.ROLE_STALE,
    ):
        assert f":{reason.value}:" in text, reason.name
    assert "SUCCEEDED:0:free" in text


def test_the_history_holds_what_identities_do():
    happened = {event for line in run_child(0) for event in line.split(" ")[6].split(",")}
    modules = (did.MODULE, attributes.MODULE, vehicles.MODULE, platforms.MODULE, roles.MODULE)
    for module in modules:
        known = {f"{module.name}.{rule.fields.__name__}" for rule in module.events}
        assert known & happened, module.name
    assert sum(event.partition(".")[0] in {module.name for module in modules} for event in happened) > 12


def test_the_history_holds_what_the_economy_does():
    happened = {event for line in run_child(0) for event in line.split(" ")[6].split(",")}
    drawn = (acceptors, ads, distribution, dividends, gifts, lockups, mining, sale)
    modules = {module.MODULE.name for module in drawn}
    assert {event.partition(".")[0] for event in happened} >= modules
    assert sum(event.partition(".")[0] in modules for event in happened) > 30
    assert happened >= {"ads.OrderAccepted", "ads.ChannelSettled", "ads.ComplaintDecided", "ads.CampaignSettled"}
    assert happened >= {"dividends.DividendTakenBack", "distribution.RootVoided", "acceptors.AcceptorApplied"}
    assert "mining.EpochClosed" in happened


def test_another_history_gives_other_bytes():
    assert run(SEED + 1, 3) != run(SEED, 3) == run_child(0)[:3]
