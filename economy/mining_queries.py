"""What a day's records come to, as Ibis expressions over one shard; rules F1 and F2 come from lookup tables.

| table            | columns                                                                                        |
|------------------|------------------------------------------------------------------------------------------------|
| records          | did, behaviour, count, provider, vehicle, phone, attester                                      |
| lost_vehicles    | vehicle, did: of a vehicle that stands behind several identities, the one for which it earns   |
| lost_phones      | phone, did: the same for phones                                                                |
| vouched          | thing, did: vehicles, and who has a record with them on the chain                              |
| weights          | did, weight: in hundredths; who does not stand here has 100                                    |
| earnings         | behaviour, times, user_force, provider_force: by the chain's own formula, for every count      |
| limits           | behaviour, user_times, provider_times: counts beyond which nothing is earned                   |

Rules
* B1 What several attesters say of the same act (identity, behaviour, provider, vehicle, phone) counts once: the most,
  up to the most times that earn for the user (for the provider, where users earn nothing). Who says the most has seen
  it; of several, the one with the least id.
* B2 A vehicle and a phone earn for one identity a day. It is one that has a record with the vehicle on the chain, which
  both have signed, before all others; and then the one that comes first by lot, which is SHA-256 over the epoch (4
  bytes, big-endian), the vehicle's or phone's hash and the identity's id, so that another one comes first every day.
  Records with them of others count nothing.
* B3 Nobody provides a service to oneself. A user's acts count for providers as far as they count for the user: as often
  as the user's limit says for one provider, and for all providers of a behaviour together. What is more is shared in
  proportion: of providers in the order of their lots (SHA-256 over epoch, user and provider), the first n together get
  the part of the limit, rounded down, that their acts are of all; each gets what that adds. Then the user's weight
  counts.
"""

from typing import Final

import ibis
from ibis.expr.types import Column, Table

from economy.duckdb_functions import (
    build_sort_key,
    divide,
    hash_as_hex,
    join_three,
    pick_by_bytes,
    pick_by_text,
)
from vm.native.mining_formulas import Epoch

RECORD_COLUMNS: Final = {
    "did": "binary",
    "behaviour": "uint8",
    "count": "uint32",
    "provider": "binary",
    "vehicle": "binary",
    "phone": "binary",
    "attester": "binary",
}
WEIGHT_COLUMNS: Final = {"did": "binary", "weight": "int64"}
FORCE_COLUMNS: Final = {"did": "binary", "user_force": "int64", "provider_force": "int64"}
_EPOCH_BYTES: Final = 4
ACT: Final = ("did", "behaviour", "provider", "vehicle", "phone")

RECORDS: Final = ibis.table(RECORD_COLUMNS, name="records")
LOST_VEHICLES: Final = ibis.table({"vehicle": "binary", "did": "binary"}, name="lost_vehicles")
LOST_PHONES: Final = ibis.table({"phone": "binary", "did": "binary"}, name="lost_phones")
VOUCHED: Final = ibis.table({"thing": "binary", "did": "binary"}, name="vouched")
WEIGHTS: Final = ibis.table(WEIGHT_COLUMNS, name="weights")
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
SERVED: Final = ibis.table(
    {"did": "binary", "behaviour": "uint8", "provider": "binary", "times": "int64", "times_max": "int64"}, name="served"
)
PROVIDED: Final = ibis.table({"did": "binary", "behaviour": "uint8", "times": "int64"}, name="provided")
FORCES: Final = ibis.table(FORCE_COLUMNS, name="forces")
SHARES: Final = ibis.table({"thing": "binary", "did": "binary"}, name="shares")


def _limit_times(limits: Table) -> Column:
    """How often a user's acts count."""
    return limits.user_times.coalesce(limits.provider_times)


def _draw_lot(epoch: Epoch, first: Column, second: Column) -> Column:
    """Who comes first on this day, and can have that on no other: see B2 and B3."""
    return hash_as_hex(join_three(ibis.literal(epoch.to_bytes(_EPOCH_BYTES, "big"), type="binary"), first, second))


def add_up(column: Column) -> Column:
    """The sum as a 64-bit number. Ibis takes it for one anyway; DuckDB makes it wider, and a float in a file."""
    return column.sum().cast("decimal(38, 0)").cast("int64")


