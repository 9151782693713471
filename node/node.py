"""The composition root: opens what is on disk, builds every part, wires them, and runs them in one task group."""

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from consensus.committee import quorum
from consensus.core import Core
from consensus.effects import Effect
from consensus.height import format_waiting
from consensus.light import parse_checkpoint
from consensus.log import LogDamage, LogRecord, decode_records, encode_record
from consensus.messages import RoundSummary
from consensus.replay import replay
from consensus.safety import NOTHING_SIGNED, SafetyState, decode_safety
from genesis.build import compute_genesis_hash, initialise_chain
from genesis.document import GenesisDocument, GenesisError, parse_genesis
from identity.address import NetworkKind
from identity.library_check import UnsuitableLibraryError, check_signature_libraries
from identity.signing import compute_signing_domain
from ledger.block import Header
from ledger.chain import Chain, UnknownFormatError, clear_unfinished, is_initialised
from ledger.codec import DecodeError
from ledger.memory_store import MemoryStore
from ledger.mempool import Mempool, MempoolLimits
from ledger.primitives import HASH_BYTES, BlockHash, ChainId, NodeKey, Signature
from ledger.reasons import Reason
from ledger.receipt import Status as ReceiptStatus
from ledger.state_keys import Table
from ledger.transaction import Transaction
from node.backend import NodeBackend, NodeParts
from node.block_assembly import BlockAssembly
from node.block_sync import BlockSync
from node.clock import Clock
from node.collector import calm_collector
from node.config import NodeConfig
from node.consensus_driver import ConsensusDriver, build_height_started
from node.consensus_key import build_sign_hello, open_consensus_signer
from node.contract_stack import ContractStack
from node.dev_control import ControlAddress, find_control_address, run_control_client
from node.dev_methods import DevMethods
from node.divergence import DivergenceFinder
from node.engine_check import check_engine
from node.errors import ConfigurationError
from node.evidence_pool import EvidencePool
from node.execution import CommittedBlock, Execution, FinalityWaiters
from node.history_indexer import HistoryIndexer
from node.home import Home
from node.intake import Intake
from node.key_files import NODE_KEY_FILE, PIN_VARIABLE, KeyFileError, load_ed25519_key_file
from node.leveldb_store import LevelDbStore
from node.logs import get_logger
from node.mempool_journal import MempoolJournal
from node.messages import Status
from node.metrics import NodeMetrics
from node.ops import OpsServer
from node.peer_exchange import PeerExchange
from node.proposed_blocks import ProposedBlocks
from node.pruning import Pruner, build_rules
from node.safety_file import SafetyFile, SafetyFileError
from node.signer import ConsensusSigner
from node.snapshot_phase import SnapshotExchange, SnapshotOps
from node.snapshot_server import SnapshotServer
from node.snapshot_sync import SnapshotSync
from node.space import DiskSpace
from node.state_views import StateViews
from node.verifier import Verifier
from node.watchdog import Watchdog
from node.write_ahead_log import LogDamagedError, WriteAheadLog
from p2p.addresses import PeerAddress, parse_peer_address
from p2p.hello import HelloFacts
from p2p.network import Network, NetworkHandler
from p2p.settings import NetworkSettings
from rpc.server import RpcServer
from rpc.settings import RpcSettings
from vm.contracts.runtime import build_runtime
from vm.native.network import NodeRole, RegisteredNode, get_nodes
from vm.proposal import get_next_block_rules

RULE_TABLES: Final = frozenset((Table.PARAMETERS, Table.PAUSE))
"""A change of these has everything looked at again that waits. A free quota reads more tables: what it no longer allows
is skipped in its turn, and few of each identity wait."""
STATUS_INTERVAL_S: Final = 5.0
GOSSIP_REPEAT_S: Final = 5.0
GOSSIP_REPEAT_TRANSACTIONS_MAX: Final = 2_000  # the oldest; what peers know already costs them a hash each


