"""What one browser of a hub hears, without a socket."""

from __future__ import annotations

import json
from typing import Any

from service.live.hub import Client


async def next_message(client: Client) -> dict[str, Any]:
    """The next message, once there is one."""
    while (frame := client.take()) is None:
        assert client.close_code is None
        await client.ready()
    message: dict[str, Any] = json.loads(frame.text)
    return message
