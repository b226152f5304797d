"""What the machine did is tried again with back-off; what the recording did is not."""

import errno
from uuid import uuid4

import pytest
from distributed import KilledWorker
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from invae.errors import (
    ConfigError,
    InputError,
    NoRoom,
    NotWritable,
    OutOfMemory,
    StoreError,
    TrainingDiverged,
    WorkerLost,
)
from tasks import runs
from tasks.ingest import ingest
from tasks.progress import reporting_to
from tasks.train import train

OF_THE_MACHINE = [
    NoRoom("disk full"),
    NotWritable("read only"),
    OutOfMemory("batch of 64"),
    WorkerLost("worker"),
    MemoryError(),
    OSError(errno.ENOSPC, "no space left"),
    OSError(errno.EIO, "network folder gone"),
    ConnectionResetError("object store"),
    KilledWorker("block", None, []),  # pyright: ignore[reportArgumentType]
]
OF_THE_RECORDING = [
    InputError("truncated"),
    ConfigError("window"),
    StoreError("not made by invae"),
    TrainingDiverged("nan"),
    FileNotFoundError("moved away"),
    PermissionError("not ours"),
    ValueError("bug"),
    KeyError("bug"),
]


def is_tried_again(failure: BaseException, *, attempt: int = 1) -> bool:
    run = TaskRun(task_key="train", dynamic_key=str(uuid4()), flow_run_id=None, run_count=attempt)
    return runs.is_worth_retrying(train, run, Failed(data=failure))


@pytest.mark.parametrize("failure", OF_THE_MACHINE, ids=lambda e: type(e).__name__)
def test_what_the_machine_did_is_tried_again(failure):
    assert runs.is_machine_error(failure)
    assert is_tried_again(failure)


@pytest.mark.parametrize("failure", OF_THE_RECORDING, ids=lambda e: type(e).__name__)
def test_what_the_recording_did_is_not(failure):
    assert not runs.is_machine_error(failure)
    assert not is_tried_again(failure)


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (NoRoom("disk full"), 0),
        (NotWritable("read only"), 0),
        (OSError(errno.EIO, "network folder gone"), 2),
        (OutOfMemory("batch of 64"), 4),
    ],
    ids=["no room", "read only", "network", "memory"],
)
def test_somebody_who_waits_at_a_terminal_is_told_soon(failure, attempts):
    with reporting_to(Somebody()):
        again = [is_tried_again(failure, attempt=n) for n in (1, 2, 3, 4)]
    assert again == [n <= attempts for n in (1, 2, 3, 4)]


def test_every_wait_is_longer_than_the_one_before():
    assert ingest.retries == len(runs.RETRY_SECONDS)
    assert ingest.retry_delay_seconds == sorted(set(runs.RETRY_SECONDS))


class Somebody:
    """A person at a terminal."""

    def begin(self, stage: str) -> None: ...

    def advance(self, stage: str, done: int, total: int, note: str) -> None: ...

    def end(self, stage: str, seconds: float | None) -> None: ...
