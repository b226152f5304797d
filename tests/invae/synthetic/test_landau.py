"""The laws of the Landau model, recovered from what it does."""

import math

import numpy as np
import pytest

from invae.synthetic.landau import (
    PIXEL,
    TIME_STEP,
    Ferroelectric,
    critical_radius,
    free,
    wall_speed,
)
from invae.synthetic.sample import disc_distance

STEPS = 40


def stripe(rows: int = 4, columns: int = 256) -> Ferroelectric:
    """A sample whose left half is positive; two planar walls along y."""
    distance = columns / 4 - np.abs(np.arange(columns) - columns / 2)
    profile = np.tanh(distance * PIXEL / math.sqrt(2))
    return free(np.tile(profile, (rows, 1)).astype(np.float32))


def disc(radius: float, *, side: int = 64) -> Ferroelectric:
    distance = disc_distance((side, side), np.array([side / 2, side / 2]), radius)
    return free(np.tanh(distance * PIXEL / math.sqrt(2)).astype(np.float32))


def right_wall(sample: Ferroelectric) -> float:
    """Position of the wall on the right of the positive domain in the first row [px]."""
    line = sample.polarization[0]
    before = np.flatnonzero((line[:-1] > 0) & (line[1:] <= 0))[-1]
    return float(before + line[before] / (line[before] - line[before + 1]))


def positive_area(sample: Ferroelectric) -> float:
    """Area of the positive domains [px], walls counted by their share."""
    return float((sample.polarization > 0).sum())


@pytest.mark.parametrize("field", [0.02, 0.05, 0.1, 0.2, -0.1])
def test_a_planar_wall_moves_at_three_fields_over_root_two(field):
    sample = stripe()
    sample.run(2 * STEPS, field=lambda _: field)
    before = right_wall(sample)
    frames = 3
    sample.run(frames * STEPS, field=lambda _: field)
    measured = (right_wall(sample) - before) / frames
    assert measured == pytest.approx(wall_speed(field, steps_per_frame=STEPS), rel=0.05)


def test_a_wall_without_a_field_rests():
    sample = stripe()
    before = right_wall(sample)
    sample.run(5 * STEPS, field=lambda _: 0.0)
    assert right_wall(sample) == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize(
    ("field", "grows"), [(0.03, False), (0.06, False), (0.10, True), (0.14, True)]
)
def test_a_nucleus_of_eight_pixels_lives_above_the_critical_field(field, grows):
    sample = disc(8.0)
    before = positive_area(sample)
    sample.run(10 * STEPS, field=lambda _: field)
    assert (positive_area(sample) > before) == grows
    assert (critical_radius(field) < 8.0) == grows


def test_a_circle_shrinks_by_its_curvature():
    """Without a field dR/dt = -1/R, so that the squared radius falls linearly in time."""
    sample = disc(24.0, side=96)
    sample.run(STEPS, field=lambda _: 0.0)
    before = positive_area(sample)
    sample.run(5 * STEPS, field=lambda _: 0.0)
    lost = (before - positive_area(sample)) / math.pi * PIXEL**2
    assert lost == pytest.approx(2 * 5 * STEPS * TIME_STEP, rel=0.05)


def test_field_and_curvature_add_on_a_circle():
    """v_n = v - 1/R."""
    field, radius = 0.1, 20.0
    sample = disc(radius, side=96)
    sample.run(STEPS, field=lambda _: field)
    before = math.sqrt(positive_area(sample) / math.pi)
    sample.run(STEPS, field=lambda _: field)
    after = math.sqrt(positive_area(sample) / math.pi)
    mean_radius = (before + after) / 2 * PIXEL
    expected = (3 * field / math.sqrt(2) - 1 / mean_radius) * STEPS * TIME_STEP / PIXEL
    assert after - before == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("field", "moves"), [(0.01, False), (0.15, True)])
def test_pins_hold_a_wall_below_a_depinning_field(field, moves):
    sample = stripe(rows=24, columns=192)
    pin = disc_distance((24, 192), np.array([12.0, round(right_wall(sample))]), 0.0)
    well = 1 - 0.9 * np.exp(-((pin / 3) ** 2) / 2)
    pinned = Ferroelectric(sample.polarization.copy(), well, np.zeros(well.shape))
    before = right_wall(pinned)
    pinned.run(20 * STEPS, field=lambda _: field)
    travelled = right_wall(pinned) - before
    free_travel = 20 * wall_speed(field, steps_per_frame=STEPS)
    assert (travelled > 0.8 * min(free_travel, 20)) if moves else (travelled < 0.5 * free_travel)


def test_the_two_polarities_are_alike():
    field = 0.08
    sample = disc(12.0)
    mirrored = free(-sample.polarization)
    sample.run(STEPS, field=lambda _: field)
    mirrored.run(STEPS, field=lambda _: -field)
    np.testing.assert_allclose(mirrored.polarization, -sample.polarization, atol=1e-6)


def test_the_edge_of_the_sample_is_no_edge():
    sample = disc(12.0)
    moved = free(np.roll(sample.polarization, (29, -25), axis=(0, 1)))
    for one in (sample, moved):
        one.run(STEPS, field=lambda _: 0.1)
    np.testing.assert_array_equal(
        moved.polarization, np.roll(sample.polarization, (29, -25), axis=(0, 1))
    )


def test_depolarization_keeps_both_polarities():
    sample = disc(14.0)
    kept = Ferroelectric(
        sample.polarization.copy(), np.ones((64, 64)), np.zeros((64, 64)), depolarization=0.4
    )
    for one in (sample, kept):
        one.run(30 * STEPS, field=lambda _: 0.15)
    assert sample.polarization.min() > 0.9
    assert kept.polarization.min() < -0.8
