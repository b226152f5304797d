"""Variables and groups of results of spectra."""

from invae import dims
from invae.results.kind import Field, Schema, of_site, pose_maps

GRID = (dims.Y, dims.X)
PIXELS = dims.PATCH[1:]
MAP = {
    "content_map": Field((*GRID, dims.LATENT), "1", required=True),
    "shift_map": Field((*GRID, dims.AXIS), "pixel"),
    **pose_maps(GRID),
    "cluster_map": Field(GRID, required=True),
    "class_map": Field(GRID),
    "error_map": Field(GRID, required=True),
    "reason_map": Field(GRID, required=True),
    "pca_map": Field((*GRID, "pca_index"), "1"),
    "nmf_map": Field((*GRID, "nmf_index"), "1"),
}
SPECTRA = {"quantile_spectrum": Field(("quantile", *PIXELS), required=True)}
EXCLUDED = {
    "reason": Field(("excluded",), required=True),
    "frame": Field(("excluded",), required=True),
    **{name: Field(("excluded",), "pixel", required=True) for name in ("y", "x")},
    "example": Field(("example", dims.PATCH_X)),
    "example_reason": Field(("example",)),
}
SCHEMA = Schema(
    {"spectrum_sd": of_site(), "n_spikes": of_site("1"), "specimen": of_site()},
    {"map": MAP, "spectra": SPECTRA, "excluded": EXCLUDED},
)
