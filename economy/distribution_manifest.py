"""The manifest of a build: from which inputs, after which root, and which shards. Its hash stands in the posted root.

Nothing in it depends on the engine, on file formats' versions or on when it was made: whoever builds from the same
inputs writes the same bytes.
"""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from ledger.primitives import INTEGER_MAX, Grains, RootHash
from vm.native.distribution_records import ManifestHash
from vm.native.distribution_tree import SHARDS, Shard, compute_epoch_root

MANIFEST_VERSION: Final = 1
MANIFEST_FILE: Final = "manifest.json"
_MANIFEST_BYTES_MAX: Final = 2**20  # 256 shards and some thousand inputs
_HASH_FORM: Final = re.compile(r"[0-9a-f]{64}")


class UnusableError(Exception):
    """A file or record cannot be used; the message is for whoever gave it."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of records, by its content alone: names differ from one machine to another."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """What a manifest says of a shard."""

    root: RootHash
    total_grains: Grains
    leaves: int
    records: int
    """Of this epoch."""

    def as_shard(self) -> Shard:
        """As the chain knows it."""
        return Shard(self.root, self.total_grains)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build is of; known before it begins."""

    inputs: tuple[InputFile, ...]
    """In order of their hashes."""
    previous_manifest: str | None
    """SHA-256 of the manifest of the epoch before."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A build that is complete."""

    plan: Plan
    shards: tuple[ShardSummary, ...]

    @property
    def root(self) -> RootHash:
        """What is posted."""
        return compute_epoch_root(self.list_shards())

    def list_shards(self) -> tuple[Shard, ...]:
        """As they are posted."""
        return tuple(each.as_shard() for each in self.shards)

    @property
    def lifetime_total_grains(self) -> int:
        """What the root promises."""
        return sum(each.total_grains for each in self.shards)


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """As it stands in files."""
    inputs = [{"bytes": each.size_bytes, "sha256": each.sha256} for each in plan.inputs]
    return {"version": MANIFEST_VERSION, "inputs": inputs, "previousManifest": plan.previous_manifest}


def encode_manifest(manifest: Manifest) -> bytes:
    """The one byte form, whose SHA-256 the attesters sign."""
    shards = [
        {
            "root": each.root.hex(),
            "totalGrains": str(each.total_grains),
            "leaves": each.leaves,
            "records": each.records,
        }
        for each in manifest.shards
    ]
    content = plan_to_json(manifest.plan) | {
        "root": manifest.root.hex(),
        "lifetimeTotalGrains": str(manifest.lifetime_total_grains),
        "shards": shards,
    }
    return (json.dumps(content, ensure_ascii=True, indent=1) + "\n").encode()


def hash_manifest(encoded: bytes) -> ManifestHash:
    """What is posted with the root."""
    return ManifestHash(sha256(encoded).digest())


def read_manifest(directory: Path) -> tuple[Manifest, ManifestHash]:
    """The manifest of a build, consistent in itself, and its hash; raises UnusableError."""
    path = directory / MANIFEST_FILE
    try:
        if path.stat().st_size > _MANIFEST_BYTES_MAX:
            raise UnusableError(f"{path} is larger than any manifest")
        encoded = path.read_bytes()
        manifest = _decode_manifest(json.loads(encoded))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UnusableError(f"{path} is no manifest of a complete build: {error}") from None
    if encode_manifest(manifest) != encoded:
        raise UnusableError(f"{path} contradicts itself, or was not written by a build")
    return manifest, hash_manifest(encoded)


def _decode_manifest(content: Any) -> Manifest:
    if content["version"] != MANIFEST_VERSION or len(content["shards"]) != SHARDS:
        raise ValueError(f"not of version {MANIFEST_VERSION} with {SHARDS} shards")
    inputs = tuple(InputFile(_take_count(each["bytes"]), _take_hash(each["sha256"])) for each in content["inputs"])
    shards = tuple(
        ShardSummary(
            RootHash(bytes.fromhex(_take_hash(each["root"]))),
            Grains(_take_count(int(each["totalGrains"]))),
            _take_count(each["leaves"]),
            _take_count(each["records"]),
        )
        for each in content["shards"]
    )
    previous = content["previousManifest"]
    manifest = Manifest(Plan(inputs, None if previous is None else _take_hash(previous)), shards)
    _take_count(manifest.lifetime_total_grains)
    return manifest


def _take_count(value: Any) -> int:
    """A number that the chain has room for; raises ValueError."""
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise ValueError("a number is not one that a build writes")
    return value


def _take_hash(value: Any) -> str:
    """Hexadecimal digits of 32 bytes; raises ValueError."""
    if not isinstance(value, str) or not _HASH_FORM.fullmatch(value):
        raise ValueError("a hash has 64 hexadecimal digits")
    return value
