"""Darkroom below a path of another host (DARKROOM_BASE_PATH), with proxies that strip it and proxies that keep it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from service.app import create_app
from service.bus.previews import preview_url
from service.config.base_path import parsed, serve_below
from service.config.settings import Settings
from service.database.engine import Connection
from service.errors import StartupError
from service.web.page import WebUI
from tests.fakes.darkroom import Darkroom, Feed, running, settings_for
from tests.fakes.rows import add_photo

BASE = "/darkroom"
PASSWORD = "under the red light"
OWNER = {"Authorization": f"Bearer {PASSWORD}"}
PAGE = """<!doctype html><head><meta name="darkroom-base" content="" /><script src="./assets/a.js"></script>
<link href="./favicon.svg"></head>"""


@pytest.fixture(autouse=True)
def none_afterwards() -> Iterator[None]:
    yield
    serve_below("")


@pytest.fixture
async def darkroom(tmp_path: Path, public_folder: Path, database_url: str) -> AsyncIterator[Darkroom]:
    built = tmp_path / "dist"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text(PAGE)
    (built / "assets" / "a.js").write_text("export {}")
    (built / "favicon.svg").write_text("<svg/>")
    settings = settings_for(public_folder / "data", database_url, password=PASSWORD, base_path=BASE)
    async with running(settings) as darkroom:
        darkroom.app.state.web_ui = WebUI(built)
        yield darkroom


@pytest.fixture(params=["strips", "keeps"])
def sent(request: pytest.FixtureRequest) -> str:
    """What stands before each path as it arrives."""
    return BASE if request.param == "keeps" else ""


async def test_the_page_and_all_it_is_made_of_are_found_below_the_base(darkroom: Darkroom, sent: str) -> None:
    for path in ("/", "/albums/one", "/studio/a/b"):
        async with darkroom.http.get(f"{sent}{path}") as response:
            page = await response.text()
            assert response.status == 200
            assert "base-uri 'none'" in response.headers["content-security-policy"]
        assert f'name="darkroom-base" content="{BASE}"' in page
        addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert addresses == [f"{BASE}/assets/a.js", f"{BASE}/favicon.svg"]
        for address in addresses:
            async with darkroom.http.get(sent + address.removeprefix(BASE)) as response:
                assert (response.status, response.content_type) in [(200, "text/javascript"), (200, "image/svg+xml")]


async def test_the_base_alone_is_the_page_and_what_only_begins_like_it_is_not_below_it(darkroom: Darkroom) -> None:
    async with darkroom.http.get(BASE) as response:
        assert (response.status, response.content_type) == (200, "text/html")
    for path in (f"{BASE}room/api/v1/photos", f"/other{BASE}/api/v1/photos"):
        async with darkroom.http.get(path, headers=OWNER) as response:
            assert response.content_type == "text/html", "a deep link of the page"
    async with darkroom.http.get("/%64arkroom/api/v1/photos", headers=OWNER) as response:
        assert (response.status, response.content_type) == (200, "application/json")


async def test_addresses_in_answers_lead_below_the_base(darkroom: Darkroom, connection: Connection, sent: str) -> None:
    await add_photo(connection)
    async with darkroom.http.get(f"{sent}/api/v1/photos", headers=OWNER) as response:
        [photo] = (await response.json())["items"]
        assert response.headers["Darkroom-Feed"]
    assert photo["url"] == f"{BASE}/api/v1/photos/{photo['id']}/file"
    assert photo["thumbnail_url"].startswith(f"{BASE}/api/v1/photos/{photo['id']}/thumbnail")
    assert all(source["url"].startswith(f"{BASE}/api/v1/photos/") for source in photo["image_set"])
    assert preview_url(uuid4(), 1, 2).startswith(f"{BASE}/api/v1/previews/")
    async with darkroom.http.get(f"{sent}/api/docs", headers=OWNER) as response:
        text = await response.text()
    for address in re.findall(r'href="([^"#]*)"', text):
        async with darkroom.http.get(sent + address.removeprefix(BASE), headers=OWNER) as response:
            assert address.startswith(f"{BASE}/api/")
            assert response.status == 200
    async with darkroom.http.get(f"{sent}/api/openapi.json", headers=OWNER) as response:
        assert (await response.json())["servers"] == [{"url": BASE}]


async def test_signing_in_sets_a_cookie_of_the_base_alone(darkroom: Darkroom, sent: str) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        login = darkroom.url + sent + "/api/v1/login"
        async with http.post(login, json={"password": PASSWORD}) as response:
            assert response.status == 204
            cookie = response.cookies["darkroom_session"]
            assert cookie["path"] == BASE
        headers = {"Cookie": f"darkroom_session={cookie.value}"}
        async with Feed(f"{darkroom.url.replace('http', 'ws')}{sent}/api/v1/feed", additional_headers=headers) as feed:
            assert (await feed.next())["type"] == "hello"
        async with http.post(darkroom.url + sent + "/api/v1/logout", headers=headers) as response:
            assert response.cookies["darkroom_session"]["path"] == BASE


async def test_health_metrics_and_errors_answer_below_the_base(darkroom: Darkroom, sent: str) -> None:
    for path, status in (("/health/ready", 200), ("/health/live", 200), ("/metrics", 401), ("/api/v1/photos", 401)):
        async with darkroom.http.get(f"{sent}{path}") as response:
            assert response.status == status, path
    async with darkroom.http.get(f"{sent}/api/v1/nothing", headers=OWNER) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")


async def test_without_a_base_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    document = create_app(Settings()).openapi_schema.to_schema()
    assert document["servers"] == [{"url": "/"}]
    page = WebUI(tmp_path).files["index.html"].content.decode()
    assert page == PAGE.replace('="./', '="/')
    assert preview_url(uuid4(), 1, 2).startswith("/api/v1/previews/")


@pytest.mark.parametrize(
    ("given", "base"), [("/darkroom", BASE), ("darkroom/", BASE), ("/", ""), ("/a/b-c_d.e~/", "/a/b-c_d.e~")]
)
def test_a_base_is_written_in_one_way(given: str, base: str) -> None:
    assert parsed(given) == base
    assert Settings.from_env({"DARKROOM_BASE_PATH": given}).base_path == base


@pytest.mark.parametrize(
    "given",
    ["/a b", "/a//b", "/../a", "/.", '/"', "/é", "/a?b", "/a#b", "/api", "/api/x", "/health", "/assets/", "/%61"],
)
def test_what_cannot_be_a_base_stops_the_start(given: str) -> None:
    with pytest.raises(StartupError, match="DARKROOM_BASE_PATH"):
        Settings.from_env({"DARKROOM_BASE_PATH": given})
