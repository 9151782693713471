import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from identity.keys import KeyType, PrivateKey
from node import verifier as verifier_module
from node.verifier import (
    BATCH_BYTES_MAX,
    BATCH_CHECKS_MAX,
    CHECK_BYTES_MAX,
    CHUNKS_WAITING_MAX,
    WORKERS_MAX,
    Verifier,
    VerifierClosedError,
    get_default_processes,
)
from node.verify_worker import LENGTH, Check, encode_batch, is_good, serve

KEYS = [PrivateKey(key_type, b"\x07" * 32) for key_type in KeyType]


def make_check(number: int, *, is_right: bool = True, message: bytes | None = None) -> Check:
    private_key = KEYS[number % 3]
    message = number.to_bytes(8, "big") if message is None else message
    signed = message if is_right else message + b"!"
    return private_key.key_type.value, private_key.public_key.key, message, private_key.sign(signed)


CHECKS = [make_check(number, is_right=number % 5 != 0) for number in range(300)]
EXPECTED = [number % 5 != 0 for number in range(300)]
ODD = [
    (0, b"", b"", b""),
    (99, KEYS[0].public_key.key, b"m", bytes(64)),
    (-1, KEYS[0].public_key.key, b"m", bytes(64)),
    (1, b"", b"m", bytes(64)),
    (2, bytes(33), b"m", b""),
    (3, b"\x02" + b"\xff" * 32, b"m", b"\xff" * 64),
]


async def wait_until(is_reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_reached():
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize("processes", [0, 1, 2])
async def test_answers_stand_in_the_order_of_the_checks(processes: int) -> None:
    async with Verifier(processes) as verifier:
        assert await verifier.verify_many(CHECKS) == EXPECTED
        assert await verifier.verify_many([]) == []
        assert await verifier.verify_many(CHECKS[1:2]) == [True]


@pytest.mark.parametrize("processes", [0, 1])
async def test_odd_bytes_are_false_and_harm_no_neighbour(processes: int) -> None:
    async with Verifier(processes) as verifier:
        assert await verifier.verify_many([CHECKS[1], *ODD, CHECKS[2]]) == [True, *[False] * len(ODD), True]
        pids = verifier.worker_pids
        assert await verifier.verify_many(ODD) == [False] * len(ODD)
        assert verifier.worker_pids == pids


@pytest.mark.parametrize("processes", [0, 2])
async def test_many_callers_at_once_get_their_own_answers(processes: int) -> None:
    async with Verifier(processes) as verifier:
        slices = [(start, start + 1 + start % 90) for start in range(0, 200, 7)]
        answers = await asyncio.gather(*[verifier.verify_many(CHECKS[start:end]) for start, end in slices])
        assert answers == [EXPECTED[start:end] for start, end in slices]


async def test_small_calls_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(
        verifier_module, "encode_batch", lambda checks: (sizes.append(len(checks)), encode_batch(checks))[1]
    )
    async with Verifier(1) as verifier:
        await asyncio.gather(*[verifier.verify_many([check]) for check in CHECKS[:100]])
        assert sizes == [BATCH_CHECKS_MAX, 100 - BATCH_CHECKS_MAX]


async def test_batches_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(
        verifier_module, "encode_batch", lambda checks: (sizes.append(len(frame := encode_batch(checks))), frame)[1]
    )
    large = [make_check(number, message=bytes(60_000)) for number in range(20)]
    huge = make_check(1, message=bytes(CHECK_BYTES_MAX - 200))
    async with Verifier(1) as verifier:
        assert await verifier.verify_many([*large, huge, *large]) == [True] * 41
    assert len(sizes) == 11
    assert sorted(sizes)[-2] <= BATCH_BYTES_MAX < CHECK_BYTES_MAX - 200 < sizes[5]


@pytest.mark.parametrize("processes", [0, 1])
async def test_a_check_over_the_limit_is_refused_and_nothing_is_left_open(processes: int) -> None:
    async with Verifier(processes) as verifier:
        with pytest.raises(ValueError, match=r"check 1 has \d+ bytes"):
            await verifier.verify_many([CHECKS[1], (1, b"", bytes(CHECK_BYTES_MAX), b"")])
        assert await verifier.verify_many(CHECKS[:3]) == EXPECTED[:3]


async def test_whoever_asks_for_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_module, "is_good", lambda check: True)
    monkeypatch.setattr(verifier_module, "BATCH_CHECKS_MAX", 1)
    async with Verifier(0) as verifier:
        call = asyncio.create_task(verifier.verify_many(CHECKS[:1] * (CHUNKS_WAITING_MAX + 200)))
        await asyncio.sleep(0)
        assert len(verifier._local) == CHUNKS_WAITING_MAX
        assert await call == [True] * (CHUNKS_WAITING_MAX + 200)


