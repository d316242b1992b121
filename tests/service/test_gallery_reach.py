"""How often the gallery is read, and how far back (gallery reading)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.correlation import gallery
from service.database.engine import Database
from tests.fakes import ScriptedInvokeAI, answers
from tests.fakes.correlation_harness import CorrelationHarness, correlation_harness


async def begun_long_ago(harness: CorrelationHarness) -> None:
    async with harness.database.connection() as connection:
        await connection.execute(
            "UPDATE backends SET gallery_beginning = now() - interval '1 day', gallery_watermark = now()"
        )


def pages_read(harness: CorrelationHarness) -> int:
    return sum(path.startswith("/api/v1/images/?") for _, path in harness.invokeai.requests)


async def test_the_gallery_is_read_now_and_then_though_nobody_asks_and_again_after_a_failure(
    database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "PERIOD", 0.3)
    monkeypatch.setattr(gallery, "FIRST_WAIT", 0.05)
    async with correlation_harness(database, invokeai) as harness:
        invokeai.drop_events()
        invokeai.add_canvas_save()
        await harness.until_photos(1)
        failing = invokeai.on("/images/$", answers.status(500), method="GET", times=2)
        invokeai.add_canvas_save()
        await harness.until_photos(2)
        assert failing.hits == 2


async def test_an_image_that_was_a_while_in_being_saved_is_found_behind_the_watermark(
    database: Database, invokeai: ScriptedInvokeAI
) -> None:
    """Its `created_at` may be older than that of images read before it; five minutes are looked back."""
    async with correlation_harness(database, invokeai) as harness:
        await begun_long_ago(harness)
        late = invokeai.add_canvas_save(created_at=invokeai.now() - timedelta(minutes=4, seconds=50))
        invokeai.add_canvas_save(created_at=invokeai.now() - timedelta(minutes=5, seconds=10))
        assert await harness.connection.gallery.read() == 1
        [photo] = await harness.until_photos(1)
        assert photo["invoke_id"] == late.image_name


async def test_a_server_clock_set_forward_hides_nothing_made_before(
    database: Database, invokeai: ScriptedInvokeAI
) -> None:
    async with correlation_harness(database, invokeai) as harness:
        image = invokeai.add_canvas_save()
        invokeai.clock_offset = timedelta(hours=3)
        assert await harness.connection.gallery.read() == 1
        [photo] = await harness.until_photos(1)
        assert photo["invoke_id"] == image.image_name


async def test_a_reading_ends_at_the_watermark_however_large_the_gallery(
    database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "PAGE", 2)
    async with correlation_harness(database, invokeai) as harness:
        for _ in range(20):
            invokeai.add_canvas_save(created_at=invokeai.now() - timedelta(hours=1))
        new = [invokeai.add_canvas_save() for _ in range(3)]
        await begun_long_ago(harness)
        before = pages_read(harness)
        assert await harness.connection.gallery.read() == len(new)
        assert pages_read(harness) - before == 2


async def test_old_images_with_a_star_hide_no_new_one(
    database: Database, invokeai: ScriptedInvokeAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """InvokeAI lists starred images first unless told otherwise (FACTS §7)."""
    monkeypatch.setattr(gallery, "PAGE", 2)
    async with correlation_harness(database, invokeai) as harness:
        for _ in range(3):
            invokeai.add_canvas_save(created_at=invokeai.now() - timedelta(hours=1)).starred = True
        new = invokeai.add_canvas_save()
        assert await harness.connection.gallery.read() == 1
        [photo] = await harness.until_photos(1)
        assert photo["invoke_id"] == new.image_name
