"""`carlive node`: what a node says about itself."""

import click

from node.cli.connection import connect, node_option
from node.cli.group import SuggestingGroup
from node.cli.output import Output, output_option
from rpc import calls


@click.group(cls=SuggestingGroup)
def node() -> None:
    """Ask a node about itself and its peers."""


@node.command()
@node_option
@output_option
def info(node_url: str, output: Output) -> None:
    """Show who the node is and which chain it follows."""
    with connect(node_url) as client:
        output.show_record(client.run(calls.node_info()).model_dump(mode="json", by_alias=True))


@node.command()
@node_option
@output_option
def peers(node_url: str, output: Output) -> None:
    """List the nodes it is connected to."""
    with connect(node_url) as client:
        records = client.run(calls.node_peers()).model_dump(mode="json", by_alias=True)["peers"]
    columns = ["name", "nodeKey", "address", "isInbound", "superNode", "height", "score"]
    output.show_list(records, columns, empty="no peers are connected")
