"""Logs: readable lines on a terminal, JSON otherwise; one logger per component, each with a level of its own."""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(levels: Mapping[str, str], style: str, stream: TextIO | None = None) -> None:
    """Set up once per process. `levels` maps component (or "default") to a level; style is auto, pretty or json."""
    stream = stream or sys.stderr
    pretty = style == "pretty" or (style == "auto" and stream.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    thresholds = {component: LEVELS[level] for component, level in levels.items()}
    default = thresholds.get("default", LEVELS["info"])

    def drop_quiet(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        threshold = thresholds.get(event.get("component", ""), default)
        if LEVELS.get(method, 50) < threshold:
            raise structlog.DropEvent
        return event

    structlog.configure(
        processors=[
            drop_quiet,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(min([default, *thresholds.values()])),
        logger_factory=structlog.PrintLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


def get_logger(component: str) -> Any:
    """The logger of a component."""
    return structlog.get_logger(component=component)
