"""Sites on a square grid, and limits on the number of sites."""

import numpy as np

from invae.config.atoms import DenseConfig
from invae.config.describe import SiteConfig


def grid_sites(shape: tuple[int, int], *, spacing: float) -> np.ndarray:
    """Sites (site, 2), (y, x) [px], on a square grid centred in a frame of this shape."""
    axes = []
    for length in shape:
        n_sites = int((length - 1) // spacing) + 1
        axes.append((length - 1) / 2 + spacing * (np.arange(n_sites) - (n_sites - 1) / 2))
    rows, columns = np.meshgrid(*axes, indexing="ij")
    return np.stack([rows.ravel(), columns.ravel()], axis=1)


def evenly(n_sites: int, *, most: int) -> np.ndarray:
    """Indices of at most `most` of `n_sites`, evenly spread over them."""
    if n_sites <= most:
        return np.arange(n_sites)
    return ((np.arange(most) + 0.5) * n_sites / most).astype(np.int64)


def per_frame(n_frames: int, *, config: SiteConfig | DenseConfig) -> int:
    """Largest number of sites of one frame."""
    return max(1, min(config.max_per_frame, config.max_sites // max(1, n_frames)))
