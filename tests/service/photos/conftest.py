"""Photos with their files, and the routes that serve them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.api.resources import Album, Backend, Photo
from service.backends import ledger
from service.bus.bus import Bus
from service.bus.live_state import Ledger
from service.database.engine import Connection, Database
from service.library import album_routes, bulk_routes, file_routes, lineage, routes
from service.library.albums import albums_by_ids
from service.library.bulk import Bulk
from service.library.queries import photos_by_ids
from service.library.renditions import Renditions
from service.library.thumbnail_source import ThumbnailSource
from service.library.thumbnails import Thumbnails
from service.library.trash import Trash
from service.live.announce import Announcer, Readers
from service.live.hub import Hub
from service.media.imaging import Imaging
from service.media.layout import thumbnail_path
from service.media.storage import LocalStorage
from service.photos.integrity import Integrity
from service.retrieval.worker import Retrieval
from service.selection.mover import FileMover
from service.uploads import routes as upload_routes
from service.uploads.intake import Uploads
from tests.fakes.photos import ORIGINAL, THUMBNAIL, AddHome, Feed
from tests.fakes.rows import add_photo
from tests.fakes.served import served


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
def hub() -> Hub:
    return Hub("test")


@pytest.fixture
async def bus(database: Database, hub: Hub) -> AsyncIterator[Bus]:
    async def photos(ids: Any) -> dict[UUID, Photo]:
        async with database.connection() as connection:
            return await photos_by_ids(connection, ids)

    async def nothing(ids: Any) -> dict[UUID, Any]:
        return {}

    async def read_ledger() -> Ledger:
        async with database.connection() as connection:
            return await ledger.read(connection, {})

    async def albums(ids: Any) -> dict[UUID, Album]:
        async with database.connection() as connection:
            return await albums_by_ids(connection, ids)

    async def no_backends() -> list[Backend]:
        return []

    bus = Bus()
    announcer = Announcer(hub, Readers(photos, nothing, nothing, albums, read_ledger, no_backends), bus)
    running = asyncio.create_task(announcer.run())
    yield bus
    running.cancel()


@pytest.fixture
def retrieval(database: Database, storage: LocalStorage, bus: Bus, limits: SimpleNamespace) -> Retrieval:
    return Retrieval(
        database,
        storage,
        Imaging(10_000_000),
        SimpleNamespace(client=lambda _: None, reachable=list),
        bus,
        settings=SimpleNamespace(current=limits),
        workers=1,
    )


@pytest.fixture
def thumbnails(bus: Bus) -> Thumbnails:
    return Thumbnails(bus)


@pytest.fixture
async def file_mover(database: Database, storage: LocalStorage, bus: Bus) -> AsyncIterator[FileMover]:
    async with FileMover(database, storage, bus) as mover:
        yield mover


@pytest.fixture
def integrity(
    database: Database,
    storage: LocalStorage,
    bus: Bus,
    file_mover: FileMover,
) -> Integrity:
    return Integrity(database, storage, bus, file_mover)


@pytest.fixture
def limits() -> SimpleNamespace:
    """The owner's settings."""
    return SimpleNamespace(retrieval_max_attempts=5, thumbnail_quality=85, large_renditions=True)


@pytest.fixture
async def renditions(
    database: Database,
    storage: LocalStorage,
    integrity: Integrity,
    thumbnails: Thumbnails,
    bus: Bus,
    file_mover: FileMover,
    limits: SimpleNamespace,
) -> AsyncIterator[Renditions]:
    made = Renditions(
        database,
        storage,
        Imaging(10_000_000),
        integrity,
        thumbnails,
        bus,
        mover=file_mover,
        settings=SimpleNamespace(current=limits),
    )
    async with made:
        yield made


@pytest.fixture
def trash(database: Database, storage: LocalStorage, bus: Bus) -> Trash:
    return Trash(database, storage, bus)


@pytest.fixture
def uploads(
    database: Database, storage: LocalStorage, integrity: Integrity, bus: Bus, limits: SimpleNamespace
) -> Iterator[Uploads]:
    imaging = Imaging(200_000_000)
    yield Uploads(
        database,
        storage,
        imaging,
        integrity,
        bus,
        settings=SimpleNamespace(current=limits),
        max_bytes=4_000_000,
        max_frames=500,
    )
    imaging.close()


@pytest.fixture
def bulk(database: Database, bus: Bus, trash: Trash) -> Bulk:
    return Bulk(database, bus, trash)


@pytest.fixture
async def client(
    database: Database,
    storage: LocalStorage,
    bus: Bus,
    retrieval: Retrieval,
    thumbnails: Thumbnails,
    integrity: Integrity,
    renditions: Renditions,
    trash: Trash,
    bulk: Bulk,
    uploads: Uploads,
) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        ThumbnailSource(database, storage, thumbnails, integrity, renditions) as source,
        served(
            [
                *routes.routes,
                *upload_routes.routes,
                *bulk_routes.routes,
                *album_routes.routes,
                *file_routes.routes,
                *lineage.routes,
            ],
            database=database,
            storage=storage,
            bus=bus,
            retrieval=retrieval,
            integrity=integrity,
            thumbnail_source=source,
            thumbnails=thumbnails,
            trash=trash,
            bulk=bulk,
            uploads=uploads,
        ) as client,
    ):
        yield client


@pytest.fixture
def feed(hub: Hub) -> Feed:
    return Feed(hub)


@pytest.fixture
def add_home(connection: Connection, storage: LocalStorage) -> AddHome:
    """A photo whose original and thumbnail are on disk."""

    async def add(content: bytes = ORIGINAL, thumbnail: bytes | None = THUMBNAIL, **values: Any) -> UUID:
        path = f"photos/generated/mirror/{uuid4()}.png"
        storage.replace(path, content, uuid4())
        if thumbnail is not None:
            storage.replace(thumbnail_path(path), thumbnail, uuid4())
            values["local_thumbnail_path"] = thumbnail_path(path)
        return await add_photo(
            connection,
            **{
                "local_storage_path": path,
                "sha256": hashlib.sha256(content).hexdigest(),
                "file_size": len(content),
                **values,
            },
        )

    return add
