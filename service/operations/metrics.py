"""Metrics in Prometheus's format."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from litestar import Response, route
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.api.openapi import READING
from service.api.resources import Backend
from service.backends.registry import Registry
from service.backends.resources import resources
from service.database.engine import Database
from service.live.hub import Hub
from service.runtime.supervisor import Supervisor

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Requests:
    """Counts and times of HTTP requests by route template, so that no path of a client's choosing becomes a label."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        labels = ("method", "route")
        self._seconds = Histogram(
            "darkroom_request_seconds", "Time to the last byte.", labels, buckets=BUCKETS, registry=self.registry
        )
        self._answers = Counter("darkroom_requests", "Requests answered.", (*labels, "status"), registry=self.registry)

    def observe(self, method: str, template: str, status: int, seconds: float) -> None:
        self._seconds.labels(method, template).observe(seconds)
        self._answers.labels(method, template, str(status)).inc()


class ObserveRequests(ASGIMiddleware):
    """Observes each HTTP request, to its last byte, in the `requests` of the app's state."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["type"] != ScopeType.HTTP:
            await next_app(scope, receive, send)
            return
        status = 0
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await next_app(scope, receive, sending)
        finally:
            requests: Requests = scope["litestar_app"].state["requests"]
            requests.observe(scope["method"], scope["path_template"], status, time.perf_counter() - began)


class _Snapshot:
    """Collects feed, tasks and backends at one scrape."""

    def __init__(self, hub: Hub, supervisor: Supervisor, backends: Sequence[Backend]) -> None:
        self._hub = hub
        self._supervisor = supervisor
        self._backends = backends

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("darkroom_feed_clients", "Browsers on the live feed.", self._hub.client_count)
        yield CounterMetricFamily("darkroom_feed_messages", "Durable feed messages.", self._hub.seq)
        running = GaugeMetricFamily("darkroom_task_failing", "1 when a task's last run failed.", labels=["task"])
        restarts = CounterMetricFamily("darkroom_task_restarts", "Times a task was run again.", labels=["task"])
        for report in self._supervisor.report():
            running.add_metric([report.name], float(report.last_result == "failed"))
            restarts.add_metric([report.name], report.restarts)
        yield from (running, restarts)
        connected = GaugeMetricFamily("darkroom_backend_connected", "1 while its socket is up.", labels=["backend"])
        photos = GaugeMetricFamily("darkroom_photos", "Photos a backend made.", labels=["backend", "state"])
        queue = GaugeMetricFamily("darkroom_queue_items", "A backend's queue items.", labels=["backend", "state"])
        for backend in self._backends:
            name, ledger = str(backend.id), backend.ledger
            connected.add_metric([name], float(backend.state == "connected"))
            for state in ("retrieved", "waiting", "failed", "gone"):
                photos.add_metric([name, state], getattr(ledger, state))
            queue.add_metric([name, "pending"], backend.queue.pending)
            queue.add_metric([name, "in_progress"], backend.queue.in_progress)
        yield from (connected, photos, queue)


@route("/metrics", http_method=READING, include_in_schema=False)
async def metrics(
    requests: NamedDependency[Requests],
    hub: NamedDependency[Hub],
    supervisor: NamedDependency[Supervisor],
    database: NamedDependency[Database],
    registry: NamedDependency[Registry],
) -> Response[bytes]:
    """Metrics of requests, feed, tasks, backends and the process."""
    state = CollectorRegistry()
    state.register(_Snapshot(hub, supervisor, await resources(database, registry)))
    text = generate_latest(requests.registry) + generate_latest(state)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


routes = [metrics]
