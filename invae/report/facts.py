"""The facts at the top of a report, and its headline."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from invae import dims
from invae.report.figure import Result
from invae.report.images import frames_of, pixel_nm
from invae.report.kind import page_of
from invae.report.style import count, number, with_sd
from invae.results.reading import kind_of


def headline(result: Result) -> str:
    """What was found, in one sentence."""
    own, summary = page_of(result), result["summary"]
    n_classes = float(summary["n_classes" if "n_classes" in summary else "n_clusters"])
    n_sites = count(float(summary["n_sites"]), kind_of(result).site)
    words = [*own.recorded(result), f"{n_sites} in {count(n_classes, 'class')}"]
    if "accuracy" in summary:
        words.append(f"accuracy {number(float(summary['accuracy']))}")
    if "angle_score" in summary:
        words.append(f"angle {number(float(summary['angle_score']))} of 1 in the worst class")
    return "; ".join([*words, *own.findings(result)]) + "."


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Name and value of what stands at the top."""
    sites, summary = result[""], result["summary"]
    told = (str(sites.attrs[name]) for name in ("modality", "format") if sites.attrs.get(name))
    yield "recording", ", ".join(told)
    yield from page_of(result).facts(result)
    yield kind_of(result).sites, value_of(result, "n_sites")
    channels = ", ".join(str(name) for name in sites.attrs.get("channels", []))
    yield "patches", f"{sites.attrs.get('window', '–')} px; channels {channels}"
    n_latents = sites.sizes[dims.LATENT]
    yield "model", f"{sites.attrs.get('family', '–')}, {n_latents} content dimension(s)"
    yield "ELBO, held out", value_of(result, "elbo_held_out", " nat per patch")
    yield "ELBO, trained on", value_of(result, "elbo_training", " nat per patch")
    if "n_classes" in summary:
        yield "classes of the model", value_of(result, "n_classes")
    yield "classes" if "n_classes" not in summary else "clusters", value_of(result, "n_clusters")
    yield "reconstruction error", value_of(result, "reconstruction_error")
    yield "the same, principal components", value_of(result, "pca_error")
    for name, words in (
        ("accuracy", "accuracy of the classes"),
        ("adjusted_rand", "adjusted Rand index"),
        ("angle_score", "angle, worst class"),
        ("angle_agreement", "angle follows wall"),
    ):
        if name in summary:
            yield words, f"{value_of(result, name)} of 1"


def frame_words(result: Result) -> Iterator[str]:
    """Number and size of the frames."""
    n_frames = count(float(result["summary"]["n_frames"]), "frame")
    yield f"{n_frames} of {field_of_view(frames_of(result))}"


def frame_facts(result: Result) -> Iterator[tuple[str, str]]:
    """Size and number of the frames."""
    frames = frames_of(result)
    size = pixel_nm(frames)
    yield "field of view", field_of_view(frames)
    pixel = f"{size:.4g} nm each" if size else "not calibrated"
    yield "pixels", f"{frames.sizes[dims.Y]} × {frames.sizes[dims.X]}, {pixel}"
    yield "frames", value_of(result, "n_frames")


def field_of_view(maps: xr.Dataset) -> str:
    """`2.00 × 2.00 µm`, or pixels if the recording is not calibrated."""
    height, width = maps.sizes[dims.Y], maps.sizes[dims.X]
    if pixel_nm(maps) is None:
        return f"{height} × {width} px"
    sides = [
        float(np.ptp(maps[name].to_numpy())) * n / max(n - 1, 1)
        for name, n in ((dims.Y, height), (dims.X, width))
    ]
    scale, unit = (1000, "µm") if max(sides) >= 1000 else (1, "nm")
    return f"{sides[0] / scale:.3g} × {sides[1] / scale:.3g} {unit}"


def drift_of(result: Result) -> str:
    """The largest drift, with its standard deviation where that is known."""
    summary = result["summary"]
    largest = float(summary["drift_max"])
    if "drift_sd" in summary:
        return f"{with_sd(largest, float(summary['drift_sd']))} px"
    return f"{largest:.1f} px"


def value_of(result: Result, name: str, unit: str = "", scale: float = 1.0) -> str:
    """A number of the summary as text; a dash where it is not known."""
    summary = result["summary"]
    return f"{number(scale * float(summary[name]))}{unit}" if name in summary else "–"
