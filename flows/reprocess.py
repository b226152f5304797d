"""All stages for many recordings with one configuration."""

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
    """Reprocess ingested recordings with another configuration, one after the other.

    Only affected stages run; they write a new version next to the existing one. A recording that fails does not stop
    the others, but the run ends as failed.

    Args:
        recordings: names of the recordings.
        out: output folder of the recordings.
        config: settings of all stages.
        model: a trained model to use for all recordings instead of training one for each.
    """
    return [remake(name, out, config, model, return_state=True) for name in recordings]


@task(task_run_name="reprocess {recording} with {config.name}@{config.version}")
def remake(recording: str, out: str, config: ProcessConfig, model: str | None = None) -> str:
    """Write a new version of one recording; returns its folder, or the existing one if nothing has changed."""
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
