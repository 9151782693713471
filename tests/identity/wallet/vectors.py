"""The known answers in tests/vectors, by file name."""

import json
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parents[2] / "vectors"


def load_vectors(name: str) -> Any:
    """The content of a file of known answers."""
    return json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
