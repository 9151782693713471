"""Functions that compiled code calls. Only those that are reached become part of a module.

The heap grows and is never tidied: an instance lives for one call. What is packed only to be handed to the host is
given back by setting `heap` to where it began. Several `put_` in a row therefore write one packed value.
"""

from typing import Final

from compiler.wasm import I32, I64, PAGE_BYTES, Function, parse_function
from iov.failures import Panic

MEMORY_PAGES: Final = 4  # 256 KiB: every call pays for them; arguments and values have at most 32 KiB
MEMORY_END: Final = MEMORY_PAGES * PAGE_BYTES
SCRATCH: Final = 16  # four u128 for the host; address 0 is no value's
DATA_OFFSET: Final = 80

GLOBALS: Final = {
    "heap": I32,  # where the free memory begins
    "high": I64,  # the upper half of a u128 that a function returned
    "remainder": I64,  # what the last division of u128 left over
    "remainder_high": I64,
    "cursor": I32,  # where unpacking goes on
    "end": I32,  # where what is unpacked ends
}

PANICS: Final = {
    "panic_overflow": Panic.OVERFLOW,
    "panic_zero": Panic.DIVISION_BY_ZERO,
    "panic_index": Panic.INDEX,
    "panic_missing": Panic.MISSING,
    "panic_limit": Panic.LIMIT,
    "panic_memory": Panic.MEMORY,
    "panic_failed": Panic.CALL_FAILED,
    "panic_malformed": Panic.MALFORMED,
}

