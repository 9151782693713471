"""`carlive devnet`: a network of super nodes on this machine."""

import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.failures import CommandFailedError, ExitCode
from node.cli.output import Output, output_option

if TYPE_CHECKING:
    from node.devnet import Devnet, DevnetNode
    from node.devnet_blocks import BlockSeen
    from node.devnet_supervisor import NodeDied

DEFAULT_PORT: Final = 8645
PUBLIC_KEYS_WARNING: Final = (
    "These keys are PUBLIC and for development only: whoever has this program has them. Never send real money to them."
)


@click.command()
@click.option("--fresh", is_flag=True, help="Forget the chain in the home and begin a new one.")
@click.option("--validators", type=int, default=None, metavar="N", help="Number of super nodes, 1 to 21.  [default: 4]")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".devnet"),
    show_default=True,
    help="Where keys, chain and logs are kept.",
)
@click.option(
    "--port",
    type=int,
    default=None,
    metavar="PORT",
    help="RPC port of node 0; node i uses PORT + 10 i.  [default: 8645]",
)
@click.option(
    "--epoch-heights",
    type=click.IntRange(2, 10_000_000),
    default=None,
    metavar="N",
    help="Blocks of an epoch of a new chain; voting and absence shrink with it.  [default: 100]",
)
@click.option("--verbose", is_flag=True, help="Log in detail and show the nodes' logs here.")
@output_option
def devnet(
    fresh: bool,
    validators: int | None,
    home: Path,
    port: int | None,
    epoch_heights: int | None,
    verbose: bool,
    output: Output,
) -> None:
    """Run a network of super nodes on this machine, for development.

    The chain is kept in the home: the next start continues it, with the same number of validators and port. Ctrl-C
    stops all nodes. Their logs are in HOME/node-0/node.log and so on.
    """
    if not __debug__:
        raise CommandFailedError(
            "python -O and PYTHONOPTIMIZE remove the nodes' checks of themselves: start without them"
        )

    from node.devnet import hold_devnet_lock, prepare_devnet

    directory = home.absolute()
    with hold_devnet_lock(directory):
        plan = prepare_devnet(directory, validators, port, is_fresh=fresh, epoch_heights=epoch_heights)
        _run(plan, TerminalReporter(output), is_verbose=verbose)


def _run(plan: "Devnet", reporter: "TerminalReporter", *, is_verbose: bool) -> None:
    import asyncio
    import signal

    from node.devnet_supervisor import DevnetFailedError, Supervisor

    async def main() -> None:
        stop = asyncio.Event()
        supervisor = Supervisor(plan, reporter, is_verbose=is_verbose)

        def on_signal() -> None:
            if stop.is_set():
                supervisor.hurry()
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, on_signal)
        await supervisor.run(stop)

    try:
        asyncio.run(main())
    except DevnetFailedError as error:
        raise CommandFailedError(str(error), ExitCode.FAILED) from None
    reporter.show_progress("stopped; the chain is kept")


class TerminalReporter:
    """Prints what the supervisor reports."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._is_live = sys.stdout.isatty() and not output.is_json
        self._is_line_open = False

    def show_progress(self, text: str) -> None:
        """On standard error: it is not the result."""
        self._end_line()
        click.echo(text, err=True)

    def show_ready(self, devnet: "Devnet") -> None:
        """Everything a developer needs to begin."""
        if self._output.is_json:
            self._output.show_line({"event": "ready", **describe_devnet(devnet)}, "")
        else:
            click.echo(format_devnet(devnet))

    def show_block(self, block: "BlockSeen") -> None:
        """One line a block; on a terminal a block takes the place of the one before."""
        moment = datetime.fromtimestamp(block.time_ms / 1000)
        text = f"block {block.height}  {block.transactions} transactions  {moment:%H:%M:%S}.{block.time_ms % 1000:03d}"
        if self._is_live:
            click.echo(f"\r\x1b[K{text}", nl=False)
            self._is_line_open = True
        else:
            record = {
                "event": "block",
                "height": block.height,
                "transactions": block.transactions,
                "timeMs": block.time_ms,
            }
            self._output.show_line(record, text)
            sys.stdout.flush()

    def show_death(self, death: "NodeDied") -> None:
        """With the end of its log."""
        self.show_progress(
            f"{death.node.name} died with exit code {death.exit_code}; the end of {death.node.log_file}:"
        )
        for line in death.log_tail.splitlines():
            click.echo(f"  {line}", err=True)

    def show_log_line(self, node: "DevnetNode", line: str) -> None:
        """With the node's name before it."""
        self.show_progress(f"{node.name} | {line}")

    def _end_line(self) -> None:
        if self._is_line_open:
            click.echo()
            self._is_line_open = False


def describe_devnet(devnet: "Devnet") -> dict[str, Any]:
    """For programs."""
    from genesis.presets import list_development_accounts

    return {
        "chainId": devnet.document.chain_id,
        "genesisHash": "0x" + devnet.genesis_hash.hex(),
        "nodes": [
            {
                "name": node.name,
                "rpc": f"{node.rpc_url}/rpc",
                "websocket": node.websocket_url,
                "ops": node.ops_url,
                "explorer": f"{node.rpc_url}/",
                "wallet": f"{node.rpc_url}/wallet",
                "log": str(node.log_file),
            }
            for node in devnet.nodes
        ],
        "accounts": [
            {"name": f"dev{index}", "address": account.address, "privateKey": "0x" + account.key.secret.hex()}
            for index, account in enumerate(list_development_accounts())
        ],
        "example": list_example_lines(devnet),
    }


def format_devnet(devnet: "Devnet") -> str:
    """For people."""
    from genesis.presets import DEVELOPMENT_ACCOUNT_GRAINS
    from node.cli.amounts import format_iov

    plain = describe_devnet(devnet)
    lines = ["", f"chain id      {plain['chainId']}", f"genesis hash  {plain['genesisHash']}", ""]
    for node in plain["nodes"]:
        lines.append(
            f"{node['name']:<8} RPC {node['rpc']}  WebSocket {node['websocket']}  ops {node['ops']}  "
            f"explorer {node['explorer']}  wallet {node['wallet']}"
        )
    lines += ["", f"Ten accounts with {format_iov(DEVELOPMENT_ACCOUNT_GRAINS)} IOV each.", PUBLIC_KEYS_WARNING]
    lines += [f"{each['name']}  {each['address']}  {each['privateKey']}" for each in plain["accounts"]]
    lines += ["", "A transfer, from another terminal:"]
    lines += [f"  {line}" for line in plain["example"]]
    lines += ["", f"Logs: {devnet.directory}/node-*/node.log. Ctrl-C stops everything; the chain is kept.", ""]
    return "\n".join(lines)


def list_example_lines(devnet: "Devnet") -> list[str]:
    """Two commands that work as they stand."""
    from genesis.presets import list_development_accounts

    recipient = list_development_accounts()[1].address
    program = _get_program()
    place = "" if devnet.nodes[0].port == DEFAULT_PORT else f" --node {devnet.nodes[0].rpc_url}"
    return [
        f"{program} tx transfer --from dev0 --to {recipient} --amount 1.5 --yes{place}",
        f"{program} query account {recipient}{place}",
    ]


def _get_program() -> str:
    """How to call this program from here."""
    beside = Path(sys.executable).parent / "carlive"
    found = shutil.which("carlive")
    if found is not None and (not beside.exists() or Path(found).samefile(beside)):
        return "carlive"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
