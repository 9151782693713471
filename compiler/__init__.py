"""Contracts written in a subset of Python become modules of WebAssembly. See docs/contracts/language.md."""

from compiler.compilation import CompiledContract, compile_source
from compiler.diagnostics import CompileError, Diagnostic

__all__ = ["CompileError", "CompiledContract", "Diagnostic", "compile_source"]
