"""Lobes that are not opposite, a phase kept modulo half a turn, and masks that a person has drawn."""

from pathlib import Path

import gwyfile.objects
import numpy as np
import pytest

from invae.config import WallsConfig
from invae.config.describe import MaskConfig, PatchConfig, PhaseConfig
from invae.descriptors.domains.lobes import lobes_of
from invae.errors import InputError
from invae.readers import open_recording
from invae.storage import store
from tests.invae.descriptors.conftest import Describe, Record, disc, lock_in

SHAPE = (64, 72)
PLAIN = PatchConfig(window=16)
TRUTH = disc(SHAPE, (31.5, 35.5), 16)
SUBTRACT = WallsConfig(patches=PLAIN, phase_offset=PhaseConfig(subtract_background=True))


def with_background(background: complex, *, noise: float = 0.1) -> dict[str, np.ndarray]:
    recorded = lock_in(TRUTH, offset=0.3, noise=noise)
    response = recorded["amplitude"] * np.exp(1j * recorded["phase"])
    response = response + 100 * background * np.exp(0.3j)
    return {"amplitude": np.abs(response)[None], "phase": np.angle(response)[None]}


def radii(path: Path) -> np.ndarray:
    walls = store.open_store(path, group="contours").load()
    return np.hypot(walls["y"].to_numpy() - 31.5, walls["x"].to_numpy() - 35.5)


@pytest.mark.parametrize("background", [0.8j, 1.2, -0.6 + 0.5j])
def test_a_background_is_named_and_subtracted_on_request(
    background: complex, record: Record, described: Describe
) -> None:
    path = described(record(with_background(background)), SUBTRACT)
    assert np.abs(radii(path) - 16).max() < 1
    notes = " ".join(store.open_store(path).attrs["notes"])
    assert f"{abs(background):.1f}"[:2] in notes
    assert "was subtracted" in notes


def test_walls_that_a_background_hides_are_told_with_the_setting(
    record: Record, described: Describe
) -> None:
    with pytest.raises(InputError, match=r"0 degree apart.*subtract_background=true") as refused:
        described(record(with_background(1.5)), WallsConfig(patches=PLAIN))
    assert "smoothing" not in str(refused.value)


def test_lobes_far_from_opposite_are_a_remark(record: Record, described: Describe) -> None:
    path = described(record(with_background(0.45j)), WallsConfig(patches=PLAIN))
    assert "degree apart" in " ".join(store.open_store(path).attrs["notes"])


@pytest.mark.parametrize("background", [0, 0.2, 0.1j])
def test_opposite_lobes_are_no_remark(
    background: complex, record: Record, described: Describe
) -> None:
    path = described(record(with_background(background)), WallsConfig(patches=PLAIN))
    assert "lobes" not in " ".join(store.open_store(path).attrs["notes"])


def test_one_lobe_is_not_two() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(size=5000) + 1j * generator.normal(size=5000)
    assert lobes_of(3 + noise) is None
    assert lobes_of(np.linspace(-1, 1, 5000) + 0.01 * noise) is None
    assert lobes_of(np.full(9, np.nan + 0j)) is None
    found = lobes_of(np.sign(generator.normal(size=5000)) + 1j + 0.1 * noise)
    assert found is not None
    assert found.background == pytest.approx(1j, abs=0.02)
    assert found.response == pytest.approx(1, abs=0.02)
    assert np.rad2deg(found.apart) == pytest.approx(90, abs=2)


def modulo_half(offset: float) -> dict[str, np.ndarray]:
    recorded = lock_in(TRUTH, offset=offset, noise=0.1)
    return {"amplitude": recorded["amplitude"][None], "phase": recorded["phase"][None] % np.pi}


def test_a_phase_modulo_180_has_no_walls(record: Record, described: Describe) -> None:
    with pytest.raises(
        InputError,
        match="up and down cannot be distinguished, so there are no walls to find; export the phase over 360",
    ):
        described(record(modulo_half(0.0)), WallsConfig(patches=PLAIN))
    with pytest.raises(InputError, match=r"no domain wall.*if it is kept modulo 180"):
        described(record(modulo_half(1.5), name="b.zarr"), WallsConfig(patches=PLAIN))


def test_a_phase_folded_at_0_and_180_has_its_walls(record: Record, described: Describe) -> None:
    recorded = lock_in(TRUTH, offset=0.0, noise=0.1)
    channels = {"amplitude": recorded["amplitude"][None], "phase": np.abs(recorded["phase"])[None]}
    path = described(record(channels), WallsConfig(patches=PLAIN))
    assert np.abs(radii(path) - 16).max() < 1


@pytest.mark.parametrize(
    ("use", "left", "right"), [("exclude", 1, 0), ("keep", 0, 1), ("ignore", 1, 1)]
)
def test_a_drawn_mask_counts(
    use: str, left: int, right: int, record: Record, described: Describe
) -> None:
    mask = np.zeros((1, *SHAPE))
    mask[:, :, 36:] = 1
    masks = MaskConfig.model_validate({"drawn": use})
    recording = record({**with_background(0), "mask": mask})
    path = described(recording, WallsConfig(patches=PLAIN, masks=masks))
    maps = store.open_store(path, group="maps").load()
    assert float(maps["valid"][0, :, :36].mean()) == left
    assert float(maps["valid"][0, :, 36:].mean()) == right
    assert ((maps["invalid_reason"] == 4) == ~maps["valid"]).all()


def test_masks_of_a_gwyddion_file_are_one_channel(tmp_path: Path) -> None:
    tree = gwyfile.objects.GwyContainer()
    marks = np.zeros((2, 6, 8))
    marks[0, 1], marks[1, 4, 3:] = 1, 1
    for number, title in enumerate(("Height", "Phase", "Amplitude")):
        values = np.random.default_rng(number).normal(size=(6, 8))
        for key, data in (("data", values), ("mask", marks[number % 2])):
            if key == "mask" and number == 2:
                continue
            tree[f"/{number}/{key}"] = gwyfile.objects.GwyDataField(
                data, xreal=8e-9, yreal=6e-9, si_unit_xy="m"
            )
        tree[f"/{number}/data/title"] = title
    tree.tofile(str(tmp_path / "scan.gwy"))
    recording = open_recording(tmp_path / "scan.gwy")
    assert list(recording.data_vars) == ["height", "phase", "amplitude", "mask"]
    np.testing.assert_array_equal(recording["mask"][0], marks.any(axis=0))
    assert any("describe.masks.drawn" in note for note in recording.attrs["notes"])
