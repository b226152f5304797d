"""From a file to an answer, in each package: what a user types, and how long it takes. `python -m benchmarks.peers.recipes`.

A step is a command, or a statement that is no import. The time is that of the whole process, with its start and its imports.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import ATOMAI, HYPERSPY, PY4DSTEM, PYROVED, Environment
from benchmarks.written import put

PAGE = Path(__file__).parents[2] / "docs" / "comparison.md"
LONGEST = 300.0
"""Longest time of a recipe [s]."""
NAMES = {"HyperSpy": HYPERSPY, "py4DSTEM": PY4DSTEM, "AtomAI": ATOMAI, "pyroVED": PYROVED}
INVAE = "invae"


@dataclass(frozen=True)
class Task:
    """A question to a file, and what a user types in each package. A package may have none."""

    question: str
    recipes: Mapping[str, str]
    """Package → commands, one a line and begun by `invae`, or statements of Python."""


TASKS = (
    Task(
        "maps of bright field, dark field and centre of mass of a 4D-STEM scan (64 × 64 × 64 × 64)",
        {
            INVAE: "invae ingest scan.npy --config fourd-rvae --out results",
            "py4DSTEM": """
import numpy as np
import py4DSTEM
cube = py4DSTEM.DataCube(data=np.load("scan.npy"))
cube.calibration.set_Q_pixel_units("A^-1")
radius, qy, qx = cube.get_probe_size(cube.get_dp_mean().data, plot=False)
bright = cube.get_virtual_image("circle", ((qy, qx), radius), name="bf")
dark = cube.get_virtual_image("annulus", ((qy, qx), (1.2 * radius, 32)), name="adf")
field = py4DSTEM.process.phase.DPC(datacube=cube, energy=60e3, verbose=False)
field.preprocess(plot_center_of_mass=False, plot_rotation=False, force_com_rotation=0)
""",
        },
    ),
    Task(
        "maps of what varies in a grid of spectra (50 × 50 × 200): PCA; with invae also a VAE, and the report",
        {
            "HyperSpy": """
import hyperspy.api as hs
import numpy as np
spectra = hs.signals.Signal1D(np.load("grid.npy"))
spectra.decomposition()
factors = spectra.get_decomposition_factors()
maps = spectra.get_decomposition_loadings()
""",
            INVAE: "invae run grid.npy --config spectra-vae --set ingest.dims=[y,x,energy] --set training.epochs=10 --out results",
        },
    ),
    Task(
        "content of 1,000 patches of 32², independent of their angle (20 epochs)",
        {
            INVAE: """
import invae
import numpy as np
patches = np.load("patches.npy")
vae = invae.InvariantVAE("rVAE", training={"epochs": 20, "patience": 20, "batch_size": 100})
latents = vae.fit(patches).encode(patches)
""",
            "AtomAI": """
import atomai
import numpy as np
patches = np.load("patches.npy")
vae = atomai.models.rVAE((32, 32), latent_dim=2, translation=False)
vae.fit(patches, training_cycles=20, batch_size=100)
mean, sd = vae.encode(patches)
""",
            "pyroVED": """
import numpy as np
import pyroved
import torch
patches = torch.from_numpy(np.load("patches.npy"))
loader = pyroved.utils.init_dataloader(patches, batch_size=100)
vae = pyroved.models.iVAE((32, 32), latent_dim=2, invariances=["r"], sampler_d="gaussian", decoder_sig=0.5)
trainer = pyroved.trainers.SVItrainer(vae)
for epoch in range(20): trainer.step(loader)
mean, sd = vae.encode(patches)
""",
        },
    ),
    Task(
        "positions of the atoms of an image (256²)",
        {
            INVAE: """
invae ingest image.npy --set ingest.pixel_size=0.02 --out atoms
invae describe --config stem-atoms --out atoms""",
            "HyperSpy": """
import hyperspy.api as hs
import numpy as np
image = hs.signals.Signal2D(np.load("image.npy"))
peaks = image.find_peaks(method="local_max", min_distance=5, interactive=False, get_intensity=True)
""",
        },
    ),
)


def write_files(folder: Path) -> None:
    """The four files, from one seed."""
    rng = np.random.default_rng(0)
    y, x = np.indices((64, 64)) - 31.5
    disc = 40.0 * (np.hypot(y, x) < 16) + 0.5
    scan = rng.poisson(disc, size=(64, 64, 64, 64)).astype(np.uint16)
    np.save(folder / "scan.npy", scan)
    energy, width = np.linspace(0, 1, 200), rng.uniform(0.05, 0.2, (50, 50, 1))
    grid = np.exp(-(((energy - 0.5) / width) ** 2)) + 0.05 * rng.normal(size=(50, 50, 200))
    np.save(folder / "grid.npy", grid.astype(np.float32))
    angle, length = rng.uniform(0, 2 * np.pi, (2, 1000, 1, 1))
    y, x = np.indices((32, 32)) - 15.5
    along = np.cos(angle) * x - np.sin(angle) * y
    across = np.sin(angle) * x + np.cos(angle) * y
    patches = np.exp(-((along / (4 + length)) ** 4) - (across / (2 + np.tanh(along / 4))) ** 2)
    np.save(folder / "patches.npy", patches.astype(np.float32))
    y, x = np.indices((256, 256))
    lattice = np.cos(2 * np.pi * y / 12) * np.cos(2 * np.pi * x / 14)
    image = np.exp(3 * (lattice - 1)) + 0.02 * rng.normal(size=(256, 256))
    np.save(folder / "image.npy", image.astype(np.float32))


def steps(recipe: str) -> list[str]:
    """Commands, or statements without imports."""
    return [line for line in recipe.strip().splitlines() if not line.startswith("import ")]


def commands(recipe: str, python: Path) -> list[list[str]]:
    """The processes of a recipe."""
    if not recipe.strip().startswith("invae "):
        return [[str(python), "-c", recipe]]
    run = [str(python), "-m", "flows.cli.main"]
    return [[*run, *line.split()[1:]] for line in recipe.strip().splitlines()]


def seconds(recipe: str, python: Path, folder: Path) -> float:
    """Time of a recipe [s].

    Raises:
        subprocess.SubprocessError: It fails, or takes longer than `LONGEST`.
    """
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONPATH": root}
    start = time.perf_counter()
    for command in commands(recipe, python):
        subprocess.run(
            command, cwd=folder, env=environment, check=True, capture_output=True, timeout=LONGEST
        )
    return time.perf_counter() - start


def interpreter(package: str) -> Path | None:
    """The interpreter with a package: of this environment, or of its own (`python -m benchmarks.peers.environments`); none without either."""
    if find_spec(package.lower()):
        return Path(sys.executable)
    environment: Environment = NAMES[package]
    return environment.python if environment.python.is_file() else None


def rows(folder: Path) -> Iterator[Sequence[str]]:
    """Cells of the table: a task, a package, its steps, its time."""
    for task in TASKS:
        for package, recipe in task.recipes.items():
            python = interpreter(package)
            took = "not measured" if python is None else f"{seconds(recipe, python, folder):.0f} s"
            yield task.question, package, str(len(steps(recipe))), took


def main() -> None:
    """Measure all recipes whose packages are installed, and write the table."""
    lines = ["| question | package | steps | time |", "| --- | --- | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        for cells in rows(Path(folder)):
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    put(PAGE, "recipes", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
