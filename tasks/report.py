"""result.zarr → report/."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.storage.location import as_path
from tasks import artifacts, runs

MAPS = "what-the-model-sees"
"""Section of the report whose figures are also shown one by one: the latent maps."""
MOST_BYTES = 4_000_000
"""Size of all pictures in the report that the UI shows; the page on disk has all of them."""


@task(
    task_run_name=runs.run_name(runs.RUN_NAMES["report"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
def report(result: str, config: ProcessConfig) -> State[str]:
    """Write a page with all figures in it, and the figures as files; the UI shows the page and the latent maps."""
    job = runs.job_of("report", result, config)
    if job.is_done:
        return job.unchanged()
    from invae.report import report as write

    write(
        as_path(result).absolute(),
        job.target,
        config=config.report,
        receipt=job.receipt,
        compute=config.compute,
        progress=job.progress(),
    )
    show_report(job.target)
    return job.finished()


@dataclass(frozen=True)
class Figure:
    """A figure of the page."""

    section: str
    title: str
    path: Path


def show_report(report: Path) -> None:
    """Show the report with its pictures in the UI, and every latent map by itself."""
    recording, figures = report.parent.name, list(figures_of(report))
    for figure in figures:
        if figure.section == MAPS:
            artifacts.show_picture(
                artifacts.key_of(recording, figure.path.stem),
                figure.path,
                description=f"{recording}: {figure.title}",
            )
    artifacts.show_markdown(
        artifacts.key_of(recording, "page"),
        as_markdown(report, figures),
        description=f"Report on {recording}",
    )


def figures_of(report: Path) -> Iterator[Figure]:
    """The figures of a page, in order, that also exist as PNG files."""
    text = (report / "index.html").read_text(encoding="utf-8")
    for part in text.split("<section id='")[1:]:
        section = part.partition("'")[0]
        for name, title in _FIGURE.findall(part):
            path = report / "figures" / f"{name}.png"
            if path.is_file():
                yield Figure(section, unescape(title), path)


_FIGURE = re.compile(r"<figure id='([\w-]+)'><h3>(.*?)</h3>", re.S)
_LEAD = re.compile(r"<p class='lead'>(.*?)</p>", re.S)


def as_markdown(report: Path, figures: list[Figure]) -> str:
    """The report for the UI: its summary, its pictures up to `MOST_BYTES`, and the path of the whole page."""
    page = report / "index.html"
    lead = _LEAD.search(page.read_text(encoding="utf-8"))
    parts = [f"# {artifacts.one_line_escaped(report.parent.name)}"]
    if lead:
        parts.append(artifacts.one_line_escaped(unescape(lead[1])))
    parts.append(f"The whole report is at {artifacts.one_line_escaped(str(page.absolute()))}.")
    room = MOST_BYTES
    # latent maps first: they matter most to whoever looks at a run
    for figure in sorted(figures, key=lambda one: one.section != MAPS):
        room -= figure.path.stat().st_size
        if room < 0:
            break
        picture = artifacts.data_uri(figure.path.read_bytes(), kind=artifacts.TYPES[".png"])
        title = artifacts.one_line_escaped(figure.title)
        parts.append(f"## {title}\n\n![{title}]({picture})")
    return "\n\n".join(parts) + "\n"
