"""result.zarr → report/."""

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.storage.location import as_path
from tasks import artifacts, runs
from tasks.kept import keep_replaced

MAPS = "latent-variables"
"""Section of the report whose figures are also shown one by one: the latent maps."""
MOST_BYTES = 4_000_000
"""Size of all pictures in the report that the UI shows; the page on disk has all of them."""


@task(
    task_run_name=runs.run_name(runs.RUN_NAMES["report"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def report(result: str, config: ProcessConfig) -> State[str]:
    """Write a page with all figures in it, and the figures as files; the UI shows the page and the latent maps."""
    job = runs.job_of("report", result, config)
    if job.is_done:
        return job.unchanged()
    keep_replaced(job)
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


class _Page(HTMLParser):
    """The headline and the figures of a report's page."""

    def __init__(self, report: Path) -> None:
        """Read the page of a report."""
        super().__init__()
        self.headline = ""
        self.figures: list[tuple[str, str, str]] = []
        """Section, name and title."""
        self._section, self._figure, self._words = "", "", list[str]()
        self.feed((report / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember where a heading stands."""
        name = dict(attrs).get("id") or ""
        if tag == "section":
            self._section = name
        elif tag == "figure":
            self._figure = name
        elif tag in ("h3", "p"):
            self._words = []

    def handle_data(self, data: str) -> None:
        """Collect the words of a heading."""
        self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Keep a title, and the first paragraph, which is the headline."""
        words = " ".join("".join(self._words).split())
        if tag == "h3" and self._figure:
            self.figures.append((self._section, self._figure, words))
            self._figure = ""
        elif tag == "p" and not self.headline:
            self.headline = words


def figures_of(report: Path) -> Iterator[Figure]:
    """The figures of a page, in order, that also exist as PNG files."""
    for section, name, title in _Page(report).figures:
        path = report / "figures" / f"{name}.png"
        if path.is_file():
            yield Figure(section, title, path)


def as_markdown(report: Path, figures: list[Figure]) -> str:
    """The report for the UI: its summary, its pictures up to `MOST_BYTES`, and the path of the whole page."""
    page = report / "index.html"
    headline = _Page(report).headline
    parts = [f"# {artifacts.one_line_escaped(report.parent.name)}"]
    if headline:
        parts.append(artifacts.one_line_escaped(headline))
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
