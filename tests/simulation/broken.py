"""Nodes that are broken on purpose, each in one way, so that a test can show that the simulation notices."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from consensus.committee import one_honest
from consensus.effects import AppendLog, Effect, SaveSafety
from consensus.log import LockTaken
from consensus.messages import NO_VALID_ROUND
from consensus.safety import NOTHING_SIGNED, SafetyState
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.receipt import Status
from ledger.state import State
from ledger.transaction import Transaction
from node import execution
from node.execution import CommittedBlock, Execution
from tests.chains import RecordingLogger
from tests.simulation.node import Node
from vm.context import BlockContext, Context
from vm.gas import GasMeter
from vm.native.iov import credit
from vm.native.registry import find_call
from vm.transition import BlockResult, apply_block_in_slices

GAS_PLENTY = 10**9


class ExecutesTwice(Node):
    """One machine executes the calls of a transaction that succeeded once more."""

    def make_execution(self) -> Execution:
        """Broken on the last super node alone: a mistake that all make is a rule."""
        is_broken = self.machine.number == self.world.seats - 1
        kind = DoublingExecution if is_broken else Execution
        return kind(self.chain, self.world.domain, RecordingLogger())


class DoublingExecution(Execution):
    """See above."""

    async def execute(self, certified: CertifiedBlock, transactions: Sequence[Transaction]) -> CommittedBlock:
        """As always, with the state transition replaced meanwhile."""
        execution.apply_block_in_slices = apply_twice
        try:
            return await super().execute(certified, transactions)
        finally:
            execution.apply_block_in_slices = apply_block_in_slices


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
                        ready.rule.apply(state, context, ready.read_arguments(call.arguments))
        yield result


class MintsFees(Node):
    """All machines agree that every block's first sender gets a grain out of nothing."""

    def make_execution(self) -> Execution:
        """The real execution on a chain that changes what is committed."""
        return MintingExecution(self.chain, self.world.domain, RecordingLogger())


class MintingExecution(Execution):
    """See above."""

    async def execute(self, certified: CertifiedBlock, transactions: Sequence[Transaction]) -> CommittedBlock:
        """As always, with the state transition replaced meanwhile."""
        execution.apply_block_in_slices = apply_and_mint
        try:
            return await super().execute(certified, transactions)
        finally:
            execution.apply_block_in_slices = apply_block_in_slices


def apply_and_mint(
    state: State, block: BlockContext, transactions: Sequence[Transaction], slice_transactions: int
) -> Iterator[BlockResult | None]:
    """The real transition, and a grain too much for whoever sent a transaction."""
    for result in apply_block_in_slices(state, block, transactions, slice_transactions):
        if result is not None and transactions:
            credit(state, transactions[0].body.sender, 1, block.time_ms)
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
