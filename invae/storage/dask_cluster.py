"""A Dask cluster, by its scheduler's address or started here: workers of the same code, answers fetched as they come.

What a worker has finished is in the store and its answer here: a worker that dies takes nothing along but what it was at.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from distributed import Client, KilledWorker, LocalCluster, as_completed, get_worker

from invae.config import ComputeConfig
from invae.errors import ClusterError, WorkerLost
from invae.progress import Progress
from invae.storage import provenance
from invae.storage.code_digest import file_digest

Block = TypeVar("Block")
Answer = TypeVar("Answer")

SECONDS_TO_ANSWER = 30
"""So long a scheduler may take to answer, and the first worker to come."""
TOPIC = "invae"
"""Under which workers tell what they do."""

_logger = logging.getLogger("invae")


def identity() -> dict[str, str]:
    """What values depend on, by name: this package's code, and the libraries installed here."""
    found = {k: v for k, v in provenance.versions().items() if v != "not installed"}
    return {**found, "code": file_digest()[:16]}


def difference(worker: dict[str, str], *, ours: dict[str, str]) -> str:
    """`numpy 2.3.0 instead of 2.4.6, …` of a worker; empty if it would compute the same."""
    return ", ".join(
        f"{name} {worker[name]} instead of {version}"
        for name, version in ours.items()
        if worker.get(name, version) != version
    )


@dataclass(frozen=True)
class Job(Generic[Block, Answer]):
    """One block's work as it goes to a worker; refused where the code is another."""

    function: Callable[[Block], Answer]
    ours: dict[str, str]

    def __call__(self, block: Block) -> Answer:
        # a worker that came after the start has not been asked yet
        if other := difference(identity(), ours=self.ours):
            raise _other_code(get_worker().address, other)
        began = time.monotonic()
        answer = self.function(block)
        seconds = time.monotonic() - began
        worker = get_worker()
        told = {"worker": worker.address, "block": named(block), "seconds": seconds}
        worker.log_event(TOPIC, told)
        return answer


def named(block: object) -> str:
    """A block for the log: `0:4` of frames, `0:8, 16:24` of a scan."""
    if isinstance(block, slice):
        return f"{block.start}:{block.stop}"
    if isinstance(block, tuple):
        return ", ".join(map(named, block))
    return str(block)


def map_on_cluster(
    function: Callable[[Block], Answer],
    blocks: Sequence[Block],
    *,
    compute: ComputeConfig,
    progress: Progress,
) -> list[Answer]:
    """The function's answers for all blocks, in order, from the workers of the configured cluster.

    Raises:
        ClusterError: If no scheduler or worker answers, or a worker runs other code.
        WorkerLost: If the cluster was lost on the way, or one block after the other took its worker along.
    """
    with _client(compute) as client, client.as_current():
        ours = identity()
        _refuse_other_code(client, ours)
        log = _Log(client)
        try:
            answers = _gathered(client, Job(function, ours), blocks, progress, log)
        except KilledWorker as error:
            raise WorkerLost(
                f"{compute.scheduler}: {error.allowed_failures + 1} workers died on the same block; "
                "give them more memory, or make the shards smaller"
            ) from error
        except (CancelledError, ConnectionError, TimeoutError) as error:
            raise WorkerLost(
                f"the Dask scheduler at {compute.scheduler} was lost on the way; the same command goes on"
            ) from error
        finally:
            log.write()
    return answers


def _gathered(
    client: Client,
    job: Job[Block, Answer],
    blocks: Sequence[Block],
    progress: Progress,
    log: "_Log",
) -> list[Answer]:
    """Answers in the order of the blocks; none stays with a worker once it is here."""
    futures = client.map(job, list(blocks), pure=False)
    places = {future.key: place for place, future in enumerate(futures)}
    coming = as_completed(futures)
    del futures  # one that is held would be computed again when the worker that has its answer dies
    answers: dict[int, Answer] = {}
    for future in coming:
        answers[places[future.key]] = future.result()
        del future
        log.write()
        progress(len(answers), len(blocks))
    return [answers[place] for place in range(len(blocks))]


@contextmanager
def _client(compute: ComputeConfig) -> Iterator[Client]:
    """A client of the configured cluster; one on this machine is started, and goes away afterwards."""
    if compute.scheduler == "processes":
        with (
            LocalCluster(
                n_workers=compute.workers,
                threads_per_worker=1,
                dashboard_address=None,  # pyright: ignore[reportArgumentType]
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(compute.scheduler, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"compute.scheduler={compute.scheduler}: no Dask scheduler answers there; start one with "
            "`dask scheduler`, or use threads or processes"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_ANSWER)
        except TimeoutError as error:
            raise ClusterError(
                f"compute.scheduler={compute.scheduler}: has no worker; start some with "
                f"`dask worker {compute.scheduler}`"
            ) from error
        yield client


def _refuse_other_code(client: Client, ours: dict[str, str]) -> None:
    """Workers that would compute something else are named before they get work."""
    told: Any = client.run(identity, on_error="return")
    for worker, theirs in sorted(told.items()):
        if isinstance(theirs, BaseException):
            raise ClusterError(
                f"worker {worker} cannot run invae ({theirs}); install the same version there"
            ) from theirs
        if other := difference(theirs, ours=ours):
            raise _other_code(worker, other)


def _other_code(worker: str, other: str) -> ClusterError:
    return ClusterError(
        f"worker {worker} runs {other}; install there what runs here, and start it again"
    )


class _Log:
    """What workers tell, written by the thread that waits for them: only that one belongs to a run."""

    def __init__(self, client: Client) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        client.subscribe_topic(TOPIC, self._block)
        client.subscribe_topic("all", self._change)

    def _block(self, event: tuple[float, Any]) -> None:
        told = event[1]
        self._lines.put(f"{told['worker']}: block {told['block']} in {told['seconds']:.2f} s")

    def _change(self, event: tuple[float, Any]) -> None:
        told = event[1]
        if isinstance(told, dict) and told.get("action") == "remove-worker":
            n_tasks = len(told["processing-tasks"])
            self._lines.put(f"{told['worker']} was lost; {n_tasks} blocks go to other workers")

    def write(self) -> None:
        """All lines so far into the log."""
        while True:
            try:
                _logger.info(self._lines.get_nowait())
            except Empty:
                return
