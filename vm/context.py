"""What a call may know about where it runs: the block, the transaction, and nothing of this machine."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from identity.address import Address
from identity.signing import SigningDomain
from ledger.evidence import Offence
from ledger.primitives import HASH_BYTES, BlockHash, ConsensusKey, Height, Round, TimeMs, TransactionId
from ledger.receipt import Event
from vm.gas import GasMeter
from vm.parameters import Parameters

if TYPE_CHECKING:  # calls of contracts are made in contexts
    from vm.contracts.calls import Runtime

FIRST_ROUND: Final = Round(0)
NO_BLOCK: Final = BlockHash(bytes(HASH_BYTES))


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The block being executed."""

    height: Height
    time_ms: TimeMs
    proposer: ConsensusKey
    parameters: Parameters
    domain: SigningDomain
    """What signatures of this chain commit to."""
    round: Round = FIRST_ROUND
    """Round in which the block was first proposed: the proposers of the rounds before were absent."""
    offences: tuple[Offence, ...] = ()
    """What the block's evidence proves."""
    contracts: "Runtime | None" = None
    """What contracts are run with; a block without calls of contracts needs none."""
    trace: list[str] | None = None
    """What contracts log and why calls fail is appended here, for people; nothing depends on it."""
    previous_hash: BlockHash = NO_BLOCK
    """Of the block before: what lots are drawn with. Its proposer could choose among a few, docs/ads.md."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The block after which a view is answered."""

    height: Height
    time_ms: TimeMs
    contracts: "Runtime | None" = None
    """What contracts are run with; the view `contracts.call` needs it."""


@dataclass(slots=True)
class Context:
    """One transaction being executed."""

    block: BlockContext
    sender: Address
    fee_payer: Address
    transaction_id: TransactionId
    gas: GasMeter
    events: list[Event] = field(default_factory=list)

    def emit(self, module: str, name: str, *fields: object) -> None:
        """Announce an event, its fields in plain values; it disappears with the rest if the transaction fails."""
        self.events.append(Event(module, name, list(fields)))
