import time

import pytest

from node.cli.output import format_record, make_printable
from node.cli.status_command import format_download, format_progress, format_status
from rpc.models import NodeStatus


def make_status(**changes: object) -> NodeStatus:
    fields: dict[str, object] = {
        "height": 10,
        "block_hash": bytes(32),
        "time_ms": time.time_ns() // 1_000_000,
        "syncing": False,
        "earliest_height": 0,
        "peers": 3,
        "version": "1",
        "super_node": True,
        "pending": 2,
    }
    return NodeStatus.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("first", "height", "target", "expected"),
    [
        (0, 0, 100, " 0 %"),
        (0, 50, 100, " 50 %"),
        (100, 150, 200, " 50 %"),
        (5, 5, 5, " 100 %"),
        (0, 101, 100, " 100 %"),
    ],
)
def test_progress_is_the_share_of_the_way(first: int, height: int, target: int, expected: str) -> None:
    text = format_progress(first, height, target)
    assert expected in text
    assert text.count("#") + text.count("-") == 30


def test_catching_up_shows_the_target() -> None:
    text = format_status(make_status(syncing=True, target_height=20, height=10), first_height=0)
    assert "50 % of 20" in text
    assert "3 peers" in text


def test_downloading_shows_the_share_of_the_keys() -> None:
    status = make_status(syncing=True, target_height=20, height=0, snapshot_keys_done=30, snapshot_keys_total=120)
    assert "downloading the state [#######" in format_status(status)
    assert "25 % of about 120 keys" in format_status(status)
    assert "0 % of about 0 keys" in format_download(0, 0)


def test_in_step_shows_the_age_of_the_head_and_what_is_missing() -> None:
    assert "last block 0 s ago" in format_status(make_status())
    assert "waiting: node-3's vote" in format_status(make_status(waiting_for="node-3's vote"))


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"epoch": 3}, "epoch 3"),
        ({"epoch": 3, "seat": 2, "member": "present"}, "epoch 3  seat 2, present"),
        ({"epoch": 3, "seat": 2, "member": "put_off"}, "seat 2, put off"),
        ({"epoch": 3, "member": "jailed"}, "no seat, jailed: carlive stake unjail"),
        ({"epoch": 3, "member": "standing"}, "no seat, stands for election"),
    ],
)
def test_epoch_and_seat_are_shown(fields: dict[str, object], shown: str) -> None:
    assert shown in format_status(make_status(**fields))


def test_a_node_that_never_votes_shows_no_seat() -> None:
    assert "seat" not in format_status(make_status(epoch=3))


def test_a_clock_behind_the_chain_gives_no_negative_age() -> None:
    assert "last block 0 s ago" in format_status(make_status(time_ms=2**50))


def test_foreign_text_cannot_steer_the_terminal() -> None:
    shown = format_record({"memo": "\x1b[2Jgone\nsupply  0"})
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert make_printable("überweisung 汽车") == "überweisung 汽车"


def test_a_label_has_no_unit_that_its_value_is_not_shown_in() -> None:
    record = {"amountGrains": 500_000_000, "feeGrains": 7}
    assert format_record(record, {"amountGrains": lambda _: "5 IOV"}) == "amount      5 IOV\nfee grains  7"
