"""Runs whose process has gone without a word: put back on the list, so that they go on where they were.

Whether somebody works on a recording is known by the lock on its folder, which the kernel frees when its holder dies.
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
"""Names of flows: those that go on, and those of which the next one by schedule does the same."""

INTERRUPTED = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)


def recover(*, crashed_since: datetime | None = None) -> list[str]:
    """Names of the runs that were put back on the list: nobody works on them.

    To be called while no runner of this server is at work.

    Args:
        crashed_since: runs that crashed after this were stopped by us and go on as well.
    """
    found = []
    with get_client(sync_client=True) as client:
        for run in _interrupted(client, crashed_since):
            folder = as_path(run.parameters["out"]) / str(run.parameters.get("name") or "")
            if run.parameters.get("name") and is_busy(folder):
                continue
            runs.reschedule(run.id, why="its process was stopped; it goes on")
            found.append(run.name)
        _clear_short_ones(client)
    return found


def _interrupted(client: SyncPrefectClient, crashed_since: datetime | None) -> Iterator[FlowRun]:
    """Runs of deployments that are under way, or were until just now."""
    types = list(INTERRUPTED) + ([StateType.CRASHED] if crashed_since else [])
    for run in _runs_of(client, [RECORDINGS], types):
        recent = crashed_since is None or (
            run.end_time is not None and run.end_time > crashed_since
        )
        if run.deployment_id and (run.state_type != StateType.CRASHED or recent):
            yield run


def _clear_short_ones(client: SyncPrefectClient) -> None:
    """End short runs that nobody carries out, and drop those that are overdue: the next one does the same."""
    for run in _runs_of(client, SHORT, INTERRUPTED):
        gone = Crashed(message="its process was stopped; the next one does its work")
        client.set_flow_run_state(run.id, gone, force=True)
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
    wanted = FlowRunFilter(state=state)
    if expected is not None:
        wanted = FlowRunFilter(state=state, expected_start_time=expected)
    return client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(flows))),
        flow_run_filter=wanted,
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=PAGE,
    )
