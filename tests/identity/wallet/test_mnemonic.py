from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.wallet.bip32 import compute_master_key, format_extended_key
from identity.wallet.mnemonic import (
    ENTROPY_BYTES_ALLOWED,
    PASSPHRASE_CHARACTERS_MAX,
    WORD_COUNTS,
    WORDS,
    MnemonicError,
    MnemonicReason,
    compute_seed,
    decode_mnemonic,
    encode_mnemonic,
)
from tests.identity.wallet.vectors import load_vectors

VECTORS = load_vectors("bip39_english")["english"]
JAPANESE = load_vectors("bip39_japanese")
MNEMONIC = VECTORS[1][1]


def refuse(text: str) -> tuple[MnemonicReason, int | None, str]:
    with pytest.raises(MnemonicError) as refusal:
        decode_mnemonic(text)
    return refusal.value.reason, refusal.value.position, str(refusal.value)


def test_the_word_list_is_the_official_one() -> None:
    digest = sha256(("\n".join(WORDS) + "\n").encode()).hexdigest()
    assert digest == "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"


@pytest.mark.parametrize(("entropy", "mnemonic", "seed", "extended_key"), VECTORS)
def test_bip_39(entropy: str, mnemonic: str, seed: str, extended_key: str) -> None:
    assert encode_mnemonic(bytes.fromhex(entropy)) == mnemonic
    assert decode_mnemonic(mnemonic).hex() == entropy
    assert compute_seed(mnemonic, "TREZOR").hex() == seed
    assert format_extended_key(compute_master_key(bytes.fromhex(seed))) == extended_key


@pytest.mark.parametrize("case", JAPANESE["vectors"])
def test_words_and_passphrase_are_normalised(case: dict[str, Any]) -> None:
    assert compute_seed(case["mnemonic"], JAPANESE["passphrase"]).hex() == case["seed"]


@given(st.sampled_from(ENTROPY_BYTES_ALLOWED).flatmap(lambda size: st.binary(min_size=size, max_size=size)))
def test_words_lead_back_to_their_entropy(entropy: bytes) -> None:
    mnemonic = encode_mnemonic(entropy)
    assert len(mnemonic.split()) in WORD_COUNTS
    assert decode_mnemonic(mnemonic) == entropy


def test_case_and_white_space_do_not_matter() -> None:
    assert decode_mnemonic(f"\n {MNEMONIC.upper()}\t".replace(" ", "  ")) == decode_mnemonic(MNEMONIC)


def test_an_unknown_word_is_named_by_its_place_and_its_neighbour() -> None:
    assert refuse(MNEMONIC.replace("thank", "thnak")) == (
        MnemonicReason.UNKNOWN_WORD,
        3,
        "word 3 is not on the list of BIP-39; did you mean thank?",
    )


def test_a_word_unlike_any_other_is_not_guessed() -> None:
    expected = (MnemonicReason.UNKNOWN_WORD, 1, "word 1 is not on the list of BIP-39")
    assert refuse(MNEMONIC.replace("legal", "0123456789", 1)) == expected


@pytest.mark.parametrize("count", [0, 1, 11, 13, 23, 25])
def test_only_five_lengths_are_mnemonics(count: int) -> None:
    message = f"a mnemonic has 12, 15, 18, 21 or 24 words, not {count}"
    assert refuse(" ".join(["abandon"] * count)) == (MnemonicReason.WRONG_COUNT, None, message)


def test_a_text_of_any_length_is_refused_at_once() -> None:
    reason, _, message = refuse("abandon " * 10**6)
    assert (reason, "far longer" in message) == (MnemonicReason.WRONG_COUNT, True)


@pytest.mark.parametrize("text", [MNEMONIC.replace("yellow", "zoo"), " ".join(reversed(MNEMONIC.split()))])
def test_a_wrong_or_moved_word_breaks_the_checksum(text: str) -> None:
    reason, position, message = refuse(text)
    assert (reason, position) == (MnemonicReason.BAD_CHECKSUM, None)
    assert not set(message.replace(",", "").split()) & set(text.split())


@pytest.mark.parametrize("passphrase", ["\ud800", "x" * (PASSPHRASE_CHARACTERS_MAX + 1)])
def test_a_passphrase_that_is_no_text_is_refused(passphrase: str) -> None:
    with pytest.raises(MnemonicError) as refusal:
        compute_seed(MNEMONIC, passphrase)
    assert refusal.value.reason is MnemonicReason.BAD_PASSPHRASE


@given(st.text(max_size=300))
def test_no_text_is_anything_but_a_mnemonic_or_refused(text: str) -> None:
    try:
        entropy = decode_mnemonic(text)
    except MnemonicError:
        return
    assert len(entropy) in ENTROPY_BYTES_ALLOWED
