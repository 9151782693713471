"""The table of all methods. A later module adds its handlers under `rpc/namespaces/` and its lines here."""

from typing import Any, Final

from rpc import models
from rpc.errors import EXECUTION_KINDS, REJECTION_KINDS
from rpc.method import Method, Place, build_table
from rpc.namespaces import account, chain, contract, dev, did, gov, module, network, node, staking, sub, tx
from rpc.openrpc import build_openrpc
from rpc.session import Session

_AT: Final = ("PRUNED", "NODE_BEHIND")
_REJECTIONS: Final = tuple(kind.reason for kind in REJECTION_KINDS)
_EXECUTIONS: Final = tuple(kind.reason for kind in EXECUTION_KINDS)
_OFF: Final = ("METHOD_DISABLED",)


models.build_models()


def discover(_: Session, __: models.NoParams) -> dict[str, Any]:
    """This document: every method with its parameters, result and errors (OpenRPC)."""
    return build_openrpc(METHODS)


METHODS: Final = build_table(
    (
        Method("rpc.discover", models.NoParams, dict[str, Any], discover, Place.THREAD),
        Method("node_info", models.NoParams, models.NodeInfo, node.get_info, Place.LOOP),
        Method("node_status", models.NoParams, models.NodeStatus, node.get_status, Place.LOOP),
        Method("node_peers", models.NoParams, models.Peers, node.get_peers, Place.LOOP),
        Method("chain_id", models.NoParams, models.ChainIdentity, chain.get_id, Place.LOOP),
        Method("chain_head", models.NoParams, models.Head, chain.get_head, Place.LOOP),
        Method("chain_genesis", models.NoParams, models.Genesis, chain.get_genesis, Place.THREAD),
        Method("chain_params", models.AtParams, models.ChainParameters, chain.get_params, Place.LOOP_AT_HEAD, _AT),
        Method(
            "chain_getBlock",
            models.GetBlockParams,
            models.BlockView,
            chain.get_block,
            Place.THREAD,
            ("NOT_FOUND", *_AT),
        ),
        Method("chain_getBlocks", models.GetBlocksParams, models.Blocks, chain.get_blocks, Place.THREAD, _AT),
        Method("chain_getResults", models.HeightParams, models.BlockResults, chain.get_results, Place.THREAD, _AT),
        Method("chain_getCommit", models.HeightParams, models.Commit, chain.get_commit, Place.THREAD, _AT),
        Method("chain_getCommittee", models.AtParams, models.CommitteeView, chain.get_committee, Place.THREAD, _AT),
        Method(
            "chain_getTransaction",
            models.TransactionIdParams,
            models.TransactionResult,
            chain.get_transaction,
            Place.AWAITED,
            ("NOT_FOUND", "PRUNED"),
        ),
        Method(
            "chain_getProof",
            models.GetProofParams,
            models.ProofResult,
            chain.get_proof,
            Place.AWAITED,
            (*_AT, "NOT_READY"),
        ),
        Method(
            "chain_getReceiptProof",
            models.TransactionIdParams,
            models.ReceiptProofResult,
            chain.get_receipt_proof,
            Place.AWAITED,
            ("NOT_FOUND", "PRUNED", "NOT_READY"),
        ),
        Method(
            "chain_getCommitteeChanges",
            models.CommitteeChangesParams,
            models.CommitteeChanges,
            chain.get_committee_changes,
            Place.THREAD,
        ),
        Method(
            "tx_send",
            models.SendParams,
            models.SendResult,
            tx.send,
            Place.SUBMIT,
            (*_REJECTIONS, "NODE_SYNCING", "NOT_READY"),
        ),
        Method(
            "tx_simulate",
            models.SimulateParams,
            models.SimulateResult,
            tx.simulate,
            Place.THREAD,
            (*_AT, *_REJECTIONS, *_EXECUTIONS),
        ),
        Method(
            "tx_estimate",
            models.RawParams,
            models.Estimate,
            tx.estimate,
            Place.THREAD,
            (*_REJECTIONS, *_EXECUTIONS),
        ),
        Method("tx_decode", models.RawParams, models.TransactionView, tx.decode, Place.LOOP, ("DECODE",)),
        Method("tx_status", models.TransactionIdParams, models.StatusResult, tx.get_status, Place.LOOP),
        Method(
            "tx_pending",
            models.PendingParams,
            models.PendingResult,
            tx.get_pending,
            Place.LOOP,
            ("BAD_ADDRESS", "BAD_CURSOR"),
        ),
        Method(
            "account_get",
            models.AddressAtParams,
            models.AccountResult,
            account.get_account,
            Place.LOOP_AT_HEAD,
            ("BAD_ADDRESS", *_AT),
        ),
        Method(
            "account_history",
            models.HistoryParams,
            models.HistoryResult,
            account.get_history,
            Place.THREAD,
            ("BAD_ADDRESS", "BAD_CURSOR", "PRUNED"),
        ),
        Method("iov_supply", models.AtParams, models.SupplyResult, account.get_supply, Place.LOOP_AT_HEAD, _AT),
        Method(
            "iov_balance",
            models.AddressAtParams,
            models.BalanceResult,
            account.get_balance,
            Place.LOOP_AT_HEAD,
            ("BAD_ADDRESS", *_AT),
        ),
        Method(
            "staking_candidates",
            models.CandidatesParams,
            models.Candidates,
            staking.list_candidates,
            Place.THREAD,
            ("BAD_CURSOR", *_AT),
        ),
        Method(
            "staking_delegations",
            models.AddressAtParams,
            models.DelegationsResult,
            staking.list_delegations,
            Place.THREAD,
            ("BAD_ADDRESS", *_AT),
        ),
        Method(
            "staking_epoch",
            models.EpochParams,
            models.EpochResult,
            staking.get_epoch_result,
            Place.THREAD,
            ("NOT_FOUND",),
        ),
        Method(
            "gov_proposals",
            models.ProposalsParams,
            models.Proposals,
            gov.list_proposals,
            Place.THREAD,
            ("NOT_FOUND", "BAD_CURSOR", *_AT),
        ),
        Method("gov_params", models.AtParams, models.GovParameters, gov.list_parameters, Place.LOOP_AT_HEAD, _AT),
        Method("gov_treasury", models.AtParams, models.TreasuryResult, gov.get_treasury, Place.LOOP_AT_HEAD, _AT),
        Method(
            "network_nodes",
            models.NodesParams,
            models.Nodes,
            network.list_nodes,
            Place.THREAD,
            ("BAD_CURSOR", *_AT),
        ),
        Method(
            "contract_call",
            models.ContractCallParams,
            models.ContractCallResult,
            contract.call,
            Place.THREAD,
            ("BAD_ADDRESS", "NOT_FOUND", *_AT, *_EXECUTIONS),
        ),
        Method(
            "contract_get",
            models.AddressAtParams,
            models.ContractResult,
            contract.get_contract,
            Place.THREAD,
            ("BAD_ADDRESS", "NOT_FOUND", *_AT),
        ),
        Method(
            "contract_code",
            models.CodeParams,
            models.CodeResult,
            contract.get_code,
            Place.THREAD,
            ("NOT_FOUND",),
        ),
        Method(
            "contract_storage",
            models.ContractStorageParams,
            models.ContractStorageResult,
            contract.get_storage,
            Place.THREAD,
            ("BAD_ADDRESS", "NOT_FOUND", *_AT),
        ),
        Method(
            "contract_events",
            models.ContractEventsParams,
            models.ContractEvents,
            contract.list_events,
            Place.THREAD,
            ("BAD_ADDRESS", "BAD_CURSOR", "PRUNED"),
        ),
        Method(
            "did_resolve",
            models.DidResolveParams,
            models.DidResolution,
            did.resolve,
            Place.THREAD,
            ("BAD_DID", "DID_NOT_FOUND"),
        ),
        Method(
            "did_history",
            models.DidHistoryParams,
            models.DidHistory,
            did.get_history,
            Place.THREAD,
            ("BAD_DID", "BAD_CURSOR", "DID_NOT_FOUND"),
        ),
        Method(
            "did_requests",
            models.DidRequestsParams,
            models.DidRequests,
            did.list_attribute_requests,
            Place.THREAD,
            ("BAD_DID", "BAD_CURSOR", "DID_NOT_FOUND"),
        ),
        Method("module_list", models.NoParams, models.Modules, module.list_modules, Place.LOOP),
        Method(
            "module_describe",
            models.ModuleParams,
            models.ModuleDescription,
            module.describe,
            Place.LOOP,
            ("NOT_FOUND",),
        ),
        Method(
            "module_view",
            models.ViewParams,
            models.ViewResult,
            module.view,
            Place.THREAD,
            ("NOT_FOUND", *_AT, *_EXECUTIONS),
        ),
        Method(
            "sub_subscribe",
            models.SubscribeParams,
            models.SubscribeResult,
            sub.subscribe,
            Place.AWAITED,
            ("BAD_ADDRESS", "BAD_DID", "BAD_CURSOR", "PRUNED", "SLOW_CONSUMER", *_OFF),
        ),
        Method(
            "sub_unsubscribe",
            models.UnsubscribeParams,
            models.Done,
            sub.unsubscribe,
            Place.AWAITED,
            ("NOT_FOUND", *_OFF),
        ),
        Method("dev_accounts", models.NoParams, models.DevAccounts, dev.list_accounts, Place.AWAITED, _OFF),
        Method(
            "dev_fund",
            models.FundParams,
            models.StatusResult,
            dev.fund,
            Place.AWAITED,
            ("BAD_ADDRESS", *_OFF),
        ),
        Method("dev_mine", models.MineParams, models.Head, dev.mine, Place.AWAITED, _OFF),
        Method("dev_setTime", models.SetTimeParams, models.Head, dev.set_time, Place.AWAITED, _OFF),
        Method("dev_advanceEpoch", models.NoParams, models.Head, dev.advance_epoch, Place.AWAITED, _OFF),
        Method("dev_crash", models.DevNodeParams, models.Done, dev.crash, Place.AWAITED, _OFF),
        Method("dev_restart", models.DevNodeParams, models.Done, dev.restart, Place.AWAITED, _OFF),
        Method("dev_partition", models.PartitionParams, models.Done, dev.partition, Place.AWAITED, _OFF),
        Method("dev_heal", models.NoParams, models.Done, dev.heal, Place.AWAITED, _OFF),
        Method("dev_snapshot", models.NoParams, models.SnapshotResult, dev.take_snapshot, Place.AWAITED, _OFF),
        Method("dev_revert", models.RevertParams, models.Head, dev.revert, Place.AWAITED, ("NOT_FOUND", *_OFF)),
    )
)
