"""Vehicles' numbers on the command line: where one is read from, and the owner's file that proves it.

The file is JSON: the vehicle, its number, and the salt of the chain's commitment. The owner shows it to whom the number
shall be proven, and to nobody else: whoever has it knows number and vehicle.
"""

import json
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import IO, Any, Final

import click

from identity.vin import VIN_SALT_BYTES, InvalidVinError, parse_vin
from node.cli.did_signing import read_json_file
from node.cli.failures import CommandFailedError

VIN_TEXT_CHARACTERS_MAX: Final = 256  # of a file or of standard input; a number has 17


@dataclass(frozen=True, slots=True)
class NumberProof:
    """What proves a vehicle's number."""

    vehicle: str
    vin: str
    salt: bytes
    """VIN_SALT_BYTES, random."""


def vin_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add where the number comes from; the command gets `vin`, in its one form."""

    @wraps(function)
    def command(*args: Any, vin_text: str | None, vin_file: IO[str] | None, **given: Any) -> Any:
        return function(*args, vin=_read_vin(vin_text, vin_file), **given)

    decorated = click.option(
        "--vin-file",
        type=click.File("r", encoding="utf-8"),
        default=None,
        help="File with the number; - reads it from standard input.  [default: ask in the terminal]",
    )(command)
    return click.option(
        "--vin",
        "vin_text",
        default=None,
        metavar="VIN",
        help="The number itself: everybody on this machine sees it among the processes, and the shell remembers it.",
    )(decorated)


def load_or_make_proof(path: Path, vehicle: str, vin: str) -> NumberProof:
    """A proof with a fresh salt, kept for its owner alone; one of this vehicle and number that is there is used again.

    Raises CommandFailedError when the file is another's.
    """
    from node.atomic_file import create_file

    proof = NumberProof(vehicle, vin, secrets.token_bytes(VIN_SALT_BYTES))
    plain = {"vehicle": vehicle, "vin": vin, "salt": "0x" + proof.salt.hex()}
    try:
        create_file(path, (json.dumps(plain, indent=2) + "\n").encode())
    except FileExistsError:
        proof = load_proof(path)
        if (proof.vehicle, proof.vin) != (vehicle, vin):
            raise CommandFailedError(f"{path} proves the number of another vehicle: name another file") from None
    return proof


def load_proof(path: Path) -> NumberProof:
    """Raises CommandFailedError."""
    plain = read_json_file(path)
    try:
        salt = bytes.fromhex(plain["salt"].removeprefix("0x"))
        proof = NumberProof(str(plain["vehicle"]), parse_vin(plain["vin"]), salt)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise CommandFailedError(f"{path} is not a file of carlive vehicle attest") from None
    if len(salt) != VIN_SALT_BYTES:
        raise CommandFailedError(f"{path} has a salt of {len(salt)} bytes, not {VIN_SALT_BYTES}")
    return proof


def _read_vin(text: str | None, file: IO[str] | None) -> str:
    """Raises CommandFailedError."""
    if text is not None and file is not None:
        raise CommandFailedError("say either --vin or --vin-file")
    if file is not None:
        try:
            text = file.read(VIN_TEXT_CHARACTERS_MAX)
        except UnicodeDecodeError:
            raise CommandFailedError(f"--vin-file: {file.name} is not text in UTF-8") from None
    if text is None:
        if not sys.stdin.isatty():
            raise CommandFailedError(
                "a number is needed: say --vin-file FILE, pipe it to --vin-file -, or run this in a terminal"
            )
        text = str(click.prompt("Vehicle identification number", err=True))
    try:
        return parse_vin(text)
    except InvalidVinError as error:
        raise CommandFailedError(str(error)) from None
