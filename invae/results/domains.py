"""Variables and groups of results of domains and their walls."""

from invae import dims
from invae.results.frames import FRAMES, GRID
from invae.results.kind import Field, Schema, of_image, of_site

SITES = {
    "wall_normal": of_site("rad"),
    "wall_count": of_site(),
    "domain_fraction": of_site("1"),
    "switching_degree": of_site("1"),
    "wall_curvature": of_site("1/pixel"),
    "wall_curvature_nm": of_site("1/nm"),
    "domain_convexity": of_site("1"),
    "switch_significance": of_site("1"),
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
}
SCHEMA = Schema(SITES, {"maps": MAPS, "walls": WALLS, "grid": GRID, "frames": {**FRAMES, **MOTION}})
