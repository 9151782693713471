"""The input of a dividend's payout, from the states at both ends of a period."""

import io

from economy.dividend_records import Dividend, DividendLine, Snapshot, build_dividend, write_dividend
from ledger.primitives import GrainDays, Grains, TimeMs
from ledger.state import State
from tests.builders import address_of, make_key, make_state
from tests.did_scene import SENDER, DidScene, build_call
from vm.native.accounts import DAY_MS
from vm.native.dividend import DividendRules, Merit
from vm.native.iov import credit, debit

RULES = DividendRules(Grains(1_000), 3_000, 2_000, 10)


def copy(state: State) -> State:
    """The state as it is now."""
    again = State(lambda key: None, lambda start, stop: iter(()))
    for key, value in state.changes.items():
        if value is not None:
            again.put(key, value)
    return again


def test_the_lines_follow_from_the_two_states_and_the_forces():
    scene = DidScene(state=make_state({address_of(SENDER): 10**12}))
    dids = []
    for name in ("alice", "bob", "carol"):
        did = scene.create(name)
        account = address_of(make_key(name))
        scene.accept(build_call(scene.link(did, account), name, name="link_account"))
        dids.append(did)
        credit(scene.state, account, 100, 0)
    before = Snapshot(copy(scene.state), TimeMs(DAY_MS))
    debit(scene.state, address_of(make_key("alice")), 100, 6 * DAY_MS)
    credit(scene.state, address_of(make_key("bob")), 100, 6 * DAY_MS)
    after = Snapshot(copy(scene.state), TimeMs(11 * DAY_MS))
    alice, bob, carol = dids
    dividend = build_dividend(RULES, before, after, {alice: 10, bob: 30, carol: 9})
    first = DividendLine(alice, Grains(75 + 50 + 125), Merit(Grains(50), GrainDays(500), 10))
    second = DividendLine(bob, Grains(225 + 150 + 375), Merit(Grains(150), GrainDays(1_500), 30))
    lines = tuple(sorted((first, second), key=lambda line: line.did))
    assert dividend == Dividend(lines, Grains(1_000), Grains(0))
    text = io.StringIO()
    write_dividend(dividend, text)
    assert text.getvalue().splitlines() == [
        "kind,id,grains,average_holdings_grains,coin_age_grain_days,force",
        *[
            f"2,{line.did.hex()},{line.grains},{line.merit.average_holdings_grains},"
            f"{line.merit.coin_age_grain_days},{line.merit.force}"
            for line in lines
        ],
    ]


def test_without_anybody_the_pool_stays():
    empty = Snapshot(make_state({}), TimeMs(0))
    assert build_dividend(RULES, empty, Snapshot(empty.state, TimeMs(1)), {}) == Dividend((), Grains(0), Grains(1_000))
