"""Roles of identities: rules R1 to R7, and what governance decides about them."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pytest

from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import to_plain
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event, Receipt, Status
from ledger.transaction import Call
from tests.builders import PARAMETERS, address_of, block_context, make_key
from tests.did_scene import SENDER, DidScene, build_call, sign
from tests.vm.contracts.puppet import call_native
from tests.vm.contracts.scene import Scene
from vm.context import Moment
from vm.native import registry, role_table
from vm.native.did_records import DidKind
from vm.native.governance import ProposalStatus, apply_decisions, get_proposal
from vm.native.iov import credit
from vm.native.recognition import delete_recognised, put_recognised
from vm.native.registry import CALLS, answer_view
from vm.native.role_records import HOLDERS, ISSUERS, Role, holds_role
from vm.native.role_table import ROLES_NEEDED, RoleNeed
from vm.native.roles import EndPayload, GrantPayload, GrantRole, HeldRole, RenounceRole, RevokeRole

MEMBER = make_key("operator")
STRANGER = make_key("stranger")
EFFECTIVE = PARAMETERS.voting_heights_normal + 2
FAR = 1_000_000
ALL_ROLES = tuple(HOLDERS)


class RoleScene(DidScene):
    """An issuer of all roles, for whom SENDER's account acts, and a person without roles."""

    def __init__(self) -> None:
        super().__init__()
        for key in (MEMBER, STRANGER):
            credit(self.state, address_of(key), 10**12, 0)
        self.issuer = self.create("issuer", kind=DidKind.ORGANISATION)
        self.accept(build_call(self.link(self.issuer, address_of(SENDER)), "issuer"))
        self.recognise(self.issuer)
        self.person = self.create("person")
        self.proposals = 0

    def recognise(self, did: Did, *roles: Role) -> None:
        """Let an identity grant these roles and no others; all, when none is named."""
        for role, recognition in ISSUERS.items():
            change = put_recognised if role in (roles or ALL_ROLES) else delete_recognised
            change(self.state, recognition, did)

    def grant(self, did: Did, role: Role, **changes: Any) -> Receipt:
        """The receipt of a grant by the scene's issuer, unless changed."""
        key, signer = changes.pop("key", SENDER), changes.pop("signer", "issuer")
        number = self.ask("next_number", did, role)
        payload = replace(GrantPayload(self.issuer, did, role, number, Height(FAR)), **changes)
        signatures = sign(SigningPurpose.ROLE_GRANT, payload, [(payload.issuer, signer)])
        return self.send(Call("roles", "grant", to_plain(GrantRole(payload, signatures))), key)

    def end(self, call: str, did: Did, role: Role, signer: tuple[Did, str], number: int = 1) -> Receipt:
        """The receipt of a revocation or a renunciation, sent by somebody who has no say."""
        kind, purpose = {
            "revoke": (RevokeRole, SigningPurpose.ROLE_REVOKE),
            "renounce": (RenounceRole, SigningPurpose.ROLE_RENOUNCE),
        }[call]
        payload = EndPayload(did, role, number)
        return self.send(Call("roles", call, to_plain(kind(payload, sign(purpose, payload, [signer])))), STRANGER)

    def ask(self, view: str, *arguments: Any) -> Any:
        """A view of the module, after the newest block."""
        moment = Moment(Height(self.height), TimeMs(1))
        return answer_view(
            self.state, moment, "roles", view, [int(each) if isinstance(each, Role) else each for each in arguments]
        )

    def roles_of(self, did: Did) -> list[Role]:
        """Roles that hold now."""
        return [held.role for held in self.ask("roles", did)]

    def propose(self, call: str, *arguments: Any) -> int:
        """The reason for which a proposal is refused, or 0."""
        terms = [1, self.height + EFFECTIVE, "Because"]
        reason = self.send(Call("governance", call, [*arguments, terms]), MEMBER).reason
        self.proposals += reason == 0
        return reason

    @property
    def effective_height(self) -> int:
        """Of the newest proposal."""
        proposal = get_proposal(self.state, self.proposals)
        assert proposal is not None
        return proposal.effective_height

    def decide(self, call: str, *arguments: Any) -> list[Event]:
        """What happens at the end of the block in which a proposal takes effect, without its settlement."""
        assert self.propose(call, *arguments) == 0
        self.accept(Call("governance", "vote", [self.proposals, True]), MEMBER)
        self.height = self.effective_height
        return apply_decisions(self.state, block_context(self.height))[:-1]