@dataclass(frozen=True, slots=True)
class _Keys:
    node_secret: bytes
    signer: ConsensusSigner | None


async def run_node(home: Home, config: NodeConfig, stop: asyncio.Event) -> None:
    """Run one node until `stop` is set; raises ConfigurationError when it cannot start."""
    async with AsyncExitStack() as stack:
        node = await _open_node(home, config, stack, stop)
        if node is not None:
            await node.run(stop)


class Node:
    """Everything that runs, and how it is connected."""

    _exchange: PeerExchange
    _network: Network
    _driver: ConsensusDriver

    def __init__(
        self,
        config: NodeConfig,
        document: GenesisDocument,
        home: Home,
        keys: _Keys,
        store: LevelDbStore,
        log: WriteAheadLog[LogRecord],
        safety_file: SafetyFile | None,
        verifier: Verifier,
        supervisor: ControlAddress | None,
    ) -> None:
        self._config = config
        self._logger = get_logger("node")
        self._supervisor = supervisor
        self._clock = Clock()
        self._store = store
        self._log = log
        self._keys = keys
        self._genesis_hash = compute_genesis_hash(document)
        self._domain = compute_signing_domain(document.chain_id, self._genesis_hash)
        self._document = document
        self._blocked: frozenset[NodeKey] = frozenset()

        self._chain = Chain(store)
        self._views = StateViews(self._chain)
        limits = MempoolLimits(transactions_max=config.mempool_transactions_max, bytes_max=config.mempool_bytes_max)
        self._mempool = Mempool(limits, self._chain.head.header.height)
        self._journal = MempoolJournal(home.data.parent / "mempool" / "journal")
        self._indexer = HistoryIndexer(self._chain, get_logger("history"))
        self._space = DiskSpace(home.directory, config.storage_free_bytes_min, get_logger("disk"))
        self._waiters = FinalityWaiters()
        self._divergence = DivergenceFinder(
            self._chain,
            lambda: self._exchange.list_peers(),
            lambda peer, kind, message: self._exchange.send_state_message(peer, kind, message),
            get_logger("execution"),
        )
        self._snapshots = SnapshotServer(
            self._chain,
            self._views,
            self._clock,
            lambda peer, kind, message: self._exchange.send_state_message(peer, kind, message),
            get_logger("sync"),
        )
        self._execution = Execution(self._chain, self._domain, get_logger("execution"), self._divergence.explain)
        self._intake = Intake(
            self._chain,
            self._mempool,
            self._journal,
            verifier,
            self._domain,
            self._clock.get_wall_ms,
            find_final=lambda transaction_id: self._indexer.find(transaction_id) is not None,
            on_waiting=self._on_waiting,
            on_admitted=lambda transactions: self._exchange.gossip(transactions),
        )
        self._assembly = BlockAssembly(
            self._chain,
            self._mempool,
            self._intake,
            self._domain,
            ProposedBlocks(home.log / "blocks"),
            lambda peer, names: self._exchange.request_transactions(peer, names),
            get_logger("consensus"),
        )
        self._sync = BlockSync(
            self._chain,
            self._intake,
            self._domain,
            self._clock,
            lambda peer, request: self._exchange.request_blocks(peer, request),
            lambda peer, points, reason: self._network.penalise(peer, points, reason),
            lambda certified, block: self._driver.commit_synced(certified, block),
            get_logger("sync"),
        )
        self._evidence = EvidencePool(self._chain, self._domain, self._on_evidence, get_logger("consensus"))
        self._pruner = Pruner(
            self._chain, build_rules(config), self._clock, self._sync.list_peer_heights, get_logger("pruning")
        )
        self._exchange = PeerExchange(
            self._intake,
            self._assembly,
            self._sync,
            self._clock,
            post_consensus=lambda event: self._driver.post_from_peer(event),
            get_status=self._get_status,
            get_summary=self._get_summary,
            evidence=self._evidence,
            serve_state=self._snapshots.received,
            take_state_answer=self._divergence.received,
            logger=get_logger("p2p"),
        )
        self._core = Core(
            self._domain, None if keys.signer is None else keys.signer.public_key, _load_safety(safety_file)
        )
        self._driver = ConsensusDriver(
            self._core,
            self._chain,
            self._execution,
            self._assembly,
            self._mempool,
            self._evidence,
            log,
            safety_file,
            keys.signer,
            self._exchange,
            self._space,
            self._reopen_store,
            self._clock,
            get_logger("consensus"),
            is_mining_shared=config.dev_enabled,
        )
        self._network = self._build_network()
        self._exchange.attach(self._network)
        self._watchdog = Watchdog(
            self._driver.has_work, self._explain_waiting, config.ops_ready_silence_ms, self._clock, self._logger
        )
        self._backend, self._dev = self._build_backend()
        self._metrics = NodeMetrics(
            document.chain_id,
            self._genesis_hash.hex(),
            self._chain,
            self._core,
            self._driver,
            self._mempool,
            self._evidence,
            self._network,
            self._space,
            self._watchdog,
            get_target_height=lambda: self._sync.target_height,
            peers_needed=self._count_peers_needed,
        )
        for listener in (
            self._on_block,
            self._evidence.on_block,
            self._sync.on_block,
            self._watchdog.on_block,
            self._metrics.on_block,
            self._waiters.on_block,
            self._backend.on_block,
        ):
            self._execution.add_listener(listener)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until told to stop; a part that fails ends them all."""
        calm_collector()
        effects = self._recover()
        await self._load_journal()
        async with AsyncExitStack() as stack:
            await self._start_servers(stack)
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._network.run()),
                    tasks.create_task(self._driver.run(effects)),
                    tasks.create_task(self._sync.run()),
                    tasks.create_task(self._snapshots.run()),
                    tasks.create_task(self._indexer.run()),
                    tasks.create_task(self._pruner.run()),
                    tasks.create_task(self._watchdog.run()),
                    tasks.create_task(self._repeat_status()),
                    tasks.create_task(self._repeat_gossip()),
                ]
                if self._supervisor is not None:
                    running.append(tasks.create_task(self._follow_supervisor(self._supervisor)))
                self._logger.info("running", height=self._chain.head.header.height, node=self._network.key.hex())
                tasks.create_task(_cancel_when(stop, running))
        self._views.close()
        self._journal.close()
        self._logger.info("stopped", height=self._chain.head.header.height)

    # Starting

    def _recover(self) -> list[Effect]:
        """Tell the core where it stands and let it hear its log again."""
        rules = get_next_block_rules(self._chain.head, self._chain.open_state())
        started = build_height_started(rules)
        records = self._log.records if self._log.height == started.height else ()
        self._log.begin_height(started.height)
        effects = self._core.handle(started)
        if not records:
            return effects
        self._log.sync()
        resumed = replay(self._core, records)
        return [effect for effect in effects if self._core.is_due(effect)] + resumed

    async def _load_journal(self) -> None:
        raws = self._journal.load()
        if raws:
            for start in range(0, len(raws), 1_000):
                await self._intake.restore_many(raws[start : start + 1_000])
            self._logger.info("transactions from before the restart", waiting=len(self._mempool), journaled=len(raws))
            self._journal.rewrite(transaction.raw for transaction in self._mempool)

    async def _start_servers(self, stack: AsyncExitStack) -> None:
        config = self._config
        server = RpcServer(self._backend, _build_rpc_settings(config))
        operations = OpsServer(self._metrics, config.ops_host, config.ops_port)
        await _open_ports(stack, server, operations, self._network)

    def _build_network(self) -> Network:
        network = _build_network(self._config, self._keys, self._get_hello_facts, self._exchange, self._clock)
        self._apply_registry(network)
        return network

    def _build_backend(self) -> tuple[NodeBackend, DevMethods | None]:
        dev = None
        if self._config.dev_enabled:
            dev = DevMethods(self._domain, self._supervisor, self._driver.mine)
        parts = NodeParts(
            self._config,
            self._document,
            self._genesis_hash,
            self._domain,
            self._chain,
            self._views,
            self._mempool,
            self._intake,
            self._waiters,
            self._indexer,
            self._network,
            None if self._keys.signer is None else self._keys.signer.public_key,
            get_target_height=lambda: self._sync.target_height,
            get_peer_height=self._sync.get_peer_height,
            explain_waiting=self._watchdog.explain_waiting,
            contracts=build_runtime(
                self._chain.head.header.chain_id, ContractStack().run
            ),  # blocks have one of their own
        )
        backend = NodeBackend(parts, dev)
        if dev is not None:
            dev.attach(backend)
        return backend, dev

    # What happens while running

    def _on_block(self, committed: CommittedBlock) -> None:
        """First of the listeners: mempool, views, index, peers."""
        header = committed.certified.block.header
        skipped = {each.transaction_id for each in committed.receipts if each.status is ReceiptStatus.SKIPPED}
        self._mempool.remove_included(header.height, _list_settled(committed), self._intake, skipped)
        self._journal.rewrite_when_long(self._mempool.total_bytes, (transaction.raw for transaction in self._mempool))
        if not committed.changed_tables.isdisjoint(RULE_TABLES):
            self._intake.drop_refused()
        self._views.add_head()
        self._indexer.add_block(header.height, committed.transactions, committed.receipts)
        if Table.NODE in committed.changed_tables:
            self._apply_registry(self._network)
        self._exchange.broadcast_status()

    def _on_waiting(self, transactions: list[Transaction]) -> None:
        self._assembly.on_transactions(transactions)
        self._driver.on_work()
        self._backend.on_waiting(transactions)

    def _on_evidence(self, encoded: bytes) -> None:
        self._exchange.broadcast_evidence(encoded)
        self._driver.on_work()

    def _reopen_store(self) -> None:
        """After a failed write: nothing in memory is believed any more."""
        self._store.reopen()
        self._chain.reload()
        self._views.restart()

    def _apply_registry(self, network: Network) -> None:
        """The allow-list and the addresses to dial follow the chain's registry, plus what the operator configured."""
        with self._views.open(None) as view:
            nodes = get_nodes(view)
        _set_peers(network, nodes, self._config, self._blocked)

    async def _repeat_status(self) -> None:
        """A lost status must not leave a peer believing that we are behind."""
        while True:
            await asyncio.sleep(STATUS_INTERVAL_S)
            self._exchange.broadcast_status()

    async def _repeat_gossip(self) -> None:
        """What has waited for long may be known here alone: no peer was there, or no room, when it was sent."""
        seen = {transaction.envelope_hash for transaction in self._mempool}  # from before the restart
        while True:
            await asyncio.sleep(GOSSIP_REPEAT_S)
            oldest = list(islice(self._mempool, GOSSIP_REPEAT_TRANSACTIONS_MAX))
            self._exchange.gossip([transaction for transaction in oldest if transaction.envelope_hash in seen])
            seen = {transaction.envelope_hash for transaction in oldest}

    async def _follow_supervisor(self, supervisor: ControlAddress) -> None:
        async def obey(command: Mapping[str, Any]) -> None:
            if "partition" in command:
                self._blocked = frozenset(NodeKey(bytes.fromhex(key)) for key in command["partition"])
                self._apply_registry(self._network)
            if "clock_offset_ms" in command:
                self._clock.offset_ms = int(command["clock_offset_ms"])

        await run_control_client(supervisor.socket_path, supervisor.index, obey)

    # What others ask

    def _get_status(self) -> Status:
        return Status(self._chain.head.header.height, self._chain.earliest_height)

    def _get_summary(self) -> RoundSummary | None:
        return self._core.get_summary()

    def _get_hello_facts(self) -> HelloFacts:
        return _build_hello_facts(self._chain.head.header, self._genesis_hash, self._keys)

    def _explain_waiting(self) -> str | None:
        waiting = self._core.explain_waiting()
        return None if waiting is None else format_waiting(waiting)

    def _count_peers_needed(self) -> int:
        """Members besides this node that a quorum takes."""
        committee = self._chain.get_committee(self._chain.head.header.next_committee_hash)
        assert committee is not None, "the next committee is stored"
        is_member = self._keys.signer is not None and committee.find(self._keys.signer.public_key) is not None
        return quorum(len(committee.members)) - is_member if is_member else 1


