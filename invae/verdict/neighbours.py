"""Neighbours: whether sites whose patches look alike to no model are in one class, and the vote of neighbours on a site's class."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

N_NEIGHBOURS = 10
"""Neighbours whose classes are compared."""
N_VOTES = 15
"""Neighbours that vote on the class of a site."""
N_COMPONENTS = 12
"""Principal components of the features."""
REACH = 0.75
"""Radius of the outermost ring, or half side of the square, in units of half the patch's shorter side."""
N_RINGS, N_DIRECTIONS, N_HARMONICS = 11, 48, 8
N_PER_SIDE = 12
SMOOTHING = 0.025
"""Sd of the smoothing before the sampling, in units of the patch's side."""
INSIDE = 0.5
"""Largest level at the rim of a patch that shows an object, relative to the mean level of what stands out."""
FEWEST = 30
"""Fewest sites whose neighbours are asked."""


@dataclass(frozen=True)
class Invariance:
    """The poses on which the features must not depend: those that the model infers."""

    turn: bool
    shift: bool


def features(
    patches: Float[np.ndarray, "site channel y x"],
    valid: Bool[np.ndarray, "site channel y x"] | None,
    invariance: Invariance,
) -> Float[np.ndarray, "site number"]:
    """Numbers that describe patches without any model, and do not depend on their turn or place where the model does not.

    With a turn: the power of the angular harmonics on rings. Without: the values on a coarse grid. Rings and grid lie about the
    centre of mass where the patches are shifted. Of spectra the values, or the power of their Fourier series.
    """
    columns = [
        _of_channel(_filled(patches[:, k], None if valid is None else valid[:, k]), invariance)
        for k in range(patches.shape[1])
    ]
    return np.concatenate(columns, axis=1)


def _filled(
    values: Float[np.ndarray, "site y x"], valid: Bool[np.ndarray, "site y x"] | None
) -> Float[np.ndarray, "site y x"]:
    """Values with the masked ones at the mean of the others."""
    values = values.astype(np.float64)
    if valid is None:
        return values
    mean = (values * valid).sum((1, 2)) / np.maximum(valid.sum((1, 2)), 1)
    return np.where(valid, values, mean[:, None, None])


def _of_channel(
    values: Float[np.ndarray, "site y x"], invariance: Invariance
) -> Float[np.ndarray, "site number"]:
    from scipy.ndimage import gaussian_filter

    if min(values.shape[1:]) == 1:
        row = values.reshape(len(values), -1)
        return np.abs(np.fft.rfft(row, axis=1)) if invariance.shift else row
    sd = SMOOTHING * min(values.shape[1:])
    smooth = gaussian_filter(values, (0, sd, sd))
    middle = (np.array(values.shape[1:]) - 1) / 2
    centre = centre_of_mass(smooth) if invariance.shift else np.tile(middle, (len(values), 1))
    y, x = _rings(values.shape[1:]) if invariance.turn else _grid(values.shape[1:])
    sampled = _sampled(smooth, centre[:, :1, None] + y, centre[:, 1:, None] + x)
    if invariance.turn:
        sampled = np.abs(np.fft.rfft(sampled, axis=2))[:, :, :N_HARMONICS]
    return sampled.reshape(len(values), -1)


def centre_of_mass(values: Float[np.ndarray, "site y x"]) -> Float[np.ndarray, "site 2"]:
    """Place (y, x) of what stands out of each patch's median [pixel, from the first one]."""
    weight = standing_out(values) + 1e-12  # the middle where nothing stands out
    total = weight.sum((1, 2))
    y, x = (np.arange(n) for n in values.shape[1:])
    return np.stack(((weight.sum(2) @ y) / total, (weight.sum(1) @ x) / total), axis=1)


def standing_out(values: Float[np.ndarray, "site y x"]) -> Float[np.ndarray, "site y x"]:
    """What is brighter than the median of the patch, or darker if most patches have dark objects."""
    above = values - np.median(values, axis=(1, 2), keepdims=True)
    sign = 1.0 if np.abs(above.clip(0)).sum() >= np.abs(above.clip(None, 0)).sum() else -1.0
    return (sign * above).clip(0)


