"""`python -m tests.wasm_suite.convert FOLDER ARCHIVE`: make the archive of integer cases from .wast files.

Many modules of the suite mix integer functions with floating-point ones. What the gate refuses (floats, imports,
`memory.grow`) is replaced by a stub here, function by function, and the cases that call it are left out and counted,
so that the rest of the module is tested. Needs `wast2json` of wabt; the tests themselves do not.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# fmt: off
FILES = (
    "address", "align", "binary", "binary-leb128", "block", "br", "br_if", "br_table", "break-drop", "call",
    "call_indirect", "const", "custom", "data", "endianness", "exports", "fac", "forward", "func", "func_ptrs",
    "get_local", "globals", "i32", "i64", "if", "imports", "inline-module", "int_exprs", "int_literals", "labels",
    "left-to-right", "load", "local_get", "local_set", "local_tee", "loop", "memory", "memory_grow",
    "memory_redundancy", "memory_size", "memory_trap", "names", "nop", "old_exports", "old_globals",
    "old_int_literals", "return", "select", "set_local", "stack", "start", "store", "store_retval", "switch",
    "tee_local", "traps", "type", "unreachable", "unreached-invalid", "unwind", "utf8-custom-section-id",
    "utf8-import-field", "utf8-import-module",
)
# fmt: on
"""Left out as a whole: floats, SIMD, references, links between modules, and the text format's own rules."""

UNCHANGED = ("data", "imports", "memory_grow", "memory_size", "names")
"""About what is refused, or hanging together too closely to be taken apart."""

TOKEN = re.compile(r';;[^\n]*|\(;.*?;\)|"(?:[^"\\]|\\.)*"|[()]|[^\s()";]+', re.DOTALL)
REFUSED = re.compile(r".*(f32|f64|v128|ref\.|externref|nan|memory\.grow|table\.)")
STUBS = {"func": "(unreachable)", "import": "", "type": "(func)", "global": "i32 (i32.const 0)"}
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass
class Form:
    """A parenthesis with its tokens and inner forms in order."""

    items: list["str | Form"] = field(default_factory=list)

    def tokens(self) -> Iterator[str]:
        for item in self.items:
            if isinstance(item, Form):
                yield from item.tokens()
            else:
                yield item

    @property
    def head(self) -> str:
        return self.items[0] if self.items and isinstance(self.items[0], str) else ""

    @property
    def name(self) -> str:
        second = self.items[1] if len(self.items) > 1 else ""
        return second if isinstance(second, str) and second.startswith("$") else ""

    def forms(self, head: str) -> list["Form"]:
        return [item for item in self.items if isinstance(item, Form) and item.head == head]

    def __str__(self) -> str:
        return "(" + " ".join(str(item) for item in self.items) + ")"


def parse(text: str) -> list[Form]:
    """The top-level forms of a file."""
    stack = [Form()]
    for token in TOKEN.findall(text):
        if token.startswith((";;", "(;")):
            continue
        if token == "(":
            stack.append(Form())
        elif token == ")":
            inner = stack.pop()
            stack[-1].items.append(inner)
        else:
            stack[-1].items.append(token)
    assert len(stack) == 1
    return [item for item in stack[0].items if isinstance(item, Form)]


def strip_module(module: Form) -> tuple[Form, set[str]]:
    """The module with stubs for what is refused, and the names it still exports."""
    refused: set[str] = set()

    def is_refused(item: Form) -> bool:
        if item.head == "import" or item.forms("import"):
            return True
        return any(token in refused or REFUSED.match(token) for token in item.tokens() if not token.startswith('"'))

    fields = [item for item in module.items if isinstance(item, Form)]
    while True:
        named = {_get_name(item) for item in fields if item.head in STUBS and is_refused(item)} - {""}
        if named <= refused:
            break
        refused |= named
    items: list[str | Form] = []
    exports: set[str] = set()
    for item in module.items:
        if not isinstance(item, Form) or not is_refused(item) or item.head not in (*STUBS, "export"):
            items.append(item)
            if isinstance(item, Form):
                exports |= {str(each.items[1]) for each in (*item.forms("export"), item) if each.head == "export"}
        elif item.head != "export":
            items += _build_stub(item)
    return Form(items), exports


def _get_name(item: Form) -> str:
    described = [each for each in item.items if isinstance(each, Form)] if item.head == "import" else [item]
    return described[0].name if described else ""


def _build_stub(item: Form) -> list[Form]:
    """Something in its place, so that the indices of others stay."""
    described = next(each for each in item.items if isinstance(each, Form)) if item.head == "import" else item
    if described.head not in ("func", "global"):
        return [Form([item.head, *([item.name] if item.name else []), STUBS[item.head]])] if item.head == "type" else []
    return [Form([described.head, *([described.name] if described.name else []), STUBS[described.head]])]


def strip_file(text: str) -> tuple[str, int]:
    """The file without what is refused, and how many cases that left out."""
    kept: list[str] = []
    left_out = 0
    exports: dict[str, set[str]] = {}
    for form in parse(text):
        if form.head == "module":
            if "binary" not in form.items and "quote" not in form.items:
                form, exports[""] = strip_module(form)
            else:
                exports[""] = set()
            exports[form.name] = exports[""]
            kept.append(str(form))
            continue
        action = (
            form if form.head in ("invoke", "get") else next(iter([*form.forms("invoke"), *form.forms("get")]), None)
        )
        if action is not None:
            arguments = [token for token in form.tokens() if not token.startswith('"')]
            field_name = str(action.items[2] if action.name else action.items[1])
            if field_name not in exports.get(action.name, set()) or any(REFUSED.match(each) for each in arguments):
                left_out += 1
                continue
        elif any(REFUSED.match(token) for token in form.tokens() if not token.startswith('"')):
            left_out += 1
            continue
        kept.append(str(form))
    return "\n".join(kept), left_out


def convert(folder: Path, archive: Path) -> None:
    """Strip, convert and pack the files; the same input gives the same archive."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in FILES:
            text, left_out = (folder / f"{name}.wast").read_text(encoding="utf-8"), 0
            if name not in UNCHANGED:
                text, left_out = strip_file(text)
            source = Path(scratch) / f"{name}.wast"
            source.write_text(text, encoding="utf-8")
            subprocess.run(["wast2json", source.name, "-o", f"{name}.json"], check=True, cwd=scratch)
            converted = Path(scratch) / f"{name}.json"
            content = json.loads(converted.read_text())
            content["left_out"] = left_out
            converted.write_text(json.dumps(content, separators=(",", ":")))
        for path in sorted(Path(scratch).iterdir()):
            if path.suffix in (".json", ".wasm"):
                packed.writestr(zipfile.ZipInfo(path.name, ZIP_TIME), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
