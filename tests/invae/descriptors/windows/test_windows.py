"""Windows without atom finding: a regular grid in every frame, with what is in the frame."""

import numpy as np
import pytest

from invae.config import DenseConfig
from invae.errors import ConfigError, InputError
from invae.storage import store


def test_windows_lie_on_a_grid_and_show_what_is_there(record, described):
    frames = np.random.default_rng(0).normal(5, 2, (2, 40, 52))
    target = described(
        record({"image": frames}, pixel=0.1),
        config=DenseConfig(window=12, spacing=8, normalise="none"),
    )
    patches = store.open_store(target)
    rows, columns = (np.unique(patches[name].to_numpy()) for name in ("y", "x"))
    assert np.unique(np.diff(rows)).tolist() == np.unique(np.diff(columns)).tolist() == [8.0]
    assert patches.sizes["site"] == 2 * len(rows) * len(columns)
    assert set(patches["kind"].to_numpy().tolist()) == {1}
    for site in (0, patches.sizes["site"] - 1):
        one = patches.isel(site=site)
        y, x = (float(one[name]) - 5.5 for name in ("y", "x"))
        assert y == int(y)
        assert x == int(x)
        here = frames[int(one["frame"]), int(y) : int(y) + 12, int(x) : int(x) + 12]
        np.testing.assert_allclose(one["patch"][0], here, atol=1e-4)


def test_a_frame_is_brought_to_its_own_mean_and_spread(record, described):
    noise = np.random.default_rng(1).normal(0, 1, (40, 40))
    slope = 30 * np.arange(40) / 40
    frames = np.stack([noise, 7 * noise + 100, noise + slope])
    recording = record({"image": frames}, pixel=0.1)
    plain = store.open_store(described(recording, config=DenseConfig(window=8, spacing=8)))
    first, second = (plain["patch"][plain["frame"] == number].to_numpy() for number in (0, 1))
    np.testing.assert_allclose(first, second, atol=1e-4)
    flat = store.open_store(
        described(
            recording,
            config=DenseConfig(window=8, spacing=8, background_nm=0.5, normalise="none"),
            name="flat.zarr",
        )
    )
    third = flat["patch"][flat["frame"] == 2]
    inner = third[np.abs(flat["x"][flat["frame"] == 2].to_numpy() - 19.5) < 8]
    assert abs(float(inner.mean())) < 0.5


def test_windows_that_are_not_known_are_left_out(record, described):
    frame = np.random.default_rng(2).normal(size=(1, 32, 32))
    frame[0, :, 20:] = np.nan
    recording = record({"image": frame})
    patches = store.open_store(described(recording, config=DenseConfig(window=8, spacing=4)))
    assert float(patches["x"].max()) + 3.5 < 20
    few = DenseConfig(window=8, spacing=4, max_per_frame=5)
    assert store.open_store(described(recording, config=few, name="few.zarr")).sizes["site"] == 5


def test_what_does_not_fit_says_what_would(record, described):
    recording = record({"image": np.full((1, 16, 16), np.nan)}, pixel=None)
    with pytest.raises(InputError, match=r"no window of 8 px .* lower describe\.min_valid"):
        described(recording, config=DenseConfig(window=8))
    with pytest.raises(ConfigError, match=r"describe\.window is 64 px; choose 2 to 16 px"):
        described(recording, config=DenseConfig(window=64))
    with pytest.raises(InputError, match="background_nm is 2, but the recording has no pixel size"):
        described(recording, config=DenseConfig(window=8, background_nm=2))
