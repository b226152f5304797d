"""A 4D-STEM scan of a polycrystal with well separated discs: grains, phases, orientation and strain are known.

Grains are Voronoi cells. Reflections are weighted by their distance from the Laue circle of the grain. Angles are those of the first
reflection from +x, positive as np.rot90.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from invae import dims
from invae.config.polycrystal import PhaseOfGrainsConfig, PolycrystalConfig
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.storage.store import Variable
from invae.synthetic.scene import TRUTH, is_written, receipt_of_scene, stream

SCAN = (dims.SCAN_Y, dims.SCAN_X)
SHARD_BYTES = 32e6
ORDERS = 8
"""Largest index of a reflection."""
EDGE = 0.1
"""Width of the edge of a disc, relative to its radius."""
STRENGTH, DECAY = 0.3, 22.0
"""Intensity of a reflection relative to the direct beam, and the angle at which it has fallen to 1/e [mrad]."""
EXCITATION = 400.0
"""Product of a reflection and its distance from the Laue circle at which the intensity has fallen to 1/e [mrad²]."""
DIFFUSE = 9.0
"""Decay of the diffuse scattering [mrad]."""
SLOW = 8.0
"""Sd of the smoothing of slow changes over the scan [scan step]."""
BLOCKED = 1.6
"""Radius of the beam stop [radius of a disc]."""


@dataclass(frozen=True)
class Polycrystal:
    """Grains, and the map from probes to grains."""

    grain: np.ndarray
    """Number of the grain (scan_y, scan_x)."""
    weights: np.ndarray
    """Share of every grain in a pattern (scan_y, scan_x, grain)."""
    phase: np.ndarray
    """Phase of every grain (grain,)."""
    angle: np.ndarray
    """Angle of the first reflection (grain,) [rad]."""
    strain: np.ndarray
    """Deformation of the reflections (grain, axis, axis): the identity without strain."""
    laue: np.ndarray
    """Centre of the Laue circle (grain, axis) [mrad]."""
    bend: np.ndarray
    """Additional angle of every probe (scan_y, scan_x) [rad]."""
    thickness: np.ndarray
    """Factor of the scattered intensity (scan_y, scan_x)."""


def make_grains(config: PolycrystalConfig, *, seed: int) -> Polycrystal:
    """The grains of a scan."""
    rng, shape = stream(seed, "grains"), (config.n_scan_y, config.n_scan_x)
    seeds = rng.uniform(0, 1, (config.n_grains, 2)) * shape
    rows, columns = np.indices(shape)
    distance = np.hypot(rows[..., None] - seeds[:, 0], columns[..., None] - seeds[:, 1])
    grain = distance.argmin(-1)
    each = [gaussian_filter((grain == n).astype(float), config.overlap) for n in range(config.n_grains)]  # fmt: skip
    components = rng.normal(0, config.strain, (config.n_grains, 3))
    strain = np.eye(2) + components[:, [[0, 1], [1, 2]]]
    return Polycrystal(
        grain,
        np.stack(each, axis=-1),
        _phases(config, rng),
        rng.uniform(-np.pi, np.pi, config.n_grains),
        strain,
        rng.normal(0, config.tilt, (config.n_grains, 2)),
        np.radians(config.bend) * _slow(rng, shape),
        np.clip(1 + config.thickness * _slow(rng, shape), 0.5, 1.5),
    )


def _phases(config: PolycrystalConfig, rng: np.random.Generator) -> np.ndarray:
    """The phase of every grain, with at least one grain per phase if there are enough."""
    share = np.array([phase.share for phase in config.phases])
    wanted = share / share.sum() * config.n_grains
    number = np.maximum(np.floor(wanted).astype(int), 1)
    while number.sum() < config.n_grains:
        number[np.argmax(wanted - number)] += 1
    while number.sum() > config.n_grains:
        number[np.argmax(number - wanted)] -= 1
    return rng.permutation(np.repeat(np.arange(len(number)), number))


def _slow(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A slow random change over the scan, sd 1."""
    smooth = gaussian_filter(rng.normal(size=shape), SLOW, mode="wrap")
    return smooth / max(float(smooth.std()), 1e-12)


def reflections(phase: PhaseOfGrainsConfig, *, reach: float) -> np.ndarray:
    """Reflections of a crystalline phase up to a distance (reflection, axis) [mrad]; the first direction is +x."""
    turn = {"hexagonal": 60.0, "square": 90.0, "rectangular": 90.0}.get(phase.lattice, phase.angle)
    ratio = phase.ratio if phase.lattice in ("rectangular", "oblique") else 1.0
    first = phase.spacing * np.array([0.0, 1.0])
    second = phase.spacing * ratio * np.array([-np.sin(np.radians(turn)), np.cos(np.radians(turn))])
    index = np.indices((2 * ORDERS + 1, 2 * ORDERS + 1)).reshape(2, -1).T - ORDERS
    used = index.any(1)
    if phase.forbidden:
        used &= index.sum(1) % 2 == 0
    places = index[used] @ np.stack((first, second))
    return places[np.hypot(*places.T) < reach]


