"""What people do with coins that modules keep, drawn from a seed: roots and claims, mining, a sale, gifts, lock-ups.

`EconomyTraffic` looks at a state and draws the next call; most are right, the rest are signed by a wrong key, come too
late or too early, or ask for what is not there. Who is there from the start stands in economy_founders.py.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from typing import Any, Final

from identity.address import Address
from identity.did import Did
from identity.keys import PrivateKey
from identity.mining_record import RecordCommitment
from identity.platform_account import ClaimKey
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.codec import encode, to_plain
from ledger.primitives import Grains, Height, RootHash, TimeMs
from ledger.reasons import Reason
from ledger.state import StateReader
from ledger.transaction import Call
from tests.builders import make_key
from tests.did_scene import sign
from tests.distribution_scene import Distribution, Key, did_key, distribute
from tests.mining_scene import build_tree
from tests.simulation.economy_founders import (
    ALLOCATION_GRAINS,
    ATTESTERS,
    BATCH_RECORDS,
    CAR_FORCE,
    GOVERNORS,
    LOCKED_ACCOUNTS,
    MINING_SOURCE,
    OWNED_SOURCE,
    OWNER_ACCOUNT,
    SALE_TIERS,
    build_batch_leaves,
    build_total,
)
from tests.simulation.identities import CARS, ISSUER, MISTAKES, PERSONS, SHOP, Wish, err, list_own_signers, list_signers
from tests.simulation.slips import Refusals, Slips
from tests.simulation.wrong_roots import CROWD, WrongRoot, prove_somewhere, spoil
from vm.context import Moment
from vm.native.did_records import DidRecord, get_did_record
from vm.native.distribution import Challenge, Claim, PayoutPayload, PostRoot, RootPayload, VoidPayload, VoidRoot
from vm.native.distribution_faults import Fault, is_at_home
from vm.native.distribution_records import (
    ManifestHash,
    PostedRoot,
    SourceId,
    compute_free_grains,
    count_sources,
    find_root,
    get_payout,
    get_source,
    is_open,
)
from vm.native.distribution_tree import SHARDS, BeneficiaryKind
from vm.native.gifts import GiftClaimPayload, find_gift
from vm.native.lockup_records import build_cliff, get_lockups
from vm.native.mining_formulas import Behaviour, Epoch, compute_epoch
from vm.native.mining_records import (
    AppealPayload,
    Batch,
    BatchPayload,
    LeafProof,
    RecordPayload,
    WeightPayload,
    WeightReason,
    find_standing_batch,
    get_mining_epoch,
    get_weight_record,
)
from vm.native.sale import PaymentPayload, RepaymentPayload, WithdrawalPayload
from vm.native.sale_records import (
    PaymentReference,
    Purchase,
    PurchaseName,
    PurchaseStatus,
    SaleTerms,
    find_purchase,
    find_sale,
    get_sales,
)
from vm.parameters import get_parameters

LINKS: Final = 6
"""Claim keys of gifts, which are used again and again against all advice."""
GIFT_MS: Final = (1, 500, 3_000, 60_000)
CLAIMS: Final = 3
REFUSALS: Final[Refusals] = {
    "distribution.challenge": {
        "no fault": Reason.DISTRIBUTION_NO_FAULT,
        "another root": Reason.DISTRIBUTION_NOT_PROVEN,
        "too late": Reason.DISTRIBUTION_CHALLENGE_OVER,
    },
}
"""Of what has a mistake that is counted; most of the rest is wrong by chance."""

Maker = Callable[[], Call | Wish | None]


class EconomyTraffic:
    """Draws calls that fit a state, or nearly."""

    def __init__(self, random: Random, domain: SigningDomain, accounts: Sequence[Address]) -> None:
        self._random = random
        self._domain = domain
        self._accounts = accounts
        self._slips = Slips(random, REFUSALS)
        self._state: StateReader
        self._height = 0
        self._now_ms = 0
        self._payments = 0
        self._batches = 0
        keys: list[Key] = [(int(BeneficiaryKind.ACCOUNT), address) for address in accounts]
        self._beneficiaries = [*keys, *(did_key(person.did) for person in PERSONS), did_key(CARS[0].did), *CROWD]
        self._built: dict[bytes, Distribution] = {}
        """By root."""
        self.wrong_roots: dict[bytes, WrongRoot] = {}
        """Those of them that are wrong, and what shows it."""
        self._noticed: set[bytes] = set()
        """Those that were looked at when they were posted."""
        self._leaves: dict[bytes, list[LeafProof]] = {}
        """Of a batch, by its root."""
        self._makers: tuple[Maker, ...] = (
            self._fund_source,
            self._withdraw_from_source,
            *[self._post_root] * 3,
            *[self._challenge_wrongly] * 2,
            *[self._claim_payout] * 4,
            self._void_root,
            self._set_payout,
            *[self._post_batch] * 3,
            *[self._challenge_batch] * 2,
            *[self._record] * 2,
            self._weigh,
            self._appeal,
            *[self._buy] * 4,
            self._withdraw_purchase,
            self._repay,
            *[self._deliver] * 2,
            *[self._give] * 2,
            *[self._claim_gift] * 2,
            self._refund_gift,
            self._tip,
            self._settle_lockups,
            self._propose,
        )

    def draw(self, state: StateReader, height: int, now_ms: int) -> Wish:
        """What somebody asks for who sees this state, and that the next block has this height and about this time."""
        self._state, self._height, self._now_ms = state, height, now_ms
        noticed = self._notice()
        if noticed is not None:
            return noticed
        while True:
            made = self._random.choice(self._makers)()
            if made is not None:
                return self._slips.note(made) if isinstance(made, Wish) else Wish(made)

    # Distributions

    def _fund_source(self) -> Call:
        return Call("distribution", "fund", [self._draw_source(), self._random.choice((0, 1, 10**5, 10**18))])

    def _withdraw_from_source(self) -> Wish:
        """The owner takes all that is free, one grain too much, or from a source of somebody else."""
        source = OWNED_SOURCE if self._random.randrange(MISTAKES) else self._draw_source()
        free_grains = compute_free_grains(get_source(self._state, source))
        grains = self._random.choice((1, free_grains // 2, free_grains + 1))
        account = OWNER_ACCOUNT if self._random.randrange(MISTAKES) else None
        return Wish(Call("distribution", "withdraw", [source, grains]), account)

    def _post_root(self) -> Call | None:
        """More for some than under the root before; a third of the roots are wrong in a way that anybody can show."""
        source = self._draw_source()
        found, base = get_source(self._state, source), self._find_base(source)
        if found.latest and self._is_open(source, found.latest) and self._random.randrange(MISTAKES):
            return None
        lifetimes = _list_lifetimes(base)
        room_grains = found.funded_grains - found.promised_grains
        for key in self._random.sample(self._beneficiaries, 4):
            lifetimes[key] = lifetimes.get(key, 0) + self._random.randint(1, max(1, room_grains // 12))
        built = self._build(lifetimes, _list_lifetimes(base))
        self._built[built.root] = built
        number, total = found.roots + 1, Grains(built.total_grains)
        payload = RootPayload(source, self._pass(number), built.root, total, ManifestHash(sha256(built.root).digest()))
        signatures = self._sign(SigningPurpose.DISTRIBUTION_ROOT, payload, self._draw_attesters_of(source))
        return Call("distribution", "post_root", to_plain(PostRoot(payload, tuple(built.shards), signatures)))

    def _build(self, lifetimes: dict[Key, int], base: dict[Key, int]) -> Distribution:
        """What attesters make of it: a third is wrong, in any way that is possible."""
        if self._random.randrange(3):
            return distribute(lifetimes)
        wrong = spoil(self._random, self._random.choice(tuple(Fault)), lifetimes, base)
        if wrong is None:
            return distribute(lifetimes)
        self.wrong_roots[wrong.built.root] = wrong
        return wrong.built

    def _challenge_wrongly(self) -> Wish | None:
        """What is not wrong with the newest root of a source, or not under it, or shown too late."""
        draw, newest = self._random, list(self._list_newest_roots())
        mistake = self._slips.draw("distribution.challenge")
        if mistake == "too late":
            wanted = [each for each in newest if not each.is_open and each.posted.root in self.wrong_roots]
            return self._show_fault(draw.choice(wanted), mistake) if wanted else None
        wanted = [each for each in newest if each.is_open]
        if mistake == "no fault":
            wanted = [each for each in wanted if each.posted.root not in self.wrong_roots]
        if mistake is None or not wanted:
            return None
        found = draw.choice(wanted)
        built = self._built[found.posted.root]
        leaf = prove_somewhere(built, draw.choice(_list_keys(built)))
        if mistake == "another root":
            leaf = replace(leaf, leaf=replace(leaf.leaf, lifetime_grains=Grains(leaf.leaf.lifetime_grains + 1)))
        fault = draw.choice((Fault.WRONG_SHARD, Fault.WRONG_SUM))
        challenge = Challenge(found.source, found.number, fault, (leaf,), None, None)
        return Wish(Call("distribution", "challenge", to_plain(challenge)), None, mistake)

    def _notice(self) -> Wish | None:
        """Somebody looks at every wrong root when it is posted, and challenges half of them at once."""
        if len(self._noticed) == len(self.wrong_roots):
            return None
        for found in self._list_newest_roots():
            root = found.posted.root
            if found.is_open and root in self.wrong_roots and root not in self._noticed:
                self._noticed.add(root)
                return self._show_fault(found, None) if self._random.randrange(2) else None
        return None

    def _show_fault(self, found: "_NewestRoot", mistake: str | None) -> Wish | None:
        """The challenge of a wrong root; None: the root before does not show it."""
        wrong, base_leaf = self.wrong_roots[found.posted.root], None
        if wrong.base_key is not None:
            base = self._find_root(found.source, found.posted.base)
            if base is None or wrong.base_key not in _list_keys(base):
                return None
            base_leaf = prove_somewhere(base, wrong.base_key)
            if not is_at_home(base_leaf):  # nobody was left out of a shard who did not belong there
                return None
        challenge = Challenge(found.source, found.number, wrong.fault, wrong.leaves, base_leaf, wrong.empty_shard)
        return Wish(Call("distribution", "challenge", to_plain(challenge)), None, mistake)

    def _list_newest_roots(self) -> Iterator["_NewestRoot"]:
        """Of every source that has one which we know."""
        for number in range(1, count_sources(self._state) + 1):
            source = SourceId(number)
            latest = get_source(self._state, source).latest
            posted = find_root(self._state, source, latest)
            if posted is not None and posted.root in self._built:
                yield _NewestRoot(source, latest, posted, self._is_open(source, latest))

    def _claim_payout(self) -> Call | None:
        """Somebody has beneficiaries paid under some root, mostly one that counts."""
        source = self._draw_source()
        found = get_source(self._state, source)
        if found.roots == 0:
            return None
        number = self._random.choice((found.latest or 1, self._random.randint(1, found.roots)))
        if self._is_open(source, number) and self._random.randrange(MISTAKES):
            return None
        built = self._find_root(source, number)
        if built is None:
            return None
        keys = list(_list_lifetimes(built))
        chosen = self._random.sample(keys, min(len(keys), self._random.randint(1, CLAIMS)))
        claim = Claim(source, self._pass(number), tuple(prove_somewhere(built, key) for key in chosen))
        return Call("distribution", "claim", to_plain(claim))

    def _void_root(self) -> Call | None:
        """Attesters take back what they have posted, mostly in time."""
        newest = [each for each in self._list_newest_roots() if each.is_open or self._random.randrange(MISTAKES) == 0]
        if not newest or self._random.randrange(2):
            return None
        found = self._random.choice(newest)
        payload = VoidPayload(found.source, found.number, found.posted.root)
        signatures = self._sign(SigningPurpose.DISTRIBUTION_VOID, payload, self._draw_attesters_of(found.source))
        return Call("distribution", "void_root", to_plain(VoidRoot(payload, signatures)))

    def _set_payout(self) -> Call:
        did = self._random.choice((*PERSONS, CARS[0])).did
        account = self._random.choice((None, *self._accounts))
        payload = PayoutPayload(did, self._pass(get_payout(self._state, did).turn), account)
        signatures = self._sign(SigningPurpose.DISTRIBUTION_PAYOUT, payload, self._list_signers(did))
        return Call("distribution", "set_payout", [to_plain(payload), to_plain(signatures)])

    def _draw_source(self) -> SourceId:
        """Those of mining and of an owner, or of any dividend or campaign."""
        if self._random.randrange(3):
            return self._random.choice((MINING_SOURCE, OWNED_SOURCE))
        return SourceId(self._random.randint(1, count_sources(self._state)))

    def _find_base(self, source: SourceId) -> Distribution | None:
        return self._find_root(source, get_source(self._state, source).latest)

    def _find_root(self, source: SourceId, number: int) -> Distribution | None:
        posted = find_root(self._state, source, number)
        return None if posted is None else self._built.get(posted.root)

    def _is_open(self, source: SourceId, number: int) -> bool:
        posted = find_root(self._state, source, number)
        moment = Moment(Height(self._height), TimeMs(self._now_ms))
        return posted is not None and is_open(posted, moment)

    # Mining

    def _post_batch(self) -> Call:
        """Some count a record twice; most correct what stands."""
        today = compute_epoch(self._now_ms)
        epoch = Epoch(self._random.choice((today, today - 1, today - 1, today - 2)))
        record = get_mining_epoch(self._state, epoch)
        self._batches += 1
        leaves = build_batch_leaves(epoch, self._batches.to_bytes(4, "big"))
        attesters = sorted(self._random.sample(ATTESTERS, self._random.choice((2, 2, 3))))
        if self._random.randrange(3) == 0:
            leaves = [leaves[0], replace(leaves[0], commitment=RecordCommitment(bytes([1]) * 32))]
        former = find_standing_batch(self._state, epoch)
        root, proofs = build_tree(leaves)
        self._leaves[root] = proofs
        payload = BatchPayload(
            gateway=attesters[0],
            epoch=epoch,
            number=self._pass(record.batches + 1),
            corrected=0 if former is None else self._pass(former.payload.number),
            attesters=tuple(attesters),
            root=RootHash(root),
            records=BATCH_RECORDS,
            force=BATCH_RECORDS * CAR_FORCE - self._random.choice((-1, 0, 0, 0, 0, 30)),
            totals=(build_total(BATCH_RECORDS),),
            manifest_hash=bytes(32),
        )
        signers = [signer for did in attesters for signer in self._list_signers(did)]
        return self._call("mining", "post_batch", SigningPurpose.MINING_BATCH, payload, signers)

    def _challenge_batch(self) -> Call | None:
        """Mostly two records that earn for one thing, if a batch has such."""
        today = compute_epoch(self._now_ms)
        epoch = Epoch(today - self._random.randrange(3))
        batch = find_standing_batch(self._state, epoch)
        if batch is None:
            return None
        first, second = self._list_proofs(batch)
        if first.leaf[:-32] != second.leaf[:-32] and self._random.randrange(MISTAKES):
            return None
        return Call("mining", "challenge", [epoch, batch.payload.number, to_plain(first), to_plain(second)])

    def _list_proofs(self, batch: Batch) -> list[LeafProof]:
        if batch.payload.root not in self._leaves:
            _, self._leaves[batch.payload.root] = build_tree(build_batch_leaves(batch.payload.epoch, b"founders"))
        return self._leaves[batch.payload.root]

    def _record(self) -> Call:
        today = compute_epoch(self._now_ms)
        epoch = Epoch(self._random.choice((today, today, today - 1, today + 1)))
        behaviours = (Behaviour.CAR_STARTED, Behaviour.DRIVING_KILOMETRE, Behaviour.DRIVING_BODY, Behaviour.POST)
        behaviour = self._random.choice(behaviours)
        count = self._random.choice((1, 3, 250))
        user, car = self._random.choice((PERSONS[0], PERSONS[0], PERSONS[1])).did, CARS[0].did
        payload = RecordPayload(user, car, epoch, behaviour, count, RecordCommitment(bytes(32)))
        signers = [*self._list_signers(user), *list_own_signers(self._find, car)]
        return self._call("mining", "record", SigningPurpose.MINING_RECORD, payload, signers)

    def _weigh(self) -> Call:
        did = self._random.choice(PERSONS).did
        known = get_weight_record(self._state, did)
        attesters = sorted(self._random.sample(ATTESTERS, 2))
        reason, weight = self._random.choice(((WeightReason.AUTOMATED, 40), (WeightReason.CLEARED, 100)))
        turn = self._pass(0 if known is None else known.turn)
        payload = WeightPayload(did, tuple(attesters), weight, reason, bytes(32), turn)
        signers = [signer for each in attesters for signer in self._list_signers(each)]
        return self._call("mining", "set_weight", SigningPurpose.MINING_WEIGHT, payload, signers)

    def _appeal(self) -> Call | None:
        did = self._random.choice(PERSONS).did
        known = get_weight_record(self._state, did)
        if known is None:
            return None
        payload = AppealPayload(did, bytes(32), self._pass(known.turn))
        return self._call("mining", "appeal", SigningPurpose.MINING_APPEAL, payload, self._list_signers(did))

    # The sale

    def _buy(self) -> Call | None:
        """The cashier says that somebody has paid; now and then twice for one payment, or out of a closed country."""
        sale = get_sales(self._state).open
        if sale is None and self._random.randrange(MISTAKES):
            return None
        if self._random.randrange(MISTAKES):
            self._payments += 1
        payload = PaymentPayload(
            buyer=self._random.choice((*PERSONS, ISSUER) if self._random.randrange(MISTAKES) == 0 else PERSONS).did,
            sale=sale or 1,
            tier=self._random.choice((0, 0, 1, 2)),
            reference=PaymentReference(self._payments.to_bytes(32, "big")),
            paid_minor=self._random.choice((1, 30, 100, 299)),
            currency="EUR",
            jurisdiction=self._random.choice(("DE", "FR", "JP", "US")),
        )
        return self._call("sale", "buy", SigningPurpose.SALE_PAYMENT, payload, self._list_signers(SHOP.did))

    def _withdraw_purchase(self) -> Call | None:
        found = self._draw_purchase()
        if found is None:
            return None
        name, purchase = found
        buyer = purchase.buyer if self._random.randrange(MISTAKES) else PERSONS[0].did
        payload = WithdrawalPayload(buyer, name.sale, name.number)
        return self._call("sale", "withdraw", SigningPurpose.SALE_WITHDRAWAL, payload, self._list_signers(buyer))

    def _repay(self) -> Call | None:
        found = self._draw_purchase(lambda purchase: purchase.owed_minor > 0)
        if found is None:
            return None
        name, purchase = found
        repaid_minor = self._pass(purchase.repaid_minor + purchase.owed_minor)
        payload = RepaymentPayload(purchase.buyer, name.sale, name.number, repaid_minor)
        purpose = SigningPurpose.SALE_REPAYMENT
        return self._call("sale", "confirm_repayment", purpose, payload, self._list_signers(SHOP.did))

    def _deliver(self) -> Call | None:
        found = self._draw_purchase(lambda purchase: purchase.status is PurchaseStatus.BOUGHT)
        if found is None or (get_sales(self._state).open is not None and self._random.randrange(MISTAKES)):
            return None
        return Call("sale", "deliver", [found[0].sale, found[0].number])

    def _draw_purchase(
        self, is_wanted: Callable[[Purchase], bool] = lambda _: True
    ) -> tuple[PurchaseName, Purchase] | None:
        """Any that is as wanted."""
        wanted = []
        for sale in range(1, get_sales(self._state).count + 1):
            known = find_sale(self._state, sale)
            assert known is not None, "sales are kept"
            for number in range(1, known.purchases + 1):
                name = PurchaseName(sale, number)
                purchase = find_purchase(self._state, name)
                if purchase is not None and is_wanted(purchase):
                    wanted.append((name, purchase))
        return self._random.choice(wanted) if wanted else None

    # Gifts

    def _give(self) -> Call:
        links = self._random.sample(range(LINKS), self._random.randint(1, 2))
        lines = [[_get_link_key(link), self._random.choice((1, 1, 5_000, 10**15))] for link in links]
        expires_ms = self._now_ms + self._random.choice(GIFT_MS)
        return Call("gifts", "give", [lines, expires_ms, "for you"])

    def _claim_gift(self) -> Call | None:
        found = self._draw_gift()
        if found is None:
            return None
        giver, link = found
        gift = find_gift(self._state, giver, _get_link_key(link))
        assert gift is not None, "chosen for that"
        recipient = self._random.choice(self._accounts)
        payload = GiftClaimPayload(_get_link_key(link), giver, gift.expires_ms, recipient)
        message = signing_bytes(SigningPurpose.GIFT_CLAIM, self._domain, encode(payload))
        signing = link if self._random.randrange(MISTAKES) else (link + 1) % LINKS
        return Call("gifts", "claim", [_get_link_key(link), giver, recipient, _get_link(signing).sign(message)])

    def _refund_gift(self) -> Call | None:
        found = self._draw_gift()
        return None if found is None else Call("gifts", "refund", [_get_link_key(found[1]), found[0]])

    def _draw_gift(self) -> tuple[Address, int] | None:
        """Giver and link of a gift that waits."""
        waiting = [
            (giver, link)
            for giver in self._accounts
            for link in range(LINKS)
            if find_gift(self._state, giver, _get_link_key(link)) is not None
        ]
        return self._random.choice(waiting) if waiting else None

    def _tip(self) -> Call:
        if self._random.randrange(2):
            return Call("gifts", "tip_did", [self._random.choice((*PERSONS, SHOP)).did, 9, "thanks"])
        return Call("gifts", "tip", [self._random.choice(self._accounts), self._random.choice((0, 9)), "thanks"])

    # Locked coins, and what governance decides

    def _settle_lockups(self) -> Call:
        return Call("lockups", "settle", [self._accounts[self._random.choice((*LOCKED_ACCOUNTS, 5))]])

    def _propose(self) -> Wish:
        """Grants, revocations, another sale, its end, a breaker that is reset: mostly in time to be decided."""
        draw = self._random
        account = draw.choice(self._accounts)
        locked = self._accounts[draw.choice(LOCKED_ACCOUNTS)]
        numbers = [each.number for each in get_lockups(self._state, locked).lockups]
        start_ms = TimeMs(self._now_ms)
        terms = SaleTerms(SHOP.did, "EUR", start_ms, TimeMs(start_ms + 3_000), Grains(900_000), (), SALE_TIERS)
        name, arguments = draw.choice(
            (
                ("propose_grant", ["subscription", account, 10**6, to_plain(build_cliff(start_ms + 2_000)), True]),
                ("propose_revocation", [locked, draw.choice(numbers or [1])]),
                ("propose_sale", [to_plain(terms)]),
                ("propose_sale_end", [get_sales(self._state).open or 1]),
                ("propose_source_resume", [self._draw_source()]),
                ("propose_grant", ["mining", account, ALLOCATION_GRAINS, to_plain(build_cliff(start_ms)), False]),
            )
        )
        voting_heights = get_parameters(self._state).voting_heights_urgent
        effective_height = Height(self._height + voting_heights + draw.randint(0, 8))
        call = Call("governance", name, [*arguments, [2, effective_height, "about the economy"]])
        return Wish(call, draw.choice(GOVERNORS))

    # Who signs

    def _call(
        self, module: str, name: str, purpose: SigningPurpose, payload: Any, signers: Iterable[tuple[Did, PrivateKey]]
    ) -> Call:
        return Call(module, name, [to_plain(payload), to_plain(self._sign(purpose, payload, signers))])

    def _sign(self, purpose: SigningPurpose, payload: Any, signers: Iterable[tuple[Did, PrivateKey]]) -> Any:
        return sign(purpose, payload, err(self._random, signers), self._domain)

    def _draw_attesters_of(self, source: SourceId) -> list[tuple[Did, PrivateKey]]:
        """As many as the source asks for."""
        rules = get_source(self._state, source).rules
        agreeing = sorted(self._random.sample(rules.attesters, rules.threshold))
        return [signer for did in agreeing for signer in self._list_signers(did)]

    def _list_signers(self, did: Did) -> list[tuple[Did, PrivateKey]]:
        return list_signers(self._find, did)

    def _find(self, did: Did) -> DidRecord | None:
        return get_did_record(self._state, did)

    def _pass(self, number: int) -> int:
        """Mostly the right turn, sequence or number."""
        return number + (self._random.randrange(MISTAKES) == 0)


@dataclass(frozen=True, slots=True)
class _NewestRoot:
    """The newest root of a source."""

    source: SourceId
    number: int
    posted: PostedRoot
    is_open: bool
    """To challenges."""


def _list_keys(built: Distribution) -> list[Key]:
    """Who has a leaf, in the order of leaves."""
    return list(_list_lifetimes(built))


def _list_lifetimes(built: Distribution | None) -> dict[Key, int]:
    """Lifetime totals of a root, in the order of its leaves."""
    if built is None:
        return {}
    return {
        (int(leaf.kind), bytes(leaf.id)): leaf.lifetime_grains
        for number in range(SHARDS)
        for leaf in built.leaves[number]
    }


def _get_link(number: int) -> PrivateKey:
    return make_key(f"link {number}")


def _get_link_key(number: int) -> ClaimKey:
    return ClaimKey(_get_link(number).public_key.key)
