"""Writers: one small scan of patterns in every format of 4D-STEM, as the detector or program would write it."""

import importlib.util
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from tests.invae.readers.tia_files import write_ser

Write = Callable[..., Path]


def scan_values(name: str) -> np.ndarray:
    """Patterns (scan_y, scan_x, k_y, k_x) that differ everywhere, as large as the format wants them."""
    side = {"empad": 128, "blo": 6}.get(name, 8)
    dtype = {"empad": "f4", "blo": "u1"}.get(name, "u2")
    values = np.random.default_rng(5).permutation(2 * 3 * side * side) % 251
    return values.reshape(2, 3, side, side).astype(dtype)


def write_mib(path: Path, values: np.ndarray, *, head: int = 384, per_trigger: int = 3) -> None:
    """Every frame behind its head, big-endian, the lowest row first; the settings beside it."""
    height, width = values.shape[2:]
    letters = {1: "U08", 2: "U16", 4: "U32"}[values.dtype.itemsize]
    with path.open("wb") as file:
        for n, pattern in enumerate(values.reshape(-1, height, width)):
            when = f"2024-02-03 10:11:{n:02}.000000"
            text = f"MQ1,{n + 1:06},{head:05},01,{width:04},{height:04},{letters},   1x1,01,{when},0.002,0,"
            file.write(text.encode().ljust(head, b"\0"))
            file.write(pattern[::-1].astype(values.dtype.newbyteorder(">")).tobytes())
    n_frames = math.prod(values.shape[:2])
    path.with_suffix(".hdr").write_text(
        f"HDR,\t\nFrames in Acquisition (Number):\t{n_frames}\n"
        f"Frames per Trigger (Number):\t{per_trigger}\nEnd\t\n"
    )


def write_blo(path: Path, values: np.ndarray) -> None:
    """The header's numbers one after the other, then each pattern behind six bytes."""
    rows, columns, side, _ = values.shape
    start = 4096 + rows * columns
    numbers = (b"IMGBLO", 0x102, 4096, start, 131141, side, 0, columns, rows, 0)
    header = struct.pack("<6sH3I5H", *numbers)
    header += struct.pack("<2dIHId22d", 0.5, 0.5, 200000, 6226, 0, 42339.65, *[0] * 22)
    frames = b"".join(
        b"\xaa\x55" + n.to_bytes(4, "little") + pattern.tobytes()
        for n, pattern in enumerate(values.reshape(-1, side, side))
    )
    path.write_bytes(header.ljust(start, b"\0") + frames)


def write_tvips(path: Path, values: np.ndarray, *, parts: int = 2, mode: int = 2) -> None:
    """Numbered parts, the general header before the first; NAME_000.tvips is given."""
    frames = values.reshape(-1, *values.shape[-2:])
    height, width = frames.shape[1:]
    sizes = (256, 2, width, height, 16, 0, 0, 1, 1, 2, 200, 0, 64)
    general = struct.pack("<13I204s", *sizes, b"TVIPS " * 34)
    each = len(frames) // parts
    for number in range(parts):
        with path.with_name(path.name.replace("000", f"{number:03}")).open("wb") as file:
            file.write(b"" if number else general)
            for n, frame in enumerate(frames[number * each : (number + 1) * each]):
                seconds = 1_700_000_000 + number * each + n
                file.write(struct.pack("<4IfII5fIff", seconds, seconds, 0, 0, 0, 0, mode, *[0] * 8)
                           .ljust(64, b"\0"))  # fmt: skip
                file.write(frame.astype("<u2").tobytes())


def write_empad(path: Path, values: np.ndarray) -> None:
    """Frames of 130 rows in a .raw, and the .xml that names it."""
    rows, columns = values.shape[:2]
    frames = np.zeros((rows * columns, 130, 128), "<f4")
    frames[:, :128] = values.reshape(-1, 128, 128)
    path.write_bytes(frames.tobytes())
    metres = (rows * 0.5e-9, columns * 0.5e-9)
    path.with_name("acquisition.xml").write_text(
        f'<root><raw_file filename="{path.name}"/><pix_x>{columns}</pix_x><pix_y>{rows}</pix_y>'
        "<timestamp isoformat='2024-02-03T10:11:12'/><iom_measurements>"
        f"<optics.get_full_scan_field_of_view>{metres}</optics.get_full_scan_field_of_view>"
        "<calibrated_pixelsize>2e-11</calibrated_pixelsize></iom_measurements></root>"
    )


def write_mrc(path: Path, values: np.ndarray) -> None:
    """A stack of frames behind 1,024 bytes; nothing tells that it is a scan."""
    frames = values.reshape(-1, *values.shape[-2:])
    header = np.zeros(256, "<u4")
    header[:4] = (*frames.shape[::-1], 6)
    header[7:10] = frames.shape[::-1]
    header[52] = int.from_bytes(b"MAP ", "little")
    path.write_bytes(header.tobytes() + frames.astype("<u2").tobytes())


