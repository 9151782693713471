"""The example contracts: they compile, stay small, and what their own tests do holds as WebAssembly too."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from compiler import compile_source
from contracts.escrow import test_escrow
from contracts.membership import test_membership
from contracts.service_credits import test_service_credits
from contracts.token import test_token
from contracts.vehicle_log import test_vehicle_log
from contracts.vote import test_vote
from iov import Address, HostError, RevertError
from iov.packing import to_plain
from iov.testing import Chain
from tests.compiler.chain_host import ChainInstance
from tests.compiler.wasm_host import Instance, Refused, Reverted, World

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted(path for path in ROOT.glob("contracts/*/*.py") if path.stem == path.parent.name)
CODE_BYTES_MAX = {"token": 4_000, "service_credits": 7_000}
"""What is measured, and some room; any other example has at most 5,000."""

for module in (test_token, test_membership, test_escrow, test_service_credits, test_vehicle_log, test_vote):
    for name, each in list(vars(module).items()):
        if name.startswith("test_"):
            assert name not in globals(), f"{name} stands in two files: one would hide the other"
            globals()[name] = each


@pytest.fixture(autouse=True)
def also_run_as_wasm(monkeypatch):
    """Every outermost call also runs as WebAssembly, from the same state, and must show the same."""
    instances = {}
    enter = Chain.enter

    def enter_both(chain, signer, caller, address, name, arguments, value_grains, *, is_view):
        if chain.is_running():
            return enter(chain, signer, caller, address, name, arguments, value_grains, is_view=is_view)
        contract = type(chain.get_contract(address))
        if contract not in instances:
            path = Path(sys.modules[contract.__module__].__file__)
            compiled = compile_source(path.read_text(encoding="utf-8"), str(path))
            instances[contract] = Instance(compiled), ChainInstance(compiled)
        world = _build_world(chain, signer, caller, address, value_grains)
        events_before = len(chain.events)
        result, failure = None, None
        try:
            result = enter(chain, signer, caller, address, name, arguments, value_grains, is_view=is_view)
        except (RevertError, HostError) as error:
            failure = error
        if isinstance(failure, HostError) and failure.reason in ("NOT_PAYABLE", "NO_SUCH_METHOD"):
            raise failure
        if value_grains > chain.balance(caller) and failure is not None:
            raise failure
        _pay(world, bytes(caller), bytes(address), value_grains)
        events = [
            (type(each.event).__name__, [to_plain(getattr(each.event, part)) for part in each.event.__slots__])
            for each in chain.events[events_before:]
        ]
        bare, on_chain = instances[contract]
        for instance in [bare, *([on_chain] if world.signer_did is None else [])]:  # the chain has no DIDs yet
            tried = deepcopy(world)
            seen, wasm_failure = None, None
            try:
                seen = instance.run(tried, name, [to_plain(each) for each in arguments])
            except (Reverted, Refused) as error:
                wasm_failure = error
            assert _get_reason(wasm_failure) == _get_reason(failure)
            assert seen == to_plain(result)
            if failure is None:
                assert tried.storage == chain.get_storage(address)
                assert tried.balances == {each: chain.balance(Address(each)) for each in tried.balances}
                assert tried.events == events
        if failure is not None:
            raise failure
        return result

    monkeypatch.setattr(Chain, "enter", enter_both)


def _build_world(chain, signer, caller, address, value_grains):
    return World(
        address=bytes(address),
        caller=bytes(caller),
        signer=bytes(signer),
        signer_did=chain.get_did(signer),
        value=value_grains,
        height=int(chain.height),
        time_ms=int(chain.time_ms),
        epoch=int(chain.epoch),
        chain_id=chain.chain_id,
        transaction_id=chain.transaction_id(),
        balances={bytes(each): grains for each, grains in chain.list_balances().items()},
        storage=dict(chain.get_storage(address)),
    )


def _pay(world, sender, recipient, grains):
    if grains:
        world.balances[sender] -= grains
        world.balances[recipient] = world.balances.get(recipient, 0) + grains


def _get_reason(failure):
    return None if failure is None else getattr(failure, "reason", None) or int(failure.code)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_compiles_to_little_code(path):
    code = compile_source(path.read_text(encoding="utf-8"), str(path)).code
    assert len(code) <= CODE_BYTES_MAX.get(path.stem, 5_000)


def test_the_smallest_contract_has_less_than_2_kb():
    source = (
        "from iov import Contract, Var, call, init, u64, view\n"
        "class Counter(Contract):\n"
        "    count: Var[u64]\n"
        "    @init\n    def create(self) -> None:\n        self.count = u64(0)\n"
        "    @call\n    def increment(self) -> None:\n        self.count += 1\n"
        "    @view\n    def get(self) -> u64:\n        return self.count\n"
    )
    assert len(compile_source(source, "counter.py").code) < 1_000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_same_source_gives_the_same_bytes_in_every_process(path):
    program = (
        "import sys, pathlib, hashlib, compiler\n"
        "source = pathlib.Path(sys.argv[1]).read_text(encoding='utf-8')\n"
        "print(hashlib.sha256(compiler.compile_source(source, 'contract.py').code).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(digests) == 1