_SOURCES: Final = (
    f"""alloc (size i32) i32
    local stop i32
    global.get heap | local.get size | i32.add | local.tee stop | i32.const {MEMORY_END} | i32.gt_u
    local.get stop | global.get heap | i32.lt_u | i32.or
    if | call panic_memory | end
    global.get heap | local.get stop | global.set heap
    """,
    """copy (target i32, source i32, count i32)
    block done
    loop words
    local.get count | i32.const 8 | i32.lt_u | br_if done
    local.get target | local.get source | i64.load | i64.store
    local.get target | i32.const 8 | i32.add | local.set target
    local.get source | i32.const 8 | i32.add | local.set source
    local.get count | i32.const 8 | i32.sub | local.set count
    br words
    end
    end
    block done
    loop bytes
    local.get count | i32.eqz | br_if done
    local.get target | local.get source | i32.load8_u | i32.store8
    local.get target | i32.const 1 | i32.add | local.set target
    local.get source | i32.const 1 | i32.add | local.set source
    local.get count | i32.const 1 | i32.sub | local.set count
    br bytes
    end
    end
    """,
    """same (a i32, b i32, count i32) i32
    block done
    loop bytes
    local.get count | i32.eqz | br_if done
    local.get a | i32.load8_u | local.get b | i32.load8_u | i32.ne
    if | i32.const 0 | return | end
    local.get a | i32.const 1 | i32.add | local.set a
    local.get b | i32.const 1 | i32.add | local.set b
    local.get count | i32.const 1 | i32.sub | local.set count
    br bytes
    end
    end
    i32.const 1
    """,
    """same_identifier (a i32, b i32) i32
    local.get a | i64.load | local.get b | i64.load | i64.eq
    local.get a | i64.load 8 | local.get b | i64.load 8 | i64.eq | i32.and
    local.get a | i32.load 16 | local.get b | i32.load 16 | i32.eq | i32.and
    """,
    """same_bytes (a i32, b i32) i32
    local.get a | i32.load | local.get b | i32.load | i32.ne
    if | i32.const 0 | return | end
    local.get a | i32.const 4 | i32.add | local.get b | i32.const 4 | i32.add | local.get a | i32.load | call same
    """,
    # Integers.
    """u64_mul (a i64, b i64) i64
    local product i64
    local.get a | local.get b | i64.mul | local.set product
    local.get a | local.get b | i64.or | i64.const 32 | i64.shr_u | i64.eqz
    if | local.get product | return | end
    local.get a | i64.eqz
    if | i64.const 0 | return | end
    local.get product | local.get a | i64.div_u | local.get b | i64.ne
    if | call panic_overflow | end
    local.get product
    """,
    """u64_mul_high (a i64, b i64) i64
    local low i64
    local middle i64
    local.get a | i64.const 4294967295 | i64.and | local.get b | i64.const 4294967295 | i64.and | i64.mul
    i64.const 32 | i64.shr_u
    local.get a | i64.const 32 | i64.shr_u | local.get b | i64.const 4294967295 | i64.and | i64.mul | i64.add
    local.set low
    local.get a | i64.const 4294967295 | i64.and | local.get b | i64.const 32 | i64.shr_u | i64.mul
    local.get low | i64.const 4294967295 | i64.and | i64.add | local.set middle
    local.get a | i64.const 32 | i64.shr_u | local.get b | i64.const 32 | i64.shr_u | i64.mul
    local.get low | i64.const 32 | i64.shr_u | i64.add
    local.get middle | i64.const 32 | i64.shr_u | i64.add
    """,
    """u64_shl (a i64, places i64) i64
    local.get places | i64.const 63 | i64.gt_u
    if
    local.get a | i64.eqz | i32.eqz | if | call panic_overflow | end
    i64.const 0 | return
    end
    local.get a | local.get places | i64.shl | local.get places | i64.shr_u | local.get a | i64.ne
    if | call panic_overflow | end
    local.get a | local.get places | i64.shl
    """,
    """u64_shr (a i64, places i64) i64
    local.get places | i64.const 63 | i64.gt_u
    if | i64.const 0 | return | end
    local.get a | local.get places | i64.shr_u
    """,
    """u128_add (a i64, a_high i64, b i64, b_high i64) i64
    local sum i64
    local.get a_high | local.get b_high | i64.add | local.tee sum | local.get a_high | i64.lt_u
    if | call panic_overflow | end
    local.get a | local.get b | i64.add | local.tee b | local.get a | i64.lt_u
    if
    local.get sum | i64.const 1 | i64.add | local.tee sum | i64.eqz
    if | call panic_overflow | end
    end
    local.get sum | global.set high
    local.get b
    """,
    """u128_sub (a i64, a_high i64, b i64, b_high i64) i64
    local.get a | local.get a_high | local.get b | local.get b_high | call u128_lt
    if | call panic_overflow | end
    local.get a_high | local.get b_high | i64.sub | local.get a | local.get b | i64.lt_u | i64.extend_i32_u | i64.sub
    global.set high
    local.get a | local.get b | i64.sub
    """,
    """u128_mul (a i64, a_high i64, b i64, b_high i64) i64
    local upper i64
    local crossed i64
    local.get a_high | i64.eqz | i32.eqz | local.get b_high | i64.eqz | i32.eqz | i32.and
    if | call panic_overflow | end
    local.get a_high | local.get b | call u64_mul | local.get a | local.get b_high | call u64_mul | i64.add
    local.tee crossed
    local.get a | local.get b | call u64_mul_high | i64.add | local.tee upper | local.get crossed | i64.lt_u
    if | call panic_overflow | end
    local.get upper | global.set high
    local.get a | local.get b | i64.mul
    """,
    """u128_leading_zeros (a i64, a_high i64) i64
    local.get a_high | i64.eqz
    if | local.get a | i64.clz | i64.const 64 | i64.add | return | end
    local.get a_high | i64.clz
    """,
    # One digit in base 2^32 of a division by a divisor whose top bit is set: Knuth's algorithm D (TAOCP 4.3.1).
    """u64_digit (upper i64, next_digit i64, divisor i64) i64
    local digit i64
    local rest i64
    local.get upper | local.get divisor | i64.const 32 | i64.shr_u | i64.div_u | local.set digit
    local.get upper | local.get divisor | i64.const 32 | i64.shr_u | i64.rem_u | local.set rest
    block done
    loop correct
    local.get digit | i64.const 4294967295 | i64.gt_u
    local.get digit | local.get divisor | i64.const 4294967295 | i64.and | i64.mul
    local.get rest | i64.const 32 | i64.shl | local.get next_digit | i64.or | i64.gt_u
    i32.or | i32.eqz | br_if done
    local.get digit | i64.const 1 | i64.sub | local.set digit
    local.get rest | local.get divisor | i64.const 32 | i64.shr_u | i64.add | local.tee rest
    i64.const 4294967295 | i64.le_u | br_if correct
    end
    end
    local.get digit
    """,
    # 128 bits by 64: the divisor's top bit is set, and the upper half is below it.
    """u64_div_long (low i64, upper i64, divisor i64) i64
    local first i64
    local second i64
    local.get upper | local.get low | i64.const 32 | i64.shr_u | local.get divisor | call u64_digit | local.set first
    local.get upper | i64.const 32 | i64.shl | local.get low | i64.const 32 | i64.shr_u | i64.or
    local.get first | local.get divisor | i64.mul | i64.sub | local.tee upper
    local.get low | i64.const 4294967295 | i64.and | local.get divisor | call u64_digit | local.set second
    local.get upper | i64.const 32 | i64.shl | local.get low | i64.const 4294967295 | i64.and | i64.or
    local.get second | local.get divisor | i64.mul | i64.sub | global.set remainder
    local.get first | i64.const 32 | i64.shl | local.get second | i64.or
    """,
    # By a divisor above 2^64: estimate with its upper 64 bits, which is at most one too high (Hacker's Delight 9-5).
    """u128_div_wide (a i64, a_high i64, b i64, b_high i64) i64
    local zeros i64
    local quotient i64
    local.get b_high | i64.clz | local.set zeros
    local.get a_high | i64.const 63 | i64.shl | local.get a | i64.const 1 | i64.shr_u | i64.or
    local.get a_high | i64.const 1 | i64.shr_u
    local.get b_high | local.get zeros | i64.shl
    local.get b | i64.const 1 | i64.shr_u | i64.const 63 | local.get zeros | i64.sub | i64.shr_u | i64.or
    call u64_div_long | i64.const 63 | local.get zeros | i64.sub | i64.shr_u
    local.tee quotient | local.get quotient | i64.eqz | i32.eqz | i64.extend_i32_u | i64.sub | local.set quotient
    local.get a_high | local.get quotient | local.get b | call u64_mul_high | i64.sub
    local.get quotient | local.get b_high | i64.mul | i64.sub
    local.get a | local.get quotient | local.get b | i64.mul | i64.lt_u | i64.extend_i32_u | i64.sub | local.set a_high
    local.get a | local.get quotient | local.get b | i64.mul | i64.sub | local.set a
    local.get b | local.get b_high | local.get a | local.get a_high | call u128_le
    if
    local.get quotient | i64.const 1 | i64.add | local.set quotient
    local.get a_high | local.get b_high | i64.sub | local.get a | local.get b | i64.lt_u | i64.extend_i32_u | i64.sub
    local.set a_high
    local.get a | local.get b | i64.sub | local.set a
    end
    local.get a | global.set remainder
    local.get a_high | global.set remainder_high
    i64.const 0 | global.set high
    local.get quotient
    """,
    """u128_div (a i64, a_high i64, b i64, b_high i64) i64
    local zeros i64
    local.get b_high | i64.eqz | i32.eqz
    if | local.get a | local.get a_high | local.get b | local.get b_high | call u128_div_wide | return | end
    local.get b | i64.eqz
    if | call panic_zero | end
    i64.const 0 | global.set remainder_high
    local.get a_high | local.get b | i64.div_u | global.set high
    local.get a_high | i64.eqz
    if
    local.get a | local.get b | i64.rem_u | global.set remainder
    local.get a | local.get b | i64.div_u | return
    end
    local.get a_high | local.get b | i64.rem_u | local.set a_high
    local.get b | i64.clz | local.set zeros
    local.get a | local.get zeros | i64.shl
    local.get a_high | local.get zeros | i64.shl
    local.get a | i64.const 1 | i64.shr_u | i64.const 63 | local.get zeros | i64.sub | i64.shr_u | i64.or
    local.get b | local.get zeros | i64.shl
    call u64_div_long
    global.get remainder | local.get zeros | i64.shr_u | global.set remainder
    """,
    f"""u128_mul_div (a i64, a_high i64, b i64, b_high i64, c i64, c_high i64, rounding i32) i64
    i32.const {SCRATCH} | local.get a | i64.store
    i32.const {SCRATCH} | local.get a_high | i64.store 8
    i32.const {SCRATCH} | local.get b | i64.store 16
    i32.const {SCRATCH} | local.get b_high | i64.store 24
    i32.const {SCRATCH} | local.get c | i64.store 32
    i32.const {SCRATCH} | local.get c_high | i64.store 40
    i32.const {SCRATCH} | i32.const {SCRATCH + 16} | i32.const {SCRATCH + 32} | local.get rounding
    i32.const {SCRATCH + 48} | call mul_div
    i32.const {SCRATCH} | i64.load 56 | global.set high
    i32.const {SCRATCH} | i64.load 48
    """,
    """u128_rem (a i64, a_high i64, b i64, b_high i64) i64
    local.get a | local.get a_high | local.get b | local.get b_high | call u128_div | drop
    global.get remainder_high | global.set high
    global.get remainder
    """,
    """u128_shl (a i64, a_high i64, places i64, places_high i64) i64
    local.get a | local.get a_high | i64.or | i64.eqz
    if | i64.const 0 | global.set high | i64.const 0 | return | end
    local.get places_high | i64.eqz | i32.eqz | local.get places | i64.const 127 | i64.gt_u | i32.or
    if | call panic_overflow | end
    local.get places | i64.const 63 | i64.gt_u
    if
    local.get a_high | i64.eqz | i32.eqz | if | call panic_overflow | end
    local.get a | local.get places | i64.const 64 | i64.sub | call u64_shl | global.set high
    i64.const 0 | return
    end
    local.get places | i64.eqz
    if | local.get a_high | global.set high | local.get a | return | end
    local.get a_high | local.get places | call u64_shl
    local.get a | i64.const 64 | local.get places | i64.sub | i64.shr_u | i64.or | global.set high
    local.get a | local.get places | i64.shl
    """,
    """u128_shr (a i64, a_high i64, places i64, places_high i64) i64
    local.get places_high | i64.eqz | i32.eqz | local.get places | i64.const 127 | i64.gt_u | i32.or
    if | i64.const 0 | global.set high | i64.const 0 | return | end
    local.get places | i64.const 63 | i64.gt_u
    if
    i64.const 0 | global.set high
    local.get a_high | local.get places | i64.const 64 | i64.sub | i64.shr_u | return
    end
    local.get a_high | local.get places | i64.shr_u | global.set high
    local.get places | i64.eqz
    if | local.get a | return | end
    local.get a | local.get places | i64.shr_u
    local.get a_high | i64.const 64 | local.get places | i64.sub | i64.shl | i64.or
    """,
    *(
        f"""u128_{name} (a i64, a_high i64, b i64, b_high i64) i64
        local.get a_high | local.get b_high | i64.{name} | global.set high
        local.get a | local.get b | i64.{name}
        """
        for name in ("and", "or", "xor")
    ),
    """u128_eq (a i64, a_high i64, b i64, b_high i64) i32
    local.get a | local.get b | i64.xor | local.get a_high | local.get b_high | i64.xor | i64.or | i64.eqz
    """,
    *(
        f"""u128_{name} (a i64, a_high i64, b i64, b_high i64) i32
        local.get a_high | local.get b_high | i64.eq
        if | local.get a | local.get b | i64.{name}_u | return | end
        local.get a_high | local.get b_high | i64.lt_u
        """
        for name in ("lt", "le")
    ),
    # Packing: each adds at the end of the heap.
    "put_8 (value i32)\n i32.const 1 | call alloc | local.get value | i32.store8",
    "put_16 (value i32)\n i32.const 2 | call alloc | local.get value | i32.store16",
    "put_32 (value i32)\n i32.const 4 | call alloc | local.get value | i32.store",
    "put_64 (value i64)\n i32.const 8 | call alloc | local.get value | i64.store",
    """put_128 (value i64, value_high i64)
    local.get value | call put_64
    local.get value_high | call put_64
    """,
    """put_identifier (value i32)
    i32.const 20 | call alloc | local.get value | i32.const 20 | call copy
    """,
    """put_bytes (value i32)
    local count i32
    local.get value | i32.load | i32.const 4 | i32.add | local.tee count | call alloc
    local.get value | local.get count | call copy
    """,
    # Unpacking: each takes from the cursor.
    """take (count i32) i32
    local.get count | global.get end | global.get cursor | i32.sub | i32.gt_u
    if | call panic_malformed | end
    global.get cursor | global.get cursor | local.get count | i32.add | global.set cursor
    """,
    """take_bytes () i32
    local place i32
    i32.const 4 | call take | local.tee place | i32.load | call take | drop
    local.get place
    """,
    """take_128 () i64
    local place i32
    i32.const 16 | call take | local.tee place | i64.load 8 | global.set high
    local.get place | i64.load
    """,
    """take_flag () i32
    local flag i32
    i32.const 1 | call take | i32.load8_u | local.tee flag | i32.const 1 | i32.gt_u
    if | call panic_malformed | end
    local.get flag
    """,
    """take_all ()
    global.get cursor | global.get end | i32.ne
    if | call panic_malformed | end
    """,
    """read_register ()
    i32.const 0 | call register_length | call alloc | global.set cursor
    i32.const 0 | global.get cursor | call register_read
    global.get heap | global.set end
    """,
    # Storage: keys lie between an address and the end of the heap.
    """load (key i32) i32
    local.get key | global.get heap | local.get key | i32.sub | i32.const 0 | call storage_get
    local.get key | global.set heap
    i32.eqz | if | i32.const 0 | return | end
    call read_register
    global.get cursor
    """,
    """load_present (key i32) i32
    local.get key | call load | local.tee key | i32.eqz
    if | call panic_missing | end
    local.get key
    """,
    """has (key i32) i32
    local.get key | global.get heap | local.get key | i32.sub | call storage_has
    local.get key | global.set heap
    """,
    """delete_present (key i32)
    local.get key | global.get heap | local.get key | i32.sub | call storage_delete | i32.eqz
    if | call panic_missing | end
    local.get key | global.set heap
    """,
    """store (key i32, value i32)
    local.get key | local.get value | local.get key | i32.sub
    local.get value | global.get heap | local.get value | i32.sub | call storage_put
    local.get key | global.set heap
    """,
    """limit_key (key i32)
    global.get heap | local.get key | i32.sub | i32.const 128 | i32.gt_u
    if | call panic_limit | end
    """,
    """limit_value (value i32)
    global.get heap | local.get value | i32.sub | i32.const 16384 | i32.gt_u
    if | call panic_limit | end
    """,
    """limit_packed (value i32)
    global.get heap | local.get value | i32.sub | i32.const 32768 | i32.gt_u
    if | call panic_limit | end
    """,
    # Indexed maps, see iov/storage.py.
    """count_key (position i32) i32
    local key i32
    global.get heap | local.set key
    local.get position | call put_8 | i32.const 2 | call put_8
    local.get key
    """,
    """index_key (position i32, index i32) i32
    local key i32
    global.get heap | local.set key
    local.get position | call put_8 | i32.const 1 | call put_8 | local.get index | call put_32
    local.get key
    """,
    """indexed_count (position i32) i32
    local key i32
    local count i32
    local.get position | call count_key | local.tee key | call load | local.tee count
    if | local.get count | i32.load | local.set count | end
    local.get key | global.set heap
    local.get count
    """,
    """set_indexed_count (position i32, count i32)
    local key i32
    local value i32
    local.get position | call count_key | local.set key
    global.get heap | local.set value
    local.get count | call put_32
    local.get key | local.get value | call store
    """,
    """set_index (position i32, index i32, key i32, key_length i32)
    local place i32
    local.get position | local.get index | call index_key | local.tee place | i32.const 6
    local.get key | local.get key_length | call storage_put
    local.get place | global.set heap
    """,
    """find_indexed (key i32, key_length i32) i32
    local place i32
    local index i32
    local.get key | local.get key_length | i32.const 0 | call storage_get | i32.eqz
    if | i32.const -1 | return | end
    global.get heap | local.set place
    call read_register
    local.get place | i32.load | local.set index
    local.get place | global.set heap
    local.get index
    """,
    """place_indexed (position i32, key i32) i32
    local key_length i32
    local index i32
    global.get heap | local.get key | i32.sub | local.set key_length
    local.get key | local.get key_length | call find_indexed | local.tee index | i32.const -1 | i32.eq
    if
    local.get position
    local.get position | call indexed_count | local.tee index
    local.get key | i32.const 2 | i32.add | local.get key_length | i32.const 2 | i32.sub | call set_index
    local.get position | local.get index | i32.const 1 | i32.add | call set_indexed_count
    end
    local.get index
    """,
    """delete_indexed (position i32, key i32)
    local key_length i32
    local index i32
    local last i32
    local last_key i32
    local last_key_length i32
    local moved i32
    local record i32
    global.get heap | local.get key | i32.sub | local.set key_length
    local.get key | local.get key_length | call find_indexed | local.tee index | i32.const -1 | i32.eq
    if | call panic_missing | end
    local.get position | call indexed_count | i32.const 1 | i32.sub | local.tee last | local.get index | i32.ne
    if
    local.get position | local.get last | call index_key | call load_present | local.set last_key
    global.get heap | local.get last_key | i32.sub | local.set last_key_length
    global.get heap | local.set moved
    local.get position | call put_8 | i32.const 0 | call put_8
    local.get last_key_length | call alloc | local.get last_key | local.get last_key_length | call copy
    local.get moved | local.get last_key_length | i32.const 2 | i32.add | i32.const 0 | call storage_get | drop
    global.get heap | local.set record
    call read_register
    local.get record | local.get index | i32.store
    local.get moved | local.get record | call store
    local.get position | local.get index | local.get last_key | local.get last_key_length | call set_index
    end
    local.get position | local.get last | call index_key | i32.const 6 | call storage_delete | drop
    local.get key | local.get key_length | call storage_delete | drop
    local.get position | local.get last | call set_indexed_count
    local.get key | global.set heap
    """,
    """key_at (position i32, index i64) i32
    local.get index | local.get position | call indexed_count | i64.extend_i32_u | i64.ge_u
    if | call panic_index | end
    local.get position | local.get index | i32.wrap_i64 | call index_key | call load_present
    """,
    # Lists.
    """list_new (capacity i32, item_bytes i32) i32
    local list i32
    i32.const 12 | call alloc | local.tee list | i32.const 0 | i32.store
    local.get list | local.get capacity | i32.store 4
    local.get list | local.get capacity | local.get item_bytes | i32.mul | call alloc | i32.store 8
    local.get list
    """,
    """list_push (list i32, item_bytes i32, items_max i32) i32
    local length i32
    local items i32
    local.get list | i32.load | local.tee length | local.get items_max | i32.ge_u
    if | call panic_limit | end
    local.get length | local.get list | i32.load 4 | i32.eq
    if
    local.get list | local.get length | i32.const 1 | i32.shl | i32.const 4 | i32.add | i32.store 4
    local.get list | i32.load 4 | local.get item_bytes | i32.mul | call alloc | local.set items
    local.get items | local.get list | i32.load 8 | local.get length | local.get item_bytes | i32.mul | call copy
    local.get list | local.get items | i32.store 8
    end
    local.get list | local.get length | i32.const 1 | i32.add | i32.store
    local.get list | i32.load 8 | local.get length | local.get item_bytes | i32.mul | i32.add
    """,
    """list_pop (list i32, item_bytes i32) i32
    local length i32
    local.get list | i32.load | local.tee length | i32.eqz
    if | call panic_index | end
    local.get list | local.get length | i32.const 1 | i32.sub | local.tee length | i32.store
    local.get list | i32.load 8 | local.get length | local.get item_bytes | i32.mul | i32.add
    """,
    """list_at (list i32, index i64, item_bytes i32) i32
    local.get index | local.get list | i32.load | i64.extend_i32_u | i64.ge_u
    if | call panic_index | end
    local.get list | i32.load 8 | local.get index | i32.wrap_i64 | local.get item_bytes | i32.mul | i32.add
    """,
    # Bytes.
    """bytes_at (value i32, index i64) i64
    local.get index | local.get value | i32.load | i64.extend_i32_u | i64.ge_u
    if | call panic_index | end
    local.get value | local.get index | i32.wrap_i64 | i32.add | i32.load8_u 4 | i64.extend_i32_u
    """,
    """bytes_new (count i32) i32
    local value i32
    local.get count | i32.const 4 | i32.add | call alloc | local.tee value | local.get count | i32.store
    local.get value
    """,
    """bytes_of (source i32, count i32) i32
    local value i32
    local.get count | call bytes_new | local.tee value | i32.const 4 | i32.add
    local.get source | local.get count | call copy
    local.get value
    """,
    """concat (a i32, b i32) i32
    local value i32
    local.get a | i32.load | local.get b | i32.load | i32.add | call bytes_new | local.tee value
    i32.const 4 | i32.add | local.get a | i32.const 4 | i32.add | local.get a | i32.load | call copy
    local.get value | i32.const 4 | i32.add | local.get a | i32.load | i32.add
    local.get b | i32.const 4 | i32.add | local.get b | i32.load | call copy
    local.get value
    """,
    """slice (value i32, start i64, stop i64) i32
    local count i64
    local.get value | i32.load | i64.extend_i32_u | local.set count
    local.get stop | local.get count | i64.gt_u
    if | local.get count | local.set stop | end
    local.get start | local.get stop | i64.gt_u
    if | local.get stop | local.set start | end
    local.get value | i32.const 4 | i32.add | local.get start | i32.wrap_i64 | i32.add
    local.get stop | local.get start | i64.sub | i32.wrap_i64 | call bytes_of
    """,
    """exact (value i32, count i32) i32
    local.get value | i32.load | local.get count | i32.ne
    if | call panic_limit | end
    local.get value | i32.const 4 | i32.add
    """,
    """check_call (reason i32)
    local.get reason
    if | call panic_failed | end
    """,
)


def build_runtime() -> dict[str, Function]:
    """All runtime functions by name."""
    functions = [parse_function(text) for text in _SOURCES]
    for name, code in PANICS.items():
        body = (f"i32.const {code.value}", "i32.const 0", "i32.const 0", "call revert", "unreachable")
        functions.append(Function(name, (), None, (), body))
    return {each.name: each for each in functions}
