"""Images of atoms: spots stand where the truth says, as bright as their elements."""

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from invae.config import AtomFramesConfig, GrapheneMovieConfig, LatticeConfig
from invae.storage import store
from invae.synthetic import atoms, graphene_movie, lattice
from invae.synthetic.crystal import BOND
from invae.synthetic.stem_image import ELEMENTS

SEEDS = (3, 1234)
SILICON = ELEMENTS.index("Si")


def movie(seed: int, *, imaging=None, **changes) -> xr.Dataset:
    frames = {"n_frames": 4, "rows": 64, "columns": 72, **(imaging or {})}
    return graphene_movie.draw(
        GrapheneMovieConfig.model_validate({"imaging": frames, **changes}), seed=seed
    )


def sites(seed: int, *, imaging=None, **changes) -> xr.Dataset:
    frames = {"n_frames": 1, "rows": 128, "columns": 96, "atom_sd": 0.05, **(imaging or {})}
    return atoms.draw(AtomFramesConfig.model_validate({"imaging": frames, **changes}), seed=seed)


def wall(seed: int, *, imaging=None, **changes) -> xr.Dataset:
    frames = {"n_frames": 1, "rows": 96, "columns": 96, "atom_sd": 0.05, **(imaging or {})}
    return lattice.draw(LatticeConfig.model_validate({"imaging": frames, **changes}), seed=seed)


