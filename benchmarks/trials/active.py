"""Active measurement: the share of the best sites that is measured with 5 % of the measurements of a whole grid, from many starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.peers.ask import SearchRequest, ask_search
from benchmarks.trial import Goal, Scores, Trial, clock
from benchmarks.trials.others import PACKAGES
from benchmarks.trials.pairs import UNSEEN, pair_set
from invae import EncoderDecoder
from invae.active import Search
from invae.active.instruments import SimulatedDomains
from invae.config.plasmons import AssemblyConfig, PlasmonsConfig
from invae.config.synthetic import DomainsConfig
from invae.descriptors.spectra.quality import assess
from invae.synthetic.domains import simulate_dataset

STARTS = 4
"""Starts on every map."""
N_MAPS = 5
BUDGET, TOP = 0.05, 0.01
SIDE = 40
BAND = (0.70, 0.78)
CYCLES, OPENING = 200, 10
"""Training steps of AtomAI after every measurement, and its random sites before the first proposal."""
TARGET_NOISE = 0.03
"""Sd of the noise of a loss in the band, relative to the spread of the map."""
LOOPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "spectra" / "BEPS_PTO_50x50.h5"
BESIDE: Mapping[str, Mapping[str, Any]] = {
    "random": {"surrogate": "random"},
    "raster": {"surrogate": "raster"},
    "place": {"features": ("place",)},
}
"""Searches to compare with: random sites, a raster from a random site, a Gaussian process that does not see the image."""


@dataclass(frozen=True)
class Pool:
    """Candidates on a grid, and the measured target of all of them."""

    images: np.ndarray
    yx: np.ndarray
    target: np.ndarray
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the search."""

    @property
    def given(self) -> dict[str, np.ndarray]:
        """As a search takes it."""
        return {"image": self.images, "y": self.yx[:, 0], "x": self.yx[:, 1]}


@cache
def plasmons(number: int) -> Pool:
    """A map of energy losses in a band, of an assembly that no model has seen."""
    sample = AssemblyConfig(n_assemblies=1, grid=SIDE, n_energies=7)
    config = PlasmonsConfig(sample=sample, energies=BAND)
    pairs = pair_set(config, seed=UNSEEN + number, pixels=32)
    yx = np.indices((SIDE, SIDE)).reshape(2, -1).T.astype(float)
    clean = np.trapezoid(pairs.clean, pairs.axis, axis=1)
    noise = np.random.default_rng([number, 53]).normal(size=len(clean))
    target = clean + TARGET_NOISE * clean.std() * noise
    return Pool(pairs.images, yx, target, {"target_range": BAND})


@cache
def domains(number: int, target: str) -> Pool:
    """Hysteresis loops on simulated domains, with their image before the sweep."""
    config = DomainsConfig.model_validate({"rows": 50, "columns": 50, "n_frames": 1, "margin": 16})
    _, truth = simulate_dataset(config, UNSEEN + number)
    frame = truth["polarization"].to_numpy()[0].astype(float)
    image = frame + 0.1 * np.random.default_rng([number, 47]).normal(size=frame.shape)
    images, yx = windows(image, 9)
    sites = _sites(yx)
    measured = SimulatedDomains(truth, seed=number).measure(sites)
    loops, bias = measured["spectrum"].to_numpy(), measured["voltage"].to_numpy()
    return Pool(images, yx, loops.mean(1) if target == "offset" else loop_area(loops, bias))


def _sites(yx: np.ndarray) -> Any:
    import xarray as xr

    n = np.arange(len(yx))
    coords = {"candidate": n, "frame": 0 * n, "y": yx[:, 0], "x": yx[:, 1]}
    return xr.Dataset(coords={name: ("site", values) for name, values in coords.items()})


@cache
def loops(number: int) -> Pool:
    """Recorded band-excitation loops that pass the gate, and the response before the sweep."""
    with h5py.File(LOOPS) as file:
        spectra = np.asarray(file["Channel_000/generic/generic"], float)
        bias = np.asarray(file["Channel_000/generic/Voltage"], float)
    rows, columns, _ = spectra.shape
    found = assess(spectra.reshape(rows * columns, -1), most_spikes=0.06, most_amplitude=2)
    image = spectra[..., 0]
    images, yx = windows(image, 8)
    index = (yx @ (columns, 1)).astype(int)
    valid = found.valid[index]
    target = loop_area(found.cleaned[index], bias)
    return Pool(images[valid], yx[valid], target[valid], {"scale": "arcsinh"})


