"""The functions a contract may import from the chain: their names and types. What they do is in `host.py`.

Pointers and lengths are unsigned i32; `register` is the number of a byte string that the host keeps.
"""

from typing import Final

from vm.contracts.module import FunctionType
from vm.contracts.opcodes import I32, I64

HOST_MODULE: Final = "iov1"
_TYPES: Final = {"i": I32, "I": I64}


def _parse(text: str) -> FunctionType:
    """A type written as `iiI>i`: i32, i32, i64 give an i32."""
    parameters, results = text.split(">")
    return FunctionType(bytes(_TYPES[each] for each in parameters), bytes(_TYPES[each] for each in results))


HOST_FUNCTIONS: Final[dict[str, FunctionType]] = {
    name: _parse(text)
    for name, text in (
        ("register_length", "i>i"),  # register
        ("register_read", "ii>"),  # register, out
        ("input", "i>"),  # register
        ("return_value", "ii>"),  # pointer, length
        ("revert", "iii>"),  # code, message, length
        ("storage_get", "iii>i"),  # key, length, register
        ("storage_has", "ii>i"),  # key, length
        ("storage_put", "iiii>"),  # key, length, value, length
        ("storage_delete", "ii>i"),  # key, length
        ("storage_scan", "iiiiii>i"),  # prefix, length, after, length, limit, register
        ("self_address", "i>"),  # out
        ("caller", "i>"),  # out
        ("signer", "i>"),  # out
        ("signer_did", "i>i"),  # out
        ("value", ">I"),
        ("block_height", ">I"),
        ("block_time_ms", ">I"),
        ("epoch", ">I"),
        ("gas_left", ">I"),
        ("chain_id", "i>"),  # register
        ("transaction_id", "i>"),  # out
        ("balance", "i>I"),  # address
        ("transfer", "iI>"),  # address, amount
        ("call", "iiiiiIIi>i"),  # address, method, length, arguments, length, value, gas, register
        ("view", "iiiiiIi>i"),  # address, method, length, arguments, length, gas, register
        ("call_native", "iiiiiii>i"),  # module, length, call, length, arguments, length, register
        ("view_native", "iiiiiii>i"),
        ("sha256", "iii>"),  # pointer, length, out
        ("keccak256", "iii>"),
        ("ed25519_verify", "iiii>i"),  # key, message, length, signature
        ("secp256k1_verify", "iiii>i"),
        ("p256_verify", "iiii>i"),
        ("merkle_verify", "iiiIIii>i"),  # root, leaf, length, index, count, proof, length
        ("mul_div", "iiiii>"),  # a, b, c, rounding, out
        ("emit", "iiii>"),  # name, length, data, length
        ("log", "ii>"),  # pointer, length
    )
}
