"""The audit anybody can repeat: executes a chain's blocks anew from genesis and accounts for every grain that moved.

Nothing is believed but the genesis document: certificates, signatures, headers, state and receipts roots of every block
are checked, and what moved is read off the balances while the blocks are executed, not off what modules announced. The
announcements, and the fees in the receipts, must then agree with it. So must punishments: what pools lost is read off
their records, who is convicted off the evidence, and what a node tells of a block's end is compared with what follows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from msgpack import unpackb

from consensus.certificate import InvalidCertificateError, InvalidHeaderError, check_certificate, check_header_link
from identity.address import ADDRESS_BYTES, Address, NetworkKind, compute_module_address, format_address
from identity.keys import verify_signature
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.block import CertifiedBlock
from ledger.chain import Chain
from ledger.codec import DecodeError, decode
from ledger.primitives import SUPPLY_GRAINS
from ledger.receipt import Event
from ledger.state import State
from ledger.state_keys import Table
from ledger.store import Store
from ledger.store_keys import VALUE_PREFIX, value_store_key
from ledger.transaction import Transaction, decode_transaction
from node.contract_stack import ContractStack
from rpc.models import EventView
from rpc.views import build_event_view
from vm.context import BlockContext
from vm.contracts.runtime import build_runtime
from vm.native import governance, staking
from vm.native.accounts import EMPTY_ACCOUNT, Account
from vm.native.iov import MODULE_ACCOUNTS, TREASURY_PERCENT
from vm.native.punishment import ABSENCE, DOUBLE_SIGN, Jailed, Slashed
from vm.native.rules import ModuleRule
from vm.native.stake import Candidate, UnbondingPool
from vm.offences import find_culprit, read_offences
from vm.parameters import BPS, Parameters
from vm.proposal import InvalidBlockError, check_block, get_next_block_rules
from vm.transition import BlockResult, apply_block

POINTS_MAX: Final = 2_000  # of the plot; beyond that every second one is left out
TREASURY_FLOWS_KEPT_MAX: Final = 1_000  # lines of the page; audit.csv has all of them

_MODULE_NAMES: Final = {compute_module_address(name): name for name in MODULE_ACCOUNTS}
_TREASURY: Final = "treasury_"
_ACCOUNTS: Final = bytes([Table.ACCOUNT])
_CANDIDATES: Final = bytes([Table.CANDIDATE])
_POOLS: Final = (_CANDIDATES, bytes([Table.UNBONDING_POOL]))
PAYERS: Final = "(payers of fees)"
GENESIS: Final = "(genesis)"


class UnreadableBlockError(Exception):
    """Where a block should be there is none, or something else; the message says what."""


Move = tuple[Address, int]
"""Whose balance changed, and by how many grains."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Grains that came from one holder to another with one block; one side at least is a module's account."""

    height: int
    kind: str
    category: str
    """The treasury's budget, if it is one that gives or takes."""
    source: str
    target: str
    amount_grains: int
    balance_grains: int
    """What the module's account held afterwards: the target's, if both are modules'."""


@dataclass(slots=True)
class AuditResult:
    """What an audit has found; it adds up if there are no problems."""

    height: int = 0
    """The last block that was executed."""
    accounts: int = 0
    supply_grains: int = SUPPLY_GRAINS
    balances_grains: int = 0
    """Sum of all balances at the end."""
    opening: dict[str, int] = field(default_factory=dict)
    """What the modules' accounts held after genesis."""
    closing: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    """Grains moved by kind of flow; `transfer` are those between accounts of people."""
    treasury_flows: list[Flow] = field(default_factory=list)
    """The last ones."""
    points: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    """Height and the budgets' balances after it, whenever they changed, and at the end."""
    problems: list[str] = field(default_factory=list)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loss:
    """What a candidate's pool, or one of stake on its way out, lost while nobody's share of it changed: a slash."""

    operator: Address
    before_grains: int
    lost_grains: int


