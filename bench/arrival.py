"""What one arrival costs in a large library, beside the same in a small one (`python -m bench.arrival`).

An arrival is an image of a step that InvokeAI has made: it is recorded, claimed, its row says that it is home, and the
feed's messages are read and encoded: the photo twice, its step, the ledger, the library's total. No file is fetched.
Both libraries are in one PostgreSQL, and take turns. The limit is the small library's cost.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import make_url

from bench.search import INDEXES
from service.backends import ledger
from service.bus.bus import Bus
from service.bus.previews import Previews
from service.correlation.record import Recorder, Settling
from service.correlation.tracking import Tracking
from service.database import migrate
from service.database.embedded.server import EmbeddedPostgres
from service.database.engine import Connection, Database
from service.database.photo_counts import PHOTOS_IN_LIST, PhotoCounts
from service.invokeai.client import InvokeClient
from service.invokeai.events import ImageDTO
from service.library.queries import photos_by_ids
from service.live.hub import Hub
from service.media.identity import new_id
from service.media.metadata.parameters import GenerationParameters
from service.photos.derive import Derived
from service.retrieval import queue
from service.retrieval.queue import Home
from service.studio.queries import steps_by_ids

TARGET = 1.1
WHOLE = "an arrival"
AT_ONCE = 20
"""Arrivals in one library before the other's turn."""
PER_STEP = 4
STEPS_PER_SESSION = 25
BEGAN = "timestamptz '2025-01-01'"
NAME = "md5(n::text) || '-' || n || '.png'"
# Ids whose order is the order of n: UUIDv7 for photos, any for the others.
ID = "(lpad(to_hex({kind}), 4, '0') || lpad(to_hex({n}), 28, '0'))::uuid"
PHOTO_ID = f"(lpad(to_hex((extract(epoch FROM {BEGAN}) * 1000)::bigint + n * 30000), 12, '0') || '70008' || lpad(n::text, 15, '0'))::uuid"  # noqa: E501
STEP = ID.format(kind=2, n=f"(n - 1) / {PER_STEP}")
STEPS = f"generate_series(1, $1::bigint, {PER_STEP}) n"
# As rows of an older library: every photo is home, of a step that has ended.
FILL = (
    f"""
    INSERT INTO generation_sessions (id, name)
    SELECT {ID.format(kind=1, n="n")}, 'session ' || n
      FROM generate_series(0, $1::bigint / {PER_STEP * STEPS_PER_SESSION}) n
""",
    f"""
    INSERT INTO generation_steps (id, session_id, prompt, model_key, model_hash, model_name, backend_id, position,
           batch_size, status, created_at, completed_at, parameters)
    SELECT {STEP}, {ID.format(kind=1, n=f"n / {PER_STEP * STEPS_PER_SESSION}")}, 'a lighthouse at dusk ' || n,
           'model' || n % 9, 'blake3:model', 'Model ' || n % 9, $2, n, {PER_STEP}, 'completed', now(), now(),
           jsonb_build_object('width', 1024, 'height', 1024, 'steps', 30)
      FROM {STEPS}
""",
    f"""
    INSERT INTO step_batches (batch_id, step_id, backend_id, wanted, enqueued, seeds, state, posted_at, answered_at)
    SELECT 'batch' || n, {STEP}, $2, {PER_STEP}, {PER_STEP}, ARRAY[n, n + 1, n + 2, n + 3], 'enqueued', now(), now()
      FROM {STEPS}
""",
    f"""
    INSERT INTO queue_items (batch_id, item_id, step_id, ordinal, invoke_session_id, status, settled_at)
    SELECT 'batch' || n - (n - 1) % {PER_STEP}, n, {STEP}, (n - 1) % {PER_STEP}, md5('session' || n), 'completed', now()
      FROM generate_series(1, $1::bigint) n WHERE $2::uuid IS NOT NULL
""",
    f"""
    INSERT INTO photos (id, filename, width, height, mime_type, created_at, is_generated, source, invoke_id, backend_id,
           invoke_session_id, retrieval_status, next_retrieval_attempt, file_size, sha256, thumbhash,
           local_storage_path, local_thumbnail_path, thumbnail_width, thumbnail_height, large_bytes, favorite, rating,
           model_key, model_hash, model_name, model_base, seed, generation_prompt, generation_negative_prompt, tags,
           generation_params, params_summary, derived)
    SELECT {PHOTO_ID}, {NAME}, 1024, 1024, 'image/png', {BEGAN} + n * interval '30 seconds', true, 'generated', {NAME},
           $2, md5('session' || n), 'completed', NULL, 1500000, repeat(md5(n::text), 2),
           'YJqGPQw7sFlslqhFafSE+Q6oJ1h2iHB2Rw==', 'photos/generated/' || md5((n / 4)::text) || '/' || n || '.png',
           'photos/generated/' || md5((n / 4)::text) || '/' || n || '.webp', 360, 360, 90000, n % 40 = 0, n % 6,
           'model' || n % 9, 'blake3:model', 'Model ' || n % 9, 'sdxl', n,
           'a lighthouse with word' || n % 5000 || ' at dusk, painted in oil, soft light, wide view, intricate detail',
           'blurry, watermark, text', CASE WHEN n % 10 = 0 THEN ARRAY['tag' || n % 300] ELSE '{{}}' END,
           jsonb_build_object('generation_mode', 'sdxl_txt2img', 'seed', n, 'steps', 30, 'cfg_scale', 7.5),
           jsonb_build_object('steps', 30, 'cfg_scale', 7.5, 'scheduler', 'dpmpp_2m', 'strength', NULL), 100
      FROM generate_series(1, $1::bigint) n
""",
    f"""
    INSERT INTO step_alternatives (step_id, photo_id, position)
    SELECT {STEP}, {PHOTO_ID}, n FROM generate_series(1, $1::bigint) n WHERE $2::uuid IS NOT NULL
""",
)
ADD_STEP = """
    INSERT INTO generation_steps (id, session_id, prompt, model_key, model_hash, model_name, backend_id, position,
           status, parameters)
    SELECT $1, id, 'a harbour in the morning', 'model1', 'blake3:model', 'Model 1', $2, 1, 'processing',
           '{"width": 1024, "height": 1024, "steps": 30}' FROM generation_sessions LIMIT 1
"""
ADD_BATCH = """
    INSERT INTO step_batches (batch_id, step_id, backend_id, wanted, enqueued, seeds, state, posted_at, answered_at)
    VALUES ($1, $2, $3, 1, 1, ARRAY[7], 'enqueued', now(), now())
"""
ADD_ITEM = """
    INSERT INTO queue_items (batch_id, item_id, step_id, ordinal, invoke_session_id, status, started_at, completed_at)
    VALUES ($1, $2, $3, 0, $4, 'completed', now(), now())
"""
PIDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
METADATA = msgspec.json.encode({"generation_mode": "sdxl_txt2img", "steps": 30, "cfg_scale": 7.5, "seed": 7}).decode()
DERIVED = Derived(
    GenerationParameters(
        metadata=METADATA, prompt="a harbour in the morning", model_key="model1", model_name="Model 1", seed=7
    )
)