def count_identities(name: str) -> Table:
    """How many rows there are in a table of this name, each with an identity."""
    table = ibis.table({"did": "binary"}, name=name)
    return table.agg(count=table.count())


def find_lost(epoch: Epoch, first: bytes, last: bytes | None) -> Table:
    """Rule B2: things behind several identities, from `first` to before `last`, and for whom each earns."""
    chosen = SHARES.filter(SHARES.thing >= ibis.literal(first, type="binary"))
    if last is not None:
        chosen = chosen.filter(chosen.thing < ibis.literal(last, type="binary"))
    sides = chosen.group_by("thing").agg(least=chosen.did.min(), greatest=chosen.did.max())
    several = sides.filter(sides.least != sides.greatest)
    drawn = chosen.semi_join(several, "thing")
    drawn = drawn.left_join(VOUCHED.select("thing", "did", is_vouched=True), ["thing", "did"])
    turn = drawn.is_vouched.isnull().ifelse("1", "0") + _draw_lot(epoch, drawn.thing, drawn.did)
    return drawn.group_by("thing").agg(did=pick_by_text(drawn.did, turn))


def keep_records() -> Table:
    """Rules B1 and B2, in the order of the batch's leaves."""
    order = build_sort_key(RECORDS["count"], "DESC NULLS LAST", RECORDS.attester, "ASC NULLS LAST")
    witness = pick_by_bytes(RECORDS.attester, order)
    once = RECORDS.group_by(list(ACT)).agg(count=RECORDS["count"].max().cast("int64"), attester=witness)
    vehicles = LOST_VEHICLES.select(vehicle="vehicle", vehicle_did="did")
    phones = LOST_PHONES.select(phone="phone", phone_did="did")
    joined = once.left_join(vehicles, "vehicle").drop("vehicle_right")
    joined = joined.left_join(phones, "phone").drop("phone_right")
    kept = joined.filter(
        joined.vehicle_did.isnull() | (joined.vehicle_did == joined.did),
        joined.phone_did.isnull() | (joined.phone_did == joined.did),
    )
    limited = kept.join(LIMITS, "behaviour")
    limited = limited.select(*ACT, "attester", count=ibis.least(limited["count"], _limit_times(limited)))
    return limited.select(*ACT, "count", "attester").order_by(list(ACT))


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


def compute_served() -> Table:
    """Rule B3: how often a shard's users were served, by provider and behaviour, each as often as it may count."""
    served = KEPT.filter(KEPT.provider.notnull(), KEPT.provider != KEPT.did)
    summed = served.group_by("did", "behaviour", "provider").agg(times=add_up(served["count"]))
    limited = summed.join(LIMITS, "behaviour")
    times_max = _limit_times(limited)
    return limited.select(
        summed.did, summed.behaviour, summed.provider, times=ibis.least(summed.times, times_max), times_max=times_max
    )


def compute_provided(epoch: Epoch) -> Table:
    """Rule B3: how often what providers have done for a shard's users counts, by provider and behaviour."""
    summed = SERVED.group_by("did", "behaviour").agg(all_times=add_up(SERVED.times), most=SERVED.times_max.max())
    beyond = summed.filter(summed.all_times > summed.most).drop("most")
    within = SERVED.anti_join(beyond, ["did", "behaviour"]).drop("times_max")
    counted = within.union(_share_limit(epoch, SERVED.join(beyond, ["did", "behaviour"])))
    weighed = counted.left_join(WEIGHTS, "did")
    weighed = weighed.select(
        did=counted.provider,
        behaviour=counted.behaviour,
        times=divide(counted.times * WEIGHTS.weight.coalesce(100), 100),
    )
    return weighed.group_by("did", "behaviour").agg(times=add_up(weighed.times))


def _share_limit(epoch: Epoch, served: Table) -> Table:
    """The limit of each user and behaviour, among providers, in whole times."""
    drawn = served.mutate(lot=_draw_lot(epoch, served.did, served.provider))
    window = ibis.cumulative_window(group_by=["did", "behaviour"], order_by="lot")
    reached = drawn.mutate(reached=drawn.times.sum().over(window).cast("int64"))
    until, before = reached.reached, reached.reached - reached.times
    shares = [divide(times * reached.times_max, reached.all_times) for times in (until, before)]
    return reached.select("did", "behaviour", "provider", times=shares[0] - shares[1])


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
