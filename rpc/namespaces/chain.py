"""chain_: blocks, certificates, committees, parameters and proofs."""

from dataclasses import asdict
from typing import Final, Literal

from ledger.block import CertifiedBlock
from ledger.codec import encode
from ledger.primitives import TransactionId
from ledger.transaction import decode_transaction
from rpc.contract_interfaces import make_finder
from rpc.errors import RpcError, invalid_params, node_behind, not_found, pruned
from rpc.models import (
    AtParams,
    BlockResults,
    Blocks,
    BlockView,
    ChainIdentity,
    ChainParameters,
    Commit,
    CommitteeChanges,
    CommitteeChangesParams,
    CommitteeChangeView,
    CommitteeView,
    Genesis,
    GetBlockParams,
    GetBlocksParams,
    GetProofParams,
    Head,
    HeightParams,
    NoParams,
    ProofResult,
    ReceiptProofResult,
    TransactionIdParams,
    TransactionResult,
)
from rpc.session import Session, get_height
from rpc.settings import LIST_ITEMS_MAX
from rpc.views import (
    build_block_summary,
    build_block_view,
    build_certificate_view,
    build_committee_view,
    build_event_view,
    build_header_view,
    build_receipt_view,
    build_transaction_view,
)
from vm.parameters import get_parameters

NETWORK_NAMES: Final[dict[str, Literal["mainnet", "testnet", "devnet"]]] = {
    "MAINNET": "mainnet",
    "TESTNET": "testnet",
    "DEVNET": "devnet",
}


def get_id(session: Session, _: NoParams) -> ChainIdentity:
    """What signatures of this chain are bound to."""
    backend = session.backend
    return ChainIdentity(
        chain_id=backend.chain_id, genesis_hash=backend.genesis_hash, network=NETWORK_NAMES[backend.network.name]
    )


def get_head(session: Session, _: NoParams) -> Head:
    """The last final block."""
    return session.backend.get_head()


def get_genesis(session: Session, _: NoParams) -> Genesis:
    """The genesis document."""
    return Genesis(genesis_hash=session.backend.genesis_hash, document=session.backend.get_genesis_document())


def get_params(session: Session, params: AtParams) -> ChainParameters:
    """The chain's parameters."""
    with session.open_state(params.at) as state:
        values = asdict(get_parameters(state))
        named = {name: str(value) if name.endswith("_grains") else value for name, value in values.items()}
        return ChainParameters(height=state.height, block_hash=state.block_hash, params=named)


def get_block(session: Session, params: GetBlockParams) -> BlockView:
    """A final block by height or hash."""
    if (params.height is None) == (params.hash is None):
        raise invalid_params("give either height or hash")
    height = params.height
    if params.hash is not None:
        height = session.backend.find_height(params.hash)
    if height is None:
        raise _explain_unknown(session, "no final block has this hash")
    find = make_finder(session.backend, height)
    return build_block_view(load_block(session, height), session.backend.network, find, full=params.full)


def get_blocks(session: Session, params: GetBlocksParams) -> Blocks:
    """Summaries of blocks in rising order, a page at a time."""
    head_height = session.backend.get_head().height
    last = head_height if params.to_height is None else min(params.to_height, head_height)
    if params.to_height is not None and params.to_height < params.from_height:
        raise invalid_params("to is not below from")
    stop = min(last + 1, params.from_height + LIST_ITEMS_MAX)
    blocks = [build_block_summary(load_block(session, height)) for height in range(params.from_height, stop)]
    return Blocks(blocks=blocks, next_height=stop if params.from_height < stop <= last else None)


def get_results(session: Session, params: HeightParams) -> BlockResults:
    """Receipts of a block, and the events of its end."""
    certified = load_block(session, params.height)
    receipts = session.backend.get_receipts(params.height)
    if receipts is None:
        raise pruned(session.backend.get_earliest_height())
    network = session.backend.network
    find = make_finder(session.backend, params.height)
    block_events = session.backend.get_block_events(params.height)
    return BlockResults(
        height=params.height,
        block_hash=certified.block.header.hash,
        receipts=[build_receipt_view(receipt, network, find) for receipt in receipts],
        events=[build_event_view(event, network, find) for event in block_events],
    )


def get_commit(session: Session, params: HeightParams) -> Commit:
    """Header and certificate of a block."""
    commit = session.backend.get_commit(params.height)
    if commit is None:
        raise _explain_missing(session, params.height)
    header, certificate = commit
    return Commit(
        height=header.height,
        block_hash=header.hash,
        header=build_header_view(header),
        certificate=build_certificate_view(certificate),
        header_bytes=header.encoded,
        certificate_bytes=encode(certificate),
    )


