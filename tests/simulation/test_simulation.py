"""The simulator over fixed and fresh seeds, that a seed repeats itself, and that it notices broken nodes."""

import os
import secrets
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from consensus import core, safety, votes
from consensus.certificate import InvalidCertificateError
from consensus.core import Core
from consensus.height import HeightState
from ledger.committee import Member
from ledger.primitives import BlockHash
from ledger.state import StateReader
from tests.simulation import broken, world
from tests.simulation.node import Node
from tests.simulation.run import Task, run_seed
from tests.simulation.violation import ViolationError
from tests.simulation.world import Outcome, World
from vm.native import election
from vm.parameters import Parameters

STEPS = 9_000
HEIGHTS = 40
SEEDS = 20
FRESH_SEEDS = 4
BROKEN_SEEDS = 12
BROKEN_HEIGHTS = 20
BROKEN_HEAL_MS = 20_000
"""Less than sound nodes are given, to see soon that broken ones do not heal."""
REGRESSIONS = Path(__file__).with_name("regressions.txt")


@cache
def run_fixed(seed: int) -> Outcome:
    """A run, made once for all tests that look at it."""
    return World(seed).run(STEPS, HEIGHTS)


def list_regressions() -> list[int]:
    """The seeds that once showed a mistake; each line says which."""
    lines = REGRESSIONS.read_text(encoding="utf-8").splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_breaks_under_faults_and_the_network_goes_on_after_them(seed: int) -> None:
    assert run_fixed(seed).height >= HEIGHTS


def test_nothing_breaks_with_fresh_seeds() -> None:
    for _ in range(FRESH_SEEDS):
        seed = secrets.randbelow(10**9)
        print(f"make simulate SEED={seed} STEPS={STEPS} HEIGHTS={HEIGHTS}")
        assert World(seed).run(STEPS, HEIGHTS).height >= HEIGHTS


@pytest.mark.parametrize("seed", list_regressions())
def test_a_seed_that_once_failed_never_fails_again(seed: int) -> None:
    is_good, text = run_seed(Task(seed))
    assert is_good, text


@pytest.mark.parametrize(("seats", "heights"), [(1, 25), (4, 25), (7, 12), (21, 6)])
def test_committees_of_each_size(seats: int, heights: int) -> None:
    outcome = World(500, seats).run(STEPS, heights)
    assert (outcome.seats, outcome.height >= heights) == (seats, True)


def test_in_a_calm_world_nobody_lies_and_nothing_fails() -> None:
    """Although the same seed has a bit of everything otherwise."""
    stormy, calm = (World(5, 4, is_calm=is_calm).run(STEPS, HEIGHTS) for is_calm in (False, True))
    for outcome, is_bad in ((stormy, True), (calm, False)):
        happened = (outcome.liars, outcome.crashes, outcome.equivocations, outcome.blames, outcome.rounds_max)
        assert [each > 0 for each in happened] == [is_bad] * len(happened)


def test_the_seeds_reach_what_they_are_for() -> None:
    outcomes = [run_fixed(seed) for seed in range(SEEDS)]
    assert {4, 7} <= {outcome.seats for outcome in outcomes}
    assert max(outcome.rounds_max for outcome in outcomes) >= 3
    assert sum(outcome.crashes for outcome in outcomes) > 20
    assert sum(outcome.proposed_again for outcome in outcomes) > 0
    assert sum(outcome.equivocations for outcome in outcomes) > 50
    assert sum(outcome.evidence for outcome in outcomes) > 10
    assert sum(outcome.blames for outcome in outcomes) > 10
    assert sum(outcome.final for outcome in outcomes) > 500
    assert sum(outcome.joined for outcome in outcomes) > 5
    assert sum(outcome.elected for outcome in outcomes) > 2
    assert sum(outcome.newcomer_blocks for outcome in outcomes) > 5
    assert sum(outcome.retired for outcome in outcomes) > 2
    assert sum(outcome.removed for outcome in outcomes) > 1
    assert sum(outcome.rotated for outcome in outcomes) > 2
    assert sum(outcome.refused for outcome in outcomes) > 100
    identity_events = {name for outcome in outcomes for name in outcome.identity_events}
    assert {name.partition(".")[0] for name in identity_events} == set(world.IDENTITY_MODULES)
    assert len(identity_events) > 12
    assert sum(sum(outcome.identity_events.values()) for outcome in outcomes) > 200
    economy_events = {name for outcome in outcomes for name in outcome.economy_events}
    assert {name.partition(".")[0] for name in economy_events} == set(world.ECONOMY_MODULES)
    assert len(economy_events) > 12
    assert sum(sum(outcome.economy_events.values()) for outcome in outcomes) > 100
    assert sum(outcome.economy_events.get("mining.EpochClosed", 0) for outcome in outcomes) > SEEDS
    assert economy_events >= {
        "acceptors.AcceptorApplied",
        "ads.CampaignSettled",
        "ads.ChannelSettled",
        "ads.ComplaintDecided",
        "ads.OrderCompleted",
        "distribution.RootVoided",
        "dividends.DividendTakenBack",
    }
    assert sum(outcome.free for outcome in outcomes) > 20
    assert sum(outcome.drifting for outcome in outcomes) > 10
    assert sum(outcome.jumps for outcome in outcomes) > 10


