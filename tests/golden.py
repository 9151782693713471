"""Every golden file with the function that produces it. `python -m tests.golden` rewrites them; review the diff.

A package adds its own list of (path, function) to GOLDEN_FILES and is compared by `tests/test_golden.py` from then on.
"""

from collections.abc import Callable
from pathlib import Path

from node.cli import reference as commands
from rpc import reference as methods
from rpc.methods import METHODS
from tests.consensus import golden_files as consensus_files
from tests.vectors import generate as vectors
from tests.vm.contracts import golden_files as contracts_files

GOLDEN_FILES: list[tuple[Path, Callable[[], str]]] = [
    *consensus_files.GOLDEN_FILES,
    *vectors.GOLDEN_FILES,
    *contracts_files.GOLDEN_FILES,
    (methods.REFERENCE_FILE, lambda: methods.build_reference(METHODS)),
    (commands.REFERENCE_FILE, commands.build_reference),
]


def main() -> None:
    """Rewrite the files that have changed."""
    for path, produce in GOLDEN_FILES:
        text = produce()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"rewritten: {path}")


if __name__ == "__main__":
    main()
