"""A Dask cluster, given by its scheduler's address or started here; all workers must run the same code.

Results are fetched as they are finished, and arrays are in the store: a worker that dies loses only its current blocks.
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
from invae.deadlines import within
from invae.errors import ClusterError, WorkerLost
from invae.progress import Progress
from invae.storage import provenance
from invae.storage.code_digest import file_digest

Block = TypeVar("Block")
Answer = TypeVar("Answer")

SECONDS_TO_ANSWER = 30
"""Time limit for the scheduler to answer, and for the first worker to connect [s]."""
SECONDS_OF_SILENCE = 10.0
"""Time without a finished block after which the scheduler must show that it still answers [s]."""
SECONDS_BETWEEN_LOOKS = 0.02
TOPIC = "invae"
"""Topic of the events that workers send about their blocks."""

_logger = logging.getLogger("invae")


def identity() -> dict[str, str]:
    """Versions that values depend on, by name: this package's code and the installed libraries."""
    installed = {k: v for k, v in provenance.versions().items() if v != "not installed"}
    return {**installed, "code": file_digest()[:16]}


def difference(worker: dict[str, str], *, ours: dict[str, str]) -> str:
    """`numpy 2.3.0 instead of 2.4.6, …` of a worker; empty if its versions are ours."""
    return ", ".join(
        f"{name} {worker[name]} instead of {version}"
        for name, version in ours.items()
        if worker.get(name, version) != version
    )


@dataclass(frozen=True)
class Job(Generic[Block, Answer]):
    """The work on one block, as sent to a worker; a worker with other code refuses it."""

    function: Callable[[Block], Answer]
    ours: dict[str, str]

    def __call__(self, block: Block) -> Answer:
        # a worker that connected after the start has not been checked yet
        if other := difference(identity(), ours=self.ours):
            raise _other_code(get_worker().address, other)
        began = time.monotonic()
        result = self.function(block)
        seconds = time.monotonic() - began
        worker = get_worker()
        event = {"worker": worker.address, "block": name_of(block), "seconds": seconds}
        worker.log_event(TOPIC, event)
        return result


def name_of(block: object) -> str:
    """A block in the log: `0:4` of frames, `0:8, 16:24` of a scan."""
    if isinstance(block, slice):
        return f"{block.start}:{block.stop}"
    if isinstance(block, tuple):
        return ", ".join(map(name_of, block))
    return str(block)


def map_on_cluster(
    function: Callable[[Block], Answer],
    blocks: Sequence[Block],
    *,
    compute: ComputeConfig,
    progress: Progress,
) -> list[Answer]:
    """The function's results for all blocks, in order, from the workers of the configured cluster.

    Raises:
        ClusterError: If no scheduler or worker answers, or a worker runs other code.
        WorkerLost: If the cluster is lost during the work, or workers die repeatedly on the same block.
    """
    with _client(compute) as client, client.as_current():
        ours = identity()
        _refuse_other_code(client, ours)
        log = _Log(client)
        try:
            results = _gathered(client, Job(function, ours), blocks, progress, log)
        except KilledWorker as error:
            raise WorkerLost(
                f"{compute.scheduler}: {error.allowed_failures + 1} workers died on the same block; "
                "give them more memory, or make the shards smaller"
            ) from error
        except TimeoutError as error:
            raise WorkerLost(
                f"the Dask scheduler at {compute.scheduler} has stopped answering; restart it, the same command resumes"
            ) from error
        except (CancelledError, ConnectionError) as error:
            raise WorkerLost(
                f"the Dask scheduler at {compute.scheduler} was lost; the same command resumes"
            ) from error
        finally:
            log.write()
    return results


def _gathered(
    client: Client,
    job: Job[Block, Answer],
    blocks: Sequence[Block],
    progress: Progress,
    log: "_Log",
) -> list[Answer]:
    """Results in the order of the blocks; a worker keeps none that has been fetched."""
    futures = client.map(job, list(blocks), pure=False)
    index_of = {future.key: index for index, future in enumerate(futures)}
    finished = as_completed(futures)
    del (
        futures
    )  # a future that is held would be computed again when the worker that has its result dies
    results: dict[int, Answer] = {}
    while not finished.is_empty():
        future = _next(finished, client)
        results[index_of[future.key]] = _result(future, client)
        del future
        log.write()
        progress(len(results), len(blocks))
    return [results[index] for index in range(len(blocks))]


