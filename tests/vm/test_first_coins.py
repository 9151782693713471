"""A person without a coin earns and collects the first ones: rule Q1 for every call that this takes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from identity.did import Did
from identity.keys import PrivateKey
from ledger.primitives import Height
from ledger.receipt import Receipt, Status
from ledger.transaction import Call
from tests.ads_scene import FIRST, AdsScene
from tests.builders import PARAMETERS, Draft, address_of, block_context, make_key
from tests.did_scene import DidScene, build_call
from tests.distribution_scene import DistributionScene, account_key, did_key
from tests.mining_scene import MiningScene
from tests.sale_scene import SaleScene
from tests.vm.test_gifts import EXPIRES_MS, LINKS, GiftScene
from vm.native.accounts import DAY_MS, get_account
from vm.native.free_quota import EVERYDAY_CALLS
from vm.native.iov import debit, get_balance
from vm.native.role_records import Grant, Role, put_grant
from vm.native.sale import close_sale
from vm.parameters import put_parameters
from vm.transition import apply_transaction, check_admission

ALICE = make_key("alice")
A = address_of(ALICE)
DAILY_GAS = 50_000  # of the mainnet: each of these calls fits into one day
QUOTA = replace(PARAMETERS, free_quota_gas_daily=DAILY_GAS, free_quota_block_gas_max=DAILY_GAS)


@dataclass(frozen=True)
class Chance:
    """A call that brings Alice something, in a scene that waits for it."""

    scene: DidScene
    call: Call
    time_ms: int
    earned_grains: int = 0
    """That her account holds afterwards."""


def become_newcomer(scene: DidScene, alice: Did) -> None:
    """Alice is a recognised person whose account is linked, and empty."""
    if scene.get(alice).account is None:
        scene.accept(build_call(scene.link(alice, A), "alice", name="link_account"))
    put_grant(scene.state, alice, Role.PERSON, Grant(Height(10**6), None), Height(1))
    debit(scene.state, A, get_balance(scene.state, A), scene.height)
    put_parameters(scene.state, QUOTA)


def send_free(chance: Chance, key: PrivateKey = ALICE) -> Receipt:
    """Her transaction without a fee: it may wait, and is executed."""
    scene = chance.scene
    sequence = get_account(scene.state, address_of(key)).sequence
    draft = Draft(
        key, [chance.call], sequence=sequence, gas_limit=DAILY_GAS, price_grains=0, valid_until=scene.height + 10
    )
    transaction = draft.sign()
    check_admission(scene.state, transaction, Height(scene.height), chance.time_ms, QUOTA)
    return apply_transaction(
        scene.state, replace(block_context(scene.height, chance.time_ms), parameters=QUOTA), transaction
    )


def record_behaviour() -> Chance:
    scene = MiningScene()
    become_newcomer(scene, scene.alice)
    return Chance(scene, scene.record(), scene.day * DAY_MS)


def appeal() -> Chance:
    scene = MiningScene()
    scene.accept(scene.weigh())
    become_newcomer(scene, scene.alice)
    return Chance(scene, scene.appeal(), scene.day * DAY_MS)


def claim_for_oneself() -> Chance:
    scene = DistributionScene()
    alice = scene.create("alice")
    become_newcomer(scene, alice)
    built = scene.settle({did_key(alice): 600})
    return Chance(scene, scene.claim(built, did_key(alice)), scene.now_ms, 600)


def claim_for_another() -> Chance:
    scene = DistributionScene()
    become_newcomer(scene, scene.create("alice"))
    built = scene.settle({account_key("somebody"): 600})
    return Chance(scene, scene.claim(built, account_key("somebody")), scene.now_ms)


def name_a_payout() -> Chance:
    scene = DistributionScene()
    alice = scene.create("alice")
    become_newcomer(scene, alice)
    return Chance(scene, scene.payout(alice, "alice", address_of(make_key("another"))), scene.now_ms)


def take_up_an_offer() -> Chance:
    scene = AdsScene()
    scene.run_campaign()
    become_newcomer(scene, scene.dids["alice"])
    return Chance(scene, scene.build_accept(scene.acceptance()), scene.now_ms)


def complete_an_order() -> Chance:
    scene = AdsScene()
    scene.run_campaign()
    order = scene.accept_order()
    become_newcomer(scene, scene.dids["alice"])
    return Chance(scene, scene.build_complete(order), scene.now_ms, 502)


def post_a_balance() -> Chance:
    scene = AdsScene()
    scene.run_campaign()
    scene.accept(scene.build_open_channel())
    become_newcomer(scene, scene.dids["alice"])
    return Chance(scene, scene.build_balance(1, 7_001), scene.now_ms)


def settle_a_channel() -> Chance:
    scene = AdsScene()
    scene.run_campaign()
    scene.accept(scene.build_open_channel())
    scene.accept(scene.build_balance(1, 7_001))
    scene.pass_time(DAY_MS)
    become_newcomer(scene, scene.dids["alice"])
    return Chance(scene, Call("ads", "settle_channel", [FIRST, 1]), scene.now_ms, 3_501)


def claim_a_gift() -> Chance:
    scene = GiftScene()
    become_newcomer(scene, scene.create("alice"))
    scene.accept(scene.give((LINKS[0], 500)))
    return Chance(scene, scene.claim(LINKS[0]), scene.height * 1_000, 500)


def have_a_gift_refunded() -> Chance:
    scene = GiftScene()
    scene.accept(scene.give((LINKS[0], 500)))
    become_newcomer(scene, scene.create("alice"))
    return Chance(scene, scene.refund(LINKS[0]), EXPIRES_MS)


def buy(scene: SaleScene) -> SaleScene:
    """Alice has bought 100 grains for money."""
    scene.open()
    scene.accept(scene.pay())
    become_newcomer(scene, scene.alice)
    return scene


def have_a_purchase_delivered() -> Chance:
    scene = buy(SaleScene())
    close_sale(scene.state, scene.block(), 1)
    return Chance(scene, scene.deliver(), scene.height * 1_000, 100)


def undo_a_purchase() -> Chance:
    scene = buy(SaleScene())
    return Chance(scene, scene.withdraw(), scene.height * 1_000)


CHANCES = {
    ("mining", "record"): (record_behaviour,),
    ("mining", "appeal"): (appeal,),
    ("distribution", "claim"): (claim_for_oneself, claim_for_another),
    ("distribution", "set_payout"): (name_a_payout,),
    ("ads", "accept"): (take_up_an_offer,),
    ("ads", "complete"): (complete_an_order,),
    ("ads", "post_balance"): (post_a_balance,),
    ("ads", "settle_channel"): (settle_a_channel,),
    ("gifts", "claim"): (claim_a_gift,),
    ("gifts", "refund"): (have_a_gift_refunded,),
    ("sale", "deliver"): (have_a_purchase_delivered,),
    ("sale", "withdraw"): (undo_a_purchase,),
}
TIPS = {("gifts", "tip"), ("gifts", "tip_did")}
"""Everyday calls that take a coin, as a transfer does."""


@pytest.mark.parametrize("prepare", [each for chances in CHANCES.values() for each in chances])
def test_a_person_without_a_coin_does_it(prepare: Callable[[], Chance]) -> None:
    chance = prepare()
    assert get_balance(chance.scene.state, A) == 0
    receipt = send_free(chance)
    assert (receipt.status, receipt.reason, receipt.fee_grains) == (Status.SUCCEEDED, 0, 0)
    assert get_balance(chance.scene.state, A) == chance.earned_grains


def test_every_everyday_call_of_the_economy_is_tried() -> None:
    economy = {"ads", "distribution", "gifts", "mining", "sale"}
    assert {each for each in EVERYDAY_CALLS if each[0] in economy} == {*CHANCES, *TIPS}


@pytest.mark.parametrize("by_did", [False, True])
def test_the_first_coins_are_given_away_without_a_fee(by_did: bool) -> None:
    chance = claim_for_oneself()
    send_free(chance)
    scene = chance.scene
    did = scene.create("friend")
    friend = address_of(make_key("friend"))
    scene.accept(build_call(scene.link(did, friend), "friend", name="link_account"))
    call = Call("gifts", "tip_did", [did, 600, "thanks"]) if by_did else Call("gifts", "tip", [friend, 600, "thanks"])
    next_day = Chance(scene, call, DAY_MS)
    assert send_free(next_day).reason == 0
    assert (get_balance(scene.state, A), get_balance(scene.state, friend)) == (0, 600)
