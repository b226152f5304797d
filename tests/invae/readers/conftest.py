"""Writers: one small file of every format, as its instrument or program would write it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import gwyfile.objects
import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

from invae.config import IngestConfig
from invae.errors import InvaeError
from invae.readers.ingest import ingest
from invae.storage.provenance import Receipt, digest_path

Channels = Mapping[str, np.ndarray]
"""Values (frame, y, x) by the instrument's label."""
PIXEL_NM = 2.5
UNITS = {"HeightRetrace": "m", "PhaseRetrace": "degree"}


def write_nsid(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    """One group per channel; x first, as sidpy writes it, then y, then time if there are frames."""
    with h5py.File(path, "w") as file:
        for number, (label, values) in enumerate(channels.items()):
            group = file.create_group(f"Measurement_000/Channel_{number:03}/data")
            stored = values.transpose(2, 1, 0) if len(values) > 1 else values[0].T
            main = group.create_dataset("data", data=stored)
            main.attrs.update({"quantity": label, "units": UNITS.get(label, "a.u.")})
            for axis, name in enumerate(("x", "y", "time")[: stored.ndim]):
                scale = group.create_dataset(name, data=np.arange(stored.shape[axis]) * 1.0)
                scale[()] = scale[()] * (1.0 if name == "time" else pixel * 1e-9)
                scale.attrs.update({"quantity": name, "units": "s" if name == "time" else "m"})
                scale.make_scale(name)
                main.dims[axis].attach_scale(scale)
                main.dims[axis].label = name


def write_hdf5(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    """One array with the axes of NeXus."""
    (values,) = channels.values()
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/data")
        group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["frame", "y", "x"]})
        group["data"] = values
        for name, n in zip("yx", values.shape[1:], strict=True):
            group[name] = np.arange(n) * pixel * 1e-9
            group[name].attrs["units"] = "m"


def write_ibw(path: Path, channels: Channels, *, pixel: float = PIXEL_NM, order: str = "<") -> None:
    """Version 5, with the labels in fields of 32 bytes and a checksum over the header."""
    stack = np.stack([values[0, ::-1].T for values in channels.values()], axis=-1)
    types = {"f4": 2, "f8": 4, "i1": 8, "i2": 16, "i4": 32, "u1": 72, "u2": 80, "u4": 96, "c8": 3}
    note = b"ScanSize: 1e-6\rSeconds: 3806987446.5\rImagingMode: PFM Mode\r"
    fields = [b"", *(label.encode() for label in channels)]
    labels = b"".join(field[:31].ljust(32, b"\0") for field in fields)
    head = bytearray(384)
    for offset, dtype, value in (
        (0, f"{order}i2", 5),
        (4, f"{order}i4", 320 + stack.nbytes),
        (12, f"{order}i4", len(note)),
        (36, f"{order}i4", [0, 0, len(labels), 0]),
        (76, f"{order}i4", stack.size),
        (80, f"{order}i2", types[stack.dtype.str[1:]]),
        (132, f"{order}i4", [*stack.shape, 0]),
        (148, f"{order}f8", [pixel * 1e-9, pixel * 1e-9, 1, 1]),
        (212, "S4", b"m"),
        (216, "S4", [b"m", b"m", b"", b""]),
    ):
        data = np.array(value, dtype=dtype).tobytes()
        head[offset : offset + len(data)] = data
    total = int(np.frombuffer(bytes(head), f"{order}u2").sum())
    head[2:4] = (-total % 65536).to_bytes(2, "little" if order == "<" else "big")
    pixels = stack.astype(f"{order}{stack.dtype.str[1:]}").tobytes(order="F")
    path.write_bytes(bytes(head) + pixels + note + labels)


def change_wave(path: Path, *changes: tuple[int, bytes], keep: int | None = None) -> Path:
    """An Igor wave with bytes of its header replaced and the checksum made good again."""
    data = bytearray(path.read_bytes())[:keep]
    for offset, value in changes:
        data[offset : offset + len(value)] = value
    data[2:4] = bytes(2)
    total = int(np.frombuffer(bytes(data[:384]), "<u2").sum())
    data[2:4] = (-total % 65536).to_bytes(2, "little")
    path.write_bytes(data)
    return path


