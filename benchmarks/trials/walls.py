"""A ferroelectric wall in images of a perovskite: how far iron is displaced, and whereto, from where atoms are found and from an rVAE."""

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
"""Distance of an atom found from a true one within which they are the same [px]."""
TELLING = 0.01
"""Displacement above which it has a direction [nm]: a third of that far from the wall."""
DIM = 0.6
"""Iron is lower than this beside the bismuth around it."""


@dataclass(frozen=True)
class Found:
    """Iron atoms with a patch and all their neighbours."""

    patches: np.ndarray
    """(site, 1, y, x)."""
    y: np.ndarray
    """(site,) [px]."""
    moved: np.ndarray
    """Displacement found (site, axis) [nm]."""
    true: np.ndarray
    """(site, axis) [nm]."""

    @property
    def size(self) -> np.ndarray:
        """How far iron is displaced in truth (site,) [nm]."""
        return np.hypot(*self.true.T)

    @property
    def telling(self) -> np.ndarray:
        """Whether there is a direction (site,)."""
        return self.size > TELLING


def recovered(trial: Trial, seed: int, quick: bool) -> Scores:
    """R² of |u| and residuals of its direction, from places and from the latents of an rVAE."""
    config = drawn(trial.settings["lattice"], seed=UNSEEN + seed, quick=quick)
    with scratch() as folder, clock() as took:
        found = found_in(folder, config, trial.settings["describe"], seed=UNSEEN + seed)
    size = np.hypot(*found.moved.T)
    residual = turned(bearing(found.moved), bearing(found.true))[found.telling]
    told = {
        "r2": float(r2_score(found.size, size)),
        "direction": float(np.degrees(np.abs(residual)).mean()),
        "direction_median": float(np.degrees(np.median(np.abs(residual)))),
        "iron": float(len(size)),
    }
    model = shortened(trial.settings["model"], quick=quick)
    training = train(model, found.patches, seed=seed)
    told |= from_latents(training.model.encode(found.patches), found)
    cost = training.cost
    return told | cost | {"seconds": cost["seconds"] + took.seconds}


def drawn(settings: Mapping[str, Any], *, seed: int, quick: bool) -> LatticeConfig:
    """The scene; how lattice, wall and displacement lie follows from the seed."""
    rng = np.random.default_rng(seed)
    lies = {
        "angle": rng.uniform(-45, 45),
        "wall_angle": rng.uniform(0, 180),
        "displacement_angle": rng.uniform(0, 360),
    }
    imaging = {**LatticeConfig().imaging.model_dump(), **settings["imaging"]}
    imaging |= {"n_frames": 1} if quick else {}
    return LatticeConfig.model_validate({**lies, "imaging": imaging})


def found_in(
    folder: Path, config: LatticeConfig, settings: Mapping[str, Any], *, seed: int
) -> Found:
    """What the stages ingest and describe make of a simulated frame, iron only, beside the truth."""
    source, recording, target = (folder / name for name in ("wall.zarr", "r.zarr", "d.zarr"))
    compute = ComputeConfig(workers=1)
    lattice.simulate(source, config=config, seed=seed)
    ingest([source], recording, config=IngestConfig(), receipt=receipt("ingest"), compute=compute)
    atoms = AtomsConfig.model_validate(settings)
    describe(recording, target, config=atoms, receipt=receipt("describe"), compute=compute)
    sites = store.open_store(target).load()
    truth = xr.open_zarr(source, group="truth", consolidated=False).load()
    distance, nearest = known_atoms(sites, truth)
    moved = np.column_stack([sites["displacement_y"], sites["displacement_x"]])
    iron = (sites["contrast"].to_numpy() < DIM) & (distance < SAME)
    u = truth["u"].to_numpy()[nearest]
    patches = sites["patch"].to_numpy()
    return Found(patches[iron], sites["y"].to_numpy()[iron], moved[iron], u[iron])


def known_atoms(sites: xr.Dataset, truth: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Distance [px] to the nearest true atom of the same frame, and which it is (site,)."""
    frame = sites["frame"].to_numpy()
    distance, nearest = np.zeros(len(frame)), np.zeros(len(frame), int)
    for number in np.unique(frame):
        here = frame == number
        true = np.column_stack([truth[name][number] for name in ("atom_y", "atom_x")])
        places = np.column_stack([sites[name].to_numpy()[here] for name in ("y", "x")])
        distance[here], nearest[here] = KDTree(true).query(places)
    return distance, nearest


def from_latents(latents: xr.Dataset, found: Found) -> Scores:
    """|u| by a cubic of the content, its direction by the angle and one offset; learned in one half of the frame, judged in the other."""
    content = latents["content"].transpose("site", "latent").to_numpy()
    powers = np.concatenate([content**power for power in (1, 2, 3)], axis=1)
    order = np.argsort(found.y, kind="stable")
    first = np.isin(np.arange(len(order)), order[: len(order) // 2])
    apart = turned(latents["angle"].to_numpy(), bearing(found.true))
    offset = np.angle(np.exp(1j * apart[first & found.telling]).mean())
    residual = turned(apart[~first & found.telling], offset)
    return {
        "latent_r2": scores.linear_r2(powers[order], found.size[order]),
        "latent_direction": float(np.degrees(np.abs(residual)).mean()),
        "latent_direction_median": float(np.degrees(np.median(np.abs(residual)))),
    }


def bearing(moved: np.ndarray) -> np.ndarray:
    """Direction of displacements (site, axis), from right, positive as np.rot90 [rad]."""
    return np.arctan2(-moved[:, 0], moved[:, 1])


def turned(first: np.ndarray, second: np.ndarray | float) -> np.ndarray:
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
        words="a wall in a BiFeO₃-like lattice, 50 electrons in the middle of an iron atom; lattice, wall and displacement lie as it happens",
        run=recovered,
        settings={
            "lattice": {"imaging": {"n_frames": 8}},
            "describe": DESCRIBE,
            "model": MODEL,
        },
        goals=(
            Goal("r2", "R² of |u|, from where atoms are found", "–", 0.9, 0.9),
            Goal(
                "direction",
                "mean residual of its direction where |u| > 0.01 nm [°]",
                "–",
                10,
                10,
                wanted="low",
            ),
            Goal("latent_r2", "R² of |u|, cubic in the content of an rVAE of iron's surroundings"),
            Goal(
                "latent_direction_median",
                "median residual of the direction, from the angle [°]",
                wanted="low",
            ),
            Goal("latent_direction", "mean of it [°]", wanted="low"),
            Goal("iron", "iron atoms judged"),
        ),
        remark="Ingest and describe with the settings of `stem-atoms` but for a window of 0.6 nm. What is read from latents is learned in the upper half of the frame and judged in the lower one.",
        n_seeds=5,
        chapter="microscopy",
    ),
)
