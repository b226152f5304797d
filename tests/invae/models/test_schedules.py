"""Weights over the training: where they begin, that they arrive, and that only shares of it count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from invae.config.objective import CapacityConfig, ScheduleConfig
from invae.models import schedules

SCHEDULES = [
    {"kind": "constant"},
    {"kind": "linear"},
    {"kind": "linear", "initial": 60.0, "until": 0.3},
    {"kind": "cyclic"},
    {"kind": "cyclic", "cycles": 3, "ramp": 1.0},
    {"kind": "cyclic", "cycles": 1, "ramp": 0.2},
]
SHARE = st.floats(0, 1)


def schedule(**values: object) -> ScheduleConfig:
    return TypeAdapter(ScheduleConfig).validate_python(values)


@pytest.mark.parametrize("values", SCHEDULES, ids=str)
def test_every_schedule_arrives_at_the_full_weight_and_stays(values):
    asked = schedule(**values)
    settled = schedules.settled_from(asked)
    for step in range(11):
        assert schedules.factor(asked, settled + (1 - settled) * step / 10) == pytest.approx(1)


@pytest.mark.parametrize("values", SCHEDULES, ids=str)
@given(progress=SHARE)
def test_a_factor_lies_between_its_ends(values, progress):
    asked = schedule(**values)
    ends = sorted((schedules.factor(asked, 0.0), 1.0))
    assert ends[0] - 1e-9 <= schedules.factor(asked, progress) <= ends[1] + 1e-9


def test_a_linear_schedule_goes_straight():
    asked = schedule(kind="linear", initial=60.0, until=0.5)
    assert [schedules.factor(asked, share) for share in (0.0, 0.25, 0.5)] == [60.0, 30.5, 1.0]


def test_a_cyclic_schedule_begins_again_in_every_cycle():
    asked = schedule(kind="cyclic", cycles=4, ramp=0.5)
    shares = (0.0, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 5 / 16, 3 / 4, 1.0)
    expected = (0, 0.5, 1, 1, 0, 0.5, 0, 1)
    assert [schedules.factor(asked, share) for share in shares] == pytest.approx(expected)


@given(progress=SHARE)
def test_a_capacity_rises_from_nothing_to_its_maximum(progress):
    asked = CapacityConfig(maximum=3.0, start=0.2, end=0.6)
    assert schedules.capacity(asked, min(progress, 0.2)) == 0
    assert schedules.capacity(asked, max(progress, 0.6)) == pytest.approx(3.0)
    assert 0 <= schedules.capacity(asked, progress) <= 3.0
    assert schedules.capacity(asked, 0.4) == pytest.approx(1.5)


def test_a_capacity_that_falls_is_refused():
    with pytest.raises(ValidationError, match=r"start 0\.7 .*end 0\.5"):
        CapacityConfig(maximum=1.0, start=0.7)


def test_a_schedule_of_no_kind_is_refused():
    with pytest.raises(ValidationError, match="'cosine' found using 'kind' does not match"):
        schedule(kind="cosine")
