"""What a contract may ask of the chain: the module `iov1`.

Every function gets the frame of the contract that runs, charges for its work before it does it, and raises Rejected
when the contract must not go on. Pointers and lengths are unsigned; a register holds a byte string for the contract.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Final

from identity.address import ADDRESS_BYTES, Address
from identity.keccak import RATE_BYTES, keccak256
from identity.keys import (
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    InvalidKeyError,
    KeyType,
    PublicKey,
    check_public_key,
    verify_signature,
)
from ledger.merkle import ListProof, compute_leaf_hash, is_proof_valid
from ledger.primitives import HASH_BYTES, Grains
from ledger.reasons import CONTRACT_CODE_MAX, Reason, Rejected, Reverted
from ledger.state import end_of_prefix
from ledger.state_keys import CONTRACT_KEY_BYTES_MAX
from vm.context import Context, Moment
from vm.contracts.abi import PACKED_BYTES_MAX, MethodKind
from vm.contracts.calls import REGISTERS, Frame, Request, check_packed, limit_gas, run_call
from vm.contracts.engine import HostFunction
from vm.contracts.host_functions import HOST_FUNCTIONS as HOST_TYPES
from vm.contracts.metered_state import MeteredState
from vm.contracts.native_bridge import pack_answer, unpack_call, unpack_view
from vm.contracts.prices import (
    ACCOUNT_READ,
    EVENT,
    HOST_BYTE,
    HOST_CALL,
    KECCAK256,
    KECCAK256_BLOCK,
    KEPT_BYTE,
    LOG,
    MERKLE,
    MERKLE_LEVEL,
    MUL_DIV,
    NATIVE_BYTE,
    NATIVE_CALL,
    SCAN,
    SCAN_PAIR,
    SHA256,
    SHA256_BYTE,
    SIGNATURE,
    SIGNATURE_BYTE,
    STORAGE_READ,
    STORAGE_READ_BYTE,
    STORAGE_WRITE,
    TRANSFER,
    to_units,
)
from vm.gas import GasMeter
from vm.native.did_records import get_account_did
from vm.native.iov import Transfer, apply_transfer, get_balance
from vm.native.pauses import check_not_paused
from vm.native.role_table import check_role
from vm.native.stake import get_epoch

KEY_BYTES_MAX: Final = CONTRACT_KEY_BYTES_MAX
VALUE_BYTES_MAX: Final = 16_384  # a stored value: small enough to be read and written within a block's time
MESSAGE_BYTES_MAX: Final = 256  # of a failure or a log line, for people
NAME_BYTES_MAX: Final = 64
SCAN_PAIRS_MAX: Final = 100
PROOF_HASHES_MAX: Final = 32  # 2^32 leaves
NOT_SET: Final = 0xFFFF_FFFF
"""Length of a register that holds nothing."""
WIDE_BYTES: Final = 16
"""Of a u128, little-endian."""

CALLABLE: Final = frozenset({MethodKind.CALL, MethodKind.VIEW})


def _read(frame: Frame, pointer: int, length: int, length_max: int) -> bytes:
    """Bytes from the contract's memory, whose copying is paid."""
    if length > length_max:
        raise Rejected(Reason.HOST_LIMIT, f"at most {length_max} bytes, not {length}", maximum=length_max)
    frame.charge(HOST_CALL + HOST_BYTE * length)
    return frame.read(pointer, length)


def _read_name(frame: Frame, pointer: int, length: int) -> str:
    return _to_text(_read(frame, pointer, length, NAME_BYTES_MAX))


def _to_text(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.BAD_ARGUMENTS, "not UTF-8") from None


def _read_key(frame: Frame, pointer: int, length: int) -> bytes:
    return frame.storage_prefix + _read(frame, pointer, length, KEY_BYTES_MAX)


def _set_register(frame: Frame, register: int, value: bytes) -> None:
    if register >= REGISTERS:
        raise Rejected(Reason.BAD_POINTER, f"there are {REGISTERS} registers")
    frame.registers[register] = value


def _refuse_in_view(frame: Frame) -> None:
    if frame.is_view:
        raise Rejected(Reason.VIEW_WRITES, "a view changes nothing")


# Registers, arguments and results


def register_length(frame: Frame, register: int) -> int:
    """How long the byte string in a register is."""
    frame.charge(HOST_CALL)
    if register >= REGISTERS:
        raise Rejected(Reason.BAD_POINTER, f"there are {REGISTERS} registers")
    value = frame.registers[register]
    return NOT_SET if value is None else len(value)