def _next(finished: as_completed, client: Client) -> Any:
    """The next finished future.

    Raises:
        TimeoutError: If the scheduler no longer answers.
    """
    silent_since = time.monotonic()
    while not finished.has_ready():
        time.sleep(SECONDS_BETWEEN_LOOKS)
        if time.monotonic() - silent_since > SECONDS_OF_SILENCE:
            _require_answer(client)
            silent_since = time.monotonic()
    return next(finished)


def _result(future: Any, client: Client) -> Any:
    """The result of a finished future; another worker computes it again if the one that had it has died.

    Raises:
        TimeoutError: If the scheduler no longer answers.
    """
    while True:
        try:
            return future.result(timeout=SECONDS_OF_SILENCE)
        except TimeoutError:
            _require_answer(client)


def _require_answer(client: Client) -> None:
    """Check that the scheduler still answers.

    Raises:
        TimeoutError: If it does not.
    """
    client.sync(client.scheduler.identity, callback_timeout=SECONDS_TO_ANSWER)  # pyright: ignore


@contextmanager
def _client(compute: ComputeConfig) -> Iterator[Client]:
    """A client of the configured cluster; a cluster on this machine is started, and stopped at the end."""
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
        # the client's own time limit does not count for a scheduler that accepts connections and is stopped
        client = within(SECONDS_TO_ANSWER, lambda: _connected(compute))
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"compute.scheduler={compute.scheduler}: no Dask scheduler answers; start or restart one with "
            "`dask scheduler`, or use threads or processes"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_ANSWER)
        except TimeoutError as error:
            raise ClusterError(
                f"compute.scheduler={compute.scheduler}: the cluster has no worker; start some with "
                f"`dask worker {compute.scheduler}`"
            ) from error
        yield client


def _connected(compute: ComputeConfig) -> Client:
    return Client(compute.scheduler, timeout=SECONDS_TO_ANSWER, set_as_default=False)


def _refuse_other_code(client: Client, ours: dict[str, str]) -> None:
    """Refuse a cluster with a worker that runs other code, before it gets work."""
    try:
        identities: Any = within(SECONDS_TO_ANSWER, lambda: client.run(identity, on_error="return"))
    except TimeoutError as error:
        raise ClusterError(
            f"{client.scheduler_info(n_workers=0)['address']}: the Dask scheduler or one of its workers does not "
            "answer; restart the one that is stopped"
        ) from error
    for worker, theirs in sorted(identities.items()):
        if isinstance(theirs, BaseException):
            raise ClusterError(
                f"worker {worker} cannot run invae ({theirs}); install the same version on it"
            ) from theirs
        if other := difference(theirs, ours=ours):
            raise _other_code(worker, other)


def _other_code(worker: str, other: str) -> ClusterError:
    return ClusterError(
        f"worker {worker} runs {other}; install the same versions on it and restart it"
    )


class _Log:
    """Events of workers, logged by the thread that waits for results: only that thread belongs to a run."""

    def __init__(self, client: Client) -> None:
        self._lines: SimpleQueue[str] = SimpleQueue()
        client.subscribe_topic(TOPIC, self._block)
        client.subscribe_topic("all", self._change)

    def _block(self, event: tuple[float, Any]) -> None:
        values = event[1]
        self._lines.put(f"{values['worker']}: block {values['block']} in {values['seconds']:.2f} s")

    def _change(self, event: tuple[float, Any]) -> None:
        values = event[1]
        if isinstance(values, dict) and values.get("action") == "remove-worker":
            n_tasks = len(values["processing-tasks"])
            self._lines.put(f"{values['worker']} was lost; {n_tasks} blocks go to other workers")

    def write(self) -> None:
        """Write all lines so far into the log."""
        while True:
            try:
                _logger.info(self._lines.get_nowait())
            except Empty:
                return
