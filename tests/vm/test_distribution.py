"""Distributions: rules D1 to D14 and B1 to B3."""

from dataclasses import replace

import pytest

from identity.address import Address
from ledger.codec import to_plain
from ledger.merkle import InclusionPath
from ledger.primitives import INTEGER_MAX, Grains
from ledger.reasons import Reason, Rejected
from ledger.receipt import Event
from ledger.state_keys import distribution_flow_key
from ledger.transaction import Call
from tests.builders import address_of, make_key
from tests.did_scene import SENDER, build_call, commit, control_of
from tests.distribution_scene import (
    ATTESTERS,
    BREAKER,
    CHALLENGE_MS,
    FUNDS,
    MANIFEST,
    OWNER,
    PART_MS,
    WINDOW_MS,
    DistributionScene,
    account_key,
    check_conservation,
    did_key,
    distribute,
    fake_root,
    find_names,
    leaf_of,
)
from vm.native.accounts import IS_CONTRACT, get_account, put_account
from vm.native.did_records import Controllers, DidKind
from vm.native.distribution import (
    GAS_CLAIM,
    GAS_CLAIM_ENTRY,
    GAS_PROOF,
    GAS_VOID,
    Challenge,
    Claim,
    PayoutDescription,
    SourceDescription,
    compute_challenge_gas,
    compute_claim_gas,
)
from vm.native.distribution_faults import Fault, is_fault_shown
from vm.native.distribution_records import (
    CHALLENGE_BLOCKS,
    DISTRIBUTION_ADDRESS,
    NO_FLOW,
    PostedRoot,
    Source,
    SourceId,
    VoidCause,
    check_rules,
    create_source,
    fund_source,
    get_claimed,
    get_flow,
    get_source,
    put_flow,
    set_source_rules,
    void_root,
    withdraw_source,
)
from vm.native.distribution_tree import GAS_PROOF_HASH, SHARDS, BeneficiaryKind, Shard, compute_shard_number

ANNE, BERT, CARA = (account_key(name) for name in ("anne", "bert", "cara"))


@pytest.fixture
def scene():
    found = DistributionScene()
    yield found
    check_conservation(found.state)


def fund(source, grains):
    return Call("distribution", "fund", [source, grains])


def withdraw(source, grains):
    return Call("distribution", "withdraw", [source, grains])


def claimed_event(scene, number, key, recipient, grains):
    return Event("distribution", "Claimed", [scene.source, number, key[0], key[1], recipient, grains])


# D1 to D3: sources and their funds


def test_sources_are_numbered_and_begin_empty(scene):
    second = create_source(scene.state, scene.rules(label="ads"))
    assert (scene.source, second) == (1, 2)
    assert get_source(scene.state, second) == Source(scene.rules(label="ads"), 0, 0, 0, 0, 0)
    assert [each.source for each in scene.answer("sources", 0)] == [2, 1]
    assert [each.source for each in scene.answer("sources", 2)] == [1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"threshold": 4}, Reason.DISTRIBUTION_BAD_RULES),
        ({"breaker": replace(BREAKER, floor_grains=BREAKER.limit_grains + 1)}, Reason.DISTRIBUTION_BAD_RULES),
        ({"attesters": (bytes(20),), "threshold": 1}, Reason.UNKNOWN_DID),
    ],
)
def test_rules_that_cannot_work_are_refused(scene, changes, reason):
    with pytest.raises(Rejected) as failure:
        check_rules(scene.state, scene.rules(**changes))
    assert failure.value.reason is reason


def test_attesters_stand_in_order_each_once(scene):
    attesters = scene.rules().attesters
    for wrong in (attesters[::-1], (attesters[0], attesters[0])):
        with pytest.raises(Rejected) as failure:
            check_rules(scene.state, scene.rules(attesters=wrong))
        assert failure.value.reason is Reason.DISTRIBUTION_BAD_RULES


def test_anybody_funds_a_source(scene):
    receipt = scene.accept(fund(scene.source, 7))
    assert receipt.events[-1] == Event("distribution", "SourceFunded", [scene.source, address_of(SENDER), 7])
    assert get_source(scene.state, scene.source).funded_grains == FUNDS + 7


def test_a_source_is_not_funded_with_nothing_nor_beyond_what_can_be_counted(scene):
    scene.refuse(fund(scene.source, 0), Reason.AMOUNT_ZERO)
    scene.refuse(fund(scene.source, INTEGER_MAX), Reason.AMOUNT_OVERFLOW)
    scene.refuse(fund(scene.source, 10**13), Reason.INSUFFICIENT_BALANCE)
    scene.refuse(fund(9, 1), Reason.DISTRIBUTION_UNKNOWN_SOURCE)


def test_the_owner_takes_back_what_is_not_promised(scene):
    scene.settle({ANNE: 400})
    fee = 10**9
    scene.accept(Call("iov", "transfer", [address_of(OWNER), fee]))
    scene.refuse(withdraw(scene.source, 1), Reason.DISTRIBUTION_NOT_OWNER)
    assert scene.send(withdraw(scene.source, FUNDS - 399), OWNER).reason == Reason.DISTRIBUTION_PROMISED
    assert scene.send(withdraw(scene.source, 0), OWNER).reason == Reason.AMOUNT_ZERO
    receipt = scene.accept(withdraw(scene.source, FUNDS - 400), OWNER)
    event = Event("distribution", "SourceWithdrawn", [scene.source, address_of(OWNER), FUNDS - 400])
    assert receipt.events[-1] == event
    assert get_source(scene.state, scene.source).left_grains == 400


