"""What no event tells of a backend, and is looked for now and then: its queue's counts, and its videos (rule 6)."""

from __future__ import annotations

from tests.fakes import answers
from tests.fakes.correlated import Correlated


async def until_videos(house: Correlated, count: int) -> None:
    house.connection.look()

    async def met() -> bool:
        return (await house.registry.resource(house.backend_id)).videos == count

    await house.until(met)


async def test_videos_are_counted_and_shown_and_never_taken(house: Correlated) -> None:
    rule = house.invokeai.on("/videos/$", answers.body(b'{"limit":1,"offset":0,"total":3,"items":[{}]}'), times=None)
    await until_videos(house, 3)
    await house.connection.gallery.read()
    assert await house.fetch("SELECT FROM photos") == []
    rule.remove()
    await until_videos(house, 0)


async def test_a_server_that_cannot_count_its_videos_is_shown_all_the_same(house: Correlated) -> None:
    failing = house.invokeai.on("/videos/$", answers.status(500), times=None)
    house.connection.look()
    await failing.wait()
    backend = await house.registry.resource(house.backend_id)
    assert (backend.state, backend.videos) == ("connected", 0)
