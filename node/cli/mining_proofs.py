"""Records of mining as their owner exports them: what each counts, the salt that opens it, and its path to the root."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from identity.address import NetworkKind
from identity.did import Did, InvalidDidError, format_did, parse_did
from identity.mining_record import (
    SALT_BYTES,
    MiningLeaf,
    RecordCommitment,
    RecordOpening,
    TagKind,
    compute_data_commitment,
    compute_record_commitment,
    compute_tag,
    encode_mining_leaf,
)
from ledger.merkle import InclusionPath, Sibling, compute_leaf_hash, compute_path_root
from ledger.primitives import HASH_BYTES, RootHash
from node.cli.failures import CommandFailedError
from node.cli.limited_files import read_limited
from vm.native.mining_formulas import EPOCH_MAX, Behaviour

_FILE_BYTES_MAX: Final = 2**22  # a day has a few dozen records, each with a path of at most 32 hashes
_COUNT_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """A record, opened, with its path."""

    did: Did
    epoch: int
    behaviour: Behaviour
    provider: Did | None
    vehicle: bytes | None
    phone: bytes | None
    opening: RecordOpening
    path: InclusionPath

    def compute_root(self) -> RootHash:
        """The root of the batch in which it stands, if it says the truth."""
        tags = (
            compute_tag(TagKind.USER, self.epoch, self.did),
            compute_tag(TagKind.PROVIDER, self.epoch, self.provider),
            compute_tag(TagKind.VEHICLE, self.epoch, self.vehicle),
            compute_tag(TagKind.PHONE, self.epoch, self.phone),
        )
        leaf = MiningLeaf(self.behaviour, self.epoch, *tags, compute_record_commitment(self.opening))
        return compute_path_root(self.path, compute_leaf_hash(encode_mining_leaf(leaf)))


@dataclass(frozen=True, slots=True)
class OpenedData:
    """Data behind a record that a vehicle has vouched for on the chain, opened."""

    did: Did
    epoch: int
    behaviour: Behaviour
    count: int
    salt: bytes
    data_hash: bytes

    def compute_commitment(self) -> RecordCommitment:
        """What the chain has of them, if they say the truth."""
        return compute_data_commitment(self.salt, self.data_hash)


def format_records(records: Iterable[ProvenRecord], opened: Iterable[OpenedData], network: NetworkKind) -> str:
    """The file's text."""
    shown = [
        {
            "did": format_did(each.did, network),
            "epoch": each.epoch,
            "behaviour": each.behaviour.name.lower(),
            "provider": None if each.provider is None else format_did(each.provider, network),
            "vehicle": None if each.vehicle is None else each.vehicle.hex(),
            "phone": None if each.phone is None else each.phone.hex(),
            "count": each.opening.count,
            "attester": format_did(each.opening.attester, network),
            "salt": each.opening.salt.hex(),
            "path": [{"isLeft": step.is_left, "hash": step.hash.hex()} for step in each.path.siblings],
        }
        for each in records
    ]
    vouched = [
        {
            "did": format_did(each.did, network),
            "epoch": each.epoch,
            "behaviour": each.behaviour.name.lower(),
            "count": each.count,
            "salt": each.salt.hex(),
            "dataHash": each.data_hash.hex(),
        }
        for each in opened
    ]
    return json.dumps({"records": shown, "vouched": vouched}, indent=1) + "\n"


def load_records(path: Path, network: NetworkKind) -> tuple[list[ProvenRecord], list[OpenedData]]:
    """The records of a file; raises CommandFailedError."""
    try:
        plain = json.loads(read_limited(path, _FILE_BYTES_MAX))
        records = [_read_record(each, network) for each in plain["records"]]
        return records, [_read_opened(each, network) for each in plain["vouched"]]
    except (ValueError, TypeError, KeyError, InvalidDidError):
        raise CommandFailedError(f"{path} holds no exported records of this network") from None


def _read_opened(plain: Any, network: NetworkKind) -> OpenedData:
    return OpenedData(
        parse_did(plain["did"], network),
        _read_number(plain["epoch"], EPOCH_MAX),
        Behaviour[str(plain["behaviour"]).upper()],
        _read_number(plain["count"], _COUNT_MAX),
        _read_hex(plain["salt"], SALT_BYTES),
        _read_hex(plain["dataHash"], HASH_BYTES),
    )


def _read_record(plain: Any, network: NetworkKind) -> ProvenRecord:
    count, epoch = _read_number(plain["count"], _COUNT_MAX), _read_number(plain["epoch"], EPOCH_MAX)
    opening = RecordOpening(count, parse_did(plain["attester"], network), _read_hex(plain["salt"], SALT_BYTES))
    steps = [Sibling(bool(step["isLeft"]), _read_hex(step["hash"], HASH_BYTES)) for step in plain["path"]]
    return ProvenRecord(
        parse_did(plain["did"], network),
        epoch,
        Behaviour[str(plain["behaviour"]).upper()],
        None if plain["provider"] is None else parse_did(plain["provider"], network),
        None if plain["vehicle"] is None else _read_hex(plain["vehicle"], HASH_BYTES),
        None if plain["phone"] is None else _read_hex(plain["phone"], HASH_BYTES),
        opening,
        InclusionPath(tuple(steps)),
    )


def _read_number(value: Any, maximum: int) -> int:
    if type(value) is not int or not 0 <= value <= maximum:
        raise ValueError("out of range")
    return value


def _read_hex(text: str, size: int) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != size:
        raise ValueError(f"{size} bytes")
    return value
