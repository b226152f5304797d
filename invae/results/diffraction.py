"""Variables and groups of results of 4D-STEM scans."""

from invae import dims
from invae.results.kind import Field, Schema, of_site, pose_maps

SCAN_DIMS = (dims.SCAN_Y, dims.SCAN_X)
DETECTOR = (dims.K_Y, dims.K_X)
VIRTUAL = ("sum", "bf", "abf", "haadf", "com_y", "com_x", "com_r")
SCAN = {
    **{name: Field(SCAN_DIMS, None, required=True) for name in VIRTUAL},
    **{name: Field(DETECTOR, None, required=True) for name in ("mean_pattern", "max_pattern")},
    "detector_valid": Field(DETECTOR, None, required=True),
    "radial_profile": Field((*SCAN_DIMS, "k")),
    "content_map": Field((*SCAN_DIMS, dims.LATENT), "1", required=True),
    **pose_maps(SCAN_DIMS),
    "cluster_map": Field(SCAN_DIMS, required=True),
    "class_map": Field(SCAN_DIMS),
    "error_map": Field(SCAN_DIMS, required=True),
    "surprise_map": Field(SCAN_DIMS, "1", required=True),
    **{name: Field(SCAN_DIMS) for name in ("phase_map", "grain_map")},
    **{name: Field(SCAN_DIMS, "rad") for name in ("orientation_map", "orientation_sd_map")},
    **{name: Field(SCAN_DIMS, "1") for name in ("phase_probability_map", "strain_sd_map")},
    **{f"strain_{axes}_map": Field(SCAN_DIMS, "1") for axes in ("yy", "xx", "yx")},
    "pca_map": Field((*SCAN_DIMS, "pca_index"), "1"),
    "nmf_map": Field((*SCAN_DIMS, "nmf_index"), "1"),
}
SURPRISES = {
    "site": Field(("peak",), "1", required=True),
    "surprise": Field(("peak",), "1", required=True),
    **{name: Field(("peak",), "pixel", required=True) for name in ("y", "x")},
    **{name: Field(("peak",), "nm", required=True) for name in ("y_nm", "x_nm")},
}
PHASES = {
    **{name: Field(("phase",)) for name in ("first", "second", "has_mirror")},
    "lattice_angle": Field(("phase",), "rad"),
    **{name: Field(("phase",), "1") for name in ("n_fold", "n_grains", "area_share")},
    "mean_pattern": Field(("phase", "pattern_y", "pattern_x"), "1"),
}
GRAINS = {
    **{name: Field(("grain",)) for name in ("phase", "area", "diameter")},
    **{name: Field(("grain",), "1") for name in ("n_probes", "at_edge", "strain_yy", "strain_xx", "strain_yx")},
    **{name: Field(("grain",), "pixel") for name in ("y", "x")},
    **{name: Field(("grain",), "rad") for name in ("angle", "angle_spread")},
}  # fmt: skip
BOUNDARIES = {
    **{name: Field(("boundary",), "1") for name in ("first", "second")},
    "length": Field(("boundary",)),
    "misorientation": Field(("boundary",), "rad"),
}
SCHEMA = Schema(
    {"surprise": of_site("1")},
    {
        "scan": SCAN,
        "surprises": SURPRISES,
        "phases": PHASES,
        "grains": GRAINS,
        "boundaries": BOUNDARIES,
    },
)
