"""Patterns of a scan as patches: where they are centred, what falls into a pixel, and what counts stay."""

import numpy as np
import pytest
import xarray as xr
import zarr

from invae import dims
from invae.config import PatternsConfig
from invae.descriptors.diffraction.neighbours import channels, combined, offsets, reach
from invae.descriptors.diffraction.resampling import overlap, resampling
from invae.descriptors.diffraction.scale import transformed
from invae.descriptors.layout import EMPTY
from invae.errors import ConfigError, InputError
from invae.storage import store
from invae.training.dataset import split_store
from tests.invae.recorded_scan import lobed, write_scan

CENTRE, RADIUS = (11.3, 12.1), 8.0


@pytest.fixture
def patterns():
    angle = np.random.default_rng(5).uniform(-np.pi, np.pi, (6, 7))
    shapes = lobed(angle, np.full(angle.shape, 0.8), centre=CENTRE, radius=RADIUS)
    return np.random.default_rng(6).poisson(40 * shapes).astype(np.uint16)


@pytest.fixture
def recording(tmp_path, patterns):
    return write_scan(tmp_path / "scan" / "recording.zarr", patterns, centre=CENTRE, radius=RADIUS)


def opened(path) -> xr.Dataset:
    return store.open_store(path).load()


def config(**changes) -> PatternsConfig:
    return PatternsConfig.model_validate({"transform": "none", "window": 12, **changes})


def test_a_patch_is_centred_on_the_axis_to_a_fraction_of_a_pixel():
    y, x = np.indices((24, 24))
    blob = np.exp(-((y - 11.3) ** 2 + (x - 12.8) ** 2) / (2 * 2.5**2))
    found = resampling(np.ones((24, 24), bool), centre=(11.3, 12.8), radius=(9, 9), window=18)
    patch = found.of(blob)
    steps = np.arange(18) - 8.5
    weight = patch / patch.sum()
    assert abs((weight.sum(1) * steps).sum()) < 0.02
    assert abs((weight.sum(0) * steps).sum()) < 0.02


def test_a_turned_pattern_gives_a_turned_patch():
    pattern = np.random.default_rng(0).random((20, 20))
    found = resampling(np.ones((20, 20), bool), centre=(9.5, 9.5), radius=(7.3, 7.3), window=10)
    np.testing.assert_allclose(found.of(np.rot90(pattern)), np.rot90(found.of(pattern)), rtol=1e-5)


def test_what_lies_inside_the_patch_is_all_there():
    shares = overlap(30, centre=13.7, radius=6.2, window=9)
    assert shares.sum() == pytest.approx(12.4)
    assert shares.sum(0).max() <= 1 + 1e-12


def test_dealt_counts_are_whole_and_none_is_lost():
    counts = np.random.default_rng(1).poisson(3.0, (5, 16, 16))
    found = resampling(np.ones((16, 16), bool), centre=(7.5, 7.5), radius=(8, 8), window=7)
    dealt = found.dealt(counts, np.random.default_rng(2))
    assert dealt.dtype.kind == "i"
    np.testing.assert_array_equal(dealt.sum((1, 2)), counts.sum((1, 2)))


@pytest.mark.parametrize("rate", [0.05, 4.0])
def test_dealt_counts_of_a_poisson_pattern_are_poisson(rate):
    generator = np.random.default_rng(3)
    counts = generator.poisson(rate, (4000, 9, 9))
    found = resampling(np.ones((9, 9), bool), centre=(4.2, 3.9), radius=(3.1, 3.1), window=5)
    dealt = found.dealt(counts, generator)
    expected = rate * found.share * (6.2 / 5) ** 2
    np.testing.assert_allclose(dealt.mean(0), expected, atol=5 * np.sqrt(expected.max() / 4000))
    index = dealt.var(0).sum() / dealt.mean(0).sum()
    assert abs(index - 1) < 4 * np.sqrt((2 + 1 / expected.mean()) / 4000 / 25)
    pairs = np.corrcoef(dealt.reshape(4000, -1).T)[np.triu_indices(25, 1)]
    assert np.abs(pairs.mean()) < 4 / np.sqrt(4000 * 300)


