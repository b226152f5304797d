"""Variables and groups of results of atoms."""

from invae import dims
from invae.results.frames import FRAMES, IMAGES, OUTLIERS
from invae.results.kind import Field, Schema, of_site

VACANCIES = {
    "frame": Field(("vacancy",), required=True),
    **{name: Field(("vacancy",), "pixel", required=True) for name in ("y", "x")},
    **{name: Field(("vacancy",), "nm") for name in ("y_nm", "x_nm")},
    "height": Field(("vacancy",), required=True),
    "expected": Field(("vacancy",), required=True),
}
TRACKS = {
    "n_frames": Field(("track",), "1", required=True),
    "content_change": Field(("track", dims.LATENT), "1", required=True),
    "class_changes": Field(("track",), "1"),
    **{name: Field(("track",), "pixel", required=True) for name in ("y", "x")},
    **{name: Field(("track",), "nm") for name in ("y_nm", "x_nm")},
}
SCHEMA = Schema(
    {"outlier_score": of_site("1")},
    {
        "images": IMAGES,
        "frames": FRAMES,
        "outliers": OUTLIERS,
        "vacancies": VACANCIES,
        "tracks": TRACKS,
    },
)
