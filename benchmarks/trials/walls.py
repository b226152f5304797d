"""A ferroelectric wall in images of a perovskite: displacement of iron, its size and direction, from atom positions and from an rVAE."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import KDTree
from sklearn.metrics import r2_score

from benchmarks import scores
from benchmarks.run import receipt, scratch
from benchmarks.trial import Goal, Scores, Trial, clock, shortened, train
from invae.config import AtomsConfig, ComputeConfig, IngestConfig
from invae.config.scenes import LatticeConfig
from invae.descriptors.describe import describe
from invae.readers.ingest import ingest
from invae.storage import store
from invae.synthetic import lattice

UNSEEN = 10_000
SAME = 3.0
"""Largest distance between a detected and a true atom [px]."""
MIN_DISPLACEMENT = 0.01
"""Smallest displacement with a direction [nm]: a third of the displacement far from the wall."""
DIM = 0.6
"""Largest brightness of iron relative to the bismuth around it."""


@dataclass(frozen=True)
class Iron:
    """Iron atoms with a patch and all of their neighbours."""

    patches: np.ndarray
    """(site, 1, y, x)."""
    y: np.ndarray
    """(site,) [px]."""
    displacement: np.ndarray
    """Measured displacement (site, axis) [nm]."""
    true: np.ndarray
    """True displacement (site, axis) [nm]."""

    @property
    def size(self) -> np.ndarray:
        """Size of the true displacement (site,) [nm]."""
        return np.hypot(*self.true.T)

    @property
    def has_direction(self) -> np.ndarray:
        """Whether the true displacement has a direction (site,)."""
        return self.size > MIN_DISPLACEMENT


def recovered(trial: Trial, seed: int, quick: bool) -> Scores:
    """R² of |u| and residuals of its direction, from positions and from the latent variables of an rVAE."""
    config = drawn(trial.settings["lattice"], seed=UNSEEN + seed, quick=quick)
    with scratch() as folder, clock() as took:
        iron = iron_in(folder, config, trial.settings["describe"], seed=UNSEEN + seed)
    size = np.hypot(*iron.displacement.T)
    residual = angle_difference(bearing(iron.displacement), bearing(iron.true))[iron.has_direction]
    values = {
        "r2": float(r2_score(iron.size, size)),
        "direction": float(np.degrees(np.abs(residual)).mean()),
        "direction_median": float(np.degrees(np.median(np.abs(residual)))),
        "iron": float(len(size)),
    }
    model = shortened(trial.settings["model"], quick=quick)
    training = train(model, iron.patches, seed=seed)
    values |= from_latents(training.model.encode(iron.patches), iron)
    cost = training.cost
    return values | cost | {"seconds": cost["seconds"] + took.seconds}


def drawn(settings: Mapping[str, Any], *, seed: int, quick: bool) -> LatticeConfig:
    """The scene; the orientations of lattice, wall and displacement follow from the seed."""
    rng = np.random.default_rng(seed)
    orientations = {
        "angle": rng.uniform(-45, 45),
        "wall_angle": rng.uniform(0, 180),
        "displacement_angle": rng.uniform(0, 360),
    }
    imaging = {**LatticeConfig().imaging.model_dump(), **settings["imaging"]}
    imaging |= {"n_frames": 1} if quick else {}
    return LatticeConfig.model_validate({**orientations, "imaging": imaging})


def iron_in(folder: Path, config: LatticeConfig, settings: Mapping[str, Any], *, seed: int) -> Iron:
    """Iron atoms detected by the stages ingest and describe in simulated frames, with the ground truth."""
    source, recording, target = (folder / name for name in ("wall.zarr", "r.zarr", "d.zarr"))
    compute = ComputeConfig(workers=1)
    lattice.simulate(source, config=config, seed=seed)
    ingest([source], recording, config=IngestConfig(), receipt=receipt("ingest"), compute=compute)
    atoms = AtomsConfig.model_validate(settings)
    describe(recording, target, config=atoms, receipt=receipt("describe"), compute=compute)
    sites = store.open_store(target).load()
    truth = xr.open_zarr(source, group="truth", consolidated=False).load()
    distance, nearest = nearest_true_atoms(sites, truth)
    displacement = np.column_stack([sites["displacement_y"], sites["displacement_x"]])
    iron = (sites["contrast"].to_numpy() < DIM) & (distance < SAME)
    u = truth["u"].to_numpy()[nearest]
    patches = sites["patch"].to_numpy()
    return Iron(patches[iron], sites["y"].to_numpy()[iron], displacement[iron], u[iron])


def nearest_true_atoms(sites: xr.Dataset, truth: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Distance [px] to the nearest true atom of the same frame, and its index (site,)."""
    frame = sites["frame"].to_numpy()
    distance, nearest = np.zeros(len(frame)), np.zeros(len(frame), int)
    for number in np.unique(frame):
        in_frame = frame == number
        true = np.column_stack([truth[name][number] for name in ("atom_y", "atom_x")])
        positions = np.column_stack([sites[name].to_numpy()[in_frame] for name in ("y", "x")])
        distance[in_frame], nearest[in_frame] = KDTree(true).query(positions)
    return distance, nearest


