from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden import GOLDEN_FILES


@pytest.mark.parametrize(("path", "produce"), GOLDEN_FILES, ids=[path.stem for path, _ in GOLDEN_FILES])
def test_golden_file_is_what_the_code_produces(path: Path, produce: Callable[[], str]) -> None:
    assert path.read_text(encoding="utf-8") == produce(), "if this change is meant: make golden, and review the diff"


def test_every_golden_file_is_in_the_registry() -> None:
    listed = {path for path, _ in GOLDEN_FILES}
    directories = {path.parent for path in listed if path.parent.name == "golden"}
    found = {path for directory in directories for path in directory.iterdir()}
    assert found == {path for path in listed if path.parent in directories}
    assert found
