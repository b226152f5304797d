"""Scalarisers, acquisitions, kernels: known answers."""

import numpy as np
import pytest
from scipy.stats import norm

from invae.active.acquisitions import ACQUISITIONS, Situation, log_expected_improvement
from invae.active.belief import Belief, Data
from invae.active.features import content, place, spacing
from invae.active.pool_process import Kernel, PoolProcess, Settings, learn
from invae.active.scalarisers import SCALARISERS, scalariser, value_with_sd, within
from invae.config.search import SearchConfig
from invae.errors import ConfigError
from invae.regression.measures import Axis

UP = np.linspace(-1, 1, 50)
BIAS = Axis("voltage", np.r_[UP, UP[::-1]], "V", "pm")
ENERGY = Axis("energy", np.linspace(0, 2, 201), "eV", "1/eV")


def loop(coercive=0.4, offset=0.0, height=1.0):
    moved = np.r_[np.full(50, coercive), np.full(50, -coercive)]
    return (offset + height * np.tanh((BIAS.values - moved) / 0.05))[None]


def peak(position=0.8, width=0.05):
    return np.exp(-0.5 * ((ENERGY.values - position) / width) ** 2)[None]


@pytest.mark.parametrize(
    ("name", "spectra", "axis", "expected", "units"),
    [
        ("area", loop(), BIAS, 4 * 0.4, "pm*V"),
        ("coercive", loop(), BIAS, 0.4, "V"),
        ("offset", loop(offset=0.3), BIAS, 0.3, "pm"),
        ("height", peak(), ENERGY, 1.0, "1/eV"),
        ("peak", peak(0.813), ENERGY, 0.813, "eV"),
        ("centre", peak(0.8), ENERGY, 0.8, "eV"),
        ("band", peak(), ENERGY, 0.05 * np.sqrt(2 * np.pi), "1"),
    ],
)
def test_a_number_of_a_spectrum_has_its_known_value_and_unit(name, spectra, axis, expected, units):
    one = SCALARISERS[name]
    assert one.compute(spectra, axis)[0] == pytest.approx(expected, rel=0.06, abs=1e-3)
    assert one.units(axis) == units


def test_the_sd_of_a_number_is_that_of_repeated_measurements():
    rng = np.random.default_rng(0)
    for name, axis, spectrum in (("area", BIAS, loop()[0]), ("centre", ENERGY, peak()[0])):
        one = scalariser(name)
        noisy = spectrum + 0.002 * rng.normal(size=(4000, len(spectrum)))
        spread = one.compute(noisy if name == "area" else np.abs(noisy), axis).std()
        _, sd = value_with_sd(one, spectrum + (0.02 if name == "centre" else 0), axis, 0.002)
        if name == "area":
            assert sd == pytest.approx(spread, rel=0.1)
        assert sd > 0


def test_a_function_of_your_own_is_a_target():
    assert scalariser("tests.invae.active.test_parts:second").compute(peak(), ENERGY)[0] < 1e-6
    with pytest.raises(ConfigError, match="cannot be imported"):
        scalariser("tests.invae.active.test_parts:third")


def second(spectra, axis):
    return spectra[:, 1]


def test_a_range_outside_of_the_axis_is_named():
    with pytest.raises(ConfigError, match="target_range 3 to 4 holds 0 channels"):
        within(peak(), ENERGY, (3.0, 4.0))


def situation(mean, sd, measured=(0,)):
    n = len(mean)
    belief = Belief(
        np.asarray(mean, float),
        np.asarray(sd, float),
        0.1,
        lambda rng: rng.normal(mean, sd),
        np.zeros(1),
        np.zeros(1),
        np.ones(1),
    )
    content = np.arange(n, dtype=float)[:, None]
    rng = np.random.default_rng(0)
    return Situation(belief, np.array(measured), content, np.zeros((1, 0)), SearchConfig(), rng)


@pytest.mark.parametrize("mean", [-30.0, -6.0, -1.5, -0.5, 0.0, 2.0])
def test_log_expected_improvement_is_exact(mean):
    gain = log_expected_improvement(situation([0.0, mean], [1.0, 1.0]))[1]
    if mean > -10:
        exact = np.log(mean * norm.cdf(mean) + norm.pdf(mean))
    else:  # asymptotically the density over the square
        exact = norm.logpdf(mean) - 2 * np.log(-mean)
    assert gain == pytest.approx(exact, abs=0.01)


