"""`carlive platform`: accounts on platforms, bound one by one or claimed by their users from a list."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.connection import connect, node_option, read_chain_facts
from node.cli.did_options import FILE, signing_options
from node.cli.did_signing import Operation, Signing, compute_message, find_signer, parse_did_text, send_operation
from node.cli.failures import CommandFailedError, ExitCode
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from node.cli.platform_package import read_claim_package
from node.cli.role_names import get_recognition_number
from node.cli.sending import Sending, sending_options
from rpc import calls

if TYPE_CHECKING:
    from identity.did import Did
    from node.cli.signing import ChainFacts
    from rpc.client import Client

MODULE: Final = "platforms"
HEIGHTS_DEFAULT: Final = 10_000_000  # about a year of three-second blocks: users come back late

_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.group(cls=SuggestingGroup)
def platform() -> None:
    """Bind accounts on platforms to persons, one by one or from a list that users claim.

    For a list, the platform builds it (build-migration), posts its root (post-migration) and hands each user a package
    (claim-package), with which that user claims the account. Keys of identities sign (--by); the account that sends and
    pays (--from) may be anybody's.
    """


@platform.command("build-migration")
@click.argument("accounts", type=FILE, metavar="INPUT.csv")
@click.option("--out", "directory", type=_DIRECTORY, required=True, help="Where the list is built.")
@click.option("--master-key", type=FILE, required=True, help="Secret file; made when it is not there.")
@output_option
def build(accounts: Path, directory: Path, master_key: Path, output: Output) -> None:
    """Build the list of a CSV's accounts; a build that was interrupted goes on.

    The CSV's first line names its columns. The one called "account" is read; it stands in the order of its bytes, as
    from `LC_ALL=C sort -u`. Keep directory and master key as long as accounts may be claimed: without the master key
    none can be, and whoever has it can claim all.
    """
    from node.platform_migration import build_migration, load_or_create_master_key

    with _show_progress() as report:
        tree = build_migration(accounts, directory, load_or_create_master_key(master_key), report)
    output.show_record({"root": f"0x{tree.root.hex()}", "count": tree.count, "directory": str(directory)})


@platform.command("claim-package")
@click.argument("account")
@click.option("--migration", "directory", type=_DIRECTORY, required=True, help="Where the list was built.")
@click.option("--master-key", type=FILE, required=True, help="Secret file of that list.")
@click.option("--out", "package_file", type=FILE, required=True, help="Where the package goes; not overwritten.")
@output_option
def write_claim_package(account: str, directory: Path, master_key: Path, package_file: Path, output: Output) -> None:
    """Write what an account's user needs to claim it: salt, claim key and proof. Secret, for this user alone."""
    from node.atomic_file import create_file
    from node.errors import ConfigurationError
    from node.platform_migration import build_claim_package, format_claim_package, load_master_key

    package = build_claim_package(directory, load_master_key(master_key), account)
    try:
        create_file(package_file, format_claim_package(package))
    except FileExistsError:
        raise ConfigurationError(f"{package_file} is there already") from None
    output.show_record(
        {"account": f"0x{package.account.hex()}", "index": package.proof.index, "file": str(package_file)}
    )


@platform.command("post-migration")
@click.argument("identity", metavar="PLATFORM")
@click.option("--migration", "directory", type=_DIRECTORY, required=True, help="Where the list was built.")
@click.option(
    "--heights", type=click.IntRange(1), default=HEIGHTS_DEFAULT, show_default=True, help="Blocks in which to claim."
)
@signing_options
@sending_options
def post_migration(identity: str, directory: Path, heights: int, signing: Signing, sending: Sending) -> None:
    """Let the accounts of a list be claimed, as PLATFORM, which governance recognises."""
    from ledger.primitives import Height
    from node.platform_migration import load_migration
    from vm.native.platforms import MigrationPayload

    tree = load_migration(directory)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did = parse_did_text(identity, facts.network)
        until = Height(client.run(calls.chain_head()).height + heights)
        payload = MigrationPayload(did, tree.root, tree.count, until)
        return Operation("platforms.post_migration", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending, {"root": f"0x{tree.root.hex()}"})


@platform.command()
@click.argument("package_file", metavar="PACKAGE", type=FILE)
@click.option("--as", "person", required=True, metavar="DID", help="Whose the account is.")
@signing_options
@sending_options
def claim(package_file: Path, person: str, signing: Signing, sending: Sending) -> None:
    """Claim the account of PACKAGE, the file of carlive platform claim-package that the platform has handed out.

    For instance: carlive platform claim ann.json --as ANN --by phone --from dev0
    """
    from identity.platform_account import get_claim_private_key
    from ledger.primitives import Signature
    from vm.native.platforms import ClaimPayload

    package = read_claim_package(package_file)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did = parse_did_text(person, facts.network)
        payload = ClaimPayload(
            _find_poster(client, facts, package.root), package.root, did, package.account, package.claim_key
        )
        claim_key = get_claim_private_key(package.secrets)
        signature = Signature(claim_key.sign(compute_message("platforms.claim", payload, facts)))
        return Operation("platforms.claim", payload, find_signer(client, facts, did), (package.proof, signature))

    send_operation(prepare, signing, sending, {"account": package.name})


