"""Evidence that waits: what is kept, what is dropped without blame, and when it goes."""

import pytest

from consensus.messages import VoteKind, vote_signing_bytes
from identity.signing import SigningDomain, compute_signing_domain
from ledger.codec import encode, pack
from ledger.evidence import OffenceKind, build_evidence, encode_evidence
from ledger.primitives import ConsensusKey, Height, Round, Signature
from ledger.state_keys import offence_key, term_key
from node import evidence_pool as pool_module
from node.evidence_pool import EvidencePool
from tests.builders import DOMAIN, make_key
from tests.chains import COMMITTEE, MEMBER_KEYS, RecordingLogger, SmallChain
from vm.offences import Term, read_offences


class Scene:
    def __init__(self) -> None:
        self.small = SmallChain({})
        self.passed_on: list[bytes] = []
        self.pool = EvidencePool(self.small.chain, DOMAIN, self.passed_on.append, RecordingLogger())


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    for _ in range(3):
        scene.small.add_block()
    return scene


def accuse(member: int = 1, height: int = 2, round_number: int = 0, domain: SigningDomain = DOMAIN, key=None) -> bytes:
    """Evidence that a member has prevoted for a block and for none."""
    key = key or MEMBER_KEYS[member]
    signed = []
    for block_hash in (b"\x01" * 32, None):
        message = vote_signing_bytes(domain, VoteKind.PREVOTE, Height(height), Round(round_number), block_hash)
        signed.append((pack([height, round_number, block_hash]), Signature(key.sign(message))))
    return encode_evidence(build_evidence(OffenceKind.PREVOTE, ConsensusKey(key.public_key.key), *signed))


def test_new_evidence_is_kept_passed_on_once_and_selected(scene):
    assert scene.pool.add(accuse())
    assert not scene.pool.add(accuse())
    assert scene.passed_on == [accuse()]
    assert scene.pool.has_ready
    assert scene.pool.select() == (accuse(),)
    assert scene.pool.list_waiting() == [accuse()]


def test_a_block_gets_it_in_the_order_of_its_offences(scene):
    pieces = [accuse(member, height) for member in (0, 1, 2) for height in (1, 2, 3)]
    for piece in pieces:
        assert scene.pool.add(piece)
    ids = [offence.id for offence in read_offences(scene.pool.select())]
    assert ids == sorted(ids)
    assert len(ids) == len(pieces)


def test_what_is_found_at_the_height_being_decided_waits_for_the_next_block(scene):
    assert scene.pool.add(accuse(height=4))
    assert not scene.pool.has_ready
    assert scene.pool.select() == ()
    scene.small.add_block()
    assert scene.pool.has_ready
    assert scene.pool.select() == (accuse(height=4),)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\xc1",
        accuse()[:-1],
        accuse(height=5),
        accuse(key=make_key("a stranger")),
        accuse(domain=compute_signing_domain("another-chain", bytes(32))),
    ],
    ids=["empty", "malformed", "cut short", "of a later height", "of a stranger", "of another chain"],
)
def test_anything_else_is_dropped(scene, encoded):
    assert not scene.pool.add(encoded)
    assert (len(scene.pool), scene.passed_on, scene.pool.offences_seen) == (0, [], 0)


def test_punished_and_outdated_offences_go_with_the_block_that_makes_them_so(scene):
    scene.pool.add(accuse(1))
    scene.pool.add(accuse(2))
    scene.pool.on_block(None)
    assert len(scene.pool) == 2
    [punished] = read_offences([accuse(1)])
    commit(scene, {offence_key(1, punished.id): b"\x04"})
    scene.pool.on_block(None)
    assert scene.pool.list_waiting() == [accuse(2)]
    assert not scene.pool.add(accuse(1))
    commit(scene, {term_key(1): None, term_key(9): encode(Term(1, COMMITTEE))})
    scene.pool.on_block(None)
    assert len(scene.pool) == 0


def test_what_a_restart_forgets_peers_bring_again_but_nothing_that_was_punished(scene):
    pieces = [accuse(1), accuse(2)]
    for piece in pieces:
        scene.pool.add(piece)
    [punished] = read_offences([accuse(2)])
    commit(scene, {offence_key(1, punished.id): b"\x04"})
    restarted = EvidencePool(scene.small.chain, DOMAIN, scene.passed_on.append, RecordingLogger())
    assert len(restarted) == 0
    assert [restarted.add(piece) for piece in scene.pool.list_waiting()] == [True, False]
    assert restarted.select() == (accuse(1),)


def test_there_is_room_for_a_limited_number(scene, monkeypatch):
    monkeypatch.setattr(pool_module, "EVIDENCE_WAITING_MAX", 2)
    assert [scene.pool.add(accuse(member)) for member in (0, 1, 2)] == [True, True, False]


def commit(scene: Scene, changes: dict[bytes, bytes | None]) -> None:
    scene.small.chain.commit(scene.small.build_block(), [], (), changes)