def hyperspy_axes(values: np.ndarray) -> list[dict[str, object]]:
    """The axes of a scan as HyperSpy tells them: 0.5 nm, 2 mrad."""
    names, steps = ("y", "x", "ky", "kx"), (0.5, 0.5, 2.0, 2.0)
    units, starts = ("nm", "nm", "mrad", "mrad"), (0.0, 0.0, -8.0, -8.0)
    return [
        {"_type": "UniformDataAxis", "name": name, "size": values.shape[n], "scale": steps[n],
         "offset": starts[n], "units": units[n], "navigate": n < 2, "index_in_array": n,
         "is_binned": False}
        for n, name in enumerate(names)
    ]  # fmt: skip


def write_hyperspy(group: Any, values: np.ndarray) -> None:
    """The groups of a HyperSpy file, in HDF5 or Zarr."""
    group.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
    signal = group.create_group("Experiments").create_group("a scan")
    for n, axis in enumerate(hyperspy_axes(values)):
        signal.create_group(f"axis-{n}").attrs.update(axis)
    metadata = signal.create_group("metadata")
    metadata.create_group("General").attrs["title"] = "a scan"
    metadata.create_group("Signal").attrs["signal_type"] = "electron_diffraction"
    microscope = metadata.create_group("Acquisition_instrument").create_group("TEM")
    microscope.attrs.update({"beam_energy": 60.0, "convergence_angle": 31.0, "camera_length": 90.0})
    signal.create_group("original_metadata")
    shape, chunks = values.shape, (1, 2, *values.shape[2:])
    data = signal.create_dataset if isinstance(signal, h5py.Group) else signal.create_array
    data("data", shape=shape, dtype=values.dtype, chunks=chunks)[...] = values


