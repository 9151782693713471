"""The worked examples of docs/ads.md: what they say comes out is what comes out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.economy.test_economy_page import Lines, read_examples
from vm.native.ads_formulas import (
    FixedReward,
    Split,
    compute_deposit,
    compute_deposit_bps,
    compute_fixed_reward,
    compute_panel_size,
    compute_penalty,
    compute_score,
    compute_shares,
    compute_stake,
    decay_points,
    draw_panel,
)
from vm.native.ads_records import DEFAULT_RULES

PAGE = Path(__file__).parents[2] / "docs" / "ads.md"
Values = dict[str, int]


def compute_parts(given: Values) -> dict[str, object]:
    split = Split(given["user_bps"], given["publisher_bps"], given["platform_bps"])
    shares = compute_shares(split, given["gross"])
    return {"user": shares.user_grains, "publisher": shares.publisher_grains, "platform": shares.platform_grains}


def compute_channel(given: Values) -> dict[str, object]:
    return compute_parts(given) | {"released": given["locked"] - given["gross"]}


def compute_item(given: Values) -> dict[str, object]:
    return {"gross": given["price"] * given["units"]}


def compute_fixed(given: Values) -> dict[str, object]:
    reward = FixedReward(given["total"], given["deliveries"])
    worth = [str(compute_fixed_reward(reward, number + 1)) for number in range(given["deliveries"])]
    return {"worth": " ".join(worth)}


def compute_points(given: Values) -> dict[str, object]:
    assert given["half_life"] == DEFAULT_RULES.half_life_ms
    left = decay_points(given["points"], given["elapsed"], given["half_life"])
    return {"points_left": left, "score": compute_score(left)}


def compute_budget(given: Values) -> dict[str, object]:
    bps = compute_deposit_bps(DEFAULT_RULES.deposit_bps_min, DEFAULT_RULES.deposit_bps_max, given["score"])
    deposit = compute_deposit(given["funded"], bps)
    return {"deposit_bps": bps, "deposit": deposit, "budget": given["funded"] - deposit}


def compute_loss(given: Values) -> dict[str, object]:
    assert given["stake"] == DEFAULT_RULES.stake_grains
    complainer, treasury = compute_penalty(given["deposit"], DEFAULT_RULES.penalty_bps, given["stake"])
    return {"complainer": complainer, "treasury": treasury}


def compute_panel(given: dict[str, str]) -> dict[str, object]:
    candidates = given["candidates"].split()
    assert compute_panel_size(4, int(given["size"])) == 3, "as the page says"
    return {"drawn": " ".join(draw_panel(candidates, bytes.fromhex(given["seed"]), int(given["size"])))}


def compute_stakes(given: Values) -> dict[str, object]:
    assert given["base"] == DEFAULT_RULES.stake_grains
    locked = [compute_stake(given["base"], others) for others in range(given["open"])]
    return {"stake": compute_stake(given["base"], given["open"]), "locked_by_those": sum(locked)}


COMPUTE: dict[str, Callable[[Values], dict[str, object]]] = {
    "shares": compute_parts,
    "by_item": compute_item,
    "fixed": compute_fixed,
    "channel": compute_channel,
    "points": compute_points,
    "deposit": compute_budget,
    "low_score": compute_budget,
    "penalty": compute_loss,
    "first_stake": compute_stakes,
    "seventeenth_stake": compute_stakes,
    "last_stake": compute_stakes,
}


@pytest.mark.parametrize("name", COMPUTE)
def test_an_example_gives_what_it_says(name: str) -> None:
    inputs, results = read_examples(PAGE)[name]
    computed: Lines = [(key, str(value)) for key, value in COMPUTE[name]({k: int(v) for k, v in inputs}).items()]
    assert computed == results


def test_the_panel_is_drawn_as_the_page_says() -> None:
    inputs, results = read_examples(PAGE)["panel"]
    assert list(compute_panel(dict(inputs)).items()) == results


def test_every_example_is_computed() -> None:
    assert set(read_examples(PAGE)) == {*COMPUTE, "panel"}
