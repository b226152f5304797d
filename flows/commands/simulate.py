"""`invae simulate`: data with known answers."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands import options
from flows.terminal import answer, progress_console

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config.synthetic import DomainsConfig

simulations = typer.Typer(
    no_args_is_help=True, help="Make a recording with known answers, stored beside the data."
)


@simulations.callback()
def simulate() -> None:
    """Make a recording with known answers, stored beside the data."""


@simulations.command()
def domains(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="STORE", help="The store to make.")],
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    changes: options.Changes = None,
) -> None:
    """A PFM series of switching ferroelectric domains: walls, drift, pins and what the field does are known.

    For example:

      invae simulate domains --out domains.zarr --seed 1 --set n_frames=20 --set probe.snr=5
    """
    from flows import configurations
    from invae.config.synthetic import DomainsConfig

    values = configurations.changed({}, changes or [])
    config = configurations.checked(DomainsConfig, values, prefix="domains")
    answer(simulate_domains(out, config, seed=seed, console=progress_console()))


def simulate_domains(out: Path, config: "DomainsConfig", *, seed: int, console: "Console") -> Path:
    """The store of a simulated series; it is kept if it is there already.

    Raises:
        StoreError: if something else is in its place.
    """
    from flows.commands.running import is_up_to_date
    from flows.console import shown
    from invae.synthetic.domains import make_receipt
    from invae.synthetic.domains import simulate as make

    with shown(console) as audience:
        if is_up_to_date(out, make_receipt(out, config=config, seed=seed).key):
            audience.end("simulate", None)
            return out
        began = time.monotonic()
        audience.begin("simulate")
        make(
            out,
            config=config,
            seed=seed,
            progress=lambda done, total: audience.move("simulate", done, total, ""),
        )
        audience.end("simulate", time.monotonic() - began)
    return out


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.add_typer(simulations, name="simulate")
