"""The interface of a provider of rented machines: read the pod's state, start it, stop it.

No provider terminates, deletes, patches, creates or restarts a pod: there is no method for it.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from service.bus.live_state import PodState
from service.errors import DarkroomError

Root: TypeAlias = Literal["safe", "lost_at_stop", "unknown"]


class PodReading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of the pod at its provider. `running` means that the machine runs, not that InvokeAI answers."""

    state: PodState
    words: str | None = None
    """The reason, for the owner: plain text of at most MAX_WORDS characters."""
    cost_per_hour: float | None = None
    """Dollars. None is "not told", and so is 0 while the pod is stopped."""
    gpus: int | None = None
    """None: not told."""
    root: Root = "unknown"
    """Whether InvokeAI's root folder is on a volume that survives a stop."""
    url: str | None = None
    """The address of InvokeAI at the provider's proxy. None: not told."""
    stopped_costs: str | None = None
    """What is billed while the pod is stopped, in words. None: not told."""
    locked: bool = False
    """The provider does not stop it until it is unlocked there."""
    port_declared: bool = True
    """False: the pod was made without InvokeAI's port, so the provider's proxy does not show it."""
    exists: bool = True
    """False: the provider knows no such pod (`failed`). That is not the same as stopped."""


class Taken(msgspec.Struct, frozen=True):
    """The provider accepted the order. Only the next readings tell whether it was carried out."""


class NoGpu(msgspec.Struct, frozen=True):
    """The start was refused because the pod's machine has no free GPU (or memory). It may work later."""

    words: str


class Refused(msgspec.Struct, frozen=True):
    """The order was refused, and will be until the owner changes something: key, pod, balance, lock."""

    words: str


class NotKnown(msgspec.Struct, frozen=True):
    """No answer, a cut connection, a 5xx, or a 409: the order may have been carried out. Readings decide."""

    words: str


class Later(msgspec.Struct, frozen=True):
    """Too many requests: the order may be sent again after `seconds`."""

    seconds: float
    words: str


Outcome: TypeAlias = Taken | NoGpu | Refused | NotKnown | Later


class ProviderAway(DarkroomError):
    """The provider could not be asked, or gave no usable answer: nothing is known of the pod. `words` are for the
    owner; `reason` is "login" if the key is refused, else "no_answer"; `seconds` is the wait that the provider asks
    for, if any."""

    def __init__(
        self, words: str, *, reason: Literal["no_answer", "login"] = "no_answer", seconds: float | None = None
    ) -> None:
        super().__init__(words)
        self.words = words
        self.reason = reason
        self.seconds = seconds


class Provider(Protocol):
    """One pod at its provider. Each call ends within about a minute. One call runs at a time."""

    async def read(self) -> PodReading:
        """Raises `ProviderAway` when nothing is known."""
        ...

    async def start(self) -> Outcome:
        """Sends the order once."""
        ...

    async def stop(self) -> Outcome:
        """Sends the order once."""
        ...

    async def close(self) -> None:
        """Ends what still runs. No call follows."""
        ...


MAX_WORDS = 2000
"""Characters of what a provider says that are kept."""


def plain(text: str) -> str:
    """A provider's words as one line for a column and a page: no control characters, cut at its beginning, since
    programs write at the end what went wrong."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(shown.split())[-MAX_WORDS:]
