"""What InvokeAI says, as it comes off the wire: plain values, encoded as JSON."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from service.correlation.exchange import SocketEvent
from service.invokeai import events

T = TypeVar("T")


def decode(name: str, payload: Any) -> Any:
    """The event, as the service reads it."""
    return events.decode(name, msgspec.json.encode(payload))


def socket_event(name: str, payload: Any) -> SocketEvent:
    return SocketEvent(name, msgspec.json.encode(payload))


def answered(value: Any, kind: type[T]) -> T:
    """A REST answer, as the service reads it."""
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)
