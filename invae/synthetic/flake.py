"""Graphene under a scan: its atoms, its defect, where the probes are, and which of them see the same structure."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import GrapheneConfig
from invae.synthetic import crystal
from invae.synthetic.crystal import Crystal, turning
from invae.synthetic.phase_object import SPECIES
from invae.synthetic.scene import stream

SCAN = (dims.SCAN_Y, dims.SCAN_X)
N_PARTNERS = 6
"""Places that the symmetry about an atom makes of one: three turns, and three mirrored."""
FURTHEST = 16
"""Greatest distance of a partner's place from the middle atom [scan steps]."""
SAME = 1e-6
"""Places are the same if they differ by less [nm]."""


@dataclass(frozen=True)
class Flake:
    """Atoms, probes and the lattice behind them; places are (y, x) [nm], the first probe of a raster at 0."""

    lattice: Crystal
    probes: np.ndarray
    """(scan_y, scan_x, axis)"""
    places: np.ndarray
    """(atom, axis)"""
    sublattice: np.ndarray
    """(atom,)"""
    species: np.ndarray
    """(atom,), an index of `SPECIES`."""
    occupied: np.ndarray
    """(atom,)"""
    defects: np.ndarray
    """Places of the defects (defect, axis)."""


def make_flake(config: GrapheneConfig, *, seed: int, reach: float) -> Flake:
    """What a seed stands for; atoms go `reach` further than the probes [nm]."""
    steps = np.moveaxis(np.mgrid[: config.n_scan_y, : config.n_scan_x], 0, -1)
    raster = steps * config.scan_step
    offset = stream(seed, "shift").random(2)
    lattice = crystal.graphene().moved(offset).turned(np.deg2rad(config.angle))
    chosen, sublattice = _nearest(lattice, raster[-1, -1] / 2)
    probes = raster if config.places == "raster" else partners(chosen, sublattice, config, seed)
    low, high = probes.min((0, 1)), probes.max((0, 1))
    places, index = lattice.sites(low - reach, high + reach)
    middle = np.linalg.norm(places - chosen, axis=1) < SAME
    species, occupied = np.zeros(len(places), np.int8), np.ones(len(places), bool)
    if config.structure == "perfect":
        return Flake(lattice, probes, places, index, species, occupied, np.empty((0, 2)))
    species[middle] = SPECIES.index("silicon") if config.structure == "silicon" else 0
    occupied[middle] = config.structure != "vacancy"
    relaxed = _relaxed(places, chosen, by=config.relaxation)
    return Flake(lattice, probes, relaxed, index, species, occupied, chosen[None])


def partners(atom: np.ndarray, sublattice: int, config: GrapheneConfig, seed: int) -> np.ndarray:
    """Probes (scan_y, scan_x, axis) [nm]: places drawn evenly from a disc about an atom, and their partners in the row."""
    chance = stream(seed, "order")
    distance = FURTHEST * config.scan_step * np.sqrt(chance.random(config.n_scan_y))
    first = distance[:, None] * crystal.along(2 * np.pi * chance.random(config.n_scan_y))
    number = np.arange(config.n_scan_x)
    mirror = np.where(number // 3 % 2 == 1, -1, 1)
    offset = first[:, None] * np.stack((np.ones_like(mirror), mirror), axis=-1)
    turns = 2 * np.pi / 3 * number + np.pi * sublattice + np.deg2rad(config.angle)
    turned = [offset[:, index] @ turning(turn).T for index, turn in enumerate(turns)]
    return atom + np.stack(turned, axis=1)


def truth(flake: Flake, config: GrapheneConfig) -> xr.Dataset:
    """What is known before a pattern is made: atoms, defects, and which structure every probe sees.

    Returns:
        Over atoms `atom_y_nm`, `atom_x_nm`, `species`, `occupied`, `sublattice`; over defects their places. Over the scan
        `probe_y_nm`, `probe_x_nm`; `folded_y_nm`, `folded_x_nm`, `turn` [rad] and `mirrored` as in `crystal.Folded`, the lattice taken
        as perfect; `orbit`: probes with one number see one structure, turned by `turn` after being mirrored where `mirrored`;
        `distance` to the defect [nm], if there is one.
    """
    folded = crystal.folded(flake.probes, flake.lattice, angle=np.deg2rad(config.angle))
    known = {
        **_places("atom", flake.places, "atom"),
        "species": ("atom", flake.species, dims.flags(SPECIES, "species of the site")),
        "occupied": ("atom", flake.occupied, dims.attrs("whether an atom is on the site")),
        "sublattice": ("atom", flake.sublattice.astype(np.int8), dims.attrs("sublattice")),
        **_places("defect", flake.defects, "defect"),
        **_places("probe", flake.probes, *SCAN),
        **_places("folded", folded.places, *SCAN),
        "turn": (SCAN, folded.turn, dims.attrs("turn of the structure under the probe", "rad")),
        "mirrored": (SCAN, folded.mirrored, dims.attrs("whether the structure is mirrored")),
    }
    seen = [*np.moveaxis(folded.places, -1, 0)]
    if len(flake.defects):
        distance = np.linalg.norm(flake.probes - flake.defects[0], axis=-1)
        known["distance"] = (SCAN, distance, dims.attrs("distance to the defect", "nm"))
        seen.append(distance)
    known["orbit"] = (SCAN, _groups(np.stack(seen, -1)), dims.attrs("structure under the probe"))
    return xr.Dataset(known, coords={dims.AXIS: ["y", "x"]})


def _nearest(lattice: Crystal, place: np.ndarray) -> tuple[np.ndarray, int]:
    """The site of a graphene lattice nearest to a place, and its sublattice."""
    sites, index = lattice.sites(place - 2 * crystal.BOND, place + 2 * crystal.BOND)
    nearest = int(np.linalg.norm(sites - place, axis=1).argmin())
    return sites[nearest], int(index[nearest])


def _relaxed(places: np.ndarray, defect: np.ndarray, *, by: float) -> np.ndarray:
    """Places with the neighbours of a defect moved away from it [nm]."""
    offset = places - defect
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    near = np.abs(distance - crystal.BOND) < 0.1 * crystal.BOND
    return places + np.where(near, by / crystal.BOND, 0.0) * offset


def _groups(seen: np.ndarray) -> np.ndarray:
    """The number of the group (...) that values (..., value) belong to, equal ones together."""
    flat = np.round(seen.reshape(-1, seen.shape[-1]) / SAME).astype(np.int64)
    index = np.unique(flat, axis=0, return_inverse=True)[1]
    return index.reshape(seen.shape[:-1]).astype(np.int32)


def _places(name: str, places: np.ndarray, *over: str) -> dict[str, tuple]:
    """Places (..., axis) as two variables."""
    return {
        f"{name}_{axis}_nm": (over, places[..., index], dims.attrs(f"{axis}, {name}", "nm"))
        for index, axis in enumerate(("y", "x"))
    }
