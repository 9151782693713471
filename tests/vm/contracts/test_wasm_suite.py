"""The WASM core test-suite: every integer case passes, and nothing is skipped without being counted."""

import json
import zipfile
from collections import Counter

import pytest

from tests.wasm_fuzz.generator import SUITE
from tests.wasm_suite.convert import FILES, parse, strip_file
from tests.wasm_suite.runner import Outcome, SuiteRun, fix_sizes, format_reports

CASES = {Outcome.PASSED: 4_949, Outcome.REFUSED: 434, Outcome.TEXT: 223, Outcome.LEFT_OUT: 1_056, Outcome.FAILED: 0}


@pytest.mark.parametrize("name", sorted(FILES))
def test_file(name: str) -> None:
    report = SuiteRun(zipfile.Path(SUITE), name).run()
    assert report.failures == []
    commands = json.loads((zipfile.Path(SUITE) / f"{name}.json").read_bytes())["commands"]
    expected = sum(command["type"] != "register" for command in commands) + report.counts[Outcome.LEFT_OUT]
    assert sum(report.counts.values()) == expected
    assert format_reports([report]).splitlines()[1].split()[0] == name


def test_all_cases_are_accounted_for() -> None:
    total: Counter[Outcome] = Counter()
    for name in FILES:
        total.update(SuiteRun(zipfile.Path(SUITE), name).run().counts)
    assert total == Counter(CASES)


def test_a_wrong_expectation_is_a_failure(tmp_path) -> None:
    """Or the suite would prove nothing."""
    with zipfile.ZipFile(SUITE) as archive:
        content = json.loads(archive.read("i32.json"))
        for member in archive.namelist():
            if member.startswith("i32."):
                (tmp_path / member).write_bytes(archive.read(member))
    first = next(command for command in content["commands"] if command["type"] == "assert_return")
    first["expected"][0]["value"] = "12345"
    (tmp_path / "i32.json").write_text(json.dumps(content))
    assert len(SuiteRun(tmp_path, "i32").run().failures) == 1


def test_sizes_are_fixed() -> None:
    raw = b"\0asm\x01\0\0\0\x05\x03\x01\0\x02"
    assert fix_sizes(raw) == b"\0asm\x01\0\0\0\x05\x04\x01\x01\x02\x02"


def test_what_is_refused_is_replaced_by_stubs_and_counted() -> None:
    text = """(module (func $f (export "a") (result f32) (f32.const 1)) (func (export "b") (call $f) (drop))
      (func (export "c") (result i32) (i32.const 1)))
      (assert_return (invoke "a") (f32.const 1)) (assert_return (invoke "b"))
      (assert_return (invoke "c") (i32.const 1))"""
    stripped, left_out = strip_file(text)
    assert left_out == 2
    assert [str(form) for form in parse(stripped)] == [
        '(module (func $f (unreachable)) (func (unreachable)) (func (export "c") (result i32) (i32.const 1)))',
        '(assert_return (invoke "c") (i32.const 1))',
    ]
