"""nginx before a real InvokeAI: below /invokeai/ on 127.0.0.1, with basic auth, as docs/deploy.md sets it up."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from tests.fakes.raw_invokeai import free_port

USERNAME, PASSWORD = "darkroom", "before InvokeAI"

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location /invokeai/ {{
            auth_basic "InvokeAI";
            auth_basic_user_file {folder}/users;
            proxy_pass {upstream}/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 1h;
            client_max_body_size 0;
        }}
    }}
}}
"""


@contextmanager
def nginx(upstream: str, folder: Path) -> Iterator[str]:
    """The address of InvokeAI behind it."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert binary is not None, "nginx is needed: apt-get install nginx-light"
    port = free_port()
    hashed = subprocess.run(["openssl", "passwd", "-apr1", PASSWORD], capture_output=True, check=True, timeout=30)
    (folder / "users").write_text(f"{USERNAME}:{hashed.stdout.decode().strip()}\n")
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream.rstrip("/"), user=user))
    process = subprocess.Popen([binary, "-c", str(configuration), "-p", str(folder), "-e", str(folder / "error.log")])
    address = f"http://127.0.0.1:{port}/invokeai"
    try:
        _until_it_asks_for_a_login(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _until_it_asks_for_a_login(process: subprocess.Popen[bytes], address: str) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/v1/app/version", timeout=5)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.UNAUTHORIZED:
                raise
            return
        except OSError:
            time.sleep(0.1)
        else:
            raise AssertionError("it lets everybody in")
    raise AssertionError("nginx does not answer")
