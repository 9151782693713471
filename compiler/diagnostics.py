"""What is wrong with a source, and where."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

SHOWN_CHARACTERS_MAX: Final = 200  # of a source line: what a terminal shows of it


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: line and column count from 1."""

    path: str
    line: int
    column: int
    source_line: str
    message: str
    advice: str
    """What to write instead; may be empty."""

    def __str__(self) -> str:
        caret = " " * (min(self.column, SHOWN_CHARACTERS_MAX + 1) - 1) + "^"
        advice = f"\n    {self.advice}" if self.advice else ""
        return f"{self.path}:{self.line}:{self.column}: {self.message}\n    {self.source_line}\n    {caret}{advice}"


class CompileError(ValueError):
    """The source is not a contract; `diagnostics` has every mistake that was found, in the order of the source."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("\n".join(str(each) for each in diagnostics))
        self.diagnostics = diagnostics


class Mistake(Exception):
    """Ends the work on one statement or declaration; `Mistakes.collect` takes it and goes on with the next."""

    def __init__(self, node: ast.AST, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.advice = advice


class Consequence(Exception):
    """The cause has been told already."""


class Mistakes:
    """Collects the mistakes of one source."""

    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._lines = source.splitlines()
        self._found: list[Diagnostic] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Note the mistake that ends the block, and go on behind it."""
        try:
            yield
        except Mistake as mistake:
            self.add(mistake)
        except Consequence:
            pass

    def add(self, mistake: Mistake) -> None:
        """Note a mistake."""
        line = getattr(mistake.node, "lineno", 1)
        offset = getattr(mistake.node, "col_offset", 0)
        self.add_at(line, offset, mistake.message, mistake.advice)

    def add_at(self, line: int, offset_bytes: int, message: str, advice: str = "") -> None:
        """Note a mistake at a line, from 1, and an offset in UTF-8 bytes."""
        text = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        column = len(text.encode()[:offset_bytes].decode(errors="replace")) + 1
        shown = text.replace("\t", " ")[:SHOWN_CHARACTERS_MAX]
        found = Diagnostic(self._path, line, column, shown, message, advice)
        if found not in self._found:
            self._found.append(found)

    def raise_if_any(self) -> None:
        """Raise CompileError with what was found."""
        if self._found:
            raise CompileError(sorted(self._found, key=lambda each: (each.line, each.column)))
