"""Scenario `snapshot-sync`: download a state from one peer over the real code paths, bytes and stores, no sockets."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from bench.apply import Progress, fund_accounts, make_document
from bench.floor import measure_floor
from bench.report import Result
from consensus.messages import VoteKind, vote_signing_bytes
from genesis.build import build_committee, initialise_chain
from identity.address import Address
from identity.keys import KeyType, PrivateKey
from identity.signing import SigningDomain, compute_signing_domain
from ledger.block import Block, CertifiedBlock, CommitCertificate
from ledger.chain import Chain
from ledger.codec import decode, encode
from ledger.primitives import ConsensusKey, NodeKey, Round, Signature, TimeMs
from node.clock import Clock
from node.collector import calm_collector
from node.leveldb_store import LevelDbStore
from node.logs import get_logger
from node.messages import BlocksAnswer, BlocksRequest, MessageKind
from node.snapshot_server import SnapshotServer
from node.snapshot_sync import SnapshotSync
from node.state_views import StateViews
from vm.proposal import build_header, get_next_block_rules

ACCOUNTS = 1_000_000
SIGNER = PrivateKey(KeyType.ED25519, sha256(b"bench").digest())
SERVER, CLIENT = NodeKey(b"\x01" * 32), NodeKey(b"\x02" * 32)
_PROGRESS_S = 1.0


async def run_snapshot_sync(progress: Progress, accounts: int = ACCOUNTS) -> list[Result]:
    """How fast a node gets the state of 10^6 accounts; server and client share one core here."""
    floor = measure_floor()
    with tempfile.TemporaryDirectory(prefix="carlive-bench-") as directory:
        source, target = LevelDbStore(Path(directory) / "source"), LevelDbStore(Path(directory) / "target")
        try:
            domain = compute_signing_domain("bench", initialise_chain(source, make_document()).hash)
            chain = Chain(source)
            progress(f"funding {accounts:,} accounts")
            fund_accounts(chain, [Address(sha256(b"%d" % index).digest()[:20]) for index in range(accounts)])
            for _ in range(2):
                chain.commit(_build_signed_block(chain, domain), [], (), {})
            source.compact()
            calm_collector()
            seconds, received_bytes = await _download(chain, target, domain, progress)
            assert Chain(target).head.state_root == chain.head.state_root, "the state is the same"
        finally:
            source.close()
            target.close()
    rate = received_bytes / seconds / 1e6
    details = {"seconds": round(seconds, 1), "accounts/s": round(accounts / seconds), "MB": round(received_bytes / 1e6)}
    return [Result("snapshot-sync", rate, "MB/s", floor, None, details=details)]


async def _download(chain: Chain, store: LevelDbStore, domain: SigningDomain, progress: Progress) -> tuple[float, int]:
    clock, logger = Clock(), get_logger("bench")
    loop = asyncio.get_running_loop()
    received_bytes = 0

    def answer(_peer: NodeKey, kind: MessageKind, message: object) -> bool:
        nonlocal received_bytes
        payload = encode(message)
        received_bytes += len(payload)
        loop.call_soon(sync.received, SERVER, kind, payload)
        return True

    def ask(_peer: NodeKey, kind: MessageKind, message: object) -> bool:
        if kind is MessageKind.BLOCKS_REQUEST:
            height = decode(BlocksRequest, encode(message)).first_height
            encoded = chain.get_encoded_block(height)
            return answer(CLIENT, MessageKind.BLOCKS_ANSWER, BlocksAnswer(height, (encoded,) if encoded else ()))
        server.received(CLIENT, kind, encode(message))
        return True

    genesis = chain.get_block(0)
    assert genesis is not None, "genesis is kept"
    views = StateViews(chain)
    server = SnapshotServer(chain, views, clock, answer, logger)
    sync = SnapshotSync(
        store, genesis, build_committee(make_document()), domain, None, clock, ask, lambda *_: None, logger
    )
    sync.add_peer(SERVER)
    saying = asyncio.create_task(_say(sync, progress))
    started_s = time.perf_counter()
    is_done = await sync.run()
    seconds = time.perf_counter() - started_s
    saying.cancel()
    views.close()
    assert is_done, "the peer has a snapshot"
    return seconds, received_bytes


async def _say(sync: SnapshotSync, progress: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        if sync.progress is not None:
            progress(f"downloaded {sync.progress.keys_done:,} of about {sync.progress.keys_total:,} keys")


def _build_signed_block(chain: Chain, domain: SigningDomain) -> CertifiedBlock:
    rules = get_next_block_rules(chain.head, chain.open_state())
    key = ConsensusKey(SIGNER.public_key.key)
    header = build_header(rules, Round(0), TimeMs(chain.head.header.time_ms + 1), key, [])
    message = vote_signing_bytes(domain, VoteKind.PRECOMMIT, header.height, Round(0), header.hash)
    signatures = ((0, Signature(SIGNER.sign(message))),)
    return CertifiedBlock(Block(header, (), ()), CommitCertificate(header.height, Round(0), header.hash, signatures))
