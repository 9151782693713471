"""Options that commands for identities share: who signs, and who is to rule."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from node.cli.did_control import ControlOptions
from node.cli.did_signing import Signing

FILE = click.Path(path_type=Path, dir_okay=False)


signature_option = click.option(
    "--signature", "signature_files", type=FILE, multiple=True, help="File of carlive did sign, from others."
)
by_option = click.option(
    "--by",
    "signers",
    multiple=True,
    metavar="[DID=]KEY",
    help="Key that signs, and the identity in whose name.  [default: the one that rules it, or acts]",
)


def signing_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add who signs for identities; the command gets `signing`."""

    @wraps(function)
    def command(*args: Any, signers: tuple[str, ...], payload_file: Path | None, **given: Any) -> Any:
        return function(*args, signing=Signing(signers, payload_file), **given)

    payload_option = click.option(
        "--payload-out",
        "payload_file",
        type=FILE,
        default=None,
        help="Send nothing: save the payload, for others to sign with carlive did sign.",
    )
    return by_option(payload_option(command))


keep_option = click.option(
    "--keep", "is_kept", is_flag=True, help="Where nothing is said, keep what is now; next keys are always said anew."
)


def control_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add who is to rule; the command gets `control`."""

    @wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        control = ControlOptions(
            **{field.name: given.pop(field.name) for field in fields(ControlOptions) if field.name in given}
        )
        return function(*args, control=control, **given)

    decorated: Callable[..., Any] = command
    needed = click.IntRange(1)
    for option in (
        click.option(
            "--guardians-needed", type=needed, default=1, show_default=True, help="How many of them it takes."
        ),
        click.option(
            "--guardian", "guardians", multiple=True, metavar="DID", help="Identity that may ask for a recovery."
        ),
        click.option("--recovery-threshold", type=needed, default=1, show_default=True, help="How many must sign."),
        click.option(
            "--recovery-key", "recovery_keys", multiple=True, metavar="KEY", help="Key that recovers it; kept secret."
        ),
        click.option("--next-threshold", type=needed, default=1, show_default=True, help="How many must sign."),
        click.option(
            "--next-key", "next_keys", multiple=True, metavar="KEY", help="Key of the next rotation; kept secret."
        ),
        click.option("--controllers-needed", type=needed, default=1, show_default=True, help="How many must agree."),
        click.option(
            "--controller", "controllers", multiple=True, metavar="DID", help="Identity that rules in place of keys."
        ),
        click.option(
            "--agreement-key", "agreement_keys", multiple=True, metavar="0x…", help="X25519 key others encrypt for."
        ),
        click.option("--threshold", type=needed, default=1, show_default=True, help="How many keys must sign."),
        click.option(
            "--key", "keys", multiple=True, metavar="KEY", help="Own key: a name, or TYPE:0x… for one kept elsewhere."
        ),
    ):
        decorated = option(decorated)
    return decorated
