"""From a day's records to force, batch and rewards: what attesters run, and whoever wants to recompute them.

| file                       | content                                                                               |
|----------------------------|---------------------------------------------------------------------------------------|
| plan.json                  | of what this is the build; written first: another build does not go on here           |
| weights.parquet            | weights that are not full, as they were given                                         |
| work/, spill/              | what is on the way to the rest (mining_force.py); gone when all is there              |
| records/NNN.parquet        | records that count, in the order of the leaves (columns of mining_queries.KEPT)       |
| forces/NNN.parquet         | did, user_force, provider_force                                                       |
| hashes/NNN                 | hashes of their leaves, 32 bytes each; one tree a shard                               |
| roots                      | roots of the shards, 32 bytes each                                                    |
| manifest.json              | inputs, rules, totals, root, hashes of forces; its own stands in the batch; last      |

The NNN are shards: identities by the first bits of their ids, which are hashes and so spread evenly. Memory does not
grow with the number of identities; the widest table, of vehicles and phones with their identities, is cut in slices.

A build that was killed goes on with what is there: every name appears when its content is complete.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace

from economy.build_plan import PLAN_FILE, OtherBuildError, settle_plan
from economy.mining_force import (
    compute_providers,
    compute_users,
    find_lost,
    merge_forces,
    partition_records,
    read_totals,
)
from economy.mining_layout import MANIFEST_FILE, ROOTS_FILE, WEIGHTS_FILE, WORK
from economy.mining_leaves import ShardHashes, hash_shards
from economy.mining_lookup import Built, read_built
from economy.mining_plan import BuildError, BuildJob, Plan, Report, make_plan, plan_to_json
from economy.whole_files import put_content
from ledger.merkle import compute_root
from vm.native.mining_records import BehaviourTotal


def build_mining(job: BuildJob, report: Report) -> Built:
    """Build all of it, or go on where a build of the same was interrupted; raises BuildError, OSError."""
    plan, files = make_plan(job)
    try:
        settle_plan(job.output, plan_to_json(plan))
    except OtherBuildError as error:
        raise BuildError(str(error)) from None
    if not (job.output / MANIFEST_FILE).exists():
        (job.output / WORK).mkdir(exist_ok=True)
        try:
            partition_records(job, files, plan.shards, report)
        except BuildError:
            _give_up(job)
            raise
        _build(_keep_weights(job), plan, report)
    shutil.rmtree(job.output / WORK, ignore_errors=True)
    return read_built(job.output)


def _give_up(job: BuildJob) -> None:
    """Nothing comes of these inputs: the directory is free for others."""
    shutil.rmtree(job.output / WORK)
    (job.output / PLAN_FILE).unlink()


def _keep_weights(job: BuildJob) -> BuildJob:
    """A copy beside the result, for whoever recomputes it."""
    given, kept = job.weights, job.output / WEIGHTS_FILE
    if given is None:
        return job
    if not kept.exists():
        put_content(kept, given.read_bytes())
    return replace(job, weights=kept)


def _build(job: BuildJob, plan: Plan, report: Report) -> None:
    find_lost(job, plan.shards, report)
    compute_users(job, plan.shards, report)
    compute_providers(job, plan.shards)
    force = merge_forces(job, plan.shards, report)
    hashes = hash_shards(job, plan.shards, report)
    put_content(job.output / ROOTS_FILE, b"".join(each.root for each in hashes))
    put_content(job.output / MANIFEST_FILE, _encode_manifest(plan, hashes, read_totals(job.output), force))


def _encode_manifest(plan: Plan, hashes: Sequence[ShardHashes], totals: Sequence[BehaviourTotal], force: int) -> bytes:
    """All that is needed to recompute the build but the salts' key."""
    manifest = {
        "epoch": plan.epoch,
        "rules": plan.rules,
        "rules_from": plan.rules_from,
        "inputs": [asdict(each) for each in plan.inputs],
        "vouched": None if plan.vouched is None else asdict(plan.vouched),
        "weights": None if plan.weights is None else asdict(plan.weights),
        "vouched_force": plan.vouched_force,
        "force": force,
        "shards": plan.shards,
        "root": compute_root([each.root for each in hashes]).hex(),
        "forces": [each.forces.hex() for each in hashes],
        "totals": [{**asdict(total), "behaviour": total.behaviour.name.lower()} for total in totals],
    }
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
