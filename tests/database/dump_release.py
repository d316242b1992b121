"""Keep this release's database for upgrade tests: `python -m tests.database.dump_release`, before a schema changes.

It fills a database as an owner would have filled it (steps made by the demo InvokeAI, over the API) and adds what takes
time or trouble to come about: every status of everything, the trash, tombstones, other servers. It writes pg_dump's SQL
to `released_REVISION.sql.gz` beside this file, which `test_upgrade.py` upgrades from then on.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import make_url

from service.access.password import OwnerPassword
from service.backends.environment import SETTING
from service.database.embedded.binaries import installation
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Connection, Database
from service.database.models import BATCH_STATES, ITEM_STATUSES, RETRIEVAL_STATUSES, STEP_STATUSES
from service.media.identity import new_id, photo_id
from service.media.layout import (
    completed_path,
    generated_path,
    imported_path,
    mirror_path,
    selected_path,
    thumbnail_path,
    uploaded_path,
)
from tests.database.released import OWNER_PASSWORD, SERVER_URL, SESSION_TOKEN, file_of
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.rows import (
    add_alternative,
    add_backend,
    add_batch,
    add_item,
    add_photo,
    add_session,
    add_step,
    insert,
)
from tests.fakes.studio_harness import MODEL
from tests.fakes.waiting import eventually

Json = dict[str, Any]

BEGAN = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
FOREVER = datetime(2200, 1, 1, tzinfo=UTC)
LARGEST_SEED = 2**64 - 1
PROMPT = 'a lighthouse at dusk, "golden" light; it\'s 50 % fog\nsecond line \\ with a backslash – ümläut 灯台 🌊'
PARAMETERS: Json = {"width": 1216, "height": 832, "steps": 28, "seed": 210, "cfg_scale": 6.5, "scheduler": "dpmpp_2m_k"}
MODEL_SETTINGS: Json = {"steps": 30, "cfg_scale": 7, "width": 1024, "height": 1024}


class Filling:
    """One database being filled. `hour` passes with each photo."""

    def __init__(self, connection: Connection, studio_pc: UUID, metadata: str) -> None:
        self.connection = connection
        self.studio_pc = studio_pc
        self.metadata = metadata
        self.hour = 0

    async def photo(self, backend_id: UUID | None, status: str = "completed", **values: Any) -> UUID:
        """Recorded as the release does it: with a path from the beginning, and a file's facts once it is home."""
        self.hour += 1
        created_at = BEGAN + timedelta(hours=self.hour, microseconds=123_456)
        identity = photo_id(created_at)
        home = status == "completed"
        tries = {"failed": 5, "gone": 1, "retrieving": 1}.get(status, 0)
        path = values.pop("local_storage_path", None) or mirror_path(backend_id or self.studio_pc, created_at, identity)
        facts: Json = {
            "local_storage_path": path,
            "retrieval_status": status,
            "retrieval_attempts": tries,
            "last_retrieval_attempt": created_at + timedelta(minutes=2) if tries or home else None,
            "next_retrieval_attempt": created_at if status == "pending" else None,
            "retrieval_error": {"failed": "InvokeAI answered 502", "gone": "InvokeAI no longer has it"}.get(status),
            "backend_id": backend_id,
            "generation_params": self.metadata,
            "generation_prompt": PROMPT,
            "generation_negative_prompt": "blurry",
            "model_key": MODEL["key"],
            "model_hash": MODEL["hash"],
            "model_name": MODEL["name"],
            "model_base": MODEL["base"],
            "seed": self.hour,
        }
        if status == "retrieving":
            facts |= {"retrieval_claim": new_id(), "retrieval_lease_until": created_at + timedelta(minutes=5)}
        if home:
            facts |= {
                "file_size": 1_500_000 + self.hour,
                "sha256": f"{self.hour:064x}",
                "thumbhash": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
                "local_thumbnail_path": thumbnail_path(path),
            }
        return await add_photo(self.connection, home=home, id=identity, created_at=created_at, **{**facts, **values})

    async def foreign(self, source: str, path: str, **values: Any) -> UUID:
        """Not made by InvokeAI."""
        made = dict.fromkeys(
            (
                *("generation_params", "generation_prompt", "generation_negative_prompt", "invoke_id", "seed"),
                *("model_key", "model_hash", "model_name", "model_base"),
            )
        )
        name = Path(path).name
        own = {"source": source, "is_generated": False, "local_storage_path": path, "filename": name}
        return await self.photo(None, **{**made, **own, **values})


