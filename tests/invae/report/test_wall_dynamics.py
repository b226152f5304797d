"""Figures of the dynamics of walls: their numbers, and what they say where there is nothing to draw."""

import numpy as np
import pytest
import xarray as xr

from invae import dims
from invae.analysis.domains.quantities import Quantity, table
from invae.config import ReportConfig
from invae.report.domains import events, forces, latent_motion, orientation
from invae.report.domains.quantities import rows_of, value_of
from invae.report.figure import LeftOut

SIDE, FRAMES = 32, 5
CONFIG = ReportConfig()
IMAGE = (dims.Y, dims.X)


def quantities() -> xr.Dataset:
    tension = Quantity("line_tension", "tension", "pixel**2 per frame").having(8.0, [7.0, 9.0])
    return table([tension, Quantity("roughness_exponent", "ζ").without("2 walls are too few")])


def result() -> dict[str, xr.Dataset]:
    rng = np.random.default_rng(0)
    axes = {axis: (axis, 10.0 * np.arange(SIDE), {"units": "nm"}) for axis in IMAGE}
    frame = {dims.FRAME: np.arange(FRAMES)}
    valid = np.ones((FRAMES, SIDE, SIDE), bool)
    force = rng.normal(size=(SIDE, SIDE))
    first = np.where(rng.random((SIDE, SIDE)) < 0.5, 2.0, np.nan)
    along = np.arange(FRAMES, dtype=float)
    point = np.arange(20.0)
    content = rng.normal(size=(40, 2))
    steps = np.where(np.arange(40) < 20, 2.0, -2.0)
    return {
        "": xr.Dataset(
            {
                "content": ((dims.SITE, dims.LATENT), content),
                "wall_curvature": (dims.SITE, content[:, 0]),
                "next_site": (dims.SITE, np.roll(np.arange(40), 1)),
                "step_length": (dims.SITE, steps),
            }
        ),
        "traversal": xr.Dataset(
            coords={f"latent_{k + 1}": (f"latent_{k + 1}", [0.0], {"content_dimension": k}) for k in range(2)}
        ),
        "frames": xr.Dataset(
            {
                "domain_fraction": (dims.FRAME, along * 0 + 0.4),
                "wall_velocity": (dims.FRAME, along),
                **{f"wall_drive{end}": (dims.FRAME, along + k) for end, k in (("", 0), ("_low", -1), ("_high", 1))},
            },
            frame,
        ),
        "maps": xr.Dataset({"valid": (dims.IMAGE, valid)}, {**frame, **axes}),
        "walls": xr.Dataset(
            {
                "y": ("point", 0 * point + 5),
                "x": ("point", point),
                "frame": ("point", 0 * point.astype(int)),
                "contour": ("point", 0 * point.astype(int)),
            }
        ),
        "forces": xr.Dataset(
            {
                "built_in_force": (IMAGE, force),
                "built_in_force_low": (IMAGE, force - 0.5),
                "built_in_force_high": (IMAGE, force + 0.5),
                "held_share": (IMAGE, np.abs(force) / 10),
            }
        ),
        "events": xr.Dataset(
            {name: ("event", np.array(values)) for name, values in {
                "frame": [0, 1], "y": [5.0, 20.0], "x": [6.0, 8.0], "area": [30.0, 90.0], "duration": [1, 2], "sign": [1, -1],
                "nucleation": [True, False],
            }.items()}
        ),
        "switching": xr.Dataset({"first_switch": (IMAGE, first)}),
        "roughness": xr.Dataset(
            {name: ("distance", np.array([1.0, 2.0, 4.0])) for name in ("roughness", "second_differences")},
            {"distance": [1.0, 2.0, 4.0]},
        ),
        "quantities": quantities(),
    }  # fmt: skip


DRAWN = (
    orientation.rose,
    latent_motion.by_descriptor,
    latent_motion.arrows,
    forces.maps,
    forces.over_time,
    events.events,
    events.growth,
    events.roughness,
)


@pytest.mark.parametrize("draw", DRAWN)
def test_every_figure_is_drawn_and_says_its_numbers(draw):
    drawing = draw(result(), CONFIG)
    assert drawing.numbers.endswith(".")
    assert drawing.how_to_read
    drawing.figure.canvas.draw()


def test_the_length_of_walls_is_given_per_area():
    frames, density = orientation.wall_density(result()["maps"], result()["walls"])
    assert density[0] == pytest.approx(19 / SIDE**2)
    assert frames.tolist() == list(range(FRAMES))


def test_directions_of_a_level_wall_are_level():
    angle, length = orientation.directions(result()["walls"])
    np.testing.assert_allclose(np.sin(angle), 0, atol=1e-9)
    assert length.sum() == pytest.approx(16)


def test_the_share_of_certain_forces_is_that_of_the_maps():
    here = result()
    force = here["forces"]["built_in_force"].to_numpy()
    share = 100 * (np.abs(force) > 0.5).mean()
    assert f"on {share:.0f} % of the area" in forces.maps(here, CONFIG).numbers


def test_a_wall_energy_is_drawn_only_where_it_is_certain():
    here = result()
    certain = np.zeros((SIDE, SIDE), bool)
    certain[:4] = True
    energy = np.where(certain, -3.0, -0.1)
    for end, shift in (("", 0.0), ("_low", -1.0), ("_high", 1.0)):
        here["forces"][f"wall_energy{end}"] = IMAGE, energy + shift
    share = 100 * certain.mean()
    assert f"the wall energy on {share:.0f} %" in forces.maps(here, CONFIG).numbers


def test_without_forces_the_reason_stands_in_the_place_of_the_figure():
    here = result()
    del here["forces"]
    here["quantities"] = table([Quantity("line_tension", "tension").without("too few steps")])
    with pytest.raises(LeftOut, match="too few steps"):
        forces.maps(here, CONFIG)


def test_a_table_shows_intervals_and_reasons():
    rows = rows_of(result(), ("line_tension", "roughness_exponent", "mobility"))
    assert rows is not None
    assert rows.rows[0] == ("tension", "8", "7.05 to 8.95", "px² per frame")
    assert rows.rows[1][2] == "not given: 2 walls are too few"
    assert len(rows.rows) == 2
    assert value_of(result(), "line_tension") == 8
    assert np.isnan(value_of(result(), "mobility"))
