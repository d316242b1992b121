"""Names of source images become photos, whichever is recorded first (recorded lineage)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from service.bus.bus import Bus
from service.database.engine import Connection
from service.demo.images import Image
from service.library.trash import Trash
from service.media.identity import new_id
from service.media.metadata.source_images import SourceImage
from service.media.storage import LocalStorage
from service.photos import derive, photo_sources
from service.photos.derive import Derived
from tests.fakes.correlation_harness import CorrelationHarness
from tests.fakes.locks import until_waiting_for_a_lock
from tests.fakes.rows import add_backend, add_photo, insert, sha256_of

Links = dict[tuple[str, str], UUID | None]


@pytest.fixture
def trash(harness: CorrelationHarness, tmp_path: Path) -> Trash:
    return Trash(harness.database, LocalStorage(tmp_path), Bus())


def init_image(*names: str) -> Derived:
    return Derived(sources=[SourceImage(name, "init image") for name in names])


async def names_sources(harness: CorrelationHarness, photo: UUID, derived: Derived) -> None:
    """The file of the photo has been read: that is what it names."""
    async with harness.database.connection() as connection:
        await derive.write(connection, photo, sha256_of(photo), derived)


async def links(connection: Connection, photo: UUID) -> Links:
    rows = await connection.fetch("SELECT * FROM photo_sources WHERE photo_id = $1", photo)
    return {(row["image_name"], row["role"]): row["source_photo_id"] for row in rows}


async def recorded(harness: CorrelationHarness, *images: Image) -> list[UUID]:
    """What InvokeAI has of them, and the photos that it became."""
    dtos = await harness.connection.client.images_by_names([image.image_name for image in images])
    return await harness.connection.recorder.record(dtos)


async def test_a_name_that_comes_home_later_finds_its_children(
    harness: CorrelationHarness, connection: Connection
) -> None:
    source, other = harness.invokeai.add_canvas_save(), harness.invokeai.add_canvas_save()
    children = [await add_photo(connection) for _ in range(3)]
    for child in children:
        sources = [SourceImage(source.image_name, role) for role in ("control", "init image")]
        await names_sources(harness, child, Derived(sources=[*sources, SourceImage("never.png", "mask")]))
    dtos = await harness.connection.client.images_by_names([source.image_name, other.image_name])
    await harness.connection.recorder.record(dtos)
    photo = await connection.fetchval("SELECT id FROM photos WHERE invoke_id = $1", source.image_name)
    for child in children:
        assert await links(connection, child) == {
            (source.image_name, "control"): photo,
            (source.image_name, "init image"): photo,
            ("never.png", "mask"): None,
        }


async def test_of_very_many_children_some_are_left_to_the_background_pass(
    harness: CorrelationHarness, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_sources, "LINKED_AT_ONCE", 2)
    source = harness.invokeai.add_canvas_save()
    children = [await add_photo(connection) for _ in range(5)]
    for child in children:
        await names_sources(harness, child, init_image(source.image_name))
    [photo] = await recorded(harness, source)
    counted = "SELECT count(*) FROM photo_sources WHERE source_photo_id = $1"
    assert await connection.fetchval(counted, photo) == 2
    unlinked, behind = await photo_sources.unlinked(connection, new_id(), 100)
    assert (len(unlinked), behind) == (3, None)
    for child, names in unlinked.items():
        async with connection.transaction():
            await photo_sources.link_own(connection, child, names)
    assert await connection.fetchval(counted, photo) == 5


async def test_a_name_that_is_here_already_is_its_photo_but_never_the_image_itself(
    harness: CorrelationHarness, connection: Connection
) -> None:
    source = await add_photo(connection, invoke_id="source.png")
    child = await add_photo(connection, invoke_id="child.png")
    await names_sources(harness, child, init_image("source.png", "child.png"))
    assert await links(connection, child) == {
        ("source.png", "init image"): source,
        ("child.png", "init image"): None,
    }


async def test_a_child_that_is_being_recorded_is_waited_for(
    harness: CorrelationHarness, connection: Connection
) -> None:
    """Neither transaction would see the other."""
    source = harness.invokeai.add_canvas_save()
    name = SourceImage(source.image_name, "init image")
    child = await add_photo(connection)
    async with harness.database.transaction() as recording:
        photos = await photo_sources.lock(recording, child, [name])
        assert photos == {}
        arriving = asyncio.create_task(recorded(harness, source))
        await until_waiting_for_a_lock(connection)
        await photo_sources.record(recording, child, [name], photos)
    [photo] = await arriving
    assert await links(connection, child) == {(source.image_name, "init image"): photo}


async def test_a_source_that_is_being_recorded_is_waited_for(
    harness: CorrelationHarness, connection: Connection
) -> None:
    source = harness.invokeai.add_canvas_save()
    child = await add_photo(connection)
    await connection.execute("UPDATE backends SET identity_since = now()")
    async with harness.database.transaction() as holding:
        # The last row that the recording of an image writes.
        await holding.execute("SELECT FROM backends FOR NO KEY UPDATE")
        arriving = asyncio.create_task(recorded(harness, source))
        await until_waiting_for_a_lock(connection)
        assert await connection.fetchval("SELECT count(*) FROM photos") == 1
        naming = asyncio.create_task(names_sources(harness, child, init_image(source.image_name)))
        await until_waiting_for_a_lock(connection, 2)
    [photo] = await arriving
    await naming
    assert await links(connection, child) == {(source.image_name, "init image"): photo}


async def test_an_upload_of_ours_is_its_photo_at_that_server_only(
    harness: CorrelationHarness, connection: Connection
) -> None:
    other_server = await add_backend(connection)
    ours, others = await add_photo(connection, invoke_id=None), await add_photo(connection, invoke_id=None)
    for backend, photo in ((harness.backend_id, ours), (other_server, others)):
        await insert(connection, "backend_uploads", backend_id=backend, image_name="sent.png", photo_id=photo)
    made_at: dict[UUID | None, UUID] = {}
    for backend in (harness.backend_id, other_server, None):
        made_at[backend] = await add_photo(connection, backend_id=backend)
        await names_sources(harness, made_at[backend], init_image("sent.png"))
    found = {backend: (await links(connection, photo))["sent.png", "init image"] for backend, photo in made_at.items()}
    assert found == {harness.backend_id: ours, other_server: others, None: None}


async def test_the_source_of_our_own_step_is_known_also_where_its_upload_was_forgotten(
    harness: CorrelationHarness, connection: Connection
) -> None:
    source, control = await add_photo(connection), await add_photo(connection, invoke_id="control.png")
    child = await add_photo(connection, backend_id=harness.backend_id, source_image_id=source)
    sources = [*init_image("sent.png").sources, SourceImage("control.png", "control"), SourceImage("x.png", "mask")]
    await names_sources(harness, child, Derived(sources=sources))
    assert await links(connection, child) == {
        ("sent.png", "init image"): source,
        ("control.png", "control"): control,
        ("x.png", "mask"): None,
    }
    several = await add_photo(connection, source_image_id=source)
    await names_sources(harness, several, init_image("one.png", "other.png"))
    assert set((await links(connection, several)).values()) == {None}


async def test_a_name_read_again_is_linked_to_what_is_known_by_now(
    harness: CorrelationHarness, connection: Connection
) -> None:
    child = await add_photo(connection, backend_id=harness.backend_id)
    await names_sources(harness, child, init_image("sent.png"))
    source = await add_photo(connection, invoke_id=None)
    await insert(connection, "backend_uploads", backend_id=harness.backend_id, image_name="sent.png", photo_id=source)
    for _ in range(2):
        await names_sources(harness, child, init_image("sent.png"))
        assert await links(connection, child) == {("sent.png", "init image"): source}


async def test_a_purged_photo_forgets_its_sources_and_its_children_keep_its_name(
    harness: CorrelationHarness, connection: Connection, trash: Trash
) -> None:
    first = await add_photo(connection, invoke_id="first.png")
    second = await add_photo(connection, invoke_id="second.png", source_image_id=first)
    third = await add_photo(connection)
    late = await add_photo(connection)
    await names_sources(harness, second, init_image("first.png"))
    await names_sources(harness, third, init_image("second.png"))
    await connection.execute("UPDATE photos SET deleted_at = now() WHERE id = $1", second)
    assert await trash.empty() == 1
    assert await links(connection, second) == {}
    assert await connection.fetchval("SELECT source_image_id FROM photos WHERE id = $1", second) is None
    await names_sources(harness, late, init_image("second.png"))
    for child in (third, late):
        assert await links(connection, child) == {("second.png", "init image"): second}
    await names_sources(harness, second, init_image("first.png"))
    assert await links(connection, second) == {}


async def test_a_purged_upload_keeps_its_row_while_something_was_made_from_it(
    harness: CorrelationHarness, connection: Connection, trash: Trash
) -> None:
    upload = await add_photo(connection, invoke_id=None, source="uploaded")
    await insert(connection, "backend_uploads", backend_id=harness.backend_id, image_name="sent.png", photo_id=upload)
    child = await add_photo(connection, backend_id=harness.backend_id)
    await names_sources(harness, child, init_image("sent.png"))
    await connection.execute("DELETE FROM backend_uploads")  # its server was removed
    await connection.execute("UPDATE photos SET deleted_at = now() WHERE id = $1", upload)
    assert await trash.empty() == 1
    assert await links(connection, child) == {("sent.png", "init image"): upload}


async def test_sources_that_are_recorded_purged_and_arrive_at_once_do_not_deadlock(
    harness: CorrelationHarness, connection: Connection, trash: Trash
) -> None:
    """Each of many photos was made from all of many others."""
    images = [harness.invokeai.add_canvas_save() for _ in range(12)]
    named = init_image(*(image.image_name for image in images))
    children = [await add_photo(connection, deleted_at=datetime.now(UTC)) for _ in range(24)]

    async def read(photos: list[UUID]) -> None:
        for photo in photos:
            await names_sources(harness, photo, named)

    await read(children[::3])
    await asyncio.gather(
        read(children[1::3]),
        read(children[2::3][::-1]),
        recorded(harness, *images[::2]),
        recorded(harness, *images[1::2][::-1]),
        trash.empty(),
    )
    await trash.empty()
    assert await connection.fetchval("SELECT count(*) FROM photo_sources") == 0
    child = await add_photo(connection)
    await read([child])
    assert None not in (await links(connection, child)).values()
