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
from invae.report.kind import Expected, KindPage
from invae.report.style import number


def findings(result: Result) -> Iterator[str]:
    """Number of outliers."""
    yield f"{number(float(result['summary']['n_outliers']))} unlike their likes"


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """The frames, and the number of outliers."""
    yield from frame_facts(result)
    yield "unlike their likes", value_of(result, "n_outliers")


PAGE = KindPage(
    {
        "What was recorded": (Expected(sites.overview),),
        "What the model sees": (Expected(sites.glance), *ON_FRAMES, *LATENT_SPACE, POSTERIOR),
        "What is unusual": (Expected(sites.outliers),),
        **COMPARED,
        "Classes of sites": (CLASSES_ON_FRAMES, *CLASSES),
        "How far to trust it": QUALITY,
    },
    recorded=frame_words,
    findings=findings,
    facts=facts,
    frames="images",
    show_background=images.show_pale_image,
)
