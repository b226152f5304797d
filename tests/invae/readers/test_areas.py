"""Images of several sizes in one file, and units as other programs spell them."""

import json
from collections.abc import Callable
from pathlib import Path

import gwyfile.objects
import h5py
import numpy as np
import pytest
import tifffile

from invae import dims
from invae.errors import ConfigError
from invae.readers import open_recording
from invae.readers.labels import modality
from tests.invae.readers.conftest import change_wave

Write = Callable[..., Path]
LARGE, SMALL = (16, 24), (8, 12)


def gwyddion(path: Path, images: dict[str, tuple[int, int]], *, size: float = 1e-6) -> Path:
    """Images of random values by title, all over the same width."""
    tree = gwyfile.objects.GwyContainer()
    for number, (title, shape) in enumerate(images.items()):
        values = np.random.default_rng(number).normal(size=shape)
        tree[f"/{number}/data"] = gwyfile.objects.GwyDataField(
            values, xreal=size, yreal=size * shape[0] / shape[1], si_unit_xy="m", si_unit_z="QV"
        )
        tree[f"/{number}/data/title"] = title
    tree.tofile(str(path))
    return path


def test_images_with_amplitude_and_phase_are_kept_and_others_are_named(tmp_path: Path) -> None:
    images = {"Height": LARGE, "PR Amplitude": SMALL, "PR Phase": SMALL, "Error": LARGE}
    recording = open_recording(gwyddion(tmp_path / "scan.gwy", images))
    assert list(recording.data_vars) == ["pr_amplitude", "pr_phase"]
    assert float(recording[dims.X][1]) == pytest.approx(1000 / 12)
    (note,) = (note for note in recording.attrs["notes"] if "left out" in note)
    assert "Height (16 × 24 px), Error (16 × 24 px)" in note
    assert "ingest.channels" in note


def test_otherwise_the_most_values_are_kept(tmp_path: Path) -> None:
    images = {"Cropped": SMALL, "Height": LARGE}
    recording = open_recording(gwyddion(tmp_path / "scan.gwy", images))
    assert list(recording.data_vars) == ["height"]
    assert float(recording[dims.X][1]) == pytest.approx(1000 / 24)


def test_channels_are_chosen_before_sizes_are_compared(tmp_path: Path) -> None:
    path = gwyddion(tmp_path / "scan.gwy", {"Height": LARGE, "Amplitude": SMALL, "Phase": SMALL})
    assert open_recording(path, channels=["height"]).sizes[dims.X] == 24
    assert open_recording(path, channels=["phase"]).sizes[dims.X] == 12
    with pytest.raises(ConfigError, match="no channel height"):
        open_recording(path, channels=["height", "amplitude", "phase"])


def test_every_file_of_a_series_keeps_the_same_area(tmp_path: Path) -> None:
    images = {"Height": LARGE, "Current": SMALL}
    paths = [gwyddion(tmp_path / f"{n}.gwy", images) for n in range(2)]
    paths[1].write_bytes(paths[1].read_bytes() + b"\0")  # another content
    assert open_recording(paths[0], channels=["current"]).sizes[dims.Y] == 8
    series = open_recording([paths[0], gwyddion(tmp_path / "2.gwy", images)], channels=["current"])
    assert series.sizes == {dims.FRAME: 2, dims.Y: 8, dims.X: 12}


def test_nsid_channels_of_two_shapes_give_the_larger_one(tmp_path: Path, write: Write) -> None:
    large, small = np.ones((1, 6, 8), "f4"), np.ones((1, 5, 8), "f4")
    path = write("nsid", {"HeightRetrace": large, "PhaseRetrace": small})
    recording = open_recording(path)
    assert list(recording.data_vars) == ["height"]
    assert any("PhaseRetrace (5 × 8 px)" in note for note in recording.attrs["notes"])


STEPS = {LARGE: 0.5, SMALL: 2.0}
"""Sizes of pixels of images of two sizes [nm]."""


