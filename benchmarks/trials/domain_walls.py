"""Domain walls in PFM frames with known walls: the zero level, Canny, contours at the middle level, and networks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from benchmarks.trial import Goal, Scores, Trial, clock
from invae.analysis.domains.scores import mask_iou, wall_f1
from invae.config import WallsConfig
from invae.config.describe import WallConfig
from invae.config.segment import WallVarietyConfig
from invae.config.synthetic import DomainsConfig
from invae.descriptors.domains.detection import Detected, detect
from invae.descriptors.domains.masks import invalid_reason
from invae.descriptors.domains.phase import (
    alignment,
    amplitude_scale,
    doubled_angle_histogram,
    phase_offset,
)
from invae.descriptors.domains.walls import canny_edges
from invae.segmentation.wall_calibration import calibration_error
from invae.synthetic.domains import simulate_dataset
from invae.synthetic.wall_frames import draw

UNSEEN = 70_000
"""Added to seeds: neither training nor calibration has these frames."""
METHODS: Mapping[str, WallConfig] = {
    "zero": WallConfig(level="zero", smoothing=1.5),
    "middle": WallConfig(method="contour"),
    "network": WallConfig(method="network"),
}
WORDS = {
    "zero": "contour at zero",
    "canny": "Canny",
    "middle": "contour at the middle level",
    "network": "networks",
}
NEAR = 1.0
"""Distance within which the network's probability refers to a wall [px]."""
REACHED = 2.0
"""Largest distance of a detected wall from a true one inside a lamella [px]."""

AWAY = 6.0
"""Distance from 180-degree walls beyond which the IoU of lamellae is scored once more [px]."""


@dataclass(frozen=True)
class Frame:
    """One frame, without phase offset, and its truth (y, x)."""

    response: np.ndarray
    wall: np.ndarray
    lamella: np.ndarray
    recorded: np.ndarray
    """Pixels of lines that were recorded."""


@dataclass(frozen=True)
class Masks:
    """What the methods say of one frame (y, x)."""

    walls: Mapping[str, np.ndarray]
    lamella: Mapping[str, np.ndarray]
    probability: np.ndarray
    spread: np.ndarray


def detected(trial: Trial, seed: int, quick: bool) -> Scores:
    """Scores of all methods at every signal to noise ratio of the trial."""
    scores: Scores = {}
    frames_of = SCENES[trial.settings["scene"]]
    with clock() as took:
        for snr in trial.settings["snr"]:
            frames = list(frames_of(trial.settings, UNSEEN + seed, float(snr), quick))
            masks = [masks_of(frame) for frame in frames]
            scores |= {f"{k}_{snr}": v for k, v in scored(frames, masks).items()}
    return scores | {"seconds": took.seconds, "seconds_cpu": took.seconds_cpu}


def series(settings: Mapping[str, Any], seed: int, snr: float, quick: bool) -> Iterator[Frame]:
    """Later frames of a switching sample; its domains, lamellae and microscope follow from the seed."""
    config = drawn(settings, seed, snr, n_frames=2 if quick else 4)
    recording, truth = simulate_dataset(config, seed)
    phase = recording["phase"].to_numpy().astype(float)
    response = recording["amplitude"].to_numpy() * np.exp(1j * phase)
    offset = phase_offset(np.sum([doubled_angle_histogram(frame) for frame in response], axis=0))
    recorded = ~(truth["scar"] | truth["tip_loss"]).to_numpy()
    for number in range(1, config.n_frames):
        wall = truth["wall"].to_numpy()[number]
        yield Frame(
            response[number] * np.exp(-1j * offset),
            wall,
            truth["non180"].to_numpy()[number],
            np.broadcast_to(recorded[number][:, None], wall.shape),
        )


