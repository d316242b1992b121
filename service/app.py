"""The wiring, and the only place that knows every part, from top to bottom: foundation, feed, backends, work, tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import aiohttp
import structlog
from litestar import HttpMethod, Litestar, route
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.events import BaseEventEmitterBackend
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.params import FromPath

from service import VERSION
from service.access.guard import Gate
from service.access.password import OwnerPassword
from service.access.routes import routes as access_routes
from service.access.sessions import Sessions
from service.backends.registry import Registry
from service.backends.routes import routes as backends_routes
from service.error_responses import EXCEPTION_HANDLERS
from service.errors import NotFound
from service.feed_sources import readers, snapshot
from service.first_backend import add_first_backend, demo_server
from service.foundation import Foundation, laid
from service.invokeai.client import InvokeClient
from service.library import bulk_actions
from service.library.arrivals import Arrivals
from service.library.bulk import Bulk
from service.library.bulk_routes import routes as bulk_routes
from service.library.file_routes import routes as file_routes
from service.library.integrity import Integrity
from service.library.photo_pass import PhotoPass
from service.library.renditions import Renditions
from service.library.routes import routes as library_routes
from service.library.search_index import SearchIndex
from service.library.thumbnail_source import ThumbnailSource
from service.library.thumbnails import Thumbnails
from service.library.trash import Trash
from service.live.announce import Announcer
from service.live.hub import Hub
from service.live.position import FeedPosition
from service.live.previews import Previews
from service.live.routes import Snapshots
from service.live.routes import routes as live_routes
from service.media.imaging import Imaging
from service.operations.docs import DocsPage
from service.operations.docs import routes as docs_routes
from service.operations.health import routes as health_routes
from service.operations.metrics import Requests
from service.operations.metrics import routes as metrics_routes
from service.operations.openapi import SECURITY, CommonAnswers
from service.operations.readiness import Readiness
from service.operations.status import routes as status_routes
from service.request_body import StrictRequest
from service.retrieval.sweep import Sweep
from service.retrieval.worker import Retrieval
from service.settings import Settings
from service.studio.models import ModelCache
from service.studio.routes import routes as studio_routes
from service.studio.submit import Submitter
from service.supervisor import Supervisor
from service.uploads.intake import Uploads
from service.uploads.routes import routes as upload_routes
from service.web import COMPRESSED, WebUI
from service.web import routes as web_routes

log = structlog.get_logger()

LARGEST_BODY: Final = 2 * 2**20
DRAIN_SECONDS: Final = 5.0
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

ROUTES: Final = [
    *live_routes,
    *library_routes,
    *upload_routes,
    *bulk_routes,
    *file_routes,
    *studio_routes,
    *backends_routes,
    *status_routes,
    *access_routes,
    *health_routes,
    *metrics_routes,
    *docs_routes,
    *web_routes,
]
PROVIDED: Final = (
    "announcer",
    "bulk",
    "database",
    "hub",
    "imaging",
    "integrity",
    "model_cache",
    "photo_pass",
    "previews",
    "readiness",
    "registry",
    "renditions",
    "requests",
    "retrieval",
    "runtime_settings",
    "search_index",
    "sessions",
    "settings",
    "snapshots",
    "started_at",
    "storage",
    "submitter",
    "supervisor",
    "thumbnail_source",
    "thumbnails",
    "trash",
    "uploads",
    "web_ui",
)
"""What handlers may ask for by name; all of it is in the app's state while the app is open."""


def create_app(settings: Settings, *, demo: bool = False, give_up: Callable[[str], None] = log.critical) -> Litestar:
    """The whole service, still asleep: entering its lifespan opens everything, or raises StartupError.

    `demo` runs the demo InvokeAI inside; `give_up` is called with the reason when the service cannot go on.
    """
    requests, gate = Requests(), Gate(settings.host_names)
    return Litestar(
        route_handlers=[*ROUTES, nothing_here],
        lifespan=[partial(opened, settings=settings, demo=demo, give_up=give_up)],
        state=State({"settings": settings, "requests": requests}),
        dependencies={name: provided(name) for name in PROVIDED},
        middleware=[requests, gate, FeedPosition()],
        exception_handlers={
            **EXCEPTION_HANDLERS,
            NotFoundException: gate.answer_unrouted,
            MethodNotAllowedException: gate.answer_unrouted,
        },
        compression_config=CompressionConfig(
            backend="gzip",
            gzip_compress_level=3,
            exclude=[r"/(file|thumbnail|archive)$", r"^/api/v1/previews/"],  # pictures do not shrink
            exclude_opt_key=COMPRESSED,
        ),
        openapi_config=OpenAPIConfig(
            title="Darkroom",
            version=VERSION,
            description="The live photo gallery for InvokeAI.",
            path="/api/docs",
            render_plugins=[DocsPage()],
            use_handler_docstrings=True,
            components=SECURITY,
        ),
        plugins=[CommonAnswers()],
        request_class=StrictRequest,
        request_max_body_size=LARGEST_BODY,
        event_emitter_backend=NoEvents,
        logging_config=None,
    )