def test_a_module_takes_back_for_itself(scene):
    withdraw_source(scene.state, scene.source, address_of(OWNER), 100, 0)
    assert scene.balance("owner") == 100


# D4 to D6: roots


def test_a_root_is_posted_and_counts_after_its_window(scene):
    built = distribute({ANNE: 300, BERT: 100})
    posted_ms = scene.now_ms
    receipt = scene.accept(scene.post(built, ATTESTERS[0], ATTESTERS[2]))
    counts_ms, counts_height = posted_ms + CHALLENGE_MS, scene.height - 1 + CHALLENGE_BLOCKS
    fields = [scene.source, 1, built.root, 400, MANIFEST, counts_ms, counts_height]
    assert receipt.events[-1] == Event("distribution", "RootPosted", fields)
    posted = PostedRoot(built.root, 400, MANIFEST, 0, posted_ms, counts_ms, counts_height, None)
    assert scene.answer("root", scene.source, 1) == posted
    scene.refuse(scene.claim(built, ANNE), Reason.DISTRIBUTION_ROOT_PENDING)
    scene.height = counts_ms // 1_000 - 1
    scene.refuse(scene.claim(built, ANNE), Reason.DISTRIBUTION_ROOT_PENDING)
    scene.accept(scene.claim(built, ANNE))


def test_the_threshold_of_attesters_signs(scene):
    built = distribute({ANNE: 1})
    scene.refuse(scene.post(built, ATTESTERS[0]), Reason.DID_NOT_AUTHORISED)
    scene.attesters["stranger"] = scene.create("stranger")
    scene.refuse(scene.post(built, ATTESTERS[0], "stranger"), Reason.DID_FOREIGN_SIGNER)
    scene.accept(build_call(scene.deactivate(scene.attesters[ATTESTERS[0]]), ATTESTERS[0]))
    scene.refuse(scene.post(built), Reason.DID_FOREIGN_SIGNER)
    scene.accept(scene.post(built, *ATTESTERS[1:]))


def test_signatures_are_for_this_root(scene):
    call = scene.post(distribute({ANNE: 1}))
    other = scene.post(distribute({ANNE: 2}))
    call.arguments[2] = other.arguments[2]
    scene.refuse(call, Reason.DID_BAD_SIGNATURE)


def test_attesters_agree_through_their_controllers(scene):
    boss = scene.create("boss")

    ruled = scene.create(
        "ruled",
        control=replace(control_of("ruled"), controllers=Controllers((boss,), 1)),
        signers=[(boss, "boss"), "ruled"],
    )
    set_source_rules(scene.state, scene.source, scene.rules(attesters=(ruled,), threshold=1))
    scene.attesters["boss"] = boss
    scene.accept(scene.post(distribute({ANNE: 1}), "boss"))


def test_a_number_is_used_once_and_in_order(scene):
    built = distribute({ANNE: 1})
    for number in (2, 3):
        scene.refuse(scene.post(built, number=number), Reason.DISTRIBUTION_ROOT_NUMBER)
    call = scene.post(built)
    scene.accept(call)
    scene.refuse(call, Reason.DISTRIBUTION_ROOT_NUMBER)
    scene.accept(scene.void())
    scene.refuse(call, Reason.DISTRIBUTION_ROOT_NUMBER)
    scene.accept(scene.post(built, number=2))


def test_one_root_is_open_to_challenges_at_a_time(scene):
    scene.accept(scene.post(distribute({ANNE: 1})))
    following = scene.post(distribute({ANNE: 2}))
    scene.refuse(following, Reason.DISTRIBUTION_ROOT_PENDING)
    scene.pass_ms(CHALLENGE_MS)
    scene.accept(following)


def test_shards_give_the_root_and_add_up(scene):
    built = distribute({ANNE: 5, BERT: 6})
    scene.refuse(scene.post(built, lifetime_total_grains=12), Reason.DISTRIBUTION_BAD_ROOT)
    scene.refuse(scene.post(built, root=fake_root()), Reason.DISTRIBUTION_BAD_ROOT)
    empty = next(number for number in range(SHARDS) if not built.leaves[number])
    built.shards[empty] = replace(built.shards[empty], total_grains=Grains(1))
    scene.refuse(scene.post(built), Reason.DISTRIBUTION_BAD_ROOT)


def test_shards_that_overflow_are_refused(scene):
    built = distribute({ANNE: 5})
    built.shards = [Shard(each.root, Grains(INTEGER_MAX)) for each in built.shards]
    scene.refuse(scene.post(built, lifetime_total_grains=Grains(5)), Reason.DISTRIBUTION_BAD_ROOT)


def test_the_lifetime_total_does_not_fall(scene):
    scene.settle({ANNE: 5})
    scene.refuse(scene.post(distribute({ANNE: 4})), Reason.DISTRIBUTION_BAD_ROOT)
    scene.accept(scene.post(distribute({ANNE: 5})))


def test_the_lifetime_total_is_funded(scene):
    scene.refuse(scene.post(distribute({ANNE: FUNDS + 1})), Reason.DISTRIBUTION_UNFUNDED)
    built = scene.settle({ANNE: 1_000})
    scene.accept(scene.claim(built, ANNE))
    scene.refuse(scene.post(distribute({ANNE: FUNDS + 1})), Reason.DISTRIBUTION_UNFUNDED)
    scene.accept(scene.post(distribute({ANNE: FUNDS})))


