"""The schema of a result: groups and variables with their dims and units."""

from collections.abc import Mapping
from dataclasses import dataclass

from invae import dims
from invae.latent_table import LATENTS, Latent

PIXELS = (dims.CHANNEL, dims.PATCH_Y, dims.PATCH_X)
GRID = (dims.FRAME, "grid_y", "grid_x")
SCAN = (dims.SCAN_Y, dims.SCAN_X)
DETECTOR = (dims.K_Y, dims.K_X)
VIRTUAL = ("sum", "bf", "abf", "haadf", "com_y", "com_x", "com_r")
NODES = ("latent_1", "latent_2")
PAIR = ("feature", "descriptor")
ENDS = ("", "_low", "_high")
BY_KNOWN = ("angle_raw", "angle_symmetric", "angle_by_class", "angle_certainty", "symmetry")


@dataclass(frozen=True)
class Field:
    """One variable of a group."""

    dims: tuple[str, ...]
    units: str | None = None
    """CF units; not checked when empty: flags, and what keeps the recording's own units."""
    required: bool = False


def _site(units: str | None = None, *, required: bool = False) -> Field:
    return Field((dims.SITE,), units, required)


def _image(units: str | None = None, *, required: bool = False) -> Field:
    return Field(dims.IMAGE, units, required)


def _latents() -> dict[str, Field]:
    """Every latent, and how certain it is."""
    fields: dict[str, Field] = {}
    for name, row in LATENTS.items():
        fields[name] = Field(row.dims, _checked_unit(row), required=name == "content")
        if row.uncertainty_name is not None:
            fields[row.uncertainty_name] = Field(row.uncertainty_dims, row.uncertainty_unit)
    return fields


def _pose_maps(where: tuple[str, ...]) -> dict[str, Field]:
    """Maps of the poses of one number."""
    return {f"{name}_map": Field(where, row.unit) for name, row in LATENTS.items() if row.mapped}


def _checked_unit(row: Latent) -> str | None:
    """Classes are flags, and conditions keep the recording's own units."""
    return None if row.prior in ("classes", None) else row.unit


