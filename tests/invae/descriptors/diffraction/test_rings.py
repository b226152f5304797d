"""A patch that ends before the first diffracted discs says so."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from invae.config import PatternsConfig
from invae.descriptors.diffraction.rings import first_ring
from invae.storage import store
from tests.invae.recorded_scan import disc, lobed, write_scan

Describe = Callable[..., Path]
SIDE, CENTRE, RADIUS, SPACING = 48, (23.4, 24.1), 2.6, 13.0
"""Pixels of the detector, place and radius of the discs, and their distance [pixel]."""


@pytest.fixture
def grains(tmp_path: Path) -> Path:
    """Nano-beam diffraction of grains that are turned against each other: six discs around the bright-field disc."""
    random = np.random.default_rng(0)
    patterns = np.empty((6, 7, SIDE, SIDE))
    for probe in np.ndindex(6, 7):
        angles = random.uniform(0, 2 * np.pi) + np.arange(6) * np.pi / 3
        places = SPACING * np.stack([np.sin(angles), np.cos(angles)], -1) + CENTRE
        ring = np.sum([disc(SIDE, centre=(y, x), radius=RADIUS) for y, x in places], axis=0)
        patterns[probe] = disc(SIDE, centre=CENTRE, radius=RADIUS) + 0.15 * ring
    counts = random.poisson(60 * patterns + 0.05).astype(np.uint16)
    return write_scan(tmp_path / "grains" / "recording.zarr", counts, centre=CENTRE, radius=RADIUS)


def notes(path: Path) -> str:
    return " ".join(store.open_store(path).attrs["notes"])


def config(**changes: object) -> PatternsConfig:
    return PatternsConfig.model_validate({"window": 12, **changes})


def test_the_first_ring_is_found(grains: Path) -> None:
    ring = first_ring(store.open_store(grains, group="maps"))
    assert ring == pytest.approx(SPACING, abs=1.5)


def test_patches_of_the_bright_field_disc_of_a_crystal_are_told(
    grains: Path, described: Describe
) -> None:
    told = notes(described(grains, config()))
    assert "the first diffracted discs lie at" in told
    assert "describe.radius=6." in told


def test_patches_that_hold_the_first_discs_are_not_told(grains: Path, described: Describe) -> None:
    assert "diffracted discs" not in notes(described(grains, config(radius=6.5)))


def test_a_disc_alone_has_no_ring(tmp_path: Path) -> None:
    angle = np.random.default_rng(5).uniform(-np.pi, np.pi, (6, 7))
    shapes = lobed(angle, np.full(angle.shape, 0.8), n_k=SIDE, centre=CENTRE, radius=9.0)
    counts = np.random.default_rng(6).poisson(40 * shapes + 0.02).astype(np.uint16)
    path = write_scan(tmp_path / "recording.zarr", counts, centre=CENTRE, radius=9.0)
    assert first_ring(store.open_store(path, group="maps")) is None
