"""What a day's records come to, as Ibis expressions over one shard; rules F1 and F2 come from lookup tables.

| table            | columns                                                                                        |
|------------------|------------------------------------------------------------------------------------------------|
| records          | did, behaviour, count, provider, vehicle, phone, attester                                      |
| lost_vehicles    | vehicle, did: of a vehicle that stands behind several identities, the one for which it earns   |
| lost_phones      | phone, did: the same for phones                                                                |
| weights          | did, weight: in hundredths; who does not stand here has 100                                    |
| earnings         | behaviour, times, user_force, provider_force: by the chain's own formula, for every count      |
| limits           | behaviour, user_times, provider_times: counts beyond which nothing is earned                   |

Rules
* B1 What several attesters say of the same act (identity, behaviour, provider, vehicle, phone) counts once: the most.
* B2 A vehicle and a phone earn for one identity a day, the first in order. Records with them of others count nothing.
* B3 Nobody provides a service to oneself. A user's acts count for the provider as far as they count for the user, times
  the user's weight.
"""

from typing import Final

import ibis
from ibis.expr.types import Column, Table

RECORD_COLUMNS: Final = {
    "did": "binary",
    "behaviour": "uint8",
    "count": "uint32",
    "provider": "binary",
    "vehicle": "binary",
    "phone": "binary",
    "attester": "binary",
}
FORCE_COLUMNS: Final = {"did": "binary", "user_force": "int64", "provider_force": "int64"}
ACT: Final = ("did", "behaviour", "provider", "vehicle", "phone")

RECORDS: Final = ibis.table(RECORD_COLUMNS, name="records")
LOST_VEHICLES: Final = ibis.table({"vehicle": "binary", "did": "binary"}, name="lost_vehicles")
LOST_PHONES: Final = ibis.table({"phone": "binary", "did": "binary"}, name="lost_phones")
WEIGHTS: Final = ibis.table({"did": "binary", "weight": "int64"}, name="weights")
EARNINGS: Final = ibis.table(
    {"behaviour": "uint8", "times": "int64", "user_force": "int64", "provider_force": "int64"}, name="earnings"
)
LIMITS: Final = ibis.table({"behaviour": "uint8", "user_times": "int64", "provider_times": "int64"}, name="limits")
KEPT: Final = ibis.table(
    {**{name: RECORD_COLUMNS[name] for name in ACT}, "count": "int64", "attester": "binary"}, "kept"
)
USER_FORCES: Final = ibis.table(
    {"did": "binary", "behaviour": "uint8", "records": "int64", "times": "int64", "force": "int64"}, name="user_forces"
)
PROVIDED: Final = ibis.table({"did": "binary", "behaviour": "uint8", "times": "int64"}, name="provided")
FORCES: Final = ibis.table(FORCE_COLUMNS, name="forces")
SHARES: Final = ibis.table({"thing": "binary", "did": "binary"}, name="shares")


def add_up(column: Column) -> Column:
    """The sum as a 64-bit number. Ibis takes it for one anyway; DuckDB makes it wider, and a float in a file."""
    return column.sum().cast("decimal(38, 0)").cast("int64")


def count_identities(name: str) -> Table:
    """How many rows there are in a table of this name, each with an identity."""
    table = ibis.table({"did": "binary"}, name=name)
    return table.agg(count=table.count())


def find_lost(first: bytes, last: bytes | None) -> Table:
    """Rule B2: things behind several identities, from `first` to before `last`, and for whom each earns."""
    chosen = SHARES.filter(SHARES.thing >= ibis.literal(first, type="binary"))
    if last is not None:
        chosen = chosen.filter(chosen.thing < ibis.literal(last, type="binary"))
    sides = chosen.group_by("thing").agg(did=chosen.did.min(), other=chosen.did.max())
    return sides.filter(sides.did != sides.other).select("thing", "did")


def keep_records() -> Table:
    """Rules B1 and B2, in the order of the batch's leaves."""
    once = RECORDS.group_by(list(ACT)).agg(count=RECORDS["count"].max().cast("int64"), attester=RECORDS.attester.min())
    vehicles = LOST_VEHICLES.select(vehicle="vehicle", vehicle_did="did")
    phones = LOST_PHONES.select(phone="phone", phone_did="did")
    joined = once.left_join(vehicles, "vehicle").drop("vehicle_right")
    joined = joined.left_join(phones, "phone").drop("phone_right")
    kept = joined.filter(
        joined.vehicle_did.isnull() | (joined.vehicle_did == joined.did),
        joined.phone_did.isnull() | (joined.phone_did == joined.did),
    )
    return kept.select(*ACT, "count", "attester").order_by(list(ACT))


