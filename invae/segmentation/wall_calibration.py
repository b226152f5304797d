"""Calibration of the networks that mark walls, and their scores, on simulated frames that they have not seen."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from invae.config.segment import WallNetworkConfig
from invae.models.networks.unet import UNet
from invae.progress import Progress, silent
from invae.segmentation.wall_finder import Marked, WallNetworks, features, mark_walls
from invae.segmentation.wall_images import visible
from invae.synthetic.wall_frames import WallFrame, draw

N_FRAMES = 60
"""Frames for the calibration, and as many for the scores."""
CALIBRATION, SCORES = 101, 102
"""Added to the seed: members have the next few seeds."""
N_BINS = 15
NEAR = 1.0
"""A wall is at a pixel if it lies within this distance [px]."""
CALIBRATED = ("wall", "lamella")


def calibration_of(
    members: Sequence[UNet], config: WallNetworkConfig, *, progress: Progress = silent
) -> dict[str, list[float]]:
    """Coefficients by mark, by logistic regression on unseen frames."""
    networks = WallNetworks(members, {})
    seen = list(_marked(networks, config, seed=config.seed + CALIBRATION, progress=progress))
    coefficients = {}
    for name in CALIBRATED:
        predicted, true = (np.concatenate(values) for values in zip(*(
            (getattr(marked, name)[valid], truth[name][valid]) for marked, truth, valid in seen
        ), strict=True))  # fmt: skip
        fit = LogisticRegression(C=np.inf).fit(features(predicted), true)
        coefficients[name] = [float(value) for value in (*fit.coef_[0], fit.intercept_[0])]
    return coefficients


def scores(
    networks: WallNetworks, config: WallNetworkConfig, *, progress: Progress = silent
) -> dict[str, float]:
    """`wall_iou` and `lamella_iou` of pixels above 1/2, and the calibration errors `wall_ece` and `lamella_ece`."""
    seen = list(_marked(networks, config, seed=config.seed + SCORES, progress=progress))
    values = {}
    for name in CALIBRATED:
        predicted, true = (np.concatenate(values) for values in zip(*(
            (getattr(marked, name)[valid], truth[name][valid]) for marked, truth, valid in seen
        ), strict=True))  # fmt: skip
        either = ((predicted > 0.5) | true).sum()
        values[f"{name}_iou"] = float(((predicted > 0.5) & true).sum() / max(either, 1))
        values[f"{name}_ece"] = calibration_error(predicted, true)
    return values


def calibration_error(predicted: np.ndarray, true: np.ndarray, *, n_bins: int = N_BINS) -> float:
    """Expected calibration error: mean distance of probability and frequency over bins of probability, weighted by their pixels.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    bins = np.minimum((predicted * n_bins).astype(int), n_bins - 1)
    totals = [np.bincount(bins, weights, n_bins) for weights in (predicted, true)]
    return float(np.abs(totals[0] - totals[1]).sum() / len(predicted))


def _marked(
    networks: WallNetworks, config: WallNetworkConfig, *, seed: int, progress: Progress
) -> Iterator[tuple[Marked, dict[str, np.ndarray], np.ndarray]]:
    """Predictions, truth and valid pixels of unseen frames."""
    for number in range(N_FRAMES):
        frame = draw(config.images, seed=seed, number=number)
        valid = np.broadcast_to(frame.valid[:, None], frame.wall.shape)
        truth = {"wall": near_wall(frame), "lamella": frame.lamella}
        yield mark_walls(frame.response, visible(frame), networks), truth, valid
        progress(number + 1, N_FRAMES)


def near_wall(frame: WallFrame) -> np.ndarray:
    """Whether a wall lies within 1 px (y, x)."""
    if not frame.wall.any():
        return frame.wall
    return np.asarray(ndimage.distance_transform_edt(~frame.wall)) <= NEAR
