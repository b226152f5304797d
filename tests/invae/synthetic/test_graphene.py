"""Graphene in 4D: what is said of a pattern is what a beam would do."""

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from invae import store
from invae.config.scenes import GrapheneConfig
from invae.synthetic import graphene
from invae.synthetic.crystal import BOND, turning
from invae.synthetic.graphene import draw, lattice, optics_of, scattering, simulate
from invae.synthetic.phase_object import centre_of_mass, patterns

SEEDS = (3, 1234)
THIRD = 2 * np.pi / 3


def small(**changes) -> GrapheneConfig:
    return GrapheneConfig.model_validate({"n_scan_y": 5, "n_scan_x": 6, "n_k": 16, **changes})


def beside(seed: int, offsets: np.ndarray, **changes) -> np.ndarray:
    """Centres of mass (axis, probe) [mrad] at offsets (probe, axis) [nm] from an atom of perfect graphene."""
    config = GrapheneConfig(structure="perfect", **changes)
    optics = optics_of(config)
    probes = lattice(config, seed).origin + offsets
    return centre_of_mass(patterns(probes, scattering(config, seed), optics), optics.k)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("distance", [0.03, 0.05, BOND / 2])
def test_probes_a_third_of_a_turn_apart_are_deflected_a_third_of_a_turn_apart(seed, distance):
    first = distance * turning(seed) @ [0, 1]
    com = beside(seed, np.stack([turning(n * THIRD) @ first for n in range(3)]), angle=seed % 60)
    size = np.hypot(*com)
    assert np.ptp(size) < 0.01 * size.mean()
    back = np.stack([turning(-n * THIRD) @ com[:, n] for n in range(3)])
    angles = np.arctan2(back[:, 0], back[:, 1])
    apart = np.angle(np.exp(1j * (angles - angles[0])))
    assert np.abs(np.rad2deg(apart)).max() < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_half_a_bond_from_an_atom_towards_the_hollow_the_deflection_is_as_published(seed):
    com = beside(seed, BOND / 2 * np.array([[1, 0]]))
    assert np.hypot(*com)[0] == pytest.approx(0.77, rel=0.1)


def test_the_beam_is_drawn_towards_an_atom():
    com = beside(5, np.array([[0, 0.03], [0.03, 0], [0, 0]]))
    assert com[1, 0] < -0.5
    assert com[0, 1] < -0.5
    assert np.hypot(*com[:, 2]) < 0.02


def test_a_mirror_partner_is_no_turned_pattern():
    """Its pattern is the mirrored one, and no third of a turn of the lattice makes one of the other."""
    config = GrapheneConfig(structure="perfect", n_k=64)
    optics, atoms = optics_of(config), scattering(config, 7)
    right = np.array([0.02, 0.05])
    probes = lattice(config, 7).origin + np.stack([right, right * (1, -1)])
    one, mirrored = patterns(probes, atoms, optics)
    np.testing.assert_allclose(mirrored, one[:, ::-1], atol=3e-3 * one.max())
    thirds = lattice(config, 7).origin + np.stack([turning(n * THIRD) @ right for n in range(3)])
    differences = [np.abs(other - mirrored).sum() for other in patterns(thirds, atoms, optics)]
    assert min(differences) > 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_have_the_expected_mean_and_the_dose_as_their_sum(seed):
    config = small(dose=1e6, structure="silicon")
    drawn = draw(config, seed=seed)
    probes = graphene.probe_places(config).reshape(-1, 2)
    expected = 1e6 * patterns(probes, scattering(config, seed), optics_of(config))
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
    for name in ("pattern", "com_y", "cell"):
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
    for name in truth.data_vars:
        np.testing.assert_allclose(truth[name], drawn[name], err_msg=str(name))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_a_detector_smaller_than_the_disc_is_refused():
    with pytest.raises(ValidationError, match="k_max 20 mrad must exceed convergence 30 mrad"):
        small(k_max=20)
