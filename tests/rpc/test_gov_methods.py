"""gov_ methods over a state with a committee of four, proposals and a treasury."""

from typing import Any

import pytest

from identity.address import Address, format_address
from ledger.primitives import Height, TransactionId
from rpc.namespaces import gov
from rpc.namespaces.gov import PARAMETER_BOUNDS
from rpc.session import Session
from tests.builders import PARAMETERS, block_context
from tests.rpc.fake_backend import NETWORK, FakeBackend
from tests.rpc.test_methods import Caller, Failed
from tests.stake_scene import HOLDERS, OPERATORS, StakeScene
from vm.context import Context
from vm.gas import GasMeter
from vm.native.governance import BodyKind, apply_decisions, put_body
from vm.native.iov import TREASURY_PERCENT
from vm.native.registry import find_call
from vm.parameters import put_parameters

TEXTS = [format_address(operator, NETWORK) for operator in OPERATORS]
ALICE_TEXT = format_address(HOLDERS[0], NETWORK)
DEADLINE = 1 + PARAMETERS.voting_heights_normal


class Parliament:
    """Makes and decides proposals."""

    def __init__(self, backend: FakeBackend) -> None:
        self.backend = backend
        self.scene = StakeScene()
        put_parameters(self.scene.state, PARAMETERS)
        self.show()

    def call(self, sender: Address, name: str, plain: list[Any]) -> None:
        ready = find_call("governance", name)
        context = Context(block_context(1, 1_000), sender, sender, TransactionId(bytes(32)), GasMeter(10**9, 0))
        ready.rule.apply(self.scene.state, context, ready.read_arguments(plain))
        self.show()

    def propose(self, value: int, sender: Address = OPERATORS[0]) -> None:
        terms = [1, DEADLINE + 5, f"Epochs of {value}"]
        self.call(sender, "propose_parameter", ["epoch_heights", value, terms])

    def decide(self, height: int) -> None:
        apply_decisions(self.scene.state, block_context(height, 1_000))
        self.show()

    def show(self) -> None:
        changes = self.scene.state.changes
        self.backend.state_values = {key: value for key, value in changes.items() if value is not None}


@pytest.fixture
def parliament(backend: FakeBackend) -> Parliament:
    return Parliament(backend)


@pytest.fixture
def ask(session: Session) -> Caller:
    return Caller(session)


async def test_a_proposal_shows_what_it_wants_and_what_it_needs(ask: Caller, parliament: Parliament) -> None:
    parliament.propose(500)
    parliament.call(OPERATORS[1], "vote", [1, True])
    parliament.call(OPERATORS[2], "vote", [1, False])
    (proposal,) = (await ask("gov_proposals"))["proposals"]
    assert proposal == {
        "id": 1,
        "kind": "set_parameter",
        "arguments": {"name": "epoch_heights", "value": 500},
        "title": "Epochs of 500",
        "proposer": TEXTS[0],
        "body": "committee",
        "priority": "normal",
        "status": "voting",
        "firstHeight": 1,
        "deadline": DEADLINE,
        "effectiveHeight": DEADLINE + 5,
        "ayes": [TEXTS[1]],
        "noes": [TEXTS[2]],
        "electors": 4,
        "ayesNeeded": 3,
    }
    assert (await ask("gov_proposals", id=1))["proposals"] == [proposal]


async def test_a_proposal_that_is_not_there_is_not_found(ask: Caller, parliament: Parliament) -> None:
    with pytest.raises(Failed) as failure:
        await ask("gov_proposals", id=1)
    assert (failure.value.code, failure.value.reason) == (-32001, "NOT_FOUND")
    assert (await ask("gov_proposals"))["proposals"] == []