def register_read(frame: Frame, register: int, pointer: int) -> None:
    """Copy a register to memory."""
    frame.charge(HOST_CALL)
    value = frame.registers[register] if register < REGISTERS else None
    if value is None:
        raise Rejected(Reason.BAD_POINTER, "the register holds nothing")
    frame.charge(HOST_BYTE * len(value))
    frame.write(pointer, value)


def give_input(frame: Frame, register: int) -> None:
    """The packed arguments."""
    frame.charge(HOST_CALL)
    _set_register(frame, register, frame.request.arguments)


def return_value(frame: Frame, pointer: int, length: int) -> None:
    """The packed result; the last one counts."""
    frame.result = _read(frame, pointer, length, PACKED_BYTES_MAX)


def revert(frame: Frame, code: int, pointer: int, length: int) -> None:
    """Fail with a code of the contract's own."""
    message = _read(frame, pointer, length, MESSAGE_BYTES_MAX)
    if not 1 <= code <= CONTRACT_CODE_MAX:
        raise Rejected(Reason.HOST_LIMIT, f"a code is 1 to {CONTRACT_CODE_MAX}")
    raise Reverted(code, message.decode(errors="replace"))


# Storage


def storage_get(frame: Frame, pointer: int, length: int, register: int) -> int:
    """1 and the value, or 0."""
    key = _read_key(frame, pointer, length)
    frame.charge(STORAGE_READ)
    value = frame.run.state.get(key)
    if value is None:
        return 0
    frame.charge(STORAGE_READ_BYTE * len(value))
    _set_register(frame, register, value)
    return 1


def storage_has(frame: Frame, pointer: int, length: int) -> int:
    """Whether something is stored there."""
    key = _read_key(frame, pointer, length)
    frame.charge(STORAGE_READ)
    return int(frame.run.state.get(key) is not None)


def storage_put(frame: Frame, pointer: int, length: int, value_pointer: int, value_length: int) -> None:
    """Store a value."""
    _refuse_in_view(frame)
    key = _read_key(frame, pointer, length)
    if value_length > VALUE_BYTES_MAX:
        raise Rejected(Reason.HOST_LIMIT, f"a value has at most {VALUE_BYTES_MAX} bytes", maximum=VALUE_BYTES_MAX)
    frame.charge(STORAGE_WRITE + KEPT_BYTE * (length + value_length))
    frame.run.state.put(key, frame.read(value_pointer, value_length))


def storage_delete(frame: Frame, pointer: int, length: int) -> int:
    """Remove a value; 1 if there was one."""
    _refuse_in_view(frame)
    key = _read_key(frame, pointer, length)
    frame.charge(STORAGE_WRITE)
    state = frame.run.state
    if state.get(key) is None:
        return 0
    state.delete(key)
    return 1


def storage_scan(
    frame: Frame, pointer: int, length: int, after_pointer: int, after_length: int, limit: int, register: int
) -> int:
    """Pairs whose keys start with a prefix and come after a key: length, key, length, value of each."""
    prefix = _read_key(frame, pointer, length)
    after = _read(frame, after_pointer, after_length, KEY_BYTES_MAX)
    if limit > SCAN_PAIRS_MAX:
        raise Rejected(Reason.HOST_LIMIT, f"at most {SCAN_PAIRS_MAX} pairs at once", maximum=SCAN_PAIRS_MAX)
    frame.charge(SCAN)
    start = max(prefix, frame.storage_prefix + after + b"\0") if after else prefix
    found = bytearray()
    count = 0
    own = len(frame.storage_prefix)
    stop = end_of_prefix(prefix)
    if count < limit and start < stop:
        for key, value in frame.run.state.scan_range(start, stop):
            frame.charge(SCAN_PAIR)
            if value is None:
                continue
            frame.charge(STORAGE_READ_BYTE * (len(key) + len(value)))
            own_key = key[own:]
            found += len(own_key).to_bytes(4, "little") + own_key + len(value).to_bytes(4, "little") + value
            count += 1
            if count == limit:
                break
    _set_register(frame, register, bytes(found))
    return count


# Where the contract is


def self_address(frame: Frame, pointer: int) -> None:
    """The contract's own address."""
    frame.charge(HOST_CALL)
    frame.write(pointer, frame.request.contract)


def caller(frame: Frame, pointer: int) -> None:
    """The account or contract that called."""
    frame.charge(HOST_CALL)
    frame.write(pointer, frame.request.caller)


