"""Tables beside a build: what goes into it apart from gateways' records, and the rewards that come of it."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from economy import mining_queries as queries
from economy.mining_layout import get_shard_file
from economy.mining_lookup import iterate_forces, load_manifest
from economy.mining_plan import BuildError, Report
from economy.whole_files import PART_SUFFIX, put_directory, put_file
from identity.did import Did
from vm.native.mining_formulas import compute_reward

_BENEFICIARY_DID: Final = bytes([2])  # what a distribution writes before the id of an identity
_REWARDS: Final = pa.schema([("beneficiary", pa.binary()), ("amount_grains", pa.int64()), ("reference", pa.int64())])


def write_weights(path: Path, weights: Sequence[tuple[Did, int]]) -> None:
    """Weights that are not full, as a build reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "did": pa.array([did for did, _ in weights], type=pa.binary()),
        "weight": pa.array([weight for _, weight in weights], type=pa.int64()),
    }
    put_file(path, lambda part: pq.write_table(pa.table(columns), part))


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
    put_file(path, lambda part: pq.write_table(pa.Table.from_pylist(rows, schema), part))


def write_rewards(
    directory: Path, price_micrograins: int, released_grains: int, output: Path, report: Report
) -> tuple[int, int]:
    """Rewards of all identities at a price, as records of a distribution. Returns how many there are and their sum.

    Every reward is rounded down, so their sum is at most what the epoch has released, and the rest stays. The Parquet
    files have the columns beneficiary (kind, 1 byte ‖ id, 20 bytes), amount_grains and reference, which is the epoch.
    The directory is new or empty, or holds rewards, all of which are replaced. Raises BuildError.
    """
    manifest = load_manifest(directory)
    old = _list_rewards(output)
    rewarded = [0, 0]

    def write(part: Path) -> None:
        part.mkdir(parents=True)
        force = 0
        for shard in range(manifest["shards"]):
            paid, paid_grains, shard_force = _write_shard(
                directory, manifest, shard, price_micrograins, released_grains, part
            )
            rewarded[0] += paid
            rewarded[1] += paid_grains
            force += shard_force
            _check_released(rewarded[1], released_grains)
            report("rewards", shard + 1, manifest["shards"])
        if force != manifest["force"]:
            raise BuildError(f"the build in {directory} is damaged: its identities have {force} force")
        for path in old:
            path.unlink()

    try:
        put_directory(output, write)
    except BuildError:
        shutil.rmtree(output.with_name(output.name + PART_SUFFIX))
        raise
    return rewarded[0], rewarded[1]


def _list_rewards(output: Path) -> list[Path]:
    """Rewards that are there already; raises BuildError if anything else is."""
    try:
        paths = sorted(output.iterdir()) if output.exists() else []
        if all(pq.read_schema(path).equals(_REWARDS) for path in paths):
            return paths
    except (pa.ArrowException, OSError):
        pass
    raise BuildError(f"{output} holds something else than rewards; choose a directory of its own")


def _write_shard(
    directory: Path,
    manifest: Mapping[str, Any],
    shard: int,
    price_micrograins: int,
    released_grains: int,
    part: Path,
) -> tuple[int, int, int]:
    """Returns how many are rewarded, the sum, and the force of all."""
    paid = paid_grains = force = 0
    with pq.ParquetWriter(get_shard_file(part, shard), _REWARDS, compression="zstd") as writer:
        for found in iterate_forces(directory, manifest, shard):
            forces = [user + provider for user, provider in zip(found.users, found.providers, strict=True)]
            grains = [compute_reward(each, price_micrograins) for each in forces]
            pairs = [(did, amount) for did, amount in zip(found.dids, grains, strict=True) if amount > 0]
            paid += len(pairs)
            paid_grains += sum(grains)
            force += sum(forces)
            _check_released(paid_grains, released_grains)  # and so each fits into its column
            columns = [
                pa.array([_BENEFICIARY_DID + did for did, _ in pairs], type=pa.binary()),
                pa.array([amount for _, amount in pairs], type=pa.int64()),
                pa.array([manifest["epoch"]] * len(pairs), type=pa.int64()),
            ]
            writer.write_batch(pa.record_batch(columns, schema=_REWARDS))
    return paid, paid_grains, force


def _check_released(grains: int, released_grains: int) -> None:
    if grains > released_grains:
        raise BuildError(f"rewards of {grains} grains are more than the {released_grains} that were released")
