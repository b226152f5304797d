"""The drawing of the training curve is whole, whatever the values."""

import math
from xml.etree import ElementTree

import pytest

from invae.training.history import Epoch
from tasks.artifacts import data_uri, key_of
from tasks.curve import drawing
from tasks.progress import Pace
from tasks.train import note_of, values_of

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


def test_the_loss_of_a_model_of_pairs_is_not_called_a_log_likelihood():
    loss = Epoch(0, {"score": -3.0}, {}, 0.1, True, measure="score")
    assert note_of(loss) == "loss 3 nats"
    held_out = Epoch(0, {"score": -3.0}, {"score": 250.0}, 0.1, True, measure="score")
    assert note_of(held_out) == "log-likelihood 250 nats"
    assert values_of(held_out)["held_out"] == 250.0
    assert math.isnan(values_of(held_out)["training"])
    elbo = Epoch(0, {"elbo": -3.0}, {"elbo": -4.0}, 0.1, True)
    assert values_of(elbo) == {"training": -3.0, "held_out": -4.0}
    assert "log-likelihood [nats" in drawing(
        {"training": [], "held out": [1.0]}, measure="log-likelihood"
    )
