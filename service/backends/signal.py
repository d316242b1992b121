"""Who wants to know: plain calls, made at once and in the order of listening."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVarTuple, Unpack

Args = TypeVarTuple("Args")


class Signal(Generic[*Args]):
    """Call it to tell; listeners must return at once, for they run inside whatever tells."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Unpack[Args]], None]] = []

    def listen(self, listener: Callable[[Unpack[Args]], None]) -> None:
        self._listeners.append(listener)

    def __call__(self, *args: *Args) -> None:
        for listener in self._listeners:
            listener(*args)
