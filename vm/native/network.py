"""The registry of operators and of the nodes that may connect: the transport's allow-list is read from here.

| key               | value          |
|-------------------|----------------|
| node_key(key)     | RegisteredNode |
| operator_key(addr)| Operator       |

Genesis fills both; the calls stand in vm/native/network_calls.py, and governance admits and removes operators. Records
and calls are apart because staking reads the records, and a call asks staking.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Final

from annotated_types import Len

from identity.address import Address
from ledger.codec import decode, encode
from ledger.primitives import ConsensusKey, NodeKey, Signature
from ledger.state import State, StateReader
from ledger.state_keys import NODE_PREFIX, OPERATOR_PREFIX, node_key, operator_key

ADDRESSES_MAX: Final = 4
NODES_MAX: Final = 1_024  # as many as the transport trusts; rebuilding its trust takes 0.4 s then
NODES_PER_OPERATOR_MAX: Final = 8
PORT_MAX: Final = 65_535
_HOST_CHARACTERS_MAX: Final = 253  # of a DNS name
_LABEL: Final = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ENDPOINT: Final = re.compile(rf"(\[[0-9a-fA-F]*:[0-9a-fA-F:.]{{1,44}}\]|{_LABEL}(?:\.{_LABEL})*):([0-9]{{1,5}})")

Name = Annotated[str, Len(1, 64)]
Endpoints = Annotated[tuple[Annotated[str, Len(1, 255)], ...], Len(0, ADDRESSES_MAX)]
"""host:port, where a node listens for peers."""


@unique
class NodeRole(IntEnum):
    """Number of what a node is for, in the state and on the wire; never reused."""

    SUPER_NODE = 1
    """Votes, or stands for election."""
    OBSERVER = 2
    """Follows the chain and answers questions."""
    GATEWAY = 3
    """Takes transactions from many clients."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who was admitted to run nodes."""

    operator: Address
    name: Name


@dataclass(frozen=True, slots=True)
class RegisteredNode:
    """A node that may connect; key and self-signature are enough to rebuild its certificate."""

    key: NodeKey
    certificate_signature: Signature
    operator: Address
    role: NodeRole
    consensus_key: ConsensusKey | None
    """What a super node votes with; exactly the super nodes have one."""
    name: Name
    addresses: Endpoints


def is_endpoint(text: str) -> bool:
    """Whether a text is host:port with a DNS name, an IPv4 address or a bracketed IPv6 address, and port 1 to 65535."""
    match = _ENDPOINT.fullmatch(text)
    return match is not None and len(match[1]) <= _HOST_CHARACTERS_MAX and 0 < int(match[2]) <= PORT_MAX


def get_nodes(state: StateReader) -> list[RegisteredNode]:
    """All registered nodes in the order of their keys."""
    return [decode(RegisteredNode, encoded) for _, encoded in state.iterate_prefix(NODE_PREFIX)]


def find_nodes(state: StateReader, *parts: bytes) -> tuple[int, list[RegisteredNode]]:
    """How many nodes there are, and those in whose bytes one of these keys, addresses or packed names stands.

    Decoding them all would take ten times as long; the caller looks at the few that are found.
    """
    entries = [encoded for _, encoded in state.iterate_prefix(NODE_PREFIX)]
    found = [encoded for encoded in entries if any(part in encoded for part in parts)]
    return len(entries), [decode(RegisteredNode, encoded) for encoded in found]


def get_node(state: StateReader, key: NodeKey) -> RegisteredNode | None:
    """The node with this key."""
    encoded = state.get(node_key(key))
    return None if encoded is None else decode(RegisteredNode, encoded)


def put_node(state: State, node: RegisteredNode) -> None:
    """Add or replace a node."""
    state.put(node_key(node.key), encode(node))


def delete_node(state: State, key: NodeKey) -> None:
    """Take a node from the registry: its peers close their connections to it."""
    state.delete(node_key(key))


def get_operators(state: StateReader) -> list[Operator]:
    """All admitted operators in the order of their addresses."""
    return [decode(Operator, encoded) for _, encoded in state.iterate_prefix(OPERATOR_PREFIX)]


def get_operator(state: StateReader, address: Address) -> Operator | None:
    """The operator of this address."""
    encoded = state.get(operator_key(address))
    return None if encoded is None else decode(Operator, encoded)


def is_operator(state: StateReader, address: Address) -> bool:
    """Whether this account was admitted as an operator, and not removed since."""
    return state.get(operator_key(address)) is not None


def put_operator(state: State, operator: Operator) -> None:
    """Admit an operator, or replace its name."""
    state.put(operator_key(operator.operator), encode(operator))


def remove_operator(state: State, address: Address) -> list[NodeKey]:
    """Take an operator and its nodes from the registry; the keys of these nodes."""
    _, found = find_nodes(state, address)
    keys = [node.key for node in found if node.operator == address]
    for key in keys:
        delete_node(state, key)
    state.delete(operator_key(address))
    return keys
