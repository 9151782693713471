"""`carlive mining`: a day is built, posted, closed, paid and explained; years are played."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from economy.mining_tables import write_vouched
from identity.did import format_did
from identity.mining_record import compute_data_commitment
from ledger.primitives import Height
from node.cli.main import cli
from node.cli.mining_salts import commit_to_data, get_salt_path, load_or_create_salt
from tests.builders import Draft
from tests.did_scene import SENDER
from tests.economy.test_mining_build import write
from tests.mining_scene import HASH, MiningScene, list_batches
from tests.node.cli_scene import CliScene, open_cli_scene
from tests.node.test_cli_did import DidNode
from tests.rpc.fake_backend import NETWORK, TIME_MS
from vm.native.accounts import DAY_MS
from vm.native.mining_formulas import MINING_FUND_GRAINS, Behaviour, Epoch, compute_epoch
from vm.native.mining_records import (
    BatchStatus,
    BehaviourTotal,
    WeightReason,
    get_mining_epoch,
    get_weight_record,
    list_day_records,
    put_batch,
)
from vm.native.role_records import Grant, Role, put_grant
from vm.native.vehicle_records import Binding, VehicleRecord, VinAttestation, put_vehicle

TODAY = Epoch(compute_epoch(TIME_MS) - 2)
GATE = b"\2" * 20


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CliScene]:
    async with open_cli_scene(tmp_path, monkeypatch) as cli_scene:
        cli_scene.scene = MiningScene(TODAY)
        yield cli_scene


def write_records(tmp_path: Path, mining: MiningScene) -> None:
    phone = bytes([9]) * 32
    rows = [
        (mining.alice, 1, 2, None, None, phone, GATE),
        (mining.alice, 2, 1, None, HASH, None, GATE),
        (mining.alice, 12, 1, mining.bob, None, None, GATE),
    ]
    write(tmp_path / "records.parquet", rows)


async def test_a_day_is_built_posted_closed_paid_and_explained(scene: CliScene, tmp_path: Path) -> None:
    mining = scene.scene
    write_records(tmp_path, mining)
    out, key = str(tmp_path / "day"), str(tmp_path / "key")
    built = await scene.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", str(TODAY)),
        *("--out", out, "--master-key", key, "--threads", "1"),
    )
    assert (built["records"], built["identities"], built["force"]) == (3, 2, 150 + 100 + 200 + 100)
    totals = tuple(
        BehaviourTotal(
            Behaviour[each["behaviour"].upper()],
            *[each[name] for name in ("records", "times", "userForce", "providerForce")],
        )
        for each in built["totals"]
    )
    root, manifest = bytes.fromhex(built["root"][2:]), bytes.fromhex(built["manifestHash"][2:])
    mining.day = Epoch(TODAY + 1)
    mining.accept(mining.batch(root=root, records=3, force=built["force"], totals=totals, manifest_hash=manifest))
    early = await scene.run("mining", "rewards", out, "--out", str(tmp_path / "rewards"))
    assert early.exit_code == 1 and "not closed" in early.output
    mining.begin_day(TODAY + 2)
    paid = await scene.run_json("mining", "rewards", out, "--out", str(tmp_path / "rewards"))
    assert (paid["identities"], paid["price"], paid["reward"]) == (2, str(10**12), str(550 * 10**6))
    rewards = pq.read_table(tmp_path / "rewards").to_pylist()
    expected = {b"\2" + mining.alice: 450 * 10**6, b"\2" + mining.bob: 100 * 10**6}
    assert {row["beneficiary"]: row["amount_grains"] for row in rewards} == expected

    alice = format_did(mining.alice, NETWORK)
    day = (await scene.run_json("mining", "statement", alice, "--build", out, "--master-key", key))["day"]
    assert [each["proof"] for each in day["records"]] == ["batch 1"] * 3
    assert [(each["behaviour"], each["times"], each["force"]) for each in day["behaviours"]] == [
        ("app_opened", 2, 150),
        ("car_started", 1, 100),
        ("maintenance", 1, 200),
    ]
    assert (day["earned"], day["weight"], day["userForce"], day["isExplained"]) == (450, 100, 450, True)
    assert (day["price"], day["reward"]) == (str(10**12), str(450 * 10**6))
    await check_export(scene, tmp_path, alice, out, key)
    shown = await scene.run("mining", "statement", alice, "--build", out)
    assert "100 each, halved after every 1, up to 5" in shown.output


async def test_rewards_are_of_the_batch_that_stands_on_the_chain(scene: CliScene, tmp_path: Path) -> None:
    mining, out = scene.scene, str(tmp_path / "day")
    write_records(tmp_path, mining)
    await scene.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", str(TODAY), "--out", out),
        *("--master-key", str(tmp_path / "key"), "--threads", "1"),
    )
    mining.day = Epoch(TODAY + 1)
    mining.accept(mining.batch())
    mining.begin_day(TODAY + 2)
    refused = await scene.run("mining", "rewards", out, "--out", str(tmp_path / "rewards"))
    assert refused.exit_code == 1 and "the batch that stands on the chain is not of" in refused.output
    assert not (tmp_path / "rewards").exists()


async def test_a_day_whose_batch_was_voided_late_is_built_anew(scene: CliScene, tmp_path: Path) -> None:
    """All that stays paid: whatever is built, it comes to no more than the day has released."""
    mining, out = scene.scene, str(tmp_path / "day")
    write_records(tmp_path, mining)
    built = await scene.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", str(TODAY), "--out", out),
        *("--master-key", str(tmp_path / "key"), "--threads", "1"),
    )
    early = await scene.run("mining", "rewards", out, "--out", str(tmp_path / "rewards"), "--restated")
    assert early.exit_code == 1
    mining.day = Epoch(TODAY + 1)
    mining.accept(mining.batch())
    mining.begin_day(TODAY + 2)
    refused = await scene.run("mining", "rewards", out, "--out", str(tmp_path / "rewards"), "--restated")
    assert refused.exit_code == 1 and "no batch of epoch" in refused.output
    (batch,) = list_batches(mining.state, TODAY)
    put_batch(mining.state, replace(batch, status=BatchStatus.VOID))
    refused = await scene.run("mining", "rewards", out, "--out", str(tmp_path / "rewards"))
    assert refused.exit_code == 1 and "say --restated" in refused.output
    paid = await scene.run_json("mining", "rewards", out, "--out", str(tmp_path / "rewards"), "--restated")
    outcome = get_mining_epoch(mining.state, TODAY).outcome
    assert outcome is not None and built["force"] < 1_000 == batch.payload.force
    assert int(paid["reward"]) == built["force"] * outcome.price_micrograins // 10**6 < outcome.released_grains


async def test_rewards_are_of_the_manifest_that_was_posted(scene: CliScene, tmp_path: Path) -> None:
    mining, out = scene.scene, str(tmp_path / "day")
    write_records(tmp_path, mining)
    built = await scene.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", str(TODAY), "--out", out),
        *("--master-key", str(tmp_path / "key"), "--threads", "1"),
    )
    mining.day = Epoch(TODAY + 1)
    mining.accept(mining.batch(root=bytes.fromhex(built["root"][2:])))
    mining.begin_day(TODAY + 2)
    refused = await scene.run("mining", "rewards", out, "--out", str(tmp_path / "rewards"))
    assert refused.exit_code == 1 and "the root of the batch on the chain and another manifest" in refused.output
    assert not (tmp_path / "rewards").exists()


async def test_a_day_on_which_only_vehicles_vouched_is_rewarded_without_a_batch(
    scene: CliScene, tmp_path: Path
) -> None:
    mining, file, out = scene.scene, tmp_path / "vouched.parquet", str(tmp_path / "day")
    mining.accept(mining.record())
    write_vouched(file, [(mining.alice, int(Behaviour.CAR_STARTED), 1, mining.car, HASH)])
    built = await scene.run_json(
        *("mining", "build", "--records", str(file), "--vouched", str(file), "--epoch", str(TODAY), "--out", out),
        *("--master-key", str(tmp_path / "key"), "--threads", "1"),
    )
    assert (built["records"], built["force"]) == (1, 0)
    mining.begin_day(TODAY + 2)
    paid = await scene.run_json("mining", "rewards", out, "--out", str(tmp_path / "rewards"))
    assert (paid["identities"], paid["reward"]) == (1, str(100 * 10**6))


async def test_a_damaged_build_is_one_sentence(scene: CliScene, tmp_path: Path) -> None:
    mining, out, key = scene.scene, tmp_path / "day", str(tmp_path / "key")
    write_records(tmp_path, mining)
    await scene.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", str(TODAY)),
        *("--out", str(out), "--master-key", key, "--threads", "1"),
    )
    (out / "records" / "000.parquet").write_bytes(b"PAR1")
    given = (format_did(mining.alice, NETWORK), "--build", str(out), "--master-key", key)
    for command in (("statement", *given), ("export", *given, "--out", str(tmp_path / "mine"))):
        result = await scene.run("mining", *command)
        assert result.exit_code == 1 and "is damaged" in result.output
    (out / "manifest.json").write_text("[]", encoding="utf-8")
    result = await scene.run("mining", "rewards", str(out), "--out", str(tmp_path / "rewards"))
    assert result.exit_code == 1 and "is damaged" in result.output


async def check_export(scene: CliScene, tmp_path: Path, alice: str, out: str, key: str) -> None:
    """The owner gets records with proofs, which others check; a changed one is found."""
    file, one = tmp_path / "mine.json", tmp_path / "one.json"
    given = ("mining", "export", alice, "--build", out, "--master-key", key)
    exported = await scene.run_json(*given, "--out", str(file))
    assert exported == {"epoch": TODAY, "records": 3, "vouched": 0, "file": str(file)}
    assert (await scene.run(*given, "--out", str(file))).exit_code == 2
    checked = await scene.run_json("mining", "verify", str(file))
    assert [(each["behaviour"], each["count"], each["isProven"]) for each in checked] == [
        ("app_opened", 2, True),
        ("car_started", 1, True),
        ("maintenance", 1, True),
    ]
    await scene.run_json(*given, "--behaviour", "maintenance", "--out", str(one))
    (shared,) = json.loads(one.read_text(encoding="utf-8"))["records"]
    one.write_text(json.dumps({"records": [{**shared, "count": 2}], "vouched": []}), encoding="utf-8")
    refused = await scene.run("mining", "verify", str(one))
    assert refused.exit_code == 1 and "1 of 1 records are not proven" in refused.output
    for wrong in ({"salt": "00"}, {"count": 1.9}, {"count": "1"}, {"epoch": True}, {"epoch": 10**6}):
        one.write_text(json.dumps({"records": [{**shared, **wrong}], "vouched": []}), encoding="utf-8")
        assert (await scene.run("mining", "verify", str(one))).exit_code == 2
    typo = tmp_path / "kez"
    for name in ("export", "statement"):
        more = ("--out", str(tmp_path / "more.json")) if name == "export" else ()
        missed = await scene.run("mining", name, alice, "--build", out, "--master-key", str(typo), *more)
        assert (missed.exit_code, typo.exists()) == (2, False), missed.output


async def test_data_of_a_vehicles_record_are_opened_for_whoever_is_shown_them(scene: CliScene, tmp_path: Path) -> None:
    mining, data, file = scene.scene, tmp_path / "trip.json", tmp_path / "mine.json"
    data.write_bytes(b'{"starts": 1}')
    mining.accept(mining.record(commitment=commit_to_data(data, load_or_create_salt(data))))
    write_records(tmp_path, mining)
    out, key, alice = str(tmp_path / "day"), str(tmp_path / "key"), format_did(mining.alice, NETWORK)
    vouched = tmp_path / "vouched.parquet"
    write_vouched(vouched, [(mining.alice, int(Behaviour.CAR_STARTED), 1, mining.car, HASH)])
    await scene.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--vouched", str(vouched)),
        *("--epoch", str(TODAY), "--out", out, "--master-key", key, "--threads", "1"),
    )
    given = ("mining", "export", alice, "--build", out, "--master-key", key, "--behaviour", "post", "--data", str(data))
    exported = await scene.run_json(*given, "--out", str(file))
    assert (exported["records"], exported["vouched"]) == (0, 1)
    (checked,) = await scene.run_json("mining", "verify", str(file))
    expected = {"did": alice, "epoch": TODAY, "behaviour": "car_started", "count": 1}
    assert checked == {**expected, "attester": format_did(mining.car, NETWORK), "isProven": True}
    (opened,) = json.loads(file.read_text(encoding="utf-8"))["vouched"]
    file.write_text(json.dumps({"records": [], "vouched": [{**opened, "dataHash": "00" * 32}]}), encoding="utf-8")
    refused = await scene.run("mining", "verify", str(file))
    assert refused.exit_code == 1 and "1 of 1 records are not proven" in refused.output
    data.write_bytes(b'{"starts": 2}')
    refused = await scene.run(*given, "--out", str(tmp_path / "other.json"))
    assert refused.exit_code == 1 and "no record of that day commits to" in refused.output
    get_salt_path(data).write_text("no salt", encoding="ascii")
    refused = await scene.run(*given, "--out", str(tmp_path / "other.json"))
    assert refused.exit_code == 2 and "holds no salt" in refused.output


async def test_an_epoch_is_shown(scene: CliScene) -> None:
    scene.scene.day = Epoch(TODAY + 1)
    scene.scene.accept(scene.scene.batch())
    scene.scene.begin_day(TODAY + 2)
    shown = await scene.run_json("mining", "epoch", str(TODAY))
    assert (shown["number"], shown["force"], shown["outcome"]["released"]) == (TODAY, 1_000, str(10**9))
    table = await scene.run("mining", "epoch", str(TODAY))
    assert "days until half" in table.output.replace("days until Half", "days until half")
    assert f"{(MINING_FUND_GRAINS - 10**9) // 10**8}" in table.output


async def test_a_statement_without_a_build_is_what_the_chain_knows(scene: CliScene) -> None:
    scene.scene.accept(scene.scene.record())
    shown = await scene.run_json("mining", "statement", format_did(scene.scene.alice, NETWORK))
    assert [each["behaviour"] for each in shown["records"]] == ["car_started"]


def test_bad_records_are_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "bad.parquet", [(b"short", 1, 1, None, None, None, GATE)])
    result = CliRunner().invoke(
        cli,
        [
            *("mining", "build", "--records", str(tmp_path / "bad.parquet"), "--epoch", "1", "--default-rules"),
            *("--out", str(tmp_path / "out"), "--master-key", str(tmp_path / "key")),
        ],
    )
    assert result.exit_code == 1
    assert "wrong form" in result.output
    result = CliRunner().invoke(cli, ["mining", "rewards", str(tmp_path / "out"), "--out", str(tmp_path / "rewards")])
    assert (result.exit_code, "no complete build" in result.output) == (1, True)


def test_years_are_played(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["mining", "simulate", "--output", str(tmp_path), "--years", "1"])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("attack.csv", "boom.csv", "crash.csv", "report.html", "slow.csv"),
    ]
    assert json.dumps(str(tmp_path / "report.html"))[1:-1] in result.output


class MiningNode(DidNode):
    """Two gates with the keys dev1 and dev2, and a user with the key dev3 who has a car with the key dev4."""

    gates: tuple[str, str]
    user: str
    car: str

    async def prepare(self) -> None:
        """Create them, as if makers and owner had said what they say of a car."""
        self.gates = (
            await self.create("--kind", "organisation", "--key", "dev1"),
            await self.create("--kind", "organisation", "--key", "dev2"),
        )
        for gate in self.gates:
            put_grant(self.state, self.parse(gate), Role.ATTESTER, Grant(Height(10**6), None), Height(1))
        self.user = await self.create("--key", "dev3")
        owned = ("--kind", "vehicle", "--owner", self.user, "--key", "dev4")
        self.car = await self.create(*owned, "--by", f"{self.user}=dev3")
        vin = VinAttestation(bytes(32), HASH, self.parse(self.gates[0]), 0, Height(1))
        binding = Binding(self.get(self.car).ownership, Height(1), ())
        put_vehicle(self.state, self.parse(self.car), VehicleRecord(2, vin, binding))

    def list_attesters(self) -> tuple[str, ...]:
        """Options with which both gates agree."""
        options = (("--attester", gate, "--by", f"{gate}=dev{number}") for number, gate in enumerate(self.gates, 1))
        return tuple(word for option in options for word in option)


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MiningNode]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        made = MiningNode(scene)
        await made.prepare()
        yield made


async def test_a_built_day_is_posted_by_its_attesters_and_corrected(node: MiningNode, tmp_path: Path) -> None:
    write(tmp_path / "records.parquet", [(node.parse(node.user), 1, 2, None, None, None, GATE)])
    out = str(tmp_path / "day")
    built = await node.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", "0", "--out", out),
        *("--master-key", str(tmp_path / "key"), "--threads", "1"),
    )
    node.begin_ms = DAY_MS
    await node.change("mining", "post", out, *node.list_attesters())
    await node.change("mining", "post", out, "--corrects", "1", *node.list_attesters())
    first, second = list_batches(node.state, 0)
    assert [first.status, second.status] == [BatchStatus.CORRECTED, BatchStatus.STANDING]
    given = second.payload
    assert (f"0x{given.root.hex()}", f"0x{given.manifest_hash.hex()}") == (built["root"], built["manifestHash"])
    assert (given.gateway, given.force, given.records, given.corrected) == (node.parse(node.gates[0]), 150, 1, 1)


async def test_a_day_is_built_with_the_weights_on_the_chain(node: MiningNode, tmp_path: Path) -> None:
    paper = tmp_path / "paper"
    paper.write_bytes(b"because")
    why = ("--reason", "automated", "--evidence", str(paper))
    await node.change("mining", "weigh", node.user, "10", *why, *node.list_attesters())
    write(tmp_path / "records.parquet", [(node.parse(node.user), 1, 2, None, None, None, GATE)])
    built = await node.run_json(
        *("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", "0"),
        *("--out", str(tmp_path / "day"), "--master-key", str(tmp_path / "key"), "--threads", "1"),
    )
    assert (built["force"], built["totals"][0]["userForce"]) == (15, 150)


async def test_user_and_car_record(node: MiningNode, tmp_path: Path) -> None:
    data = tmp_path / "trip.json"
    data.write_bytes(b'{"kilometres": 30}')
    keys = ("--by", f"{node.user}=dev3", "--by", f"{node.car}=dev4")
    await node.change(
        *("mining", "record", node.user, node.car, "driving_kilometre", "30"),
        "--data",
        str(data),
        "--epoch",
        "0",
        *keys,
    )
    ((behaviour, record),) = list_day_records(node.state, node.parse(node.user), 0)
    assert (behaviour, record.count, record.force) == (Behaviour.DRIVING_KILOMETRE, 30, 30)
    salt = get_salt_path(data)
    assert salt.stat().st_mode & 0o777 == 0o600
    hashed = sha256(data.read_bytes()).digest()
    assert record.commitment == compute_data_commitment(bytes.fromhex(salt.read_text(encoding="ascii")), hashed)
    assert commit_to_data(data, load_or_create_salt(data)) == record.commitment, "the same when it is said again"
    wrong = await node.run(
        "mining", "record", node.user, node.car, "flying", "1", "--data", str(data), "--from", "dev0"
    )
    assert wrong.exit_code == 2 and "there are app_opened" in wrong.output


async def test_a_weight_is_lowered_and_appealed(node: MiningNode, tmp_path: Path) -> None:
    paper = tmp_path / "paper"
    paper.write_bytes(b"because")
    why = ("--reason", "many-accounts", "--evidence", str(paper))
    await node.change("mining", "weigh", node.user, "25", *why, *node.list_attesters())
    await node.change("mining", "appeal", node.user, "--statement", str(paper), "--by", f"{node.user}=dev3")
    weight = get_weight_record(node.state, node.parse(node.user))
    assert weight is not None
    assert (weight.weight_hundredths, weight.reason, weight.turn) == (25, WeightReason.MANY_ACCOUNTS, 1)
    assert (weight.evidence_hash, weight.granted_from) == (sha256(b"because").digest(), 7)


async def test_what_vehicles_vouched_for_is_collected_from_blocks(scene: CliScene, tmp_path: Path) -> None:
    mining, backend, file = scene.scene, scene.backend, tmp_path / "vouched.parquet"
    mining.day = compute_epoch(TIME_MS)
    receipt = mining.accept(mining.record(count=3))
    incomplete = await scene.run("mining", "collect", str(mining.day), "--out", str(file))
    assert incomplete.exit_code == 1 and "0 of the 175 force" in incomplete.output
    transaction = Draft(SENDER, [mining.record()]).sign()
    backend.known_receipts[transaction.id] = receipt
    for transactions in ([], [transaction], []):
        backend.make_block(transactions)
    shown = await scene.run_json("mining", "collect", str(mining.day), "--out", str(file))
    expected = {"epoch": mining.day, "isOpen": True, "records": 1, "withoutNumber": 0, "file": str(file)}
    assert shown == expected
    (row,) = pq.read_table(file).to_pylist()
    assert row == {
        "did": mining.alice,
        "behaviour": int(Behaviour.CAR_STARTED),
        "count": 3,
        "provider": None,
        "vehicle": HASH,
        "phone": None,
        "attester": mining.car,
    }
    write(tmp_path / "records.parquet", [(b"\0" * 20, int(Behaviour.CAR_STARTED), 1, None, HASH, None, GATE)])
    given = ("mining", "build", "--records", str(tmp_path / "records.parquet"), "--epoch", str(mining.day))
    given = (*given, "--master-key", str(tmp_path / "secret"), "--threads", "1")
    without = await scene.run(*given, "--out", str(tmp_path / "built"))
    assert without.exit_code == 2
    assert "on the chain: 1, with --vouched: 0; give --vouched of carlive mining collect" in without.output
    twice = (mining.alice, int(Behaviour.CAR_STARTED), 1, mining.car, HASH)
    write_vouched(tmp_path / "more.parquet", [twice, twice])
    more = await scene.run(*given, "--vouched", str(tmp_path / "more.parquet"), "--out", str(tmp_path / "built"))
    assert more.exit_code == 2 and "on the chain: 1, with --vouched: 2;" in more.output
    (tmp_path / "other.parquet").write_text("did", encoding="utf-8")
    other = await scene.run(*given, "--vouched", str(tmp_path / "other.parquet"), "--out", str(tmp_path / "built"))
    assert other.exit_code == 1 and "exactly the columns did" in other.output
    assert not (tmp_path / "built").exists()
    built = await scene.run_json(
        *(*given, "--vouched", str(file), "--out", str(tmp_path / "built")),
    )
    assert (built["records"], built["identities"], built["force"]) == (1, 1, 0), "the chain has counted it"
    empty = await scene.run_json("mining", "collect", str(mining.day - 5), "--out", str(file))
    assert (empty["records"], pq.read_table(file).num_rows) == (0, 0)
