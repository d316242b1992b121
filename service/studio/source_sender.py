"""Brings source photos to the backends of the batches that wait for them (source is a photo).
Each is found there by a known name, or uploaded once, and looked for when the answer to its upload is missing."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import msgspec
import structlog

from service.backends.registry import Registry
from service.bus.bus import Bus, Topic
from service.database.engine import Database
from service.errors import DataFolderAway, InvokeAnswered, InvokeError
from service.invokeai.client import InvokeClient
from service.media.png import with_text
from service.runtime.backoff import RetryTimes
from service.steps import batches, submission
from service.steps.submission import PostOutcome
from service.studio import source_rows as rows
from service.studio import traces
from service.studio.source_pictures import SourceNotHere, SourcePictures, UnusableSource
from service.studio.source_rows import PURGED_SOURCE, KnownSource

log = structlog.get_logger()

AT_ONCE = 16
"""Photos that are looked for at the same time, of which one is uploaded."""
LOST_FILE_SECONDS = 60.0
"""Seconds between looks for the file of a photo that is not home."""
FORGOTTEN_AFTER = 600.0
"""Seconds after an upload in which another one of the same photo waits, longer each time: a server that loses what it
took must not be filled."""


class Refused(msgspec.Struct, frozen=True):
    """It cannot be brought there, and trying again would not help; the words are for the owner."""

    words: str


class NotYet(msgspec.Struct, frozen=True):
    """Try again in so many seconds. `lacks_file`: the photo is not home."""

    seconds: float
    lacks_file: bool = False


Brought = str | Refused | NotYet
"""A `str` is the name by which the backend has the photo."""


class SourceSender:
    """The sources of one backend's waiting batches."""

    def __init__(
        self,
        backend_id: UUID,
        database: Database,
        registry: Registry,
        bus: Bus,
        pictures: SourcePictures,
        *,
        grace: float = submission.GRACE,
    ) -> None:
        self.woken = asyncio.Event()
        self.settled: Topic[()] = Topic()
        """A batch that waited for its source is prepared or refused now."""
        self._backend_id = backend_id
        self._database = database
        self._registry = registry
        self._bus = bus
        self._pictures = pictures
        self._grace = grace
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        """For each photo that is being brought."""
        self._retries: RetryTimes[UUID] = RetryTimes(submission.FIRST_RETRY, submission.LONGEST_RETRY)
        self._lacks_file: set[UUID] = set()
        self._uploading = asyncio.Lock()
        """One upload at a time: several would only make each other late."""
        self._sent_at: dict[str, float] = {}
        """When uploads in doubt were sent, or first polled for by this process, on its monotonic clock."""
        self._polls: RetryTimes[str] = RetryTimes(submission.FIRST_POLL, submission.LONGEST_POLL)
        self._uploaded_at: dict[UUID, float] = {}
        self._uploads: RetryTimes[UUID] = RetryTimes(submission.FIRST_POLL, submission.LONGEST_RETRY)

    def wake(self) -> None:
        """What failed may succeed now."""
        self._retries.retry_now()
        self.woken.set()

    def came_home(self, photo_id: UUID) -> None:
        """The file of this photo is here now."""
        if photo_id in self._lacks_file:
            self._retries.retry_now(photo_id)
            self.woken.set()

    async def turn(self, client: InvokeClient) -> float | None:
        """Begins what is due. Seconds until something is due again; None when nothing waits."""
        async with self._database.connection() as connection:
            awaited = await rows.awaited(connection, self._backend_id)
        self._retries.forget_all_but(awaited)
        self._lacks_file.intersection_update(awaited)
        for photo_id in awaited:
            if len(self._tasks) >= AT_ONCE:
                return None  # the end of one of them wakes us
            if photo_id not in self._tasks and self._retries.is_due(photo_id):
                self._retries.retry_now(photo_id)
                task = asyncio.create_task(self._bring(client, photo_id), name=f"source {photo_id}")
                self._tasks[photo_id] = task
        return self._retries.next_due()

    async def close(self) -> None:
        """What is being uploaded now is looked for at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring(self, client: InvokeClient, photo_id: UUID) -> None:
        try:
            await self._write(photo_id, await self._find_or_upload(client, photo_id))
        except (InvokeError, DataFolderAway) as error:
            log.info("source_not_brought", backend=str(self._backend_id), photo=str(photo_id), error=str(error))
            self._retries.put_off(photo_id)
        except Exception:
            log.exception("source_failed", backend=str(self._backend_id), photo=str(photo_id))
            self._retries.put_off(photo_id)
        finally:
            del self._tasks[photo_id]
            self.woken.set()

    async def _write(self, photo_id: UUID, brought: Brought) -> None:
        """For each batch that waits for this photo."""
        self._retries.forget(photo_id)
        async with self._database.connection() as connection:
            waiting = await rows.waiting_batches(connection, self._backend_id, photo_id)
        steps = {batch.step_id for batch in waiting}
        if isinstance(brought, NotYet):
            if brought.lacks_file != (photo_id in self._lacks_file):
                self._bus.changed("step.updated", steps)  # what it waits for is another thing now
            (self._lacks_file.add if brought.lacks_file else self._lacks_file.discard)(photo_id)
            self._retries.wait(photo_id, brought.seconds)
            return
        for batch in waiting:
            async with self._database.transaction() as connection:
                if isinstance(brought, str):
                    await batches.mark_source_ready(connection, batch.batch_id, batch.step_id, brought)
                else:
                    await batches.mark_source_refused(connection, batch.batch_id, batch.step_id, brought.words)
        self._bus.changed("step.updated", steps)
        self._bus.ledger_changed()
        self.settled()

    # --- one photo ---

    async def _find_or_upload(self, client: InvokeClient, photo_id: UUID) -> Brought:
        """Raises `InvokeError` when InvokeAI does not answer, or was not recognised: nothing is decided then."""
        async with self._database.connection() as connection:
            known = await rows.known_source(connection, self._backend_id, photo_id)
        if known is None or known.is_purged:
            return Refused(PURGED_SOURCE)
        name = await self._find(client, photo_id, known)
        if name is not None:
            return name
        if known.begun_token is not None:
            brought = await self._poll(client, photo_id, known.begun_token, known.begun_size)
            if brought is not None:
                return brought
        if (wait := self._upload_wait(photo_id)) > 0:
            return NotYet(wait)
        async with self._uploading:
            return await self._upload(client, photo_id, known.begun_token)

    async def _find(self, client: InvokeClient, photo_id: UUID, known: KnownSource) -> str | None:
        """The first of the known names that the backend has. Uploads that it has no longer are forgotten."""
        own = [known.own_name] if known.own_name is not None else []
        names = [*own, *known.uploads]
        for name in names:
            if await traces.image_or_none(client, name) is not None:
                return name
        if names:
            await self._registry.confirm_recognised(self._backend_id)
            log.info("source_not_there", backend=str(self._backend_id), photo=str(photo_id), names=names)
            async with self._database.connection() as connection:
                await connection.execute(rows.FORGET_UPLOADS, self._backend_id, photo_id, names)
        return None

    async def _poll(self, client: InvokeClient, photo_id: UUID, token: str, size: int) -> Brought | None:
        """What became of an upload whose answer is missing; None when it certainly had no effect."""
        polled_at = self._now()
        sent_at = self._sent_at.setdefault(token, polled_at)
        deadline = submission.effect_deadline(sent_at, client.upload_seconds(size), self._grace)
        name = await traces.uploaded_image(client, token)
        if name is not None:
            return await self._uploaded(photo_id, name, token)
        if polled_at < deadline:
            return NotYet(self._polls.put_off(token, by=deadline))
        await self._registry.confirm_recognised(self._backend_id)
        log.warning("source_upload_lost", backend=str(self._backend_id), photo=str(photo_id))
        return None

    async def _upload(self, client: InvokeClient, photo_id: UUID, lost_token: str | None) -> Brought:
        try:
            png = await self._pictures.png(photo_id)
        except SourceNotHere:
            return NotYet(LOST_FILE_SECONDS, lacks_file=True)
        except UnusableSource as error:
            return Refused(str(error))
        token = uuid4().hex
        content = with_text(png, "invokeai_metadata", f'{{"{traces.SOURCE_KEY}": "{token}"}}')
        await self._registry.confirm_recognised(self._backend_id, within=submission.RECOGNISED_WITHIN)
        async with self._database.transaction() as connection:
            is_ours = await rows.begin_upload(
                connection, self._backend_id, photo_id, token, len(content), instead_of=lost_token
            )
        if not is_ours:
            return NotYet(submission.FIRST_POLL)
        if lost_token is not None:
            self._forget(lost_token)
        self._sent_at[token] = self._now()
        log.info("source_upload", backend=str(self._backend_id), photo=str(photo_id), bytes=len(content))
        try:
            image = await client.upload(content, f"{photo_id}.png", is_intermediate=True)
        except InvokeError as error:
            return await self._upload_failed(photo_id, token, error)
        return await self._uploaded(photo_id, image.image_name, token)

    async def _upload_failed(self, photo_id: UUID, token: str, error: InvokeError) -> Brought:
        outcome = submission.classify_error(error)
        if outcome is PostOutcome.IN_DOUBT:
            log.warning("source_upload_in_doubt", photo=str(photo_id), error=str(error))
            return NotYet(submission.FIRST_POLL)
        async with self._database.connection() as connection:
            await connection.execute(rows.DROP_UPLOAD, self._backend_id, photo_id, token)
        self._forget(token)
        if outcome is PostOutcome.NO_EFFECT:
            raise error
        words = error.words if isinstance(error, InvokeAnswered) else str(error)
        log.warning("source_upload_refused", photo=str(photo_id), words=words)
        return Refused(f"InvokeAI did not take the source photo: {words}")

    async def _uploaded(self, photo_id: UUID, name: str, token: str) -> str:
        async with self._database.connection() as connection:
            await connection.execute(rows.KEEP_UPLOAD, self._backend_id, photo_id, name, token)
        self._forget(token)
        self._uploaded_at[photo_id] = self._now()
        self._uploads.put_off(photo_id)
        return name

    def _upload_wait(self, photo_id: UUID) -> float:
        """Seconds until the photo may be uploaded once more."""
        now = self._now()
        self._uploaded_at = {id: at for id, at in self._uploaded_at.items() if now - at < FORGOTTEN_AFTER}
        self._uploads.forget_all_but(self._uploaded_at)
        return self._uploads.seconds_left(photo_id)

    def _forget(self, token: str) -> None:
        self._sent_at.pop(token, None)
        self._polls.forget(token)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


async def refuse_purged_sources(database: Database, bus: Bus) -> None:
    """Refuses what waits for a source that was purged, also where its server is away."""
    async with database.connection() as connection:
        waiting = await rows.waiting_for_purged(connection)
    for batch in waiting:
        async with database.transaction() as connection:
            await batches.mark_source_refused(connection, batch.batch_id, batch.step_id, PURGED_SOURCE)
        bus.changed("step.updated", [batch.step_id])
        bus.ledger_changed()
