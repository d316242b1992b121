"""Many photos changed at once, and changed back."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from service.errors import NotFound
from service.library.bulk import Bulk, BulkChange, BulkChanged

TAGS: Final = ["photos"]


class Undone(msgspec.Struct, frozen=True):
    changed: int


@post("/api/v1/photos/bulk", operation_id="change_photos", status_code=200, tags=TAGS)
async def change_photos(data: JSONBody[BulkChange], bulk: NamedDependency[Bulk]) -> BulkChanged:
    """Change many photos at once. What is so already is left as it is, so the same call can be sent again. A call goes
    on when its client has gone. `purge` deletes only what is in the trash; `retry` fetches what is not home again, with
    all attempts before it."""
    return await bulk.change(data)


@post("/api/v1/undo/{undo:uuid}", operation_id="undo_change", status_code=200, tags=TAGS)
async def undo_change(undo: FromPath[UUID], bulk: NamedDependency[Bulk]) -> Undone:
    """Change photos back to what they were before a bulk change, where nothing has changed that since. For a day, and
    once: 404 after that."""
    changed = await bulk.undo(undo)
    if changed is None:
        raise NotFound("this can no longer be undone")
    return Undone(changed)


routes = [change_photos, undo_change]
