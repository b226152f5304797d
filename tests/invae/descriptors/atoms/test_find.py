"""Atoms of simulated lattices: all found, none invented, in their places, and followed in time."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import KDTree

from invae.config import AtomsConfig
from invae.config.atoms import FindConfig, LinkConfig
from invae.descriptors.atoms.find import find_atoms
from invae.descriptors.atoms.tracking import link
from invae.errors import ConfigError, InputError
from invae.storage import store

PEAK, BACKGROUND = 60.0, 20.0
"""Counts of a strong atom, and between the atoms."""


CELLS = {
    "square": ([[1, 0], [0, 1]], 1),
    "hexagonal": ([[1, 0], [0.5, np.sqrt(0.75)]], 1),
    "honeycomb": ([[1, 0], [0.5, np.sqrt(0.75)]], 2),
}
"""Vectors of the cell, and atoms in it."""


def lattice(size: int, spacing: float, *, seed: int, kind: str = "hexagonal") -> np.ndarray:
    """Sites (atom; y, x, sublattice) [px] of a turned and moved lattice, at least a fifth of a cell inside."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    cell, basis = CELLS[kind]
    first, second = np.array(cell) @ turn * spacing
    count = np.arange(-2 * size // spacing, 2 * size // spacing)
    cells = (count[:, None, None] * first + count[:, None] * second).reshape(-1, 2)
    cells += size / 2 + generator.uniform(0, spacing, 2)
    sites = np.concatenate([cells + part * (first + second) / 3 for part in range(basis)])
    part = np.repeat(np.arange(basis), len(cells))
    margin = max(3, 0.2 * spacing)
    inside = ((sites > margin) & (sites < size - 1 - margin)).all(axis=1)
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
@pytest.mark.parametrize(
    ("kind", "spacing", "sd", "seed"),
    [
        ("hexagonal", 18.4, 3.0, 11),
        ("hexagonal", 8, 1.35, 12),
        ("square", 27, 4.2, 13),
        ("honeycomb", 21, 2.0, 14),
    ],
)
def test_every_atom_is_found_and_none_invented(method, kind, spacing, sd, seed):
    atoms = lattice(320, spacing, seed=seed, kind=kind)
    image = picture(atoms, 320, sd=sd, seed=seed)
    found = find_atoms(image, config=FindConfig(method=method))
    missed, false, rms = compared(found.position, atoms[:, :2])
    assert (missed, false) == (0, 0)
    assert rms <= 0.15


def test_an_atom_that_the_rim_cuts_off_does_not_pull_at_faint_ones():
    """A bright column whose middle lies outside the frame is no atom, and its slope no background."""
    y, x = np.meshgrid(np.arange(14.0, 240, 20), np.arange(29.0, 240, 20), indexing="ij")
    faint = np.column_stack([y.ravel(), x.ravel()])
    cut = np.column_stack([np.arange(4.0, 250, 20), np.full(13, -0.6)])
    bright = np.concatenate([faint[:, None] + np.array([10, 10]), cut[:, None]]).reshape(-1, 2)
    along = np.arange(250)
    image = np.full((250, 250), 5.0)
    for places, height in ((faint, 100), (bright, 720)):
        rows, columns = (np.exp(-((along - places[:, [n]]) ** 2) / 18) for n in (0, 1))
        image += height * rows.T @ columns
    found = find_atoms(image, config=FindConfig()).position
    first = faint[(faint[:, 1] == 29) & (np.abs(faint[:, 0] - 124) < 90)]
    distance = np.asarray(KDTree(found).query(first)[0])
    assert (distance < 0.1).all()


def test_877_atoms_of_a_512_frame_are_found_to_a_seventh_of_a_pixel():
    atoms = lattice(512, 18.4, seed=21)[:877]
    found = find_atoms(picture(atoms, 512, sd=3.0, seed=21), config=FindConfig())
    missed, false, rms = compared(found.position, atoms[:, :2])
    assert len(found.position) >= 860
    assert (missed, false) == (0, 0)
    assert rms <= 0.15


@pytest.mark.parametrize("seed", [3, 4])
def test_both_sublattices_are_found_though_one_is_weaker(seed):
    atoms = lattice(256, 24, seed=seed, kind="honeycomb")
    image = picture(atoms, 256, sd=3, seed=seed, weak=0.4)
    found = find_atoms(image, config=FindConfig())
    missed, false, _ = compared(found.position, atoms[:, :2])
    assert (missed, false) == (0, 0)
    _, index = KDTree(atoms[:, :2]).query(found.position)
    part = atoms[index, 2]
    assert np.median(found.height[part == 1]) < 0.7 * np.median(found.height[part == 0])


@pytest.mark.parametrize("seed", [31, 32])
def test_a_sublattice_too_faint_to_be_seen_atom_by_atom_is_found_by_its_repetition(seed):
    atoms = lattice(320, 18, seed=seed, kind="honeycomb")
    image = picture(atoms, 320, sd=2.6, seed=seed, weak=0.25)
    alone = find_atoms(image, config=FindConfig(faint=None)).position
    found = find_atoms(image, config=FindConfig()).position
    strong = atoms[atoms[:, 2] == 0, :2]
    assert len(alone) < 1.15 * len(strong)
    missed, false, _ = compared(found, atoms[:, :2])
    assert missed <= 0.1 * len(atoms)
    assert false <= 0.01 * len(atoms)


def test_a_place_where_the_faint_atom_is_missing_stays_empty():
    atoms = lattice(320, 18, seed=33, kind="honeycomb")
    inner = np.flatnonzero((np.abs(atoms[:, :2] - 160) < 120).all(axis=1) & (atoms[:, 2] == 1))
    gone = np.random.default_rng(33).choice(inner, 12, replace=False)
    image = picture(np.delete(atoms, gone, axis=0), 320, sd=2.6, seed=33, weak=0.35)
    found = find_atoms(image, config=FindConfig()).position
    distance, _ = KDTree(found).query(atoms[gone, :2])
    assert (distance > 3).mean() >= 0.75


def test_heights_and_widths_are_those_of_the_atoms_though_neighbours_overlap():
    atoms = lattice(200, 20, seed=41, kind="honeycomb")
    clean = picture(atoms, 200, sd=3.2, seed=41, weak=0.5)
    found = find_atoms(clean, config=FindConfig())
    _, index = KDTree(atoms[:, :2]).query(found.position)
    inner = (np.abs(found.position - 100) < 85).all(axis=1)
    dose = 0.6 + 0.8 * found.position[:, 1] / 200
    for part, height in ((0, PEAK), (1, PEAK / 2)):
        here = inner & (atoms[index, 2] == part)
        assert np.median(found.height[here] / dose[here]) == pytest.approx(height, rel=0.06)
    assert np.median(found.sd[inner]) == pytest.approx(3.2, rel=0.05)


def test_a_stretched_atom_is_elliptic_and_a_round_one_is_not():
    y, x = np.indices((160, 160), dtype=float)
    image = np.full(y.shape, 5.0)
    for row in range(12, 160, 20):
        for column in range(12, 160, 20):
            ratio = 1.25 if row < 80 else 1.0
            image += 50 * np.exp(
                -((y - row) ** 2) / (2 * 9 * ratio) - (x - column) ** 2 / (2 * 9 / ratio)
            )
    found = find_atoms(image, config=FindConfig(scale=3))
    stretched = found.position[:, 0] < 80
    expected = (1.25 - 0.8) / (1.25 + 0.8)
    assert np.median(found.ellipticity[stretched]) == pytest.approx(expected, rel=0.15)
    assert np.median(found.ellipticity[~stretched]) < 0.02


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
    links = link(frames, config=LinkConfig())
    track = links.track
    np.testing.assert_allclose(links.drift[:, 0], -1.7 * np.arange(10), atol=0.1)
    np.testing.assert_allclose(links.drift[:, 1], 2.3 * np.arange(10), atol=0.1)
    known = np.concatenate(truth)
    pairs = np.unique(np.column_stack([track, known]), axis=0)
    assert len(pairs) == len(np.unique(track)) == len(np.unique(known))


def test_a_whole_frame_is_linked_at_the_least_cost():
    before, after = np.array([[0.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.9], [0.0, 2.0]])
    track = link([before, after], config=LinkConfig(radius=1.5, gap=0)).track
    np.testing.assert_array_equal(track, [0, 1, 0, 1])


def test_an_atom_missing_for_longer_than_the_gap_is_a_new_one():
    here = np.array([[5.0, 5.0], [5.0, 25.0], [25.0, 5.0]])
    frames = [here, here[:2], here[:2], here]
    assert link(frames, config=LinkConfig(gap=2)).track[-1] == 2
    assert link(frames, config=LinkConfig(gap=1)).track[-1] == 3


def test_patches_are_centred_on_atoms_and_those_at_the_border_have_none(record, described):
    atoms = lattice(96, 14, seed=7)
    frames = np.stack([picture(atoms, 96, sd=2.4, seed=seed) for seed in (7, 8)])
    frames[1] = 3 * frames[1] + 200  # another gain and offset
    recording = record({"image": frames}, pixel=0.01)
    target = described(recording, config=AtomsConfig(window_nm=0.161))
    patches, found = store.open_store(target), store.open_store(target, group="atoms")
    assert found.sizes["atom"] == 2 * len(atoms)
    assert patches.sizes["patch_y"] == 16
    assert patches.sizes["site"] == int(found["has_patch"].sum()) < found.sizes["atom"]
    assert bool(patches["valid"].all())
    assert patches["kind"].to_numpy().tolist() == [2] * patches.sizes["site"]
    xr.testing.assert_allclose(patches["y_nm"].variable, (patches["y"] * 0.01).variable)
    first, second = (patches["patch"][patches["frame"] == number].mean() for number in (0, 1))
    assert abs(float(first - second)) < 0.02
    assert patches["nearest_distance"].attrs["units"] == "nm"
    assert float(patches["nearest_distance"].median()) == pytest.approx(0.14, rel=0.03)
    assert float(patches["width"].median()) == pytest.approx(0.024, rel=0.05)
    drift = store.open_store(target, group="frames")["drift"]
    np.testing.assert_allclose(drift, np.zeros((2, 2)), atol=0.05)
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