def test_an_issuer_grants_a_role():
    scene = RoleScene()
    receipt = scene.grant(scene.person, Role.PERSON)
    fields = [scene.person, int(Role.PERSON), 1, FAR, scene.issuer]
    assert (receipt.status, receipt.events) == (Status.SUCCEEDED, (Event("roles", "RoleGranted", fields),))
    assert scene.ask("roles", scene.person) == [HeldRole(Role.PERSON, 1, Height(FAR), scene.issuer)]
    assert scene.ask("roles", scene.issuer) == []


@pytest.mark.parametrize("role", ALL_ROLES)
def test_a_role_is_for_certain_kinds(role):
    scene = RoleScene()
    dids = {
        DidKind.PERSON: scene.person,
        DidKind.ORGANISATION: scene.create("company", kind=DidKind.ORGANISATION),
        DidKind.VEHICLE: scene.create(
            "car", kind=DidKind.VEHICLE, owner=scene.person, signers=["car", (scene.person, "person")]
        ),
    }
    for kind, did in dids.items():
        expected = 0 if kind in HOLDERS[role] else Reason.ROLE_BAD_HOLDER
        assert (kind, scene.grant(did, role).reason) == (kind, expected)


@pytest.mark.parametrize("role", [Role.VISITOR, Role.ISSUER])
def test_roles_that_nobody_grants(role):
    scene = RoleScene()
    assert scene.grant(scene.person, role).reason == Reason.ROLE_NOT_GRANTABLE
    assert scene.propose("propose_role", scene.person, int(role), FAR) == Reason.ROLE_NOT_GRANTABLE


def test_everybody_with_an_active_identity_is_a_visitor():
    scene = RoleScene()
    assert holds_role(scene.state, scene.person, Role.VISITOR, 1)
    assert not holds_role(scene.state, Did(bytes(20)), Role.VISITOR, 1)


def test_a_role_holds_up_to_its_height():
    scene = RoleScene()
    assert scene.grant(scene.person, Role.PERSON, until_height=Height(scene.height + 1)).reason == 0
    assert scene.roles_of(scene.person) == [Role.PERSON]
    scene.height += 1
    assert scene.roles_of(scene.person) == []


def test_a_grant_that_would_have_ended_is_refused():
    scene = RoleScene()
    assert scene.grant(scene.person, Role.PERSON, until_height=Height(scene.height - 1)).reason == Reason.ROLE_BAD_TERM
    assert scene.grant(scene.person, Role.PERSON, until_height=Height(scene.height)).reason == 0


def test_a_role_ends_with_its_identity():
    scene = RoleScene()
    scene.grant(scene.person, Role.PERSON)
    scene.accept(build_call(scene.deactivate(scene.person), "person"))
    assert scene.roles_of(scene.person) == []
    assert scene.grant(scene.person, Role.ATTESTER).reason == Reason.DID_DEACTIVATED


def test_who_is_no_issuer_of_the_role_grants_nothing():
    scene = RoleScene()
    scene.recognise(scene.issuer, Role.ATTESTER)
    assert scene.grant(scene.person, Role.PERSON).reason == Reason.NOT_RECOGNISED
    assert scene.grant(scene.person, Role.ATTESTER).reason == 0


def test_the_issuer_signs():
    scene = RoleScene()
    assert scene.grant(scene.person, Role.PERSON, signer="person").reason == Reason.DID_UNKNOWN_KEY
    assert scene.roles_of(scene.person) == []


def test_nobody_grants_roles_to_itself():
    scene = RoleScene()
    assert scene.grant(scene.issuer, Role.ATTESTER).reason == Reason.ROLE_BAD_HOLDER


def test_a_signed_grant_counts_once():
    scene = RoleScene()
    assert scene.grant(scene.person, Role.PERSON, number=2).reason == Reason.ROLE_STALE
    assert scene.grant(scene.person, Role.PERSON, number=1).reason == 0
    assert scene.end("revoke", scene.person, Role.PERSON, (scene.issuer, "issuer")).reason == 0
    assert scene.grant(scene.person, Role.PERSON, number=1).reason == Reason.ROLE_STALE
    assert scene.grant(scene.person, Role.PERSON, number=2).reason == 0
    assert scene.end("revoke", scene.person, Role.PERSON, (scene.issuer, "issuer")).reason == Reason.ROLE_STALE


