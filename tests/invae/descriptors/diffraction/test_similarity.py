"""Probes that look alike: which are found, what their sums are worth, and that a defect is not averaged away."""

import numpy as np
import pytest

from invae.config import PatternsConfig
from invae.descriptors.diffraction import similarity
from invae.descriptors.diffraction.averaging import _sums
from invae.storage import store
from tests.invae.recorded_scan import lobed, write_scan

CENTRE, RADIUS = (11.3, 12.1), 9.0
PERIOD = 6
"""Of the structure under the scan [scan step]."""


def structure(n_y: int, n_x: int) -> tuple[np.ndarray, np.ndarray]:
    """Direction and strength of the deflection on a square lattice with one site different (y, x)."""
    y, x = np.indices((n_y, n_x)) * 2 * np.pi / PERIOD
    angle, strength = np.arctan2(-np.sin(y), np.sin(x)), 0.4 * np.hypot(np.sin(y), np.sin(x))
    return angle, strength


def counted(n_y: int, n_x: int, *, dose: float, seed: int, defect: bool = False) -> np.ndarray:
    angle, strength = structure(n_y, n_x)
    if defect:
        away = np.hypot(*(np.indices((n_y, n_x)).T - np.array([n_x, n_y]) // 2).T)
        strength = np.where(away.T.reshape(n_y, n_x) < 3, 0.0, strength)
    patterns = lobed(angle, strength, centre=CENTRE, radius=RADIUS)
    return np.random.default_rng(seed).poisson(dose * patterns / 250).astype(np.uint16)


def features_of(patterns: np.ndarray, *, half: int = 3) -> np.ndarray:
    working = np.ones(patterns.shape[2:], bool)
    weights = similarity.templates(working, centre=CENTRE, radius=(RADIUS, RADIUS))
    numbers = similarity.reduced(patterns, weights)
    noise = similarity.noise_of_counts(patterns.mean((0, 1)), weights)
    return similarity.features_of(numbers, noise, half=half)


def likes(places: np.ndarray, *, n_probes: int, reach: int) -> np.ndarray:
    sites = np.moveaxis(np.indices(places.shape[:2]), 0, -1).reshape(-1, 2)
    return similarity.most_similar(places, sites, first_row=0, n_probes=n_probes, reach=reach)[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_alike_probes_lie_at_the_same_place_of_the_lattice(seed):
    places = features_of(counted(24, 30, dose=2000, seed=seed))
    chosen = likes(places, n_probes=6, reach=30)
    y, x = np.divmod(np.arange(24 * 30), 30)
    phase = np.exp(2j * np.pi * np.stack((y, x)) / PERIOD)
    apart = np.abs(np.angle(phase[:, chosen] / phase[:, :, None])) * PERIOD / 2 / np.pi
    assert (np.hypot(*apart) < 0.5).mean() > 0.95
    shuffled = np.random.default_rng(seed).permutation(chosen.ravel()).reshape(chosen.shape)
    by_chance = np.abs(np.angle(phase[:, shuffled] / phase[:, :, None])) * PERIOD / 2 / np.pi
    assert (np.hypot(*by_chance) < 0.5).mean() < 0.2


def test_every_probe_is_among_those_like_it_and_all_lie_within_reach():
    places = features_of(counted(12, 14, dose=300, seed=2))
    chosen = likes(places, n_probes=5, reach=4)
    own = np.arange(12 * 14)
    assert (chosen == own[:, None]).any(1).all()
    assert (np.diff(chosen, axis=1) > 0).all()
    for step in (chosen // 14 - own[:, None] // 14, chosen % 14 - own[:, None] % 14):
        assert np.abs(step).max() <= 4


def test_which_are_alike_does_not_depend_on_the_rows_that_are_looked_at():
    places = features_of(counted(20, 12, dose=1000, seed=3)).astype(np.float64)
    whole = likes(places, n_probes=4, reach=5)
    sites = np.array([[9, 3], [10, 11]])
    part, _ = similarity.most_similar(places[4:16], sites, first_row=4, n_probes=4, reach=5)
    np.testing.assert_array_equal(part + 4 * 12, whole[sites[:, 0] * 12 + sites[:, 1]])


def test_only_probes_that_are_equal_within_noise_are_summed_and_some_in_any_case():
    places = np.random.default_rng(0).normal(size=(16, 16, 6))
    places[8, 8] += 20  # a defect under one probe
    sites = np.array([[8, 8], [3, 4], [12, 2]])
    chosen, equal = similarity.most_similar(
        places, sites, first_row=0, n_probes=24, fewest=3, reach=16
    )
    assert equal.sum(1).tolist() == [3, 24, 24]
    assert 8 * 16 + 8 in chosen[0][equal[0]]
    every = similarity.most_similar(places, sites, first_row=0, n_probes=24, reach=16)
    np.testing.assert_array_equal(every[0], chosen)
    assert every[1].all()


def test_sums_of_fewer_patterns_are_on_the_scale_of_all():
    patterns = np.random.default_rng(1).poisson(50.0, (30, 4, 4)).astype(np.float32)
    chosen = np.tile(np.arange(10), (2, 1))
    equal = np.ones((2, 10), bool)
    equal[1, 4:] = False
    sums = _sums(patterns, chosen, equal)
    np.testing.assert_array_equal(sums[0], patterns[:10].sum(0))
    np.testing.assert_allclose(sums[1], 2.5 * patterns[:4].sum(0), rtol=1e-6)


def test_a_turned_and_shifted_pattern_of_noise_alone_has_no_likes():
    """Without structure the principal directions are noise, and whoever is chosen is chosen by chance, near or far."""
    patterns = np.random.default_rng(4).poisson(3.0, (20, 20, 24, 24)).astype(np.uint16)
    chosen = likes(features_of(patterns), n_probes=8, reach=20)
    y, x = np.divmod(chosen, 20)
    assert 5 < np.hypot(y - y.mean(1, keepdims=True), x - x.mean(1, keepdims=True)).mean() < 11


def deflection(patches: np.ndarray) -> np.ndarray:
    """First moments of patches (site, y, x), (site, axis)."""
    steps = np.arange(patches.shape[-1]) - (patches.shape[-1] - 1) / 2
    total = np.maximum(patches.sum((1, 2)), 1e-9)
    return np.stack((patches.sum(2) @ steps / total, patches.sum(1) @ steps / total), axis=1)


def patterns_config(**changes) -> PatternsConfig:
    return PatternsConfig.model_validate(
        {"window": 12, "radius": 0.9, "transform": "none", **changes}
    )


def test_sums_of_alike_probes_show_the_deflection_that_a_sum_of_neighbours_blurs(
    tmp_path, described
):
    noisy, clean = counted(30, 30, dose=1000, seed=5), counted(30, 30, dose=3e6, seed=5)
    wrong = {}
    truth = _deflections(tmp_path, described, clean, "clean", patterns_config())
    for name, config in (
        ("one", patterns_config()),
        ("near", patterns_config(neighbours=9)),
        ("alike", patterns_config(alike={"n_probes": 12, "surroundings": 3})),
    ):
        found = _deflections(tmp_path, described, noisy, name, config)
        inner = slice(1, -1) if name == "near" else slice(None)
        expected = truth.reshape(30, 30, 2)[inner, inner].reshape(-1, 2)
        wrong[name] = np.sqrt(((found - expected) ** 2).mean() / expected.var())
    assert wrong["alike"] < 0.5 * wrong["near"]
    assert wrong["alike"] < 0.5 * wrong["one"]


def _deflections(folder, described, patterns, name, config) -> np.ndarray:
    path = write_scan(folder / name / "recording.zarr", patterns, centre=CENTRE, radius=RADIUS)
    found = store.open_store(described(path, config, name=f"{name}.zarr")).load()
    return deflection((found["patch"] * found["valid"]).to_numpy()[:, 0])


def test_a_defect_that_is_wider_than_a_probe_is_not_averaged_away(tmp_path, described):
    patterns = counted(30, 30, dose=2000, seed=6, defect=True)
    config = patterns_config(alike={"n_probes": 12, "surroundings": 2})
    found = np.hypot(*_deflections(tmp_path, described, patterns, "defect", config).T)
    strength = np.where(_away(30) < 2, True, False).ravel()
    usual = structure(30, 30)[1].ravel()
    strong = ~strength & (_away(30).ravel() > 5) & (usual > 0.8 * usual.max())
    assert found[strength].mean() < 0.35 * found[strong].mean()


def _away(n: int) -> np.ndarray:
    y, x = np.indices((n, n)) - n // 2
    return np.hypot(y, x)


def test_patches_on_the_scale_of_pearson_have_noise_of_one(tmp_path, described):
    flat = lobed(np.zeros((16, 16)), np.zeros((16, 16)), centre=CENTRE, radius=RADIUS)
    counts = np.random.default_rng(7).poisson(0.4 * flat).astype(np.uint16)
    path = write_scan(tmp_path / "flat" / "recording.zarr", counts, centre=CENTRE, radius=RADIUS)
    detector = {"window": 18, "radius": 0.9, "transform": "pearson", "neighbours": 9}
    found = store.open_store(described(path, PatternsConfig.model_validate(detector))).load()
    values = found["patch"].to_numpy()[found["valid"].to_numpy()]
    assert abs(values.mean()) < 0.02
    # resampling shares an electron between pixels, which takes some of the noise away
    assert 0.6 < values.std() < 1.02


def test_a_killed_description_goes_on_to_the_same_patches(tmp_path, described, monkeypatch):
    patterns = counted(20, 20, dose=1000, seed=8)
    path = write_scan(tmp_path / "scan" / "recording.zarr", patterns, centre=CENTRE, radius=RADIUS)
    config = patterns_config(alike={"n_probes": 6, "surroundings": 2, "reach": 6})
    monkeypatch.setattr("invae.descriptors.layout.PATCH_BYTES", 12 * 12 * 4 * 40)
    whole = store.open_store(described(path, config, name="whole.zarr"))["patch"].to_numpy()
    done = []

    def stop(n_done: int, _: int) -> None:
        done.append(n_done)
        if n_done > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        described(path, config, name="killed.zarr", progress=stop)
    again = store.open_store(described(path, config, name="killed.zarr"))["patch"].to_numpy()
    np.testing.assert_array_equal(again, whole)
    assert done == sorted(done)


def test_neighbours_and_alike_probes_cannot_both_be_asked_for():
    with pytest.raises(ValueError, match="neighbours is 9 and alike is set"):
        patterns_config(neighbours=9, alike={})
