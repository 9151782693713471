"""`carlive vehicle`: attested numbers, owners, and what owners let others do."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE, signing_options
from node.cli.did_signing import Operation, Signing, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.sending import Sending, sending_options
from node.cli.vehicle_numbers import load_or_make_proof, load_proof, vin_options
from rpc import calls

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client

MODULE: Final = "vehicles"
SCOPES: Final = ("diagnostics", "service-history", "location", "software", "driving")
"""Names of AccessScope, in their order."""
HEIGHTS_DEFAULT: Final = 28_800  # a day of three-second blocks

_vehicle_argument = click.argument("vehicle", metavar="VEHICLE")


@click.group(cls=SuggestingGroup)
def vehicle() -> None:
    """Attest vehicles' numbers, bind owners, let others use vehicles.

    A vehicle is an identity: carlive did create --kind vehicle makes one, carlive did transfer sells it. Keys of
    identities sign (--by); the account that sends and pays (--from) may be anybody's.
    """


@vehicle.command()
@_vehicle_argument
@click.option("--as", "attester", required=True, metavar="DID", help="The attester: a maker or inspector.")
@vin_options
@click.option(
    "--proof",
    "proof_file",
    type=FILE,
    required=True,
    help="New file for the owner, which proves the number: it holds number and salt. Keep it secret.",
)
@signing_options
@sending_options
def attest(vehicle: str, attester: str, vin: str, proof_file: Path, signing: Signing, sending: Sending) -> None:
    """Say which number VEHICLE has, as an attester that governance recognises.

    The chain gets two hashes of it, never the number. For instance:
    carlive vehicle attest CAR --as MAKER --proof car.proof --by maker --from dev0
    """
    from identity.vin import compute_vin_commitment, compute_vin_nullifier
    from vm.native.vehicle_records import VinPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        found = _fetch_vehicle(client, facts, vehicle)
        attester_did = parse_did_text(attester, facts.network)
        payload = VinPayload(
            parse_did_text(vehicle, facts.network),
            attester_did,
            found["turn"],
            compute_vin_commitment(vin, load_or_make_proof(proof_file, vehicle, vin).salt),
            compute_vin_nullifier(vin, facts.domain),
        )
        return Operation("vehicles.attest_vin", payload, find_signer(client, facts, attester_did))

    send_operation(prepare, signing, sending, {"proof": str(proof_file)})


@vehicle.command()
@_vehicle_argument
@signing_options
@sending_options
def withdraw(vehicle: str, signing: Signing, sending: Sending) -> None:
    """Take back what one has attested of the number of VEHICLE; the number is free then."""
    from vm.native.vehicle_records import VinWithdrawalPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        vin = _fetch_vehicle(client, facts, vehicle)["vin"]
        if vin is None:
            raise CommandFailedError("nobody has attested a number of this vehicle", ExitCode.FAILED)
        payload = VinWithdrawalPayload(parse_did_text(vehicle, facts.network), vin["turn"])
        attester = parse_did_text(vin["attester"], facts.network)
        return Operation("vehicles.withdraw_vin", payload, find_signer(client, facts, attester))

    send_operation(prepare, signing, sending)


@vehicle.command()
@_vehicle_argument
@sending_options
def release(vehicle: str, sending: Sending) -> None:
    """Free the number of VEHICLE, which is deactivated; anybody may."""
    from node.cli.module_calls import build_known_intent
    from node.cli.sending import send_intent

    send_intent(lambda client, facts: build_known_intent(client, facts, MODULE, "release_vin", [vehicle]), sending)


@vehicle.command()
@_vehicle_argument
@click.option("--key", "keys", multiple=True, metavar="KEY", help="The vehicle's own key, which agrees too.")
@signing_options
@sending_options
def bind(vehicle: str, keys: tuple[str, ...], signing: Signing, sending: Sending) -> None:
    """Let VEHICLE and its present owner confirm each other; after that the owner lets others use it.

    For instance: carlive vehicle bind CAR --key car --by alice --from dev0
    """
    from vm.native.vehicle_records import BindingPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        found, did = _fetch_vehicle(client, facts, vehicle), parse_did_text(vehicle, facts.network)
        payload = BindingPayload(did, found["ownership"], found["turn"])
        return Operation("vehicles.bind", payload, find_signer(client, facts, did))

    send_operation(prepare, replace(signing, own_keys=keys), sending)


@vehicle.command()
@_vehicle_argument
@click.argument("grantee", metavar="GRANTEE")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="What for; once for each."
)
@click.option(
    "--heights", type=click.IntRange(0), default=HEIGHTS_DEFAULT, show_default=True, help="For how many blocks."
)
@signing_options
@sending_options
def grant(
    vehicle: str, grantee: str, scopes: tuple[str, ...], heights: int, signing: Signing, sending: Sending
) -> None:
    """Let GRANTEE, an identity, use VEHICLE for a while, in place of what it was allowed before.

    For instance: carlive vehicle grant CAR WORKSHOP --scope diagnostics --by alice --from dev0
    """
    from ledger.primitives import Height
    from vm.native.vehicle_records import AccessScope, GrantPayload

    wanted = tuple(sorted(AccessScope[_to_enum_name(each)] for each in set(scopes)))

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        found, did = _fetch_vehicle(client, facts, vehicle), parse_did_text(vehicle, facts.network)
        until = Height(client.run(calls.chain_head()).height + heights)
        payload = GrantPayload(did, parse_did_text(grantee, facts.network), wanted, until, found["turn"])
        return Operation("vehicles.grant_access", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending)


@vehicle.command()
@_vehicle_argument
@click.argument("grantee", metavar="GRANTEE")
@signing_options
@sending_options
def revoke(vehicle: str, grantee: str, signing: Signing, sending: Sending) -> None:
    """Let GRANTEE use VEHICLE no more."""
    from vm.native.vehicle_records import RevocationPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        found, did = _fetch_vehicle(client, facts, vehicle), parse_did_text(vehicle, facts.network)
        payload = RevocationPayload(did, parse_did_text(grantee, facts.network), found["turn"])
        return Operation("vehicles.revoke_access", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending)


@vehicle.command()
@_vehicle_argument
@node_option
@output_option
def show(vehicle: str, node_url: str, output: Output) -> None:
    """Show owner, binding and attested number of VEHICLE."""
    with connect(node_url) as client:
        found = _fetch_vehicle(client, read_chain_facts(client), vehicle)
    if not output.is_json:
        vin = found.pop("vin") or {}
        found |= {"numberAttestedBy": vin.get("attester"), "numberCommitment": vin.get("commitment")}
    output.show_record(found)


@vehicle.command()
@_vehicle_argument
@click.option("--grantee", default=None, metavar="DID", help="Only this one's; exit code 1 when there is none.")
@node_option
@output_option
def grants(vehicle: str, grantee: str | None, node_url: str, output: Output) -> None:
    """List who may use VEHICLE now, what for, and up to which block."""
    from vm.native.vehicle_records import AccessScope

    with connect(node_url) as client:
        facts = read_chain_facts(client)
        _fetch_vehicle(client, facts, vehicle)
        wanted = None if grantee is None else parse_did_text(grantee, facts.network)
        found = client.run(calls.module_view(MODULE, "grants", {"vehicle": vehicle})).value
    shown = [
        {**each, "scopes": [_to_option(AccessScope(scope).name) for scope in each["scopes"]]}
        for each in found
        if wanted is None or parse_did_text(each["grantee"], facts.network) == wanted
    ]
    if wanted is not None and not shown:
        raise CommandFailedError(f"{grantee} may do nothing with this vehicle", ExitCode.FAILED)
    output.show_list(
        shown, ["grantee", "scopes", "untilHeight"], {"scopes": ", ".join}, empty="nobody else may use this vehicle"
    )


@vehicle.command()
@vin_options
@node_option
@output_option
def find(vin: str, node_url: str, output: Output) -> None:
    """Find the vehicle that has a number; whoever knows a number can."""
    from identity.vin import compute_vin_nullifier

    with connect(node_url) as client:
        nullifier = compute_vin_nullifier(vin, read_chain_facts(client).domain)
        found = client.run(calls.module_view(MODULE, "vin", {"nullifier": "0x" + nullifier.hex()})).value
    if found is None:
        raise CommandFailedError("no vehicle has this number", ExitCode.FAILED)
    output.show_record({"vehicle": found})


@vehicle.command()
@click.argument("proof_file", metavar="PROOF", type=FILE)
@node_option
@output_option
def check(proof_file: Path, node_url: str, output: Output) -> None:
    """Check PROOF, an owner's file of carlive vehicle attest, against what the chain holds."""
    from identity.vin import compute_vin_commitment, compute_vin_nullifier

    proof = load_proof(proof_file)
    with connect(node_url) as client:
        facts = read_chain_facts(client)
        found = _fetch_vehicle(client, facts, proof.vehicle)
    vin = found["vin"]
    if vin is None:
        raise CommandFailedError("nobody has attested a number of this vehicle", ExitCode.FAILED)
    hashes = (compute_vin_commitment(proof.vin, proof.salt), compute_vin_nullifier(proof.vin, facts.domain))
    if (vin["commitment"], vin["nullifier"]) != tuple("0x" + each.hex() for each in hashes):
        raise CommandFailedError("another number was attested of this vehicle", ExitCode.FAILED)
    output.show_record(
        {"vehicle": found["vehicle"], "vin": proof.vin, "attester": vin["attester"], "attestedHeight": vin["height"]}
    )


def _fetch_vehicle(client: "Client", facts: "ChainFacts", text: str) -> dict[str, Any]:
    """The view of a vehicle; raises CommandFailedError."""
    parse_did_text(text, facts.network)
    found: dict[str, Any] | None = client.run(calls.module_view(MODULE, "vehicle", {"vehicle": text})).value
    if found is None:
        raise CommandFailedError(
            f"{text} is no vehicle: carlive did create --kind vehicle makes one, carlive did show tells what this is",
            ExitCode.FAILED,
        )
    return found


def _to_enum_name(option: str) -> str:
    return option.upper().replace("-", "_")


def _to_option(name: str) -> str:
    return name.lower().replace("_", "-")
