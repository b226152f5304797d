"""Variables and groups of results of windows on a grid."""

from invae.results.frames import FRAMES, GRID, IMAGES, OUTLIERS
from invae.results.kind import Schema, of_site

SCHEMA = Schema(
    {"outlier_score": of_site("1")},
    {"images": IMAGES, "frames": FRAMES, "outliers": OUTLIERS, "grid": GRID},
)
