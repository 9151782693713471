"""Writes the vector files: `python -m tests.vectors.generate`. The test suite refuses files that have drifted."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.vectors.addresses import build_address_vectors
from tests.vectors.certificates import build_certificate_vectors
from tests.vectors.codec import build_codec_vectors
from tests.vectors.frames import build_frame_vectors
from tests.vectors.notation import format_vectors
from tests.vectors.state_proofs import build_state_proof_vectors
from tests.vectors.transactions import build_transaction_vectors

DIRECTORY: Final = Path(__file__).parent

VECTORS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "carlive_addresses.json": build_address_vectors,
    "carlive_certificates.json": build_certificate_vectors,
    "carlive_codec.json": build_codec_vectors,
    "carlive_frames.json": build_frame_vectors,
    "carlive_state_proofs.json": build_state_proof_vectors,
    "carlive_transactions.json": build_transaction_vectors,
}
"""File name -> what stands in it."""


def generate(name: str) -> str:
    """The text that a vector file must have."""
    return format_vectors(VECTORS[name]())


GOLDEN_FILES: Final[list[tuple[Path, Callable[[], str]]]] = [
    (DIRECTORY / name, partial(generate, name)) for name in VECTORS
]
"""Path -> text, as a registry of golden files wants it."""


def main() -> None:
    """Write every file."""
    for path, build_text in GOLDEN_FILES:
        path.write_text(build_text())
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