def show_objects(
    values: Float[np.ndarray, "site y x"], valid: Bool[np.ndarray, "site y x"] | None = None
) -> bool:
    """Whether what stands out of most patches lies inside: walls, lattices and diffraction patterns go on to the rim, and have no place.

    The rim is that of the valid pixels, such as a circle: masked pixels outside of it are no dark surroundings.
    """
    from scipy.ndimage import binary_fill_holes

    valid = np.ones(values.shape, bool) if valid is None else valid
    weight = np.where(valid, standing_out(values), 0)
    whole = np.stack([np.asarray(binary_fill_holes(mask), bool) for mask in valid])
    rim = valid & whole & ~_eroded(whole)
    at_rim = _mean(weight, rim) / (_mean(weight, valid) + 1e-9)
    return bool(np.median(at_rim) < INSIDE)


def _eroded(valid: Bool[np.ndarray, "site y x"]) -> Bool[np.ndarray, "site y x"]:
    """Valid pixels whose neighbours along both axes are valid, and inside the patch."""
    inner = np.zeros_like(valid)
    inner[:, 1:-1, 1:-1] = (
        valid[:, 1:-1, 1:-1]
        & valid[:, :-2, 1:-1]
        & valid[:, 2:, 1:-1]
        & valid[:, 1:-1, :-2]
        & valid[:, 1:-1, 2:]
    )
    return inner


def _mean(
    values: Float[np.ndarray, "site y x"], where: Bool[np.ndarray, "site y x"]
) -> Float[np.ndarray, " site"]:
    """Mean of each patch over some of its pixels; 0 without any."""
    return (values * where).sum((1, 2)) / np.maximum(where.sum((1, 2)), 1)


def _rings(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Places (ring, direction) about a centre [pixel]."""
    radius = (np.arange(N_RINGS) + 0.5) / N_RINGS * REACH * min(shape) / 2
    turn = np.linspace(0, 2 * np.pi, N_DIRECTIONS, endpoint=False)
    return radius[:, None] * np.sin(turn), radius[:, None] * np.cos(turn)


def _grid(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Places (row, column) about a centre [pixel]."""
    along = np.linspace(-1, 1, N_PER_SIDE) * REACH * min(shape) / 2
    y, x = np.meshgrid(along, along, indexing="ij")
    return y, x


def _sampled(
    values: Float[np.ndarray, "site y x"],
    y: Float[np.ndarray, "site row column"],
    x: Float[np.ndarray, "site row column"],
) -> Float[np.ndarray, "site row column"]:
    """Values between pixels, linearly; outside the patch those of its rim."""
    from scipy.ndimage import map_coordinates

    site = np.broadcast_to(np.arange(len(values))[:, None, None], y.shape)
    return map_coordinates(values, (site, y, x), order=1, mode="nearest")


def agreement(
    described: Float[np.ndarray, "site number"], label: Int[np.ndarray, " site"]
) -> float | None:
    """How often neighbours are in one class, 0 by chance and 1 always; none if there is one class or too few sites.

    Args:
        described: The `features` of every site.
        label: Its class.
    """
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    by_chance = float((np.bincount(label) / len(label)) @ (np.bincount(label) / len(label)))
    if len(label) < FEWEST or by_chance >= 1:
        return None
    standard = (described - described.mean(0)) / (described.std(0) + 1e-6)
    n_components = min(N_COMPONENTS, *standard.shape)
    places = PCA(n_components, svd_solver="randomized", random_state=0).fit_transform(standard)
    near = NearestNeighbors(n_neighbors=N_NEIGHBOURS + 1).fit(places)
    others = near.kneighbors(places, return_distance=False)[:, 1:]
    same = float((label[others] == label[:, None]).mean())
    return (same - by_chance) / (1 - by_chance)


def votes(
    patterns: Float[np.ndarray, "site number"], label: Int[np.ndarray, " site"], *, n_classes: int
) -> Float[np.ndarray, "site class"]:
    """Shares of the classes among the nearest other sites."""
    from sklearn.neighbors import NearestNeighbors

    n_voters = min(N_VOTES, len(label) - 1)
    near = NearestNeighbors(n_neighbors=n_voters + 1).fit(patterns)
    order = near.kneighbors(patterns, return_distance=False)
    own = order == np.arange(len(label))[:, None]
    own[~own.any(1), -1] = True  # equal patterns may hide a site from its own list
    others = order[~own].reshape(len(label), n_voters)
    return np.eye(n_classes)[label[others]].mean(1)
