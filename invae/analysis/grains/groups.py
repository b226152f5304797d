"""Groups of a result for a polycrystal: maps of the scan, `phases`, `grains` and `boundaries`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.grains.classes import Classes, classes_of
from invae.analysis.grains.search import Polycrystal, Settings, find_grains
from invae.analysis.grains.tables import boundary_table, grain_table
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Scalars
from invae.config import GrainsConfig, PatternsConfig
from invae.descriptors.diffraction.descan import shows_beam
from invae.descriptors.diffraction.scan import Scan, farthest_edge, pieces, resampled, survey
from invae.storage import store

SCAN = (dims.SCAN_Y, dims.SCAN_X)
MOST_PIXELS = 96
"""Largest side of the patterns that are compared [px]; a larger detector is binned."""
UNSURE = float(np.radians(2.0))
"""Sd of the orientation above which the electrons are too few."""
CLOSE = 3.2
"""Distance of neighbouring discs below which their detection is uncertain [radius of a disc]."""
PHASE, GRAIN, BOUNDARY = "phase", "grain", "boundary"


def add_grains(inputs: Inputs, groups: dict[str, xr.Dataset], config: GrainsConfig) -> None:
    """Add the maps of phases, orientation, strain and grains to the group `scan`, the tables, and notes to the sites.

    Args:
        inputs: the stores.
        groups: groups of the result so far, with `scan`.
        config: tolerances.
    """
    scan = scan_of(inputs)
    found = find_grains(
        lambda: blocks_of(scan),
        scan.shape,
        valid=scan.resampling.valid(counts=False),
        axis=((scan.config.window - 1) / 2, (scan.config.window - 1) / 2),
        beam=beam_of(scan),
        settings=Settings(config.phase_tolerance, float(np.radians(config.grain_tolerance))),
        displaced=displaced_in(scan),
    )
    classes = classes_of(found)
    step = _step(groups["scan"])
    unit, size = _unit(store.open_store(inputs.recording), scan)
    groups["scan"] = groups["scan"].assign(_maps(found, classes))
    grains = grain_table(found, classes, step=step)
    groups["phases"] = _phases(found, classes, grains, unit=unit, size=size)
    groups["grains"], groups["boundaries"] = grains, boundary_table(found, classes, step=step)
    sites = groups[""]
    notes = [*sites.attrs.get("notes", []), *notes_of(found, classes)]
    groups[""] = sites.assign_attrs(notes=notes)


def scan_of(inputs: Inputs) -> Scan:
    """The scan with all of the detector, at its own pixels or binned; patterns are centred as in the patches."""
    receipt = store.read_receipt(inputs.patches)
    assert receipt is not None
    described = PatternsConfig.model_validate(receipt.config["describe"])
    return scan_for_grains(inputs.recording, descan=described.descan)


def scan_for_grains(recording: Path, *, descan: str) -> Scan:
    """The scan of a recording on patches that end at the edge of the detector."""
    maps = store.open_store(recording, group="maps")
    side = min(MOST_PIXELS, int(2 * farthest_edge(maps)))
    values = {"window": side, "radius": 1.0, "radius_units": "detector", "transform": "sqrt", "descan": descan}  # fmt: skip
    scan, _ = survey(store.open_store(recording), recording, config=PatternsConfig.model_validate(values))  # fmt: skip
    return scan


def beam_of(scan: Scan) -> float | None:
    """Radius of the direct beam on the compared patterns [px]; None if it is not recorded."""
    maps = store.open_store(scan.recording, group="maps")
    size = 2 * farthest_edge(maps) / scan.config.window
    return float(maps.attrs["disc_radius"]) / size if shows_beam(maps) else None


def displaced_in(scan: Scan) -> np.ndarray:
    """Displacement of the compared patterns that is left after whole detector pixels (row, column, axis) [px]."""
    maps = store.open_store(scan.recording, group="maps")
    return scan.motion.rest * scan.config.window / (2 * farthest_edge(maps))


def blocks_of(scan: Scan) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of a scan, and their patterns (row, column, y, x)."""
    for rows in pieces(scan, 0, scan.shape[0]):
        yield rows, resampled(scan, rows)


def _step(maps: xr.Dataset) -> float | None:
    """Distance of neighbouring probes [nm]; None without a calibration or with unequal steps."""
    if dims.SCAN_X not in maps.coords or maps[dims.SCAN_X].attrs.get("units") != "nm":
        return None
    steps = [abs(float(np.diff(maps[axis].to_numpy()).mean())) for axis in SCAN if maps.sizes[axis] > 1]  # fmt: skip
    return steps[0] if steps and np.allclose(steps, steps[0], rtol=0.01) else None


def _unit(recording: xr.Dataset, scan: Scan) -> tuple[str, float]:
    """Unit of scattering angles, and the size of a pixel of the compared patterns."""
    places = recording[dims.K_X].to_numpy()
    maps = store.open_store(scan.recording, group="maps")
    step = abs(float(places[-1] - places[0])) / max(len(places) - 1, 1)
    size = 2 * farthest_edge(maps) / scan.config.window
    return str(recording[dims.K_X].attrs.get("units", "pixel")), step * size


