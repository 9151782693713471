"""What governance decides for holders, drawn from a seed: dividends and their end, acceptors and theirs, and the votes.

`HolderTraffic` looks at a state and draws the next call. Most are right; the others have one mistake of REFUSALS each.
Roots of dividends are posted, challenged and claimed with those of all other sources (economy.py).
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from identity.address import Address
from ledger.codec import to_plain
from ledger.primitives import GRAINS_PER_IOV, Grains, Height
from ledger.reasons import Reason
from ledger.state import StateReader
from ledger.state_keys import ACCEPTOR_PREFIX, DIVIDEND_PREFIX
from ledger.transaction import Call
from tests.simulation.economy_founders import GOVERNORS, HOLDINGS_MIN_GRAINS, build_dividend
from tests.simulation.identities import ISSUING_ACCOUNT, PERSONS_ACCOUNTS, Wish
from tests.simulation.promoters import FIRST_ACCOUNT, HASH, PROMOTERS
from tests.simulation.slips import Refusals, Slips
from vm.native.acceptors import AcceptorRules, compute_application_hash, find_acceptor, get_rules
from vm.native.accounts import compute_coin_age_grain_days, get_account
from vm.native.distribution_records import SourceId, get_source
from vm.native.dividends import find_dividend
from vm.native.governance import (
    PROPOSALS_PER_PROPOSER_MAX,
    BodyKind,
    Priority,
    ProposalStatus,
    get_deciding_members,
    get_docket,
    get_proposal,
)
from vm.native.iov import get_balance
from vm.parameters import get_parameters

APPLICANTS: Final = (*range(FIRST_ACCOUNT, FIRST_ACCOUNT + len(PROMOTERS)), ISSUING_ACCOUNT, *PERSONS_ACCOUNTS)
"""Numbers of accounts by which identities act."""
NOBODYS_ACCOUNT: Final = 1
"""No identity acts by it."""
GENEROUS_ACCOUNT: Final = 0
FEES_GRAINS: Final = 4 * 10**6
"""What an account keeps for a few transactions."""
EFFECTIVE_HEIGHTS: Final = 3
POOLS_GRAINS: Final = (1_000, 1_000, 50_000, 10**17)
"""The last one is in no budget."""
DAYS_NOBODY_HAS: Final = 10**12
STRANGERS: Final = 20
"""One of so many proposals is made where governors do not sit in any body."""
LATE_MS: Final = 60_000
"""So much later than they have to do the claims of a new dividend end: it is declared in time."""

REFUSALS: Final[Refusals] = {
    "dividends.take_back": {
        "too early": Reason.DIVIDEND_NOT_OVER,
        "of no dividend": Reason.UNKNOWN_DIVIDEND,
        "of nothing": Reason.DISTRIBUTION_NOTHING_DUE,
    },
    "governance.propose_dividend": {
        "claims end too soon": Reason.BAD_DIVIDEND,
        "a pool of nothing": Reason.AMOUNT_ZERO,
    },
    "governance.propose_acceptor": {
        "of nobody": Reason.UNKNOWN_ACCEPTOR,
        "of one that is listed": Reason.ACCEPTOR_EXISTS,
        "of another application": Reason.APPLICATION_REPLACED,
    },
    "governance.propose_acceptor_removal": {"of nobody": Reason.UNKNOWN_ACCEPTOR},
    "acceptors.apply": {
        "without an identity": Reason.DID_NOT_LINKED,
        "with too little": Reason.NOT_QUALIFIED,
        "with coins too young": Reason.NOT_QUALIFIED,
    },
    "acceptors.withdraw": {"without having applied": Reason.UNKNOWN_ACCEPTOR},
    "acceptors.check": {"of one that qualifies": Reason.STILL_QUALIFIED},
}


class HolderTraffic:
    """Draws calls that fit a state, or have one mistake."""

    def __init__(self, random: Random, accounts: Sequence[Address]) -> None:
        self._random = random
        self._accounts = accounts
        self._slips = Slips(random, REFUSALS)
        self._state: StateReader
        self._height = 0
        self._now_ms = 0
        self._makers: tuple[Callable[[], Wish | None], ...] = (
            *[self._take_back] * 2,
            self._propose_dividend,
            *[self._propose_acceptor] * 2,
            self._propose_acceptor_removal,
            self._propose_acceptor_rules,
            *[self._apply] * 3,
            self._withdraw,
            *[self._check] * 2,
            self._spend,
            self._pay_back,
        )

    def draw(self, state: StateReader, height: int, now_ms: int) -> Wish:
        """What somebody asks for who sees this state, and that the next block has this height and about this time."""
        self._state, self._height, self._now_ms = state, height, now_ms
        while True:
            wish = self._random.choice(self._makers)()
            if wish is not None:
                return self._slips.note(wish)

    def draw_vote(self, state: StateReader, height: int) -> Wish | None:
        """A vote of a governor on what is open, mostly in favour; None: there is nothing."""
        self._state, self._height = state, height
        number = self._random.choice(GOVERNORS)
        voter, wanted = self._accounts[number], []
        for each in get_docket(self._state).open:
            proposal = get_proposal(self._state, each.id)
            if proposal is None or proposal.status is not ProposalStatus.VOTING or self._height > proposal.deadline:
                continue
            members = get_deciding_members(self._state, proposal.body)
            if voter in members and voter not in (*proposal.ayes, *proposal.noes):
                wanted.append(each.id)
        if not wanted:
            return None
        return _wish("governance", "vote", [self._random.choice(wanted), self._random.randrange(8) > 0], number)

    # Dividends

    def _take_back(self) -> Wish | None:
        mistake = self._slips.draw("dividends.take_back")
        if mistake == "of no dividend":
            return _wish("dividends", "take_back", [1], None, mistake)
        over, open_ones, empty = [], [], []
        for key, _ in self._state.iterate_prefix(DIVIDEND_PREFIX):
            source = SourceId(int.from_bytes(key[len(DIVIDEND_PREFIX) :], "big"))
            declared = find_dividend(self._state, source)
            assert declared is not None, "just found"
            if self._now_ms < declared.terms.claims_end_ms:
                open_ones.append(source)
            elif get_source(self._state, source).left_grains:
                over.append(source)
            else:
                empty.append(source)
        chosen = {None: over, "too early": open_ones, "of nothing": empty}[mistake]
        return _wish("dividends", "take_back", [self._random.choice(chosen)], None, mistake) if chosen else None

    def _propose_dividend(self) -> Wish | None:
        mistake, pool_grains = self._slips.draw("governance.propose_dividend"), self._random.choice(POOLS_GRAINS)
        if mistake == "a pool of nothing":
            pool_grains = 0
        late_ms = -1 if mistake == "claims end too soon" else LATE_MS
        dividend = build_dividend(self._now_ms, late_ms, pool_grains)
        return self._propose("propose_dividend", [to_plain(dividend)], mistake)

    # Acceptors

    def _propose_acceptor(self) -> Wish | None:
        mistake, account = self._slips.draw("governance.propose_acceptor"), self._accounts[NOBODYS_ACCOUNT]
        if mistake != "of nobody":
            chosen = self._list_acceptors(is_listed=mistake == "of one that is listed")
            if not chosen:
                return None
            account = self._random.choice(chosen)
        application = find_acceptor(self._state, account)
        application_hash = HASH
        if application is not None and mistake != "of another application":
            application_hash = compute_application_hash(application)
        return self._propose("propose_acceptor", [account, application_hash], mistake)

    def _propose_acceptor_removal(self) -> Wish | None:
        mistake, account = self._slips.draw("governance.propose_acceptor_removal"), self._accounts[NOBODYS_ACCOUNT]
        if mistake is None:
            chosen = [*self._list_acceptors(is_listed=True), *self._list_acceptors(is_listed=False)]
            if not chosen:
                return None
            account = self._random.choice(chosen)
        return self._propose("propose_acceptor_removal", [account], mistake)

    def _propose_acceptor_rules(self) -> Wish | None:
        """Mostly what everybody fulfils, and soon again if it is not."""
        many = Grains(HOLDINGS_MIN_GRAINS)
        usual = AcceptorRules(many, 0)
        others = (AcceptorRules(many, DAYS_NOBODY_HAS), AcceptorRules(Grains(10**16), 0))
        rules = self._random.choice(others) if get_rules(self._state) == usual else usual
        return self._propose("propose_acceptor_rules", [to_plain(rules)], None)

    def _apply(self) -> Wish | None:
        mistake = self._slips.draw("acceptors.apply")
        number = NOBODYS_ACCOUNT if mistake == "without an identity" else self._random.choice(APPLICANTS)
        if mistake != "without an identity":
            if self._find_lack(self._accounts[number]) != mistake:
                return None
            if mistake is None and find_acceptor(self._state, self._accounts[number]) and self._random.randrange(4):
                return None
        return _wish("acceptors", "apply", ["exchange", "https://exchange.example/", HASH], number, mistake)

    def _withdraw(self) -> Wish | None:
        mistake = self._slips.draw("acceptors.withdraw")
        numbers = [
            each for each in APPLICANTS if (find_acceptor(self._state, self._accounts[each]) is None) is bool(mistake)
        ]
        return _wish("acceptors", "withdraw", [], self._random.choice(numbers), mistake) if numbers else None

    def _check(self) -> Wish | None:
        mistake = self._slips.draw("acceptors.check")
        listed = [*self._list_acceptors(is_listed=True), *self._list_acceptors(is_listed=False)]
        chosen = [each for each in listed if (self._find_lack(each) == "with too little") is (mistake is None)]
        return _wish("acceptors", "check", [self._random.choice(chosen)], None, mistake) if chosen else None

    def _spend(self) -> Wish | None:
        """An acceptor keeps too little of what made it one."""
        number = self._random.choice(APPLICANTS)
        account = self._accounts[number]
        grains = get_balance(self._state, account) - HOLDINGS_MIN_GRAINS + FEES_GRAINS
        is_rich = grains > 0 and get_account(self._state, account).staked_grains == 0
        if find_acceptor(self._state, account) is None or not is_rich:
            return None
        return _wish("iov", "transfer", [self._accounts[GENEROUS_ACCOUNT], grains], number)

    def _pay_back(self) -> Wish | None:
        poor = [each for each in APPLICANTS if get_balance(self._state, self._accounts[each]) < HOLDINGS_MIN_GRAINS]
        if not poor:
            return None
        arguments = [self._accounts[self._random.choice(poor)], 2 * HOLDINGS_MIN_GRAINS]
        return _wish("iov", "transfer", arguments, GENEROUS_ACCOUNT)

    def _list_acceptors(self, *, is_listed: bool) -> list[Address]:
        accounts = [Address(key[len(ACCEPTOR_PREFIX) :]) for key, _ in self._state.iterate_prefix(ACCEPTOR_PREFIX)]
        found = {account: find_acceptor(self._state, account) for account in accounts}
        return [
            account
            for account, acceptor in found.items()
            if acceptor is not None and (acceptor.listed_height is not None) is is_listed
        ]

    def _find_lack(self, account: Address) -> str | None:
        """Why it does not qualify, as REFUSALS has it."""
        rules, found = get_rules(self._state), get_account(self._state, account)
        holdings_grains = found.balance_grains + found.staked_grains
        if holdings_grains < rules.holdings_min_grains:
            return "with too little"
        if holdings_grains < rules.holdings_min_grains + FEES_GRAINS:
            return "hardly"
        age_iov_days = compute_coin_age_grain_days(found, self._now_ms) // GRAINS_PER_IOV
        return "with coins too young" if age_iov_days < rules.coin_age_min_iov_days else None

    # Governance

    def _propose(self, name: str, arguments: list[Any], mistake: str | None) -> Wish | None:
        """In time to be decided."""
        number = self._random.choice(GOVERNORS)
        is_member = self._accounts[number] in get_deciding_members(self._state, BodyKind.FOUNDATION)
        if not is_member and self._random.randrange(STRANGERS):
            return None
        open_ones = [each for each in get_docket(self._state).open if each.proposer == self._accounts[number]]
        if len(open_ones) >= PROPOSALS_PER_PROPOSER_MAX:
            return None
        heights = get_parameters(self._state).voting_heights_urgent + self._random.randint(1, EFFECTIVE_HEIGHTS)
        terms = [int(Priority.URGENT), Height(self._height + heights), "about holders"]
        return _wish("governance", name, [*arguments, terms], number, mistake)


def _wish(module: str, name: str, arguments: list[Any], account: int | None, mistake: str | None = None) -> Wish:
    return Wish(Call(module, name, arguments), account, mistake)
