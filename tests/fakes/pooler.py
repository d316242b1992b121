"""A connection pooler in transaction mode: each transaction of a client's gets whichever server session is free."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TLS_WISH = (80877103).to_bytes(4)
READY, TERMINATE, OUTSIDE_TRANSACTIONS = b"Z", b"X", b"I"
Message = tuple[bytes, bytes]


@dataclass
class Session:
    """A connection to the server, logged in; `greeting` is what the server said to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes


class TransactionPooler:
    """Before the server at the unix socket, which trusts everybody. `takes_oldest`: the next transaction gets the
    session that has been free for the longest time, else for the shortest."""

    def __init__(self, socket: Path, *, takes_oldest: bool) -> None:
        self._socket = socket
        self._take = deque.popleft if takes_oldest else deque.pop
        self._free: deque[Session] = deque()
        self._opened: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for writer in self._opened:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await starting(reader)
        while start[4:8] == TLS_WISH:
            writer.write(b"N")
            start = await starting(reader)
        greeter = await self._session(start)
        writer.write(greeter.greeting)
        self._free.append(greeter)
        answering: asyncio.Task[None] | None = None
        session = greeter
        while True:
            message = await received(reader)
            if message[0] == TERMINATE:
                return
            if answering is None or answering.done():
                session = await self._session(start)
                answering = asyncio.create_task(self._answer(session, writer))
                self._tasks.add(answering)
            session.writer.write(sent(message))

    async def _session(self, start: bytes) -> Session:
        if self._free:
            return self._take(self._free)
        reader, writer = await asyncio.open_unix_connection(self._socket)
        self._opened.append(writer)
        writer.write(start)
        greeting, kind = b"", b""
        while kind != READY:
            kind, body = await received(reader)
            greeting += sent((kind, body))
        return Session(reader, writer, greeting)

    async def _answer(self, session: Session, writer: asyncio.StreamWriter) -> None:
        """All that the server says, to the end of the transaction."""
        message = await received(session.reader)
        while message != (READY, OUTSIDE_TRANSACTIONS):
            writer.write(sent(message))
            message = await received(session.reader)
        self._free.append(session)
        writer.write(sent(message))


@asynccontextmanager
async def transaction_pooler(socket: Path, *, takes_oldest: bool) -> AsyncIterator[int]:
    """Its port."""
    pooler = TransactionPooler(socket, takes_oldest=takes_oldest)
    listener = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    yield listener.sockets[0].getsockname()[1]
    listener.close()
    await pooler.close()


async def starting(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length) - 4)


async def received(reader: asyncio.StreamReader) -> Message:
    kind = await reader.readexactly(1)
    length = int.from_bytes(await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def sent(message: Message) -> bytes:
    kind, body = message
    return kind + (len(body) + 4).to_bytes(4) + body