def compute_user_forces() -> Table:
    """Rule F1 for users: by identity and behaviour."""
    summed = KEPT.group_by("did", "behaviour").agg(records=KEPT.count(), times=add_up(KEPT["count"]))
    limited = summed.join(LIMITS, "behaviour")
    limited = limited.mutate(earning_times=ibis.least(limited.times, limited.user_times))
    earned = limited.left_join(
        EARNINGS, [limited.behaviour == EARNINGS.behaviour, limited.earning_times == EARNINGS.times]
    )
    return earned.select(
        did=limited.did,
        behaviour=limited.behaviour,
        records=limited.records,
        times=limited.times,
        force=EARNINGS.user_force.coalesce(0),
    )


def compute_user_totals(force_max: int) -> Table:
    """Rule F2 for users: by identity."""
    summed = USER_FORCES.group_by("did").agg(force=add_up(USER_FORCES.force))
    weighed = summed.left_join(WEIGHTS, "did")
    return weighed.select(
        did=summed.did,
        user_force=(ibis.least(summed.force, force_max) * WEIGHTS.weight.coalesce(100) // 100).cast("int64"),
        provider_force=ibis.literal(0, type="int64"),
    )


def compute_provided() -> Table:
    """Rule B3: how often a shard's users were served, by provider and behaviour."""
    served = KEPT.filter(KEPT.provider.notnull(), KEPT.provider != KEPT.did)
    summed = served.group_by("did", "behaviour", "provider").agg(times=add_up(served["count"]))
    limited = summed.join(LIMITS, "behaviour").left_join(WEIGHTS, "did")
    capped = limited.select(
        did=summed.provider,
        behaviour=summed.behaviour,
        times=(
            ibis.least(summed.times, LIMITS.user_times.coalesce(LIMITS.provider_times))
            * WEIGHTS.weight.coalesce(100)
            // 100
        ).cast("int64"),
    )
    return capped.group_by("did", "behaviour").agg(times=add_up(capped.times))


def compute_provider_forces() -> Table:
    """Rule F1 for providers, over all shards: by identity and behaviour."""
    summed = PROVIDED.group_by("did", "behaviour").agg(times=add_up(PROVIDED.times))
    limited = summed.join(LIMITS, "behaviour")
    limited = limited.filter(limited.provider_times.notnull())
    limited = limited.mutate(earning_times=ibis.least(limited.times, limited.provider_times))
    earned = limited.join(EARNINGS, [limited.behaviour == EARNINGS.behaviour, limited.earning_times == EARNINGS.times])
    return earned.select(did=limited.did, behaviour=limited.behaviour, force=EARNINGS.provider_force)


PROVIDER_FORCES: Final = ibis.table({"did": "binary", "behaviour": "uint8", "force": "int64"}, name="provider_forces")


def compute_provider_totals(force_max: int) -> Table:
    """Rule F2 for providers: by identity."""
    summed = PROVIDER_FORCES.group_by("did").agg(force=add_up(PROVIDER_FORCES.force))
    weighed = summed.left_join(WEIGHTS, "did")
    return weighed.select(
        did=summed.did,
        user_force=ibis.literal(0, type="int64"),
        provider_force=(ibis.least(summed.force, force_max) * WEIGHTS.weight.coalesce(100) // 100).cast("int64"),
    )


def sum_forces() -> Table:
    """How many identities have force, and how much."""
    return FORCES.agg(identities=FORCES.count(), force=add_up(FORCES.user_force + FORCES.provider_force))


def merge_forces() -> Table:
    """Both sides of each identity in one row, in order; who has none is left out."""
    merged = FORCES.group_by("did").agg(
        user_force=add_up(FORCES.user_force), provider_force=add_up(FORCES.provider_force)
    )
    return merged.filter(merged.user_force + merged.provider_force > 0).order_by("did")


def sum_users_by_behaviour() -> Table:
    """A shard's part of the batch's totals."""
    return USER_FORCES.group_by("behaviour").agg(
        records=add_up(USER_FORCES.records),
        times=add_up(USER_FORCES.times),
        force=add_up(USER_FORCES.force),
    )


def sum_providers_by_behaviour() -> Table:
    """The providers' part of the batch's totals."""
    return PROVIDER_FORCES.group_by("behaviour").agg(force=add_up(PROVIDER_FORCES.force))
