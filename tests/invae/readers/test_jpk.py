"""JPK images: counts become values by the scaling of the default slot, in every channel; what has no scaling is left out or refused."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tifffile

from invae.errors import InputError
from invae.readers import open_recording

COUNTS = np.arange(-20, 28, dtype="i4").reshape(6, 8)
VOLTS = ("volts", "V", "LinearScaling", 3e-4, 0.5)
NOMINAL = ("nominal", "m", "LinearScaling", -2e-12, 1e-6)
RAW = ("raw", "", "NullScaling", None, None)
"""Slots: name, unit, kind of scaling, factor, offset."""


@dataclass(frozen=True)
class Page:
    """One channel as JPK's programs write it."""

    key: str = "height"
    name: str = "Height"
    counts: np.ndarray = field(default_factory=lambda: COUNTS)
    retrace: int = 0
    slots: Sequence[tuple] = (RAW, VOLTS, NOMINAL)
    default: str = "nominal"
    reflected: int | None = None

    def tags(self) -> list[tuple]:
        tags = [(0x8050, "s", 0, self.key, True), (0x8051, "I", 1, self.retrace, True)]
        tags += [(0x8052, "s", 0, self.name, True)] if self.name else []
        tags += [] if self.reflected is None else [(0x8045, "I", 1, self.reflected, True)]
        tags += [(0x8080, "I", 1, len(self.slots), True), (0x8081, "s", 0, self.default, True)]
        for number, (name, unit, kind, factor, offset) in enumerate(self.slots):
            base = 0x8090 + 0x30 * number
            tags += [(base, "s", 0, name, True), (base + 0x12, "s", 0, unit, True)]
            tags += [(base + 0x13, "s", 0, kind, True)]
            if factor is not None:
                tags += [(base + 0x14, "d", 1, factor, True), (base + 0x15, "d", 1, offset, True)]
        return sorted(tags)


def write_jpk(path: Path, *pages: Page, mark: int | None = None) -> Path:
    """A preview with the grid and, in some files, its mark of a reflection, then one page of counts for each channel, the lowest line first."""
    grid = [(0x8003, "s", 0, "2013-02-05 15:23:39 +0100", True), (0x8004, "s", 0, "a scan", True)]
    place = {0x8040: 3e-6, 0x8041: -1e-6, 0x8042: 4e-7, 0x8043: 1.5e-7, 0x8044: np.pi / 6}
    grid += [(code, "d", 1, value, True) for code, value in place.items()]
    grid += [] if mark is None else [(0x8045, "I", 1, mark, True)]
    grid += [(0x8052, "s", 0, "contact", True)]
    with tifffile.TiffWriter(path, byteorder=">") as file:
        preview = np.zeros((3, 4), "u1")
        file.write(
            preview, photometric="minisblack", metadata=None, contiguous=False, extratags=grid
        )
        for page in pages:
            counts = page.counts if page.reflected else page.counts[::-1]
            file.write(
                counts, photometric="minisblack", metadata=None, contiguous=False, extratags=page.tags()
            )  # fmt: skip
    return path


def test_every_channel_has_its_values_its_unit_and_its_direction(tmp_path: Path) -> None:
    phase = Page(
        "phase", "Lock-In Phase", COUNTS + 3, 1, (("deg", "deg", "LinearScaling", 0.25, -1),), "deg"
    )
    recording = open_recording(write_jpk(tmp_path / "scan.jpk", Page(), phase))
    assert list(recording) == ["height", "lock_in_phase"]
    height, angle = recording["height"], recording["lock_in_phase"]
    np.testing.assert_allclose(height[0], COUNTS * -2e-12 + 1e-6, rtol=1e-12)
    np.testing.assert_allclose(height[0, 4:1:-1, ::3], (COUNTS * -2e-12 + 1e-6)[4:1:-1, ::3])
    np.testing.assert_allclose(angle[0], (COUNTS + 3) * 0.25 - 1, rtol=1e-12)
    assert (height.attrs["units"], angle.attrs["units"]) == ("m", "degree")
    assert (height.attrs["direction"], angle.attrs["direction"]) == ("trace", "retrace")
    assert angle.attrs["label"] == "Lock-In Phase"
    assert recording.attrs["format"] == "jpk"


