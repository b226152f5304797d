"""A 4D-STEM scan of graphene in the weak-phase model: every electron's expected place is known.

The probe stays in the middle of a window and the atoms pass under it, so that any place of the probe is exact.
"""

import json
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims, store
from invae.config.scenes import GrapheneConfig
from invae.progress import Progress, silent
from invae.provenance import Receipt
from invae.store import Variable
from invae.synthetic import crystal
from invae.synthetic.crystal import Crystal
from invae.synthetic.phase_object import Atoms, Optics, centre_of_mass, patterns
from invae.synthetic.scene import receipt_of_scene, stream

SHARD_BYTES = 32e6
SPECIES = ("carbon", "silicon")
"""Names behind the values of `species`."""
SCAN = (dims.SCAN_Y, dims.SCAN_X)


def draw(config: GrapheneConfig, *, seed: int) -> xr.Dataset:
    """A scan in memory: `pattern (scan_y, scan_x, k_y, k_x)` [count] and what is known of it.

    Returns:
        `pattern`; `com_y`, `com_x` of the pattern without noise [mrad], `cell` (place of the probe in the
        unit cell) and, if there is a defect, `distance` [nm] over the scan; atoms and defects.
    """
    rows, layout = range(config.n_scan_y), pattern_layout(config) | com_layout(config)
    arrays = make_rows(rows, config=config, seed=seed)
    known = {name: (v.dims, arrays[name], dict(v.attrs)) for name, v in layout.items()}
    return recording_coords(config, seed).merge(truth(config, seed)).assign(known)


