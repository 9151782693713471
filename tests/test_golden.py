from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden import GOLDEN_FILES


@pytest.mark.parametrize(("path", "produce"), GOLDEN_FILES, ids=[path.stem for path, _ in GOLDEN_FILES])
def test_golden_file_is_what_the_code_produces(path: Path, produce: Callable[[], str]) -> None:
    assert path.read_text(encoding="utf-8") == produce(), "if this change is meant: make golden, and review the diff"


def test_every_golden_file_is_in_the_registry() -> None:
    listed = {path for path, _ in GOLDEN_FILES}
    found = {path for directory in {path.parent for path in listed} for path in directory.iterdir()}
    assert found == listed
