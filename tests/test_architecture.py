"""House rules that neither the linter, the type checker nor the import contracts can see."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from node.config import NodeConfig, format_config

ROOT = Path(__file__).parent.parent
PURE = ("consensus", "ledger", "vm", "identity")
PACKAGES = (*PURE, "p2p", "genesis", "rpc", "node", "iov", "compiler", "economy")
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "stuff"}
ORDER_KEEPERS = {"list", "tuple", "iter", "enumerate", "map", "filter", "zip", "next", "reversed", "dict"}
"""Built-ins whose result shows the order of what they are given."""
IMPORT_NAMES = {
    "nacl": "pynacl",
    "prometheus_client": "prometheus-client",
    "annotated_types": "annotated-types",
    "pkcs11": "python-pkcs11",
    "ibis": "ibis-framework",
}
"""Modules that are not called like the package that brings them."""


def list_modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def list_places(path: Path, nodes: Iterator[ast.AST]) -> list[str]:
    return [f"{name_of(path)}:{getattr(node, 'lineno', 1)}" for node in nodes]


def find_floats(tree: ast.Module) -> Iterator[ast.AST]:
    """Literals, `float(…)`, true division, and the name itself in annotations."""
    for node in ast.walk(tree):
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, (float, complex))
        is_name = isinstance(node, ast.Name) and node.id in ("float", "complex")
        is_division = isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div)
        if is_literal or is_name or is_division:
            yield node


def is_set_type(annotation: ast.AST | None) -> bool:
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    return isinstance(annotation, ast.Name) and annotation.id in ("set", "frozenset", "Set", "AbstractSet")


def find_set_names(tree: ast.Module) -> set[str]:
    """Variables, fields, arguments and functions that are annotated as sets."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and is_set_type(node.annotation):
            names.add(node.target.attr if isinstance(node.target, ast.Attribute) else ast.unparse(node.target))
        elif isinstance(node, ast.arg) and is_set_type(node.annotation):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef) and is_set_type(node.returns):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and is_set(node.value, set()):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def is_set(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is a set as far as can be told from its form and the annotations of its module."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Call(func=ast.Attribute(attr="union" | "intersection" | "difference" | "symmetric_difference")):
            return True
        case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.BitXor() | ast.Sub(), left=left, right=right):
            views = (ast.unparse(side).endswith((".keys()", ".items()")) for side in (left, right))
            return any(views) or is_set(left, names) or is_set(right, names)
        case ast.Call(func=ast.Name(id=name)) | ast.Name(id=name) | ast.Attribute(attr=name):
            return name in names
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in names
    return False


def find_set_iterations(tree: ast.Module) -> Iterator[ast.AST]:
    """Places where the order of a set could show: loops, comprehensions and calls that keep it."""
    names = find_set_names(tree)
    harmless: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in ORDER_KEEPERS:
            harmless.update(each for each in node.args if isinstance(each, ast.GeneratorExp))
    for node in ast.walk(tree):
        if isinstance(node, (ast.For, ast.AsyncFor)) and is_set(node.iter, names):
            yield node
        elif isinstance(node, (ast.ListComp, ast.DictComp, ast.GeneratorExp)) and node not in harmless:
            if any(is_set(each.iter, names) for each in node.generators):
                yield node
        elif isinstance(node, ast.Call):
            keeps = isinstance(node.func, ast.Name) and node.func.id in ORDER_KEEPERS
            keeps = keeps or (isinstance(node.func, ast.Attribute) and node.func.attr in ("join", "extend"))
            if keeps and any(is_set(each, names) for each in node.args):
                yield node


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        ("x: set[int]\nfor y in x: pass", True),
        ("for y in {1, 2}: pass", True),
        ("y = list(set(z))", True),
        ("y = [each for each in frozenset(z)]", True),
        ("y = b''.join(set(z))", True),
        ("y = [k for k in a.keys() | b.keys()]", True),
        ("class A:\n  def f(self):\n    self._x: set[int] = set()\n    return tuple(self._x)", True),
        ("def f(x: frozenset[int]):\n  for y in x: pass", True),
        ("x = set(z)\nfor y in x: pass", True),
        ("x: set[int]\nfor y in sorted(x): pass", False),
        ("x: set[int]\ny = sum(each for each in x)", False),
        ("x: set[int]\ny = {each for each in x}", False),
        ("x: list[int]\nfor y in x: pass", False),
    ],
)
def test_the_search_for_set_iterations_finds_them(source, is_found):
    assert bool(list(find_set_iterations(ast.parse(source)))) is is_found


@pytest.mark.parametrize(
    "source", ["x = 1.5", "x = a / b", "x /= 2", "x = float(y)", "def f(x: float): pass", "x = 1e3"]
)
def test_the_search_for_floats_finds_them(source):
    assert list(find_floats(ast.parse(source)))


def test_what_all_nodes_must_agree_on_knows_no_floats():
    places = [place for path in list_modules(*PURE) for place in list_places(path, find_floats(parse(path)))]
    assert places == []


def test_what_all_nodes_must_agree_on_never_depends_on_the_order_of_a_set():
    places = [place for path in list_modules(*PURE) for place in list_places(path, find_set_iterations(parse(path)))]
    assert places == []