def from_latents(latents: xr.Dataset, iron: Iron) -> Scores:
    """|u| by a cubic of the content, its direction by the angle and one offset; fitted in one half of the frame, scored in the other."""
    content = latents["content"].transpose("site", "latent").to_numpy()
    powers = np.concatenate([content**power for power in (1, 2, 3)], axis=1)
    order = np.argsort(iron.y, kind="stable")
    first = np.isin(np.arange(len(order)), order[: len(order) // 2])
    difference = angle_difference(latents["angle"].to_numpy(), bearing(iron.true))
    offset = np.angle(np.exp(1j * difference[first & iron.has_direction]).mean())
    residual = angle_difference(difference[~first & iron.has_direction], offset)
    return {
        "latent_r2": scores.linear_r2(powers[order], iron.size[order]),
        "latent_direction": float(np.degrees(np.abs(residual)).mean()),
        "latent_direction_median": float(np.degrees(np.median(np.abs(residual)))),
    }


def bearing(displacement: np.ndarray) -> np.ndarray:
    """Direction of displacements (site, axis), from right, positive as np.rot90 [rad]."""
    return np.arctan2(-displacement[:, 0], displacement[:, 1])


def angle_difference(first: np.ndarray, second: np.ndarray | float) -> np.ndarray:
    """Difference of angles, from −π to π [rad]."""
    return np.angle(np.exp(1j * (first - second)))


MODEL: dict[str, Any] = {
    "family": "rVAE",
    "latent_dim": 1,
    "training": {"epochs": 30, "batch_size": 50, "patience": 100},
}
DESCRIBE = {"window_nm": 0.6, "background_nm": 0.6}
TRIALS = (
    Trial(
        name="walls",
        words="a wall in a BiFeO₃-like lattice, 50 electrons at the centre of an iron atom; random orientations of lattice, wall and displacement",
        run=recovered,
        settings={
            "lattice": {"imaging": {"n_frames": 8}},
            "describe": DESCRIBE,
            "model": MODEL,
        },
        goals=(
            Goal("r2", "R² of |u|, from positions of atoms", "–", 0.9, 0.9),
            Goal(
                "direction",
                "mean residual of its direction where |u| > 0.01 nm [°]",
                "–",
                10,
                10,
                better="low",
            ),
            Goal(
                "latent_r2",
                "R² of |u|, cubic in the content of an rVAE of the surroundings of iron",
            ),
            Goal(
                "latent_direction_median",
                "median residual of the direction, from the angle [°]",
                better="low",
            ),
            Goal("latent_direction", "mean of it [°]", better="low"),
            Goal("iron", "iron atoms scored"),
        ),
        remark="Ingest and describe with the settings of `stem-atoms`, except for a window of 0.6 nm. Scores from latent variables are fitted in the upper half of the frame and evaluated in the lower one.",
        n_seeds=5,
        chapter="microscopy",
    ),
)
