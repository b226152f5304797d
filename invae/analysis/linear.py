"""Principal components of the patches, a baseline without invariance."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.config import ComputeConfig
from invae.errors import InputError
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.blocks import map_blocks

# Not dask.array.linalg.svd_compressed: on 96 000 patches of 1152 pixels (885 MB as float64) with two workers, as one graph
# it took 11 s of CPU but 1.1 GB of memory, which grows with the data; step by step it took 0.3 GB but 33 s, for a fixed number
# of passes. This takes 17 s and 0.6 GB for any number of patches, and stops when the components have converged.
BLOCK_BYTES = 32 << 20
"""Size of a block of patches of one worker [B, float64]."""
OVERSAMPLING = 10
"""Additional directions of the iteration, beyond the components."""
MAX_PASSES = 12
"""Largest number of passes over the patches."""
SETTLED = 1e-5
"""Relative change of the eigenvalues below which the components have converged."""


@dataclass(frozen=True)
class _Patches:
    """Patches of a store as rows of a matrix, block by block; masked pixels hold the mean patch."""

    path: Path
    mean: np.ndarray
    """Mean of each pixel over the sites where it is valid."""

    def read(self, block: slice) -> tuple[np.ndarray, np.ndarray]:
        """Centred rows (zero if masked), and their valid pixels."""
        opened = store.open_store(self.path)[["patch", "valid"]].isel({dims.SITE: block})
        valid = opened["valid"].to_numpy().reshape(len(opened[dims.SITE]), -1)
        values = opened["patch"].to_numpy().astype(np.float64).reshape(valid.shape)
        return np.where(valid, values - self.mean, 0.0), valid


def principal_components(
    patches: Path,
    *,
    n_components: int,
    n_compared: int,
    seed: int,
    judged: np.ndarray | None = None,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> xr.Dataset:
    """`component`, `mean_patch`, `explained_variance`, scores `pca (site, component)` and `pca_error (site)`.

    Computed by subspace iteration over blocks of the store, in bounded memory. The components are those of the singular value
    decomposition of all patches, with masked pixels at the mean patch. The largest weight of each component is positive.

    Args:
        patches: a store with `patch` and `valid` (site, channel, patch_y, patch_x).
        n_components: number of components, at most the rank of the patches.
        n_compared: number of components for `pca_error` (rms residual over valid pixels).
        judged: pixels (patch_y, patch_x) that count for `pca_error`; None for all.
        seed: of the initial directions.
        compute: number of parallel blocks; it changes no value.
        progress: called with the number of blocks of the last pass.

    Raises:
        InputError: there are fewer than two patches.

    Source: Halko, Martinsson & Tropp 2011, doi:10.1137/090771806, algorithm 4.4 (randomised subspace iteration).
    """
    shape = store.open_store(patches)["patch"].shape
    n_sites, n_pixels = shape[0], int(np.prod(shape[1:]))
    if n_sites < 2:
        raise InputError(f"{patches} has {n_sites} patch(es); components need at least 2")
    length = max(1, BLOCK_BYTES // (n_pixels * 8))
    blocks = store.blocks(n_sites, length)
    rows = _Patches(patches, _mean(patches, blocks, compute=compute))
    n_kept = min(n_components, n_sites - 1, n_pixels)
    rng = np.random.default_rng(seed)
    start = rng.standard_normal((n_pixels, min(n_kept + OVERSAMPLING, n_sites, n_pixels)))
    values, vectors, total = _iterate(rows, blocks, start, n_kept=n_kept, compute=compute)
    components = _signed(vectors)
    counts = np.broadcast_to(True if judged is None else judged, shape[1:]).reshape(-1)
    scored = map_blocks(
        _scores(rows, components, n_compared=min(n_compared, n_kept), counts=counts),
        blocks,
        compute=compute,
        progress=progress,
    )
    scores, errors = (np.concatenate([part[i] for part in scored]) for i in (0, 1))
    return _labelled(
        components.T.reshape(n_kept, *shape[1:]),
        rows.mean.reshape(shape[1:]),
        scores=scores,
        errors=errors,
        variance=values / (n_sites - 1),
        total=total / (n_sites - 1),
        n_compared=min(n_compared, n_kept),
    )


def _mean(patches: Path, blocks: list[slice], *, compute: ComputeConfig) -> np.ndarray:
    """Mean of each pixel over the sites where it is valid; zero if it never is."""
    raw = _Patches(patches, np.zeros(()))

    def sums(block: slice) -> tuple[np.ndarray, np.ndarray]:
        values, valid = raw.read(block)
        return values.sum(axis=0), valid.sum(axis=0)

    answers = map_blocks(sums, blocks, compute=compute)
    total, count = sum(a[0] for a in answers), sum(a[1] for a in answers)
    return np.asarray(total / np.maximum(count, 1))


def _iterate(
    rows: _Patches,
    blocks: list[slice],
    start: np.ndarray,
    *,
    n_kept: int,
    compute: ComputeConfig,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Largest eigenvalues and eigenvectors of the scatter matrix, and its trace."""
    basis, values, total = np.linalg.qr(start)[0], np.zeros(n_kept), 0.0
    vectors = basis[:, :n_kept]
    for _ in range(MAX_PASSES):
        answers = map_blocks(_scatter(rows, basis), blocks, compute=compute)
        image, total = sum(a[0] for a in answers), float(sum(a[1] for a in answers))
        small, turn = np.linalg.eigh(basis.T @ image)
        eigenvalues, vectors = small[::-1][:n_kept], (basis @ turn[:, ::-1])[:, :n_kept]
        if np.abs(eigenvalues - values).max() <= SETTLED * max(total, np.finfo(float).tiny):
            return np.maximum(eigenvalues, 0.0), vectors, total
        values, basis = eigenvalues, np.linalg.qr(np.asarray(image))[0]
    return np.maximum(values, 0.0), vectors, total


