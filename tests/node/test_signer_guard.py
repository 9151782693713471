"""A signer never contradicts itself, whatever it is asked, in whatever order, across restarts."""

from dataclasses import replace
from pathlib import Path

import pytest

from consensus.messages import (
    VoteKind,
    proposal_signing_bytes,
    verify_consensus_signature,
    vote_signing_bytes,
)
from ledger.primitives import BlockHash, ConsensusKey, Height, Round, Signature
from node.disk_full import DiskFullError
from node.safety_file import SafetyFile, SafetyFileError, initialise_safety_directory
from node.signer import LocalSigner, SignerRefusedError, SignerUnavailableError
from node.signer_guard import SigningGuard
from node.signer_process import load_safety_state
from node.signer_protocol import ProposalRequest, VoteRequest
from tests.builders import DOMAIN, make_key
from tests.node.disk_faults import failing_call

KEY = make_key("guarded")
BLOCK, OTHER = BlockHash(b"\x01" * 32), BlockHash(b"\x02" * 32)
PREVOTE = VoteRequest(VoteKind.PREVOTE, Height(5), Round(1), BLOCK)
PRECOMMIT = replace(PREVOTE, kind=VoteKind.PRECOMMIT)
PROPOSAL = ProposalRequest(Height(5), Round(1), -1, BLOCK)
Request = VoteRequest | ProposalRequest


class Holder:
    """The key, and what it signed; may be out of reach."""

    public_key = ConsensusKey(KEY.public_key.key)

    def __init__(self) -> None:
        self.signed: list[bytes] = []
        self.is_reachable = True

    async def sign_message(self, message: bytes) -> Signature:
        if not self.is_reachable:
            raise SignerUnavailableError("the token is out")
        self.signed.append(message)
        return await LocalSigner(KEY).sign_message(message)


class Scene:
    """One guard after the other over one safety directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "safety"
        initialise_safety_directory(self.directory)
        self.holder = Holder()
        self.open()

    def open(self) -> None:
        self.file = SafetyFile(self.directory)
        self.guard = SigningGuard(self.holder, self.file, load_safety_state(self.file), DOMAIN)

    def restart(self) -> None:
        self.file.close()
        self.open()

    async def sign(self, request: Request) -> Signature:
        return await self.guard.sign(request)

    async def is_refused(self, request: Request) -> bool:
        before = list(self.holder.signed)
        try:
            await self.guard.sign(request)
        except SignerRefusedError:
            assert self.holder.signed == before
            return True
        return False


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_the_message_is_built_here_from_the_request(scene: Scene) -> None:
    signatures = [await scene.sign(each) for each in (PROPOSAL, PREVOTE, PRECOMMIT)]
    messages = [
        proposal_signing_bytes(DOMAIN, Height(5), Round(1), -1, BLOCK),
        vote_signing_bytes(DOMAIN, VoteKind.PREVOTE, Height(5), Round(1), BLOCK),
        vote_signing_bytes(DOMAIN, VoteKind.PRECOMMIT, Height(5), Round(1), BLOCK),
    ]
    assert scene.holder.signed == messages
    for message, signature in zip(messages, signatures, strict=True):
        assert verify_consensus_signature(Holder.public_key, message, signature)


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PREVOTE, replace(PREVOTE, block_hash=OTHER)),
        (PREVOTE, replace(PREVOTE, block_hash=None)),
        (replace(PREVOTE, block_hash=None), PREVOTE),
        (PRECOMMIT, replace(PRECOMMIT, block_hash=OTHER)),
        (PRECOMMIT, replace(PRECOMMIT, block_hash=None)),
        (PROPOSAL, replace(PROPOSAL, block_hash=OTHER)),
        (PROPOSAL, replace(PROPOSAL, valid_round=0)),
    ],
)
async def test_a_second_message_for_one_step_is_refused(
    scene: Scene, first: Request, second: Request, is_restarted: bool
) -> None:
    await scene.sign(first)
    if is_restarted:
        scene.restart()
    assert await scene.is_refused(second)


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("request_again", [PREVOTE, PRECOMMIT, PROPOSAL])
async def test_the_same_message_gets_the_same_signature(
    scene: Scene, request_again: Request, is_restarted: bool
) -> None:
    signature = await scene.sign(request_again)
    if is_restarted:
        scene.restart()
    assert await scene.sign(request_again) == signature


@pytest.mark.parametrize(
    "earlier",
    [
        replace(PRECOMMIT, height=Height(4)),
        replace(PRECOMMIT, round=Round(0)),
        PREVOTE,
        PROPOSAL,
    ],
)
async def test_nothing_is_signed_for_an_earlier_step(scene: Scene, earlier: Request) -> None:
    await scene.sign(PRECOMMIT)
    scene.restart()
    assert await scene.is_refused(earlier)


async def test_after_a_refusal_the_next_step_is_signed(scene: Scene) -> None:
    await scene.sign(PREVOTE)
    assert await scene.is_refused(replace(PREVOTE, block_hash=OTHER))
    await scene.sign(PRECOMMIT)
    await scene.sign(replace(PREVOTE, round=Round(2), block_hash=OTHER))


async def test_what_is_signed_is_on_disk_before_the_key_is_asked(scene: Scene) -> None:
    scene.holder.is_reachable = False
    with pytest.raises(SignerUnavailableError):
        await scene.sign(PREVOTE)
    scene.restart()
    scene.holder.is_reachable = True
    assert await scene.is_refused(replace(PREVOTE, block_hash=OTHER))
    await scene.sign(PREVOTE)


async def test_a_full_disk_is_unavailable_and_signs_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_payload: bytes) -> None:
        raise DiskFullError(scene.directory, OSError(28, "full"))

    with monkeypatch.context() as patch:
        patch.setattr(scene.file, "save", fail)
        with pytest.raises(SignerUnavailableError, match="no space"):
            await scene.sign(PREVOTE)
    assert scene.holder.signed == []
    await scene.sign(replace(PREVOTE, block_hash=OTHER))


async def test_a_disk_that_fails_ends_the_signer(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with failing_call(monkeypatch, "fdatasync"), pytest.raises(SafetyFileError):
        await scene.sign(PREVOTE)
    with pytest.raises(SafetyFileError):
        await scene.sign(PREVOTE)
    assert scene.holder.signed == []
