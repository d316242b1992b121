"""Telling many browsers the same: the server's CPU for each delivery, beside three others (`python -m bench.fanout`).

Every server gets the same messages at the same pace in the same run; it and the browsers are processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from dataclasses import dataclass

import uvloop

from bench.browsers import connected, percentile
from bench.feeds import FEEDS, running

DELIVERIES_A_SECOND = 10_000
BARE_TARGET = 1.25
SOCKETIO_TARGET = 0.5


@dataclass(frozen=True)
class Measured:
    microseconds: float
    p50: float
    p99: float
    lost: int


async def measure(kind: str, clients: int, seconds: float) -> Measured:
    messages = round(seconds * DELIVERIES_A_SECOND / clients)
    interval = clients / DELIVERIES_A_SECOND
    async with (
        running(kind) as feed,
        connected(feed.url, clients, socketio=kind == "python_socketio") as browsers,
    ):
        await asyncio.sleep(1)
        await feed.publish(max(5, messages // 10), interval)  # warm
        await asyncio.sleep(0.5)
        browsers.forget()
        before = feed.cpu_seconds()
        await feed.publish(messages, interval)
        await browsers.until(messages * clients, 10)
        cpu = feed.cpu_seconds() - before
        received, times = browsers.received, list(browsers.milliseconds)
    return Measured(
        1e6 * cpu / max(1, received), percentile(times, 0.5), percentile(times, 0.99), messages * clients - received
    )


async def compare(clients: int, rounds: int, seconds: float) -> dict[str, Measured]:
    """The median of the rounds, in which each takes its turn."""
    found: dict[str, list[Measured]] = {kind: [] for kind in FEEDS}
    for _ in range(rounds):
        for kind, results in found.items():
            results.append(await measure(kind, clients, seconds))
    return {
        kind: Measured(
            statistics.median(one.microseconds for one in results),
            statistics.median(one.p50 for one in results),
            statistics.median(one.p99 for one in results),
            max(one.lost for one in results),
        )
        for kind, results in found.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Prints all four and the ratios; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    options = parser.parse_args(arguments)
    missed = False
    for clients in options.clients:
        results = uvloop.run(compare(clients, options.rounds, options.seconds))
        print(f"fan-out of 300 bytes to {clients} browsers, {DELIVERIES_A_SECOND} deliveries a second")
        for kind, one in results.items():
            print(
                f"  {kind:22} {one.microseconds:6.1f} µs CPU a delivery"
                f"  p50 {one.p50:6.1f} ms  p99 {one.p99:6.1f} ms  lost {one.lost}"
            )
        ours = results["darkroom"].microseconds
        bare, socketio = ours / results["bare"].microseconds, ours / results["python_socketio"].microseconds
        print(f"  CPU ÷ bare hub {bare:.2f} (target ≤ {BARE_TARGET}), ÷ python-socketio {socketio:.2f}", end="")
        print(f" (target < {SOCKETIO_TARGET}), ÷ broadcast {ours / results['websockets_broadcast'].microseconds:.2f}")
        missed |= bare > BARE_TARGET or socketio >= SOCKETIO_TARGET or results["darkroom"].lost > 0
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
