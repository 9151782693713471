// The counter of ../counter.py in AssemblyScript. Its interface is ../counter.json, asconfig.json has the flags.
//
// All memory is static: `memory.data(n)` reserves n bytes at compile time. Nothing is allocated, so neither a runtime
// nor `memory.grow` gets into the module.

@external("iov1", "input")
declare function input(register: u32): void;
@external("iov1", "register_read")
declare function registerRead(register: u32, out: usize): void;
@external("iov1", "return_value")
declare function returnValue(pointer: usize, length: u32): void;
@external("iov1", "revert")
declare function revert(code: u32, message: usize, length: u32): void;
@external("iov1", "storage_get")
declare function storageGet(key: usize, length: u32, register: u32): u32;
@external("iov1", "storage_put")
declare function storagePut(key: usize, keyLength: u32, value: usize, valueLength: u32): void;
@external("iov1", "caller")
declare function caller(out: usize): void;
@external("iov1", "emit")
declare function emitEvent(name: usize, nameLength: u32, fields: usize, length: u32): void;

const AMOUNT_ZERO: u32 = 1;
const PANIC_OVERFLOW: u32 = 65001; // as compiled Python fails

const ADDRESS_BYTES: u32 = 20;
const NUMBER_BYTES: u32 = 8;
const EVENT_BYTES: u32 = 36; // an address and two numbers
const NO_MESSAGE: usize = 0;

const ARGUMENTS_REGISTER: u32 = 0;
const VALUE_REGISTER: u32 = 1;

// The first byte of a key is the item's position in the interface.
const counted = memory.data<u8>([0]);
const counts = memory.data<u8>([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
const added = memory.data<u8>([0x41, 0x64, 0x64, 0x65, 0x64]); // "Added"
const argumentsPlace = memory.data(20);
const number = memory.data(8);
const event = memory.data(36);

const COUNTED_BYTES: u32 = 1;
const COUNTS_BYTES: u32 = 1 + ADDRESS_BYTES;
const ADDED_BYTES: u32 = 5;

export function create(): void {
  put(counted, COUNTED_BYTES, 0);
}

export function add(): void {
  readArguments();
  const amount = load<u64>(argumentsPlace);
  if (amount == 0) revert(AMOUNT_ZERO, NO_MESSAGE, 0);
  const sum = addChecked(get(counted, COUNTED_BYTES), amount);
  put(counted, COUNTED_BYTES, sum);
  caller(counts + 1);
  put(counts, COUNTS_BYTES, addChecked(get(counts, COUNTS_BYTES), amount));
  caller(event);
  store<u64>(event + ADDRESS_BYTES, amount);
  store<u64>(event + ADDRESS_BYTES + NUMBER_BYTES, sum);
  emitEvent(added, ADDED_BYTES, event, EVENT_BYTES);
  answer(sum);
}

export function total(): void {
  answer(get(counted, COUNTED_BYTES));
}

export function count_of(): void {
  readArguments();
  for (let i: u32 = 0; i < ADDRESS_BYTES; i++) store<u8>(counts + 1 + i, load<u8>(argumentsPlace + i));
  answer(get(counts, COUNTS_BYTES));
}

function readArguments(): void {
  input(ARGUMENTS_REGISTER);
  registerRead(ARGUMENTS_REGISTER, argumentsPlace);
}

// The stored number, 0 if there is none.
function get(key: usize, length: u32): u64 {
  if (!storageGet(key, length, VALUE_REGISTER)) return 0;
  registerRead(VALUE_REGISTER, number);
  return load<u64>(number);
}

function put(key: usize, length: u32, value: u64): void {
  store<u64>(number, value);
  storagePut(key, length, number, NUMBER_BYTES);
}

function addChecked(a: u64, b: u64): u64 {
  const sum = a + b;
  if (sum < a) revert(PANIC_OVERFLOW, NO_MESSAGE, 0);
  return sum;
}

function answer(value: u64): void {
  store<u64>(number, value);
  returnValue(number, NUMBER_BYTES);
}
