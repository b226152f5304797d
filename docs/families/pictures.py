"""Pictures for the pages about families: `python docs/families/pictures.py [NAME …]`; about a minute on one core."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from invae import Ensemble, InvariantVAE
from invae.config.synthetic import CardsConfig, ShiftsConfig
from invae.synthetic import cards, shifts

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parent / "images"
EPOCHS = {"epochs": 40}
N_SHOWN = 8


def card_images(n_per_suit: int = 150, **settings: object) -> xr.Dataset:
    """Cards of 32 × 32 pixels."""
    config = {"n_per_suit": n_per_suit, "size": 32, "shift": 0, "shear": 0, "noise": 0.1}
    return cards.draw(CardsConfig.model_validate({**config, **settings}), seed=0)


def rows(name: str, images: Mapping[str, Sequence[np.ndarray]], *, width: float = 6.0) -> None:
    """Rows of images, each with a label."""
    n = max(len(row) for row in images.values())
    figure, axes = plt.subplots(
        len(images), n, figsize=(width, width / n * len(images) * 1.12), squeeze=False
    )
    for (label, row), line in zip(images.items(), axes, strict=True):
        for axis in line:
            axis.set(xticks=[], yticks=[])
            axis.set_visible(False)
        for axis, image in zip(line, row, strict=False):
            axis.set_visible(True)
            axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        line[0].set_ylabel(label, fontsize=7)
    save(figure, name)


def save(figure: Figure, name: str) -> None:
    """Write a picture and close its figure."""
    figure.tight_layout(pad=0.3)
    target = FOLDER / f"{name}.png"
    figure.savefig(target, dpi=80, bbox_inches="tight", pad_inches=0.04)
    plt.close(figure)
    Image.open(target).convert("RGB").quantize(64).save(target, optimize=True)


def manifold(vae: InvariantVAE, steps: int = 5) -> list[np.ndarray]:
    """Upright patches over the content, one mosaic for each class."""
    values = vae.traversal(steps).isel(channel=0)
    mosaics = values.transpose("class", "latent_1", "y", "latent_2", "x").to_numpy()
    side = steps * values.sizes["y"]
    return list(mosaics.reshape(len(mosaics), side, side))


def plain() -> None:
    """The manifold of a VAE: rotation and suit share two dimensions."""
    some = card_images(angle=12)
    vae = InvariantVAE("VAE", training=EPOCHS).fit(some["image"].to_numpy())
    turned = card_images(angle=120)
    other = InvariantVAE("VAE", training=EPOCHS).fit(turned["image"].to_numpy())
    rows("plain", {"±12° | ±120°": [*manifold(vae), *manifold(other)]}, width=5)


def rotation() -> None:
    """Patches at any angle, and the same with their pose undone."""
    some = card_images(angle=180, suits=["spades", "hearts"])["image"].to_numpy()
    vae = InvariantVAE("rVAE", training=EPOCHS).fit(some)
    latents = vae.encode(some[:N_SHOWN])
    images = {
        "patch": some,
        "model": vae.decode(latents["content"], angle=latents["angle"])[:, 0],
        "upright": vae.decode(latents["content"])[:, 0],
    }
    rows("rotation-and-shift", {name: list(of[:N_SHOWN]) for name, of in images.items()})


def poses_of_a_pattern() -> None:
    """The effect of every pose on one upright pattern, by the simulator."""
    poses = {
        "upright": {},
        "shift": {"shift": 0.15},
        "angle": {"angle": 120},
        "shear": {"shear": 25},
    }
    images = {}
    for name, changes in poses.items():
        settings = {"angle": 0, "noise": 0, "suits": ["spades"], **changes}
        images[name] = list(card_images(5, **settings)["image"].to_numpy())
    rows("affine", images, width=4)


def search() -> None:
    """Sheared, rotated and shifted patches, and the same with rotation and shift undone by AVAE."""
    some = card_images(300, angle=120, shear=15, shift=0.08, suits=["spades"])["image"].to_numpy()
    poses, training = ("rotation", "shift"), {**EPOCHS, "batch_size": 16}
    vae = InvariantVAE("AVAE", latent_dim=1, poses=poses, training=training).fit(some)
    latents = vae.encode(some[:N_SHOWN])
    pose: dict[str, Any] = {name: latents[name] for name in ("angle", "shift")}
    images = {
        "patch": some,
        "model": vae.decode(latents["content"], **pose)[:, 0],
        "upright": vae.decode(latents["content"])[:, 0],
    }
    rows("avae", {name: list(of[:N_SHOWN]) for name, of in images.items()})


def conditional() -> None:
    """One content, decoded for four suits."""
    some = card_images(angle=120, shear=10)
    suit = some["suit"].to_numpy()
    vae = InvariantVAE("crVAE", training=EPOCHS).fit(some["image"].to_numpy(), condition=suit)
    low, high = vae.trained.content_range[0]
    content = np.zeros((5, 2))
    content[:, 0] = np.linspace(low, high, 5)
    images = {
        name: list(vae.decode(content, condition=np.full(5, state))[:, 0].to_numpy())
        for state, name in enumerate(cards.SUITS)
    }
    rows("conditional", images, width=4)


def classes() -> None:
    """The manifold of every class, found without labels."""
    some = card_images(300, angle=120, shear=10)["image"].to_numpy()
    vae = InvariantVAE("jrVAE", n_classes=4, training=EPOCHS).fit(some)
    rows("classes", {"content": manifold(vae, 4)})


def semi_supervised() -> None:
    """The manifold of every class, from few labels."""
    some = card_images(300, angle=120, shear=10)
    labels = np.where(np.arange(1200) % 20, -1, some["suit"].to_numpy())
    vae = InvariantVAE("ssrVAE", n_classes=4, training=EPOCHS)
    vae.fit(some["image"].to_numpy(), y=labels)
    rows("semi-supervised", {"content": manifold(vae, 4)})


def peaks() -> None:
    """Signals as recorded, and the same with the inferred shift undone."""
    some = shifts.draw(ShiftsConfig(n_signals=600), seed=0)["image"].to_numpy()[:, 0]
    vae = InvariantVAE("tVAE", training=EPOCHS).fit(some)
    latents = vae.encode(some)
    figure, axes = plt.subplots(1, 2, figsize=(5, 1.8), sharey=True)
    for axis, moved in zip(axes, (np.zeros(600), latents["shift"][:, 1].to_numpy()), strict=True):
        for row in range(0, 600, 30):
            axis.plot(np.arange(some.shape[1]) - moved[row], some[row], lw=0.6)
        axis.set_xlabel("pixel", fontsize=7)
        axis.tick_params(labelsize=6)
    axes[0].set_title("recorded", fontsize=7)
    axes[1].set_title("shift undone", fontsize=7)
    save(figure, "peaks")


def colours() -> None:
    """Three dimensions of content as the colours of a map."""
    side = 24
    y, x = np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")
    grid = np.linspace(-1, 1, 16)
    width = 0.25 + 0.15 * np.sin(3 * y + 2 * x)
    field = (y + np.sin(2 * x)).ravel()[:, None, None]
    patches = np.exp(
        -(((grid[:, None] - 0.4 * field) / width.ravel()[:, None, None]) ** 2) - grid**2
    )
    vae = InvariantVAE("VAE", latent_dim=3, training=EPOCHS).fit(patches)
    content = vae.encode(patches)["content"].to_numpy()
    low, high = np.quantile(content, (0.02, 0.98), axis=0)
    rgb = ((content - low) / (high - low)).clip(0, 1).reshape(side, side, 3)
    figure, axes = plt.subplots(1, 3, figsize=(4.5, 1.6))
    shown = (field.reshape(side, side), width, rgb)
    for axis, image, title in zip(axes, shown, ("place", "width", "content as RGB"), strict=True):
        axis.imshow(image, cmap="gray")
        axis.set_title(title, fontsize=7)
        axis.set(xticks=[], yticks=[])
    save(figure, "channels-and-colours")


def skip_paths() -> None:
    """KL of the content during training through eight layers, with and without skip paths."""
    some = card_images(150, angle=60, shear=10)["image"].to_numpy()
    figure, axis = plt.subplots(figsize=(3.4, 2))
    for family in ("VAE", "skip-VAE"):
        decoder = {"kind": "dense", "hidden": [64] * 8, "skip": family == "skip-VAE"}
        vae = InvariantVAE(family, decoder=decoder, training=EPOCHS).fit(some)
        axis.plot([epoch.training["kl_content"] for epoch in vae.history], label=family)
    axis.set_xlabel("epoch", fontsize=7)
    axis.set_ylabel("KL of the content [nat]", fontsize=7)
    axis.tick_params(labelsize=6)
    axis.legend(fontsize=7, frameon=False)
    save(figure, "skip")


def agreement() -> None:
    """Patches on which all members agree, and those with the least agreement."""
    some = card_images(150, angle=60, shear=10)["image"].to_numpy()
    template = InvariantVAE("jVAE", n_classes=4, training=EPOCHS)
    latents = Ensemble(template, n_members=5).fit(some).encode(some)
    order = np.argsort(latents["class_entropy"].to_numpy(), kind="stable")
    images = {"agree": some[order[::75]], "disagree": some[order[::-1][:N_SHOWN]]}
    rows("ensembles", {name: list(of[:N_SHOWN]) for name, of in images.items()})


PICTURES: dict[str, Callable[[], None]] = {
    "affine": poses_of_a_pattern,
    "rotation-and-shift": rotation,
    "peaks": peaks,
    "classes": classes,
    "semi-supervised": semi_supervised,
    "conditional": conditional,
    "channels-and-colours": colours,
    "plain": plain,
    "avae": search,
    "skip": skip_paths,
    "ensembles": agreement,
}

if __name__ == "__main__":
    for picture in sys.argv[1:] or PICTURES:
        PICTURES[picture]()