def simulate(
    target: Path,
    *,
    config: GrapheneConfig,
    seed: int,
    receipt: Receipt | None = None,
    progress: Progress = silent,
) -> None:
    """Write a scan as a Zarr store, rows by rows: patterns at the root, truth in group `truth`."""
    receipt = receipt or make_receipt(target, config=config, seed=seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = store.begin(target, receipt.key)
    layouts = {"": pattern_layout(config), "truth": com_layout(config)}
    shard = store.shard_length(layouts[""], shard_bytes=SHARD_BYTES)
    for group, known in (("", recording_coords(config, seed)), ("truth", truth(config, seed))):
        store.lay_out(partial, layouts[group], shard=shard, coords=known, group=group)
    for block in store.blocks(config.n_scan_y, shard):
        if not _is_written(partial, layouts, start=block.start, shard=shard):
            made = make_rows(range(block.start, block.stop), config=config, seed=seed)
            for group, layout in layouts.items():
                arrays = {name: made[name] for name in layout}
                store.write_block(partial, arrays, start=block.start, shard=shard, group=group)
        progress(block.stop, config.n_scan_y)
    store.publish(partial, target, receipt)


def make_receipt(target: Path, *, config: GrapheneConfig, seed: int) -> Receipt:
    """The receipt of a scan."""
    return receipt_of_scene("graphene", target, config=config, seed=seed)


def make_rows(rows: range, *, config: GrapheneConfig, seed: int) -> dict[str, np.ndarray]:
    """Counts and the centres of mass without noise for some rows; every row has its own noise."""
    probes, optics, atoms = probe_places(config), optics_of(config), scattering(config, seed)
    counts = np.empty((len(rows), config.n_scan_x, config.n_k, config.n_k), np.uint32)
    com = np.empty((2, len(rows), config.n_scan_x))
    for index, row in enumerate(rows):
        expected = patterns(probes[row], atoms, optics)
        com[:, index] = centre_of_mass(expected, optics.k)
        counts[index] = stream(seed, "noise", row).poisson(config.dose * expected)
    return {"pattern": counts, "com_y": com[0], "com_x": com[1]}


def optics_of(config: GrapheneConfig) -> Optics:
    """The microscope of a scan."""
    return Optics(config.beam_energy, config.convergence, n_k=config.n_k, k_max=config.k_max)


def probe_places(config: GrapheneConfig) -> np.ndarray:
    """Places of the probes (scan_y, scan_x, axis) [nm], the first at 0."""
    steps = np.moveaxis(np.mgrid[: config.n_scan_y, : config.n_scan_x], 0, -1)
    return steps * config.scan_step


def lattice(config: GrapheneConfig, seed: int) -> Crystal:
    """The lattice under the scan, its offset within a cell by chance."""
    offset = stream(seed, "shift").random(2)
    return crystal.graphene().moved(offset).turned(np.deg2rad(config.angle))


def scattering(config: GrapheneConfig, seed: int) -> Atoms:
    """The potentials of the atoms that are there."""
    known = truth(config, seed)
    there = known["occupied"].to_numpy()
    species = known["species"].to_numpy()[there]
    places = np.stack((known["atom_y_nm"], known["atom_x_nm"]), axis=-1)[there]
    peaks = np.array([config.carbon_potential, config.silicon_potential])
    widths = np.array([config.carbon_sd, config.silicon_sd])
    return Atoms(places, peaks[species], widths[species])


def truth(config: GrapheneConfig, seed: int) -> xr.Dataset:
    """What is known before a pattern is made: atoms, defects, and where the probes lie."""
    probes, under = probe_places(config), lattice(config, seed)
    reach = optics_of(config).window / 2
    places, sublattice = under.sites(probes[0, 0] - reach, probes[-1, -1] + reach)
    middle = probes[-1, -1] / 2
    chosen = [int(np.hypot(*(places - middle).T).argmin())]
    defects = chosen if config.structure != "perfect" else []
    species, occupied = np.zeros(len(places), np.int8), np.ones(len(places), bool)
    species[defects] = SPECIES.index("silicon") if config.structure == "silicon" else 0
    occupied[defects] = config.structure != "vacancy"
    known = {
        **_places("atom", places),
        "species": ("atom", species, dims.flags(SPECIES, "species of the site") | {"units": "1"}),
        "occupied": ("atom", occupied, dims.attrs("whether an atom is on the site")),
        "sublattice": ("atom", sublattice.astype(np.int8), dims.attrs("sublattice of the site")),
        **_places("defect", places[defects]),
        "cell": (
            (*SCAN, "vector"),
            under.phase(probes),
            dims.attrs("place of the probe in the unit cell, from an atom of sublattice 0"),
        ),
        "vectors": (("vector", "axis"), under.vectors, dims.attrs("lattice vectors", "nm")),
    }
    if defects:
        distance = np.linalg.norm(probes - places[chosen[0]], axis=-1)
        known["distance"] = (SCAN, distance, dims.attrs("distance to the defect", "nm"))
    return xr.Dataset(known, coords={**_scan_coords(config), "axis": ["y", "x"]})


def _places(name: str, places: np.ndarray) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Places (site, axis) as variables over a dimension of that name."""
    return {
        f"{name}_{axis}_nm": (name, places[:, index], dims.attrs(f"{axis} of the {name}", "nm"))
        for index, axis in enumerate(("y", "x"))
    }


def pattern_layout(config: GrapheneConfig) -> dict[str, Variable]:
    """What is recorded."""
    shape = (config.n_scan_y, config.n_scan_x, config.n_k, config.n_k)
    attrs = dims.attrs("diffraction pattern", "count", quantity="intensity")
    return {"pattern": Variable((*SCAN, dims.K_Y, dims.K_X), shape, np.uint32, attrs)}


def com_layout(config: GrapheneConfig) -> dict[str, Variable]:
    """What is known of every pattern once it is made."""
    shape = (config.n_scan_y, config.n_scan_x)
    name = "of the centre of mass without noise"
    return {
        f"com_{axis}": Variable(SCAN, shape, np.float64, dims.attrs(f"{axis} {name}", "mrad"))
        for axis in ("y", "x")
    }


def recording_coords(config: GrapheneConfig, seed: int) -> xr.Dataset:
    """Axes of the recording, and what made it."""
    k = optics_of(config).k
    settings = {"config": config.model_dump(mode="json"), "seed": seed}
    told = {"modality": "4D-STEM", "format": "simulated", "notes": []}
    optics = {"beam_energy": config.beam_energy, "convergence": config.convergence}
    return xr.Dataset(
        coords={
            **_scan_coords(config),
            dims.K_Y: (dims.K_Y, k, dims.attrs("k_y, downwards", "mrad")),
            dims.K_X: (dims.K_X, k, dims.attrs("k_x", "mrad")),
        },
        attrs={**told, **optics, "metadata": json.dumps(settings)},
    )


def _scan_coords(config: GrapheneConfig) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    sizes = {dims.SCAN_Y: config.n_scan_y, dims.SCAN_X: config.n_scan_x}
    return {
        name: (name, np.arange(size) * config.scan_step, dims.attrs(name, "nm"))
        for name, size in sizes.items()
    }


def _is_written(
    partial: Path, layouts: dict[str, dict[str, Variable]], *, start: int, shard: int
) -> bool:
    return all(
        store.block_is_written(partial, list(names), start=start, shard=shard, group=group)
        for group, names in layouts.items()
    )