def get_committee(session: Session, params: AtParams) -> CommitteeView:
    """Who finalises the block of a height; of the head by default."""
    backend = session.backend
    head_height = backend.get_head().height
    height = get_height(params.at)
    if height is None:
        height = head_height
    committee = backend.get_committee(height)
    if committee is None:
        raise node_behind(head_height) if height > head_height else pruned(backend.get_earliest_height())
    return build_committee_view(height, committee, backend.network)


async def get_transaction(session: Session, params: TransactionIdParams) -> TransactionResult:
    """A transaction by id, with its receipt once it is final."""
    status = session.backend.get_transaction_status(TransactionId(params.id))
    if status.status == "pending" and status.raw is not None:
        raw = status.raw
        find = make_finder(session.backend)
        view = build_transaction_view(decode_transaction(raw), session.backend.network, find)
        return TransactionResult(id=params.id, status="pending", transaction=view, raw=raw)
    if status.status not in ("final", "failed") or status.height is None or status.index is None:
        raise _explain_unknown(session, f"no such transaction is pending or final here (status: {status.status})")
    height, index, settled = status.height, status.index, status.status
    return await session.read(lambda: _load_transaction(session, params.id, height, index, settled))


async def get_proof(session: Session, params: GetProofParams) -> ProofResult:
    """Proof of a state value or its absence; waits until the state's root is certified."""
    proven = await session.backend.prove(params.key, get_height(params.at))
    return ProofResult(
        height=proven.height,
        block_hash=proven.block_hash,
        key=params.key,
        value=proven.value,
        proof=proven.proof,
        header=proven.header,
        certificate=proven.certificate,
        committee=proven.committee,
    )


async def get_receipt_proof(session: Session, params: TransactionIdParams) -> ReceiptProofResult:
    """Proof of what became of a transaction; waits until its block's receipts root is certified."""
    proven = await session.backend.prove_receipt(TransactionId(params.id))
    if proven is None:
        raise _explain_unknown(session, "no such transaction is final here")
    return ReceiptProofResult(
        height=proven.height,
        block_hash=proven.block_hash,
        receipt=proven.receipt,
        proof=proven.proof,
        header=proven.header,
        certificate=proven.certificate,
        committee=proven.committee,
    )


def get_committee_changes(session: Session, params: CommitteeChangesParams) -> CommitteeChanges:
    """Blocks that announced another committee, with header, certificate and the new one, to follow from genesis."""
    found = session.backend.list_committee_changes(params.from_height, params.limit + 1)
    page = [
        CommitteeChangeView(
            height=change.header.height,
            header=change.header.encoded,
            certificate=encode(change.certificate),
            committee=encode(change.next_committee),
        )
        for change in found[: params.limit]
    ]
    return CommitteeChanges(changes=page, next_height=page[-1].height + 1 if len(found) > params.limit else None)


def load_block(session: Session, height: int) -> CertifiedBlock:
    """A final block; raises RpcError NODE_BEHIND, PRUNED or NOT_FOUND."""
    certified = session.backend.get_block(height)
    if certified is not None:
        return certified
    raise _explain_missing(session, height)


def _explain_missing(session: Session, height: int) -> RpcError:
    head_height = session.backend.get_head().height
    return node_behind(head_height) if height > head_height else pruned(session.backend.get_earliest_height())


def _explain_unknown(session: Session, detail: str) -> RpcError:
    """Nothing of this hash or id is in the blocks kept here; a pruned node cannot say that there never was."""
    earliest_height = session.backend.get_earliest_height()
    return not_found(detail) if earliest_height == 0 else pruned(earliest_height)


def _load_transaction(
    session: Session, identifier: bytes, height: int, index: int, settled: Literal["final", "failed"]
) -> TransactionResult:
    certified = load_block(session, height)
    receipts = session.backend.get_receipts(height)
    raw = certified.block.transactions[index]
    network = session.backend.network
    find = make_finder(session.backend, height)
    return TransactionResult(
        id=identifier,
        status=settled,
        transaction=build_transaction_view(decode_transaction(raw), network, find),
        raw=raw,
        receipt=None if receipts is None else build_receipt_view(receipts[index], network, find),
        height=height,
        block_hash=certified.block.header.hash,
        index=index,
    )
