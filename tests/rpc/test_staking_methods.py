"""staking_ methods over a state with four members, a candidate that waits and three holders."""

import pytest

from identity.address import format_address
from ledger.primitives import Height
from ledger.turns import Absence
from rpc.session import Session
from tests.rpc.fake_backend import NETWORK, SENDER_TEXT, FakeBackend
from tests.rpc.test_methods import Caller, Failed
from tests.stake_scene import BOND_GRAINS, HOLDERS, IOV, OPERATORS, StakeScene, jail
from vm.native.iov import FEES_ADDRESS, get_balance
from vm.native.punishment import put_absences
from vm.native.stake import get_epoch, slash_stake

ABSENCE = Absence(OPERATORS[3], 2, Height(9), Height(1))
TEXTS = [format_address(operator, NETWORK) for operator in OPERATORS]
ALICE = HOLDERS[0]
ALICE_TEXT = format_address(ALICE, NETWORK)


@pytest.fixture
def scene() -> StakeScene:
    return StakeScene()


def show(scene: StakeScene, backend: FakeBackend) -> None:
    """Let the node answer from the scene's state."""
    backend.state_values = {key: value for key, value in scene.state.changes.items() if value is not None}


@pytest.fixture
def ask(session: Session) -> Caller:
    return Caller(session)


async def test_a_candidate_is_shown_with_its_own_part_and_what_others_add(
    ask: Caller, backend: FakeBackend, scene: StakeScene
) -> None:
    scene.call(ALICE, "delegate", operator=OPERATORS[2], amount_grains=7 * IOV)
    scene.call(OPERATORS[2], "set_commission", commission_bps=525)
    show(scene, backend)
    page = await ask("staking_candidates")
    assert page["candidates"][0] == {
        "operator": TEXTS[2],
        "name": "operator 2",
        "status": "member",
        "stake": str(BOND_GRAINS + 7 * IOV),
        "bond": str(BOND_GRAINS),
        "commissionBps": 1_000,
        "nextCommissionBps": 525,
        "jailedUntilEpoch": None,
    }
    assert (page["height"], page["cursor"]) == (0, None)


async def test_candidates_are_ranked_by_stake_then_by_address(
    ask: Caller, backend: FakeBackend, scene: StakeScene
) -> None:
    scene.stand(5, BOND_GRAINS + 1)
    show(scene, backend)
    page = await ask("staking_candidates")
    assert [each["operator"] for each in page["candidates"]] == [TEXTS[index] for index in (5, 0, 1, 2, 3)]
    assert page["candidates"][0]["status"] == "standing"


async def test_pages_of_candidates_hold_each_of_them_once(ask: Caller, backend: FakeBackend, scene: StakeScene) -> None:
    scene.stand(4)
    scene.stand(5, 2 * BOND_GRAINS)
    show(scene, backend)
    found, cursor = [], None
    while True:
        params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = await ask("staking_candidates", **params)
        found += [each["operator"] for each in page["candidates"]]
        cursor = page["cursor"]
        if cursor is None:
            break
        assert len(page["candidates"]) == 2
    assert found == [TEXTS[index] for index in (5, 0, 1, 2, 3, 4)]


async def test_a_cursor_of_another_list_is_refused(ask: Caller, backend: FakeBackend, scene: StakeScene) -> None:
    show(scene, backend)
    other = (await ask("network_nodes", limit=1))["cursor"]
    for cursor in (other, "x", ""):
        with pytest.raises(Failed) as failure:
            await ask("staking_candidates", cursor=cursor)
        assert failure.value.reason == "BAD_CURSOR"


async def test_jail_and_retirement_show(ask: Caller, backend: FakeBackend, scene: StakeScene) -> None:
    jail(scene, 0, 3)
    scene.stand(4)
    scene.call(OPERATORS[4], "retire")
    show(scene, backend)
    found = {each["operator"]: each for each in (await ask("staking_candidates"))["candidates"]}
    assert (found[TEXTS[0]]["status"], found[TEXTS[0]]["jailedUntilEpoch"]) == ("jailed", 3)
    assert (found[TEXTS[4]]["status"], found[TEXTS[4]]["jailedUntilEpoch"]) == ("retired", None)


