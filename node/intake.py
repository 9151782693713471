"""The way in for transactions, from clients and peers: form, rules, signatures in batches, mempool, journal, gossip."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from identity.address import Address
from identity.signing import SigningDomain, SigningPurpose, signing_bytes
from ledger.chain import Chain
from ledger.codec import DecodeError
from ledger.mempool import Added, Mempool
from ledger.primitives import Height, TransactionId
from ledger.reasons import Reason, Rejected
from ledger.transaction import Transaction, compute_envelope_hash, decode_transaction
from node.mempool_journal import MempoolJournal
from node.verifier import Verifier
from node.verify_worker import Check
from vm.native.accounts import compute_movable_grains, get_account
from vm.parameters import get_parameters
from vm.transition import check_admission, check_stateless

UNDER_WAY_MAX: Final = 20_000  # transactions whose signatures are being checked at one time


@dataclass(frozen=True, slots=True)
class Admitted:
    """It waits for a block, or did so already."""

    id: TransactionId
    known: bool


@dataclass(frozen=True, slots=True)
class PeerBatchOutcome:
    """What a peer's transactions were worth."""

    admitted: list[Transaction]
    invalid: int
    """How many no honest node passes on: not decodable, badly signed, of another chain."""


class Intake:
    """Admission of transactions at the head state."""

    def __init__(
        self,
        chain: Chain,
        mempool: Mempool,
        journal: MempoolJournal,
        verifier: Verifier,
        domain: SigningDomain,
        get_wall_ms: Callable[[], int],
        find_final: Callable[[TransactionId], bool],
        on_waiting: Callable[[list[Transaction]], None],
        on_admitted: Callable[[list[Transaction]], None],
    ) -> None:
        """`on_waiting` hears of every transaction that now waits, `on_admitted` only of those that clients sent."""
        self._chain = chain
        self._mempool = mempool
        self._journal = journal
        self._verifier = verifier
        self._domain = domain
        self._get_wall_ms = get_wall_ms
        self._find_final = find_final
        self._on_waiting = on_waiting
        self._on_admitted = on_admitted
        self._under_way = 0

    async def submit_many(self, raws: Sequence[bytes]) -> list[Admitted | Rejected]:
        """Let each in or say why not, in the order given. What is admitted survives a crash of this process."""
        if self._under_way + len(raws) > UNDER_WAY_MAX:
            return [Rejected(Reason.MEMPOOL_FULL, "too many transactions at once; try again shortly")] * len(raws)
        outcomes, admitted = await self._submit_many(raws)
        if admitted:
            self._on_admitted(admitted)
        return outcomes

    async def restore_many(self, raws: Sequence[bytes]) -> None:
        """Transactions of the journal, after a restart; those that have become final or stale are forgotten."""
        candidates = [checked for raw in raws if isinstance(checked := self._check_unsigned(raw), Transaction)]
        valid = await self.verify_many(candidates)
        for transaction, is_valid in zip(candidates, valid, strict=True):
            if is_valid:
                self._add(transaction)

    async def submit_from_peer(self, raws: Sequence[bytes]) -> PeerBatchOutcome:
        """The same for a peer's gossip, which is not passed on from here."""
        if self._under_way + len(raws) > UNDER_WAY_MAX:
            return PeerBatchOutcome([], 0)
        outcomes, admitted = await self._submit_many(raws)
        refused = [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)]
        return PeerBatchOutcome(admitted, sum(reason in _NEVER_VALID for reason in refused))

    async def _submit_many(self, raws: Sequence[bytes]) -> tuple[list[Admitted | Rejected], list[Transaction]]:
        self._under_way += len(raws)
        try:
            return await self._check_and_add(raws)
        finally:
            self._under_way -= len(raws)

    async def _check_and_add(self, raws: Sequence[bytes]) -> tuple[list[Admitted | Rejected], list[Transaction]]:
        outcomes: list[Admitted | Rejected | None] = [None] * len(raws)
        candidates: list[tuple[int, Transaction]] = []
        for position, raw in enumerate(raws):
            checked = self._check_unsigned(raw)
            if isinstance(checked, Transaction):
                candidates.append((position, checked))
            else:
                outcomes[position] = checked
        valid = await self.verify_many([transaction for _, transaction in candidates])
        added: list[tuple[int, Transaction]] = []
        for (position, transaction), is_valid in zip(candidates, valid, strict=True):
            outcome = self._add(transaction) if is_valid else Rejected(Reason.BAD_SIGNATURE, "a signature is not valid")
            outcomes[position] = outcome
            if isinstance(outcome, Admitted) and not outcome.known:
                added.append((position, transaction))
        if added and not self._journal.append([transaction.raw for _, transaction in added]):
            self._withdraw(added, outcomes)
            added = []
        admitted = [transaction for _, transaction in added]
        if admitted:
            self._on_waiting(admitted)
        return [outcome for outcome in outcomes if outcome is not None], admitted

    def _withdraw(self, added: Sequence[tuple[int, Transaction]], outcomes: list[Admitted | Rejected | None]) -> None:
        """Nobody is told "admitted" of what a crash would lose."""
        for position, transaction in added:
            self._mempool.withdraw(transaction.id, Reason.MEMPOOL_FULL)
            outcomes[position] = Rejected(Reason.MEMPOOL_FULL, "this node cannot write to its disk: try again later")

    async def verify_many(self, transactions: Sequence[Transaction]) -> list[bool]:
        """Whether all signatures of each transaction are valid."""
        checks: list[Check] = []
        owners: list[int] = []
        for position, transaction in enumerate(transactions):
            message = signing_bytes(SigningPurpose.TRANSACTION, self._domain, transaction.body_bytes)
            for each in transaction.authorisations:
                checks.append((int(each.key_type), each.key, message, each.signature))
                owners.append(position)
        valid = [True] * len(transactions)
        for owner, is_valid in zip(owners, await self._verifier.verify_many(checks), strict=True):
            if not is_valid:
                valid[owner] = False
        return valid

    def drop_refused(self) -> None:
        """Governance has changed what may wait: what is refused now, no other node takes, and it would wait in vain."""
        state = self._chain.open_state()
        height = Height(self._chain.head.header.height + 1)
        parameters = get_parameters(state)
        for transaction in list(self._mempool):
            try:
                check_admission(state, transaction, height, self._get_next_ms(), parameters)
            except Rejected as refusal:
                self._mempool.withdraw(transaction.id, refusal.reason)

    def get_sequence(self, address: Address) -> int:
        """The account's next sequence at the head, for the mempool."""
        return get_account(self._chain.open_state(), address).sequence

    def get_spendable_grains(self, address: Address) -> int:
        """What the account can pay fees from at the head, for the mempool."""
        state = self._chain.open_state()
        return compute_movable_grains(state, address, get_account(state, address), self._get_next_ms())

    def _check_unsigned(self, raw: bytes) -> Transaction | Admitted | Rejected:
        """All that costs less than a signature check."""
        known = self._mempool.get(compute_envelope_hash(raw))
        if known is not None:
            return Admitted(known.id, known=True)
        try:
            transaction = decode_transaction(raw)
        except DecodeError as error:
            return Rejected(Reason.DECODE, str(error))
        state = self._chain.open_state()
        parameters = get_parameters(state)
        height = Height(self._chain.head.header.height + 1)
        try:
            check_stateless(transaction, self._chain.head.header.chain_id, parameters)
            check_admission(state, transaction, height, self._get_next_ms(), parameters)
        except Rejected as refusal:
            if refusal.reason in _PERHAPS_FINAL and self._find_final(transaction.id):
                return Admitted(transaction.id, known=True)
            return refusal
        return transaction

    def _get_next_ms(self) -> int:
        """About when the next block is: an idle chain has no block of today, yet free quotas begin anew."""
        return max(self._chain.head.header.time_ms, self._get_wall_ms())

    def _add(self, transaction: Transaction) -> Admitted | Rejected:
        is_free = (
            transaction.body.fee_max_grains == 0 and get_parameters(self._chain.open_state()).price_floor_grains > 0
        )
        try:
            outcome = self._mempool.add(transaction, self, is_free=is_free)
        except Rejected as refusal:
            return refusal
        return Admitted(transaction.id, known=not isinstance(outcome, Added))


_PERHAPS_FINAL: Final = frozenset({Reason.SEQUENCE_TOO_LOW, Reason.DUPLICATE, Reason.EXPIRED})
_NEVER_VALID: Final = frozenset({Reason.DECODE, Reason.BAD_SIGNATURE, Reason.WRONG_CHAIN})
