"""Calls as typed values: what the blocking and the asynchronous client run, alone or in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from rpc import models
from rpc.json_codec import format_hex
from rpc.settings import LIST_ITEMS_MAX, WAIT_MS_DEFAULT

T = TypeVar("T")
At = int | None
"""A height; None for the last final block."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A method with its parameters and the type of its result."""

    method: str
    params: dict[str, Any]
    result: type[T]
    is_repeatable: bool = True
    """Whether doing it twice is the same as doing it once."""


def node_info() -> Call[models.NodeInfo]:
    """Who the node is."""
    return Call("node_info", {}, models.NodeInfo)


def node_status() -> Call[models.NodeStatus]:
    """How the node is doing."""
    return Call("node_status", {}, models.NodeStatus)


def node_peers() -> Call[models.Peers]:
    """Its peers."""
    return Call("node_peers", {}, models.Peers)


def chain_id() -> Call[models.ChainIdentity]:
    """What signatures of the chain are bound to."""
    return Call("chain_id", {}, models.ChainIdentity)


def chain_head() -> Call[models.Head]:
    """The last final block."""
    return Call("chain_head", {}, models.Head)


def chain_genesis() -> Call[models.Genesis]:
    """The genesis document."""
    return Call("chain_genesis", {}, models.Genesis)


def chain_params(at: At = None) -> Call[models.ChainParameters]:
    """The chain's parameters."""
    return Call("chain_params", _at(at), models.ChainParameters)


def chain_get_block(
    *, height: int | None = None, block_hash: bytes | None = None, full: bool = False
) -> Call[models.BlockView]:
    """A block by height or hash."""
    named = {"height": height, "hash": None if block_hash is None else format_hex(block_hash)}
    return Call("chain_getBlock", _given(named) | {"full": full}, models.BlockView)


def chain_get_blocks(from_height: int, to_height: int | None = None) -> Call[models.Blocks]:
    """Summaries of blocks, a page at a time."""
    return Call("chain_getBlocks", _given({"from": from_height, "to": to_height}), models.Blocks)


def chain_get_results(height: int) -> Call[models.BlockResults]:
    """Receipts and events of a block."""
    return Call("chain_getResults", {"height": height}, models.BlockResults)


def chain_get_commit(height: int) -> Call[models.Commit]:
    """Header and certificate of a block."""
    return Call("chain_getCommit", {"height": height}, models.Commit)


def chain_get_committee(at: At = None) -> Call[models.CommitteeView]:
    """Who finalises the block of a height."""
    return Call("chain_getCommittee", _at(at), models.CommitteeView)


def chain_get_transaction(transaction_id: bytes) -> Call[models.TransactionResult]:
    """A transaction with its receipt."""
    return Call("chain_getTransaction", {"id": format_hex(transaction_id)}, models.TransactionResult)


def chain_get_proof(key: bytes, at: At = None) -> Call[models.ProofResult]:
    """Proof of a state value."""
    return Call("chain_getProof", {"key": format_hex(key)} | _at(at), models.ProofResult)


def chain_get_receipt_proof(transaction_id: bytes) -> Call[models.ReceiptProofResult]:
    """Proof of what became of a transaction."""
    return Call("chain_getReceiptProof", {"id": format_hex(transaction_id)}, models.ReceiptProofResult)


def chain_get_committee_changes(from_height: int = 0, limit: int = LIST_ITEMS_MAX) -> Call[models.CommitteeChanges]:
    """Where the committee changes, a page at a time."""
    return Call("chain_getCommitteeChanges", {"from": from_height, "limit": limit}, models.CommitteeChanges)


def tx_send(
    raw: bytes, *, wait: Literal["admitted", "final"] = "admitted", timeout_ms: int = WAIT_MS_DEFAULT
) -> Call[models.SendResult]:
    """Submit a transaction. Its id makes sending it twice harmless."""
    params = {"raw": format_hex(raw)}
    return Call("tx_send", params if wait == "admitted" else params | _wait(timeout_ms), models.SendResult)


def tx_simulate(raw: bytes, at: At = None) -> Call[models.SimulateResult]:
    """Execute without effect."""
    return Call("tx_simulate", {"raw": format_hex(raw)} | _at(at), models.SimulateResult)


def tx_estimate(raw: bytes) -> Call[models.Estimate]:
    """A sufficient gas limit and the least fee for it."""
    return Call("tx_estimate", {"raw": format_hex(raw)}, models.Estimate)


def tx_decode(raw: bytes) -> Call[models.TransactionView]:
    """What a transaction's bytes say."""
    return Call("tx_decode", {"raw": format_hex(raw)}, models.TransactionView)


def tx_status(transaction_id: bytes) -> Call[models.StatusResult]:
    """Where a transaction stands."""
    return Call("tx_status", {"id": format_hex(transaction_id)}, models.StatusResult)


def tx_pending(
    sender: str | None = None, *, limit: int = LIST_ITEMS_MAX, cursor: str | None = None
) -> Call[models.PendingResult]:
    """Waiting transactions, a page at a time."""
    return Call("tx_pending", _given({"sender": sender, "limit": limit, "cursor": cursor}), models.PendingResult)


