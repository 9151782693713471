"""A bounded number of random modules; `python -m tests.wasm_fuzz --minutes N` runs more."""

import random
from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wasm_fuzz.generator import Generator, draw_module, load_seeds, mutate
from tests.wasm_fuzz.oracle import Oracle

FEW = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
cached_seeds = cache(load_seeds)
cached_oracle = cache(Oracle)


@FEW
@given(st.integers(0, 2**32))
def test_generated_modules_are_accepted_and_end(seed: int) -> None:
    checked = cached_oracle().check(Generator(random.Random(seed)).build())
    assert checked.kind is None


@FEW
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_changed_modules_are_judged_as_wasmtime_judges_them(first: int, second: int) -> None:
    draw = random.Random(first)
    seeds = cached_seeds()
    code = mutate(draw, seeds[second % len(seeds)], draw.choice(seeds))
    assert cached_oracle().check(code).seconds < 1


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_are_judged_as_wasmtime_judges_them(tail: bytes) -> None:
    cached_oracle().check(b"\0asm\x01\0\0\0" + tail)
    cached_oracle().check(tail)


def test_the_same_draw_gives_the_same_module() -> None:
    seeds = cached_seeds()
    drawn = [[draw_module(random.Random(seed), seeds) for seed in range(40)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 30
