"""Counts the photos of a filter up to a number, so that at most so many index entries are read."""

from __future__ import annotations

from service.database.engine import Connection
from service.library.filters import PhotoFilters, select
from service.library.queries import planning
from service.library.sql import Arguments


async def count_up_to(connection: Connection, filters: PhotoFilters, most: int) -> int:
    """The count for a filter without a search. Each of its values is counted along its own index, as a list is read."""
    arguments = Arguments()
    selection = select(filters, arguments)
    conditions = " AND ".join(selection.conditions)
    parts = [
        f"(SELECT id FROM photos WHERE {conditions} AND {column} BETWEEN {value} AND {value} LIMIT {most})"
        for column, value in selection.alternatives
    ] or [f"SELECT id FROM photos WHERE {conditions} LIMIT {most}"]
    query = f"SELECT count(*) FROM ({' UNION '.join(parts)}) found"
    async with planning(connection, filters, selection):
        count: int = await connection.fetchval(query, *arguments.values)
    return min(count, most)
