"""Logs: one line an event, JSON or readable, each component at its own level."""

import io
import json
import logging

import pytest
import structlog

from node.logs import LEVELS, configure_logs, get_logger


@pytest.fixture(autouse=True)
def restore():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_has_component_level_time_and_fields():
    stream = io.StringIO()
    configure_logs({"default": "info"}, "json", stream)
    get_logger("p2p").info("joined", peer="a\nb", height=3)
    (entry,) = lines(stream)
    timestamp = entry.pop("timestamp")
    assert timestamp.endswith("Z")
    assert entry == {"component": "p2p", "event": "joined", "height": 3, "level": "info", "peer": "a\nb"}
    assert stream.getvalue().count("\n") == 1, "a peer's text begins no line of its own"


def test_auto_is_json_unless_somebody_watches():
    for stream, is_json in [(io.StringIO(), True), (Terminal(), False)]:
        structlog.reset_defaults()
        configure_logs({}, "auto", stream)
        get_logger("node").info("running", height=3)
        assert stream.getvalue().startswith("{") is is_json
        assert "running" in stream.getvalue()


def test_pretty_is_readable_anywhere():
    stream = io.StringIO()
    configure_logs({}, "pretty", stream)
    get_logger("node").warning("careful")
    assert "careful" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("level", LEVELS)
def test_a_component_has_its_own_level(level):
    stream = io.StringIO()
    configure_logs({"default": "error", "consensus": level}, "json", stream)
    loud, quiet = get_logger("consensus"), get_logger("other")
    for name in LEVELS:
        getattr(loud, name)(name)
        getattr(quiet, name)(name)
    heard = [(entry["component"], entry["event"]) for entry in lines(stream)]
    expected = [("consensus", name) for name in LEVELS if LEVELS[name] >= LEVELS[level]]
    assert [each for each in heard if each[0] == "consensus"] == expected
    assert [each for each in heard if each[0] == "other"] == [("other", "error")]


def test_a_component_may_be_quieter_than_the_rest():
    stream = io.StringIO()
    configure_logs({"default": "debug", "p2p": "error"}, "json", stream)
    get_logger("p2p").warning("lost in the noise")
    get_logger("rpc").debug("heard")
    assert [entry["event"] for entry in lines(stream)] == ["heard"]


def test_without_levels_info_is_the_default():
    stream = io.StringIO()
    configure_logs({}, "json", stream)
    get_logger("node").debug("no")
    get_logger("node").info("yes")
    assert [entry["event"] for entry in lines(stream)] == ["yes"]


def test_an_exception_stands_in_its_line():
    stream = io.StringIO()
    configure_logs({}, "json", stream)
    try:
        raise ValueError("inner")
    except ValueError:
        get_logger("node").exception("failed")
    (entry,) = lines(stream)
    assert "ValueError: inner" in entry["exception"]