# D7 to D9: claims


def test_a_claim_pays_what_is_due_once(scene):
    built = scene.settle({ANNE: 300, BERT: 100})
    receipt = scene.accept(scene.claim(built, ANNE))
    assert receipt.events[-1] == claimed_event(scene, 1, ANNE, ANNE[1], 300)
    assert (scene.balance("anne"), scene.answer("claimed", scene.source, *ANNE)) == (300, 300)
    scene.refuse(scene.claim(built, ANNE), Reason.DISTRIBUTION_NOTHING_DUE)


def test_a_later_root_pays_the_difference_and_an_old_one_nothing_more(scene):
    old = scene.settle({ANNE: 300, BERT: 50})
    new = scene.settle({ANNE: 500, BERT: 50})
    scene.accept(scene.claim(old, ANNE, number=1))
    scene.accept(scene.claim(new, ANNE))
    assert scene.balance("anne") == 500
    scene.refuse(scene.claim(old, ANNE, number=1), Reason.DISTRIBUTION_NOTHING_DUE)
    scene.accept(scene.claim(old, BERT, number=1))
    scene.refuse(scene.claim(new, BERT), Reason.DISTRIBUTION_NOTHING_DUE)


def test_an_old_root_is_claimed_while_a_new_one_is_open(scene):
    old = scene.settle({ANNE: 300})
    scene.accept(scene.post(distribute({ANNE: 900})))
    scene.accept(scene.claim(old, ANNE, number=1))
    assert scene.balance("anne") == 300


def test_claims_against_unknown_void_and_foreign_roots_are_refused(scene):
    built = scene.settle({ANNE: 300})
    scene.refuse(scene.claim(built, ANNE, number=2), Reason.DISTRIBUTION_UNKNOWN_ROOT)
    scene.source, first = create_source(scene.state, scene.rules()), scene.source
    fund_source(scene.state, scene.source, address_of(SENDER), FUNDS, 0)
    other = scene.settle({ANNE: 10, BERT: 20})
    scene.refuse(scene.claim(built, ANNE), Reason.DISTRIBUTION_NOT_PROVEN)
    scene.accept(scene.claim(other, ANNE))
    assert get_claimed(scene.state, first, BeneficiaryKind.ACCOUNT, ANNE[1]) == 0
    void_root(scene.state, scene.source, 1, VoidCause.GOVERNANCE)
    scene.refuse(scene.claim(other, BERT), Reason.DISTRIBUTION_ROOT_VOID)


def test_nothing_but_the_leaf_itself_is_claimed(scene):
    built = scene.settle({ANNE: 300, BERT: 100})
    right = built.prove_key(ANNE)
    other = built.prove_key(BERT)
    wrong = [
        replace(right, leaf=replace(right.leaf, lifetime_grains=301)),
        replace(right, leaf=replace(right.leaf, before_grains=1)),
        replace(right, leaf=replace(right.leaf, id=BERT[1])),
        replace(right, leaf=replace(right.leaf, kind=BeneficiaryKind.DID)),
        replace(right, shard=other.shard),
        replace(right, shard=replace(right.shard, number=(right.shard.number + 1) % SHARDS)),
        replace(right, shard=replace(right.shard, path=right.shard.path[::-1])),
    ]
    for each in wrong:
        call = Call("distribution", "claim", [scene.source, 1, [to_plain(each)]])
        scene.refuse(call, Reason.DISTRIBUTION_NOT_PROVEN)


def test_all_claims_together_are_no_more_than_the_total(scene):
    """A root whose leaves promise more than it says, which nobody has challenged: the first ones are paid."""
    first, second = (account_key(name) for name in find_names(7, 2))
    right = distribute({first: 300, second: 200})
    wrong = right.replace_shard(7, right.leaves[7], total_grains=400)
    scene.accept(scene.post(wrong))
    scene.pass_ms(CHALLENGE_MS)
    scene.accept(scene.claim(wrong, first))
    scene.refuse(scene.claim(wrong, second), Reason.DISTRIBUTION_EXCEEDED)


def test_a_voided_root_promises_nothing_though_it_was_claimed(scene):
    old = scene.settle({ANNE: 300, CARA: 100})
    new = scene.settle({ANNE: 300, BERT: 900, CARA: 100})
    scene.accept(scene.claim(new, BERT))
    void_root(scene.state, scene.source, 2, VoidCause.GOVERNANCE)
    source = get_source(scene.state, scene.source)
    assert (source.latest, source.promised_grains, source.claimed_grains) == (1, 400, 900)
    scene.refuse(scene.claim(old, ANNE, number=1), Reason.DISTRIBUTION_EXCEEDED)
    assert scene.answer("source", scene.source).free_grains == FUNDS - 900


# D10: who is paid


def test_an_identity_is_paid_at_its_linked_account(scene):
    did = scene.create("dora")
    built = scene.settle({did_key(did): 70})
    scene.refuse(scene.claim(built, did_key(did)), Reason.DISTRIBUTION_NO_ACCOUNT)
    account = address_of(make_key("dora"))
    scene.accept(build_call(scene.link(did, account), "dora"))
    receipt = scene.accept(scene.claim(built, did_key(did)))
    assert receipt.events[-1] == claimed_event(scene, 1, did_key(did), account, 70)
    assert scene.balance("dora") == 70


