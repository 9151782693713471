"""`carlive platform`: lists of a platform's accounts, for its users to claim."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option

_FILE = click.Path(path_type=Path, dir_okay=False)
_DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.group(cls=SuggestingGroup)
def platform() -> None:
    """Let a platform's users claim their accounts.

    The platform builds a list of accounts, posts its root (platforms.post_migration), and hands each user what it takes
    to claim that user's account.
    """


@platform.command("build-migration")
@click.argument("accounts", type=_FILE, metavar="INPUT.csv")
@click.option("--out", "directory", type=_DIRECTORY, required=True, help="Where the list is built.")
@click.option("--master-key", type=_FILE, required=True, help="Secret file; made when it is not there.")
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
@click.option("--master-key", type=_FILE, required=True, help="Secret file of that list.")
@click.option("--out", "package_file", type=_FILE, required=True, help="Where the package goes; not overwritten.")
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


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's standard error."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("hashing accounts", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
