"""Nodes that are broken on purpose, each in one way, so that a test can show that the simulation notices."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from consensus.committee import one_honest
from consensus.effects import AppendLog, Broadcast, Effect, SaveSafety
from consensus.log import LockTaken
from consensus.messages import NO_VALID_ROUND
from consensus.safety import NOTHING_SIGNED, SafetyState
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.chain import Chain
from ledger.codec import encode
from ledger.primitives import Grains, NodeKey
from ledger.reasons import Rejected
from ledger.receipt import Status
from ledger.state import State
from ledger.state_keys import dividend_key
from ledger.store_keys import VALUE_PREFIX
from ledger.transaction import Transaction
from node import execution
from node.execution import CommittedBlock, Execution
from tests.chains import RecordingLogger
from tests.simulation.cast import NEWCOMERS_MAX, get_account_address, get_node_key
from tests.simulation.economy_founders import LAST_DIVIDEND
from tests.simulation.node import Node
from vm.context import BlockContext, Context
from vm.gas import GasMeter
from vm.native.ads_events import OrderAccepted
from vm.native.ads_records import ADS_ADDRESS, find_order, put_order
from vm.native.distribution_records import close_source
from vm.native.dividends import find_dividend
from vm.native.iov import TREASURY_ADDRESSES, credit, debit
from vm.native.registry import find_call
from vm.transition import BlockResult, apply_block_in_slices

if TYPE_CHECKING:
    from tests.simulation.world import Machine, World

GAS_PLENTY = 10**9
FLOOD = 50

ApplyBlock = Callable[[State, BlockContext, Sequence[Transaction], int], Iterator[BlockResult | None]]


class ChangedExecution(Execution):
    """The real execution with another state transition."""

    def __init__(self, node: Node, apply: ApplyBlock) -> None:
        super().__init__(node.chain, node.world.domain, RecordingLogger())
        self._apply = apply

    async def execute(self, certified: CertifiedBlock, transactions: Sequence[Transaction]) -> CommittedBlock:
        """As always, with the state transition replaced meanwhile."""
        execution.apply_block_in_slices = self._apply
        try:
            return await super().execute(certified, transactions)
        finally:
            execution.apply_block_in_slices = apply_block_in_slices


class ExecutesTwice(Node):
    """One machine executes the calls of a transaction that succeeded once more."""

    def make_execution(self) -> Execution:
        """Broken on the last super node alone: a mistake that all make is a rule."""
        return ChangedExecution(self, apply_twice) if self.is_last else super().make_execution()


def apply_twice(
    state: State, block: BlockContext, transactions: Sequence[Transaction], slice_transactions: int
) -> Iterator[BlockResult | None]:
    """The real transition, and then the calls again."""
    for result in apply_block_in_slices(state, block, transactions, slice_transactions):
        if result is not None:
            for transaction, receipt in zip(transactions, result.receipts, strict=True):
                if receipt.status is Status.SUCCEEDED:
                    body = transaction.body
                    context = Context(block, body.sender, body.sender, transaction.id, GasMeter(GAS_PLENTY, 0))
                    for call in body.calls:
                        ready = find_call(call.module, call.call)
                        with suppress(Rejected):  # what identities sign counts once
                            ready.rule.apply(state, context, ready.read_arguments(call.arguments))
        yield result


class MintsFees(Node):
    """All machines agree that every block's first sender gets a grain out of nothing."""

    def make_execution(self) -> Execution:
        """Broken everywhere alike."""
        return ChangedExecution(self, apply_and_mint)


def apply_and_mint(
    state: State, block: BlockContext, transactions: Sequence[Transaction], slice_transactions: int
) -> Iterator[BlockResult | None]:
    """The real transition, and a grain too much for whoever sent a transaction."""
    for result in apply_block_in_slices(state, block, transactions, slice_transactions):
        if result is not None and transactions:
            credit(state, transactions[0].body.sender, 1, block.time_ms)
        yield result


class TakesFromCampaigns(Node):
    """All machines agree that every block's first sender gets a grain that campaigns have left."""

    def make_execution(self) -> Execution:
        """Broken everywhere alike."""
        return ChangedExecution(self, apply_and_take)


def apply_and_take(
    state: State, block: BlockContext, transactions: Sequence[Transaction], slice_transactions: int
) -> Iterator[BlockResult | None]:
    """The real transition, and no coin more or less than before."""
    for result in apply_block_in_slices(state, block, transactions, slice_transactions):
        if result is not None and transactions:
            debit(state, ADS_ADDRESS, 1, block.time_ms)
            credit(state, transactions[0].body.sender, 1, block.time_ms)
        yield result


class ForgetsReserves(Node):
    """All machines agree that an order which was accepted reserves nothing."""

    def make_execution(self) -> Execution:
        """Broken everywhere alike."""
        return ChangedExecution(self, apply_and_forget_reserves)


def apply_and_forget_reserves(
    state: State, block: BlockContext, transactions: Sequence[Transaction], slice_transactions: int
) -> Iterator[BlockResult | None]:
    """The real transition, and orders of the block that reserve nothing; their campaigns still count them."""
    for result in apply_block_in_slices(state, block, transactions, slice_transactions):
        if result is not None:
            for event in [event for receipt in result.receipts for event in receipt.events]:
                if event.name == OrderAccepted.__name__:
                    order = find_order(state, event.fields[0])
                    assert order is not None, "just accepted"
                    put_order(state, event.fields[0], replace(order, reserved_grains=Grains(0)))
        yield result