SCHEMA: Mapping[str, Mapping[str, Field]] = {
    "": {
        **_latents(),
        "joint_class": _site(),
        "log_likelihood": _site(),
        "elbo": _site(),
        "reconstruction_error": _site(required=True),
        "held_out": _site(),
        "outlier_score": _site("1"),
        "surprise": _site("1"),
        "cluster": _site(required=True),
        "cluster_probability": Field((dims.SITE, "cluster_name"), "1", required=True),
        "pca": Field((dims.SITE, "component_index"), "1", required=True),
        "pca_error": _site("1", required=True),
        "wall_normal": _site("rad"),
        "wall_count": _site(),
        "switching_degree": _site("1"),
        "wall_curvature": _site("1/pixel"),
        "wall_curvature_nm": _site("1/nm"),
        "domain_convexity": _site("1"),
        "switch_significance": _site("1"),
    },
    "maps": {
        "polarization": _image("1", required=True),
        "valid": _image(required=True),
        "wall": _image(),
        "invalid_reason": _image(),
        "amplitude": _image(),
        "phase": _image(),
        "height": _image(),
        "transition": _image(),
        "pinning": Field((dims.Y, dims.X), "1"),
        "wall_frames": Field((dims.Y, dims.X), "1"),
    },
    "walls": {
        "y": Field(("point",), "pixel", required=True),
        "x": Field(("point",), "pixel", required=True),
        "contour": Field(("point",), required=True),
        "frame": Field(("point",), required=True),
        "nearest_site": Field(("point",), required=True),
        "normal_velocity": Field(("point",), "pixel"),
    },
    "grid": {
        "content_map": Field((*GRID, dims.LATENT), "1", required=True),
        **_pose_maps(GRID),
        "cluster_map": Field(GRID),
        "error_map": Field(GRID),
    },
    "frames": {
        "drift": Field((dims.FRAME, dims.AXIS), "pixel"),
        "drift_sd": Field((dims.FRAME, dims.AXIS), "pixel"),
        "phase_offset": Field((), "rad"),
        "amplitude_scale": Field((dims.FRAME,)),
        "masked_share": Field((dims.FRAME,), "1"),
        "switched_share": Field((dims.FRAME,), "1"),
        "n_sites": Field((dims.FRAME,), "1", required=True),
    },
    "images": {"image": _image(required=True)},
    "outliers": {
        "site": Field(("outlier",), "1", required=True),
        "score": Field(("outlier",), "1", required=True),
        "reason": Field(("outlier",), required=True),
        "label": Field(("outlier",), "1", required=True),
        "frame": Field(("outlier",), required=True),
        **{name: Field(("outlier",), "pixel", required=True) for name in ("y", "x")},
        **{name: Field(("outlier",), "nm") for name in ("y_nm", "x_nm")},
    },
    "vacancies": {
        "frame": Field(("vacancy",), required=True),
        **{name: Field(("vacancy",), "pixel", required=True) for name in ("y", "x")},
        **{name: Field(("vacancy",), "nm") for name in ("y_nm", "x_nm")},
        "height": Field(("vacancy",), required=True),
        "expected": Field(("vacancy",), required=True),
    },
    "tracks": {
        "n_frames": Field(("track",), "1", required=True),
        "content_change": Field(("track", dims.LATENT), "1", required=True),
        "class_changes": Field(("track",), "1"),
        **{name: Field(("track",), "pixel", required=True) for name in ("y", "x")},
        **{name: Field(("track",), "nm") for name in ("y_nm", "x_nm")},
    },
    "scan": {
        **{name: Field(SCAN, None, required=True) for name in VIRTUAL},
        **{name: Field(DETECTOR, None, required=True) for name in ("mean_pattern", "max_pattern")},
        "detector_valid": Field(DETECTOR, None, required=True),
        "radial_profile": Field((*SCAN, "k")),
        "content_map": Field((*SCAN, dims.LATENT), "1", required=True),
        **_pose_maps(SCAN),
        "cluster_map": Field(SCAN, required=True),
        "class_map": Field(SCAN),
        "error_map": Field(SCAN, required=True),
        "surprise_map": Field(SCAN, "1", required=True),
        "pca_map": Field((*SCAN, "pca_index"), "1"),
        "nmf_map": Field((*SCAN, "nmf_index"), "1"),
    },
    "surprises": {
        "site": Field(("peak",), "1", required=True),
        "surprise": Field(("peak",), "1", required=True),
        **{name: Field(("peak",), "pixel", required=True) for name in ("y", "x")},
        **{name: Field(("peak",), "nm", required=True) for name in ("y_nm", "x_nm")},
    },
    "traversal": {
        "manifold": Field((dims.CLASS, *NODES, *PIXELS), required=True),
        "n_sites": Field((dims.CLASS, *NODES), "1", required=True),
    },
    "clusters": {
        "mean_patch": Field(("cluster_name", *PIXELS), required=True),
        "decoded": Field(("cluster_name", *PIXELS), required=True),
        "mean_content": Field(("cluster_name", dims.LATENT), "1", required=True),
        "n_sites": Field(("cluster_name",), "1", required=True),
    },
    "examples": {
        "patch": Field(("example", *PIXELS), required=True),
        "reconstruction": Field(("example", *PIXELS), required=True),
        "valid": Field(("example", *PIXELS), required=True),
        "error": Field(("example",), required=True),
        "rank": Field(("example",), required=True),
        "site": Field(("example",), required=True),
    },
    "classes": {
        "mean_patch": Field((dims.CLASS, *PIXELS), required=True),
        "decoded": Field((dims.CLASS, *PIXELS), required=True),
        "n_sites": Field((dims.CLASS,), "1", required=True),
        "site": Field((dims.CLASS, "example"), "1", required=True),
        "patch": Field((dims.CLASS, "example", *PIXELS), required=True),
        "reconstruction": Field((dims.CLASS, "example", *PIXELS), required=True),
    },
    "angles": {
        "density": Field(("example", "turn"), "1/rad", required=True),
        "patch": Field(("example", *PIXELS), required=True),
        "site": Field(("example",), "1", required=True),
        "label": Field(("example",), "1", required=True),
    },
    "confusion": {
        "count": Field(("labelling", "found", "known"), "1", required=True),
        "match": Field(("labelling", "found"), "1", required=True),
        **{
            name: Field(("labelling",), "1", required=True)
            for name in ("accuracy", "adjusted_rand")
        },
    },
    "known": {name: Field(("known",), "1") for name in BY_KNOWN}
    | {name: Field(("space", "variable"), "1") for name in ("r2", "r2_by_class")},
    "baselines": {
        "content": Field(("baseline", dims.SITE, dims.LATENT), "1", required=True),
        "cluster": Field(("baseline", dims.SITE), "1", required=True),
        "reconstruction_error": Field(("baseline", dims.SITE), "1", required=True),
    },
    "training": {},
    "baseline": {
        "component": Field(("component_index", *PIXELS), "1", required=True),
        "mean_patch": Field(PIXELS, "1", required=True),
        "explained_variance": Field(("component_index",), "1", required=True),
        "explained_variance_ratio": Field(("component_index",), "1", required=True),
        "bic": Field(("n_classes",), "1", required=True),
    },
    "association": {
        **{f"rho{end}": Field(PAIR, "1", required=True) for end in ENDS},
        **{f"r2{end}": Field(("space", "descriptor"), "1", required=True) for end in ENDS},
    },
    "summary": {
        "n_frames": Field((), "1"),
        "n_sites": Field((), "1", required=True),
        "n_clusters": Field((), "1", required=True),
    },
}
"""Group → variable → dims and units. A result may hold more; groups without a line of answer may be absent."""

REQUIRED_GROUPS = ("", "traversal", "clusters", "examples", "baseline", "summary")
"""Groups of every result; those of frames are absent where patches are single images."""
