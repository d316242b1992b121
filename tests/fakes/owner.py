"""An owner in front of a running Darkroom: what is seen and done over the API, and waited for."""

from __future__ import annotations

from typing import Any

from tests.fakes.darkroom import Darkroom
from tests.fakes.waiting import eventually

Json = dict[str, Any]
PATIENCE = 40.0


class Owner:
    """`backend` is the oldest server there is, unless another is named."""

    def __init__(self, darkroom: Darkroom) -> None:
        self.darkroom = darkroom
        self.http = darkroom.http

    async def backends(self) -> list[Json]:
        return list((await self.get("/api/v1/backends"))["items"])

    async def backend(self, name: str | None = None) -> Json:
        return next(found for found in await self.backends() if name in (None, found["id"]))

    async def get(self, path: str) -> Any:
        async with self.http.get(path) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def patch(self, backend_id: str, expected: int = 200, **values: Any) -> Json:
        async with self.http.patch(f"/api/v1/backends/{backend_id}", json=values) as response:
            assert response.status == expected, await response.text()
            return dict(await response.json())

    async def say(self, backend_id: str, *, same: bool, expected: int = 200) -> Json:
        async with self.http.post(f"/api/v1/backends/{backend_id}/identity", json={"same": same}) as response:
            assert response.status == expected, await response.text()
            return dict(await response.json())

    async def until_state(self, state: str, backend_id: str | None = None) -> Json:
        """The server once it is in this state; tells what it was instead."""
        found: Json = {}

        async def reached() -> bool:
            nonlocal found
            found = await self.backend(backend_id)
            return bool(found["state"] == state)

        try:
            await eventually(reached, PATIENCE)
        except TimeoutError:
            raise AssertionError(f"{found['state']}, not {state}: {found['error']}") from None
        return found

    async def until_ledger(self, backend_id: str | None = None, **counts: Any) -> None:
        ledger: Json = {}

        async def met() -> bool:
            nonlocal ledger
            ledger = (await self.backend(backend_id))["ledger"]
            return ledger.items() >= counts.items()

        try:
            await eventually(met, PATIENCE)
        except TimeoutError:
            raise AssertionError(f"{ledger}, not {counts}") from None
