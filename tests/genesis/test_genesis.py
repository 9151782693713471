"""The genesis document, its presets, and the first state."""

import copy
from typing import Any

import orjson
import pytest

from genesis.build import build_committee, build_first_state, build_parameters, compute_genesis_hash
from genesis.document import GenesisError, GenesisNode, format_genesis, load_genesis, parse_genesis
from genesis.presets import (
    ALLOCATION_PERCENT,
    DEVELOPMENT_OPERATOR_GRAINS,
    build_devnet,
    build_preset,
    list_development_accounts,
)
from identity.address import NetworkKind, compute_module_address, format_address, parse_address
from identity.did import Did, compute_did, format_did
from ledger.codec import decode, encode
from ledger.primitives import SUPPLY_GRAINS
from ledger.state import State
from ledger.state_keys import lockup_due_key, term_key
from tests.builders import address_of, make_key
from tests.did_scene import control_of
from vm.native.accounts import HAS_LOCKUPS, get_account
from vm.native.did_payloads import CreatePayload
from vm.native.did_records import DidContent, DidKind, get_did_record
from vm.native.election import elect
from vm.native.governance import BodyKind, get_body
from vm.native.iov import STAKING_ADDRESS
from vm.native.lockup_records import Clock, Linear, Lockup, Lockups, Schedule, Step, build_cliff, get_lockups
from vm.native.network import Operator, get_nodes, get_operators, is_operator
from vm.native.recognition import Recognition, list_recognised
from vm.native.stake import Epoch, compute_delegation_value, get_candidates, get_epoch
from vm.offences import Term


def make_node(index: int, network: NetworkKind = NetworkKind.DEVNET, bond_grains: int = 0) -> GenesisNode:
    return GenesisNode(
        name=f"node-{index}",
        operator=format_address(address_of(make_key(f"operator {index}")), network),
        consensus_key="0x" + make_key(f"consensus {index}").public_key.key.hex(),
        node_key="0x" + make_key(f"node {index}").public_key.key.hex(),
        node_certificate_signature="0x" + bytes(64).hex(),
        addresses=[f"127.0.0.1:{8646 + 10 * index}"],
        bond_grains=str(bond_grains),
    )


BOND_GRAINS = 10**14
DOCUMENT = build_devnet(1_700_000_000_000, [make_node(index, bond_grains=BOND_GRAINS) for index in range(4)])


def read_first_state(document) -> State:
    state = State(lambda key: None, lambda start, stop: iter(()))
    for key, value in build_first_state(document).items():
        assert value is not None
        state.put(key, value)
    return state


def test_a_document_survives_the_file():
    assert parse_genesis(format_genesis(DOCUMENT)) == DOCUMENT


def test_every_grain_of_the_supply_is_in_the_first_state():
    state = read_first_state(DOCUMENT)
    holders = [parse_address(account.address, NetworkKind.DEVNET) for account in list_development_accounts()]
    holders += [parse_address(node.operator, NetworkKind.DEVNET) for node in DOCUMENT.nodes]
    holders += [compute_module_address(name) for name in (*ALLOCATION_PERCENT, "staking")]
    assert sum(get_account(state, holder).balance_grains for holder in holders) == SUPPLY_GRAINS
    assert {get_account(state, holder).balance_grains for holder in holders[:10]} == {10**15}


def test_mainnet_holds_the_papers_allocation_in_module_accounts():
    nodes = [make_node(index, NetworkKind.MAINNET) for index in range(4)]
    state = read_first_state(build_preset(NetworkKind.MAINNET, "carlive", 1, nodes))
    shares = {name: get_account(state, compute_module_address(name)).balance_grains for name in ALLOCATION_PERCENT}
    assert shares == {"cornerstone": 10**17, "subscription": 25 * 10**16, "team": 35 * 10**16, "mining": 3 * 10**17}