async def _open_node(home: Home, config: NodeConfig, stack: AsyncExitStack, stop: asyncio.Event) -> Node | None:
    """Open what is on disk, each refused with one sentence when it cannot be used; None when told to stop meanwhile."""
    engine_check = asyncio.create_task(check_engine())  # takes a while, in a process of its own
    stack.push_async_callback(_end_check, engine_check)
    try:
        check_signature_libraries()
    except UnsuitableLibraryError as error:
        raise ConfigurationError(str(error)) from None
    document = _load_genesis(home)
    if config.dev_enabled and document.network_kind is not NetworkKind.DEVNET:
        raise ConfigurationError(f"dev_enabled is for devnets; this chain is a {document.network}: switch it off")
    closing = stack.enter_context(ExitStack())
    keys = _load_keys(home, config, document, closing)
    safety_file = None
    if keys.signer is not None:
        safety_file = _open_safety(home)
        stack.callback(safety_file.close)
        if safety_file.warning is not None:
            get_logger("node").warning("the safety state was repaired", detail=safety_file.warning)
    store = LevelDbStore(home.data)
    stack.callback(store.close)
    if not is_initialised(store):
        clear_unfinished(store)
        if config.sync_snapshot:
            await _fetch_snapshot(home, config, document, keys, store, stop)
            if stop.is_set():
                return None
    _check_store(store, document)
    try:
        log = WriteAheadLog(home.log, encode_record, decode_records, LogDamage.TORN_TAIL)
    except LogDamagedError as error:
        raise ConfigurationError(str(error)) from None
    stack.callback(log.close)
    if log.warning is not None:
        get_logger("node").warning("the consensus log was repaired", detail=log.warning)
    processes = None if config.verify_processes < 0 else config.verify_processes
    verifier = Verifier(processes, report=lambda line: get_logger("verify").warning(line))
    await stack.enter_async_context(verifier)
    supervisor = find_control_address(os.environ) if config.dev_enabled else None
    await engine_check
    return Node(config, document, home, keys, store, log, safety_file, verifier, supervisor)


