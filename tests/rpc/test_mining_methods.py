"""mining_ methods over a state with attesters, a user and her car."""

from dataclasses import replace
from typing import Any

import pytest

from identity.did import Did, format_did
from ledger.codec import to_plain
from ledger.primitives import JSON_INTEGER_MAX, Grains, Height, TimeMs
from ledger.state_keys import MINING_SOURCE_KEY
from rpc.arguments import describe_type, to_json
from rpc.session import Session
from tests.distribution_scene import MANIFEST, Distribution, did_key, distribute
from tests.mining_scene import COMMITMENT, HASH, MiningScene
from tests.rpc.fake_backend import NETWORK, TIME_MS, FakeBackend
from tests.rpc.test_methods import Caller, Failed
from vm.native.distribution_records import PostedRoot, get_source, put_claimed, put_root, put_source
from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind, ProvenLeaf
from vm.native.mining_formulas import (
    DEFAULT_BEHAVIOURS,
    DEFAULT_RULES,
    MINING_FUND_GRAINS,
    RELEASE_SCALE_BITS,
    Epoch,
    compute_epoch,
    compute_release_share,
)
from vm.native.mining_records import put_rules

TODAY = Epoch(compute_epoch(TIME_MS) - 2)
"""It is closed on the day on which the backend stands."""
BUDGET = MINING_FUND_GRAINS * compute_release_share(DEFAULT_RULES.half_life_epochs) >> RELEASE_SCALE_BITS


@pytest.fixture
def scene(backend: FakeBackend) -> MiningScene:
    """A day with a batch and a record, closed."""
    scene = MiningScene(TODAY)
    scene.accept(scene.record())
    scene.accept(scene.weigh())
    scene.accept(scene.appeal())
    scene.day = Epoch(TODAY + 1)
    scene.accept(scene.batch())
    scene.begin_day(TODAY + 2)
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
    return scene


@pytest.fixture
def ask(session: Session) -> Caller:
    return Caller(session)


async def test_an_epoch_with_its_outcome(ask: Caller, scene: MiningScene) -> None:
    answer = await ask("mining_epoch", n=TODAY)
    left = str(MINING_FUND_GRAINS - 1_100 * 10**6)
    assert answer["outcome"] == {
        "height": scene.height - 1,
        "revenue": "0",
        "topup": "0",
        "budget": str(BUDGET),
        "smoothedForce": 1_100,
        "quotedPrice": str(10**12),
        "price": str(10**12),
        "released": str(1_100 * 10**6),
        "returned": "0",
        "remaining": left,
    }
    assert (answer["number"], answer["isOpen"], answer["rulesFrom"], answer["batches"]) == (TODAY, False, 0, 1)
    assert (answer["force"], answer["vouchedForce"]) == (1_100, 100)
    told = ("fund", "released", "returned", "revenue")
    assert [answer[name] for name in told] == [left, str(1_100 * 10**6), "0", "0"]
    assert answer["forecast"] == {
        "atThisRate": int(left) // (1_100 * 10**6),
        "untilHalf": 1_461,
        "untilHundredth": 9_707,
    }


async def test_the_forecast_is_a_number_that_json_carries(ask: Caller, backend: FakeBackend) -> None:
    """A day that releases one grain."""
    scene = MiningScene(TODAY)
    rules = replace(DEFAULT_RULES, price_ceiling_micrograins=10**6)
    put_rules(scene.state, TODAY, Height(0), rules, DEFAULT_BEHAVIOURS)
    scene.accept(scene.weigh(weight_hundredths=1))
    scene.accept(scene.record())
    scene.begin_day(TODAY + 1)
    scene.begin_day(TODAY + 2)
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
    answer = await ask("mining_epoch", n=TODAY)
    assert (answer["outcome"]["released"], answer["forecast"]["atThisRate"]) == ("1", JSON_INTEGER_MAX)


async def test_without_a_number_it_is_the_day_of_the_block(ask: Caller, scene: MiningScene) -> None:
    answer = await ask("mining_epoch")
    assert (answer["number"], answer["outcome"], answer["force"]) == (TODAY + 2, None, 0)


