"""What every run of the tests needs."""

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.softhsm import SoftHsm

# A shell starts background jobs with SIGINT ignored, and whoever they start inherits that: then Ctrl-C, which some
# tests send to processes of theirs, would do nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SoftHsm]":
    """Software tokens; a test that asks for them is skipped without SoftHSM2, but not in the continuous integration."""
    from tests.softhsm import CONFIGURATION_VARIABLE, open_softhsm

    yield open_softhsm(tmp_path_factory.mktemp("softhsm"))
    os.environ.pop(CONFIGURATION_VARIABLE, None)
