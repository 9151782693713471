"""Random modules against the gate, with wasmtime's own validator as the second opinion."""
