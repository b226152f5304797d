"""The runs of recordings on the Prefect server: one for each content and output folder.

The server decides. A run has an idempotency key, so that a second watcher, a lost ledger or a renamed copy finds the
existing run. A run that failed because of the machine continues as the same run, never as another one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry, Scheduled

from invae.config import ProcessConfig
from invae.errors import ServerError
from tasks.artifacts import one_line_escaped
from tasks.failures import Failure, read_failure

FLOW = "process"
PAGE = 100
"""Runs per request; the server returns at most 200."""


def key_of(digest: str, out: Path) -> str:
    """The idempotency key of the run of a content in an output folder."""
    return hashlib.sha256(f"{digest} {out.resolve()}".encode()).hexdigest()


class Runs:
    """The runs of one configuration in one output folder, of recordings that lie inside a watched folder."""

    def __init__(self, config: ProcessConfig, out: Path, *, inside: Path) -> None:
        self._config, self._out, self._inside = config, out, inside
        self._deployment: UUID | None = None

    def parameters(self, sources: Sequence[str], name: str) -> dict[str, Any]:
        """The parameters of a run of `process`."""
        config = self._config.model_dump(mode="json")
        return {
            "sources": list(sources),
            "out": str(self._out.resolve()),
            "config": config,
            "name": name,
            "inside": str(self._inside.resolve()),
        }

    def find(self, digest: str) -> FlowRun | None:
        """The run of a content; None if it has none."""
        tagged = FlowRunFilter(tags=FlowRunFilterTags(all_=[self._tag(digest)]))
        with get_client(sync_client=True) as client:
            latest = client.read_flow_runs(
                flow_run_filter=tagged, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1
            )
        return latest[0] if latest else None

    def submit(self, digest: str, *, sources: Sequence[Path], name: str) -> FlowRun:
        """The run of a content: the existing one, or a new one.

        Raises:
            ServerError: if the server has no deployment for this configuration.
        """
        with get_client(sync_client=True) as client:
            return client.create_flow_run_from_deployment(
                self._deployment_id(client),
                parameters=self.parameters([str(path) for path in sources], name),
                state=Scheduled(),
                name=f"{FLOW} {name}",
                tags=[self._tag(digest)],
                idempotency_key=key_of(digest, self._out),
            )

    def _tag(self, digest: str) -> str:
        return f"recording:{key_of(digest, self._out)[:16]}"

    def _deployment_id(self, client: SyncPrefectClient) -> UUID:
        if self._deployment is None:
            name = f"{FLOW}/{self._config.name}"
            try:
                self._deployment = client.read_deployment_by_name(name).id
            except ObjectNotFound as error:
                raise ServerError(
                    f"the Prefect server has no deployment {name}; deploy it, or unset PREFECT_API_URL"
                ) from error
        return self._deployment


def read(ids: Sequence[str]) -> Mapping[str, FlowRun]:
    """Runs by their ids; unknown ids are left out."""
    runs: dict[str, FlowRun] = {}
    with get_client(sync_client=True) as client:
        for start in range(0, len(ids), PAGE):
            page = [UUID(run) for run in ids[start : start + PAGE]]
            chosen = FlowRunFilter(id=FlowRunFilterId(any_=page))
            runs |= {str(run.id): run for run in client.read_flow_runs(flow_run_filter=chosen)}
    return runs


def failure(run: FlowRun) -> Failure:
    """Why a run failed; without a stored reason it was stopped from outside, or before it began."""
    with get_client(sync_client=True) as client:
        stored = read_failure(client, run.id) if run.state and run.state.is_failed() else None
    message = (run.state.message if run.state else None) or "the run ended without a message"
    return stored or Failure("machine", " ".join(message.split()), "")


def reschedule(
    run: UUID, *, why: str, seconds: float = 0, parameters: dict[str, Any] | None = None
) -> None:
    """Continue the same run after some seconds; finished stages are not repeated.

    Args:
        run: its id.
        why: shown in the UI.
        seconds: to wait [s].
        parameters: new parameters; unchanged if None.
    """
    when = datetime.now(UTC) + timedelta(seconds=seconds)
    with get_client(sync_client=True) as client:
        if parameters is not None:
            client.update_flow_run(run, parameters=parameters)
        state = AwaitingRetry(scheduled_time=when, message=why)
        client.set_flow_run_state(run, state, force=True)


def update_parameters(run: UUID, parameters: dict[str, Any]) -> None:
    """Replace the parameters of a run that has not ended, after its files were renamed."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(run, parameters=parameters)


def show_table(key: str, rows: Sequence[Mapping[str, str]], *, description: str) -> None:
    """Create a table among the artifacts of the UI."""
    table = json.dumps(
        [{name: one_line_escaped(text) for name, text in row.items()} for row in rows]
    )
    artifact = ArtifactCreate(key=key, type="table", data=table, description=description)
    with get_client(sync_client=True) as client:
        client.create_artifact(artifact)