async def fill(database: Database, demo_id: UUID, made: list[Json]) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE backends SET name = 'Studio PC', kind = 'server', url = $2, version = '6.14.2',"
            " gallery_watermark = $3 WHERE id = $1",
            demo_id,
            SERVER_URL,
            BEGAN + timedelta(days=20),
        )
        metadata = json.dumps(made[0]["generation_params"] | {"seed": LARGEST_SEED, "note": PROMPT})
        filling = Filling(connection, demo_id, metadata)
        attic = await add_backend(
            connection,
            name="Attic",
            url="https://attic.example:9443/invoke",
            queue_id="evenings",
            credentials=json.dumps({"email": "owner@example.org", "password": "pässword \" ' \\"}),
            mirror="own",
            version="6.9.0",
            last_seen_at=BEGAN + timedelta(days=2),
        )
        pod = await add_backend(
            connection,
            name="Old pod",
            kind="runpod",
            url="https://abcdef-9090.proxy.example",
            credentials=json.dumps({"email": "pod@example.org", "password": "of the pod"}),
            enabled=False,
            version="5.15.0",
        )
        photos = await fill_library(filling, attic, pod)
        await fill_studio(filling, attic, pod)
        await fill_albums(connection, photos)
        await fill_rest(connection, attic, pod, photos)
        await pick(connection, made)


async def fill_library(filling: Filling, attic: UUID, pod: UUID) -> list[UUID]:
    connection, studio_pc = filling.connection, filling.studio_pc
    every = [(backend_id, status) for backend_id in (studio_pc, attic, pod) for status in RETRIEVAL_STATUSES]
    photos = [await filling.photo(backend_id, status) for backend_id, status in every]
    first = photos[0]
    photos += [
        await filling.foreign("uploaded", uploaded_path(BEGAN, new_id(), ".jpg"), mime_type="image/jpeg"),
        await filling.foreign("imported", imported_path(BEGAN, new_id(), ".webp"), mime_type="image/webp"),
        # Its server was removed.
        await filling.photo(None),
        # Without a thumbnail, and without metadata.
        await filling.photo(studio_pc, local_thumbnail_path=None, thumbhash=None, generation_params=None),
        await filling.photo(
            studio_pc,
            favorite=True,
            rating=5,
            pick="pick",
            caption=PROMPT,
            tags=["sea", "Über", "two words"],
            loras=["key-of-a-lora", "another"],
            seed=LARGEST_SEED,
            source_image_id=first,
        ),
        await filling.photo(studio_pc, rating=1, pick="reject", mime_type="image/png"),
    ]
    for status in RETRIEVAL_STATUSES:
        photos.append(await filling.photo(studio_pc, status, deleted_at=BEGAN + timedelta(days=15)))
    # Tombstones: the file is still to be removed, or was.
    in_trash, purged = BEGAN + timedelta(days=10), BEGAN + timedelta(days=16)
    photos.append(await filling.photo(studio_pc, deleted_at=in_trash, purged_at=purged))
    gone = await filling.photo(studio_pc, deleted_at=in_trash, purged_at=purged)
    await connection.execute(
        "UPDATE photos SET local_storage_path = NULL, local_thumbnail_path = NULL, sha256 = NULL, file_size = NULL"
        " WHERE id = $1",
        gone,
    )
    return [*photos, gone]