def account_get(address: str, at: At = None) -> Call[models.AccountResult]:
    """Sequence, policy and balance of an account."""
    return Call("account_get", {"address": address} | _at(at), models.AccountResult)


def account_history(
    address: str, *, limit: int = LIST_ITEMS_MAX, cursor: str | None = None
) -> Call[models.HistoryResult]:
    """Transactions that touched an account, newest first, a page at a time."""
    return Call("account_history", _given({"address": address, "limit": limit, "cursor": cursor}), models.HistoryResult)


def iov_supply(at: At = None) -> Call[models.SupplyResult]:
    """All the IOV there is."""
    return Call("iov_supply", _at(at), models.SupplyResult)


def iov_balance(address: str, at: At = None) -> Call[models.BalanceResult]:
    """What an account holds."""
    return Call("iov_balance", {"address": address} | _at(at), models.BalanceResult)


def staking_candidates(
    *, limit: int = LIST_ITEMS_MAX, cursor: str | None = None, at: At = None
) -> Call[models.Candidates]:
    """Who stands for election, the strongest first, a page at a time."""
    return Call("staking_candidates", _given({"limit": limit, "cursor": cursor}) | _at(at), models.Candidates)


def staking_delegations(address: str, at: At = None) -> Call[models.DelegationsResult]:
    """All stake of a holder."""
    return Call("staking_delegations", {"address": address} | _at(at), models.DelegationsResult)


def staking_epoch(n: int | None = None) -> Call[models.EpochResult]:
    """An epoch; the one going on by default."""
    return Call("staking_epoch", _given({"n": n}), models.EpochResult)


def gov_proposals(
    status: models.ProposalStatus | None = None,
    *,
    proposal_id: int | None = None,
    limit: int = LIST_ITEMS_MAX,
    cursor: str | None = None,
    at: At = None,
) -> Call[models.Proposals]:
    """Proposals, the newest first, a page at a time; with an id only that one."""
    params = _given({"status": status, "limit": limit, "cursor": cursor, "id": proposal_id})
    return Call("gov_proposals", params | _at(at), models.Proposals)


def gov_params(at: At = None) -> Call[models.GovParameters]:
    """What governance may change, with bounds."""
    return Call("gov_params", _at(at), models.GovParameters)


def gov_treasury(at: At = None) -> Call[models.TreasuryResult]:
    """What the treasury's budgets hold."""
    return Call("gov_treasury", _at(at), models.TreasuryResult)


def ads_campaign(number: int, at: At = None) -> Call[models.AdsCampaignResult]:
    """A campaign."""
    return Call("ads_campaign", {"id": number} | _at(at), models.AdsCampaignResult)


def ads_campaigns(
    advertiser: str | None = None, *, limit: int = LIST_ITEMS_MAX, cursor: str | None = None, at: At = None
) -> Call[models.AdsCampaigns]:
    """Campaigns, the newest first, a page at a time; with an advertiser only its own."""
    named = {"advertiser": advertiser, "limit": limit, "cursor": cursor}
    return Call("ads_campaigns", _given(named) | _at(at), models.AdsCampaigns)


def ads_order(order: bytes, at: At = None) -> Call[models.AdsOrderResult]:
    """An order of a delivery."""
    return Call("ads_order", {"id": format_hex(order)} | _at(at), models.AdsOrderResult)


def ads_settlement(number: int, at: At = None) -> Call[models.AdsSettlementResult]:
    """Where what was paid into a campaign is."""
    return Call("ads_settlement", {"id": number} | _at(at), models.AdsSettlementResult)


def network_nodes(*, limit: int = LIST_ITEMS_MAX, cursor: str | None = None, at: At = None) -> Call[models.Nodes]:
    """The registry of nodes, a page at a time."""
    return Call("network_nodes", _given({"limit": limit, "cursor": cursor}) | _at(at), models.Nodes)


def contract_call(
    address: str, method: str, args: dict[str, Any] | list[Any] | None = None, at: At = None
) -> Call[models.ContractCallResult]:
    """Ask a view of a contract."""
    params = {"address": address, "method": method, "args": [] if args is None else args}
    return Call("contract_call", params | _at(at), models.ContractCallResult)


def contract_get(address: str, at: At = None) -> Call[models.ContractResult]:
    """A contract and its interface."""
    return Call("contract_get", {"address": address} | _at(at), models.ContractResult)


def contract_code(code_hash: bytes) -> Call[models.CodeResult]:
    """Code as it was published."""
    return Call("contract_code", {"hash": format_hex(code_hash)}, models.CodeResult)


def contract_storage(address: str, key: bytes, at: At = None) -> Call[models.ContractStorageResult]:
    """What a contract keeps under a raw key."""
    params = {"address": address, "key": format_hex(key)}
    return Call("contract_storage", params | _at(at), models.ContractStorageResult)


