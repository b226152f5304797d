"""Simulated PFM frames for training: what the network sees, and the marks that it learns to predict."""

import numpy as np
import torch

from invae.config.segment import WallNetworkConfig
from invae.segmentation.learner import ImageBatch
from invae.segmentation.ridge import ridge
from invae.synthetic.wall_frames import WallFrame, draw

N_INPUTS = 2
"""Response in phase and in quadrature."""
MARKS = ("wall", "lamella", "up")
N_MARKS = len(MARKS)
MARK_WEIGHTS = (2.0, 1.0, 0.5)
"""Of the marks in the loss: few pixels lie on walls."""
LARGEST = 2.5
"""Responses are clipped at so many times the typical one."""


def standardise(response: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Response in phase and in quadrature over the typical response in phase, clipped; 0 where invalid, float32 (2, y, x).

    Args:
        response: complex (y, x), any unit; the phase offset is removed.
        valid: bool (y, x).
    """
    used = valid & np.isfinite(response)
    real, imaginary = np.real(response), np.imag(response)
    scale = float(np.median(np.abs(real[used]))) if used.any() else 0.0
    if not scale > 0:
        return np.zeros((N_INPUTS, *response.shape), np.float32)
    parts = np.where(used, np.stack((real, imaginary)), 0) / scale
    return np.clip(parts, -LARGEST, LARGEST).astype(np.float32)


def batch_of_walls(config: WallNetworkConfig, numbers: range) -> ImageBatch:
    """The simulated frames of some numbers, and their marks; lines that were not recorded have no weight."""
    frames = [draw(config.images, seed=config.seed, number=number) for number in numbers]
    images = np.stack([standardise(f.response, visible(f)) for f in frames])
    targets = np.stack([marks(f, sd=config.mark_sd) for f in frames])
    valid = np.stack([f.valid for f in frames])[:, None, :, None]
    weights = np.array(MARK_WEIGHTS, np.float32)[:, None, None] * valid
    return ImageBatch(
        torch.from_numpy(images),
        torch.from_numpy(targets),
        torch.from_numpy(np.broadcast_to(weights, targets.shape).astype(np.float32)),
    )


def visible(frame: WallFrame) -> np.ndarray:
    """Pixels that no mask excludes (y, x)."""
    return np.broadcast_to(~frame.masked[:, None], frame.wall.shape)


def marks(frame: WallFrame, *, sd: float) -> np.ndarray:
    """Targets (mark, y, x): a Gaussian of height 1 and that sd [px] on walls; inside lamellae; positive polarization."""
    return np.stack((ridge(frame.wall, sd=sd), frame.lamella, frame.up)).astype(np.float32)
