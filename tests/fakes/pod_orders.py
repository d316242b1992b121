"""What the routes ask of the part that watches rented machines, kept for a test to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class PodOrders:
    started: list[UUID] = field(default_factory=list)
    stopped: list[tuple[UUID, bool]] = field(default_factory=list)
    """Each with whether it was confirmed."""
    woken: list[UUID] = field(default_factory=list)

    async def load(self) -> None:
        """There is nothing to do for it before servers are asked."""

    async def start(self, backend_id: UUID) -> None:
        self.started.append(backend_id)

    async def stop(self, backend_id: UUID, *, confirmed: bool) -> None:
        self.stopped.append((backend_id, confirmed))

    def wake(self, backend_id: UUID) -> None:
        self.woken.append(backend_id)
