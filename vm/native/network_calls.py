"""What operators do with their nodes in the registry; the records stand in vm/native/network.py.

Rules
* N1 Only an admitted operator registers nodes and changes its own: at most NODES_PER_OPERATOR_MAX, NODES_MAX of all.
* N2 Every key obeys the strict rule for Ed25519 and stands once in the registry, as node or as consensus key; so does
  every node's name.
* N3 A node's entry holds the self-signature that rebuilds its TLS certificate, so no entry ever breaks a connection.
* N4 Exactly the super nodes have a consensus key, one super node an operator; the key itself proves that the operator
  has it.
* N5 A node key is replaced with the old key's signature, a consensus key with those of the old and the new one.
* N6 Addresses are host:port. Nothing expires by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from identity.address import Address
from identity.certificate import is_self_signed
from identity.keys import InvalidKeyError, KeyType, PublicKey, check_public_key, verify_signature
from identity.signing import SigningPurpose, signing_bytes
from ledger.codec import pack
from ledger.primitives import ConsensusKey, NodeKey, Signature
from ledger.reasons import Reason, Rejected
from ledger.state import State, StateReader
from vm.context import Context, Moment
from vm.gas import GAS_KEY_CHECK, GAS_SIGNATURE, GAS_STATE_READ, GAS_STATE_WRITE
from vm.native.election import replace_member_key
from vm.native.network import (
    NODES_MAX,
    NODES_PER_OPERATOR_MAX,
    Endpoints,
    Name,
    NodeRole,
    Operator,
    RegisteredNode,
    delete_node,
    find_nodes,
    get_node,
    get_nodes,
    get_operator,
    get_operators,
    is_endpoint,
    is_operator,
    put_node,
)
from vm.native.rules import CallRule, EventRule, ModuleRule, ViewRule

GAS_REGISTRY_SCAN = GAS_STATE_READ * NODES_MAX  # every entry is looked at, for uniqueness and limits
GAS_KEY_PROOF = GAS_KEY_CHECK + GAS_SIGNATURE[KeyType.ED25519]  # the form of one key and one signature of it


@dataclass(frozen=True, slots=True)
class RegisterNode:
    """Let a node of the sender's connect; a super node with a consensus key and its proof of possession."""

    key: NodeKey
    certificate_signature: Signature
    role: NodeRole
    consensus_key: ConsensusKey | None
    consensus_signature: Signature | None
    name: Name
    addresses: Endpoints


@dataclass(frozen=True, slots=True)
class UpdateNode:
    """Give a node another name or other addresses."""

    key: NodeKey
    name: Name
    addresses: Endpoints


@dataclass(frozen=True, slots=True)
class RotateNode:
    """Give a node another key; the old key signs."""

    old_key: NodeKey
    new_key: NodeKey
    certificate_signature: Signature
    signature: Signature


@dataclass(frozen=True, slots=True)
class RotateConsensus:
    """Give a super node another consensus key; the old and the new one sign."""

    key: NodeKey
    consensus_key: ConsensusKey
    old_signature: Signature
    new_signature: Signature


@dataclass(frozen=True, slots=True)
class RemoveNode:
    """Take a node from the registry: it may no longer connect."""

    key: NodeKey


@dataclass(frozen=True, slots=True)
class NodeRegistered:
    """A node may connect."""

    operator: Address
    key: NodeKey
    role: NodeRole
    consensus_key: ConsensusKey | None


@dataclass(frozen=True, slots=True)
class NodeUpdated:
    """A node has another name or other addresses."""

    operator: Address
    key: NodeKey


@dataclass(frozen=True, slots=True)
class NodeRotated:
    """A node has another key."""

    operator: Address
    old_key: NodeKey
    new_key: NodeKey


@dataclass(frozen=True, slots=True)
class ConsensusKeyRotated:
    """A super node has another consensus key."""

    operator: Address
    old_key: ConsensusKey
    new_key: ConsensusKey


@dataclass(frozen=True, slots=True)
class NodeRemoved:
    """A node may no longer connect."""

    operator: Address
    key: NodeKey


