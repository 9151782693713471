"""The WASM core test-suite against the gate and an engine."""
