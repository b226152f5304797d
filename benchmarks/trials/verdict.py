"""The verdict: whether it is red on good classes (false alarms) or green on bad ones (misses); the truth decides which are which.

python -m benchmarks.trials.verdict --seed 0      # a line for every run of a seed
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks import scores
from benchmarks.trial import Goal, Scores, Trial, shortened, train
from invae.config.synthetic import CardsConfig
from invae.synthetic import cards
from invae.synthetic.posing import Poses, posed
from invae.verdict.findings import Verdict

SIZE, PICTURE = 28, 256
"""Sides of a frame and of the upright letter from which it is sampled [px]."""
GOOD, BAD = 0.95, 0.9
"""Accuracy from which classes are good, and up to which they are bad; runs between count for neither."""
FOREIGN = 12
"""Distance of a second object from the first [px]."""
N_OF_EACH = 4
"""Settings of a seed that are expected to be good, and as many that are expected to be bad."""

Spoil = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def gradient(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A plane in any direction on every image."""
    turn, slope = rng.uniform(0, 2 * np.pi, len(images)), rng.uniform(0.1, 0.4, len(images))
    along = np.linspace(-1, 1, images.shape[-1])
    plane = np.cos(turn)[:, None, None] * along[:, None] + np.sin(turn)[:, None, None] * along
    return images + slope[:, None, None] * plane


def second_object(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of another image at the rim of every second one."""
    others = rng.permutation(len(images))
    added = np.zeros_like(images)
    for k in range(1, len(images), 2):
        moved = tuple(rng.choice([-FOREIGN, FOREIGN], 2))
        added[k] = np.roll(images[others[k]], moved, (0, 1))
    return images + added


def occlusion(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square of 8 × 8 pixels of one level on every image."""
    hidden = images.copy()
    for image in hidden:
        y, x = rng.integers(4, 16, 2)
        image[y : y + 8, x : x + 8] = rng.uniform(0, 1)
    return hidden


def noise(sd: float) -> Spoil:
    """Normal noise."""
    return lambda images, rng: images + rng.normal(0, sd, images.shape)


@dataclass(frozen=True)
class Setting:
    """One kind of run."""

    kinds: str = "cards"
    """`cards`, or letters."""
    n_images: int = 1000
    spoil: Spoil | None = None
    n_classes: int | None = None
    """Asked for; the number of kinds when empty."""
    shift: float = 0.1
    family: str = "jrtVAE"

    def drawn(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, y, x) and their kinds."""
        make = _cards if self.kinds == "cards" else _letters
        images, kind = make(self, seed)
        if self.spoil is not None:
            images = self.spoil(images, np.random.default_rng(seed))
        return images.astype(np.float32), kind


def _cards(setting: Setting, seed: int) -> tuple[np.ndarray, np.ndarray]:
    config = CardsConfig(
        n_per_suit=setting.n_images // 4, size=SIZE, angle=120, shear=10, shift=setting.shift
    )
    drawn = cards.draw(config, seed=seed)
    return drawn["image"].to_numpy(), drawn["suit"].to_numpy().astype(int)


def _letters(setting: Setting, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, 1])
    kind = rng.integers(0, len(setting.kinds), setting.n_images)
    upright = np.stack([letter(symbol) for symbol in setting.kinds])[kind]
    poses = Poses(
        angle=rng.uniform(-np.pi, np.pi, len(kind)),
        shear=np.zeros(len(kind)),
        shift=rng.uniform(-setting.shift, setting.shift, (len(kind), 2)),
    )
    return posed(upright, poses, size=SIZE, oversampling=3), kind


@cache
def letter(symbol: str, fill: float = 0.5) -> np.ndarray:
    """An upright letter (y, x), 1 inside its outline; `fill` is half its longer side relative to half the frame."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    text = TextPath(
        (0, 0), symbol, size=100, prop=FontProperties(family="DejaVu Sans", weight="bold")
    )
    corners = text.to_polygons()
    points = np.concatenate(corners)
    low, high = points.min(0), points.max(0)
    along = np.linspace(-1, 1, PICTURE)
    x, y = np.meshgrid(along, -along)
    inside = np.zeros(PICTURE**2, bool)
    for polygon in corners:
        scaled = (polygon - (low + high) / 2) / (high - low).max() * 2 * fill
        inside ^= Path(scaled).contains_points(np.column_stack((x.ravel(), y.ravel())))
    return inside.reshape(PICTURE, PICTURE).astype(np.float32)


