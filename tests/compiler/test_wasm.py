"""The linker: numbers, dead code, and the same module as an independent assembler would read."""

from pathlib import Path

import pytest
import wasmtime

from compiler import compile_source
from compiler.wasm import Program, Signature, link, parse_function
from tests.compiler.both import Both
from vm.contracts.encoder import encode_signed, encode_unsigned


@pytest.mark.parametrize(
    ("value", "unsigned"), [(0, "00"), (127, "7f"), (128, "8001"), (624_485, "e58e26"), (2**32 - 1, "ffffffff0f")]
)
def test_unsigned_numbers(value, unsigned):
    assert encode_unsigned(value).hex() == unsigned


@pytest.mark.parametrize(
    ("value", "signed"),
    [(0, "00"), (63, "3f"), (64, "c000"), (-1, "7f"), (-64, "40"), (-65, "bf7f"), (-123_456, "c0bb78")],
)
def test_signed_numbers(value, signed):
    assert encode_signed(value).hex() == signed


def build_program(**changes):
    functions = [
        parse_function("run ()\n local x i32\n i32.const 5 | call twice | local.set x | local.get x | call note"),
        parse_function("twice (a i32) i32\n local.get a | i32.const 1 | i32.shl"),
        parse_function("unused (a i32)\n global.get other | drop"),
    ]
    parts = {
        "functions": {each.name: each for each in functions},
        "imports": {"other": Signature(()), "note": Signature(("i32",))},
        "import_module": "host",
        "exports": (("run", "run"),),
        "globals": {"other": ("i32", 7)},
        "data": b"",
        "data_offset": 0,
        "memory_pages": 1,
        "custom_sections": (),
    }
    return Program(**{**parts, **changes})


def test_only_what_is_reached_is_linked():
    module = wasmtime.Module(wasmtime.Engine(), link(build_program()))
    assert [each.name for each in module.imports] == ["note"]
    assert [each.name for each in module.exports] == ["memory", "run"]
    unused = parse_function("unused ()\n unreachable")
    functions = {**build_program().functions, "unused": unused}
    assert link(build_program(functions=functions)) == link(build_program())


def test_a_linked_module_runs():
    store = wasmtime.Store(wasmtime.Engine())
    linker = wasmtime.Linker(store.engine)
    seen = []
    linker.define_func("host", "note", wasmtime.FuncType([wasmtime.ValType.i32()], []), seen.append)
    linker.instantiate(store, wasmtime.Module(store.engine, link(build_program()))).exports(store)["run"](store)
    assert seen == [10]


def test_a_local_that_stands_twice_is_our_own_mistake():
    twice = parse_function("run ()\n local x i32\n local x i32\n unreachable")
    with pytest.raises(AssertionError):
        link(build_program(functions={"run": twice}))


def test_the_contract_of_the_documentation_compiles_and_runs():
    page = Path(__file__).parent.parent.parent / "docs" / "contracts" / "language.md"
    source = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    both = Both(source)
    both.run("create")
    assert both.run("add", 5).failure is None
    assert both.run("get").result == 5


HEAVY = """
from iov import Contract, Var, range, u64, view


class Heavy(Contract):
    unused: Var[u64]

    @view
    def count_primes(self, limit: u64) -> u64:
        count = u64(0)
        for number in range(u64(2), limit):
            divisor = u64(2)
            is_prime = True
            while divisor * divisor <= number:
                if number % divisor == 0:
                    is_prime = False
                    break
                divisor += 1
            if is_prime:
                count += 1
        return count
"""


def test_a_search_for_primes_finds_them():
    assert Both(HEAVY).run("count_primes", 4_000).result == 550


def test_the_interface_tells_what_the_source_declares():
    source = Path(__file__).parent.parent.parent / "contracts" / "escrow" / "escrow.py"
    interface = compile_source(source.read_text(encoding="utf-8"), str(source)).interface
    assert (interface.name, interface.upgrade.name) == ("Escrow", "NEVER")
    assert [(each.name, each.kind.name, each.is_payable, each.result) for each in interface.methods] == [
        ("create", "INIT", False, ""),
        ("open_deal", "CALL", True, "u64"),
        ("release", "CALL", False, ""),
        ("refund", "CALL", False, ""),
        ("dispute", "CALL", False, ""),
        ("rule", "CALL", False, ""),
        ("conclude", "CALL", False, ""),
        ("withdraw", "CALL", False, "u64"),
        ("find_deal", "VIEW", False, "Option[Deal]"),
        ("due_to", "VIEW", False, "u64"),
        ("count", "VIEW", False, "u64"),
    ]
    assert [(each.name, each.kind.name, each.key, each.value) for each in interface.storage] == [
        ("opened", "VAR", "", "u64"),
        ("deals", "INDEXED_MAP", "u64", "Deal"),
        ("due", "MAP", "Address", "u64"),
    ]
