"""A step with alternatives in the whole service: real files that came from a scripted InvokeAI, and where they are."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from service.database.engine import Database
from service.demo.images import Image
from service.media.identity import photo_id
from service.media.layout import completed_path, generated_path, renditions, selected_path
from service.media.storage import LocalStorage
from tests.fakes import ScriptedInvokeAI, rows
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.pictures import png_of
from tests.fakes.waiting import eventually


@dataclass
class Selecting:
    """`images` are what InvokeAI has of each alternative."""

    database: Database
    invokeai: ScriptedInvokeAI
    data: Path
    url: str
    darkroom: Darkroom = field(init=False)
    session: UUID = field(init=False)
    step: UUID = field(init=False)
    images: dict[UUID, Image] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Darkroom]:
        settings = settings_for(self.data, self.url, **{"invokeai_url": self.invokeai.url, **options})
        async with running(settings) as self.darkroom:
            yield self.darkroom

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.data)

    # --- What there is ---

    async def add_step(self) -> None:
        async with self.database.connection() as connection:
            self.session = await rows.add_session(connection)
            self.step = await rows.add_step(connection, self.session, status="completed", batch_size=4)

    async def add_alternative(self, shade: int) -> UUID:
        """As correlation records it; it comes home once retrieval is woken."""
        content = png_of(500, 400, shade=shade)
        # Intermediate: else a gallery reading might record it before we do.
        image = self.invokeai.images.add(content, content, is_intermediate=True)
        created_at = datetime.now(UTC)
        photo = photo_id(created_at)
        async with self.database.connection() as connection:
            backend = await connection.fetchval("SELECT id FROM backends")
            await rows.add_photo(
                connection,
                id=photo,
                created_at=created_at,
                home=False,
                source="generated",
                width=500,
                height=400,
                filename=image.image_name,
                invoke_id=image.image_name,
                backend_id=backend,
                local_storage_path=generated_path(self.session, self.step, photo),
            )
            await rows.add_alternative(connection, self.step, photo, len(self.images))
        self.images[photo] = image
        return photo

    async def fill(self, count: int) -> list[UUID]:
        """So many alternatives, home with both renditions."""
        await self.add_step()
        photos = [await self.add_alternative(40 * number) for number in range(count)]
        for photo in photos:
            await self.until_home(photo)
        return photos

    async def until_home(self, photo: UUID) -> None:
        self.darkroom.app.state["retrieval"].wake()
        await self.until(photo, lambda row: row["retrieval_status"] == "completed" and row["large_bytes"] is not None)

    async def row(self, photo: UUID) -> dict[str, Any]:
        async with self.database.connection() as connection:
            return dict(await connection.fetchrow("SELECT * FROM photos WHERE id = $1", photo))

    async def until(self, photo: UUID, met: Callable[[dict[str, Any]], Any], seconds: float = 30) -> dict[str, Any]:
        async def so() -> dict[str, Any] | None:
            row = await self.row(photo)
            return row if met(row) else None

        return dict(await eventually(so, seconds))

    async def moving(self) -> int:
        """How many photos are not known to be in their places."""
        async with self.database.connection() as connection:
            return int(await connection.fetchval("SELECT count(*) FROM file_moves"))

    async def selection(self) -> dict[str, Any]:
        async with self.database.connection() as connection:
            query = "SELECT selected_image_id, selected_at FROM generation_steps WHERE id = $1"
            return dict(await connection.fetchrow(query, self.step))

    def original(self, photo: UUID) -> bytes:
        return self.invokeai.images.path(self.images[photo].image_name).read_bytes()

    # --- What an owner does ---

    async def select(self, photo: UUID | None, status: int = 200, step: UUID | None = None) -> Any:
        body = {"photo_id": None if photo is None else str(photo)}
        async with self.darkroom.http.put(f"/api/v1/steps/{step or self.step}/selection", json=body) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    async def sweep(self) -> None:
        await self.darkroom.app.state["file_mover"].sweep()

    # --- Where files are ---

    def files(self) -> set[str]:
        """Everything below `photos`, relative to the data folder."""
        return {str(path.relative_to(self.data)) for path in (self.data / "photos").rglob("*") if path.is_file()}

    async def places(self, *without: UUID) -> set[str]:
        """Where every file of every alternative belongs."""
        chosen = await self.selection()
        originals = []
        for photo in self.images.keys() - set(without):
            if photo == chosen["selected_image_id"]:
                originals += [selected_path(self.session, self.step, photo)]
                originals += [completed_path(chosen["selected_at"], photo)]
            else:
                originals += [generated_path(self.session, self.step, photo)]
        return {name for original in originals for name in (original, *renditions(original))}

    async def assert_in_place(self, *without: UUID) -> None:
        """Each photo where the selection puts it, byte for byte as InvokeAI has it; no other file; every URL works."""
        with suppress(TimeoutError):  # a large rendition that was just made has its second name a moment later
            async with asyncio.timeout(20):
                while self.files() != await self.places(*without):
                    await asyncio.sleep(0.02)
        assert self.files() == await self.places(*without)
        for photo in self.images.keys() - set(without):
            row = await self.row(photo)
            content = self.original(photo)
            assert row["local_storage_path"] in self.files()
            assert row["local_thumbnail_path"] in self.files()
            assert row["sha256"] == hashlib.sha256(content).hexdigest()
            for name in self.files():
                if name.endswith(f"{photo}.png"):
                    assert (self.data / name).read_bytes() == content
            assert await self.read(photo, "file") == content
            for size in ("small", "large"):
                assert (await self.read(photo, f"thumbnail?size={size}"))[8:12] == b"WEBP"
        assert await self.moving() == 0

    async def read(self, photo: UUID, what: str) -> bytes:
        async with self.darkroom.http.get(f"/api/v1/photos/{photo}/{what}") as response:
            assert response.status == 200, (what, response.status, await response.read())
            return await response.read()