def test_another_issuers_grant_is_left_alone_while_it_holds():
    scene = RoleScene()
    other = scene.create("other", kind=DidKind.ORGANISATION)
    scene.recognise(other)
    until = Height(scene.height + 1)
    assert scene.grant(scene.person, Role.PERSON, issuer=other, signer="other", until_height=until).reason == 0
    assert scene.grant(scene.person, Role.PERSON).reason == Reason.ROLE_HELD
    assert scene.grant(scene.person, Role.PERSON).reason == 0
    assert scene.grant(scene.person, Role.PERSON).reason == 0, "its own it prolongs"


def test_the_issuer_revokes():
    scene = RoleScene()
    scene.grant(scene.person, Role.PERSON)
    assert scene.end("revoke", scene.person, Role.PERSON, (scene.person, "person")).reason == Reason.DID_FOREIGN_SIGNER
    receipt = scene.end("revoke", scene.person, Role.PERSON, (scene.issuer, "issuer"))
    assert receipt.events == (Event("roles", "RoleEnded", [scene.person, int(Role.PERSON), 1]),)
    assert scene.roles_of(scene.person) == []
    assert scene.end("revoke", scene.person, Role.PERSON, (scene.issuer, "issuer")).reason == Reason.ROLE_NOT_HELD


def test_an_issuer_that_is_recognised_no_more_revokes_nothing():
    scene = RoleScene()
    scene.grant(scene.person, Role.PERSON)
    scene.recognise(scene.issuer, Role.ATTESTER)
    assert scene.end("revoke", scene.person, Role.PERSON, (scene.issuer, "issuer")).reason == Reason.NOT_AN_ISSUER
    assert scene.roles_of(scene.person) == [Role.PERSON]


def test_the_holder_renounces():
    scene = RoleScene()
    scene.grant(scene.person, Role.PERSON)
    wrong = scene.end("renounce", scene.person, Role.PERSON, (scene.issuer, "issuer"))
    assert wrong.reason == Reason.DID_FOREIGN_SIGNER
    receipt = scene.end("renounce", scene.person, Role.PERSON, (scene.person, "person"))
    assert receipt.events == (Event("roles", "RoleEnded", [scene.person, int(Role.PERSON), 1]),)
    assert scene.roles_of(scene.person) == []
    assert scene.end("renounce", scene.person, Role.PERSON, (scene.person, "person")).reason == Reason.ROLE_NOT_HELD
    scene.grant(scene.person, Role.PERSON)
    assert scene.end("renounce", scene.person, Role.PERSON, (scene.person, "person")).reason == Reason.ROLE_STALE


@pytest.mark.parametrize("role", ALL_ROLES)
def test_who_is_recognised_for_any_role_is_an_issuer(role):
    scene = RoleScene()
    assert not holds_role(scene.state, scene.person, Role.ISSUER, 1)
    scene.recognise(scene.person, role)
    assert holds_role(scene.state, scene.person, Role.ISSUER, 1)


def test_governance_grants_and_revokes():
    scene = RoleScene()
    scene.grant(scene.person, Role.PERSON)
    assert scene.decide("propose_role", scene.person, int(Role.PERSON), FAR + 1) == [
        Event("roles", "RoleGranted", [scene.person, int(Role.PERSON), 2, FAR + 1, None])
    ]
    revoked = scene.end("revoke", scene.person, Role.PERSON, (scene.issuer, "issuer"), number=2)
    assert revoked.reason == Reason.NOT_AN_ISSUER
    assert scene.grant(scene.person, Role.PERSON).reason == Reason.ROLE_HELD
    assert scene.decide("propose_role_removal", scene.person, int(Role.PERSON)) == [
        Event("roles", "RoleEnded", [scene.person, int(Role.PERSON), 2])
    ]
    assert scene.roles_of(scene.person) == []
    assert scene.propose("propose_role_removal", scene.person, int(Role.PERSON)) == Reason.ROLE_NOT_HELD


def test_governance_grants_for_a_time_to_come():
    scene = RoleScene()
    effective = scene.height + EFFECTIVE
    assert scene.propose("propose_role", scene.person, int(Role.PERSON), effective) == Reason.ROLE_BAD_TERM


def test_what_governance_decided_fails_when_the_identity_has_ended():
    scene = RoleScene()
    assert scene.propose("propose_role", scene.person, int(Role.PERSON), FAR) == 0
    scene.accept(Call("governance", "vote", [1, True]), MEMBER)
    scene.accept(build_call(scene.deactivate(scene.person), "person"))
    assert apply_decisions(scene.state, block_context(scene.effective_height)) == [
        Event("governance", "ProposalSettled", [1, int(ProposalStatus.FAILED), int(Reason.DID_DEACTIVATED)])
    ]


