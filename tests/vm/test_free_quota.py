"""What persons do without a fee: rules Q1 to Q3."""

from dataclasses import replace
from typing import Any

import pytest

from identity.did import Did
from identity.signing import SigningPurpose
from ledger.codec import encode, to_plain
from ledger.primitives import Gas, Height, TimeMs
from ledger.reasons import Reason, Rejected
from ledger.receipt import Receipt, Status
from ledger.state_keys import FREE_GAS_KEY, quota_usage_key
from ledger.transaction import Call
from tests.builders import PARAMETERS, Draft, address_of, block_context, make_key, transfer
from tests.did_scene import DidScene, build_call, sign
from vm.context import Moment
from vm.gas import compute_intrinsic_gas
from vm.native.accounts import get_account
from vm.native.free_quota import DAY_MS, EVERYDAY_CALLS, FreeGas, FreeQuota, QuotaUsage
from vm.native.iov import FEES_ADDRESS, credit
from vm.native.registry import CALLS, answer_view
from vm.native.role_records import Grant, Role, end_grant, put_grant
from vm.native.roles import EndPayload, RenounceRole
from vm.parameters import put_parameters
from vm.transition import apply_block, apply_transaction, check_admission

PERSON, OTHER, PAYER = make_key("person"), make_key("other"), make_key("payer")
P, O = address_of(PERSON), address_of(OTHER)  # noqa: E741
RECIPIENT = address_of(make_key("recipient"))
LIMIT = 10_000
QUOTA = replace(PARAMETERS, free_quota_gas_daily=3 * LIMIT, free_quota_block_gas_max=2 * LIMIT)
DAY = 20_000
NOON_MS = DAY * DAY_MS + DAY_MS // 2
FAR = Height(10**6)


class QuotaScene(DidScene):
    """An account that acts for a person, with coins to give away."""

    def __init__(self) -> None:
        super().__init__()
        put_parameters(self.state, QUOTA)
        self.parameters = QUOTA
        self.time_ms = NOON_MS
        self.did = self.add_person("person", P)

    def add_person(self, name: str, account: Any) -> Did:
        """A person with the role, for whom this account acts."""
        credit(self.state, account, 10**9, 0)
        did = self.create(name)
        self.accept(build_call(self.link(did, account), name), make_key(name))
        put_grant(self.state, did, Role.PERSON, Grant(FAR, None), self.height)
        return did

    def draft(self, *calls: Call, **changes: Any) -> Draft:
        """Without a fee, unless changed."""
        key = changes.get("key", PERSON)
        sequence = get_account(self.state, address_of(key)).sequence
        defaults = {"key": PERSON, "sequence": sequence, "gas_limit": LIMIT, "price_grains": 0, "valid_until": 200}
        return Draft(calls=calls or [transfer(RECIPIENT, 1)], **{**defaults, **changes})

    def free(self, *calls: Call, **changes: Any) -> Receipt:
        """The receipt of a transaction without a fee, in the present block."""
        block = replace(block_context(self.height, self.time_ms), parameters=self.parameters)
        receipt = apply_transaction(self.state, block, self.draft(*calls, **changes).sign())
        self.state.forget_marks()
        return receipt

    def admit(self, *calls: Call, **changes: Any) -> int:
        """The reason for which such a transaction may not wait, or 0; admission and execution agree."""
        transaction = self.draft(*calls, **changes).sign()
        try:
            check_admission(self.state, transaction, Height(self.height), self.time_ms, self.parameters)
        except Rejected as refusal:
            return refusal.reason
        return 0

    @property
    def used(self) -> tuple[bytes | None, bytes | None]:
        """What the state says of the person and of the block."""
        return self.state.get(quota_usage_key(self.did)), self.state.get(FREE_GAS_KEY)

    def use(self, gas: int, did: Did | None = None, day: int = DAY) -> None:
        """Let an identity have used so much on a day."""
        self.state.put(quota_usage_key(did or self.did), encode(QuotaUsage(day, Gas(gas))))

    def refuse(self, reason: Reason, *calls: Call, **changes: Any) -> None:
        """It neither may wait, nor does it anything in a block."""
        before = dict(self.state.changes)
        receipt = self.free(*calls, **changes)
        assert (self.admit(*calls, **changes), receipt.status, receipt.reason) == (reason, Status.SKIPPED, reason)
        assert self.state.changes == before


def test_a_persons_everyday_call_costs_nothing():
    scene = QuotaScene()
    fees, balance = (get_account(scene.state, each).balance_grains for each in (FEES_ADDRESS, P))
    assert scene.admit() == 0
    receipt = scene.free()
    assert (receipt.status, receipt.reason, receipt.fee_grains) == (Status.SUCCEEDED, 0, 0)
    assert get_account(scene.state, P).balance_grains == balance - 1
    assert get_account(scene.state, FEES_ADDRESS).balance_grains == fees


