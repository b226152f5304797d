"""Graphene in 4D: what is said of a pattern is what a beam would do."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from invae.config import GrapheneConfig
from invae.errors import ConfigError
from invae.storage import store
from invae.synthetic import graphene
from invae.synthetic.crystal import BOND, rotation_matrix
from invae.synthetic.flake import Flake, make_flake
from invae.synthetic.graphene import draw, optics_of, shares, simulate
from invae.synthetic.phase_object import Optics, Potential, centre_of_mass, patterns

SEEDS = (3, 1234)
THIRD = 2 * np.pi / 3


def small(**changes) -> GrapheneConfig:
    return GrapheneConfig.model_validate({"n_scan_y": 5, "n_scan_x": 6, "n_k": 16, **changes})


def flake_of(config: GrapheneConfig, seed: int) -> Flake:
    return make_flake(config, seed=seed, reach=optics_of(config).window / 2)


def perfect(seed: int, offsets: np.ndarray, **changes) -> np.ndarray:
    """Patterns (probe, k_y, k_x) at offsets (probe, axis) [nm] from an atom of perfect graphene."""
    config = GrapheneConfig(structure="perfect", **changes)
    flake = flake_of(config, seed)
    return shares(flake.lattice.origin + offsets, flake, config)


def beside(seed: int, offsets: np.ndarray, **changes) -> np.ndarray:
    """Centres of mass (axis, probe) [mrad] of the same."""
    return centre_of_mass(perfect(seed, offsets, **changes), optics_of(GrapheneConfig()).k)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("distance", [0.03, 0.05, BOND / 2])
def test_probes_a_third_of_a_turn_apart_are_deflected_a_third_of_a_turn_apart(seed, distance):
    first = distance * rotation_matrix(seed) @ [0, 1]
    com = beside(
        seed, np.stack([rotation_matrix(n * THIRD) @ first for n in range(3)]), angle=seed % 60
    )
    size = np.hypot(*com)
    assert np.ptp(size) < 0.01 * size.mean()
    back = np.stack([rotation_matrix(-n * THIRD) @ com[:, n] for n in range(3)])
    angles = np.arctan2(back[:, 0], back[:, 1])
    apart = np.angle(np.exp(1j * (angles - angles[0])))
    assert np.abs(np.rad2deg(apart)).max() < 0.5


def test_the_deflection_is_that_of_a_multislice_simulation(shared_data):
    """A vacancy by abTEM with Lobato's potentials, its atoms at rest on a grid of 0.1 Å."""
    with np.load(shared_data / "4dstem" / "graphene_vacancy.npz") as file:
        told = json.loads(str(file["meta"]))
        recorded, k = file["data"][::3], file["k_y"]
        scan = np.stack(np.meshgrid(file["scan_y"][::3], file["scan_x"], indexing="ij"), -1) / 10
        places = file["atom_pos_A"][:, 1::-1] / 10
    optics = Optics(
        told["energy_eV"] / 1e3,
        told["semiangle_mrad"],
        n_k=len(k),
        k_max=len(k) * told["det_sampling_mrad"][0] / 2,
    )
    potential = Potential.of_atoms(places, np.zeros(len(places), int), vibration=0.006)
    ours = np.stack([patterns(row, potential, optics) for row in scan])
    expected, com = centre_of_mass(recorded, k), centre_of_mass(ours, optics.k)
    assert np.sqrt(((com - expected) ** 2).mean()) < 0.02 * np.sqrt((expected**2).mean())
    assert np.hypot(*com).max() == pytest.approx(np.hypot(*expected).max(), rel=0.01)
    assert ours.sum((2, 3)).mean() == pytest.approx(recorded.sum((2, 3)).mean(), abs=3e-4)


@pytest.mark.skipif(find_spec("abtem") is None, reason="abTEM is not installed")
@pytest.mark.parametrize("angle", [0.0, 20.0])
def test_multislice_and_weak_phase_deflect_alike(angle):
    config = small(structure="silicon", angle=angle, vibration=0)
    flake = flake_of(config, 3)
    places = flake.probes[0]
    weak, strong = (
        centre_of_mass(shares(places, flake, c), optics_of(config).k)
        for c in (config, config.model_copy(update={"method": "multislice"}))
    )
    assert np.sqrt(((weak - strong) ** 2).mean()) < 0.05 * np.sqrt((strong**2).mean())


