"""Whether the patterns of an opened scan have discs apart from the direct beam: a few patterns from all over the scan decide."""

import xarray as xr

from invae.config import ScanConfig
from invae.dims import K_X, K_Y, SCAN_X, SCAN_Y
from invae.readers.ingest_scan import axes_of, sample_of
from invae.scans.calibration import calibrate
from invae.scans.rings import first_ring

FEWEST = 16
"""Smallest number of probes of a scan that is judged."""


def has_separate_discs(recording: xr.Dataset) -> bool:
    """Whether a scan with one signal has a ring of diffracted discs, as nano-beam diffraction of crystals has, or a beam stop.

    Args:
        recording: A recording, opened or stored, with the dims of a scan.
    """
    names = [name for name in recording.data_vars if {SCAN_Y, SCAN_X, K_Y, K_X} <= {*recording[name].dims}]  # fmt: skip
    if len(names) != 1:
        return False
    patterns = recording[names[0]].transpose(SCAN_Y, SCAN_X, K_Y, K_X)
    if patterns.sizes[SCAN_Y] * patterns.sizes[SCAN_X] < FEWEST or min(patterns.shape[2:]) < FEWEST:
        return False
    sample = sample_of(patterns)
    found = calibrate(sample, axes_of(recording), ScanConfig())
    if not found.valid[round(found.centre[0]), round(found.centre[1])]:
        return True  # a beam stop: what is recorded are diffracted beams
    mean = found.window.of(sample).mean(0, dtype=float)
    ring = first_ring(
        mean, valid=found.valid, centre=found.centre, disc=found.disc_radius, n_patterns=len(sample)
    )
    return ring is not None