def test_what_is_not_used_is_given_back():
    scene = QuotaScene()
    receipt = scene.free()
    assert compute_intrinsic_gas(scene.draft().sign()) < receipt.gas_used < LIMIT
    usage, block = QuotaUsage(DAY, receipt.gas_used), FreeGas(Height(scene.height), receipt.gas_used)
    assert scene.used == (encode(usage), encode(block))


def test_a_failed_call_uses_the_quota_and_a_sequence():
    scene = QuotaScene()
    sequence = get_account(scene.state, P).sequence
    receipt = scene.free(transfer(RECIPIENT, 10**12))
    assert (receipt.status, receipt.reason) == (Status.FAILED, Reason.INSUFFICIENT_BALANCE)
    assert get_account(scene.state, P).sequence == sequence + 1
    assert scene.used[0] == encode(QuotaUsage(DAY, receipt.gas_used))


def test_an_account_without_coins_acts_all_the_same():
    scene = QuotaScene()
    credit(scene.state, O, 0, 0)
    did = scene.create("other")
    scene.accept(build_call(scene.link(did, O), "other"))
    put_grant(scene.state, did, Role.PERSON, Grant(FAR, None), scene.height)
    put_services = build_call(scene.update(did), "other")
    assert scene.free(put_services, key=OTHER).reason == 0


def test_without_an_identity_the_fee_is_too_low():
    QuotaScene().refuse(Reason.FEE_TOO_LOW, key=OTHER)


def test_an_identity_without_the_role_pays():
    scene = QuotaScene()
    end_grant(scene.state, scene.did, Role.PERSON)
    put_grant(scene.state, scene.did, Role.ATTESTER, Grant(FAR, None), scene.height)
    scene.refuse(Reason.FEE_TOO_LOW)


def test_a_role_that_has_run_out_ends_the_quota():
    scene = QuotaScene()
    put_grant(scene.state, scene.did, Role.PERSON, Grant(Height(scene.height), None), scene.height)
    assert scene.admit() == 0
    scene.height += 1
    scene.refuse(Reason.FEE_TOO_LOW)


def test_a_deactivated_identity_pays():
    scene = QuotaScene()
    scene.accept(build_call(scene.deactivate(scene.did), "person"))
    scene.refuse(Reason.FEE_TOO_LOW)


def test_the_quota_may_end_with_the_call_itself():
    scene = QuotaScene()
    receipt = scene.free(build_call(scene.deactivate(scene.did), "person"), gas_limit=15_000)
    assert receipt.status is Status.SUCCEEDED
    assert scene.used[0] == encode(QuotaUsage(DAY, receipt.gas_used)), "what was left came back to it"
    scene.refuse(Reason.FEE_TOO_LOW)


def test_a_role_is_given_up_for_free():
    scene = QuotaScene()
    payload = EndPayload(scene.did, Role.PERSON, 1)
    signatures = sign(SigningPurpose.ROLE_RENOUNCE, payload, [(scene.did, "person")])
    assert scene.free(Call("roles", "renounce", to_plain(RenounceRole(payload, signatures)))).reason == 0
    scene.refuse(Reason.FEE_TOO_LOW)


@pytest.mark.parametrize(
    "call",
    [
        Call("governance", "donate", [1]),
        Call("staking", "delegate", [P, 1]),
        Call("contracts", "introduce", []),
        Call("iov", "batch_transfer", [[]]),
        Call("vehicles", "attest_vin", []),
        Call("platforms", "post_migration", []),
        Call("growth", "certify", []),
        Call("mining", "challenge", []),
        Call("mining", "post_batch", []),
        Call("distribution", "challenge", []),
        Call("distribution", "fund", []),
        Call("ads", "complain", []),
        Call("ads", "create", []),
        Call("gifts", "give", []),
        Call("sale", "buy", []),
        Call("nowhere", "call", []),
    ],
)
def test_other_calls_than_everyday_ones_pay(call):
    scene = QuotaScene()
    scene.refuse(Reason.FEE_TOO_LOW, call)
    scene.refuse(Reason.FEE_TOO_LOW, transfer(RECIPIENT, 1), call)


def test_everyday_calls_exist_and_are_none_of_power():
    assert set(CALLS) >= EVERYDAY_CALLS
    identity = {"attributes", "did", "growth", "platforms", "roles", "vehicles"}
    economy = {"ads", "contracts", "distribution", "gifts", "iov", "mining", "sale"}
    assert {module for module, _ in EVERYDAY_CALLS} == identity | economy
    assert {call for module, call in EVERYDAY_CALLS if module == "contracts"} == {"call"}


def test_a_fee_below_the_floor_is_too_low():
    scene = QuotaScene()
    scene.parameters = replace(QUOTA, price_floor_grains=2)
    scene.refuse(Reason.FEE_TOO_LOW, price_grains=1)


def test_a_fee_payer_pays():
    QuotaScene().refuse(Reason.FEE_TOO_LOW, fee_payer_key=PAYER)


