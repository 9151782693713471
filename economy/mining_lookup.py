"""Reads a build of a day back: what it states, what an identity has in it, and the proof of a record."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from economy.mining_layout import (
    BATCH_ROWS,
    FORCES,
    MANIFEST_FILE,
    RECORDS,
    ROOTS_FILE,
    SHARDS_MAX,
    get_hashes_file,
    get_shard,
    get_shard_file,
    read_hashes,
)
from economy.mining_plan import BuildError
from economy.mining_queries import FORCE_COLUMNS
from identity.did import DID_BYTES, Did
from identity.mining_record import (
    MiningLeaf,
    RecordOpening,
    TagKind,
    compute_record_commitment,
    compute_tag,
    derive_record_salt,
    encode_place,
)
from ledger.codec import DecodeError, decode, encode
from ledger.merkle import InclusionPath, build_inclusion_path
from ledger.primitives import RootHash
from vm.native.mining_formulas import EPOCH_MAX, FORCE_MAX, Behaviour, Epoch
from vm.native.mining_records import BatchPayload, BehaviourTotal

_TOTAL_FIELDS: Final = ("records", "times", "user_force", "provider_force")
_MANIFEST_KINDS: Final = {
    **dict.fromkeys(("epoch", "force", "vouched_force", "shards"), int),
    "root": str,
    "forces": list,
    "totals": list,
}
_DAMAGES: Final = (
    *(pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError),
    *(AttributeError, StructError, RecursionError),  # null in place of a value, and JSON that is nested too deep
)
_SHARDS: Final = tuple(2**exponent for exponent in range(SHARDS_MAX.bit_length()))
_FORCE: Final = Struct(f">{DID_BYTES}sQQ")
"""What the hash of a shard's forces is over, one after the other: identity, force as a user, force as a provider."""


@dataclass(frozen=True, slots=True)
class Forces:
    """Some identities of a shard in order, and what they have earned as users and as providers."""

    dids: list[bytes]
    users: list[int]
    providers: list[int]


@dataclass(frozen=True, slots=True)
class Built:
    """What a day's records come to."""

    root: RootHash
    records: int
    identities: int
    force: int
    """Of all identities."""
    batch_force: int
    """Without what the chain has counted already; what the batch states."""
    totals: tuple[BehaviourTotal, ...]
    manifest_hash: bytes


@dataclass(frozen=True, slots=True)
class DescribedBatch:
    """What a build states, before anybody signs it."""

    epoch: Epoch
    root: RootHash
    force: int
    totals: tuple[BehaviourTotal, ...]
    manifest_hash: bytes

    def make_payload(self, attesters: Sequence[Did], number: int, corrected: int) -> BatchPayload:
        """What the attesters sign, the first of whom has built it; raises BuildError if no batch says that."""
        records = sum(total.records for total in self.totals)
        ordered = tuple(sorted(set(attesters)))
        counted = self.root, records, self.force, self.totals, self.manifest_hash
        payload = BatchPayload(attesters[0], self.epoch, number, corrected, ordered, *counted)
        try:
            return decode(BatchPayload, encode(payload))
        except DecodeError as error:
            raise BuildError(f"what was built is no batch: {error}") from None


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record that counts, with all that proves it."""

    did: Did
    behaviour: Behaviour
    provider: Did | None
    vehicle: bytes | None
    phone: bytes | None
    opening: RecordOpening
    leaf: MiningLeaf
    index: int
    """In its shard."""


@contextmanager
def refuse_damage(directory: Path) -> Iterator[None]:
    """Whatever is wrong with the files of a build, as one sentence: BuildError."""
    try:
        yield
    except _DAMAGES as error:
        raise BuildError(f"the build in {directory} is damaged ({type(error).__name__}): build it anew") from None


def load_manifest(directory: Path) -> dict[str, Any]:
    """What a build has come to; raises BuildError."""
    path = directory / MANIFEST_FILE
    if not path.exists():
        raise BuildError(f"{directory} holds no complete build")
    with refuse_damage(directory):
        loaded: dict[str, Any] = json.loads(path.read_bytes())
        if not all(type(loaded[name]) is kind for name, kind in _MANIFEST_KINDS.items()):
            raise TypeError
        if not 0 <= loaded["epoch"] <= EPOCH_MAX or loaded["shards"] not in _SHARDS:
            raise ValueError
        if len(loaded["forces"]) != loaded["shards"]:
            raise ValueError
        return loaded


def describe_batch(directory: Path) -> DescribedBatch:
    """A build as it can be posted; raises BuildError."""
    manifest = load_manifest(directory)
    with refuse_damage(directory):
        totals = [
            BehaviourTotal(Behaviour[each["behaviour"].upper()], *[each[name] for name in _TOTAL_FIELDS])
            for each in manifest["totals"]
        ]
        return DescribedBatch(
            Epoch(manifest["epoch"]),
            RootHash(bytes.fromhex(manifest["root"])),
            max(0, manifest["force"] - manifest["vouched_force"]),
            tuple(totals),
            sha256((directory / MANIFEST_FILE).read_bytes()).digest(),
        )


def read_built(directory: Path) -> Built:
    """What a complete build has come to; raises BuildError."""
    manifest, described = load_manifest(directory), describe_batch(directory)
    with refuse_damage(directory):
        forces = [get_shard_file(directory / FORCES, shard) for shard in range(manifest["shards"])]
        identities = sum(pq.read_metadata(path).num_rows for path in forces)
    return Built(
        described.root,
        sum(total.records for total in described.totals),
        identities,
        manifest["force"],
        described.force,
        described.totals,
        described.manifest_hash,
    )


def find_records(directory: Path, did: Did, master_key: bytes) -> list[KeptRecord]:
    """All records of an identity that count; raises BuildError."""
    manifest = load_manifest(directory)
    with refuse_damage(directory):
        table = read_table(get_shard_file(directory / RECORDS, get_shard(did, manifest["shards"])))
        indexes = pc.indices_nonzero(pc.equal(table["did"], pa.scalar(did, table["did"].type)))
        rows = zip(table.take(indexes).to_pylist(), indexes.to_pylist(), strict=True)
        return [open_record(row, index, Epoch(manifest["epoch"]), master_key) for row, index in rows]


def find_force(directory: Path, did: Did) -> tuple[int, int]:
    """What an identity has earned as a user and as a provider; raises BuildError."""
    manifest, found = load_manifest(directory), (0, 0)
    for forces in iterate_forces(directory, manifest, get_shard(did, manifest["shards"])):
        if did in forces.dids:
            place = forces.dids.index(did)
            found = forces.users[place], forces.providers[place]
    return found


def iterate_forces(directory: Path, manifest: Mapping[str, Any], shard: int) -> Iterator[Forces]:
    """All of a shard; raises BuildError, after the last of them, if they are not those of the manifest."""
    digest = sha256()
    with refuse_damage(directory):
        for forces in _read_forces(directory, shard):
            digest.update(_encode_forces(forces))
            yield forces
        if digest.hexdigest() != manifest["forces"][shard]:
            raise ValueError


def hash_forces(directory: Path, shard: int) -> bytes:
    """What the manifest says of a shard's forces, whose file may be different bytes elsewhere."""
    digest = sha256()
    for forces in _read_forces(directory, shard):
        digest.update(_encode_forces(forces))
    return digest.digest()


