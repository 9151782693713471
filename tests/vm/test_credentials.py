"""Status lists on the chain: rules C1 to C6, and the views."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.credentials.status_list import LIST_URI_CHARACTERS_MAX
from identity.credentials.status_list import StatusPurpose as PublishedPurpose
from identity.did import Did
from identity.signing import SigningDomain, SigningPurpose, compute_signing_domain
from ledger.codec import to_plain
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.transaction import Call
from tests.builders import CHAIN_ID, DOMAIN
from tests.did_scene import DidScene, build_call, build_create, control_of, keys_of, sign
from vm.context import Moment
from vm.native.credentials import (
    LIST_NUMBER_MAX,
    LISTS_PAGE,
    MODULE,
    STATUS_URI_CHARACTERS_MAX,
    AnchorStatusList,
    ListedStatusList,
    StatusListPage,
    StatusListPayload,
    StatusListVersion,
    StatusPurpose,
    find_status_list_at,
)
from vm.native.did_records import Controllers, DidKind
from vm.native.registry import answer_view, list_fields

REVOCATION, SUSPENSION = StatusPurpose
URI = "https://office.example/status/1"


def make_hash(number: int) -> bytes:
    return number.to_bytes(32, "big")


def build_anchor(
    payload: StatusListPayload,
    key: str = "office",
    *,
    did: Did | None = None,
    purpose: SigningPurpose = SigningPurpose.STATUS_LIST_ANCHOR,
    domain: SigningDomain = DOMAIN,
) -> Call:
    (signature,) = sign(purpose, payload, [(did or payload.issuer, key)], domain)
    return Call("credentials", "anchor_status_list", to_plain(AnchorStatusList(payload, signature)))


@dataclass
class CredentialScene:
    """An office, whose key is "office"."""

    dids: DidScene = field(default_factory=DidScene)
    office: Did = field(init=False)

    def __post_init__(self) -> None:
        self.office = self.dids.create("office", kind=DidKind.ORGANISATION)

    def payload(self, version: int = 1, **changes: Any) -> StatusListPayload:
        """List 1 of the office, about revocation."""
        plain = StatusListPayload(self.office, 1, REVOCATION, version, make_hash(version), URI)
        return replace(plain, **changes)

    def anchor(self, version: int = 1, **changes: Any) -> StatusListVersion:
        """A version that is accepted, as the state has it."""
        payload, height = self.payload(version, **changes), self.dids.height
        self.dids.accept(build_anchor(payload))
        return StatusListVersion(version, payload.list_hash, payload.uri, Height(height), TimeMs(height * 1_000))

    def refuse(self, call: Call, reason: Reason) -> None:
        """The call fails for this reason and changes no list."""
        before = self.list_changes()
        receipt = self.dids.send(call)
        assert (Reason(receipt.reason), receipt.events) == (reason, ())
        assert self.list_changes() == before

    def list_changes(self) -> dict[bytes, bytes | None]:
        """All that the state holds for credentials."""
        return {key: value for key, value in self.dids.state.changes.items() if 120 <= key[0] <= 122}

    def ask(self, view: str, *arguments: Any) -> Any:
        """A view's answer."""
        height = self.dids.height - 1
        moment = Moment(Height(height), TimeMs(height * 1_000))
        return answer_view(self.dids.state, moment, "credentials", view, [*arguments])


@pytest.fixture
def scene() -> CredentialScene:
    return CredentialScene()


def test_an_issuer_anchors_a_list_and_its_next_version(scene):
    first = scene.payload()
    events = scene.dids.accept(build_anchor(first)).events
    assert [(each.module, each.name, list(each.fields)) for each in events] == [
        ("credentials", "StatusListAnchored", [scene.office, 1, 1, 1, first.list_hash])
    ]
    assert len(events[0].fields) == len(list_fields(MODULE.events[0].fields))
    second = scene.anchor(2)
    assert scene.ask("status_list", scene.office, 1) == [ListedStatusList(1, REVOCATION, second)]


def test_an_unknown_list_is_none(scene):
    assert scene.ask("status_list", scene.office, 1) == []
    assert scene.ask("status_list_at", scene.office, 1, 10**6) == []
    assert scene.ask("status_lists", scene.office, 0) == StatusListPage((), None)
    assert scene.ask("find_status_list", scene.office, URI) == []
    assert scene.ask("history", scene.office, 1, int(REVOCATION), 0) == []


