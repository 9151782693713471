"""mining_: days of mining, and what the chain knows of an identity's rewards."""

from typing import Any

from identity.address import NetworkKind
from identity.did import Did, format_did
from ledger.codec import DecodeError, from_plain
from ledger.primitives import Grains
from rpc.arguments import ArgumentError, describe_type, from_json
from rpc.backend import StateAt
from rpc.errors import build_error, invalid_params
from rpc.models import (
    MiningBatchView,
    MiningClaimParams,
    MiningClaimResult,
    MiningEpochParams,
    MiningEpochResult,
    MiningForecast,
    MiningOutcomeView,
    MiningPayoutView,
    MiningRecordView,
    MiningStatementParams,
    MiningStatementResult,
    MiningWeightView,
)
from rpc.namespaces.did import parse
from rpc.session import Session
from vm.native.did_records import get_did_record
from vm.native.distribution_faults import is_at_home
from vm.native.distribution_records import SourceId, find_claimable_root, find_root, get_claimed, get_source
from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind, Leaf, ProvenLeaf, is_leaf_proven
from vm.native.mining import RecordStatement, build_statement, describe_claim, describe_epoch
from vm.native.mining_formulas import Epoch, compute_epoch
from vm.native.mining_records import Batch, Outcome, Weight, find_mining_source


def get_epoch(session: Session, params: MiningEpochParams) -> MiningEpochResult:
    """A day of mining: its force, price and what it paid; and how the fund does, with a forecast of its exhaustion."""
    with session.open_state(params.at) as state:
        epoch = compute_epoch(state.moment.time_ms) if params.n is None else Epoch(params.n)
        described = describe_epoch(state, state.moment, epoch)
        outcome = described.record.outcome
        return MiningEpochResult(
            height=state.height,
            block_hash=state.block_hash,
            number=epoch,
            is_open=described.is_open,
            rules_from=described.rules_from,
            batches=described.record.batches,
            force=described.record.force,
            vouched_force=described.record.vouched_force,
            outcome=None if outcome is None else _build_outcome(outcome),
            fund=described.fund_grains,
            released=described.released_grains,
            returned=described.returned_grains,
            revenue=described.revenue_grains,
            forecast=MiningForecast(
                at_this_rate=described.forecast.at_this_rate,
                until_half=described.forecast.until_half,
                until_hundredth=described.forecast.until_hundredth,
            ),
        )


def get_claim(session: Session, params: MiningClaimParams) -> MiningClaimResult:
    """What the chain knows of an identity's reward of a day, and what was claimed; with a proof, what is claimable."""
    with session.open_state(params.at) as state:
        did = _parse_known(session, state, params.did)
        claim = describe_claim(state, Epoch(params.n), did)
        return MiningClaimResult(
            height=state.height,
            block_hash=state.block_hash,
            number=claim.epoch,
            did=params.did,
            weight=claim.weight_hundredths,
            vouched_force=claim.vouched_force,
            price=claim.price_micrograins,
            vouched_reward=claim.vouched_grains,
            batch=None if claim.batch is None else _build_batch(claim.batch, session.backend.network),
            payout=_find_payout(state, did, params.proof, session.backend.network),
        )


def get_statement(session: Session, params: MiningStatementParams) -> MiningStatementResult:
    """What the chain knows of an identity's mining in the last 31 days: its weight, and records of its vehicles."""
    with session.open_state(params.at) as state:
        did = _parse_known(session, state, params.did)
        statement, network = build_statement(state, state.moment, did), session.backend.network
        return MiningStatementResult(
            height=state.height,
            block_hash=state.block_hash,
            did=params.did,
            weight=statement.weight_hundredths,
            decision=None if statement.weight is None else _build_weight(statement.weight, network),
            records=[_build_record(each, network) for each in statement.records],
        )


def _parse_known(session: Session, state: StateAt, text: str) -> Did:
    did = parse(session, text)
    if get_did_record(state, did) is None:
        raise build_error("DID_NOT_FOUND", "the chain knows no such identity")
    return did


def _find_payout(
    state: StateAt, did: Did, proof: dict[str, Any] | None, network: NetworkKind
) -> MiningPayoutView | None:
    """What the source of mining has paid, and by a proof still owes; raises RpcError when the proof is none."""
    source = find_mining_source(state)
    if source is None:
        return None
    root, _ = find_claimable_root(state, source, get_source(state, source), state.moment)
    claimed = get_claimed(state, source, BeneficiaryKind.DID, BeneficiaryId(did))
    claimable = None
    if proof is not None:
        leaf = _check_proof(state, source, root, did, proof, network)
        claimable = Grains(max(0, leaf.lifetime_grains - claimed))
    return MiningPayoutView(source=source, root=root, claimed=Grains(claimed), claimable=claimable)


def _check_proof(
    state: StateAt, source: SourceId, root: int, did: Did, proof: dict[str, Any], network: NetworkKind
) -> Leaf:
    """The identity's leaf under the newest root that counts."""
    try:
        proven = from_plain(ProvenLeaf, from_json(describe_type(ProvenLeaf), proof, network))
    except (ArgumentError, DecodeError) as error:
        raise invalid_params(f"proof: {error}") from None
    posted = find_root(state, source, root)
    if (proven.leaf.kind, proven.leaf.id) != (BeneficiaryKind.DID, BeneficiaryId(did)):
        raise invalid_params("proof: this is the leaf of another beneficiary")
    if posted is None or not is_at_home(proven) or not is_leaf_proven(proven, posted.root):
        raise invalid_params("proof: it does not stand under the newest root that counts")
    return proven.leaf


def _build_outcome(outcome: Outcome) -> MiningOutcomeView:
    return MiningOutcomeView(
        height=outcome.height,
        revenue=outcome.revenue_grains,
        topup=outcome.topup_grains,
        budget=outcome.budget_grains,
        smoothed_force=outcome.smoothed_force,
        quoted_price=outcome.quoted_micrograins,
        price=outcome.price_micrograins,
        released=outcome.released_grains,
        returned=outcome.returned_grains,
        remaining=outcome.remaining_grains,
    )


def _build_batch(batch: Batch, network: NetworkKind) -> MiningBatchView:
    given = batch.payload
    return MiningBatchView(
        number=given.number,
        root=given.root,
        records=given.records,
        force=given.force,
        manifest_hash=given.manifest_hash,
        attesters=[format_did(each, network) for each in given.attesters],
    )


def _build_weight(weight: Weight, network: NetworkKind) -> MiningWeightView:
    return MiningWeightView(
        turn=weight.turn,
        weight=weight.weight_hundredths,
        since=weight.since,
        reason=weight.reason.name.lower(),
        evidence_hash=weight.evidence_hash,
        attesters=[format_did(each, network) for each in weight.attesters],
        granted_from=weight.granted_from or None,
        is_final=weight.is_final,
    )


def _build_record(stated: RecordStatement, network: NetworkKind) -> MiningRecordView:
    return MiningRecordView(
        number=stated.epoch,
        behaviour=stated.behaviour.name.lower(),
        count=stated.record.count,
        force=stated.record.force,
        vehicle=format_did(stated.record.vehicle, network),
        commitment=stated.record.commitment,
        price=stated.price_micrograins,
        reward=stated.reward_grains,
    )
