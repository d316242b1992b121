"""What no event tells of a backend, and is looked for now and then: its queue's counts, and its videos (gallery
reading)."""

from __future__ import annotations

from service.backends.resources import resource
from tests.fakes import answers
from tests.fakes.correlation_harness import CorrelationHarness


async def until_videos(harness: CorrelationHarness, count: int) -> None:
    harness.connection.look()

    async def met() -> bool:
        return (await resource(harness.database, harness.registry, harness.backend_id)).videos == count

    await harness.until(met)


async def test_videos_are_counted_and_shown_and_never_taken(harness: CorrelationHarness) -> None:
    rule = harness.invokeai.on("/videos/$", answers.body(b'{"limit":1,"offset":0,"total":3,"items":[{}]}'), times=None)
    await until_videos(harness, 3)
    await harness.connection.gallery.read()
    assert await harness.fetch("SELECT FROM photos") == []
    rule.remove()
    await until_videos(harness, 0)


async def test_a_server_that_cannot_count_its_videos_is_shown_all_the_same(harness: CorrelationHarness) -> None:
    failing = harness.invokeai.on("/videos/$", answers.status(500), times=None)
    harness.connection.look()
    await failing.wait()
    backend = await resource(harness.database, harness.registry, harness.backend_id)
    assert (backend.state, backend.videos) == ("connected", 0)
