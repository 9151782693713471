import random

from p2p.connection import Connection
from p2p.frames import Channel
from tests.p2p.nodes import Simulation, make_ends


def run_history(seed: int) -> list[tuple[Channel, int, bytes]]:
    """Random sends over a pipe of random delays, in simulated time."""
    simulation, source = Simulation(), random.Random(seed)
    ours, theirs = make_ends(simulation, compute_delay_s=lambda size: source.uniform(0.0, 0.2))
    connections: list[Connection] = [ours.connection, theirs.connection]
    for connection in connections:
        connection.open_channels()
    for number in range(300):
        ours.connection.send(source.choice(list(Channel)), 256 + number, source.randbytes(source.randrange(500)))
        simulation.run(source.uniform(0.0, 0.1))
    simulation.run(10.0)
    return theirs.receiver.messages


def test_the_same_seed_gives_the_same_history() -> None:
    assert run_history(1) == run_history(1)
    assert run_history(1) != run_history(2)


def test_nothing_is_lost_and_each_channel_keeps_its_order() -> None:
    messages = run_history(3)
    assert len(messages) == 300
    for channel in Channel:
        kinds = [kind for its_channel, kind, _ in messages if its_channel is channel]
        assert kinds == sorted(kinds)