def apply_register_node(state: State, context: Context, call: RegisterNode) -> None:
    """Rules N1 to N4 and N6."""
    _require_operator(state, context.sender)
    _check_addresses(call.addresses)
    _check_node_key(call.key, call.certificate_signature)
    is_super_node = call.role is NodeRole.SUPER_NODE
    given = (call.consensus_key is not None, call.consensus_signature is not None)
    if given != (is_super_node, is_super_node):
        raise Rejected(Reason.BAD_NODE, "exactly the super nodes have a consensus key, with its signature")
    count, nodes = find_nodes(state, context.sender, call.key, call.consensus_key or call.key, pack(call.name))
    if count >= NODES_MAX:
        raise Rejected(Reason.NODES_LIMIT, f"the registry holds at most {NODES_MAX} nodes", maximum=NODES_MAX)
    own = [node for node in nodes if node.operator == context.sender]
    if len(own) >= NODES_PER_OPERATOR_MAX:
        raise Rejected(
            Reason.NODES_LIMIT,
            f"an operator has at most {NODES_PER_OPERATOR_MAX} nodes",
            maximum=NODES_PER_OPERATOR_MAX,
        )
    if is_super_node and any(node.role is NodeRole.SUPER_NODE for node in own):
        raise Rejected(Reason.NODES_LIMIT, "an operator has one super node", maximum=1)
    _check_unused(nodes, call.key)
    _check_name(nodes, call.name)
    if call.consensus_key is not None and call.consensus_signature is not None:
        consensus_key: bytes = call.consensus_key
        _check_key(consensus_key)
        _check_unused(nodes, consensus_key)
        if consensus_key == call.key:
            raise Rejected(Reason.KEY_IN_USE, "node key and consensus key are different keys")
        _check_signature(
            context,
            SigningPurpose.CONSENSUS_KEY_POSSESSION,
            [context.sender, call.key],
            call.consensus_key,
            call.consensus_signature,
        )
    put_node(
        state,
        RegisteredNode(
            call.key,
            call.certificate_signature,
            context.sender,
            call.role,
            call.consensus_key,
            call.name,
            call.addresses,
        ),
    )
    context.emit(MODULE.name, NodeRegistered.__name__, context.sender, call.key, int(call.role), call.consensus_key)


def apply_update_node(state: State, context: Context, call: UpdateNode) -> None:
    """Rules N1, N2 and N6."""
    node = _get_own_node(state, context.sender, call.key)
    _check_addresses(call.addresses)
    _, nodes = find_nodes(state, pack(call.name))
    _check_name([each for each in nodes if each.key != call.key], call.name)
    put_node(state, replace(node, name=call.name, addresses=call.addresses))
    context.emit(MODULE.name, NodeUpdated.__name__, context.sender, call.key)


def apply_rotate_node(state: State, context: Context, call: RotateNode) -> None:
    """Rules N1 to N3 and N5; everything else about the node stays."""
    node = _get_own_node(state, context.sender, call.old_key)
    _check_node_key(call.new_key, call.certificate_signature)
    _check_unused(find_nodes(state, call.new_key)[1], call.new_key)
    names = [context.sender, call.old_key, call.new_key]
    _check_signature(context, SigningPurpose.NODE_KEY_ROTATION, names, call.old_key, call.signature)
    delete_node(state, call.old_key)
    put_node(state, replace(node, key=call.new_key, certificate_signature=call.certificate_signature))
    context.emit(MODULE.name, NodeRotated.__name__, *names)


def apply_rotate_consensus(state: State, context: Context, call: RotateConsensus) -> None:
    """Rules N1, N2, N4 and N5."""
    node = _get_own_node(state, context.sender, call.key)
    old_key = node.consensus_key
    if old_key is None:
        raise Rejected(Reason.BAD_NODE, "only a super node has a consensus key")
    _check_key(call.consensus_key)
    _check_unused(find_nodes(state, call.consensus_key)[1], call.consensus_key)
    names = [context.sender, old_key, call.consensus_key]
    _check_signature(context, SigningPurpose.CONSENSUS_KEY_ROTATION, names, old_key, call.old_signature)
    _check_signature(context, SigningPurpose.CONSENSUS_KEY_ROTATION, names, call.consensus_key, call.new_signature)
    put_node(state, replace(node, consensus_key=call.consensus_key))
    replace_member_key(state, context.block, context.sender, call.consensus_key)  # a sitting member keeps its seat
    context.emit(MODULE.name, ConsensusKeyRotated.__name__, *names)


