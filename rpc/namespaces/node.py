"""node_: this node, its state and its peers."""

from rpc.models import NodeInfo, NodeStatus, NoParams, Peers
from rpc.session import Session


def get_info(session: Session, _: NoParams) -> NodeInfo:
    """Who this node is."""
    return session.backend.get_node_info()


def get_status(session: Session, _: NoParams) -> NodeStatus:
    """How this node is doing."""
    return session.backend.get_node_status()


def get_peers(session: Session, _: NoParams) -> Peers:
    """The nodes it is connected to."""
    return Peers(peers=session.backend.list_peers())
