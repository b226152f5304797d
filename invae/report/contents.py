"""All figures of the report, in the order of the page."""

from collections.abc import Callable, Mapping

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
    images,
    latent_plane,
    latents,
    rgb,
)
from invae.report.atoms import displacements, sites, tracks, vacancies
from invae.report.diffraction import scan
from invae.report.domains import changes, frames
from invae.report.figure import Draw, Result

SECTIONS: Mapping[str, tuple[Draw, ...]] = {
    "What was recorded": (frames.overview, frames.signals, sites.overview, frames.drift),
    "The scan": (scan.panels, scan.surprises, scan.detector),
    "What the model sees": (
        sites.glance,
        latents.content,
        latents.angle,
        latents.manifold,
        latent_plane.scatter,
        rgb.three,
        scan.colours,
        angles.posterior,
    ),
    "What it means": (displacements.displacements, associations.association, sites.measured),
    "What is unusual": (sites.outliers, vacancies.vacancies),
    "Against what is known": (ground_truth.confusion, ground_truth.angle, ground_truth.reading),
    "Classes of the model": (class_sheets.sheets, class_sheets.probability),
    "Classes of sites": (classes.on_image, classes.patches, classes.bic),
    "What changes": (changes.transitions, changes.over_time, changes.pinning, tracks.over_time),
    "How far to trust it": (
        fit_quality.training,
        angles.over_training,
        fit_quality.examples,
        fit_quality.error,
        components.components,
        baselines.planes,
        scan.beside,
    ),
}
"""Section → its figures; a new figure is a function and a place here."""


def _has(group: str) -> Callable[[Result], bool]:
    return lambda result: group in result


def _shows_drift(result: Result) -> bool:
    """Of plain images there is drift only where atoms were followed."""
    return "maps" in result or "tracks" in result


NEEDS: Mapping[Draw, Callable[[Result], bool]] = {
    **dict.fromkeys(
        (
            frames.overview,
            frames.signals,
            changes.transitions,
            changes.over_time,
            changes.pinning,
        ),
        _has("maps"),
    ),
    **dict.fromkeys(
        (latents.content, latents.angle, classes.on_image),
        images.has_frames,
    ),
    **dict.fromkeys((sites.overview, sites.glance), _has("images")),
    displacements.displacements: lambda result: (
        "displacement" in result[""].variables and "images" in result
    ),
    sites.measured: lambda result: "intensity" in result[""],
    sites.outliers: _has("outliers"),
    vacancies.vacancies: _has("vacancies"),
    tracks.over_time: _has("tracks"),
    frames.drift: _shows_drift,
    associations.association: _has("association"),
    **dict.fromkeys(SECTIONS["Classes of the model"], _has("classes")),
    **dict.fromkeys((*SECTIONS["The scan"], scan.beside), _has("scan")),
    scan.colours: lambda result: "scan" in result and result[""].sizes[dims.LATENT] == 3,
    ground_truth.confusion: _has("confusion"),
    ground_truth.angle: lambda result: "angle_raw" in result.get("known", {}),
    ground_truth.reading: lambda result: "r2" in result.get("known", {}),
    angles.posterior: _has("angles"),
    angles.over_training: lambda result: "angle_count" in result.get("training", {}),
    baselines.planes: _has("baselines"),
    rgb.three: lambda result: result[""].sizes[dims.LATENT] == 3,
}
"""What must be there for a figure to be expected; one that is expected and cannot be drawn is named on the page."""


def figures_of(result: Result) -> dict[str, list[Draw]]:
    """The figures to be expected of a result, by section."""
    return {
        name: [draw for draw in draws if draw not in NEEDS or NEEDS[draw](result)]
        for name, draws in SECTIONS.items()
    }