async def _end_check(engine_check: "asyncio.Task[None]") -> None:
    """When the node does not start for another reason, its engine's child process must not stay behind."""
    engine_check.cancel()
    await asyncio.wait([engine_check])


def _load_genesis(home: Home) -> GenesisDocument:
    try:
        return parse_genesis(home.genesis_file.read_bytes())
    except FileNotFoundError:
        raise ConfigurationError(
            f"{home.genesis_file} is missing: copy the network's genesis file there, or make one with carlive genesis"
        ) from None
    except GenesisError as error:
        raise ConfigurationError(f"{home.genesis_file}: {error}") from None


def _load_keys(home: Home, config: NodeConfig, document: GenesisDocument, closing: ExitStack) -> _Keys:
    try:
        secret = load_ed25519_key_file(home.keys / NODE_KEY_FILE).secret
    except KeyFileError as error:
        raise ConfigurationError(str(error)) from None
    chain_id, genesis_hash = ChainId(document.chain_id), compute_genesis_hash(document)
    pin = os.environ.get(PIN_VARIABLE)
    return _Keys(secret, open_consensus_signer(home, config, secret, chain_id, genesis_hash, pin, closing))


def _open_safety(home: Home) -> SafetyFile:
    try:
        return SafetyFile(home.safety)
    except SafetyFileError as error:
        raise ConfigurationError(str(error)) from None


