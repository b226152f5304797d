"""`invae simulate`: simulated recordings with known ground truth."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_result, progress_console

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config import Config
    from invae.config.synthetic import DomainsConfig
    from invae.progress import Progress
    from invae.storage.provenance import Receipt

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="STORE|URL", help="Store to write; a folder or s3://bucket/name."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]

simulations = typer.Typer(
    no_args_is_help=True, help="Simulate a recording; the ground truth is stored with the data."
)


@simulations.callback()
def simulate() -> None:
    """Simulate a recording; the ground truth is stored with the data."""


@simulations.command()
def domains(
    out: Out,
    seed: Seed = 0,
    changes: options.Changes = None,
) -> None:
    """PFM series of switching ferroelectric domains, with known walls, drift, pinning sites and field.

    For example:

      invae simulate domains --out domains.zarr --seed 1 --set n_frames=20 --set probe.snr=5

      invae simulate domains --out unclean.zarr --set sample.dust=30 --set sample.grain_contrast=0.5 --set probe.line_gain=0.1 --set sample.families='[{angle: 120, needle: 30}]'
    """
    from invae.config import named
    from invae.config.synthetic import DomainsConfig

    values = named.changed({}, changes or [])
    config = named.checked(DomainsConfig, values, prefix="domains")
    print_result(simulate_domains(out, config, seed=seed, console=progress_console()))


@simulations.command()
def cards(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """Card suits, sheared, rotated and shifted, with known suit, angle, shear and shift.

    For example:

      invae simulate cards --out cards.zarr --seed 1 --set n_per_suit=500 --set angle=180 --set noise=0.3

      invae run cards.zarr --config cards-jrvae --out results
    """
    from invae.config.synthetic import CardsConfig
    from invae.synthetic import cards as scene

    _simulate_scene("cards", CardsConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def shifts(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """Spectra with one peak of known position and width.

    For example:

      invae simulate shifts --out shifts.zarr --set n_signals=1000 --set noise=[0.01,0.05]

      invae run shifts.zarr --config shifts-tvae --out results
    """
    from invae.config.synthetic import ShiftsConfig
    from invae.synthetic import shifts as scene

    _simulate_scene("shifts", ShiftsConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def digits(
    out: Out,
    images: Annotated[
        Path,
        typer.Option(
            "--from", metavar="FILE", help="MNIST file …-images-idx3-ubyte, optionally .gz."
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE", help="MNIST file …-labels-idx1-ubyte of the same images."
        ),
    ] = None,
    seed: Seed = 0,
    changes: options.Changes = None,
) -> None:
    """MNIST digits, rotated and shifted, with known angle and shift, and with --labels the digit.

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
    print_result(_write_if_needed(out, key, write, console=progress_console()))


@simulations.command()
def graphene(
    out: Out,
    movie: Annotated[
        bool, typer.Option("--movie", help="Simulate a HAADF movie instead of a 4D-STEM scan.")
    ] = False,
    seed: Seed = 0,
    changes: options.Changes = None,
) -> None:
    """4D-STEM scan or HAADF movie of graphene with a vacancy or a silicon atom; all atoms are known.

    For example:

      invae simulate graphene --out graphene.zarr --seed 1 --set structure=silicon --set dose=10000

      invae simulate graphene --out partners.zarr --set structure=perfect --set places=partners --set n_scan_x=6

      invae simulate graphene --movie --out movie.zarr --set imaging.n_frames=20 --set hop=0.5
    """
    from invae.config.scenes import GrapheneConfig, GrapheneMovieConfig
    from invae.synthetic import graphene as scan
    from invae.synthetic import graphene_movie

    if movie:
        _simulate_scene(
            "graphene", GrapheneMovieConfig, graphene_movie, out, seed=seed, changes=changes
        )
    else:
        _simulate_scene("graphene", GrapheneConfig, scan, out, seed=seed, changes=changes)