async def test_a_claim_with_what_proves_the_rest_of_it(ask: Caller, scene: MiningScene) -> None:
    alice = format_did(scene.alice, NETWORK)
    answer = await ask("mining_claim", n=TODAY, did=alice)
    batch = {
        "number": 1,
        "root": f"0x{HASH.hex()}",
        "records": 10,
        "force": 1_000,
        "manifestHash": f"0x{HASH.hex()}",
        "attesters": [format_did(gate, NETWORK) for gate in scene.gates[:2]],
    }
    expected = {
        "number": TODAY,
        "did": alice,
        "weight": 40,
        "vouchedForce": 100,
        "price": str(10**12),
        "vouchedReward": str(10**8),
        "batch": batch,
    }
    assert {name: answer[name] for name in expected} == expected


async def test_a_claim_says_what_was_claimed_and_by_a_proof_what_is_claimable(
    ask: Caller, scene: MiningScene, backend: FakeBackend
) -> None:
    built = distribute({did_key(scene.alice): 900, did_key(scene.bob): 50})
    source = get_source(scene.state, scene.source)
    counted = PostedRoot(built.root, Grains(950), MANIFEST, 0, TimeMs(0), TimeMs(1), Height(0), None)
    put_root(scene.state, scene.source, 1, counted)
    put_source(scene.state, scene.source, replace(source, roots=1, latest=1, promised_grains=Grains(950)))
    put_claimed(scene.state, scene.source, BeneficiaryKind.DID, BeneficiaryId(scene.alice), 300)
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
    alice, proof = format_did(scene.alice, NETWORK), show_proof(built, scene.alice)
    known = {"source": 1, "root": 1, "claimed": "300"}
    assert (await ask("mining_claim", n=TODAY, did=alice))["payout"] == {**known, "claimable": None}
    assert (await ask("mining_claim", n=TODAY, did=alice, proof=proof))["payout"] == {**known, "claimable": "600"}
    put_claimed(scene.state, scene.source, BeneficiaryKind.DID, BeneficiaryId(scene.alice), 1_000)
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}
    paid = (await ask("mining_claim", n=TODAY, did=alice, proof=proof))["payout"]
    assert paid == {**known, "claimed": "1000", "claimable": "0"}
    other = show_proof(distribute({did_key(scene.alice): 901}), scene.alice)
    for wrong, why in (
        (show_proof(built, scene.bob), "another beneficiary"),
        (other, "does not stand under the newest root"),
        ({"leaf": 1}, "proof: "),
    ):
        with pytest.raises(Failed) as caught:
            await ask("mining_claim", n=TODAY, did=alice, proof=wrong)
        assert caught.value.data["reason"] == "INVALID_PARAMS"
        assert why in caught.value.data["detail"]


async def test_before_governance_names_a_source_nothing_is_paid_out(
    ask: Caller, scene: MiningScene, backend: FakeBackend
) -> None:
    del backend.state_values[MINING_SOURCE_KEY]
    answer = await ask("mining_claim", n=TODAY, did=format_did(scene.alice, NETWORK))
    assert answer["payout"] is None


def show_proof(built: Distribution, did: Did) -> Any:
    """As the command shows it."""
    return to_json(describe_type(ProvenLeaf), to_plain(built.prove_key(did_key(did))), NETWORK)


async def test_a_statement(ask: Caller, scene: MiningScene) -> None:
    alice = format_did(scene.alice, NETWORK)
    answer = await ask("mining_statement", did=alice)
    assert (answer["did"], answer["weight"]) == (alice, 42)
    assert answer["decision"] == {
        "turn": 1,
        "weight": 40,
        "since": TODAY,
        "reason": "automated",
        "evidenceHash": f"0x{HASH.hex()}",
        "attesters": [format_did(gate, NETWORK) for gate in scene.gates[:2]],
        "grantedFrom": TODAY + DEFAULT_RULES.appeal_epochs,
        "isFinal": False,
    }
    assert answer["records"] == [
        {
            "number": TODAY,
            "behaviour": "car_started",
            "count": 1,
            "force": 100,
            "vehicle": format_did(scene.car, NETWORK),
            "commitment": f"0x{COMMITMENT.hex()}",
            "price": str(10**12),
            "reward": str(10**8),
        }
    ]


async def test_nobody_unknown_has_a_statement(ask: Caller, scene: MiningScene) -> None:
    for name, params in (("mining_statement", {}), ("mining_claim", {"n": TODAY})):
        with pytest.raises(Failed) as caught:
            await ask(name, did=format_did(bytes(20), NETWORK), **params)
        assert caught.value.data["reason"] == "DID_NOT_FOUND"
