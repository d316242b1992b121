"""Images of one server's gallery that cannot be read or kept: each is left out, counted, and told on the card."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from service.backends.troubles import Troubles
from service.invokeai.events import UnreadableImage

log = structlog.get_logger()

CODE = "images_unreadable"
REMEMBERED = 1000
NAMED = 3
"""How many of them the card names."""


class UnreadableImages:
    """They are a trouble of the server while there are any."""

    def __init__(self, troubles: Troubles | None = None) -> None:
        self._troubles = troubles or Troubles(lambda: None)
        self._known: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def found(self, images: Iterable[UnreadableImage]) -> None:
        """They cannot be read or kept; one more warning in the log for each that is new."""
        for image in images:
            if image.name not in self._known and len(self._known) < REMEMBERED:
                log.warning("image_not_readable", image_name=image.name, reason=image.why)
                self._known[image.name] = image.why
        self._show()

    def readable(self, names: Iterable[str]) -> None:
        """These were read and kept after all."""
        for name in names:
            self._known.pop(name, None)
        self._show()

    @property
    def names(self) -> list[str]:
        return list(self._known)

    def _show(self) -> None:
        if not self._known:
            self._troubles.clear(CODE)
            return
        count = f"{len(self._known)} image{'s' if len(self._known) > 1 else ''}"
        named = "; ".join(f"{name}: {why}" for name, why in list(self._known.items())[:NAMED])
        self._troubles.set(CODE, f"{count} of InvokeAI's gallery cannot be read: {named}"[:500])