def signer(frame: Frame, pointer: int) -> None:
    """The transaction's sender."""
    frame.charge(HOST_CALL)
    frame.write(pointer, frame.run.context.sender)


def signer_did(frame: Frame, pointer: int) -> int:
    """Whether the transaction's sender acts for an identity, and which."""
    frame.charge(HOST_CALL + ACCOUNT_READ)
    did = get_account_did(frame.run.state, frame.run.context.sender)
    if did is None:
        return 0
    frame.write(pointer, did)
    return 1


def value(frame: Frame) -> int:
    """Grains that came with the call; they are in the contract's account already."""
    frame.charge(HOST_CALL)
    return frame.request.value_grains


def block_height(frame: Frame) -> int:
    """Of the block that holds the transaction."""
    frame.charge(HOST_CALL)
    return frame.run.context.block.height


def block_time_ms(frame: Frame) -> int:
    """Of the block that holds the transaction."""
    frame.charge(HOST_CALL)
    return frame.run.context.block.time_ms


def epoch(frame: Frame) -> int:
    """Number of the epoch going on."""
    frame.charge(HOST_CALL + STORAGE_READ)
    return get_epoch(frame.run.state).number


def gas_left(frame: Frame) -> int:
    """In transaction gas, rounded down."""
    frame.charge(HOST_CALL)
    return frame.gas_units // to_units(1)


def chain_id(frame: Frame, register: int) -> None:
    """UTF-8."""
    frame.charge(HOST_CALL)
    _set_register(frame, register, frame.run.runtime.chain_id.encode())


def transaction_id(frame: Frame, pointer: int) -> None:
    """Of the transaction that is executed."""
    frame.charge(HOST_CALL)
    frame.write(pointer, frame.run.context.transaction_id)


# Money


def balance(frame: Frame, pointer: int) -> int:
    """Grains that an account can move."""
    address = Address(_read(frame, pointer, ADDRESS_BYTES, ADDRESS_BYTES))
    frame.charge(ACCOUNT_READ)
    return get_balance(frame.run.state, address)


def transfer(frame: Frame, pointer: int, amount_grains: int) -> None:
    """Pay from the contract's account."""
    _refuse_in_view(frame)
    recipient = Address(_read(frame, pointer, ADDRESS_BYTES, ADDRESS_BYTES))
    frame.charge(TRANSFER)
    run = frame.run
    check_not_paused(run.state, ("iov",), run.context.block.height)
    apply_transfer(run.state, _act_as(frame, 0), Transfer(recipient, Grains(amount_grains)))


def _act_as(frame: Frame, gas: int) -> Context:
    """A context in which the contract is the sender."""
    return replace(frame.run.context, sender=frame.request.contract, gas=GasMeter(gas, 0))


# Other contracts and native modules


def call(
    frame: Frame,
    pointer: int,
    method_pointer: int,
    method_length: int,
    arguments_pointer: int,
    arguments_length: int,
    value_grains: int,
    gas: int,
    register: int,
) -> int:
    """Call another contract: 0 and its result, or the number of what it failed for."""
    if value_grains:
        _refuse_in_view(frame)
    return _call(
        frame, pointer, method_pointer, method_length, arguments_pointer, arguments_length, value_grains, gas, register
    )


def view(
    frame: Frame,
    pointer: int,
    method_pointer: int,
    method_length: int,
    arguments_pointer: int,
    arguments_length: int,
    gas: int,
    register: int,
) -> int:
    """The same, and nothing may change."""
    return _call(
        frame,
        pointer,
        method_pointer,
        method_length,
        arguments_pointer,
        arguments_length,
        0,
        gas,
        register,
        is_view=True,
    )


def _call(
    frame: Frame,
    pointer: int,
    method_pointer: int,
    method_length: int,
    arguments_pointer: int,
    arguments_length: int,
    value_grains: int,
    gas: int,
    register: int,
    *,
    is_view: bool = False,
) -> int:
    contract = Address(_read(frame, pointer, ADDRESS_BYTES, ADDRESS_BYTES))
    method = _read_name(frame, method_pointer, method_length)
    arguments = _read(frame, arguments_pointer, arguments_length, PACKED_BYTES_MAX)
    is_view = is_view or frame.is_view
    request = Request(contract, method, arguments, frame.request.contract, value_grains, is_view)
    units = limit_gas(frame.gas_units, to_units(gas))
    outcome = run_call(frame.run, request, units, CALLABLE)
    frame.charge(units - outcome.units_left)
    if outcome.failure is not None:
        _trace(frame, f"{contract.hex()}.{method}: {outcome.failure.message}")
        return outcome.failure.number
    _set_register(frame, register, outcome.result)
    return 0


