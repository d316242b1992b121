"""The table `file_moves`: photos whose files may not be where their step's selection puts them (safe selection).

It is written in the transaction of the selection, always after the rows of steps and photos.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.media.layout import completed_path, generated_path, selected_path

ADD = """
    INSERT INTO file_moves AS known (photo_id, names) {rows}
    ON CONFLICT (photo_id) DO UPDATE SET version = known.version + 1,
           names = ARRAY(SELECT DISTINCT name FROM unnest(known.names || excluded.names) AS name)
"""
NOTE = ADD.format(rows="VALUES ($1, $2)")
# A photo that was moved while a file was written under its former name.
NOTE_ELSEWHERE = ADD.format(
    rows="SELECT id, ARRAY[$2::text] FROM photos WHERE id = $1 AND local_storage_path <> $2 AND purged_at IS NULL"
)
# A photo that is not home may come with another file than its second name has.
NOTE_SELECTED = ADD.format(
    rows="""
    SELECT a.photo_id, ARRAY[]::text[] FROM step_alternatives a
      JOIN generation_steps t ON t.id = a.step_id AND t.selected_image_id = a.photo_id WHERE a.photo_id = $1
"""
)
STATE = """
    SELECT p.id AS photo_id, p.local_storage_path AS path, p.local_thumbnail_path AS thumbnail, p.file_size, p.sha256,
           p.retrieval_status = 'completed' AS is_home, p.purged_at IS NOT NULL AS is_purged,
           t.id AS step_id, t.session_id, CASE WHEN t.selected_image_id = p.id THEN t.selected_at END AS selected_at,
           m.names AS noted, m.version
      FROM photos p LEFT JOIN step_alternatives a ON a.photo_id = p.id
      LEFT JOIN generation_steps t ON t.id = a.step_id LEFT JOIN file_moves m ON m.photo_id = p.id
     WHERE p.id = $1
"""
MOVE = """
    UPDATE photos SET local_storage_path = $4,
           local_thumbnail_path = CASE WHEN local_thumbnail_path IS NOT NULL THEN $5 END
     WHERE id = $1 AND local_storage_path = $2 AND sha256 = $3 AND retrieval_status = 'completed'
       AND purged_at IS NULL
    RETURNING id
"""
FORGET = "DELETE FROM file_moves WHERE photo_id = $1 AND version = $2 RETURNING photo_id"
WAITING = """
    SELECT m.photo_id, p.retrieval_status = 'completed' OR p.purged_at IS NOT NULL AS is_due
      FROM file_moves m JOIN photos p ON p.id = m.photo_id WHERE m.photo_id > $1 ORDER BY m.photo_id LIMIT $2
"""


class Waiting(msgspec.Struct, frozen=True):
    photo_id: UUID
    is_due: bool
    """False while the photo is not home."""


class State(msgspec.Struct, frozen=True):
    """The paths of a photo's files, as recorded and as wanted."""

    photo_id: UUID
    path: str | None
    thumbnail: str | None
    file_size: int | None
    sha256: str | None
    is_home: bool
    is_purged: bool
    step_id: UUID | None
    session_id: UUID | None
    selected_at: datetime | None
    """Null while it is not its step's selection."""
    noted: list[str] | None
    """The noted names; null if all files are in place, as far as is known."""
    version: int | None

    @property
    def wanted(self) -> list[str]:
        """The names that its original is to have, the one in its row first."""
        if self.path is None:
            return []
        if self.step_id is None or self.session_id is None:
            return [self.path]
        if self.selected_at is None:
            return [generated_path(self.session_id, self.step_id, self.photo_id)]
        return [
            selected_path(self.session_id, self.step_id, self.photo_id),
            completed_path(self.selected_at, self.photo_id),
        ]

    @property
    def names(self) -> list[str]:
        """All names that its original may have."""
        known = [*([self.path] if self.path else ()), *self.wanted, *(self.noted or ())]
        if self.step_id is not None and self.session_id is not None:
            ids = self.session_id, self.step_id, self.photo_id
            known += [selected_path(*ids), generated_path(*ids)]
        return list(dict.fromkeys(known))


async def note(connection: Connection, photo_id: UUID, names: Iterable[str]) -> None:
    """Notes that the photo's files are to be moved, and the names that its original may have until then."""
    await connection.execute(NOTE, photo_id, list(names))


async def note_elsewhere(connection: Connection, photo_id: UUID, path: str) -> None:
    """Notes a file that was written at `path` for a photo that may have been moved since."""
    await connection.execute(NOTE_ELSEWHERE, photo_id, path)


async def note_selected(connection: Connection, photo_id: UUID) -> None:
    """Notes that its second name is to be checked once it is home, if it is a step's selection."""
    await connection.execute(NOTE_SELECTED, photo_id)


async def read(connection: Connection, photo_id: UUID) -> State | None:
    row = await connection.fetchrow(STATE, photo_id)
    return None if row is None else State(**row)


async def move(connection: Connection, state: State, path: str, thumbnail: str) -> bool:
    """Writes the new paths into the photo's row. False if it is no longer the photo that was read."""
    moved = await connection.fetchval(MOVE, state.photo_id, state.path, state.sha256, path, thumbnail)
    return moved is not None


async def forget(connection: Connection, state: State) -> bool:
    """Deletes the note. False if other paths are wanted by now."""
    return state.version is None or await connection.fetchval(FORGET, state.photo_id, state.version) is not None


async def waiting(connection: Connection, behind: UUID, at_most: int) -> list[Waiting]:
    return [Waiting(**row) for row in await connection.fetch(WAITING, behind, at_most)]
