"""REST routes of bulk changes and of undo."""

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
    """Change many photos at once. Photos that are so already are left alone, so the same call can be sent again. The
    call goes on if its client disconnects. `purge` deletes only photos in the trash. `retry` fetches photos that are
    not home again, with all attempts again."""
    return await bulk.change(data)


@post("/api/v1/undo/{undo:uuid}", operation_id="undo_change", status_code=200, tags=TAGS)
async def undo_change(undo: FromPath[UUID], bulk: NamedDependency[Bulk]) -> Undone:
    """Undo a bulk change, or the deletion of an album. A photo that was changed again since keeps its new value. Valid
    for a day and once; 404 after that."""
    changed = await bulk.undo(undo)
    if changed is None:
        raise NotFound("this can no longer be undone")
    return Undone(changed)


routes = [change_photos, undo_change]