def _check_store(store: LevelDbStore, document: GenesisDocument) -> None:
    """Fill an empty store from genesis; refuse one of another chain or format."""
    if not is_initialised(store):
        clear_unfinished(store)
        initialise_chain(store, document)
    try:
        certified = Chain(store).get_block(0)
    except UnknownFormatError as error:
        raise ConfigurationError(f"data/: {error}: install that version, or move data/ away and sync again") from None
    assert certified is not None, "block 0 is stored with the first state"
    if certified.block.header.hash != compute_genesis_hash(document):
        raise ConfigurationError(
            "data/ belongs to another chain than genesis.json: restore the right genesis file, or move data/ away"
        )


def _load_safety(safety_file: SafetyFile | None) -> SafetyState:
    encoded = None if safety_file is None else safety_file.load()
    if not encoded:
        return NOTHING_SIGNED
    try:
        return decode_safety(encoded)
    except DecodeError as error:
        raise ConfigurationError(f"safety/: {error}; see 'The safety directory' in docs/keys.md") from None


def _parse_peers(peers: tuple[str, ...]) -> dict[NodeKey, PeerAddress]:
    parsed = {}
    for text in peers:
        key, separator, address = text.partition("@")
        try:
            if not separator or len(bytes.fromhex(key)) != HASH_BYTES:
                raise ValueError("the part before @ is the peer's node key, 64 hexadecimal digits")
            parsed[NodeKey(bytes.fromhex(key))] = parse_peer_address(address)
        except ValueError as error:
            raise ConfigurationError(f"p2p_peers: {text!r} is not NODEKEY@host:port ({error})") from None
    return parsed


