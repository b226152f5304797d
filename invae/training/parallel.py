"""Work on several cores with the values of one: whole batches in threads, whole trainings in processes, each with one thread of torch.

Processes are for trainings: in one process Python runs one line at a time, so threads of small networks wait for each other.
"""

import io
import mmap
import signal
import sys
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, current_process, get_context, parent_process
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from os import _exit as end_at_once
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

import torch

from invae.errors import InvaeError, WorkerLost
from invae.training.device import one_thread

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Report = Callable[[Any], None]
"""Sends a value to the process that started this one, during the work on an item."""
Listen = Callable[[int, Any], None]
"""Takes the number of an item and what the work on it reports."""
Kind = Literal["ready", "report", "answer", "error"]
ALIGNMENT = 64
"""Arrays begin at multiples of this many bytes."""
SECONDS_TO_END = 5.0
"""Time for a process to end after it was asked to [s]."""


def mapped(
    function: Callable[[Item], Answer], items: Iterator[Item], *, workers: int
) -> Iterator[Answer]:
    """The function of every item, in their order, by several threads; at most twice as many items are in memory.

    Each thread computes whole items with one thread of torch, so that values do not depend on the number of workers.
    """
    waiting: deque[Future[Answer]] = deque()
    with threads(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def threads(workers: int) -> ThreadPoolExecutor:
    """A pool of threads, each with one thread of torch."""
    return ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))


def in_processes(
    function: Callable[[Item, Report], Answer],
    items: Sequence[Item],
    *,
    workers: int,
    listen: Listen,
) -> list[Answer]:
    """The function of every item, in their order, by several processes; in this one if there is one worker or one item.

    Memory holds the function's and the items' arrays once for all processes: they lie in a file that every process maps. If this
    process is killed, the others end. A process that is itself one of several starts no others.

    Args:
        function: Of a module, or a `partial` of one. It is called with an item and with a function that reports. Function, items,
            reports and answers hold no tensors.
        items: What it is called with.
        workers: Number of processes.
        listen: Called here with every report.

    Raises:
        InvaeError: The function has raised it; so with any other error.
        WorkerLost: A process was killed.
    """
    n = min(workers, len(items))
    if n <= 1 or current_process().daemon:
        return [function(item, partial(listen, k)) for k, item in enumerate(items)]
    with _children(n, (function, list(items))) as children:
        return _gathered(children, len(items), listen)


@dataclass(frozen=True)
class _Child:
    """A process, and the connection to it."""

    process: SpawnProcess
    line: connection.Connection

    def next(self) -> tuple[Kind, Any]:
        """What it sends next.

        Raises:
            WorkerLost: It has ended.
        """
        try:
            kind, value = self.line.recv()
        except (EOFError, ConnectionError) as error:
            self.process.join(SECONDS_TO_END)
            raise WorkerLost(
                f"a process of this training has ended with exit code {self.process.exitcode}, perhaps for lack of memory; "
                "repeat the command, with compute.workers=1 if this happens again"
            ) from error
        if kind == "error":
            raise value
        return kind, value


@contextmanager
def _children(n: int, content: Any) -> Iterator[list[_Child]]:
    """Processes that have the content; they are ended in the end, whatever they do."""
    children: list[_Child] = []
    try:
        with tempfile.TemporaryDirectory(prefix="invae-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, "content")
            sizes = _pack(content, path)
            with _without_script():
                children += [_started(path, sizes) for _ in range(n)]
            for child in children:
                child.next()  # it has mapped the file, which is deleted before the work begins
        yield children
    finally:
        for child in children:
            child.process.terminate()
        for child in children:
            child.process.join(SECONDS_TO_END)
            child.line.close()


def _started(path: Path, sizes: Sequence[int]) -> _Child:
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, path, sizes), daemon=True)
    process.start()
    theirs.close()  # else the end of the process would not be noticed
    return _Child(process, ours)


def _gathered(children: Sequence[_Child], n_items: int, listen: Listen) -> list[Any]:
    """The answers, in the order of the items; every child gets the next item when it has answered."""
    todo = deque(range(n_items))
    answers: dict[int, Any] = {}
    busy: dict[Any, tuple[_Child, int]] = {}
    for child in children:
        busy[child.line] = child, todo.popleft()
        child.line.send(busy[child.line][1])
    while busy:
        for line in connection.wait(list(busy)):
            child, number = busy[line]
            kind, value = child.next()
            if kind == "report":
                listen(number, value)
                continue
            answers[number] = value
            del busy[line]
            if todo:
                busy[line] = child, todo.popleft()
                child.line.send(busy[line][1])
    return [answers[number] for number in range(n_items)]


def _serve(line: connection.Connection, path: Path, sizes: Sequence[int]) -> None:
    """The work of a child: an answer for every number of an item that it receives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C: the parent ends its children
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(kind: Kind, value: Any = None) -> None:
        line.send((kind, value))

    try:
        function, items = _unpacked(path, sizes)
        send("ready")
        with one_thread():
            while True:
                send("answer", function(items[line.recv()], partial(send, "report")))
    except Exception as error:  # raised again by the parent
        if not isinstance(error, InvaeError):
            error.add_note("".join(traceback.format_exception(error)))
        send("error", error)


def _end_with_parent() -> None:
    """End this process when its parent has ended, even if that was killed: a repeated command would write the same checkpoints."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        end_at_once(1)


@contextmanager
def _without_script() -> Iterator[None]:
    """Processes that start meanwhile do not run the calling script: without an `if __name__ == "__main__"` it would start itself again."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _pack(content: Any, path: Path) -> list[int]:
    """Write a value for `_unpacked`; the sizes of its parts [B], of which all but the first are arrays."""
    head, arrays = io.BytesIO(), list[Any]()
    ForkingPickler(head, 5, True, arrays.append).dump(content)
    parts = [head.getbuffer(), *(array.raw() for array in arrays)]
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
            file.write(bytes(-len(part) % ALIGNMENT))
    return [len(part) for part in parts]


def _unpacked(path: Path, sizes: Sequence[int]) -> Any:
    """The value of `_pack`; its arrays lie in the file, and a process that changes them has its own copy."""
    with path.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    parts, first = list[memoryview](), 0
    for size in sizes:
        parts.append(content[first : first + size])
        first += size + -size % ALIGNMENT
    return ForkingPickler.loads(parts[0], buffers=parts[1:])  # pyright: ignore[reportAttributeAccessIssue]
