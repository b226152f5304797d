"""Variables and groups of results of domains and their walls."""

from invae import dims
from invae.results.frames import FRAMES, GRID
from invae.results.kind import Field, Schema, of_image, of_site

ENDS = ("", "_low", "_high")
SITES = {
    "wall_normal": of_site("rad"),
    "wall_count": of_site(),
    "domain_fraction": of_site("1"),
    "switching_degree": of_site("1"),
    "wall_curvature": of_site("1/pixel"),
    "wall_curvature_nm": of_site("1/nm"),
    "domain_convexity": of_site("1"),
    "switch_significance": of_site("1"),
    "next_site": of_site("1"),
    "step_length": of_site("pixel"),
}
MAPS = {
    "polarization": of_image("1", required=True),
    "valid": of_image(required=True),
    "wall": of_image(),
    "lamella": of_image(),
    "canny": of_image(),
    "wall_probability": of_image(),
    "wall_spread": of_image(),
    "lamella_probability": of_image(),
    "lamella_spread": of_image(),
    "invalid_reason": of_image(),
    "amplitude": of_image(),
    "phase": of_image(),
    "height": of_image(),
    "transition": of_image(),
    "residence": Field((dims.Y, dims.X), "1"),
    "wall_frames": Field((dims.Y, dims.X), "1"),
}
WALLS = {
    "y": Field(("point",), "pixel", required=True),
    "x": Field(("point",), "pixel", required=True),
    "contour": Field(("point",), required=True),
    "frame": Field(("point",), required=True),
    "nearest_site": Field(("point",), required=True),
    "normal_velocity": Field(("point",), "pixel"),
}
MOTION = {
    "drift_sd": Field((dims.FRAME, dims.AXIS), "pixel"),
    "phase_offset": Field((), "rad"),
    "frame_phase_offset": Field((dims.FRAME,), "rad"),
    "amplitude_scale": Field((dims.FRAME,)),
    "masked_share": Field((dims.FRAME,), "1"),
    "domain_fraction": Field((dims.FRAME,), "1"),
    "switched_share": Field((dims.FRAME,), "1"),
    "applied_field": Field((dims.FRAME,)),
    "wall_velocity": Field((dims.FRAME,), "pixel"),
    **{f"wall_drive{end}": Field((dims.FRAME,), "pixel") for end in ENDS},
}
MAP = (dims.Y, dims.X)
FORCES = {
    **{f"built_in_force{end}": Field(MAP, "pixel") for end in ENDS},
    **{f"wall_energy{end}": Field(MAP, "pixel**2") for end in ENDS},
    "held_share": Field(MAP, "1"),
    "n_steps": Field(MAP, "1"),
}
EVENTS = {
    "frame": Field(("event",), required=True),
    "y": Field(("event",), "pixel", required=True),
    "x": Field(("event",), "pixel", required=True),
    "area": Field(("event",), "pixel**2", required=True),
    "duration": Field(("event",), "frame", required=True),
    "sign": Field(("event",), "1", required=True),
    "nucleation": Field(("event",), "1", required=True),
    "wall_distance": Field(("event",), "pixel"),
    "lamella_distance": Field(("event",), "pixel"),
    "applied_field": Field(("event",)),
}
SWITCHING = {"first_switch": Field(MAP, "frame"), "coercive_field": Field(MAP)}
ROUGHNESS = {
    "roughness": Field(("distance",), "pixel**2"),
    "second_differences": Field(("distance",), "pixel**2"),
}
QUANTITIES = {
    **{name: Field(("quantity",), "1", required=True) for name in ("value", "low", "high")},
    **{name: Field(("quantity",), required=True) for name in ("unit", "description", "reason")},
}
SCHEMA = Schema(
    SITES,
    {
        "maps": MAPS,
        "walls": WALLS,
        "grid": GRID,
        "frames": {**FRAMES, **MOTION},
        "forces": FORCES,
        "events": EVENTS,
        "switching": SWITCHING,
        "roughness": ROUGHNESS,
        "quantities": QUANTITIES,
    },
)