def _maps(found: Polycrystal, classes: Classes) -> dict[str, xr.Variable]:
    """Maps over the scan."""
    n_fold = np.array([*(lattice.n_fold for lattice in found.lattices), 1])
    period = 2 * np.pi / n_fold[found.phase]
    crystalline = found.phase >= 0
    angle = np.where(crystalline, np.mod(found.angle, period), np.nan)
    probability = "probability of the phase"
    folded = (
        "angle of the first reflection from +x, as np.rot90, folded by the symmetry of the phase"
    )
    maps = {
        "phase_map": (classes.of_probe.astype(np.int32), dims.flags(classes.names, "phase")),
        "phase_probability_map": (found.probability, dims.attrs(probability)),
        "orientation_map": (angle, dims.attrs(folded, "rad")),
        "orientation_sd_map": (found.angle_sd, dims.attrs("sd of the orientation", "rad")),
        "grain_map": (found.grain.astype(np.int32), dims.attrs("number of the grain, from 0")),
        # a longer distance of reflections is a shorter distance of atoms
        **{f"{name}_map": (-found.strain[..., n], dims.attrs(f"{words} against the mean of the phase, axes of the detector"))
           for n, (name, words) in enumerate(STRAINS.items())},
        "strain_sd_map": (found.strain_sd.mean(-1), dims.attrs("mean sd of the components of the strain")),
    }  # fmt: skip
    return {name: xr.Variable(SCAN, values, attrs) for name, (values, attrs) in maps.items()}


STRAINS: Mapping[str, str] = {
    "strain_yy": "strain along y",
    "strain_xx": "strain along x",
    "strain_yx": "shear strain",
}


def _phases(
    found: Polycrystal, classes: Classes, grains: xr.Dataset, *, unit: str, size: float
) -> xr.Dataset:
    """One row per phase: lattice, symmetry, share of the area, mean pattern."""
    lattices = [*found.lattices, *[None] * (len(classes.names) - len(found.lattices))]
    share = np.array([(classes.of_probe == n).mean() for n in range(len(classes.names))])
    numbers = {
        "first": [np.nan if one is None else one.first * size for one in lattices],
        "second": [np.nan if one is None else one.second * size for one in lattices],
        "lattice_angle": [np.nan if one is None else np.pi / 2 - abs(np.pi / 2 - one.angle) for one in lattices],
        "n_fold": [0 if one is None else one.n_fold for one in lattices],
        "has_mirror": [one is not None and one.has_mirror for one in lattices],
        "n_grains": [int((grains["phase"] == n).sum()) for n in range(len(lattices))],
    }  # fmt: skip
    words = {
        "first": dims.attrs("distance of the first reflection", unit),
        "second": dims.attrs("distance of the second reflection", unit),
        "lattice_angle": dims.attrs("angle between both", "rad"),
        "n_fold": dims.attrs("order of the rotation of the lattice, 0 without one"),
        "has_mirror": dims.attrs("whether the lattice has a mirror line"),
        "n_grains": dims.attrs("number of grains"),
    }
    dataset = xr.Dataset(
        {name: (PHASE, np.asarray(values), words[name]) for name, values in numbers.items()}
    )
    dataset["area_share"] = (PHASE, share, dims.attrs("share of the area"))
    patterns = (PHASE, "pattern_y", "pattern_x")
    dataset["mean_pattern"] = (patterns, classes.patterns, dims.attrs("mean pattern, turned to angle 0"))  # fmt: skip
    attrs = {"disc_radius": found.radius * size, "pixel": size, "units": unit}
    return dataset.assign_coords({"phase_name": (PHASE, np.array(classes.names))}).assign_attrs(attrs)  # fmt: skip


def notes_of(found: Polycrystal, classes: Classes) -> list[str]:
    """Lines on what the search did not find, or not with certainty."""
    if not found.lattices:
        return [
            "no lattice of diffracted discs was found: there are no grains by phase and orientation; the patterns may have too few electrons, no "
            "crystals, or overlapping discs"
        ]
    notes = []
    if len(classes.names) == 1:
        notes.append(f"one phase explains all patterns ({classes.names[0]})")
    sd = found.angle_sd[np.isfinite(found.angle_sd)]
    if len(sd) and float(np.median(sd)) > UNSURE:
        notes.append(
            f"the orientation of a single pattern has a median sd of {np.degrees(np.median(sd)):.1f} degrees: the electrons are few; sum neighbours or use a "
            "larger dose"
        )
    probability = found.probability[np.isfinite(found.probability)]
    unsure = float((probability < 0.9).mean())
    if unsure > 0.05:
        notes.append(f"the phase is uncertain (probability below 0.9) for {unsure:.0%} of the probes")  # fmt: skip
    weak = [
        name
        for number, name in enumerate(classes.names[: len(found.lattices)])
        if (found.phases.phase == number).sum() == 1 and (classes.of_probe == number).mean() < 0.01
    ]
    notes += [f"phase {name} rests on one small region" for name in weak]
    nearest = min(lattice.first for lattice in found.lattices)
    if nearest < CLOSE * found.radius:
        notes.append(
            f"discs nearly touch (distance {nearest:.1f} px, radius {found.radius:.1f} px): patterns may be without a lattice, and classes may be wrong; compare "
            "the mean patterns, or record with a smaller convergence angle"
        )
    return notes


def scalars_of(groups: Mapping[str, xr.Dataset]) -> Scalars:
    """Numbers of phases and grains, and the median size of a grain."""
    if "grains" not in groups:
        return {}
    grains = groups["grains"]
    scalars: Scalars = {
        "n_phases": (groups["phases"].sizes[PHASE], "phases, amorphous areas included", "1"),
        "n_grains": (grains.sizes[GRAIN], "grains", "1"),
        "grain_size": (float(grains["diameter"].median()), "median diameter of a grain", str(grains["diameter"].attrs["units"])),
    }  # fmt: skip
    sd = groups["scan"]["orientation_sd_map"]
    return scalars | {"orientation_sd": (float(np.degrees(sd.median())), "median sd of the orientation", "degree")}  # fmt: skip
