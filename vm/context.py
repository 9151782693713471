"""What a call may know about where it runs: the block, the transaction, and nothing of this machine."""

from dataclasses import dataclass, field

from identity.address import Address
from ledger.primitives import ConsensusKey, Height, TimeMs, TransactionId
from ledger.receipt import Event
from vm.gas import GasMeter
from vm.parameters import Parameters


@dataclass(frozen=True, slots=True)
class BlockContext:
    """The block being executed."""

    height: Height
    time_ms: TimeMs
    proposer: ConsensusKey
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Moment:
    """The block after which a view is answered."""

    height: Height
    time_ms: TimeMs


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
