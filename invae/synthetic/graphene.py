"""A 4D-STEM scan of graphene: probe positions, electrons counted in every pixel, and its store."""

import json
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.config.scenes import GrapheneConfig
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.storage.store import Variable
from invae.synthetic import multislice
from invae.synthetic.flake import SCAN, Flake, make_flake, truth
from invae.synthetic.phase_object import Optics, Potential, centre_of_mass, patterns
from invae.synthetic.scene import TRUTH, is_written, receipt_of_scene, stream

SHARD_BYTES = 32e6


def draw(config: GrapheneConfig, *, seed: int) -> xr.Dataset:
    """A scan in memory: `pattern (scan_y, scan_x, k_y, k_x)` [count] and its ground truth.

    Returns:
        `pattern`; `com_y`, `com_x` of the pattern without noise [mrad]; the variables of `flake.truth`.
    """
    rows, layout = range(config.n_scan_y), pattern_layout(config) | com_layout(config)
    arrays = make_rows(rows, config=config, seed=seed)
    computed = {name: (v.dims, arrays[name], dict(v.attrs)) for name, v in layout.items()}
    flake = make_flake(config, seed=seed, reach=optics_of(config).window / 2)
    return recording_coords(config, seed).merge(truth(flake, config)).assign(computed)


def simulate(
    target: Path,
    *,
    config: GrapheneConfig,
    seed: int,
    receipt: Receipt | None = None,
    progress: Progress = silent,
) -> None:
    """Write a scan as a Zarr store, several rows at a time: patterns at the root, ground truth in the group `truth`."""
    receipt = receipt or make_receipt(target, config=config, seed=seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = store.begin(target, receipt.key)
    layouts = {"": pattern_layout(config), TRUTH: com_layout(config)}
    shard = store.shard_length(layouts[""], shard_bytes=SHARD_BYTES)
    flake = make_flake(config, seed=seed, reach=optics_of(config).window / 2)
    for group, coords in (("", recording_coords(config, seed)), (TRUTH, truth(flake, config))):
        store.lay_out(partial, layouts[group], shard=shard, coords=coords, group=group)
    for block in store.blocks(config.n_scan_y, shard):
        if not is_written(partial, layouts, start=block.start, shard=shard):
            computed = make_rows(range(block.start, block.stop), config=config, seed=seed)
            for group, layout in layouts.items():
                arrays = {name: computed[name] for name in layout}
                store.write_block(partial, arrays, start=block.start, shard=shard, group=group)
        progress(block.stop, config.n_scan_y)
    store.publish(partial, target, receipt)


def make_receipt(target: Path, *, config: GrapheneConfig, seed: int) -> Receipt:
    """The receipt of a scan."""
    return receipt_of_scene("graphene", target, config=config, seed=seed, module=__name__)


def make_rows(rows: range, *, config: GrapheneConfig, seed: int) -> dict[str, np.ndarray]:
    """Counts and the centres of mass without noise for some rows; every row has its own noise."""
    optics = optics_of(config)
    flake = make_flake(config, seed=seed, reach=optics.window / 2)
    counts = np.empty((len(rows), config.n_scan_x, config.n_k, config.n_k), np.uint32)
    com = np.empty((2, len(rows), config.n_scan_x))
    for index, row in enumerate(rows):
        expected = shares(flake.probes[row], flake, config)
        com[:, index] = centre_of_mass(expected, optics.k)
        counts[index] = stream(seed, "noise", row).poisson(config.dose * expected)
    return {"pattern": counts, "com_y": com[0], "com_x": com[1]}


def shares(probes: np.ndarray, flake: Flake, config: GrapheneConfig) -> np.ndarray:
    """Expected fraction of the electrons in every pixel (probe, k_y, k_x), for probes (probe, axis) [nm]."""
    optics = optics_of(config)
    positions, species = flake.positions[flake.occupied], flake.species[flake.occupied]
    if config.method == "multislice":
        return multislice.patterns(probes, positions, species, optics)
    potential = Potential.of_atoms(positions, species, vibration=config.vibration)
    return patterns(probes, potential, optics)


def optics_of(config: GrapheneConfig) -> Optics:
    """The microscope of a scan."""
    return Optics(config.beam_energy, config.convergence, n_k=config.n_k, k_max=config.k_max)


def pattern_layout(config: GrapheneConfig) -> dict[str, Variable]:
    """The recorded patterns."""
    shape = (config.n_scan_y, config.n_scan_x, config.n_k, config.n_k)
    attrs = dims.attrs("diffraction pattern", "count", quantity="intensity")
    return {"pattern": Variable((*SCAN, dims.K_Y, dims.K_X), shape, np.uint32, attrs)}


def com_layout(config: GrapheneConfig) -> dict[str, Variable]:
    """The ground truth that is computed with every pattern."""
    shape = (config.n_scan_y, config.n_scan_x)
    name = "of the centre of mass without noise"
    return {
        f"com_{axis}": Variable(SCAN, shape, np.float64, dims.attrs(f"{axis} {name}", "mrad"))
        for axis in ("y", "x")
    }


def recording_coords(config: GrapheneConfig, seed: int) -> xr.Dataset:
    """Axes and metadata of the recording; a scan of partners has numbered, not calibrated, positions."""
    k = optics_of(config).k
    settings = {"config": config.model_dump(mode="json"), "seed": seed}
    attrs = {"modality": "4D-STEM", "format": "simulated", "notes": []}
    optics = {"beam_energy_keV": config.beam_energy, "convergence_mrad": config.convergence}
    step, units = (config.scan_step, "nm") if config.places == "raster" else (1.0, "pixel")
    sizes = {dims.SCAN_Y: config.n_scan_y, dims.SCAN_X: config.n_scan_x}
    scan = {
        name: (name, np.arange(size) * step, dims.attrs(name, units))
        for name, size in sizes.items()
    }
    return xr.Dataset(
        coords={
            **scan,
            dims.K_Y: (dims.K_Y, k, dims.attrs("k_y, downwards", "mrad")),
            dims.K_X: (dims.K_X, k, dims.attrs("k_x", "mrad")),
        },
        attrs={**attrs, **optics, "metadata": json.dumps(settings)},
    )