def call_native(
    frame: Frame,
    module_pointer: int,
    module_length: int,
    call_pointer: int,
    call_length: int,
    arguments_pointer: int,
    arguments_length: int,
    register: int,
) -> int:
    """A call of a native module with the contract as its sender: 0, or the number of what it failed for."""
    _refuse_in_view(frame)
    module = _read_name(frame, module_pointer, module_length)
    name = _read_name(frame, call_pointer, call_length)
    packed = _read(frame, arguments_pointer, arguments_length, PACKED_BYTES_MAX)
    frame.charge(NATIVE_CALL + NATIVE_BYTE * len(packed))
    run = frame.run
    state, events = run.state, run.context.events
    mark, events_before = state.get_mark(), len(events)
    context = _act_as(frame, frame.gas_units // to_units(1))
    try:
        native, arguments = unpack_call(run.runtime.natives, module, name, packed)
        check_not_paused(state, (module,), context.block.height)
        check_role(state, context, module, name)
        context.gas.charge(native.rule.compute_gas(arguments))
        native.rule.apply(state, context, arguments)
    except Rejected as failure:
        state.undo_to(mark)
        del events[events_before:]
        frame.charge(to_units(context.gas.used))
        _trace(frame, f"{module}.{name}: {failure.message}")
        return failure.number
    frame.charge(to_units(context.gas.used))
    _set_register(frame, register, b"")
    return 0


def view_native(
    frame: Frame,
    module_pointer: int,
    module_length: int,
    view_pointer: int,
    view_length: int,
    arguments_pointer: int,
    arguments_length: int,
    register: int,
) -> int:
    """A view of a native module: 0 and its packed answer, or the number of what it failed for."""
    module = _read_name(frame, module_pointer, module_length)
    name = _read_name(frame, view_pointer, view_length)
    packed = _read(frame, arguments_pointer, arguments_length, PACKED_BYTES_MAX)
    frame.charge(NATIVE_CALL + NATIVE_BYTE * len(packed))
    block = frame.run.context.block
    try:
        native, arguments = unpack_view(frame.run.runtime.natives, module, name, packed)
        state = MeteredState(frame.run.state, frame.charge)
        answer = native.rule.answer(state, Moment(block.height, block.time_ms), *arguments)
        answered = pack_answer(native, answer)
    except Rejected as failure:
        if failure.reason is Reason.OUT_OF_GAS:
            raise
        return failure.number
    frame.charge(NATIVE_BYTE * len(answered))
    _set_register(frame, register, answered)
    return 0


# Cryptography and arithmetic


def hash_sha256(frame: Frame, pointer: int, length: int, out_pointer: int) -> None:
    """32 bytes."""
    frame.charge(HOST_CALL + SHA256 + SHA256_BYTE * length)
    frame.write(out_pointer, sha256(frame.read(pointer, length)).digest())


def hash_keccak256(frame: Frame, pointer: int, length: int, out_pointer: int) -> None:
    """32 bytes."""
    frame.charge(HOST_CALL + KECCAK256 + KECCAK256_BLOCK * (length // RATE_BYTES + 1))
    frame.write(out_pointer, keccak256(frame.read(pointer, length)))


def _build_verify(key_type: KeyType) -> Callable[[Frame, int, int, int, int], int]:
    def verify(frame: Frame, key_pointer: int, pointer: int, length: int, signature_pointer: int) -> int:
        """Whether the key is acceptable and has signed the message."""
        frame.charge(HOST_CALL + SIGNATURE[key_type] + (SIGNATURE_BYTE + HOST_BYTE) * length)
        key = PublicKey(key_type, frame.read(key_pointer, PUBLIC_KEY_BYTES[key_type]))
        message, signature = frame.read(pointer, length), frame.read(signature_pointer, SIGNATURE_BYTES)
        with suppress(InvalidKeyError):
            check_public_key(key)
            return int(verify_signature(key, message, signature))
        return 0

    return verify


def merkle_verify(
    frame: Frame,
    root_pointer: int,
    leaf_pointer: int,
    leaf_length: int,
    index: int,
    count: int,
    proof_pointer: int,
    proof_length: int,
) -> int:
    """Whether a leaf stands at an index of a list of `count` leaves with this root (RFC 6962)."""
    hashes, rest = divmod(proof_length, HASH_BYTES)
    frame.charge(HOST_CALL + MERKLE + SHA256_BYTE * leaf_length + MERKLE_LEVEL * hashes)
    root = frame.read(root_pointer, HASH_BYTES)
    leaf = frame.read(leaf_pointer, leaf_length)
    proof = frame.read(proof_pointer, proof_length)
    if rest or hashes > PROOF_HASHES_MAX or count > 2**PROOF_HASHES_MAX:
        return 0
    path = tuple(proof[start : start + HASH_BYTES] for start in range(0, proof_length, HASH_BYTES))
    return int(is_proof_valid(ListProof(index, count, path), compute_leaf_hash(leaf), root))


def mul_div(frame: Frame, a_pointer: int, b_pointer: int, c_pointer: int, rounding: int, out_pointer: int) -> None:
    """a * b / c of u128 with a product of 256 bits; rounded down (0), up (1) or to the nearest, half up (2)."""
    frame.charge(HOST_CALL + MUL_DIV)
    a, b, c = (int.from_bytes(frame.read(each, WIDE_BYTES), "little") for each in (a_pointer, b_pointer, c_pointer))
    if c == 0 or rounding > 2:
        raise Rejected(Reason.ARITHMETIC, "division by zero, or no such rounding")
    added = (0, c - 1, c // 2 + c % 2)[rounding]
    quotient = (a * b + added) // c
    if quotient >> 8 * WIDE_BYTES:
        raise Rejected(Reason.ARITHMETIC, "the quotient does not fit 128 bits")
    frame.write(out_pointer, quotient.to_bytes(WIDE_BYTES, "little"))


# What others see


def emit(frame: Frame, name_pointer: int, name_length: int, pointer: int, length: int) -> None:
    """Announce an event of the interface, its fields packed."""
    _refuse_in_view(frame)
    name = _read_name(frame, name_pointer, name_length)
    data = _read(frame, pointer, length, PACKED_BYTES_MAX)
    frame.charge(EVENT + KEPT_BYTE * (name_length + length))
    kinds = frame.types.events.get(name)
    if kinds is None:
        raise Rejected(Reason.EVENT_UNDECLARED, "the interface has no event of this name")
    check_packed(frame, kinds, data, Reason.EVENT_UNDECLARED)
    frame.run.context.emit("contracts", "Emitted", frame.request.contract, name, data)


def log(frame: Frame, pointer: int, length: int) -> None:
    """Tell something to whoever simulates the call."""
    text = _read(frame, pointer, length, MESSAGE_BYTES_MAX)
    frame.charge(LOG)
    _trace(frame, text.decode(errors="replace"))


def _trace(frame: Frame, text: str) -> None:
    trace = frame.run.context.block.trace
    if trace is not None:
        trace.append(text)


_FUNCTIONS: Final[Mapping[str, Callable[..., int | None]]] = {
    "register_length": register_length,
    "register_read": register_read,
    "input": give_input,
    "return_value": return_value,
    "revert": revert,
    "storage_get": storage_get,
    "storage_has": storage_has,
    "storage_put": storage_put,
    "storage_delete": storage_delete,
    "storage_scan": storage_scan,
    "self_address": self_address,
    "caller": caller,
    "signer": signer,
    "signer_did": signer_did,
    "value": value,
    "block_height": block_height,
    "block_time_ms": block_time_ms,
    "epoch": epoch,
    "gas_left": gas_left,
    "chain_id": chain_id,
    "transaction_id": transaction_id,
    "balance": balance,
    "transfer": transfer,
    "call": call,
    "view": view,
    "call_native": call_native,
    "view_native": view_native,
    "sha256": hash_sha256,
    "keccak256": hash_keccak256,
    "ed25519_verify": _build_verify(KeyType.ED25519),
    "secp256k1_verify": _build_verify(KeyType.SECP256K1),
    "p256_verify": _build_verify(KeyType.P256),
    "merkle_verify": merkle_verify,
    "mul_div": mul_div,
    "emit": emit,
    "log": log,
}

assert set(_FUNCTIONS) == set(HOST_TYPES), "the gate lets exactly these imports pass"

HOST_FUNCTIONS: Final = {name: HostFunction(HOST_TYPES[name], run) for name, run in _FUNCTIONS.items()}
"""All imports a contract may have, with the types that the gate checks."""
