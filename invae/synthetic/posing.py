"""Upright images in their poses: shift(rotate(shear(image))).

One unit is half the frame; positive angles rotate as np.rot90; the shear moves x by tan(shear)·y.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, grid_sample

BATCH = 128
"""Number of frames sampled at once: about 40 MB at 48² and 3 × 3 samples per pixel."""
BATCH_SAMPLES = BATCH * 144 * 144


@dataclass(frozen=True)
class Poses:
    """The pose of the image in every frame."""

    angle: np.ndarray
    """(frame,) [rad]"""
    shear: np.ndarray
    """(frame,) [rad]"""
    shift: np.ndarray
    """(frame, 2), y then x [half the frame]."""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.angle)

    def __getitem__(self, block: slice) -> "Poses":
        return Poses(self.angle[block], self.shear[block], self.shift[block])


def posed(
    upright: np.ndarray, poses: Poses, *, size: int, extent: float = 1.0, oversampling: int = 1
) -> np.ndarray:
    """Every image in its pose (frame, size, size), float32, zero outside the image.

    Args:
        upright: Upright images (frame, side, side), or one for all frames (1, side, side); values between
            their pixels are interpolated linearly.
        poses: One pose per frame.
        size: Side of the frames [px].
        extent: Side of an image, as a fraction of the frame.
        oversampling: Number of samples along each axis of a pixel, which is their mean.
    """
    batch = max(1, BATCH_SAMPLES // (size * oversampling) ** 2)
    table = torch.from_numpy(np.ascontiguousarray(upright, dtype=np.float32)).unsqueeze(1)
    images = np.empty((len(poses), size, size), np.float32)
    for start in range(0, len(poses), batch):
        block = slice(start, min(start + batch, len(poses)))
        points = torch.from_numpy(_pulled_back(poses[block], n=size * oversampling) / extent)
        batch_images = table.expand(len(points), -1, -1, -1) if len(table) == 1 else table[block]
        sampled = grid_sample(batch_images, points, align_corners=False)
        images[block] = avg_pool2d(sampled, oversampling)[:, 0].numpy()
    return images


def _pulled_back(poses: Poses, *, n: int) -> np.ndarray:
    """Positions in the upright image of the n × n samples of every frame, x then y (frame, n, n, 2)."""
    grid = ((np.arange(n) + 0.5) / n * 2 - 1).astype(np.float32)
    cos, sin, tan = (
        function(angle)[:, None, None].astype(np.float32)
        for function, angle in ((np.cos, poses.angle), (np.sin, poses.angle), (np.tan, poses.shear))
    )
    shift = poses.shift.astype(np.float32)[:, :, None, None]
    y, x = grid[:, None] - shift[:, 0], grid - shift[:, 1]
    points = np.empty((len(poses), n, n, 2), np.float32)
    points[..., 1] = cos * y + sin * x
    points[..., 0] = cos * x - sin * y - tan * points[..., 1]
    return points
