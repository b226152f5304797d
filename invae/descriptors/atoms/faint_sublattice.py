"""Faint atoms beside strong ones: too weak for detection one by one, but the lattice repeats them."""

import numpy as np
import scipy.ndimage as ndi
from scipy.sparse import csr_array
from scipy.spatial import KDTree

CELLS = 25
"""Number of nearest strong atoms whose surroundings are averaged: small enough for a bent lattice."""
SIGNIFICANCE = 6.0
"""Minimum rise of the average in standard deviations of its noise."""
AGREEING = 2
"""Minimum number of strong atoms whose averages show the same faint atom."""
NEXT = (0.75, 1.25)
"""Range of distances from a strong atom to its equivalent neighbours, in distances of neighbours."""


def repeated(
    rise: np.ndarray,
    strong: np.ndarray,
    *,
    least: float,
    distance: float,
    between: tuple[float, float] = (0.0, 1.0),
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (place, 2) [px] where the residual rises around one strong atom as around its neighbours,
    and the mean rise there (place,).

    Only translations of the lattice are used, not its type or direction. So grains, strain and bending over many cells have
    no effect.

    Args:
        rise: the residual above the local background after subtraction of the strong atoms (y, x).
        strong: positions of the strong atoms (atom, 2) [px].
        least: minimum mean rise, in the unit of `rise`.
        distance: positions nearer to each other are merged, and positions nearer to a strong atom are dropped [px].
        between: range of distances from a strong atom that is searched, in distances of neighbours.
    """
    none = np.zeros((0, 2)), np.zeros(0)
    if len(strong) <= CELLS:
        return none
    stride = max(1, round(distance / 4))
    reach, mean, count = _averages(rise, strong, between=between, stride=stride)
    noise = 1.4826 * float(np.median(np.abs(rise))) / np.sqrt(np.maximum(count, 1))
    significant = (count >= CELLS / 2) & (mean > np.maximum(least, SIGNIFICANCE * noise))
    top = significant & (mean == ndi.maximum_filter(mean, (1, 3, 3)))
    owner, y, x = np.nonzero(top)
    places = strong[owner] + stride * (np.stack([y, x], axis=1) - reach)
    rises = mean[top]
    separate = KDTree(strong).query(places)[0] > distance
    rim = distance / 2
    inside = ((places >= rim) & (places <= np.array(rise.shape) - 1 - rim)).all(axis=1)
    kept = np.asarray(separate) & inside
    return _joined(places[kept], rises[kept], distance=distance) if kept.any() else none


def _averages(
    rise: np.ndarray, strong: np.ndarray, *, between: tuple[float, float], stride: int
) -> tuple[int, np.ndarray, np.ndarray]:
    """Reach of the surroundings [strides], their mean over the nearest strong atoms (atom, y, x), and the number of
    averaged atoms.
    """
    tree = KDTree(strong)
    nearest, farthest = np.array(between) * np.median(tree.query(strong, k=2)[0][:, 1])
    reach = int(np.ceil(farthest / stride))
    steps = np.indices((2 * reach + 1,) * 2).reshape(2, -1).T - reach
    steps = steps * stride
    square = (steps**2).sum(-1)
    searched = (square >= nearest**2) & (square <= (reach * stride) ** 2)
    # the nearest pixel suffices: the sub-pixel positions of strong atoms differ from one to the next
    at = np.rint(strong).astype(int)[:, None] + steps[searched]
    inside = ((at >= 0) & (at < np.array(rise.shape))).all(-1)
    y, x = (np.clip(at[..., axis], 0, rise.shape[axis] - 1) for axis in (0, 1))
    values = np.where(inside, rise[y, x], 0).astype(np.float32)
    near = np.asarray(tree.query(strong, k=CELLS)[1])
    rows = np.repeat(np.arange(len(strong)), CELLS)
    pairs = csr_array(
        (np.ones(near.size, np.float32), (rows, near.ravel())), shape=(len(strong),) * 2
    )
    side = 2 * reach + 1
    count = np.zeros((len(strong), side * side))
    mean = np.full(count.shape, -np.inf)
    count[:, searched] = pairs @ inside.astype(np.float32)
    mean[:, searched] = (pairs @ values) / np.maximum(count[:, searched], 1)
    return reach, mean.reshape(-1, side, side), count.reshape(-1, side, side)


def _joined(
    places: np.ndarray, rise: np.ndarray, *, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Means of merged positions, the highest first, and of their rise; positions from too few atoms are left out."""
    near = KDTree(places).query_ball_point(places, distance)
    taken = np.zeros(len(places), bool)
    middle, mean = [], []
    for first in np.argsort(-rise, kind="stable"):
        here = [place for place in near[first] if not taken[place]] if not taken[first] else []
        taken[here] = True
        if len(here) >= AGREEING:
            middle.append(places[here].mean(axis=0))
            mean.append(rise[here].mean())
    return np.array(middle).reshape(-1, 2), np.array(mean)
