"""Which models photos and steps name that no server has, and which photos were made with a model."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from service.database.engine import Connection
from service.errors import NotFound
from service.invokeai.model import Model
from service.models import queries as details
from service.models import use as model_use
from service.models.queries import list_models, model_detail
from service.models.rows import find_model, store_models
from service.models.use import missing_models
from tests.fakes.rows import add_backend, add_photo, add_session, add_step, insert

HILLS = {"key": "hills-here", "hash": "blake3:aa", "name": "Hills", "base": "sdxl", "type": "main"}


async def add_model(connection: Connection, backend: UUID, **values: Any) -> None:
    await insert(connection, "models", backend_id=backend, **{**HILLS, **values})


def made_with(key: str | None, name: str | None, hash: str | None = None, base: str | None = "sdxl") -> dict[str, Any]:
    return {"model_key": key, "model_hash": hash, "model_name": name, "model_base": base}


async def keys_of_missing(connection: Connection) -> list[str]:
    return [model.key for model in await missing_models(connection)]


async def photos_with(connection: Connection, key: str) -> list[UUID]:
    return [photo.id for photo in (await model_detail(connection, key, 12)).newest_photos]


async def test_a_model_that_left_is_found_by_what_photos_and_steps_tell_of_it(connection: Connection) -> None:
    await add_model(connection, await add_backend(connection))
    photo = await add_photo(connection, **made_with("old", "Old hills", "blake3:bb", "sd-1"))
    await add_photo(connection, **made_with("hills-here", "Hills", "blake3:aa"))
    await add_step(
        connection, await add_session(connection), model_key="tried", model_hash="h", model_name="Tried once"
    )
    found = [msgspec.structs.asdict(model) for model in await missing_models(connection)]
    assert found == [
        {"key": "old", "hash": "blake3:bb", "name": "Old hills", "base": "sd-1", "type": "main"},
        {"key": "tried", "hash": "h", "name": "Tried once", "base": None, "type": "main"},
    ]
    old = await model_detail(connection, "old", 12)
    assert (old.name, old.base, old.missing, old.servers, old.photo_count) == ("Old hills", "sd-1", True, [], 1)
    assert [one.id for one in old.newest_photos] == [photo]
    tried = await model_detail(connection, "tried", 12)
    assert (tried.name, tried.missing, tried.photo_count, tried.newest_photos) == ("Tried once", True, 0, [])


async def test_a_model_has_one_entry_whatever_keys_it_had(connection: Connection) -> None:
    for key in ("first", "second"):
        await add_photo(connection, **made_with(key, "Old hills", "blake3:bb"))
    await add_photo(connection, **made_with("third", "Old hills"))
    assert len(await keys_of_missing(connection)) == 1
    for key in ("first", "second", "third"):
        assert len(await photos_with(connection, key)) == 3, key


async def test_a_model_that_was_installed_again_is_not_missing_and_has_its_old_photos(connection: Connection) -> None:
    backend = await add_backend(connection)
    await add_model(connection, backend)
    by_hash = await add_photo(connection, **made_with("before", "Renamed since", "blake3:aa"))
    by_name = await add_photo(connection, **made_with("long ago", "Hills"))
    now = await add_photo(connection, **made_with("hills-here", "Hills", "blake3:aa"))
    assert await keys_of_missing(connection) == []
    for key in ("before", "long ago", "hills-here"):
        detail = await model_detail(connection, key, 12)
        assert (detail.key, detail.missing, detail.photo_count) == (key, False, 3), key
        assert [server.backend_id for server in detail.servers] == [backend]
        assert [photo.id for photo in detail.newest_photos] == [now, by_name, by_hash]


async def test_the_same_model_of_two_servers_is_one_though_their_keys_differ(connection: Connection) -> None:
    first, second = await add_backend(connection, name="first"), await add_backend(connection, name="second")
    await add_model(connection, first)
    await add_model(connection, second, key="hills-there")
    photos = [
        await add_photo(connection, **made_with(key, "Hills", "blake3:aa")) for key in ("hills-here", "hills-there")
    ]
    for key in ("hills-here", "hills-there"):
        detail = await model_detail(connection, key, 12)
        assert [(server.backend_id, server.key) for server in detail.servers] == [
            (first, "hills-here"),
            (second, "hills-there"),
        ]
        assert {photo.id for photo in detail.newest_photos} == set(photos)
        assert detail.photo_filter.model is not None
        assert set(detail.photo_filter.model) == {"hills-here", "hills-there", "Hills"}


async def test_another_model_of_the_same_name_is_another_model(connection: Connection) -> None:
    backend = await add_backend(connection)
    await add_model(connection, backend)
    await add_model(connection, backend, key="hills-1", hash="blake3:cc", base="sd-1")
    large = await add_photo(connection, **made_with("hills-here", "Hills", "blake3:aa"))
    small = await add_photo(connection, **made_with("hills-1", "Hills", "blake3:cc", "sd-1"))
    assert await photos_with(connection, "hills-here") == [large]
    assert await photos_with(connection, "hills-1") == [small]
    replaced = await add_photo(connection, **made_with("gone", "Hills", "blake3:dd"))
    assert await keys_of_missing(connection) == ["gone"]
    assert await photos_with(connection, "gone") == [replaced]


async def test_a_photo_that_tells_a_name_alone_belongs_to_the_model_of_that_name(connection: Connection) -> None:
    await add_model(connection, await add_backend(connection))
    uploaded = await add_photo(connection, **made_with(None, "Hills", base=None))
    elsewhere = await add_photo(connection, **made_with(None, "from/elsewhere v2", base=None))
    assert await photos_with(connection, "hills-here") == [uploaded]
    assert await keys_of_missing(connection) == ["from/elsewhere v2"]
    detail = await model_detail(connection, "from/elsewhere v2", 12)
    assert (detail.name, detail.base, detail.missing) == ("from/elsewhere v2", None, True)
    assert [photo.id for photo in detail.newest_photos] == [elsewhere]


async def test_what_is_in_the_trash_names_no_model(connection: Connection) -> None:
    await connection.execute("SELECT 1")
    photo = await add_photo(connection, **made_with("old", "Old hills"))
    await connection.execute("UPDATE photos SET deleted_at = now() WHERE id = $1", photo)
    assert await keys_of_missing(connection) == []
    with pytest.raises(NotFound):
        await model_detail(connection, "old", 12)


@pytest.mark.parametrize("key", ["nothing", "", "x" * 501, "a\0b", "\ud800", "%", "'; --"])
async def test_what_nothing_names_is_not_found(connection: Connection, key: str) -> None:
    with pytest.raises(NotFound):
        await model_detail(connection, key, 12)


async def test_a_lora_is_found_by_the_photos_that_have_it(connection: Connection) -> None:
    lora = {"key": "mist", "hash": "blake3:ee", "name": "Mist", "base": "sdxl", "type": "lora"}
    await add_model(connection, await add_backend(connection), **lora)
    named = {"loras": [{"model": {"key": "night", "name": "Night", "base": "sd-1"}, "weight": 0.5}]}
    here = await add_photo(connection, loras=["Mist", "mist"])
    left = await add_photo(connection, loras=["Night", "night"], generation_params=msgspec.json.encode(named).decode())
    assert await photos_with(connection, "mist") == [here]
    for key in ("night", "Night"):
        detail = await model_detail(connection, key, 12)
        assert (detail.name, detail.base, detail.type, detail.missing) == ("Night", "sd-1", "lora", True)
        assert (detail.photo_filter.lora, detail.photo_filter.model) == (["night", "Night"], None)
        assert [photo.id for photo in detail.newest_photos] == [left]


async def test_of_a_type_that_photos_do_not_tell_no_photo_is_counted(connection: Connection) -> None:
    await add_model(connection, await add_backend(connection), type="vae")
    detail = await model_detail(connection, "hills-here", 12)
    assert (detail.photo_count, detail.more_photos, detail.newest_photos) == (None, False, [])
    assert (detail.photo_filter.model, detail.photo_filter.lora) == (None, None)


async def test_photos_are_counted_up_to_a_number_and_the_newest_are_told(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_model(connection, await add_backend(connection))
    photos = [await add_photo(connection, **made_with("hills-here", "Hills", "blake3:aa")) for _ in range(5)]
    for most, count, more in ((5, 5, False), (4, 4, True), (1, 1, True)):
        monkeypatch.setattr(details, "MOST_COUNTED", most)
        detail = await model_detail(connection, "hills-here", 3)
        assert (detail.photo_count, detail.more_photos) == (count, more)
        assert [photo.id for photo in detail.newest_photos] == photos[:1:-1]


async def test_however_many_names_uploads_have_so_many_are_told_at_most(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        model_use, "NAMES_OF_PHOTOS", model_use.NAMES_OF_PHOTOS.replace(f"LIMIT {model_use.MOST_NAMED}", "LIMIT 3")
    )
    for number in range(5):
        await add_photo(connection, **made_with(None, f"name {number}"))
    assert await keys_of_missing(connection) == ["name 2", "name 3", "name 4"]


async def test_a_lora_that_left_is_listed_as_missing_while_photos_name_it(connection: Connection) -> None:
    backend = await add_backend(connection)
    told = [
        Model(key=key, hash=f"hash of {key}", name=key.title(), base="sdxl", type="lora", trigger_phrases=["fog"])
        for key in ("mist", "night")
    ]
    assert await store_models(connection, backend, told)
    photo = await add_photo(connection, loras=["Mist", "mist"])
    assert await keys_of_missing(connection) == []
    assert await store_models(connection, backend, [])
    [missing] = await missing_models(connection)
    assert (missing.key, missing.name, missing.base, missing.type) == ("mist", "Mist", "sdxl", "lora")
    assert (await list_models(connection, None, None, None)).items == []
    assert await find_model(connection, backend, "mist", type="lora") is None
    detail = await model_detail(connection, "mist", 12)
    assert (detail.missing, detail.servers, detail.photo_filter.lora) == (True, [], ["mist", "Mist"])
    assert [one.id for one in detail.newest_photos] == [photo]
    with pytest.raises(NotFound):
        await model_detail(connection, "night", 12)
    assert not await store_models(connection, backend, [])
    assert await store_models(connection, backend, told[:1])  # it is there again
    assert await keys_of_missing(connection) == []
    assert (await model_detail(connection, "mist", 12)).trigger_phrases == ["fog"]
    await store_models(connection, backend, [])
    await connection.execute("UPDATE photos SET deleted_at = now()")
    assert await store_models(connection, backend, [])
    assert await keys_of_missing(connection) == []