def test_granting_needs_an_issuer_as_its_sender():
    scene = RoleScene()
    assert scene.grant(scene.person, Role.PERSON, key=STRANGER).reason == Reason.ROLE_MISSING
    assert scene.grant(scene.person, Role.PERSON).reason == 0


def test_every_call_states_the_role_it_needs():
    scene = RoleScene()
    assert set(ROLES_NEEDED) == set(CALLS)
    assert scene.ask("who_needs") == [
        RoleNeed("roles", "grant", Role.ISSUER),
        RoleNeed("growth", "rate", Role.PERSON),
        *[RoleNeed("ads", call, Role.ADVERTISER) for call in ("create", "revise", "submit")],
        RoleNeed("ads", "review", Role.COMMUNITY_ADMINISTRATOR),
        RoleNeed("ads", "resume", Role.ADVERTISER),
        *[RoleNeed("ads", call, Role.COMMUNITY_ADMINISTRATOR) for call in ("enrol", "judge")],
    ]


@dataclass(frozen=True, slots=True)
class Greet:
    """Greet everybody."""


def apply_greet(_: object, context: Any, __: Greet) -> None:
    context.emit("double", "Greeted")


def need(monkeypatch: pytest.MonkeyPatch, module: str, call: str, role: Role) -> None:
    """Let a call need a role."""
    monkeypatch.setattr(role_table, "ROLES_NEEDED", MappingProxyType({**ROLES_NEEDED, (module, call): role}))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Call:
    """A module whose one call needs a person."""
    rule = registry.CallRule("greet", Greet, apply_greet, lambda _: 1, "1")
    ready = registry.ReadyCall(rule, registry.get_reader(Greet))
    monkeypatch.setattr(registry, "CALLS", MappingProxyType({**CALLS, ("double", "greet"): ready}))
    need(monkeypatch, "double", "greet", Role.PERSON)
    return Call("double", "greet", [])


def test_a_call_that_needs_a_person_is_a_persons_alone(double):
    scene = RoleScene()
    assert scene.send(double, STRANGER).reason == Reason.ROLE_MISSING, "no identity"
    scene.accept(build_call(scene.link(scene.person, address_of(STRANGER)), "person"), STRANGER)
    assert scene.send(double, STRANGER).reason == Reason.ROLE_MISSING, "no role"
    scene.grant(scene.person, Role.ATTESTER)
    assert scene.send(double, STRANGER).reason == Reason.ROLE_MISSING, "another role"
    scene.grant(scene.person, Role.PERSON, until_height=Height(scene.height + 1))
    assert scene.send(double, STRANGER).events == (Event("double", "Greeted", []),)
    assert scene.send(double, STRANGER).reason == Reason.ROLE_MISSING, "it has run out"
    scene.grant(scene.person, Role.PERSON)
    assert scene.send(double, STRANGER).reason == 0
    scene.end("revoke", scene.person, Role.PERSON, (scene.issuer, "issuer"), number=2)
    assert scene.send(double, STRANGER).reason == Reason.ROLE_MISSING, "it was revoked"


def test_a_call_that_needs_a_role_pays_for_the_check(double, monkeypatch):
    scene = RoleScene()
    scene.accept(build_call(scene.link(scene.person, address_of(STRANGER)), "person"), STRANGER)
    scene.grant(scene.person, Role.PERSON)
    needed = scene.send(double, STRANGER).gas_used
    need(monkeypatch, "double", "greet", Role.VISITOR)
    assert needed - scene.send(double, STRANGER).gas_used == role_table.GAS_ROLE_CHECK


def test_contracts_are_checked_the_same_way(monkeypatch):
    """A contract has no identity, so it makes no call that needs one."""
    scene = Scene()
    puppet = scene.publish()
    arguments = bytes(20) + (5).to_bytes(8, "little")
    step = call_native("iov", "transfer", arguments)
    scene.run(puppet, step)
    before = scene.stored(puppet, 0xF1)
    need(monkeypatch, "iov", "transfer", Role.PERSON)
    scene.run(puppet, step)
    codes = [int.from_bytes(each or b"", "little") for each in (before, scene.stored(puppet, 0xF1))]
    assert codes == [Reason.INSUFFICIENT_BALANCE, Reason.ROLE_MISSING]