async def test_delegations_are_worth_what_slashes_left_of_them(
    ask: Caller, backend: FakeBackend, scene: StakeScene
) -> None:
    scene.call(ALICE, "delegate", operator=OPERATORS[0], amount_grains=100 * IOV)
    scene.call(ALICE, "delegate", operator=OPERATORS[1], amount_grains=10 * IOV)
    scene.call(ALICE, "undelegate", operator=OPERATORS[0], amount_grains=40 * IOV)
    slash_stake(scene.state, OPERATORS[0], 5_000, get_epoch(scene.state).number, 1_000)
    show(scene, backend)
    release_epoch = 1 + scene.parameters.unbonding_epochs
    result = await ask("staking_delegations", address=ALICE_TEXT)
    assert result["delegations"] == [
        {"operator": TEXTS[0], "value": str(30 * IOV)},
        {"operator": TEXTS[1], "value": str(10 * IOV)},
    ]
    assert result["unbondings"] == [{"operator": TEXTS[0], "value": str(20 * IOV), "releaseEpoch": release_epoch}]


async def test_somebody_without_stake_has_none(ask: Caller, backend: FakeBackend, scene: StakeScene) -> None:
    show(scene, backend)
    result = await ask("staking_delegations", address=SENDER_TEXT)
    assert (result["delegations"], result["unbondings"]) == ([], [])
    with pytest.raises(Failed) as failure:
        await ask("staking_delegations", address=SENDER_TEXT[:-1] + "x")
    assert failure.value.reason == "BAD_ADDRESS"


async def test_the_running_epoch_shows_committees_absences_and_fees(
    ask: Caller, backend: FakeBackend, scene: StakeScene
) -> None:
    scene.end_block(fees_grains=1_000)
    put_absences(scene.state, [ABSENCE])
    show(scene, backend)
    epoch = await ask("staking_epoch")
    assert get_balance(scene.state, FEES_ADDRESS) == 1_000
    assert (epoch["number"], epoch["firstHeight"], epoch["isOver"], epoch["fees"]) == (0, 1, False, "1000")
    assert [each["operator"] for each in epoch["committee"]["members"]] == TEXTS[:4]
    assert (epoch["committee"]["height"], epoch["nextCommittee"]["height"]) == (1, 2)
    assert epoch["absences"] == [{"operator": TEXTS[3], "misses": 2, "putOffUntil": 9, "awaySince": 1}]
    assert await ask("staking_epoch", n=0) == epoch


async def test_past_epochs_are_found_as_long_as_their_terms_are_kept(
    ask: Caller, backend: FakeBackend, scene: StakeScene
) -> None:
    scene.end_epoch()
    scene.stand(4, 2 * BOND_GRAINS)
    scene.end_epoch()
    show(scene, backend)
    heights = scene.parameters.epoch_heights
    first, second = await ask("staking_epoch", n=0), await ask("staking_epoch", n=1)
    assert (first["firstHeight"], first["lastHeight"], first["isOver"]) == (1, heights, True)
    assert (second["firstHeight"], second["lastHeight"]) == (heights + 1, 2 * heights)
    assert (first["nextCommittee"], first["fees"], first["absences"]) == (None, None, [])
    running = await ask("staking_epoch")
    assert (running["number"], running["firstHeight"]) == (2, 2 * heights + 1)
    assert TEXTS[4] in [each["operator"] for each in running["nextCommittee"]["members"]]


async def test_epochs_to_come_and_forgotten_ones_are_not_found(
    ask: Caller, backend: FakeBackend, scene: StakeScene
) -> None:
    for _ in range(scene.parameters.unbonding_epochs + 3):
        scene.end_epoch()
    show(scene, backend)
    for number in (0, 99):
        with pytest.raises(Failed) as failure:
            await ask("staking_epoch", n=number)
        assert (failure.value.code, failure.value.reason) == (-32001, "NOT_FOUND")
