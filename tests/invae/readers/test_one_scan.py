"""One scan through every format that can hold it is one array, whatever the order and the names of the axes in the file."""

import importlib.util
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

from invae.errors import ConfigError
from invae.readers import open_recording
from invae.readers.layout import ORIENTATIONS
from tests.invae.readers import conftest as images
from tests.invae.readers.scans import conftest as scans
from tests.invae.readers.spectra.conftest import write_sxm, write_usid

ROWS, COLUMNS = 12, 20
IMAGE = np.random.default_rng(4).permutation(ROWS * COLUMNS).reshape(ROWS, COLUMNS).astype("f4")
PATTERNS = np.random.default_rng(4).integers(0, 999, (3, 5, 16, 12)).astype("u2")
Write = Callable[[Path], Path]


def by_fixture(name: str) -> Write:
    """The writer of a format of images."""

    def write(folder: Path) -> Path:
        path = folder / f"scan{images.SUFFIX[name]}"
        images.WRITERS[name](path, {"Height": IMAGE[None]})
        return path

    return write


def nsid(
    channels: Mapping[str, np.ndarray],
    names: str,
    *,
    units: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Write:
    """NSID: every channel stored with axes of these names; x and y have the unit in `units`, or m."""

    def write(folder: Path) -> Path:
        with h5py.File(folder / "scan.h5", "w") as file:
            for label, stored in channels.items():
                group = file.create_group(f"Measurement_000/{label}/{label}")
                main = group.create_dataset(label, data=stored)
                main.attrs.update({"quantity": label, "units": images.UNITS.get(label, "m")})
                group.create_group("original_metadata").attrs.update(metadata or {})
                for axis, name in enumerate(names):
                    scale = group.create_dataset(name, data=np.arange(stored.shape[axis]) * 1e-9)
                    scale.attrs["units"] = (units or {}).get(label, "m")
                    scale.make_scale(name)
                    main.dims[axis].attach_scale(scale)
                    main.dims[axis].label = name
        return folder / "scan.h5"

    return write


def asylum(image: np.ndarray) -> dict[str, np.ndarray]:
    """The channels of a wave (x, y), the lowest line first, by Asylum's labels."""
    wave = np.ascontiguousarray(image[::-1].T)
    return {"HeightRetrace": wave, "PhaseRetrace": wave + 1}


def usid(folder: Path) -> Path:
    write_usid(folder / "scan.h5", IMAGE[..., None], steps={"arb": ("", np.zeros(1))})
    return folder / "scan.h5"


def usid_in_any_order(folder: Path) -> Path:
    order = np.random.default_rng(1).permutation(IMAGE.size)
    steps = {"arb": ("", np.zeros(1))}
    write_usid(folder / "scan.h5", IMAGE[..., None], steps=steps, order=order)
    return folder / "scan.h5"


def sxm(direction: str) -> Write:
    def write(folder: Path) -> Path:
        write_sxm(folder / "scan.sxm", {"Z": ("m", IMAGE, None)}, direction=direction)
        return folder / "scan.sxm"

    return write


def xarray_image(order: Sequence[str]) -> Write:
    def write(folder: Path) -> Path:
        image = xr.DataArray(IMAGE, dims=("y", "x"), name="height").transpose(*order)
        image.to_dataset().to_netcdf(folder / "scan.nc", engine="h5netcdf")
        return folder / "scan.nc"

    return write


def plain_tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "scan.tif", IMAGE, photometric="minisblack")
    return folder / "scan.tif"


def array(values: np.ndarray) -> Write:
    def write(folder: Path) -> Path:
        np.save(folder / "scan.npy", values)
        return folder / "scan.npy"

    return write


def ncem(values: np.ndarray, axes: Sequence[tuple[str, str]]) -> Write:
    """EMD with a name and a unit for each axis."""

    def write(folder: Path) -> Path:
        with h5py.File(folder / "scan.emd", "w") as file:
            file.attrs.update({"version_major": 0, "version_minor": 2})
            group = file.create_group("signals/scan")
            group.attrs["emd_group_type"] = 1
            group.create_dataset("data", data=values)
            for n, (name, units) in enumerate(axes):
                vector = group.create_dataset(f"dim{n + 1}", data=np.arange(values.shape[n]) * 0.5)
                vector.attrs.update({"name": name, "units": units})
        return folder / "scan.emd"

    return write


Axes = Sequence[tuple[str, str, bool | None]]