def test_an_identity_names_another_account_and_takes_it_back(scene):
    did = scene.create("dora")
    account, linked = address_of(make_key("bank")), address_of(make_key("dora"))
    scene.accept(build_call(scene.link(did, linked), "dora"))
    receipt = scene.accept(scene.payout(did, "dora", account))
    assert receipt.events[-1] == Event("distribution", "PayoutSet", [did, account])
    assert scene.answer("payout", did) == PayoutDescription(account, 1)
    built = scene.settle({did_key(did): 70})
    scene.accept(scene.claim(built, did_key(did)))
    assert (scene.balance("bank"), scene.balance("dora")) == (70, 0)
    scene.accept(scene.payout(did, "dora", None, turn=1))
    assert scene.answer("payout", did) == PayoutDescription(linked, 2)


@pytest.mark.parametrize("name", ["rotate", "recover"])
def test_a_stolen_key_says_no_longer_where_an_identity_is_paid(scene, name):
    did = scene.create("dora", control=control_of("dora", next_keys=commit("new"), recovery_keys=commit("new")))
    thief = address_of(make_key("thief"))
    scene.accept(scene.payout(did, "dora", thief))
    assert scene.answer("payout", did) == PayoutDescription(thief, 1)
    control = control_of("new", recovery_keys=commit("later"))
    signers = ("dora", "new") if name == "rotate" else ("new",)
    scene.accept(build_call(scene.control(did, control), *signers, name=name))
    assert scene.answer("payout", did) == PayoutDescription(None, 1)
    built = scene.settle({did_key(did): 70})
    scene.refuse(scene.claim(built, did_key(did)), Reason.DISTRIBUTION_NO_ACCOUNT)
    account = address_of(make_key("bank"))
    scene.accept(scene.payout(did, "new", account, turn=1))
    scene.accept(scene.claim(built, did_key(did)))
    assert (scene.balance("thief"), scene.balance("bank")) == (0, 70)


def test_what_a_controllers_stolen_key_has_said_is_taken_back(scene):
    """It does not end with the controller's key: whoever rules the identity says otherwise."""
    boss = scene.create("boss", control=control_of("boss", next_keys=commit("new")))
    control = replace(control_of("ruled"), controllers=Controllers((boss,), 1))
    did = scene.create("ruled", control=control, signers=[(boss, "boss"), "ruled"])
    thief, bank = address_of(make_key("thief")), address_of(make_key("bank"))
    scene.accept(scene.payout(did, "boss", thief, signer=boss))
    scene.accept(build_call(scene.control(boss, control_of("new")), "boss", "new", name="rotate"))
    assert scene.answer("payout", did) == PayoutDescription(thief, 1)
    scene.refuse(scene.payout(did, "boss", thief, turn=1, signer=boss), Reason.DID_UNKNOWN_KEY)
    scene.accept(scene.payout(did, "new", bank, turn=1, signer=boss))
    assert scene.answer("payout", did) == PayoutDescription(bank, 2)


def test_where_an_identity_is_paid_is_its_own_word_and_not_replayed(scene):
    did, account = scene.create("dora"), address_of(make_key("bank"))
    scene.create("eve")
    scene.refuse(scene.payout(did, "eve", account), Reason.DID_UNKNOWN_KEY)
    call = scene.payout(did, "dora", account)
    scene.accept(call)
    scene.refuse(call, Reason.DISTRIBUTION_TURN_STALE)
    scene.refuse(scene.payout(did, "dora", DISTRIBUTION_ADDRESS, turn=1), Reason.RECIPIENT_NOT_ALLOWED)


def test_a_sold_vehicle_pays_its_former_owner_no_more(scene):
    seller, buyer = scene.create("seller"), scene.create("buyer")
    car = scene.create("car", kind=DidKind.VEHICLE, owner=seller, signers=[(seller, "seller"), "car"])
    payload_signer = scene.payout(car, "seller", address_of(make_key("seller")))
    payload_signer.arguments[1][0][0] = seller
    scene.accept(payload_signer)
    assert scene.answer("payout", car).account == address_of(make_key("seller"))
    scene.accept(build_call(scene.transfer(car, buyer), (seller, "seller"), (buyer, "buyer")))
    assert scene.answer("payout", car) == PayoutDescription(None, 1)
    built = scene.settle({did_key(car): 70})
    scene.refuse(scene.claim(built, did_key(car)), Reason.DISTRIBUTION_NO_ACCOUNT)


def test_a_deactivated_identity_is_not_paid(scene):
    did = scene.create("dora")
    scene.accept(scene.payout(did, "dora", address_of(make_key("bank"))))
    built = scene.settle({did_key(did): 70})
    scene.accept(build_call(scene.deactivate(did), "dora"))
    scene.refuse(scene.claim(built, did_key(did)), Reason.DID_DEACTIVATED)
    assert scene.answer("payout", did) == PayoutDescription(None, 1)


def test_modules_and_contracts_are_not_paid(scene):
    contract = Address(bytes([3]) * 20)
    put_account(scene.state, contract, get_account(scene.state, contract)._replace(flags=IS_CONTRACT))
    keys = [(int(BeneficiaryKind.ACCOUNT), DISTRIBUTION_ADDRESS), (int(BeneficiaryKind.ACCOUNT), contract)]
    built = scene.settle(dict.fromkeys(keys, 70))
    for key in keys:
        scene.refuse(scene.claim(built, key), Reason.RECIPIENT_NOT_ALLOWED)


# D11: several claims in one call


