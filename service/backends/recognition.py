"""Recognises whether the InvokeAI at an address is the one whose images are recorded (recognised servers only).

A server is recognised by one image, one batch or one session that both it and our tables know. A number of a queue item
proves nothing: every InvokeAI counts from 1. Errors prove nothing either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from service.database.engine import Connection, Database
from service.errors import InvokeError, InvokeNotFound, InvokeUnauthorized, InvokeUnrecognised
from service.invokeai.client import InvokeClient

NAMES = 60
"""Recorded images that are asked for."""
AT_A_TIME = 20
POINTS = 12
"""Points spread over the library by id, near which images of the server are looked for."""
NEAR = 200
"""Photos that are read from each point."""
BATCHES = 12
THEIRS = 50
"""So many of the newest, and of the oldest images that the server lists."""
ITEMS = 10
"""So many of the newest, and of the oldest items in its queue."""


class Recognised(msgspec.Struct, frozen=True):
    """It is the recorded server, or nothing is recorded of it."""


class NotRecognised(msgspec.Struct, frozen=True):
    """Another InvokeAI: it knows nothing of what is recorded."""


class Unknown(msgspec.Struct, frozen=True):
    """It could not be asked: nothing follows from that."""

    error: InvokeError


Recognition = Recognised | NotRecognised | Unknown


class Recorded(msgspec.Struct, frozen=True):
    """A sample of the whole history. Its size does not grow with the history."""

    image_names: tuple[str, ...]
    batch_ids: tuple[str, ...]


# What is recorded that the owner has not declared void since: images, and work that is still to bring some. Answered
# from ix_photos_ledger and ix_generation_steps_live. Tombstones and work that is over lose nothing by another server.
# BETWEEN, here and below: with an equality the planner may read the whole table in another order, though it finds none.
IS_RECORDED = """
    SELECT b.identity_since IS NULL
           AND (SELECT true FROM photos p WHERE p.backend_id BETWEEN b.id AND b.id AND p.purged_at IS NULL
                 ORDER BY p.backend_id, p.retrieval_status LIMIT 1) IS NOT NULL AS images,
           b.identity_since IS NULL
           AND EXISTS (SELECT FROM generation_steps s JOIN step_batches t ON t.step_id = s.id AND t.backend_id = b.id
                        WHERE s.backend_id = b.id AND s.status IN ('pending', 'processing') AND s.deleted_at IS NULL
                          AND t.state = 'enqueued') AS work
      FROM backends b WHERE b.id = $1
"""
# Photos that wait matter most, so they come first: both ends, along ix_photos_fresh.
WAITING = """
    (SELECT invoke_id FROM photos WHERE backend_id BETWEEN $1 AND $1 AND retrieval_status = 'pending'
        AND purged_at IS NULL ORDER BY backend_id, id DESC LIMIT $2)
    UNION (SELECT invoke_id FROM photos WHERE backend_id BETWEEN $1 AND $1 AND retrieval_status = 'pending'
        AND purged_at IS NULL ORDER BY backend_id DESC, id LIMIT $2)
"""
# Both ends of ix_photos_ledger: if other servers have many photos, the walks below may find none.
ANY = """
    (SELECT invoke_id FROM photos WHERE backend_id BETWEEN $1 AND $1 AND purged_at IS NULL
      ORDER BY backend_id, retrieval_status LIMIT $2)
    UNION (SELECT invoke_id FROM photos WHERE backend_id BETWEEN $1 AND $1 AND purged_at IS NULL
      ORDER BY backend_id DESC, retrieval_status DESC LIMIT $2)
"""
ENDS = "(SELECT id FROM photos ORDER BY id LIMIT 1) UNION (SELECT id FROM photos ORDER BY id DESC LIMIT 1) ORDER BY id"
# From each point a bounded walk along the ids: tombstones count as well.
ALONG_THE_LIBRARY = """
    SELECT found.invoke_id FROM unnest($2::uuid[]) AS point(id) CROSS JOIN LATERAL (
        SELECT near.invoke_id FROM (
            SELECT backend_id, invoke_id FROM photos WHERE photos.id >= point.id ORDER BY photos.id LIMIT $3) near
         WHERE near.backend_id = $1 LIMIT 3) found
