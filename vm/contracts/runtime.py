"""Puts together what a node runs contracts with."""

from ledger.primitives import ChainId
from vm.contracts.calls import Runtime
from vm.contracts.engine import Engine, RunOnStack
from vm.contracts.host import HOST_FUNCTIONS
from vm.contracts.native_bridge import build_natives
from vm.native import accounts, governance, iov, network_calls, staking

CALLABLE_MODULES = (accounts.MODULE, iov.MODULE, network_calls.MODULE, staking.MODULE, governance.MODULE)
"""Native modules that contracts may use; each other they call through the host, not through the module `contracts`."""


def build_runtime(chain_id: ChainId, run_on_stack: RunOnStack) -> Runtime:
    """Costs little: the engine itself starts with the first contract."""
    return Runtime(chain_id, Engine(run_on_stack, HOST_FUNCTIONS), build_natives(CALLABLE_MODULES))
