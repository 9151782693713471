from node.cli.failures import ExitCode
from node.cli.reference import REFERENCE_FILE, build_reference


def test_the_reference_is_current() -> None:
    assert REFERENCE_FILE.read_text(encoding="utf-8") == build_reference(), "run: python -m node.cli.reference"


def test_it_documents_every_exit_code() -> None:
    assert all(f"| {code.value} |" in build_reference() for code in ExitCode)