"""
NEWEST = """
    SELECT newest.invoke_id FROM (SELECT backend_id, invoke_id FROM photos ORDER BY id DESC LIMIT $2) newest
     WHERE newest.backend_id = $1 LIMIT 12
"""
SENT_BATCHES = """
    (SELECT batch_id FROM step_batches WHERE backend_id = $1 AND state IN ('posted', 'enqueued')
      ORDER BY ordinal DESC LIMIT $2)
    UNION (SELECT batch_id FROM step_batches WHERE backend_id = $1 AND state IN ('posted', 'enqueued')
      ORDER BY ordinal LIMIT $2)
"""
KNOWS = """
    SELECT EXISTS (SELECT FROM photos WHERE invoke_id = ANY($2::text[]) AND backend_id = $1)
        OR EXISTS (SELECT FROM photos WHERE invoke_session_id = ANY($3::text[]) AND backend_id = $1)
        OR EXISTS (SELECT FROM queue_items i JOIN step_batches b USING (batch_id)
                    WHERE i.invoke_session_id = ANY($3::text[]) AND b.backend_id = $1)
        OR EXISTS (SELECT FROM step_batches WHERE batch_id = ANY($4::text[]) AND backend_id = $1)
"""


async def recognise(
    client: InvokeClient, database: Database, backend_id: UUID, *, same_connection: bool = False
) -> Recognition:
    """Asks the server that `client` speaks to. Never raises an InvokeError.

    On the `same_connection` that it was recognised on, work alone that it lacks makes it no other one: its queue may
    have been cleared before the first image.
    """
    async with database.connection() as connection:
        is_recorded = await connection.fetchrow(IS_RECORDED, backend_id)
        if is_recorded is None or not (is_recorded["images"] or (is_recorded["work"] and not same_connection)):
            return Recognised()
        recorded = await sample(connection, backend_id)
    questions = _Questions(client, database, backend_id, recorded)
    failures: list[InvokeError] = []
    for ask in (
        questions.has_an_image,
        questions.had_a_batch,
        questions.lists_an_image,
        questions.holds_an_item,
        questions.made_an_image_of_a_batch,
    ):
        try:
            if await ask():
                return Recognised()
        except InvokeUnauthorized as error:
            return Unknown(error)
        except InvokeError as error:
            failures.append(error)
    if failures:
        return Unknown(failures[0])
    return NotRecognised()


async def sample(connection: Connection, backend_id: UUID) -> Recorded:
    """Names and batches to ask for: those that wait first, then some from everywhere."""
    names = [await connection.fetch(WAITING, backend_id, NAMES // 6)]
    points = spread(*[row["id"] for row in await connection.fetch(ENDS)])
    names.append(await connection.fetch(NEWEST, backend_id, NEAR))
    names.append(await connection.fetch(ALONG_THE_LIBRARY, backend_id, points, NEAR))
    names.append(await connection.fetch(ANY, backend_id, NAMES // 6))
    batches = await connection.fetch(SENT_BATCHES, backend_id, BATCHES // 2)
    unique = dict.fromkeys(row["invoke_id"] for rows in names for row in rows if row["invoke_id"] is not None)
    return Recorded(tuple(unique)[:NAMES], tuple(row["batch_id"] for row in batches))


def spread(first: UUID | None = None, last: UUID | None = None) -> list[UUID]:
    """Ids spread evenly between these two; ids are in order of time."""
    if first is None:
        return []
    start, end = first.int, (last or first).int
    return [UUID(int=start + (end - start) * k // POINTS) for k in range(POINTS)]


class _Questions:
    """The questions. A true answer proves the server; no answer proves that it is another."""

    def __init__(self, client: InvokeClient, database: Database, backend_id: UUID, recorded: Recorded) -> None:
        self._client = client
        self._database = database
        self._backend_id = backend_id
        self._recorded = recorded

    async def has_an_image(self) -> bool:
        """Asks for images, one by one on servers before 6.0, so a few at a time."""
        names = self._recorded.image_names
        for start in range(0, len(names), AT_A_TIME):
            if await self._client.images_by_names(names[start : start + AT_A_TIME]):
                return True
        return False

    async def had_a_batch(self) -> bool:
        for batch_id in self._recorded.batch_ids:
            if (await self._client.batch_status(batch_id)).total > 0:
                return True
        return False

    async def lists_an_image(self) -> bool:
        """Compares with the images that it lists now, in case the first recorded ones were deleted there. Raises
        InvokeError also for a server that does not answer for an image it lists itself: then its answers about ours
        prove nothing."""
        newest = await self._client.images_page(THEIRS, 0, is_intermediate=False, starred_first=False)
        oldest = await self._client.images_page(THEIRS, 0, is_intermediate=False, starred_first=False, order="ASC")
        images = newest.items + oldest.items
        names = [image.image_name for image in images]
        if await self._known(names, [image.session_id for image in images if image.session_id]):
            return True
        if names and not await self._client.images_by_names(names[:1]):
            raise InvokeError("the server says that it does not have an image that it lists")
        return False

    async def holds_an_item(self) -> bool:
        """Compares items: other people's are known by their sessions, which their images have too."""
        ids = await self._client.item_ids()
        some = ids[:ITEMS] + ids[max(ITEMS, len(ids) - ITEMS) :]
        items = await self._client.items(some) if some else []
        return await self._known([], [item.session_id for item in items], [item.batch_id for item in items])

    async def made_an_image_of_a_batch(self) -> bool:
        """Compares batches in images' metadata: if the queue was pruned before anything was recorded, an image still
        names its batch (direct correlation)."""
        if not self._recorded.batch_ids:
            return False
        newest = await self._client.images_page(THEIRS, 0, is_intermediate=False, starred_first=False)
        batch_ids = []
        for image in newest.items:
            if image.session_id is None:
                continue
            try:
                metadata = await self._client.metadata(image.image_name)
            except InvokeNotFound:
                continue  # deleted just now
            batch_id = (metadata or {}).get("darkroom_batch")
            if isinstance(batch_id, str) and batch_id.isprintable():
                batch_ids.append(batch_id)
        return await self._known([], [], batch_ids)

    async def _known(self, names: list[str], sessions: list[str], batches: Sequence[str] = ()) -> bool:
        async with self._database.connection() as connection:
            return bool(await connection.fetchval(KNOWS, self._backend_id, names, sessions, list(batches)))


