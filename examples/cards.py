"""The founding figures: every family on cards that are rotated and sheared, into docs/.

    python -m examples.cards --out docs

One seed, few cards and short trainings take some minutes on two cores. The figures show how families differ, the scoreboard
(benchmarks/) how good they are.
"""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from invae import dims
from invae.analysis.classes import members_of
from invae.analysis.clusters import mixture, standardised
from invae.analysis.confusion import Known, compare, known_classes
from invae.analysis.decoding import decoder_of, states_of
from invae.analysis.ground_truth import angle_scores
from invae.analysis.traversal import manifold
from invae.config.synthetic import CardsConfig
from invae.estimators.invariant_vae import InvariantVAE
from invae.report import as_bytes, gallery, style
from invae.report.latent_plane import Colouring
from invae.synthetic import cards

DPI = 130
SIZE, PER_SUIT, EPOCHS, BATCH = 32, 150, 30, 50
SEED = 0
LABEL_SHARE = 0.0625
SETTINGS = ((12, 1), (12, 10), (120, 10), (120, 20))
"""Largest angle and shear [degree]."""
FAMILIES: dict[str, dict[str, Any]] = {
    "VAE": {},
    "rVAE": {},
    "jVAE": {"n_classes": 4},
    "jrVAE": {"n_classes": 4},
    "cVAE": {},
    "ssVAE": {"n_classes": 4},
    "ssrVAE": {"n_classes": 4},
}
STEPS, STEPS_OF_CLASS = 9, 5
"""Images along an axis of a manifold, without classes and with four."""
N_SAMPLES = 16


@dataclass(frozen=True)
class Answer:
    """The result of a family for a setting."""

    cell: gallery.Cell
    angle: float
    """Agreement of the angle with the true one in the worst suit, modulo symmetry; NaN without an angle."""
    seconds: float


def name_of(setting: tuple[int, int]) -> str:
    """The label of a setting: `a 120°, s 10°`."""
    return f"a {setting[0]}°, s {setting[1]}°"


def draw(setting: tuple[int, int]) -> xr.Dataset:
    """The set of a setting."""
    angle, shear = setting
    config = CardsConfig(n_per_suit=PER_SUIT, size=SIZE, angle=angle, shear=shear, shift=0)
    return cards.draw(config, seed=SEED)


def answers_of(setting: tuple[int, int]) -> list[Answer]:
    """Results of all families for a setting, on one core."""
    torch.set_num_threads(1)
    drawn = draw(setting)
    return [answer_of(family, setting, drawn) for family in FAMILIES]


def answer_of(family: str, setting: tuple[int, int], drawn: xr.Dataset) -> Answer:
    """Train one family on one set and evaluate it."""
    began = time.monotonic()
    patches = drawn["image"].to_numpy().astype(np.float32)
    suit = drawn["suit"].to_numpy().astype(np.int64)
    condition = np.eye(4, dtype=np.float32)[suit] if family.startswith("c") else None
    labelled = np.random.default_rng(SEED).random(len(suit)) < LABEL_SHARE
    labels = np.where(labelled, suit, -1) if family.startswith("ss") else None
    vae = InvariantVAE(
        family,  # pyright: ignore[reportArgumentType]
        seed=SEED,
        training={"epochs": EPOCHS, "patience": EPOCHS, "batch_size": BATCH},
        device="cpu",
        **FAMILIES[family],
    )
    vae.fit(patches, y=labels, condition=condition)
    sites = vae.encode(patches, condition=condition)
    if condition is not None:
        names = [f"suit={name}" for name in cards.SUITS]
        sites["condition"] = ((dims.SITE, "condition_name"), condition)
        sites = sites.assign_coords(condition_name=names)
    sites = sites.assign_coords(truth_suit=(dims.SITE, suit, drawn["suit"].attrs))
    known = known_classes(sites)
    assert known is not None
    state = states_of(sites)
    label = state if state is not None else by_content(sites)
    cell = gallery.Cell(
        setting=name_of(setting),
        family=family,
        content=sites["content"].to_numpy(),
        known=Colouring("suit", suit, classes=known.meanings),
        traversal=manifold_of(vae, sites),
        agreement=compare({"class": label}, known, n_found={"class": len(cards.SUITS)}).isel(
            labelling=0
        ),
        has_classes=state is not None,
    )
    angle = angle_of(sites, drawn["angle"].to_numpy(), known, label)
    return Answer(cell, angle, time.monotonic() - began)


