"""Downloading an image file as a stream, with a bound on how slow it may be."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import aiohttp

from service.errors import InvokeInterrupted
from service.invokeai.transport import describe

CHUNK = 256 * 1024
WINDOW = 30.0
LEAST = 64 * 1024
"""Least bytes in a window of waiting. At less than 2 KB a second no picture is whole in time, and it would hold its
worker until then."""


class RemoteFile:
    """An open download. `content_length` is None if the server does not say, or compresses the body."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.content_type = response.content_type
        packed = response.headers.get("Content-Encoding", "identity") != "identity"
        self.content_length = None if packed else response.content_length

    async def iter(self, size: int = CHUNK) -> AsyncIterator[bytes]:
        """The bytes, at most `size` at a time. Raises `InvokeInterrupted` when the stream breaks, stalls or
        ends early."""
        chunks = self._response.content.iter_chunked(size)
        waited, came = 0.0, 0
        try:
            while True:
                began = time.monotonic()
                chunk = await anext(chunks, b"")
                waited += time.monotonic() - began
                if not chunk:
                    return
                came += len(chunk)
                if waited >= WINDOW:
                    if came < LEAST:
                        raise InvokeInterrupted(f"the download has stalled: {came} bytes came in {waited:.0f} s")
                    waited, came = 0.0, 0
                yield chunk
        except aiohttp.ClientPayloadError as error:
            raise InvokeInterrupted("the download broke off before the end of the file") from error
        except (aiohttp.ClientError, OSError) as error:
            raise InvokeInterrupted(f"download broke off: {describe(error)}") from error
