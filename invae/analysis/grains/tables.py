"""Tables of grains and of their boundaries."""

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.grains.areas import folded
from invae.analysis.grains.classes import Classes
from invae.analysis.grains.regions import Labels
from invae.analysis.grains.search import Polycrystal


def grain_table(found: Polycrystal, classes: Classes, *, step: float | None) -> xr.Dataset:
    """One row per grain: phase, area, diameter, place, orientation, strain.

    Args:
        found: the polycrystal.
        classes: of its probes.
        step: distance of neighbouring probes [nm]; None counts probes.
    """
    grain = found.grain
    n, flat = int(grain.max()) + 1, grain.ravel()
    size = np.bincount(flat, minlength=n)
    unit, scale = ("nm", step) if step else ("pixel", 1.0)
    rows, columns = np.indices(grain.shape).reshape(2, -1)
    phase = np.array([classes.of_probe.ravel()[flat == number][0] for number in range(n)])
    angle, sd = _mean_angles(found, n)
    area = size * scale**2
    values = {
        "phase": (phase, dims.flags(classes.names, "phase")),
        "n_probes": (size, dims.attrs("number of probes")),
        "area": (area, dims.attrs("area", "nm^2" if step else "pixel^2")),
        "diameter": (2 * np.sqrt(area / np.pi), dims.attrs("diameter of a disc of equal area", unit)),
        "y": (np.bincount(flat, rows) / size, dims.attrs("centre, y", "pixel")),
        "x": (np.bincount(flat, columns) / size, dims.attrs("centre, x", "pixel")),
        "angle": (angle, dims.attrs("mean angle of the first reflection, folded by the symmetry", "rad")),
        "angle_spread": (sd, dims.attrs("sd of the angle within the grain", "rad")),
        "at_edge": (_at_edge(grain, n), dims.attrs("whether the grain is cut by the edge of the scan")),
        **{name: (-_mean_of(found.strain[..., number], flat, n), dims.attrs(f"mean {name.replace('_', ' ')}"))
           for number, name in enumerate(("strain_yy", "strain_xx", "strain_yx"))},
    }  # fmt: skip
    return xr.Dataset({name: ("grain", column, attrs) for name, (column, attrs) in values.items()})


def _at_edge(grain: Labels, n: int) -> np.ndarray:
    edge = np.concatenate((grain[0], grain[-1], grain[:, 0], grain[:, -1]))
    return np.isin(np.arange(n), edge)


def _mean_of(values: np.ndarray, flat: np.ndarray, n: int) -> np.ndarray:
    """Means over grains; NaN without a value."""
    known = np.isfinite(values.ravel())
    number = np.bincount(flat[known], minlength=n)
    sums = np.bincount(flat[known], values.ravel()[known], minlength=n)
    return np.where(number > 0, sums / np.maximum(number, 1), np.nan)


def _mean_angles(found: Polycrystal, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of the folded angles of every grain [rad]; NaN without a lattice."""
    mean, sd = np.full(n, np.nan), np.full(n, np.nan)
    for number in range(n):
        here = found.grain == number
        phase = int(found.phase[here][0])
        if phase >= 0:
            order = found.lattices[phase].n_fold
            wave = np.exp(1j * order * found.angle[here]).mean()
            mean[number] = np.mod(np.angle(wave) / order, 2 * np.pi / order)
            sd[number] = np.sqrt(max(-2 * np.log(max(abs(wave), 1e-12)), 0)) / order
    return mean, sd


def boundary_table(found: Polycrystal, classes: Classes, *, step: float | None) -> xr.Dataset:
    """One row per pair of touching grains: both grains, length of the boundary, misorientation.

    The misorientation is that in the plane, the smallest one by the symmetry of the phase; NaN between different phases.
    """
    grain = found.grain
    pairs = [
        np.sort(np.stack((a.ravel(), b.ravel()), axis=1), axis=1)
        for a, b in ((grain[1:], grain[:-1]), (grain[:, 1:], grain[:, :-1]))
    ]
    both = np.concatenate(pairs)
    unique, length = np.unique(both[both[:, 0] != both[:, 1]], axis=0, return_counts=True)
    angle, _ = _mean_angles(found, int(grain.max()) + 1)
    phase = np.array([found.phase[grain == number][0] for number in range(len(angle))])
    turn = np.full(len(unique), np.nan)
    for row, (first, second) in enumerate(unique):
        if phase[first] == phase[second] >= 0:
            turn[row] = abs(folded(angle[first] - angle[second], found.lattices[phase[first]].n_fold))  # fmt: skip
    unit, scale = ("nm", step) if step else ("pixel", 1.0)
    values = {
        "first": (unique[:, 0], dims.attrs("one grain")),
        "second": (unique[:, 1], dims.attrs("the other grain")),
        # of random directions, steps along the axes are 4/pi times as long as the line
        "length": (length * scale * np.pi / 4, dims.attrs("length of the boundary", unit)),
        "misorientation": (turn, dims.attrs("smallest misorientation in the plane", "rad")),
    }
    return xr.Dataset({name: ("boundary", column, attrs) for name, (column, attrs) in values.items()})  # fmt: skip