def drawn(settings: Mapping[str, Any], seed: int, snr: float, *, n_frames: int) -> DomainsConfig:
    """The series of a seed, within the ranges of the settings."""
    rng = np.random.default_rng(seed)

    def between(name: str) -> float:
        return float(rng.uniform(*settings[name]))

    width = between("width")
    lamellae = {
        "angle": rng.uniform(0, 180),
        "width": width,
        "response": between("response"),
        "period": max(2.5 * width, rng.uniform(24, 70)),
    }
    start = ("labyrinth", "stripes", "nuclei")[seed % 3]
    sample = {"start": start, "domain_size": between("domain_size"), "lamellae": lamellae}
    probe = {
        "snr": snr,
        "tip_sd": between("tip_sd"),
        "background": between("background"),
        "background_phase": rng.uniform(0, 2 * np.pi),
        "phase_offset": rng.uniform(-1.4, 1.4),
        "scars": 0.8,
        "tip_loss": 0.15,
    }
    values = {
        "n_frames": n_frames,
        "sample": sample | dict(settings.get("sample", {})),
        "probe": probe | dict(settings.get("probe", {})),
    }
    return DomainsConfig.model_validate(values)


def single(settings: Mapping[str, Any], seed: int, snr: float, quick: bool) -> Iterator[Frame]:
    """Frames like those of the networks' training, from another seed."""
    config = WallVarietyConfig(size=settings["size"])
    for number in range(4 if quick else settings["n_frames"]):
        frame = draw(config, seed=seed, number=number, snr=snr)
        recorded = np.broadcast_to(frame.valid[:, None], frame.wall.shape)
        yield Frame(frame.response, frame.wall, frame.lamella, recorded)


SCENES: Mapping[str, Callable[[Mapping[str, Any], int, float, bool], Iterator[Frame]]] = {
    "series": series,
    "single": single,
}


def masks_of(frame: Frame) -> Masks:
    """Walls and lamellae of one frame by every method."""
    size, real = np.abs(frame.response), np.real(frame.response)
    reason = invalid_reason(
        real,
        alignment(frame.response, offset=0.0),
        size,
        scan_lines="rows",
        config=WallsConfig().masks,
    )
    valid = reason == 0
    scale = amplitude_scale(real, valid)
    polarization = (real / scale).astype(np.float32)

    def by(config: WallConfig) -> Detected:
        return detect(frame.response, polarization, valid, scan_lines="rows", config=config)

    found = {name: by(config) for name, config in METHODS.items()}
    cosine = np.divide(real, size, out=np.zeros_like(polarization, float), where=size > 0)
    canny = canny_edges(cosine, valid, sigma=WallConfig().canny_sigma)
    maps = found["network"].probabilities
    return Masks(
        {name: one.wall_180 for name, one in found.items()} | {"canny": canny},
        {name: one.lamella for name, one in found.items()},
        maps["wall_probability"],
        maps["wall_spread"],
    )


def scored(frames: list[Frame], masks: list[Masks]) -> Scores:
    """F1, IoU, recall inside lamellae, calibration error and the meaning of the spread, over frames."""
    wall, lamella, recorded = (
        np.stack([getattr(frame, name) for frame in frames])
        for name in ("wall", "lamella", "recorded")
    )
    scores: Scores = {}
    for name in WORDS:
        mine = np.stack([mask.walls[name] for mask in masks])
        for tolerance in (1, 2):
            scores[f"{name}_f1_{tolerance}"] = wall_f1(
                mine, wall, tolerance=tolerance, judged=recorded
            )
        scores[f"{name}_inside"] = recall(mine, wall & lamella & recorded)
    away = recorded & ~np.stack([within(one, AWAY) for one in wall])
    for name in METHODS:
        area = np.stack([mask.lamella[name] for mask in masks])
        scores[f"{name}_iou"] = mask_iou(area & recorded, lamella & recorded)
        scores[f"{name}_away"] = mask_iou(area & away, lamella & away)
    near = np.stack([within(one, NEAR) for one in wall])[recorded]
    probability = np.stack([mask.probability for mask in masks])[recorded]
    spread = np.stack([mask.spread for mask in masks])[recorded]
    scores["ece"] = calibration_error(probability, near)
    scores["auc"] = float(roc_auc_score((probability > 0.5) != near, spread))
    return scores


def recall(found: np.ndarray, true: np.ndarray) -> float:
    """Share of true pixels with a detected one within 2 px; NaN without true ones."""
    if not true.any():
        return float("nan")
    return float(np.stack([within(one, REACHED) for one in found])[true].mean())


