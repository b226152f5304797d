"""Phases, angles and grains of a simulated polycrystal are those of the truth."""

import numpy as np
import pytest
import xarray as xr
from skimage.measure import label

from invae.analysis.grains.areas import connected, folded
from invae.analysis.grains.classes import AMORPHOUS, classes_of
from invae.analysis.grains.groups import notes_of
from invae.analysis.grains.search import Polycrystal, Settings, find_grains
from invae.analysis.grains.tables import boundary_table, grain_table
from invae.config import PolycrystalConfig
from invae.synthetic.polycrystal import draw

SIDE = 32
AMORPHOUS_TOO = [{}, {"lattice": "square", "spacing": 13.0}, {"lattice": AMORPHOUS, "spacing": 14.0}]  # fmt: skip


def searched(
    scan: xr.Dataset, *, beam: float = 2.6, displaced: np.ndarray | None = None
) -> Polycrystal:
    patterns = scan["pattern"].to_numpy().astype(np.float32)

    def blocks():
        for start in range(0, len(patterns), 8):
            yield slice(start, start + 8), patterns[start : start + 8]

    shape = (patterns.shape[0], patterns.shape[1])
    valid, middle = np.ones(patterns.shape[2:], bool), (patterns.shape[-1] - 1) / 2
    return find_grains(
        blocks,
        shape,
        valid=valid,
        axis=(middle, middle),
        beam=beam,
        settings=Settings(),
        displaced=displaced,
    )


def n_true(scan: xr.Dataset) -> int:
    """Number of connected grains that are not tiny."""
    areas = np.asarray(label(scan["grain"].to_numpy() + 1, connectivity=1))
    return int((np.bincount(areas.ravel())[1:] >= 6).sum())


@pytest.fixture(scope="module")
def scan() -> xr.Dataset:
    values = {"n_scan_y": SIDE, "n_scan_x": SIDE, "n_grains": 5, "phases": AMORPHOUS_TOO}
    return draw(PolycrystalConfig.model_validate({**values, "centre": (0, 0), "dose": 1000}), seed=2)  # fmt: skip


@pytest.fixture(scope="module")
def found(scan: xr.Dataset) -> Polycrystal:
    return searched(scan)


def test_phases_are_those_of_the_truth(found: Polycrystal, scan: xr.Dataset) -> None:
    pure = scan["pure"].to_numpy() > 0.9
    pairs = set(zip(found.phase[pure], scan["phase"].to_numpy()[pure], strict=True))
    assert len(pairs) == 3  # one to one
    assert {lattice.words for lattice in found.lattices} == {"hexagonal", "square"}


def test_angles_are_those_of_the_truth_up_to_symmetry(found: Polycrystal, scan: xr.Dataset) -> None:
    pure = (scan["pure"].to_numpy() > 0.9) & (found.phase >= 0)
    n_fold = np.array([lattice.n_fold for lattice in found.lattices])[found.phase[pure]]
    residual = folded(found.angle[pure] - scan["angle"].to_numpy()[pure], n_fold)
    assert np.degrees(np.median(np.abs(residual))) < 0.3


def test_amorphous_areas_are_a_class_without_a_lattice(found: Polycrystal) -> None:
    classes = classes_of(found)
    assert classes.names[-1] == AMORPHOUS
    assert np.isnan(found.angle[classes.of_probe == len(classes.names) - 1]).all()


def test_tables_cover_the_scan(found: Polycrystal) -> None:
    classes = classes_of(found)
    grains = grain_table(found, classes, step=2.0)
    assert int(grains["n_probes"].sum()) == SIDE**2
    assert float(grains["area"].sum()) == pytest.approx(4.0 * SIDE**2)
    boundaries = boundary_table(found, classes, step=2.0)
    assert (boundaries["first"] < boundaries["second"]).all()
    assert float(boundaries["misorientation"].max()) <= np.pi / 2


def test_noise_has_no_lattice_and_a_note_says_so() -> None:
    counts = np.random.default_rng(0).poisson(0.2, (12, 12, 48, 48)).astype(np.uint32)
    none = searched(xr.Dataset({"pattern": (("scan_y", "scan_x", "k_y", "k_x"), counts)}))
    assert none.lattices == ()
    assert "no lattice" in notes_of(none, classes_of(none))[0]


def test_discs_that_nearly_touch_are_named() -> None:
    values = {"n_scan_y": SIDE, "n_scan_x": SIDE, "n_grains": 4, "convergence": 5.0, "dose": 3000}
    scan = draw(PolycrystalConfig.model_validate({**values, "centre": (0, 0)}), seed=0)
    close = searched(scan, beam=5.0)
    assert any("nearly touch" in note for note in notes_of(close, classes_of(close)))


def test_a_note_on_touching_discs_is_not_general(found: Polycrystal) -> None:
    assert not any("touch" in note for note in notes_of(found, classes_of(found)))


@pytest.mark.parametrize("seed", [0, 1])
def test_patterns_between_whole_pixels_are_one_region(seed: int) -> None:
    values = {"n_scan_y": SIDE, "n_scan_x": SIDE, "n_grains": 3, "dose": 3000}
    scan = draw(PolycrystalConfig.model_validate({**values, "centre": (0, 0), "descan": (0.9, 0.9)}), seed=seed)  # fmt: skip
    ramp = (np.arange(SIDE) / (SIDE - 1) - 0.5) * 0.9
    displaced = np.stack(np.meshgrid(ramp, ramp, indexing="ij"), axis=-1)
    assert searched(scan, displaced=displaced).grain.max() + 1 == n_true(scan)


def test_connected_regions_are_one_grain() -> None:
    regions = np.repeat([[0, 1, 2]], 4, axis=0)
    assert connected(regions, [(1, 2)])[0].tolist() == [0, 1, 1]
    assert connected(regions, [(2, 1), (0, 1)])[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("seed", [3, 4])
def test_a_bent_grain_is_one_grain(seed: int) -> None:
    values = {"n_scan_y": SIDE, "n_scan_x": SIDE, "n_grains": 4, "bend": 2.0, "dose": 3000}
    scan = draw(PolycrystalConfig.model_validate({**values, "centre": (0, 0)}), seed=seed)
    assert searched(scan).grain.max() + 1 == n_true(scan)


def test_the_angle_of_a_bent_grain_follows_it() -> None:
    values = {"n_scan_y": SIDE, "n_scan_x": SIDE, "n_grains": 1, "bend": 2.0, "dose": 1000}
    scan = draw(PolycrystalConfig.model_validate({**values, "centre": (0, 0)}), seed=6)
    bent = searched(scan)
    error = folded(bent.angle - scan["angle"].to_numpy(), bent.lattices[0].n_fold)
    assert np.degrees(np.median(np.abs(error))) < 0.2
    assert np.mean(np.abs(error) < 2 * bent.angle_sd) > 0.6
