"""Rescheduling of runs whose process has died, so that they continue.

The lock on the folder of a recording shows whether a process works on it; the kernel releases the lock when the process dies.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Crashed

from flows.watching import runs
from invae.storage.location import as_path
from tasks.recording_folder import is_busy

PAGE = 200
RECORDINGS, SHORT = "process", ("watch", "day")
"""Names of flows: those that continue, and those whose next scheduled run does the same work."""

INTERRUPTED = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)


def recover(*, crashed_since: datetime | None = None) -> list[str]:
    """Reschedule interrupted runs; returns their names.

    To be called while no runner of this server is active.

    Args:
        crashed_since: runs that crashed after this time were stopped on purpose and continue as well.
    """
    names = []
    with get_client(sync_client=True) as client:
        for run in _interrupted(client, crashed_since):
            folder = as_path(run.parameters["out"]) / str(run.parameters.get("name") or "")
            if run.parameters.get("name") and is_busy(folder):
                continue
            runs.reschedule(run.id, why="its process was stopped; it continues")
            names.append(run.name)
        _clear_short_ones(client)
    return names


def _interrupted(client: SyncPrefectClient, crashed_since: datetime | None) -> Iterator[FlowRun]:
    """Runs of deployments that are active, or crashed recently."""
    types = list(INTERRUPTED) + ([StateType.CRASHED] if crashed_since else [])
    for run in _runs_of(client, [RECORDINGS], types):
        recent = crashed_since is None or (
            run.end_time is not None and run.end_time > crashed_since
        )
        if run.deployment_id and (run.state_type != StateType.CRASHED or recent):
            yield run


def _clear_short_ones(client: SyncPrefectClient) -> None:
    """End interrupted short runs and delete overdue ones; the next scheduled run does their work."""
    for run in _runs_of(client, SHORT, INTERRUPTED):
        crashed = Crashed(message="its process was stopped; the next run does its work")
        client.set_flow_run_state(run.id, crashed, force=True)
    overdue = FlowRunFilterExpectedStartTime.model_validate({"before_": datetime.now(UTC)})
    for run in _runs_of(client, SHORT, [StateType.SCHEDULED], expected=overdue):
        client.delete_flow_run(run.id)


def _runs_of(
    client: SyncPrefectClient,
    flows: list[str] | tuple[str, ...],
    types: list[StateType] | tuple[StateType, ...],
    *,
    expected: FlowRunFilterExpectedStartTime | None = None,
) -> list[FlowRun]:
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))
    run_filter = FlowRunFilter(state=state)
    if expected is not None:
        run_filter = FlowRunFilter(state=state, expected_start_time=expected)
    return client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(flows))),
        flow_run_filter=run_filter,
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=PAGE,
    )
