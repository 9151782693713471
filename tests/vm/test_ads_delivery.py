"""A campaign that reaches a thousand persons, by orders or through a distribution; the rest comes back."""

from identity.ads_matching import find_match
from identity.signing import SigningPurpose
from identity.targeting import is_match, unpack_expression
from ledger.codec import to_plain
from ledger.primitives import Grains
from ledger.transaction import Call
from tests.ads_scene import FIRST, HASH, TARGETING, AdsScene
from tests.builders import address_of
from tests.did_scene import key_of, sign
from tests.distribution_scene import did_key, distribute
from vm.native.ads_records import DEFAULT_RULES, CampaignStatus, Counterparty
from vm.native.distribution import RootPayload
from vm.native.distribution_records import CHALLENGE_BLOCKS, DISTRIBUTION_ADDRESS, SourceId, get_source
from vm.native.iov import credit, get_balance
from vm.native.role_records import Role

PERSONS = 1_000
TOTAL = 1_000_003
WINDOWS = DEFAULT_RULES.windows


def _settle(scene, campaign):
    scene.do("advertiser", "end", campaign)
    scene.now_ms = scene.book(campaign).ended_ms + WINDOWS.grace_ms
    scene.do("sender", "settle", campaign)


def _list_matching(names):
    """Who consents and matches: every other person lives elsewhere or keeps the city back."""
    tags = {name: {"user.age": 18 + n % 60, "place.city": "Guangzhou"} for n, name in enumerate(names)}
    consented = {name: ["user.age", "place.city"] if n % 4 else ["user.age"] for n, name in enumerate(names)}
    found = [
        name
        for name in names
        if find_match(TARGETING, tags[name], consented[name], campaign=1, slot=0, nullifier=HASH, salt=HASH)
    ]
    assert all(is_match(unpack_expression(TARGETING), tags[name]) for name in names), "consent makes the difference"
    return found


def test_a_fixed_total_is_delivered_to_a_thousand_persons_to_the_grain():
    scene = AdsScene()
    names = [f"person{n}" for n in range(PERSONS * 4 // 3 + 2)]
    matching = _list_matching(names)[:PERSONS]
    assert len(matching) == PERSONS
    for name in matching:
        credit(scene.state, address_of(key_of(name)), 10**6, 0)  # for the fee of the link
        scene.dids[name] = scene.create_linked(name)
        scene.grant(name, Role.PERSON)
    funded = 2_000_000
    scene.do("advertiser", "create", scene.fixed_terms(TOTAL, PERSONS))
    scene.fund("advertiser", funded)
    scene.do("advertiser", "submit", FIRST)
    scene.review()
    before = {name: scene.balance(name) for name in matching}
    offer = scene.offer(price_grains=Grains(0))
    for name in matching:
        order = scene.accept_order(name, offer=offer)
        scene.accept(scene.build_complete(order, signers=(name, "publisher")))
    assert scene.answer("campaign", FIRST).status is CampaignStatus.EXHAUSTED
    earned = [scene.balance(name) - before[name] for name in matching]
    assert set(earned) == {501, 502}  # 1,000 or 1,001 grains less 333 and 166
    _settle(scene, FIRST)
    book = scene.book()
    assert (book.paid_grains, book.persons, book.refunded_grains) == (TOTAL, PERSONS, funded - TOTAL)
    assert get_balance(scene.state, scene.refund) == funded - TOTAL


def test_users_of_a_channel_claim_their_shares():
    scene = AdsScene()
    scene.run_campaign(matcher=scene.dids["matcher"])
    both = ["advertiser", "publisher"]
    scene.accept(scene.build_open_channel(user=None, counterparty=Counterparty.PUBLISHER, signers=both))
    scene.accept(scene.build_balance(9, 7_001))
    scene.pass_time(WINDOWS.challenge_ms)
    scene.do("sender", "settle_channel", FIRST, 1)
    source = SourceId(scene.book().source)
    assert get_source(scene.state, source).funded_grains == 3_501
    keys = [did_key(scene.dids[name]) for name in ("alice", "bob")]
    built = distribute(dict(zip(keys, (3_000, 500), strict=True)))
    payload = RootPayload(source, 1, built.root, Grains(3_500), HASH)
    signatures = sign(SigningPurpose.DISTRIBUTION_ROOT, payload, scene.name(["advertiser", "matcher"]))
    scene.accept(Call("distribution", "post_root", [to_plain(payload), to_plain(built.shards), to_plain(signatures)]))
    scene.pass_time(WINDOWS.challenge_ms)
    scene.height += CHALLENGE_BLOCKS
    before = scene.balance("alice")
    claims = [built.prove_key(keys[0])]
    scene.accept(Call("distribution", "claim", [source, 1, to_plain(claims)]))
    assert scene.balance("alice") - before == 3_000
    assert get_balance(scene.state, DISTRIBUTION_ADDRESS) == 501
    _settle(scene, FIRST)
    assert get_balance(scene.state, scene.refund) == 10**6 - 7_001
