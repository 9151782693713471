"""Contracts: the gate that checks and instruments WASM, the engine that runs it, and what it may ask the host."""
