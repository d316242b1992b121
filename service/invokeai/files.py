"""Image files as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from service.errors import InvokeInterrupted
from service.invokeai.transport import describe

CHUNK = 256 * 1024


class RemoteFile:
    """An open download. `content_length` is None when the server does not say, or packs the body."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.content_type = response.content_type
        packed = response.headers.get("Content-Encoding", "identity") != "identity"
        self.content_length = None if packed else response.content_length

    async def iter(self, size: int = CHUNK) -> AsyncIterator[bytes]:
        """The bytes, at most `size` at a time. `InvokeInterrupted` when the stream breaks, stalls or ends early."""
        try:
            async for chunk in self._response.content.iter_chunked(size):
                yield chunk
        except aiohttp.ClientPayloadError as error:
            raise InvokeInterrupted("the download broke off before the end of the file") from error
        except (aiohttp.ClientError, OSError) as error:
            raise InvokeInterrupted(f"download broke off: {describe(error)}") from error
