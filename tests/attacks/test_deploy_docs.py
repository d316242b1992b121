"""What docs/deploy.md tells people to type is typed here, with other ports, names and folders."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from sqlalchemy import make_url

from service.database.embedded.binaries import installation
from tests.attacks.documented import ROOT, background, checkout, run, served, snippet
from tests.fakes import ScriptedInvokeAI
from tests.fakes.pictures import png_of
from tests.fakes.raw_invokeai import free_port

pytestmark = pytest.mark.attacks

PASSWORD = "eight characters or more"
NAME = "photos.example.org"
PROGRAMS = installation() / "bin"
SEARCHED = f"{PROGRAMS}:{os.environ['PATH']}:/usr/sbin"


class AllHere(AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        return None


def program(name: str) -> str:
    found = shutil.which(name, path=SEARCHED)
    assert found, f"apt-get install {name}"
    return found


async def used(url: str, authority: Path | None = None) -> None:
    """What an owner's browser does first, and what it is told: the page, signing in, an upload, the live feed."""
    trust = ssl.create_default_context(cafile=str(authority)) if authority else False
    connector = aiohttp.TCPConnector(resolver=AllHere(), ssl=trust)
    origin = re.sub(r"(?<=\d)/.*", "", url)
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=jar) as browser:
        async with browser.get(f"{url}/") as page:
            assert page.status == 200
            assert "<title>Darkroom" in await page.text()
        async with browser.get(f"{url}/api/v1/photos") as answer:
            assert answer.status == 401
        async with browser.post(f"{url}/api/v1/login", json={"password": PASSWORD}) as answer:
            assert answer.status == 204, await answer.text()
            assert ("Secure" in answer.headers["Set-Cookie"]) == url.startswith("https")
        form = aiohttp.FormData()
        form.add_field("file", png_of(64, 48), filename="meadow.png")
        async with browser.post(f"{url}/api/v1/photos", data=form) as answer:
            assert answer.status in (200, 201), await answer.text()
            photo = await answer.json()
        async with browser.ws_connect(f"{url}/api/v1/feed") as feed:
            assert (await feed.receive_json(timeout=20))["type"] == "hello"
        async with browser.get(f"{url}/api/v1/photos/{photo['id']}/file") as answer:
            assert await answer.read() == png_of(64, 48)
        elsewhere = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
        async with browser.post(f"{url}/api/v1/logout", headers=elsewhere) as answer:
            assert answer.status == 403


async def used_by_http_2(url: str, authority: Path, folder: Path) -> None:
    """As browsers do: there is no Host then, and the proxy makes one."""
    here = f"--resolve {url.removeprefix('https://')}:127.0.0.1 --cacert {authority}"
    said = await run(
        f"curl --silent --show-error --http2 {here} --write-out ' %{{http_version}} %{{http_code}}'"
        f" --header 'Origin: {url}' --header 'Content-Type: application/json'"
        f' --data \'{{"password": "{PASSWORD}"}}\' {url}/api/v1/login',
        folder,
    )
    assert said.split() == ["2", "204"], said


async def test_on_the_network(public_folder: Path) -> None:
    async with served(snippet("sh", "lan"), checkout(public_folder), free_port(), DARKROOM_DATA="data") as url:
        await used(url)


@asynccontextmanager
async def caddy(snippet: str, folder: Path, darkroom: str) -> AsyncIterator[tuple[int, Path]]:
    """Its port, and the root certificate that it makes by itself: no public name leads here."""
    port = free_port()
    site = re.sub(r"^(\S+) \{\n", rf"\1:{port} {{\n\tbind 127.0.0.1\n\ttls internal\n", snippet, count=1)
    site = site.replace("127.0.0.1:8000", darkroom.removeprefix("http://"))
    site = re.sub(r"(\ttls internal\n)(.*)\1", r"\2\1", site, flags=re.DOTALL)
    settings = f"""{{
	admin off
	auto_https disable_redirects
	skip_install_trust
	http_port {free_port()}
	https_port {port}
	storage file_system {folder}/caddy
}}
"""
    (folder / "Caddyfile").write_text(settings + site)
    name = re.match(r"\S+", snippet)
    assert name
    root = folder / "caddy/pki/authorities/local/root.crt"
    command = (program("caddy"), "run", "--config", "Caddyfile", "--adapter", "caddyfile")
    async with background(*command, folder=folder, answers="", HOME=str(folder)):
        async with asyncio.timeout(60):
            while not (root.exists() and await shakes_hands(port, name[0], root)):
                await asyncio.sleep(0.1)
        yield port, root


