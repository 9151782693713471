"""The command tree: commands load when they are called, and a wrong name says which one was meant."""

import gc
import json
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NoReturn

import click

from node.cli.failures import CommandFailedError, ExitCode, explain_failure

_SUGGESTIONS_MAX: Final = 3

MEANT: Final[Mapping[str, str]] = {
    "abi": "contract show",
    "account": "query account",
    "accounts": "keys list",
    "balance": "query account",
    "batch": "tx batch",
    "block": "query block",
    "bond": "stake bond",
    "candidates": "stake candidates",
    "car": "vehicle",
    "committee": "query committee",
    "compile": "contract build",
    "create": "keys new",
    "delegate": "stake delegate",
    "deploy": "contract deploy",
    "events": "contract events",
    "governance": "gov",
    "identity": "did",
    "import": "keys import",
    "info": "node info",
    "mine": "dev mine",
    "mnemonic": "wallet create",
    "pay": "tx transfer",
    "peers": "node peers",
    "propose": "gov propose",
    "publish": "contract deploy",
    "receipt": "query tx",
    "register": "operator register",
    "run": "start",
    "send": "tx transfer",
    "staking": "stake",
    "supply": "query supply",
    "testnet": "devnet",
    "transaction": "query tx",
    "transfer": "tx transfer",
    "treasury": "gov treasury",
    "unjail": "stake unjail",
    "up": "devnet",
    "upgrade": "contract upgrade",
    "validators": "stake candidates",
    "vin": "vehicle attest",
    "vote": "gov vote",
}
"""Words that other tools use, and the command here."""


class SuggestingGroup(click.Group):
    """A group that answers a wrong command with the nearest valid one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with a better message."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            self._refuse(ctx, error.command_name)

    def _refuse(self, ctx: click.Context, name: str) -> NoReturn:
        root = ctx.find_root()
        near = get_close_matches(name, self.list_commands(ctx), _SUGGESTIONS_MAX)
        meant = [f"{ctx.command_path} {command}" for command in near]
        if not meant:
            words = get_close_matches(name, MEANT, 1)
            meant = [f"{root.command_path} {MEANT[word]}" for word in words]
        names = ", ".join(self.list_commands(ctx))
        advice = f"did you mean: {' or '.join(meant)}?" if meant else f"there are: {names}"
        raise click.UsageError(f"there is no command {name!r}; {advice}", ctx)


class LazyGroup(SuggestingGroup):
    """The root: knows its commands by module and line of help, and imports the one that is called."""

    def __init__(self, entries: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        """`entries`: name -> ("module:attribute", line of help)."""
        super().__init__(**settings)
        self._entries = dict(entries)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import it."""
        if cmd_name not in self._entries:
            return None
        module, attribute = self._entries[cmd_name][0].split(":")
        command = getattr(_import_quickly(module), attribute)
        assert isinstance(command, click.Command), f"{module}.{attribute} is no command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._entries.items()])

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        """Run and exit; every failure is one sentence on standard error and an exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        settings |= {"standalone_mode": False, "prog_name": "carlive"}
        try:
            code = super().main(arguments, *rest, **settings)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(ExitCode.WRONG_USE)
        except click.ClickException as error:
            fail(_from_click(error), arguments)
        except (click.Abort, KeyboardInterrupt):
            fail(CommandFailedError("interrupted", ExitCode.INTERRUPTED), arguments)
        except BrokenPipeError:
            sys.stdout = None  # the reader has gone: there is nothing to flush to
            sys.exit(ExitCode.OK)
        except Exception as error:  # the outermost boundary: a person never sees a traceback
            failure = explain_failure(error)
            if failure is None:
                failure = _from_fault(error)
            fail(failure, arguments)
        sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _import_quickly(name: str) -> ModuleType:
    """Import a module without ever looking for garbage in it: modules stay, and looking takes a tenth of the time."""
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def fail(failure: CommandFailedError, arguments: Sequence[str]) -> NoReturn:
    """Print one sentence, as JSON for a command that was asked for JSON, and exit."""
    if _wants_json(arguments):
        text = json.dumps({"error": {"message": str(failure), "exitCode": int(failure.code), **failure.facts}})
    else:
        text = f"carlive: {failure}"
    click.echo(text, err=True)
    sys.exit(failure.code)


def _from_click(error: click.ClickException) -> CommandFailedError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    advice = f" (see {context.command_path} --help)" if context is not None else ""
    message = error.format_message()
    message = message[:1].lower() + message[1:] if not message.startswith("'") else message
    return CommandFailedError(" ".join(message.split()).removesuffix(".") + advice)


def _from_fault(error: Exception) -> CommandFailedError:
    from node.cli.traceback_file import save_traceback

    path = save_traceback(error)
    return CommandFailedError(
        f"a fault in carlive itself ({type(error).__name__}); the details are in {path}, please report them",
        ExitCode.INTERNAL,
    )


def _wants_json(arguments: Sequence[str]) -> bool:
    joined = " ".join(arguments)
    return "--output json" in joined or "--output=json" in joined
