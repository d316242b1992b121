"""InvokeAI servers by name, each over a folder of its own."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.multiuser import Account, MultiUser
from tests.fakes.scripted import ScriptedInvokeAI


class Servers:
    """Starts each over a folder of its own; the same name is the same server at a new address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[ScriptedInvokeAI] = []

    async def __call__(self, name: str, *accounts: Account) -> ScriptedInvokeAI:
        server = ScriptedInvokeAI(self._folder / name, multiuser=MultiUser(accounts) if accounts else None)
        await server.start()
        self._started.append(server)
        return server

    async def stop(self) -> None:
        for server in self._started:
            await server.stop()
