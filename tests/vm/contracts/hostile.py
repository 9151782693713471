"""Modules made to hurt the gate.

`python -m tests.vm.contracts.hostile` measures them in a process that limits its own memory.
"""

import json
import resource
import time
from collections.abc import Callable

from tests.vm.contracts.modules import END, NOTHING, assemble, build_code, build_custom, declare_locals
from vm.contracts.encoder import encode_name, encode_sized, encode_type, encode_unsigned, encode_vector
from vm.contracts.gate import RefusedError, check_module
from vm.contracts.module import CODE_BYTES_MAX, FUNCTION_BYTES_MAX, INSTRUCTIONS_MAX, MODULE_BYTES_MAX

MEMORY_BYTES_MAX = 256 * 1_024 * 1_024
HUGE = b"\xff\xff\xff\xff\x0f"
CONST, ADD, DROP, NOP = b"\x41\0", b"\x6a", b"\x1a", b"\x01"
SPACE = FUNCTION_BYTES_MAX - 20
QUARTER = INSTRUCTIONS_MAX // 4 - 10
TYPE = encode_type(NOTHING)
WIDE = encode_vector([b"\x60\x20" + b"\x7e" * 32 + b"\x01\x7e"] * 1_024)


def repeat(unit: bytes, instructions: int = 1) -> bytes:
    """Four functions full of one piece of code, as many as code and instructions allow."""
    times = min(SPACE // len(unit), QUARTER // instructions)
    return build_code(*[unit * times + END] * 4)


def truncated() -> bytes:
    """The last function misses its end."""
    return repeat(NOP)[:-1]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "every count is huge": lambda: assemble(*((number, HUGE) for number in range(1, 12))),
    "huge count of locals": lambda: build_code(END, declared=declare_locals(2**32 - 1)),
    "a million groups of locals": lambda: build_code(END, declared=encode_unsigned(10**6) + b"\x00\x7f" * 30_000),
    "empty groups of locals": lambda: build_code(*[END] * 30, declared=encode_unsigned(1_024) + b"\0\x7f" * 1_024),
    "locals in every function": lambda: build_code(*[END] * 4_096, declared=declare_locals(1_024)),
    "over-long number": lambda: assemble((1, b"\x80" * 100_000)),
    "over-long number in code": lambda: build_code(b"\x41" + b"\x80" * 60_000 + END),
    "blocks in blocks": lambda: build_code(b"\x02\x40" * 30_000 + END * 30_001),
    "blocks in blocks, as deep as allowed": lambda: repeat(b"\x02\x40" * 256 + END * 256, 512),
    "loops in loops": lambda: repeat(b"\x03\x40" * 256 + END * 256, 512),
    "values through loops in loops": lambda: build_code(
        b"\x03\x40" * 40
        + b"".join(
            b"\x20%b\x41\1\x6a\x21%b\x20%b\x0d%b"
            % (*(encode_unsigned(each) for each in (index % 300, index * 13 % 300, index % 300)), bytes((index % 40,)))
            for index in range(1_070)
        )
        + END * 41,
        declared=declare_locals(300),
    ),
    "ifs in ifs": lambda: repeat((CONST + b"\x04\x40") * 256 + END * 256, 768),
    "br_table of huge count": lambda: build_code(CONST + b"\x0e" + HUGE),
    "br_tables": lambda: repeat(CONST + b"\x0e" + encode_vector([b"\0"] * 1_024) + b"\0", 2),
    "br_tables to many labels": lambda: build_code(
        b"\x02\x40" * 250
        + (CONST + b"\x0e" + encode_vector([encode_unsigned(index % 250) for index in range(1_024)]) + b"\0") * 40
        + END * 251
    ),
    "br_tables in unreachable code": lambda: build_code(
        b"\0" + (b"\x0e" + encode_vector([b"\0"] * 1_024) + b"\0") * 60 + END
    ),
    "branches out of deep blocks": lambda: repeat(b"\x02\x40" * 200 + (CONST + b"\x0d\xc7\x01") * 200 + END * 200, 800),
    "many tiny functions": lambda: build_code(*[END] * 4_096),
    "too many tiny functions": lambda: build_code(*[END] * 60_000),
    "everyone calls everyone": lambda: build_code(
        *[b"".join(b"\x10" + encode_unsigned(index) for index in range(4)) + END for _ in range(4_096)]
    ),
    "one calls all": lambda: build_code(
        b"".join(b"\x10" + encode_unsigned(index % 4_000) for index in range(20_000)) + END, *[END] * 4_000
    ),
    "a chain of calls": lambda: build_code(
        *[b"\x10" + encode_unsigned(min(index + 1, 4_095)) + END for index in range(4_096)]
    ),
    "calls that double": lambda: build_code(*[(b"\x10" + bytes((index + 1,))) * 2 + END for index in range(60)], END),
    "operands up and down": lambda: repeat(CONST * 1_000 + DROP * 1_000, 2_000),
    "a tall stack in unreachable code": lambda: repeat(b"\0" + CONST * 1_000 + DROP * 1_000, 2_001),
    "only nops": lambda: repeat(NOP),
    "only constants": lambda: repeat(CONST + DROP, 2),
    "constants of ten bytes": lambda: repeat(b"\x42" + b"\x80" * 9 + b"\0" + DROP, 2),
    "unreachable code": lambda: repeat(b"\0" + ADD * 50 + DROP, 52),
    "many returns": lambda: repeat(b"\x0f"),
    "a branch after each other": lambda: repeat(CONST + b"\x0d\0", 2),
    "types like bombs": lambda: assemble((1, WIDE)),
    "wide indirect calls": lambda: assemble(
        (1, encode_vector([TYPE, b"\x60\x20" + b"\x7e" * 32 + b"\x01\x7e"])),
        (3, b"\x01\0"),
        (4, b"\x01\x70\x01\x01\x01"),
        (10, encode_vector([encode_sized(b"\0\0" + b"\x11\x01\0\x1a" * 15_000 + END)])),
    ),
    "more parameters than allowed": lambda: assemble((1, b"\x01\x60" + encode_unsigned(10**5) + b"\x7f" * 10**5)),
    "data beyond the memory": lambda: (
        build_code(END, more=[(5, b"\x01\x01\x01\x01")]) + assemble((11, b"\x01\0\x41\x7f\x0b\x01a"))[8:]
    ),
    "many data segments": lambda: (
        build_code(END, more=[(5, b"\x01\x01\x01\x01")])
        + assemble((11, encode_vector([b"\0\x41\0\x0b\0"] * 1_024)))[8:]
    ),
    "all elements in all segments": lambda: assemble(
        (1, encode_vector([TYPE])),
        (3, b"\x01\0"),
        (4, b"\x01\x70\x01" + encode_unsigned(4_096) * 2),
        (9, encode_vector([b"\0\x41\0\x0b" + encode_vector([b"\0"] * 1_900)] * 256)),
        (10, encode_vector([encode_sized(b"\0" + END)])),
    ),
    "many exports": lambda: build_code(
        END, more=[(7, encode_vector([encode_name(f"{index}") + b"\0\0" for index in range(1_024)]))]
    ),
    "long names": lambda: build_code(END, more=[(7, encode_vector([encode_name("x" * 500_000) + b"\0\0"]))]),
    "names that are not UTF-8": lambda: build_code(END, more=[(7, b"\x01\x04\xf8\x88\x80\x80\0\0")]),
    "a section twice": lambda: build_code(END) + assemble((10, b"\0"))[8:],
    "sections out of order": lambda: assemble((10, b"\0"), (1, encode_vector([TYPE]))),
    "many custom sections": lambda: build_code(END) + build_custom("a", b"") * 60_000,
    "a big custom section": lambda: build_code(END) + build_custom("a", bytes(500_000)),
    "a bad name section": lambda: build_code(END) + build_custom("name", b"\x01" + HUGE + HUGE),
    "a full name section": lambda: (
        build_code(END)
        + build_custom("name", b"\x01" + encode_sized(encode_unsigned(4_096) + b"\0\x7f" + b"a" * 127) * 3_000)
    ),
    "a module as large as allowed": lambda: b"\0asm\x01\0\0\0" + bytes(MODULE_BYTES_MAX - 8),
    "larger than allowed": lambda: bytes(10 * MODULE_BYTES_MAX),
    "more code than allowed": lambda: build_code(*[NOP * SPACE + END] * (CODE_BYTES_MAX // SPACE + 1)),
    "cut short": truncated,
}


def measure(code: bytes) -> dict[str, object]:
    """Seconds of processor time, and what the gate said."""
    start = time.process_time()
    try:
        said = f"accepted: {len(check_module(code))} bytes"
    except RefusedError as error:
        said = f"{error.kind.value}: {error}"
    return {"seconds": time.process_time() - start, "said": said}


def main() -> None:
    """One JSON object: a measurement by name, and the peak of memory."""
    modules = {name: build() for name, build in HOSTILE.items()}
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    measured: dict[str, object] = {name: measure(code) for name, code in modules.items()}
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
