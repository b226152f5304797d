"""Patterns in their places, for whatever format: shape, order and flyback are another view of the pixels."""

import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invae.errors import ConfigError, InputError
from invae.readers.raw import Axis, Channel, Key, Pixels, Raw, evenly_spaced
from invae.readers.scan_shape import Scan, in_scan, matching_shapes, single_pattern

HERE = Path("scan.mib")
QUIET = settings(derandomize=True, max_examples=60, deadline=None, database=None)


@dataclass(frozen=True)
class Counted:
    """Pixels that remember how many values were asked for."""

    values: np.ndarray
    asked: list[int] = field(default_factory=list)

    def __call__(self, key: Key) -> np.ndarray:
        part = self.values[key]
        self.asked.append(part.size)
        return part


def patterns(
    *shape: int, dims: tuple[str, ...] = ("frame", "k_y", "k_x"), label: str = "a"
) -> Channel:
    values = np.arange(np.prod(shape), dtype=">u4").reshape(shape)
    return Channel(label, Pixels(HERE, shape, values.dtype, Counted(values), ()), dims)


def values_of(raw: Raw) -> np.ndarray:
    pixels = raw.channels[0].pixels
    return pixels.load(tuple(slice(0, n, 1) for n in pixels.shape))


def walked(n_rows: int, n_columns: int, scan: Scan, size: int = 6) -> np.ndarray:
    """The patterns one by one in the order in which the probe went."""
    flat = np.arange(n_rows * n_columns * size, dtype="u4").reshape(n_rows, n_columns, 2, size // 2)
    kept = n_columns - scan.flyback
    placed = np.empty((n_rows, kept, 2, size // 2), "u4")
    for row in range(n_rows):
        for step in range(kept):
            back = scan.order == "serpentine" and row % 2 == 1
            placed[row, kept - 1 - step if back else step] = flat[row, step]
    return placed


@st.composite
def scans(draw: st.DrawFn) -> tuple[int, int, Scan]:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    order: Literal["raster", "serpentine"] = "serpentine" if draw(st.booleans()) else "raster"
    return rows, columns, Scan((rows, columns), order, draw(st.integers(0, columns - 1)))


@st.composite
def keys(draw: st.DrawFn, n: int) -> slice:
    start = draw(st.integers(0, n))
    return slice(start, draw(st.integers(start, n)), draw(st.integers(1, 3)))


@QUIET
@given(case=scans(), data=st.data(), as_scan=st.booleans())
def test_every_slice_is_that_of_the_walked_scan(
    case: tuple[int, int, Scan], data: st.DataObject, as_scan: bool
) -> None:
    rows, columns, scan = case
    held = patterns(rows * columns, 2, 3)
    if as_scan:  # the file says a shape, which is put right
        held = patterns(columns, rows, 2, 3, dims=("scan_y", "scan_x", "k_y", "k_x"))
    raw = in_scan(Raw((held,)), HERE, scan)
    expected = walked(rows, columns, scan)
    pixels = raw.channels[0].pixels
    assert pixels.shape == expected.shape
    key = tuple(data.draw(keys(n)) for n in expected.shape)
    found = pixels.load(key)
    assert found.dtype == np.dtype("u4")
    np.testing.assert_array_equal(found, expected[key])


def test_no_pixel_is_read_before_it_is_used_and_no_other_then() -> None:
    held = patterns(400, 2, 3)
    read = held.pixels.read
    assert isinstance(read, Counted)
    raw = in_scan(Raw((held,)), HERE, Scan((20, 20), "serpentine", 2))
    assert read.asked == []
    raw.channels[0].pixels.load((slice(3, 4, 1), slice(5, 7, 1), slice(0, 2, 1), slice(0, 3, 1)))
    assert sum(read.asked) == 2 * 6
    read.asked.clear()
    values_of(raw)
    assert sum(read.asked) == 400 * 6


def test_a_scan_travels_to_another_process() -> None:
    raw = in_scan(Raw((patterns(6, 2, 3),)), HERE, Scan((2, 3), "serpentine"))
    travelled = pickle.loads(pickle.dumps(raw))
    np.testing.assert_array_equal(values_of(travelled), values_of(raw))


def test_the_files_own_shape_is_taken_where_none_is_asked_for() -> None:
    raw = in_scan(Raw((patterns(6, 2, 3),), scan_shape=(3, 2)), HERE, Scan())
    assert raw.channels[0].pixels.shape == (3, 2, 2, 3)
    assert raw.channels[0].dims == ("scan_y", "scan_x", "k_y", "k_x")


def test_steps_of_the_scan_stay_when_its_shape_changes() -> None:
    axes = {"scan_y": evenly_spaced(2, 0.5, "nm"), "scan_x": evenly_spaced(3, 0.25, "nm")}
    raw = in_scan(Raw((patterns(6, 2, 3),), axes, scan_shape=(2, 3)), HERE, Scan((3, 2), flyback=1))
    np.testing.assert_array_equal(raw.axes["scan_y"].values, [0, 0.5, 1.0])
    np.testing.assert_array_equal(raw.axes["scan_x"].values, [0])


def test_a_stack_of_images_becomes_a_scan_when_its_shape_is_told() -> None:
    stack = patterns(6, 2, 3, dims=("frame", "y", "x"))
    axes = {"y": Axis(np.array([-1.0, 1.0]), "mrad"), "x": evenly_spaced(3, 0.1, "nm")}
    assert in_scan(Raw((stack,), axes), HERE, Scan()).channels[0].dims == ("frame", "y", "x")
    raw = in_scan(Raw((stack,), axes), HERE, Scan((2, 3)))
    assert raw.channels[0].dims == ("scan_y", "scan_x", "k_y", "k_x")
    assert set(raw.axes) == {"k_y"}  # nm along a detector is no calibration of it
    np.testing.assert_array_equal(raw.axes["k_y"].values, [-1, 1])


@pytest.mark.parametrize(
    ("raw", "scan", "error", "message"),
    [
        (Raw((patterns(12, 2, 3),)), Scan((5, 5)), ConfigError,
         r"scan.mib: scan_shape 5 × 5 has 25 positions, but the file holds 12 patterns; use 3 × 4, 4 × 3"),
        (Raw((patterns(12, 2, 3),)), Scan((2, 3)), ConfigError,
         r"scan.mib: scan_shape 2 × 3 has 6 positions, but the file holds 12 patterns"),
        (Raw((patterns(12, 2, 3),), scan_shape=(3, 4), unfinished="a.mib has 12 of 16 frames"),
         Scan(), InputError, r"a.mib has 12 of 16 frames"),
        (Raw((patterns(12, 2, 3),), scan_remark="a.hdr is missing"), Scan(), InputError,
         r"12 patterns, .*\(a.hdr is missing\); set ingest.scan_shape to rows and columns, such as 3 × 4, 4 × 3"),
        (Raw((patterns(0, 2, 3),)), Scan((1, 1)), InputError, "holds no pattern; record again"),
        (Raw((patterns(12, 2, 3),)), Scan((3, 4), flyback=4), ConfigError,
         "flyback 4 drops all 4 positions of a row; make it smaller"),
        (Raw((patterns(2, 3, dims=("y", "x")),)), Scan((1, 2)), ConfigError,
         "has no patterns, its axes are y, x; leave ingest.scan_shape, scan_order and flyback"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_with_both_numbers(
    raw: Raw, scan: Scan, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        in_scan(raw, HERE, scan)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("n", [1, 7, 36, 65536])
def test_fitting_shapes_fit(n: int) -> None:
    for pair in matching_shapes(n).split(", "):
        rows, columns = map(int, pair.split(" × "))
        assert rows * columns == n


SCANNED = ("scan_y", "scan_x", "k_y", "k_x")


def several() -> Raw:
    """Fractions, counts and an image."""
    fractions = patterns(1, 2, 2, 3, dims=SCANNED, label="data")
    fractions = replace(fractions, pixels=replace(fractions.pixels, dtype=np.dtype("f4")))
    counts = patterns(1, 2, 2, 3, dims=SCANNED, label="counts")
    return Raw((fractions, counts, patterns(1, 2, dims=("y", "x"), label="HAADF")))


@pytest.mark.parametrize(
    ("channels", "labels", "names"),
    [
        (None, ["counts"], ["pattern"]),
        (["pattern"], ["counts"], ["pattern"]),
        (["data"], ["data"], ["pattern"]),
        (["haadf"], ["HAADF"], ["haadf"]),
        (["counts", "data"], ["counts", "data"], ["counts", "data"]),
    ],
)
def test_of_several_signals_one_is_the_pattern(
    channels: list[str] | None, labels: list[str], names: list[str]
) -> None:
    raw = single_pattern(several(), channels, HERE)
    assert [channel.label for channel in raw.channels] == labels
    assert [channel.name for channel in raw.channels] == names


@pytest.mark.parametrize(
    ("n_patterns", "shape", "taken", "left_out"),
    [(10, (4, 3), (3, 3), 1), (14, (4, 3), (4, 3), 2), (8, (4, 4), (2, 4), 0)],
)
def test_whole_rows_of_a_stopped_scan_are_taken(
    n_patterns: int, shape: tuple[int, int], taken: tuple[int, int], left_out: int
) -> None:
    raw = Raw((patterns(n_patterns, 2, 3),), unfinished="stopped")
    placed = in_scan(raw, HERE, Scan(shape, "serpentine"))
    whole = np.arange(n_patterns * 6, dtype="u4").reshape(-1, 2, 3)[: taken[0] * taken[1]]
    expected = whole.reshape(*taken, 2, 3).copy()
    expected[1::2] = expected[1::2, ::-1]
    np.testing.assert_array_equal(values_of(placed), expected)
    assert any(f"{left_out} patterns behind them" in n for n in placed.notes) == bool(left_out)


def test_what_was_left_out_is_told_with_the_names_to_choose_by() -> None:
    (note,) = single_pattern(several(), None, HERE).notes
    assert note == "the pattern is counts; other signals are data, haadf (set ingest.channels)"
    with pytest.raises(ConfigError, match=r"has no channel dark; .* among data, counts, haadf"):
        single_pattern(several(), ["dark"], HERE)