async def test_without_workers_the_loop_keeps_turning() -> None:
    async with Verifier(0) as verifier:
        turns = 0
        call = asyncio.create_task(verifier.verify_many(CHECKS))
        while not call.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= len(CHECKS) // verifier_module.SLICE_CHECKS


async def test_a_killed_worker_is_replaced_and_its_batches_run_again() -> None:
    reports: list[str] = []
    async with Verifier(2, reports.append) as verifier:
        await verifier.verify_many(CHECKS)
        first = verifier.worker_pids
        calls = [asyncio.create_task(verifier.verify_many(CHECKS)) for _ in range(10)]
        await asyncio.sleep(0.005)
        os.kill(first[0], signal.SIGKILL)
        assert await asyncio.gather(*calls) == [EXPECTED] * 10
        await wait_until(lambda: len(verifier.worker_pids) == 2 and first[0] not in verifier.worker_pids)
        assert await verifier.verify_many(CHECKS) == EXPECTED
        assert [str(first[0]) in line and "run again" in line for line in reports] == [True]


async def test_all_workers_killed_again_and_again() -> None:
    async with Verifier(2) as verifier:
        for _ in range(4):
            call = asyncio.create_task(verifier.verify_many(CHECKS * 3))
            await asyncio.sleep(0.002)
            for pid in verifier.worker_pids:
                os.kill(pid, signal.SIGKILL)
            assert await call == EXPECTED * 3


async def test_a_stopped_worker_is_replaced_when_it_stays_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier_module, "ANSWER_S_MAX", 0.3)
    async with Verifier(1) as verifier:
        await wait_until_up(verifier)
        (pid,) = verifier.worker_pids
        os.kill(pid, signal.SIGSTOP)
        assert await verifier.verify_many(CHECKS) == EXPECTED
        await wait_until(lambda: not is_running(pid))


async def wait_until_up(verifier: Verifier) -> None:
    """A first answer: without one, starting counts as silence when the limit is short."""
    verifier_module_limit = verifier_module.ANSWER_S_MAX
    verifier_module.ANSWER_S_MAX = 30.0
    await verifier.verify_many(CHECKS[:3])
    verifier_module.ANSWER_S_MAX = verifier_module_limit


async def test_workers_that_cannot_start_leave_the_work_to_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr(verifier_module, "RESTART_DELAYS_S", (0.0, 0.05))
    async with Verifier(2, reports.append) as verifier:
        assert await verifier.verify_many(CHECKS) == EXPECTED
        assert verifier.worker_pids == []
        assert "cannot be started" in reports[0]
        monkeypatch.undo()
        await wait_until(lambda: len(verifier.worker_pids) == 2)
        assert await verifier.verify_many(CHECKS) == EXPECTED


async def test_workers_that_die_at_once_leave_the_work_to_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    reports: list[str] = []
    async with Verifier(2, reports.append) as verifier:
        assert await verifier.verify_many(CHECKS) == EXPECTED
        await asyncio.sleep(0.3)
        assert len(reports) <= 2 * 4  # they are not started in a tight circle


async def test_a_worker_that_answers_nonsense_is_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    impostor = tmp_path / "python"
    impostor.write_text(
        f"#!{sys.executable}\nimport os\nos.read(0, 9)\nos.write(0, b'\\xff' * 100)\nos.read(0, 9999999)\n"
    )
    impostor.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(impostor))
    reports: list[str] = []
    async with Verifier(1, reports.append) as verifier:
        assert await verifier.verify_many(CHECKS) == EXPECTED
        assert "died" in reports[0]


