"""recording.zarr → descriptors.zarr."""

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.storage import store
from invae.storage.location import as_path
from tasks import runs
from tasks.kept import keep_replaced


@task(
    task_run_name=runs.run_name(runs.RUN_NAMES["describe"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def describe(recording: str, config: ProcessConfig) -> State[str]:
    """Extract patches and descriptors from every frame, block by block; blocks that exist are skipped."""
    job = runs.job_of("describe", recording, config)
    if job.is_done:
        return job.unchanged()
    keep_replaced(job)
    from invae.descriptors.describe import describe as extract
    from invae.readers.content import refuse_other_kind

    source = as_path(recording).absolute()
    refuse_other_kind(store.open_store(source), config, name=source.parent.name)
    extract(
        source,
        job.target,
        config=config.describe,
        receipt=job.receipt,
        compute=config.compute,
        progress=job.progress(),
    )
    return job.finished()