def _read_forces(directory: Path, shard: int) -> Iterator[Forces]:
    with pq.ParquetFile(get_shard_file(directory / FORCES, shard)) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield Forces(*[batch.column(name).to_pylist() for name in FORCE_COLUMNS])


def _encode_forces(forces: Forces) -> bytes:
    if any(len(did) != DID_BYTES for did in forces.dids) or max(forces.users + forces.providers, default=0) > FORCE_MAX:
        raise ValueError
    return b"".join(map(_FORCE.pack, forces.dids, forces.users, forces.providers))


def prove_record(directory: Path, record: KeptRecord) -> InclusionPath:
    """That a record stands in the batch: the path in its shard, and then that of the shard; raises BuildError."""
    shards = load_manifest(directory)["shards"]
    number = get_shard(record.did, shards)
    with refuse_damage(directory):
        hashes, roots = read_hashes(get_hashes_file(directory, number)), read_hashes(directory / ROOTS_FILE)
        if record.index >= len(hashes) or len(roots) != shards:
            raise LookupError
        inner, outer = build_inclusion_path(hashes, record.index), build_inclusion_path(roots, number)
        return InclusionPath((*inner.siblings, *outer.siblings))


def read_table(path: Path, **options: Any) -> pa.Table:
    """One file of a build; what the names of its directories say does not become columns."""
    return pq.read_table(path, partitioning=None, **options)


def open_record(row: dict[str, Any], index: int, epoch: Epoch, master_key: bytes) -> KeptRecord:
    """A row with its salt, tags and leaf."""
    behaviour = Behaviour(row["behaviour"])
    tags = (
        compute_tag(TagKind.USER, epoch, row["did"]),
        compute_tag(TagKind.PROVIDER, epoch, row["provider"]),
        compute_tag(TagKind.VEHICLE, epoch, row["vehicle"]),
        compute_tag(TagKind.PHONE, epoch, row["phone"]),
    )
    salt = derive_record_salt(master_key, encode_place(behaviour, epoch, tags))
    opening = RecordOpening(row["count"], Did(row["attester"]), salt)
    leaf = MiningLeaf(behaviour, epoch, *tags, compute_record_commitment(opening))
    provider = None if row["provider"] is None else Did(row["provider"])
    return KeptRecord(Did(row["did"]), behaviour, provider, row["vehicle"], row["phone"], opening, leaf, index)
