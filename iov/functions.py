"""What a contract may ask for while it runs, and the ways to fail."""

from hashlib import sha256 as hash_sha256
from typing import Final, NoReturn

from identity.keccak import keccak256 as hash_keccak256
from identity.keys import KeyType, PublicKey, verify_signature
from iov.failures import CODE_MAX, MESSAGE_BYTES_MAX, Panic, RevertError
from iov.host import HostError, get_frame
from iov.integers import u64, u128
from iov.packing import convert_event
from iov.values import EVENT_MARK, Address, Did, check_value
from ledger.merkle import ListProof, compute_leaf_hash, is_proof_valid

ROUND_DOWN: Final = 0
ROUND_UP: Final = 1
ROUND_NEAREST: Final = 2  # halves go up


class _Context:
    """The running call and its block."""

    @property
    def address(self) -> Address:
        """This contract."""
        return get_frame().address

    @property
    def caller(self) -> Address:
        """The account or contract that called."""
        return get_frame().caller

    @property
    def signer(self) -> Address:
        """The transaction's sender."""
        return get_frame().signer

    @property
    def signer_did(self) -> Did | None:
        """The identity of the signer, if it has one."""
        return get_frame().signer_did

    @property
    def value(self) -> u64:
        """Grains that came with this call; the contract has them already."""
        return get_frame().value

    @property
    def height(self) -> u64:
        """Number of the block."""
        return get_frame().height

    @property
    def time_ms(self) -> u64:
        """Time of the block in milliseconds since 1970."""
        return get_frame().time_ms

    @property
    def epoch(self) -> u64:
        """Number of the epoch."""
        return get_frame().epoch

    @property
    def gas_left(self) -> u64:
        """Gas the transaction may still use."""
        return get_frame().gas_left

    @property
    def chain_id(self) -> str:
        """Name of the chain."""
        return get_frame().chain_id

    @property
    def transaction_id(self) -> bytes:
        """The 32 bytes that name the transaction."""
        return get_frame().transaction_id


context: Final = _Context()


def require(condition: bool, code: int, message: str = "") -> None:
    """Fail with the contract's own code unless the condition holds."""
    if type(condition) is not bool:
        raise TypeError("require takes a bool")
    if not condition:
        revert(code, message)


def revert(code: int, message: str = "") -> NoReturn:
    """Fail with the contract's own code, 1 to 64,999; the message is shown in simulations only."""
    if not 1 <= code <= CODE_MAX or len(message.encode()) > MESSAGE_BYTES_MAX:
        raise TypeError(f"codes are 1 to {CODE_MAX}, messages have at most {MESSAGE_BYTES_MAX} bytes")
    raise RevertError(code, message)


def emit(event: object) -> None:
    """Tell the world what happened."""
    if not getattr(event, EVENT_MARK, False):
        raise TypeError(f"{type(event).__name__} is not an @event class")
    get_frame().emit(convert_event(event))


def balance(address: Address) -> u64:
    """Grains of an account."""
    return get_frame().balance(check_value(Address, address))


def transfer(recipient: Address, amount_grains: u64) -> None:
    """Pay from the contract's account; the call fails when it cannot."""
    get_frame().transfer(check_value(Address, recipient), check_value(u64, amount_grains))


def mul_div(a: u128, b: u128, c: u128, rounding: int = ROUND_DOWN) -> u128:
    """a * b // c without overflow in between; `rounding` is one of ROUND_DOWN, ROUND_UP, ROUND_NEAREST."""
    product, divisor = int(check_value(u128, a)) * int(check_value(u128, b)), int(check_value(u128, c))
    if divisor == 0:
        raise HostError("ARITHMETIC", "division by zero")
    if rounding == ROUND_NEAREST:
        result = (2 * product + divisor) // (2 * divisor)
    else:
        result = (product + {ROUND_DOWN: 0, ROUND_UP: divisor - 1}[rounding]) // divisor
    if result >> u128.BITS:
        raise HostError("ARITHMETIC", f"{result} is not a u128")
    return u128(result)


def sha256(data: bytes) -> bytes:
    """The 32 bytes of SHA-256."""
    return hash_sha256(data).digest()


def keccak256(data: bytes) -> bytes:
    """The 32 bytes of Keccak-256, as Ethereum uses it."""
    return hash_keccak256(data)


def ed25519_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of 64 bytes is that of the key of 32 bytes; other lengths fail with Panic.LIMIT."""
    return _verify(KeyType.ED25519, 32, key, message, signature)


def secp256k1_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """The same for a compressed secp256k1 key of 33 bytes."""
    return _verify(KeyType.SECP256K1, 33, key, message, signature)


def p256_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """The same for a compressed P-256 key of 33 bytes."""
    return _verify(KeyType.P256, 33, key, message, signature)


def merkle_verify(root: bytes, leaf: bytes, index: u64, count: u64, proof: bytes) -> bool:
    """Whether the leaf stands at the index of the list with this root (RFC 6962); the proof is a row of hashes."""
    if len(root) != 32:
        raise RevertError(Panic.LIMIT, "a root has 32 bytes")
    if len(proof) % 32:
        return False
    path = tuple(proof[start : start + 32] for start in range(0, len(proof), 32))
    return is_proof_valid(ListProof(int(index), int(count), path), compute_leaf_hash(leaf), root)


def _verify(key_type: KeyType, key_bytes: int, key: bytes, message: bytes, signature: bytes) -> bool:
    if len(key) != key_bytes or len(signature) != 64:
        raise RevertError(Panic.LIMIT, f"a key has {key_bytes} bytes, a signature 64")
    return verify_signature(PublicKey(key_type, key), message, signature)
