"""The shape of a contract, and that the same bytes give the same bytes."""

from hashlib import sha256

import pytest
import wasmtime

from tests.vm.contracts.modules import add_interface, build_custom, build_interface
from tests.vm.contracts.programs import Runner
from vm.contracts.abi import SECTION_NAME, encode_interface
from vm.contracts.encoder import encode_name, encode_sized
from vm.contracts.gate import RefusalKind, RefusedError, check_contract, check_module
from vm.contracts.host_functions import HOST_FUNCTIONS
from vm.contracts.opcodes import FEATURE_REFUSALS, Feature
from vm.contracts.parser import parse_module

LOG = '(import "iov1" "log" (func (param i32 i32)))'
MEMORY = '(memory (export "memory") 1 1)'
RUN = '(func (export "run") (call 0 (i32.const 1) (i32.const 2)))'


def compile_text(fields: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {fields})"))


def get_refusal(code: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        check_contract(code)
    return refused.value


def test_a_contract_passes():
    raw = add_interface(compile_text(f"{LOG} {MEMORY} {RUN}"), "run")
    checked = check_contract(raw)
    assert checked.interface == build_interface("run")
    assert checked.code_hash == sha256(raw).digest()
    module = wasmtime.Module(wasmtime.Engine(), checked.instrumented)
    assert [(each.module, each.name) for each in module.imports] == [("iov1", "log")]
    assert [each.name for each in module.exports] == ["memory", "run", "iov_gas", "iov_trap"]


def test_the_same_bytes_give_the_same_bytes():
    """Pinned: every node must come to this hash, today and in a year."""
    raw = add_interface(compile_text(f"{LOG} {MEMORY} {RUN}"), "run")
    first, second = check_contract(raw), check_contract(raw)
    assert first == second
    assert sha256(first.instrumented).hexdigest() == "48357e9d6d42e7fb25ca42615961a983767af59b63ef548150f4bd7a15708edc"


def test_names_and_notes_do_not_change_what_runs():
    raw = compile_text(f"{LOG} {MEMORY} {RUN}")
    plain = check_contract(add_interface(raw, "run"))
    noted = check_contract(
        add_interface(raw, "run") + build_custom("name", b"anything") + build_custom("producers", b"\0")
    )
    assert noted.instrumented == plain.instrumented
    assert noted.code_hash != plain.code_hash
    assert len(plain.instrumented) < 300


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (f"{LOG} (memory 1 1) {RUN}", "the memory must be exported as 'memory'"),
        (f'{LOG} {RUN} (global (export "memory") i32 (i32.const 0))', "the memory must be exported as 'memory'"),
        (f"{LOG} {MEMORY}", "method 'run': there is no exported function of that name"),
        (f'{MEMORY} (global (export "run") i32 (i32.const 0))', "method 'run': there is no exported function"),
        (f'{MEMORY} (func (export "run") (param i32))', "method 'run': an exported function has no parameters"),
        (f'{MEMORY} (func (export "run") (result i32) (i32.const 0))', "no parameters and no results"),
        (
            f'{LOG} {MEMORY} {RUN} (func (export "other"))',
            "export 'other': only the memory and the interface's methods",
        ),
        (f'{LOG} {MEMORY} {RUN} (table (export "t") 1 1 funcref)', "export 't': only the memory"),
        (f'{LOG} {MEMORY} {RUN} (global (export "__heap_base") (mut i32) (i32.const 0))', "export '__heap_base'"),
        (f'(import "env" "log" (func)) {MEMORY} {RUN}', "import 'env'.'log': contracts import functions of iov1 only"),
        (f'(import "iov1" "sing" (func)) {MEMORY}', "import 'iov1'.'sing': contracts import functions of iov1 only"),
        (
            f'(import "iov1" "log" (func (param i32) (result i64))) {MEMORY}',
            "import 'iov1'.'log': its type is (i32, i32) -> (), not (i32) -> (i64)",
        ),
    ],
)
def test_the_shape_of_a_contract(fields: str, message: str) -> None:
    refusal = get_refusal(add_interface(compile_text(fields), "run"))
    assert message in str(refusal)
    assert refusal.kind is RefusalKind.NOT_ALLOWED


def test_constants_that_linkers_export_are_dropped():
    constants = '(global (export "__data_end") i32 (i32.const 5)) (global (export "__heap_base") i32 (i32.const 8))'
    checked = check_contract(add_interface(compile_text(f"{LOG} {MEMORY} {RUN} {constants}"), "run"))
    names = [export.name for export in parse_module(checked.instrumented).exports]
    assert names == ["memory", "run", "iov_gas", "iov_trap"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (b"", "there are 0 custom sections 'iov.abi'"),
        (build_custom(SECTION_NAME, encode_interface(build_interface("run"))) * 2, "there are 2 custom sections"),
        (build_custom(SECTION_NAME, b"\xc1"), "the interface cannot be read"),
        (build_custom(SECTION_NAME, bytes(20_000)), "the interface has at most 16384 bytes"),
        (build_custom(".debug_info", b""), "custom section '.debug_info' is not allowed: rustc -C strip=symbols"),
    ],
)
def test_custom_sections_of_a_contract(sections: bytes, message: str) -> None:
    refusal = get_refusal(compile_text(f"{LOG} {MEMORY} {RUN}") + sections)
    assert message in str(refusal)
    assert refusal.kind is RefusalKind.NOT_ALLOWED


@pytest.mark.parametrize("name", ["iov_gas", "iov_trap"])
def test_our_own_names_are_reserved(name: str) -> None:
    with pytest.raises(RefusedError, match=f"export {name}: the name is reserved"):
        check_module(compile_text(f'(func (export "{name}"))'))
    refusal = get_refusal(add_interface(compile_text(f'{MEMORY} (func (export "{name}"))'), name))
    assert "the name is reserved" in str(refusal)


def test_a_module_needs_no_shape():
    code = compile_text('(func (export "a") (param i64) (result i64) (local.get 0)) (func (export "b"))')
    instrumented = check_module(code + build_custom("anything", b""))
    assert Runner(instrumented).run(-5, name="a").result == -5


def test_every_host_function_can_be_imported():
    names = {0x7F: "i32", 0x7E: "i64"}
    imports = "".join(
        f'(import "iov1" "{name}" (func {"".join(f"(param {names[each]})" for each in kind.parameters)}'
        f"{''.join(f'(result {names[each]})' for each in kind.results)}))"
        for name, kind in HOST_FUNCTIONS.items()
    )
    engine_module = wasmtime.Module(wasmtime.Engine(), check_module(compile_text(imports)))
    types = {each.name: (len(each.type.params), len(each.type.results)) for each in engine_module.imports}
    assert types == {name: (1 + len(kind.parameters), 1 + len(kind.results)) for name, kind in HOST_FUNCTIONS.items()}


def test_every_feature_has_a_text():
    assert set(FEATURE_REFUSALS) == set(Feature)


def test_a_broken_name_section_does_no_harm():
    bad = build_custom("name", b"\x01" + encode_sized(b"\x02\0" + encode_name("first") + b"\x01\xff"))
    with pytest.raises(RefusedError, match=r"function 0 \(first\), offset"):
        check_module(compile_text("(func f32.const 0 drop)") + bad)


def test_a_name_that_cannot_be_printed_is_not_shown():
    with pytest.raises(RefusedError, match=r"^function 0, offset"):
        check_module(compile_text('(func (export "\\1b[2J") f32.const 0 drop)'))