def _list_settled(committed: CommittedBlock) -> list[Transaction]:
    """All but those that a proposer put into the block before their turn: they still wait for it."""
    return [
        transaction
        for transaction, receipt in zip(committed.transactions, committed.receipts, strict=True)
        if receipt.reason != Reason.SEQUENCE_TOO_HIGH
    ]


def _build_network(
    config: NodeConfig, keys: _Keys, get_facts: Callable[[], HelloFacts], handler: NetworkHandler, clock: Clock
) -> Network:
    return Network(
        NetworkSettings(listen=PeerAddress(config.p2p_host, config.p2p_port), inbound_peers_max=config.p2p_inbound_max),
        keys.node_secret,
        get_facts,
        handler,
        clock.get_monotonic_s,
        random.Random(),  # noqa: S311  # spreads retries, keeps no secret
        get_logger("p2p"),
        sign_hello=None if keys.signer is None else build_sign_hello(keys.signer),
    )


def _build_hello_facts(head: Header, genesis_hash: BlockHash, keys: _Keys) -> HelloFacts:
    return HelloFacts(
        chain_id=head.chain_id,
        genesis_hash=genesis_hash,
        role=NodeRole.OBSERVER if keys.signer is None else NodeRole.SUPER_NODE,
        head_height=head.height,
        listen_address="",
        consensus_key=None if keys.signer is None else keys.signer.public_key,
    )


def _set_peers(
    network: Network, nodes: Sequence[RegisteredNode], config: NodeConfig, blocked: frozenset[NodeKey]
) -> None:
    network.set_allowed({node.key: Signature(node.certificate_signature) for node in nodes if node.key not in blocked})
    addresses: dict[NodeKey, list[PeerAddress]] = {
        node.key: [parse_peer_address(text) for text in node.addresses] for node in nodes
    }
    for key, address in _parse_peers(config.p2p_peers).items():
        addresses[key] = [address, *addresses.get(key, [])]
    network.set_addresses({key: tuple(dict.fromkeys(places)) for key, places in addresses.items()})


def _build_rpc_settings(config: NodeConfig) -> RpcSettings:
    return RpcSettings(
        host=config.rpc_host,
        port=config.rpc_port,
        host_names=config.rpc_allowed_hosts,
        cors_origins=config.rpc_allowed_origins,
        connections_max=config.rpc_connections_max,
        connections_per_address_max=config.rpc_connections_per_address_max,
        body_bytes_max=config.rpc_body_bytes_max,
        batch_calls_max=config.rpc_batch_calls_max,
        is_wallet_served=config.rpc_wallet_page,
    )


