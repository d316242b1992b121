"""The interface of PodManager for routes: owner's orders to start and stop a pod."""

from __future__ import annotations

from typing import Protocol, runtime_checkable
from uuid import UUID


@runtime_checkable
class Pods(Protocol):
    async def load(self) -> None:
        """Reads the stored state of the pods before their servers are asked: nothing is tried at the address of a pod
        that is stopped."""
        ...

    async def start(self, backend_id: UUID) -> None:
        """Writes that the pod is to run, and returns; the provider is asked afterwards. Raises NotFound, and Conflict
        if it may not be started."""
        ...

    async def stop(self, backend_id: UUID, *, confirmed: bool) -> None:
        """Writes that the pod is to be stopped, and returns. `confirmed`: even if not all is home. Raises NotFound and
        Conflict."""
        ...

    def wake(self, backend_id: UUID) -> None:
        """Its row was inserted, changed or removed: look at it now."""
        ...
