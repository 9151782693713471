"""What the operators' port shows of the running node."""

import resource
from collections.abc import Callable
from dataclasses import dataclass

from consensus.core import Core
from ledger.chain import Chain
from ledger.mempool import Mempool
from ledger.receipt import Status
from node.backend import VERSION
from node.consensus_driver import ConsensusDriver
from node.evidence_pool import EvidencePool
from node.execution import CommittedBlock
from node.ops import Measure
from node.space import DiskSpace
from node.watchdog import Watchdog
from p2p.network import Network


@dataclass(slots=True)
class NodeMetrics:
    """Implements node.ops.OpsSource."""

    chain_id: str
    genesis_hash: str
    chain: Chain
    core: Core
    driver: ConsensusDriver
    mempool: Mempool
    evidence: EvidencePool
    network: Network
    space: DiskSpace
    watchdog: Watchdog
    get_target_height: Callable[[], int]
    peers_needed: Callable[[], int]
    """Connected super nodes without which no block can come."""
    transactions_final: int = 0
    transactions_failed: int = 0
    execution_seconds: float = 0.0

    def on_block(self, committed: CommittedBlock) -> None:
        """Execution listener."""
        self.transactions_final += sum(receipt.status is not Status.SKIPPED for receipt in committed.receipts)
        self.transactions_failed += sum(receipt.status is Status.FAILED for receipt in committed.receipts)
        self.execution_seconds += committed.executed_ms / 1000

    def why_not_ready(self) -> str | None:
        """One sentence, or None while the node is in step with the chain."""
        if self.space.is_waiting:
            return "the disk is full"
        behind = self.get_target_height() - self.chain.head.header.height
        if behind > 1:
            return f"catching up: {behind} blocks behind"
        peers, needed = len(self.network.list_peers()), self.peers_needed()
        if peers < needed:
            return f"connected to {peers} peers, {needed} are needed to finalise blocks"
        return self.watchdog.explain_waiting()

    def get_version(self) -> dict[str, str | int]:
        """Version, chain id, genesis hash."""
        return {"version": VERSION, "chainId": self.chain_id, "genesisHash": "0x" + self.genesis_hash}

    def list_measures(self) -> list[Measure]:
        """Current values of all metrics."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        counters = self.network.counters
        measures = [
            Measure("height", "Height of the last final block.", self.chain.head.header.height),
            Measure("target_height", "Highest final height that a peer claims.", self.get_target_height()),
            Measure("round", "Round of the height being decided.", self.core.round),
            Measure("silence_seconds", "How long work has waited for a block.", self.watchdog.silent_seconds),
            Measure("mempool_transactions", "Transactions waiting.", len(self.mempool)),
            Measure("mempool_bytes", "Bytes of transactions waiting.", self.mempool.total_bytes),
            Measure("peers", "Connected peers.", len(self.network.list_peers())),
            Measure("disk_full", "1 while the node waits for free space.", int(self.space.is_waiting)),
            Measure("memory_bytes_max", "Largest resident memory so far.", usage.ru_maxrss * 1024),
            Measure("cpu_seconds", "Processor time used.", usage.ru_utime + usage.ru_stime, is_counter=True),
            Measure("transactions_final", "Transactions in blocks.", self.transactions_final, is_counter=True),
            Measure("transactions_failed", "Transactions that failed.", self.transactions_failed, is_counter=True),
            Measure("execution_seconds", "Time spent executing blocks.", self.execution_seconds, is_counter=True),
            Measure(
                "events_dropped", "Consensus events lost to a full queue.", self.driver.dropped_events, is_counter=True
            ),
            Measure("offences_seen", "Proofs of double signing seen.", self.evidence.offences_seen, is_counter=True),
            Measure("evidence_waiting", "Proofs that wait for a block.", len(self.evidence)),
            Measure("peer_bans", "Peers banned.", counters.bans, is_counter=True),
        ]
        measures += [
            Measure(
                "consensus_ignored",
                "Events that changed nothing.",
                count,
                is_counter=True,
                labels=(("reason", reason),),
            )
            for reason, count in sorted(self.core.ignored_counts.items())
        ]
        return measures
