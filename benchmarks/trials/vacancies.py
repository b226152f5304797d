"""Vacancies in simulated images of atoms: recall and precision of the listed ones."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from benchmarks.trial import Goal, Scores, Trial, clock
from invae.config.atoms import FindConfig
from invae.config.scenes import AtomFramesConfig
from invae.descriptors.atoms.find import find_atoms
from invae.descriptors.atoms.vacancies import vacancies
from invae.synthetic import atoms

UNSEEN = 10_000
SAME = 4.0
"""Largest distance between a listed and a true site [px]."""


@dataclass(frozen=True)
class Counts:
    """Vacancies of some frames."""

    known: int
    """True vacancies at least two spacings inside the frame."""
    listed: int
    """Listed ones among them."""
    false: int
    """Listed positions with an atom or without a site."""


def listed(trial: Trial, seed: int, quick: bool) -> Scores:
    """Recall and precision of the listed vacancies over all lattices and images."""
    with clock() as took:
        images = trial.settings.get("imaging", [{}])
        counts = [
            _counted({**lattice, "imaging": imaging}, UNSEEN + seed)
            for lattice in trial.settings["lattices"]
            for imaging in images
        ]
    known, right, false = (
        sum(getattr(count, name) for count in counts) for name in ("known", "listed", "false")
    )
    return {
        "recall": right / known,
        "precision": right / max(right + false, 1),
        "known": float(known),
        "seconds": took.seconds,
        "seconds_cpu": took.seconds_cpu,
    }


def _counted(settings: dict, seed: int) -> Counts:
    """Counts of one frame of a lattice with a random rotation."""
    angle = float(np.random.default_rng(seed).uniform(0, 60))
    imaging = {**AtomFramesConfig().imaging.model_dump(), **settings["imaging"]}
    config = AtomFramesConfig.model_validate({**settings, "angle": angle, "imaging": imaging})
    scene = atoms.draw(config, seed=seed)
    image = scene["image"].to_numpy()[0].astype(float)
    positions = vacancies(image, find_atoms(image, config=FindConfig())).position
    true = np.column_stack([scene[name][0] for name in ("atom_y", "atom_x")])
    empty = true[~scene["occupied"].to_numpy()[0]]
    margin = 2 * config.spacing / config.imaging.pixel_size
    inner = ((empty > margin) & (empty < np.array(image.shape) - 1 - margin)).all(axis=1)
    if not len(positions):
        return Counts(int(inner.sum()), 0, 0)
    right = np.asarray(KDTree(positions).query(empty[inner])[0]) < SAME
    false = np.asarray(KDTree(empty).query(positions)[0]) >= SAME
    return Counts(int(inner.sum()), int(right.sum()), int(false.sum()))


LATTICES = [
    {"lattice": "square", "vacancies": 0.02},
    {"lattice": "hexagonal", "vacancies": 0.02},
    {"lattice": "honeycomb", "spacing": 0.25, "elements": ["Mo", "S2"], "vacancies": 0.02},
    {"lattice": "honeycomb", "spacing": 0.3, "elements": ["C"], "vacancies": 0.02},
]
TAILS = [
    {"tails": 0.2, "atom_sd": 0.055, "dose": dose, "background": dose / 10}
    for dose in (40.0, 100.0, 200.0, 500.0)
]
"""Images with one fifth of an atom's height in the tails of the probe."""
GOALS = (
    Goal("recall", "recall: fraction of the vacancies that are listed", "–", 0.95, 0.9),
    Goal(
        "precision",
        "precision: fraction of the listed ones that are vacancies",
        "–",
        0.98,
        0.95,
    ),
    Goal("known", "vacancies"),
)
TRIALS = (
    Trial(
        name="vacancies",
        words="2 % of the sites empty in frames of 512², 50 electrons at the centre of the faintest atom: square, hexagonal, two honeycombs",
        run=listed,
        settings={"lattices": LATTICES},
        goals=GOALS,
        remark="Vacancies at least two spacings inside the frame, so that all neighbours are in it; disorder 0.25 px, jitter 0.2 px.",
        chapter="microscopy",
    ),
    Trial(
        name="vacancies, tails",
        words="2 % of the sites empty, 40, 100, 200 and 500 electrons at the centre of the faintest atom, a fifth of its height in tails three times as wide",
        run=listed,
        settings={"lattices": LATTICES[:3], "imaging": TAILS},
        goals=GOALS,
        remark="Square, hexagonal and MoS₂ in frames of 512²; as above otherwise.",
        chapter="microscopy",
    ),
)