def test_of_several_claims_those_are_paid_that_can_be(scene):
    did = scene.create("dora")
    built = scene.settle({ANNE: 300, BERT: 100, did_key(did): 5})
    scene.accept(scene.claim(built, ANNE))
    receipt = scene.accept(scene.claim(built, ANNE, did_key(did), BERT, BERT))
    skipped = [
        Event("distribution", "ClaimSkipped", [scene.source, 1, key[0], key[1], int(reason)])
        for key, reason in [
            (ANNE, Reason.DISTRIBUTION_NOTHING_DUE),
            (did_key(did), Reason.DISTRIBUTION_NO_ACCOUNT),
            (BERT, Reason.DISTRIBUTION_NOTHING_DUE),
        ]
    ]
    paid = claimed_event(scene, 1, BERT, BERT[1], 100)
    events = [each for each in receipt.events if each.module == "distribution"]
    assert events == [*skipped[:2], paid, skipped[2]]
    assert get_source(scene.state, scene.source).claimed_grains == 400


def test_a_wrong_proof_refuses_all_claims_of_a_call(scene):
    built = scene.settle({ANNE: 300, BERT: 100})
    call = scene.claim(built, ANNE, BERT)
    call.arguments[2][1][0][2] += 1
    scene.refuse(call, Reason.DISTRIBUTION_NOT_PROVEN)


# D12: challenges


def challenge_scene(wrong, base=None):
    scene = DistributionScene()
    if base is not None:
        scene.settle(base)
    scene.accept(scene.post(wrong))
    return scene


def assert_voided(scene, call, cause=VoidCause.PROVEN_WRONG, number=1):
    receipt = scene.accept(call)
    assert receipt.events[-1] == Event("distribution", "RootVoided", [scene.source, number, int(cause)])
    assert scene.answer("root", scene.source, number).voided is cause
    check_conservation(scene.state)


def test_a_leaf_in_another_shard_voids_a_root():
    wrong = distribute({}).replace_shard((compute_shard_number(*ANNE) + 1) % SHARDS, [leaf_of(ANNE, 5, 0)])
    scene = challenge_scene(wrong)
    number = (compute_shard_number(*ANNE) + 1) % SHARDS
    assert_voided(scene, scene.challenge(Fault.WRONG_SHARD, wrong.prove(number, 0)))


SEVEN = [account_key(name) for name in find_names(7, 7)]


def build_shard_seven(order, lifetimes=None):
    """Shard 7 with its beneficiaries in some order and the sums as they should be."""
    leaves, before = [], 0
    for position, index in enumerate(order):
        lifetime = 10 if lifetimes is None else lifetimes[position]
        leaves.append(leaf_of(SEVEN[index], lifetime, before))
        before += lifetime
    return distribute({}).replace_shard(7, leaves)


@pytest.mark.parametrize(("order", "pair"), [((0, 2, 1, 3, 4), (1, 2)), ((0, 1, 1), (1, 2)), ((4, 1, 2, 3), (0, 3))])
def test_leaves_out_of_order_or_twice_void_a_root(order, pair):
    wrong = build_shard_seven(order)
    scene = challenge_scene(wrong)
    left, right = (wrong.prove(7, index) for index in pair)
    scene.refuse(scene.challenge(Fault.WRONG_ORDER, right, left), Reason.DISTRIBUTION_NO_FAULT)
    assert_voided(scene, scene.challenge(Fault.WRONG_ORDER, left, right))


@pytest.mark.parametrize("size", range(2, 8))
def test_a_wrong_sum_shows_at_its_place_whatever_the_size_of_a_shard(size):
    right = build_shard_seven(range(size))
    for place in range(size):
        leaves = list(right.leaves[7])
        leaves[place] = replace(leaves[place], before_grains=Grains(leaves[place].before_grains + 1))
        wrong = right.replace_shard(7, leaves)
        scene = challenge_scene(wrong)
        shown = [wrong.prove(7, index) for index in ([place - 1, place] if place else [0])]
        assert_voided(scene, scene.challenge(Fault.WRONG_SUM, *shown))


def test_a_leaf_that_counts_nowhere_under_the_root_before_is_no_measure():
    """It stands twice there, once away from home with a total that nobody can claim."""
    (anne,) = find_names(7, 1)
    key = account_key(anne)
    before = distribute({key: 10}).replace_shard(9, [leaf_of(key, 5_000, 0)])
    right = distribute({key: 20, account_key("other"): 4_990})
    scene = challenge_scene(before)
    scene.pass_ms(CHALLENGE_MS)
    scene.accept(scene.post(right))
    challenge = scene.challenge(Fault.LOWERED, right.prove_key(key), base=before.prove(9, 0))
    scene.refuse(challenge, Reason.DISTRIBUTION_NO_FAULT)


def test_a_total_that_the_last_leaf_does_not_reach_voids_a_root():
    for size in range(1, 6):
        wrong = build_shard_seven(range(size))
        wrong = wrong.replace_shard(7, wrong.leaves[7], total_grains=10 * size - 1)
        scene = challenge_scene(wrong)
        assert_voided(scene, scene.challenge(Fault.WRONG_SUM, wrong.prove(7, size - 1)))


def test_a_lower_lifetime_than_under_the_root_before_voids_a_root():
    base = {ANNE: 10, BERT: 20}
    wrong = distribute({ANNE: 9, BERT: 30})
    scene = challenge_scene(wrong, base)
    shown = wrong.prove_key(ANNE)
    call = scene.challenge(Fault.LOWERED, shown, base=distribute(base).prove_key(ANNE))
    assert_voided(scene, call, number=2)
    source = get_source(scene.state, scene.source)
    assert (source.roots, source.latest, source.promised_grains) == (2, 1, 30)
    scene.accept(scene.post(distribute({ANNE: 10, BERT: 30})))


