"""`python -m tests.wasm_fuzz --minutes N [--seed S]`: random modules through the gate, compared with wasmtime."""

import argparse
import random
import time
from collections import Counter
from pathlib import Path

from tests.wasm_fuzz.generator import draw_module, load_seeds
from tests.wasm_fuzz.oracle import Oracle


def main() -> int:
    """The exit code: 1 if anything was wrong; what was is written to the working directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seeds, oracle = load_seeds(), Oracle()
    counts: Counter[str] = Counter()
    slowest = 0.0
    end = time.monotonic() + 60 * options.minutes
    number = 0
    while time.monotonic() < end:
        code = draw_module(random.Random(f"{options.seed} {number}"), seeds)
        try:
            checked = oracle.check(code)
            counts["accepted" if checked.kind is None else checked.kind.value] += 1
            slowest = max(slowest, checked.seconds)
        except Exception as error:  # anything else than a refusal is what we look for
            counts["wrong"] += 1
            path = Path(f"wrong-{options.seed}-{number}.wasm")
            path.write_bytes(code)
            print(f"{path}: {type(error).__name__}: {error}")
        number += 1
    refused = number - counts["accepted"] - counts["wrong"]
    print(f"{number:,} executions, {counts['accepted']:,} accepted, {refused:,} refused, {counts['wrong']} wrong")
    print(", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())))
    print(f"slowest: {1_000 * slowest:.1f} ms in the gate")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
