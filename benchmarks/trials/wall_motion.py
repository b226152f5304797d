"""Motion of ferroelectric domain walls: forces, changes between frames, velocity, roughness, and what the latent variables hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import ndimage as ndi

from benchmarks.run import receipt, scratch
from benchmarks.trial import Goal, Scores, Trial, clock, shortened, train
from invae.analysis.domains import scores
from invae.analysis.domains.force_balance import Forces, balance, density
from invae.analysis.domains.motion import FORWARD, REVERSE, evolution, wall_motion
from invae.analysis.domains.roughness import displacement, roughness
from invae.analysis.domains.switching import describe_sites
from invae.analysis.domains.uneven_amplitude import uneven_amplitude
from invae.analysis.domains.wall_steps import WallSteps, wall_steps
from invae.config import AnalyseConfig, ComputeConfig, DomainsConfig, IngestConfig, WallsConfig
from invae.config.describe import WallConfig
from invae.descriptors.describe import describe
from invae.descriptors.domains.walls import find_walls
from invae.readers.ingest import ingest
from invae.storage import store
from invae.synthetic import domains
from invae.synthetic.landau import PIXEL, TIME_STEP, wall_speed

UNSEEN = 10_000
COMPUTE = ComputeConfig(workers=1)
CONFIG = AnalyseConfig(field="positive")
UNEVEN, SEEN = 0.1, 4
PIN = 4.0
"""Pixels so near to a pin belong to it [px]."""
FIELDS = (0.02, 0.05, 0.1, 0.2)
EXPONENTS = (0.4, 0.66, 0.9)
FREE: dict[str, Any] = {
    "start": "stripes",
    "domain_size": 32,
    "pins": {"density": 0},
    "lamellae": {"enabled": False},
    "bias_sd": 0,
    "nucleation": 0,
    "depolarization": 0,
}


def described(
    folder: Path, scene: Mapping[str, Any], settings: Mapping[str, Any], *, seed: int
) -> tuple[Path, Path]:
    """A simulated recording, and the store of its descriptors."""
    source, recording, target = (folder / f"{name}{seed}.zarr" for name in "srd")
    domains.simulate(source, config=DomainsConfig.model_validate(scene), seed=seed)
    ingest([source], recording, config=IngestConfig(), receipt=receipt("ingest"), compute=COMPUTE)
    config = WallsConfig.model_validate(settings)
    describe(recording, target, config=config, receipt=receipt("describe"), compute=COMPUTE)
    return source, target


def groups(source: Path, target: Path) -> tuple[xr.Dataset, xr.Dataset]:
    """The maps of the descriptors, and the truth."""
    maps = store.open_store(target, group="maps").load()
    return maps, store.open_store(source, group="truth").load()


def with_frames(trial: Trial, quick: bool) -> dict[str, Any]:
    """The scene of a trial, a third as long if quick."""
    scene = dict(trial.settings["scene"])
    return {**scene, "n_frames": scene["n_frames"] // 3} if quick else scene


def forces(trial: Trial, seed: int, quick: bool) -> Scores:
    """Line tension, force over time, built-in force and pins against the truth."""
    with scratch() as folder, clock() as took:
        pair = described(folder, with_frames(trial, quick), {"sites": {"spacing": 12}}, seed=UNSEEN + seed)  # fmt: skip
        maps, truth = groups(*pair)
        steps = wall_steps(maps, compute=COMPUTE)
        found = force_balance_of(maps, steps)
    seen = density(steps, found.field.value.shape) >= SEEN
    mobility = wall_speed(1.0, steps_per_frame=domains_steps(truth))
    field, bias = truth["effective_field"].to_numpy()[1:-1], truth["bias"].to_numpy()
    drive = found.drive.value[1:-1]
    within = (found.field.low < mobility * bias) & (mobility * bias < found.field.high)
    energy = np.zeros(seen.shape) if found.energy is None else -found.energy.value
    return {
        "field": float(np.corrcoef(found.field.value[seen], bias[seen])[0, 1]),
        "coverage": float(within[seen].mean()),
        "drive": float(np.corrcoef(drive, field)[0, 1]),
        "drive_slope": float(abs(np.polyfit(field, drive, 1)[0] / mobility - 1)),
        "tension": float(abs(found.tension.value / tension_of(truth) - 1)),
        "pins": scores.auc(np.where(seen, energy, np.nan), near_pins(truth)),
        "left_out_r2": found.r2,
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
    }


def force_balance_of(maps: xr.Dataset, steps: WallSteps) -> Forces:
    """The force balance as the analysis makes it."""
    uneven = uneven_amplitude(maps, compute=COMPUTE)
    at = ndi.map_coordinates(uneven, [steps.y, steps.x], order=1, mode="nearest") > UNEVEN
    drift = np.abs(maps["drift"].to_numpy()).max()
    return balance(
        steps,
        uneven=at,
        shape=(maps.sizes["y"], maps.sizes["x"]),
        n_frames=maps.sizes["frame"],
        margin=int(np.ceil(drift)) + 8,
        seed=0,
    )


def domains_steps(truth: xr.Dataset) -> int:
    """Time steps of the simulation per frame."""
    per_field = float(truth.attrs["wall_speed_per_field"])
    return round(per_field / wall_speed(1.0, steps_per_frame=1))


def tension_of(truth: xr.Dataset) -> float:
    """Line tension times mobility of the simulation, c [px² per frame]."""
    return domains_steps(truth) * TIME_STEP / PIXEL**2


def near_pins(truth: xr.Dataset) -> np.ndarray:
    """Pixels of pins (y, x), bool."""
    y, x = np.indices(truth["bias"].shape)
    near = np.zeros(y.shape, bool)
    for pin in truth["pins"].to_numpy():
        near |= np.hypot(y - pin[0], x - pin[1]) <= PIN
    return near


def changes(trial: Trial, seed: int, quick: bool) -> Scores:
    """F1 of arriving and leaving walls at three noise levels, against the true walls."""
    values: Scores = {}
    with scratch() as folder, clock() as took:
        for snr in trial.settings["snr"]:
            scene = {**with_frames(trial, quick), "probe": {"snr": snr}}
            place = folder / str(snr)
            place.mkdir()
            maps, truth = groups(*described(place, scene, {"sites": {"spacing": 12}}, seed=UNSEEN + seed))  # fmt: skip
            true = scores.truth_maps(truth)
            frames = range(maps.sizes["frame"] - 1)
            kinds = [
                evolution(which, frames=frames, config=CONFIG)["transition"].to_numpy()
                for which in (maps, true)
            ]
            judged = true["valid"].to_numpy()[:-1]
            for name, kind in (("forward", FORWARD), ("reverse", REVERSE)):
                found, expected = (one == kind for one in kinds)
                f1 = scores.wall_f1(found, expected, tolerance=2, judged=judged)
                values[f"{name}_{snr}"] = f1
    return values | {"seconds": took.seconds, "seconds_cpu": took.seconds_cpu}


def velocity(trial: Trial, seed: int, quick: bool) -> Scores:
    """Relative error of the mean velocity of free walls at four fields."""
    errors = []
    with scratch() as folder, clock() as took:
        for field in FIELDS[-1:] if quick else FIELDS:
            scene = {
                "n_frames": 6,
                "sample": FREE,
                "field": {"waveform": "constant", "amplitude": field},
            }
            place = folder / str(field)
            place.mkdir()
            source, target = described(place, scene, {"sites": {"spacing": 12}}, seed=UNSEEN + seed)
            maps, truth = groups(source, target)
            contours = store.open_store(target, group="contours").load()
            motion = wall_motion(maps, contours, frames=range(1, 4), config=CONFIG)
            expected = wall_speed(field, steps_per_frame=domains_steps(truth))
            errors.append(float(np.nanmean(motion["normal_velocity"])) / expected - 1)
    worst = float(np.abs(errors).max())
    return {"velocity": worst, "seconds": took.seconds, "seconds_cpu": took.seconds_cpu}


def rough_walls(trial: Trial, seed: int, quick: bool) -> Scores:
    """Error of the exponent ζ of lines that were drawn with three exponents, through blur, noise and detection."""
    rng = np.random.default_rng(UNSEEN + seed)
    values: Scores = {}
    with clock() as took:
        for zeta in EXPONENTS:
            lines = [_detected(rng, zeta, trial.settings) for _ in range(10 if quick else 30)]
            whole = [line for line in lines if line is not None]
            found, _ = roughness(whole, smoothing=trial.settings["smoothing"], seed=0)
            values[f"zeta_{zeta}"] = abs(found.value - zeta)
            values[f"signed_{zeta}"] = found.value - zeta
    return values | {"seconds": took.seconds, "seconds_cpu": took.seconds_cpu}


def _detected(
    rng: np.random.Generator, zeta: float, settings: Mapping[str, Any]
) -> np.ndarray | None:
    """Displacement of a detected wall whose true line is rough."""
    side = int(settings["side"])
    waves = np.fft.rfftfreq(4 * side)[1:]
    noise = rng.standard_normal(len(waves)) + 1j * rng.standard_normal(len(waves))
    line = np.fft.irfft(np.concatenate([[0], waves ** -(0.5 + zeta) * noise]), 4 * side)[:side]
    line = (line - line.mean()) * settings["sd"] / line.std()
    rows = np.arange(side)[:, None] - side / 2
    p = ndi.gaussian_filter(np.tanh((rows - line) * PIXEL / np.sqrt(2)), settings["tip_sd"])
    p += rng.normal(0, 1 / settings["snr"], p.shape)
    walls = find_walls(
        p, np.ones(p.shape, bool), config=WallConfig(smoothing=settings["smoothing"])
    )
    return displacement(max(walls, key=lambda wall: wall.length).points)


LABELS = ("switching_degree", "wall_curvature", "domain_convexity", "switch_significance")


def latents(trial: Trial, seed: int, quick: bool) -> Scores:
    """R² of true descriptors in movies that the model has not seen, from its latent variables by nearest neighbours."""
    scene, settings = with_frames(trial, quick), trial.settings["describe"]
    content, target, movie = [], [], []
    with scratch() as folder:
        _, learnt = described(folder, scene, settings, seed=UNSEEN + 100 * seed)
        patches = store.open_store(learnt)["patch"].load()
        model = shortened(trial.settings["model"], quick=quick)
        training = train(model, patches, seed=seed)
        for number in range(1, 4):
            source, stored = described(folder, scene, settings, seed=UNSEEN + 100 * seed + number)
            sites = store.open_store(stored).load()
            encoded = training.model.encode(sites["patch"])
            truth = store.open_store(source, group="truth").load()
            window = int(sites.sizes["patch_y"])
            answers = describe_sites(
                scores.truth_maps(truth), sites, window=window, config=CONFIG, compute=COMPUTE
            )
            content.append(encoded["content"].transpose("site", "latent").to_numpy())
            target.append(answers)
            movie.append(np.full(len(content[-1]), number))
    found = {}
    for name in LABELS:
        values = np.concatenate([one[name].to_numpy() for one in target])
        r2 = scores.held_out_r2(
            np.concatenate(content), values, np.zeros((len(values), 2)), gap=0, group=np.concatenate(movie)
        )  # fmt: skip
        found[name] = r2["kNN"]
    return found | training.cost


def forces_trial(name: str, words: str, scene: dict[str, Any], pins: float) -> Trial:
    """A trial of the force balance."""
    return Trial(
        name=name,
        words=words,
        run=forces,
        settings={"scene": scene},
        goals=(
            Goal("field", "correlation of the built-in force with the true field", "–", 0.85, 0.85),
            Goal("coverage", "share of pixels whose interval of 95 % holds the true force"),
            Goal(
                "drive", "correlation of the force over time with the true field", "–", 0.99, 0.99
            ),
            Goal("drive_slope", "relative error of its slope", "–", 0.03, 0.03, better="low"),
            Goal("tension", "relative error of the line tension", "–", 0.15, 0.15, better="low"),
            Goal("pins", "AUC of pins from the wall energy, where walls went", "–", pins, pins),
            Goal("left_out_r2", "R² of v + cκ in frames that were left out"),
        ),
        n_seeds=5,
        chapter="domains",
    )


EVOLUTION = ((10, 0.93), (5, 0.90), (3, 0.87))
TRIALS = (
    forces_trial(
        "wall-forces", "forces on walls, 48 frames of the default scene", {"n_frames": 48}, 0.7
    ),
    forces_trial(
        "wall-forces-hidden",
        "forces on walls, 48 frames, pins that the amplitude does not show (gradient coefficient), no lamellae",
        {
            "n_frames": 48,
            "sample": {"pins": {"kind": "gradient"}, "lamellae": {"enabled": False}},
        },
        0.7,
    ),
    Trial(
        name="wall-changes",
        words="walls that arrive and leave between frames, F1 at 2 px, 12 frames of the default scene",
        run=changes,
        settings={"scene": {"n_frames": 12}, "snr": [10, 5, 3]},
        goals=tuple(
            Goal(f"{name}_{snr}", f"{words}, SNR {snr}", "–", mark, mark)
            for snr, mark in EVOLUTION
            for name, words in (("forward", "arriving"), ("reverse", "leaving"))
        ),
        n_seeds=5,
        chapter="domains",
    ),
    Trial(
        name="wall-velocity",
        words="velocity of free walls at fields of 0.02 to 0.2, SNR 10",
        run=velocity,
        settings={},
        goals=(Goal("velocity", "largest relative error", "–", 0.03, 0.03, better="low"),),
        n_seeds=5,
        chapter="domains",
    ),
    Trial(
        name="wall-roughness",
        words="exponent ζ of 30 rough walls of 256 px through blur, noise (SNR 5) and detection",
        run=rough_walls,
        settings={"side": 256, "sd": 8.0, "tip_sd": 1.2, "snr": 5.0, "smoothing": 1.5},
        goals=tuple(
            Goal(f"zeta_{zeta}", f"error of ζ = {zeta}", "–", 0.05, None, better="low")
            for zeta in EXPONENTS
        ),
        remark="The goal is a bias of at most 0.05; the error of one seed has a sampling error of about 0.05.",
        n_seeds=5,
        chapter="domains",
    ),
    Trial(
        name="wall-latents",
        words="true descriptors of three unseen movies from five latent variables (channels of motion, 40 frames, SNR 10)",
        run=latents,
        settings={
            "scene": {"n_frames": 40},
            "describe": {
                "sites": {"spacing": 4, "max_sites": 12_000},
                "patches": {"window": 32, "channels": {"kind": "differences"}},
            },
            "model": {
                "family": "rtVAE",
                "latent_dim": 5,
                "pose_inference": "exact",
                "training": {"epochs": 15, "batch_size": 64, "angle_start": "free"},
            },
        },
        goals=(
            Goal("switching_degree", "R² of the switched share", "–", 0.95, 0.95),
            Goal("wall_curvature", "R² of the curvature", "–", 0.85, 0.85),
            Goal("domain_convexity", "R² of the convexity", "–", 0.93, 0.93),
            Goal("switch_significance", "R² of the change until the next frame", "–", 0.75, 0.75),
        ),
        n_seeds=5,
        chapter="domains",
    ),
)
