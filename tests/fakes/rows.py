"""Rows for tests: whole and valid, with what the test cares about given by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from service.database.engine import Connection
from service.media.identity import new_id, photo_id

HOME = {"retrieval_status": "completed", "file_size": 9, "next_retrieval_attempt": None}


async def insert(connection: Connection, table: str, **values: Any) -> None:
    """`values` as asyncpg takes them: jsonb as text."""
    columns, parameters = ", ".join(values), ", ".join(f"${n + 1}" for n in range(len(values)))
    await connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({parameters})", *values.values())


async def add_photo(connection: Connection, *, home: bool = True, **values: Any) -> UUID:
    """A photo made by InvokeAI, home unless told otherwise."""
    created_at = values.pop("created_at", None) or datetime.now(UTC)
    identity = values.pop("id", None) or photo_id(created_at)
    image_name = f"{uuid4()}.png"
    defaults: dict[str, Any] = {
        "filename": image_name,
        "width": 64,
        "height": 48,
        "mime_type": "image/png",
        "is_generated": True,
        "source": "mirrored",
        "invoke_id": image_name,
        "local_storage_path": f"photos/generated/mirror/{identity}.png",
        **(HOME | {"sha256": sha256_of(identity)} if home else {}),
    }
    await insert(connection, "photos", id=identity, created_at=created_at, **{**defaults, **values})
    return identity


def sha256_of(photo: UUID) -> str:
    """Of the bytes that a photo is said to have: no two have the same."""
    return photo.hex * 2


async def add_backend(connection: Connection, **values: Any) -> UUID:
    identity = new_id()
    await insert(connection, "backends", **{"id": identity, "name": "pod", "url": f"http://{identity}", **values})
    return identity


async def add_session(connection: Connection, **values: Any) -> UUID:
    identity = new_id()
    await insert(connection, "generation_sessions", **{"id": identity, "name": "an evening", **values})
    return identity


async def add_step(connection: Connection, session_id: UUID, **values: Any) -> UUID:
    identity = new_id()
    defaults = {"prompt": "a lighthouse", "model_key": "k", "model_hash": "h", "position": 0}
    await insert(connection, "generation_steps", **{"id": identity, "session_id": session_id, **defaults, **values})
    return identity


async def add_batch(connection: Connection, step_id: UUID, backend_id: UUID, **values: Any) -> str:
    batch_id = str(uuid4())
    defaults = {"wanted": 1, "seeds": list(range(values.get("wanted", 1)))}
    row = {"batch_id": batch_id, "step_id": step_id, "backend_id": backend_id, **defaults, **values}
    await insert(connection, "step_batches", **row)
    return batch_id


async def add_item(connection: Connection, batch_id: str, step_id: UUID, item_id: int, **values: Any) -> None:
    row = {"batch_id": batch_id, "step_id": step_id, "item_id": item_id, **values}
    await insert(connection, "queue_items", **row)


async def add_alternative(connection: Connection, step_id: UUID, photo: UUID, position: int = 0) -> None:
    await insert(connection, "step_alternatives", step_id=step_id, photo_id=photo, position=position)
