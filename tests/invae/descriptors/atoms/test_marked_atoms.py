"""Atoms found by the network: ahead of the Laplacian of a Gaussian where atoms count few electrons."""

import numpy as np
import pytest

from invae.config.atoms import FindConfig
from invae.config.segment import AtomVarietyConfig
from invae.descriptors.atoms.find import find_atoms
from invae.segmentation.atom_images import AtomImage, draw
from invae.segmentation.score import match, summary


def images(seed: int, *, electrons: tuple[float, float], n: int) -> list[AtomImage]:
    config = AtomVarietyConfig(
        size=192,
        electrons=electrons,
        background=(0.05, 1),
        vacancies=0.2,
        disorder=0.06,
        atom_sd=(0.12, 0.28),
    )
    return [draw(config, seed=seed, number=number) for number in range(n)]


def score(made: list[AtomImage], **settings) -> dict[str, float]:
    found = [find_atoms(one.image, config=FindConfig.model_validate(settings)) for one in made]
    matched = [
        match(f.position, one.places, within=0.3 * one.spacing)
        for f, one in zip(found, made, strict=True)
    ]
    return summary(matched)


@pytest.mark.parametrize("seed", [50_001, 50_002])
def test_more_atoms_of_few_electrons_are_found_at_fewer_false_ones(seed):
    made = images(seed, electrons=(10, 40), n=8)
    network, laplacian = (score(made, method=name) for name in ("network", "log"))
    daring = score(made, method="log", noise=2)
    assert network["f1"] > 0.83
    assert network["f1"] > laplacian["f1"] + 0.04
    assert network["f1"] > daring["f1"] + 0.01


def test_many_electrons_leave_hardly_an_atom_out():
    found = score(images(60_001, electrons=(500, 2000), n=6), method="network")
    assert found["f1"] > 0.95
    assert found["rms"] < 0.5


def test_where_nothing_is_known_no_atom_is_marked():
    made = images(3, electrons=(500, 600), n=1)[0].image
    made[:, :100] = np.nan
    found = find_atoms(made, config=FindConfig(method="network"))
    assert len(found.position) > 5
    assert found.position[:, 1].min() > 99
