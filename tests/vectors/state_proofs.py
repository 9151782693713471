"""carlive_state_proofs.json: roots of whole states, proofs of values and of absence, and proofs that are refused."""

from dataclasses import replace
from typing import Any, Final

from ledger.codec import encode, to_plain
from ledger.state_keys import COMMITTEE_KEY, PARAMETERS_KEY, account_key, node_key, policy_key
from ledger.state_proof import ProofLevel, StateProof, build_state_proof
from ledger.store_keys import value_store_key
from ledger.tree import Load, StateTree
from tests.builders import address_of, make_key
from tests.vectors.notation import to_notation
from tests.vectors.scene import (
    DAVE,
    ERIN,
    NODE_KEYS,
    POLICY_ADDRESS,
    build_scene,
    compute_state_root,
)

_ABSENT_TRIES_MAX: Final = 50
_SMALL_STATES: Final[dict[str, dict[bytes, bytes]]] = {
    "empty": {},
    "one key": {b"a": b"1"},
    "an empty value": {b"a": b""},
    "sixteen keys": {bytes([index]): bytes([index, index]) for index in range(16)},
    "two hundred keys": {b"key %d" % index: b"value %d" % index for index in range(200)},
}


def build_state_proof_vectors() -> dict[str, Any]:
    """The whole file."""
    scene = build_scene()
    load = build_load(scene.state)
    absent_slot, absent_leaf = _find_absent_keys(load)
    keys = {
        "an account": account_key(address_of(ERIN)),
        "the policy of an account": policy_key(address_of(DAVE)),
        "the policy behind a multi-signature address": policy_key(POLICY_ADDRESS),
        "the parameters": PARAMETERS_KEY,
        "the committee": COMMITTEE_KEY,
        "a registered node": node_key(NODE_KEYS[0].public_key.key),
        "an account never used; the slot is empty": absent_slot,
        "an account never used; another leaf is in the way": absent_leaf,
    }
    proofs = {name: build_state_proof(load, key, scene.state.get(key)) for name, key in keys.items()}
    return {
        "about": "The state after block 1 of the chain of carlive_certificates.json; the header of block 2 states its "
        "root. See docs/protocol.md, State.",
        "state": _list_entries(scene.state),
        "state_root": compute_state_root(scene.state).hex(),
        "small_states": [
            {"name": name, "entries": _list_entries(state), "root": compute_state_root(state).hex()}
            for name, state in _SMALL_STATES.items()
        ],
        "proofs": [_describe(name, proof) for name, proof in proofs.items()],
        "refused": _list_refused(proofs),
    }


def build_load(state: dict[bytes, bytes]) -> Load:
    """Reads the stored form of a whole state: its values and tree nodes."""
    update = StateTree(lambda store_key: None).compute_update(state)
    records = dict(update.node_changes) | {value_store_key(key): value for key, value in state.items()}
    return records.get


def _list_entries(state: dict[bytes, bytes]) -> list[list[str]]:
    return [[key.hex(), value.hex()] for key, value in sorted(state.items())]


def _find_absent_keys(load: Load) -> tuple[bytes, bytes]:
    """Accounts that were never used: the first whose place is empty, and the first whose place another leaf takes."""
    keys = [account_key(address_of(make_key(f"nobody {index}"))) for index in range(_ABSENT_TRIES_MAX)]
    proofs = [build_state_proof(load, key, None) for key in keys]
    at_empty_slot = next(proof.key for proof in proofs if proof.other_leaf is None)
    at_other_leaf = next(proof.key for proof in proofs if proof.other_leaf is not None)
    return at_empty_slot, at_other_leaf


def _describe(name: str, proof: StateProof) -> dict[str, Any]:
    return {
        "name": name,
        "key": proof.key.hex(),
        "value": None if proof.value is None else proof.value.hex(),
        "plain": to_notation(to_plain(proof)),
        "encoded": encode(proof).hex(),
    }


def _list_refused(proofs: dict[str, StateProof]) -> list[dict[str, str]]:
    """Proofs that do not hold against `state_root`, or are not in their one form."""
    held = proofs["an account"]
    empty_slot = proofs["an account never used; the slot is empty"]
    in_the_way = proofs["an account never used; another leaf is in the way"]
    assert held.value is not None
    assert in_the_way.other_leaf is not None
    top = held.levels[0]
    first = top.siblings[0]
    flipped = replace(top, siblings=(bytes([first[0] ^ 1]) + first[1:], *top.siblings[1:]))
    swapped = replace(top, siblings=(top.siblings[1], first, *top.siblings[2:]))
    other_leaf = in_the_way.other_leaf
    cases = {
        "another value": replace(held, value=held.value[:-1] + bytes([held.value[-1] ^ 1])),
        "the value of another key": replace(held, key=empty_slot.key),
        "absence of a key that is there": replace(held, value=None),
        "a value for a key that is not there": replace(empty_slot, value=held.value),
        "a flipped bit in a sibling": replace(held, levels=(flipped, *held.levels[1:])),
        "two siblings swapped": replace(held, levels=(swapped, *held.levels[1:])),
        "a sibling too few": replace(held, levels=(replace(top, siblings=top.siblings[:-1]), *held.levels[1:])),
        "the lowest level left out": replace(in_the_way, levels=in_the_way.levels[:-1]),
        "a level too many": replace(held, levels=(*held.levels, ProofLevel(0, ()))),
        "the path's own slot among the siblings": replace(
            held, levels=(replace(top, siblings_bitmap=2**16 - 1), *held.levels[1:])
        ),
        "a value and another leaf": replace(held, other_leaf=other_leaf),
        "the leaf in the way left out": replace(in_the_way, other_leaf=None),
        "another value of the leaf in the way": replace(
            in_the_way, other_leaf=replace(other_leaf, value_hash=bytes(32))
        ),
    }
    return [{"encoded": encode(proof).hex(), "why": why} for why, proof in cases.items()]