def test_what_all_nodes_must_agree_on_calls_nothing_that_differs_between_processes():
    """`hash` of text and bytes is salted, `id` is an address; `input`, `open` and `print` reach outside."""
    forbidden = {"hash", "id", "open", "input", "print", "eval", "exec", "globals", "vars"}
    places = [
        f"{name_of(path)}:{node.lineno} {node.func.id}"
        for path in list_modules(*PURE)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in forbidden
    ]
    assert places == []


def list_undocumented(path: Path) -> Iterator[str]:
    """Public functions and classes, methods included, without a docstring; overloads are told of by what follows."""

    def visit(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith(
                "_"
            ):
                if ast.get_docstring(node) is None and "overload" not in map(ast.unparse, node.decorator_list):
                    yield f"{name_of(path)}:{node.lineno} {prefix}{node.name}"
                if isinstance(node, ast.ClassDef):
                    yield from visit(node.body, f"{node.name}.")

    yield from visit(parse(path).body, "")


def test_everything_public_says_what_it_is():
    assert [each for path in list_modules(*PACKAGES) for each in list_undocumented(path)] == []


def test_every_module_with_code_says_what_it_is_for():
    silent = [
        name_of(path) for path in list_modules(*PACKAGES) if parse(path).body and not ast.get_docstring(parse(path))
    ]
    assert silent == []


def test_no_module_is_named_after_nothing():
    assert [name_of(path) for path in list_modules(*PACKAGES) if path.stem in FORBIDDEN_NAMES] == []


def test_numbers_on_the_wire_and_in_the_store_are_unique():
    """An IntEnum without @unique takes a reused number for an alias."""
    places = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in list_modules(*PACKAGES)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base) == "IntEnum" for base in node.bases)
        and "unique" not in [ast.unparse(decorator) for decorator in node.decorator_list]
    ]
    assert places == []


def test_nothing_is_left_to_do_and_no_complaint_is_silenced_without_a_reason():
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|type: ignore(?!\[)|# noqa(?!:)")
    places = [
        f"{name_of(path)}:{number}"
        for path in list_modules(*PACKAGES)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if unfinished.search(line)
    ]
    assert places == []


def test_no_failure_is_swallowed_whole():
    """A bare except, or one for everything whose body neither raises, logs nor returns what it caught."""
    places = []
    for path in list_modules(*PACKAGES):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = "" if node.type is None else ast.unparse(node.type)
                is_silent = all(isinstance(each, (ast.Pass, ast.Continue)) for each in node.body)
                if not caught or (caught in ("Exception", "BaseException") and is_silent):
                    places.append(f"{name_of(path)}:{node.lineno}")
    assert places == []


def read_pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def list_dependencies(entries: list[str]) -> list[str]:
    return [normalise(re.split(r"[\s;<>=!~\[]", entry, maxsplit=1)[0]) for entry in entries]


def test_every_dependency_is_explained_and_pinned():
    project = read_pyproject()["project"]
    runtime = list_dependencies(project["dependencies"])
    extras = project["optional-dependencies"]
    development = list_dependencies(extras["dev"])
    optional = list_dependencies([*extras["economy"], *extras["spark"]])
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pins = dict(line.split("==") for line in lines if line)
    pinned = {normalise(name) for name in pins}
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = {normalise(row.split("|")[1].strip()) for row in explained.splitlines() if row.startswith("| ")}
    assert set(runtime) | set(development) | set(optional) <= pinned
    assert rows - {"package"} == set(runtime) | set(optional), "the tables list exactly what is needed"
    for name in development:
        assert name.removeprefix("pytest-") in explained, name


def test_what_is_imported_is_declared():
    project = read_pyproject()["project"]
    declared = set(list_dependencies(project["dependencies"]))
    extras = project["optional-dependencies"]
    of_economy = declared | set(list_dependencies([*extras["economy"], *extras["spark"]]))
    undeclared = {}
    for path in list_modules(*PACKAGES):
        for node in ast.walk(parse(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                package = IMPORT_NAMES.get(top, normalise(top))
                allowed = of_economy if path.relative_to(ROOT).parts[0] == "economy" else declared
                if top not in PACKAGES and top not in sys.stdlib_module_names and package not in allowed:
                    undeclared[top] = name_of(path)
    assert undeclared == {}


def test_files_named_in_the_documentation_exist():
    """Paths in back quotes that look like files of this repository."""
    missing = []
    pattern = re.compile(rf"`((?:{'|'.join(PACKAGES)}|docs|tests|bench)/[\w./-]+\.(?:py|md|json|mjs))`")
    for page in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]:
        for named in pattern.findall(page.read_text(encoding="utf-8")):
            if not (ROOT / named).exists():
                missing.append(f"{name_of(page)}: {named}")
    assert missing == []


def test_the_readme_names_the_first_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("make devnet", "make test"):
        assert command in readme


def test_every_target_of_the_makefile_is_explained():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE)
    assert sorted(explained) == sorted(phony.split())


def test_every_setting_stands_in_the_template_with_its_explanation():
    template = format_config(NodeConfig())
    for each in fields(NodeConfig):
        key = each.name.removeprefix(each.metadata["section"] + "_")
        assert f"# {each.metadata['help']}\n{key} = " in template
