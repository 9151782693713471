"""The registry of nodes that may connect: the transport's allow-list is read from here.

| key               | value          |
|-------------------|----------------|
| node_key(key)     | RegisteredNode |
| operator_key(op)  | Operator       |

Genesis fills it.
"""

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated

from annotated_types import Len

from identity.address import Address
from ledger.codec import decode, encode
from ledger.primitives import ConsensusKey, NodeKey, Signature
from ledger.state import State, StateReader
from ledger.state_keys import NODE_PREFIX, node_key, operator_key
from vm.native.rules import ModuleRule, ViewRule

ADDRESSES_MAX = 4


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
class RegisteredNode:
    """A node that may connect; key and self-signature are enough to rebuild its certificate."""

    key: NodeKey
    certificate_signature: Signature
    operator: Address
    role: NodeRole
    consensus_key: ConsensusKey | None
    """With which a super node votes; the others have none."""
    name: Annotated[str, Len(1, 64)]
    addresses: Annotated[tuple[Annotated[str, Len(1, 255)], ...], Len(0, ADDRESSES_MAX)]
    """host:port, where it listens for peers."""


@dataclass(frozen=True, slots=True)
class Operator:
    """An account that governance has admitted to run super nodes."""

    operator: Address
    name: Annotated[str, Len(1, 64)]


def is_operator(state: StateReader, address: Address) -> bool:
    """Whether an account is admitted to run super nodes."""
    return state.get(operator_key(address)) is not None


def put_operator(state: State, operator: Operator) -> None:
    """Admit an operator, or rename it."""
    state.put(operator_key(operator.operator), encode(operator))


def get_nodes(state: StateReader) -> list[RegisteredNode]:
    """All registered nodes in the order of their keys."""
    return [decode(RegisteredNode, encoded) for _, encoded in state.iterate_prefix(NODE_PREFIX)]


def put_node(state: State, node: RegisteredNode) -> None:
    """Add or replace a node."""
    state.put(node_key(node.key), encode(node))


MODULE = ModuleRule(
    name="network",
    summary="The nodes that may connect",
    calls=(),
    events=(),
    views=(ViewRule("nodes", (), lambda state, _: get_nodes(state)),),
)
