"""Simulated polycrystals: discs are where the truth says, and the dose is right."""

import numpy as np
import pytest
from pydantic import ValidationError

from invae.config import PolycrystalConfig
from invae.synthetic.polycrystal import draw, grain_pattern, make_grains, reflections

SMALL = {"n_scan_y": 12, "n_scan_x": 10, "n_grains": 3, "dose": 800}


def config(**changes: object) -> PolycrystalConfig:
    return PolycrystalConfig.model_validate({**SMALL, **changes})


def test_the_dose_is_the_mean_number_of_electrons() -> None:
    scan = draw(config(), seed=0)
    assert scan["pattern"].sum(("k_y", "k_x")).mean() == pytest.approx(800, rel=0.01)


def test_the_same_seed_gives_the_same_counts() -> None:
    first, second = (draw(config(), seed=3)["pattern"] for _ in range(2))
    assert first.identical(second)


def test_a_quarter_turn_of_a_grain_is_rot90() -> None:
    settings = config(centre=(0.0, 0.0), tilt=0)
    grains = make_grains(settings, seed=1)
    upright, turned = (grain_pattern(0, grains, settings, seed=1, turn=t) for t in (0, np.pi / 2))
    np.testing.assert_allclose(turned, np.rot90(upright), atol=1e-9)


def test_a_hexagonal_lattice_has_six_first_reflections() -> None:
    phase = config().phases[0]
    distance = np.hypot(*reflections(phase, reach=40).T)
    assert (np.abs(distance - phase.spacing) < 1e-9).sum() == 6


def test_every_phase_has_a_grain() -> None:
    phases = [{"share": 0.95}, {"lattice": "square", "share": 0.05}]
    truth = make_grains(config(phases=phases, n_grains=5), seed=0)
    assert set(truth.phase) == {0, 1}


def test_a_blocked_beam_has_no_counts() -> None:
    scan = draw(config(direct_beam="blocked", centre=(0.0, 0.0)), seed=0)["pattern"]
    assert not scan[..., 30:34, 30:34].any()


def test_discs_must_fit_on_the_detector() -> None:
    with pytest.raises(ValidationError, match="k_max 4 mrad must exceed"):
        config(k_max=4, convergence=3)
