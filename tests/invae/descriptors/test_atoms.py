"""Atoms of simulated lattices: all found, none invented, in their places, and followed in time."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import KDTree

from invae import store
from invae.config import AtomsConfig
from invae.config.atoms import FindConfig, LinkConfig
from invae.descriptors.atoms import find_atoms
from invae.descriptors.links import link
from invae.errors import ConfigError, InputError

PEAK, BACKGROUND = 60.0, 20.0
"""Counts of a strong atom, and between the atoms."""


def lattice(size: int, spacing: float, *, seed: int, basis: int = 1) -> np.ndarray:
    """Sites (atom, 2) [px] of a turned and moved hexagonal lattice, or of a honeycomb, well inside."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    first, second = np.array([[1, 0], [0.5, np.sqrt(0.75)]]) @ turn * spacing
    count = np.arange(-2 * size // spacing, 2 * size // spacing)
    cells = (count[:, None, None] * first + count[:, None] * second).reshape(-1, 2)
    cells += size / 2 + generator.uniform(0, spacing, 2)
    sites = np.concatenate([cells + part * (first + second) / 3 for part in range(basis)])
    part = np.repeat(np.arange(basis), len(cells))
    inside = ((sites > 3) & (sites < size - 4)).all(axis=1)
    return np.column_stack([sites, part])[inside]


def picture(atoms: np.ndarray, size: int, *, sd: float, seed: int, weak: float = 1) -> np.ndarray:
    """Counts of Gaussians at the atoms (y, x, part), the dose more than doubling from left to right."""
    height = np.where(atoms[:, 2] == 0, PEAK, weak * PEAK)
    along = np.arange(size)
    rows, columns = (np.exp(-((along - atoms[:, [n]]) ** 2) / (2 * sd**2)) for n in (0, 1))
    clean = (height[:, None] * rows).T @ columns + BACKGROUND
    return np.random.default_rng(seed).poisson(clean * (0.6 + 0.8 * along / size)).astype(float)


def compared(found: np.ndarray, true: np.ndarray) -> tuple[int, int, float]:
    """How many are missed and false, and the rms distance of the others [px]."""
    distance, index = (np.asarray(part) for part in KDTree(true).query(found))
    right = distance < 2
    missed = len(true) - len(np.unique(index[right]))
    return missed, int((~right).sum()), float(np.sqrt((distance[right] ** 2).mean()))


@pytest.mark.parametrize("method", ["maxima", "log"])
@pytest.mark.parametrize(("spacing", "sd", "seed"), [(18.4, 3.0, 11), (12.5, 2.2, 12)])
def test_every_atom_is_found_and_none_invented(method, spacing, sd, seed):
    atoms = lattice(512, spacing, seed=seed)
    image = picture(atoms, 512, sd=sd, seed=seed)
    found = find_atoms(image, config=FindConfig(method=method))
    missed, false, rms = compared(found.position, atoms[:, :2])
    assert (missed, false) == (0, 0)
    assert rms <= 0.15


@pytest.mark.parametrize("seed", [3, 4])
def test_both_sublattices_are_found_though_one_is_weaker(seed):
    atoms = lattice(256, 24, seed=seed, basis=2)
    image = picture(atoms, 256, sd=3, seed=seed, weak=0.4)
    found = find_atoms(image, config=FindConfig())
    missed, false, _ = compared(found.position, atoms[:, :2])
    assert (missed, false) == (0, 0)
    _, index = KDTree(atoms[:, :2]).query(found.position)
    part = atoms[index, 2]
    assert np.median(found.height[part == 1]) < 0.7 * np.median(found.height[part == 0])


def test_noise_and_a_flat_frame_hold_no_atoms():
    noise = np.random.default_rng(0).poisson(30, (128, 128)).astype(float)
    assert len(find_atoms(noise, config=FindConfig()).position) == 0
    assert len(find_atoms(np.zeros((32, 32)), config=FindConfig()).position) == 0
    assert len(find_atoms(np.full((32, 32), np.nan), config=FindConfig()).position) == 0


def test_atoms_keep_their_number_though_the_lattice_drifts_and_some_vanish():
    generator = np.random.default_rng(5)
    atoms = lattice(256, 16, seed=5)[:, :2]
    frames, truth = [], []
    for number in range(10):
        seen = generator.random(len(atoms)) > 0.02
        moved = atoms + number * np.array([1.7, -2.3]) + generator.normal(0, 0.15, atoms.shape)
        frames.append(moved[seen])
        truth.append(np.flatnonzero(seen))
    track = link(frames, config=LinkConfig())
    known = np.concatenate(truth)
    pairs = np.unique(np.column_stack([track, known]), axis=0)
    assert len(pairs) == len(np.unique(track)) == len(np.unique(known))


def test_a_whole_frame_is_linked_at_the_least_cost():
    before, after = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.9], [0.0, 2.0]])
    track = link([before, after], config=LinkConfig(radius=1.5, gap=0))
    np.testing.assert_array_equal(track, [0, 1, 0, 1])


def test_an_atom_missing_for_longer_than_the_gap_is_a_new_one():
    here = np.array([[5.0, 5.0], [5.0, 25.0], [25.0, 5.0]])
    frames = [here, here[:2], here[:2], here]
    assert link(frames, config=LinkConfig(gap=2))[-1] == 2
    assert link(frames, config=LinkConfig(gap=1))[-1] == 3


def test_patches_are_centred_on_atoms_and_those_at_the_border_have_none(record, described):
    atoms = lattice(96, 14, seed=7)
    frames = np.stack([picture(atoms, 96, sd=2.4, seed=seed) for seed in (7, 8)])
    recording = record({"image": frames}, pixel=0.01)
    target = described(recording, config=AtomsConfig(window_nm=0.161))
    patches, found = store.open_store(target), store.open_store(target, group="atoms")
    assert found.sizes["atom"] == 2 * len(atoms)
    assert patches.sizes["patch_y"] == 16
    assert patches.sizes["site"] == int(found["has_patch"].sum()) < found.sizes["atom"]
    assert bool(patches["valid"].all())
    assert patches["kind"].to_numpy().tolist() == [2] * patches.sizes["site"]
    xr.testing.assert_allclose(patches["y_nm"].variable, (patches["y"] * 0.01).variable)
    mean = patches["patch"].mean(("site", "channel")).to_numpy()
    np.testing.assert_allclose(mean, mean[::-1, ::-1], atol=0.1 * np.ptp(mean))
    assert np.unique(patches["track"]).size == patches.sizes["site"] / 2


def test_what_does_not_fit_says_what_would(record, described):
    recording = record({"image": np.zeros((1, 32, 32))}, pixel=None)
    with pytest.raises(ConfigError, match=r"describe\.window is 64 px; choose 2 to 32 px"):
        described(recording, config=AtomsConfig(window=64))
    with pytest.raises(InputError, match=r"no pixel size in nm; give describe\.window"):
        described(recording, config=AtomsConfig(window_nm=1))
    with pytest.raises(ConfigError, match="names 'haadf'; the recording has image"):
        described(recording, config=AtomsConfig(signal="haadf"))
    with pytest.raises(InputError, match="0 atoms found"):
        described(recording, config=AtomsConfig(window=8))
