"""All figures of the report, in the order of the page."""

from collections.abc import Callable, Mapping

from invae import dims
from invae.report import (
    agreement,
    angles,
    atoms,
    baseline,
    beside,
    changes,
    classes,
    displaced,
    follow,
    frames,
    images,
    latents,
    members,
    plane,
    quality,
    rgb,
    scan,
    tracks,
)
from invae.report.drawing import Draw, Result

SECTIONS: Mapping[str, tuple[Draw, ...]] = {
    "What was recorded": (frames.overview, frames.signals, atoms.overview, frames.drift),
    "The scan": (scan.panels, scan.surprises, scan.detector),
    "What the model sees": (
        atoms.glance,
        latents.content,
        latents.angle,
        latents.manifold,
        plane.scatter,
        rgb.three,
        scan.colours,
        angles.posterior,
    ),
    "What it means": (displaced.displacements, follow.association, atoms.measured),
    "What is unusual": (atoms.outliers,),
    "Against what is known": (agreement.confusion, agreement.angle, agreement.reading),
    "Classes of the model": (members.sheets, members.probability),
    "Classes of sites": (classes.on_image, classes.patches, classes.bic),
    "What changes": (changes.transitions, changes.over_time, changes.pinning, tracks.over_time),
    "How far to trust it": (
        quality.training,
        angles.over_training,
        quality.examples,
        quality.error,
        baseline.components,
        beside.planes,
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
    **dict.fromkeys((atoms.overview, atoms.glance), _has("images")),
    displaced.displacements: lambda result: (
        "displacement" in result[""].variables and "images" in result
    ),
    atoms.measured: lambda result: "intensity" in result[""],
    atoms.outliers: _has("outliers"),
    tracks.over_time: _has("tracks"),
    frames.drift: _shows_drift,
    follow.association: _has("association"),
    **dict.fromkeys(SECTIONS["Classes of the model"], _has("classes")),
    **dict.fromkeys((*SECTIONS["The scan"], scan.beside), _has("scan")),
    scan.colours: lambda result: "scan" in result and result[""].sizes[dims.LATENT] == 3,
    agreement.confusion: _has("confusion"),
    agreement.angle: lambda result: "angle_raw" in result.get("known", {}),
    agreement.reading: lambda result: "r2" in result.get("known", {}),
    angles.posterior: _has("angles"),
    angles.over_training: lambda result: "angle_count" in result.get("training", {}),
    beside.planes: _has("baselines"),
    rgb.three: lambda result: result[""].sizes[dims.LATENT] == 3,
}
"""What must be there for a figure to be expected; one that is expected and cannot be drawn is named on the page."""


def figures_of(result: Result) -> dict[str, list[Draw]]:
    """The figures to be expected of a result, by section."""
    return {
        name: [draw for draw in draws if draw not in NEEDS or NEEDS[draw](result)]
        for name, draws in SECTIONS.items()
    }
