"""Instrument's files → recording.zarr."""

from functools import partial
from pathlib import Path

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from tasks import runs
from tasks.kept import keep_replaced
from tasks.progress import Throughput


@task(
    task_run_name=runs.run_name(runs.RUN_NAMES["ingest"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def ingest(
    sources: list[str],
    folder: str,
    config: ProcessConfig,
    inside: str | None = None,
    any_kind: bool = False,
) -> State[str]:
    """Write the files of one recording into a sharded store; shards that exist are skipped.

    Args:
        sources: files of one recording.
        folder: folder of the recording.
        config: settings of all stages.
        inside: folder that no link among the files may leave.
        any_kind: whether the recording may be of another kind than the configuration.
    """
    job = runs.job_of_sources(sources, folder, config, inside=inside)
    if job.is_done:
        return job.unchanged()
    keep_replaced(job)
    from invae.readers.content import refuse_other_kind
    from invae.readers.ingest import ingest as write_store

    fits = partial(refuse_other_kind, config=config, name=str(job.paths[0]))
    report = job.progress()
    speed = Throughput(sum(source.n_bytes for source in job.receipt.sources))

    def follow(done: int, total: int, /) -> None:
        job.note = speed.describe(done, total)
        report(done, total)

    write_store(
        job.paths,
        job.target,
        config=config.ingest,
        receipt=job.receipt,
        compute=config.compute,
        progress=follow,
        inside=None if inside is None else Path(inside),
        accept=None if any_kind else fits,
    )
    job.refuse_replaced_sources()
    return job.finished()