async def fill_studio(filling: Filling, attic: UUID, pod: UUID) -> None:
    """A step of each status, of batches of each state and items of each status; and an evening that was deleted."""
    connection, studio_pc = filling.connection, filling.studio_pc
    session = await add_session(connection, name="An evening 🌊", created_at=BEGAN)
    step: Json = {
        "prompt": PROMPT,
        "negative_prompt": "blurry",
        "parameters": json.dumps(PARAMETERS),
        "model_key": MODEL["key"],
        "model_hash": MODEL["hash"],
        "model_name": MODEL["name"],
        "backend_id": studio_pc,
    }
    parent: UUID | None = None
    for position, status in enumerate(STEP_STATUSES):
        ended = BEGAN + timedelta(hours=position) if status in ("completed", "failed", "canceled") else None
        parent = await add_step(
            connection,
            session,
            **step,
            position=position,
            parent_id=parent,
            status=status,
            batch_size=2 * len(ITEM_STATUSES),
            correlation_id=f"tab-1:{position}",
            error_message="CUDA out of memory" if status == "failed" else None,
            cancel_requested_at=ended if status == "canceled" else None,
            submitted_at=BEGAN + timedelta(hours=position),
            started_at=None if status == "pending" else BEGAN + timedelta(hours=position),
            completed_at=ended,
        )
        for state in BATCH_STATES if status in ("pending", "processing") else ("enqueued", "refused"):
            await fill_batch(filling, session, parent, studio_pc, state, status)
    # Given up after it was posted; its server was removed since; nothing was posted of it at all.
    lost = await add_step(connection, session, **step, position=5, status="failed", error_message="InvokeAI lost it")
    refusal = {"state": "refused", "refusal": "no answer", "posted_at": BEGAN, "answered_at": BEGAN, "lost_at": BEGAN}
    await add_batch(connection, lost, attic, **refusal)
    await add_step(connection, session, **step | {"backend_id": None, "status": "failed"}, position=6)
    await add_step(connection, session, **step | {"backend_id": pod}, position=7)
    await add_step(connection, session, **step, position=8, status="canceled", deleted_at=BEGAN)
    deleted = await add_session(connection, name="A deleted evening", deleted_at=BEGAN + timedelta(days=1))
    await add_step(connection, deleted, **step, position=0, status="completed", deleted_at=BEGAN + timedelta(days=1))
    await add_session(connection, name="An empty evening")


async def fill_batch(
    filling: Filling, session: UUID, step_id: UUID, backend_id: UUID, state: str, step_status: str
) -> None:
    wanted = len(ITEM_STATUSES)
    sent = {"posted_at": BEGAN} if state != "prepared" else {}
    answered = {"answered_at": BEGAN} if state in ("enqueued", "refused") else {}
    batch_id = await add_batch(
        filling.connection,
        step_id,
        backend_id,
        wanted=wanted,
        seeds=[2**32 - 1 - k for k in range(wanted)],
        state=state,
        enqueued=wanted if state == "enqueued" else 0,
        refusal="the queue is full" if state == "refused" else None,
        **sent,
        **answered,
    )
    if state != "enqueued":
        return
    under_way = step_status in ("pending", "processing")
    for k, status in enumerate(ITEM_STATUSES if under_way else ("completed", "failed", "canceled", "gone")):
        ended = BEGAN if status in ("completed", "failed", "canceled", "gone") else None
        invoke_session_id = str(new_id())
        await add_item(
            filling.connection,
            batch_id,
            step_id,
            700 + k,
            ordinal=k,
            invoke_session_id=invoke_session_id,
            status=status,
            status_sequence=2 if ended else 1,
            error="CUDA out of memory" if status == "failed" else None,
            settled_at=ended,
            absent_since=BEGAN if status in ("gone", "waiting") else None,
            created_at=BEGAN,
            started_at=None if status == "pending" else BEGAN,
            completed_at=ended,
        )
        if status == "completed":
            of_step = {"source": "generated", "invoke_session_id": invoke_session_id}
            path = generated_path(session, step_id, new_id())
            photo = await filling.photo(backend_id, local_storage_path=path, **of_step)
            await add_alternative(filling.connection, step_id, photo, 1000 * k)
    if under_way:
        retry: Json = {"retried_from_item_id": 701, "status": "pending", "ordinal": 1}
        await add_item(filling.connection, batch_id, step_id, 799, **retry)
        # Stands for an item that was never seen.
        await add_item(filling.connection, batch_id, step_id, -1, status="gone", settled_at=BEGAN)


async def fill_albums(connection: Connection, photos: list[UUID]) -> None:
    for name, members in (("Coast", photos[:4]), ("Empty", [])):
        album = new_id()
        cover = members[0] if members else None
        await insert(connection, "albums", id=album, name=name, description=PROMPT, cover_photo_id=cover)
        for position, photo in enumerate(members):
            await insert(connection, "album_photo", album_id=album, photo_id=photo, position=10 * position)