async def test_a_body_with_members_decides_and_others_need_the_committee(ask: Caller, parliament: Parliament) -> None:
    put_body(parliament.scene.state, BodyKind.FINANCIAL, HOLDERS)
    terms = [1, DEADLINE + 5, "Pay Alice"]
    parliament.call(HOLDERS[0], "propose_spending", ["core", HOLDERS[0], 7, terms])
    (proposal,) = (await ask("gov_proposals"))["proposals"]
    assert proposal["arguments"] == {"category": "core", "recipient": ALICE_TEXT, "amountGrains": "7"}
    assert (proposal["body"], proposal["electors"], proposal["ayesNeeded"]) == ("financial", 3, 2)


async def test_proposals_come_newest_first_in_pages(ask: Caller, parliament: Parliament) -> None:
    for index in range(5):
        parliament.propose(500 + index)
    found, cursor = [], None
    while True:
        page = await ask("gov_proposals", limit=2, **({} if cursor is None else {"cursor": cursor}))
        found += [each["id"] for each in page["proposals"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert found == [5, 4, 3, 2, 1]


async def test_proposals_are_found_by_where_they_stand(ask: Caller, parliament: Parliament) -> None:
    parliament.propose(500)
    parliament.propose(600)
    for index in range(3):
        parliament.call(OPERATORS[index], "vote", [1, True])
    assert [each["id"] for each in (await ask("gov_proposals", status="passed"))["proposals"]] == [1]
    assert [each["id"] for each in (await ask("gov_proposals", status="voting"))["proposals"]] == [2]
    parliament.decide(DEADLINE)
    assert [each["id"] for each in (await ask("gov_proposals", status="expired"))["proposals"]] == [2]
    parliament.decide(DEADLINE + 5)
    assert [each["id"] for each in (await ask("gov_proposals", status="applied"))["proposals"]] == [1]
    with pytest.raises(Failed) as failure:
        await ask("gov_proposals", status="lost")
    assert failure.value.reason == "INVALID_PARAMS"


async def test_a_search_looks_at_so_many_proposals_and_then_goes_on_by_cursor(
    ask: Caller, parliament: Parliament, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        parliament.propose(500 + index)
    monkeypatch.setattr(gov, "PROPOSALS_SCANNED_MAX", 2)
    page = await ask("gov_proposals", status="rejected")
    assert page["proposals"] == []
    assert page["cursor"] is not None
    assert (await ask("gov_proposals", status="rejected", cursor=page["cursor"]))["cursor"] is None
    with pytest.raises(Failed) as failure:
        await ask("gov_proposals", status="voting", cursor=page["cursor"])
    assert failure.value.reason == "BAD_CURSOR"


async def test_every_parameter_is_listed_with_bounds_and_meaning(ask: Caller, parliament: Parliament) -> None:
    listed = (await ask("gov_params"))["params"]
    values = (await ask("chain_params"))["params"]
    assert {each["name"]: each["value"] for each in listed} == values
    assert all(each["meaning"].endswith(".") for each in listed)
    for each in listed:
        assert int(each["least"]) <= int(each["value"]) <= int(each["most"])
    bond = next(each for each in listed if each["name"] == "candidate_bond_min_grains")
    assert (bond["least"], bond["most"]) == ("0", str(10**18))
    assert PARAMETER_BOUNDS["epoch_heights"] == (2, 10_000_000)


async def test_the_treasury_shows_what_its_budgets_hold(ask: Caller, parliament: Parliament) -> None:
    parliament.call(HOLDERS[0], "donate", [1_003])
    result = await ask("gov_treasury")
    assert [(each["category"], each["percent"]) for each in result["budgets"]] == list(TREASURY_PERCENT.items())
    assert [int(each["balance"]) for each in result["budgets"]] == [102, 100, 351, 300, 150]
    assert result["total"] == "1003"


async def test_reads_of_heights_to_come_say_that_the_node_is_behind(ask: Caller, parliament: Parliament) -> None:
    at = {"height": Height(9)}
    for method in ("gov_params", "gov_treasury", "gov_proposals", "network_nodes", "staking_candidates"):
        with pytest.raises(Failed) as failure:
            await ask(method, at=at)
        assert failure.value.reason == "NODE_BEHIND"
