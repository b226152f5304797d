"""The drawing of the training curve is whole, whatever the values."""

import math
from xml.etree import ElementTree

import pytest

from tasks.artifacts import data_uri, key_of
from tasks.curve import drawing
from tasks.progress import Pace

NAME = "{http://www.w3.org/2000/svg}polyline"


@pytest.mark.parametrize(
    "values",
    [[-5.0, -3.0, -2.5], [1.0], [], [math.nan, 2.0, math.inf], [3.0, 3.0]],
    ids=["rising", "one", "none", "not finite", "constant"],
)
def test_a_curve_has_a_point_for_every_finite_value(values):
    tree = ElementTree.fromstring(drawing({"training": values, "held out": values}))
    lines = [line.attrib["points"].split() for line in tree.iter(NAME)]
    assert [len(points) for points in lines] == [sum(map(math.isfinite, values))] * 2


def test_better_is_higher_up():
    tree = ElementTree.fromstring(drawing({"training": [-9.0, -1.0], "held out": []}))
    first, last = next(tree.iter(NAME)).attrib["points"].split()
    assert float(last.split(",")[1]) < float(first.split(",")[1])
    assert float(last.split(",")[0]) > float(first.split(",")[0])


def test_a_key_has_small_letters_digits_and_dashes_only():
    assert key_of("PZT_final µ0001", "<summary>") == "pzt-final--0001--summary"


def test_a_picture_travels_inside_its_address():
    assert data_uri(b"\x89PNG", kind="image/png") == "data:image/png;base64,iVBORw=="


def test_pace_tells_rate_and_time_left():
    pace = Pace()
    assert pace.describe(5, 10).startswith("5 of 10")
    assert pace.describe(10, 10).endswith("0 s left")
