from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.safety import (
    NOTHING_SIGNED,
    SAFETY_BYTES_MAX,
    SIGNED_BYTES_MAX,
    AlreadySigned,
    MaySign,
    Refused,
    SafetyState,
    SignedMessage,
    SignRequest,
    SignStep,
    check_may_sign,
    decode_safety,
    encode_safety,
    record_signature,
)
from ledger.codec import DecodeError
from ledger.primitives import BlockHash, Height, Round, Signature

HASH = BlockHash(b"\x05" * 32)
SIGNATURE = Signature(b"\x06" * 64)


def request(
    height: int,
    round_number: int,
    step: SignStep,
    message: bytes = b"m",
    lock: tuple[int, BlockHash | None] = (-1, None),
) -> SignRequest:
    return SignRequest(Height(height), Round(round_number), step, HASH, message, lock[0], lock[1])


def allow(state: SafetyState, wanted: SignRequest) -> SafetyState:
    answer = check_may_sign(state, wanted)
    assert isinstance(answer, MaySign), answer
    return answer.state


STATE = allow(NOTHING_SIGNED, request(5, 2, SignStep.PREVOTE))


def test_a_later_position_may_be_signed_and_is_recorded() -> None:
    last = SignedMessage(Round(2), HASH, b"m", None)
    assert SafetyState(Height(5), Round(2), SignStep.PREVOTE, -1, None, None, last, None) == STATE
    for later in (
        request(5, 2, SignStep.PRECOMMIT),
        request(5, 3, SignStep.PROPOSAL),
        request(6, 0, SignStep.PREVOTE),
    ):
        state = allow(STATE, later)
        assert (state.height, state.round, state.step) == (later.height, later.round, later.step)


def test_an_earlier_position_is_refused() -> None:
    for earlier in (
        request(5, 2, SignStep.PROPOSAL),
        request(5, 1, SignStep.PRECOMMIT),
        request(4, 9, SignStep.PRECOMMIT),
    ):
        assert isinstance(check_may_sign(STATE, earlier), Refused)


def test_a_second_message_for_the_same_position_is_refused() -> None:
    assert isinstance(check_may_sign(STATE, request(5, 2, SignStep.PREVOTE, b"other")), Refused)


def test_the_same_message_may_be_signed_again_without_a_new_state() -> None:
    assert check_may_sign(STATE, request(5, 2, SignStep.PREVOTE)) == MaySign(STATE)


def test_the_same_message_needs_no_signer_once_the_signature_is_known() -> None:
    signed = record_signature(STATE, SignStep.PREVOTE, Height(5), b"m", SIGNATURE)
    assert check_may_sign(signed, request(5, 2, SignStep.PREVOTE)) == AlreadySigned(SIGNATURE)
    moved = allow(signed, request(5, 2, SignStep.PRECOMMIT, b"c"))
    assert check_may_sign(moved, request(5, 2, SignStep.PREVOTE)) == AlreadySigned(SIGNATURE)


def test_a_signature_of_something_else_is_not_recorded() -> None:
    assert record_signature(STATE, SignStep.PREVOTE, Height(5), b"other", SIGNATURE) == STATE
    assert record_signature(STATE, SignStep.PREVOTE, Height(4), b"m", SIGNATURE) == STATE
    assert record_signature(STATE, SignStep.PRECOMMIT, Height(5), b"m", SIGNATURE) == STATE


def test_nothing_can_be_signed_for_no_step() -> None:
    assert isinstance(check_may_sign(NOTHING_SIGNED, request(9, 0, SignStep.NOTHING)), Refused)


def test_the_lock_is_kept_through_the_height_and_dropped_after_it() -> None:
    locked = allow(STATE, request(5, 2, SignStep.PRECOMMIT, b"c", (2, HASH)))
    assert (locked.locked_round, locked.locked_hash) == (2, HASH)
    later = allow(locked, request(5, 3, SignStep.PREVOTE, b"d", (-1, None)))
    assert (later.locked_round, later.locked_hash) == (2, HASH), "a core that forgot its lock does not undo it"
    next_height = allow(later, request(6, 0, SignStep.PREVOTE, b"e"))
    assert (next_height.locked_round, next_height.locked_hash) == (-1, None)
    assert next_height.precommit is None


steps = st.sampled_from([SignStep.PROPOSAL, SignStep.PREVOTE, SignStep.PRECOMMIT])
requests = st.builds(request, st.integers(1, 3), st.integers(0, 3), steps, st.sampled_from([b"a", b"b"]))


@given(st.lists(requests, max_size=40), st.data())
def test_whatever_is_asked_no_position_is_signed_twice(asked: list[SignRequest], data: st.DataObject) -> None:
    state = NOTHING_SIGNED
    signed: dict[tuple[int, int, int], bytes] = {}
    for wanted in asked:
        position = (wanted.height, wanted.round, wanted.step)
        answer = check_may_sign(state, wanted)
        if isinstance(answer, MaySign):
            state = decode_safety(encode_safety(answer.state))
            assert signed.setdefault(position, wanted.message) == wanted.message
            if data.draw(st.booleans()):
                state = record_signature(state, wanted.step, wanted.height, wanted.message, SIGNATURE)
        elif isinstance(answer, AlreadySigned):
            assert signed[position] == wanted.message


def test_the_state_comes_back_from_its_bytes() -> None:
    assert decode_safety(encode_safety(STATE)) == STATE
    assert decode_safety(encode_safety(NOTHING_SIGNED)) == NOTHING_SIGNED


def test_the_largest_state_fits_its_limit() -> None:
    message = SignedMessage(Round(2**31 - 1), HASH, b"\xff" * SIGNED_BYTES_MAX, SIGNATURE)
    state = SafetyState(
        Height(2**53 - 1), Round(2**31 - 1), SignStep.PRECOMMIT, 2**31 - 1, HASH, message, message, message
    )
    assert len(encode_safety(state)) <= SAFETY_BYTES_MAX
    assert decode_safety(encode_safety(state)) == state


def test_every_changed_byte_is_noticed() -> None:
    encoded = encode_safety(STATE)
    for position in range(len(encoded)):
        with pytest.raises(DecodeError):
            decode_safety(encoded[:position] + bytes([encoded[position] ^ 1]) + encoded[position + 1 :])


@pytest.mark.parametrize(
    "encoded", [b"", b"CLSAFETY", encode_safety(STATE)[:-1], encode_safety(STATE) + b"\0", bytes(5000)]
)
def test_other_bytes_are_refused(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_safety(encoded)


def test_step_numbers_never_change() -> None:
    assert [(step.name, step.value) for step in SignStep] == [
        ("NOTHING", 0),
        ("PROPOSAL", 1),
        ("PREVOTE", 2),
        ("PRECOMMIT", 3),
    ]
    assert replace(STATE, step=SignStep.PROPOSAL).get_last(SignStep.NOTHING) is None