def two_in_velox(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([b"{}"])
        for letter, (shape, step) in zip("ab", STEPS.items(), strict=True):
            size = {"width": f"{step}e-9", "height": f"{step}e-9"}
            told = {"BinaryResult": {"PixelSize": size, "PixelUnitX": "m", "DetectorIndex": "0"}}
            told |= {"Detectors": {"Detector-0": {"DetectorName": letter}}}
            group = file.create_group(f"Data/Image/{letter * 32}")
            group["Data"] = np.random.default_rng(0).random((*shape, 1))
            group["Metadata"] = np.frombuffer(json.dumps(told).encode(), "u1")[:, None]


def two_in_hyperspy(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        for title, (shape, step) in zip("ab", STEPS.items(), strict=True):
            signal = file.create_group(f"Experiments/{title}")
            signal["data"] = np.random.default_rng(0).random(shape)
            for n, name in enumerate("yx"):
                axis = {"name": name, "scale": step, "offset": 0.0, "units": "nm"}
                signal.create_group(f"axis-{n}").attrs.update(axis)


def two_in_emd(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        for title, (shape, step) in zip("ab", STEPS.items(), strict=True):
            group = file.create_group(f"signals/{title}")
            group.attrs["emd_group_type"] = 1
            group["data"] = np.random.default_rng(0).random(shape)
            for n, name in enumerate("yx"):
                vector = group.create_dataset(f"dim{n + 1}", data=np.arange(shape[n]) * step)
                vector.attrs.update({"name": name, "units": "nm"})


def two_in_nsid(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for title, (shape, step) in zip("ab", STEPS.items(), strict=True):
            group = file.create_group(f"Measurement_000/{title}")
            main = group.create_dataset("data", data=np.random.default_rng(0).random(shape))
            main.attrs.update({"quantity": title, "units": "m"})
            for n, name in enumerate("yx"):
                scale = group.create_dataset(name, data=np.arange(shape[n]) * step * 1e-9)
                scale.attrs["units"] = "m"
                scale.make_scale(name)
                main.dims[n].attach_scale(scale)
                main.dims[n].label = name


TWO_SIZES = {
    "velox.emd": two_in_velox,
    "two.hspy": two_in_hyperspy,
    "ncem.emd": two_in_emd,
    "nsid.h5": two_in_nsid,
}


@pytest.mark.parametrize("name", TWO_SIZES)
def test_every_size_of_image_has_its_own_size_of_pixel(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    TWO_SIZES[name](path)
    for channel, (shape, step) in zip("ab", STEPS.items(), strict=True):
        recording = open_recording(path, channels=[channel])
        assert recording[channel].shape == (1, *shape)
        for dim in (dims.Y, dims.X):
            np.testing.assert_allclose(np.diff(recording[dim]), step)
            assert recording[dim].attrs["units"] == "nm"


def test_text_that_is_not_utf_8_is_latin_1(tmp_path: Path) -> None:
    path = gwyddion(tmp_path / "scan.gwy", {"Height": LARGE, "Hohe": LARGE})
    content = path.read_bytes().replace(b"sQV\0", b"s\xb5V\0").replace(b"sHohe\0", b"sH\xf6he\0")
    path.write_bytes(content)
    recording = open_recording(path)
    assert recording["height"].attrs["units"] == "uV"
    assert recording["hohe"].attrs["label"] == "Höhe"


def test_angstrom_as_imagej_writes_it_is_a_length(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    image = np.zeros((6, 8), "f4")
    tifffile.imwrite(path, image, imagej=True, resolution=(0.1, 0.1), metadata={"unit": "\\u00C5"})
    assert float(open_recording(path)[dims.X][1]) == pytest.approx(1)


def test_the_own_unit_of_an_igor_wave_counts(write: Write) -> None:
    path = write("ibw", {"AmplitudeRetrace": np.ones((1, 6, 8), "f4")})
    assert open_recording(path)["amplitude"].attrs["units"] == "m"
    changed = change_wave(path, (212, b"V\0\0\0"))
    assert open_recording(changed)["amplitude"].attrs["units"] == "V"


def test_axes_that_have_the_unit_of_their_channel_take_that_of_another(write: Write) -> None:
    image = np.ones((1, 6, 8), "f4")
    path = write("nsid", {"PhaseRetrace": image, "HeightRetrace": image})
    with h5py.File(path, "r+") as file:
        for axis in "xy":
            file[f"Measurement_000/Channel_000/data/{axis}"].attrs["units"] = "deg"
    assert float(open_recording(path)[dims.X][1]) == pytest.approx(2.5)


def test_the_words_of_other_makers_tell_the_modality() -> None:
    assert modality(["pr_phase", "pr_amplitude"], [], {}) == "PFM"
    assert modality(["lateral_height"], [], {}) == "AFM"
    assert modality(["current"], [], {}) == "unknown"


def test_an_unknown_unit_of_a_spectral_axis_stays_as_text(write: Write) -> None:
    path = write("nsid", {"HeightRetrace": np.ones((4, 6, 8), "f4")})
    with h5py.File(path, "r+") as file:
        scale = file["Measurement_000/Channel_000/data/time"]
        scale.attrs["units"], scale.attrs["quantity"] = "$(V/m)^{0.5}$", "drive"
        main = file["Measurement_000/Channel_000/data/data"]
        assert isinstance(main, h5py.Dataset)
        main.dims[2].label = "drive"
    recording = open_recording(path)
    assert recording["drive"].attrs["units"] == "$(V/m)^{0.5}$"
    assert recording["height"].dims == (dims.Y, dims.X, "drive")
