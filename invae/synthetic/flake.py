"""A scanned graphene flake: its atoms, its defect, the probe positions, and which probes see the same structure."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import GrapheneConfig
from invae.synthetic import crystal
from invae.synthetic.crystal import Crystal, rotation_matrix
from invae.synthetic.phase_object import SPECIES
from invae.synthetic.scene import stream

SCAN = (dims.SCAN_Y, dims.SCAN_X)
FURTHEST = 16
"""Largest distance of a partner position from the central atom [scan steps]."""
SAME = 1e-6
"""Largest difference between equal positions [nm]."""


@dataclass(frozen=True)
class Flake:
    """Atoms, probes and their lattice; positions are (y, x) [nm], with the first probe of a raster at 0."""

    lattice: Crystal
    probes: np.ndarray
    """(scan_y, scan_x, axis)"""
    positions: np.ndarray
    """(atom, axis)"""
    sublattice: np.ndarray
    """(atom,)"""
    species: np.ndarray
    """(atom,), an index of `SPECIES`."""
    occupied: np.ndarray
    """(atom,)"""
    defects: np.ndarray
    """Positions of the defects (defect, axis)."""


def make_flake(config: GrapheneConfig, *, seed: int, reach: float) -> Flake:
    """The flake of a seed; atoms extend `reach` beyond the probes [nm]."""
    steps = np.moveaxis(np.mgrid[: config.n_scan_y, : config.n_scan_x], 0, -1)
    raster = steps * config.scan_step
    offset = stream(seed, "shift").random(2)
    lattice = crystal.graphene().shifted(offset).rotated(np.deg2rad(config.angle))
    centre, sublattice = _nearest(lattice, raster[-1, -1] / 2)
    probes = raster if config.places == "raster" else partners(centre, sublattice, config, seed)
    low, high = probes.min((0, 1)), probes.max((0, 1))
    positions, index = lattice.sites(low - reach, high + reach)
    is_centre = np.linalg.norm(positions - centre, axis=1) < SAME
    species, occupied = np.zeros(len(positions), np.int8), np.ones(len(positions), bool)
    if config.structure == "perfect":
        return Flake(lattice, probes, positions, index, species, occupied, np.empty((0, 2)))
    species[is_centre] = SPECIES.index("silicon") if config.structure == "silicon" else 0
    occupied[is_centre] = config.structure != "vacancy"
    relaxed = _relaxed(positions, centre, by=config.relaxation)
    return Flake(lattice, probes, relaxed, index, species, occupied, centre[None])


def partners(atom: np.ndarray, sublattice: int, config: GrapheneConfig, seed: int) -> np.ndarray:
    """Probes (scan_y, scan_x, axis) [nm]: random positions in a disc about an atom, each with its partners in the row."""
    generator = stream(seed, "order")
    distance = FURTHEST * config.scan_step * np.sqrt(generator.random(config.n_scan_y))
    first = distance[:, None] * crystal.along(2 * np.pi * generator.random(config.n_scan_y))
    number = np.arange(config.n_scan_x)
    mirror = np.where(number // 3 % 2 == 1, -1, 1)
    offset = first[:, None] * np.stack((np.ones_like(mirror), mirror), axis=-1)
    angles = 2 * np.pi / 3 * number + np.pi * sublattice + np.deg2rad(config.angle)
    rotated = [offset[:, index] @ rotation_matrix(angle).T for index, angle in enumerate(angles)]
    return atom + np.stack(rotated, axis=1)


def truth(flake: Flake, config: GrapheneConfig) -> xr.Dataset:
    """The ground truth before a pattern is made: atoms, defects, and the structure under every probe.

    Returns:
        Over atoms `atom_y_nm`, `atom_x_nm`, `species`, `occupied`, `sublattice`; over defects their positions. Over the scan
        `probe_y_nm`, `probe_x_nm`; `folded_y_nm`, `folded_x_nm`, `turn` [rad] and `mirrored` as in `crystal.Folded`, for the
        perfect lattice; `orbit`: probes with one number see one structure, mirrored where `mirrored` and then rotated by `turn`;
        `distance` to the defect [nm], if there is one.
    """
    folded = crystal.folded(flake.probes, flake.lattice, angle=np.deg2rad(config.angle))
    variables = {
        **_coordinates("atom", flake.positions, "atom"),
        "species": ("atom", flake.species, dims.flags(SPECIES, "species of the site")),
        "occupied": ("atom", flake.occupied, dims.attrs("whether the site is occupied")),
        "sublattice": ("atom", flake.sublattice.astype(np.int8), dims.attrs("sublattice")),
        **_coordinates("defect", flake.defects, "defect"),
        **_coordinates("probe", flake.probes, *SCAN),
        **_coordinates("folded", folded.positions, *SCAN),
        "turn": (
            SCAN,
            folded.angle,
            dims.attrs("rotation of the structure under the probe", "rad"),
        ),
        "mirrored": (SCAN, folded.mirrored, dims.attrs("whether the structure is mirrored")),
    }
    structure = [*np.moveaxis(folded.positions, -1, 0)]
    if len(flake.defects):
        distance = np.linalg.norm(flake.probes - flake.defects[0], axis=-1)
        variables["distance"] = (SCAN, distance, dims.attrs("distance to the defect", "nm"))
        structure.append(distance)
    orbit = _groups(np.stack(structure, -1))
    variables["orbit"] = (SCAN, orbit, dims.attrs("structure under the probe"))
    return xr.Dataset(variables, coords={dims.AXIS: ["y", "x"]})


def _nearest(lattice: Crystal, position: np.ndarray) -> tuple[np.ndarray, int]:
    """The site of a graphene lattice nearest to a position, and its sublattice."""
    sites, index = lattice.sites(position - 2 * crystal.BOND, position + 2 * crystal.BOND)
    nearest = int(np.linalg.norm(sites - position, axis=1).argmin())
    return sites[nearest], int(index[nearest])


def _relaxed(positions: np.ndarray, defect: np.ndarray, *, by: float) -> np.ndarray:
    """Positions with the neighbours of a defect displaced away from it [nm]."""
    offset = positions - defect
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    near = np.abs(distance - crystal.BOND) < 0.1 * crystal.BOND
    return positions + np.where(near, by / crystal.BOND, 0.0) * offset


def _groups(values: np.ndarray) -> np.ndarray:
    """The number of the group (...) of equal values (..., value)."""
    flat = np.round(values.reshape(-1, values.shape[-1]) / SAME).astype(np.int64)
    index = np.unique(flat, axis=0, return_inverse=True)[1]
    return index.reshape(values.shape[:-1]).astype(np.int32)


def _coordinates(name: str, positions: np.ndarray, *over: str) -> dict[str, tuple]:
    """Positions (..., axis) as two variables."""
    return {
        f"{name}_{axis}_nm": (over, positions[..., index], dims.attrs(f"{axis}, {name}", "nm"))
        for index, axis in enumerate(("y", "x"))
    }
