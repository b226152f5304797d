"""Features of upright patches, and the nearest neighbours of each one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from invae.training.split import thin
from invae.training.views import turned

N_COMPONENTS = 50
"""Most principal components."""
SMALLEST_SD = 1e-12
"""Least sd of scores: patches may all be equal."""
SAMPLED = 1500
"""Patches whose turned views have the principal components that patches are compared by."""
AT_ONCE = 1000
"""Patches that are compared with all others at a time."""


@dataclass(frozen=True)
class PatchFeatures:
    """Principal components of upright patches."""

    mean: Float[np.ndarray, " number"]
    components: Float[np.ndarray, "component number"]
    """Of length 1."""
    scale: float
    """Factor by which scores become features of order 1."""

    @classmethod
    def fitted(
        cls, patches: Float[np.ndarray, "site channel y x"], *, seed: int
    ) -> "PatchFeatures":
        """The components of some patches; NaN where a pixel is unknown."""
        from sklearn.decomposition import PCA

        rows = patches.reshape(len(patches), -1)
        known = np.isfinite(rows)
        mean = np.where(known, rows, 0).sum(0) / known.sum(0).clip(1)
        n_components = min(N_COMPONENTS, *rows.shape)
        pca = PCA(n_components, svd_solver="randomized", random_state=seed % 2**32)
        scores = pca.fit_transform(np.nan_to_num(rows - mean))
        scale = 1 / max(float(scores.std()), SMALLEST_SD)
        components = np.asarray(pca.components_, dtype=np.float32)
        return cls(mean.astype(np.float32), components, scale)

    def filled(
        self, patches: Float[np.ndarray, "site channel y x"]
    ) -> Float[Tensor, "site channel y x"]:
        """Patches with the mean where a pixel is unknown."""
        mean = self.mean.reshape(1, *patches.shape[1:])
        return torch.from_numpy(np.where(np.isfinite(patches), patches, mean).astype(np.float32))

    def of(self, filled: Float[Tensor, "site channel y x"]) -> Float[Tensor, "site component"]:
        """The features of patches without unknown pixels."""
        centred = filled.flatten(1) - torch.from_numpy(self.mean)
        return self.scale * centred @ torch.from_numpy(self.components).T


def nearest(
    filled: Float[Tensor, "site channel y x"],
    *,
    n_neighbours: int,
    angles: Sequence[float],
    seed: int,
) -> Int[Tensor, "site neighbour"]:
    """The nearest other patches of every patch, which is turned by each of the angles [rad].

    The distance is that of principal components of patches at all these angles. Those of upright patches would describe turned
    ones only in part, and the distance of all pixels would be smallest where the interpolation blurs most.
    """
    some = filled[thin(np.arange(len(filled)), SAMPLED)]
    views = torch.cat([turned(some, angle) for angle in angles])
    features = PatchFeatures.fitted(views.numpy(), seed=seed)
    own = features.of(filled)
    nearest: list[Tensor] = []
    for sites in torch.arange(len(own)).split(AT_ONCE):
        distance = torch.full((len(sites), len(own)), torch.inf)
        for angle in angles:
            turned_rows = features.of(turned(filled[sites], angle))
            distance = torch.minimum(distance, torch.cdist(turned_rows, own))
        distance[torch.arange(len(sites)), sites] = torch.inf
        nearest.append(distance.topk(n_neighbours, largest=False).indices)
    return torch.cat(nearest)
