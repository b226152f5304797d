"""A phase reference that moves or turns between frames is no switching, and real switching stays."""

import numpy as np
import pytest
import xarray as xr

from invae.config import WallsConfig
from invae.config.describe import DelayChannels, PatchConfig, PhaseConfig
from invae.errors import InputError
from invae.storage import store
from tests.invae.descriptors.conftest import Describe, Record, lock_in, texture

SHAPE = (96, 96)
MAZE = np.tanh(4 * texture(SHAPE, seed=5, size=6))
PLAIN = PatchConfig(window=16)


def frames_at(
    offsets: list[float], *, patterns: list[np.ndarray] | None = None, noise: float = 0.1
) -> dict[str, np.ndarray]:
    """Frames of one area, each with its own phase offset [degree]."""
    patterns = patterns or [MAZE] * len(offsets)
    recorded = [
        lock_in(pattern, offset=np.deg2rad(offset), noise=noise, seed=number)
        for number, (pattern, offset) in enumerate(zip(patterns, offsets, strict=True))
    ]
    channels = {name: np.stack([frame[name] for frame in recorded]) for name in recorded[0]}
    return {**channels, "height": np.stack([texture(SHAPE, seed=9, size=2)] * len(offsets))}


def described_maps(path) -> tuple[xr.Dataset, str]:
    maps = store.open_store(path, group="maps").load()
    return maps, " ".join(store.open_store(path).attrs["notes"])


def agreement(maps: xr.Dataset) -> np.ndarray:
    """Share of the pixels of each frame with the sign of the first frame."""
    signs = np.sign(maps["polarization"].to_numpy())
    return (signs == signs[0]).mean(axis=(1, 2))


@pytest.mark.parametrize(
    ("offsets", "told"),
    [
        ([10, 10, 190], "not switching"),
        ([10, 190, 190, 10], "not switching"),
        ([0, 45, 90, 135, 180], "differs between frames"),
        ([0, 80, 160], "differs between frames"),
        ([0, 80, 260], "not switching"),
        ([85, 91, 95, 87], ""),
    ],
)
def test_a_reference_that_moves_or_turns_changes_no_sign(
    offsets: list[float], told: str, record: Record, described: Describe
) -> None:
    path = described(record(frames_at(offsets)), WallsConfig(patches=PLAIN))
    maps, notes = described_maps(path)
    assert agreement(maps).min() > 0.95
    assert maps["valid"].to_numpy().all()
    assert told in notes
    assert ("not switching" in notes) == (told == "not switching")
    own = np.rad2deg(maps["frame_phase_offset"].to_numpy())
    away = np.angle(np.exp(1j * np.deg2rad(own - own[0] - np.array(offsets) + offsets[0])))
    assert np.abs(away).max() < np.deg2rad(25)


def test_the_sign_is_kept_on_request(record: Record, described: Describe) -> None:
    config = WallsConfig(patches=PLAIN, phase_offset=PhaseConfig(align_sign=False))
    maps, notes = described_maps(described(record(frames_at([10, 10, 190])), config))
    assert agreement(maps)[2] < 0.05
    assert "not switching" not in notes


def test_one_offset_is_taken_on_request(record: Record, described: Describe) -> None:
    config = WallsConfig(patches=PLAIN, phase_offset=PhaseConfig(per_frame=False))
    maps, notes = described_maps(described(record(frames_at([0, 0, 30])), config))
    assert len(set(maps["frame_phase_offset"].to_numpy())) == 1
    assert "differs between frames" not in notes


@pytest.mark.parametrize(
    "patterns",
    [
        [MAZE, MAZE, np.ones(SHAPE)],  # everything switches up
        [np.ones(SHAPE), -np.ones(SHAPE), MAZE],  # a single domain switches as a whole
        [MAZE, np.maximum(MAZE, np.sign(texture(SHAPE, seed=6, size=8))), np.ones(SHAPE)],
    ],
)
def test_switching_under_a_field_is_no_reference(
    patterns: list[np.ndarray], record: Record, described: Describe
) -> None:
    recording = record(frames_at([20] * 3, patterns=patterns))
    maps, notes = described_maps(described(recording, WallsConfig(patches=PLAIN)))
    assert "not switching" not in notes
    signs, truth = np.sign(maps["polarization"].to_numpy()), np.sign(np.stack(patterns))
    assert (signs == truth).mean() > 0.95


