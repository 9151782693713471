"""What governance decides about contracts: who may publish, which code, and upgrades that are left to it."""

from dataclasses import replace

from identity.address import compute_module_address
from ledger.primitives import Height, TimeMs
from ledger.reasons import CONTRACT_REASON_FIRST, Reason
from ledger.receipt import Event, Status
from ledger.transaction import Call
from tests.builders import PARAMETERS, address_of, make_key
from tests.vm.contracts.puppet import build_puppet, find_address, hash_code, pack_script, put, revert
from tests.vm.contracts.scene import ALICE, BOB, RUNTIME, A, B, Scene, introduce
from vm.context import Moment
from vm.contracts.abi import UpgradeRule
from vm.contracts.lifecycle import APPROVED_CODE, CERTIFIED_DEVELOPERS
from vm.native.governance import ProposalStatus, apply_decisions, get_proposal
from vm.native.iov import credit
from vm.native.registry import answer_view

MEMBER = make_key("operator")
EFFECTIVE = PARAMETERS.voting_heights_normal + 2


class Chamber(Scene):
    """A scene whose committee is one member, so that its vote decides."""

    def __init__(self, **parameters: int) -> None:
        super().__init__(**parameters)
        credit(self.state, address_of(MEMBER), 10**12, 0)
        self.proposals = 0

    def propose(self, call: str, *arguments: object) -> int:
        """The reason for which a proposal is refused, or 0."""
        terms = [1, self.height + EFFECTIVE, "Because"]
        self.proposals += 1
        return self.send(Call("governance", call, [*arguments, terms]), key=MEMBER).reason

    def decide(self, call: str, *arguments: object) -> list[Event]:
        """Propose and pass something; what happens at the end of the block in which it takes effect."""
        assert self.propose(call, *arguments) == 0
        self.send(Call("governance", "vote", [self.proposals, True]), key=MEMBER)
        self.height += EFFECTIVE
        return apply_decisions(self.state, replace(self.block, height=Height(self.height)))

    def answer(self, view: str, *arguments: object) -> object:
        """A view of the module."""
        return answer_view(self.state, Moment(Height(1), TimeMs(1), RUNTIME), "contracts", view, list(arguments))


def applied(number: int) -> Event:
    return Event("governance", "ProposalSettled", [number, int(ProposalStatus.APPLIED), 0])


def test_developers_are_certified_and_lose_it_again():
    chamber = Chamber(contract_publishers=CERTIFIED_DEVELOPERS)
    assert chamber.decide("propose_developer", A) == [Event("governance", "DeveloperCertified", [A]), applied(1)]
    assert chamber.answer("developers") == [A]
    first = chamber.send(introduce(build_puppet()))
    assert first.status is Status.SUCCEEDED
    assert chamber.send(introduce(build_puppet()), key=BOB).reason == Reason.PUBLISHER_NOT_ALLOWED
    assert chamber.propose("propose_developer_removal", B) == Reason.PUBLISHER_NOT_ALLOWED
    chamber.proposals -= 1
    removed = chamber.decide("propose_developer_removal", A)
    assert removed == [Event("governance", "DeveloperDecertified", [A]), applied(2)]
    assert chamber.send(introduce(build_puppet(), salt=b"2")).reason == Reason.PUBLISHER_NOT_ALLOWED


def test_a_modules_address_is_no_developer():
    chamber = Chamber()
    fees = compute_module_address("fees")
    assert chamber.propose("propose_developer", fees) == Reason.RECIPIENT_NOT_ALLOWED


def test_code_is_approved_by_its_hash():
    chamber = Chamber(contract_publishers=APPROVED_CODE)
    code_hash = hash_code(build_puppet())
    assert chamber.decide("propose_code", code_hash) == [Event("governance", "CodeApproved", [code_hash]), applied(1)]
    assert chamber.answer("is_approved", code_hash) is True
    assert chamber.send(introduce(build_puppet())).status is Status.SUCCEEDED
    assert chamber.send(introduce(build_puppet("Other"))).reason == Reason.PUBLISHER_NOT_ALLOWED


def test_governance_upgrades_what_is_left_to_it():
    chamber = Chamber()
    first, second = build_puppet("First", UpgradeRule.GOVERNANCE), build_puppet("Second", UpgradeRule.GOVERNANCE)
    address = chamber.publish(first)
    arguments = address, hash_code(second), pack_script(put(3, 4))
    assert chamber.propose("propose_upgrade", *arguments) == Reason.BAD_CONTRACT, "it was not published"
    chamber.proposals -= 1
    assert chamber.send(introduce(second)).status is Status.SUCCEEDED
    assert chamber.decide("propose_upgrade", *arguments) == [
        Event("governance", "ContractUpgraded", [address, hash_code(second), hash_code(first)]),
        applied(1),
    ]
    assert chamber.stored(address, 3) == b"\4"
    history = chamber.answer("history", address)
    assert isinstance(history, list)
    assert [each.code_hash for each in history] == [hash_code(first), hash_code(second)]


def test_an_upgrade_that_fails_leaves_the_contract_as_it_was():
    chamber = Chamber()
    first, second = build_puppet("First", UpgradeRule.GOVERNANCE), build_puppet("Second", UpgradeRule.GOVERNANCE)
    address = chamber.publish(first)
    chamber.send(introduce(second))
    chamber.decide("propose_upgrade", address, hash_code(second), pack_script(put(3, 4), revert(5)))
    proposal = get_proposal(chamber.state, 1)
    assert proposal is not None
    assert proposal.status is ProposalStatus.FAILED
    assert chamber.stored(address, 3) is None
    assert chamber.run(address, revert(1)).reason == CONTRACT_REASON_FIRST + 1
    history = chamber.answer("history", address)
    assert isinstance(history, list)
    assert [each.code_hash for each in history] == [hash_code(first)]


def test_contracts_of_others_are_not_for_governance():
    chamber = Chamber()
    for rule in (UpgradeRule.NEVER, UpgradeRule.OWNER):
        address = chamber.publish(build_puppet("One", rule))
        upgrade = address, hash_code(build_puppet("One", UpgradeRule.NEVER)), b""
        assert chamber.propose("propose_upgrade", *upgrade) == Reason.UPGRADE_NOT_ALLOWED
    assert chamber.propose("propose_upgrade", B, bytes(32), b"") == Reason.CONTRACT_NOT_FOUND
    code = build_puppet("Later", UpgradeRule.GOVERNANCE)
    chamber.send(introduce(code), key=ALICE)
    later = find_address(A, code)
    assert chamber.propose("propose_upgrade", later, hash_code(code), b"") == Reason.CONTRACT_NOT_SEALED
