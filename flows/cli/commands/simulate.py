"""`invae simulate`: data with known answers."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from flows.cli.commands import options
from flows.cli.terminal import answer, progress_console

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config import Config
    from invae.config.synthetic import DomainsConfig
    from invae.progress import Progress
    from invae.storage.provenance import Receipt

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="STORE|URL", help="The store to make; a folder, or s3://bucket/name."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Everything random follows from it.")]

simulations = typer.Typer(
    no_args_is_help=True, help="Make a recording with known answers, stored beside the data."
)


@simulations.callback()
def simulate() -> None:
    """Make a recording with known answers, stored beside the data."""


@simulations.command()
def domains(
    out: Out,
    seed: Seed = 0,
    changes: options.Changes = None,
) -> None:
    """A PFM series of switching ferroelectric domains: walls, drift, pins and what the field does are known.

    For example:

      invae simulate domains --out domains.zarr --seed 1 --set n_frames=20 --set probe.snr=5
    """
    from invae.config import named
    from invae.config.synthetic import DomainsConfig

    values = named.changed({}, changes or [])
    config = named.checked(DomainsConfig, values, prefix="domains")
    answer(simulate_domains(out, config, seed=seed, console=progress_console()))


@simulations.command()
def cards(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """The four suits of cards, sheared, turned and shifted: suit, angle, shear and shift are known.

    For example:

      invae simulate cards --out cards.zarr --seed 1 --set n_per_suit=500 --set angle=180 --set noise=0.3

      invae run cards.zarr --config cards-jrvae --out results
    """
    from invae.config.synthetic import CardsConfig
    from invae.synthetic import cards as scene

    _answer_scene("cards", CardsConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def shifts(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """Spectra of one peak each: its position and width are known.

    For example:

      invae simulate shifts --out shifts.zarr --set n_signals=1000 --set noise=[0.01,0.05]

      invae run shifts.zarr --config shifts-tvae --out results
    """
    from invae.config.synthetic import ShiftsConfig
    from invae.synthetic import shifts as scene

    _answer_scene("shifts", ShiftsConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def digits(
    out: Out,
    images: Annotated[
        Path,
        typer.Option("--from", metavar="FILE", help="MNIST's …-images-idx3-ubyte, .gz or not."),
    ],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="The …-labels-idx1-ubyte beside it."),
    ] = None,
    seed: Seed = 0,
    changes: options.Changes = None,
) -> None:
    """Digits of an MNIST file, turned and shifted: angle and shift are known, and the digit with --labels.

    For example:

      invae simulate digits --from t10k-images-idx3-ubyte.gz --labels t10k-labels-idx1-ubyte.gz --out digits.zarr

      invae simulate digits --from t10k-images-idx3-ubyte.gz --out digits.zarr --set size=50 --set shift=0.2
    """
    from invae.config import named
    from invae.config.synthetic import DigitsConfig
    from invae.storage.location import as_path
    from invae.synthetic.digits import make_receipt
    from invae.synthetic.digits import simulate as make

    values = named.changed({}, changes or [])
    settings = named.checked(DigitsConfig, values, prefix="digits")
    out, files = as_path(out), {"images": images, "labels": labels}
    key = make_receipt(out, config=settings, seed=seed, **files).key
    write = partial(make, out, config=settings, seed=seed, **files)
    answer(_simulated(out, key, write, console=progress_console()))


@simulations.command()
def graphene(
    out: Out,
    movie: Annotated[
        bool, typer.Option("--movie", help="HAADF frames under the beam instead of a 4D-STEM scan.")
    ] = False,
    seed: Seed = 0,
    changes: options.Changes = None,
) -> None:
    """Graphene, perfect, with a vacancy or with silicon: a 4D-STEM scan, or a HAADF movie; every atom is known.

    For example:

      invae simulate graphene --out graphene.zarr --seed 1 --set structure=silicon --set dose=10000

      invae simulate graphene --out partners.zarr --set structure=perfect --set places=partners --set n_scan_x=6

      invae simulate graphene --movie --out movie.zarr --set imaging.n_frames=20 --set hop=0.5
    """
    from invae.config.scenes import GrapheneConfig, GrapheneMovieConfig
    from invae.synthetic import graphene as scan
    from invae.synthetic import graphene_movie

    if movie:
        _answer_scene(
            "graphene", GrapheneMovieConfig, graphene_movie, out, seed=seed, changes=changes
        )
    else:
        _answer_scene("graphene", GrapheneConfig, scan, out, seed=seed, changes=changes)


@simulations.command()
def atoms(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """HAADF frames of a lattice with vacancies, foreign atoms and disorder: every atom is known.

    For example:

      invae simulate atoms --out atoms.zarr --seed 1 --set imaging.dose=10 --set doped=0.02

      invae simulate atoms --out mos2.zarr --set lattice=honeycomb --set elements=[Mo,S2] --set spacing=0.183 --set dopant=V
    """
    from invae.config.scenes import AtomFramesConfig
    from invae.synthetic import atoms as scene

    _answer_scene("atoms", AtomFramesConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def lattice(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """HAADF frames of a perovskite with a ferroelectric wall: how far every atom is displaced is known.

    For example:

      invae simulate lattice --out lattice.zarr --seed 1 --set wall_width=1 --set wall_angle=60
    """
    from invae.config.scenes import LatticeConfig
    from invae.synthetic import lattice as scene

    _answer_scene("lattice", LatticeConfig, scene, out, seed=seed, changes=changes)


def simulate_domains(out: Path, config: "DomainsConfig", *, seed: int, console: "Console") -> Path:
    """The store of a simulated series; it is kept if it is there already.

    Raises:
        StoreError: if something else is in its place.
    """
    from invae.storage.location import as_path
    from invae.synthetic.domains import make_receipt
    from invae.synthetic.domains import simulate as make

    out = as_path(out)
    key = make_receipt(out, config=config, seed=seed).key
    write = partial(make, out, config=config, seed=seed)
    return _simulated(out, key, write, console=console)


class _Scene(Protocol):
    """A room of `invae.synthetic` that makes one set from settings of one kind."""

    def simulate(self, target: Path, *, config: Any, seed: int, progress: "Progress" = ...) -> None:
        """Write the set."""
        ...

    def make_receipt(self, target: Path, *, config: Any, seed: int) -> "Receipt":
        """What the set will be made from."""
        ...


def _answer_scene(
    name: str,
    schema: type["Config"],
    scene: _Scene,
    out: Path,
    *,
    seed: int,
    changes: list[str] | None,
) -> None:
    """Make a set from changed settings, and say where it is."""
    from invae.config import named
    from invae.storage.location import as_path

    out = as_path(out)
    settings = named.checked(schema, named.changed({}, changes or []), prefix=name)
    key = scene.make_receipt(out, config=settings, seed=seed).key
    write = partial(scene.simulate, out, config=settings, seed=seed)
    answer(_simulated(out, key, write, console=progress_console()))


class _Write(Protocol):
    """Makes a store."""

    def __call__(self, *, progress: "Progress") -> None: ...


def _simulated(out: Path, key: str, write: _Write, *, console: "Console") -> Path:
    """The store made under a key, with a bar that says how far it is."""
    from flows.cli.commands.execute import is_up_to_date
    from flows.cli.console import shown

    with shown(console) as listener:
        if is_up_to_date(out, key):
            listener.end("simulate", None)
            return out
        began = time.monotonic()
        listener.begin("simulate")
        write(progress=lambda done, total: listener.advance("simulate", done, total, ""))
        listener.end("simulate", time.monotonic() - began)
    return out


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.add_typer(simulations, name="simulate")
