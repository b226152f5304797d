"""The motion of the direct beam over the scan is measured, and patterns are moved back."""

from pathlib import Path

import numpy as np
import pytest

from invae.descriptors.diffraction.descan import Motion, motion_of, remarks_on_descan
from invae.storage import store
from tests.invae.recorded_scan import disc, write_scan

SIDE, CENTRE, RADIUS = 40, (19.2, 19.7), 4.0


@pytest.fixture
def moving(tmp_path: Path) -> Path:
    """A beam that moves by 6 px down over the rows and by 3 px left over the columns."""
    patterns = np.empty((16, 16, SIDE, SIDE))
    for row, column in np.ndindex(16, 16):
        centre = (CENTRE[0] + 6 * (row / 15 - 0.5), CENTRE[1] - 3 * (column / 15 - 0.5))
        patterns[row, column] = disc(SIDE, centre=centre, radius=RADIUS)
    counts = np.random.default_rng(0).poisson(4 * patterns + 0.02).astype(np.uint16)
    return write_scan(tmp_path / "moving" / "recording.zarr", counts, centre=CENTRE, radius=RADIUS)


def test_the_motion_is_a_plane(moving: Path) -> None:
    pattern, maps = store.open_store(moving)["pattern"], store.open_store(moving, group="maps")
    motion = motion_of(pattern, maps, "plane")
    truth = 6 * (np.arange(16) / 15 - 0.5)
    assert np.abs(motion.pixels[:, 0, 0] - truth).max() < 1  # whole pixels
    assert np.abs(motion.pixels[0, :, 1] + truth / 2).max() < 1
    assert "the direct beam moves by" in remarks_on_descan(motion, maps, "plane")[0]


def test_patterns_are_moved_back(moving: Path) -> None:
    pattern, maps = store.open_store(moving)["pattern"], store.open_store(moving, group="maps")
    motion = motion_of(pattern, maps, "plane")
    back = motion.undone(pattern.to_numpy(), slice(0, 16)).sum((1), dtype=float)
    y = np.arange(SIDE)[:, None]
    centre = (back * y).sum((1, 2)) / back.sum((1, 2))
    assert np.abs(centre - CENTRE[0]).max() < 0.8


def test_nothing_moves_without_descan(moving: Path) -> None:
    pattern, maps = store.open_store(moving)["pattern"], store.open_store(moving, group="maps")
    motion = motion_of(pattern, maps, "none")
    assert not motion.moves
    values = pattern.to_numpy()
    assert motion.undone(values, slice(0, 16)) is values


def test_pixels_that_leave_the_detector_do_not_count() -> None:
    motion = Motion(np.array([[[2, 0], [-1, 0]]]), np.zeros((1, 2, 2)))
    working = motion.always(np.ones((8, 8), bool))
    assert working.all(1).tolist() == [False, *[True] * 5, False, False]
