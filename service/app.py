"""The wiring, the only place that knows every part: infrastructure, feed, backends, work, tasks, in this order."""

from __future__ import annotations

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
from litestar.openapi.spec import Server
from litestar.params import FromPath

from service import VERSION
from service.access.guard import AuthMiddleware
from service.access.origin import OwnNames
from service.access.routes import routes as access_routes
from service.access.sessions import open_sessions
from service.api.docs import DocsPage
from service.api.docs import routes as docs_routes
from service.api.error_answers import EXCEPTION_HANDLERS
from service.api.feed_position import FeedPosition
from service.api.openapi import SECURITY, CommonAnswers
from service.api.request_body import StrictRequest
from service.backends.registry import Registry
from service.backends.routes import routes as backends_routes
from service.bus.bus import Bus
from service.bus.previews import Previews
from service.config.base_path import serve_below
from service.config.runtime_settings import RuntimeSettings
from service.config.settings import Settings
from service.database.photo_counts import PhotoCounts
from service.errors import NotFound
from service.library import albums, bulk_actions
from service.library.album_routes import routes as album_routes
from service.library.bulk import Bulk
from service.library.bulk_routes import routes as bulk_routes
from service.library.early_renditions import EarlyRenditions
from service.library.file_routes import routes as file_routes
from service.library.lineage import routes as lineage_routes
from service.library.photo_pass import PhotoPass
from service.library.renditions import Renditions
from service.library.routes import routes as library_routes
from service.library.search_index import SearchIndex
from service.library.thumbnail_source import ThumbnailSource
from service.library.thumbnails import Thumbnails
from service.library.trash import Trash
from service.live.announce import Announcer
from service.live.hub import Hub
from service.live.routes import Snapshots
from service.live.routes import routes as live_routes
from service.media.imaging import Imaging
from service.models.cache import ModelCache
from service.models.routes import routes as model_routes
from service.operations.health import routes as health_routes
from service.operations.metrics import ObserveRequests, Requests
from service.operations.metrics import routes as metrics_routes
from service.operations.readiness import Readiness
from service.operations.settings import routes as settings_routes
from service.operations.status import routes as status_routes
from service.photos.integrity import Integrity
from service.pods.manager import PodManager
from service.pods.routes import routes as pod_routes
from service.retrieval.sweep import Sweep
from service.retrieval.worker import Retrieval
from service.runtime.supervisor import Supervisor
from service.selection.mover import FileMover
from service.startup.configured_backend import add_first_backend, demo_server
from service.startup.feed_readers import readers, snapshot
from service.startup.infrastructure import open_infrastructure
from service.studio.routes import routes as studio_routes
from service.studio.source_pictures import SourcePictures
from service.studio.worker import StudioWorker
from service.uploads.intake import Uploads
from service.uploads.routes import routes as upload_routes
from service.web.page import COMPRESSED, WebUI
from service.web.page import routes as web_routes

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
    *album_routes,
    *file_routes,
    *lineage_routes,
    *studio_routes,
    *model_routes,
    *backends_routes,
    *pod_routes,
    *settings_routes,
    *status_routes,
    *access_routes,
    *health_routes,
    *metrics_routes,
    *docs_routes,
    *web_routes,
]
PROVIDED: Final = (
    "bulk",
    "bus",
    "database",
    "file_mover",
    "hub",
    "imaging",
    "integrity",
    "model_cache",
    "photo_pass",
    "pods",
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
    "supervisor",
    "thumbnail_source",
    "thumbnails",
    "trash",
    "uploads",
    "web_ui",
)
"""What handlers get by name. All of it is in the app's state while the app is open."""


