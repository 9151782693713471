"""The worked examples of docs/economy.md: what they say comes out is what comes out."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from identity.address import Address
from ledger.primitives import GRAINS_PER_IOV, GrainDays, Grains, TimeMs
from tests.builders import make_state
from tests.lockup_scene import TEAM, LockupScene, linear
from tests.sale_scene import SaleScene
from tests.stake_scene import HOLDER_GRAINS, HOLDERS
from vm.native.acceptors import FIRST_RULES
from vm.native.accounts import (
    DAY_MS,
    HAS_LOCKUPS,
    compute_coin_age_grain_days,
    compute_coin_age_grain_ms,
    compute_movable_grains,
    get_account,
    put_account,
)
from vm.native.dividend import DividendRules, Merit, compute_dividend, compute_merit, compute_pools, compute_totals
from vm.native.iov import TREASURY_ADDRESSES, credit, deposit_treasury, get_balance
from vm.native.lockup_records import (
    Clock,
    Linear,
    Lockup,
    Lockups,
    Schedule,
    Step,
    build_cliff,
    check_schedule,
    compute_locked,
    compute_locked_at,
    compute_unlocked,
    put_lockups,
)
from vm.native.sale_records import Tier, compute_fill

PAGE = Path(__file__).parents[2] / "docs" / "economy.md"
HOLDER = Address(bytes(20))
Lines = list[tuple[str, str]]


def read_examples(page: Path = PAGE) -> dict[str, tuple[Lines, Lines]]:
    """Inputs and results of each example, by name."""
    found = {}
    for name, body in re.findall(r"^```example (\w+)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        assert name not in found, name
        inputs, results = body.split("gives\n")
        found[name] = _read_lines(inputs), _read_lines(results)
    return found


def _read_lines(text: str) -> Lines:
    return [(name, value) for name, value in (line.split(" = ") for line in text.splitlines())]


def compute_lockup(given: Lines, schedule: Schedule) -> Lines:
    values = dict(given)
    amount, at = int(values["amount"]), int(values["at"])
    check_schedule(schedule, amount)
    lockup = Lockup(1, Grains(amount), schedule, HOLDER, False, 0, False)
    locked = compute_locked(Lockups(2, (lockup,)), at)
    return [("unlocked", str(compute_unlocked(lockup, at))), ("locked", str(locked))]


def compute_linear(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    linear = Linear(TimeMs(values["start"]), TimeMs(values["cliff"]), TimeMs(values["end"]))
    return compute_lockup(given, Schedule(linear, Clock.TIME, False, ()))


def read_steps(given: Lines) -> tuple[Step, ...]:
    pairs = [pair.split(":") for pair in dict(given)["steps"].split()]
    return tuple(Step(int(at), Grains(int(unlocked))) for at, unlocked in pairs)


def compute_steps(given: Lines) -> Lines:
    return compute_lockup(given, Schedule(None, Clock.TIME, False, read_steps(given)))


def compute_steps_in_grains(given: Lines) -> Lines:
    return compute_lockup(given, Schedule(None, Clock.TIME, True, read_steps(given)))


def compute_steps_by_height(given: Lines) -> Lines:
    values = dict(given)
    schedule = Schedule(None, Clock.HEIGHT, False, read_steps(given))
    lockups = Lockups(2, (Lockup(1, Grains(int(values["amount"])), schedule, HOLDER, False, 0, False),))
    return [("locked", " ".join(str(compute_locked_at(lockups, int(at), 0)) for at in values["heights"].split()))]


def compute_revocation(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    scene, account = LockupScene(), HOLDERS[0]
    scene.grant(account, values["amount"], linear(values["start"], values["cliff"], values["end"]))
    before = scene.get_balance(TEAM)
    scene.wait(values["at"] // 1_000 - scene.height)
    assert scene.now_ms == values["at"]
    scene.revoke(account, 1)
    kept, returned = scene.get_balance(account) - HOLDER_GRAINS, scene.get_balance(TEAM) - before
    return [("kept", str(kept)), ("returned", str(returned))]


def compute_movable(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    state = make_state({})
    lockup = Lockup(1, Grains(values["locked"]), build_cliff(10**12), HOLDER, False, 0, False)
    put_lockups(state, HOLDER, Lockups(2, (lockup,)))
    account = get_account(state, HOLDER)._replace(
        balance_grains=values["balance"], staked_grains=values["staked"], flags=HAS_LOCKUPS
    )
    put_account(state, HOLDER, account)
    return [("movable", str(compute_movable_grains(state, HOLDER, account, 0)))]


def compute_purchase(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    tier = Tier(Grains(1), values["price"], Grains(values["lot"]), build_cliff(1))
    amount, owed = compute_fill(tier, values["paid"], min(values["left"], values["cap_left"]))
    return [("amount", str(amount)), ("owed", str(owed))]


def compute_withdrawal(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    scene = SaleScene()
    tier = Tier(Grains(values["left"]), values["price"], Grains(values["lot"]), build_cliff(10**9))
    other = Tier(Grains(1), 1, Grains(1), build_cliff(10**9))  # or else the purchase would end the sale
    scene.open(tiers=(tier, other), cap_grains=Grains(values["left"]))
    scene.accept(scene.pay(values["paid"]))
    owed = scene.get_purchase().owed_minor
    scene.accept(scene.repay(owed))
    scene.accept(scene.withdraw())
    return [("owed_at_once", str(owed)), ("owed_after_withdrawal", str(scene.get_purchase().owed_minor))]


def compute_merit_of_holder(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    state, middle_ms = make_state({}), values["days"] * DAY_MS
    credit(state, HOLDER, values["holdings"], 0)
    credit(state, HOLDER, values["holdings_then"] - values["holdings"], middle_ms)
    end_ms = middle_ms + values["days_then"] * DAY_MS
    merit = compute_merit(0, compute_coin_age_grain_ms(get_account(state, HOLDER), end_ms), end_ms, 0)
    return [("average_holdings", str(merit.average_holdings_grains)), ("grain_days", str(merit.coin_age_grain_days))]


def compute_budgets(given: Lines) -> Lines:
    state = make_state({})
    deposit_treasury(state, int(dict(given)["amount"]), 0)
    return [(category, str(get_balance(state, address))) for category, address in TREASURY_ADDRESSES.items()]


def compute_coin_age(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given}
    state = make_state({})
    credit(state, HOLDER, values["holdings"], 0)
    grain_days = compute_coin_age_grain_days(get_account(state, HOLDER), values["days"] * DAY_MS)
    iov_days = grain_days // GRAINS_PER_IOV
    qualifies = values["holdings"] >= FIRST_RULES.holdings_min_grains and iov_days >= FIRST_RULES.coin_age_min_iov_days
    return [("iov_days", str(iov_days)), ("qualifies", "yes" if qualifies else "no")]


def compute_payouts(given: Lines) -> Lines:
    values = {name: int(value) for name, value in given if name != "merit"}
    rules = DividendRules(Grains(values["pool"]), values["holdings_bps"], values["age_bps"], values["force_min"])
    merits = []
    for name, value in given:
        if name == "merit":
            holdings, age, force = map(int, value.split())
            merits.append(Merit(Grains(holdings), GrainDays(age), force))
    pools, totals = compute_pools(rules), compute_totals(rules, merits)
    paid = [compute_dividend(rules, totals, each) for each in merits]
    return [
        ("holdings_part", str(pools.holdings_grains)),
        ("age_part", str(pools.age_grains)),
        ("force_part", str(pools.force_grains)),
        *[("paid", str(each)) for each in paid],
        ("rest", str(rules.pool_grains - sum(paid))),
    ]


COMPUTE: dict[str, Callable[[Lines], Lines]] = {
    "linear": compute_linear,
    "before_cliff": compute_linear,
    "steps": compute_steps,
    "steps_in_grains": compute_steps_in_grains,
    "steps_by_height": compute_steps_by_height,
    "movable": compute_movable,
    "movable_after_slash": compute_movable,
    "movable_slashed_untouched": compute_movable,
    "purchase": compute_purchase,
    "partial_purchase": compute_purchase,
    "withdrawn_purchase": compute_withdrawal,
    "revocation": compute_revocation,
    "merit": compute_merit_of_holder,
    "treasury": compute_budgets,
    "coin_age": compute_coin_age,
    "dividend": compute_payouts,
    "dividend_remainder": compute_payouts,
}


@pytest.mark.parametrize("name", COMPUTE)
def test_an_example_gives_what_it_says(name: str) -> None:
    inputs, results = read_examples()[name]
    assert COMPUTE[name](inputs) == results


def test_every_example_is_computed() -> None:
    assert set(read_examples()) == set(COMPUTE)
