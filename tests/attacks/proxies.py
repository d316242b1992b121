"""nginx and Caddy as Debian has them, in front of a Darkroom: processes of their own on free ports."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fakes.raw_invokeai import free_port

PATIENCE = 20
ADDRESS = "127.0.0.5"
"""Where nginx comes from: not an address that Darkroom trusts by itself."""
NGINX = """
    daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
    events {{ worker_connections 1024; }}
    http {{
      access_log off;
      client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
      uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
      map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
      server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{
          proxy_pass http://127.0.0.1:{darkroom};
          proxy_bind {address};
          proxy_http_version 1.1;
          proxy_request_buffering off;
          proxy_set_header Host $http_host;
          proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
          proxy_set_header X-Forwarded-Proto $scheme;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection $connection_upgrade;
        }}
      }}
    }}
"""
CADDY = """
    {{
      admin off
      auto_https off
    }}
    http://127.0.0.1:{port} {{
      reverse_proxy 127.0.0.1:{darkroom}
    }}
"""


@asynccontextmanager
async def nginx(darkroom: int, folder: Path) -> AsyncIterator[int]:
    """Its port."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, darkroom=darkroom, address=ADDRESS))
    async with _running(port, _program("nginx"), "-p", str(folder), "-c", str(config), "-e", f"{folder}/error.log"):
        yield port


@asynccontextmanager
async def caddy(darkroom: int, folder: Path) -> AsyncIterator[int]:
    """Its port."""
    port = free_port()
    config = folder / "Caddyfile"
    config.write_text(CADDY.format(port=port, darkroom=darkroom))
    async with _running(port, _program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile", home=folder):
        yield port


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, f"{name} is needed: apt-get install {name}"
    return found


@asynccontextmanager
async def _running(port: int, *command: str, home: Path | None = None) -> AsyncIterator[None]:
    environment = {**os.environ, **({"HOME": str(home), "XDG_DATA_HOME": str(home)} if home else {})}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await _listens(port):
                assert process.returncode is None, f"{command[0]} ended with {process.returncode}"
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
