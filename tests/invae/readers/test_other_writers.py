"""Files as other programs write them: units, titles, sizes and signs that are unusual and right."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import gwyfile.objects
import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

from invae.errors import InputError
from invae.readers import open_recording
from tests.invae.readers.conftest import change_wave

Write = Callable[..., Path]
IMAGE = np.random.default_rng(0).normal(size=(6, 8)).astype("f4")


def steps(recording: xr.Dataset) -> list[float]:
    """Size of a pixel along y and x [nm]."""
    return [float(recording[dim][1] - recording[dim][0]) for dim in ("y", "x")]


# ---- Igor waves


def wave(write: Write, *changes: tuple[int, bytes], image: np.ndarray = IMAGE) -> Path:
    return change_wave(write("ibw", {"HeightRetrace": image[None]}), *changes)


def in_units(units: bytes, step: float) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """The size of a pixel and its unit, in the header of a wave."""
    return (148, np.array([step, step]).tobytes()), (216, units.ljust(4, b"\0") * 2)


@pytest.mark.parametrize(
    ("units", "step"), [(b"um", 0.0025), (b"\xb5m", 0.0025), (b"nm", 2.5), (b"\xc5", 25.0)]
)
def test_the_lengths_of_a_wave_may_have_any_unit(units: bytes, step: float, write: Write) -> None:
    recording = open_recording(wave(write, *in_units(units, step)))
    np.testing.assert_allclose(steps(recording), 2.5)
    np.testing.assert_array_equal(recording["height"][0], IMAGE)


@pytest.mark.parametrize("units", [b"", b"deg"])
def test_a_wave_without_a_length_asks_for_the_size_of_its_pixels(
    units: bytes, write: Write
) -> None:
    path = wave(write, *in_units(units, 1.0))
    with pytest.raises(InputError, match=r"not a known length; set ingest\.pixel_size \[nm\]"):
        open_recording(path)
    np.testing.assert_allclose(steps(open_recording(path, pixel_size=4.0)), 4.0)


@pytest.mark.parametrize("signs", [(-1, 1), (1, -1)])
def test_a_falling_axis_of_a_wave_is_a_positive_size_of_pixel(
    signs: Sequence[int], write: Write
) -> None:
    falling = np.array(signs) * 2.5e-9
    recording = open_recording(wave(write, (148, falling.tobytes())))
    np.testing.assert_allclose(steps(recording), 2.5)
    turned = IMAGE[:, ::-1] if signs[0] < 0 else IMAGE[::-1]
    np.testing.assert_array_equal(recording["height"][0], turned)


@pytest.mark.parametrize("n_lines", [1, 2])
def test_a_wave_of_few_lines_is_read(n_lines: int, write: Write) -> None:
    recording = open_recording(wave(write, image=IMAGE[:n_lines]))
    assert recording["height"].shape == (1, n_lines, 8)
    np.testing.assert_array_equal(recording["height"][0], IMAGE[:n_lines])


def test_a_wave_in_double_precision_keeps_it(write: Write) -> None:
    recording = open_recording(wave(write, image=IMAGE.astype("f8") + 1e-12))
    assert recording["height"].dtype == np.float64
    np.testing.assert_array_equal(recording["height"][0], IMAGE.astype("f8") + 1e-12)


def test_a_note_of_a_wave_may_be_latin_1(write: Write) -> None:
    path = wave(write)
    path.write_bytes(path.read_bytes().replace(b"PFM Mode", b"30 \xb0C \xb5V"))
    assert json.loads(open_recording(path).attrs["metadata"])["ImagingMode"] == "30 °C µV"


def test_a_name_with_blanks_brackets_and_signs_is_a_name(write: Write) -> None:
    path = wave(write)
    path = path.rename(path.with_name("PFM scan [2 V] (copy) #3 µm 100%.ibw"))
    assert open_recording(path).attrs["sources"] == [path.name]


# ---- Gwyddion


def gwyddion(
    folder: Path,
    titles: Sequence[str],
    *,
    numbers: Sequence[int] | None = None,
    key: str = "title",
    xy: str | None = "m",
    size: float = 2e-8,
) -> Path:
    """An image for every title, 8 × 6 pixels."""
    tree = gwyfile.objects.GwyContainer()
    for number, title in zip(numbers or range(len(titles)), titles, strict=True):
        field = gwyfile.objects.GwyDataField(
            IMAGE.astype("f8") + number, xreal=size, yreal=0.75 * size, si_unit_xy=xy
        )
        tree[f"/{number}/data"] = field
        if title:
            tree[f"/{number}/data/{key}"] = title
    tree.tofile(str(folder / "scan.gwy"))
    return folder / "scan.gwy"


@pytest.mark.parametrize(
    ("xy", "size"), [("m", 2e-8), ("µm", 0.02), ("μm", 0.02), ("Å", 200.0), (None, 2e-8)]
)
def test_the_lengths_of_a_field_may_have_any_unit(
    xy: str | None, size: float, tmp_path: Path
) -> None:
    recording = open_recording(gwyddion(tmp_path, ["Height"], xy=xy, size=size))
    np.testing.assert_allclose(steps(recording), 2.5)


@pytest.mark.parametrize(
    ("titles", "names"),
    [
        (["PFM Phase [Fwd]", "PFM Amplitude [Fwd]"], ["pfm_phase_fwd", "pfm_amplitude_fwd"]),
        (["Phase (Retrace)", "Phase (Trace)"], ["phase_retrace", "phase_trace"]),
        (["Amplitude", "Amplitude"], ["amplitude_1", "amplitude_2"]),
        (["", "Phase"], ["channel_0", "phase"]),
    ],
)
def test_every_title_becomes_a_name(
    titles: Sequence[str], names: Sequence[str], tmp_path: Path
) -> None:
    assert list(open_recording(gwyddion(tmp_path, titles))) == names


@pytest.mark.parametrize("numbers", [(0, 1), (4, 9)])
@pytest.mark.parametrize("key", ["title", "untitled"])
def test_fields_have_any_number_and_titles_may_be_gwyddions_own(
    numbers: tuple[int, int], key: str, tmp_path: Path
) -> None:
    path = gwyddion(tmp_path, ["Phase", "Amplitude"], numbers=numbers, key=key)
    recording = open_recording(path)
    assert list(recording) == ["phase", "amplitude"]
    np.testing.assert_allclose(recording["amplitude"][0], IMAGE.astype("f8") + numbers[1])


# ---- NSID, arrays, TIFF, Zarr


@pytest.mark.parametrize("falls", [False, True])
def test_y_of_nsid_may_fall(falls: bool, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        main = file.create_dataset("Measurement_000/Height/Height", data=IMAGE)
        main.attrs.update({"quantity": "Height", "units": "m"})
        for n, name in enumerate("yx"):
            places = np.arange(IMAGE.shape[n]) * 2.5e-9
            places = places[::-1] if falls and name == "y" else places
            scale = file.create_dataset(f"Measurement_000/Height/{name}", data=places)
            scale.attrs["units"] = "m"
            scale.make_scale(name)
            main.dims[n].attach_scale(scale)
            main.dims[n].label = name
    recording = open_recording(tmp_path / "scan.h5")
    np.testing.assert_allclose(steps(recording), 2.5)
    np.testing.assert_array_equal(recording["height"][0], IMAGE[::-1] if falls else IMAGE)


def test_an_archive_without_a_calibration_has_its_channels_in_pixels(tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", allow_pickle=False, Amplitude=abs(IMAGE), Phase=IMAGE)
    recording = open_recording(tmp_path / "scan.npz")
    assert list(recording) == ["amplitude", "phase"]
    assert recording["x"].attrs["units"] == "pixel"
    np.testing.assert_array_equal(recording["phase"][0], IMAGE)


def test_complex_values_of_an_array_are_asked_for_as_two_channels(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", IMAGE + 1j)
    with pytest.raises(InputError, match="is complex; store amplitude and phase as two channels"):
        open_recording(tmp_path / "scan.npy")


def test_dots_of_a_printer_are_no_size_of_pixel(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", IMAGE, resolution=(96, 96), resolutionunit=2)
    assert open_recording(tmp_path / "scan.tif")["x"].attrs["units"] == "pixel"


def test_a_store_without_names_of_axes_asks_for_them(tmp_path: Path) -> None:
    folder = tmp_path / "abtem.zarr"
    (folder / "array").mkdir(parents=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / "array" / ".zarray").write_text(
        '{"zarr_format": 2, "shape": [2, 3, 8, 8], "chunks": [2, 3, 8, 8], "dtype": "<f4", '
        '"compressor": null, "fill_value": 0, "order": "C", "filters": null}'
    )
    (folder / "array" / "0.0.0.0").write_bytes(np.zeros((2, 3, 8, 8), "f4").tobytes())
    with pytest.raises(InputError, match=r"array \(2 × 3 × 8 × 8\).*names of the axes.*npy"):
        open_recording(folder)


@pytest.mark.parametrize(
    ("written", "units"),
    [("Deg", "degree"), ("°", "degree"), ("μV", "uV"), ("pm/V", "pm/V"), ("log(Arb)", "1")],
)
def test_the_unit_of_a_field_is_spelled_in_one_way(
    written: str, units: str, tmp_path: Path
) -> None:
    field = gwyfile.objects.GwyDataField(IMAGE.astype("f8"), xreal=2e-8, yreal=1.5e-8)
    field.si_unit_xy = gwyfile.objects.GwySIUnit(unitstr="m")
    field.si_unit_z = gwyfile.objects.GwySIUnit(unitstr=written)
    tree = gwyfile.objects.GwyContainer()
    tree["/0/data"], tree["/0/data/title"] = field, "Signal"
    tree.tofile(str(tmp_path / "scan.gwy"))
    recording = open_recording(tmp_path / "scan.gwy")
    assert recording["signal"].attrs["units"] == units
    unknown = [note for note in recording.attrs["notes"] if "unit" in note]
    assert bool(unknown) == (units == "1")


def test_metadata_of_gwyddion_may_be_latin_1(tmp_path: Path) -> None:
    tree = gwyfile.objects.GwyContainer()
    tree["/0/data"] = gwyfile.objects.GwyDataField(
        IMAGE.astype("f8"), xreal=2e-8, yreal=1.5e-8, si_unit_xy="m"
    )
    meta = gwyfile.objects.GwyContainer()
    meta["Comment"] = "30 QC"
    tree["/0/meta"] = meta
    tree.tofile(str(tmp_path / "scan.gwy"))
    content = (tmp_path / "scan.gwy").read_bytes().replace(b"30 QC", b"30 \xb0C")
    (tmp_path / "scan.gwy").write_bytes(content)
    assert json.loads(open_recording(tmp_path / "scan.gwy").attrs["metadata"])["Comment"] == "30 °C"


@pytest.mark.parametrize(
    ("unit", "per_pixel"), [("um", 400), ("micron", 400), ("\\u00B5m", 400), ("nm", 0.4)]
)
def test_the_lengths_of_imagej_may_have_any_unit(
    unit: str, per_pixel: float, tmp_path: Path
) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(
        path, IMAGE, imagej=True, resolution=(per_pixel, per_pixel), metadata={"unit": unit}
    )
    np.testing.assert_allclose(steps(open_recording(path)), 2.5, rtol=1e-6)
