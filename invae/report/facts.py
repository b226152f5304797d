"""The facts at the top of a report, and its headline."""

import math
from collections.abc import Iterator

import numpy as np
import xarray as xr

from invae import dims
from invae.report.figure import Result
from invae.report.images import frames_of, length_scale, pixel_nm
from invae.report.kind import page_of
from invae.report.style import count, number, with_sd
from invae.results.reading import kind_of


def headline(result: Result) -> str:
    """The main facts, in one line."""
    own, summary = page_of(result), result["summary"]
    if own.headline is not None:
        return own.headline(result)
    name, word = ("n_classes", "class") if "n_classes" in summary else ("n_clusters", "cluster")
    n_sites = count(float(summary["n_sites"]), kind_of(result).site)
    words = [*own.recorded(result), f"{n_sites} in {count(float(summary[name]), word)}"]
    if "accuracy" in summary:
        words.append(f"class accuracy {value_of(result, 'accuracy')}")
    if "angle_score" in summary:
        words.append(f"angle agreement {value_of(result, 'angle_score')} in the worst class")
    return "; ".join([*words, *own.findings(result)]) + "."


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Names and values for the top of the page."""
    sites, summary = result[""], result["summary"]
    origin = (str(sites.attrs[name]) for name in ("modality", "format") if sites.attrs.get(name))
    yield "recording", ", ".join(origin)
    yield from page_of(result).facts(result)
    if page_of(result).only_own_facts:
        return
    yield kind_of(result).sites, value_of(result, "n_sites")
    yield "patches", page_of(result).patches(result)
    n_latents = count(sites.sizes[dims.LATENT], "content dimension")
    yield "model", f"{sites.attrs.get('family', '–')}, {n_latents}"
    yield "ELBO, held-out", value_of(result, "elbo_held_out", " nat per patch")
    yield "ELBO, training", value_of(result, "elbo_training", " nat per patch")
    if "n_classes" in summary:
        yield "model classes", value_of(result, "n_classes")
    yield "clusters", value_of(result, "n_clusters")
    yield "median reconstruction error", value_of(result, "reconstruction_error")
    yield "median error of PCA, same number of latent variables", value_of(result, "pca_error")
    for name, words in (
        ("accuracy", "class accuracy (1 = perfect)"),
        ("adjusted_rand", "adjusted Rand index (1 = perfect)"),
        ("angle_score", "angle agreement, worst class (1 = perfect)"),
        ("angle_agreement", "angle and wall direction (1 = equal up to an offset)"),
    ):
        if name in summary:
            yield words, value_of(result, name)


def frame_words(result: Result) -> Iterator[str]:
    """Number and size of the frames."""
    n_frames = count(float(result["summary"]["n_frames"]), "frame")
    yield f"{n_frames} of {field_of_view(frames_of(result))}"


def frame_facts(result: Result) -> Iterator[tuple[str, str]]:
    """Size and number of the frames."""
    frames = frames_of(result)
    yield "field of view", field_of_view(frames)
    yield "pixels", f"{frames.sizes[dims.Y]} × {frames.sizes[dims.X]}, {pixel_words(frames)}"
    yield "frames", value_of(result, "n_frames")


def pixel_words(frames: xr.Dataset) -> str:
    """The size of a pixel, along both axes if they differ: `7.87 nm along y, 3.92 nm along x`."""
    width = pixel_nm(frames)
    if width is None:
        return "not calibrated"
    rows = frames[dims.Y].to_numpy()
    height = float(rows[1] - rows[0]) if len(rows) > 1 else width
    if math.isclose(height, width, rel_tol=0.01):
        return f"{width:.4g} nm each"
    return f"{height:.4g} nm along y, {width:.4g} nm along x"


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
    """The largest drift, with its standard deviation if there is one; in nm too if the pixels are calibrated."""
    summary = result["summary"]
    scale, unit = length_scale(frames_of(result))
    in_pixels = _with_sd(summary, 1.0)
    return (
        f"{in_pixels} px" if unit == "px" else f"{_with_sd(summary, scale)} {unit} ({in_pixels} px)"
    )


def _with_sd(summary: xr.Dataset, scale: float) -> str:
    largest = scale * float(summary["drift_max"])
    if "drift_sd" in summary:
        return with_sd(largest, scale * float(summary["drift_sd"]))
    return f"{largest:.1f}"


def value_of(result: Result, name: str, unit: str = "", scale: float = 1.0) -> str:
    """A number of the summary as text; a dash if it is missing."""
    summary = result["summary"]
    return f"{number(scale * float(summary[name]))}{unit}" if name in summary else "–"
