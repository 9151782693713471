"""The ring of frozen states: how long each is kept, and who closes it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.leveldb_store import LevelDbStore
from node.state_views import VIEWS_MAX, StateViews, StoreClosedError
from tests.builders import Draft, address_of, make_key, transfer
from tests.chains import SmallChain
from vm.native.iov import get_balance

ALICE = make_key("alice")
A, B = address_of(ALICE), address_of(make_key("bob"))


@pytest.fixture
def small() -> SmallChain:
    return SmallChain({A: 10**12})


def add_blocks(small: SmallChain, views: StateViews, count: int) -> None:
    for _ in range(count):
        small.add_block(
            [Draft(ALICE, [transfer(B, 1)], sequence=small.chain.head.header.height, valid_until=999).sign()]
        )
        views.add_head()


def read(views: StateViews, height: int | None) -> tuple[int, int]:
    with views.open(height) as view:
        return view.head.header.height, get_balance(view, B)


def test_each_height_shows_its_own_state(small):
    views = StateViews(small.chain)
    add_blocks(small, views, 3)
    assert [read(views, height) for height in (0, 1, 2, 3, None)] == [(0, 0), (1, 1), (2, 2), (3, 3), (3, 3)]
    assert views.earliest_height == 0
    views.close()


def test_only_the_last_ones_are_kept(small):
    views = StateViews(small.chain)
    add_blocks(small, views, VIEWS_MAX)
    assert views.earliest_height == 1
    for height in (0, -1, VIEWS_MAX + 1):
        with pytest.raises(KeyError), views.open(height):
            pass
    assert read(views, 1) == (1, 1)
    views.close()


def test_a_reader_keeps_its_view_past_its_time(small):
    views = StateViews(small.chain)
    with views.open(0) as view:
        add_blocks(small, views, VIEWS_MAX + 1)
        assert views.earliest_height > 0
        assert get_balance(view, B) == 0
    with pytest.raises(AssertionError, match="closed"):
        view.get(b"anything")
    views.close()


def test_a_view_is_closed_when_the_last_of_several_readers_is_done(small):
    views = StateViews(small.chain)
    first, second = views.open(0), views.open(0)
    view = first.__enter__()
    assert second.__enter__() is view
    views.close()
    first.__exit__(None, None, None)
    assert get_balance(view, A) == 10**12
    second.__exit__(None, None, None)
    with pytest.raises(AssertionError, match="closed"):
        view.get(b"anything")


def test_a_failing_reader_lets_go_too(small):
    views = StateViews(small.chain)
    with pytest.raises(ZeroDivisionError), views.open(None) as view:
        raise ZeroDivisionError
    assert views._views[0].holders == 1
    assert get_balance(view, B) == 0
    views.close()


def test_after_close_nothing_can_be_read_and_that_is_said(small):
    views = StateViews(small.chain)
    add_blocks(small, views, 2)
    views.close()
    for height in (None, 0, 2):
        with pytest.raises(StoreClosedError), views.open(height):
            pass
    assert views.earliest_height == 2
    views.close()


def test_a_restart_begins_anew_at_the_head(small):
    views = StateViews(small.chain)
    add_blocks(small, views, 2)
    views.restart()
    assert views.earliest_height == 2
    assert read(views, None) == (2, 2)
    with pytest.raises(KeyError), views.open(1):
        pass
    views.close()


def test_readers_in_threads_see_whole_states_while_blocks_come(tmp_path: Path):
    store = LevelDbStore(tmp_path / "data")
    small = SmallChain({A: 10**12}, store=store)
    views = StateViews(small.chain)

    def look(_number: int) -> bool:
        height, balance = read(views, None)
        return height == balance

    with ThreadPoolExecutor(4) as readers:
        looks = [readers.submit(look, number) for number in range(200)]
        add_blocks(small, views, 30)
        assert all(each.result(10) for each in looks)
    views.close()
    store.close()