REMEMBER = """
    UPDATE backends SET recognised_url = url
     WHERE id = $1 AND url = $2 AND recognised_url IS DISTINCT FROM url
"""
ANOTHER = (
    "another InvokeAI answers here: it has none of the images and queue items that are recorded of this server;"
    " until you say what it is, nothing is sent there and nothing is concluded from it"
)
NOT_YET = "the server was not recognised since the connection to it was lost"


class Identity:
    """Whether the server of one connection is recognised. `lost` is called when it turns out to be another."""

    def __init__(
        self, backend_id: UUID, client: InvokeClient, database: Database, *, lost: Callable[[], None] = lambda: None
    ) -> None:
        self._backend_id = backend_id
        self._client = client
        self._database = database
        self._lost = lost
        self._recognised = False
        self._asked_at = 0.0

    def forget(self) -> None:
        """The connection was lost: another server may answer next."""
        self._recognised = False

    def require(self) -> None:
        """Raises InvokeUnrecognised unless the server was recognised since the connection began."""
        if not self._recognised:
            raise InvokeUnrecognised(NOT_YET)

    async def admit(self) -> None:
        """Asks at each connect, before anything else. Raises InvokeUnrecognised, or the error that kept the server from
        answering."""
        try:
            await self._ask(same_connection=False)
        except InvokeError:
            self.forget()
            raise
        self._recognised = True
        async with self._database.connection() as connection:
            await connection.execute(REMEMBER, self._backend_id, self._client.url)

    async def confirm(self, *, within: float = 0.0) -> None:
        """Asks again, unless the server was recognised less than `within` seconds ago. Await it between finding that a
        server lacks something and what follows from that, since another server may have taken its place unnoticed.
        Raises as `admit` does."""
        self.require()
        if time.monotonic() - self._asked_at < within:
            return
        try:
            await self._ask(same_connection=True)
        except InvokeUnrecognised:
            self.forget()
            self._lost()
            raise

    async def _ask(self, *, same_connection: bool) -> None:
        asked_at = time.monotonic()
        match await recognise(self._client, self._database, self._backend_id, same_connection=same_connection):
            case NotRecognised():
                raise InvokeUnrecognised(ANOTHER)
            case Unknown(error):
                raise error
            case Recognised():
                self._asked_at = asked_at
