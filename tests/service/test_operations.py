"""Health, metrics, status, settings, documentation, and the web UI's files."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from service import VERSION
from service.config.runtime_settings import RuntimeSettings, Values, described
from service.config.settings import ROOT, Settings
from service.media.storage import MARKER
from service.web.page import WebUI, routes
from tests.fakes.darkroom import Darkroom, running, settings_for
from tests.fakes.served import served


@pytest.fixture
async def darkroom(tmp_path: Path, database_url: str) -> AsyncIterator[Darkroom]:
    async with running(settings_for(tmp_path, database_url)) as darkroom:
        yield darkroom


async def test_health_follows_database_and_data_folder_but_no_backend(darkroom: Darkroom, tmp_path: Path) -> None:
    async with darkroom.http.get("/health/live") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
    async with darkroom.http.get("/health/ready") as response:
        assert (response.status, await response.json()) == (
            200,
            {"status": "ok", "database": "ok", "data": "ok", "details": []},
        )
    (tmp_path / MARKER).unlink()
    async with darkroom.http.get("/health/ready") as response:
        assert (response.status, (await response.json())["data"]) == (503, "failing")
    await darkroom.app.state["database"].close()
    async with darkroom.http.get("/health/live") as response:
        assert response.status == 200


async def test_whoever_only_asks_whether_it_is_there_is_answered_without_a_body(darkroom: Darkroom) -> None:
    for path in ("/", "/health/live", "/health/ready", "/metrics", "/api/openapi.json"):
        async with darkroom.http.get(path) as got, darkroom.http.head(path) as head:
            assert (head.status, head.content_type) == (got.status, got.content_type)
            assert await head.read() == b""


async def test_a_lost_database_shows_in_readiness(
    darkroom: Darkroom, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError("no database")

    async with darkroom.http.get("/health/ready") as response:  # the look of the start, which others share, is over
        assert response.status == 200
    monkeypatch.setattr(darkroom.app.state["database"], "connection", refuse)
    async with darkroom.http.get("/health/ready") as response:
        assert (response.status, (await response.json())["database"]) == (503, "failing")


async def test_status_tells_version_tasks_backends_and_ledger(darkroom: Darkroom) -> None:
    async with darkroom.http.get("/api/v1/status") as response:
        status = await response.json()
    assert status["version"] == VERSION
    tasks = {task["name"]: task for task in status["tasks"]}
    assert {"announcer", "submission", "retrieval", "retrieval sweep", "model refresh", "trash purge"} <= set(tasks)
    assert set(tasks["retrieval"]) == {"name", "state", "last_run", "last_result", "last_error", "restarts"}
    assert [backend["state"] for backend in status["backends"]] in (["unreachable"], ["connecting"])
    assert set(status["ledger"]) == {"total", "backends"}
    assert status["troubles"] == []


async def test_settings_change_at_once_and_outlive_a_restart(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url)
    async with running(settings) as darkroom:
        async with darkroom.http.get("/api/v1/settings") as response:
            assert await response.json() == {
                "retrieval_max_attempts": 5,
                "thumbnail_quality": 85,
                "large_renditions": True,
                "trash_days": 30,
                "patrol_days": 30,
                "idle_check_seconds": 300,
            }
        async with darkroom.http.patch("/api/v1/settings", json={"trash_days": 0}) as response:
            assert (await response.json())["trash_days"] == 0
        shared: RuntimeSettings = darkroom.app.state["runtime_settings"]
        assert shared.current.trash_days == 0
    async with running(settings) as darkroom, darkroom.http.get("/api/v1/settings") as response:
        assert await response.json() == {
            "retrieval_max_attempts": 5,
            "thumbnail_quality": 85,
            "large_renditions": True,
            "trash_days": 0,
            "patrol_days": 30,
            "idle_check_seconds": 300,
        }


async def test_each_setting_is_described_with_its_value_default_and_bounds(darkroom: Darkroom) -> None:
    async with darkroom.http.patch("/api/v1/settings", json={"trash_days": 7}) as response:
        values = await response.json()
    async with darkroom.http.get("/api/v1/settings/described") as response:
        described = {setting["name"]: setting for setting in (await response.json())["settings"]}
    assert {name: setting["value"] for name, setting in described.items()} == values
    assert described["trash_days"] == {
        "name": "trash_days",
        "title": "Trash is kept for",
        "help": described["trash_days"]["help"],
        "type": "integer",
        "unit": "days",
        "minimum": 0,
        "maximum": 36_500,
        "default": 30,
        "value": 7,
    }
    bounds = {name: (one["type"], one["minimum"], one["maximum"], one["default"]) for name, one in described.items()}
    assert bounds["patrol_days"] == ("number", 0.0005, 36_500, 30)
    assert bounds["idle_check_seconds"] == ("number", 5, 86_400, 300)
    assert bounds["large_renditions"] == ("boolean", None, None, True)


async def test_the_bounds_that_are_told_are_those_that_hold(darkroom: Darkroom) -> None:
    async with darkroom.http.get("/api/v1/settings/described") as response:
        numbers = [one for one in (await response.json())["settings"] if one["type"] != "boolean"]
    assert len(numbers) == 5
    for setting in numbers:
        least, most = setting["minimum"], setting["maximum"]
        beyond = (least - 1, most + 1) if setting["type"] == "integer" else (least / 2, most + 0.5)
        for value, status in ((least, 200), (most, 200), (beyond[0], 400), (beyond[1], 400)):
            given = int(value) if setting["type"] == "integer" else value
            async with darkroom.http.patch("/api/v1/settings", json={setting["name"]: given}) as response:
                assert response.status == status, (setting["name"], given)


def test_every_setting_of_the_documentation_is_described() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `(DARKROOM_\w+|[a-z_]+)` \| `?([^|`]+)", page, re.MULTILINE))
    settings = described(Values())
    assert {setting.name for setting in settings} == {name for name in rows if not name.startswith("DARKROOM_")}
    for setting in settings:
        assert rows[setting.name] == str(setting.default).lower(), setting.name
    options = Settings(database_url="postgresql+asyncpg://me:secret@db/x").options()
    assert {option.name for option in options} == {name for name in rows if name.startswith("DARKROOM_")}


async def test_what_the_environment_decides_is_shown_without_its_secrets(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url, password="not to be seen", retrieval_workers=8)
    headers = {"Authorization": "Bearer not to be seen"}
    async with (
        running(settings) as darkroom,
        darkroom.http.get("/api/v1/settings/described", headers=headers) as response,
    ):
        text = await response.text()
        options = {option["name"]: option for option in (await response.json())["environment"]}
    assert "not to be seen" not in text
    assert database_url not in text
    shown = {name: (option["is_set"], option["value"]) for name, option in options.items()}
    assert shown["DARKROOM_RETRIEVAL_WORKERS"] == (True, "8")
    assert shown["DARKROOM_PASSWORD"] == shown["DARKROOM_DATABASE_URL"] == (True, None)
    assert shown["DARKROOM_MAX_PIXELS"] == (False, None)
    assert shown["DARKROOM_DATA"] == (True, str(tmp_path))
    assert options["DARKROOM_MAX_PIXELS"]["default"] == "200000000"


async def test_a_changed_setting_is_told_to_every_browser(darkroom: Darkroom) -> None:
    async with darkroom.feed() as feed:
        await feed.next()
        for change in ({"trash_days": 30}, {"trash_days": 3, "thumbnail_quality": 85}):  # the first one is none
            async with darkroom.http.patch("/api/v1/settings", json=change) as response:
                assert response.status == 200
        told = await feed.until(lambda message: message["type"] == "settings.updated")
        assert told["data"] == {"names": ["trash_days"]}


async def test_a_patrol_takes_from_less_than_a_minute_to_a_century(darkroom: Darkroom) -> None:
    for days, status in ((0.0005, 200), (0.0004, 400), (36_501, 400), ("30", 400)):
        async with darkroom.http.patch("/api/v1/settings", json={"patrol_days": days}) as response:
            assert response.status == status
    async with darkroom.http.get("/api/v1/settings") as response:
        assert (await response.json())["patrol_days"] == 0.0005


async def test_status_tells_how_far_the_pass_over_photos_has_come(darkroom: Darkroom) -> None:
    async with darkroom.http.get("/api/v1/status") as response:
        status = await response.json()
    assert "photo pass" in {task["name"] for task in status["tasks"]}
    assert status["photo_pass"]["looked_at"] == 0
    assert status["photo_pass"]["completed_at"] is None
    assert status["large_renditions"] == {"photos": 0, "bytes": 0, "missing": 0}
    assert status["search_index"].keys() == {"indexed", "estimated", "is_complete"}


async def test_a_stored_setting_out_of_bounds_gives_way_to_the_default(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(tmp_path, database_url)
    async with running(settings) as darkroom, darkroom.app.state["database"].connection() as connection:
        await connection.execute("INSERT INTO settings VALUES ('trash_days', '-5'), ('thumbnail_quality', '70')")
    async with running(settings) as darkroom, darkroom.http.get("/api/v1/settings") as response:
        assert await response.json() == {
            "retrieval_max_attempts": 5,
            "thumbnail_quality": 70,
            "large_renditions": True,
            "trash_days": 30,
            "patrol_days": 30,
            "idle_check_seconds": 300,
        }


async def test_metrics_speak_of_requests_feed_tasks_and_backends_by_bounded_labels(darkroom: Darkroom) -> None:
    async with darkroom.feed() as feed:
        await feed.next()
        for number in range(3):
            async with darkroom.http.get(f"/api/v1/photos/{number:032}") as response:
                assert response.status == 404
        async with darkroom.http.get("/api/v1/status", headers={"Host": "evil.example"}) as response:
            assert response.status == 403
        async with darkroom.http.get("/metrics") as response:
            assert response.headers["content-type"].startswith("text/plain; version=")
            text = await response.text()

    assert 'darkroom_requests_total{method="GET",route="/api/v1/photos/{photo_id}",status="404"} 3.0' in text
    assert 'darkroom_requests_total{method="GET",route="/api/v1/status",status="403"} 1.0' in text
    assert "darkroom_feed_clients 1.0" in text
    assert 'darkroom_task_failing{task="retrieval"} 0.0' in text
    assert "darkroom_backend_connected{" in text
    assert 'state="waiting"' in text
    assert "process_resident_memory_bytes" in text


class Links(HTMLParser):
    """Everything a page would load or lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