def test_log_expected_improvement_is_finite_where_the_improvement_is_not():
    gain = log_expected_improvement(situation([0.0, -1e3, -1e6], [1.0, 1.0, 1.0]))
    assert np.isfinite(gain).all()
    assert gain[0] > gain[1] > gain[2]


@pytest.mark.parametrize("name", list(ACQUISITIONS))
def test_every_acquisition_prefers_what_is_unknown(name):
    many = [ACQUISITIONS[name](situation([0.0, 0.0], [0.01, 1.0])) for _ in range(3)]
    assert np.isfinite(many).all()
    if name != "thompson":
        assert all(gain[1] > gain[0] for gain in many)


def test_the_upper_bound_keeps_the_order_of_mean_and_sd():
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(size=50) * 9, rng.uniform(0.1, 1, 50)
    gain = ACQUISITIONS["ucb"](situation(mean, sd))
    np.testing.assert_array_equal(np.argsort(gain), np.argsort(mean + 2 * sd))


def test_content_does_not_change_with_rotation_and_mirror_images():
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(40, 1, 12, 12))
    turned = np.concatenate([patches, np.rot90(patches, axes=(2, 3)), patches[..., ::-1]])
    for values in content(turned).variants:
        np.testing.assert_allclose(values[:40], values[40:80], atol=1e-3)
        np.testing.assert_allclose(values[:40], values[80:], atol=1e-3)


def test_places_are_in_units_of_the_distance_of_neighbours():
    yx = 7.5 * np.indices((5, 5)).reshape(2, -1).T
    assert spacing(yx, np.zeros(25)) == pytest.approx(7.5)


def field(n=400):
    rng = np.random.default_rng(3)
    yx = np.indices((20, 20)).reshape(2, -1).T.astype(float)
    patches = rng.normal(size=(n, 1, 8, 8))
    return (content(patches), place(yx, np.zeros(n, int))), yx


def test_a_target_of_the_place_is_learned_from_the_place():
    features, yx = field()
    target = np.sin(yx[:, 0] / 3) + np.cos(yx[:, 1] / 4)
    sites = np.random.default_rng(0).choice(400, 60, replace=False)
    learned = learn(features, Data(sites, target[sites], np.zeros(60)))
    assert learned.settings.shares[1] > 0.5
    assert learned.evidence > 20
    belief = PoolProcess(features, learned, Data(sites, target[sites], np.zeros(60))).belief()
    assert 1 - ((belief.mean - target) ** 2).mean() / target.var() > 0.9


def test_left_out_predictions_are_those_of_a_process_without_the_value():
    features, yx = field()
    target = np.sin(yx[:, 0] / 3)
    sites = np.random.default_rng(0).choice(400, 30, replace=False)
    data = Data(sites, target[sites], np.zeros(30))
    learned = learn(features, data)
    belief = PoolProcess(features, learned, data).belief()
    without = Data(sites[1:], data.values[1:], np.zeros(29))
    process = PoolProcess(features, learned, without)
    process.centre, process.unit = data.values.mean(), data.values.std()
    z = (without.values - process.centre) / process.unit
    process.weights = process._solve(z)
    expected = process.belief().mean[sites[0]]
    assert belief.left_out_mean[0] == pytest.approx(expected, abs=1e-6)


def test_samples_have_the_covariance_of_the_kernel():
    features, _ = field()
    kernel = Kernel(features, Settings((0.5, 0.5), (2, 0), (1.0, 6.0), (1.0, 0.0)))
    rng = np.random.default_rng(0)
    drawn = np.stack([kernel.sample(rng)[:40] for _ in range(3000)])
    expected = kernel.between(np.arange(40), np.arange(40))
    np.testing.assert_allclose(drawn.T @ drawn / 3000, expected, atol=0.15)


def test_samples_of_the_posterior_pass_near_the_measurements():
    features, yx = field()
    target = np.sin(yx[:, 0] / 3)
    sites = np.random.default_rng(0).choice(400, 60, replace=False)
    data = Data(sites, target[sites], np.zeros(60))
    process = PoolProcess(features, learn(features, data), data)
    belief = process.belief()
    drawn = np.stack([process.draw(np.random.default_rng(k)) for k in range(200)])
    away = (drawn.mean(0) - belief.mean) / belief.sd
    assert np.abs(away).mean() < 0.2
    assert np.median(drawn.std(0) / belief.sd) == pytest.approx(1, abs=0.15)
