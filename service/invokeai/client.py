"""InvokeAI's REST API as Darkroom uses it."""

from __future__ import annotations

from service.invokeai.answers import ServerInfo
from service.invokeai.gateway import Gateway
from service.invokeai.images import ImageCalls
from service.invokeai.queue import QueueCalls
from service.invokeai.transport import Credentials

__all__ = ["Credentials", "Gateway", "InvokeClient", "ServerInfo"]


class InvokeClient(QueueCalls, ImageCalls):
    """REST client of one server and one queue. Every call returns or raises an `InvokeError`, within the timeout for
    each request."""
