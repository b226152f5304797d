"""Patterns by multislice, which includes what the weak-phase model neglects, at ten times its cost. Needs abTEM."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from invae.errors import ConfigError
from invae.synthetic.phase_object import Optics

NUMBERS = np.array([6, 14])
"""Atomic numbers of `phase_object.SPECIES`."""
SAMPLING = 0.1
"""Side of a pixel [Å]: waves up to 160 mrad at 60 keV after the limit of two thirds."""
SLICE = 1.0
"""Thickness of a slice [Å]."""
DEPTH = 4.0
"""Thickness of the box around the flat sample [Å]."""


def patterns(
    probes: np.ndarray, positions: np.ndarray, species: np.ndarray, optics: Optics
) -> np.ndarray:
    """Expected fraction of the electrons in every detector pixel (probe, k_y, k_x).

    Args:
        probes: Positions of the probe (probe, axis) [nm].
        positions: Static atoms (atom, axis) [nm] in one plane.
        species: Index of `phase_object.SPECIES` (atom,).
        optics: The probe and the detector.

    Raises:
        ConfigError: If abTEM is not installed.
    """
    if find_spec("abtem") is None:
        raise ConfigError(
            "graphene.method is multislice, which needs abTEM; run pip install 'invae[multislice]' or set "
            "graphene.method=weak-phase"
        )
    import abtem  # pyright: ignore[reportMissingImports]  (an extra)
    from ase import Atoms  # pyright: ignore[reportMissingImports]

    reach = optics.window / 2
    low, high = probes.min(0) - reach, probes.max(0) + reach
    near = ((positions >= low) & (positions <= high)).all(1)
    flat = 10 * (positions[near] - low)[:, ::-1]
    middle = np.full((len(flat), 1), DEPTH / 2)
    box = (*(10 * (high - low)[::-1]), DEPTH)
    atoms = Atoms(NUMBERS[species[near]], np.hstack((flat, middle)), cell=box, pbc=True)
    potential = abtem.Potential(
        atoms, sampling=SAMPLING, slice_thickness=SLICE, projection="infinite"
    )
    probe = abtem.Probe(energy=1e3 * optics.beam_energy, semiangle_cutoff=optics.convergence)
    probe.grid.match(potential)
    scan = abtem.CustomScan(10 * (probes - low)[:, ::-1])
    waves: Any = probe.multislice(potential, scan=scan, lazy=False)
    exit_waves = np.swapaxes(waves.to_cpu().array, 1, 2)
    y, x = (
        side / 10 * np.arange(n) / n
        for side, n in zip(box[1::-1], exit_waves.shape[1:], strict=True)
    )
    norm = np.linalg.norm(probe.build(scan=scan, lazy=False).to_cpu().array, axis=(1, 2))
    return optics.detected(exit_waves / norm[:, None, None], y, x)
