"""What is held against the truth of a simulated scan: the ideal observer of a missing atom, and kinds of sites."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from benchmarks.ideal import NO_ATOM, ideal
from benchmarks.trials import sites
from benchmarks.trials.fourd import NEAR
from invae.config import GrapheneConfig
from invae.synthetic import graphene
from invae.synthetic.flake import make_flake, truth

SMALL = GrapheneConfig(n_scan_y=16, n_scan_x=16, n_k=16, dose=300, angle=17)
SEED = 5


@pytest.fixture(scope="module")
def told():
    """What is said of a scan that lacks an atom, and of the same one that lacks none."""
    whole = SMALL.model_copy(update={"structure": "perfect"})
    counted = [
        graphene.make_rows(range(16), config=each, seed=SEED)["pattern"] for each in (SMALL, whole)
    ]
    return [ideal(each, SMALL, seed=SEED, near=NEAR) for each in counted]


def test_who_knows_every_pattern_finds_the_missing_atom_and_misses_none_that_is_there(told):
    broken, whole = (each.whole for each in told)
    flake = make_flake(SMALL, seed=SEED, reach=1.0)
    near = np.linalg.norm(flake.probes - flake.defects[0], axis=-1) < NEAR
    assert broken[near].min() > 0
    assert broken[near].min() > broken[~near].max()
    assert whole.max() < broken[near].min()


def test_one_pattern_tells_less_than_all_around_it(told):
    assert told[0].single.max() < told[0].whole.max()
    assert ((told[0].single == NO_ATOM) == (told[0].whole == NO_ATOM)).all()


def test_kinds_of_sites_are_what_lies_nearest():
    config = GrapheneConfig(structure="silicon", n_scan_y=64, n_scan_x=64, angle=11)
    flake = make_flake(config, seed=SEED, reach=1.0)
    known = truth(flake, config)
    kinds = sites.kinds_of(known)
    perfect, index = flake.lattice.sites(np.full(2, -0.5), np.full(2, 2.0))
    bond = perfect[index == 1][:, None] - perfect[index == 0]
    bond = bond[np.linalg.norm(bond, axis=-1) < 0.15][0]
    middles = perfect[index == 0] - bond
    probes = flake.probes.reshape(-1, 2)
    nearer = KDTree(middles).query(probes)[0] < KDTree(perfect).query(probes)[0]
    foreign = known["distance"].to_numpy().ravel() < NEAR
    np.testing.assert_array_equal(kinds[~foreign], nearer[~foreign].astype(int))
    assert (kinds[foreign] == sites.KINDS.index("silicon")).all()
    assert abs(nearer.mean() - 1 / 3) < 0.03
