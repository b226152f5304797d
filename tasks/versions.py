"""A version of a recording's results: outputs that have not changed are linked from other versions."""

from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from invae.config import ProcessConfig
from invae.errors import InputError
from invae.stages import stages, versions
from invae.storage import provenance, store
from invae.storage.location import as_path
from invae.storage.provenance import Source
from tasks import interrupts, runs
from tasks.ingest import ingest
from tasks.plans import files_of, plan_of
from tasks.progress import listener
from tasks.recording_folder import read_record, write_record


@task(
    task_run_name=runs.run_name("reuse unchanged outputs of {recording}"),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def reuse(
    folder: str, recording: str, out: str, config: ProcessConfig, model: str | None = None
) -> State[str]:
    """Link the outputs that exist under the version's keys into its folder, and begin its record with them."""
    interrupts.raise_if_interrupted()
    plan, target = plan_of(recording, out, config, model=model), as_path(folder)
    if plan.folder == target:
        target.mkdir(parents=True, exist_ok=True)
        for name, path in plan.held.items():
            store.share(path, target / stages.STAGES[name].output)
        _begin_record(plan, as_path(out) / recording, config)
    reused = ", ".join(plan.held) or "nothing"
    return Completed(data=folder, message=f"reused: {reused}; to be made: {', '.join(plan.made)}")


def ingest_version(folder: str, recording: str, out: str, config: ProcessConfig) -> str:
    """The recording.zarr of a version: the reused one, or a new one from its files.

    Raises:
        InputError: if a file has changed.
    """
    target = as_path(folder) / stages.STAGES["ingest"].output
    if store.read_receipt(target) is not None:
        listener().end("ingest", None)
        return str(target)
    files = files_of(recording, out)
    original = as_path(out) / recording
    receipt = store.read_receipt(original / target.name)
    require_same_files(files, receipt.sources if receipt else (), original=original)
    return ingest([str(file) for file in files], folder, config).result()


def require_same_files(files: Sequence[Path], sources: Sequence[Source], *, original: Path) -> None:
    """Check that files are those that a recording was made from.

    Raises:
        InputError: if the content of one differs.
    """
    for path, now, before in zip(files, stages.sources_of(files), sources, strict=True):
        if now.sha256 != before.sha256:
            raise InputError(
                f"{path} is not the file that {original} was made from (sha256 {now.sha256[:12]}… "
                f"instead of {before.sha256[:12]}…); restore that file, or process the new one with `invae run`"
            )


def _begin_record(plan: versions.Plan, before: Path, config: ProcessConfig) -> None:
    """Write a version's `run.json` before any stage: its sources, its settings, and the entries of reused stages."""
    old, current = read_record(before), read_record(plan.folder)
    reused = {
        name: line
        for name, path in plan.held.items()
        if (line := read_record(path.parent).get("stages", {}).get(name))
    }
    write_record(
        plan.folder,
        {
            "recording": plan.recording,
            **{name: old[name] for name in ("sources", "source_sha256", "paths") if name in old},
            "config": config.model_dump(mode="json"),
            "config_hash": stages.config_hash(config),
            "versions": provenance.versions(),
            "stages": {**reused, **current.get("stages", {})},
        },
    )
