"""The operators' port: /livez, /readyz, /metrics (Prometheus) and /version. Keep it away from the public."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass(frozen=True, slots=True)
class Measure:
    """One sample of a metric."""

    name: str
    explanation: str
    value: float
    is_counter: bool = False
    labels: tuple[tuple[str, str], ...] = ()


class OpsSource(Protocol):
    """What the operators' port asks of the node."""

    def why_not_ready(self) -> str | None:
        """One sentence, or None while the node is in step with the chain."""
        ...

    def list_measures(self) -> list[Measure]:
        """Current values of all metrics; samples of one metric stand together."""
        ...

    def get_version(self) -> dict[str, str | int]:
        """Version, chain id, genesis hash."""
        ...


class _Collector:
    def __init__(self, source: OpsSource) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for measure in self._source.list_measures():
            labels = [name for name, _ in measure.labels]
            if measure.name not in families:
                family = CounterMetricFamily if measure.is_counter else GaugeMetricFamily
                families[measure.name] = family(f"carlive_{measure.name}", measure.explanation, labels=labels)
            families[measure.name].add_metric([value for _, value in measure.labels], measure.value)  # type: ignore[attr-defined]
        yield from families.values()


def build_ops_application(source: OpsSource) -> web.Application:
    """The four endpoints."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(source))

    async def get_livez(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def get_readyz(_request: web.Request) -> web.Response:
        reason = source.why_not_ready()
        return web.Response(text="ready\n") if reason is None else web.Response(status=503, text=reason + "\n")

    async def get_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain", charset="utf-8")

    async def get_version(_request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps(source.get_version()), content_type="application/json")

    application = web.Application(client_max_size=1024)
    application.router.add_get("/livez", get_livez)
    application.router.add_get("/readyz", get_readyz)
    application.router.add_get("/metrics", get_metrics)
    application.router.add_get("/version", get_version)
    return application
