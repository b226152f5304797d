"""The report of a set of images."""

from invae.report.contents import CLASSES, COMPARED, LATENT_SPACE, POSTERIOR, QUALITY
from invae.report.kind import KindPage

PAGE = KindPage(
    {
        "What the model sees": (*LATENT_SPACE, POSTERIOR),
        **COMPARED,
        "Classes of sites": CLASSES,
        "How far to trust it": QUALITY,
    }
)
