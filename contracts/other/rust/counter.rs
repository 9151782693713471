// The counter of ../counter.py in Rust, without the standard library. Its interface is ../counter.json; the flags are in
// docs/contracts/other-toolchains.md.

#![no_std]
#![no_main]

#[link(wasm_import_module = "iov1")]
extern "C" {
    fn input(register: u32);
    fn register_read(register: u32, out: *mut u8);
    fn return_value(pointer: *const u8, length: u32);
    fn revert(code: u32, message: *const u8, length: u32) -> !;
    fn storage_get(key: *const u8, length: u32, register: u32) -> u32;
    fn storage_put(key: *const u8, key_length: u32, value: *const u8, value_length: u32);
    fn caller(out: *mut u8);
    fn emit(name: *const u8, name_length: u32, fields: *const u8, length: u32);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

const COUNTED: [u8; 1] = [0];

fn get(key: &[u8]) -> u64 {
    let mut number = [0u8; 8];
    unsafe {
        if storage_get(key.as_ptr(), key.len() as u32, 1) == 0 {
            return 0;
        }
        register_read(1, number.as_mut_ptr());
    }
    u64::from_le_bytes(number)
}

fn put(key: &[u8], value: u64) {
    let number = value.to_le_bytes();
    unsafe { storage_put(key.as_ptr(), key.len() as u32, number.as_ptr(), 8) }
}

fn answer(value: u64) {
    let number = value.to_le_bytes();
    unsafe { return_value(number.as_ptr(), 8) }
}

fn add_checked(a: u64, b: u64) -> u64 {
    match a.checked_add(b) {
        Some(sum) => sum,
        None => unsafe { revert(65001, core::ptr::null(), 0) },
    }
}

fn counts_key() -> [u8; 21] {
    let mut key = [1u8; 21];
    unsafe { caller(key.as_mut_ptr().add(1)) }
    key
}

#[no_mangle]
pub extern "C" fn create() {
    put(&COUNTED, 0);
}

#[no_mangle]
pub extern "C" fn add() {
    let mut arguments = [0u8; 8];
    unsafe {
        input(0);
        register_read(0, arguments.as_mut_ptr());
    }
    let amount = u64::from_le_bytes(arguments);
    if amount == 0 {
        unsafe { revert(1, core::ptr::null(), 0) }
    }
    let total = add_checked(get(&COUNTED), amount);
    put(&COUNTED, total);
    let key = counts_key();
    put(&key, add_checked(get(&key), amount));
    let mut event = [0u8; 36];
    event[..20].copy_from_slice(&key[1..]);
    event[20..28].copy_from_slice(&amount.to_le_bytes());
    event[28..].copy_from_slice(&total.to_le_bytes());
    unsafe { emit(b"Added".as_ptr(), 5, event.as_ptr(), 36) }
    answer(total);
}

#[no_mangle]
pub extern "C" fn total() {
    answer(get(&COUNTED));
}

#[no_mangle]
pub extern "C" fn count_of() {
    let mut key = [1u8; 21];
    unsafe {
        input(0);
        register_read(0, key.as_mut_ptr().add(1));
    }
    answer(get(&key));
}