@pytest.mark.parametrize("number", [0, LIST_NUMBER_MAX + 1])
def test_c1_numbers_have_bounds(scene, number):
    scene.refuse(build_anchor(scene.payload(number=number)), Reason.BAD_ARGUMENTS)
    with pytest.raises(Rejected) as refused:
        scene.ask("status_list", scene.office, number)
    assert refused.value.reason is Reason.BAD_ARGUMENTS


def test_c1_lists_of_a_number_stand_together(scene):
    revoked = scene.anchor(number=LIST_NUMBER_MAX)
    suspended = scene.anchor(number=LIST_NUMBER_MAX, purpose=SUSPENSION, uri=URI + "/suspension")
    both = [
        ListedStatusList(LIST_NUMBER_MAX, REVOCATION, revoked),
        ListedStatusList(LIST_NUMBER_MAX, SUSPENSION, suspended),
    ]
    assert scene.ask("status_list", scene.office, LIST_NUMBER_MAX) == both
    assert scene.ask("find_status_list", scene.office, URI) == both


def test_c2_only_a_key_of_the_issuer_signs(scene):
    scene.refuse(build_anchor(scene.payload(), "thief"), Reason.DID_UNKNOWN_KEY)
    other = scene.dids.create("shop")
    scene.refuse(build_anchor(scene.payload(), "shop", did=other), Reason.DID_FOREIGN_SIGNER)


def test_c2_a_signature_is_for_one_purpose_and_chain(scene):
    for call in (
        build_anchor(scene.payload(), purpose=SigningPurpose.ROLE_GRANT),
        build_anchor(scene.payload(), domain=compute_signing_domain(CHAIN_ID, b"\1" * 32)),
    ):
        scene.refuse(call, Reason.DID_BAD_SIGNATURE)


def test_c2_nothing_of_what_was_signed_can_be_exchanged(scene):
    payload = scene.payload()
    (signature,) = sign(SigningPurpose.STATUS_LIST_ANCHOR, payload, [(scene.office, "office")])
    changes: list[dict[str, Any]] = [
        {"number": 2},
        {"purpose": SUSPENSION},
        {"list_hash": make_hash(9)},
        {"uri": URI + "/other"},
    ]
    for change in changes:
        forged = AnchorStatusList(replace(payload, **change), signature)
        scene.refuse(Call("credentials", "anchor_status_list", to_plain(forged)), Reason.DID_BAD_SIGNATURE)


def test_c2_an_issuer_is_there_and_active(scene):
    nobody = Did(bytes(20))
    scene.refuse(build_anchor(scene.payload(issuer=nobody)), Reason.UNKNOWN_DID)
    first = scene.anchor()
    scene.dids.accept(build_call(scene.dids.deactivate(scene.office), "office"))
    scene.refuse(build_anchor(scene.payload(2)), Reason.DID_DEACTIVATED)
    assert scene.ask("status_list", scene.office, 1) == [ListedStatusList(1, REVOCATION, first)]


def test_c2_one_key_of_several_attests(scene):
    control = control_of("office", "second", threshold=2)
    office, call = build_create(control, "office", "second")
    scene.dids.accept(call)
    scene.dids.accept(build_anchor(scene.payload(issuer=office), "second"))
    assert len(scene.ask("status_list", office, 1)) == 1


def test_c2_own_keys_attest_where_controllers_rule(scene):
    control = replace(control_of(), keys=keys_of("desk"), controllers=Controllers((scene.office,), 1))
    branch, call = build_create(control, "desk", (scene.office, "office"), kind=DidKind.ORGANISATION)
    scene.dids.accept(call)
    payload = scene.payload(issuer=branch)
    scene.refuse(build_anchor(payload, "office"), Reason.DID_UNKNOWN_KEY)
    scene.dids.accept(build_anchor(payload, "desk"))


def test_c2_a_key_that_was_rotated_away_attests_no_more(scene):
    scene.dids.accept(build_call(scene.dids.control(scene.office, control_of("new")), "office", "new", name="rotate"))
    scene.refuse(build_anchor(scene.payload()), Reason.DID_UNKNOWN_KEY)
    scene.dids.accept(build_anchor(scene.payload(), "new"))