LINEAR = {"amount_grains": "600", "linear": {"start_ms": 0, "cliff_ms": 500, "end_ms": 2 * 10**12}, "source": "team"}
CLIFF = {
    "amount_grains": "399",
    "steps": [{"at": 2 * 10**12, "unlocked": "10000"}],
    "source": "team",
    "revocable": True,
}
MANY = CLIFF | {
    "amount_grains": "1",
    "steps": [{"at": index, "unlocked": str(index)} for index in range(1, 50)] + [{"at": 50, "unlocked": "10000"}],
}
BY_HEIGHT = {
    "amount_grains": "1",
    "clock": "height",
    "unit": "grains",
    "steps": [{"at": 5, "unlocked": "1"}],
    "source": "cornerstone",
}


def with_lockups(lockups, amount="1000", **changes):
    """The document with a thousand grains of the team's share at one more account."""
    plain = orjson.loads(format_genesis(DOCUMENT))
    team = next(each for each in plain["allocations"] if each.get("module") == "team")
    team["amount_grains"] = str(int(team["amount_grains"]) - int(amount))
    holder = format_address(address_of(make_key("early")), NetworkKind.DEVNET)
    plain["allocations"].append({"account": holder, "amount_grains": amount, "lockups": lockups} | changes)
    return plain


def test_an_allocation_may_be_locked_by_several_schedules():
    document = load_genesis(with_lockups([LINEAR, CLIFF, BY_HEIGHT]))
    assert parse_genesis(format_genesis(document)) == document
    state, early = read_first_state(document), address_of(make_key("early"))
    assert get_account(state, early).flags == HAS_LOCKUPS
    team, cornerstone = compute_module_address("team"), compute_module_address("cornerstone")
    first = Schedule(Linear(0, 500, 2 * 10**12), Clock.TIME, False, ())
    third = Schedule(None, Clock.HEIGHT, True, (Step(5, 1),))
    assert get_lockups(state, early) == Lockups(
        4,
        (
            Lockup(1, 600, first, team, False, 0, False),
            Lockup(2, 399, build_cliff(2 * 10**12), team, True, 0, False),
            Lockup(3, 1, third, cornerstone, False, 0, False),
        ),
    )
    assert state.get(lockup_due_key(5, early)) == b""


def test_lockups_change_the_genesis_hash_and_their_absence_no_byte():
    without = load_genesis(with_lockups(None))
    assert b"lockups" not in format_genesis(without)
    assert compute_genesis_hash(load_genesis(with_lockups([CLIFF]))) != compute_genesis_hash(without)


@pytest.mark.parametrize(
    ("lockups", "changes", "message"),
    [
        ([LINEAR, LINEAR], {}, "more is locked than allocated"),
        ([CLIFF | {"source": "mining"}], {}, "locked coins come out of cornerstone, subscription, team, not mining"),
        ([CLIFF | {"amount_grains": "0"}], {}, "a lock-up is at least one grain"),
        ([CLIFF | {"steps": []}], {}, "a schedule without steps never unlocks"),
        ([CLIFF | {"unit": "grains"}], {}, "the last step unlocks everything, 399"),
        ([MANY, MANY, MANY], {}, "an account's lock-ups have at most 128 steps together"),
        ([CLIFF], {"account": None, "module": "fees"}, "a module account has no lock-ups"),
    ],
)
def test_lockups_that_break_a_rule_are_told(lockups, changes, message):
    plain = with_lockups(lockups, **changes)
    with pytest.raises(GenesisError) as caught:
        load_genesis(plain)
    assert message in str(caught.value)


def test_the_committee_and_the_registry_follow_the_document():
    committee = build_committee(DOCUMENT)
    assert [member.consensus_key.hex() for member in committee.members] == [
        node.consensus_key[2:] for node in DOCUMENT.super_nodes if node.consensus_key
    ]
    assert {node.name for node in get_nodes(read_first_state(DOCUMENT))} == {f"node-{index}" for index in range(4)}