class _Notes(Generic[T]):
    """What happened to a state, in order; what is undone there is struck out here."""

    def __init__(self) -> None:
        self._settled: list[T] = []
        self._open: list[tuple[int, T]] = []

    def add(self, mark: int, note: T) -> None:
        """`mark`: the state's, after what happened."""
        self._open.append((mark, note))

    def undo_to(self, mark: int) -> None:
        """Strike out what came after the mark."""
        while self._open and self._open[-1][0] > mark:
            self._open.pop()

    def settle(self) -> None:
        """What was noted so far stays."""
        self._settled += [note for _, note in self._open]
        self._open.clear()

    def list_all(self) -> list[T]:
        """Everything that was not struck out."""
        return [*self._settled, *(note for _, note in self._open)]


class TracedState(State):
    """A state that remembers by how much each balance changed and what pools lost, in the order it happened in."""

    def __init__(self, store: Store) -> None:
        super().__init__(
            lambda key: store.get(value_store_key(key)),
            lambda start, stop: (
                (key[1:], value) for key, value in store.iterate(VALUE_PREFIX + start, VALUE_PREFIX + stop)
            ),
        )
        self._moves: _Notes[Move] = _Notes()
        self._losses: _Notes[Loss] = _Notes()

    @property
    def moves(self) -> list[Move]:
        """What has moved and was not taken back."""
        return self._moves.list_all()

    @property
    def losses(self) -> list[Loss]:
        """What was slashed."""
        return self._losses.list_all()

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value; remember what it does to a balance or a pool."""
        table = key[:1]
        before = self.get(key) if table == _ACCOUNTS or table in _POOLS else None
        super().put(key, value)
        if table == _ACCOUNTS:
            grains = _get_balance(value) - _get_balance(before)
            if grains:
                self._moves.add(self.get_mark(), (Address(key[1:]), grains))
        elif before is not None:
            loss = _find_loss(key, before, value)
            if loss is not None:
                self._losses.add(self.get_mark(), loss)

    def undo_to(self, mark: int) -> None:
        """Take back what was written since the mark, and what is remembered of it."""
        super().undo_to(mark)
        self._moves.undo_to(mark)
        self._losses.undo_to(mark)

    def forget_marks(self) -> None:
        """What happened so far stays."""
        super().forget_marks()
        self._moves.settle()
        self._losses.settle()


@dataclass(frozen=True, slots=True)
class _Executed:
    """What became of a block, and by which rules."""

    transactions: list[Transaction]
    result: BlockResult
    parameters: Parameters
    convicted: list[Address]
    """Operators whose keys the block's evidence convicts, one for each offence."""


