"""What patches show besides one object: squares over discs are parts that are not described, noise is none."""

import numpy as np
import pytest

from invae import InvariantVAE
from invae.training.object_symptoms import undescribed
from invae.verdict.neighbours import show_objects

SIDE, N_PATCHES = 28, 60


def discs() -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    radius = np.random.default_rng(0).uniform(5, 8, (N_PATCHES, 1, 1, 1))
    return np.clip(radius + 0.5 - np.hypot(rows - 13.5, columns - 13.5), 0, 1)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_a_part_that_is_covered_is_not_described_and_noise_is(noise: float):
    patches, rng = discs(), np.random.default_rng(1)
    residual = rng.normal(0, noise, patches.shape)
    everywhere = np.ones_like(patches)
    assert undescribed(patches, residual, everywhere, everywhere > 0) == 0
    covered = residual.copy()
    covered[::2, :, 10:18, 10:18] -= 0.8 + 3 * noise
    assert undescribed(patches, covered, everywhere, everywhere > 0) == pytest.approx(0.5, abs=0.05)
    assert undescribed(patches, covered, everywhere * (np.abs(covered) < 0.5), everywhere > 0) == 0


def test_lattices_and_spectra_are_not_asked():
    lattice = np.cos(np.arange(SIDE) * 1.3)[:, None] + np.cos(np.arange(SIDE) * 1.3)
    lattice = np.tile(lattice, (5, 1, 1, 1))
    assert undescribed(lattice, lattice, np.ones_like(lattice), lattice < np.inf) is None
    rows = lattice[:, :, :1]
    assert undescribed(rows, rows, np.ones_like(rows), rows < np.inf) is None


def test_a_mask_outside_of_a_circle_is_no_dark_surrounding():
    patches, rng = discs()[:, 0], np.random.default_rng(2)
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    circle = np.broadcast_to(np.hypot(y, x) <= SIDE / 2, patches.shape)
    noise = np.where(circle, rng.normal(size=patches.shape), 0)
    assert not show_objects(noise, circle)
    assert show_objects(np.where(circle, patches, 0), circle)
    holes = rng.random(patches.shape) > 0.05
    assert show_objects(np.where(holes, patches, 0), holes)


@pytest.mark.parametrize(("family", "share"), [("rVAE", 0.5), ("VAE", None)])
def test_patches_with_a_second_object_are_counted_in_families_with_rotation(family, share):
    patches = discs()
    patches[::2, :, 1:5, 1:5] = 1.0
    vae = InvariantVAE(family, training={"epochs": 1}).fit(patches.astype(np.float32))
    symptoms = vae.trained.symptoms
    assert symptoms is not None
    found = symptoms.foreign
    assert (None if found is None else found.images) == (share and pytest.approx(share, abs=0.1))
    assert found is None or not found.masked
