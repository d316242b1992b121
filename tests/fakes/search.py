"""The index of the search, brought up to date at once."""

from __future__ import annotations

from service.database.engine import Database
from service.library import search_index


async def index_all(database: Database) -> None:
    """Every photo there is, and every change."""
    async with database.connection() as connection:
        progress = await search_index.load(connection)
    while progress.behind is not None:
        progress = await search_index.fill(database, progress)
    while await search_index.index_changes(database):
        pass
