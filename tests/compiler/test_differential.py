"""Random programs behave the same under CPython and as WebAssembly: result, failure, storage, events."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compiler.both import Both
from tests.compiler.programs import BITS, programs


def integers(kind: str) -> st.SearchStrategy[int]:
    largest = (1 << BITS[kind]) - 1
    return st.sampled_from([0, 1, 2, 3, 4, 7, largest // 2, largest - 1, largest]) | st.integers(0, largest)


ARGUMENTS = st.tuples(
    *(integers(kind) for kind in BITS),
    st.booleans(),
    st.binary(max_size=40),
    st.lists(integers("u64"), max_size=5),
    st.none() | integers("u32"),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), st.lists(ARGUMENTS, min_size=1, max_size=4))
def test_random_programs_show_the_same_on_both_sides(source, calls):
    both = Both(source)
    both.run("create", b"stored")
    for arguments in calls:
        both.run("run", *arguments)
