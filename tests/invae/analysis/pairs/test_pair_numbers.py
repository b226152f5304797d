"""Integrals, repetitions, maps and the verdict on numbers that can be computed by hand."""

import numpy as np
import pytest
import xarray as xr

from invae.analysis.pairs.maps import band_maps
from invae.analysis.pairs.reliability import noise_ceiling, reliability
from invae.analysis.pairs.verdict import verdict
from invae.regression.measures import Axis, band, has_peaks, is_monotonic, peak

ENERGY = Axis("energy", np.linspace(1.0, 2.0, 21), "eV", "1/eV")


def loop(n: int = 20) -> Axis:
    """Bias from −1 to 1 V and back, twice."""
    once = np.r_[np.linspace(-1, 1, n), np.linspace(1, -1, n)]
    return Axis("voltage", np.tile(once, 2), "V", "pm")


def test_the_integral_of_a_constant_is_its_width():
    np.testing.assert_allclose(band(np.full((2, 21), 3.0), ENERGY), 3.0)
    assert ENERGY.band_units == "1"
    assert loop().band_units == "pm*V"


def test_the_integral_of_a_loop_is_its_area():
    axis = loop()
    up = np.gradient(axis.values) > 0
    square = np.where(up, -1.0, 1.0)[None]
    assert abs(band(square, axis)[0]) == pytest.approx(8.0, rel=0.06)
    assert not is_monotonic(axis)


def test_the_peak_of_a_parabola_is_exact():
    spectra = -((ENERGY.values - np.array([[1.333], [1.618]])) ** 2)
    np.testing.assert_allclose(peak(spectra, ENERGY), [1.333, 1.618], atol=1e-9)


def test_a_maximum_at_the_end_of_the_axis_is_no_peak():
    inside = np.exp(-(((ENERGY.values - 1.4) / 0.1) ** 2))[None].repeat(3, 0)
    assert has_peaks(inside, ENERGY)
    assert not has_peaks(ENERGY.values[None] ** 2, ENERGY)
    assert not has_peaks(1 / ENERGY.values[None], ENERGY)
    assert not has_peaks(np.zeros((2, 80)), loop())


def sites(n: int, spectra: np.ndarray, axis: Axis, **coords: np.ndarray) -> xr.Dataset:
    places = {"frame": np.zeros(n, int), "y": np.arange(n) * 1.0, "x": np.zeros(n), **coords}
    return xr.Dataset(
        {"spectrum": (("site", axis.name), spectra)},
        coords={name: ("site", values) for name, values in places.items()},
    )


def test_two_cycles_of_one_spectrum_are_repetitions():
    axis, rng = loop(), np.random.default_rng(0)
    up = np.gradient(axis.values) > 0
    area = rng.uniform(1, 2, 30)
    spectra = np.where(up, -area[:, None], area[:, None])
    same = reliability(sites(30, spectra, axis), axis)
    assert same is not None
    assert float(same["r"]) == pytest.approx(1)
    noise = rng.normal(size=spectra.shape)
    nothing = reliability(sites(30, noise, axis), axis)
    assert nothing is not None
    assert abs(float(nothing["r"])) < 0.6


def test_two_spectra_of_one_place_are_repetitions():
    rng = np.random.default_rng(0)
    height = np.repeat(rng.uniform(1, 2, 12), 2)
    spectra = height[:, None] * np.ones(21)
    found = reliability(sites(24, spectra, ENERGY, y=np.repeat(np.arange(12.0), 2)), ENERGY)
    assert found is not None
    assert found.sizes["repeated"] == 12
    assert float(found["r"]) == pytest.approx(1)


def test_spectra_at_different_places_have_no_repetition():
    assert reliability(sites(24, np.ones((24, 21)), ENERGY), ENERGY) is None


def test_the_ceiling_is_the_share_of_the_variance_that_is_no_noise():
    rng = np.random.default_rng(0)
    clean, noise = rng.normal(size=(4000, 21)), 0.5 * rng.normal(size=(4000, 21))
    patches = sites(4000, clean + noise, ENERGY, spectrum_sd=np.full(4000, 0.5))
    assert noise_ceiling(patches, clean + noise) == pytest.approx(0.8, abs=0.01)