def test_the_first_super_nodes_are_admitted_candidates_with_their_bonds():
    state = read_first_state(DOCUMENT)
    committee = build_committee(DOCUMENT)
    candidates = {candidate.operator: candidate for candidate in get_candidates(state)}
    assert list(candidates) == sorted(member.operator for member in committee.members)
    for member in committee.members:
        assert is_operator(state, member.operator)
        candidate = candidates[member.operator]
        assert (candidate.pool_grains, candidate.is_standing) == (BOND_GRAINS, True)
        assert compute_delegation_value(state, member.operator, candidate) == BOND_GRAINS
        account = get_account(state, member.operator)
        assert (account.balance_grains, account.staked_grains) == (DEVELOPMENT_OPERATOR_GRAINS, BOND_GRAINS)
    assert get_account(state, STAKING_ADDRESS).balance_grains == 4 * BOND_GRAINS
    assert set(elect(state, build_parameters(DOCUMENT))) == set(committee.members)


def test_a_super_node_without_a_bond_stands_all_the_same():
    state = read_first_state(build_devnet(1, [make_node(0)]))
    (candidate,) = get_candidates(state)
    assert (candidate.pool_grains, candidate.is_standing) == (0, True)
    assert elect(state, build_parameters(DOCUMENT)) == []


def test_the_first_epoch_begins_with_block_one_and_its_term_is_the_first_committees():
    state = read_first_state(DOCUMENT)
    assert get_epoch(state) == Epoch(0, 1, 1)
    assert decode(Term, state.get(term_key(1))) == Term(0, build_committee(DOCUMENT))


def test_the_genesis_hash_depends_on_every_part():
    plain = orjson.loads(format_genesis(DOCUMENT))
    changed = []
    for path, value in [
        (("chain_id",), "other-chain"),
        (("time_ms",), 5),
        (("parameters", "block_interval_ms"), 501),
        (("nodes", 0, "name"), "renamed"),
        (("nodes", 0, "addresses"), ["10.0.0.1:1"]),
    ]:
        document = copy.deepcopy(plain)
        target = document
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
        changed.append(compute_genesis_hash(load_genesis(document)))
    assert len({compute_genesis_hash(DOCUMENT), *changed}) == 6


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("allocations", 0, "amount_grains"), "1", "add up to"),
        (("allocations", 0, "amount_grains"), "-1", "match"),
        (("allocations", 0, "amount_grains"), 5, "string"),
        (("allocations", 0, "module"), "nobody", "no module account"),
        (("allocations", 4, "account"), "iov1qqqq", "iov1qqqq"),
        (("chain_id",), "Not A Name", "match"),
        (("network",), "moon", "mainnet"),
        (("parameters", "block_interval_ms"), 1, "block_interval_ms"),
        (("surprise",), 1, "surprise"),
        (("nodes", 1, "name"), "node-0", "stands twice"),
        (("nodes", 1, "consensus_key"), "0x" + "00" * 32, "not acceptable"),
        (("nodes", 1, "consensus_key"), None, "consensus key"),
        (("nodes", 1, "addresses"), ["nowhere"], "host:port"),
        (("nodes", 1, "addresses"), ["h:99999"], "host:port"),
        (("format",), "carlive-genesis/9", "carlive-genesis/1"),
    ],
)
def test_a_bad_document_names_what_is_wrong(path, value, message):
    document = orjson.loads(format_genesis(DOCUMENT))
    target = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(GenesisError, match=message):
        build_first_state(load_genesis(document))


def test_other_files_are_refused():
    for text in (b"", b"[]", b"{", b'{"format": NaN}', b"\xff"):
        with pytest.raises(GenesisError):
            parse_genesis(text)


def test_a_real_network_needs_four_super_nodes():
    nodes = [make_node(index, NetworkKind.TESTNET) for index in range(3)]
    with pytest.raises(GenesisError, match="at least 4"):
        build_first_state(build_preset(NetworkKind.TESTNET, "carlive-test", 1, nodes))