def windows(image: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """All windows of an image (site, y, x), and the pixels in their middle (site, 2)."""
    cut = np.lib.stride_tricks.sliding_window_view(image, (side, side))
    yx = np.indices(cut.shape[:2]).reshape(2, -1).T + side // 2
    return cut.reshape(-1, side, side).copy(), yx.astype(float)


def loop_area(spectra: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Area inside closed loops (site,)."""
    return np.abs(0.5 * spectra @ (np.roll(bias, -1) - np.roll(bias, 1)))


@cache
def model_of_others(n_pairs: int) -> EncoderDecoder:
    """A model of spectra from images, trained on other assemblies than those of the maps."""
    sample = AssemblyConfig(n_assemblies=-(-n_pairs // AssemblyConfig().n_probes))
    pairs = pair_set(PlasmonsConfig(sample=sample), seed=0, pixels=32, most=n_pairs)
    return EncoderDecoder(n_members=1, n_folds=2, seed=0).fit(pairs.given)


def searched(pool: Pool, start: int, **options: Any) -> Search:
    """A search until its budget is used."""
    budget = round(BUDGET * len(pool.target))
    search = Search(
        pool.given, budget=budget, least_gain=0, seed=start, **{**pool.options, **options}
    )
    while not search.stop:
        sites = search.suggest()
        search.observe(sites, values=pool.target[sites["candidate"].to_numpy()])
    return search


def share_of_the_top(search: Search, target: np.ndarray) -> float:
    """Share of the best candidates that was measured."""
    top = np.argsort(-target)[: max(1, round(TOP * len(target)))]
    return float(np.isin(top, [one.candidate for one in search.history]).mean())


def regret(search: Search, target: np.ndarray) -> float:
    """Distance of the best measured value from the best, relative to that of the median."""
    best = target[[one.candidate for one in search.history]].max()
    return float((target.max() - best) / (target.max() - np.median(target)))


def covered(search: Search, target: np.ndarray) -> float:
    """Share of the candidates that were not measured inside their 90 % interval."""
    said = search.predict()
    inside = (said["lower"].to_numpy() <= target) & (target <= said["upper"].to_numpy())
    return float(np.delete(inside, [one.candidate for one in search.history]).mean())


def pool_of(settings: Mapping[str, Any], number: int) -> Pool:
    """The pool of a trial."""
    kind = settings["map"]
    if kind == "plasmons":
        return plasmons(number)
    if kind == "loops":
        return loops(0)
    return domains(number, kind)


def found(trial: Trial, seed: int, quick: bool) -> Scores:
    """Shares of the best sites from several starts on one map."""
    pool = pool_of(trial.settings, seed)
    options = dict(trial.settings["search"])
    if "model_pairs" in trial.settings:
        options["model"] = model_of_others(64 if quick else trial.settings["model_pairs"])
    starts = [STARTS * seed + k for k in range(1 if quick else STARTS)]
    with clock() as took:
        searches = [searched(pool, s, **options) for s in starts]
    top = [share_of_the_top(one, pool.target) for one in searches]
    beside = {
        f"top_{name}": float(
            np.mean([share_of_the_top(searched(pool, s, **other), pool.target) for s in starts])
        )
        for name, other in BESIDE.items()
    }
    verdicts = [one.learnable.known for one in searches]
    return {
        "top": float(np.mean(top)),
        "top_worst": float(np.min(top)),
        "regret": float(np.mean([regret(one, pool.target) for one in searches])),
        "coverage": float(np.mean([covered(one, pool.target) for one in searches])),
        "coverage_before": float(np.mean([one.calibration.all for one in searches])),
        "learnable": float(np.mean([known is True for known in verdicts])),
        "not_learnable": float(np.mean([known is False for known in verdicts])),
        **beside,
        "seconds": took.seconds / len(starts),
        "seconds_cpu": took.seconds_cpu / len(starts),
    }


def searched_by_atomai(trial: Trial, seed: int, quick: bool) -> Scores:
    """Share of the best sites that AtomAI's deep kernel learning measures, from one start on one map."""
    pool = pool_of(trial.settings, seed)
    budget = 20 if quick else round(BUDGET * len(pool.target))
    request = SearchRequest(STARTS * seed, budget, opening=OPENING, cycles=20 if quick else CYCLES)
    found = ask_search(request, pool.images, pool.target)
    top = np.argsort(-pool.target)[: max(1, round(TOP * len(pool.target)))]
    return {
        "top": float(np.isin(top, found["order"]).mean()),
        "coverage": float(found["coverage"]),
        "seconds_cpu": float(found["seconds_cpu"]),
    }


def _of_atomai(ours: Trial) -> Trial:
    return Trial(
        name=f"atomai-{ours.name}",
        words=f"{PACKAGES['AtomAI']}, dklGPR: deep kernel learning from raw patches, expected improvement, one start on a map",
        run=searched_by_atomai,
        settings=ours.settings,
        goals=(
            Goal("top", "share of the best 1 % measured with 5 % of the measurements"),
            Goal("coverage", "unmeasured sites in their 90 % interval"),
        ),
        remark=f"{CYCLES} training steps after every measurement, {OPENING} random sites first, as in the notebook of its documentation.",
        chapter=ours.chapter,
        peer=PACKAGES["AtomAI"],
        peer_of=ours.name,
    )


AGAINST = ("search-plasmons", "search-loops", "search-offset")
"""Trials that AtomAI is asked for too."""


def _goals(top: float | None, worst: float | None, *, learnable: bool = True) -> tuple[Goal, ...]:
    return (
        Goal("top", "share of the best 1 % measured with 5 % of the measurements", "–", top),
        Goal("top_worst", "the same, worst of 4 starts on a map", "–", None, worst),
        Goal("regret", "distance of the best measured value from the best", better="low"),
        Goal("coverage", "unmeasured sites in their 90 % interval", "–", 0.87),
        Goal("coverage_before", "measured sites in the interval before their measurement"),
        Goal("learnable", "searches that say *learnable*", "–", 1.0 if learnable else None),
        Goal("not_learnable", "searches that say *not learnable*", "–", None if learnable else 1.0),
        Goal("top_place", "share of the best 1 %, Gaussian process of the place alone"),
        Goal("top_random", "share of the best 1 %, random sites"),
        Goal("top_raster", "share of the best 1 %, raster from a random site"),
    )


OURS = (
    Trial(
        name="search-plasmons",
        words="search for the strongest loss at 0.70 to 0.78 eV on assemblies, 40 × 40 sites, 80 measurements",
        run=found,
        settings={"map": "plasmons", "search": {}},
        goals=_goals(0.60, 0.40),
        chapter="active",
    ),
    Trial(
        name="search-transfer",
        words="the same with a model of 640 pairs of other assemblies",
        run=found,
        settings={"map": "plasmons", "search": {"surrogate": "transfer"}, "model_pairs": 640},
        goals=_goals(0.70, 0.50),
        chapter="active",
    ),
    Trial(
        name="search-offset",
        words="search for the largest offset of loops on simulated domains, 42 × 42 sites, 88 measurements",
        run=found,
        settings={"map": "offset", "search": {}},
        goals=_goals(0.55, 0.50),
        chapter="active",
    ),
    Trial(
        name="search-loops",
        words="search for the largest loop area in a recorded grid of band-excitation loops, after the gate",
        run=found,
        settings={"map": "loops", "search": {}},
        goals=_goals(0.43, 0.35),
        chapter="active",
    ),
    Trial(
        name="search-nothing",
        words="search for the largest area of loops that follows from defects which no image shows",
        run=found,
        settings={"map": "area", "search": {}},
        goals=_goals(None, None, learnable=False),
        chapter="active",
    ),
)

TRIALS = (*OURS, *(_of_atomai(trial) for trial in OURS if trial.name in AGAINST))