def test_dead_pixels_are_made_up_for_and_a_dead_patch_pixel_is_not_believed():
    working = np.ones((16, 16), bool)
    working[8, 8] = False
    working[2:5, 2:5] = False
    flat = np.full((16, 16), 7.0)
    found = resampling(working, centre=(7.5, 7.5), radius=(8, 8), window=8)
    valid = found.valid(counts=False)
    np.testing.assert_allclose(found.of(flat)[valid], 7.0 * 4, rtol=1e-6)
    assert not valid[1, 1]
    assert found.valid(counts=False)[4, 4]
    assert not found.valid(counts=True)[4, 4]


@pytest.mark.parametrize("n", [1, 5, 9, 13, 21, 37])
def test_neighbours_are_as_many_as_asked_for_and_closed_under_quarter_turns(n):
    places = offsets(n)
    assert len(places) == n
    assert places[0] == (0, 0)
    assert {(-x, y) for y, x in places} == set(places)
    assert max(abs(y) for y, _ in places) == reach(n)


def test_sums_over_neighbours_turn_with_the_scan_and_single_neighbours_do_not():
    scan = np.random.default_rng(4).random((5, 5, 3, 3))
    turned = np.rot90(scan, axes=(0, 1))
    for combine, alike in (("sum", True), ("rings", True), ("apart", False)):
        groups = list(channels(9, combine).values())
        same = combined(turned, groups, margin=1)[1, 1]
        there = combined(scan, groups, margin=1)[1, 1]
        assert np.allclose(same, there) == alike


def test_every_probe_with_all_its_neighbours_is_a_site(recording, described):
    found = opened(described(recording, config(neighbours=9)))
    assert found["patch"].shape == (4 * 5, 1, 12, 12)
    assert set(found["y"].to_numpy()) == {1, 2, 3, 4}
    assert set(found["x"].to_numpy()) == {1, 2, 3, 4, 5}
    np.testing.assert_allclose(found["y_nm"], 0.02 * found["y"])
    assert dims.meanings(found["kind"].attrs)[int(found["kind"][0])] == "pattern"
    assert found["patch_y"].attrs["units"] == "mrad"
    assert float(found["patch_x"][-1] - found["patch_x"][0]) == pytest.approx(
        2 * 0.95 * 30 * 11 / 12
    )


def test_a_sum_over_neighbours_is_the_sum_of_their_patches(recording, described):
    alone = opened(described(recording, config(neighbours=1), name="one.zarr"))["patch"]
    nine = opened(described(recording, config(neighbours=9), name="nine.zarr"))["patch"]
    scan = alone.to_numpy().reshape(6, 7, 12, 12)
    np.testing.assert_array_equal(nine[0, 0], scan[:3, :3].sum((0, 1)))


def test_counts_stay_counts_and_do_not_depend_on_the_blocks(recording, described, monkeypatch):
    whole = opened(described(recording, config(), name="whole.zarr"))
    monkeypatch.setattr("invae.descriptors.layout.PATCH_BYTES", 12 * 12 * 4 * 5)
    monkeypatch.setattr("invae.descriptors.diffraction.scan.PIECE_BYTES", 1.0)
    small = opened(described(recording, config(), name="small.zarr"))
    xr.testing.assert_identical(whole["patch"], small["patch"])
    assert (whole["patch"] == np.rint(whole["patch"])).all()


def test_the_corners_of_a_patch_count_nowhere(recording, described):
    valid = opened(described(recording, config()))["valid"].to_numpy()
    assert not valid[:, :, 0, 0].any()
    assert valid[:, :, 5:7].all()


def test_the_anscombe_transform_makes_the_noise_one_at_every_rate():
    for rate in (5.0, 50.0, 5000.0):
        counts = np.random.default_rng(7).poisson(rate, 40_000)
        assert transformed(counts, "anscombe").std() == pytest.approx(1, abs=0.03)


def test_transforms_take_values_below_zero_as_zero():
    for name in ("sqrt", "log", "anscombe"):
        values = transformed(np.array([-3.0, 0.0, 2.0]), name)
        assert values[0] == values[1] < values[2]


def test_the_radius_may_be_given_in_mrad(recording, described):
    found = opened(described(recording, config(radius=24.0, radius_units="mrad")))
    assert float(found["patch_x"][-1]) == pytest.approx(24 * 11 / 12)


def test_held_out_blocks_are_cut_along_the_scan_not_by_the_size_of_a_patch(recording, described):
    found = opened(described(recording, config(window=24)))
    split = split_store(found, share=0.2, seed=0)
    assert 0 < len(split.held_out) < len(split.training)


