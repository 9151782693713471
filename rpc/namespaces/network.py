"""network_: the registry of nodes that may connect."""

from typing import Final, Literal

from identity.address import NetworkKind
from ledger.primitives import HASH_BYTES
from ledger.state import StateReader
from rpc.addresses import format_address
from rpc.errors import bad_cursor
from rpc.models import NodeEntry, Nodes, NodesParams
from rpc.session import Session
from vm.native.network import NodeRole, RegisteredNode, get_nodes, get_operator

_ROLES: Final[dict[NodeRole, Literal["super_node", "observer", "gateway"]]] = {
    NodeRole.SUPER_NODE: "super_node",
    NodeRole.OBSERVER: "observer",
    NodeRole.GATEWAY: "gateway",
}


def list_nodes(session: Session, params: NodesParams) -> Nodes:
    """All registered nodes in the order of their keys, a page at a time."""
    scope = "nodes"
    after = b""
    if params.cursor is not None:
        (position,) = session.decode_cursor(scope, params.cursor, (bytes,))
        if not isinstance(position, bytes) or len(position) != HASH_BYTES:
            raise bad_cursor()
        after = position
    with session.open_state(params.at) as state:
        found = [node for node in get_nodes(state) if node.key > after]
        page = found[: params.limit]
        entries = [build_node_entry(state, node, session.backend.network) for node in page]
        cursor = session.encode_cursor(scope, [page[-1].key]) if len(found) > params.limit else None
        return Nodes(height=state.height, block_hash=state.block_hash, nodes=entries, cursor=cursor)


def build_node_entry(state: StateReader, node: RegisteredNode, network: NetworkKind) -> NodeEntry:
    """A node with its operator's name."""
    operator = get_operator(state, node.operator)
    return NodeEntry(
        node_key=node.key,
        certificate_signature=node.certificate_signature,
        operator=format_address(node.operator, network),
        operator_name=None if operator is None else operator.name,
        role=_ROLES[node.role],
        name=node.name,
        addresses=list(node.addresses),
        consensus_key=node.consensus_key,
    )
