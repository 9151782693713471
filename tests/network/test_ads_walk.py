"""The walk of docs/economy-walk-ads.md, command by command as it stands there, on a devnet."""

from pathlib import Path

import pytest

from tests.network.walks import DOCUMENTS, walk

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("walks"), pytest.mark.timeout(660)]


def test_every_command_of_the_walk_does_what_is_written(tmp_path: Path) -> None:
    walk(DOCUMENTS / "economy-walk-ads.md", tmp_path, commands_min=40)
