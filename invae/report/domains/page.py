"""The report of domains and their walls."""

from collections.abc import Iterator

import xarray as xr
from matplotlib.axes import Axes

from invae.report import drift, images
from invae.report.contents import (
    ASSOCIATION,
    CLASSES,
    CLASSES_ON_FRAMES,
    COMPARED,
    LATENT_SPACE,
    ON_FRAMES,
    POSTERIOR,
    QUALITY,
)
from invae.report.domains import (
    changes,
    events,
    forces,
    frames,
    latent_motion,
    orientation,
    walls,
)
from invae.report.facts import drift_of, frame_facts, frame_words, size_facts, value_of
from invae.report.figure import Result
from invae.report.kind import Channel, Descriptor, Expected, KindPage, if_group
from invae.report.style import number


def recorded(result: Result) -> Iterator[str]:
    """Frames and walls."""
    yield from frame_words(result)
    if "n_walls" in result["summary"]:
        yield f"{number(float(result['summary']['n_walls']), 2)} walls per frame"


def findings(result: Result) -> Iterator[str]:
    """Drift, and the masked share."""
    summary = result["summary"]
    if "drift_max" in summary:
        yield f"drift up to {drift_of(result)}"
    yield f"{number(100 * float(summary['masked_share']))} % of the area masked"


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Frames, domains, walls, masks and drift."""
    yield from frame_facts(result)
    yield "domain fraction (positive polarization)", value_of(result, "domain_fraction", " %", 100)
    yield from orientation.length_of_walls(result)
    yield from size_facts(result, "domain", "domains")
    if result["maps"].attrs.get("signals"):
        yield "channels", str(result["maps"].attrs["signals"])
    yield "masked area", value_of(result, "masked_share", " %", 100)
    yield "walls per frame", value_of(result, "n_walls")
    if "drift_max" in result["summary"]:
        yield "largest drift", drift_of(result)


def show_background(axis: Axes, maps: xr.Dataset, index: int) -> None:
    """Draw the polarization in pale grey, with hatched masks."""
    image = maps["polarization"][index].to_numpy()
    axis.imshow(image, cmap="Greys_r", vmin=-4.5, vmax=1.2, aspect=axis.get_aspect())
    images.hatch(axis, ~maps["valid"][index].to_numpy())


def channels(result: Result) -> Iterator[Channel]:
    """Polarization, amplitude and height; masked pixels are left out of the polarization."""
    maps = result["maps"]
    yield Channel("polarization", maps["polarization"].where(maps["valid"]))
    for name in ("amplitude", "height"):
        if name in maps:
            yield Channel(name, maps[name])


def _is_series(result: Result) -> bool:
    return "quantities" in result


PAGE = KindPage(
    {
        "Recording": (
            Expected(orientation.rose),
            Expected(frames.overview),
            Expected(frames.signals),
            Expected(walls.detectors),
            Expected(walls.layers),
            Expected(drift.drift),
        ),
        "Latent variables": (
            *ON_FRAMES,
            *LATENT_SPACE,
            Expected(latent_motion.by_descriptor),
            Expected(latent_motion.arrows, latent_motion.has_steps),
            POSTERIOR,
        ),
        "Measured quantities": (ASSOCIATION,),
        **COMPARED,
        "Clusters": (CLASSES_ON_FRAMES, *CLASSES),
        "Changes over time": (
            Expected(changes.transitions),
            Expected(changes.over_time),
            Expected(changes.residence),
        ),
        "Forces and switching": (
            Expected(forces.maps, _is_series),
            Expected(forces.over_time, _is_series),
            if_group("events", events.events),
            if_group("switching", events.growth),
            if_group("roughness", events.roughness),
        ),
        "Model quality": QUALITY,
    },
    recorded=recorded,
    findings=findings,
    facts=facts,
    descriptors={
        "wall_count": Descriptor("walls in the window"),
        "domain_fraction": Descriptor("domain fraction"),
        "switching_degree": Descriptor("switching degree"),
        "wall_curvature": Descriptor("wall curvature", signed=True),
        "domain_convexity": Descriptor("domain convexity", signed=True),
        "switch_significance": Descriptor("switch significance"),
    },
    frames="maps",
    channels=channels,
    show_background=show_background,
    error_label="rms error / typical amplitude",
)
