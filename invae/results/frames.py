"""Groups of a result whose sites lie on frames."""

from invae import dims
from invae.results.kind import Field, of_image, pose_maps

GRID_DIMS = (dims.FRAME, "grid_y", "grid_x")
FRAMES = {
    "drift": Field((dims.FRAME, dims.AXIS), "pixel"),
    "n_sites": Field((dims.FRAME,), "1", required=True),
}
GRID = {
    "content_map": Field((*GRID_DIMS, dims.LATENT), "1", required=True),
    **pose_maps(GRID_DIMS),
    "cluster_map": Field(GRID_DIMS),
    "error_map": Field(GRID_DIMS),
}
IMAGES = {"image": of_image(required=True)}
OUTLIERS = {
    "site": Field(("outlier",), "1", required=True),
    "score": Field(("outlier",), "1", required=True),
    "reason": Field(("outlier",), required=True),
    "label": Field(("outlier",), "1", required=True),
    "frame": Field(("outlier",), required=True),
    **{name: Field(("outlier",), "pixel", required=True) for name in ("y", "x")},
    **{name: Field(("outlier",), "nm") for name in ("y_nm", "x_nm")},
}
