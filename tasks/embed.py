"""descriptors.zarr and model/ → embedding.zarr."""

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.config.model_kinds import model_kind_of
from invae.storage.location import as_path
from tasks import gpu_slot, runs
from tasks.kept import keep_replaced


@task(
    task_run_name=runs.run_name(runs.RUN_NAMES["embed"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def embed(patches: str, model: str, config: ProcessConfig) -> State[str]:
    """Infer the latent variables of every site, block by block; blocks that exist are skipped."""
    requested = runs.job_of("embed", patches, config)
    if requested.is_done:
        return requested.unchanged()
    keep_replaced(requested)
    from invae.training.device import one_thread

    encode = model_kind_of(config.model).function("embed")
    with gpu_slot.with_batch_that_fits(requested, section="embed") as job, one_thread():
        encode(
            as_path(patches).absolute(),
            as_path(model).absolute(),
            job.target,
            config=job.config.embed,
            receipt=job.receipt,
            compute=job.config.compute,
            progress=job.progress(),
        )
    return job.finished()
