"""A day of mining: records of 10,000 users become a batch, a price, rewards, a root, and coins of whoever claims."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from economy.distribution_manifest import read_manifest
from economy.distribution_shards import build_leaf_proof
from economy.mining_lookup import describe_batch
from identity.address import Address
from identity.did import Did, format_did
from identity.signing import SigningPurpose
from ledger.codec import to_plain
from ledger.primitives import Grains
from ledger.transaction import Call
from node.cli.main import cli
from rpc import calls
from rpc.arguments import describe_type, to_json
from rpc.client import Client
from tests.builders import address_of, make_key
from tests.did_scene import build_call, sign
from tests.economy.test_mining_build import compute_expected, write
from tests.mining_scene import MiningScene, build
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.rpc.fake_backend import NETWORK, TIME_MS
from vm.native.distribution import Claim, PostRoot, RootPayload
from vm.native.distribution_records import CHALLENGE_BLOCKS
from vm.native.distribution_tree import BeneficiaryId, BeneficiaryKind, ProvenLeaf
from vm.native.iov import get_balance
from vm.native.mining_formulas import DEFAULT_BEHAVIOURS, Epoch, compute_epoch, compute_reward
from vm.native.mining_records import get_mining_epoch

DAY = Epoch(compute_epoch(TIME_MS) - 4)
"""It is closed two days later, and its root counts the day after: before the day on which the backend stands."""
USERS = 10_000
SHOPS = 100
NAMES = tuple(f"user {number}" for number in range(6))
"""Users who are on the chain and claim; the others exist in records only."""

Row = tuple[bytes, int, int, bytes | None, bytes | None, bytes | None, bytes]


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as cli_scene:
        cli_scene.scene = MiningScene(DAY)  # type: ignore[assignment]
        yield cli_scene


def draw_records(known: list[Did], gates: tuple[Did, ...], seed: int) -> tuple[list[Row], dict[bytes, int]]:
    """Up to six records of each user, some seen by two gateways, some with a phone or a car that others use too."""
    draw = random.Random(seed)
    users = [*known, *(draw.randbytes(20) for _ in range(USERS - len(known)))]
    shops = [*known[:1], *(draw.randbytes(20) for _ in range(SHOPS - 1))]
    rows: list[Row] = []
    for user in users:
        phone, car = draw.randbytes(32), draw.randbytes(32)
        for rule in draw.sample(DEFAULT_BEHAVIOURS, draw.randint(1, 6)):
            provider = draw.choice(shops) if rule.provider is not None else None
            is_driving = rule.is_vehicle_vouched
            things = (car if is_driving else None, None if is_driving else phone)
            earning = rule.user
            assert earning is not None, "every behaviour earns for users"
            row = (user, int(rule.behaviour), draw.randint(1, min(9, earning.count_max)), provider, *things)
            rows.append((*row, draw.choice(gates)))
            if draw.random() < 0.1:
                rows.append((*row[:2], min(row[2] + 1, earning.count_max), *row[3:], draw.choice(gates)))
    return rows, {known[1]: 40, **{user: draw.randrange(100) for user in draw.sample(users[10:], 50)}}


def join(mining: MiningScene, name: str) -> Did:
    """A user with an account of its own."""
    did = mining.create(name)
    mining.accept(build_call(mining.link(did, address_of(make_key(name))), name, name="link_account"))
    return did


def lower_weights(tmp_path: Path, weights: dict[bytes, int]) -> str:
    path = tmp_path / "weights.parquet"
    write(path, list(weights.items()), pa.schema([("did", pa.binary()), ("weight", pa.int64())]))
    return str(path)


def post_root(mining: MiningScene, directory: Path) -> Call:
    """The root that was built, with signatures of the source's attesters."""
    manifest, manifest_hash = read_manifest(directory)
    payload = RootPayload(mining.source, 1, manifest.root, Grains(manifest.lifetime_total_grains), manifest_hash)
    signers = [(gate, mining.gate_names[gate]) for gate in mining.gates[:2]]
    signatures = sign(SigningPurpose.DISTRIBUTION_ROOT, payload, signers)
    return Call("distribution", "post_root", to_plain(PostRoot(payload, manifest.list_shards(), signatures)))


def prove(directory: Path, did: Did) -> ProvenLeaf:
    manifest, _ = read_manifest(directory)
    return build_leaf_proof(directory, manifest, BeneficiaryKind.DID, BeneficiaryId(did))


async def ask_payout(scene: CliScene, did: Did, proven: ProvenLeaf) -> Any:
    """What mining_claim tells of a payout."""
    scene.backend.state_values = {key: value for key, value in scene.scene.state.changes.items() if value is not None}
    proof = to_json(describe_type(ProvenLeaf), to_plain(proven), NETWORK)
    while len(scene.backend.blocks) <= scene.scene.height:  # as high as the chain of the scene
        scene.backend.make_block()

    def ask() -> Any:
        with Client(scene.url) as client:
            return client.run(calls.mining_claim(DAY, format_did(did, NETWORK), proof)).payout

    return await asyncio.to_thread(ask)