def test_a_weak_noisy_phase_is_no_lost_contact(record: Record, described: Describe) -> None:
    recording = record(frames_at([20], noise=0.9))
    path = described(recording, WallsConfig(patches=PLAIN))
    maps, notes = described_maps(path)
    assert maps["valid"].to_numpy().mean() > 0.99
    assert "no lost contact" in notes
    assert "describe.masks.tip_loss_alignment" in notes
    walls = store.open_store(path, group="contours")
    there = MAZE[walls["y"].to_numpy().astype(int), walls["x"].to_numpy().astype(int)]
    assert np.median(np.abs(there)) < 0.5


def test_a_lost_frame_of_a_good_series_stays_lost(record: Record, described: Describe) -> None:
    channels = frames_at([20] * 4)
    channels["phase"][2] = np.random.default_rng(0).uniform(-np.pi, np.pi, SHAPE)
    path = described(record(channels), WallsConfig(patches=PLAIN))
    maps, _ = described_maps(path)
    assert not maps["valid"][2].any()
    assert maps["valid"][[0, 1, 3]].all()


def test_a_mask_that_leaves_nothing_is_named_with_its_setting(
    record: Record, described: Describe
) -> None:
    channels = frames_at([20])
    channels["amplitude"][0, :40] = 0
    channels["amplitude"][0, 50:] = np.nan
    with pytest.raises(InputError) as refused:
        described(record(channels), WallsConfig(patches=PLAIN))
    text = str(refused.value)
    assert "42% of the area as tip_loss (describe.masks.tip_loss_alignment" in text
    assert "48% of the area as not_finite" in text
    assert "smoothing" not in text


def test_two_frames_work_with_time_delay(record: Record, described: Describe) -> None:
    config = WallsConfig(patches=PatchConfig(window=16, channels=DelayChannels()))
    patches = store.open_store(described(record(frames_at([20, 20])), config))
    assert patches["channel"].to_numpy().tolist() == ["t"]
    assert "2 frames: no time delay" in patches.attrs["notes"]
    assert set(patches["frame"].to_numpy()) == {0, 1}


def drifting(places: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Frames cut from one large area at these places (y, x) [px]; no place is another area."""
    maze, rough = texture((260, 260), seed=7, size=6), texture((260, 260), seed=8, size=2)
    cuts = [np.s_[y : y + 96, x : x + 96] for y, x in places]
    channels = frames_at([20] * len(cuts), patterns=[np.tanh(4 * maze[cut]) for cut in cuts])
    return channels | {"height": np.stack([rough[cut] for cut in cuts])}


def test_a_frame_of_another_area_is_told_and_does_not_move_the_others(
    record: Record, described: Describe
) -> None:
    path = described(record(drifting([(80, 80), (0, 160), (82, 77)])), WallsConfig(patches=PLAIN))
    maps, notes = described_maps(path)
    np.testing.assert_allclose(maps["drift"][2], (2, -3), atol=0.2)
    assert "frame 1 could not be registered" in notes
    assert np.isnan(maps["drift_sd"][1]).all()
    assert np.isfinite(maps["drift_sd"][2]).all()


def test_frames_that_have_nothing_in_common_are_told(record: Record, described: Describe) -> None:
    places = [(0, 0), (150, 0), (0, 150), (160, 160)]
    maps, notes = described_maps(described(record(drifting(places)), WallsConfig(patches=PLAIN)))
    assert "no two frames could be registered" in notes
    assert (maps["drift"] == 0).all()


def test_a_drift_that_is_real_is_believed(record: Record, described: Describe) -> None:
    places = [(80, 80), (84, 77), (89, 75), (93, 70)]
    maps, notes = described_maps(described(record(drifting(places)), WallsConfig(patches=PLAIN)))
    np.testing.assert_allclose(maps["drift"], np.array(places) - 80, atol=0.2)
    assert "registered" not in notes
