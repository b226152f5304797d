"""Upright pictures as they appear in a frame: shift(turn(shear(picture))).

One unit is half the frame; positive angles turn as np.rot90; shear moves x by tan(shear)·y.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, grid_sample

BATCH = 128
"""Frames sampled at once: about 40 MB at 48² and 3 × 3 samples per pixel."""
BATCH_SAMPLES = BATCH * 144 * 144


@dataclass(frozen=True)
class Poses:
    """How every frame's picture lies in it."""

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
    pictures: np.ndarray, poses: Poses, *, size: int, extent: float = 1.0, oversampling: int = 1
) -> np.ndarray:
    """Every picture in its pose (frame, size, size), float32, zero where there is no picture.

    Args:
        pictures: upright (frame, side, side), or one for all frames (1, side, side); values between
            their pixels are interpolated linearly.
        poses: one for each frame.
        size: side of the frames [px].
        extent: side of a picture, as a fraction of the frame.
        oversampling: a pixel is the mean over so many samples along each axis.
    """
    batch = max(1, BATCH_SAMPLES // (size * oversampling) ** 2)
    table = torch.from_numpy(np.ascontiguousarray(pictures, dtype=np.float32)).unsqueeze(1)
    images = np.empty((len(poses), size, size), np.float32)
    for start in range(0, len(poses), batch):
        block = slice(start, min(start + batch, len(poses)))
        points = torch.from_numpy(_pulled_back(poses[block], n=size * oversampling) / extent)
        some = table.expand(len(points), -1, -1, -1) if len(table) == 1 else table[block]
        found = grid_sample(some, points, align_corners=False)
        images[block] = avg_pool2d(found, oversampling)[:, 0].numpy()
    return images


def _pulled_back(poses: Poses, *, n: int) -> np.ndarray:
    """Where the n × n samples of every frame lie in its upright picture, x then y (frame, n, n, 2)."""
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
