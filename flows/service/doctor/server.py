"""Set-up of the Prefect server: schedules, GPU slot and detection of dead runs."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.service.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.events.schemas.automations import Automation

PAGE = 200
HEARTBEAT = "prefect.flow-run.heartbeat"
HEARTBEAT_VARIABLE = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
LEAST_BEATS, ENOUGH_BEATS = 2, 3
"""Heartbeats per window of an automation: with fewer it marks healthy runs as crashed, or nearly so."""
LATE = timedelta(minutes=2)
YOUNG = timedelta(minutes=1)
"""A younger deployment may not have scheduled runs yet."""


def check_schedules(client: "SyncPrefectClient") -> list[Check]:
    """Whether every active schedule has future runs, and a runner or worker executes them."""
    scheduled = [d for d in deployments(client) if _is_active(d)]
    if not scheduled:
        return [ok("schedules", "no deployment has an active schedule"), *_late(client)]
    empty = [deployment for deployment in scheduled if not _has_runs(client, deployment.id)]
    checks = [_without_runs(deployment) for deployment in empty]
    if not empty:
        checks.append(ok("schedules", f"{len(scheduled)} active, all with future runs"))
    return checks + _late(client)


def deployments(client: "SyncPrefectClient") -> list["DeploymentResponse"]:
    """All deployments of the server."""
    pages: list[DeploymentResponse] = []
    while page := client.read_deployments(limit=PAGE, offset=len(pages)):
        pages += page
    return pages


def _is_active(deployment: "DeploymentResponse") -> bool:
    return not deployment.paused and any(schedule.active for schedule in deployment.schedules)


def _has_runs(client: "SyncPrefectClient", deployment: UUID) -> bool:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

    only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    return bool(
        client.read_flow_runs(deployment_filter=only, flow_run_filter=_scheduled(), limit=1)
    )


def _scheduled(*, before: datetime | None = None) -> Any:
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    if before is None:
        return FlowRunFilter(state=state)
    expected = FlowRunFilterExpectedStartTime.model_validate({"before_": before})
    return FlowRunFilter(state=state, expected_start_time=expected)


def _without_runs(deployment: "DeploymentResponse") -> Check:
    name = f"{deployment.name} has an active schedule but no future run"
    age = datetime.now(UTC) - (deployment.updated or deployment.created or datetime.now(UTC))
    if age < YOUNG:
        return warn("schedules", f"{name}; it is {age.seconds} s old", "check again in a minute")
    return fail(
        "schedules",
        name,
        "see the log of the server; the usual reason are wrong versions of fastapi or sqlalchemy",
    )


def _late(client: "SyncPrefectClient") -> list[Check]:
    overdue = _scheduled(before=datetime.now(UTC) - LATE)
    late = client.read_flow_runs(flow_run_filter=overdue, limit=PAGE)
    if not late:
        return []
    found = f"{len(late)} runs are overdue, such as {late[0].name}"
    remedy = "start a runner: `invae serve`, or `python -m deployments.worker start --pool invae`"
    return [warn("runner", found, remedy)]


def check_limit(client: "SyncPrefectClient", *, fix: bool, has_gpu: bool) -> list[Check]:
    """Whether the GPU slot exists; `fix` creates it."""
    from prefect.exceptions import ObjectNotFound

    from tasks.gpu_slot import LIMIT

    try:
        limit = client.read_global_concurrency_limit_by_name(LIMIT)
    except ObjectNotFound:
        if fix:
            make_limit(client)
            return [ok("GPU slot", f"concurrency limit {LIMIT!r} of 1 created")]
        remedy = "run `invae doctor --fix`"
        if has_gpu:
            found = f"there is no concurrency limit {LIMIT!r}; training on the GPU needs it"
            return [fail("GPU slot", found, remedy)]
        found = f"there is no concurrency limit {LIMIT!r}; workers with a GPU need it"
        return [warn("GPU slot", found, remedy)]
    if not limit.active or limit.limit < 1:
        remedy = f"prefect gcl update {LIMIT} --limit 1 --enable"
        return [fail("GPU slot", f"concurrency limit {LIMIT!r} is 0 or not active", remedy)]
    return [ok("GPU slot", f"{limit.active_slots} of {limit.limit} taken")]


def make_limit(client: "SyncPrefectClient") -> None:
    """Create the GPU slot; an existing one keeps its number of places."""
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectNotFound

    from tasks.gpu_slot import LIMIT

    try:
        client.read_global_concurrency_limit_by_name(LIMIT)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=1))


def check_zombies(client: "SyncPrefectClient", *, own_beat: float | None) -> list[Check]:
    """Whether automations detect dead runs and spare healthy ones.

    Args:
        client: client of the server.
        own_beat: default interval of heartbeats [s]; None for no heartbeats.
    """
    windows = dict(_windows(client.read_automations()))
    pooled = [d for d in deployments(client) if d.work_pool_name]
    if not windows:
        if not pooled:
            return [ok("zombies", "`invae serve` restarts its own runs")]
        found = "no automation ends runs of a lost machine; they would stay Running"
        return [warn("zombies", found, "add deployments/automations.yaml to the server")]
    beats = {d.name: beat_of(d.job_variables, own_beat) for d in pooled} or {"runs": own_beat}
    name, window = min(windows.items(), key=lambda item: item[1])
    return [judge_beats(beats, window=window, automation=name)]


def _windows(automations: Sequence["Automation"]) -> Iterator[tuple[str, float]]:
    """Name and window [s] of the automations that detect missing heartbeats."""
    for automation in automations:
        trigger = automation.trigger
        after, within = getattr(trigger, "after", ()), getattr(trigger, "within", None)
        if automation.enabled and HEARTBEAT in after and within is not None:
            yield automation.name, within.total_seconds()


def beat_of(job_variables: dict[str, Any] | None, own: float | None) -> float | None:
    """Interval of heartbeats of a deployment [s], from its environment or the default."""
    value = ((job_variables or {}).get("env") or {}).get(HEARTBEAT_VARIABLE)
    return float(value) if value else own


def judge_beats(beats: dict[str, float | None], *, window: float, automation: str) -> Check:
    """Whether enough heartbeats of every deployment fit in the window [s] of an automation."""
    name, beat = max(beats.items(), key=lambda item: item[1] or float("inf"))
    remedy = f"set {HEARTBEAT_VARIABLE}=30 where {name} runs, or a longer `within` in {automation}"
    if beat is None:
        found = f"{name} sends no heartbeat, so {automation} ends its runs after {window:.0f} s"
        return fail("zombies", found, remedy)
    found = f"{automation} waits {window:.0f} s, {name} sends a heartbeat every {beat:.0f} s"
    if window < LEAST_BEATS * beat:
        return fail("zombies", f"{found}: healthy runs are marked as crashed", remedy)
    if window < ENOUGH_BEATS * beat:
        return warn("zombies", f"{found}: two lost heartbeats would end a healthy run", remedy)
    return ok("zombies", found)
