"""Counts images of a gallery that cannot be read or kept, and shows them as a trouble on the server's card."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import structlog

from service.bus.bus import Bus
from service.invokeai.events import UnreadableImage

log = structlog.get_logger()

CODE = "images_unreadable"
REMEMBERED = 1000
NAMED = 3
"""Images that the card names."""


class UnreadableImages:
    """The unreadable images of one server. While there are any, it has a trouble."""

    def __init__(self, backend_id: UUID, bus: Bus) -> None:
        self._backend_id = backend_id
        self._bus = bus
        self._known: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def found(self, images: Iterable[UnreadableImage]) -> None:
        """Adds images that cannot be read or kept; logs a warning for each new one."""
        for image in images:
            if image.name not in self._known and len(self._known) < REMEMBERED:
                log.warning("image_not_readable", image_name=image.name, reason=image.why)
                self._known[image.name] = image.why
        self._show()

    def readable(self, names: Iterable[str]) -> None:
        """Removes images that were read and kept after all."""
        for name in names:
            self._known.pop(name, None)
        self._show()

    @property
    def names(self) -> list[str]:
        return list(self._known)

    def _show(self) -> None:
        words = None
        if self._known:
            count = f"{len(self._known)} image{'s' if len(self._known) > 1 else ''}"
            named = "; ".join(f"{name}: {why}" for name, why in list(self._known.items())[:NAMED])
            words = f"{count} of InvokeAI's gallery cannot be read: {named}"[:500]
        self._bus.trouble(self._backend_id, CODE, words)
