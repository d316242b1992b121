"""Reads RunPod's Pod object: state, price, and whether InvokeAI's root folder survives a stop. Pure.

The object is RunPod's REST v2 `Pod`: only `id` and `status` are relied on, unknown keys are ignored, and a value of an
unexpected type counts as not told. `runtime` is ignored: it may be null while the pod runs and old after a stop.
"""

from __future__ import annotations

import posixpath
from typing import Any, Final, TypeVar

import msgspec

from service.bus.live_state import PodState
from service.pods.provider import PodReading, Root, plain

T = TypeVar("T")

_STATES: Final[dict[str, PodState]] = {
    "PROVISIONING": "starting",
    "STARTING": "starting",
    "RUNNING": "running",
    "EXITED": "stopped",
    "ERROR": "failed",
    "TERMINATED": "failed",
}
GONE: Final = (
    "RunPod knows no such pod: it was terminated, was moved (then it has a new id), or belongs to another account"
)
_NO_GPU: Final = "the pod runs without a GPU: InvokeAI would take hours for an image"
_LOCKED: Final = "the pod is locked at RunPod: it can be stopped only after it is unlocked there"

OFFICIAL_IMAGE: Final = "ghcr.io/invoke-ai/invokeai"
OFFICIAL_ROOT: Final = "/invokeai"
"""The root of InvokeAI's own image while INVOKEAI_ROOT is not set."""

# RunPod's prices of July 2026 (docs: pricing), in dollars per GB and month.
PERSISTENT_STOPPED: Final = 0.20


class Pod(msgspec.Struct, frozen=True):
    """`env` may have secrets: nothing of a Pod is logged, stored or shown but what `pod_reading` takes from it."""

    id: str
    status: str
    image: Any = None
    args: Any = None
    cmd: Any = None
    entrypoint: Any = None
    ports: Any = None
    env: Any = None
    mounts: Any = None
    gpu: Any = None
    cost: Any = None
    locked: Any = None

    def __repr__(self) -> str:
        return f"Pod({self.id!r})"


class _Gpu(msgspec.Struct):
    count: int = 0


class _Mount(msgspec.Struct):
    path: str | None = None
    size: float | None = None


class _Mounts(msgspec.Struct, forbid_unknown_fields=True):
    persistent: _Mount | None = None
    network: list[_Mount] | None = None

    @property
    def all(self) -> list[_Mount]:
        return [*([self.persistent] if self.persistent else []), *(self.network or [])]


def pod_reading(pod: Pod, *, port: int, url: str) -> PodReading:
    """The reading made from a Pod. `port` is InvokeAI's, `url` its proxy address."""
    status = pod.status.upper()
    state = _STATES.get(status, "unknown")
    gpus = _gpus(pod, state)
    locked = pod.locked is True
    declared = _declared(pod.ports, port)
    words = []
    if state == "failed":
        words.append(
            GONE if status == "TERMINATED" else "RunPod says that the pod's container failed: its logs tell why"
        )
    if state == "unknown":
        words.append(f"RunPod says that the pod is {plain(status)[:100]!r}, which is not known here")
    if state == "running" and gpus == 0:
        words.append(_NO_GPU)
    if not declared:
        words.append(f"the pod does not declare {port}/http: RunPod's proxy will not show InvokeAI")
    if locked:
        words.append(_LOCKED)
    mounts = _typed(pod.mounts, _Mounts)
    return PodReading(
        state=state,
        words="; ".join(words) or None,
        cost_per_hour=_cost(pod.cost),
        gpus=gpus,
        root=_root(pod, mounts),
        url=url,
        stopped_costs=_stopped_costs(mounts),
        locked=locked,
        port_declared=declared,
        exists=status != "TERMINATED",
    )


def _typed(value: Any, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _gpus(pod: Pod, state: PodState) -> int | None:
    """How many GPUs it has; None if not told. A running pod that names no GPU has none."""
    gpu = _typed(pod.gpu, _Gpu)
    if gpu is None:
        return 0 if pod.gpu is None and state == "running" else None
    return max(gpu.count, 0)


def _cost(given: Any) -> float | None:
    """The price; None if not told. RunPod tells 0 while a pod is stopped, though its volume is billed: that is no
    price."""
    cost = _typed(given, float)
    return cost if cost is not None and 0 < cost < 1e6 else None


def _declared(given: Any, port: int) -> bool:
    ports = _typed(given, list[str])
    return ports is None or f"{port}/http" in ports


def _root(pod: Pod, mounts: _Mounts | None) -> Root:
    """Whether the root is on a mount. That can be judged for InvokeAI's own image with its own start command; without
    any mount nothing survives a stop of any image."""
    if mounts is None:
        return "unknown"
    if not mounts.all:
        return "lost_at_stop"
    env = _typed(pod.env, dict[str, Any])
    if env is None or not _is_official(pod):
        return "unknown"
    root = env.get("INVOKEAI_ROOT", OFFICIAL_ROOT)
    paths = [mount.path for mount in mounts.all]
    if not isinstance(root, str) or not root.startswith("/") or not all(path and path[0] == "/" for path in paths):
        return "unknown"
    return "safe" if any(_lies_in(root, path) for path in paths if path) else "lost_at_stop"


def _is_official(pod: Pod) -> bool:
    if not isinstance(pod.image, str) or not pod.image.startswith(OFFICIAL_IMAGE):
        return False
    changed = pod.entrypoint or any("root" in str(given or "").lower() for given in (pod.args, pod.cmd))
    return not changed


def _lies_in(root: str, folder: str) -> bool:
    root, folder = (posixpath.normpath("/" + path.lstrip("/")) for path in (root, folder))
    return posixpath.commonpath([root, folder]) == folder


def _stopped_costs(mounts: _Mounts | None) -> str | None:
    if mounts is None:
        return None
    if not mounts.all:
        return "nothing is billed while it is stopped, and nothing on its disk survives a stop"
    words = []
    if mounts.persistent is not None:
        size = mounts.persistent.size
        of_size = f"{size:g} GB, about ${size * PERSISTENT_STOPPED:.2f} a month" if size and 0 < size < 1e9 else None
        words.append(f"its volume: $0.20 per GB a month while it is stopped{f' ({of_size})' if of_size else ''}")
    if mounts.network:
        words.append("its network volume: $0.07 per GB a month (above 1 TB $0.05), stopped or not")
    return "; ".join(words)