@platform.command()
@click.argument("identity", metavar="PLATFORM")
@click.argument("person", metavar="PERSON")
@click.argument("account")
@click.option("--master-key", type=FILE, required=True, help="The platform's secret file; made when it is not there.")
@signing_options
@sending_options
def bind(
    identity: str,
    person: str,
    account: str,
    master_key: Path,
    signing: Signing,
    sending: Sending,
) -> None:
    """Bind ACCOUNT, a name on PLATFORM, to PERSON; both sign.

    For instance: carlive platform bind SHOP ANN ann@example.com --master-key shop.key --by shop --by ANN=phone
    --from dev0
    """
    from identity.platform_account import InvalidAccountNameError, compute_account_hash, derive_account_secrets
    from node.platform_migration import load_or_create_master_key
    from vm.native.platforms import BindingPayload

    try:
        own = derive_account_secrets(load_or_create_master_key(master_key), account)
    except InvalidAccountNameError as error:
        raise CommandFailedError(str(error)) from None
    account_hash = compute_account_hash(account, own.salt)

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did, person_did = parse_did_text(identity, facts.network), parse_did_text(person, facts.network)
        payload = BindingPayload(did, person_did, account_hash, _fetch_link(client, identity, person)["turn"])
        return Operation("platforms.bind", payload, find_signer(client, facts, did))

    send_operation(prepare, signing, sending, {"account": "0x" + account_hash.hex(), "salt": "0x" + own.salt.hex()})


@platform.command()
@click.argument("identity", metavar="PLATFORM")
@click.argument("person", metavar="PERSON")
@click.option("--as-platform", "is_by_platform", is_flag=True, help="The platform ends it.  [default: the person does]")
@signing_options
@sending_options
def unbind(identity: str, person: str, is_by_platform: bool, signing: Signing, sending: Sending) -> None:
    """Let the account of PERSON on PLATFORM be nobody's."""
    from vm.native.platforms import UnbindingPayload

    def prepare(client: "Client", facts: "ChainFacts") -> Operation:
        did, person_did = parse_did_text(identity, facts.network), parse_did_text(person, facts.network)
        payload = UnbindingPayload(did, person_did, is_by_platform, _fetch_link(client, identity, person)["turn"])
        signer = find_signer(client, facts, did if is_by_platform else person_did)
        return Operation("platforms.unbind", payload, signer)

    send_operation(prepare, signing, sending)


@platform.command()
@click.argument("identity", metavar="DID")
@click.option("--migration", "directory", type=_DIRECTORY, default=None, help="Where a list was built: its claims too.")
@node_option
@output_option
def show(identity: str, directory: Path | None, node_url: str, output: Output) -> None:
    """Show which accounts DID has on platforms, whether it is one, and how a list that it posted is claimed."""
    from node.platform_migration import load_migration

    with connect(node_url) as client:
        parse_did_text(identity, read_chain_facts(client).network)
        record = {
            "did": identity,
            "isPlatform": identity in _list_platforms(client),
            "accounts": client.run(calls.module_view(MODULE, "accounts", {"person": identity})).value,
        }
        if directory is not None:
            root = "0x" + load_migration(directory).root.hex()
            posted = client.run(calls.module_view(MODULE, "migration", {"platform": identity, "root": root})).value
            record |= {"root": root, **(posted or {"count": None, "untilHeight": None, "claimed": None})}
    output.show_record(record)


def _list_platforms(client: "Client") -> list[str]:
    """The recognised platforms."""
    arguments = {"recognition": get_recognition_number("platform")}
    found: list[str] = client.run(calls.module_view("governance", "recognised", arguments)).value
    return found


def _find_poster(client: "Client", facts: "ChainFacts", root: bytes) -> "Did":
    """The recognised platform that has posted this list; raises CommandFailedError."""
    for platform in _list_platforms(client):
        asked = {"platform": platform, "root": "0x" + root.hex()}
        if client.run(calls.module_view(MODULE, "migration", asked)).value is not None:
            return parse_did_text(platform, facts.network)
    raise CommandFailedError("no platform that governance recognises has posted this list", ExitCode.FAILED)


def _fetch_link(client: "Client", identity: str, person: str) -> dict[str, Any]:
    """The turn of person and platform, and the account that is bound."""
    found: dict[str, Any] = client.run(
        calls.module_view(MODULE, "link", {"person": person, "platform": identity})
    ).value
    return found


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("hashing accounts", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