async def shakes_hands(port: int, name: str, root: Path) -> bool:
    """It listens before it has a certificate."""
    try:
        trust = ssl.create_default_context(cafile=str(root))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
    except OSError:
        return False
    writer.close()
    return True


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def nginx(site: str, folder: Path, darkroom: str) -> AsyncIterator[tuple[int, Path]]:
    """Its port, and the certificate, which is its own root."""
    port = free_port()
    certificate, key = folder / "site.pem", folder / "site.key"
    await run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={NAME} -addext subjectAltName=DNS:{NAME}"
        f" -keyout {key} -out {certificate}",
        folder,
    )
    site = site.replace("listen 443 ", f"listen 127.0.0.1:{port} ").replace("http://127.0.0.1:8000", darkroom)
    site = site.replace(f"/etc/ssl/{NAME}.pem", str(certificate)).replace(f"/etc/ssl/{NAME}.key", str(key))
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {folder}/nginx.pid; error_log stderr;"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{site}\n}}"
    )
    command = (program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"))
    async with background(*command, folder=folder, answers=""):
        async with asyncio.timeout(60):
            while not await accepts(port):
                await asyncio.sleep(0.1)
        yield port, certificate


async def test_caddy(public_folder: Path) -> None:
    async with (
        served(snippet("sh", "behind-a-proxy"), checkout(public_folder), free_port(), DARKROOM_DATA="data") as darkroom,
        caddy(snippet("caddy", "tls"), public_folder, darkroom) as (port, root),
    ):
        await used(f"https://{NAME}:{port}", root)
        await used_by_http_2(f"https://{NAME}:{port}", root, public_folder)


async def test_caddy_with_an_authority_of_its_own(public_folder: Path) -> None:
    script = snippet("sh", "behind-a-proxy").replace(NAME, "photos.lan")
    async with (
        served(script, checkout(public_folder), free_port(), DARKROOM_DATA="data") as darkroom,
        caddy(snippet("caddy", "tls-own"), public_folder, darkroom) as (port, root),
    ):
        await used(f"https://photos.lan:{port}", root)


async def test_nginx(public_folder: Path) -> None:
    async with (
        served(snippet("sh", "behind-a-proxy"), checkout(public_folder), free_port(), DARKROOM_DATA="data") as darkroom,
        nginx(snippet("nginx", "tls"), public_folder, darkroom) as (port, root),
    ):
        await used(f"https://{NAME}:{port}", root)
        await used_by_http_2(f"https://{NAME}:{port}", root, public_folder)


@pytest.mark.parametrize("strips", [False, True])
async def test_under_a_path_of_nginx(public_folder: Path, strips: bool) -> None:
    whole = snippet("nginx", "tls")
    location = whole[whole.index("    location / {") :].rpartition("}")[0]
    site = whole.replace(location, snippet("nginx", "sub-path"))
    if strips:
        site = site.replace("proxy_pass http://127.0.0.1:8000;", "proxy_pass http://127.0.0.1:8000/;")
    async with (
        served(snippet("sh", "sub-path"), checkout(public_folder), free_port(), DARKROOM_DATA="data") as darkroom,
        nginx(site, public_folder, darkroom) as (port, root),
    ):
        await used(f"https://{NAME}:{port}/darkroom", root)


@pytest.mark.parametrize("strips", [False, True])
async def test_under_a_path_of_caddy(public_folder: Path, strips: bool) -> None:
    site = snippet("caddy", "sub-path").replace("handle /", "handle_path /" if strips else "handle /")
    async with (
        served(snippet("sh", "sub-path"), checkout(public_folder), free_port(), DARKROOM_DATA="data") as darkroom,
        caddy(site, public_folder, darkroom) as (port, root),
    ):
        await used(f"https://{NAME}:{port}/darkroom", root)


async def test_the_service_of_systemd(public_folder: Path) -> None:
    unit = snippet("ini", "darkroom.service").replace("/opt/darkroom", str(checkout(public_folder)))
    unit = unit.replace("/var/lib/darkroom", str(public_folder / "data"))
    (public_folder / "darkroom.service").write_text(unit)
    if shutil.which("systemd-analyze"):
        said = await run("systemd-analyze verify --man=no ./darkroom.service 2>&1 || true", public_folder)
        assert "darkroom.service" not in said, said
    settings = dict(re.findall(r"^Environment=(\w+)=(.*)$", unit, re.MULTILINE))
    begin = re.search(r"<<'END'\n(.*?)^END$", snippet("sh", "user"), re.MULTILINE | re.DOTALL)
    command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert begin
    assert command
    settings |= dict(line.split("=", 1) for line in shlex.split(begin[1]))
    settings["DARKROOM_INVOKEAI_URL"] = "http://127.0.0.1:9"
    async with served(command[1], public_folder, free_port(), **settings) as url:
        await used(url)


async def test_compose_takes_the_file(public_folder: Path) -> None:
    found = [words for words in ("docker compose", "docker-compose") if await is_there(words)]
    if not found:
        pytest.skip("there is no Compose here")
    said = await run(f"{found[0]} --file {ROOT / 'compose.yaml'} config", ROOT, DARKROOM_PASSWORD=PASSWORD)
    assert PASSWORD in said


async def is_there(compose: str) -> bool:
    asking = await asyncio.create_subprocess_shell(f"{compose} version >/dev/null 2>&1")
    return await asking.wait() == 0


async def test_photos_on_another_disk_and_a_server_of_ones_own(server_url: str, public_folder: Path) -> None:
    sockets = str(make_url(server_url).query["host"])
    there = {"PGHOST": sockets, "PGUSER": "postgres", "PATH": SEARCHED}
    await run(snippet("sh", "nas-database").replace("psql ", "psql --no-psqlrc "), public_folder, **there)
    try:
        script = snippet("sh", "nas").replace("/mnt/nas", str(public_folder))
        script = script.replace("@127.0.0.1:5432/darkroom", f"@/darkroom?host={sockets}&sslmode=disable")
        async with served(script, checkout(public_folder), free_port(), DARKROOM_PASSWORD=PASSWORD) as url:
            await used(url)
    finally:
        await run("dropdb --force darkroom; dropuser darkroom", public_folder, **there)


async def test_an_authority_of_ones_own(public_folder: Path) -> None:
    invokeai = ScriptedInvokeAI(public_folder / "invokeai")
    await invokeai.start()
    site = "gpu.lan {\n\treverse_proxy 127.0.0.1:8000\n}\n".replace("gpu.lan", "localhost")
    try:
        async with caddy(site, public_folder, invokeai.url) as (port, root):
            shutil.copy(root, public_folder / "own-root.pem")
            script = snippet("sh", "own-ca").replace("gpu.lan:9090", f"localhost:{port}")
            async with (
                served(script, checkout(public_folder), free_port(), DARKROOM_DATA="data") as url,
                aiohttp.ClientSession() as http,
                asyncio.timeout(60),
            ):
                while (backend := await first_backend(http, url))["state"] != "connected":
                    await asyncio.sleep(0.2)
            assert backend["url"] == f"https://localhost:{port}"
    finally:
        await invokeai.stop()


async def first_backend(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with http.get(f"{url}/api/v1/backends") as answer:
        return dict((await answer.json())["items"][0])


async def test_backup_and_restore(server_url: str, public_folder: Path) -> None:
    checkout(public_folder)
    kept, later = png_of(64, 48, shade=1), png_of(64, 48, shade=2)
    async with (
        served(".venv/bin/darkroom serve", public_folder, free_port(), DARKROOM_DATA="data") as url,
        aiohttp.ClientSession(url) as http,
    ):
        photo = await uploaded(http, kept)
        await run(snippet("sh", "backup"), public_folder)
        await uploaded(http, later)
    async with (
        served(snippet("sh", "restore"), public_folder, free_port()) as url,
        aiohttp.ClientSession(url) as http,
    ):
        await only_has(http, photo, kept)
        await uploaded(http, later)
    await into_a_server_of_ones_own(server_url, public_folder, photo, kept)


async def into_a_server_of_ones_own(server_url: str, folder: Path, photo: str, content: bytes) -> None:
    sockets = str(make_url(server_url).query["host"])
    there = {"PGHOST": sockets, "PGUSER": "postgres", "PATH": SEARCHED}
    url = f"postgresql://postgres@/own_restored?host={sockets}&sslmode=disable"
    said = re.search(r"`(pg_restore [^`]*)`", (ROOT / "docs/deploy.md").read_text())
    assert said
    await run(
        f"createdb --encoding=UTF8 --locale=C --template=template0 own_restored; {said[1]}", folder, URL=url, **there
    )
    try:
        script = "mkdir own && cp -a backup/.darkroom backup/photos own/ && .venv/bin/darkroom serve"
        given = {"DARKROOM_DATA": "own", "DARKROOM_DATABASE_URL": url}
        async with served(script, folder, free_port(), **given) as address, aiohttp.ClientSession(address) as http:
            await only_has(http, photo, content)
    finally:
        await run("dropdb --force own_restored", folder, **there)


async def uploaded(http: aiohttp.ClientSession, content: bytes) -> str:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="meadow.png")
    async with http.post("/api/v1/photos", data=form) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["id"])


async def only_has(http: aiohttp.ClientSession, photo: str, content: bytes) -> None:
    async with http.get("/api/v1/photos") as answer:
        assert [item["id"] for item in (await answer.json())["items"]] == [photo]
    async with http.get(f"/api/v1/photos/{photo}/file") as answer:
        assert await answer.read() == content
