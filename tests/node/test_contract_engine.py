"""The thread that contracts run on, and the try-out of the engine before a node starts."""

import sys
import threading

import pytest

import node.engine_check as engine_check
from node.contract_stack import ContractStack
from node.errors import ConfigurationError
from vm.contracts.engine import STACK_BYTES


def test_a_function_runs_on_one_thread_of_its_own_and_its_answer_comes_back():
    stack = ContractStack()
    threads = [stack.run(threading.current_thread) for _ in range(2)]
    assert threads[0] is threads[1] is not threading.current_thread()
    assert stack.run(lambda: stack.run(lambda: 7)) == 7, "from the thread itself it is an ordinary call"


def test_what_a_function_raises_comes_back_too():
    failure = KeyError("x")

    def fail() -> None:
        raise failure

    stack = ContractStack()
    with pytest.raises(KeyError) as caught:
        stack.run(fail)
    assert caught.value is failure
    assert stack.run(lambda: 1) == 1


def test_the_thread_ends_with_its_object():
    stack = ContractStack()
    thread = stack.run(threading.current_thread)
    del stack
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_other_threads_keep_their_own_stack_size():
    before = threading.stack_size()
    ContractStack().run(lambda: None)
    assert threading.stack_size() == before != STACK_BYTES


async def test_the_installed_engine_works():
    await engine_check.check_engine()
    engine_check.probe_engine()


async def test_an_engine_that_ends_its_process_keeps_the_node_from_starting(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho panicked: no such thing\nkill -ABRT $$\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(ConfigurationError, match=r"engine does not work here \(panicked: no such thing\): install"):
        await engine_check.check_engine()
