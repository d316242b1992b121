"""The lineage of a photo: ancestors and descendants, nearest first, and what changed from one to the next (recorded
lineage)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from service.database.engine import Connection
from tests.fakes.photos import NOW, answer
from tests.fakes.rows import add_alternative, add_backend, add_photo, add_session, add_step, insert


async def lineage(client: aiohttp.ClientSession, photo: UUID, query: str = "") -> Any:
    return await answer(await client.get(f"/api/v1/photos/{photo}/lineage{query}"), 200)


def nodes(body: Any) -> list[UUID]:
    return [UUID(node["id"]) for node in body["nodes"]]


def pairs(body: Any) -> set[tuple[UUID, UUID, str]]:
    found = [(UUID(edge["from"]), UUID(edge["to"]), edge["role"]) for edge in body["edges"]]
    assert len(found) == len(set(found))
    return set(found)


async def name(connection: Connection, photo: UUID, image_name: str, role: str, source: UUID | None = None) -> None:
    """An image that the metadata of the photo name as its source."""
    await insert(connection, "photo_sources", photo_id=photo, image_name=image_name, role=role, source_photo_id=source)


async def chain(connection: Connection, length: int) -> list[UUID]:
    """Each made from the one before."""
    photos: list[UUID] = []
    for n in range(length):
        source = photos[-1] if photos else None
        made_at = NOW + timedelta(seconds=n)
        photos.append(await add_photo(connection, created_at=made_at, source_image_id=source))
    return photos


async def children(connection: Connection, photo: UUID, count: int) -> list[UUID]:
    """The newest first."""
    made_at = [NOW + timedelta(minutes=n) for n in range(count)]
    return [await add_photo(connection, created_at=at, source_image_id=photo) for at in made_at][::-1]


async def test_a_photo_without_a_family_is_alone(client: aiohttp.ClientSession, connection: Connection) -> None:
    photo = await add_photo(connection)
    body = await lineage(client, photo)
    assert set(body) == {"nodes", "edges", "missing", "truncated"}
    assert body["nodes"] == [await answer(await client.get(f"/api/v1/photos/{photo}"), 200)]
    assert (body["edges"], body["missing"], body["truncated"]) == ([], [], False)


async def test_ancestors_and_descendants_come_nearest_first(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    a, b, c, d, e = await chain(connection, 5)
    body = await lineage(client, c)
    assert nodes(body) == [c, b, d, a, e]
    links = {(source, made, "init image") for source, made in ((a, b), (b, c), (c, d), (d, e))}
    assert pairs(body) == links
    assert nodes(await lineage(client, a)) == [a, b, c, d, e]
    assert nodes(await lineage(client, e)) == [e, d, c, b, a]


async def test_other_children_of_an_ancestor_and_other_sources_of_a_descendant_are_no_part_of_it(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    parent, photo, child = await chain(connection, 3)
    await children(connection, parent, 2)
    await name(connection, child, "other.png", "control", await add_photo(connection))
    assert nodes(await lineage(client, photo)) == [photo, parent, child]


async def test_a_pair_has_an_edge_for_each_role_and_is_init_image_only_where_nothing_else_is_said(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    source, made = await chain(connection, 2)
    other = await add_photo(connection)
    await name(connection, made, "a.png", "control", source)
    await name(connection, made, "a.png", "reference", source)
    await name(connection, made, "b.png", "control", source)  # sent there twice
    await name(connection, made, "c.png", "mask", other)
    body = await lineage(client, made)
    assert set(nodes(body)) == {made, source, other}
    assert pairs(body) == {(source, made, "control"), (source, made, "reference"), (other, made, "mask")}


async def test_an_edge_names_the_step_that_made_the_photo(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    a, b, c = await chain(connection, 3)
    step = await add_step(connection, await add_session(connection))
    await add_alternative(connection, step, b)
    edges = {UUID(edge["to"]): edge["step_id"] for edge in (await lineage(client, a))["edges"]}
    assert edges == {b: str(step), c: None}


async def test_an_edge_tells_what_changed(client: aiohttp.ClientSession, connection: Connection) -> None:
    made_by = {"generation_prompt": "a lighthouse", "model_name": "tiny", "model_key": "k", "seed": 1}
    source = await add_photo(connection, **made_by, generation_params='{"steps": 9}')
    late = made_by | {"generation_prompt": "a (lighthouse:1.2) at night", "seed": 2**63}
    made = await add_photo(
        connection, **late, source_image_id=source, generation_params='{"steps": 9, "strength": 0.75}'
    )
    silent = await add_photo(connection, source_image_id=source)
    changes = {UUID(edge["to"]): edge["changes"] for edge in (await lineage(client, source))["edges"]}
    assert changes[silent] is None
    assert changes[made] == {
        "prompt": {"added": ["at", "night"], "removed": []},
        "negative_prompt": {"added": [], "removed": []},
        "parameters": [
            {"name": "seed", "before": 1, "after": str(2**63)},
            {"name": "strength", "before": None, "after": 0.75},
        ],
    }


async def test_sources_that_never_came_home_or_were_purged_are_missing(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    backend = await add_backend(connection)
    purged = [
        await add_photo(connection, invoke_id=invoke_id, purged_at=NOW, deleted_at=NOW)
        for invoke_id in ("purged.png", None, "unread.png", None)
    ]
    photo = await add_photo(connection, backend_id=backend, source_image_id=purged[3])
    child = await add_photo(connection, source_image_id=photo)
    grandchild = await add_photo(connection, source_image_id=purged[2])
    await name(connection, photo, "never.png", "mask")
    await name(connection, photo, "purged.png", "control", purged[0])
    await name(connection, photo, "sent.png", "init image", purged[1])
    await insert(connection, "backend_uploads", backend_id=backend, image_name="x.png", photo_id=purged[3])
    await name(connection, child, "never.png", "reference")
    await name(connection, grandchild, "g.png", "control", child)
    body = await lineage(client, photo)
    assert nodes(body) == [photo, child, grandchild]
    missing = {(UUID(source["to"]), source["image_name"], source["role"]) for source in body["missing"]}
    assert len(body["missing"]) == len(missing)
    assert missing == {
        (photo, "never.png", "mask"),
        (photo, "purged.png", "control"),
        (photo, "sent.png", "init image"),
        (photo, "x.png", "init image"),
        (child, "never.png", "reference"),
        (grandchild, "unread.png", "init image"),
    }


async def test_photos_in_the_trash_are_part_of_it(client: aiohttp.ClientSession, connection: Connection) -> None:
    a, b, c = await chain(connection, 3)
    for photo in (a, b):
        assert (await client.delete(f"/api/v1/photos/{photo}")).status == 204
    body = await lineage(client, b)
    assert nodes(body) == [b, a, c]
    assert [node["deleted_at"] is not None for node in body["nodes"]] == [True, True, False]


async def test_an_unknown_photo_and_a_purged_one_are_not_found(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    a, b, c = await chain(connection, 3)
    await name(connection, b, "a.png", "control", a)
    await client.delete(f"/api/v1/photos/{b}")
    await answer(await client.delete("/api/v1/photos/trash"), 200)
    for photo in (b, uuid4()):
        body = await answer(await client.get(f"/api/v1/photos/{photo}/lineage"), 404)
        assert body["error"]["code"] == "not_found"
    # A purged photo's own sources are forgotten; what was made from it knows its name.
    assert nodes(await lineage(client, a)) == [a]
    body = await lineage(client, c)
    purged_name = await connection.fetchval("SELECT invoke_id FROM photos WHERE id = $1", b)
    assert nodes(body) == [c]
    assert body["missing"] == [{"to": str(c), "image_name": purged_name, "role": "init image"}]


@pytest.mark.parametrize("limit", ["0", "301", "many", "-1", "1.5"])
async def test_a_limit_that_cannot_be_is_answered_with_400(
    client: aiohttp.ClientSession, connection: Connection, limit: str
) -> None:
    photo = await add_photo(connection)
    body = await answer(await client.get(f"/api/v1/photos/{photo}/lineage?limit={limit}"), 400)
    assert body["error"]["code"] == "validation_error"
    assert "limit" in body["error"]["message"]


async def test_a_limit_takes_the_nearest_and_says_that_there_are_more(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    a, b, c, d, e = await chain(connection, 5)
    for limit, wanted in ((1, [c]), (2, [c, b]), (3, [c, b, d]), (4, [c, b, d, a]), (5, [c, b, d, a, e])):
        body = await lineage(client, c, f"?limit={limit}")
        assert (nodes(body), body["truncated"]) == (wanted, limit < 5)
        ends = {photo for source, made, _ in pairs(body) for photo in (source, made)}
        assert ends <= set(wanted)


async def test_of_many_children_the_newest_are_shown(client: aiohttp.ClientSession, connection: Connection) -> None:
    photo = await add_photo(connection)
    made = await children(connection, photo, 101)
    body = await lineage(client, photo)
    assert (nodes(body), body["truncated"]) == ([photo, *made[:99]], True)
    body = await lineage(client, photo, "?limit=102")
    assert (nodes(body), body["truncated"]) == ([photo, *made], False)


async def test_several_roles_of_the_same_children_take_no_room(
    client: aiohttp.ClientSession, connection: Connection
) -> None:
    photo = await add_photo(connection)
    made = [await add_photo(connection) for _ in range(5)]
    for child in made:
        for role in ("control", "init image", "mask", "reference"):
            await name(connection, child, "x.png", role, photo)
    body = await lineage(client, photo, "?limit=6")
    assert (set(nodes(body)), body["truncated"]) == ({photo, *made}, False)


async def test_a_cycle_ends(client: aiohttp.ClientSession, connection: Connection) -> None:
    a, b, c = await chain(connection, 3)
    d = await add_photo(connection, source_image_id=b)
    await name(connection, a, "c.png", "control", c)
    await name(connection, a, "a.png", "image", a)
    body = await lineage(client, a)
    assert (nodes(body)[0], set(nodes(body)), body["truncated"]) == (a, {a, b, c, d}, False)
    ways = {(a, b, "init image"), (b, c, "init image"), (b, d, "init image"), (c, a, "control")}
    assert pairs(body) == ways
    exact = await lineage(client, a, "?limit=4")
    assert (set(nodes(exact)), exact["truncated"]) == ({a, b, c, d}, False)


async def test_what_is_met_on_several_ways_is_one_node(client: aiohttp.ClientSession, connection: Connection) -> None:
    """Layers in which each photo is made from all of the layer before: the ways through them are without number."""
    root = await add_photo(connection)
    layers = [[root]]
    for _ in range(12):
        layer = [await add_photo(connection) for _ in range(4)]
        for child in layer:
            for n, source in enumerate(layers[-1]):
                await name(connection, child, f"{n}.png", "reference", source)
        layers.append(layer)
    everything = [photo for layer in layers for photo in layer]
    body = await lineage(client, root)
    assert sorted(nodes(body)) == sorted(everything)
    assert len(pairs(body)) == 4 + 11 * 16
    assert set(nodes(await lineage(client, layers[-1][0]))) == {layers[-1][0], *everything} - set(layers[-1][1:])


async def test_a_deep_family_is_walked_to_its_end(client: aiohttp.ClientSession, connection: Connection) -> None:
    photos = await chain(connection, 300)
    body = await lineage(client, photos[0], "?limit=300")
    assert (nodes(body), body["truncated"]) == (photos, False)


async def test_nodes_are_as_in_a_list(client: aiohttp.ClientSession, connection: Connection) -> None:
    photo = await add_photo(connection, generation_params='{"steps": 9, "own": "words"}')
    (node,) = (await lineage(client, photo))["nodes"]
    assert node["generation_params"] is None
    assert node["params_summary"] == {"steps": 9, "cfg_scale": None, "scheduler": None, "strength": None}