def _scatter(rows: _Patches, basis: np.ndarray) -> Callable[[slice], tuple[np.ndarray, float]]:
    def product(block: slice) -> tuple[np.ndarray, float]:
        values, _ = rows.read(block)
        return values.T @ (values @ basis), float((values**2).sum())

    return product


def _scores(
    rows: _Patches, components: np.ndarray, *, n_compared: int, counts: np.ndarray
) -> Callable[[slice], tuple[np.ndarray, np.ndarray]]:
    def score(block: slice) -> tuple[np.ndarray, np.ndarray]:
        values, valid = rows.read(block)
        scores = values @ components
        left = values - scores[:, :n_compared] @ components[:, :n_compared].T
        valid = valid & counts
        square = np.where(valid, left**2, 0.0).sum(axis=1) / np.maximum(valid.sum(axis=1), 1)
        return scores.astype(np.float32), np.sqrt(square).astype(np.float32)

    return score


def _signed(vectors: np.ndarray) -> np.ndarray:
    """The columns, each with its largest weight positive, so that signs do not depend on the machine."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])


def _labelled(
    components: np.ndarray,
    mean: np.ndarray,
    *,
    scores: np.ndarray,
    errors: np.ndarray,
    variance: np.ndarray,
    total: float,
    n_compared: int,
) -> xr.Dataset:
    pixels = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
    ratio = variance / total if total > 0 else np.zeros_like(variance)
    left = f"rms residual of PCA with {n_compared} component(s), over valid pixels"
    return xr.Dataset(
        {
            "component": (
                ("component_index", *pixels),
                components.astype(np.float32),
                dims.attrs("principal component of the patches, normalised"),
            ),
            "mean_patch": (pixels, mean.astype(np.float32), dims.attrs("mean patch")),
            "explained_variance": (
                "component_index",
                variance,
                dims.attrs("variance of the patches along the component"),
            ),
            "explained_variance_ratio": (
                "component_index",
                ratio,
                dims.attrs("explained share of the variance"),
            ),
            "pca": (
                (dims.SITE, "component_index"),
                scores,
                dims.attrs("principal component scores of the patch"),
            ),
            "pca_error": (dims.SITE, errors, dims.attrs(left, n_components=n_compared)),
        },
        coords={
            "component_index": (
                "component_index",
                np.arange(1, len(variance) + 1),
                dims.attrs("number of the principal component"),
            )
        },
    )