def write_gwy(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    """One data field and one title per channel."""
    tree = gwyfile.objects.GwyContainer()
    for number, (label, values) in enumerate(channels.items()):
        rows, columns = values.shape[1:]
        tree[f"/{number}/data"] = gwyfile.objects.GwyDataField(
            values[0].astype(float),
            xreal=columns * pixel * 1e-9,
            yreal=rows * pixel * 1e-9,
            si_unit_xy="m",
            si_unit_z=UNITS.get(label, ""),
            typecodes={},
        )
        tree[f"/{number}/data/title"] = label + " "
    tree.tofile(str(path))


def write_npy(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    """The first channel, with its calibration beside it."""
    label, values = next(iter(channels.items()))
    np.save(path, values, allow_pickle=False)
    path.with_suffix(".json").write_text(
        f'{{"pixel_size": {pixel}, "quantity": "{label}", "units": "{UNITS.get(label, "")}", '
        '"dims": ["frame", "y", "x"]}'
    )


def write_npz(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    """All channels under their labels, with coordinates and `meta`."""
    values = next(iter(channels.values()))
    axes = {dim: np.arange(n) * pixel for dim, n in zip("yx", values.shape[1:], strict=True)}
    units = ", ".join(f'"{label}": "{UNITS.get(label, "")}"' for label in channels)
    meta = f'{{"units": {{"y": "nm", "x": "nm", {units}}}}}'
    arrays = {**channels, **axes, "meta": np.array(meta)}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def write_tiff(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    """The first channel, as ImageJ writes a stack."""
    values = next(iter(channels.values()))
    metadata = {"unit": "nm", "axes": "TYX"}
    resolution = (1 / pixel, 1 / pixel)
    tifffile.imwrite(path, values, imagej=True, resolution=resolution, metadata=metadata)


def as_dataset(channels: Channels, *, pixel: float = PIXEL_NM) -> xr.Dataset:
    """The channels as plain xarray."""
    values = next(iter(channels.values()))
    axes = {
        dim: (dim, np.arange(n) * pixel, {"units": "nm"})
        for dim, n in zip("yx", values.shape[1:], strict=True)
    }
    arrays = {
        label: (("frame", "y", "x"), array, {"units": UNITS.get(label, "1")})
        for label, array in channels.items()
    }
    return xr.Dataset(arrays, coords=axes)


def write_zarr(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    as_dataset(channels, pixel=pixel).to_zarr(path, consolidated=False, zarr_format=3)


def write_netcdf(path: Path, channels: Channels, *, pixel: float = PIXEL_NM) -> None:
    as_dataset(channels, pixel=pixel).to_netcdf(path, engine="h5netcdf")


WRITERS: Mapping[str, Callable[..., None]] = {
    "nsid": write_nsid,
    "ibw": write_ibw,
    "gwy": write_gwy,
    "npy": write_npy,
    "npz": write_npz,
    "tiff": write_tiff,
    "zarr": write_zarr,
    "netcdf": write_netcdf,
    "hdf5": write_hdf5,
}
SUFFIX = {
    "nsid": ".h5",
    "ibw": ".ibw",
    "gwy": ".gwy",
    "npy": ".npy",
    "npz": ".npz",
    "tiff": ".tif",
    "zarr": ".zarr",
    "netcdf": ".nc",
    "hdf5": ".nxs",
}
ONE_FRAME = ("ibw", "gwy")
ONE_CHANNEL = ("npy", "tiff", "hdf5")


def channels_for(name: str, *, dtype: str = "f4", shape: tuple[int, int] = (7, 10)) -> Channels:
    """Values that differ everywhere, in as many frames and channels as the format has."""
    n_frames = 1 if name in ONE_FRAME else 3
    values = np.arange(n_frames * shape[0] * shape[1]).reshape(n_frames, *shape).astype(dtype)
    channels = {"HeightRetrace": values, "PhaseRetrace": values[:, ::-1] + values.dtype.type(1)}
    return dict(list(channels.items())[:1]) if name in ONE_CHANNEL else channels


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a small file of a format: `write("ibw")`, `write("npy", name="a", pixel=1.0)`."""

    def write(
        format_name: str,
        channels: Channels | None = None,
        *,
        name: str = "recording",
        pixel: float = PIXEL_NM,
    ) -> Path:
        path = tmp_path / f"{name}{SUFFIX[format_name]}"
        WRITERS[format_name](path, channels or channels_for(format_name), pixel=pixel)
        return path

    return write


@pytest.fixture
def receipt_for() -> Callable[..., Receipt]:
    """The receipt under which files are ingested."""

    def receipt_for(*paths: Path, key: str = "0123456789abcdef" * 4) -> Receipt:
        return Receipt(
            stage="ingest",
            key=key,
            recording="recording",
            sources=tuple(digest_path(path) for path in paths if path.exists()),
            inputs={},
            config={},
            config_hash="",
            seed=0,
            code="",
        )

    return receipt_for


@pytest.fixture
def refused(tmp_path: Path, receipt_for: Callable[..., Receipt]) -> Callable[[list[Path]], str]:
    """The one line with which ingest refuses an input; nothing must have been made."""

    def refused(sources: list[Path]) -> str:
        with pytest.raises(InvaeError) as caught:
            ingest(
                sources,
                tmp_path / "out" / "recording.zarr",
                config=IngestConfig(),
                receipt=receipt_for(),
            )
        assert not (tmp_path / "out").exists()
        line = str(caught.value)
        assert len(line.splitlines()) == 1
        return line

    return refused


@pytest.fixture(scope="session")
def writers() -> SimpleNamespace:
    """Every format's writer and extension."""
    return SimpleNamespace(write=WRITERS, suffix=SUFFIX)
