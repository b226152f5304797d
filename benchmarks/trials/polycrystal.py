"""Polycrystals by nano-beam diffraction: phases, orientation and grains, without naming the crystals."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.measure import label
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA

from benchmarks.trial import Goal, Scores, Trial, clock
from invae.analysis.grains.groups import (
    beam_of,
    blocks_of,
    displaced_in,
    scan_for_grains,
)
from invae.analysis.grains.search import Polycrystal, Settings, find_grains
from invae.config import ComputeConfig, IngestConfig, PolycrystalConfig
from invae.readers.ingest import ingest
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.synthetic import polycrystal

SCANS = 30_000
"""Added to a trial's seed."""
DOSES = {"low": 10**2.5, "middle": 1e3, "high": 1e4}
"""Electrons per pattern."""
PURE = 0.9
"""Share of the main grain in a pattern that is scored."""
SMALLEST = 6
"""Smallest grain of the truth that counts [probe]."""
ORDER = {"hexagonal": 6, "square": 4, "rectangular": 2}
"""Symmetry of the orientation."""
COMPONENTS = 8


def run(trial: Trial, seed: int, quick: bool) -> Scores:
    """Simulate, ingest and search at every dose."""
    scores: Scores = {}
    seconds = 0.0
    for name, dose in DOSES.items():
        settings = {**trial.settings["scan"], "dose": dose}
        settings |= {"n_scan_y": 24, "n_scan_x": 24, "n_grains": 4} if quick else {}
        config = PolycrystalConfig.model_validate(settings)
        with tempfile.TemporaryDirectory() as folder:
            recording, truth = _recorded(Path(folder), config, seed=SCANS + seed)
            scan = scan_for_grains(recording, descan="plane")
            middle = (scan.config.window - 1) / 2
            with clock() as took:
                found = find_grains(
                    lambda scan=scan: blocks_of(scan),
                    scan.shape,
                    valid=scan.resampling.valid(counts=False),
                    axis=(middle, middle),
                    beam=beam_of(scan),
                    settings=Settings(),
                    displaced=displaced_in(scan),
                )
            seconds += took.seconds
            values = score(found, truth, config)
            if name == "middle":
                patterns = np.concatenate([block for _, block in blocks_of(scan)])
                values |= _linear(patterns, truth)
        scores |= {f"{key}_{name}": value for key, value in values.items()}
    return scores | {"seconds": seconds / len(DOSES)}


def _recorded(folder: Path, config: PolycrystalConfig, *, seed: int) -> tuple[Path, xr.Dataset]:
    """The recording of a simulated scan, and its truth."""
    source, recording = folder / "scan.zarr", folder / "run" / "recording.zarr"
    polycrystal.simulate(source, config=config, seed=seed)
    recording.parent.mkdir()
    receipt = Receipt("ingest", "k" * 32, "scan", (), {}, {}, "hash", 0, "code")
    ingest([source], recording, config=IngestConfig(), receipt=receipt, compute=ComputeConfig())
    return recording, store.open_store(source, group="truth").load()


def score(found: Polycrystal, truth: xr.Dataset, config: PolycrystalConfig) -> Scores:
    """Scores of phases, angles, boundaries and grains against the truth."""
    lattices = np.array([phase.lattice for phase in config.phases])
    phase, grain = truth["phase"].to_numpy(), truth["grain"].to_numpy().copy()
    amorphous = (lattices == "amorphous")[phase]
    grain[amorphous] = grain.max() + 1  # two amorphous grains that touch are one area
    areas = np.asarray(label(grain + 1, connectivity=1))
    n_true = int((np.bincount(areas.ravel())[1:] >= SMALLEST).sum())
    n_found = int(found.grain.max()) + 1
    pure = truth["pure"].to_numpy() > PURE
    n_phases = len(np.unique(found.phase))
    return {
        "accuracy": _accuracy(found.phase[pure] + 1, phase[pure]),
        "phases_right": float(n_phases == len(np.unique(phase))),
        "angle": _angle(found, truth, pure, lattices),
        "f1": _f1(_edges(found.grain), _edges(areas)),
        "grains_off": abs(n_found - n_true) / n_true,
    }


def _accuracy(assigned: np.ndarray, true: np.ndarray) -> float:
    """Share of probes that are right under the best assignment of classes to phases."""
    table = np.zeros((int(assigned.max()) + 1, int(true.max()) + 1))
    np.add.at(table, (assigned, true), 1)
    return float(table[linear_sum_assignment(-table)].sum() / table.sum())


def _angle(found: Polycrystal, truth: xr.Dataset, pure: np.ndarray, lattices: np.ndarray) -> float:
    """Median difference of the angle up to symmetry, of the worst phase [degree]."""
    medians = []
    for number, lattice in enumerate(lattices):
        if lattice in ORDER:
            here = pure & (truth["phase"].to_numpy() == number) & np.isfinite(found.angle)
            turns = ORDER[str(lattice)] * (found.angle - truth["angle"].to_numpy())[here]
            residual = np.abs(np.angle(np.exp(1j * turns))) / ORDER[str(lattice)]
            medians.append(float(np.degrees(np.median(residual))) if here.any() else 90.0)
    return max(medians)


