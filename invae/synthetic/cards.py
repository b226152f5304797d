"""The suits of cards, sheared, rotated and shifted: the founding benchmark, in which every factor is known."""

import json
from functools import cache
from importlib.resources import files

import numpy as np
import xarray as xr
from skimage.draw import polygon2mask
from skimage.transform import downscale_local_mean

from invae import dims
from invae.config.synthetic import CardsConfig, Suit
from invae.synthetic.posing import Poses, posed
from invae.synthetic.scene import Scene, Simulator, stream, uniform

SUITS: tuple[Suit, ...] = ("clubs", "spades", "diamonds", "hearts")
"""Names of the values of `suit`."""
SYMMETRY = (1, 1, 2, 1)
"""Number of rotations that leave the upright suit unchanged, by suit; a shear preserves them."""
PICTURE = 256
"""Side of an upright suit, from which frames are sampled [px]."""
FINER = 4
"""Oversampling of the grid on which an outline is filled."""
CURVE_POINTS = 16
"""Points along each curve of an outline."""
OVERSAMPLING = 3


def scene(config: CardsConfig, *, seed: int) -> Scene:
    """The factors of a set in random order, and the rendering of its images.

    Ground truth of every frame: `suit` (flags), `angle` [rad], `shear` [rad], `shift (frame, axis)` [pixel]; of the suits `symmetry`.
    """
    chosen = np.array([SUITS.index(name) for name in config.suits])
    suit = stream(seed, "order").permutation(np.repeat(chosen, config.n_per_suit))
    n_frames = len(suit)
    poses = Poses(
        angle=uniform(seed, "angle", limit=np.deg2rad(config.angle), shape=(n_frames,)),
        shear=uniform(seed, "shear", limit=np.deg2rad(config.shear), shape=(n_frames,)),
        shift=uniform(seed, "shift", limit=2 * config.shift, shape=(n_frames, 2)),
    )

    def clean_images(block: slice) -> np.ndarray:
        return render(suit[block], poses[block], size=config.size, fill=config.fill)

    return Scene(
        name="cards",
        config=config,
        seed=seed,
        shape=(config.size, config.size),
        truth=_truth(suit, poses, size=config.size),
        clean_images=clean_images,
        noise=np.full(n_frames, config.noise),
    )


def render(suit: np.ndarray, poses: Poses, *, size: int, fill: float) -> np.ndarray:
    """Suits in their poses (frame, size, size), 1 inside the outline and 0 outside."""
    images = np.empty((len(suit), size, size), np.float32)
    for number in np.unique(suit):
        selected = suit == number
        selected_poses = Poses(poses.angle[selected], poses.shear[selected], poses.shift[selected])
        table = upright(SUITS[number], fill)[None]
        images[selected] = posed(table, selected_poses, size=size, oversampling=OVERSAMPLING)
    return images


@cache
def upright(suit: Suit, fill: float) -> np.ndarray:
    """The suit with its bounding box centred (256, 256): fraction of each pixel inside the outline."""
    n_fine = PICTURE * FINER
    contours = outline(suit)
    points = np.concatenate(contours)
    low, high = points.min(0), points.max(0)
    scale = fill / ((high - low).max() / 2)
    inside = np.zeros((n_fine, n_fine), bool)
    for contour in contours:
        points = (contour - (low + high) / 2) * scale
        inside ^= polygon2mask(inside.shape, (points + 1) / 2 * n_fine - 0.5)
    return downscale_local_mean(inside.astype(np.float32), FINER)


def outline(suit: Suit) -> list[np.ndarray]:
    """The closed contours of a suit's glyph (point, 2), (y, x), y down [font unit].

    Source: DejaVu Sans 2.35 with its quadratic curves unchanged; licence in `suits.json`.
    """
    glyph = json.loads(files("invae.synthetic").joinpath("suits.json").read_text("utf-8"))
    step = (np.arange(CURVE_POINTS) / CURVE_POINTS)[:, None]
    contours = []
    for rows in glyph["suits"][suit]["contours"]:
        start, control = np.split(np.asarray(rows, dtype=float)[:, None], 2, axis=-1)
        stop = np.roll(start, -1, axis=0)
        curves = (1 - step) ** 2 * start + 2 * step * (1 - step) * control + step**2 * stop
        contours.append(curves.reshape(-1, 2)[:, ::-1] * (-1, 1))
    return contours


def _truth(suit: np.ndarray, poses: Poses, *, size: int) -> xr.Dataset:
    """The ground truth of every frame."""
    symmetry = list(SYMMETRY)
    suits = dims.flags(SUITS, "suit") | {"units": "1", "symmetry": symmetry}
    return xr.Dataset(
        {
            "suit": ("frame", suit.astype(np.int8), suits),
            "angle": ("frame", poses.angle, dims.attrs("angle, positive as np.rot90", "rad")),
            "shear": (
                "frame",
                poses.shear,
                dims.attrs("shear along x, before the rotation", "rad"),
            ),
            "shift": (
                ("frame", "axis"),
                poses.shift * size / 2,
                dims.attrs(
                    "position of the suit's centre relative to the centre of the frame", "pixel"
                ),
            ),
            "symmetry": (
                "of_suit",
                symmetry,
                dims.attrs("rotations that leave the suit unchanged, by the value of suit"),
            ),
        },
        coords={"axis": ["y", "x"]},
    )


SIMULATOR = Simulator("cards", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