def hspy(values: np.ndarray, axes: Axes, kind: str = "") -> Write:
    """HyperSpy's signal: name, unit and navigation flag of each axis, and the type of signal."""

    def write(folder: Path) -> Path:
        with h5py.File(folder / "scan.hspy", "w") as file:
            file.attrs["file_format"] = "HyperSpy"
            signal = file.create_group("Experiments/scan")
            signal.create_dataset("data", data=values)
            signal.create_group("metadata/Signal").attrs["signal_type"] = kind
            for n, (name, units, navigate) in enumerate(axes):
                told = {"name": name, "units": units, "scale": 0.5, "offset": 0.0}
                told |= {} if navigate is None else {"navigate": navigate}
                signal.create_group(f"axis-{n}").attrs.update(told)
        return folder / "scan.hspy"

    return write


def mrc(folder: Path) -> Path:
    """A single image; its cell is negative, which stands for an unknown one."""
    header = np.zeros(256, "<i4")
    header[:4] = (COLUMNS, ROWS, 1, 2)
    header[7:10] = (COLUMNS, ROWS, 1)
    header[10:13] = np.array([-10.0 * COLUMNS, -10.0 * ROWS, 0], "<f4").view("<i4")
    header[52] = int.from_bytes(b"MAP ", "little")
    (folder / "scan.mrc").write_bytes(header.tobytes() + IMAGE.astype("<f4").tobytes())
    return folder / "scan.mrc"


LENGTHS = (("y", "nm", None), ("x", "nm", None))
IMAGE_WRITERS: dict[str, Write] = {
    **{name: by_fixture(name) for name in images.WRITERS},
    "plain array": array(IMAGE),
    "plain tiff": plain_tiff,
    "NSID, x first": nsid({"Height": IMAGE.T}, "xy"),
    "NSID, y first": nsid({"Height": IMAGE}, "yx"),
    "NSID of an Asylum wave": nsid(
        asylum(IMAGE), "xy", metadata={"ScanPoints": COLUMNS, "ScanLines": ROWS}
    ),
    "NSID of an Asylum wave without its note": nsid(
        asylum(IMAGE), "xy", units={"PhaseRetrace": "degree"}
    ),
    "USID": usid,
    "USID, rows in any order": usid_in_any_order,
    "Nanonis, downwards": sxm("down"),
    "Nanonis, upwards": sxm("up"),
    "NetCDF, x first": xarray_image(("x", "y")),
    "EMD": ncem(IMAGE, (("y", "nm"), ("x", "nm"))),
    "EMD, reversed": ncem(IMAGE.T, (("x", "[n_m]"), ("y", "[n_m]"))),
    "EMD of py4DSTEM": ncem(IMAGE, (("Rx", "nm"), ("Ry", "nm"))),
    "HyperSpy": hspy(IMAGE, LENGTHS),
    "HyperSpy, x first": hspy(IMAGE.T, LENGTHS[::-1]),
    "HyperSpy, no names": hspy(IMAGE, (("", "", False), ("", "", False))),
    "MRC": mrc,
}


@pytest.mark.parametrize("name", IMAGE_WRITERS)
def test_an_image_comes_back_as_one_array(name: str, tmp_path: Path) -> None:
    recording = open_recording(IMAGE_WRITERS[name](tmp_path))
    first = next(iter(recording.data_vars.values()))
    assert first.dims == ("frame", "y", "x")
    np.testing.assert_array_equal(first[0], IMAGE)


def test_a_square_gwyddion_image_in_nsid_is_that_of_gwyddion(tmp_path: Path) -> None:
    square = IMAGE[:, :ROWS]
    fields = {"xres": ROWS, "yres": ROWS, "xreal": 1e-6, "yreal": 1e-6}
    recording = open_recording(nsid({"Height": square}, "xy", metadata=fields)(tmp_path))
    np.testing.assert_array_equal(recording["height"][0], square)  # rows first, called x
    assert any("Gwyddion" in note for note in recording.attrs["notes"])


def test_x_and_y_with_the_unit_of_a_phase_take_the_length_of_another_channel(
    tmp_path: Path,
) -> None:
    channels = {"PhaseRetrace": IMAGE.T, "Height": IMAGE.T}
    write = nsid(channels, "xy", units={"PhaseRetrace": "degree"})
    recording = open_recording(write(tmp_path))
    np.testing.assert_allclose(recording["x"], np.arange(COLUMNS))
    np.testing.assert_array_equal(recording["phase"][0], IMAGE)


def by_scan_fixture(name: str) -> Write:
    """The writer of a format of patterns, with its own detector of equal sides."""

    def write(folder: Path) -> Path:
        if name in scans.NEED_ROSETTASCIIO and importlib.util.find_spec("rsciio") is None:
            pytest.skip("rosettasciio is not installed")
        path = folder / scans.SCAN_NAMES.get(name, f"scan.{name}")
        scans.SCAN_WRITERS[name](path, PATTERNS)
        return path

    return write


