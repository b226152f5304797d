"""All stores of a recording → result.zarr."""

from pathlib import Path

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.config.model_kinds import model_kind_of
from invae.storage.location import as_path
from tasks import artifacts, runs
from tasks.kept import keep_replaced


@task(
    task_run_name=runs.run_name(runs.RUN_NAMES["analyse"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def analyse(
    recording: str, patches: str, model: str, embedding: str, config: ProcessConfig
) -> State[str]:
    """Write clusters, manifold, maps and switching descriptors as one labelled result."""
    job = runs.job_of("analyse", recording, config)
    if job.is_done:
        return job.unchanged()
    keep_replaced(job)
    from invae.training.device import one_thread

    write_result = model_kind_of(config.model).function("analyse")
    with one_thread():
        write_result(
            as_path(recording).absolute(),
            as_path(patches).absolute(),
            as_path(model).absolute(),
            as_path(embedding).absolute(),
            job.target,
            config=config.analyse,
            seed=config.seed,
            receipt=job.receipt,
            compute=config.compute,
            progress=job.progress(),
        )
    show_summary(job.target)
    return job.finished()


def show_summary(result: Path) -> None:
    """Show the scalar numbers of a result as a table in the UI."""
    from invae.storage.store import open_store

    summary = open_store(result, group="summary")
    rows = [
        {
            "quantity": variable.attrs.get("long_name", name),
            "value": _rounded(variable.item()),
            "units": variable.attrs.get("units", ""),
        }
        for name, variable in summary.data_vars.items()
        if variable.ndim == 0
    ]
    artifacts.show_table(
        artifacts.key_of(result.parent.name, "summary"),
        rows,
        description=f"Summary of {result.parent.name}",
    )


def _rounded(value: float | int | str) -> float | int | str:
    """A number with five significant digits; other values unchanged."""
    return float(f"{value:.5g}") if isinstance(value, float) else value
