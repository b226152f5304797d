"""What is set up on the Prefect server: schedules that produce runs, the GPU's slot, dead runs that are noticed."""

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
"""Heartbeats that must fit into the window of an automation, else it marks healthy runs as crashed."""
LATE = timedelta(minutes=2)
YOUNG = timedelta(minutes=1)
"""A deployment younger than this may not have runs yet."""


def check_schedules(client: "SyncPrefectClient") -> list[Check]:
    """Whether every active schedule has a run to come, and somebody carries runs out."""
    scheduled = [d for d in deployments(client) if _is_active(d)]
    if not scheduled:
        return [ok("schedules", "no deployment has an active schedule"), *_late(client)]
    dry = [deployment for deployment in scheduled if not _has_runs(client, deployment.id)]
    checks = [_dry(deployment) for deployment in dry]
    if not dry:
        checks.append(ok("schedules", f"{len(scheduled)} active, each with runs to come"))
    return checks + _late(client)


def deployments(client: "SyncPrefectClient") -> list["DeploymentResponse"]:
    """All deployments of the server."""
    found: list[DeploymentResponse] = []
    while page := client.read_deployments(limit=PAGE, offset=len(found)):
        found += page
    return found


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


def _dry(deployment: "DeploymentResponse") -> Check:
    name = f"{deployment.name} has an active schedule and no run to come"
    age = datetime.now(UTC) - (deployment.updated or deployment.created or datetime.now(UTC))
    if age < YOUNG:
        return warn("schedules", f"{name}; it is {age.seconds} s old", "look again in a minute")
    return fail(
        "schedules",
        name,
        "see the server's log, where alone its scheduler complains; the pins of fastapi and "
        "sqlalchemy are the usual reason",
    )


def _late(client: "SyncPrefectClient") -> list[Check]:
    overdue = _scheduled(before=datetime.now(UTC) - LATE)
    late = client.read_flow_runs(flow_run_filter=overdue, limit=PAGE)
    if not late:
        return []
    found = f"{len(late)} runs are overdue, such as {late[0].name}"
    remedy = "start what carries them out: `invae serve`, or `prefect worker start --pool invae`"
    return [warn("runner", found, remedy)]


def check_limit(client: "SyncPrefectClient", *, fix: bool, has_gpu: bool) -> list[Check]:
    """Whether the GPU's slot is there; made if asked for."""
    from prefect.exceptions import ObjectNotFound

    from tasks.gpu_slot import LIMIT

    try:
        limit = client.read_global_concurrency_limit_by_name(LIMIT)
    except ObjectNotFound:
        if fix:
            make_limit(client)
            return [ok("GPU slot", f"concurrency limit {LIMIT!r} of 1 was made")]
        remedy = "`invae doctor --fix` makes it"
        if has_gpu:
            found = (
                f"there is no concurrency limit {LIMIT!r}, and training on the GPU refuses to begin"
            )
            return [fail("GPU slot", found, remedy)]
        found = f"there is no concurrency limit {LIMIT!r}; workers with a GPU need it"
        return [warn("GPU slot", found, remedy)]
    if not limit.active or limit.limit < 1:
        remedy = f"prefect gcl update {LIMIT} --limit 1 --enable"
        return [
            fail("GPU slot", f"concurrency limit {LIMIT!r} lets nobody in, or everybody", remedy)
        ]
    return [ok("GPU slot", f"{limit.active_slots} of {limit.limit} taken")]


def make_limit(client: "SyncPrefectClient") -> None:
    """Make the GPU's slot; one that is there stays as it is, with as many places as somebody gave it."""
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectNotFound

    from tasks.gpu_slot import LIMIT

    try:
        client.read_global_concurrency_limit_by_name(LIMIT)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LIMIT, limit=1))


def check_zombies(client: "SyncPrefectClient", *, own_beat: float | None) -> list[Check]:
    """Whether runs without a sign of life are noticed, and healthy ones are left alone.

    Args:
        client: of the server.
        own_beat: seconds between heartbeats where nothing else is set for a deployment; none for no heartbeat.
    """
    windows = dict(_windows(client.read_automations()))
    pooled = [d for d in deployments(client) if d.work_pool_name]
    if not windows:
        if not pooled:
            return [ok("zombies", "runs of `invae serve` are looked after by itself")]
        found = "no automation ends runs whose machine is gone; they would stay Running for ever"
        return [warn("zombies", found, "bring deployments/automations.yaml to the server")]
    beats = {d.name: beat_of(d.job_variables, own_beat) for d in pooled} or {"runs": own_beat}
    name, window = min(windows.items(), key=lambda item: item[1])
    return [verdict_on(beats, window=window, automation=name)]


def _windows(automations: Sequence["Automation"]) -> Iterator[tuple[str, float]]:
    """Name and window [s] of the automations that wait for a heartbeat which does not come."""
    for automation in automations:
        trigger = automation.trigger
        after, within = getattr(trigger, "after", ()), getattr(trigger, "within", None)
        if automation.enabled and HEARTBEAT in after and within is not None:
            yield automation.name, within.total_seconds()


def beat_of(job_variables: dict[str, Any] | None, own: float | None) -> float | None:
    """Seconds between heartbeats of a deployment's runs: as its environment says, or as here."""
    value = ((job_variables or {}).get("env") or {}).get(HEARTBEAT_VARIABLE)
    return float(value) if value else own


def verdict_on(beats: dict[str, float | None], *, window: float, automation: str) -> Check:
    """Whether enough heartbeats of every deployment fit into the window [s] of an automation."""
    name, beat = max(beats.items(), key=lambda item: item[1] or float("inf"))
    remedy = f"set {HEARTBEAT_VARIABLE}=30 where {name} runs, or a longer `within` in {automation}"
    if beat is None:
        found = f"{name} sends no heartbeat, and {automation} ends its runs after {window:.0f} s"
        return fail("zombies", found, remedy)
    found = f"{automation} waits {window:.0f} s, {name} gives a sign every {beat:.0f} s"
    if window < LEAST_BEATS * beat:
        return fail("zombies", f"{found}: healthy runs are marked as crashed", remedy)
    if window < ENOUGH_BEATS * beat:
        return warn("zombies", f"{found}: two lost signs would end a healthy run", remedy)
    return ok("zombies", found)