@dataclass
class Cost:
    """Of each arrival, in milliseconds."""

    wall: list[float] = field(default_factory=list)
    postgresql: list[float] = field(default_factory=list)
    """CPU of the server's processes that worked for us."""
    own: list[float] = field(default_factory=list)
    """CPU of this process."""

    def medians(self) -> dict[str, float]:
        return {
            "wall": statistics.median(self.wall),
            "PostgreSQL's CPU": statistics.median(self.postgresql),
            "Darkroom's CPU": statistics.median(self.own),
        }


class Library:
    def __init__(self, database: Database, backend_id: UUID) -> None:
        self.costs: dict[str, Cost] = {}
        """Of each part of an arrival, and of the whole."""
        self.counts = PhotoCounts(database)
        self._database = database
        self._backend_id = backend_id
        client = cast(InvokeClient, object())  # an image of a known session needs no question
        tracking = Tracking(backend_id, Previews())
        self._recorder = Recorder(backend_id, client, database, Bus(), tracking, mirror=True)
        self._hub = Hub("bench")
        self._browser = self._hub.subscribe()
        self._pids: list[int] = []
        self._items = 10**9

    async def arrivals(self, count: int) -> None:
        for _ in range(count):
            image, settling = await self._prepare()
            if not self._pids:
                async with self._database.connection() as connection:
                    self._pids = [row["pid"] for row in await connection.fetch(PIDS)]
            with self._measured(WHOLE):
                await self._arrive(image, settling)

    @contextmanager
    def _measured(self, part: str) -> Iterator[None]:
        cost = self.costs.setdefault(part, Cost())
        postgresql, own, began = self._cpu(), time.process_time(), time.perf_counter()
        yield
        cost.wall.append((time.perf_counter() - began) * 1000)
        cost.own.append((time.process_time() - own) * 1000)
        cost.postgresql.append((self._cpu() - postgresql) / 1e6)

    def _cpu(self) -> int:
        """Nanoseconds that the server's processes of this library have run."""
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in self._pids)

    async def _prepare(self) -> tuple[ImageDTO, Settling]:
        """InvokeAI has just made the one image of a step."""
        step_id, batch_id, session_id = new_id(), str(uuid4()), str(uuid4())
        self._items += 1
        async with self._database.connection() as connection:
            await connection.execute(ADD_STEP, step_id, self._backend_id)
            await connection.execute(ADD_BATCH, batch_id, step_id, self._backend_id)
            await connection.execute(ADD_ITEM, batch_id, self._items, step_id, session_id)
        image = ImageDTO(
            image_name=f"{uuid4()}.png",
            image_category="general",
            image_origin="internal",
            width=1024,
            height=1024,
            created_at=datetime.now(UTC),
            is_intermediate=False,
            session_id=session_id,
        )
        return image, Settling(batch_id, self._items, step_id, (image.image_name,))

    async def _arrive(self, image: ImageDTO, settling: Settling) -> None:
        with self._measured("record"):
            added = await self._recorder.record([image], [settling])
        with self._measured("tell photo and step"):
            await self._tell("photo.added", lambda connection: photos_by_ids(connection, added))
            await self._tell(
                "step.updated", lambda connection: steps_by_ids(connection, [settling.step_id], _no_progress)
            )
        async with self._database.connection() as connection:
            with self._measured("claim"):
                [claimed] = await queue.claim(connection, [self._backend_id], 1)
            thumbnail = claimed.path.removesuffix(".png") + ".webp"
            home = Home(1_500_000, secrets.token_hex(32), thumbnail, (360, 360), "YJqGPQw7sFlslqhFafSE+Q6oJ1h2", True)
            with self._measured("finish"):
                assert await queue.finish(connection, claimed, home, DERIVED)
            with self._measured("ledger and total"):
                self._hub.passing("ledger", None, await ledger.read(connection, {}))
                assert await connection.fetchval(PHOTOS_IN_LIST, False)
        with self._measured("tell photo"):
            await self._tell("photo.ready", lambda connection: photos_by_ids(connection, added))

    async def _tell(self, type: str, read: Callable[[Connection], Any]) -> None:
        async with self._database.connection() as connection:
            for resource in (await read(connection)).values():
                self._hub.publish(type, resource)
        while self._browser.take() is not None:
            pass