def contract_events(
    address: str, from_height: int = 0, *, limit: int = LIST_ITEMS_MAX, cursor: str | None = None
) -> Call[models.ContractEvents]:
    """What a contract has announced, oldest first, a page at a time."""
    params = {"address": address, "fromHeight": from_height, "limit": limit, "cursor": cursor}
    return Call("contract_events", _given(params), models.ContractEvents)


def did_resolve(
    did: str, *, version_id: bytes | None = None, version_time: str | None = None
) -> Call[models.DidResolution]:
    """The DID document of an identity."""
    named = {"versionId": None if version_id is None else format_hex(version_id), "versionTime": version_time}
    return Call("did_resolve", {"did": did} | _given(named), models.DidResolution)


def did_history(did: str, *, limit: int = LIST_ITEMS_MAX, cursor: str | None = None) -> Call[models.DidHistory]:
    """Versions of an identity, the newest first, a page at a time."""
    return Call("did_history", _given({"did": did, "limit": limit, "cursor": cursor}), models.DidHistory)


def did_requests(
    did: str,
    *,
    role: models.RequestRole = "holder",
    state: models.RequestStateName | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[models.DidRequests]:
    """Requests for attributes to an identity, or by it, the newest first, a page at a time."""
    params = {"did": did, "role": role, "state": state, "limit": limit, "cursor": cursor}
    return Call("did_requests", _given(params), models.DidRequests)


def mining_epoch(n: int | None = None, at: At = None) -> Call[models.MiningEpochResult]:
    """A day of mining; None: today."""
    return Call("mining_epoch", _given({"n": n}) | _at(at), models.MiningEpochResult)


def mining_claim(
    n: int, did: str, proof: dict[str, Any] | None = None, at: At = None
) -> Call[models.MiningClaimResult]:
    """What the chain knows of an identity's reward of a day; with the proof of its leaf, what is claimable."""
    return Call("mining_claim", _given({"n": n, "did": did, "proof": proof}) | _at(at), models.MiningClaimResult)


def mining_statement(did: str, at: At = None) -> Call[models.MiningStatementResult]:
    """What the chain knows of an identity's mining."""
    return Call("mining_statement", {"did": did} | _at(at), models.MiningStatementResult)


def module_list() -> Call[models.Modules]:
    """All native modules."""
    return Call("module_list", {}, models.Modules)


def module_describe(module: str) -> Call[models.ModuleDescription]:
    """A module's calls, events and views."""
    return Call("module_describe", {"module": module}, models.ModuleDescription)


def module_view(
    module: str, name: str, args: dict[str, Any] | list[Any] | None = None, at: At = None
) -> Call[models.ViewResult]:
    """Ask a module a question."""
    params = {"module": module, "name": name, "args": [] if args is None else args}
    return Call("module_view", params | _at(at), models.ViewResult)


def dev_accounts() -> Call[models.DevAccounts]:
    """The devnet's funded accounts."""
    return Call("dev_accounts", {}, models.DevAccounts)


def dev_fund(address: str, amount_grains: int) -> Call[models.StatusResult]:
    """Send development money to an account."""
    params = {"address": address, "amount": str(amount_grains)}
    return Call("dev_fund", params, models.StatusResult, is_repeatable=False)


def dev_mine(blocks: int = 1) -> Call[models.Head]:
    """Make blocks now."""
    return Call("dev_mine", {"blocks": blocks}, models.Head, is_repeatable=False)


def dev_set_time(time_ms: int) -> Call[models.Head]:
    """Set the devnet's clock."""
    return Call("dev_setTime", {"timeMs": time_ms}, models.Head, is_repeatable=False)


def dev_advance_epoch() -> Call[models.Head]:
    """Go on to the next epoch."""
    return Call("dev_advanceEpoch", {}, models.Head, is_repeatable=False)


def dev_crash(node: int) -> Call[models.Done]:
    """Kill a node."""
    return Call("dev_crash", {"node": node}, models.Done, is_repeatable=False)


def dev_restart(node: int) -> Call[models.Done]:
    """Start a killed node."""
    return Call("dev_restart", {"node": node}, models.Done, is_repeatable=False)


def dev_partition(groups: Sequence[Sequence[int]]) -> Call[models.Done]:
    """Cut the network into groups."""
    return Call("dev_partition", {"groups": [list(group) for group in groups]}, models.Done, is_repeatable=False)


def dev_heal() -> Call[models.Done]:
    """Join all groups again."""
    return Call("dev_heal", {}, models.Done, is_repeatable=False)


def dev_snapshot() -> Call[models.SnapshotResult]:
    """Remember the state."""
    return Call("dev_snapshot", {}, models.SnapshotResult, is_repeatable=False)


def dev_revert(snapshot: str) -> Call[models.Head]:
    """Return to a remembered state."""
    return Call("dev_revert", {"snapshot": snapshot}, models.Head, is_repeatable=False)


def _at(height: At) -> dict[str, Any]:
    return {} if height is None else {"at": {"height": height}}


def _wait(timeout_ms: int) -> dict[str, Any]:
    return {"wait": "final", "timeoutMs": timeout_ms}


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