def create_app(settings: Settings, *, demo: bool = False, give_up: Callable[[str], None] = log.critical) -> Litestar:
    """The whole service, not opened yet: entering its lifespan opens everything, or raises StartupError.

    `demo` runs the demo InvokeAI inside; `give_up` is called with the reason when the service cannot go on.
    """
    gate = AuthMiddleware()
    app = Litestar(
        route_handlers=[*ROUTES, nothing_here],
        lifespan=[opened],
        dependencies={name: provided(name) for name in PROVIDED},
        middleware=[ObserveRequests(), gate, FeedPosition()],
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
            servers=[Server(url=settings.base_path or "/")],
        ),
        plugins=[CommonAnswers()],
        request_class=StrictRequest,
        request_max_body_size=LARGEST_BODY,
        event_emitter_backend=NoEvents,
        logging_config=None,
    )
    prepare(app, settings, demo=demo, give_up=give_up)
    return app


def prepare(
    app: Litestar, settings: Settings, *, demo: bool = False, give_up: Callable[[str], None] = log.critical
) -> None:
    """Says what the app opens next, as `create_app` does. An app that was closed may be prepared and opened again; its
    base path stays the same."""
    serve_below(settings.base_path)
    app.state.clear()
    app.state.update(
        settings=settings,
        demo=demo,
        give_up=give_up,
        own_names=OwnNames(settings.host_names, any_address=settings.password is not None),
        requests=Requests(),
    )


class NoEvents(BaseEventEmitterBackend):
    """Litestar's events, of which we use none. The default emitter runs a task group around the lifespan, which wraps
    every StartupError in a group."""

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
    """404 for all other addresses of the API."""
    raise NotFound(f"there is nothing at /api{path}")


