"""`carlive start`: one node, until it is told to stop."""

import os
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.failures import ExitCode
from node.config import list_settings, load_config, read_process_environment
from node.errors import ConfigurationError, StoreDamagedError, StoreWriteError
from node.home import Home

if TYPE_CHECKING:
    import asyncio

PARENT_GONE_SECONDS_MAX: Final = 3.0  # then the node is cut off, whatever it is doing


def _add_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Every setting of config.toml as an option."""
    for name, explanation, default in reversed(list_settings()):
        shown = ", ".join(default) if isinstance(default, tuple) else str(default)
        text = f"{explanation} [config.toml, CARLIVE_{name.upper()}; default: {shown or 'none'}]"
        function = click.option(f"--{name.replace('_', '-')}", name, metavar="VALUE", default=None, help=text)(function)
    return function


@click.command()
@click.option(
    "--home", type=click.Path(path_type=Path), required=True, help="The node's directory, made by carlive init."
)
@click.option(
    "--stop-when-stdin-closes", is_flag=True, hidden=True, help="Exit with the process that started this one."
)
@_add_settings
def start(home: Path, stop_when_stdin_closes: bool, **flags: str | None) -> None:
    """Run a node.

    Settings come from config.toml in its home, then from CARLIVE_ environment variables, then from these options.
    SIGINT or SIGTERM stops it in order; the second one at once.
    """
    if not __debug__:
        raise ConfigurationError(
            "python -O and PYTHONOPTIMIZE remove the node's checks of itself: start it without them"
        )
    if not home.is_dir():
        raise ConfigurationError(f"{home} does not exist: make it with carlive init --home {home}")
    node_home = Home(home.absolute())
    config = load_config(node_home.config_file, read_process_environment(), flags)
    levels = parse_log_levels(config.node_log_levels)

    from node.crash_points import arm_crash_point
    from node.logs import configure_logs, get_logger
    from node.node import run_node

    configure_logs(levels, config.node_log_style)
    logger = get_logger("node")
    armed = arm_crash_point(read_process_environment())
    if armed is not None:
        logger.warning("this node is going to kill itself", crash_point=armed)

    async def work(stop: "asyncio.Event") -> None:
        await run_node(node_home, config, stop)

    try:
        run_until_signalled(work, stop_when_stdin_closes=stop_when_stdin_closes)
    except Exception as error:  # whatever ends a node stands in its log, with all that helps to find the cause
        cause = find_cause(error)
        if isinstance(cause, ConfigurationError | StoreDamagedError | StoreWriteError):
            logger.error("the node cannot run", reason=str(cause))
            raise ConfigurationError(str(cause)) from None
        logger.error("the node has failed", exc_info=error)
        raise


def find_cause(error: BaseException) -> BaseException:
    """The operator's mistake or the damage inside what a task group collected, else the error itself."""
    if isinstance(error, BaseExceptionGroup):
        causes = [find_cause(each) for each in error.exceptions]
        known = [each for each in causes if isinstance(each, ConfigurationError | StoreDamagedError | StoreWriteError)]
        return (known or causes)[0]
    return error


def parse_log_levels(entries: tuple[str, ...]) -> dict[str, str]:
    """Component to level; raises ConfigurationError."""
    levels = {}
    for entry in entries:
        component, separator, level = (part.strip() for part in entry.partition("="))
        if not separator or not component or level not in ("debug", "info", "warning", "error"):
            raise ConfigurationError(
                f"node_log_levels: {entry!r} is not component=level, with one of debug, info, warning, error"
            )
        levels[component] = level
    return levels


def run_until_signalled(
    work: Callable[["asyncio.Event"], Coroutine[Any, Any, None]], *, stop_when_stdin_closes: bool = False
) -> None:
    """Run `work` on uvloop; the first SIGINT or SIGTERM sets its event, the second ends the process."""
    import asyncio
    import signal

    async def main() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()

        is_signalled = False

        def on_signal() -> None:
            nonlocal is_signalled
            if is_signalled:  # stop may be set by a closed stdin, which is no first signal
                os._exit(ExitCode.INTERRUPTED)
            is_signalled = True
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        if stop_when_stdin_closes:
            _watch_stdin(lambda: loop.call_soon_threadsafe(stop.set))
        await work(stop)

    with asyncio.Runner(loop_factory=_get_loop_factory()) as runner:
        runner.run(main())


def _get_loop_factory() -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """uvloop where it installs; None is asyncio's own."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def _watch_stdin(on_closed: Callable[[], Any]) -> None:
    """In a thread, so that it works even when the event loop is held up."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        try:
            on_closed()
        except RuntimeError:
            return  # the loop has ended already
        threading.Event().wait(PARENT_GONE_SECONDS_MAX)
        os._exit(ExitCode.INTERRUPTED)

    threading.Thread(target=watch, name="stdin", daemon=True).start()
