"""Who may sign for an account, as the state transition sees it: rules A1 to A3."""

import pytest

from identity.address import compute_policy_address
from identity.keys import KeyType
from identity.policy import build_policy, policy_to_bytes
from ledger.codec import to_plain
from ledger.reasons import Reason
from ledger.receipt import Event, Status
from ledger.transaction import Call
from tests.builders import Draft, address_of, block_context, make_key, make_state, transfer
from vm.native.accounts import get_account, get_policy
from vm.transition import apply_transaction

ALICE, BOB, CAROL, DAVE = (make_key(name) for name in ("alice", "bob", "carol", "dave"))
A, B = address_of(ALICE), address_of(BOB)
START = 10**7


def weigh(*weights: int, threshold: int):
    keys = (BOB, CAROL, DAVE)
    return build_policy([(key.public_key, weight) for key, weight in zip(keys, weights, strict=False)], threshold)


def set_policy(policy, key=ALICE, sequence=0, **options) -> Draft:
    return Draft(key, [Call("accounts", "set_policy", [to_plain(policy)])], sequence=sequence, **options)


def run(state, draft):
    return apply_transaction(state, block_context(), draft.sign())


def test_setting_a_policy_is_announced_in_plain_values():
    policy = weigh(1, 1, threshold=2)
    receipt = run(make_state({A: START}), set_policy(policy))
    assert receipt.events == (Event("accounts", "PolicySet", [A, to_plain(policy)]),)


@pytest.mark.parametrize(
    ("signers", "is_enough"),
    [
        ([BOB], False),
        ([CAROL], False),
        ([DAVE], True),
        ([BOB, CAROL], True),
        ([BOB, DAVE], True),
        ([BOB, CAROL, DAVE], True),
        ([ALICE], False),
        ([DAVE, ALICE], False),
        ([DAVE, make_key("stranger")], False),
    ],
)
def test_weight_decides_and_a_strange_key_spoils_it(signers, is_enough):
    state = make_state({A: START})
    assert run(state, set_policy(weigh(1, 2, 3, threshold=3))).status is Status.SUCCEEDED
    draft = Draft(signers[0], [transfer(B, 1)], sequence=1, sender=A, more_keys=signers[1:])
    receipt = run(state, draft)
    if is_enough:
        assert receipt.status is Status.SUCCEEDED
    else:
        assert (receipt.status, receipt.reason) == (Status.SKIPPED, Reason.SENDER_NOT_ALLOWED)
        assert get_account(state, A).sequence == 1


def test_keys_rotate_again_and_the_address_stays():
    state = make_state({A: START})
    run(state, set_policy(weigh(1, threshold=1)))
    back = build_policy([(ALICE.public_key, 1)], 1)
    assert run(state, set_policy(back, key=BOB, sequence=1, sender=A)).status is Status.SUCCEEDED
    assert run(state, Draft(BOB, [transfer(B, 1)], sequence=2, sender=A)).reason == Reason.SENDER_NOT_ALLOWED
    assert run(state, Draft(ALICE, [transfer(B, 1)], sequence=2)).status is Status.SUCCEEDED


def test_a_new_policy_holds_from_the_next_transaction_on():
    """Both calls of one transaction run with the keys that signed it."""
    state = make_state({A: START})
    draft = Draft(ALICE, [Call("accounts", "set_policy", [to_plain(weigh(1, threshold=1))]), transfer(B, 7)])
    assert run(state, draft).status is Status.SUCCEEDED
    assert get_account(state, B).balance_grains == 7


def test_a_policy_set_in_a_failed_transaction_was_never_set():
    state = make_state({A: START})
    call = Call("accounts", "set_policy", [to_plain(weigh(1, threshold=1))])
    assert run(state, Draft(ALICE, [call, transfer(B, 10 * START)])).status is Status.FAILED
    assert get_policy(state, A) is None
    assert run(state, Draft(ALICE, [transfer(B, 1)], sequence=1)).status is Status.SUCCEEDED


def test_a_policy_also_rules_who_pays_for_others():
    state = make_state({A: START})
    run(state, set_policy(weigh(1, 1, threshold=2)))
    sponsored = Draft(DAVE, [Call("accounts", "set_policy", [to_plain(weigh(1, threshold=1))])], fee_payer_key=ALICE)
    receipt = run(state, sponsored)
    assert (receipt.status, receipt.reason) == (Status.SKIPPED, Reason.SENDER_NOT_ALLOWED)


def test_registering_never_overwrites_a_policy_that_was_rotated():
    first = weigh(1, 1, threshold=1)
    address = compute_policy_address(policy_to_bytes(first))
    state = make_state({A: START, address: START})
    register = Call("accounts", "register_policy", [to_plain(first)])
    assert run(state, Draft(ALICE, [register])).status is Status.SUCCEEDED
    later = weigh(1, threshold=1)
    rotated = set_policy(later, key=CAROL, sender=address)
    assert run(state, rotated).status is Status.SUCCEEDED
    again = run(state, Draft(ALICE, [register], sequence=1))
    assert (again.status, again.reason) == (Status.FAILED, Reason.BAD_POLICY)
    assert get_policy(state, address) == later


def test_a_policy_of_every_key_type_can_sign():
    keys = [make_key(kind.name, kind) for kind in KeyType]
    state = make_state({A: START})
    run(state, set_policy(build_policy([(key.public_key, 1) for key in keys], len(keys))))
    draft = Draft(keys[0], [transfer(B, 3)], sequence=1, sender=A, more_keys=keys[1:])
    assert run(state, draft).status is Status.SUCCEEDED


def spoilt(change):
    plain = to_plain(weigh(1, 2, 3, threshold=3))
    change(plain)
    return plain


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (spoilt(lambda plain: plain[0].reverse()), Reason.BAD_POLICY),
        (spoilt(lambda plain: plain[0].append(plain[0][2])), Reason.BAD_POLICY),
        (spoilt(lambda plain: plain.__setitem__(1, 7)), Reason.BAD_POLICY),
        (spoilt(lambda plain: plain[0][0].__setitem__(1, bytes(32))), Reason.BAD_POLICY),
        (spoilt(lambda plain: plain[0][0].__setitem__(0, 99)), Reason.BAD_ARGUMENTS),
        (spoilt(lambda plain: plain[0][0].__setitem__(2, 0)), Reason.BAD_ARGUMENTS),
        (spoilt(lambda plain: plain.__setitem__(1, 0)), Reason.BAD_ARGUMENTS),
        (spoilt(lambda plain: plain.__setitem__(0, [])), Reason.BAD_ARGUMENTS),
        (spoilt(lambda plain: plain.append(1)), Reason.BAD_ARGUMENTS),
        (None, Reason.BAD_ARGUMENTS),
    ],
)
@pytest.mark.parametrize("call", ["set_policy", "register_policy"])
def test_a_policy_that_could_not_rule_is_refused(call, plain, reason):
    state = make_state({A: START})
    receipt = run(state, Draft(ALICE, [Call("accounts", call, [plain])], gas_limit=60_000))
    assert (receipt.status, receipt.reason) == (Status.FAILED, reason)
    assert get_policy(state, A) is None