@asynccontextmanager
async def opened(app: Litestar) -> AsyncIterator[None]:
    """Opens everything that lives as long as the service, and closes it in reverse order."""
    began = time.monotonic()
    settings: Settings = app.state["settings"]
    give_up: Callable[[str], None] = app.state["give_up"]
    async with AsyncExitStack() as closing:
        infrastructure = await closing.enter_async_context(open_infrastructure(settings, give_up))
        database, storage, supervisor = infrastructure.database, infrastructure.storage, infrastructure.supervisor
        runtime_settings = infrastructure.runtime_settings

        readiness = Readiness(database, storage)
        closing.push_async_callback(readiness.close)

        # Web sessions, and the feed.
        sessions = await open_sessions(database, settings.password)
        hub = Hub(VERSION)
        closing.callback(hub.close)
        previews = Previews()
        bus = Bus()
        thumbnails = Thumbnails(bus)

        # The InvokeAI servers.
        http = await closing.enter_async_context(_http())
        registry = Registry(
            database=database,
            bus=bus,
            previews=previews,
            supervisor=supervisor,
            http=http,
            timeout=settings.invokeai_timeout,
            watched=lambda: hub.watched,
        )
        announcer = Announcer(hub, readers(database, registry, thumbnails), bus)

        # The work: retrieval, submissions, uploads, the library.
        imaging = Imaging(settings.max_pixels)
        closing.callback(imaging.close)
        trash = Trash(database, storage, bus)
        model_cache = ModelCache(database, registry, bus)
        under_way: set[UUID] = set()
        """Tokens of the files that are being received, from servers and from browsers."""
        retrieval = Retrieval(
            database,
            storage,
            imaging,
            registry,
            bus,
            settings=runtime_settings,
            workers=settings.retrieval_workers,
            under_way=under_way,
        )
        file_mover = await closing.enter_async_context(FileMover(database, storage, bus))
        integrity = Integrity(database, storage, bus, file_mover)
        sources = SourcePictures(database, storage, imaging, integrity)
        studio_worker = StudioWorker(database, registry, bus, model_cache, sources)
        uploads = Uploads(
            database,
            storage,
            imaging,
            integrity,
            bus,
            settings=runtime_settings,
            max_bytes=settings.max_upload_bytes,
            max_frames=settings.max_frames,
            under_way=under_way,
        )
        renditions = await closing.enter_async_context(
            Renditions(
                database,
                storage,
                imaging,
                integrity,
                thumbnails,
                bus,
                mover=file_mover,
                settings=runtime_settings,
            )
        )
        thumbnail_source = await closing.enter_async_context(
            ThumbnailSource(database, storage, thumbnails, integrity, renditions)
        )
        early_renditions = EarlyRenditions(renditions, bus, under_way)
        bulk = Bulk(database, bus, trash)
        photo_pass = PhotoPass(
            database,
            integrity,
            renditions,
            bus,
            mover=file_mover,
            settings=runtime_settings,
            under_way=under_way,
        )
        search_index = SearchIndex(database)

        # The rented machines of some of the servers.
        pods = PodManager(
            database,
            registry,
            bus,
            supervisor,
            http,
            settings=runtime_settings,
        )

        # Long-running and periodic work.
        supervisor.start("announcer", announcer.run)
        supervisor.start("model cache", model_cache.run)
        supervisor.start("submission", studio_worker.run)
        supervisor.start("retrieval", retrieval.run)
        supervisor.start("large renditions", early_renditions.run)
        supervisor.start("photo pass", photo_pass.run)
        supervisor.start("search index", search_index.run)
        supervisor.start("photo counts", PhotoCounts(database).run)
        sweep = Sweep(database, storage, bus, under_way)
        supervisor.every("retrieval sweep", MINUTE, sweep.run, at_once=True)
        supervisor.every("file moves", MINUTE, file_mover.sweep, at_once=True)
        supervisor.every("failed retrievals", HOUR, retrieval.retry_daily)
        supervisor.every("readiness", MINUTE, readiness.watch, at_once=True)
        supervisor.every("model refresh", DAY, model_cache.refresh_connected)
        supervisor.every("trash purge", HOUR, partial(_purge, runtime_settings, trash), at_once=True)
        supervisor.every("undo sweep", HOUR, partial(bulk_actions.forget, database), at_once=True)
        supervisor.every("album sweep", HOUR, partial(albums.sweep, database), at_once=True)
        if sessions is not None:
            supervisor.every("session sweep", DAY, sessions.sweep, at_once=True)

        # Last, the sources of events and photos: they also end first.
        server = await closing.enter_async_context(demo_server(settings)) if app.state["demo"] else None
        await add_first_backend(settings, server, database)
        closing.push_async_callback(_wind_down, registry, retrieval, supervisor)
        await pods.load()
        await registry.reload()
        supervisor.start("pods", pods.run)
        closing.push_async_callback(pods.stop_watching)

        app.state.update(
            bulk=bulk,
            bus=bus,
            database=database,
            file_mover=file_mover,
            hub=hub,
            imaging=imaging,
            integrity=integrity,
            model_cache=model_cache,
            photo_pass=photo_pass,
            pods=pods,
            previews=previews,
            readiness=readiness,
            registry=registry,
            renditions=renditions,
            retrieval=retrieval,
            runtime_settings=runtime_settings,
            search_index=search_index,
            sessions=sessions,
            snapshots=Snapshots(partial(snapshot, database, hub, registry)),
            started_at=datetime.now(UTC),
            storage=storage,
            supervisor=supervisor,
            thumbnail_source=thumbnail_source,
            thumbnails=thumbnails,
            trash=trash,
            uploads=uploads,
            web_ui=WebUI(),
        )
        log.info("open", seconds=round(time.monotonic() - began, 3))
        yield


async def _wind_down(registry: Registry, retrieval: Retrieval, supervisor: Supervisor) -> None:
    """Ends connections and downloads: nothing new begins; running downloads have some seconds to finish, and are given
    back before their connections close."""
    retrieval.stop_claiming()
    await registry.stop()
    if not await retrieval.drain(DRAIN_SECONDS):
        log.info("downloads are broken off, and begun again at the next start", photos=retrieval.in_flight)
    await supervisor.stop("retrieval")


@asynccontextmanager
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP session for all requests to InvokeAI. Timeouts are the client's."""
    connector = aiohttp.TCPConnector(limit=64, limit_per_host=16, keepalive_timeout=30)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, read_bufsize=2**20) as session:
        yield session


async def _purge(settings: RuntimeSettings, trash: Trash) -> None:
    days = settings.current.trash_days
    if days:
        await trash.empty_older_than(days)
