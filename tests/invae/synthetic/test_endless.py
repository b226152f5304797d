"""A recording of any length that costs no memory."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from invae.config import DomainsConfig
from invae.synthetic.endless import endless


@pytest.fixture(scope="module")
def recording():
    return endless(DomainsConfig(rows=64, columns=64), 1, n_frames=100_000)


def test_a_frame_is_the_same_whenever_it_is_read(recording):
    frames, _ = recording
    alone = frames["phase"].isel(frame=70_001).to_numpy()
    np.testing.assert_array_equal(
        frames["phase"].isel(frame=slice(70_000, 70_003)).to_numpy()[1], alone
    )
    np.testing.assert_array_equal(
        frames["phase"].isel(frame=[70_001], y=slice(3, 9)).to_numpy()[0], alone[3:9]
    )
    assert not np.array_equal(frames["phase"].isel(frame=70_015).to_numpy(), alone)


def test_reading_holds_only_the_frames_asked_for(recording):
    frames, _ = recording
    assert frames.nbytes > 6e9
    tracemalloc.start()
    for start in (0, 50_000, 99_990):
        frames.isel(frame=slice(start, start + 10)).load()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_its_drift_is_what_the_frames_show(recording):
    frames, truth = recording
    first = ndimage.gaussian_filter(frames["height"].isel(frame=0).to_numpy(), 1)
    drift = truth["drift"].to_numpy()
    near = np.flatnonzero(np.abs(drift).max(axis=1) <= 8)[1:40:8]
    for frame in near:
        later = ndimage.gaussian_filter(frames["height"].isel(frame=frame).to_numpy(), 1)
        found, _, _ = phase_cross_correlation(first, later, normalization=None)  # pyright: ignore[reportArgumentType]
        np.testing.assert_allclose(found, drift[frame], atol=1)
