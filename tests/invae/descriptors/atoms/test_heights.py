"""Heights of atoms in noisy simulated images: right, and so steady that a foreign atom stands out in its sublattice."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import KDTree

from invae.analysis.outliers import find_outliers
from invae.config.atoms import FindConfig
from invae.config.scenes import ImagingConfig
from invae.descriptors.atoms.find import find_atoms
from invae.descriptors.atoms.heights import heights_together
from invae.descriptors.atoms.refine import Shapes, fit
from invae.synthetic import crystal
from invae.synthetic.stem_image import BRIGHTNESS, ELEMENTS, expected

PIXEL, BOND, SIDE = 0.0176, 0.183, 320
"""Of MoS2 at 9 nm in 512 px: side of a pixel and bond [nm], side of the frame [px]."""
COUNTS = 3.4
"""In the middle of a sulphur column, on as many again and half of background: one atom is hardly more than noise."""
IMAGING = ImagingConfig(
    n_frames=1,
    rows=SIDE,
    columns=SIDE,
    pixel_size=PIXEL,
    background=6,
    uneven=0.2,
    uneven_length=1.0,
    atom_sd=0.045,
    drift=0,
    jitter=0.1,
)
FOREIGN = 6


@dataclass(frozen=True)
class Sheet:
    """An image of MoS2 with vanadium on the metal's sites."""

    image: np.ndarray
    places: np.ndarray
    """(atom, 2) [px]"""
    species: np.ndarray
    """(atom,) names."""


def sheet(seed: int) -> Sheet:
    """Counts of a turned sheet, the dose more than doubling from corner to corner."""
    chance = np.random.default_rng(seed)
    lattice = crystal.honeycomb(BOND).shifted(chance.random(2)).rotated(chance.uniform(0, 1))
    places, part = lattice.sites(np.full(2, -0.3), np.full(2, SIDE * PIXEL + 0.3))
    species = np.array(["Mo", "S2"])[part]
    away = np.abs(places / PIXEL - SIDE / 2).max(axis=1) < SIDE / 2 - 30
    species[chance.choice(np.flatnonzero((part == 0) & away), FOREIGN, replace=False)] = "V"
    bright = BRIGHTNESS[[ELEMENTS.index(name) for name in species]]
    bright = COUNTS * bright / BRIGHTNESS[ELEMENTS.index("S2")]
    mean = expected(places, bright, IMAGING, seed=seed, frame=0)
    y, x = np.indices(mean.shape) / SIDE
    image = chance.poisson(mean * (0.6 + 0.4 * (y + x))).astype(float)
    return Sheet(image, places / PIXEL, species)


def metal(made: Sheet, found: Shapes) -> tuple[xr.Dataset, np.ndarray]:
    """What is known of the atoms found on the metal's sites, and which of them are vanadium."""
    distance, index = (np.asarray(part) for part in KDTree(made.places).query(found.position))
    inner = (np.abs(found.position - SIDE / 2) < SIDE / 2 - 12).all(axis=1) & (distance < 4)
    here = inner & np.isin(made.species[index], ["Mo", "V"])
    y, x = found.position[here].T
    n_sites = int(here.sum())
    sites = xr.Dataset(
        {
            "content": (("site", "latent"), np.random.default_rng(0).normal(size=(n_sites, 2))),
            "intensity": ("site", found.height[here]),
            "frame": ("site", np.zeros(n_sites, int)),
            **{name: ("site", values) for name, values in (("y", y), ("x", x))},
            **{name: ("site", values) for name, values in (("y_nm", y), ("x_nm", x))},
        }
    )
    return sites, made.species[index[here]] == "V"


def score(made: Sheet, found: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """How unusual the atoms on the metal's sites are, and which of them are vanadium."""
    sites, foreign = metal(made, found)
    return find_outliers(sites, label=np.zeros(len(foreign), int))[0].to_numpy(), foreign


def test_vanadium_on_the_metals_sites_stands_out_though_one_atom_is_noisy():
    sheets = [sheet(seed) for seed in (1, 2, 3)]
    found = [find_atoms(made.image, config=FindConfig()) for made in sheets]
    unusual, foreign = (
        np.concatenate(part) for part in zip(*map(score, sheets, found), strict=True)
    )
    assert foreign.sum() >= 0.75 * 3 * FOREIGN
    assert (unusual[foreign] > 1).all()
    assert np.median(unusual[foreign]) > 1.8
    assert (unusual[~foreign] > 1).mean() < 0.01


def test_heights_of_one_kind_scatter_less_than_those_of_atoms_fitted_one_by_one():
    made = sheet(4)
    together = find_atoms(made.image, config=FindConfig(lines="keep"))
    alone = fit(made.image, together.position, sd=float(np.median(together.sd)))
    apart = []
    for found in (together, alone):
        sites, foreign = metal(made, found)
        height = sites["intensity"].to_numpy()[~foreign]
        dose = 0.6 + 0.4 * (sites["y"] + sites["x"]).to_numpy()[~foreign] / SIDE
        apart.append(np.std(height / dose) / np.mean(height / dose))
    assert apart[0] < 0.85 * apart[1]


def test_heights_are_right_without_noise_though_atoms_overlap_and_the_ground_slopes():
    y, x = np.meshgrid(np.arange(10.0, 150, 12), np.arange(10.0, 150, 12), indexing="ij")
    place = np.column_stack([y.ravel(), x.ravel()]) + 0.3
    true = np.random.default_rng(5).uniform(0.5, 2, len(place))
    along = np.arange(160)
    rows, columns = (np.exp(-((along - place[:, [n]]) ** 2) / (2 * 3**2)) for n in (0, 1))
    image = (true[:, None] * rows).T @ columns + 5 + 0.02 * along
    found = heights_together(image, fit(image, place, sd=3.0))
    inner = (np.abs(place - 80) < 50).all(axis=1)
    np.testing.assert_allclose(found[inner], true[inner], rtol=0.05)


def test_two_atoms_in_one_place_share_its_height_and_no_atoms_have_none():
    image = np.exp(-((np.indices((41, 41)) - 20.0) ** 2).sum(0) / 18)
    twice = Shapes(np.full((2, 2), 20.0), np.ones(2), np.full(2, 3.0), np.zeros(2))
    assert heights_together(image, twice).sum() == pytest.approx(1, abs=0.1)
    none = Shapes(np.zeros((0, 2)), *[np.zeros(0)] * 3)
    assert heights_together(image, none).shape == (0,)


def test_the_network_and_what_the_lattice_repeats_find_nearly_all_faint_atoms():
    made = sheet(1)
    inside = ((made.places > 6) & (made.places < SIDE - 7)).all(axis=1)
    share = {}
    for name, faint in (("network", None), ("both", 0.1)):
        found = find_atoms(made.image, config=FindConfig(method="network", faint=faint)).position
        sulphur = inside & (made.species == "S2")
        share[name] = (np.asarray(KDTree(found).query(made.places[sulphur])[0]) < 3.1).mean()
        assert (np.asarray(KDTree(made.places).query(found)[0]) < 3.1).mean() > 0.97
    assert share["both"] > 0.93
    assert share["both"] > share["network"] + 0.2
