"""Decides whether an image without a record at InvokeAI was deleted there; and the owner's word that it was.

A JSON 404 of one image alone proves nothing: a gateway gives it to everything, another InvokeAI at the same address to
everything of ours, and an older InvokeAI (6.14.1 and before) whenever its database fails.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from enum import Enum
from uuid import UUID

from service.database.engine import Database
from service.errors import InvokeError, InvokeNotFound
from service.invokeai.client import InvokeClient
from service.retrieval.evidence import Evidence
from service.retrieval.queue import LET_GO, Claimed

ROUNDS = 8
"""The missing image and an existing one are asked for in turn, so many times: if a route fails half the time, one look
in 32,768 is wrong."""
MOST_ASKED = 12
"""Images that are tried until one answers."""
NONE_ANSWERED = 10.0
"""Seconds for which the result "no image answered" is kept."""
AT_ONCE, TOGETHER = 200, 4

CONFIRMED = "InvokeAI does not have this image: the owner says that it was deleted there"
NOT_HOME = """
    SELECT id, invoke_id AS image_name FROM photos
     WHERE backend_id = $1 AND retrieval_status IN ('pending', 'retrieving', 'failed') AND purged_at IS NULL AND id > $2
     ORDER BY id LIMIT $3
"""
# `last_retrieval_attempt` tells when it became gone.
GIVE_UP = f"""
    UPDATE photos SET retrieval_status = 'gone', {LET_GO}, next_retrieval_attempt = NULL, retrieval_error = $3,
           last_retrieval_attempt = now(), missing_since = least(missing_since, now())
     WHERE id IN (SELECT id FROM photos WHERE id = ANY($2::uuid[]) AND backend_id = $1 AND purged_at IS NULL
                     AND retrieval_status IN ('pending', 'retrieving', 'failed') ORDER BY id FOR UPDATE)
    RETURNING id
"""


class Presence(Enum):
    MISSING = "the server has other images, and not this one"
    RECORDED = "it has this one after all"
    UNPROVED = "none of the others that were asked for is there"
    UNSTEADY = "what is there at one moment is not at the next"


class AbsenceCheck:
    """Looks again for an image whose record was not found."""

    def __init__(self, evidence: Evidence, clock: Callable[[], float] = time.monotonic) -> None:
        self._evidence = evidence
        self._clock = clock
        self._present: dict[UUID, str] = {}
        """The image that answered last, for each server."""
        self._none_until: dict[UUID, float] = {}

    async def check(self, claimed: Claimed, client: InvokeClient) -> Presence:
        """Looks for the record. Raises InvokeError for an answer that is neither the record nor InvokeAI's JSON 404."""
        present = await self._present_image(claimed, client)
        if present is None:
            return Presence.UNPROVED
        for _ in range(ROUNDS - 1):
            if await is_recorded(claimed.image_name, client):
                return Presence.RECORDED
            if not await is_recorded(present, client):
                return Presence.UNSTEADY
        return Presence.MISSING

    async def _present_image(self, claimed: Claimed, client: InvokeClient) -> str | None:
        backend_id = claimed.backend_id
        if self._clock() < self._none_until.get(backend_id, 0.0):
            return None
        sample = {image.image_name for image in await self._evidence.sample(backend_id, claimed.id)}
        names = random.sample(sorted(sample), min(MOST_ASKED, len(sample)))
        before = self._present.pop(backend_id, None)
        if before is not None and before != claimed.image_name:
            names.insert(0, before)
        for name in names:
            if await is_recorded(name, client):
                self._present[backend_id] = name
                return name
        self._none_until[backend_id] = self._clock() + NONE_ANSWERED
        return None


async def is_recorded(image_name: str, client: InvokeClient) -> bool:
    """Whether the image has a record: False for InvokeAI's JSON 404; raises InvokeError for other answers."""
    try:
        return (await client.image(image_name)).image_name == image_name
    except InvokeNotFound:
        return False


async def give_up_missing(database: Database, client: InvokeClient, backend_id: UUID) -> AsyncIterator[list[UUID]]:
    """On the owner's word, makes photos of the server `gone` that are not home and have no record there now; some at a
    time. Raises InvokeError, also if the server's records cannot be relied on; photos reported before that are gone."""
    await _check_records(client)
    after = UUID(int=0)
    while True:
        async with database.connection() as connection:
            rows = await connection.fetch(NOT_HOME, backend_id, after, AT_ONCE)
        if not rows:
            return
        after = rows[-1]["id"]
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            there = await asyncio.gather(*(_is_ever_recorded(row["image_name"], client) for row in some))
            absent = [row["id"] for row, is_there in zip(some, there, strict=True) if not is_there]
            yield await _give_up(database, backend_id, absent)


async def _check_records(client: InvokeClient) -> None:
    """Checks that the server has a record of the first images in its own gallery."""
    await client.version()
    for image in (await client.images_page(1, 0)).items:
        if not await is_recorded(image.image_name, client):
            raise InvokeError("InvokeAI lists an image and has no record of it: its database is in trouble")


async def _is_ever_recorded(image_name: str, client: InvokeClient) -> bool:
    for _ in range(ROUNDS):
        if await is_recorded(image_name, client):
            return True
    return False


async def _give_up(database: Database, backend_id: UUID, photo_ids: Sequence[UUID]) -> list[UUID]:
    if not photo_ids:
        return []
    async with database.connection() as connection:
        return [row["id"] for row in await connection.fetch(GIVE_UP, backend_id, photo_ids, CONFIRMED)]
