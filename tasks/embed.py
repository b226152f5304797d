"""descriptors.zarr and model/ → embedding.zarr."""

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.places import place
from tasks import runs
from tasks.devices import one_thread


@task(
    task_run_name=runs.sentence("encode every site of {recording}"),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.worth_retrying,
)
def embed(patches: str, model: str, config: ProcessConfig) -> State[str]:
    """Latents of every site, held-out ones marked; block by block, skipping those already there."""
    job = runs.job_of("embed", patches, config)
    if job.is_done:
        return job.unchanged()
    from invae.embed import embed as encode

    with one_thread():
        encode(
            place(patches).absolute(),
            place(model).absolute(),
            job.target,
            config=config.embed,
            receipt=job.receipt,
            compute=config.compute,
            progress=job.progress(),
        )
    return job.finished()
