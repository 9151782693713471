"""What `carlive vehicle` signs, sends and shows; what it has signed is executed."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from identity.vin import compute_vin_commitment, compute_vin_nullifier
from node.cli.failures import ExitCode
from node.cli.main import cli
from node.cli.vehicle_commands import SCOPES
from tests.node.cli_scene import open_cli_scene
from tests.node.test_cli_did import DidNode
from tests.rpc.fake_backend import DOMAIN
from vm.native.recognition import Recognition, put_recognised
from vm.native.vehicle_records import AccessScope, Grant, VinAttestation, get_vehicle

VIN = "WVWZZZ1JZXW000001"


@dataclass
class Garage:
    """A car whose key is dev3, its owner dev1, a workshop dev2, and a maker dev4 that governance recognises."""

    node: DidNode
    owner: str
    workshop: str
    maker: str
    car: str
    proof: Path
    vin_file: Path

    async def attest(self, *arguments: str) -> dict[str, str]:
        """The maker vouches."""
        return await self.node.change(
            *("vehicle", "attest", self.car, "--as", self.maker, "--proof", str(self.proof), "--by", "dev4"),
            *(arguments or ("--vin-file", str(self.vin_file))),
        )

    async def bind(self) -> None:
        """Owner and car agree."""
        await self.node.change("vehicle", "bind", self.car, "--key", "dev3", "--by", "dev1")


@pytest.fixture
async def garage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Garage]:
    async with open_cli_scene(tmp_path, monkeypatch) as scene:
        node = DidNode(scene)
        owner, workshop = await node.create("--key", "dev1"), await node.create("--key", "dev2")
        maker = await node.create("--kind", "organisation", "--key", "dev4")
        car = await node.create("--kind", "vehicle", "--owner", owner, "--key", "dev3", "--by", "dev1")
        put_recognised(node.state, Recognition.VIN_ATTESTER, node.parse(maker))
        vin_file = tmp_path / "vin.txt"
        vin_file.write_text(f"{VIN.lower()}\n")
        yield Garage(node, owner, workshop, maker, car, tmp_path / "car.proof", vin_file)


async def test_a_number_is_attested_and_its_owner_proves_it(garage: Garage) -> None:
    sent = await garage.attest()
    assert (sent["did"], sent["proof"]) == (garage.car, str(garage.proof))
    assert garage.proof.stat().st_mode & 0o777 == 0o600
    kept = json.loads(garage.proof.read_text())
    assert (kept["vehicle"], kept["vin"]) == (garage.car, VIN)
    node = garage.node
    commitment = compute_vin_commitment(VIN, bytes.fromhex(kept["salt"][2:]))
    nullifier = compute_vin_nullifier(VIN, DOMAIN)
    made = get_vehicle(node.state, node.parse(garage.car))
    assert made.vin == VinAttestation(commitment, nullifier, node.parse(garage.maker), 0, node.height - 1)
    checked = await node.run_json("vehicle", "check", str(garage.proof))
    assert checked == {
        "vehicle": garage.car,
        "vin": VIN,
        "attester": garage.maker,
        "attestedHeight": node.height - 1,
    }
    assert await node.run_json("vehicle", "find", "--vin", VIN) == {"vehicle": garage.car}


async def test_the_same_file_serves_when_it_was_not_sent_at_first(garage: Garage, tmp_path: Path) -> None:
    words = ("vehicle", "attest", garage.car, "--as", garage.maker, "--proof", str(garage.proof), "--vin", VIN)
    await garage.node.run_json(*words, "--from", "dev0", "--payload-out", str(tmp_path / "payload.json"))
    kept = garage.proof.read_text()
    await garage.attest()
    assert garage.proof.read_text() == kept
    assert (await garage.node.run("vehicle", "check", str(garage.proof))).exit_code == 0


async def test_a_file_of_another_number_is_left_alone(garage: Garage) -> None:
    await garage.attest()
    other = ("--vin", "1M8GDM9AXKP042788", "--by", "dev4", "--from", "dev0", "--yes")
    result = await garage.node.run(
        *("vehicle", "attest", garage.car, "--as", garage.maker, "--proof", str(garage.proof), *other)
    )
    assert (result.exit_code, "of another vehicle" in result.stderr) == (ExitCode.WRONG_USE, True)


async def test_an_attester_that_was_wrong_withdraws(garage: Garage) -> None:
    await garage.attest()
    await garage.node.change("vehicle", "withdraw", garage.car, "--by", "dev4")
    for words in (["find", "--vin", VIN], ["check", str(garage.proof)], ["withdraw", garage.car, "--from", "dev0"]):
        assert (await garage.node.run("vehicle", *words)).exit_code == ExitCode.FAILED


async def test_the_number_of_a_vehicle_that_has_ended_is_released(garage: Garage) -> None:
    await garage.attest()
    await garage.node.change("did", "deactivate", garage.car, "--by", "dev1")
    await garage.node.change("vehicle", "release", garage.car)
    assert (await garage.node.run_json("vehicle", "show", garage.car))["vin"] is None


async def test_what_an_owner_grants_ends_with_the_owner(garage: Garage) -> None:
    node = garage.node
    await garage.bind()
    await node.change(
        *("vehicle", "grant", garage.car, garage.workshop, "--scope", "service-history", "--scope", "diagnostics"),
        *("--heights", "50", "--by", "dev1"),
    )
    (made,) = get_vehicle(node.state, node.parse(garage.car)).binding.grants  # type: ignore[union-attr]
    scopes = (AccessScope.DIAGNOSTICS, AccessScope.SERVICE_HISTORY)
    assert made == Grant(node.parse(garage.workshop), scopes, made.until_height)
    listed = await node.run_json("vehicle", "grants", garage.car, "--grantee", garage.workshop)
    assert [(each["grantee"], each["scopes"]) for each in listed] == [
        (garage.workshop, ["diagnostics", "service-history"])
    ]
    assert "diagnostics, service-history" in (await node.run("vehicle", "grants", garage.car)).stdout
    await node.change(
        "did", "transfer", garage.car, "--to", garage.workshop, "--by", "dev1", "--by", f"{garage.workshop}=dev2"
    )
    assert await node.run_json("vehicle", "grants", garage.car) == []
    shown = await node.run_json("vehicle", "show", garage.car)
    assert (shown["owner"], shown["boundHeight"]) == (garage.workshop, None)


async def test_a_grant_is_revoked(garage: Garage) -> None:
    await garage.bind()
    await garage.node.change("vehicle", "grant", garage.car, garage.workshop, "--scope", "driving", "--by", "dev1")
    await garage.node.change("vehicle", "revoke", garage.car, garage.workshop, "--by", "dev1")
    result = await garage.node.run("vehicle", "grants", garage.car, "--grantee", garage.workshop)
    assert (result.exit_code, "may do nothing" in result.stderr) == (ExitCode.FAILED, True)


async def test_owner_and_car_agree_on_different_machines(garage: Garage, tmp_path: Path) -> None:
    payload, signature = tmp_path / "binding.json", tmp_path / "car.json"
    await garage.node.run_json("vehicle", "bind", garage.car, "--from", "dev0", "--payload-out", str(payload))
    words = ("did", "sign", str(payload), "--as", garage.car, "--key", "dev3", "--out", str(signature), "--yes")
    await garage.node.run_json(*words)
    await garage.node.change("did", "send", str(payload), "--by", "dev1", "--signature", str(signature))
    shown = await garage.node.run("vehicle", "show", garage.car)
    assert f"bound height        {garage.node.height - 1}" in shown.stdout


async def test_who_signs_elsewhere_reads_scopes_by_name(garage: Garage, tmp_path: Path) -> None:
    payload = tmp_path / "grant.json"
    words = ("vehicle", "grant", garage.car, garage.workshop, "--scope", "service-history", "--from", "dev0")
    await garage.node.run_json(*words, "--payload-out", str(payload))
    result = await garage.node.run("did", "sign", str(payload), "--key", "dev1")
    assert '["service history"]' in result.stderr


def test_scopes_have_the_names_of_the_module() -> None:
    assert [each.upper().replace("-", "_") for each in SCOPES] == [each.name for each in AccessScope]


@pytest.mark.parametrize(
    ("given", "text", "advice"),
    [
        ([], None, "pipe it to --vin-file -"),
        (["--vin", "1"], None, "17 letters and digits"),
        (["--vin", VIN, "--vin-file", "-"], VIN, "either --vin or --vin-file"),
        (["--vin-file", "-"], "nonsense", "17 letters and digits"),
        (["--vin-file", "-"], b"\xff\xfe", "not text"),
    ],
)
def test_a_number_that_cannot_be_read(given: list[str], text: str | bytes | None, advice: str) -> None:
    result = CliRunner().invoke(cli, ["vehicle", "find", *given, "--node", "http://127.0.0.1:9"], input=text)
    assert (result.exit_code, advice in result.stderr) == (ExitCode.WRONG_USE, True), result.stderr


async def test_what_is_no_vehicle_or_no_proof(garage: Garage, tmp_path: Path) -> None:
    path = tmp_path / "wrong.proof"
    path.write_text('{"vehicle": "x", "vin": "' + VIN + '", "salt": "0x00"}')
    other = tmp_path / "other.json"
    other.write_text("[]")
    for words, code, advice in (
        (["show", garage.owner], ExitCode.FAILED, "is no vehicle"),
        (["show", "did:iov:testnet:Ci9TDNmoZN2SfQDyS8NgCcB8egf"], ExitCode.WRONG_USE, "testnet"),
        (["check", str(path)], ExitCode.WRONG_USE, "a salt of 1 bytes"),
        (["check", str(other)], ExitCode.WRONG_USE, "not a file of carlive vehicle attest"),
        (["check", str(garage.vin_file)], ExitCode.WRONG_USE, "is not JSON"),
        (["bind", garage.car, "--from", "dev0"], ExitCode.WRONG_USE, "nobody signs this"),
    ):
        result = await garage.node.run("vehicle", *words)
        assert (result.exit_code, advice in result.stderr) == (code, True), result.stderr
