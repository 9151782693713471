"""What grows with a call, or with what the state holds by then, is paid for."""

from dataclasses import replace

import pytest

from ledger.primitives import Grains
from tests.ads_scene import AdsScene
from tests.lockup_scene import steps
from tests.mining_scene import TODAY, MiningScene, build_leaf, build_tree
from tests.sale_scene import TERMS_TIERS, SaleScene
from tests.vm.test_gifts import LINKS, key_of_link
from vm.gas import GAS_BYTE, GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.ads_complaints import GAS_CANDIDATE, GAS_ENROLLED
from vm.native.ads_records import Counterparty
from vm.native.did_records import GAS_DID_READ
from vm.native.distribution import GAS_POST, GAS_SOURCE
from vm.native.distribution_tree import GAS_PROOF_HASH, SHARDS
from vm.native.gifts import GiftLine, Give, compute_give_gas
from vm.native.lockup_records import Clock
from vm.native.mining_formulas import Epoch
from vm.native.registry import CALLS
from vm.native.sale import close_sale


def test_a_hash_of_a_root_costs_what_a_hash_of_a_claim_does():
    hashes = SHARDS + (SHARDS - 1)
    assert 0 <= GAS_POST - GAS_SOURCE - GAS_STATE_READ - GAS_STATE_WRITE - hashes * GAS_PROOF_HASH <= GAS_PROOF_HASH


def test_a_hash_of_a_proof_of_mining_costs_the_same():
    scene, rule = MiningScene(), CALLS["mining", "challenge"]
    costs = []
    for count in (2, 3, 5):
        _, proofs = build_tree([build_leaf(scene.alice)] * count)
        call = scene.challenge(proofs[0], proofs[1])
        costs.append(rule.rule.compute_gas(rule.read_arguments(call.arguments)))
    assert [cost - costs[0] for cost in costs] == [0, 2 * GAS_PROOF_HASH, 4 * GAS_PROOF_HASH]


def test_every_suspension_costs_a_read_and_a_write():
    costs = []
    for attesters in (2, 3):
        scene = MiningScene()
        scene.day = Epoch(TODAY + 1)
        root, proofs = build_tree([build_leaf(scene.alice)] * 2)
        scene.accept(scene.batch(scene.gates[:attesters], root=root))
        costs.append(scene.accept(scene.challenge(*proofs)).gas_used)
    assert costs[1] - costs[0] == GAS_STATE_READ + GAS_STATE_WRITE


@pytest.mark.parametrize(("message", "length"), [("", 0), ("hello", 5), ("你好", 6)])
def test_every_gift_is_kept_with_its_message(message, length):
    lines = [GiftLine(key_of_link(link), Grains(1)) for link in LINKS]
    plain, many = (compute_give_gas(Give(tuple(lines[:count]), 1, message)) for count in (1, 4))
    without = [compute_give_gas(Give(tuple(lines[:count]), 1, "")) for count in (1, 4)]
    assert (plain - without[0], many - without[1]) == (length * GAS_BYTE, 4 * length * GAS_BYTE)


@pytest.mark.parametrize(("call", "gas"), [("enrol", GAS_CANDIDATE), ("withdraw", GAS_ENROLLED)])
def test_the_record_of_reviewers_costs_more_as_it_grows(call, gas):
    scene = AdsScene()
    costs = []
    for number in range(3):
        receipt = scene.do(f"judge{number}", "enrol")
        if call == "withdraw":
            receipt = scene.do(f"judge{number}", "withdraw")
            scene.do(f"judge{number}", "enrol")
        costs.append(receipt.gas_used)
    assert [cost - costs[0] for cost in costs] == [0, gas, 2 * gas]


def test_the_attesters_of_a_distribution_that_a_channel_opens_are_looked_up():
    scene = AdsScene()
    campaign = scene.run_campaign(matcher=scene.dids["matcher"])
    costs = []
    for number in (1, 2):
        call = scene.build_open_channel(
            number=number, signers=("advertiser", "publisher"), user=None, counterparty=Counterparty.PUBLISHER
        )
        costs.append(scene.accept(call).gas_used)
    assert campaign == 1
    assert costs[0] - costs[1] == 2 * GAS_DID_READ, "the second finds it open"


@pytest.mark.parametrize(("clock", "more"), [(Clock.HEIGHT, 3), (Clock.TIME, 0)])
def test_every_step_by_height_of_a_delivery_costs_what_it_writes_then_and_later(clock, more):
    costs = []
    for count in (1, 4):
        scene = SaleScene()
        pairs = [(10**6 + index, 100 * index) for index in range(1, count)]
        schedule = steps(*pairs, (2 * 10**6, 10_000), clock=clock)
        scene.open(tiers=(replace(TERMS_TIERS[0], schedule=schedule),))
        scene.accept(scene.pay())
        close_sale(scene.state, scene.block(), 1)
        costs.append(scene.accept(scene.deliver()).gas_used)
    assert costs[1] - costs[0] == more * (3 * GAS_STATE_WRITE + GAS_STATE_READ)