def by_content(sites: xr.Dataset) -> np.ndarray:
    """Four classes of a mixture of the content, for families without classes."""
    values = standardised(sites["content"].to_numpy().astype(np.float64))
    return mixture(values, n_classes=len(cards.SUITS), seed=SEED).predict(values)


def manifold_of(vae: InvariantVAE, sites: xr.Dataset) -> xr.Dataset:
    """Decoded images over the latent plane, for each class or condition."""
    members = members_of(sites)
    with tempfile.TemporaryDirectory() as folder:
        vae.save(folder)
        decode = decoder_of(Path(folder))
    return manifold(
        sites["content"],
        decode,
        steps=STEPS_OF_CLASS if members else STEPS,
        channels=["image"],
        content_sd=sites.get("content_sd"),
        members=members,
    )


def angle_of(sites: xr.Dataset, true: np.ndarray, known: Known, label: np.ndarray) -> float:
    """Agreement in the worst suit."""
    if "angle" not in sites:
        return float("nan")
    scores = angle_scores(sites["angle"].to_numpy(), true, known=known, label=label)
    return float(scores["angle_by_class"].min())


def main() -> None:
    """Train all families, draw the figures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the page")
    parser.add_argument("--workers", type=int, default=2, help="settings processed in parallel")
    options = parser.parse_args()
    began, spawn = time.monotonic(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=spawn) as pool:
        answers = [a for of_setting in pool.map(answers_of, SETTINGS) for a in of_setting]
    folder = options.out / "images" / "cards"
    folder.mkdir(parents=True, exist_ok=True)
    cells = [answer.cell for answer in answers]
    shown = {name_of(s): draw(s)["image"].to_numpy()[:N_SAMPLES] for s in SETTINGS}
    with style.applied(DPI):
        for name, figure in {
            "cards": gallery.samples(shown),
            "latents": gallery.latent_spaces(cells),
            "manifolds": gallery.manifolds(cells),
            "confusion": gallery.confusions(cells),
        }.items():
            (folder / f"{name}.png").write_bytes(as_bytes(figure, "png"))
    (options.out / "cards.md").write_text(page(answers), encoding="utf-8")
    print(f"{options.out / 'cards.md'} after {time.monotonic() - began:.0f} s")


def page(answers: list[Answer]) -> str:
    """The page of the documentation."""
    text = Path(__file__).with_name("cards.md").read_text(encoding="utf-8")
    facts = {
        "n_images": 4 * PER_SUIT,
        "per_suit": PER_SUIT,
        "size": SIZE,
        "epochs": EPOCHS,
        "label_share": f"{100 * LABEL_SHARE:g}",
        "accuracy": table(answers, lambda a: float(a.cell.agreement["accuracy"])),
        "angle": table(answers, lambda a: a.angle),
    }
    for name, value in facts.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def table(answers: list[Answer], value_of: Any) -> str:
    """Numbers by setting and family, as Markdown; families without numbers are left out."""
    values = {(a.cell.setting, a.cell.family): value_of(a) for a in answers}
    families = [f for f in FAMILIES if any(v == v for (_, g), v in values.items() if g == f)]
    lines = [f"| setting | {' | '.join(families)} |", f"|---{'|---' * len(families)}|"]
    for setting in map(name_of, SETTINGS):
        numbers = " | ".join(f"{values[setting, family]:.2f}" for family in families)
        lines.append(f"| {setting} | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
