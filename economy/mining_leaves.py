"""Hashes of a day's leaves and forces, shard by shard, in as many processes as a build may have threads."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context, parent_process
from pathlib import Path
from struct import Struct
from threading import Thread
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from economy.mining_layout import BATCH_ROWS, HASHES, RECORDS, WORK, get_hashes_file, get_shard_file, read_hashes
from economy.mining_lookup import hash_forces
from economy.mining_plan import BuildJob, Report
from economy.mining_queries import ACT
from economy.whole_files import put_content
from identity.mining_record import NO_TAG, TagKind, build_tag_prefix
from ledger.merkle import compute_root
from ledger.primitives import RootHash
from vm.native.mining_formulas import Epoch

_SHARD_HASHES: Final = "shard_hashes"
_SALT_DOMAIN: Final = b"carlive mining salt\0"
_COMMITMENT_DOMAIN: Final = b"carlive mining commitment\0"
_HASH_BLOCK_BYTES: Final = 64  # of SHA-256, to which HMAC fills up its key
_PLACE: Final = Struct(">BI32s32s32s32s")
_COMMITTED: Final = Struct(f">{len(_COMMITMENT_DOMAIN)}s32sI20s")
_LEAF: Final = Struct(f">x{_PLACE.size}s32s")
"""What the hashes of a leaf are over, as in identity/mining_record.py; the first byte of the last one is the tree's."""


@dataclass(frozen=True, slots=True)
class ShardHashes:
    """What binds a shard's files to the manifest."""

    root: RootHash
    """Of its records."""
    forces: bytes


def hash_shards(job: BuildJob, shards: int, report: Report) -> list[ShardHashes]:
    """Write hashes of all leaves, and return those of the shards."""
    for directory in (job.output / HASHES, job.output / WORK / _SHARD_HASHES):
        directory.mkdir(exist_ok=True)
    tasks = [(job.output, shard, job.epoch, job.master_key) for shard in range(shards)]
    tasks = [task for task in tasks if not _get_shard_hashes_file(job.output, task[1]).exists()]
    done = shards - len(tasks)
    if job.limits.threads == 1 or len(tasks) <= 1:
        for each in tasks:
            _hash_shard(each)
            done += 1
            report("leaves", done, shards)
    else:
        # Not forked: threads of an engine may have held locks.
        context = get_context("spawn")
        with ProcessPoolExecutor(job.limits.threads, mp_context=context, initializer=_end_with_parent) as pool:
            for _ in pool.map(_hash_shard, tasks):
                done += 1
                report("leaves", done, shards)
    pairs = [read_hashes(_get_shard_hashes_file(job.output, shard)) for shard in range(shards)]
    return [ShardHashes(RootHash(root), forces) for root, forces in pairs]


def _end_with_parent() -> None:
    """A worker whose build was killed would wait for ever, or write into the one that goes on."""
    parent = parent_process()
    assert parent is not None, "run by a pool"

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def _hash_shard(task: tuple[Path, int, Epoch, bytes]) -> None:
    """Write the hashes of a shard's leaves, and then its own, which say that they are there."""
    output, shard, epoch, master_key = task
    path = get_hashes_file(output, shard)
    if not path.exists():
        batches = pq.ParquetFile(get_shard_file(output / RECORDS, shard)).iter_batches(BATCH_ROWS)
        put_content(path, b"".join(digest for batch in batches for digest in hash_leaves(batch, epoch, master_key)))
    put_content(_get_shard_hashes_file(output, shard), compute_root(read_hashes(path)) + hash_forces(output, shard))


def hash_leaves(batch: pa.RecordBatch, epoch: Epoch, master_key: bytes) -> Iterator[bytes]:
    """The same as those of mining_lookup.open_record: without objects, and with what many leaves share hashed once.

    Records stand in the order of their users, who have one vehicle and one phone, mostly.
    """
    user_prefix, provider_prefix, vehicle_prefix, phone_prefix = (build_tag_prefix(kind, epoch) for kind in TagKind)
    # HMAC-SHA256 with all done that comes before the place.
    padded = master_key.ljust(_HASH_BLOCK_BYTES, b"\0")
    inner_start = sha256(bytes(byte ^ 0x36 for byte in padded) + _SALT_DOMAIN)
    outer_start = sha256(bytes(byte ^ 0x5C for byte in padded))
    last_did = last_vehicle = last_phone = b""
    user_tag: bytes = NO_TAG
    last_vehicle_tag: bytes = NO_TAG
    last_phone_tag: bytes = NO_TAG
    columns = [batch.column(name).to_pylist() for name in (*ACT, "count", "attester")]
    for did, behaviour, provider, vehicle, phone, count, attester in zip(*columns, strict=True):
        if did != last_did:
            last_did, user_tag = did, sha256(user_prefix + did).digest()
        if vehicle is not None and vehicle != last_vehicle:
            last_vehicle, last_vehicle_tag = vehicle, sha256(vehicle_prefix + vehicle).digest()
        if phone is not None and phone != last_phone:
            last_phone, last_phone_tag = phone, sha256(phone_prefix + phone).digest()
        place = _PLACE.pack(
            behaviour,
            epoch,
            user_tag,
            NO_TAG if provider is None else sha256(provider_prefix + provider).digest(),
            NO_TAG if vehicle is None else last_vehicle_tag,
            NO_TAG if phone is None else last_phone_tag,
        )
        inner, outer = inner_start.copy(), outer_start.copy()
        inner.update(place)
        outer.update(inner.digest())
        committed = _COMMITTED.pack(_COMMITMENT_DOMAIN, outer.digest(), count, attester)
        yield sha256(_LEAF.pack(place, sha256(committed).digest())).digest()


def _get_shard_hashes_file(output: Path, shard: int) -> Path:
    return output / WORK / _SHARD_HASHES / f"{shard:03}"
