"""The whole stage: a store in, a store out, with known answers, interrupted, and refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from invae.config import ComputeConfig, WallsConfig
from invae.config.describe import (
    DelayChannels,
    DifferenceChannels,
    LayerChannels,
    PatchConfig,
    PhaseConfig,
    SignalChannels,
    SiteConfig,
)
from invae.dims import KINDS, meanings
from invae.errors import ConfigError, InputError
from invae.storage import store
from tests.invae.descriptors.conftest import Describe, Record, disc, lock_in, texture

SHAPE = (64, 72)
DELAY = PatchConfig(window=16, channels=DelayChannels())
PLAIN = PatchConfig(window=16)


def growing_disc(
    n_frames: int, *, drift: tuple[float, float] = (0.0, 0.0)
) -> dict[str, np.ndarray]:
    """A domain that grows 1 px per frame while the frame drifts over a rough sample."""
    frames = []
    sample = texture((160, 160), seed=1)
    for frame in range(n_frames):
        y, x = (frame * step for step in drift)
        polarization = disc(SHAPE, (31.5 - y, 35.5 - x), 10 + frame)
        top, left = 40 + int(y), 40 + int(x)
        height = sample[top : top + SHAPE[0], left : left + SHAPE[1]]
        frames.append({**lock_in(polarization, seed=frame), "height": height, "deflection": height})
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def groups(path: Path) -> tuple[xr.Dataset, xr.Dataset, xr.Dataset]:
    sites, maps, contours = (
        store.open_store(path, group=group).load() for group in ("", "maps", "contours")
    )
    return sites, maps, contours


def test_a_disc_becomes_a_wall_sites_and_patches(record: Record, described: Describe) -> None:
    path = described(record(growing_disc(1)), WallsConfig(patches=PLAIN))
    patches, maps, contours = groups(path)
    radii = np.hypot(contours["y"] - 31.5, contours["x"] - 35.5)
    assert abs(float(radii.mean()) - 10) < 0.2
    assert float(radii.std()) < 0.2
    sites = np.hypot(patches["y"] - 31.5, patches["x"] - 35.5)
    np.testing.assert_allclose(sites, 10, atol=0.6)
    assert patches["patch"].shape == (10, 1, 16, 16)
    assert patches["patch"].dtype == np.float32
    centre = patches["patch"].isel(patch_y=[7, 8], patch_x=[7, 8])
    assert float(np.abs(centre.mean(("patch_y", "patch_x"))).max()) < 0.3
    inside, outside = maps["polarization"][0, 28:35, 32:39], maps["polarization"][0, :10, :10]
    assert float(inside.mean()) == pytest.approx(1, abs=0.1)
    assert float(outside.mean()) == pytest.approx(-1, abs=0.1)
    assert float(maps["phase_offset"]) == pytest.approx(0.6, abs=0.02)
    assert bool(maps["valid"].all())
    assert patches.attrs["notes"][0] == "one frame: no drift and no time delay"


def test_the_store_is_labelled(record: Record, described: Describe) -> None:
    patches, maps, contours = groups(described(record(growing_disc(3)), WallsConfig(patches=DELAY)))
    for dataset in (patches, maps, contours):
        for name, variable in dataset.variables.items():
            if name not in ("channel", "axis"):
                assert (
                    "units" in variable.attrs
                    or "flag_meanings" in variable.attrs
                    or (variable.dtype == bool)
                ), name
    assert patches["channel"].to_numpy().tolist() == ["t-1", "t", "t+1"]
    assert meanings(maps["wall"].attrs) == ["none", "wall_180", "wall_non180"]
    assert maps.attrs["signals"] == "amplitude amplitude, phase phase"
    assert (maps.attrs["amplitude"], maps.attrs["phase"]) == ("amplitude", "phase")
    assert KINDS[int(patches["kind"][0])] == "wall"
    assert patches.attrs["pixel_size_nm"] == 10
    assert patches.attrs["sources"] == ["0.ibw", "1.ibw", "2.ibw"]
    np.testing.assert_allclose(patches["y_nm"], 10 * patches["y"])
    np.testing.assert_array_equal(patches["source"], patches["frame"])
    assert maps["drift"].dims == ("frame", "axis")
    np.testing.assert_array_equal(maps["axis"], ["y", "x"])


def test_sites_are_sorted_and_have_all_their_frames(record: Record, described: Describe) -> None:
    patches, _, _ = groups(described(record(growing_disc(5)), WallsConfig(patches=DELAY)))
    order = np.lexsort((patches["x"], patches["y"], patches["frame"]))
    np.testing.assert_array_equal(order, np.arange(patches.sizes["site"]))
    assert set(patches["frame"].to_numpy()) == {1, 2, 3}


def test_delayed_channels_show_the_same_place_of_a_drifting_sample(
    record: Record, described: Describe
) -> None:
    recording = record(growing_disc(4, drift=(2.0, -3.0)))
    patches, maps, _ = groups(described(recording, WallsConfig(patches=DELAY)))
    truth = np.arange(4)[:, None] * np.array([2.0, -3.0])
    assert np.abs(maps["drift"] - truth).max() < 0.1
    assert float(maps["drift_sd"].max()) < 0.3
    for site in range(patches.sizes["site"]):
        one = patches.isel(site=site)
        centre = np.array([31.5, 35.5]) - truth[int(one["frame"])]
        for channel, delay in enumerate((-1, 0, 1)):
            y = float(one["y"]) + one["patch_y"].to_numpy()[:, None] - centre[0]
            x = float(one["x"]) + one["patch_x"].to_numpy() - centre[1]
            expected = np.tanh((10 + int(one["frame"]) + delay - np.hypot(y, x)) / 1.5)
            valid = one["valid"][channel].to_numpy()
            away = np.abs(one["patch"][channel].to_numpy() - expected)[valid]
            assert away.mean() < 0.12


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_recording_has_turned_maps_and_walls(
    turns: int, record: Record, described: Describe
) -> None:
    channels = growing_disc(1)
    turned = {name: np.rot90(frames, turns, axes=(1, 2)) for name, frames in channels.items()}
    config = WallsConfig(patches=PLAIN)
    here = groups(described(record(channels, name="a.zarr"), config, name="a-d.zarr"))
    there = groups(described(record(turned, name="b.zarr"), config, name="b-d.zarr"))
    np.testing.assert_allclose(
        there[1]["polarization"],
        np.rot90(here[1]["polarization"], turns, axes=(1, 2)),
        atol=1e-5,
    )
    assert there[0].sizes["site"] == here[0].sizes["site"]
    assert there[2].sizes["point"] == here[2].sizes["point"]
    mean_here, mean_there = here[0]["patch"].mean("site"), there[0]["patch"].mean("site")
    np.testing.assert_allclose(mean_there, np.rot90(mean_here, turns, axes=(1, 2)), atol=0.15)


def test_lost_lines_are_no_walls(record: Record, described: Describe) -> None:
    channels = growing_disc(2)
    channels["phase"][1, 44:60] = 0.6 + np.pi / 2
    channels["phase"][1, 20] = 0.6
    patches, maps, contours = groups(described(record(channels), WallsConfig(patches=PLAIN)))
    reason = maps["invalid_reason"][1].to_numpy()
    assert (reason[44:60] == 2).all()
    assert (reason[20] == 1).all()
    assert (reason > 0).mean() < 0.3
    walls = contours.isel(point=np.flatnonzero(contours["frame"] == 1))
    assert np.abs(np.hypot(walls["y"] - 31.5, walls["x"] - 35.5) - 11).max() < 1.5
    assert not patches["valid"].isel(site=np.flatnonzero(patches["frame"] == 1)).all()


def test_degrees_are_radians_in_other_words(record: Record, described: Describe) -> None:
    channels = growing_disc(1)
    config = WallsConfig(patches=PLAIN)
    radians = groups(described(record(channels, name="a.zarr"), config, name="a-d.zarr"))
    channels["phase"] = np.rad2deg(channels["phase"])
    recording = record(channels, name="b.zarr", units={"phase": "degree"})
    degrees = groups(described(recording, config, name="b-d.zarr"))
    np.testing.assert_allclose(radians[1]["polarization"], degrees[1]["polarization"], atol=1e-4)


def test_flipping_turns_every_sign(record: Record, described: Describe) -> None:
    recording = record(growing_disc(1))
    plain = groups(described(recording, WallsConfig(patches=PLAIN), name="a.zarr"))
    flipped = groups(
        described(
            recording,
            WallsConfig(patches=PLAIN, phase_offset=PhaseConfig(flip=True)),
            name="b.zarr",
        )
    )
    np.testing.assert_array_equal(plain[1]["polarization"], -flipped[1]["polarization"])


def test_a_bipolar_channel_is_taken_as_it_is(record: Record, described: Describe) -> None:
    recording = record({"polarization": 3e-3 * disc(SHAPE, (31.5, 35.5), 12)[None]})
    patches, maps, _ = groups(described(recording, WallsConfig(patches=PLAIN)))
    assert patches.sizes["site"] == 12
    assert float(np.abs(maps["polarization"]).max()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("channels", "names"),
    [
        (LayerChannels(), ["wall_180", "wall_all", "wall_non180"]),
        (
            SignalChannels(names=("polarization", "amplitude", "phase", "height")),
            ["polarization", "amplitude", "phase", "height"],
        ),
    ],
)
def test_channels_are_layers_or_signals(
    channels: LayerChannels | SignalChannels,
    names: list[str],
    record: Record,
    described: Describe,
) -> None:
    config = WallsConfig(patches=PatchConfig(window=16, channels=channels))
    patches, _, _ = groups(described(record(growing_disc(1)), config))
    assert patches["channel"].to_numpy().tolist() == names
    by_name = patches["patch"].assign_coords(channel=names)
    if "wall_180" in names:
        np.testing.assert_array_equal(
            by_name.sel(channel="wall_180"), by_name.sel(channel="wall_all")
        )
        assert float(by_name.sel(channel="wall_180").isel(patch_y=8, patch_x=8).min()) > 0.3
        return
    up = by_name.sel(channel="polarization") > 0.9
    down = by_name.sel(channel="polarization") < -0.9
    assert float(np.abs(by_name.sel(channel="phase").where(up)).max()) < 0.3
    assert float(np.abs(by_name.sel(channel="phase").where(down)).min()) > np.pi - 0.3
    assert float(by_name.sel(channel="amplitude").where(up).mean()) == pytest.approx(1, abs=0.1)


def test_a_grid_needs_no_walls(record: Record, described: Describe) -> None:
    config = WallsConfig(sites=SiteConfig(kind="grid", spacing=8), patches=PLAIN)
    recording = record({**lock_in(np.ones((1, *SHAPE)))})
    patches, _, contours = groups(described(recording, config))
    assert contours.sizes["point"] == 0
    assert patches.sizes["site"] > 30
    assert KINDS[int(patches["kind"][0])] == "grid"


def test_an_uncalibrated_recording_has_no_nanometres(record: Record, described: Describe) -> None:
    path = described(record(growing_disc(1), pixel=None), WallsConfig(patches=PLAIN))
    patches = store.open_store(path)
    assert "pixel_size_nm" not in patches.attrs
    assert np.isnan(patches["y_nm"]).all()


def test_dead_frames_and_missing_pixels_are_lived_with(record: Record, described: Describe) -> None:
    channels = growing_disc(5)
    for frames in channels.values():
        frames[2] = 0
        frames[4, 5:9, 5:9] = np.nan
    patches, maps, _ = groups(described(record(channels), WallsConfig(patches=PLAIN)))
    assert not maps["valid"][2].any()
    assert (maps["invalid_reason"][4, 5:9, 5:9] == 3).all()
    assert set(patches["frame"].to_numpy()) == {0, 1, 3, 4}
    assert np.abs(maps["drift"].to_numpy()).max() < 0.1
    assert np.isfinite(patches["patch"]).all()


def test_no_channel_to_register_on_is_a_remark(record: Record, described: Describe) -> None:
    channels = {"polarization": np.stack([disc(SHAPE, (31.5, 35.5), 12)] * 2)}
    patches, maps, _ = groups(described(record(channels), WallsConfig(patches=PLAIN)))
    assert "no channel to register on" in " ".join(patches.attrs["notes"])
    assert (maps["drift"] == 0).all()
    assert np.isnan(maps["drift_sd"][1]).all()


def test_the_number_of_sites_is_bounded(record: Record, described: Describe) -> None:
    config = WallsConfig(sites=SiteConfig(spacing=1, max_per_frame=9, max_sites=20), patches=PLAIN)
    patches, _, _ = groups(described(record(growing_disc(4)), config))
    np.testing.assert_array_equal(np.bincount(patches["frame"]), [5, 5, 5, 5])


class Interrupted(Exception):
    """Stands for whatever ends a run."""


@pytest.mark.parametrize("percent", [3, 45, 81, 90])
def test_an_interrupted_run_goes_on_to_the_same_values(
    percent: int, record: Record, described: Describe, tmp_path: Path
) -> None:
    recording = record(growing_disc(6, drift=(0.5, 0.5)))
    config = WallsConfig(patches=DELAY)
    undisturbed = groups(described(recording, config, name="a.zarr"))

    def interrupt(done: int, total: int, /) -> None:
        if done >= percent:
            raise Interrupted

    with pytest.raises(Interrupted):
        described(recording, config, name="b.zarr", progress=interrupt)
    assert not (tmp_path / "b.zarr").exists()
    pieces = {p: p.stat().st_mtime_ns for p in tmp_path.glob(".b.zarr.*/pieces/*.npz")}
    kept: list[dict[Path, int]] = []

    def look(done: int, total: int, /) -> None:
        kept.append({p: p.stat().st_mtime_ns for p in pieces if p.exists()})

    resumed = groups(described(recording, config, name="b.zarr", progress=look))
    assert pieces
    assert kept[0] == pieces  # finished blocks are not made again
    for one, other in zip(undisturbed, resumed, strict=True):
        xr.testing.assert_identical(one.drop_attrs(deep=False), other.drop_attrs(deep=False))


def test_workers_do_not_change_a_value(record: Record, described: Describe) -> None:
    recording = record(growing_disc(6))
    config = WallsConfig(patches=DELAY)
    one = groups(described(recording, config, name="a.zarr"))
    many = groups(described(recording, config, name="b.zarr", compute=ComputeConfig(workers=4)))
    for alone, together in zip(one, many, strict=True):
        xr.testing.assert_identical(alone.drop_attrs(deep=False), together.drop_attrs(deep=False))


def stem(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"haadf": channels["height"]}


def up_only(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return lock_in(np.ones((1, *SHAPE)))


def dead(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: 0 * frames for name, frames in channels.items()}


def small(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: frames[:, :12] for name, frames in channels.items()}


def same(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return channels


@pytest.mark.parametrize(
    ("change", "config", "kind", "message"),
    [
        (stem, {}, InputError, "walls need amplitude and phase.*haadf"),
        (up_only, {}, InputError, "no domain wall in 1 frame.*grid"),
        (dead, {}, InputError, "no domain wall"),
        (small, {}, InputError, "12×72 px, smaller than a patch of 16 px.*window"),
        (same, {"phase": "phas"}, ConfigError, "'phas'; the recording has amplitude, deflection"),
        (same, {"patches": {"window": 16, "channels": {"kind": "delay", "delays": (-2, 2)}}},
         ConfigError, r"\(-2, 2\) need at least 5 frames, the recording has 2"),
        (same, {"sites": {"min_valid": 1}, "patches": {"window": 60}},
         InputError, "none of .* 100% valid"),
    ],
)  # fmt: skip
def test_what_cannot_be_described_is_refused_in_one_line(
    change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    config: dict[str, object],
    kind: type[Exception],
    message: str,
    record: Record,
    described: Describe,
    tmp_path: Path,
) -> None:
    settings = WallsConfig.model_validate({"patches": {"window": 16}} | config)
    recording = record(change(growing_disc(2)))
    n_frames = store.open_store(recording).sizes["frame"]
    with pytest.raises(kind, match=message.replace("1 frame", f"{n_frames} frame")) as refused:
        described(recording, settings)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "descriptors.zarr").exists()


def test_a_phase_in_an_unknown_unit_is_refused(record: Record, described: Describe) -> None:
    with pytest.raises(InputError, match="'phase' is in 'V' and spans"):
        described(record(growing_disc(1), units={"phase": "V"}), WallsConfig(patches=PLAIN))


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="smoothin"):
        WallsConfig.model_validate({"walls": {"smoothin": 2}})


def test_channels_of_motion_show_a_disc_that_grows(record: Record, described: Describe) -> None:
    config = PatchConfig(window=16, channels=DifferenceChannels())
    patches, _, _ = groups(
        described(record(growing_disc(4, drift=(0.6, -0.4))), WallsConfig(patches=config))
    )
    assert [str(name) for name in patches["channel"].to_numpy()] == ["t", "forward", "backward"]
    assert set(patches["frame"].to_numpy()) == {1, 2}
    middle = (
        patches["patch"]
        .isel(patch_y=slice(6, 10), patch_x=slice(6, 10))
        .mean(("patch_y", "patch_x"))
    )
    for change in ("forward", "backward"):
        assert float(middle.sel(channel=change).min()) > 0.1
        assert float(middle.sel(channel=change).median()) > 0.4
    edge = patches["patch"].sel(channel="forward").isel(patch_y=0, patch_x=0)
    assert float(np.median(np.abs(edge.to_numpy()))) < 0.2
