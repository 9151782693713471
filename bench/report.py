"""What a scenario reports: one line on the screen, one JSON object in bench/results/latest.jsonl."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "latest.jsonl"


@dataclass(frozen=True)
class Result:
    """One measured value beside the floor of the same run."""

    scenario: str
    value: float
    unit: str
    floor: float
    """Ed25519 verifications per second of one core, measured just before."""
    ratio: float | None
    """value / floor where both are rates."""
    minimum: float | None = None
    """Least ratio (or greatest value, where `at_most`) that is acceptable."""
    at_most: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the minimum is met; None where there is none."""
        if self.minimum is None:
            return None
        measured = self.value if self.ratio is None else self.ratio
        return measured <= self.minimum if self.at_most else measured >= self.minimum


def start_results() -> None:
    """Begin a new results file."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("")


def save_result(result: Result) -> None:
    """Append to the results file."""
    with RESULTS.open("a") as file:
        file.write(json.dumps({**asdict(result), "met": result.is_met}) + "\n")
