"""The `darkroom` command: serve, demo, openapi."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from typing import Final

import aiohttp
import click
import msgspec
import structlog
import uvloop
from rich.console import Console

from service import VERSION
from service.app import create_app
from service.backends.environment import HOME_INVOKEAI
from service.config import logs
from service.config.base_path import BelowBasePath
from service.config.settings import Settings, unknown_variables
from service.errors import DatabaseAway, StartupError
from service.startup import data_folder
from service.web.connections import raise_descriptor_limit
from service.web.server import Server, listen, server_for

log = structlog.get_logger()

PROBE_SECONDS: Final = 2.0
REFUSED: Final = 2
FAILED: Final = 1
DEMO_FOLDER: Final = "demo"


@click.group()
@click.version_option(VERSION, prog_name="darkroom")
def main() -> None:
    """Darkroom, the live photo gallery for InvokeAI. Options are DARKROOM_* variables: see docs/settings.md."""


@main.command()
def serve() -> None:
    """Serve the library of the InvokeAI at DARKROOM_INVOKEAI_URL, or the demo where there is none yet."""
    _run(demo=False)


@main.command()
def demo() -> None:
    """Serve a demo InvokeAI that needs no GPU, with a library of its own."""
    _run(demo=True)


@main.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    document = create_app(Settings()).openapi_schema.to_schema()
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def _run(*, demo: bool) -> None:
    try:
        settings = Settings.from_env(os.environ)
        settings.require_safe_binding()
        logs.configure(logs.chosen_format(settings.log_format))
        raise_descriptor_limit()
        for name, meant in unknown_variables(os.environ).items():
            log.warning("unknown setting", variable=name, meant=meant)
        uvloop.run(Command(settings, demo=demo).run())
    except StartupError as error:
        Console(stderr=True, soft_wrap=True).print(f"Darkroom cannot start: {error}", style="bold red", markup=False)
        sys.exit(REFUSED)
    except (GivenUp, DatabaseAway) as error:  # the latter while it was starting
        log.critical("stopped", reason=str(error))
        sys.exit(FAILED)
    except asyncio.CancelledError:
        log.info("stopped while starting")


class GivenUp(Exception):
    """The service cannot go on. Its supervisor may start it again."""


class Command:
    """One run of the service: from the probe for InvokeAI to the end of the server."""

    def __init__(self, settings: Settings, *, demo: bool) -> None:
        self._settings = settings
        self._demo = demo
        self._server: Server | None = None
        self._reason: str | None = None
        self._began = time.monotonic()

    async def run(self) -> None:
        """Runs until a signal comes. Raises GivenUp when the service could not go on, CancelledError when it never
        began."""
        try:
            await self._serve()
        except asyncio.CancelledError:
            if self._reason is None:
                raise
        if self._reason is not None:
            raise GivenUp(self._reason)

    async def _serve(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, task)
        fallback = not self._demo and await _falls_back(self._settings)
        demo = self._demo or fallback
        settings = demo_settings(self._settings) if demo else self._settings
        app = create_app(settings, demo=demo, give_up=lambda reason: self._give_up(reason, task))
        async with app.lifespan():
            with listen(settings.host, settings.port) as listener:
                self._server = server_for(BelowBasePath(app, settings.base_path) if settings.base_path else app)
                self._greet(settings, listener.getsockname()[1], demo=demo, fallback=fallback)
                await self._server.serve(sockets=[listener])
            log.info("stopping")
        log.info("stopped")

    def _stop(self, task: asyncio.Task[None] | None) -> None:
        """Stops the server. The first signal lets requests and downloads finish; after a second one requests are not
        awaited."""
        if self._server is not None:
            self._server.force_exit = self._server.should_exit
            self._server.should_exit = True
        elif task is not None:
            task.cancel()

    def _give_up(self, reason: str, task: asyncio.Task[None] | None) -> None:
        log.critical("giving up", reason=reason)
        self._reason = reason
        self._stop(task)

    def _greet(self, settings: Settings, port: int, *, demo: bool, fallback: bool) -> None:
        """Prints the address, the InvokeAI and the library."""
        url = f"http://{_address(settings)}:{port}{settings.base_path}"
        seconds = round(time.monotonic() - self._began, 2)
        invokeai = "the demo InvokeAI" if demo else settings.invokeai_url or HOME_INVOKEAI
        log.info("ready", url=url, invokeai=invokeai, data=str(settings.data), seconds=seconds)
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        if not console.is_terminal:
            return
        console.print(f"\n  [bold]Darkroom[/] {VERSION}   [bold underline]{url}[/]")
        console.print(f"  watching {invokeai}", markup=False)
        console.print(f"  library in {settings.data}", markup=False)
        if fallback:
            console.print(f"\n  No InvokeAI answers at {HOME_INVOKEAI}, and there is no library yet: this is a demo.")
            console.print(
                "  Start InvokeAI, or set DARKROOM_INVOKEAI_URL, and start Darkroom again for your own pictures."
            )
        if not settings.on_loopback:
            names = ", ".join(sorted(settings.host_names))
            console.print(
                f"  answers to any IP address and to {names}; further names: DARKROOM_ALLOWED_HOSTS", markup=False
            )
        console.print("  Ctrl+C stops it.\n")


def demo_settings(settings: Settings) -> Settings:
    """The demo's own data folder and database: they never mix with a library."""
    return replace(settings, data=settings.data / DEMO_FOLDER, database_url=None, invokeai_url=None)


async def _falls_back(settings: Settings) -> bool:
    """Whether to start the demo: no server was named, none is at InvokeAI's usual address, and there is no library."""
    if settings.invokeai_url is not None or settings.database_url is not None:
        return False
    return not data_folder.is_library(settings.data) and not await _invokeai_is_at(HOME_INVOKEAI)


async def _invokeai_is_at(url: str) -> bool:
    """Whether InvokeAI answers there. A server that accepts the connection and then stalls counts: InvokeAI does so
    while it loads a model."""
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(f"{url}/api/v1/app/version") as response:
            return response.status in (200, 401) and response.content_type == "application/json"
    except aiohttp.ConnectionTimeoutError:
        return False
    except TimeoutError:
        return True
    except aiohttp.ClientError:
        return False


def _address(settings: Settings) -> str:
    """The address for a browser on this machine."""
    if settings.host in ("0.0.0.0", "::"):  # noqa: S104 - read, not bound
        return "127.0.0.1"
    return f"[{settings.host}]" if ":" in settings.host else settings.host


if __name__ == "__main__":
    main()