def write_hspy(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        write_hyperspy(file, values)


def write_zspy(path: Path, values: np.ndarray) -> None:
    write_hyperspy(zarr.open_group(path, mode="w", zarr_format=2), values)


def write_emd(path: Path, values: np.ndarray, *, version: int = 1) -> None:
    """As py4DSTEM writes it now (version 1, two positions of each axis) and as it did (0, all of them)."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": version, "version_minor": 0})
        if version:
            root = file.create_group("datacube_root")
            root.attrs["emd_group_type"] = "root"
            group = root.create_group("datacube")
            group.attrs.update({"emd_group_type": "array", "python_class": "DataCube"})
            root.create_dataset("metadatabundle/microscope/beam_energy", data=60e3)
            root.create_dataset("metadatabundle/microscope/convergence_semiangle_mrad", data=31.0)
        else:
            group = file.create_group("4DSTEM_experiment/data/datacubes/datacube_0")
            group.attrs["emd_group_type"] = 1
        group.create_dataset("data", data=values, chunks=(1, 1, *values.shape[2:]))
        told = (("Rx", 0.5, "nm"), ("Ry", 0.5, "nm"), ("Qx", 0.2, "A^-1"), ("Qy", 0.2, "A^-1"))
        old = {"nm": "[n_m]", "A^-1": "[A^-1]"}
        for n, (name, step, units) in enumerate(told):
            length = 2 if version else values.shape[n]
            axis = group.create_dataset(f"dim{n + 1 - version}", data=np.arange(length) * step)
            axis.attrs.update({"name": name, "units": units if version else old[units]})


def write_py4dstem(path: Path, values: np.ndarray) -> None:
    write_emd(path, values, version=0)


def write_fpd(path: Path, values: np.ndarray) -> None:
    """Big-endian, with an axis of one colour, and a sum beside the patterns."""
    with h5py.File(path, "w") as file:
        file.attrs["fpd_version"] = "0.3.0"
        for name, data in (("fpd_data", values[:, :, None]), ("fpd_sum_dif", values.sum((0, 1)))):
            group = file.create_group(f"fpd_expt/{name}")
            group.attrs["emd_group_type"] = 1
            stored = group.create_dataset("data", data=data.astype(data.dtype.newbyteorder(">")))
            stored.attrs.update({"name": "Intensity", "units": "Counts"})
            axes = ("scanY", "scanX", "colour", "detY", "detX")[-data.ndim :]
            for n, axis in enumerate(axes):
                length = data.shape[n]
                vector = group.create_dataset(f"dim{n + 1}", data=np.arange(length) * 0.5)
                units = {"scanY": "nm", "scanX": "nm", "colour": "colour_index"}.get(axis, "?/m")
                vector.attrs.update({"name": axis, "units": units})


def write_app5(path: Path, values: np.ndarray) -> None:
    """A group for each pattern, with the angles of the detector and the place of the probe in XML."""
    columns, guid = values.shape[1], "a0dba950-15bf-4a74-a81c-9cea8560c2c8"
    side = "<A><Offset>-8</Offset><Scale>2</Scale><Unit><Name/><Symbol>mrads</Symbol></Unit></A>"
    with h5py.File(path, "w") as file:
        file["Metadata"] = b"<Experiment><Title>a scan</Title></Experiment>"
        for n, pattern in enumerate(values.reshape(-1, *values.shape[2:])):
            y, x = divmod(n, columns)
            place = f"<P><I><N/><V><X>{x * 5e-10}</X><Y>{y * 5e-10}</Y></V></I></P>"
            file[f"{guid}/{n}/Data"] = pattern
            file[f"{guid}/{n}/Metadata"] = f"<Image><C>{side}{side}</C>{place}</Image>".encode()


def write_npy(path: Path, values: np.ndarray) -> None:
    """An array with its calibration beside it."""
    np.save(path, values, allow_pickle=False)
    path.with_suffix(".json").write_text(
        '{"pixel_size": 0.5, "k_pixel_size": 2, "beam_energy_keV": 80, "semiangle_mrad": 20,'
        ' "units": "counts"}'
    )


def write_tia(path: Path, values: np.ndarray) -> None:
    """FEI TIA: every pattern behind its head, the first of the two dimensions is the fast one; y of the scan points up."""
    rows, columns = values.shape[:2]
    raster = [(columns, 0.0, 0.5e-9, "meters"), (rows, 0.0, -0.5e-9, "meters")]
    patterns = values.reshape(-1, *values.shape[2:])
    write_ser(path, patterns, scales=[(0.0, 2e9, 4)] * 2, dimensions=raster)


def dm_tag(name: str, value: Any) -> bytes:
    """A tag of version 4: a group of tags, a text, a number, or pixels."""
    head = struct.pack(">BH", 20 if isinstance(value, dict) else 21, len(name)) + name.encode()
    if isinstance(value, dict):
        body = struct.pack(">BBQ", 1, 0, len(value))
        body += b"".join(dm_tag(key.rstrip("*"), one) for key, one in value.items())
    elif isinstance(value, np.ndarray):
        body = b"%%%%" + struct.pack(">4Q", 3, 20, 4, value.size) + value.astype("<u2").tobytes()
    elif isinstance(value, str):
        body = b"%%%%" + struct.pack(">4Q", 3, 20, 4, len(value)) + value.encode("utf-16-le")
    elif isinstance(value, float):
        body = b"%%%%" + struct.pack(">2Q", 1, 6) + struct.pack("<f", value)
    else:
        body = b"%%%%" + struct.pack(">2Q", 1, 5) + struct.pack("<I", value)
    return head + struct.pack(">Q", len(body)) + body


def write_dm4(path: Path, values: np.ndarray, *, patterns_first: bool = True) -> None:
    """Gatan's tags: sizes from the fastest axis on, origin in pixels; the detector's axes are the fastest, or the slowest."""
    detector = [{"Origin": 4.0, "Scale": 2.0, "Units": "mrad"}] * 2
    scan = [{"Origin": 0.0, "Scale": 0.5, "Units": "nm"}] * 2
    stored = values if patterns_first else np.ascontiguousarray(values.transpose(2, 3, 0, 1))
    axes = [*detector, *scan] if patterns_first else [*scan, *detector]
    brightness = {"Origin": 0.0, "Scale": 1.0, "Units": ""}
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": brightness,
                "Dimension": {"*" * n: axis for n, axis in enumerate(axes)},
            },
            "Data": stored,
            "DataType": 10,
            "Dimensions": {"*" * n: size for n, size in enumerate(stored.shape[::-1])},
        },
        "ImageTags": {"Microscope Info": {"Voltage": 200000.0}},
        "Name": "a scan",
    }
    tags = {"ImageList": {"": image}}
    body = struct.pack(">BBQ", 1, 0, len(tags))
    body += b"".join(dm_tag(name, value) for name, value in tags.items())
    path.write_bytes(struct.pack(">IQI", 4, len(body), 1) + body + bytes(8))


SCAN_WRITERS: Mapping[str, Callable[..., None]] = {
    "mib": write_mib,
    "blo": write_blo,
    "tvips": write_tvips,
    "empad": write_empad,
    "mrc": write_mrc,
    "hspy": write_hspy,
    "zspy": write_zspy,
    "emd": write_emd,
    "py4dstem": write_py4dstem,
    "fpd": write_fpd,
    "app5": write_app5,
    "dm4": write_dm4,
    "ser": write_tia,
    "npy": write_npy,
}
SCAN_NAMES = {"tvips": "scan_000.tvips", "empad": "scan.raw", "py4dstem": "scan.h5"}
SCAN_NAMES |= {"fpd": "scan.hdf5"}
NEED_ROSETTASCIIO = ("blo", "tvips", "empad", "dm4")


@pytest.fixture
def write_scan(tmp_path: Path) -> Write:
    """Write a small scan of a format: `write_scan("mib")`; skips where the format's library is missing."""

    def write_scan(name: str, values: np.ndarray | None = None, **more: Any) -> Path:
        if name in NEED_ROSETTASCIIO and importlib.util.find_spec("rsciio") is None:
            pytest.skip("rosettasciio is not installed")
        path = tmp_path / SCAN_NAMES.get(name, f"scan.{name}")
        SCAN_WRITERS[name](path, scan_values(name) if values is None else values, **more)
        return path

    return write_scan


@pytest.fixture(scope="session")
def scan_of() -> Callable[[str], np.ndarray]:
    """The patterns that `write_scan` writes."""
    return scan_values