class TakesDividendsBack(Node):
    """All machines agree that dividends go back to their budget although they are still claimed."""

    def make_execution(self) -> Execution:
        """Broken everywhere alike."""
        return ChangedExecution(self, apply_and_take_dividends_back)


def apply_and_take_dividends_back(
    state: State, block: BlockContext, transactions: Sequence[Transaction], slice_transactions: int
) -> Iterator[BlockResult | None]:
    """The real transition, and the end of the dividend that is claimed for longest."""
    for result in apply_block_in_slices(state, block, transactions, slice_transactions):
        source, dividend = LAST_DIVIDEND, find_dividend(state, LAST_DIVIDEND)
        if result is not None and dividend is not None and dividend.returned_grains == 0:
            grains = close_source(state, source, TREASURY_ADDRESSES[dividend.terms.category], block.time_ms)
            state.put(dividend_key(source), encode(replace(dividend, returned_grains=grains)))
        yield result


class ForgetsLock(Node):
    """After a crash the lock is gone, and the log with it."""

    def load_safety(self) -> SafetyState:
        """All but the lock."""
        self.disk.log.height = None
        return replace(super().load_safety(), locked_round=NO_VALID_ROUND, locked_hash=None)


class ForgetsSafety(Node):
    """After a crash nothing is known of what was signed."""

    def load_safety(self) -> SafetyState:
        """As if the file had never been."""
        self.disk.log.height = None
        return NOTHING_SIGNED


class SendsBeforePersisting(Node):
    """The safety state is saved after all the rest."""

    def order_effects(self, effects: list[Effect]) -> list[Effect]:
        """Saving comes last."""
        return sorted(effects, key=lambda effect: isinstance(effect, SaveSafety))


class DoesNotSyncLocks(Node):
    """A lock is written, and a power cut may take it."""

    def order_effects(self, effects: list[Effect]) -> list[Effect]:
        """No record is synced."""
        return [
            replace(effect, sync=False)
            if isinstance(effect, AppendLog) and isinstance(effect.record, LockTaken)
            else effect
            for effect in effects
        ]


class AcceptsFewVotes(Node):
    """Block sync is content with f+1 precommits."""

    def check_synced(self, certificate: CommitCertificate, block: Block) -> None:
        """A shorter certificate passes without a look at it."""
        committee = self.chain.get_committee(self.chain.head.header.next_committee_hash)
        assert committee is not None, "the next committee is stored"
        if len(certificate.signatures) != one_honest(len(committee.members)):
            super().check_synced(certificate, block)


class ForgetsTransactions(Node):
    """The journal of admitted transactions is not read after a crash, and nobody hears of them."""

    def start(self) -> None:
        """Start with an empty pool."""
        self.disk.journal.rewrite([])
        super().start()

    def _gossip(self, transactions: Any) -> None:
        """Keep them to oneself."""


class NeverCatchesUp(Node):
    """Blocks that others have finalised are not asked for."""

    def _plan(self) -> None:
        """Do nothing."""


class AmongFlood(Node):
    """A sound node with little room, in a network whose last super node says everything very often."""

    peer_events_max = 20
    own_events_max = 20

    def order_effects(self, effects: list[Effect]) -> list[Effect]:
        """The last one repeats what it broadcasts."""
        if not self.is_last:
            return effects
        return [each for effect in effects for each in [effect] * (FLOOD if isinstance(effect, Broadcast) else 1)]


class KeepsFlood(AmongFlood):
    """Whatever peers say waits until it is heard."""

    def has_room_for_peers(self) -> bool:
        """Always."""
        return True


class KeepsAllEvidence(Node):
    """Every accusation is kept for ever."""

    def has_room_for_evidence(self) -> bool:
        """Always."""
        return True


class NeverShortensJournal(Node):
    """The journal of admitted transactions only grows."""

    def start(self) -> None:
        """It may hold very few."""
        self.disk.journal.entries_max = 2
        super().start()

    def shorten_journal(self) -> None:
        """Do nothing."""


class StartsWithWrongState(Node):
    """A newcomer's genesis gives a client one grain more than everybody else's."""

    def __init__(self, world: "World", machine: "Machine") -> None:
        """Change the disk before it is read, if nothing but genesis is there."""
        chain = Chain(machine.disk.store)
        if machine.number >= world.newcomers_from and chain.head.header.height == 0:
            state = chain.open_state()
            credit(state, get_account_address(0), 1, chain.head.header.time_ms)
            changes = [(VALUE_PREFIX + key, value) for key, value in state.changes.items()]
            machine.disk.store.write(changes, sync=True)
        super().__init__(world, machine)


class KeepsFirstRegistry(Node):
    """Whoever was in the registry at first may connect for ever, and nobody else."""

    def read_registry(self) -> frozenset[NodeKey]:
        """As of genesis."""
        return self.world.checks.registries.get(0) or super().read_registry()


class LetsNewcomersIn(Node):
    """Newcomers may connect before they are registered."""

    def read_registry(self) -> frozenset[NodeKey]:
        """And all machines that there may ever be."""
        first = self.world.newcomers_from
        return super().read_registry() | {get_node_key(first + index) for index in range(NEWCOMERS_MAX)}