def centroid(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Centre of mass of the squared image, 3 pixels around a place (axis,)."""
    top, left = round(y) - 3, round(x) - 3
    weight = image[top : top + 7, left : left + 7] ** 2
    places = np.indices(weight.shape) + np.array([top, left])[:, None, None]
    return (places * weight).sum((1, 2)) / weight.sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_atoms_stand_where_the_truth_says_while_the_scan_drifts(seed):
    drawn = wall(
        seed, imaging={"dose": 1e4, "background": 0, "jitter": 0, "n_frames": 3, "drift": 2}
    )
    for frame in range(3):
        bismuth = drawn.isel(frame=frame, atom=drawn["sublattice"].to_numpy() == 0)
        errors = [
            centroid(bismuth["image"].to_numpy(), y, x) - (y, x)
            for y, x in zip(bismuth["atom_y"].values, bismuth["atom_x"].values, strict=True)
            if 5 < y < 90 and 5 < x < 90
        ]
        assert len(errors) > 10
        assert np.abs(errors).mean() < 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_silicon_hops_to_neighbours_and_lost_atoms_stay_lost(seed):
    drawn = movie(seed, imaging={"n_frames": 12, "drift": 0}, hop=1, loss=0.02, n_silicon=2)
    silicon = (drawn["species"] == SILICON).to_numpy()
    assert (silicon.sum(1) == 2).all()
    assert (silicon[1:] != silicon[:-1]).any()
    n_there = drawn["occupied"].sum("atom").to_numpy()
    assert (np.diff(n_there) <= 0).all()
    assert n_there[-1] < n_there[0]
    assert drawn["occupied"].to_numpy()[silicon].all()
    u = drawn["u"].to_numpy()[0]
    places = np.stack((drawn["atom_y"][0], drawn["atom_x"][0]), -1) * 0.02 - u
    for before, after in pairwise(silicon):
        for place in places[after]:
            assert np.linalg.norm(places[before] - place, axis=1).min() < 2.1 * BOND


def test_brightness_follows_the_atomic_number():
    drawn = movie(
        5, imaging={"dose": 1e4, "atom_sd": 0.025, "drift": 0, "jitter": 0, "background": 0}
    )
    first = drawn.isel(frame=0)
    inside = (first["atom_y"] > 2) & (first["atom_y"] < 60) & (first["atom_x"] > 2)
    inside &= first["atom_x"] < 68
    rows, columns = (first[f"atom_{a}"].to_numpy()[inside].round().astype(int) for a in "yx")
    bright = first["image"].to_numpy()[rows, columns]
    assert bright.min() == pytest.approx(1e4, rel=0.35)
    total = movie(5, imaging={"drift": 0}, n_silicon=0)["image"].mean()
    assert movie(5, imaging={"drift": 0}, n_silicon=40)["image"].mean() > 1.05 * total


@pytest.mark.parametrize("seed", SEEDS)
def test_disorder_grows_with_the_root_of_the_dose(seed):
    drawn = movie(seed, imaging={"n_frames": 10, "drift": 0}, disorder=0.003)
    sd = drawn["u"].std(("atom", "axis"))
    np.testing.assert_allclose(sd, 0.003 * np.sqrt(np.arange(10)), rtol=0.12)
    moved = (drawn["atom_y"] - drawn["atom_y"][0]) * 0.02
    np.testing.assert_allclose(moved, drawn["u"].sel(axis="y"), atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "n_near", "per_area"),
    [("square", 4, 1.0), ("hexagonal", 6, 2 / 3**0.5), ("honeycomb", 3, 4 / 27**0.5)],
)
def test_every_site_has_the_neighbours_of_its_lattice(seed, name, n_near, per_area):
    drawn = sites(
        seed, lattice=name, spacing=0.3, disorder=0, angle=seed % 90, imaging={"drift": 0}
    )
    places = np.stack((drawn["atom_y"][0], drawn["atom_x"][0]), -1) * 0.02
    distance = np.linalg.norm(places - places[:, None], axis=-1)
    inside = ((places > 0.35) & (places < (2.2, 1.55))).all(1)
    assert ((np.abs(distance - 0.3) < 1e-9).sum(0)[inside] == n_near).all()
    shown = ((places > 0) & (places < (2.56, 1.92))).all(1).sum()
    assert shown == pytest.approx(per_area / 0.3**2 * 2.56 * 1.92, rel=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_vacancies_and_foreign_atoms_are_as_frequent_as_asked_for(seed):
    config = {"spacing": 0.1, "vacancies": 0.2, "doped": 0.3, "dopant": "V", "elements": ["Mo"]}
    drawn = sites(seed, **config)
    n = drawn.sizes["atom"]
    assert (~drawn["occupied"][0]).mean() == pytest.approx(0.2, abs=4 * (0.16 / n) ** 0.5)
    assert drawn["foreign"].mean() == pytest.approx(0.3, abs=4 * (0.21 / n) ** 0.5)
    np.testing.assert_array_equal(drawn["species"][0] == ELEMENTS.index("V"), drawn["foreign"])


def test_sublattices_are_as_bright_as_their_elements():
    """Molybdenum against two sulphurs: 42^1.7 / (2 · 16^1.7) = 2.58."""
    imaging = {"dose": 1e4, "background": 0, "jitter": 0, "drift": 0, "rows": 256, "columns": 256}
    drawn = sites(
        2, lattice="honeycomb", spacing=0.5, elements=["Mo", "S2"], disorder=0, imaging=imaging
    )
    first = drawn.isel(frame=0)
    inside = ((first["atom_y"] > 1) & (first["atom_y"] < 254)).to_numpy()
    inside &= ((first["atom_x"] > 1) & (first["atom_x"] < 254)).to_numpy()
    rows, columns = (first[f"atom_{a}"].to_numpy()[inside].round().astype(int) for a in "yx")
    bright, index = first["image"].to_numpy()[rows, columns], first["sublattice"].to_numpy()[inside]
    assert bright[index == 0].mean() / bright[index == 1].mean() == pytest.approx(2.58, rel=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_uneven_background_varies_as_asked_for_and_is_never_negative(seed):
    imaging = {"background": 1000, "dose": 1e-6, "uneven": 0.1, "uneven_length": 0.1}
    drawn = sites(seed, imaging=imaging)["image"]
    assert drawn.std() / drawn.mean() == pytest.approx((0.01 + 1e-3) ** 0.5, rel=0.1)
    dark = sites(seed, imaging={**imaging, "uneven": 2})["image"]
    assert dark.min() == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_iron_moves_as_a_tanh_across_the_wall_and_bismuth_stays(seed):
    drawn = wall(seed, displacement=0.03, wall_width=0.5, wall_angle=60, displacement_angle=90)
    iron = drawn["sublattice"] == 1
    assert (drawn["u"].where(~iron, 0) == 0).all()
    u = drawn["u"].to_numpy()[iron.to_numpy()]
    distance = drawn["wall_distance"].to_numpy()[iron.to_numpy()]
    np.testing.assert_allclose(u[:, 0], -0.03 * np.tanh(distance / 0.5), atol=1e-12)
    np.testing.assert_allclose(u[:, 1], 0, atol=1e-12)
    assert distance.min() < -0.5 < 0.5 < distance.max()


@pytest.mark.parametrize(("draw", "name"), [(movie, "occupied"), (wall, "u"), (sites, "foreign")])
def test_the_seed_decides_everything(draw, name):
    one, again, other = (draw(seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert not np.array_equal(one["image"], other["image"])
    assert one["y"].attrs["units"] == "nm"
    assert name in one


@pytest.mark.parametrize(
    ("room", "config"),
    [
        (atoms, AtomFramesConfig()),
        (graphene_movie, GrapheneMovieConfig()),
        (lattice, LatticeConfig()),
    ],
)
def test_a_store_holds_what_is_drawn(room, config, tmp_path):
    room.simulate(tmp_path / "made.zarr", config=config, seed=5)
    drawn = room.draw(config, seed=5)
    np.testing.assert_array_equal(store.open_store(tmp_path / "made.zarr")["image"], drawn["image"])
    truth = store.open_store(tmp_path / "made.zarr", group="truth")
    np.testing.assert_allclose(truth["atom_y"], drawn["atom_y"])


def test_tails_of_the_probe_are_three_times_as_wide():
    sharp, tailed = (
        sites(3, imaging={"dose": 1e4, "background": 0, "tails": tails})["image"].to_numpy()[0]
        for tails in (0.0, 0.2)
    )
    assert abs(tailed.mean() / sharp.mean() / (0.8 + 0.2 * 3**2) - 1) < 0.15
