"""Several files as one recording."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invae import dims
from invae.errors import InputError
from invae.readers import open_recording

Write = Callable[..., Path]


def frame(value: float, *, shape: tuple[int, int] = (6, 8)) -> dict[str, np.ndarray]:
    values = value + np.arange(np.prod(shape), dtype="f4").reshape(1, *shape)
    return {"HeightRetrace": values, "PhaseRetrace": -values}


def test_three_scans_of_one_area_are_a_series_with_times(shared_data: Path) -> None:
    paths = [shared_data / f"pfm/PZT_final000{n}.h5" for n in (1, 2, 3)]
    series = open_recording(paths)
    assert series.sizes == {"frame": 3, "y": 256, "x": 256}
    np.testing.assert_array_equal(series["time"], [0, 256, 511])
    np.testing.assert_array_equal(series["source"], [0, 1, 2])
    assert dims.meanings(series["source"].attrs) == [path.name for path in paths]
    assert series.attrs["sources"] == [path.name for path in paths]
    for number, path in enumerate(paths):
        alone = open_recording(path)
        for name in series:
            np.testing.assert_array_equal(series[name][number], alone[name][0])


def test_files_follow_each_other_as_asked(shared_data: Path) -> None:
    paths = [shared_data / f"pfm/PZT_final000{n}.h5" for n in (3, 1, 2)]
    given, by_name, by_time = (open_recording(paths, order=o) for o in ("given", "name", "time"))
    assert given.attrs["sources"] == [path.name for path in paths]
    assert any("not in order" in note for note in given.attrs["notes"])
    assert by_name.attrs["sources"] == by_time.attrs["sources"] == sorted(p.name for p in paths)
    assert not any("not in order" in note for note in by_time.attrs["notes"])


def test_names_are_ordered_by_number(write: Write) -> None:
    paths = [write("gwy", frame(n), name=f"scan{n}") for n in (2, 10, 1)]
    series = open_recording(paths, order="name")
    assert series.attrs["sources"] == ["scan1.gwy", "scan2.gwy", "scan10.gwy"]
    np.testing.assert_array_equal(series["height"][:, 0, 0], [1, 2, 10])


def test_stacks_are_joined_and_stay_in_their_files(write: Write) -> None:
    values = np.arange(5 * 4 * 6, dtype="f4").reshape(5, 4, 6)
    first = write("npz", {"height": values[:3]}, name="first")
    last = write("npz", {"height": values[3:]}, name="last")
    series = open_recording([first, last])
    assert not series["height"].variable._in_memory
    np.testing.assert_array_equal(series["source"], [0, 0, 0, 1, 1])
    for key in (slice(None), slice(2, 4), slice(4, None, -2), slice(1, 5, 3), slice(3, 3), -1, 2):
        np.testing.assert_array_equal(series["height"][key], values[key])
    np.testing.assert_array_equal(series["height"][[4, 0], 1, ::-1], values[[4, 0], 1, ::-1])


def test_one_file_in_a_list_is_itself(write: Write) -> None:
    assert open_recording([write("ibw")]).sizes["frame"] == 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"shape": (6, 9)}, r"b.gwy: has 9 pixels along x, a.gwy has 8"),
        ({"pixel": 5.0}, r"b.gwy: a pixel along y is 5 nm, but 2.5 nm in a.gwy"),
        ({"drop": "PhaseRetrace"}, r"b.gwy: has channels height, a.gwy has height, phase"),
        ({"rename": "Height"}, r"b.gwy: phase is float64 in 1, but float64 in degree in a.gwy"),
    ],
)
def test_a_file_that_does_not_belong_is_named_with_its_values(
    other: dict[str, Any], message: str, write: Write
) -> None:
    channels = frame(1, shape=other.get("shape", (6, 8)))
    if "drop" in other:
        del channels[str(other["drop"])]
    if "rename" in other:
        channels["Phase"] = channels.pop("PhaseRetrace")
    paths = [
        write("gwy", frame(0), name="a"),
        write("gwy", channels, name="b", pixel=other.get("pixel", 2.5)),
    ]
    with pytest.raises(InputError, match=message) as refused:
        open_recording(paths)
    assert "\n" not in str(refused.value)


def test_a_clock_that_is_asked_for_and_missing_is_named(write: Write) -> None:
    paths = [write("gwy", frame(n), name=f"{n}") for n in (1, 2)]
    with pytest.raises(InputError, match=r"1.gwy: has no acquisition time"):
        open_recording(paths, order="time")
