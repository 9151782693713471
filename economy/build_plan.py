"""A directory holds one build: the plan file, written first, says of what. Only the same build goes on there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from economy.whole_files import PART_SUFFIX, put_content

PLAN_FILE: Final = "plan.json"


class OtherBuildError(Exception):
    """The directory is somebody else's; one sentence."""


def settle_plan(directory: Path, plan: Mapping[str, Any]) -> None:
    """Begin a build in a new or empty directory, or go on with the one of this plan; raises OtherBuildError.

    What is refused names the fields that are different, and nothing in the directory was touched.
    """
    path = directory / PLAN_FILE
    encoded = json.dumps(plan, indent=1).encode()
    if path.exists():
        if path.read_bytes() != encoded:
            different = ", ".join(_list_differences(path, plan))
            raise OtherBuildError(f"{directory} holds a build of other {different}; choose a directory of its own")
        return
    directory.mkdir(parents=True, exist_ok=True)
    if any(not each.name.endswith(PART_SUFFIX) for each in directory.iterdir()):
        raise OtherBuildError(f"{directory} is not empty, and not a build that was interrupted")
    put_content(path, encoded)


def _list_differences(path: Path, plan: Mapping[str, Any]) -> list[str]:
    """Fields that are not the same."""
    try:
        there = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return list(plan)
    return [key for key in plan if not isinstance(there, dict) or there.get(key) != plan[key]]
