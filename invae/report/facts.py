"""The first lines of a report: three sentences, and the facts below them."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from invae import dims
from invae.report import images
from invae.report.classes import classes_of
from invae.report.figure import Result
from invae.report.images import frames_of, length_scale, pixel_nm
from invae.report.kind import page_of
from invae.report.style import count, number, with_sd
from invae.results.reading import kind_of
from invae.verdict.findings import CONCLUSIONS, verdict_in

MOST_SHARES = 8
"""Classes whose shares are listed."""


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Names and values for the top of the page."""
    sites = result[""]
    origin = (str(sites.attrs[name]) for name in ("modality", "format") if sites.attrs.get(name))
    yield "recording", ", ".join(origin)
    yield from page_of(result).facts(result)
    if not page_of(result).only_own_facts:
        yield kind_of(result).sites, value_of(result, "n_sites")
        yield from shares(result)


def shares(result: Result) -> Iterator[tuple[str, str]]:
    """Share of the sites in every class, or cluster, with its standard error."""
    label, names = classes_of(result)
    word = "class" if "classes" in result else "cluster"
    if len(names) < 2:
        return
    n_frames = float(result["summary"]["n_frames"]) if "n_frames" in result["summary"] else 1.0
    # The same atoms and walls are seen in every frame: only the sites of one frame are independent.
    independent = len(label) / (n_frames if images.has_frames(result) else 1.0)
    parts = [
        f"{name}: {percentage(float(np.mean(label == number)), independent)}"
        for number, name in enumerate(names[:MOST_SHARES])
    ]
    yield f"share by {word}, ± standard error", "; ".join(parts)


def percentage(share: float, n_independent: float) -> str:
    """`7.9 ± 1.2 %` of so many independent sites; the binomial standard error."""
    error = math.sqrt(max(share * (1 - share), 0.0) / max(n_independent, 1.0))
    return f"{with_sd(100 * share, 100 * error)} %" if error > 0 else f"{100 * share:.3g} %"


def method(result: Result) -> Iterator[tuple[str, str]]:
    """Names and values of the model and its checks."""
    sites, summary = result[""], result["summary"]
    if page_of(result).only_own_facts:
        return
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


def sentences(result: Result) -> tuple[str, str, str]:
    """What the result shows, how sure that is, and what to do; one sentence each."""
    return _shows(result), *judged(result)


def _shows(result: Result) -> str:
    own = page_of(result)
    if own.headline is not None:
        return _sentence(own.headline(result))
    recorded = "; ".join(own.recorded(result))
    subject = f"The recording ({recorded})" if recorded else "The recording"
    return f"{subject} shows {_listed([*_counted(result), *own.findings(result)])}."


def _counted(result: Result) -> Iterator[str]:
    """Sites and classes, and their agreement with known ones."""
    summary = result["summary"]
    name, word = ("n_classes", "class") if "n_classes" in summary else ("n_clusters", "cluster")
    n_sites = count(float(summary["n_sites"]), kind_of(result).site)
    yield f"{n_sites} in {count(float(summary[name]), word)}"
    if "accuracy" in summary:
        yield f"class accuracy {value_of(result, 'accuracy')}"
    if "angle_score" in summary:
        yield f"angle agreement {value_of(result, 'angle_score')} in the worst class"


def judged(result: Result) -> tuple[str, str]:
    """How sure the result is, and what to do, from the verdict."""
    verdict = verdict_in(result[""].attrs)
    if verdict is None:
        return (
            "This version of the result has no verdict, so its reliability is not known.",
            "Run `invae run` again to get one.",
        )
    n_checks = count(len(verdict.findings), "check")
    if not verdict.concerns:
        return (
            f"{CONCLUSIONS[verdict.light].capitalize()}: it passed {n_checks}.",
            "Use it, and look at single sites in the view below before you draw conclusions from them.",
        )
    first, conclusion = verdict.concerns[0], CONCLUSIONS[verdict.light].capitalize()
    remedy = first.what_to_do or "Compare the result with another recording or another seed"
    raised = (
        "raises a concern: " if len(verdict.concerns) == 1 else "raise concerns; the first is that "
    )
    words = f"{len(verdict.concerns)} of {n_checks} {raised}{first.what}"
    return f"{conclusion}: {words}.", _sentence(remedy)


def _sentence(words: str) -> str:
    """Words with a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def _listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def size_facts(result: Result, name: str, word: str) -> Iterator[tuple[str, str]]:
    """Median and quartiles of the diameters of domains or grains."""
    summary = result["summary"]
    if f"{name}_diameter" not in summary:
        return
    middle, low, high = (
        number(float(summary[f"{name}_diameter{end}"])) for end in ("", "_low", "_high")
    )
    unit = {"pixel": "px"}.get(str(summary[f"{name}_diameter"].attrs["units"]), "nm")
    n_areas = number(float(summary[f"n_{name}s"]))
    words = (
        f"median {middle} {unit}, half of them {low} to {high} {unit} ({n_areas} inside the image)"
    )
    yield f"diameter of {word}", words


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
        height = width
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
    return number(largest, 2)


def value_of(result: Result, name: str, unit: str = "", scale: float = 1.0) -> str:
    """A number of the summary as text; a dash if it is missing."""
    summary = result["summary"]
    return f"{number(scale * float(summary[name]))}{unit}" if name in summary else "–"
