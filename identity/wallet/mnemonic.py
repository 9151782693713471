"""BIP-39: a secret as words that people can write down, and the seed that all accounts come from.

Entropy of 16, 20, 24, 28 or 32 bytes is followed by a checksum, one bit for 32, and cut into groups of 11 bits, each
the number of a word: 12 to 24 words. The seed is PBKDF2-HMAC-SHA512 of the words, salted with an optional passphrase.
The words are the official English list, the only one that all wallets know.
"""

import pkgutil
import unicodedata
from difflib import get_close_matches
from enum import Enum
from hashlib import pbkdf2_hmac, sha256
from typing import Final, NoReturn

from identity.wallet.errors import WalletError

ENTROPY_BYTES_ALLOWED: Final = (16, 20, 24, 28, 32)
WORD_COUNTS: Final = tuple(entropy_bytes * 3 // 4 for entropy_bytes in ENTROPY_BYTES_ALLOWED)
SEED_BYTES: Final = 64
WORDS_IN_LIST: Final = 2048
MNEMONIC_CHARACTERS_MAX: Final = 1024  # 24 words of 8 letters have 215; more is no mnemonic and not worth splitting
PASSPHRASE_CHARACTERS_MAX: Final = 1024
_WORD_BITS: Final = 11
_SEED_ROUNDS: Final = 2048


def _load_words() -> tuple[str, ...]:
    content = pkgutil.get_data("identity.wallet", "english.txt")
    assert content is not None, "the word list lies beside this module"
    words = tuple(content.decode("ascii").split())
    assert len(words) == WORDS_IN_LIST
    return words


WORDS: Final = _load_words()
_WORD_NUMBERS: Final = {word: number for number, word in enumerate(WORDS)}


class MnemonicReason(Enum):
    """Why words are no mnemonic."""

    WRONG_COUNT = "wrong_count"
    UNKNOWN_WORD = "unknown_word"
    BAD_CHECKSUM = "bad_checksum"
    """All words are on the list, but one is not the right one, or two have changed places."""
    BAD_PASSPHRASE = "bad_passphrase"  # noqa: S105  # a reason, not a passphrase


class MnemonicError(WalletError):
    """Words that are no mnemonic. The message names a position, never a word of the mnemonic but the nearest one."""

    def __init__(self, reason: MnemonicReason, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.position = position
        """Of the first unknown word, from 1."""


def encode_mnemonic(entropy: bytes) -> str:
    """The words of this entropy, with single spaces."""
    assert len(entropy) in ENTROPY_BYTES_ALLOWED
    checksum_bits = len(entropy) // 4
    number = int.from_bytes(entropy, "big") << checksum_bits | _compute_checksum(entropy)
    count = (len(entropy) * 8 + checksum_bits) // _WORD_BITS
    numbers = [number >> _WORD_BITS * index & (WORDS_IN_LIST - 1) for index in reversed(range(count))]
    return " ".join(WORDS[each] for each in numbers)


def decode_mnemonic(text: str) -> bytes:
    """The entropy of words in any case, with any white space between them; raises MnemonicError."""
    if len(text) > MNEMONIC_CHARACTERS_MAX:
        _fail(MnemonicReason.WRONG_COUNT, f"a mnemonic has {_list_counts()} words; this is far longer")
    words = unicodedata.normalize("NFKD", text).lower().split()
    for position, word in enumerate(words, start=1):
        if word not in _WORD_NUMBERS:
            near = get_close_matches(word, WORDS, 1)
            advice = f"; did you mean {near[0]}?" if near else ""
            _fail(MnemonicReason.UNKNOWN_WORD, f"word {position} is not on the list of BIP-39{advice}", position)
    if len(words) not in WORD_COUNTS:
        _fail(MnemonicReason.WRONG_COUNT, f"a mnemonic has {_list_counts()} words, not {len(words)}")
    number = 0
    for word in words:
        number = number << _WORD_BITS | _WORD_NUMBERS[word]
    checksum_bits = len(words) // 3
    entropy = (number >> checksum_bits).to_bytes(checksum_bits * 4, "big")
    if number & ((1 << checksum_bits) - 1) != _compute_checksum(entropy):
        _fail(
            MnemonicReason.BAD_CHECKSUM,
            "the words are on the list, but their checksum does not match: one is wrong, or two have changed places",
        )
    return entropy


def compute_seed(mnemonic: str, passphrase: str = "") -> bytes:
    """The 64 bytes that all accounts come from; raises MnemonicError for a passphrase that is no text."""
    if len(passphrase) > PASSPHRASE_CHARACTERS_MAX:
        _fail(MnemonicReason.BAD_PASSPHRASE, f"the passphrase has more than {PASSPHRASE_CHARACTERS_MAX} characters")
    try:
        salt = ("mnemonic" + unicodedata.normalize("NFKD", passphrase)).encode()
    except UnicodeEncodeError:
        _fail(MnemonicReason.BAD_PASSPHRASE, "the passphrase holds half of a character pair, which is no text")
    words = unicodedata.normalize("NFKD", mnemonic).encode()
    return pbkdf2_hmac("sha512", words, salt, _SEED_ROUNDS, SEED_BYTES)


def _compute_checksum(entropy: bytes) -> int:
    """The first bits of SHA-256, one for 32 bits of entropy."""
    return sha256(entropy).digest()[0] >> 8 - len(entropy) // 4


def _list_counts() -> str:
    return ", ".join(str(count) for count in WORD_COUNTS[:-1]) + f" or {WORD_COUNTS[-1]}"


def _fail(reason: MnemonicReason, message: str, position: int | None = None) -> NoReturn:
    # `from None`: what went wrong underneath could quote the words
    raise MnemonicError(reason, message, position) from None