def test_operators_bodies_and_consensus_keys_follow_the_document():
    members = [format_address(address_of(make_key(f"adviser {index}")), NetworkKind.DEVNET) for index in range(3)]
    document = load_genesis(orjson.loads(format_genesis(DOCUMENT)) | {"bodies": {"technical": members}})
    state = read_first_state(document)
    addresses = [parse_address(member, NetworkKind.DEVNET) for member in members]
    assert get_body(state, BodyKind.TECHNICAL) == tuple(sorted(addresses))
    assert get_body(state, BodyKind.FINANCIAL) == ()
    expected = {Operator(address_of(make_key(f"operator {index}")), f"node-{index}") for index in range(4)}
    assert set(get_operators(state)) == expected
    keys = {make_key(f"consensus {index}").public_key.key for index in range(4)}
    assert {node.consensus_key for node in get_nodes(state)} == keys


def describe_identity(name: str, kind: DidKind = DidKind.ORGANISATION, **changes: Any) -> tuple[Did, dict[str, str]]:
    """An identity as a document names it."""
    payload = encode(CreatePayload(kind, changes.get("owner"), control_of(name), (), b""))
    return compute_did(payload), {"payload": "0x" + payload.hex()}


def test_identities_and_what_they_are_recognised_for_follow_the_document():
    maker, entry = describe_identity("maker")
    text = format_did(maker, NetworkKind.DEVNET)
    added = {"identities": [entry], "recognised": [{"recognition": "vin_attester", "did": text}]}
    document = load_genesis(orjson.loads(format_genesis(DOCUMENT)) | added)
    assert parse_genesis(format_genesis(document)) == document
    state = read_first_state(document)
    record = get_did_record(state, maker)
    assert record is not None
    assert (record.current.height, record.created_ms) == (0, document.time_ms)
    assert record.current.content == DidContent(DidKind.ORGANISATION, None, control_of("maker"), ())
    assert list_recognised(state, Recognition.VIN_ATTESTER) == [maker]
    hashes = {compute_genesis_hash(each) for each in (DOCUMENT, document)}
    assert len(hashes) == 2


MAKER, MAKER_ENTRY = describe_identity("maker")
CAR_ENTRY = describe_identity("car", DidKind.VEHICLE, owner=MAKER)[1]


def recognise(did: Did, recognition: str = "platform", network: NetworkKind = NetworkKind.DEVNET) -> dict[str, str]:
    """An entry of a document."""
    return {"recognition": recognition, "did": format_did(did, network)}


@pytest.mark.parametrize(
    ("identities", "recognised", "message"),
    [
        ([{"payload": "0x00"}], [], "identities.0"),
        ([{"payload": "payload"}], [], "match"),
        ([MAKER_ENTRY, MAKER_ENTRY], [], "identities.1: this identity exists already"),
        ([CAR_ENTRY, MAKER_ENTRY], [], "identities.0: the owner is an active person"),
        ([MAKER_ENTRY], [recognise(MAKER, "oracle")], "nobody is recognised as 'oracle'"),
        ([MAKER_ENTRY], [recognise(MAKER, network=NetworkKind.MAINNET)], "did:iov"),
        ([MAKER_ENTRY], [recognise(Did(bytes(20)))], "recognised.0: the chain knows no such identity"),
        ([MAKER_ENTRY], [recognise(MAKER), recognise(MAKER)], "recognised.1: governance recognises this identity"),
    ],
)
def test_identities_of_a_document_keep_the_rules(identities, recognised, message):
    plain = orjson.loads(format_genesis(DOCUMENT)) | {"identities": identities, "recognised": recognised}
    with pytest.raises(GenesisError, match=message):
        build_first_state(load_genesis(plain))


def test_parameters_that_contradict_each_other_are_refused():
    document = orjson.loads(format_genesis(DOCUMENT))
    document["parameters"] |= {"committee_seats": 4, "committee_members_min": 5}
    with pytest.raises(GenesisError, match="committee_members_min is above committee_seats"):
        build_first_state(load_genesis(document))
