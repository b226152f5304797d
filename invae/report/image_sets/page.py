"""The report of a set of images."""

from invae.report.contents import CLASSES, COMPARED, LATENT_SPACE, POSTERIOR, QUALITY
from invae.report.kind import KindPage

PAGE = KindPage(
    {
        "Latent variables": (*LATENT_SPACE, POSTERIOR),
        **COMPARED,
        "Clusters": CLASSES,
        "Model quality": QUALITY,
    }
)
