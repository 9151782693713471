"""The chain's parameters: one record in the state, the same on every node, each with its bounds."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Final

from annotated_types import Interval

from ledger.block import BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX
from ledger.codec import decode, encode
from ledger.committee import COMMITTEE_MEMBERS_MAX
from ledger.primitives import SUPPLY_GRAINS, RootHash
from ledger.state import State, StateReader
from ledger.state_keys import PARAMETERS_KEY

BPS: Final = 10_000
"""One whole, in basis points."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What governance may change; the annotations are the bounds."""

    block_interval_ms: Annotated[int, Interval(ge=10, le=60_000)]
    """Target between two blocks while there is work."""
    block_gas_max: Annotated[int, Interval(ge=100_000, le=1_000_000_000)]
    """Sum of the gas limits of a block's transactions."""
    block_bytes_max: Annotated[int, Interval(ge=131_072, le=BLOCK_BYTES_MAX)]
    """Sum of the sizes of a block's transactions."""
    block_transactions_max: Annotated[int, Interval(ge=1, le=BLOCK_TRANSACTIONS_MAX)]
    price_floor_grains: Annotated[int, Interval(ge=0, le=1_000_000)]
    """Least grains per gas."""
    propose_timeout_ms: Annotated[int, Interval(ge=100, le=60_000)]
    """How long a round waits for its proposal before it votes nil."""
    propose_timeout_step_ms: Annotated[int, Interval(ge=10, le=60_000)]
    """Added for each further round."""
    vote_timeout_ms: Annotated[int, Interval(ge=50, le=60_000)]
    """How long a round waits for agreement after two thirds have voted."""
    vote_timeout_step_ms: Annotated[int, Interval(ge=10, le=60_000)]
    clock_precision_ms: Annotated[int, Interval(ge=10, le=60_000)]
    """How far the clocks of honest super nodes may differ (proposer-based timestamps)."""
    message_delay_ms: Annotated[int, Interval(ge=50, le=60_000)]
    """How long a proposal may travel and still count as timely."""
    epoch_heights: Annotated[int, Interval(ge=2, le=10_000_000)]
    """Blocks of an epoch; the committee is elected at its end."""
    committee_seats: Annotated[int, Interval(ge=1, le=COMMITTEE_MEMBERS_MAX)]
    """How many candidates form the committee at most."""
    committee_members_min: Annotated[int, Interval(ge=1, le=COMMITTEE_MEMBERS_MAX)]
    """A change that leaves fewer members does not happen."""
    candidate_bond_min_grains: Annotated[int, Interval(ge=0, le=SUPPLY_GRAINS)]
    """Own stake without which an operator is not elected."""
    unbonding_epochs: Annotated[int, Interval(ge=1, le=100)]
    """Whole epochs that stake waits before it is released; for as long, evidence against it counts."""
    double_sign_slash_bps: Annotated[int, Interval(ge=0, le=BPS)]
    """Part of a candidate's stake, in 1/10,000, taken for signing two different messages."""
    absence_slash_bps: Annotated[int, Interval(ge=0, le=BPS)]
    """The same for a long absence."""
    absence_heights_max: Annotated[int, Interval(ge=1, le=10_000_000)]
    """A member that missed all its turns for so many blocks is jailed."""
    jail_epochs: Annotated[int, Interval(ge=1, le=1_000)]
    """Epochs after which a jailed candidate may come back."""
    proposer_fee_bps: Annotated[int, Interval(ge=0, le=BPS)]
    """Part of a block's fees, in 1/10,000, that is its proposer's; the rest is shared equally by the committee."""
    voting_heights_normal: Annotated[int, Interval(ge=1, le=10_000_000)]
    """For how many blocks a proposal of normal priority may be voted on; it takes effect no earlier."""
    voting_heights_urgent: Annotated[int, Interval(ge=1, le=10_000_000)]
    voting_heights_emergency: Annotated[int, Interval(ge=1, le=10_000_000)]
    pause_heights_max: Annotated[int, Interval(ge=1, le=10_000_000)]
    """For how long an emergency may pause a module."""
    contract_publishers: Annotated[int, Interval(ge=0, le=2)]
    """Who may publish contracts: 0 everybody, 1 developers that governance has certified, 2 everybody, but only code
    that governance has approved by its hash."""
    recovery_delay_heights: Annotated[int, Interval(ge=1, le=10_000_000)]
    """Blocks between the guardians' request for a recovery and its completion: the holder may object as long."""
    free_quota_gas_daily: Annotated[int, Interval(ge=0, le=1_000_000_000)]
    """Gas of everyday calls that a person has each day without a fee; 0: everybody pays."""
    free_quota_block_gas_max: Annotated[int, Interval(ge=0, le=1_000_000_000)]
    """Gas of a block for transactions without a fee, of all persons together."""

    @property
    def hash(self) -> RootHash:
        """SHA-256 of the encoded parameters, as it stands in headers."""
        return RootHash(sha256(encode(self)).digest())


def find_conflict(parameters: Parameters) -> str | None:
    """What no bounds of a single parameter can say: which of these contradict each other, in words."""
    if parameters.committee_members_min > parameters.committee_seats:
        return "committee_members_min is above committee_seats"
    if parameters.voting_heights_urgent > parameters.voting_heights_normal:
        return "voting_heights_urgent is above voting_heights_normal"
    if parameters.voting_heights_emergency > parameters.voting_heights_urgent:
        return "voting_heights_emergency is above voting_heights_urgent"
    return None


def get_parameters(state: StateReader) -> Parameters:
    """The parameters in force; genesis always sets them."""
    encoded = state.get(PARAMETERS_KEY)
    assert encoded is not None, "genesis sets the parameters"
    return _decode(encoded)


@lru_cache(maxsize=4)
def _decode(encoded: bytes) -> Parameters:
    """Asked for with every transaction, changed once in a while."""
    return decode(Parameters, encoded)


def put_parameters(state: State, parameters: Parameters) -> None:
    """Replace the parameters."""
    state.put(PARAMETERS_KEY, encode(parameters))
