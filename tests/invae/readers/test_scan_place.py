"""Files of a series that show other areas, or are turned, are told by their headers alone."""

from collections.abc import Callable
from pathlib import Path

import gwyfile.objects
import numpy as np
import pytest

from invae.errors import InputError
from invae.readers import open_recording
from tests.invae.readers.conftest import write_ibw

Series = Callable[..., list[Path]]


@pytest.fixture
def series(tmp_path: Path) -> Series:
    """Igor waves of 10 × 20 nm with the given notes, offsets in nm."""

    def write(*notes: dict[str, float]) -> list[Path]:
        paths = []
        for number, note in enumerate(notes):
            path = tmp_path / f"{number}.ibw"
            values = np.full((1, 4, 8), float(number), "f4")
            write_ibw(path, {"HeightRetrace": values})
            text = "".join(f"{key}: {value}\r" for key, value in note.items()).encode()
            path.write_bytes(_with_note(path.read_bytes(), text))
            paths.append(path)
        return paths

    return write


def _with_note(content: bytes, text: bytes) -> bytes:
    """The wave with a longer note."""
    head = bytearray(content[:384])
    size = int.from_bytes(head[12:16], "little")
    head[12:16] = (size + len(text)).to_bytes(4, "little")
    head[2:4] = bytes(2)
    total = int(np.frombuffer(bytes(head), "<u2").sum())
    head[2:4] = (-total % 65536).to_bytes(2, "little")
    start = 384 + 4 * 8 * 4
    return bytes(head) + content[384:start] + text + content[start:]


def place(x: float = 0, y: float = 0, angle: float = 0) -> dict[str, float]:
    return {"XOffset": x * 1e-9, "YOffset": y * 1e-9, "ScanAngle": angle}


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (place(x=25), "nothing in common, than 0.ibw"),
        (place(x=11), "45% of its area in common"),
        (place(y=-6), "40% of its area"),
        (place(x=8, y=4), "36% of its area"),
        (place(angle=90), "another angle (90 instead of 0 degree)"),
        (place(angle=-20), "another angle"),
    ],
)
def test_files_of_other_areas_are_refused(
    second: dict[str, float], message: str, series: Series
) -> None:
    paths = series(place(), second)
    with pytest.raises(InputError) as refused:
        open_recording(paths)
    assert message in str(refused.value)
    assert "ingest.other_areas=true" in str(refused.value)
    accepted = open_recording(paths, other_areas=True)
    assert any(message in note for note in accepted.attrs["notes"])


@pytest.mark.parametrize(
    ("second", "remark"),
    [
        (place(x=0.5), ""),
        (place(x=5), "75% of its area"),
        (place(angle=2), "another angle"),
        (place(angle=360), ""),
        ({"XOffset": 1.0}, ""),  # unknown, since one offset is missing
    ],
)
def test_small_displacements_are_a_remark(
    second: dict[str, float], remark: str, series: Series
) -> None:
    notes = " ".join(open_recording(series(place(), second)).attrs["notes"])
    assert (remark in notes) if remark else "header" not in notes


def test_offsets_are_turned_with_the_scan(series: Series) -> None:
    """At 90 degrees the long side lies along the other axis of the instrument."""
    notes = open_recording(series(place(angle=90), place(y=5, angle=90))).attrs["notes"]
    assert any("75% of its area" in note for note in notes)


def test_an_area_that_is_followed_in_steps_is_a_series(series: Series) -> None:
    notes = open_recording(series(*(place(x=step * 1.5) for step in range(9)))).attrs["notes"]
    assert not any("header" in note for note in notes)


def test_gwyddion_files_have_their_offsets(tmp_path: Path) -> None:
    paths = []
    for number, offset in enumerate((0.0, 3e-6)):
        tree = gwyfile.objects.GwyContainer()
        values = np.full((4, 8), float(number))
        field = gwyfile.objects.GwyDataField(values, xreal=2e-6, yreal=1e-6, si_unit_xy="m")
        field["xoff"], field["yoff"] = offset + 1e-7, 0.0
        tree["/0/data"], tree["/0/data/title"] = field, "Height"
        paths.append(tmp_path / f"{number}.gwy")
        tree.tofile(str(paths[-1]))
    with pytest.raises(InputError, match="shows another place, with nothing in common"):
        open_recording(paths)
