"""A version of a recording's results beside the one there is: what has not changed is taken over."""

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
from tasks.progress import audience
from tasks.recording_folder import read_record, write_record


@task(
    task_run_name=runs.sentence("keep what has not changed of {recording}"),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.worth_retrying,
)
def take_over(
    folder: str, recording: str, out: str, config: ProcessConfig, model: str | None = None
) -> State[str]:
    """Put into a version's folder all that is there already under its key; the record begins with it."""
    interrupts.obey()
    plan, target = plan_of(recording, out, config, model=model), as_path(folder)
    if plan.folder == target:
        target.mkdir(parents=True, exist_ok=True)
        for name, path in plan.held.items():
            store.share(path, target / stages.STAGES[name].output)
        _begin_record(plan, as_path(out) / recording, config)
    kept = ", ".join(plan.held) or "nothing"
    return Completed(data=folder, message=f"{kept} taken over; to be made: {', '.join(plan.made)}")


def bring_in(folder: str, recording: str, out: str, config: ProcessConfig) -> str:
    """The store of a version's recording: the one taken over, or its files taken in again.

    Raises:
        InputError: a file is not what it was.
    """
    target = as_path(folder) / stages.STAGES["ingest"].output
    if store.read_receipt(target) is not None:
        audience().end("ingest", None)
        return str(target)
    files = files_of(recording, out)
    made = as_path(out) / recording
    then = store.read_receipt(made / target.name)
    refuse_others(files, then.sources if then else (), made=made)
    return ingest([str(file) for file in files], folder, config).result()


def refuse_others(files: Sequence[Path], then: Sequence[Source], *, made: Path) -> None:
    """Stop if files are not those that a recording was made from.

    Raises:
        InputError: one has other content.
    """
    for path, source, before in zip(files, stages.sources_of(files), then, strict=True):
        if source.sha256 != before.sha256:
            raise InputError(
                f"{path} is not the file that {made} was made from (sha256 {source.sha256[:12]}…, "
                f"then {before.sha256[:12]}…); bring that one back, or take the new one in with `invae run`"
            )


def _begin_record(plan: versions.Plan, before: Path, config: ProcessConfig) -> None:
    """What `run.json` of a version says before anything is made: where from, under which settings, what was kept."""
    old, known = read_record(before), read_record(plan.folder)
    kept = {
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
            "stages": {**kept, **known.get("stages", {})},
        },
    )
