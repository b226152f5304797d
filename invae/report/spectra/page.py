"""The report of spectra."""

from collections.abc import Iterator

import numpy as np

from invae import dims
from invae.report import associations, baselines, class_sheets, classes, fit_quality, latent_plane
from invae.report.contents import COMPARED
from invae.report.facts import field_of_view, value_of
from invae.report.figure import Result
from invae.report.kind import Channel, Descriptor, Expected, KindPage, if_group
from invae.report.spectra import curves, maps
from invae.report.style import count, number


def recorded(result: Result) -> Iterator[str]:
    """Size of the grid, or number of points."""
    if "map" in result:
        size = result["map"].sizes
        yield f"grid of {size[dims.Y]} × {size[dims.X]} spectra"
    else:
        yield f"{number(float(result['summary']['n_recorded']))} spectra at points"


def findings(result: Result) -> Iterator[str]:
    """Spectra that cannot be used."""
    yield f"{count(float(result['summary']['n_excluded']), 'spectrum')} excluded"


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Grid, axis and gate."""
    places, label = curves.axis_of(result)
    if "map" in result:
        yield "field of view", field_of_view(result["map"])
        size = result["map"].sizes
        yield "grid", f"{size[dims.Y]} × {size[dims.X]}"
    yield "axis", f"{label}, {number(float(np.min(places)))} to {number(float(np.max(places)))}"
    yield "recorded spectra", value_of(result, "n_recorded")
    yield "excluded spectra", value_of(result, "n_excluded")


def patches(result: Result) -> str:
    """Number of values of a spectrum, and the channel."""
    return f"{result['examples'].sizes[dims.PATCH_X]} values; {curves.value_label(result)}"


def has_excluded(result: Result) -> bool:
    """Whether some spectra are no sites."""
    return result["excluded"].sizes["excluded"] > 0


def channels(result: Result) -> Iterator[Channel]:
    """The images of the grid, and the reconstruction error at its places."""
    for name, variable in result.get("map", {}).items():
        if variable.dims == (dims.Y, dims.X) and variable.dtype.kind == "f":
            yield Channel(str(name).removesuffix("_map").replace("_", " "), variable)


PAGE = KindPage(
    {
        "Spectra": (Expected(curves.overview), Expected(maps.excluded, has_excluded)),
        "Latent variables": (
            Expected(maps.panels),
            Expected(curves.manifold),
            Expected(latent_plane.scatter),
        ),
        "Comparison with ground truth": COMPARED["Comparison with ground truth"],
        "Model classes": (
            if_group("classes", curves.classes),
            if_group("classes", class_sheets.probability),
        ),
        "Clusters": (Expected(curves.clusters), Expected(classes.bic)),
        "Model quality": (
            Expected(fit_quality.training),
            Expected(curves.examples),
            Expected(fit_quality.error),
            Expected(curves.components),
            if_group("baselines", maps.comparison),
            if_group("baselines", baselines.planes),
            if_group("association", associations.association),
        ),
    },
    recorded=recorded,
    findings=findings,
    facts=facts,
    patches=patches,
    descriptors={
        "spectrum_sd": Descriptor("sd of the noise"),
        "n_spikes": Descriptor("replaced values"),
    },
    error_label="rms error per value",
    channels=channels,
    place=("grid_row", "grid_column"),
)
