"""Whose fault a failure is, and that nothing secret is told about it."""

import errno

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from flows.process import process
from invae.errors import InputError, NoRoom, OutOfMemory, StoreError, TrainingDiverged
from tasks.failures import failure_of, read_failure
from tasks.lease import Busy


class KilledWorker(Exception):
    """As dask.distributed calls it."""


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


RECORDING = [
    InputError("a.npy: is empty"),
    TrainingDiverged("loss became nan"),
    ValueError("cannot reshape"),
    OSError("Unable to open file (truncated file)"),
    caused_by(InputError("cannot be read"), PermissionError(errno.EACCES, "Permission denied")),
]
MACHINE = [
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    OutOfMemory("a batch of 64 does not fit"),
    NoRoom("the disk is full"),
    Busy("out/a is being worked on by process 7"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EROFS, "Read-only file system"),
    PermissionError(errno.EACCES, "Permission denied", "/out/a/recording.zarr"),
    caused_by(StoreError("cannot be written"), OSError(errno.ENOSPC, "No space left on device")),
    ConnectionError("server lost"),
    caused_by(InputError("x.h5: cannot be read; it is damaged"), MemoryError()),
    caused_by(InputError("x.h5: cannot be read"), OSError(errno.EMFILE, "Too many open files")),
    caused_by(InputError("x.h5: cannot be read"), RuntimeError("can't start new thread")),
    KilledWorker("lost"),
]


@pytest.mark.parametrize("error", RECORDING, ids=repr)
def test_the_recording_is_to_blame(error):
    assert failure_of(error).fault == "recording"


@pytest.mark.parametrize("error", MACHINE, ids=repr)
def test_the_machine_is_to_blame(error):
    assert failure_of(error).fault == "machine"


def test_rights_missing_on_the_recording_itself_are_its_fault(tmp_path):
    source = tmp_path / "a.ibw"
    source.touch()
    error = PermissionError(errno.EACCES, "Permission denied", str(source))
    assert failure_of(error, sources=[str(source)]).fault == "recording"


def test_a_recording_that_is_not_there_is_missing_whatever_is_said(tmp_path):
    error = ValueError("negative size")
    assert failure_of(error, sources=[str(tmp_path / "gone.ibw")]).fault == "missing"


def test_a_reason_is_one_line():
    assert failure_of(InputError("two\nlines")).reason == "two lines"
    assert failure_of(KeyError("x")).reason == "KeyError: 'x'"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("postgresql+asyncpg://me:hunter22@db/prefect", "postgresql+asyncpg://***@db/prefect"),
        ("wrong header: Basic admin:topsecret!", "wrong header: Basic ***"),
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/api"),
    ],
)
def test_nothing_secret_is_told(text, told, monkeypatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:topsecret!")
    failure = failure_of(InputError(text))
    assert failure.reason == told
    assert "hunter22" not in failure.traceback


def test_a_failed_run_says_why_beside_itself(prefect_server, config, tmp_path):
    broken = tmp_path / "broken.npy"
    broken.write_bytes(b"not an array")
    state: State = process([str(broken)], str(tmp_path / "out"), config, return_state=True)
    assert state.is_failed()
    run = state.state_details.flow_run_id
    assert run is not None
    with get_client(sync_client=True) as client:
        failure = read_failure(client, run)
    assert failure is not None
    assert failure.fault == "recording"
    assert "broken.npy" in failure.reason
    assert "Traceback" in failure.traceback