@pytest.mark.parametrize("left_out", range(5))
def test_a_beneficiary_that_is_left_out_voids_a_root(left_out):
    base = dict.fromkeys(SEVEN[:5], 10)
    wrong = distribute({key: 50 for key in SEVEN[:5] if key != SEVEN[left_out]})
    scene = challenge_scene(wrong, base)
    places = {0: [0], 4: [3]}.get(left_out, [left_out - 1, left_out])
    shown = [wrong.prove(7, index) for index in places]
    call = scene.challenge(Fault.LEFT_OUT, *shown, base=distribute(base).prove_key(SEVEN[left_out]))
    assert_voided(scene, call, number=2)


def test_a_beneficiary_whose_shard_is_empty_is_left_out():
    base = {SEVEN[0]: 10}
    wrong = distribute({ANNE: 20})
    scene = challenge_scene(wrong, base)
    base_leaf = distribute(base).prove_key(SEVEN[0])
    other = scene.challenge(Fault.LEFT_OUT, base=base_leaf, empty=wrong.prove_shard(8))
    scene.refuse(other, Reason.DISTRIBUTION_NO_FAULT)
    assert_voided(scene, scene.challenge(Fault.LEFT_OUT, base=base_leaf, empty=wrong.prove_shard(7)), number=2)


def test_a_right_root_stands_whatever_is_shown():
    base = dict.fromkeys(SEVEN[:4], 10) | {ANNE: 10}
    right = distribute(dict.fromkeys(SEVEN[:5], 12) | {ANNE: 10})
    scene = challenge_scene(right, base)
    shown = [right.prove(7, index) for index in range(5)] + [right.prove_key(ANNE)]
    bases = [None, *(distribute(base).prove_key(key) for key in base)]
    empties = [None, right.prove_shard(7), right.prove_shard(9)]
    leaves = [(), *((each,) for each in shown), *((one, other) for one in shown for other in shown)]
    before = scene.list_changes()
    for fault in Fault:
        for some in leaves:
            for base_leaf in bases if fault in (Fault.LOWERED, Fault.LEFT_OUT) else [None]:
                for empty in empties if fault is Fault.LEFT_OUT and not some else [None]:
                    assert not is_fault_shown(fault, some, base_leaf, empty)
    assert scene.list_changes() == before


def test_what_is_shown_stands_under_the_root():
    wrong = build_shard_seven((0, 2, 1))
    scene = challenge_scene(wrong, None)
    other = distribute(dict.fromkeys(SEVEN[:3], 11))
    forged = replace(wrong.prove(7, 1), path=InclusionPath(()))
    for shown in ([wrong.prove(7, 1), other.prove(7, 2)], [forged, wrong.prove(7, 2)]):
        scene.refuse(scene.challenge(Fault.WRONG_ORDER, *shown), Reason.DISTRIBUTION_NOT_PROVEN)
    base = scene.challenge(Fault.LOWERED, wrong.prove(7, 0), base=other.prove(7, 0))
    scene.refuse(base, Reason.DISTRIBUTION_NOT_PROVEN)
    empty = scene.challenge(Fault.LEFT_OUT, empty=other.prove_shard(7))
    scene.refuse(empty, Reason.DISTRIBUTION_NOT_PROVEN)


def test_a_root_that_counts_is_challenged_no_more():
    wrong = build_shard_seven((0, 2, 1))
    scene = challenge_scene(wrong)
    call = scene.challenge(Fault.WRONG_ORDER, wrong.prove(7, 1), wrong.prove(7, 2))
    scene.pass_ms(CHALLENGE_MS - 1_000)
    scene.refuse(call, Reason.DISTRIBUTION_CHALLENGE_OVER)
    scene.refuse(scene.void(), Reason.DISTRIBUTION_CHALLENGE_OVER)


def test_a_chain_that_stood_still_takes_challenges_first():
    wrong = build_shard_seven((0, 2, 1))
    scene = challenge_scene(wrong)
    assert CHALLENGE_MS <= 10_000, "which the halt is longer than"
    scene.halt(60_000)
    assert scene.answer("source", scene.source).claimable_root == 0
    scene.refuse(scene.claim(wrong, account_key(find_names(7, 1)[0])), Reason.DISTRIBUTION_ROOT_PENDING)
    scene.refuse(scene.post(wrong), Reason.DISTRIBUTION_ROOT_PENDING)
    assert_voided(scene, scene.challenge(Fault.WRONG_ORDER, wrong.prove(7, 1), wrong.prove(7, 2)))


def test_a_root_counts_after_a_halt_from_its_last_block_of_challenges_on(scene):
    built = distribute({ANNE: 300})
    scene.accept(scene.post(built))
    posted_height = scene.height - 1
    scene.halt(CHALLENGE_MS)
    scene.height = posted_height + CHALLENGE_BLOCKS - 1
    scene.refuse(scene.claim(built, ANNE), Reason.DISTRIBUTION_ROOT_PENDING)
    scene.refuse(scene.void(), Reason.DISTRIBUTION_CHALLENGE_OVER)
    scene.accept(scene.claim(built, ANNE))
    assert scene.answer("source", scene.source).claimable_root == 1