def xarray_scan(order: Sequence[str], suffix: str) -> Write:
    def write(folder: Path) -> Path:
        named = xr.DataArray(PATTERNS, dims=("y", "x", "ky", "kx"), name="pattern")
        dataset, path = named.transpose(*order).to_dataset(), folder / f"scan.{suffix}"
        if suffix == "zarr":
            dataset.to_zarr(path, consolidated=False)
        else:
            dataset.to_netcdf(path, engine="h5netcdf")
        return path

    return write


def archive(folder: Path) -> Path:
    np.savez(folder / "scan.npz", data=PATTERNS, k_y=np.arange(16.0), k_x=np.arange(12.0))
    return folder / "scan.npz"


NM, PER_NM = ("nm", "1/nm")
FOUR = (("y", NM, True), ("x", NM, True), ("ky", PER_NM, False), ("kx", PER_NM, False))
DETECTOR_FIRST = (("ky", "", True), ("kx", "", True), ("y", "", False), ("x", "", False))
BY_UNITS = (("", PER_NM, None), ("", PER_NM, None), ("", NM, None), ("", NM, None))
BY_FLAGS = (("", "", False), ("", "", False), ("", "", True), ("", "", True))
PYXEM = (("y", NM, True), ("x", NM, True), ("", "$A^{-1}$", False), ("", "$A^{-1}$", False))
TURNED = PATTERNS.transpose(2, 3, 0, 1)
SAME_SIDES = ("mib", "hspy", "zspy", "emd", "py4dstem", "fpd", "app5", "dm4", "ser", "npy")
"""Formats of patterns whose sides may differ, and that hold the shape of the scan."""
SCAN_WRITERS: dict[str, Write] = {
    **{name: by_scan_fixture(name) for name in SAME_SIDES if name != "mib"},
    "npz": archive,
    **{
        f"{suffix}, {' '.join(order)}": xarray_scan(order, suffix)
        for suffix in ("zarr", "nc")
        for order in itertools.islice(itertools.permutations(("y", "x", "ky", "kx")), 0, None, 5)
    },
    "EMD of HyperSpy": ncem(
        PATTERNS.transpose(), [(name, f"[{unit.replace('/', '_/_')}]") for name, unit, _ in FOUR][::-1]
    ),
    "HyperSpy, by names": hspy(TURNED, DETECTOR_FIRST),
    "HyperSpy, by units": hspy(TURNED, BY_UNITS),
    "HyperSpy, by flags": hspy(TURNED, BY_FLAGS),
    "pyxem": hspy(PATTERNS, PYXEM, "electron_diffraction"),
}  # fmt: skip


@pytest.mark.parametrize("name", SCAN_WRITERS)
def test_a_scan_of_patterns_comes_back_as_one_array(name: str, tmp_path: Path) -> None:
    recording = open_recording(SCAN_WRITERS[name](tmp_path))
    assert recording["pattern"].dims == ("scan_y", "scan_x", "k_y", "k_x")
    np.testing.assert_array_equal(recording["pattern"], PATTERNS)
    np.testing.assert_array_equal(recording["pattern"][1:, 2, 3:7, ::2], PATTERNS[1:, 2, 3:7, ::2])
    assert not any("does not say which" in note for note in recording.attrs["notes"])


def test_a_merlin_scan_comes_back_as_the_same_array(tmp_path: Path) -> None:
    scans.write_mib(tmp_path / "scan.mib", PATTERNS, per_trigger=5)
    np.testing.assert_array_equal(open_recording(tmp_path / "scan.mib")["pattern"], PATTERNS)


def test_pyxems_unit_and_reversed_names_calibrate_the_right_axes(tmp_path: Path) -> None:
    recording = open_recording(SCAN_WRITERS["pyxem"](tmp_path))
    np.testing.assert_allclose(recording["k_x"], np.arange(12) * 5)  # 0.5 1/Å
    recording = open_recording(SCAN_WRITERS["EMD of HyperSpy"](tmp_path))
    np.testing.assert_allclose(recording["k_y"], np.arange(16) * 0.5)
    assert recording["scan_y"].attrs["units"] == "nm"


def test_four_axes_without_names_are_taken_with_a_note(tmp_path: Path) -> None:
    recording = open_recording(hspy(PATTERNS, [("", "", None)] * 4)(tmp_path))
    np.testing.assert_array_equal(recording["pattern"], PATTERNS)
    assert any("set ingest.dims" in note for note in recording.attrs["notes"])


SPECTRA = np.random.default_rng(6).normal(size=(6, 7, 30)).astype("f4")


