"""Park Systems: values and header in tags of their own; the preview of 8 bit is never the signal."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from invae.errors import InputError
from invae.readers import open_recording

VALUES = np.random.default_rng(1).integers(-3000, 3000, (6, 8))
DEFAULTS: dict[str, Any] = {
    "kind": 0, "channel": "PFM Phase", "mode": "C-AFM", "lpf": 0.5, "flatten": 0, "track": 1, "columns": 8,
    "rows": 6, "angle": 30.0, "sine": 0, "overscan": 5.0, "forward": 1, "up": 0, "swap": 0, "width": 0.4,
    "height": 0.15, "x": 3.0, "y": -1.0, "rate": 1.0, "setpoint": 2.0, "setpoint_unit": "nN", "tip": 0.0,
    "sample": 0.0, "gain": 0.01, "scale": 2.0, "offset": 5.0, "unit": "deg", "min": 0, "max": 9, "mean": 4,
    "compressed": 0, "log": 0, "square": 1, "servo": 1.0, "range": 8.0, "xy_volts": "", "z_volts": "",
    "xy_servo": "", "type": 2, "reserved": b"\0" * 8, "amplitude": 0.0, "frequency": 0.0, "cantilever": "tip",
}  # fmt: skip
"""The header, field by field."""
TEXTS = {"channel": 32, "mode": 8, "setpoint_unit": 8, "unit": 8, "xy_volts": 8, "z_volts": 8}
TEXTS |= {"xy_servo": 8, "cantilever": 16}
"""Lengths of the texts, in letters of 2 bytes."""
STORED = {0: "<i2", 1: "<i4", 2: "<f4"}
EXPECTED = 0.01 * (2.0 * VALUES + 5.0)


def header(**fields: Any) -> bytes:
    parts = []
    for name, value in (DEFAULTS | fields).items():
        if name in TEXTS:
            parts.append(value.encode("utf-16-le").ljust(2 * TEXTS[name], b"\0"))
        elif isinstance(value, bytes):
            parts.append(value)
        else:
            parts.append(struct.pack("<d" if isinstance(value, float) else "<i", value))
    return b"".join(parts)


def write_park(
    path: Path,
    *,
    version: int = 0x1000002,
    stored: np.ndarray | None = None,
    head: bytes | None = None,
    left_out: tuple[int, ...] = (),
    **fields: Any,
) -> Path:
    """A preview, and the values with the lowest line first."""
    stored = VALUES[::-1].astype(STORED[fields.get("type", 2)]) if stored is None else stored
    head = header(**fields) if head is None else head
    tags = [
        (50432, "I", 1, 0x0E031301, True),
        (50433, "I", 1, version, True),
        (50434, "B", stored.nbytes, stored.tobytes(), True),
        (50435, "B", len(head), head, True),
    ]
    preview = np.arange(48, dtype="u1").reshape(6, 8)
    palette = np.zeros((3, 256), "u2")
    tags = [tag for tag in tags if tag[0] not in left_out]
    tifffile.imwrite(path, preview, photometric="palette", colormap=palette, extratags=tags)
    return path


@pytest.mark.parametrize("kind", STORED)
def test_the_values_are_those_of_the_header_in_every_type(kind: int, tmp_path: Path) -> None:
    recording = open_recording(write_park(tmp_path / "scan.tiff", type=kind))
    assert list(recording) == ["pfm_phase"]
    phase = recording["pfm_phase"]
    np.testing.assert_allclose(phase[0], EXPECTED, rtol=1e-6)
    np.testing.assert_allclose(phase[0, 1:5:2, ::-2], EXPECTED[1:5:2, ::-2], rtol=1e-6)
    assert phase.attrs["units"] == "degree"
    assert phase.attrs["direction"] == "trace"
    assert recording.attrs["format"] == "park"


def test_an_old_version_has_whole_numbers_of_16_bits(tmp_path: Path) -> None:
    path = write_park(
        tmp_path / "scan.tiff",
        version=0x1000001,
        stored=VALUES[::-1].astype("<i2"),
        head=header(scale=0.0, forward=0)[:356],
    )
    recording = open_recording(path)
    np.testing.assert_allclose(recording["pfm_phase"][0], 0.01 * (VALUES + 5.0))  # 0 stands for 1
    assert recording["pfm_phase"].attrs["direction"] == "retrace"


def test_axes_are_in_micrometres_and_the_place_is_kept(tmp_path: Path) -> None:
    recording = open_recording(write_park(tmp_path / "scan.tiff"))
    np.testing.assert_allclose(recording["x"], np.arange(8) * 50)
    np.testing.assert_allclose(recording["y"], np.arange(6) * 25)
    metadata = json.loads(recording.attrs["metadata"])
    assert float(metadata["XOffset"]) == pytest.approx(3e-6)
    assert float(metadata["YOffset"]) == pytest.approx(-1e-6)
    assert float(metadata["ScanAngle"]) == 30
    assert (metadata["mode"], metadata["setpoint"], metadata["setpoint_unit"]) == ("C-AFM", 2, "nN")


def test_a_scale_and_an_offset_are_applied_with_a_note(tmp_path: Path) -> None:
    told = open_recording(write_park(tmp_path / "a.tiff"))
    assert any("a scale of 2 and an offset of 5" in note for note in told.attrs["notes"])
    usual = open_recording(write_park(tmp_path / "b.tiff", scale=1.0, offset=0.0))
    np.testing.assert_allclose(usual["pfm_phase"][0], 0.01 * VALUES, rtol=1e-6)
    assert not any("scale" in note for note in usual.attrs["notes"])


def test_a_missing_unit_is_told(tmp_path: Path) -> None:
    recording = open_recording(write_park(tmp_path / "scan.tiff", unit=""))
    assert recording["pfm_phase"].attrs["units"] == "1"
    assert any("no unit of the values" in note for note in recording.attrs["notes"])


REFUSED = {
    "has no magic number": {"left_out": (50432,)},
    "has no values": {"left_out": (50434,)},
    "has no header": {"left_out": (50435,)},
    "has an unknown version": {"version": 3},
    "has a header that is too short": {"head": bytes(100)},
    "is a line": {"kind": 1},
    "has an unknown type": {"type": 7, "stored": VALUES.astype("<f4")},
    "has no rows": {"rows": 0},
}


@pytest.mark.parametrize("why", REFUSED)
def test_the_preview_is_never_the_signal(why: str, tmp_path: Path) -> None:
    path = write_park(tmp_path / "scan.tiff", **REFUSED[why])
    with pytest.raises(InputError, match=r"of Park Systems.*Gwyddion"):
        open_recording(path)
    with pytest.raises(InputError, match=r"of Park Systems.*Gwyddion"):
        open_recording(path, format="tiff")


def test_fewer_values_than_the_header_declares_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its header requires"):
        open_recording(write_park(tmp_path / "scan.tiff", rows=6000))
