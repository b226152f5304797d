"""recording.zarr → descriptors.zarr."""

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.storage.location import as_path
from tasks import runs


@task(
    task_run_name=runs.sentence(runs.SENTENCES["describe"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.worth_retrying,
)
def describe(recording: str, config: ProcessConfig) -> State[str]:
    """Reduce every frame to patches and what is found beside them; block by block, skipping those already there."""
    job = runs.job_of("describe", recording, config)
    if job.is_done:
        return job.unchanged()
    from invae.descriptors.describe import describe as extract

    extract(
        as_path(recording).absolute(),
        job.target,
        config=config.describe,
        receipt=job.receipt,
        compute=config.compute,
        progress=job.progress(),
    )
    return job.finished()
