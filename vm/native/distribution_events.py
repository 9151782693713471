"""What is announced of distributions, by the module itself and by whoever acts on sources for it."""

from dataclasses import dataclass
from typing import Final

from identity.address import Address
from identity.did import Did
from ledger.primitives import Grains, Height, RootHash, TimeMs
from vm.native.distribution_records import ManifestHash, SourceId, VoidCause
from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind


@dataclass(frozen=True, slots=True)
class SourceCreated:
    """A source can be funded."""

    source: SourceId
    owner: Address
    label: str


@dataclass(frozen=True, slots=True)
class SourceRulesSet:
    """A source has other rules."""

    source: SourceId


@dataclass(frozen=True, slots=True)
class SourceFunded:
    """A source was paid."""

    source: SourceId
    payer: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class SourceWithdrawn:
    """The owner of a source has taken back what no root promised."""

    source: SourceId
    recipient: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class RootPosted:
    """A root can be challenged, and counts from a time and a block on, whichever is later."""

    source: SourceId
    number: int
    root: RootHash
    lifetime_total_grains: Grains
    manifest_hash: ManifestHash
    counts_ms: TimeMs
    counts_height: Height


@dataclass(frozen=True, slots=True)
class RootVoided:
    """A root counts for nothing."""

    source: SourceId
    number: int
    cause: VoidCause


@dataclass(frozen=True, slots=True)
class Claimed:
    """A beneficiary was paid."""

    source: SourceId
    number: int
    kind: BeneficiaryKind
    id: BeneficiaryId
    recipient: Address
    amount_grains: Grains


@dataclass(frozen=True, slots=True)
class ClaimSkipped:
    """One of several claims was not paid, for the reason of this number."""

    source: SourceId
    number: int
    kind: BeneficiaryKind
    id: BeneficiaryId
    reason: int


@dataclass(frozen=True, slots=True)
class BreakerTripped:
    """A source pays nothing before this time, unless governance resumes it."""

    source: SourceId
    until_ms: TimeMs


@dataclass(frozen=True, slots=True)
class SourceResumed:
    """Governance lets a source pay again."""

    source: SourceId


@dataclass(frozen=True, slots=True)
class PayoutSet:
    """An identity is paid at this account; None: at the one that is linked to it."""

    did: Did
    account: Address | None


EVENTS: Final = (
    SourceCreated,
    SourceRulesSet,
    SourceFunded,
    SourceWithdrawn,
    RootPosted,
    RootVoided,
    Claimed,
    ClaimSkipped,
    BreakerTripped,
    SourceResumed,
    PayoutSet,
)
