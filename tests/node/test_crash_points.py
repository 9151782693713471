"""Crash points: named moments at which a process dies, and nothing at all without the variable."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node import crash_points
from node.crash_points import CRASH_POINT_VARIABLE, TEARABLE, CrashPoint, Moment, arm_crash_point, crash_point
from node.errors import ConfigurationError

SCRIPT = """
import os, sys
from pathlib import Path
from node.atomic_file import write_all
from node.crash_points import CrashPoint, arm_crash_point, crash_point

arm_crash_point(os.environ)
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
for index in range(3):
    with crash_point(CrashPoint.LOG_SYNC):
        pass
    with crash_point(CrashPoint.LOG_APPEND):
        write_all(descriptor, b"abcdefgh", 8 * index)
"""


def run(tmp_path: Path, armed: str) -> tuple[int, bytes]:
    """How a process that writes eight bytes three times ends, and what it has written."""
    environment = {**os.environ, CRASH_POINT_VARIABLE: armed, "PYTHONPATH": str(Path(__file__).parents[2])}
    file = tmp_path / "file"
    ended = subprocess.run([sys.executable, "-c", SCRIPT, str(file)], env=environment, timeout=60, check=False)
    return ended.returncode, file.read_bytes()


@pytest.mark.parametrize(
    ("armed", "written"),
    [
        ("log.append:before", b""),
        ("log.append:torn", b"abcd"),
        ("log.append:after", b"abcdefgh"),
        ("log.append:before:3", b"abcdefgh" * 2),
        ("log.append:torn:2", b"abcdefghabcd"),
        ("log.sync:after:2", b"abcdefgh"),
    ],
)
def test_a_process_dies_at_the_moment_it_was_told(tmp_path, armed, written):
    assert run(tmp_path, armed) == (-signal.SIGKILL, written)


def test_another_point_does_not_touch_it(tmp_path):
    assert run(tmp_path, "store.write:before") == (0, b"abcdefgh" * 3)


@pytest.mark.parametrize(
    "text", ["", "log.append", "nowhere:before", "log.append:never", "log.append:before:x", "a:b:c:d"]
)
def test_a_wrong_text_says_what_to_write(text):
    with pytest.raises(ConfigurationError, match=r"POINT:MOMENT.*safety\.save.*torn"):
        arm_crash_point({CRASH_POINT_VARIABLE: text})


def test_without_the_variable_nothing_happens():
    assert arm_crash_point({}) is None
    for point in CrashPoint:
        with crash_point(point):
            assert not crash_points.is_to_be_torn()


def test_what_can_be_torn_is_written_by_the_node_itself():
    assert set(TEARABLE) < set(CrashPoint)
    assert {moment.value for moment in Moment} == {"before", "torn", "after"}