class Audit:
    """Takes a store that holds block 0 alone, then every block in order; `finish` closes the books."""

    def __init__(
        self, store: Store, domain: SigningDomain, network: NetworkKind, on_flow: Callable[[Flow], None]
    ) -> None:
        self._store = store
        self._chain = Chain(store)
        self._domain = domain
        self._network = network
        self._on_flow = on_flow
        self._contracts = build_runtime(self._chain.head.header.chain_id, ContractStack().run)
        self._balances = dict.fromkeys(MODULE_ACCOUNTS, 0)
        self.result = AuditResult()
        assert self._chain.head.header.height == 0, "an audit begins with genesis"
        for address, account in self._list_accounts():
            self._add_flow(0, "genesis", GENESIS, self._name(address), account.balance_grains)
        self.result.opening = dict(self._balances)
        self._add_point(0)

    def add_block(self, certified: CertifiedBlock, told: Sequence[EventView] | None = None) -> bool:
        """Check and execute the next block; False when it does not follow from the chain, so that nothing else does.

        `told` is what a node says of the block's end, without a proof; None when nobody was asked.
        """
        height = self._chain.head.header.height + 1
        state = TracedState(self._store)
        try:
            executed = self._execute(certified, state)
        except (InvalidBlockError, InvalidHeaderError, InvalidCertificateError, DecodeError) as error:
            self.result.problems.append(f"block {height} does not follow from the chain before it: {error}")
            return False
        self.result.height = height
        flows, rest_grains = match_moves(state.moves)
        if rest_grains:
            self.result.problems.append(f"block {height} makes {rest_grains} grains from nothing")
        moved = self._add_flows(height, flows)
        self._compare(height, moved, executed)
        self._compare_convictions(height, executed)
        self._compare_slashes(height, moved, executed, state.losses)
        events = [build_event_view(event, self._network) for event in executed.result.events]
        if told is not None and list(told) != events:
            self.result.problems.append(f"block {height}: the node tells other events of its end than follow from it")
        return True

    def finish(self, expected_root: bytes | None = None) -> AuditResult:
        """Add up every balance; `expected_root` is what a node holds for the state after the last block."""
        result = self.result
        for address, account in self._list_accounts():
            result.accounts += 1
            result.balances_grains += account.balance_grains
            name = _MODULE_NAMES.get(address)
            if name is not None:
                result.closing[name] = account.balance_grains
        result.closing = {name: result.closing.get(name, 0) for name in MODULE_ACCOUNTS}
        if result.points[-1][0] < result.height:
            self._add_point(result.height)
        if result.balances_grains != SUPPLY_GRAINS:
            result.problems.append(f"all balances add up to {result.balances_grains} grains, not to {SUPPLY_GRAINS}")
        for name, grains in result.closing.items():
            if grains != self._balances[name]:
                result.problems.append(f"{name} holds {grains} grains, its flows add up to {self._balances[name]}")
        if expected_root is not None and expected_root != self._chain.head.state_root:
            result.problems.append("the node's state is not the one that follows from its blocks")
        return result

    def _execute(self, certified: CertifiedBlock, state: State) -> _Executed:
        block, head = certified.block, self._chain.head
        header = block.header
        rules = get_next_block_rules(head, self._chain.open_state())
        transactions = [decode_transaction(raw) for raw in block.transactions]
        check_header_link(head.header, header)
        check_block(rules, self._domain, header, transactions, block.evidence)
        check_certificate(certified.certificate, header, rules.committee, self._domain)
        for transaction in transactions:
            message = signing_bytes(SigningPurpose.TRANSACTION, self._domain, transaction.body_bytes)
            if not all(
                verify_signature(each.public_key, message, each.signature) for each in transaction.authorisations
            ):
                raise InvalidBlockError(f"transaction {transaction.id.hex()} has a bad signature")
        offences = read_offences(block.evidence)
        culprits = [find_culprit(state, offence) for offence in offences]
        context = BlockContext(
            header.height,
            header.time_ms,
            header.proposer,
            rules.parameters,
            self._domain,
            header.round,
            offences,
            self._contracts,
            previous_hash=header.previous_hash,
        )
        result = apply_block(state, context, transactions)
        self._chain.commit(certified, result.receipts, result.events, result.changes)
        convicted = [culprit.operator for culprit in culprits if culprit is not None]
        return _Executed(transactions, result, rules.parameters, convicted)

    def _add_flows(self, height: int, flows: Iterable[tuple[Address, Address, int]]) -> dict[tuple[str, str], int]:
        """One line for each kind, source and target of the block; grains by kind and budget."""
        lines: dict[tuple[str, str, str], int] = {}
        for source, target, grains in flows:
            kind = name_kind(_MODULE_NAMES.get(source), _MODULE_NAMES.get(target))
            if kind == "transfer":
                self._count(kind, grains)
                continue
            source_name = PAYERS if kind == "fee" else self._name(source)
            line = (kind, source_name, self._name(target))
            lines[line] = lines.get(line, 0) + grains
        moved: dict[tuple[str, str], int] = {}
        has_changed = False
        for (kind, source_name, target_name), grains in lines.items():
            flow = self._add_flow(height, kind, source_name, target_name, grains)
            moved[kind, flow.category] = moved.get((kind, flow.category), 0) + grains
            has_changed = has_changed or bool(flow.category)
        if has_changed:
            self._add_point(height)
        return moved

    def _add_flow(self, height: int, kind: str, source: str, target: str, grains: int) -> Flow:
        balances = self._balances
        if source in balances:
            balances[source] -= grains
        if target in balances:
            balances[target] += grains
        held = target if target in balances else source
        category = next((each.removeprefix(_TREASURY) for each in (target, source) if each.startswith(_TREASURY)), "")
        flow = Flow(height, kind, category, source, target, grains, balances.get(held, grains))
        self._count(kind, grains)
        if category:
            self.result.treasury_flows.append(flow)
            del self.result.treasury_flows[:-TREASURY_FLOWS_KEPT_MAX]
        self._on_flow(flow)
        return flow

    def _compare(self, height: int, moved: dict[tuple[str, str], int], executed: _Executed) -> None:
        """What moved against what receipts and modules say of it."""
        result = executed.result
        assert len(executed.transactions) == len(result.receipts), "every transaction has a receipt"
        fees_grains = sum(receipt.fee_grains for receipt in result.receipts)
        self._expect(height, "fees", fees_grains, moved.get(("fee", ""), 0))
        events = [event for receipt in result.receipts for event in receipt.events] + list(result.events)
        donated_grains = sum(grains for _, grains in _list_fields(events, governance.MODULE, governance.Donated))
        spent = _list_fields(events, governance.MODULE, governance.Spent)
        donations = sum(grains for (kind, _), grains in moved.items() if kind == "donation")
        self._expect(height, "donations", donated_grains, donations)
        for category in TREASURY_PERCENT:
            decided_grains = sum(grains for name, _, grains in spent if name == category)
            self._expect(height, f"spending of {category}", decided_grains, moved.get(("spending", category), 0))

    def _compare_convictions(self, height: int, executed: _Executed) -> None:
        """Who was jailed for signing twice against whom the evidence convicts."""
        jailed = [
            operator
            for operator, _, cause in _list_fields(executed.result.events, staking.MODULE, Jailed)
            if cause == DOUBLE_SIGN
        ]
        if jailed != executed.convicted:
            convicted, others = (", ".join(map(self._name, each)) or "nobody" for each in (executed.convicted, jailed))
            self.result.problems.append(f"block {height}: its evidence convicts {convicted}, it jails {others}")

    def _compare_slashes(
        self, height: int, moved: dict[tuple[str, str], int], executed: _Executed, losses: Sequence[Loss]
    ) -> None:
        """What was announced against what pools lost, by operator and rate, and against what the treasury got."""
        slashed = _list_fields(executed.result.events, staking.MODULE, Slashed)
        announced, lost = Counter[Address](), Counter[Address]()
        for operator, grains, _ in slashed:
            announced[operator] += grains
        for loss in losses:
            lost[loss.operator] += loss.lost_grains
        for operator in sorted(announced.keys() | lost.keys()):
            self._expect(height, f"slashes of {self._name(operator)}", announced[operator], lost[operator])
        to_treasury = sum(grains for (kind, _), grains in moved.items() if kind == "slash")
        self._expect(height, "slashes", announced.total(), to_treasury)
        parameters = executed.parameters
        rates = {DOUBLE_SIGN: parameters.double_sign_slash_bps, ABSENCE: parameters.absence_slash_bps}
        for loss in losses:
            due = {
                loss.before_grains * rates.get(cause, 0) // BPS
                for operator, _, cause in slashed
                if operator == loss.operator
            }
            if loss.lost_grains not in due:
                lost_of = f"{self._name(loss.operator)} lost {loss.lost_grains} of {loss.before_grains} grains"
                amounts = " or ".join(map(str, sorted(due))) or "none"
                self.result.problems.append(f"block {height}: {lost_of}, due were {amounts}")

    def _expect(self, height: int, what: str, announced_grains: int, moved_grains: int) -> None:
        if announced_grains != moved_grains:
            self.result.problems.append(
                f"block {height}: {announced_grains} grains of {what} were announced, {moved_grains} have moved"
            )

    def _add_point(self, height: int) -> None:
        points = self.result.points
        points.append((height, tuple(self._balances[_TREASURY + category] for category in TREASURY_PERCENT)))
        if len(points) > POINTS_MAX:
            del points[1:-1:2]

    def _count(self, kind: str, grains: int) -> None:
        self.result.kinds[kind] = self.result.kinds.get(kind, 0) + grains

    def _name(self, address: Address) -> str:
        return _MODULE_NAMES.get(address) or format_address(address, self._network)

    def _list_accounts(self) -> Iterable[tuple[Address, Account]]:
        for key, encoded in self._chain.open_state().iterate_prefix(_ACCOUNTS):
            yield Address(key[1:]), Account._make(unpackb(encoded))


