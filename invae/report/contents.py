"""Figures that reports of several kinds of recordings share, and the figures to be expected of a result."""

from collections.abc import Mapping, Sequence

from invae import dims
from invae.report import (
    angles,
    associations,
    baselines,
    class_sheets,
    classes,
    components,
    fit_quality,
    ground_truth,
    latent_plane,
    latents,
    rgb,
)
from invae.report.figure import Draw, Result
from invae.report.kind import Expected, if_group, page_of


def has_three_dimensions(result: Result) -> bool:
    """Whether the content can be shown as one colour."""
    return result[""].sizes[dims.LATENT] == 3


ON_FRAMES = (Expected(latents.content), Expected(latents.angle))
LATENT_SPACE = (
    Expected(latents.manifold),
    Expected(latent_plane.scatter),
    Expected(rgb.three, has_three_dimensions),
)
POSTERIOR = if_group("angles", angles.posterior)
ASSOCIATION = if_group("association", associations.association)
CLASSES_ON_FRAMES = Expected(classes.on_image)
COMPARED: Mapping[str, Sequence[Expected]] = {
    "Comparison with ground truth": (
        if_group("confusion", ground_truth.confusion),
        Expected(ground_truth.angle, lambda result: "angle_raw" in result.get("known", {})),
        Expected(ground_truth.reading, lambda result: "r2" in result.get("known", {})),
    ),
    "Model classes": (
        if_group("classes", class_sheets.sheets),
        if_group("classes", class_sheets.probability),
    ),
}
CLASSES = (Expected(classes.patches), Expected(classes.bic))
QUALITY = (
    Expected(fit_quality.training),
    Expected(angles.over_training, lambda result: "angle_count" in result.get("training", {})),
    Expected(fit_quality.examples),
    Expected(fit_quality.error),
    Expected(components.components),
    if_group("baselines", baselines.planes),
)


def figures_of(result: Result) -> dict[str, list[Draw]]:
    """The figures to be expected of a result, by section."""
    return {
        name: [figure.draw for figure in figures if figure.when(result)]
        for name, figures in page_of(result).sections.items()
    }
