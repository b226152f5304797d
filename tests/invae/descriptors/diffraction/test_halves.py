"""Halves of the electrons: independent draws of half the dose, on the scale of the whole."""

import numpy as np
import pytest

from invae.config import PatternsConfig
from invae.descriptors.diffraction.halves import GROUP
from invae.storage import store
from tests.invae.recorded_scan import lobed, write_scan

CENTRE, RADIUS = (11.3, 12.1), 8.0


@pytest.fixture
def shapes():
    angle = np.random.default_rng(5).uniform(-np.pi, np.pi, (14, 15))
    return lobed(angle, np.full(angle.shape, 0.8), centre=CENTRE, radius=RADIUS)


def recorded(path, patterns):
    return write_scan(path / "scan" / "recording.zarr", patterns, centre=CENTRE, radius=RADIUS)


def config(**changes) -> PatternsConfig:
    return PatternsConfig.model_validate({"transform": "pearson", "window": 12, **changes})


@pytest.mark.parametrize("neighbours", [1, 9])
def test_the_halves_share_every_electron_and_differ_by_counting_noise(
    tmp_path, shapes, described, neighbours
):
    counts = np.random.default_rng(6).poisson(60 * shapes).astype(np.uint16)
    path = described(recorded(tmp_path, counts), config(neighbours=neighbours))
    whole = store.open_store(path).load()
    halves = store.open_store(path, group=GROUP).load()
    sites = halves["number"].to_numpy()
    patch, valid = (whole[name].to_numpy()[sites] for name in ("patch", "valid"))
    first, second = halves["patch"].to_numpy()
    np.testing.assert_allclose(((first + second) / 2)[valid], patch[valid], atol=1e-4)
    counts = np.random.default_rng(7).poisson(60 * shapes).astype(np.uint16)
    path = described(recorded(tmp_path / "b", counts), config(neighbours=neighbours), name="b.zarr")
    other = store.open_store(path)["patch"].to_numpy()[sites]
    noise = ((first - second)[valid] ** 2).mean() / 4
    assert noise == pytest.approx(((other - patch)[valid] ** 2).mean() / 2, rel=0.12)


def test_the_search_for_similar_probes_is_repeated_with_each_half(tmp_path, shapes, described):
    counts = np.random.default_rng(6).poisson(2 * shapes).astype(np.uint16)
    path = described(recorded(tmp_path, counts), config(alike={"n_probes": 8}))
    halves = store.open_store(path, group=GROUP).load()
    whole = store.open_store(path)["patch"].to_numpy()[halves["number"].to_numpy()]
    first, second = halves["patch"].to_numpy()
    assert np.abs((first + second) / 2 - whole).max() > 0.5
    assert 0.5 < ((first - second) ** 2).mean() / 4 < 2.0


def test_values_that_are_no_counts_and_small_scans_have_no_halves(tmp_path, shapes, described):
    path = described(recorded(tmp_path / "a", shapes.astype(np.float32)), config())
    assert GROUP not in store.open_group(path, mode="r")
    few = np.random.default_rng(0).poisson(9 * shapes[:1, :3]).astype(np.uint16)
    path = described(recorded(tmp_path / "b", few), config(), name="few.zarr")
    assert GROUP not in store.open_group(path, mode="r")


def test_a_note_says_where_standard_deviations_are_not_measured(
    tmp_path, shapes, described, monkeypatch
):
    counts = np.random.default_rng(6).poisson(5 * shapes).astype(np.uint16)
    recording = recorded(tmp_path / "a", counts)
    assert not _notes(described(recording, config(), name="all.zarr"))
    monkeypatch.setattr("invae.descriptors.diffraction.halves.LARGEST_SIDE", 10)
    assert "10 × 10 probes" in _notes(described(recording, config(), name="middle.zarr"))
    values = recorded(tmp_path / "b", shapes.astype(np.float32))
    assert "no counts" in _notes(described(values, config(), name="values.zarr"))


def _notes(path) -> str:
    return " ".join(
        note for note in store.open_store(path).attrs["notes"] if "standard deviations" in note
    )


def test_the_halves_are_the_same_every_time(tmp_path, shapes, described):
    counts = np.random.default_rng(6).poisson(5 * shapes).astype(np.uint16)
    recording = recorded(tmp_path, counts)
    first, second = (
        store.open_store(described(recording, config(), name=f"{n}.zarr"), group=GROUP).load()
        for n in range(2)
    )
    np.testing.assert_array_equal(first["patch"], second["patch"])