def test_the_root_before_is_the_newest_that_is_not_void():
    scene = challenge_scene(distribute({ANNE: 10}))
    scene.pass_ms(CHALLENGE_MS)
    second = scene.settle({ANNE: 40})
    wrong = distribute({ANNE: 50, BERT: 1})
    scene.accept(scene.post(wrong))
    void_root(scene.state, scene.source, 2, VoidCause.GOVERNANCE)
    call = scene.challenge(Fault.LOWERED, wrong.prove_key(ANNE), base=second.prove_key(ANNE))
    scene.refuse(call, Reason.DISTRIBUTION_NOT_PROVEN)
    scene.accept(scene.void())
    source = get_source(scene.state, scene.source)
    assert (source.latest, source.promised_grains) == (1, 10)


# D13 and D14: attesters and governance


def test_attesters_void_a_root_by_their_threshold(scene):
    scene.accept(scene.post(distribute({ANNE: 10})))
    scene.refuse(scene.void(ATTESTERS[0]), Reason.DID_NOT_AUTHORISED)
    scene.refuse(scene.void(root=fake_root()), Reason.DISTRIBUTION_UNKNOWN_ROOT)
    assert_voided(scene, scene.void(*ATTESTERS[1:]), VoidCause.RECOMPUTED)
    assert get_source(scene.state, scene.source).promised_grains == 0
    scene.refuse(scene.void(), Reason.DISTRIBUTION_ROOT_VOID)


# B1 to B3: the breaker


def test_what_exceeds_the_limit_is_paid_later_and_trips_the_breaker(scene):
    """Half of 10,000 in one window."""
    built = scene.settle({ANNE: 3_000, BERT: 2_000, CARA: 1})
    scene.accept(scene.claim(built, ANNE))
    scene.accept(scene.claim(built, BERT))
    tripped_ms = scene.now_ms
    receipt = scene.accept(scene.claim(built, CARA))
    until_ms = tripped_ms + WINDOW_MS
    assert [each for each in receipt.events if each.module == "distribution"] == [
        Event("distribution", "BreakerTripped", [scene.source, until_ms])
    ]
    assert scene.balance("cara") == 0
    assert scene.answer("source", scene.source).tripped_until_ms == until_ms
    scene.refuse(scene.claim(built, CARA), Reason.DISTRIBUTION_TRIPPED)
    scene.height = until_ms // 1_000 - 1
    scene.refuse(scene.claim(built, CARA), Reason.DISTRIBUTION_TRIPPED)
    scene.accept(scene.claim(built, CARA))
    assert scene.balance("cara") == 1


def test_the_window_slides(scene):
    built = scene.settle({ANNE: 4_000, BERT: 1_001, CARA: 900})
    scene.height = 40
    scene.accept(scene.claim(built, ANNE))
    scene.pass_ms(WINDOW_MS + PART_MS)
    assert scene.answer("source", scene.source).window_paid_grains == 0
    scene.accept(scene.claim(built, BERT))
    assert scene.answer("source", scene.source).window_paid_grains == 1_001
    scene.accept(scene.claim(built, CARA))
    assert scene.answer("source", scene.source).window_paid_grains == 1_901


def test_a_window_counts_every_part_that_it_touches(scene):
    built = scene.settle({ANNE: 5_000, BERT: 1})
    scene.height = 40
    scene.accept(scene.claim(built, ANNE))
    scene.height = 40 + WINDOW_MS // 1_000 - 1
    receipt = scene.accept(scene.claim(built, BERT))
    assert receipt.events[-1].name == "BreakerTripped"


def test_who_is_owed_more_than_a_window_pays_is_paid_over_several(scene):
    set_source_rules(scene.state, scene.source, scene.rules(breaker=replace(BREAKER, share_bps=10_000)))
    built = scene.settle({ANNE: 7_500})
    receipt = scene.accept(scene.claim(built, ANNE))
    assert [each.name for each in receipt.events if each.module == "distribution"] == ["Claimed", "BreakerTripped"]
    assert scene.balance("anne") == BREAKER.limit_grains == 5_000
    scene.pass_ms(WINDOW_MS)
    assert [each.name for each in scene.accept(scene.claim(built, ANNE)).events if each.module == "distribution"] == [
        "Claimed"
    ]
    assert scene.balance("anne") == 7_500
    scene.refuse(scene.claim(built, ANNE), Reason.DISTRIBUTION_NOTHING_DUE)


def test_what_trips_the_breaker_is_used_up_by_it(scene):
    """Nobody who is owed less than the limit stops a source window after window, alone or with others' claims."""
    set_source_rules(scene.state, scene.source, scene.rules(breaker=replace(BREAKER, share_bps=10_000)))
    built = scene.settle({ANNE: 4_900, BERT: 120, CARA: 120})
    scene.accept(scene.claim(built, BERT, ANNE))  # 20 of hers are left
    scene.pass_ms(WINDOW_MS)
    receipt = scene.accept(scene.claim(built, ANNE, CARA))
    assert [each.name for each in receipt.events if each.module == "distribution"] == ["Claimed", "Claimed"]
    assert (scene.balance("anne"), scene.balance("bert"), scene.balance("cara")) == (4_900, 120, 120)