def test_a_recording_without_patterns_is_refused(record, described):
    images = record({"amplitude": np.ones((1, 8, 8))})
    with pytest.raises(InputError, match=r"holds no patterns .*choose another kind of describe"):
        described(images, config())


def test_a_scan_smaller_than_the_neighbourhood_is_refused(recording, described):
    with pytest.raises(InputError, match=r"6×7 probes, .* 37 needs 7×7"):
        described(recording, config(neighbours=37))


def test_mrad_of_a_detector_that_is_not_calibrated_is_refused(tmp_path, patterns, described):
    path = write_scan(
        tmp_path / "recording.zarr", patterns, centre=CENTRE, radius=RADIUS, k_units="pixel"
    )
    with pytest.raises(ConfigError, match="k has units 'pixel'; use 'disc'"):
        described(path, config(radius=20.0, radius_units="mrad"))


def test_a_radius_that_leaves_nothing_is_refused(tmp_path, patterns, described):
    dead = np.ones((24, 24), bool)
    dead[8:16, 8:16] = False
    path = write_scan(
        tmp_path / "recording.zarr", patterns, centre=CENTRE, radius=RADIUS, valid=dead
    )
    with pytest.raises(ConfigError, match="leave no pixel"):
        described(path, config(radius=0.3))


def test_what_all_patterns_share_is_taken_off_and_the_rest_stays(recording, described):
    kept, removed = (
        opened(described(recording, config(transform="anscombe", common=common)))
        for common in ("keep", "remove")
    )
    valid = kept["valid"].to_numpy()
    taken = np.where(valid, kept["patch"] - removed["patch"], np.nan)
    assert np.nanmax(np.abs(taken - taken[0])) < 1e-5, "the same for every site"
    for turned in (np.rot90(taken[0, 0]), taken[0, 0, ::-1]):
        np.testing.assert_allclose(turned, taken[0, 0], atol=1e-5)
    share = [np.abs(each["patch"].to_numpy()[valid].mean()) for each in (kept, removed)]
    assert share[1] < 0.05 * share[0]


@pytest.mark.parametrize("transform", ["pearson", "anscombe", "log"])
def test_the_patch_of_a_pattern_without_electrons_lies_below_all_others(
    recording, described, transform
):
    path = described(recording, config(transform=transform, common="remove"))
    patches, empty = opened(path), store.open_store(path, group=EMPTY)["empty_patch"]
    assert empty.dims == patches["patch"].dims[1:]
    valid, above = patches["valid"], patches["patch"] - empty
    assert float(above.where(valid).min()) > -1e-4
    # Counted from it, residuals are counts again, each in units of its pixel's noise.
    if transform == "pearson":
        counts = opened(described(recording, config(), name="counts.zarr"))["patch"]
        total, other = ((values * valid).sum() for values in (above * -empty, counts))
        assert float(total) == pytest.approx(float(other), rel=0.02)


def test_nothing_is_taken_off_counts(recording, described):
    kept, removed = (
        opened(described(recording, config(common=common))) for common in ("keep", "remove")
    )
    np.testing.assert_array_equal(kept["patch"], removed["patch"])


@pytest.mark.parametrize("changes", [{}, {"radius_units": "mrad", "radius": 20, "alike": {}}])
def test_a_scan_without_a_disc_says_what_to_set(tmp_path, described, changes):
    flat = np.full((6, 7, 24, 24), 3, np.uint16)
    path = write_scan(tmp_path / "flat" / "recording.zarr", flat, centre=CENTRE, radius=RADIUS)
    zarr.open_group(path / "maps", mode="r+").attrs["disc_radius"] = 0.0
    with pytest.raises(
        ConfigError, match=r"flat: .*no bright-field disc .*describe.radius_units=mrad"
    ):
        described(path, config(**changes))


def test_in_mrad_no_disc_is_needed(tmp_path, described):
    flat = np.full((6, 7, 24, 24), 3, np.uint16)
    path = write_scan(tmp_path / "flat" / "recording.zarr", flat, centre=CENTRE, radius=RADIUS)
    zarr.open_group(path / "maps", mode="r+").attrs["disc_radius"] = 0.0
    found = opened(described(path, config(radius_units="mrad", radius=20)))
    assert found.sizes["site"] == 6 * 7
