"""Cards with a second card beside them, or hidden in part: classes with and without a mask of foreign objects, and the verdict."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks import scores
from benchmarks.trial import Goal, Scores, Trial, shortened, train
from benchmarks.trials.cards import MODEL, UNSEEN, arrays, draw
from benchmarks.trials.verdict import occlusion, second_object
from invae import InvariantVAE
from invae.verdict.findings import LIGHTS

SHOWN = 0.1
"""Level from which a pixel of a second card is seen; a card has the level 1."""
SPOILS: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none": lambda images, rng: images,
    "second object": second_object,
    "occlusion": occlusion,
}
MASKED = {"likelihood": {"kind": "gaussian", "foreign": "mask"}}


def run(trial: Trial, seed: int, quick: bool) -> Scores:
    """Train on spoiled cards with the mask and without, and score on others; the cost is that with the mask."""
    images, _, _ = spoiled(trial.settings, seed=seed)
    unseen = spoiled(trial.settings, seed=UNSEEN + seed)
    model = shortened(trial.settings["model"], quick=quick)
    plain = train(model, images, seed=seed)
    masked = train({**model, **MASKED}, images, seed=seed)
    without = {f"{name}_plain": value for name, value in judged(plain.model, *unseen).items()}
    cost = {"time_ratio": masked.cost["seconds_cpu"] / plain.cost["seconds_cpu"]}
    return judged(masked.model, *unseen) | without | masked.cost | cost


def spoiled(
    setting: Mapping[str, Any], *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Images (n, y, x), their suits, and the pixels of second cards (n, y, x), where there are some."""
    clean, suit = arrays(draw(setting["cards"], seed=seed))
    images = SPOILS[setting["spoil"]](clean, np.random.default_rng(seed)).astype(np.float32)
    second = images - clean > SHOWN if setting["spoil"] == "second object" else None
    return images, suit, second


def judged(
    vae: InvariantVAE, images: np.ndarray, suit: np.ndarray, second: np.ndarray | None
) -> Scores:
    """Accuracy of the classes, light of the verdict, and agreement of the masks with the second cards."""
    classes = vae.encode(images)["class"].to_numpy().astype(int)
    found = vae.foreign_mask(images).to_numpy()
    values = {
        "accuracy": scores.accuracy(classes, suit),
        "light": float(LIGHTS.index(vae.verdict().light)),
        "masked_share": float(found.mean()),
    }
    if second is not None:
        values["overlap"] = float((found & second).sum() / (found | second).sum())
    return values


CARDS = {"n_per_suit": 250, "size": 28, "angle": 120, "shear": 10, "shift": 0.1}
SETTINGS = {"cards": CARDS, "model": {**MODEL, "training": {"epochs": 24}}}
LIGHT = "light of the verdict: 0 green, 1 amber, 2 red"


TRIALS = (
    Trial(
        name="cards-second-object",
        words="jrtVAE, 1,000 cards of 28², part of another card beside every second one, likelihood.foreign=mask",
        run=run,
        settings={**SETTINGS, "spoil": "second object"},
        goals=(
            Goal("accuracy", "accuracy", "–", 0.95),
            Goal("overlap", "intersection over union of masks and second cards", "–", 0.8),
            Goal("accuracy_plain", "accuracy without the mask"),
            Goal("light_plain", f"without the mask, {LIGHT}", "–", 1.0),
            Goal("time_ratio", "processor time of the training, relative to that without the mask"),
        ),
    ),
    Trial(
        name="cards-occlusion",
        words="the same, 8² of the 28² pixels of every card hidden",
        run=run,
        settings={**SETTINGS, "spoil": "occlusion"},
        goals=(
            Goal("accuracy", "accuracy"),
            Goal("light", LIGHT, "–", 1.0, 1.0),
            Goal("accuracy_plain", "accuracy without the mask"),
            Goal("light_plain", f"without the mask, {LIGHT}", "–", 1.0, 1.0),
        ),
        remark="A square of 8 × 8 pixels of one level lies anywhere over the card. Matching with a library of clean cards reaches 52 to 60 % if it "
        "knows the hidden pixels: the verdict must not be green.",
    ),
    Trial(
        name="cards-foreign-clean",
        words="the same cards with nothing beside or over them",
        run=run,
        settings={**SETTINGS, "spoil": "none"},
        goals=(
            Goal("accuracy", "accuracy", "–", 0.99, 0.97),
            Goal("masked_share", "share of pixels that are masked", "–", 0.002, better="low"),
            Goal("light", LIGHT, "–", 1.0, better="low"),
        ),
    ),
)
