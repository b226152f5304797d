"""Laws of switching, creep, sizes and roughness, recovered from samples drawn from them."""

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage as ndi

from invae.analysis.domains import kinetics
from invae.analysis.domains.quantities import Quantity, table
from invae.analysis.domains.roughness import displacement, lines_of, roughness

SHAPE = (96, 96)
KNOWN = np.ones(SHAPE, bool)


def by_name(quantities) -> dict[str, Quantity]:
    return {one.name: one for one in quantities}


def covers(quantity: Quantity, value: float) -> bool:
    return quantity.low <= value <= quantity.high


def test_times_of_kai_give_their_time_and_exponent():
    rng = np.random.default_rng(0)
    first = 12 * (-np.log(rng.uniform(size=SHAPE))) ** (1 / 2.2)
    found = by_name(kinetics.growth(first, KNOWN, n_frames=40, one_sign=True, seed=0))
    assert found["kai_time"].value == pytest.approx(12, rel=0.03)
    assert found["kai_exponent"].value == pytest.approx(2.2, rel=0.05)
    assert covers(found["kai_exponent"], 2.2)


def test_spread_times_give_their_width():
    rng = np.random.default_rng(1)
    local = 10 * np.exp(0.6 * np.tan(rng.uniform(-1, 1, SHAPE) * np.arctan(4.0)))
    first = local * np.sqrt(-np.log(rng.uniform(size=SHAPE)))
    found = by_name(kinetics.growth(first, KNOWN, n_frames=120, one_sign=True, seed=0))
    assert found["nls_width"].value == pytest.approx(0.6, rel=0.2)


@pytest.mark.parametrize(
    ("first", "one_sign", "word"),
    [(np.full(SHAPE, 3.0), False, "sign"), (np.full(SHAPE, np.nan), True, "0 %")],
)
def test_growth_says_why_it_is_not_given(first, one_sign, word):
    found = kinetics.growth(first, KNOWN, n_frames=40, one_sign=one_sign, seed=0)
    assert all(np.isnan(one.value) and word in one.reason for one in found)


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_creep_gives_its_exponent(exponent):
    rng = np.random.default_rng(2)
    field = np.tile(np.linspace(0.5, 2, 8), 8)
    velocity = 5 * np.exp(-((2.0 / field) ** exponent) * 2 + 0.03 * rng.standard_normal(64))
    found = by_name(kinetics.creep(field, velocity, seed=0))
    assert found["creep_exponent"].value == pytest.approx(exponent, abs=0.2)


def test_walls_that_flow_do_not_creep():
    rng = np.random.default_rng(3)
    field = np.tile(np.linspace(0.5, 2, 8), 8)
    velocity = 12 * field * np.exp(0.05 * rng.standard_normal(64))
    found = kinetics.creep(field, velocity, seed=0)
    assert all("flow" in one.reason for one in found)


def test_one_field_gives_no_creep():
    found = kinetics.creep(np.ones(30), np.ones(30), seed=0)
    assert all("1 different" in one.reason for one in found)


def drawn_sizes(tau: float, n: int) -> xr.Dataset:
    rng = np.random.default_rng(4)
    area = np.floor(10 * rng.uniform(size=n) ** (-1 / (tau - 1)))
    return xr.Dataset({"area": ("event", area)})


@pytest.mark.parametrize("tau", [1.7, 2.3])
def test_sizes_of_a_power_law_give_its_exponent(tau):
    found = kinetics.sizes(drawn_sizes(tau, 1500), seed=0)
    assert found.value == pytest.approx(tau, rel=0.08)
    assert found.low < found.value < found.high


def test_exponential_sizes_have_no_exponent():
    rng = np.random.default_rng(5)
    area = np.ceil(20 + rng.exponential(100, 2000))
    found = kinetics.sizes(xr.Dataset({"area": ("event", area)}), seed=0)
    assert np.isnan(found.value)
    assert found.reason


def test_few_events_have_no_exponent():
    assert "12 events" in kinetics.sizes(drawn_sizes(2, 12), seed=0).reason


def rough_line(rng: np.random.Generator, zeta: float, n: int) -> np.ndarray:
    waves = np.fft.rfftfreq(4 * n)[1:]
    size = waves ** -(0.5 + zeta)
    noise = rng.standard_normal(len(waves)) + 1j * rng.standard_normal(len(waves))
    line = np.fft.irfft(np.concatenate([[0], size * noise]), 4 * n)[:n]
    return 6 * line / line.std()


@pytest.mark.parametrize("zeta", [0.4, 0.66, 0.9])
def test_lines_give_their_roughness(zeta):
    rng = np.random.default_rng(6)
    lines = [ndi.gaussian_filter(rough_line(rng, zeta, 512), 1.5) for _ in range(60)]
    found, _ = roughness(lines, smoothing=1.5, seed=0)
    assert found.value == pytest.approx(zeta, abs=0.07)
    assert covers(found, zeta) or abs(found.value - zeta) < 0.05


def test_few_walls_have_no_roughness():
    rng = np.random.default_rng(7)
    found, curve = roughness([rough_line(rng, 0.5, 300)] * 2, smoothing=1.5, seed=0)
    assert "2 walls" in found.reason
    assert np.isfinite(curve["roughness"]).any()


def test_no_walls_at_all_have_no_roughness():
    found, _ = roughness([], smoothing=1.5, seed=0)
    assert "0 walls" in found.reason


def test_displacements_are_measured_from_the_straight_line():
    along = np.linspace(0, 200, 401)
    wave = 3 * np.sin(2 * np.pi * along / 50)
    turned = np.stack([along * 0.6 + wave * 0.8, along * 0.8 - wave * 0.6], axis=1)
    line = displacement(turned)
    assert line is not None
    assert line.std() == pytest.approx(3 / np.sqrt(2), rel=0.05)


def test_closed_and_overhanging_walls_have_no_displacement():
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.sin(angle), np.cos(angle)], axis=1) * 20
    circle[-1] = circle[0]
    assert displacement(circle) is None
    hook = np.concatenate(
        [np.stack([np.zeros(60), np.arange(60.0)], 1), [[4.0, 50.0], [4.0, 40.0]]]
    )
    assert displacement(hook) is None


def test_walls_of_a_series_are_told_apart_by_their_number():
    x = np.tile(np.arange(50.0), 2)
    contours = xr.Dataset(
        {"contour": ("point", np.repeat([0, 1], 50)), "y": ("point", x * 0), "x": ("point", x)}
    )
    assert len(lines_of(contours)) == 2


def test_a_table_keeps_values_and_reasons():
    one = Quantity("a", "first", "px").having(1.0, [0.5, 1.5])
    rows = table([one, Quantity("b", "second").without("too few frames")])
    assert rows["value"].sel(quantity="a") == 1.0
    assert rows["reason"].sel(quantity="b") == "too few frames"
    assert np.isnan(rows["value"].sel(quantity="b"))


def test_a_velocity_that_falls_with_the_field_is_no_creep():
    field = np.tile(np.linspace(0.5, 2, 8), 8)
    found = kinetics.creep(field, np.exp(-field), seed=0)
    assert all(np.isnan(one.value) and one.reason for one in found)
