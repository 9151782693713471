"""Tables beside a build: what goes into it apart from gateways' records, and the rewards that come of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from economy import mining_queries as queries
from economy.mining_layout import FORCES
from economy.mining_leaves import BATCH_ROWS
from economy.mining_lookup import load_manifest
from economy.mining_plan import Report
from identity.did import Did
from vm.native.mining_formulas import compute_reward

_BENEFICIARY_DID: Final = bytes([2])  # what a distribution writes before the id of an identity


def write_weights(path: Path, weights: Sequence[tuple[Did, int]]) -> None:
    """Weights that are not full, as a build reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "did": pa.array([did for did, _ in weights], type=pa.binary()),
        "weight": pa.array([weight for _, weight in weights], type=pa.int64()),
    }
    pq.write_table(pa.table(columns), path)


def write_vouched(path: Path, lines: Iterable[tuple[Did, int, int, Did, bytes | None]]) -> None:
    """Records that vehicles vouched for, as a build reads them.

    Lines are user, behaviour, count, vehicle, nullifier of its number. The vehicle is who saw it, so it stands as the
    attester.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {"behaviour": pa.uint8(), "count": pa.uint32()}
    schema = pa.schema([(name, kinds.get(name, pa.binary())) for name in queries.RECORD_COLUMNS])
    rows = [
        {
            "did": did,
            "behaviour": behaviour,
            "count": count,
            "provider": None,
            "vehicle": nullifier,
            "phone": None,
            "attester": vehicle,
        }
        for did, behaviour, count, vehicle, nullifier in lines
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def write_rewards(directory: Path, price_micrograins: int, output: Path, report: Report) -> tuple[int, int]:
    """Rewards of all identities at a price, as records of a distribution. Returns how many there are and their sum.

    Every reward is rounded down, so their sum is at most what the epoch has released, and the rest stays. The Parquet
    files have the columns beneficiary (kind, 1 byte ‖ id, 20 bytes), amount_grains and reference, which is the epoch.
    Raises BuildError.
    """
    epoch = load_manifest(directory)["epoch"]
    output.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("beneficiary", pa.binary()), ("amount_grains", pa.int64()), ("reference", pa.int64())])
    paid = paid_grains = 0
    paths = sorted((directory / FORCES).glob("*.parquet"))
    for done, path in enumerate(paths):
        with pq.ParquetWriter(output / path.name, schema, compression="zstd") as writer:
            for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS):
                dids = batch.column("did").to_pylist()
                sides = zip(
                    batch.column("user_force").to_pylist(), batch.column("provider_force").to_pylist(), strict=True
                )
                grains = [compute_reward(user + provider, price_micrograins) for user, provider in sides]
                pairs = [(did, amount) for did, amount in zip(dids, grains, strict=True) if amount > 0]
                paid += len(pairs)
                paid_grains += sum(amount for _, amount in pairs)
                columns = [
                    pa.array([_BENEFICIARY_DID + did for did, _ in pairs], type=pa.binary()),
                    pa.array([amount for _, amount in pairs], type=pa.int64()),
                    pa.array([epoch] * len(pairs), type=pa.int64()),
                ]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        report("rewards", done + 1, len(paths))
    return paid, paid_grains
