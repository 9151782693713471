"""What the next block must look like: how an honest proposer builds it, and what everybody checks before a vote."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from identity.signing import SigningDomain
from ledger.block import HEADER_VERSION, Header, compute_evidence_root, compute_transactions_root
from ledger.chain import Head
from ledger.codec import decode
from ledger.committee import Committee
from ledger.evidence import InvalidEvidenceError
from ledger.primitives import ConsensusKey, EnvelopeHash, Height, Round, TimeMs
from ledger.reasons import Rejected
from ledger.state import StateReader
from ledger.state_keys import ABSENCES_KEY, COMMITTEE_KEY, NEXT_COMMITTEE_KEY
from ledger.transaction import Transaction
from ledger.turns import NOBODY_ABSENT, Absences, compute_turns
from vm.offences import check_block_evidence
from vm.parameters import Parameters, get_parameters
from vm.transition import check_expiry, check_stateless


class InvalidBlockError(Exception):
    """A proposed or received block breaks a rule; the message says which."""


@dataclass(frozen=True, slots=True)
class NextBlockRules:
    """What follows from the head and its state for the block after it."""

    head: Head
    parameters: Parameters
    committee: Committee
    next_committee: Committee
    turns: tuple[int, ...]
    """Member indices in the order in which they propose."""
    state: StateReader = field(repr=False, compare=False)
    """The state after the head, for evidence."""

    @property
    def height(self) -> Height:
        """The next block's height."""
        return Height(self.head.header.height + 1)


def get_next_block_rules(head: Head, state: StateReader) -> NextBlockRules:
    """Read what the next block is bound by."""
    committee, next_committee = state.get(COMMITTEE_KEY), state.get(NEXT_COMMITTEE_KEY)
    assert committee is not None, "genesis sets the committee"
    assert next_committee is not None, "genesis sets the next committee"
    encoded_absences = state.get(ABSENCES_KEY)
    absences = NOBODY_ABSENT if encoded_absences is None else decode(Absences, encoded_absences)
    ruling = _decode_committee(committee)
    turns = compute_turns(ruling, absences, Height(head.header.height + 1))
    return NextBlockRules(head, get_parameters(state), ruling, _decode_committee(next_committee), turns, state)


@lru_cache(maxsize=4)
def _decode_committee(encoded: bytes) -> Committee:
    """Asked for with every block, changed once an epoch."""
    return decode(Committee, encoded)


def build_header(
    rules: NextBlockRules,
    round_number: Round,
    time_ms: TimeMs,
    proposer: ConsensusKey,
    envelope_hashes: Sequence[EnvelopeHash],
    evidence: Sequence[bytes] = (),
) -> Header:
    """The only header that this content, round, time and proposer can have."""
    return Header(
        version=HEADER_VERSION,
        chain_id=rules.head.header.chain_id,
        height=rules.height,
        round=round_number,
        time_ms=time_ms,
        previous_hash=rules.head.header.hash,
        proposer=proposer,
        transactions_root=compute_transactions_root(list(envelope_hashes)),
        evidence_root=compute_evidence_root(evidence),
        state_root=rules.head.state_root,
        receipts_root=rules.head.receipts_root,
        committee_hash=rules.committee.hash,
        next_committee_hash=rules.next_committee.hash,
        parameters_hash=rules.parameters.hash,
    )


def check_block(
    rules: NextBlockRules,
    domain: SigningDomain,
    header: Header,
    transactions: Sequence[Transaction],
    evidence: Sequence[bytes],
) -> None:
    """Everything about a block but its signatures and those of its transactions; raises InvalidBlockError.

    The result is the same on every node.
    """
    hashes = [transaction.envelope_hash for transaction in transactions]
    expected = build_header(rules, header.round, header.time_ms, header.proposer, hashes, evidence)
    for name in Header.__dataclass_fields__:
        if getattr(header, name) != getattr(expected, name):
            raise InvalidBlockError(f"the header's {name} is not what follows from the chain and the transactions")
    if header.time_ms <= rules.head.header.time_ms:
        raise InvalidBlockError("the block is not later than the one before")
    try:
        check_block_evidence(rules.state, domain, header.height, evidence)
    except InvalidEvidenceError as error:
        raise InvalidBlockError(f"evidence: {error}") from None
    parameters = rules.parameters
    if len(transactions) > parameters.block_transactions_max:
        raise InvalidBlockError(f"more than {parameters.block_transactions_max} transactions")
    if sum(len(transaction.raw) for transaction in transactions) > parameters.block_bytes_max:
        raise InvalidBlockError(f"more than {parameters.block_bytes_max} bytes of transactions")
    if sum(transaction.body.gas_limit for transaction in transactions) > parameters.block_gas_max:
        raise InvalidBlockError(f"more than {parameters.block_gas_max} gas")
    if len({transaction.id for transaction in transactions}) < len(transactions):
        raise InvalidBlockError("a transaction stands twice")
    for transaction in transactions:
        try:
            check_stateless(transaction, header.chain_id, parameters)
            check_expiry(transaction.body, header.height)
        except Rejected as refusal:
            raise InvalidBlockError(f"transaction {transaction.id.hex()}: {refusal.reason.name}") from None
