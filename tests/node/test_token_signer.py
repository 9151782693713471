"""The consensus key in a token, as a running node uses it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

import node.token_signer as module
from consensus.messages import verify_consensus_signature
from identity.keys import KeyType
from node.pkcs11_token import PinRefusedError, Token, TokenError, TokenPlace, TokenUnavailableError
from node.signer import SignerUnavailableError
from node.token_signer import TokenSigner
from tests.softhsm import SoftHsm

MESSAGE = b"a vote"
LABEL = "consensus"


@pytest.fixture(scope="module")
def place(softhsm: SoftHsm) -> TokenPlace:
    place = softhsm.make_token()
    with Token(place, is_writable=True) as token:
        token.generate(LABEL, KeyType.ED25519)
        token.generate("account", KeyType.P256)
    return place


@pytest.fixture
def signer(place: TokenPlace) -> Iterator[TokenSigner]:
    signer = TokenSigner(place, LABEL)
    yield signer
    signer.close()


async def test_it_signs_with_the_key_of_the_token(signer: TokenSigner) -> None:
    signature = await signer.sign_message(MESSAGE)
    assert verify_consensus_signature(signer.public_key, MESSAGE, signature)


async def test_many_at_once_are_signed_one_after_the_other(signer: TokenSigner) -> None:
    messages = [bytes([number]) for number in range(20)]
    signatures = await asyncio.gather(*map(signer.sign_message, messages))
    for message, signature in zip(messages, signatures, strict=True):
        assert verify_consensus_signature(signer.public_key, message, signature)


async def test_after_a_lost_session_it_logs_in_again(signer: TokenSigner) -> None:
    assert signer._token is not None
    signer._token.close()
    with pytest.raises(SignerUnavailableError):
        await signer.sign_message(MESSAGE)
    assert verify_consensus_signature(signer.public_key, MESSAGE, await signer.sign_message(MESSAGE))


async def test_a_pin_that_is_refused_is_tried_once(signer: TokenSigner, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    def refuse(_place: TokenPlace) -> Token:
        nonlocal attempts
        attempts += 1
        raise PinRefusedError("the PIN was changed")

    assert signer._token is not None
    signer._token.close()
    monkeypatch.setattr(module, "Token", refuse)
    for _ in range(4):
        with pytest.raises(SignerUnavailableError):
            await signer.sign_message(MESSAGE)
    assert attempts == 1


async def test_another_key_under_the_same_label_is_not_used(signer: TokenSigner, softhsm: SoftHsm) -> None:
    assert signer._token is not None
    signer._token.close()
    with pytest.raises(SignerUnavailableError):
        await signer.sign_message(MESSAGE)
    other = softhsm.make_token()
    with Token(other, is_writable=True) as token:
        token.generate(LABEL, KeyType.ED25519)
    signer._place = other
    with pytest.raises(SignerUnavailableError, match="another key than before"):
        await signer.sign_message(MESSAGE)


async def test_a_token_that_does_not_answer_is_unavailable(
    signer: TokenSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(module, "SIGN_SECONDS_MAX", 0.05)
    monkeypatch.setattr(signer._key, "sign", lambda message: time.sleep(0.2))
    with pytest.raises(SignerUnavailableError, match="does not answer"):
        await signer.sign_message(MESSAGE)


def test_nodes_vote_with_ed25519_alone(place: TokenPlace) -> None:
    with pytest.raises(TokenError, match="P256"):
        TokenSigner(place, "account")


def test_a_token_that_is_absent_at_the_start_is_an_error(place: TokenPlace) -> None:
    with pytest.raises(TokenUnavailableError):
        TokenSigner(replace(place, label="nowhere"), LABEL)