async def test_the_api_documents_itself_without_script_or_network(darkroom: Darkroom) -> None:
    async with darkroom.http.get("/api/openapi.json") as response:
        document = await response.json()
    assert document["info"]["version"] == VERSION
    assert "/api/v1/photos" in document["paths"]
    async with darkroom.http.get("/api/docs") as response:
        page = await response.text()
    links = Links(page)
    assert links.scripts == 0
    assert all(link.startswith(("#", "/api/")) for link in links.found)
    for path in document["paths"]:
        assert path in page
    async with darkroom.http.get("/api/docs/style.css") as response:
        assert response.content_type == "text/css"


async def test_every_operation_has_an_id_of_its_own_and_words(darkroom: Darkroom) -> None:
    async with darkroom.http.get("/api/openapi.json") as response:
        document = await response.json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(id.islower() for id in ids)


async def test_lists_are_compressed_where_the_client_wants_it(darkroom: Darkroom) -> None:
    async with darkroom.http.get("/api/v1/status", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers.get("content-encoding") == "gzip"
    async with darkroom.http.get("/api/v1/status", headers={"Accept-Encoding": "identity"}) as response:
        assert "content-encoding" not in response.headers


def test_the_version_is_the_packages() -> None:
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


# --- the web UI's files ---


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Darkroom</title>" + "x" * 500)
    (tmp_path / "assets" / "app-1a2b.js").write_text("export {}" + " " * 500)
    (tmp_path / "favicon.svg").write_text("<svg/>")
    return tmp_path


async def test_the_page_is_always_asked_for_again_and_hashed_assets_never(dist: Path) -> None:
    async with served(routes, web_ui=WebUI(dist)) as client:
        async with client.get("/") as response:
            assert (response.content_type, response.headers["cache-control"]) == ("text/html", "no-cache")
            page, etag = await response.text(), response.headers["etag"]
        async with client.get("/", headers={"If-None-Match": etag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        async with client.get("/assets/app-1a2b.js") as response:
            assert response.content_type == "text/javascript"
            assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        for deep in ("/studio", "/photos/0198c0de", "/settings"):
            async with client.get(deep) as response:
                assert (response.status, await response.text()) == (200, page)
        for missing in ("/assets/app-old.js", "/missing.png", "/../pyproject.toml"):
            async with client.get(missing) as response:
                assert response.status == 404


async def test_text_is_sent_compressed(dist: Path) -> None:
    async with served(routes, web_ui=WebUI(dist)) as client:
        headers = {"Accept-Encoding": "gzip, br"}
        async with client.get("/assets/app-1a2b.js", headers=headers, auto_decompress=False) as response:
            assert response.headers["content-encoding"] == "gzip"
            assert gzip.decompress(await response.read()) == (dist / "assets" / "app-1a2b.js").read_bytes()


async def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    async with served(routes, web_ui=WebUI(tmp_path / "nowhere")) as client, client.get("/studio") as response:
        assert response.status == 503
        assert "make setup" in await response.text()