def test_c3_nothing_works_twice_or_out_of_order(scene):
    scene.refuse(build_anchor(scene.payload(2)), Reason.STATUS_LIST_STALE)
    scene.anchor(1)
    scene.refuse(build_anchor(scene.payload(1)), Reason.STATUS_LIST_STALE)
    scene.refuse(build_anchor(scene.payload(3)), Reason.STATUS_LIST_STALE)
    scene.anchor(2)
    scene.anchor(1, number=2, uri=URI + "/2")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("https://Office.example/1", Reason.STATUS_LIST_BAD_URI),
        ("no address", Reason.STATUS_LIST_BAD_URI),
        ("", Reason.BAD_ARGUMENTS),
        ("https://office.example/".ljust(STATUS_URI_CHARACTERS_MAX + 1, "a"), Reason.BAD_ARGUMENTS),
    ],
)
def test_c5_an_address_is_a_uri_in_its_normal_form(scene, uri, reason):
    scene.refuse(build_anchor(scene.payload(uri=uri)), reason)


def test_c5_the_longest_address(scene):
    scene.anchor(uri="https://office.example/".ljust(STATUS_URI_CHARACTERS_MAX, "a"))


def test_c5_an_address_leads_to_one_list_for_ever(scene):
    scene.anchor()
    for change in ({"number": 2}, {"purpose": SUSPENSION}):
        scene.refuse(build_anchor(scene.payload(**change)), Reason.STATUS_LIST_URI_TAKEN)
    moved = scene.anchor(2, uri=URI + "/moved")
    scene.refuse(build_anchor(scene.payload(number=2)), Reason.STATUS_LIST_URI_TAKEN)
    for uri in (URI, URI + "/moved"):
        assert scene.ask("find_status_list", scene.office, uri) == [ListedStatusList(1, REVOCATION, moved)]
    back = scene.anchor(3)
    assert scene.ask("find_status_list", scene.office, URI) == [ListedStatusList(1, REVOCATION, back)]


def test_c5_issuers_do_not_take_addresses_from_each_other(scene):
    scene.anchor()
    other = scene.dids.create("shop")
    scene.dids.accept(build_anchor(scene.payload(issuer=other), "shop"))


def test_c6_history_tells_every_version(scene):
    versions = [scene.anchor(number) for number in range(1, 4)]
    assert scene.ask("history", scene.office, 1, int(REVOCATION), 0) == versions[::-1]
    assert scene.ask("history", scene.office, 1, int(REVOCATION), 3) == versions[1::-1]
    assert scene.ask("history", scene.office, 1, int(REVOCATION), 1) == []


def test_c6_what_held_at_a_height(scene):
    first, second = scene.anchor(1), scene.anchor(2)
    for height, expected in [(first.height - 1, None), (first.height, first), (second.height, second), (99, second)]:
        listed = [] if expected is None else [ListedStatusList(1, REVOCATION, expected)]
        assert scene.ask("status_list_at", scene.office, 1, height) == listed


@given(gaps=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_c6_every_height_has_the_newest_version_up_to_it(gaps):
    scene = CredentialScene()
    versions = []
    for number, gap in enumerate(gaps, 1):
        scene.dids.height += gap
        versions.append(scene.anchor(number))
    for height in range(scene.dids.height + 1):
        expected = next((each for each in reversed(versions) if each.height <= height), None)
        assert find_status_list_at(scene.dids.state, scene.office, 1, REVOCATION, height) == expected


def test_lists_come_a_page_at_a_time(scene):
    made = [ListedStatusList(n, REVOCATION, scene.anchor(number=n, uri=f"{URI}/{n}")) for n in range(1, LISTS_PAGE + 3)]
    extra = ListedStatusList(
        LISTS_PAGE, SUSPENSION, scene.anchor(number=LISTS_PAGE, purpose=SUSPENSION, uri=URI + "/s")
    )
    made.insert(LISTS_PAGE, extra)
    first = scene.ask("status_lists", scene.office, 0)
    assert first == StatusListPage(tuple(made[: LISTS_PAGE + 1]), LISTS_PAGE)
    assert scene.ask("status_lists", scene.office, first.next_cursor) == StatusListPage(
        tuple(made[LISTS_PAGE + 1 :]), None
    )


def test_purposes_are_those_that_lists_are_published_for():
    assert [each.name for each in StatusPurpose] == [each.name for each in PublishedPurpose]


def test_credentials_can_name_every_address():
    assert STATUS_URI_CHARACTERS_MAX <= LIST_URI_CHARACTERS_MAX