def _no_progress(*_: Any) -> None:
    return None


async def library(server_url: str, rows: int, closing: AsyncExitStack) -> Library:
    """A database of its own with so many photos, as after an upgrade from a release that kept no counts."""
    name = f"arrival_{rows}"
    maintenance = Database(server_url)
    async with maintenance.connection() as connection:
        await connection.execute(f"CREATE DATABASE {name}")
    await maintenance.close()
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    database = Database(url)
    closing.push_async_callback(database.close)
    await migrate.upgrade(database.url)
    backend_id = new_id()
    async with database.connection() as connection:
        await connection.execute("INSERT INTO backends (id, name, url) VALUES ($1, 'bench', 'x')", backend_id)
        indexes = await connection.fetch(INDEXES)
        for index in indexes:
            await connection.execute(f"DROP INDEX {index['indexname']}")
        await connection.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
        for statement in FILL:
            values = (rows, backend_id) if "$2" in statement else (rows,)
            await connection.execute(statement, *values, timeout=1800)
        await connection.execute("SET session_replication_role = DEFAULT")
        for index in indexes:
            await connection.execute(index["indexdef"], timeout=1800)
        await connection.execute("VACUUM (FREEZE, ANALYZE)", timeout=1800)
    made = Library(database, backend_id)
    await made.counts.count()
    return made


async def run(rows: int, few: int, arrivals: int) -> tuple[dict[str, Cost], dict[str, Cost]]:
    """By part, in the large and in the small library."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        Path(folder).chmod(0o755)
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        async with AsyncExitStack() as closing:
            url = await postgres.start()
            closing.push_async_callback(postgres.stop)
            small, large = await library(url, few, closing), await library(url, rows, closing)
            for each in (large, small):
                await each.arrivals(5 * AT_ONCE)
                each.costs.clear()
            for _ in range(arrivals // AT_ONCE):
                for each in (large, small):
                    await each.arrivals(AT_ONCE)
                    await each.counts.add_together()
            return large.costs, small.costs


def main(arguments: list[str] | None = None) -> int:
    """Prints what an arrival costs in both libraries, and the ratios beside their limit; 1 when one misses it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--arrivals", type=int, default=600, help="in each library")
    options = parser.parse_args(arguments)
    large, small = asyncio.run(run(options.rows, options.few, options.arrivals))
    print(f"one arrival among {options.rows} photos ÷ among {options.few}, median of {options.arrivals}")
    for part in [part for part in large if part != WHOLE]:
        there, here = large[part].medians(), small[part].medians()
        print(f"  {part:20}" + "; ".join(f"{name} {there[name]:.2f} ÷ {here[name]:.2f} ms" for name in there))
    missed = False
    there, here = large[WHOLE].medians(), small[WHOLE].medians()
    for name in there:
        ratio = there[name] / here[name]
        missed |= ratio > TARGET
        print(f"  {name:20}{there[name]:6.2f} ms ÷ {here[name]:6.2f} ms = {ratio:.3f} (limit {TARGET})")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
