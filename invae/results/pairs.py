"""What a result of pairs holds; it has no classes and no manifold of patches."""

from invae import dims
from invae.results.kind import ANY_AXIS, Field, Schema, of_site

WHERE = (dims.FRAME, "grid_y", "grid_x")
SPECTRA = (dims.SITE, ANY_AXIS)
WANTED, SAMPLES = ("wanted",), ("wanted", "sample")
PIXELS = dims.PATCH[1:]
SCORES = ("r2", "relative_error", "coverage", "crps")
SITES = {
    "content": Field((dims.SITE, dims.LATENT), "1"),
    "relative_error": of_site("1", required=True),
    "fold": of_site("1", required=True),
    "specimen": of_site(),
    "measured_band": of_site(required=True),
    "predicted_band": of_site(required=True),
    "measured_peak": of_site(),
    "predicted_peak": of_site(),
    "plane": Field((dims.SITE, "direction"), "1"),
    "plane_spectrum": Field((dims.SITE, "direction"), "1"),
}
GROUPS = {
    "pairs": {
        **{
            name: Field(SPECTRA, required=True)
            for name in ("measured", "predicted", "lower", "upper")
        },
        "r2": Field((ANY_AXIS,), "1", required=True),
        "truth": Field(SPECTRA),
    },
    "scores": {
        **{name: Field(("predictor",), required=True) for name in SCORES},
        "peak_error": Field(("predictor",)),
        "r2_truth": Field(("predictor",), "1"),
    },
    "examples": {
        "patch": Field(("example", *PIXELS), required=True),
        **{name: Field(("example",), required=True) for name in ("error", "rank", "site")},
    },
    "reliability": {
        "first": Field(("repeated",), required=True),
        "second": Field(("repeated",), required=True),
        "r": Field((), "1", required=True),
    },
    "band_maps": {
        name: Field(WHERE, required=True)
        for name in ("measured", "predicted", "difference", "sd", "fold")
    },
    "directions": {
        "decoded": Field(("direction", "step", ANY_AXIS), required=True),
        "position": Field(("direction", "step"), "1", required=True),
        "explained": Field(("direction",), "1", required=True),
    },
    "partners": {
        name: Field(("within",), "1", required=True)
        for name in ("images_found", "spectra_found", "by_chance")
    },
    "numbers": {
        name: Field(("true", "read"), "1", required=True)
        for name in ("from_spectrum", "from_image")
    },
    "designs": {
        "site": Field(WANTED, required=True),
        "image": Field((*SAMPLES, *PIXELS), required=True),
        "spectrum": Field((*SAMPLES, ANY_AXIS), required=True),
        **{name: Field((*WANTED, *PIXELS), required=True) for name in ("best_image", "true_image")},
        "best_spectrum": Field((*WANTED, ANY_AXIS), required=True),
        "nearest": Field(WANTED, required=True),
        "error": Field(SAMPLES, "1", required=True),
        **{
            name: Field(WANTED, "1", required=True)
            for name in ("error_best", "error_nearest", "error_true", "diversity")
        },
    },
    "training": {},
    "summary": {
        "n_sites": Field((), "1", required=True),
        "r2": Field((), "1", required=True),
        "coverage": Field((), "1", required=True),
    },
}
SCHEMA = Schema(SITES, GROUPS, required=("", "pairs", "scores", "examples", "summary"))