def match_moves(moves: Iterable[Move]) -> tuple[list[tuple[Address, Address, int]], int]:
    """Who gave to whom, from a list of changed balances; and what was left over, 0 if no grain was made or lost.

    Modules take from one balance and give to others at once, so what is given comes from what was taken last. Only fees
    are taken first and given to their account when the block ends: they lie at the bottom until then.
    """
    flows: list[tuple[Address, Address, int]] = []
    waiting: list[Move] = []
    for address, grains in moves:
        left = grains
        while left and waiting and (waiting[-1][1] > 0) != (left > 0):
            other, other_grains = waiting.pop()
            matched = min(abs(left), abs(other_grains))
            source, target = (other, address) if left > 0 else (address, other)
            if source != target:
                flows.append((source, target, matched))
            sign = 1 if left > 0 else -1
            left -= sign * matched
            if abs(other_grains) > matched:
                waiting.append((other, other_grains + sign * matched))
        if left:
            waiting.append((address, left))
    return flows, sum(grains for _, grains in waiting)


def name_kind(source: str | None, target: str | None) -> str:
    """What a flow is, by the modules whose accounts it leaves and enters; None is an account of somebody."""
    match source, target:
        case None, None:
            return "transfer"
        case _, "fees":
            return "fee"
        case "staking", str() if target.startswith(_TREASURY):
            return "slash"
        case None, str() if target.startswith(_TREASURY):
            return "donation"
        case _, str() if target.startswith(_TREASURY):
            return "deposit"
        case str(), _ if source.startswith(_TREASURY):
            return "spending"
        case "fees", _:
            return "reward"
        case _, "staking":
            return "bond"
        case "staking", _:
            return "release"
        case _, "distribution":
            return "funding"
        case "distribution", _:
            return "payout"
        case _, "sale":
            return "offer"
        case "sale", None:
            return "delivery"
        case _, "ads":
            return "campaign"
        case "ads", None:
            return "advertising"
        case _, "gifts":
            return "gift"
        case "gifts", _:
            return "gift claim"
        case (("sale" | None), ("cornerstone" | "subscription" | "team")):
            return "return"
        case _:
            return "allocation"


def _get_balance(encoded: bytes | None) -> int:
    account = EMPTY_ACCOUNT if encoded is None else Account._make(unpackb(encoded))
    return account.balance_grains


def _find_loss(key: bytes, before: bytes, after: bytes) -> Loss | None:
    """What a pool lost with this write, if its shares stayed the same."""
    (grains, shares), (grains_after, shares_after) = _read_pool(key, before), _read_pool(key, after)
    if shares != shares_after or grains <= grains_after:
        return None
    return Loss(Address(key[1 : 1 + ADDRESS_BYTES]), grains, grains - grains_after)


def _read_pool(key: bytes, encoded: bytes) -> tuple[int, int]:
    """Grains and shares of either kind of pool."""
    if key[:1] == _CANDIDATES:
        candidate = decode(Candidate, encoded)
        return candidate.pool_grains, candidate.pool_shares
    pool = decode(UnbondingPool, encoded)
    return pool.grains, pool.shares


def _list_fields(events: Iterable[Event], module: ModuleRule, kind: type) -> list[list[Any]]:
    name = (module.name, kind.__name__)
    return [event.fields for event in events if (event.module, event.name) == name]