def apply_remove_node(state: State, context: Context, call: RemoveNode) -> None:
    """Rule N1."""
    _get_own_node(state, context.sender, call.key)
    delete_node(state, call.key)
    context.emit(MODULE.name, NodeRemoved.__name__, context.sender, call.key)


def answer_nodes(state: StateReader, _: Moment) -> list[RegisteredNode]:
    """The view of all nodes."""
    return get_nodes(state)


def answer_operators(state: StateReader, _: Moment) -> list[Operator]:
    """The view of all operators."""
    return get_operators(state)


def answer_operator(state: StateReader, _: Moment, operator: Address) -> Operator | None:
    """The view of one operator."""
    return get_operator(state, operator)


def _require_operator(state: StateReader, sender: Address) -> None:
    if not is_operator(state, sender):
        raise Rejected(Reason.NOT_AN_OPERATOR, "governance has not admitted the sender as an operator")


def _get_own_node(state: StateReader, sender: Address, key: NodeKey) -> RegisteredNode:
    _require_operator(state, sender)
    node = get_node(state, key)
    if node is None or node.operator != sender:
        raise Rejected(Reason.UNKNOWN_NODE, "the sender has no node of this key")
    return node


def _check_addresses(addresses: Iterable[str]) -> None:
    for address in addresses:
        if not is_endpoint(address):
            raise Rejected(Reason.BAD_NODE, f"{address!r} is not host:port")


def _check_key(key: bytes) -> None:
    try:
        check_public_key(PublicKey(KeyType.ED25519, key))
    except InvalidKeyError as error:
        raise Rejected(Reason.BAD_KEY, str(error)) from None


def _check_node_key(key: NodeKey, certificate_signature: Signature) -> None:
    _check_key(key)
    if not is_self_signed(key, certificate_signature):
        raise Rejected(Reason.BAD_KEY_SIGNATURE, "the node key did not sign its certificate")


def _check_unused(nodes: Iterable[RegisteredNode], key: bytes) -> None:
    if any(key in (node.key, node.consensus_key) for node in nodes):
        raise Rejected(Reason.KEY_IN_USE, "the key stands in the registry already")


def _check_name(nodes: Iterable[RegisteredNode], name: str) -> None:
    if any(node.name == name for node in nodes):
        raise Rejected(Reason.KEY_IN_USE, "another node has this name")


def _check_signature(
    context: Context, purpose: SigningPurpose, value: list[bytes], key: bytes, signature: Signature
) -> None:
    message = signing_bytes(purpose, context.block.domain, pack(value))
    if not verify_signature(PublicKey(KeyType.ED25519, key), message, signature):
        raise Rejected(Reason.BAD_KEY_SIGNATURE, f"the signature for {purpose.name} is wrong")


_REGISTER_GAS = GAS_REGISTRY_SCAN + 2 * GAS_KEY_PROOF + GAS_STATE_WRITE
_UPDATE_GAS = GAS_REGISTRY_SCAN + GAS_STATE_WRITE
_ROTATE_GAS = GAS_REGISTRY_SCAN + 2 * GAS_KEY_PROOF + 2 * GAS_STATE_WRITE

MODULE = ModuleRule(
    name="network",
    summary="The operators and the nodes that may connect",
    calls=(
        CallRule("register_node", RegisterNode, apply_register_node, lambda _: _REGISTER_GAS, str(_REGISTER_GAS)),
        CallRule("update_node", UpdateNode, apply_update_node, lambda _: _UPDATE_GAS, str(_UPDATE_GAS)),
        CallRule("rotate_node", RotateNode, apply_rotate_node, lambda _: _ROTATE_GAS, str(_ROTATE_GAS)),
        CallRule("rotate_consensus", RotateConsensus, apply_rotate_consensus, lambda _: _ROTATE_GAS, str(_ROTATE_GAS)),
        CallRule("remove_node", RemoveNode, apply_remove_node, lambda _: GAS_STATE_WRITE, str(GAS_STATE_WRITE)),
    ),
    events=tuple(map(EventRule, (NodeRegistered, NodeUpdated, NodeRotated, ConsensusKeyRotated, NodeRemoved))),
    views=(
        ViewRule("nodes", (), answer_nodes),
        ViewRule("operators", (), answer_operators),
        ViewRule("operator", (("operator", Address),), answer_operator),
    ),
)