def within(mask: np.ndarray, distance: float) -> np.ndarray:
    """Pixels within a distance of a mask (y, x) [px]."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask)) <= distance


@cache
def goals(marks: tuple[tuple[str, float], ...], snrs: tuple[int, ...]) -> tuple[Goal, ...]:
    """All scores at all signal to noise ratios; those with a mark are goals for the mean."""
    wanted = dict(marks)
    rows = []
    for snr in snrs:
        at = f", SNR {snr}"
        for name, words in WORDS.items():
            for tolerance in (1, 2):
                score = f"{name}_f1_{tolerance}_{snr}"
                rows.append(
                    Goal(score, f"F1 at {tolerance} px, {words}{at}", mean=wanted.get(score))
                )
        for name in ("middle", "network"):
            score = f"{name}_iou_{snr}"
            rows.append(Goal(score, f"IoU of lamellae, {WORDS[name]}{at}", mean=wanted.get(score)))
            away = f"IoU of lamellae more than 6 px from 180° walls, {WORDS[name]}{at}"
            rows.append(Goal(f"{name}_away_{snr}", away))
            score = f"{name}_inside_{snr}"
            rows.append(
                Goal(
                    score,
                    f"recall of 180° walls inside lamellae, {WORDS[name]}{at}",
                    mean=wanted.get(score),
                )
            )
        rows.append(
            Goal(
                f"ece_{snr}",
                f"calibration error of a wall within 1 px{at}",
                "–",
                0.02,
                better="low",
            )
        )
        rows.append(Goal(f"auc_{snr}", f"AUC of the spread against errors{at}", "–", 0.85))
    return tuple(rows)


RANGES = {
    "domain_size": [11, 24],
    "width": [4, 9],
    "response": [0.1, 0.45],
    "tip_sd": [0.8, 1.8],
    "background": [0.05, 0.2],
}
OUTSIDE = {
    "domain_size": [12, 30],
    "width": [5, 12],
    "response": [0.0, 0.3],
    "tip_sd": [0.8, 2.3],
    "background": [0.1, 0.35],
    "sample": {
        "grain_contrast": 0.4,
        "grain_groove": 0.3,
        "dust": 20,
        "families": [{"angle": 75, "period": 52, "width": 7, "response": 0.25, "needle": 25}],
    },
    "probe": {"line_gain": 0.06, "line_jumps": 0.3, "phase_drift": 0.15},
}
MARKS_SERIES = (
    ("middle_f1_1_10", 0.975),
    ("middle_f1_1_3", 0.955),
    ("middle_f1_2_10", 0.99),
    ("middle_f1_2_3", 0.985),
    ("network_iou_10", 0.90),
    ("network_iou_3", 0.85),
    ("middle_inside_10", 0.93),
)
MARKS_SINGLE = (
    ("network_f1_1_10", 0.94),
    ("network_f1_1_3", 0.90),
    ("network_f1_2_10", 0.96),
    ("network_f1_2_3", 0.945),
)
MARKS_OUTSIDE = (("network_f1_1_5", 0.94), ("network_f1_2_5", 0.98))
TRIALS = (
    Trial(
        name="domain-walls",
        words="PFM series of switching domains with lamellae and a background; another sample for every seed",
        run=detected,
        settings={"scene": "series", "snr": [30, 10, 5, 3], **RANGES},
        goals=goals(MARKS_SERIES, (30, 10, 5, 3)),
        remark="Three frames of every series. The networks were trained on frames of another generator.",
        chapter="domains",
    ),
    Trial(
        name="domain-walls-unclean",
        words="the same with grains, dust, needles, gain, jumps and phase drift of lines",
        run=detected,
        settings={"scene": "series", "snr": [10, 5], **OUTSIDE},
        goals=goals(MARKS_OUTSIDE, (10, 5)),
        remark="A setting that neither training nor any choice of a threshold has seen.",
        chapter="domains",
    ),
    Trial(
        name="domain-walls-hard",
        words="single unclean PFM frames with dense lamellae, like those of the networks' training",
        run=detected,
        settings={"scene": "single", "size": 128, "n_frames": 12, "snr": [10, 5, 3]},
        goals=goals(MARKS_SINGLE, (10, 5, 3)),
        remark="Frames from the generator of the training, with other seeds: they favour the networks.",
        chapter="domains",
    ),
)