class NoEvents(BaseEventEmitterBackend):
    """We emit none. The usual one runs a task group around the lifespan, which wraps every StartupError in a group."""

    async def __aexit__(self, *_: object) -> None:
        return None

    def emit(self, event_id: str, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("events are not used")


def provided(name: str) -> Provide:
    def provide(state: State) -> Any:
        return state[name]

    return Provide(provide, sync_to_thread=False)


@route(
    ["/api", "/api/{path:path}"],
    http_method=[HttpMethod.GET, HttpMethod.HEAD, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE],
    include_in_schema=False,
    sync_to_thread=False,
)
def nothing_here(path: FromPath[str] = "") -> None:
    """Whatever else is asked of the API."""
    raise NotFound(f"there is nothing at /api{path}")


@asynccontextmanager
async def opened(
    app: Litestar, *, settings: Settings, demo: bool, give_up: Callable[[str], None]
) -> AsyncIterator[None]:
    """Everything that lives as long as the service: opened in order, closed in reverse."""
    began = time.monotonic()
    async with AsyncExitStack() as closing:
        foundation = await closing.enter_async_context(laid(settings, give_up))
        database, storage, supervisor = foundation.database, foundation.storage, foundation.supervisor

        readiness = Readiness(database, storage)
        closing.push_async_callback(readiness.close)

        # Who may come in, and who watches.
        secret = settings.password
        sessions = Sessions(database, await asyncio.to_thread(OwnerPassword, secret)) if secret is not None else None
        hub = Hub(VERSION)
        closing.callback(hub.close)
        previews = Previews()
        announcer = Announcer(hub, readers(database, lambda: registry, lambda: thumbnails))

        # The InvokeAI servers.
        http = await closing.enter_async_context(_http())
        registry = Registry(
            database=database,
            hub=hub,
            announcer=announcer,
            previews=previews,
            supervisor=supervisor,
            http=http,
            timeout=settings.invokeai_timeout,
        )

        # What is done with them.
        imaging = Imaging(settings.max_pixels)
        closing.callback(imaging.close)
        thumbnails = Thumbnails()
        trash = Trash(database, storage, thumbnails, announcer)
        model_cache = ModelCache(database, registry, announcer)
        submitter = Submitter(database, registry, announcer, model_cache)
        closing_down = asyncio.Event()
        retrieval = Retrieval(
            database,
            storage,
            imaging,
            partial(_client, registry),
            lambda: [] if closing_down.is_set() else registry.reachable(),
            announcer=announcer,
            limits=lambda: foundation.runtime_settings.current,
            workers=settings.retrieval_workers,
        )
        integrity = Integrity(database, storage, thumbnails, announcer, wake_retrieval=retrieval.wake)
        uploads = Uploads(
            database,
            storage,
            imaging,
            integrity,
            announcer,
            limits=lambda: foundation.runtime_settings.current,
            max_bytes=settings.max_upload_bytes,
            max_frames=settings.max_frames,
        )
        renditions = await closing.enter_async_context(
            Renditions(
                database,
                storage,
                imaging,
                integrity,
                thumbnails,
                announcer,
                quality=lambda: foundation.runtime_settings.current.thumbnail_quality,
                keeps_large=lambda: foundation.runtime_settings.current.large_renditions,
            )
        )
        thumbnail_source = await closing.enter_async_context(
            ThumbnailSource(database, storage, thumbnails, integrity, renditions)
        )

        def busy() -> bool:
            return retrieval.in_flight > 0 or bool(uploads.running)

        arrivals = Arrivals(renditions, busy=busy)
        bulk = Bulk(database, announcer, trash, retrieval.wake)
        photo_pass = PhotoPass(
            database,
            integrity,
            renditions,
            announcer,
            busy=busy,
            patrol_days=lambda: foundation.runtime_settings.current.patrol_days,
        )
        search_index = SearchIndex(database)

        _listen_to_each_other(registry, retrieval, model_cache, submitter, arrivals, uploads)

        # Long-running and periodic work.
        supervisor.start("announcer", announcer.run)
        supervisor.start("backend states", registry.run)
        supervisor.start("model cache", model_cache.run)
        supervisor.start("submission", submitter.run)
        supervisor.start("retrieval", retrieval.run)
        supervisor.start("large renditions", arrivals.run)
        supervisor.start("photo pass", photo_pass.run)
        supervisor.start("search index", search_index.run)
        sweep = Sweep(database, storage, retrieval.wake, uploads.running)
        supervisor.every("retrieval sweep", MINUTE, sweep.run, at_once=True)
        supervisor.every("failed retrievals", HOUR, retrieval.retry_daily)
        supervisor.every("readiness", MINUTE, readiness.watch, at_once=True)
        supervisor.every("model refresh", DAY, model_cache.refresh_connected)
        supervisor.every("trash purge", HOUR, partial(_purge, foundation, trash), at_once=True)
        supervisor.every("undo sweep", HOUR, partial(bulk_actions.forget, database), at_once=True)
        if sessions is not None:
            supervisor.every("session sweep", DAY, sessions.sweep, at_once=True)

        # Last, what brings events and photos in: it also ends first.
        server = await closing.enter_async_context(demo_server(settings)) if demo else None
        await add_first_backend(settings, server, database)
        closing.push_async_callback(_wind_down, registry, retrieval, closing_down, supervisor)
        await registry.reload()

        app.state.update(
            announcer=announcer,
            bulk=bulk,
            database=database,
            hub=hub,
            imaging=imaging,
            integrity=integrity,
            model_cache=model_cache,
            photo_pass=photo_pass,
            previews=previews,
            readiness=readiness,
            registry=registry,
            renditions=renditions,
            retrieval=retrieval,
            runtime_settings=foundation.runtime_settings,
            search_index=search_index,
            sessions=sessions,
            snapshots=Snapshots(partial(snapshot, database, hub, registry)),
            started_at=datetime.now(UTC),
            storage=storage,
            submitter=submitter,
            supervisor=supervisor,
            thumbnail_source=thumbnail_source,
            thumbnails=thumbnails,
            trash=trash,
            uploads=uploads,
            web_ui=WebUI(),
        )
        log.info("open", seconds=round(time.monotonic() - began, 3))
        yield


def _listen_to_each_other(
    registry: Registry,
    retrieval: Retrieval,
    model_cache: ModelCache,
    submitter: Submitter,
    arrivals: Arrivals,
    uploads: Uploads,
) -> None:
    registry.reconnected.listen(retrieval.reconnected)
    registry.reconnected.listen(model_cache.connected)
    registry.reconnected.listen(lambda _: submitter.wake())
    registry.photos_recorded.listen(lambda _: retrieval.wake())
    registry.batch_seen.listen(submitter.batch_seen)
    registry.models_changed.listen(model_cache.changed)
    registry.missing_confirmed.listen(retrieval.confirmed)
    retrieval.trouble.listen(registry.show_trouble)
    retrieval.gone.listen(registry.status_changed)
    retrieval.came_home.listen(arrivals.add)
    uploads.added.listen(arrivals.add)


async def _wind_down(
    registry: Registry, retrieval: Retrieval, closing_down: asyncio.Event, supervisor: Supervisor
) -> None:
    """No more comes in; what is being downloaded has some seconds to finish, and is given back before the connections
    that it comes over close."""
    closing_down.set()
    await registry.stop()
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while retrieval.in_flight:  # noqa: ASYNC110 - a few looks at the very end
                await asyncio.sleep(0.05)
    except TimeoutError:
        log.info("downloads are broken off, and begun again at the next start", photos=retrieval.in_flight)
    await supervisor.stop("retrieval")


@asynccontextmanager
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    """One session for everything asked of InvokeAI; timeouts are its client's."""
    connector = aiohttp.TCPConnector(limit=64, limit_per_host=16, keepalive_timeout=30)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, read_bufsize=2**20) as session:
        yield session


def _client(registry: Registry, backend_id: UUID) -> InvokeClient | None:
    """None as well for a server that was not recognised since its connection was lost."""
    connection = registry.get(backend_id)
    return connection.client if connection is not None and connection.state == "connected" else None


async def _purge(foundation: Foundation, trash: Trash) -> None:
    days = foundation.runtime_settings.current.trash_days
    if days:
        await trash.empty_older_than(days)
