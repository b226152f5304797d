"""An HTTP server that never finishes its answers: silent, a byte at a time in the headers, or in the body."""

import importlib.metadata
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

Manner = Literal["silent", "headers", "body"]

SECONDS_BETWEEN_BYTES = 0.2
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
VERSION = f'"{importlib.metadata.version("prefect")}"'
DRIPS = {"headers": HEAD + b"X-Long: ", "body": HEAD + b"Content-Length: 100000\r\n\r\n"}


@contextmanager
def dripping_server(manner: Manner, *, answered: Sequence[str] = ()) -> Iterator[str]:
    """Address of the server.

    Args:
        manner: what it does with a request.
        answered: ends of the paths that it answers properly, with the version of Prefect.
    """
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.settimeout(0.1)

        def accept() -> None:
            while not stopped.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    of = (connection, manner, answered, stopped)
                    threading.Thread(target=_answer, args=of, daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join()


def _answer(
    connection: socket.socket, manner: Manner, answered: Sequence[str], stopped: threading.Event
) -> None:
    with connection, suppress(OSError):
        while request := connection.recv(65536):
            path = request.split(b" ", 2)[1].decode()
            if any(path.endswith(end) for end in answered):
                connection.sendall(
                    HEAD + f"Content-Length: {len(VERSION)}\r\n\r\n{VERSION}".encode()
                )
                continue
            connection.sendall(DRIPS.get(manner, b""))
            while not stopped.is_set():
                connection.sendall(b" " if manner != "silent" else b"")
                time.sleep(SECONDS_BETWEEN_BYTES)
            return
