"""`invae measure`: active measurement at an instrument, or on spectra measured before."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result, progress_console, verbose

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config import ProcessConfig
    from invae.config.search import InstrumentConfig


def measure(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="STORE",
            help="Described recording (its folder or descriptors.zarr), or a file of an instrument, which is ingested and described first.",
        ),
    ],
    config: options.ConfigName = "beps-search",
    instrument: Annotated[
        str,
        typer.Option(
            "--instrument",
            metavar="NAME",
            help="replay (spectra measured before), simulated, or folder:DIR (requests and answers as files).",
        ),
    ] = "replay",
    out: options.Out = Path("results"),
    changes: options.Changes = None,
    batch: Annotated[
        int,
        typer.Option(
            "--batch", min=1, metavar="N", help="Sites measured before the next proposal."
        ),
    ] = 1,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            metavar="DIR",
            help="Model trained on pairs of other specimens; it becomes the surrogate (transfer).",
            show_default=False,
        ),
    ] = None,
    ask: Annotated[
        int,
        typer.Option(
            "--ask",
            min=0,
            metavar="N",
            help="Pause after every N measurements until someone answers in the Prefect UI; 0: never.",
        ),
    ] = 0,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=0.1,
            metavar="S",
            help="Longest wait for an answer of the instrument or of a person [s].",
        ),
    ] = 600.0,
    name: options.Name = None,
) -> None:
    """Propose sites, measure them and learn from them, until the budget is used or no gain is expected.

    The ledger in the folder of the search records every measurement. The same command continues an interrupted search, and measures
    nothing twice.

    For example:

      invae measure BEPS.h5 --config beps-search --instrument replay

      invae measure results/scan --instrument folder:/mnt/microscope --set search.budget=120

      invae measure results/assembly --instrument simulated --model results/others/model

      invae measure scan.h5 --set search.target=offset --set search.acquisition=variance
    """
    from invae.config.search import InstrumentConfig

    console = progress_console()
    more = ["search.surrogate=transfer"] if model and not _names_surrogate(changes) else []
    settings = options.settings(
        config, changes=[*(changes or []), *more], device=None, workers=None
    )
    patches = _described(source, out, settings, name=name, console=console)
    at = InstrumentConfig(
        name=_absolute(instrument),
        batch=batch,
        timeout=timeout,
        ask_every=ask,
        ask_timeout=timeout,
        model=None if model is None else str(_model_in(model).absolute()),
    )
    print_result(_measured(patches, settings, at, console=console))


def _names_surrogate(changes: list[str] | None) -> bool:
    return any(change.partition("=")[0].strip().endswith("surrogate") for change in changes or [])


def _absolute(instrument: str) -> str:
    """The instrument with the absolute path of its folder: a run may have another working directory."""
    kind, colon, rest = instrument.partition(":")
    return f"{kind}:{Path(rest).absolute()}" if colon and rest else instrument


def _model_in(path: Path) -> Path:
    """The folder of the model: the given one, or that in the folder of a run."""
    from invae.stages import stages

    inside = path / stages.STAGES["train"].output
    return inside if inside.is_dir() else path


def _described(
    source: Path, out: Path, config: "ProcessConfig", *, name: str | None, console: "Console"
) -> Path:
    """The store of candidates; a file of an instrument is ingested and described first."""
    from flows.cli.commands import execute
    from invae.stages import stages
    from invae.storage import store

    output = stages.STAGES["describe"].output
    if (source / output).is_dir():
        return (source / output).absolute()
    receipt = store.read_receipt(source) if source.is_dir() else None
    if receipt is not None and receipt.stage == "describe":
        return source.absolute()
    folder = stages.folder_of([source], out, name)
    execute.run_ingest([source], folder, config, console=console)
    return execute.run_stage("describe", folder, config, console=console).absolute()


def _measured(
    patches: Path, config: "ProcessConfig", at: "InstrumentConfig", *, console: "Console"
) -> Path:
    """Run the flow until the search ends, and print the verdict; returns the page."""
    import time

    from flows.cli.commands.execute import with_server
    from flows.cli.console import progress_display
    from invae.storage import store
    from invae.verdict.findings import verdict_in

    folder = patches.parent / "search"
    page = folder / "report" / "index.html"

    def flow() -> None:
        from flows.measure import measure

        measure(str(patches), str(folder), config, at)

    with progress_display(console) as listener:
        began = time.monotonic()
        listener.begin("measure")
        with_server(flow, page.exists, listener, console=console, verbose=verbose())
        listener.end("measure", time.monotonic() - began)
    found = verdict_in(store.attributes_of(folder / "search.zarr"))
    for line in [] if found is None else found.lines():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return page


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(measure)