def _edges(grain: np.ndarray) -> np.ndarray:
    """Probes on either side of a boundary."""
    edge = np.zeros(grain.shape, bool)
    down, right = grain[1:] != grain[:-1], grain[:, 1:] != grain[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def _f1(found: np.ndarray, true: np.ndarray) -> float:
    """F1 of boundaries within 1 px."""
    square = np.ones((3, 3))
    precision = (found & ndimage.binary_dilation(true, square)).sum() / max(found.sum(), 1)
    recall = (true & ndimage.binary_dilation(found, square)).sum() / max(true.sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def _linear(patterns: np.ndarray, truth: xr.Dataset) -> Scores:
    """Accuracy of the phase by k-means of components, with the true number of phases, and seconds."""
    side = 24
    edges = np.arange(side) * patterns.shape[-1] // side
    coarse = np.add.reduceat(np.add.reduceat(patterns, edges, axis=-2), edges, axis=-1)
    values = np.maximum(coarse.reshape(-1, side * side), 0)
    phase, pure = truth["phase"].to_numpy().ravel(), truth["pure"].to_numpy().ravel() > PURE
    scores: Scores = {}
    methods: dict[str, Any] = {
        "pca": PCA(random_state=0).set_params(n_components=COMPONENTS),
        "nmf": NMF(init="nndsvda", max_iter=100, tol=1e-3, random_state=0).set_params(
            n_components=COMPONENTS
        ),
    }
    for name, method in methods.items():
        with clock() as took:
            content = method.fit_transform(values)
            means = KMeans(int(phase.max()) + 1, random_state=0).set_params(n_init=5)
            assigned = means.fit_predict(content / np.maximum(content.std(0), 1e-12))
        scores |= {f"accuracy_{name}": _accuracy(assigned[pure], phase[pure]), f"seconds_{name}": took.seconds}  # fmt: skip
    return scores


def _goals() -> tuple[Goal, ...]:
    rows: list[Goal] = []
    for name, dose in DOSES.items():
        at, counts = f"at {dose:.0f} electrons per pattern", dose >= 500
        rows += [
            Goal(f"accuracy_{name}", f"phase right, share of probes within one grain, {at}", "–", 0.99 if counts else None),
            Goal(f"phases_right_{name}", f"number of phases right (1: yes), {at}", "–", 1.0 if counts else None),
            Goal(f"angle_{name}", f"angle up to symmetry, median of the worst phase [°], {at}", "–", 0.5, better="low"),
            Goal(f"f1_{name}", f"boundaries within 1 px, F1, {at}", "–", 0.95),
            Goal(f"grains_off_{name}", f"number of grains, relative error, {at}", "–", 0.05, better="low"),
        ]  # fmt: skip
    beside = (
        Goal("accuracy_pca_middle", "the phase by 2- or 3-means of 8 principal components, number of phases given, 1000 electrons"),
        Goal("accuracy_nmf_middle", "the same by NMF"),
        Goal("seconds_pca_middle", "seconds of PCA and k-means", better="low"),
        Goal("seconds_nmf_middle", "seconds of NMF and k-means", better="low"),
    )  # fmt: skip
    return (*rows, *beside)


def _trial(name: str, words: str, **scan: object) -> Trial:
    return Trial(
        name=f"polycrystal-{name}",
        words=f"grains of `fourd-nbed` on 64 × 64 patterns of 64 × 64 px: {words}",
        run=run,
        settings={"scan": scan, "config": "fourd-nbed"},
        goals=_goals(),
        chapter="polycrystal",
        remark="Every seed is another polycrystal. The search gets the patterns only: neither crystals nor the number of phases. Probes whose pattern is at least nine tenths "
        "of one grain are scored. Seconds are those of the search for one scan on one core, without the training of the model.",
    )  # fmt: skip


HEXAGONAL = {"lattice": "hexagonal", "spacing": 15.0}
SQUARE = {"lattice": "square", "spacing": 13.0}
RECTANGULAR = {"lattice": "rectangular", "spacing": 11.5, "ratio": 1.45}
AMORPHOUS = {"lattice": "amorphous", "spacing": 14.0}

TRIALS = (
    _trial("two", "a hexagonal and a square phase", phases=[HEXAGONAL, SQUARE]),
    _trial(
        "near", "two hexagonal phases, 7 % apart", phases=[HEXAGONAL, {**HEXAGONAL, "spacing": 16.05}]
    ),
    _trial(
        "minority",
        "three phases, one with 5 % of the grains",
        phases=[{**HEXAGONAL, "share": 0.5}, {**SQUARE, "share": 0.45}, {**RECTANGULAR, "share": 0.05}],
        n_grains=16,
    ),
    _trial(
        "amorphous",
        "two crystals and amorphous areas",
        phases=[{**HEXAGONAL, "share": 0.4}, {**SQUARE, "share": 0.4}, {**AMORPHOUS, "share": 0.2}],
        n_grains=15,
    ),
    _trial("tilted", "grains tilted by 12 mrad", phases=[HEXAGONAL, SQUARE], tilt=12.0),
)  # fmt: skip
