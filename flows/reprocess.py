"""Many recordings under one configuration."""

from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.config.named import NamedConfig
from tasks import runs
from tasks.analyse import analyse
from tasks.describe import describe
from tasks.embed import embed
from tasks.plans import plan_of
from tasks.progress import for_recording
from tasks.recording_folder import exclusive
from tasks.report import report
from tasks.train import train
from tasks.use_model import use_model
from tasks.versions import ingest_version, reuse


@flow(flow_run_name=runs.reprocess_run_name)
def reprocess(
    recordings: list[str], out: str, config: NamedConfig, model: str | None = None
) -> list[State[Any]]:
    """Have recordings that were taken in before under another configuration, one after the other.

    Only what the change touches is made; it goes beside the version there is. A recording that fails does not stop
    the others, but the run ends as failed.

    Args:
        recordings: their names.
        out: the folder in which each has its own.
        config: what is done in every stage.
        model: a model that is taken for all of them instead of training one each.
    """
    return [remake(name, out, config, model, return_state=True) for name in recordings]


@task(task_run_name="make {recording} again under {config.name}@{config.version}")
def remake(recording: str, out: str, config: ProcessConfig, model: str | None = None) -> str:
    """Make a version of one recording; the folder of what is there already, if nothing has changed."""
    folder = str(plan_of(recording, out, config, model=model).folder)
    with exclusive(folder), for_recording(recording):
        reuse(folder, recording, out, config, model).result()
        store = ingest_version(folder, recording, out, config)
        patches = describe(store, config).result()
        trained = (use_model(patches, model) if model else train(patches, config)).result()
        embedding = embed(patches, trained, config).result()
        result = analyse(store, patches, trained, embedding, config).result()
        report(result, config).result()
    return folder
