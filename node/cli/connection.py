"""The node a command talks to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.failures import CommandFailedError

if TYPE_CHECKING:
    from node.cli.signing import ChainFacts
    from rpc.client import Client

NODE_URL_DEFAULT: Final = "http://127.0.0.1:8645"
NODE_URL_VARIABLE: Final = "CARLIVE_NODE"


def node_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --node; the command gets `node_url`."""
    return click.option(
        "--node",
        "node_url",
        default=NODE_URL_DEFAULT,
        show_default=True,
        envvar=NODE_URL_VARIABLE,
        metavar="URL",
        help=f"The node to ask, also {NODE_URL_VARIABLE}.",
    )(function)


@contextmanager
def connect(node_url: str) -> Iterator["Client"]:
    """A client of this node; raises what the client raises."""
    from rpc.client import Client

    try:
        client = Client(node_url)
    except ValueError as error:
        raise CommandFailedError(f"--node: {error}") from None
    with client:
        yield client


def read_chain_facts(client: "Client") -> "ChainFacts":
    """Which chain the node is on."""
    from identity.address import NetworkKind
    from identity.signing import compute_signing_domain
    from node.cli.signing import ChainFacts
    from rpc import calls

    identity = client.run(calls.chain_id())
    domain = compute_signing_domain(identity.chain_id, identity.genesis_hash)
    return ChainFacts(NetworkKind[identity.network.upper()], identity.chain_id, domain)