async def test_records_of_a_day_become_coins_of_those_who_claim(scene: CliScene, tmp_path: Path) -> None:
    mining: MiningScene = scene.scene  # type: ignore[assignment]
    known = [join(mining, name) for name in NAMES]
    rows, weights = draw_records(known, mining.gates, seed=7)
    half = len(rows) // 2
    for name, part in (("app", rows[:half]), ("cars", rows[half:])):
        write(tmp_path / f"{name}-records.parquet", part)
    kept, forces, totals = compute_expected(rows, weights, epoch=DAY)

    # the day is built, and what it comes to is posted by those who agree on it
    day, key = tmp_path / "day", str(tmp_path / "key")
    built = await scene.run_json(
        *("mining", "build", "--records", str(tmp_path / "*-records.parquet"), "--epoch", str(DAY)),
        *("--weights", lower_weights(tmp_path, weights), "--out", str(day), "--master-key", key, "--threads", "1"),
    )
    total_force = sum(map(sum, forces.values()))
    assert (built["records"], built["identities"], built["force"]) == (len(kept), len(forces), total_force)
    assert len(forces) >= USERS
    payload = describe_batch(day).make_payload(mining.gates[:2], 1, 0)
    assert payload.totals == totals
    mining.day = Epoch(DAY + 1)
    mining.accept(build(payload, *[(gate, mining.gate_names[gate]) for gate in mining.gates[:2]]))

    # the day ends: it has a price, and what it pays leaves the fund
    mining.begin_day(DAY + 2)
    outcome = get_mining_epoch(mining.state, DAY).outcome
    assert outcome is not None
    price = outcome.price_micrograins
    assert outcome.released_grains == compute_reward(total_force, price) > 0

    # rewards become a root, which attesters post
    paid = await scene.run_json("mining", "rewards", str(day), "--out", str(tmp_path / "rewards"))
    expected = {did: compute_reward(sum(both), price) for did, both in forces.items()}
    assert (paid["identities"], paid["reward"]) == (len(expected), str(sum(expected.values())))
    records = [word for path in sorted((tmp_path / "rewards").iterdir()) for word in ("--records", str(path))]
    root_directory = tmp_path / "root"
    command = ["distribution", "build", *records, "--out", str(root_directory), "--output", "json"]
    root = json.loads(CliRunner().invoke(cli, command, catch_exceptions=False).stdout)
    assert (root["beneficiaries"], root["lifetimeTotal"]) == (len(expected), paid["reward"])
    assert sum(expected.values()) <= outcome.released_grains
    mining.accept(post_root(mining, root_directory))

    # it counts a day later; claims pay exactly force x price, rounded down
    mining.day = Epoch(DAY + 4)
    mining.height += CHALLENGE_BLOCKS
    proven = {did: prove(root_directory, did) for did in known}
    before = await ask_payout(scene, known[1], proven[known[1]])
    assert (before.root, before.claimed, before.claimable) == (1, 0, expected[known[1]])
    claim = Claim(mining.source, 1, tuple(proven.values()))
    mining.accept(Call("distribution", "claim", to_plain(claim)))
    accounts = {did: Address(address_of(make_key(name))) for did, name in zip(known, NAMES, strict=True)}
    assert {did: get_balance(mining.state, account) for did, account in accounts.items()} == {
        did: sum(forces[did]) * price // 10**6 for did in known
    }
    after = await ask_payout(scene, known[1], proven[known[1]])
    assert (after.claimed, after.claimable) == (expected[known[1]], 0)

    await check_statement(scene, day, key, known[0], kept, forces[known[0]], price)


async def check_statement(
    scene: CliScene, day: Path, key: str, did: Did, kept: Any, both: tuple[int, int], price: int
) -> None:
    """It goes from what was recorded to what was paid, and every record is proven under the root on the chain."""
    text = format_did(did, NETWORK)
    given = ("mining", "statement", text, "--build", str(day), "--master-key")
    shown = (await scene.run_json(*given, key))["day"]
    own = {act: count for act, count in kept.items() if act[0] == did}
    assert [each["proof"] for each in shown["records"]] == ["batch 1"] * len(own)
    assert sorted(each["count"] for each in shown["records"]) == sorted(own.values())
    assert sum(each["times"] for each in shown["behaviours"]) == sum(own.values())
    assert shown["earned"] == sum(each["force"] for each in shown["behaviours"])
    assert min(shown["earned"], shown["limit"]) * shown["weight"] // 100 == shown["userForce"] == both[0]
    assert (shown["providerForce"], shown["isExplained"]) == (both[1], True)
    assert both[1] > 0, "somebody who serves others as well"
    assert shown["price"] == str(price)
    assert shown["reward"] == shown["claimed"] == str(sum(both) * price // 10**6)

    another = day.parent / "another key"
    another.write_bytes(b"\1" * 32)
    another.chmod(0o600)
    refused = await scene.run(*given, str(another))
    assert refused.exit_code == 1 and "not proven by the chain's roots" in refused.output