@pytest.mark.parametrize(
    ("axes", "kind", "dim"),
    [
        ((("y", NM, True), ("x", NM, True), ("Energy loss", "eV", False)), "EELS", "energy"),
        ((("y", NM, True), ("x", NM, True), ("", "", False)), "EELS", "energy"),
        ((("y", NM, True), ("x", NM, True), ("", "", False)), "", "spectral_channel"),
        ((("y", NM, True), ("x", NM, True), ("Wavelength", NM, False)), "CL", "wavelength"),
        ((("y", NM, True), ("x", NM, True), ("", "", False)), "Luminescence", "wavelength"),
    ],
)
def test_spectra_are_told_by_name_flag_and_kind_of_signal(
    axes: Axes, kind: str, dim: str, tmp_path: Path
) -> None:
    recording = open_recording(hspy(SPECTRA, axes, kind)(tmp_path))
    assert recording["spectrum"].dims == ("y", "x", dim)
    np.testing.assert_array_equal(recording["spectrum"], SPECTRA)


def test_a_line_of_spectra_lies_along_y(tmp_path: Path) -> None:
    axes = (("x", NM, True), ("Energy loss", "eV", False))
    recording = open_recording(hspy(SPECTRA[0], axes, "EELS")(tmp_path))
    assert recording["spectrum"].shape == (7, 1, 30)
    np.testing.assert_array_equal(recording["spectrum"][:, 0], SPECTRA[0])
    np.testing.assert_allclose(recording["y"], np.arange(7) * 0.5)
    assert recording["x"].attrs["units"] == "nm"


def test_a_line_of_patterns_is_a_scan_of_one_row(tmp_path: Path) -> None:
    axes = (("x", NM, True), ("ky", PER_NM, False), ("kx", PER_NM, False))
    recording = open_recording(hspy(PATTERNS[0], axes, "electron_diffraction")(tmp_path))
    assert recording["pattern"].shape == (1, 5, 16, 12)
    np.testing.assert_array_equal(recording["pattern"][0], PATTERNS[0])
    np.testing.assert_allclose(recording["scan_x"], np.arange(5) * 0.5)


def test_an_image_with_an_unknown_cell_is_not_calibrated(tmp_path: Path) -> None:
    recording = open_recording(mrc(tmp_path))
    assert recording["x"].attrs["units"] == "pixel"


TURNS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "as_read": lambda image: image,
    "flip_y": np.flipud,
    "flip_x": np.fliplr,
    "turn_90": np.rot90,
    "turn_180": lambda image: np.rot90(image, 2),
    "turn_270": lambda image: np.rot90(image, 3),
    "transpose": np.transpose,
    "transpose_turn_180": lambda image: np.rot90(image, 2).T,
}


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_an_orientation_turns_images_and_scans(name: str, tmp_path: Path) -> None:
    path = by_fixture("gwy")(tmp_path)
    np.testing.assert_array_equal(
        open_recording(path, orientation=name)["height"][0], TURNS[name](IMAGE)
    )
    turned = open_recording(array(PATTERNS)(tmp_path), names=FOUR_DIMS, orientation=name)
    for key in ((0, 0), (7, 3)):
        image = np.ascontiguousarray(PATTERNS[:, :, key[0], key[1]])
        np.testing.assert_array_equal(turned["pattern"][:, :, key[0], key[1]], TURNS[name](image))
    np.testing.assert_array_equal(turned["pattern"][0, 0].shape, (16, 12))


FOUR_DIMS = ("scan_y", "scan_x", "k_y", "k_x")


def test_names_that_are_set_replace_those_of_the_file(tmp_path: Path) -> None:
    write = hspy(PATTERNS, FOUR)
    recording = open_recording(write(tmp_path), names=["kx", "ky", "x", "y"])
    np.testing.assert_array_equal(recording["pattern"], PATTERNS.transpose(3, 2, 1, 0))
    with pytest.raises(ConfigError, match=r"names 3 axes, but its arrays have shape 3 × 5 × 16"):
        open_recording(write(tmp_path), names=["y", "x", "energy"])
    with pytest.raises(ConfigError, match=r"dims are y, y, kx, ky; give every axis a name"):
        open_recording(write(tmp_path), names=["y", "y", "kx", "ky"])


def test_channels_of_an_array_become_channels(tmp_path: Path) -> None:
    stack = np.stack([IMAGE, IMAGE + 1], axis=-1)
    recording = open_recording(array(stack)(tmp_path), names=["y", "x", "channel"])
    np.testing.assert_array_equal(recording["signal_1"][0, 2:5, ::3], (IMAGE + 1)[2:5, ::3])
    single = open_recording(array(np.stack([IMAGE, IMAGE * 2])[..., None])(tmp_path))
    assert single["signal"].shape == (2, ROWS, COLUMNS)
    assert any("2 frames of 12 × 20 pixels" in note for note in single.attrs["notes"])