def test_without_a_quota_everybody_pays():
    scene = QuotaScene()
    scene.parameters = replace(QUOTA, free_quota_gas_daily=0)
    scene.refuse(Reason.FEE_TOO_LOW)


def test_whoever_pays_uses_no_quota():
    scene = QuotaScene()
    scene.use(3 * LIMIT)
    used = scene.used
    receipt = scene.free(price_grains=1)
    assert (receipt.status, receipt.fee_grains) == (Status.SUCCEEDED, receipt.gas_used)
    assert scene.used == used


def test_the_whole_gas_limit_must_be_left():
    scene = QuotaScene()
    scene.use(2 * LIMIT + 1)
    scene.refuse(Reason.QUOTA_EXHAUSTED)
    scene.use(2 * LIMIT)
    assert scene.free().reason == 0


def test_the_quota_begins_anew_with_the_day():
    scene = QuotaScene()
    scene.use(3 * LIMIT)
    scene.time_ms = (DAY + 1) * DAY_MS - 1
    scene.refuse(Reason.QUOTA_EXHAUSTED)
    scene.time_ms += 1
    receipt = scene.free()
    assert scene.used[0] == encode(QuotaUsage(DAY + 1, receipt.gas_used)), "nothing of the day before"


def test_the_quota_is_the_identitys_whatever_account_acts_for_it():
    scene = QuotaScene()
    scene.use(3 * LIMIT)
    scene.accept(build_call(scene.on_version(scene.did), "person", name="unlink_account"))
    credit(scene.state, O, 10**9, 0)
    scene.accept(build_call(scene.link(scene.did, O), "person"), OTHER)
    scene.refuse(Reason.QUOTA_EXHAUSTED, key=OTHER)
    scene.refuse(Reason.FEE_TOO_LOW)


def test_a_quota_that_governance_has_lowered_is_used_up():
    scene = QuotaScene()
    scene.use(LIMIT)
    scene.parameters = replace(QUOTA, free_quota_gas_daily=LIMIT - 1)
    scene.refuse(Reason.QUOTA_EXHAUSTED)


def test_a_block_holds_so_much_gas_without_a_fee():
    scene = QuotaScene()
    scene.add_person("other", O)
    block = Height(scene.height)
    scene.state.put(FREE_GAS_KEY, encode(FreeGas(block, Gas(LIMIT + 1))))
    scene.refuse(Reason.QUOTA_EXHAUSTED, key=OTHER)
    scene.state.put(FREE_GAS_KEY, encode(FreeGas(block, Gas(LIMIT))))
    receipt = scene.free(key=OTHER)
    assert scene.used[1] == encode(FreeGas(block, Gas(LIMIT + receipt.gas_used)))
    scene.height += 1
    assert scene.free(key=OTHER).reason == 0, "the next block has its own"


def test_what_a_block_has_no_gas_for_is_skipped_and_those_who_pay_are_not():
    """The second's limit is the block's, of which the first has used some."""
    scene = QuotaScene()
    scene.add_person("other", O)
    first = scene.draft(gas_limit=2 * LIMIT).sign()
    second = scene.draft(key=OTHER, gas_limit=2 * LIMIT).sign()
    paying = scene.draft(sequence=first.body.ordering + 1, price_grains=1).sign()
    block = replace(block_context(scene.height, scene.time_ms), parameters=scene.parameters)
    result = apply_block(scene.state, block, [first, second, paying])
    assert [(each.status, each.reason) for each in result.receipts] == [
        (Status.SUCCEEDED, 0),
        (Status.SKIPPED, Reason.QUOTA_EXHAUSTED),
        (Status.SUCCEEDED, 0),
    ]


def test_spam_ends_with_the_quota():
    """However often an identity tries, its day holds no more gas than its quota."""
    scene = QuotaScene()
    receipts = []
    for _ in range(60):
        receipts.append(scene.free())
        scene.height += 1
    used = sum(each.gas_used for each in receipts)
    assert 2 * LIMIT < used <= 3 * LIMIT
    assert {each.reason for each in receipts} == {0, Reason.QUOTA_EXHAUSTED}
    assert receipts[-1].reason == Reason.QUOTA_EXHAUSTED


def test_the_view_tells_what_is_left():
    scene = QuotaScene()
    scene.use(LIMIT + 1)

    def ask(account: Any, time_ms: int) -> Any:
        moment = Moment(Height(scene.height), TimeMs(time_ms))
        return answer_view(scene.state, moment, "roles", "free_quota", [account])

    assert ask(P, NOON_MS) == FreeQuota(scene.did, 3 * LIMIT, 2 * LIMIT - 1)
    assert ask(P, NOON_MS + DAY_MS) == FreeQuota(scene.did, 3 * LIMIT, 3 * LIMIT)
    assert ask(RECIPIENT, NOON_MS) is None