def test_sites_on_a_grid_become_a_map_and_others_none():
    y, x = (v.ravel() for v in np.indices((5, 4)))
    keep = np.arange(20) != 7
    places = {"y": 2.0 * y[keep], "x": 3.0 * x[keep]}
    given = sites(19, np.zeros((19, 21)), ENERGY, **places)
    value = 10.0 * y[keep] + x[keep]
    for name in ("measured_band", "predicted_band", "fold"):
        given[name] = ("site", value, {"units": "1"})
    maps = band_maps(given, np.ones((19, 21)), units="pA")
    assert maps is not None
    assert maps["sd"].attrs["units"] == "pA"
    image = maps["measured"].to_numpy()[0]
    assert image.shape == (5, 4)
    assert image[3, 2] == 32
    assert np.isnan(image[1, 3])
    assert (maps["difference"].to_numpy()[np.isfinite(maps["difference"])] == 0).all()
    given["x"] = ("site", np.random.default_rng(0).uniform(0, 9, 19))
    assert band_maps(given, np.ones((19, 21))) is None


def table(own: float, *, ridge: float, leaks: int = 0) -> xr.Dataset:
    names = ["model", "mean", "pca_ridge", "pls", "invariant_ridge"]
    return xr.Dataset(
        {"r2": ("predictor", [own, 0.0, ridge, ridge - 0.1, ridge - 0.1])},
        coords={"predictor": names, "label": ("predictor", names)},
        attrs={"leaks": leaks},
    )


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (table(0.02, ridge=0.01), "not learnable from this image: held-out R² is 0.02"),
        (table(0.7, ridge=0.3), "spectra follow from the image: held-out R² is 0.70"),
        (table(0.06, ridge=0.01), "the image says little about the spectra: held-out R² is 0.06"),
        (table(0.5, ridge=0.6), "no better than pca_ridge (0.60)"),
        (table(0.7, ridge=0.3, leaks=1), "too good"),
    ],
)
def test_the_verdict_says_what_the_scores_say(scores, words):
    assert words in verdict(scores, None).findings[0].what


def test_a_verdict_on_an_image_of_the_same_spectra_says_that_it_shares_their_noise():
    good = table(0.7, ridge=0.3)
    shared = verdict(good, None, shares_noise=True)
    assert "shares their noise" in shared.findings[0].what
    assert shared.light == "amber"
    assert "shares their noise" not in verdict(good, None).findings[0].what


def test_neighbours_in_place_that_predict_as_well_leave_it_undecided():
    names = ["model", "mean", "pca_ridge", "pls", "invariant_ridge", "place"]
    scores = xr.Dataset(
        {"r2": ("predictor", [0.5, 0.0, 0.3, 0.3, 0.3, 0.8])},
        coords={"predictor": names, "label": ("predictor", names)},
        attrs={"leaks": 1},
    )
    assert verdict(scores, None).findings[0].what.startswith("undecided")
    apart = verdict(scores.assign_attrs(leaks=0), None).findings[0].what
    assert apart.startswith("spectra follow")
    assert "neighbours in place, without the image, have 0.80" in apart


def test_a_measurement_that_does_not_repeat_is_not_learnable():
    repeated = xr.Dataset({"r": 0.1})
    assert "r = 0.10" in verdict(table(0.7, ridge=0.3), repeated).findings[0].what


@pytest.mark.parametrize(
    ("scores", "light"),
    [
        (table(0.02, ridge=0.01), "red"),
        (table(0.5, ridge=0.6), "amber"),
        (table(0.2, ridge=0.1), "amber"),
        (table(0.7, ridge=0.3, leaks=1), "amber"),
        (table(0.7, ridge=0.3), "green"),
    ],
)
def test_the_light_follows_the_sentence(scores, light):
    assert verdict(scores, None).light == light
