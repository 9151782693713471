"""The operators' port: /livez, /readyz, /metrics (Prometheus) and /version. Keep it away from the public."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rpc.connections import GuardedServer
from rpc.settings import RpcSettings

CONNECTIONS_MAX: Final = 64  # monitors, not the public
IDLE_SECONDS_MAX: Final = 120.0  # a monitor that asks every minute keeps its connection
STOP_SECONDS_MAX: Final = 1.0


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


class OpsServer:
    """Serves the four endpoints behind the same guards as RPC: deadlines, caps on connections, nothing to upload."""

    def __init__(self, source: OpsSource, host: str, port: int) -> None:
        self._source = source
        self._settings = RpcSettings(
            host=host,
            port=port,
            connections_max=CONNECTIONS_MAX,
            connections_per_address_max=CONNECTIONS_MAX,
            idle_seconds_max=IDLE_SECONDS_MAX,
        )
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(source))
        self._guarded: GuardedServer | None = None
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        assert self._listener is not None, "start it first"
        return int(self._listener.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        self._guarded = GuardedServer(self._handle, self._settings)
        self._listener = await asyncio.get_running_loop().create_server(
            self._guarded, self._settings.host, self._settings.port
        )

    async def stop(self) -> None:
        """Close every connection."""
        if self._listener is None or self._guarded is None:
            return
        self._listener.close()
        self._guarded.pre_shutdown()
        await self._guarded.shutdown(STOP_SECONDS_MAX)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="GET only\n", headers={"Allow": "GET"})
        match request.path:
            case "/livez":
                return web.Response(text="alive\n")
            case "/readyz":
                reason = self._source.why_not_ready()
                return web.Response(text="ready\n") if reason is None else web.Response(status=503, text=reason + "\n")
            case "/metrics":
                return web.Response(body=generate_latest(self._registry), content_type="text/plain", charset="utf-8")
            case "/version":
                return web.Response(body=orjson.dumps(self._source.get_version()), content_type="application/json")
            case _:
                return web.Response(status=404, text="there are /livez, /readyz, /metrics and /version\n")
