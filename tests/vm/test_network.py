"""The node registry and its calls: rules N1 to N6."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from identity.signing import SigningPurpose, compute_signing_domain, signing_bytes
from ledger.codec import pack
from ledger.primitives import Height, TimeMs
from ledger.reasons import Reason
from ledger.receipt import Event, Status
from ledger.transaction import Call
from p2p.addresses import parse_peer_address
from p2p.certificate import build_certificate, compact_certificate, expand_certificate
from p2p.tls import NODES_ALLOWED_MAX
from tests.builders import DOMAIN, Draft, address_of, block_context, make_key, make_state
from vm.context import Moment
from vm.native import network
from vm.native.accounts import get_account
from vm.native.network import (
    NODES_PER_OPERATOR_MAX,
    NodeRole,
    Operator,
    RegisteredNode,
    get_node,
    get_nodes,
    is_endpoint,
    is_operator,
    put_node,
    put_operator,
    remove_operator,
)
from vm.native.registry import answer_view
from vm.transition import apply_transaction

ALICE, BOB, STRANGER = make_key("alice"), make_key("bob"), make_key("stranger")
A, B, S = address_of(ALICE), address_of(BOB), address_of(STRANGER)
MOMENT = Moment(Height(7), TimeMs(9_000))
ADDRESSES = ["alice.example:9000", "[2001:db8::1]:9000"]
SMALL_ORDER_KEY = bytes([1]).ljust(32, b"\0")


def make_registry():
    state = make_state(dict.fromkeys((A, B, S), 10**9))
    put_operator(state, Operator(A, "Alice"))
    put_operator(state, Operator(B, "Bob"))
    state.forget_marks()
    return state


def certificate_of(name: str) -> tuple[bytes, bytes]:
    """Node key and self-signature."""
    return compact_certificate(build_certificate(make_key(name).secret))


def sign(name: str, purpose: SigningPurpose, value: list[bytes], domain=DOMAIN) -> bytes:
    return make_key(name).sign(signing_bytes(purpose, domain, pack(value)))


def register(name="node", *, role=NodeRole.OBSERVER, consensus=None, operator=A, signer=None, **changes) -> Call:
    """A registration that is in order but for the changes."""
    key, signature = certificate_of(name)
    proof = None
    if consensus is not None:
        proof = sign(signer or consensus, SigningPurpose.CONSENSUS_KEY_POSSESSION, [operator, key])
    fields = {
        "key": key,
        "certificate_signature": signature,
        "role": int(role),
        "consensus_key": None if consensus is None else make_key(consensus).public_key.key,
        "consensus_signature": proof,
        "name": name,
        "addresses": ADDRESSES,
    } | changes
    return Call("network", "register_node", list(fields.values()))


def run(state, call: Call, key=ALICE):
    """The receipt of one call, sent by this key."""
    sequence = get_account(state, address_of(key)).sequence
    return apply_transaction(state, block_context(), Draft(key, [call], sequence=sequence, gas_limit=90_000).sign())


def refuse(state, call: Call, reason: Reason, key=ALICE) -> None:
    """The call fails for this reason and changes nothing of the registry."""
    before = get_nodes(state)
    receipt = run(state, call, key)
    assert (receipt.status, receipt.reason) == (Status.FAILED, reason)
    assert receipt.events == ()
    assert get_nodes(state) == before


def accept(state, call: Call, key=ALICE) -> tuple[Event, ...]:
    receipt = run(state, call, key)
    assert (receipt.status, receipt.reason) == (Status.SUCCEEDED, 0)
    return receipt.events


def test_an_operator_registers_a_super_node():
    state = make_registry()
    events = accept(state, register(role=NodeRole.SUPER_NODE, consensus="vote"))
    key, signature = certificate_of("node")
    consensus_key = make_key("vote").public_key.key
    assert get_nodes(state) == [
        RegisteredNode(key, signature, A, NodeRole.SUPER_NODE, consensus_key, "node", tuple(ADDRESSES))
    ]
    assert events == (Event("network", "NodeRegistered", [A, key, 1, consensus_key]),)
    assert answer_view(state, MOMENT, "network", "nodes", []) == get_nodes(state)


@pytest.mark.parametrize("role", [NodeRole.OBSERVER, NodeRole.GATEWAY])
def test_other_nodes_have_no_consensus_key(role):
    state = make_registry()
    accept(state, register(role=role))
    (node,) = get_nodes(state)
    assert (node.role, node.consensus_key) == (role, None)


def test_what_was_registered_rebuilds_its_certificate_and_its_addresses():
    state = make_registry()
    accept(state, register())
    (node,) = get_nodes(state)
    assert expand_certificate(node.key, node.certificate_signature) == build_certificate(make_key("node").secret)
    assert [parse_peer_address(text).port for text in node.addresses] == [9000, 9000]


def test_only_an_admitted_operator_registers():
    refuse(make_registry(), register(operator=S), Reason.NOT_AN_OPERATOR, STRANGER)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": SMALL_ORDER_KEY}, Reason.BAD_KEY),
        ({"certificate_signature": bytes(64)}, Reason.BAD_KEY_SIGNATURE),
        ({"certificate_signature": certificate_of("other")[1]}, Reason.BAD_KEY_SIGNATURE),
        ({"addresses": ["alice.example"]}, Reason.BAD_NODE),
        ({"addresses": ["alice.example:0"]}, Reason.BAD_NODE),
        ({"role": 4}, Reason.BAD_ARGUMENTS),
        ({"name": ""}, Reason.BAD_ARGUMENTS),
        ({"name": "n" * 65}, Reason.BAD_ARGUMENTS),
        ({"addresses": ["a:1"] * 5}, Reason.BAD_ARGUMENTS),
        ({"consensus_key": make_key("vote").public_key.key}, Reason.BAD_NODE),
        ({"consensus_signature": bytes(64)}, Reason.BAD_NODE),
        ({"role": 1}, Reason.BAD_NODE),
    ],
)
def test_a_registration_that_breaks_one_rule_is_refused(changes, reason):
    refuse(make_registry(), register(**changes), reason)


def test_a_consensus_key_obeys_the_strict_rule_and_proves_itself():
    state = make_registry()
    good = {"role": NodeRole.SUPER_NODE, "consensus": "vote"}
    refuse(state, register(**good, consensus_key=SMALL_ORDER_KEY), Reason.BAD_KEY)
    refuse(state, register(**good, signer="other"), Reason.BAD_KEY_SIGNATURE)
    refuse(state, register(**good, operator=B), Reason.BAD_KEY_SIGNATURE)
    key, _ = certificate_of("node")
    other_domain = compute_signing_domain("other-chain", bytes(32))
    for proof in (
        sign("vote", SigningPurpose.CONSENSUS_KEY_POSSESSION, [A, key], other_domain),
        sign("vote", SigningPurpose.CONSENSUS_KEY_ROTATION, [A, key]),
    ):
        refuse(state, register(**good, consensus_signature=proof), Reason.BAD_KEY_SIGNATURE)
    refuse(state, register(role=NodeRole.SUPER_NODE, consensus="node"), Reason.KEY_IN_USE)


def test_no_key_and_no_name_stands_twice_in_the_registry():
    state = make_registry()
    accept(state, register(role=NodeRole.SUPER_NODE, consensus="vote"))
    refuse(state, register(operator=B, name="node"), Reason.KEY_IN_USE, BOB)
    refuse(state, register("vote", operator=B), Reason.KEY_IN_USE, BOB)
    for consensus in ("vote", "node"):
        again = register("second", role=NodeRole.SUPER_NODE, consensus=consensus, operator=B)
        refuse(state, again, Reason.KEY_IN_USE, BOB)
    call = register("second", operator=B)
    call.arguments[5] = "node"
    refuse(state, call, Reason.KEY_IN_USE, BOB)


def test_an_operator_has_one_super_node_and_a_limited_number_of_nodes():
    state = make_registry()
    accept(state, register("node 0", role=NodeRole.SUPER_NODE, consensus="vote"))
    refuse(state, register("extra", role=NodeRole.SUPER_NODE, consensus="vote 2"), Reason.NODES_LIMIT)
    for index in range(1, NODES_PER_OPERATOR_MAX):
        accept(state, register(f"node {index}"))
    refuse(state, register("extra"), Reason.NODES_LIMIT)
    accept(state, register("extra", operator=B), BOB)


def test_the_registry_has_room_for_so_many_nodes_and_no_more(monkeypatch):
    state = make_registry()
    monkeypatch.setattr("vm.native.network_calls.NODES_MAX", 2)
    accept(state, register("one"))
    accept(state, register("two", operator=B), BOB)
    refuse(state, register("three"), Reason.NODES_LIMIT)


def test_an_operator_renames_its_own_node_and_no_other():
    state = make_registry()
    accept(state, register())
    accept(state, register("other", operator=B), BOB)
    key, _ = certificate_of("node")
    update = Call("network", "update_node", [key, "renamed", ["10.0.0.1:1"]])
    refuse(state, update, Reason.UNKNOWN_NODE, BOB)
    refuse(state, update, Reason.NOT_AN_OPERATOR, STRANGER)
    refuse(state, Call("network", "update_node", [key, "other", []]), Reason.KEY_IN_USE)
    refuse(state, Call("network", "update_node", [key, "renamed", ["nowhere"]]), Reason.BAD_NODE)
    before = get_node(state, key)
    assert accept(state, update) == (Event("network", "NodeUpdated", [A, key]),)
    assert get_node(state, key) == replace(before, name="renamed", addresses=("10.0.0.1:1",))
    accept(state, Call("network", "update_node", [key, "renamed", []]))


def test_a_node_key_is_replaced_with_the_old_keys_signature():
    state = make_registry()
    accept(state, register(role=NodeRole.SUPER_NODE, consensus="vote"))
    (old_key, _), (new_key, new_certificate) = certificate_of("node"), certificate_of("new")
    before = get_node(state, old_key)

    def rotate(signer="node", value=(A, old_key, new_key), key=new_key, certificate=new_certificate) -> Call:
        signature = sign(signer, SigningPurpose.NODE_KEY_ROTATION, list(value))
        return Call("network", "rotate_node", [old_key, key, certificate, signature])

    refuse(state, rotate(signer="new"), Reason.BAD_KEY_SIGNATURE)
    refuse(state, rotate(value=(B, old_key, new_key)), Reason.BAD_KEY_SIGNATURE)
    refuse(state, rotate(certificate=bytes(64)), Reason.BAD_KEY_SIGNATURE)
    refuse(state, rotate(key=SMALL_ORDER_KEY), Reason.BAD_KEY)
    refuse(state, rotate(key=old_key, certificate=certificate_of("node")[1]), Reason.KEY_IN_USE)
    refuse(state, rotate(), Reason.UNKNOWN_NODE, BOB)
    assert accept(state, rotate()) == (Event("network", "NodeRotated", [A, old_key, new_key]),)
    assert get_nodes(state) == [replace(before, key=new_key, certificate_signature=new_certificate)]


def test_a_consensus_key_is_replaced_with_both_keys_signatures():
    state = make_registry()
    accept(state, register(role=NodeRole.SUPER_NODE, consensus="vote"))
    key, _ = certificate_of("node")
    old_key, new_key = make_key("vote").public_key.key, make_key("vote 2").public_key.key

    def rotate(old_signer="vote", new_signer="vote 2", value=(A, old_key, new_key), consensus_key=new_key) -> Call:
        signatures = [
            sign(each, SigningPurpose.CONSENSUS_KEY_ROTATION, list(value)) for each in (old_signer, new_signer)
        ]
        return Call("network", "rotate_consensus", [key, consensus_key, *signatures])

    refuse(state, rotate(old_signer="vote 2"), Reason.BAD_KEY_SIGNATURE)
    refuse(state, rotate(new_signer="vote"), Reason.BAD_KEY_SIGNATURE)
    refuse(state, rotate(value=(A, new_key, old_key)), Reason.BAD_KEY_SIGNATURE)
    refuse(state, rotate(consensus_key=key), Reason.KEY_IN_USE)
    refuse(state, rotate(consensus_key=SMALL_ORDER_KEY), Reason.BAD_KEY)
    refuse(state, rotate(), Reason.UNKNOWN_NODE, BOB)
    before = get_node(state, key)
    assert accept(state, rotate()) == (Event("network", "ConsensusKeyRotated", [A, old_key, new_key]),)
    assert get_node(state, key) == replace(before, consensus_key=new_key)


def test_an_observer_has_no_consensus_key_to_replace():
    state = make_registry()
    accept(state, register())
    key, _ = certificate_of("node")
    rotate = Call("network", "rotate_consensus", [key, make_key("vote").public_key.key, bytes(64), bytes(64)])
    refuse(state, rotate, Reason.BAD_NODE)


def test_an_operator_removes_its_own_node_and_may_register_the_key_again():
    state = make_registry()
    accept(state, register())
    key, _ = certificate_of("node")
    remove = Call("network", "remove_node", [key])
    refuse(state, remove, Reason.UNKNOWN_NODE, BOB)
    assert accept(state, remove) == (Event("network", "NodeRemoved", [A, key]),)
    assert get_nodes(state) == []
    refuse(state, remove, Reason.UNKNOWN_NODE)
    accept(state, register())


def test_a_removed_operator_leaves_with_all_its_nodes():
    state = make_registry()
    accept(state, register("one"))
    accept(state, register("two"))
    accept(state, register("other", operator=B), BOB)
    assert sorted(remove_operator(state, A)) == sorted(certificate_of(name)[0] for name in ("one", "two"))
    assert [node.name for node in get_nodes(state)] == ["other"]
    assert (is_operator(state, A), is_operator(state, B)) == (False, True)
    refuse(state, register("one"), Reason.NOT_AN_OPERATOR)


def test_the_views_of_operators():
    state = make_registry()
    both = sorted([Operator(A, "Alice"), Operator(B, "Bob")], key=lambda each: each.operator)
    assert answer_view(state, MOMENT, "network", "operators", []) == both
    assert answer_view(state, MOMENT, "network", "operator", [B]) == Operator(B, "Bob")
    assert answer_view(state, MOMENT, "network", "operator", [S]) is None


def test_the_registry_takes_as_many_nodes_as_the_transport_trusts():
    assert network.NODES_MAX == NODES_ALLOWED_MAX
    state = make_registry()
    for index in range(network.NODES_MAX - 1):
        put_node(
            state,
            RegisteredNode(
                index.to_bytes(32, "big"), bytes(64), index.to_bytes(20, "big"), NodeRole.OBSERVER, None, str(index), ()
            ),
        )
    accept(state, register("last"))
    refuse(state, register("one too many"), Reason.NODES_LIMIT)


@pytest.mark.parametrize(
    "text",
    ["a:1", "a.example:65535", "10.0.0.1:9000", "[::1]:9000", "[2001:db8::1]:1", "under_score.example:7", "a-b.c:80"],
)
def test_what_is_host_and_port(text):
    assert is_endpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", ":1", "a:", "a:0", "a:65536", "a:-1", "a:1\n", " a:1", "a b:1", "a..b:1", ".a:1", "a.:1", "-a:1"),
        *("::1:9000", "[abc]:1", "[1.2.3.4]:1", "[::1]", "[::1]:", "ä.example:1", f"{'a' * 64}:1", "a:٣"),
        f"{'.'.join(['a' * 63] * 4)}:1",
    ],
)
def test_what_is_not_host_and_port(text):
    assert not is_endpoint(text)


@given(st.text("[]af01:.-_", max_size=8).map(lambda host: f"{host}:80"))
@example("[::1]:80")
@example("[ab]:80")
def test_the_transport_reads_every_address_that_the_registry_takes(text):
    if is_endpoint(text):
        parse_peer_address(text)