@simulations.command()
def atoms(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """HAADF frames of a lattice with vacancies, dopants and disorder; all atoms are known.

    For example:

      invae simulate atoms --out atoms.zarr --seed 1 --set imaging.dose=10 --set doped=0.02

      invae simulate atoms --out mos2.zarr --set lattice=honeycomb --set elements=[Mo,S2] --set spacing=0.183 --set dopant=V
    """
    from invae.config.scenes import AtomFramesConfig
    from invae.synthetic import atoms as scene

    _simulate_scene("atoms", AtomFramesConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def lattice(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """HAADF frames of a perovskite with a ferroelectric domain wall; all displacements are known.

    For example:

      invae simulate lattice --out lattice.zarr --seed 1 --set wall_width=1 --set wall_angle=60
    """
    from invae.config.scenes import LatticeConfig
    from invae.synthetic import lattice as scene

    _simulate_scene("lattice", LatticeConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def polycrystal(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """4D-STEM scan of a polycrystal with separate discs; grains, phases, orientation and strain are known.

    For example:

      invae simulate polycrystal --out grains.zarr --seed 1 --set dose=500 --set n_grains=30

      invae simulate polycrystal --out amorphous.zarr --set phases='[{lattice: square, spacing: 13}, {lattice: amorphous, share: 0.3}]'

      invae run grains.zarr --out results
    """
    from invae.config.polycrystal import PolycrystalConfig
    from invae.synthetic import polycrystal as scene

    _simulate_scene("polycrystal", PolycrystalConfig, scene, out, seed=seed, changes=changes)


@simulations.command()
def plasmons(out: Out, seed: Seed = 0, changes: options.Changes = None) -> None:
    """Images and spectra of plasmonic nanoparticles at the same places; all particles are known.

    For example:

      invae simulate plasmons --out plasmons.zarr --seed 1 --set sample.n_assemblies=16 --set sample.material=two

      invae simulate plasmons --out map.zarr --set sample.n_assemblies=1 --set sample.grid=40

      invae simulate plasmons --out clusters.zarr --set sample.kind=clusters --set sample.n_clusters=2800
    """
    from invae.config.plasmons import PlasmonsConfig
    from invae.synthetic import plasmons as scene

    _simulate_scene("plasmons", PlasmonsConfig, scene, out, seed=seed, changes=changes)


def simulate_domains(out: Path, config: "DomainsConfig", *, seed: int, console: "Console") -> Path:
    """Simulate a PFM series; an up-to-date store is kept.

    Raises:
        StoreError: if the target exists and was not made by invae.
    """
    from invae.storage.location import as_path
    from invae.synthetic.domains import make_receipt
    from invae.synthetic.domains import simulate as make

    out = as_path(out)
    key = make_receipt(out, config=config, seed=seed).key
    write = partial(make, out, config=config, seed=seed)
    return _write_if_needed(out, key, write, console=console)


class _Scene(Protocol):
    """A module of `invae.synthetic` that simulates one kind of data."""

    def simulate(self, target: Path, *, config: Any, seed: int, progress: "Progress" = ...) -> None:
        """Write the store."""
        ...

    def make_receipt(self, target: Path, *, config: Any, seed: int) -> "Receipt":
        """The receipt of the store."""
        ...


def _simulate_scene(
    name: str,
    schema: type["Config"],
    scene: _Scene,
    out: Path,
    *,
    seed: int,
    changes: list[str] | None,
) -> None:
    """Simulate with changed settings and print the path of the store."""
    from invae.config import named
    from invae.storage.location import as_path

    out = as_path(out)
    settings = named.checked(schema, named.changed({}, changes or []), prefix=name)
    key = scene.make_receipt(out, config=settings, seed=seed).key
    write = partial(scene.simulate, out, config=settings, seed=seed)
    print_result(_write_if_needed(out, key, write, console=progress_console()))


class _Write(Protocol):
    """Writes a store."""

    def __call__(self, *, progress: "Progress") -> None: ...


def _write_if_needed(out: Path, key: str, write: _Write, *, console: "Console") -> Path:
    """Write a store and show progress, unless it already has this key."""
    from flows.cli.commands.execute import is_up_to_date
    from flows.cli.console import progress_display

    with progress_display(console) as listener:
        if is_up_to_date(out, key):
            listener.end("simulate", None)
            return out
        began = time.monotonic()
        listener.begin("simulate")
        write(progress=lambda done, total: listener.advance("simulate", done, total, ""))
        listener.end("simulate", time.monotonic() - began)
    return out


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(simulations, name="simulate")
