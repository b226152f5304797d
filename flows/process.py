"""All stages for one recording."""

from prefect import flow

from invae.config.named import NamedConfig
from tasks import runs
from tasks.analyse import analyse
from tasks.describe import describe
from tasks.embed import embed
from tasks.failures import record_failure
from tasks.ingest import ingest
from tasks.recording_folder import exclusive
from tasks.report import report
from tasks.summary import show_recording
from tasks.train import train
from tasks.use_model import use_model


@flow(flow_run_name=runs.process_run_name, on_failure=[record_failure])
def process(
    sources: list[str],
    out: str,
    config: NamedConfig,
    name: str | None = None,
    model: str | None = None,
    inside: str | None = None,
) -> str:
    """Process one recording from the instrument's files to its report.

    A stage with the same files, settings and code is not run again; an interrupted run continues.

    Args:
        sources: files of one recording, or of one series in order.
        out: output folder; the recording gets a folder in it.
        config: settings of all stages; `NAME@VERSION` of a named configuration, or all values.
        name: name of the recording; from the files when empty.
        model: a trained model to use instead of training one.
        inside: folder that no link among the files may leave; the watched one in runs that watching starts.
    """
    folder = runs.folder_of(sources, out, name)
    with exclusive(folder):
        recording = ingest(sources, folder, config, inside).result()
        patches = describe(recording, config).result()
        trained = (use_model(patches, model) if model else train(patches, config)).result()
        embedding = embed(patches, trained, config).result()
        result = analyse(recording, patches, trained, embedding, config).result()
        page = report(result, config).result()
    show_recording(folder)
    return page
