"""What readings ask about the server they read (rule 19); `backends.recognition` answers it."""

from __future__ import annotations

from typing import Protocol


class Identity(Protocol):
    """Whether the server at one connection's address is the one whose images and items are recorded."""

    def require(self) -> None:
        """Raises `InvokeError` unless it was recognised since the connection began."""

    async def confirm(self) -> None:
        """To be awaited after the server was found to lack something, before anything follows from that: another
        server may have taken its place unnoticed. Raises `InvokeError` unless it is recognised again now."""
