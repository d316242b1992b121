"""What the studio needs of the backends, whoever holds their connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from service.invokeai.client import InvokeClient
from service.live.messages import BackendState, Progress


class Connected(Protocol):
    """One backend's connection; `client` may be called only while `state` is `connected`."""

    @property
    def client(self) -> InvokeClient: ...
    @property
    def state(self) -> BackendState: ...
    async def confirm_recognised(self, *, within: float = 0.0) -> None:
        """Asks the server again whether it is the recorded one; raises `InvokeError` unless it is, or was so many
        seconds ago (rule 19)."""


class Connections(Protocol):
    """The registry of backends."""

    def get(self, backend_id: UUID) -> Connected | None: ...
    def item_progress(self, backend_id: UUID, item_id: int) -> Progress | None: ...
    def request_reading(self, backend_id: UUID, item_ids: Sequence[int] = ()) -> None:
        """Asks for a reading soon: of these items, or without any of everything (rule 1)."""


def client_of(connections: Connections, backend_id: UUID) -> InvokeClient | None:
    """The backend's client while it is connected; a disabled or unreachable one is not called."""
    connection = connections.get(backend_id)
    return connection.client if connection is not None and connection.state == "connected" else None