async def fill_rest(connection: Connection, attic: UUID, pod: UUID, photos: list[UUID]) -> None:
    for backend_id in (attic, pod):
        await insert(
            connection,
            "models",
            backend_id=backend_id,
            **{name: MODEL[name] for name in ("key", "hash", "name", "base", "type")},
            format="checkpoint",
            description=PROMPT,
            default_settings=json.dumps(MODEL_SETTINGS),
        )
    await insert(connection, "backend_uploads", backend_id=attic, image_name=f"{new_id()}.png", photo_id=photos[15])
    for key, value in {"retrieval_max_attempts": 7, "thumbnail_quality": 90, "trash_days": 0}.items():
        await insert(connection, "settings", key=key, value=json.dumps(value))
    await connection.execute(
        "UPDATE settings SET value = value || jsonb_build_object('retiring', jsonb_build_array($2::text))"
        " WHERE key = $1",
        SETTING,
        str(attic),
    )
    await insert(connection, "api_tokens", id=new_id(), name="a script", token_hash="ab" * 32, last_used_at=BEGAN)
    token_hash = OwnerPassword(OWNER_PASSWORD).session_key(SESSION_TOKEN)
    await insert(connection, "web_sessions", token_hash=token_hash, created_at=BEGAN, expires_at=FOREVER)
    await insert(connection, "web_sessions", token_hash="expired", created_at=BEGAN, expires_at=BEGAN)


async def pick(connection: Connection, made: list[Json]) -> None:
    """The first alternative of the demo's step, as choosing it leaves it."""
    photo = made[0]
    session, step, identity = UUID(photo["session_id"]), UUID(photo["step_id"]), UUID(photo["id"])
    await connection.execute(
        "UPDATE generation_steps SET selected_image_id = $2, selected_at = now() WHERE id = $1", step, identity
    )
    path = selected_path(session, step, identity)
    await connection.execute(
        "UPDATE photos SET local_storage_path = $2, local_thumbnail_path = $3, caption = $4 WHERE id = $1",
        identity,
        path,
        thumbnail_path(path),
        completed_path(BEGAN, identity),
    )


async def make_with_demo(darkroom: Darkroom) -> tuple[UUID, list[Json]]:
    """Its backend, and the photos of a step of three that is home and placed."""

    async def call(method: str, path: str, body: Json | None = None) -> Any:
        async with darkroom.http.request(method, f"/api/v1{path}", json=body) as response:
            assert response.ok, await response.text()
            return await response.json()

    async def models() -> Any:
        return (await call("GET", "/models"))["items"]

    await eventually(models, 60)
    session = await call("POST", "/sessions", {"name": "Made with the demo"})
    step = await call(
        "POST",
        f"/sessions/{session['id']}/steps",
        {
            "prompt": PROMPT,
            "model_key": MODEL["key"],
            "model_hash": MODEL["hash"],
            "parameters": {"width": 64, "height": 64, "steps": 2, "seed": 4_294_967_290},
            "batch_size": 3,
        },
    )

    async def home() -> Any:
        alternatives = (await call("GET", f"/steps/{step['id']}"))["alternatives"]
        done = [photo for photo in alternatives if photo["retrieval_status"] == "completed"]
        return done if len(done) == 3 else None

    made = await eventually(home, 60)
    [backend] = (await call("GET", "/backends"))["items"]
    return UUID(backend["id"]), made


async def pg_dump(url: str) -> str:
    """The whole database as statements that any PostgreSQL from 15 on takes, without psql's own commands."""
    at = make_url(url)
    process = await asyncio.create_subprocess_exec(
        installation() / "bin" / "pg_dump",
        "--inserts",
        "--rows-per-insert=100",
        "--no-owner",
        "--no-privileges",
        f"--host={at.query['host']}",
        f"--username={at.username}",
        str(at.database),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    text = output.decode()
    # Before the first table there are settings of the dump's own server; after the last statement psql's \unrestrict.
    body = text[text.index("CREATE TABLE") : text.index("-- PostgreSQL database dump complete")]
    return body.replace("SET default_table_access_method = heap;\n", "")


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="darkroom-dump-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, the server is another user
        postgres = EmbeddedPostgres(folder / "postgres", {"fsync": "off"})
        try:
            url = await postgres.start()
            async with running(settings_for(folder / "data", url), demo=True) as darkroom:
                demo_id, made = await make_with_demo(darkroom)
            database = Database(url)
            await fill(database, demo_id, made)
            async with database.connection() as connection:
                revision = await connection.fetchval("SELECT version_num FROM alembic_version")
            await database.close()
            file = file_of(revision)
            file.write_bytes(gzip.compress((await pg_dump(url)).encode(), mtime=0))
        finally:
            await postgres.stop()


if __name__ == "__main__":
    asyncio.run(main())