async def test_closing_ends_workers_and_waiting_calls() -> None:
    verifier = Verifier(2)
    await verifier.start()
    pids = verifier.worker_pids
    calls = [asyncio.create_task(verifier.verify_many(CHECKS * 40)) for _ in range(20)]
    await asyncio.sleep(0.01)
    await verifier.close()
    await verifier.close()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [VerifierClosedError] * 20
    assert not any(is_running(pid) for pid in pids)
    with pytest.raises(VerifierClosedError):
        await verifier.verify_many(CHECKS)


@pytest.mark.parametrize("processes", [0, 1])
async def test_a_cancelled_call_gives_its_space_back(processes: int) -> None:
    async with Verifier(processes) as verifier:
        for _ in range(3):
            call = asyncio.create_task(verifier.verify_many(CHECKS * 150))
            await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert await verifier.verify_many(CHECKS) == EXPECTED
        await wait_until(lambda: verifier._space._value == CHUNKS_WAITING_MAX)


def test_it_works_on_uvloop() -> None:
    async def verify() -> list[bool]:
        async with Verifier(1) as verifier:
            answers = await verifier.verify_many(CHECKS)
            os.kill(verifier.worker_pids[0], signal.SIGKILL)
            assert await verifier.verify_many(CHECKS) == answers
            return answers

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(verify()) == EXPECTED


@pytest.mark.parametrize("processes", [-1, WORKERS_MAX + 1])
def test_the_number_of_workers_has_limits(processes: int) -> None:
    with pytest.raises(ValueError, match="0 to 16"):
        Verifier(processes)


def test_the_default_leaves_a_processor_to_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    for processors, expected in ((1, 0), (2, 1), (8, 7), (200, WORKERS_MAX)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, count=processors: set(range(count)))
        assert get_default_processes() == expected


# The worker


def test_a_worker_answers_in_frames_until_the_other_side_is_gone() -> None:
    node, worker = socket.socketpair()
    with node, worker:
        node.sendall(encode_batch(CHECKS[:3]) + encode_batch(ODD) + encode_batch(CHECKS[:9])[:-5])
        node.shutdown(socket.SHUT_WR)
        serve(worker)
        assert node.recv(100) == LENGTH.pack(3) + b"\0\1\1" + LENGTH.pack(6) + bytes(6)


def test_is_good_is_the_rule_of_the_keys() -> None:
    assert [is_good(check) for check in CHECKS] == EXPECTED
    assert not any(is_good(check) for check in ODD)


_NODE = """
import asyncio, sys
from node.verifier import Verifier
from tests.node.test_verifier import CHECKS, EXPECTED

async def main():
    async with Verifier(2) as verifier:
        assert await verifier.verify_many(CHECKS) == EXPECTED
        print(*verifier.worker_pids, flush=True)
        while True:
            await verifier.verify_many(CHECKS)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("stopped by the keyboard", flush=True)
"""


def start_node() -> tuple[subprocess.Popen[str], list[int]]:
    node = subprocess.Popen(
        [sys.executable, "-c", _NODE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    assert node.stdout is not None
    return node, [int(pid) for pid in node.stdout.readline().split()]


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "workers outlive their node"
        time.sleep(0.02)


def test_workers_die_with_a_killed_node() -> None:
    node, pids = start_node()
    assert len(pids) == 2 and all(is_running(pid) for pid in pids)
    node.kill()
    _, errors = node.communicate(timeout=10)
    wait_for_end(pids)
    assert errors == ""


def test_control_c_prints_nothing_from_the_workers() -> None:
    node, pids = start_node()
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    os.killpg(node.pid, signal.SIGINT)
    try:
        output, errors = node.communicate(timeout=10)
        wait_for_end(pids)
    finally:
        node.kill()  # one that does not stop would go on for ever
    assert (output, errors) == ("stopped by the keyboard\n", "")
