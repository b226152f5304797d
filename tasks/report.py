"""result.zarr → report/."""

from pathlib import Path

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.places import place
from tasks import artifacts, runs

MOST_PICTURES = 12
"""So many figures are shown in the UI; the report has all of them."""


@task(
    task_run_name=runs.sentence("write the report on {recording}"),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.worth_retrying,
)
def report(result: str, config: ProcessConfig) -> State[str]:
    """One page with all figures inside it, and the figures as files; the figures also go to the UI."""
    job = runs.job_of("report", result, config)
    if job.is_done:
        return job.unchanged()
    from invae.report import report as write

    write(
        place(result).absolute(),
        job.target,
        config=config.report,
        receipt=job.receipt,
        compute=config.compute,
        progress=job.progress(),
    )
    show_figures(job.target)
    return job.finished()


def show_figures(report: Path) -> None:
    """The report's figures as pictures in the UI, and the place of the page."""
    recording = report.parent.name
    figures = sorted(path for path in (report / "figures").glob("*") if path.suffix == ".png")
    for path in figures[:MOST_PICTURES]:
        artifacts.show_picture(
            artifacts.key_of(recording, path.stem),
            path,
            description=f"{recording}: {path.stem.replace('_', ' ')}",
        )
    artifacts.show_markdown(
        artifacts.key_of(recording, "report"),
        f"The report on **{recording}** is at `{report / 'index.html'}`.",
        description=f"Report on {recording}",
    )
