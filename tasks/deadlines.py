"""A time limit for the whole answer of a Prefect server, not for each of its bytes.

The read timeout of HTTP clients starts anew with every byte, so a server that sends one byte per second holds them for ever.
Prefect makes its clients itself; the one place that all of them share is the connection.
"""

import time
from functools import cache
from typing import Any

import httpcore


class _Deadline:
    """The end of the time for an answer; it starts with the first byte of the request."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._is_sending = False

    def sends(self) -> None:
        """A part of a request is sent."""
        if not self._is_sending:
            self._is_sending, self._began = True, time.monotonic()

    def left(self, timeout: float | None) -> float | None:
        """What is left of the read timeout [s].

        Raises:
            httpcore.ReadTimeout: if nothing is left.
        """
        self._is_sending = False
        if timeout is None:
            return None
        left = timeout - (time.monotonic() - self._began)
        if left <= 0:
            raise httpcore.ReadTimeout(f"the answer was not complete after {timeout:.0f} s")
        return left


class LimitedStream(httpcore.NetworkStream):
    """A connection on which the read timeout counts for the whole answer."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream, self._deadline = stream, _Deadline()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._deadline.sends()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return LimitedStream(self._stream.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class LimitedAsyncStream(httpcore.AsyncNetworkStream):
    """The same for clients that run in an event loop."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream, self._deadline = stream, _Deadline()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, self._deadline.left(timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._deadline.sends()
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return LimitedAsyncStream(await self._stream.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@cache
def limit_answers() -> None:
    """Limit the answers of all HTTP servers in this process; further calls change nothing."""
    in_loop: Any = httpcore.AnyIOBackend
    connect, connect_async = httpcore.SyncBackend.connect_tcp, in_loop.connect_tcp

    def limited(self: httpcore.SyncBackend, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return LimitedStream(connect(self, *args, **options))

    async def limited_async(self: Any, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        return LimitedAsyncStream(await connect_async(self, *args, **options))

    httpcore.SyncBackend.connect_tcp = limited
    in_loop.connect_tcp = limited_async
