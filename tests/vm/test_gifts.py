"""Tips and gifts: rules H1 to H5."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from identity.address import Address, compute_module_address
from identity.keys import PrivateKey
from identity.platform_account import ClaimKey
from identity.signing import SigningPurpose, compute_signing_domain, signing_bytes
from ledger.codec import decode, encode
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Receipt
from ledger.state_keys import Table
from ledger.transaction import Call
from tests.builders import CHAIN_ID, DOMAIN, address_of, make_key
from tests.did_scene import SENDER, DidScene, build_call
from tests.lockup_scene import LockupScene
from tests.stake_scene import HOLDER_GRAINS, HOLDERS
from vm.context import Moment
from vm.native.accounts import DAY_MS
from vm.native.gifts import (
    EXPIRY_DAYS_MAX,
    GIFTS_PER_BATCH_MAX,
    MESSAGE_CHARACTERS_MAX,
    Gift,
    GiftClaimPayload,
    GiftLine,
    find_gift,
)
from vm.native.iov import GIFTS_ADDRESS, get_balance
from vm.native.lockup_records import build_cliff
from vm.native.registry import answer_view

GIVER = address_of(SENDER)
ALICE, BOB = address_of(make_key("alice")), address_of(make_key("bob"))
EXPIRES_MS = 50_000
LINKS = [make_key(f"link {index}") for index in range(4)]


def key_of_link(link: PrivateKey) -> ClaimKey:
    return ClaimKey(link.public_key.key)


class GiftScene(DidScene):
    """A giver; block h is of second h."""

    def give(self, *gifts: tuple[PrivateKey, int], expires_ms: int = EXPIRES_MS, message: str = "for you") -> Call:
        return Call("gifts", "give", [[[key_of_link(link), grains] for link, grains in gifts], expires_ms, message])

    def claim(
        self,
        link: PrivateKey,
        recipient: Address = ALICE,
        signed_for: Address | None = None,
        signer: PrivateKey | None = None,
        domain: Any = DOMAIN,
        expires_ms: int = EXPIRES_MS,
        giver: Address = GIVER,
    ) -> Call:
        payload = GiftClaimPayload(key_of_link(link), giver, TimeMs(expires_ms), signed_for or recipient)
        signature = (signer or link).sign(signing_bytes(SigningPurpose.GIFT_CLAIM, domain, encode(payload)))
        return Call("gifts", "claim", [key_of_link(link), giver, recipient, signature])

    def refund(self, link: PrivateKey, giver: Address = GIVER) -> Call:
        return Call("gifts", "refund", [key_of_link(link), giver])

    def refuse(self, call: Call, reason: Reason) -> Receipt:
        held = get_balance(self.state, GIFTS_ADDRESS)
        receipt = self.send(call)
        assert (Reason(receipt.reason), get_balance(self.state, GIFTS_ADDRESS)) == (reason, held)
        return receipt


def check_conservation(state) -> None:
    """The account of the module holds exactly what waits."""
    gifts = [decode(Gift, encoded) for _, encoded in state.iterate_prefix(bytes([Table.GIFT]))]
    assert get_balance(state, GIFTS_ADDRESS) == sum(each.amount_grains for each in gifts)


@pytest.fixture
def scene():
    return GiftScene()


# H1


def test_a_tip_moves_coins_and_says_why(scene):
    receipt = scene.accept(Call("gifts", "tip", [ALICE, 7, "thanks for the ride"]))
    assert [(each.module, each.name, each.fields) for each in receipt.events] == [
        ("iov", "Transferred", [GIVER, ALICE, 7]),
        ("gifts", "Tipped", [GIVER, ALICE, 7, "thanks for the ride"]),
    ]
    assert get_balance(scene.state, ALICE) == 7


def test_a_tip_to_an_identity_goes_to_its_account(scene):
    bob = scene.create("bob")
    scene.refuse(Call("gifts", "tip_did", [bob, 7, ""]), Reason.DID_NOT_LINKED)
    scene.accept(build_call(scene.link(bob, BOB), "bob", name="link_account"))
    scene.accept(Call("gifts", "tip_did", [bob, 7, ""]))
    assert get_balance(scene.state, BOB) == 7
    scene.refuse(Call("gifts", "tip_did", [bytes(20), 7, ""]), Reason.UNKNOWN_DID)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([ALICE, 0, ""], Reason.AMOUNT_ZERO),
        ([ALICE, -1, ""], Reason.BAD_ARGUMENTS),
        ([ALICE, 1, "x" * (MESSAGE_CHARACTERS_MAX + 1)], Reason.BAD_ARGUMENTS),
        ([ALICE, 10**18, ""], Reason.INSUFFICIENT_BALANCE),
        ([compute_module_address("gifts"), 1, ""], Reason.RECIPIENT_NOT_ALLOWED),
    ],
)
def test_a_tip_that_is_no_transfer_is_refused(scene, arguments, reason):
    scene.refuse(Call("gifts", "tip", arguments), reason)


# H2, H5


def test_a_gift_waits_under_its_claim_key(scene):
    receipt = scene.accept(scene.give((LINKS[0], 5), (LINKS[1], 6)))
    assert [(each.name, each.fields) for each in receipt.events] == [
        ("GiftMade", [key_of_link(LINKS[0]), GIVER, 5, EXPIRES_MS]),
        ("GiftMade", [key_of_link(LINKS[1]), GIVER, 6, EXPIRES_MS]),
    ]
    assert find_gift(scene.state, GIVER, key_of_link(LINKS[1])) == Gift(6, EXPIRES_MS, "for you")
    moment = Moment(Height(1), TimeMs(1))
    assert answer_view(scene.state, moment, "gifts", "gift", [key_of_link(LINKS[2]), GIVER]) is None
    check_conservation(scene.state)


def test_a_batch_gives_all_or_nothing(scene):
    scene.refuse(scene.give((LINKS[0], 5), (LINKS[1], 0)), Reason.AMOUNT_ZERO)
    scene.refuse(scene.give((LINKS[0], 5), (LINKS[0], 5)), Reason.GIFT_EXISTS)
    scene.refuse(scene.give((LINKS[0], 2**63 - 1), (LINKS[1], 2**63 - 1)), Reason.AMOUNT_OVERFLOW)
    scene.refuse(scene.give((LINKS[0], 5), (LINKS[1], 10**12)), Reason.INSUFFICIENT_BALANCE)
    scene.refuse(scene.give(), Reason.BAD_ARGUMENTS)
    assert find_gift(scene.state, GIVER, key_of_link(LINKS[0])) is None
    check_conservation(scene.state)


def test_what_another_gives_under_the_same_claim_key_stands_in_nobodys_way(scene):
    enemy = make_key("enemy")
    scene.accept(Call("iov", "transfer", [address_of(enemy), 10**9]))
    batch = scene.give(*[(link, 1_000) for link in LINKS])
    scene.accept(scene.give((LINKS[3], 1), message="mine"), enemy)
    scene.accept(batch)
    gifts = [find_gift(scene.state, giver, key_of_link(LINKS[3])) for giver in (GIVER, address_of(enemy))]
    assert gifts == [Gift(1_000, EXPIRES_MS, "for you"), Gift(1, EXPIRES_MS, "mine")]
    signed_for_the_other = scene.claim(LINKS[3], giver=address_of(enemy))
    arguments = [*signed_for_the_other.arguments]
    scene.refuse(Call("gifts", "claim", [arguments[0], GIVER, *arguments[2:]]), Reason.BAD_CLAIM_SIGNATURE)
    scene.accept(scene.claim(LINKS[3]))
    assert get_balance(scene.state, ALICE) == 1_000
    scene.accept(signed_for_the_other)
    assert get_balance(scene.state, ALICE) == 1_001
    check_conservation(scene.state)


def test_so_many_gifts_are_one_batch():
    links = [make_key(f"many {index}") for index in range(GIFTS_PER_BATCH_MAX + 1)]
    scene = GiftScene()
    scene.refuse(scene.give(*[(link, 1) for link in links]), Reason.BAD_ARGUMENTS)


def test_a_key_that_anybody_can_sign_for_takes_no_gift(scene):
    weak = ClaimKey(bytes([1]).ljust(32, b"\0"))
    scene.refuse(Call("gifts", "give", [[[weak, 5]], EXPIRES_MS, ""]), Reason.BAD_KEY)


def test_a_gift_expires_after_now_and_within_a_year(scene):
    now_ms = scene.height * 1_000
    scene.refuse(scene.give((LINKS[0], 5), expires_ms=now_ms), Reason.BAD_GIFT)
    now_ms = scene.height * 1_000
    scene.refuse(scene.give((LINKS[0], 5), expires_ms=now_ms + EXPIRY_DAYS_MAX * DAY_MS + 1), Reason.BAD_GIFT)
    now_ms = scene.height * 1_000
    scene.accept(scene.give((LINKS[0], 5), expires_ms=now_ms + EXPIRY_DAYS_MAX * DAY_MS))


def test_locked_coins_are_not_given():
    scene = LockupScene()
    scene.grant(HOLDERS[0], 100, build_cliff(10**9))
    with pytest.raises(Rejected) as caught:
        lines = (GiftLine(key_of_link(LINKS[0]), HOLDER_GRAINS + 1),)
        scene.apply(HOLDERS[0], "gifts", "give", lines, EXPIRES_MS, "")
    assert caught.value.reason is Reason.FUNDS_LOCKED


# H3


def test_whoever_sends_it_a_claim_gives_to_whom_the_key_has_signed_for(scene):
    scene.accept(scene.give((LINKS[0], 5)))
    receipt = scene.accept(scene.claim(LINKS[0]))
    assert [(each.name, each.fields) for each in receipt.events] == [
        ("GiftClaimed", [key_of_link(LINKS[0]), GIVER, ALICE, 5])
    ]
    assert (get_balance(scene.state, ALICE), find_gift(scene.state, GIVER, key_of_link(LINKS[0]))) == (5, None)
    scene.refuse(scene.claim(LINKS[0]), Reason.UNKNOWN_GIFT)
    check_conservation(scene.state)


def test_a_copied_signature_is_of_no_use_to_others(scene):
    scene.accept(scene.give((LINKS[0], 5)))
    wrong = Reason.BAD_CLAIM_SIGNATURE
    scene.refuse(scene.claim(LINKS[0], recipient=BOB, signed_for=ALICE), wrong)
    scene.refuse(scene.claim(LINKS[0], signer=LINKS[1]), wrong)
    scene.refuse(scene.claim(LINKS[0], domain=compute_signing_domain(CHAIN_ID, b"\1" * 32)), wrong)
    scene.refuse(scene.claim(LINKS[0], expires_ms=EXPIRES_MS + 1), wrong)


def test_a_signature_for_an_earlier_gift_does_not_claim_a_later_one_under_the_same_key(scene):
    scene.accept(scene.give((LINKS[0], 5)))
    old = scene.claim(LINKS[0])
    scene.accept(old)
    scene.accept(scene.give((LINKS[0], 9), expires_ms=EXPIRES_MS + 1))
    scene.refuse(old, Reason.BAD_CLAIM_SIGNATURE)


def test_modules_claim_nothing(scene):
    scene.accept(scene.give((LINKS[0], 5)))
    scene.refuse(scene.claim(LINKS[0], recipient=GIFTS_ADDRESS), Reason.RECIPIENT_NOT_ALLOWED)


def test_the_expiry_is_the_first_moment_at_which_nobody_claims_any_more(scene):
    scene.accept(scene.give((LINKS[0], 5), (LINKS[1], 6)))
    scene.height = EXPIRES_MS // 1_000 - 1
    scene.accept(scene.claim(LINKS[0]))
    scene.refuse(scene.claim(LINKS[1]), Reason.GIFT_EXPIRED)


# H4


def test_an_expired_gift_goes_back_to_its_giver_whoever_asks(scene):
    scene.accept(scene.give((LINKS[0], 5)))
    scene.refuse(scene.refund(LINKS[0]), Reason.GIFT_NOT_EXPIRED)
    scene.refuse(scene.refund(LINKS[1]), Reason.UNKNOWN_GIFT)
    scene.height = EXPIRES_MS // 1_000
    before = get_balance(scene.state, GIVER)
    receipt = scene.accept(scene.refund(LINKS[0]))
    assert [(each.name, each.fields) for each in receipt.events] == [
        ("GiftRefunded", [key_of_link(LINKS[0]), GIVER, 5])
    ]
    assert get_balance(scene.state, GIVER) == before + 5 - receipt.fee_grains
    scene.refuse(scene.refund(LINKS[0]), Reason.UNKNOWN_GIFT)
    scene.refuse(scene.refund(LINKS[1], giver=ALICE), Reason.UNKNOWN_GIFT)
    check_conservation(scene.state)


class GiftMachine(RuleBasedStateMachine):
    """A few links given, claimed and refunded in any order: what waits is what the account holds."""

    @initialize()
    def begin(self):
        self.scene = GiftScene()
        self.open: dict[int, tuple[int, int]] = {}
        self.received = 0

    @rule(index=st.integers(0, 3), grains=st.integers(0, 10**6), seconds=st.integers(-1, 9))
    def give(self, index, grains, seconds):
        expires_ms = (self.scene.height + seconds) * 1_000
        if expires_ms < 0:
            return
        receipt = self.scene.send(self.scene.give((LINKS[index], grains), expires_ms=expires_ms))
        assert (receipt.reason == 0) == (grains > 0 and seconds > 0 and index not in self.open)
        if receipt.reason == 0:
            self.open[index] = grains, expires_ms

    @rule(index=st.integers(0, 3))
    def claim(self, index):
        grains, expires_ms = self.open.get(index, (0, 0))
        is_due = self.scene.height * 1_000 < expires_ms
        receipt = self.scene.send(self.scene.claim(LINKS[index], expires_ms=expires_ms))
        assert (receipt.reason == 0) == is_due
        if is_due:
            del self.open[index]
            self.received += grains

    @rule(index=st.integers(0, 3))
    def refund(self, index):
        _, expires_ms = self.open.get(index, (0, 0))
        is_due = index in self.open and self.scene.height * 1_000 >= expires_ms
        assert (self.scene.send(self.scene.refund(LINKS[index])).reason == 0) == is_due
        if is_due:
            del self.open[index]

    @invariant()
    def nothing_is_lost(self):
        if hasattr(self, "scene"):
            check_conservation(self.scene.state)
            waiting = sum(grains for grains, _ in self.open.values())
            assert get_balance(self.scene.state, GIFTS_ADDRESS) == waiting
            assert get_balance(self.scene.state, ALICE) == self.received


GiftMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
test_gifts = GiftMachine.TestCase