@pytest.mark.parametrize("seed", [4, 17])  # in both somebody joins; in the second clocks drift
def test_a_seed_repeats_itself_under_any_hash_seed(seed: int) -> None:
    command = [sys.executable, "-m", "tests.simulation"]
    outputs = {
        subprocess.run(
            [*command, "--seed", str(seed), "--steps", str(STEPS), "--heights", str(HEIGHTS)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    (output,) = outputs
    assert "digest" in output
    assert " 0 joined" not in output


def test_a_failure_names_the_seed_and_shows_the_last_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.World.__init__, "__defaults__", (None, broken.SendsBeforePersisting))
    is_good, text = run_seed(Task(1))
    first, second, *events = text.splitlines()
    assert not is_good
    assert first.startswith("seed 1: VIOLATED after ")
    assert second == "the last events:"
    assert len(events) > 3


BAD_CLIMATE = {"storm_share": 950, "crashes_max": 12, "loss_max": 300, "partition_share": 500, "lie_share": 50}


def run_broken(kind: type[Node]) -> None:
    """Networks of broken nodes, in bad weather and among busy liars, until one breaks a rule."""
    for seed in range(BROKEN_SEEDS):
        broken_world = World(seed, 4, kind)
        broken_world.climate = replace(broken_world.climate, **BAD_CLIMATE)
        broken_world.run(STEPS, BROKEN_HEIGHTS)


@pytest.mark.parametrize(
    ("kind", "noticed"),
    [
        (broken.ExecutesTwice, "computes another state"),
        (broken.MintsFees, "there are 1000000000000000001 grains"),
        (broken.TakesFromCampaigns, "ads holds what is left of campaigns, and stakes"),
        (broken.ForgetsReserves, "a campaign reserves what its open orders may come to"),
        (broken.TakesDividendsBack, "nothing of a dividend goes back before its claims end"),
        (broken.ForgetsLock, "a lock is"),
        (broken.ForgetsSafety, "signs twice"),
        (broken.SendsBeforePersisting, "is on disk before"),
        (broken.DoesNotSyncLocks, "what a lock rests on is on disk"),
        (broken.AcceptsFewVotes, "signatures where"),
        (broken.ForgetsTransactions, "lost the transaction"),
        (broken.NeverCatchesUp, "no progress"),
        (broken.KeepsFlood, "waiting events are bounded"),
        (broken.KeepsAllEvidence, "evidence is bounded"),
        (broken.NeverShortensJournal, "the journal is bounded"),
    ],
)
def test_the_simulator_notices_a_broken_node(monkeypatch: pytest.MonkeyPatch, kind: type[Node], noticed: str) -> None:
    monkeypatch.setattr(world, "HEAL_MS", BROKEN_HEAL_MS)
    with pytest.raises((ViolationError, InvalidCertificateError), match=noticed):
        run_broken(kind)


def test_a_flood_is_dropped_where_there_is_no_room_and_the_network_goes_on() -> None:
    flooded = World(0, 4, broken.AmongFlood, is_calm=True)
    assert flooded.run(20 * STEPS, HEIGHTS).height >= HEIGHTS
    assert all(node.dropped_events > 0 for node in flooded.honest_up() if not node.is_last)


def list_worlds_with_newcomers(kind: type[Node]) -> list[World]:
    """Networks of given nodes whose newcomers are elected when nodes are sound."""
    return [World(seed, None, kind) for seed in range(SEEDS) if run_fixed(seed).elected]


def run_until_broken(worlds: list[World]) -> None:
    """All of them, if none breaks a rule."""
    for each in worlds:
        each.run(STEPS, HEIGHTS)


@pytest.mark.parametrize(
    ("kind", "noticed"),
    [
        (broken.StartsWithWrongState, r"newcomer \d+ computes another state"),
        (broken.KeepsFirstRegistry, "no progress|hears only registered nodes"),
        (broken.LetsNewcomersIn, "hears only registered nodes"),
    ],
)
def test_the_simulator_notices_nodes_that_join_wrongly(
    monkeypatch: pytest.MonkeyPatch, kind: type[Node], noticed: str
) -> None:
    worlds = list_worlds_with_newcomers(kind)
    monkeypatch.setattr(world, "HEAL_MS", BROKEN_HEAL_MS)
    with pytest.raises(ViolationError, match=noticed):
        run_until_broken(worlds)


def elect_least_stake(state: StateReader, parameters: Parameters) -> list[Member]:
    """Those with the least stake are seated first."""
    return real_elect(state, parameters)[::-1]


real_elect = election.elect


def test_the_simulator_notices_a_wrong_election(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = list_worlds_with_newcomers(Node)
    monkeypatch.setattr(election, "elect", elect_least_stake)
    with pytest.raises(ViolationError, match="a newcomer is elected when its stake suffices"):
        run_until_broken(worlds)


def sign_anything(state: safety.SafetyState, request: safety.SignRequest) -> safety.MaySign:
    """A guard that forgets what was signed."""
    fresh = safety.check_may_sign(safety.NOTHING_SIGNED, request)
    assert isinstance(fresh, safety.MaySign)
    return fresh


def lock_and_forget(self: Core, state: HeightState, block_hash: BlockHash) -> None:
    """A member that does not keep its lock."""
    locked = (state.locked_round, state.locked_hash)
    real_lock(self, state, block_hash)
    state.locked_round, state.locked_hash = locked


real_lock = Core._lock


@pytest.mark.parametrize(
    ("target", "name", "wrong", "noticed"),
    [
        (core, "check_may_sign", sign_anything, "signs twice|saved before|on disk before"),
        (Core, "_lock", lock_and_forget, "a lock is"),
        (votes, "quorum", lambda size: size // 2, "signatures where|two blocks|what a lock rests on"),
    ],
)
def test_the_simulator_notices_a_broken_rule(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, wrong: object, noticed: str
) -> None:
    monkeypatch.setattr(target, name, wrong)
    with pytest.raises((ViolationError, InvalidCertificateError), match=noticed):
        run_broken(Node)