def test_who_was_resumed_is_not_tripped_by_the_same_claim_again(scene):
    """Until the limit has been paid out once more."""
    set_source_rules(scene.state, scene.source, scene.rules(breaker=replace(BREAKER, share_bps=10_000)))
    built = scene.settle({ANNE: 5_100, BERT: 4_900})
    assert scene.accept(scene.claim(built, ANNE)).events[-1].name == "BreakerTripped"
    put_flow(scene.state, scene.source, NO_FLOW)
    paid = scene.accept(scene.claim(built, ANNE, BERT)).events
    assert [each.name for each in paid if each.module == "distribution"] == ["Claimed", "Claimed"]
    assert (scene.balance("anne"), scene.balance("bert")) == (5_100, 4_900)


def test_a_trip_in_a_batch_keeps_what_was_paid_before(scene):
    built = scene.settle({ANNE: 3_000, BERT: 2_001, CARA: 1})
    receipt = scene.accept(scene.claim(built, ANNE, BERT, CARA))
    names = [each.name for each in receipt.events if each.module == "distribution"]
    assert names == ["Claimed", "Claimed", "BreakerTripped"]
    assert (scene.balance("anne"), scene.balance("bert"), scene.balance("cara")) == (3_000, 2_000, 0)


def test_the_floor_lets_the_last_coins_go(scene):
    withdraw_source(scene.state, scene.source, address_of(OWNER), FUNDS - 1_000, 0)
    built = scene.settle({ANNE: 1_000})
    scene.accept(scene.claim(built, ANNE))
    assert get_source(scene.state, scene.source).left_grains == 0


def test_other_rules_and_a_resumption_begin_the_window_anew(scene):
    built = scene.settle({ANNE: 5_000, BERT: 1, CARA: 1})
    scene.accept(scene.claim(built, ANNE))
    scene.accept(scene.claim(built, BERT))
    assert get_flow(scene.state, scene.source).tripped_until_ms > scene.now_ms
    put_flow(scene.state, scene.source, NO_FLOW)
    assert scene.state.get(distribution_flow_key(scene.source)) is None
    scene.accept(scene.claim(built, BERT))
    set_source_rules(scene.state, scene.source, scene.rules(label="other"))
    assert get_flow(scene.state, scene.source) == NO_FLOW
    scene.accept(scene.claim(built, CARA))


# What is taken back of a reward that was counted twice (docs/mining.md)


def test_what_an_open_root_counts_twice_is_voided_and_left_out(scene):
    scene.accept(scene.post(distribute({ANNE: 300, BERT: 200})))
    scene.accept(scene.void())
    right = scene.settle({ANNE: 200, BERT: 200})
    scene.accept(scene.claim(right, ANNE, BERT))
    assert (scene.balance("anne"), scene.balance("bert")) == (200, 200)


def test_what_a_root_counts_twice_and_nobody_has_claimed_goes_with_it(scene):
    wrong = scene.settle({ANNE: 300, BERT: 200})
    scene.accept(scene.claim(wrong, BERT))
    void_root(scene.state, scene.source, 1, VoidCause.GOVERNANCE)
    scene.state.forget_marks()
    right = scene.settle({ANNE: 200, BERT: 200})
    scene.refuse(scene.claim(wrong, ANNE, number=1), Reason.DISTRIBUTION_ROOT_VOID)
    scene.accept(scene.claim(right, ANNE))
    assert (scene.balance("anne"), scene.balance("bert")) == (200, 200)
    check_conservation(scene.state)


def test_what_was_claimed_twice_is_deducted_from_what_comes_next(scene):
    """Roots that were built on the wrong one go with it; nothing falls below zero, and the rest waits."""
    wrong = scene.settle({ANNE: 300, BERT: 200})
    scene.accept(scene.claim(wrong, ANNE))
    scene.settle({ANNE: 320, BERT: 210})
    scene.refuse(scene.post(distribute({ANNE: 220, BERT: 210})), Reason.DISTRIBUTION_BAD_ROOT)
    for number in (1, 2):
        void_root(scene.state, scene.source, number, VoidCause.GOVERNANCE)
    scene.state.forget_marks()
    paid = []
    for lifetimes in ({ANNE: 220, BERT: 310}, {ANNE: 350, BERT: 320}, {ANNE: 400, BERT: 330}):
        right = scene.settle(lifetimes)
        scene.send(scene.claim(right, ANNE))
        paid.append(scene.balance("anne"))
        check_conservation(scene.state)
    assert paid == [300, 350, 400], "of 220 and 130, 50 are paid; then all that is earned"
    scene.accept(scene.claim(right, BERT))
    assert scene.balance("bert") == 330


# Views and gas


def test_the_view_of_a_source(scene):
    built = scene.settle({ANNE: 1_000})
    scene.accept(scene.claim(built, ANNE))
    scene.accept(scene.post(distribute({ANNE: 4_000})))
    state = Source(scene.rules(), FUNDS, 1_000, 2, 2, 4_000)
    described = SourceDescription(scene.source, state, 9_000, 6_000, 1, 1_000, 5_000, 1_000, None)
    assert scene.answer("source", scene.source) == described
    assert scene.answer("source", SourceId(2)) is None


def test_gas_grows_with_proofs():
    built = distribute(dict.fromkeys(SEVEN, 1))
    proven = built.prove(7, 0)
    steps = len(proven.path.siblings)
    one = GAS_PROOF + GAS_PROOF_HASH * steps
    assert compute_claim_gas(Claim(1, 1, (proven, proven))) == GAS_CLAIM + 2 * (GAS_CLAIM_ENTRY + one)
    challenge = Challenge(1, 1, Fault.LOWERED, (proven,), proven, None)
    assert compute_challenge_gas(challenge) == GAS_VOID + GAS_PROOF + 2 * one
