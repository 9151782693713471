"""The simulator over fixed seeds, and that it would notice."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from consensus import core, safety, votes
from consensus.certificate import InvalidCertificateError
from consensus.core import Core
from consensus.effects import AppendLog
from consensus.height import HeightState
from ledger.primitives import BlockHash
from tests.consensus import simulation
from tests.consensus.simulation import Outcome, SafetyViolationError, Simulation

STEPS = 2500
SEEDS = 64


@cache
def run_seed(seed: int) -> Outcome:
    """A run, made once for all tests that look at it."""
    return Simulation(seed).run(STEPS)


@pytest.mark.parametrize("first", range(0, SEEDS, 8))
def test_nothing_breaks_under_faults_and_the_network_goes_on_after_them(first: int) -> None:
    for seed in range(first, first + 8):
        assert run_seed(seed).height > 0


@pytest.mark.parametrize(("size", "seeds"), [(1, 3), (4, 3), (7, 3), (21, 1)])
def test_committees_of_each_size(size: int, seeds: int) -> None:
    for seed in range(100, 100 + seeds):
        assert Simulation(seed, size).run(STEPS).size == size


def test_the_seeds_reach_what_they_are_for() -> None:
    outcomes = [run_seed(seed) for seed in range(SEEDS)]
    assert {outcome.size for outcome in outcomes} == {1, 4, 7}
    assert max(outcome.rounds_max for outcome in outcomes) >= 4
    assert sum(outcome.crashes for outcome in outcomes) > 100
    assert sum(outcome.proposed_again for outcome in outcomes) > 15
    assert sum(outcome.equivocations for outcome in outcomes) > 500
    assert sum(outcome.blames for outcome in outcomes) > 50
    assert max(outcome.liars for outcome in outcomes) == 2


def test_a_seed_repeats_itself() -> None:
    assert Simulation(7).run(STEPS) == run_seed(7)


def test_a_seed_repeats_itself_under_another_hash_seed() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-m", "tests.consensus.simulate", "--seed", "7", "--steps", "1500"],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    (output,) = outputs
    assert "step 1000" in output
    assert "digest" in output


def sign_anything(state: safety.SafetyState, request: safety.SignRequest) -> safety.MaySign:
    """A guard that forgets what was signed."""
    fresh = safety.check_may_sign(safety.NOTHING_SIGNED, request)
    assert isinstance(fresh, safety.MaySign)
    return fresh


def lock_without_sync(self: Core, state: HeightState, block_hash: BlockHash) -> None:
    """A lock that is not synced."""
    real_lock(self, state, block_hash)
    last = self._effects[-1]
    assert isinstance(last, AppendLog)
    self._effects[-1] = replace(last, sync=False)


def lock_and_forget(self: Core, state: HeightState, block_hash: BlockHash) -> None:
    """A member that does not keep its lock."""
    locked = (state.locked_round, state.locked_hash)
    real_lock(self, state, block_hash)
    state.locked_round, state.locked_hash = locked


real_lock = Core._lock


@pytest.mark.parametrize(
    ("target", "name", "broken", "noticed"),
    [
        (core, "check_may_sign", sign_anything, "signs twice|saved before"),
        (Core, "_lock", lock_without_sync, "a lock is on disk"),
        (Core, "_lock", lock_and_forget, "a lock is kept"),
        (votes, "quorum", lambda size: size // 2, "signatures where|two blocks|no progress"),
        (simulation, "replay", lambda core, records: [], "no progress"),
        (Core, "_resume", lambda self, state, own_index: None, "no progress"),
    ],
)
def test_the_simulator_notices_a_broken_core(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, broken: Callable[..., object], noticed: str
) -> None:
    monkeypatch.setattr(target, name, broken)
    monkeypatch.setattr(simulation, "HEAL_STEPS_MAX", 6_000)
    with pytest.raises((SafetyViolationError, InvalidCertificateError), match=noticed):
        for seed in range(40):
            Simulation(seed).run(STEPS)