HOPEFUL: Mapping[str, Setting] = {
    "cards": Setting(),
    "letters": Setting("FGRJ"),
    "few cards": Setting(n_images=400),
    "ten asked for four": Setting(n_classes=10),
    "six letters": Setting("ABEFGJ"),
    "noise .3": Setting(spoil=noise(0.3)),
    "six asked for four": Setting(n_classes=6),
    "few letters": Setting("FGRJ", n_images=400),
}
"""Runs that are expected to be good."""
SPOILED: Mapping[str, Setting] = {
    "gradient": Setting(spoil=gradient),
    "three asked for four": Setting(n_classes=3),
    "second object": Setting(spoil=second_object),
    "noise 1": Setting(spoil=noise(1.0)),
    "occlusion": Setting(spoil=occlusion),
    "four asked for six": Setting("ABEFGJ", n_classes=4),
    "no shift in the family": Setting(shift=0.25, family="jrVAE"),
    "sixty letters": Setting("FGRJ", n_images=120, spoil=noise(0.5)),
}
"""Runs that are expected to be bad."""
MODEL: dict[str, Any] = {"latent_dim": 2, "training": {"epochs": 24}}


@dataclass(frozen=True)
class Run:
    """A run, what it is by the truth, and the verdict on it."""

    name: str
    accuracy: float
    verdict: Verdict
    seconds: float

    def __str__(self) -> str:
        said = "; ".join(f"{f.name} {f.light}: {f.how_much}" for f in self.verdict.concerns)
        return f"{self.name}: accuracy {self.accuracy:.3f}, {self.verdict.light}, {self.seconds:.0f} s; {said}"


def settings_of(seed: int) -> dict[str, Setting]:
    """The settings of a seed: half of all, in turns."""
    chosen: dict[str, Setting] = {}
    for settings in (HOPEFUL, SPOILED):
        names = [*settings]
        for k in range(N_OF_EACH):
            name = names[(seed * N_OF_EACH + k) % len(names)]
            chosen[name] = settings[name]
    return chosen


def run_of(name: str, setting: Setting, model: Mapping[str, Any], *, seed: int) -> Run:
    """Train one setting and ask for the verdict, which knows nothing of the truth."""
    images, kind = setting.drawn(seed)
    asked = setting.n_classes or int(kind.max()) + 1
    options = {"family": setting.family, "n_classes": asked, **model}
    if setting.family == "jrtVAE":
        options["translation"] = {"prior_sd": 0.12}
    training = train(options, images, seed=seed)
    classes = training.model.encode(images)["class"].to_numpy().astype(int)
    accuracy = scores.accuracy(classes, kind)
    return Run(name, accuracy, training.model.verdict(), training.cost["seconds"])


def count(runs: list[Run]) -> Scores:
    """False alarms and misses of some runs."""
    good = [run.verdict.light for run in runs if run.accuracy >= GOOD]
    bad = [run.verdict.light for run in runs if run.accuracy <= BAD]
    return {
        "false_alarms": good.count("red") / max(len(good), 1),
        "misses": bad.count("green") / max(len(bad), 1),
        "green_of_good": good.count("green") / max(len(good), 1),
        "red_of_bad": bad.count("red") / max(len(bad), 1),
        "n_good": float(len(good)),
        "n_bad": float(len(bad)),
    }


def judged(trial: Trial, seed: int, quick: bool) -> Scores:
    """The runs of a seed."""
    model = shortened(trial.settings["model"], quick=quick)
    settings = settings_of(seed)
    runs = [run_of(name, setting, model, seed=seed) for name, setting in settings.items()]
    return count(runs)


TRIALS = (
    Trial(
        name="verdict",
        words="40 good and 40 bad trainings with classes",
        run=judged,
        settings={"model": MODEL, "good": GOOD, "bad": BAD, "of_each": N_OF_EACH},
        goals=(
            Goal("false_alarms", "good runs that are red", "–", 0.05, better="low"),
            Goal("misses", "bad runs that are green", "–", 0.1, better="low"),
            Goal("green_of_good", "good runs that are green"),
            Goal("red_of_bad", "bad runs that are red"),
            Goal("n_good", "good runs of a seed"),
            Goal("n_bad", "bad runs of a seed"),
        ),
        chapter="verdict",
        n_seeds=10,
        remark=f"Good: accuracy ≥ {GOOD} by the truth, which the verdict does not know; bad: ≤ {BAD}. Each seed trains {N_OF_EACH} settings "
        f"that are expected to be good ({', '.join(HOPEFUL)}) and {N_OF_EACH} that are expected to be bad ({', '.join(SPOILED)}).",
    ),
)
