"""The report of windows on a grid."""

from collections.abc import Iterator

from invae.report import images, sites
from invae.report.contents import (
    CLASSES,
    CLASSES_ON_FRAMES,
    COMPARED,
    LATENT_SPACE,
    ON_FRAMES,
    POSTERIOR,
    QUALITY,
)
from invae.report.facts import frame_facts, frame_words, value_of
from invae.report.figure import Result
from invae.report.kind import Expected, KindPage, images_of_frames
from invae.report.style import count


def findings(result: Result) -> Iterator[str]:
    """Number of outliers."""
    yield count(float(result["summary"]["n_outliers"]), "outlier")


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """The frames, and the number of outliers."""
    yield from frame_facts(result)
    yield "outliers", value_of(result, "n_outliers")


PAGE = KindPage(
    {
        "Recording": (Expected(sites.overview),),
        "Latent variables": (Expected(sites.glance), *ON_FRAMES, *LATENT_SPACE, POSTERIOR),
        "Outliers": (Expected(sites.outliers),),
        **COMPARED,
        "Clusters": (CLASSES_ON_FRAMES, *CLASSES),
        "Model quality": QUALITY,
    },
    recorded=frame_words,
    findings=findings,
    facts=facts,
    frames="images",
    channels=images_of_frames,
    show_background=images.show_pale_image,
)