def _disc(y: np.ndarray, x: np.ndarray, radius: float) -> np.ndarray:
    edge = np.clip((np.hypot(y, x) - radius) / (EDGE * radius), -50, 50)
    return 1 / (1 + np.exp(edge))


def axis_of(config: PolycrystalConfig) -> np.ndarray:
    """Positions of the detector's pixels along an axis [mrad]."""
    step = 2 * config.k_max / config.n_k
    return (np.arange(config.n_k) - (config.n_k - 1) / 2) * step


def grain_pattern(
    number: int, grains: Polycrystal, config: PolycrystalConfig, *, seed: int, turn: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:  # fmt: skip
    """Scattered intensity of a grain (k_y, k_x), relative to the direct beam.

    Args:
        number: of the grain.
        grains: all grains.
        config: of the scan.
        seed: of the scan.
        turn: Additional angle [rad].
        shift: Displacement of the direct beam (k_y, k_x) [mrad].
    """
    phase = config.phases[grains.phase[number]]
    k = axis_of(config)
    y, x = np.meshgrid(k - config.centre[0] - shift[0], k - config.centre[1] - shift[1], indexing="ij")  # fmt: skip
    if phase.lattice == "amorphous":
        radius = np.hypot(y, x)
        return 0.05 * (np.exp(-((radius - phase.spacing) ** 2) / (0.15 * phase.spacing) ** 2 / 2)
                       + 0.4 * np.exp(-((radius - 1.75 * phase.spacing) ** 2) / (0.2 * phase.spacing) ** 2 / 2))  # fmt: skip
    angle = grains.angle[number] + turn
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = reflections(phase, reach=1.5 * config.k_max)
    laue = grains.laue[number]
    turned = places @ rotation.T
    excitation = (((turned - laue) ** 2).sum(1) - (laue**2).sum()) / EXCITATION
    length = np.hypot(*turned.T)
    strength = STRENGTH * np.exp(-((length / DECAY) ** 2) - excitation**2)
    wave = stream(seed, "reflections", number).uniform(0, 2 * np.pi, len(places))
    strength *= 1 - config.dynamical * np.sin(wave) ** 2
    pattern = np.zeros_like(y)
    for place, height in zip(turned @ grains.strain[number].T, strength, strict=True):
        if height > 1e-5:
            pattern += height * _disc(y - place[0], x - place[1], config.convergence)
    return pattern


def expected_row(
    row: int, grains: Polycrystal, config: PolycrystalConfig, *, seed: int
) -> np.ndarray:
    """Expected electrons of the patterns of a row (scan_x, k_y, k_x)."""
    rates = np.zeros((config.n_scan_x, config.n_k, config.n_k))
    k = axis_of(config)
    known: dict[tuple[int, float, tuple[float, float]], np.ndarray] = {}
    for column in range(config.n_scan_x):
        shift = (
            config.descan[0] * (row / max(config.n_scan_y - 1, 1) - 0.5),
            config.descan[1] * (column / max(config.n_scan_x - 1, 1) - 0.5),
        )
        y, x = np.meshgrid(k - config.centre[0] - shift[0], k - config.centre[1] - shift[1], indexing="ij")  # fmt: skip
        rates[column] = _disc(y, x, config.convergence)
        rates[column] += config.background * np.exp(-np.hypot(y, x) / DIFFUSE)
        turn = float(grains.bend[row, column])
        for number in np.flatnonzero(grains.weights[row, column] > 1e-3):
            key = (int(number), turn, shift)
            if key not in known:
                known[key] = grain_pattern(int(number), grains, config, seed=seed, turn=turn, shift=shift)  # fmt: skip
            rates[column] += grains.weights[row, column, number] * grains.thickness[row, column] * known[key]  # fmt: skip
    return rates


def recorded_row(
    row: int, grains: Polycrystal, config: PolycrystalConfig, *, seed: int
) -> np.ndarray:
    """Counts of a row (scan_x, k_y, k_x); every row has its own noise."""
    rates = expected_row(row, grains, config, seed=seed)
    rates *= config.dose / rates.sum((1, 2)).mean()
    counts = stream(seed, "noise", row).poisson(rates).astype(np.uint32)
    k = axis_of(config)
    if config.direct_beam == "saturated":
        ceiling = max(1, round(float(rates.max()) / 3))
        counts = np.minimum(counts, ceiling).astype(np.uint32)
    if config.direct_beam == "blocked":
        stop = np.hypot(k[:, None] - config.centre[0], k - config.centre[1])
        counts[:, stop < BLOCKED * config.convergence] = 0
    return counts


def truth(grains: Polycrystal, config: PolycrystalConfig) -> xr.Dataset:
    """Grain, phase, angle and strain of every probe, and the share of its main grain."""
    at, pure = grains.grain, grains.weights.max(-1)
    values = {
        "grain": (at.astype(np.int32), dims.attrs("grain")),
        "phase": (grains.phase[at].astype(np.int32), dims.attrs("phase")),
        "angle": (grains.angle[at] + grains.bend, dims.attrs("angle of the first reflection from +x, as np.rot90", "rad")),
        "pure": (pure, dims.attrs("share of the main grain in the pattern", "1")),
        **{name: (grains.strain[:, i, j][at] - (i == j), dims.attrs(f"deformation {name[-2:]} of the reflections", "1"))
           for name, (i, j) in {"strain_yy": (0, 0), "strain_xx": (1, 1), "strain_yx": (0, 1)}.items()},
    }  # fmt: skip
    return xr.Dataset({name: (SCAN, *value) for name, value in values.items()})


def draw(config: PolycrystalConfig, *, seed: int) -> xr.Dataset:
    """A scan in memory: `pattern (scan_y, scan_x, k_y, k_x)` [count] and its ground truth."""
    grains = make_grains(config, seed=seed)
    counts = np.stack([recorded_row(row, grains, config, seed=seed) for row in range(config.n_scan_y)])  # fmt: skip
    layout = _layout(config)["pattern"]
    recording = recording_coords(config, seed).merge(truth(grains, config))
    return recording.assign(pattern=(layout.dims, counts, dict(layout.attrs)))


def simulate(
    target: Path,
    *,
    config: PolycrystalConfig,
    seed: int,
    receipt: Receipt | None = None,
    progress: Progress = silent,
) -> None:
    """Write a scan as a Zarr store, several rows at a time: patterns at the root, ground truth in the group `truth`."""
    receipt = receipt or make_receipt(target, config=config, seed=seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = store.begin(target, receipt.key)
    layout, grains = _layout(config), make_grains(config, seed=seed)
    shard = store.shard_length(layout, shard_bytes=SHARD_BYTES)
    store.lay_out(partial, layout, shard=shard, coords=recording_coords(config, seed))
    store.write_dataset(partial, truth(grains, config), group=TRUTH)
    for block in store.blocks(config.n_scan_y, shard):
        if not is_written(partial, {"": layout}, start=block.start, shard=shard):
            rows = range(block.start, block.stop)
            counts = np.stack([recorded_row(row, grains, config, seed=seed) for row in rows])
            store.write_block(partial, {"pattern": counts}, start=block.start, shard=shard)
        progress(block.stop, config.n_scan_y)
    store.publish(partial, target, receipt)


def make_receipt(target: Path, *, config: PolycrystalConfig, seed: int) -> Receipt:
    """The receipt of a scan."""
    return receipt_of_scene("polycrystal", target, config=config, seed=seed, module=__name__)


def _layout(config: PolycrystalConfig) -> dict[str, Variable]:
    """The recorded patterns."""
    shape = (config.n_scan_y, config.n_scan_x, config.n_k, config.n_k)
    attrs = dims.attrs("diffraction pattern", "count", quantity="intensity")
    return {"pattern": Variable((*SCAN, dims.K_Y, dims.K_X), shape, np.uint32, attrs)}


def recording_coords(config: PolycrystalConfig, seed: int) -> xr.Dataset:
    """Axes and metadata of the recording."""
    k = axis_of(config)
    settings = {"config": config.model_dump(mode="json"), "seed": seed}
    sizes = {dims.SCAN_Y: config.n_scan_y, dims.SCAN_X: config.n_scan_x}
    scan = {
        name: (name, np.arange(size) * config.scan_step, dims.attrs(name, "nm"))
        for name, size in sizes.items()
    }
    detector = {
        dims.K_Y: (dims.K_Y, k, dims.attrs("k_y, downwards", "mrad")),
        dims.K_X: (dims.K_X, k, dims.attrs("k_x", "mrad")),
    }
    optics = {"beam_energy_keV": config.beam_energy, "convergence_mrad": config.convergence}
    attrs = {"modality": "4D-STEM", "format": "simulated", "notes": [], **optics}
    return xr.Dataset(coords={**scan, **detector}, attrs={**attrs, "metadata": json.dumps(settings)})  # fmt: skip
