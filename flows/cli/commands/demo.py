"""`invae demo`: all stages on a simulated series, with scores against the ground truth."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result, progress_console, verbose

if TYPE_CHECKING:
    from rich.console import Console

SERIES = ("rows=128", "columns=128", "n_frames=24")
"""Settings of the simulated series, which takes about a minute on two cores."""

CONFIG = "demo"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Output folder.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated series.")] = 0,
    changes: options.Changes = None,
    device: options.Device = None,
) -> None:
    """Simulate switching domains, run all stages and score the result against the ground truth.

    For example:

      invae demo --out demo
    """
    from flows.cli.commands.execute import run_all
    from flows.cli.commands.simulate import simulate_domains
    from invae.config.named import changed, checked
    from invae.config.synthetic import DomainsConfig

    start, console = time.monotonic(), progress_console()
    settings = options.settings(CONFIG, changes=changes, device=device, workers=None)
    series = checked(DomainsConfig, changed({}, SERIES), prefix="domains")
    recording = simulate_domains(out / f"domains_{seed}.zarr", series, seed=seed, console=console)
    page = run_all([recording], out, settings, name=None, console=console, verbose=verbose())
    _show_scores(recording, page.parents[1], console)
    _show_times(page.parents[1], console, seconds=time.monotonic() - start)
    print_result(page)


def _show_scores(recording: Path, folder: Path, console: "Console") -> None:
    """Print the scores against the ground truth in the recording."""
    from rich.markup import escape
    from rich.table import Table

    from invae.analysis.domains.scores import scoreboard

    table = Table("score", "value", "required", title_justify="left")
    for score in scoreboard(folder, recording):
        table.add_row(escape(score.name), f"{score.value:.3g}", escape(score.wanted))
    console.print(table)


def _show_times(folder: Path, console: "Console", *, seconds: float) -> None:
    """Print the time of the last run of every stage, and the machine."""
    from rich.table import Table

    from tasks.devices import machine
    from tasks.recording_folder import read_record

    table = Table("stage", "seconds")
    for stage, record in read_record(folder)["stages"].items():
        table.add_row(stage, f"{record['seconds']:.1f}")
    table.add_row("this command", f"{seconds:.1f}")
    console.print(table)
    console.print(machine(), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)