def test_multislice_without_abtem_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("invae.synthetic.multislice.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"pip install 'invae\[multislice\]'"):
        draw(small(method="multislice"), seed=1)


def test_the_beam_is_drawn_towards_an_atom():
    com = beside(5, np.array([[0, 0.03], [0.03, 0], [0, 0]]))
    assert com[1, 0] < -0.5
    assert com[0, 1] < -0.5
    assert np.hypot(*com[:, 2]) < 0.02


def test_silicon_draws_the_beam_more_than_carbon_by_its_scattering_amplitude():
    """At small angles a thin atom deflects as its projected potential, of volume 47.88 V Å² per Å of f(0)."""
    y = x = np.arange(-300, 300) / 100
    for species, amplitude in enumerate((2.5088, 5.8268)):
        potential = Potential.of_atoms(np.zeros((1, 2)), np.array([species]), vibration=0.006)
        volume = potential.on_grid(y / 10, x / 10).sum() * 0.01**2
        assert volume == pytest.approx(47.878 * amplitude, rel=0.02)


def test_patterns_keep_nearly_all_electrons_and_their_sum_is_one_on_a_wide_detector():
    optics = Optics(60, 30, n_k=88, k_max=220)
    potential = Potential.of_atoms(np.zeros((1, 2)), np.zeros(1, int), vibration=0.006)
    total = patterns(np.array([[0, 0], [0.013, 0.031]]), potential, optics).sum((1, 2))
    np.testing.assert_allclose(total, 1, atol=1e-3)


def test_a_mirror_partner_is_no_turned_pattern():
    """Its pattern is the mirrored one, and no third of a turn of the lattice makes one of the other."""
    right = np.array([0.02, 0.05])
    one, mirrored = perfect(7, np.stack([right, right * (1, -1)]), n_k=64)
    np.testing.assert_allclose(mirrored, one[:, ::-1], atol=3e-3 * one.max())
    thirds = perfect(7, np.stack([rotation_matrix(n * THIRD) @ right for n in range(3)]), n_k=64)
    assert min(np.abs(other - mirrored).sum() for other in thirds) > 0.01


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("structure", ["perfect", "vacancy", "silicon"])
def test_partners_see_one_structure_turned_and_mirrored_as_the_truth_says(seed, structure):
    config = small(structure=structure, places="partners", angle=seed % 50, n_k=32)
    drawn = draw(config, seed=seed)
    orbit = drawn["orbit"].to_numpy()
    assert (orbit == orbit[:, :1]).all()
    assert len(np.unique(orbit)) == config.n_scan_y
    turn, mirrored = drawn["turn"].to_numpy(), drawn["mirrored"].to_numpy()
    com = np.stack((drawn["com_y"], drawn["com_x"]), -1)
    upright = np.stack(
        [
            rotation_matrix(-angle) @ at
            for angle, at in zip(turn.flat, com.reshape(-1, 2), strict=True)
        ]
    )
    upright[mirrored.ravel(), 1] *= -1
    upright = upright.reshape(com.shape)
    np.testing.assert_allclose(upright, upright[:, :1].repeat(6, 1), atol=0.01)
    assert (mirrored.sum(1) == 3).all()
    assert np.hypot(*com.reshape(-1, 2).T).max() > 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_every_probe_of_a_raster_sees_its_folded_place_turned_and_mirrored(seed):
    config = small(structure="perfect", angle=seed % 70, n_k=32, scan_step=0.05)
    drawn = draw(config, seed=seed)
    folded = np.stack((drawn["folded_y_nm"], drawn["folded_x_nm"]), -1).reshape(-1, 2)
    upright = beside(seed, folded)
    upright[1, drawn["mirrored"].to_numpy().ravel()] *= -1
    turns = drawn["turn"].to_numpy().ravel()
    expected = np.stack(
        [rotation_matrix(turn) @ at for turn, at in zip(turns, upright.T, strict=True)]
    )
    com = np.stack((drawn["com_y"], drawn["com_x"]), -1).reshape(-1, 2)
    np.testing.assert_allclose(com, expected, atol=0.01)
    assert np.linalg.norm(folded, axis=1).max() <= BOND + 1e-9
    assert len(np.unique(drawn["orbit"])) == 30


def test_neighbours_of_a_defect_relax_and_nothing_else_does():
    ideal, relaxed = (flake_of(small(relaxation=by), 8) for by in (0.0, 0.005))
    moved = np.linalg.norm(relaxed.positions - ideal.positions, axis=1)
    assert np.sort(moved)[-3:] == pytest.approx(0.005)
    assert np.sort(moved)[-4] == 0
    near = np.sort(np.linalg.norm(relaxed.positions - relaxed.defects[0], axis=1))
    assert near[1:4] == pytest.approx(BOND + 0.005)


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_have_the_expected_mean_and_the_dose_as_their_sum(seed):
    config = small(dose=1e6, structure="silicon")
    drawn = draw(config, seed=seed)
    flake = flake_of(config, seed)
    expected = 1e6 * shares(flake.probes.reshape(-1, 2), flake, config)
    rest = drawn["pattern"].to_numpy().reshape(expected.shape) - expected
    assert (rest**2 / expected).mean() == pytest.approx(1, rel=0.1)
    assert rest.mean() == pytest.approx(0, abs=4 * float(expected.mean() / expected.size) ** 0.5)
    sums = draw(small(dose=100), seed=seed)["pattern"].sum(("k_y", "k_x"))
    assert sums.mean() == pytest.approx(100, rel=0.08)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_centre_of_mass_is_that_of_the_pattern(seed):
    drawn = draw(small(dose=1e6), seed=seed)
    total = drawn["pattern"].sum(("k_y", "k_x"))
    for axis in ("y", "x"):
        measured = (drawn["pattern"] * drawn[f"k_{axis}"]).sum(("k_y", "k_x")) / total
        np.testing.assert_allclose(measured, drawn[f"com_{axis}"], atol=0.1)


def test_the_defect_lies_in_the_middle_and_is_known():
    vacancy, silicon, perfect = (
        draw(small(structure=s), seed=4) for s in ("vacancy", "silicon", "perfect")
    )
    assert (~vacancy["occupied"]).sum() == 1
    assert (silicon["species"] == 1).sum() == 1
    assert perfect.sizes["defect"] == 0
    assert "distance" not in perfect
    place = vacancy["defect_y_nm"].item(), vacancy["defect_x_nm"].item()
    assert np.hypot(place[0] - 0.04, place[1] - 0.05) <= BOND
    expected = np.hypot(vacancy["scan_y"] - place[0], vacancy["scan_x"] - place[1])
    xr.testing.assert_allclose(vacancy["distance"].drop_attrs(), expected.drop_attrs())


def test_the_seed_decides_everything():
    one, again, other = (draw(small(), seed=seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    for name in ("pattern", "com_y", "turn"):
        assert not np.array_equal(one[name], other[name]), name


def test_a_store_holds_what_is_drawn_whatever_the_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(graphene, "SHARD_BYTES", 2 * 6 * 16 * 16 * 4)
    config, told = small(), []
    target = tmp_path / "graphene.zarr"
    simulate(target, config=config, seed=5, progress=lambda *now: told.append(now))
    drawn = draw(config, seed=5)
    stored, truth = store.open_store(target), store.open_store(target, group="truth")
    np.testing.assert_array_equal(stored["pattern"], drawn["pattern"])
    assert stored.attrs["modality"] == "4D-STEM"
    assert stored.attrs["beam_energy_keV"] == 60
    assert stored.attrs["convergence_mrad"] == 30
    for name in truth.data_vars:
        np.testing.assert_allclose(truth[name], drawn[name], err_msg=str(name))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_a_detector_smaller_than_the_disc_is_refused():
    with pytest.raises(ValidationError, match="k_max 20 mrad must exceed convergence 30 mrad"):
        small(k_max=20)
