"""How bad the network and the machines are: a seed's climate, and the weather that changes every few seconds."""

from dataclasses import dataclass
from random import Random

THOUSAND = 1_000


@dataclass(frozen=True, slots=True)
class Climate:
    """What may happen in a run; shares are in parts of a thousand."""

    storm_share: int
    """Of the time, how much is bad weather."""
    delay_ms_max: int
    loss_max: int
    doubling_max: int
    crashes_max: int
    """In one storm."""
    power_cut_share: int
    """Of the crashes, how many lose what is not synced."""
    partition_share: int
    one_way_share: int
    slow_share: int
    disk_full_share: int
    late_signature_share: int
    lie_share: int
    """Of a liar's messages, how many are changed."""
    skew_ms_max: int


@dataclass(frozen=True, slots=True)
class Weather:
    """How messages travel for now."""

    delay_ms_max: int
    loss: int
    doubling: int
    blocked: frozenset[tuple[int, int]]
    """(from, to) whose messages are lost."""
    slow: frozenset[int]
    """Machines whose messages take ten times as long."""
    is_storm: bool = False
    """Whether machines and disks fail too."""


CALM = Weather(delay_ms_max=20, loss=0, doubling=0, blocked=frozenset(), slow=frozenset())
SLOWNESS = 10


def draw_climate(random: Random) -> Climate:
    """Most seeds have several kinds of faults, few have all."""

    def maybe(highest: int) -> int:
        return random.choice((0, random.randint(1, highest)))

    return Climate(
        storm_share=random.choice((300, 600, 900)),
        delay_ms_max=random.choice((10, 40, 150, 600)),
        loss_max=maybe(300),
        doubling_max=maybe(200),
        crashes_max=random.choice((0, 2, 4, 8)),
        power_cut_share=random.choice((0, 500, 1_000)),
        partition_share=maybe(600),
        one_way_share=maybe(500),
        slow_share=maybe(400),
        disk_full_share=maybe(300),
        late_signature_share=maybe(20),
        lie_share=random.choice((20, 100, 300)),
        skew_ms_max=random.choice((0, 30, 60, 400)),
    )


def draw_weather(random: Random, climate: Climate, machines: int) -> Weather:
    """Calm or a storm."""
    calm_delay_ms = min(20, climate.delay_ms_max)
    if random.randrange(THOUSAND) >= climate.storm_share:
        return Weather(calm_delay_ms, 0, 0, frozenset(), frozenset())

    def happens(share: int) -> bool:
        return random.randrange(THOUSAND) < share

    blocked: set[tuple[int, int]] = set()
    if happens(climate.partition_share):
        sides = random.choice((2, 2, 3))
        side_of = [random.randrange(sides) for _ in range(machines)]
        blocked |= {
            (sender, receiver)
            for sender in range(machines)
            for receiver in range(machines)
            if side_of[sender] != side_of[receiver]
        }
    if happens(climate.one_way_share):
        for _ in range(random.randint(1, machines)):
            blocked.add((random.randrange(machines), random.randrange(machines)))
    slow = {random.randrange(machines)} if happens(climate.slow_share) else set()
    return Weather(
        delay_ms_max=random.choice((calm_delay_ms, climate.delay_ms_max)),
        loss=random.randint(0, climate.loss_max),
        doubling=random.randint(0, climate.doubling_max),
        blocked=frozenset(blocked),
        slow=frozenset(slow),
        is_storm=True,
    )