async def _open_ports(stack: AsyncExitStack, server: RpcServer, operations: OpsServer, network: Network) -> None:
    """Raises ConfigurationError when one cannot be had."""
    try:
        await server.start()
        stack.push_async_callback(server.stop)
        await operations.start()
        stack.push_async_callback(operations.stop)
        await network.listen()
    except OSError as error:
        raise ConfigurationError(f"a port cannot be opened ({error}): stop what uses it, or change it") from None


async def _fetch_snapshot(
    home: Home, config: NodeConfig, document: GenesisDocument, keys: _Keys, store: LevelDbStore, stop: asyncio.Event
) -> None:
    """Fill an empty store from peers, or leave it empty when the chain has just begun.

    Meanwhile clients see a node at genesis that is syncing. The network is a node's own, and is given back at the end.
    """
    clock = Clock()
    waiting_room = MemoryStore()
    initialise_chain(waiting_room, document)
    chain = Chain(waiting_room)
    genesis = chain.get_block(0)
    committee = chain.get_committee(chain.head.header.next_committee_hash)
    assert genesis is not None and committee is not None, "genesis is stored whole"
    genesis_hash = genesis.block.header.hash
    domain = compute_signing_domain(document.chain_id, genesis_hash)
    exchange = SnapshotExchange(len(committee.members))
    network = _build_network(
        config, keys, lambda: _build_hello_facts(chain.head.header, genesis_hash, keys), exchange, clock
    )
    views = StateViews(chain)
    with views.open(None) as view:
        nodes = get_nodes(view)
    if all(node.key == network.key for node in nodes):
        views.close()
        return  # there is nobody to ask
    _set_peers(network, nodes, config, frozenset())
    checkpoint = parse_checkpoint(config.sync_checkpoint) if config.sync_checkpoint else None
    sync = SnapshotSync(
        store, genesis, committee, domain, checkpoint, clock, exchange.send, network.penalise, get_logger("sync")
    )
    exchange.attach(network, sync)
    mempool = Mempool(MempoolLimits(), chain.head.header.height)
    journal = MempoolJournal(home.data.parent / "mempool" / "journal")
    indexer = HistoryIndexer(chain, get_logger("history"))
    intake = Intake(
        chain,
        mempool,
        journal,
        Verifier(0),
        domain,
        clock.get_wall_ms,
        find_final=lambda _: False,
        on_waiting=lambda _: None,
        on_admitted=lambda _: None,
    )
    parts = NodeParts(
        config,
        document,
        genesis_hash,
        domain,
        chain,
        views,
        mempool,
        intake,
        FinalityWaiters(),
        indexer,
        network,
        None if keys.signer is None else keys.signer.public_key,
        get_target_height=lambda: exchange.target_height,
        get_peer_height=exchange.get_peer_height,
        explain_waiting=lambda: None,
        is_downloading=True,
        get_snapshot_progress=lambda: sync.progress,
    )
    server = RpcServer(NodeBackend(parts, None), _build_rpc_settings(config))
    operations = OpsServer(SnapshotOps(document.chain_id, genesis_hash.hex(), sync), config.ops_host, config.ops_port)
    async with AsyncExitStack() as stack:
        stack.callback(views.close)
        stack.callback(journal.close)
        await _open_ports(stack, server, operations, network)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(network.run())
            downloading = tasks.create_task(sync.run())
            stopping = tasks.create_task(stop.wait())
            await asyncio.wait((downloading, stopping, serving), return_when=asyncio.FIRST_COMPLETED)
            for task in (serving, downloading, stopping):
                task.cancel()


async def _cancel_when(stop: asyncio.Event, running: list[asyncio.Task[None]]) -> None:
    await stop.wait()
    for task in running:
        task.cancel()