def test_the_axes_the_place_and_the_time_are_those_of_the_grid(tmp_path: Path) -> None:
    recording = open_recording(write_jpk(tmp_path / "scan.jpk-qi-image", Page()))
    np.testing.assert_allclose(recording["x"], np.arange(8) * 50)
    np.testing.assert_allclose(recording["y"], np.arange(6) * 25)
    assert recording["y"].attrs["units"] == "nm"
    metadata = json.loads(recording.attrs["metadata"])
    assert float(metadata["XOffset"]) == pytest.approx(3e-6)
    assert float(metadata["YOffset"]) == pytest.approx(-1e-6)
    assert float(metadata["ScanAngle"]) == pytest.approx(30)
    assert metadata["name"] == "a scan"
    assert recording.attrs["acquired"] == "2013-02-05T15:23:39"


@pytest.mark.parametrize("reflected", [None, 0, 1])
def test_the_highest_line_comes_first_whichever_way_the_grid_runs(
    reflected: int | None, tmp_path: Path
) -> None:
    recording = open_recording(write_jpk(tmp_path / "scan.jpk", Page(reflected=reflected)))
    np.testing.assert_allclose(recording["height"][0], COUNTS * -2e-12 + 1e-6)


def test_values_of_single_precision_without_scaling_are_measured_values(tmp_path: Path) -> None:
    slot = ("force", "N", "NullScaling", None, None)
    page = Page("adhesion", "Adhesion", (COUNTS / 7).astype("f4"), slots=(slot,), default="force")
    recording = open_recording(write_jpk(tmp_path / "scan.jpk-qi-image", page))
    np.testing.assert_allclose(recording["adhesion"][0], COUNTS / 7, rtol=1e-6)
    assert recording["adhesion"].attrs["units"] == "N"


UNKNOWN = {
    "its default slot is missing": Page(default="calibrated"),
    "its counts are not scaled": Page(slots=(RAW,), default="raw"),
    "its scaling has another kind": Page(
        slots=(("odd", "m", "SquareScaling", 1.0, 0.0),), default="odd"
    ),
    "it has no slot": Page(slots=(), default=""),
}


@pytest.mark.parametrize("why", UNKNOWN)
def test_counts_are_never_values(why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"counts of JPK \(Height\) without the scaling.*Gwyddion"):
        open_recording(write_jpk(tmp_path / "a.jpk", UNKNOWN[why]))
    other = Page("error", "Error")
    recording = open_recording(write_jpk(tmp_path / "b.jpk", UNKNOWN[why], other))
    assert list(recording) == ["error"]
    note = "channel Height was left out: its scaling is unknown"
    assert note in recording.attrs["notes"]


def test_pages_with_other_tags_of_jpk_are_refused_with_their_names(tmp_path: Path) -> None:
    """Tags 32933 and 32934 hold an offset and a factor that belong to no slot."""
    with tifffile.TiffWriter(tmp_path / "like.jpk") as file:
        for key in ("height", "hPhase"):
            tags = [(32848, "s", 0, key, True), (32933, "d", 1, 1e-12, True)]
            file.write(COUNTS, photometric="minisblack", contiguous=False, metadata=None, extratags=tags)  # fmt: skip
    with pytest.raises(InputError, match=r"like\.jpk: holds counts of JPK \(height, hPhase\)"):
        open_recording(tmp_path / "like.jpk")


def test_the_content_decides_also_for_a_file_called_tif(tmp_path: Path) -> None:
    path = write_jpk(tmp_path / "scan.tif", Page())
    assert open_recording(path).attrs["format"] == "jpk"
    with pytest.raises(InputError, match=r"is a scan of JPK"):
        open_recording(path, format="tiff")


def test_a_file_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    path = write_jpk(tmp_path / "scan.jpk", Page(), Page("error", "Error"))
    whole = path.read_bytes()
    for part in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(InputError, match=r"scan\.jpk"):
            open_recording(path).load()


def test_the_mark_of_a_reflected_grid_may_be_on_the_first_page_alone(tmp_path: Path) -> None:
    counts = Page(counts=COUNTS[::-1])  # the writer turns them back
    recording = open_recording(write_jpk(tmp_path / "scan.jpk", counts, mark=1))
    np.testing.assert_allclose(recording["height"][0], COUNTS * -2e-12 + 1e-6)
