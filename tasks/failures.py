"""Why a run failed, because of the recording or of the machine; stored on the server as a table of the run."""

import errno
import json
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import ArtifactSort

from invae.errors import InvaeError, MachineError, visible
from invae.redaction import redacted
from invae.storage.json_text import parsed
from tasks.artifacts import UNREACHABLE, escaped, key_of, unescaped

Fault = Literal["recording", "machine", "missing"]

SUFFIX = "failure"
LONGEST_TRACEBACK = 8000

FULL_OR_BROKEN = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ESTALE,
}
"""Error numbers of the machine, which no recording causes; they count also as the cause of an error of ours."""

LOST = {"KilledWorker", "CommClosedError", "OutOfMemoryError", "AcceleratorError"}
"""Names of errors of dask and torch for a lost worker or full memory; by name, so that neither library is imported."""

OUT_OF_MEMORY = "can't allocate memory"
"""In the text of torch's RuntimeError when the main memory is full."""
OF_MACHINE = (
    OUT_OF_MEMORY,
    "can't start new thread",
    "Cannot allocate memory",
    "Too many open files",
    "Unable to allocate",
)
"""In texts of errors that hide the machine's error, such as those of HDF5 and NumPy."""


@dataclass(frozen=True)
class Failure:
    """The reason of a failure in one line, and its traceback."""

    fault: Fault
    reason: str
    traceback: str


def failure_of(error: BaseException, *, sources: Sequence[str] = ()) -> Failure:
    """The failure that an error means; its text contains no secret."""
    reason = str(error) if isinstance(error, InvaeError) else f"{type(error).__name__}: {error}"
    trace = visible(redacted("".join(traceback.format_exception(error))))[-LONGEST_TRACEBACK:]
    fault = _fault(error, sources)
    return Failure(fault, visible(redacted(" ".join(reason.split()))), trace)


def _fault(error: BaseException, sources: Sequence[str]) -> Fault:
    if any("://" not in source and not Path(source).exists() for source in sources):
        return "missing"
    if isinstance(error, (MemoryError, MachineError, *UNREACHABLE)) or OUT_OF_MEMORY in str(error):
        return "machine"
    if any(kind.__name__ in LOST for kind in type(error).__mro__):
        return "machine"
    if is_caused_by_machine(error):
        return "machine"
    if isinstance(error, InvaeError) or not isinstance(error, OSError) or error.errno is None:
        return "recording"
    return "recording" if str(error.filename) in sources else "machine"


def is_caused_by_machine(error: BaseException) -> bool:
    """Whether an error, or one that it hides, is the machine's."""
    return any(is_of_machine(cause) for cause in _causes(error))


def is_of_machine(error: BaseException) -> bool:
    """Whether an error means full memory, too many files or threads, or a broken disk, whoever met it."""
    if isinstance(error, OSError) and error.errno in FULL_OR_BROKEN:
        return True
    return isinstance(error, MemoryError) or any(text in str(error) for text in OF_MACHINE)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def record_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Store why a run failed as an artifact of the run; Prefect calls this on failure."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, BaseException):
        return
    failure = failure_of(error, sources=flow_run.parameters.get("sources", ()))
    rows = [{"about": about, "what": escaped(what)} for about, what in asdict(failure).items()]
    artifact = ArtifactCreate(
        key=key_of(flow_run.name, SUFFIX),
        type="table",
        data=json.dumps(rows),
        description="Why the run failed",
        flow_run_id=flow_run.id,
    )
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)


def read_failure(client: SyncPrefectClient, flow_run: UUID) -> Failure | None:
    """Why a run failed the last time; None if it stored no reason."""
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(like_=f"-{SUFFIX}")),
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])),
        sort=ArtifactSort.CREATED_DESC,
        limit=1,
    )
    if not artifacts:
        return None
    rows: list[dict[str, Any]] = parsed(str(artifacts[0].data))
    fields: dict[str, Any] = {row["about"]: unescaped(row["what"]) for row in rows}
    return Failure(**fields)
