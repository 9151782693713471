"""What contracts are written with: `from iov import Contract, call, u64, …`. See docs/contracts/language.md."""

from iov.contract import Contract, ContractInterface, NativeModule, call, init, migrate, payable, reentrant, view
from iov.failures import Panic, RevertError
from iov.functions import (
    ROUND_DOWN,
    ROUND_NEAREST,
    ROUND_UP,
    balance,
    context,
    ed25519_verify,
    emit,
    keccak256,
    merkle_verify,
    mul_div,
    p256_verify,
    require,
    revert,
    secp256k1_verify,
    sha256,
    transfer,
)
from iov.host import HostError
from iov.integers import range, u8, u16, u32, u64, u128
from iov.packing import pack
from iov.storage import IndexedMap, Map, Var
from iov.values import Address, Did, List, event, replace, struct

__all__ = [
    "ROUND_DOWN",
    "ROUND_NEAREST",
    "ROUND_UP",
    "Address",
    "Contract",
    "ContractInterface",
    "Did",
    "HostError",
    "IndexedMap",
    "List",
    "Map",
    "NativeModule",
    "Panic",
    "RevertError",
    "Var",
    "balance",
    "call",
    "context",
    "ed25519_verify",
    "emit",
    "event",
    "init",
    "keccak256",
    "merkle_verify",
    "migrate",
    "mul_div",
    "p256_verify",
    "pack",
    "payable",
    "range",
    "reentrant",
    "replace",
    "require",
    "revert",
    "secp256k1_verify",
    "sha256",
    "struct",
    "transfer",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "view",
]
