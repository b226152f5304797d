"""The report of atoms."""

from collections.abc import Iterator

from invae.report import drift, images, sites
from invae.report.atoms import displacements, measured, tracks, vacancies
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
from invae.report.facts import drift_of, frame_facts, frame_words, percentage, value_of
from invae.report.figure import Result
from invae.report.kind import Descriptor, Expected, KindPage, if_group, images_of_frames
from invae.report.style import count, number, with_sd


def findings(result: Result) -> Iterator[str]:
    """Outliers, vacancies and drift."""
    summary = result["summary"]
    yield count(float(summary["n_outliers"]), "outlier")
    if "n_vacancies" in summary:
        yield count(float(summary["n_vacancies"]), "vacancy")
    if "drift_max" in summary:
        yield f"drift up to {drift_of(result)}"


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """The frames, and the number of tracked atoms, outliers and vacancies."""
    yield from frame_facts(result)
    yield from lattice(result)
    for name, words in (
        ("n_tracks", "tracked atoms"),
        ("n_outliers", "outliers"),
        ("n_vacancies", "vacancies"),
    ):
        if name in result["summary"]:
            yield words, value_of(result, name)
    if "drift_max" in result["summary"]:
        yield "largest drift", drift_of(result)


def lattice(result: Result) -> Iterator[tuple[str, str]]:
    """Lattice constants with standard errors, their angle, and the spread of local spacings."""
    summary = result["summary"]
    if "lattice_a" not in summary:
        return
    unit = {"pixel": "px"}.get(str(summary["lattice_a"].attrs["units"]), "nm")
    words = [
        f"{name} = {with_sd(*(float(summary[f'lattice_{name}{end}']) for end in ('', '_error')), most=5)} {unit}"
        for name in "ab"
    ]
    angle = f"angle {float(summary['lattice_angle']):.1f}°"
    yield "lattice constants, all atoms alike, ± standard error", ", ".join([*words, angle])
    strains = [f"{number(100 * float(summary[f'strain_{name}']), 2)} % along {name}" for name in "ab"]  # fmt: skip
    yield "local strain, sd with the error of the places", ", ".join(strains)
    if "n_outliers" in summary:
        n_frames = max(float(summary["n_frames"]), 1.0)
        n_sites = float(summary["n_sites"])
        share = float(summary["n_outliers"]) / max(n_sites, 1.0)
        yield "share of outliers (dopants among them), ± standard error", percentage(share, n_sites / n_frames)  # fmt: skip


def _has(variable: str):
    return lambda result: variable in result[""].variables


PAGE = KindPage(
    {
        "Recording": (Expected(sites.overview), if_group("tracks", drift.drift)),
        "Latent variables": (Expected(sites.glance), *ON_FRAMES, *LATENT_SPACE, POSTERIOR),
        "Measured quantities": (
            Expected(displacements.displacements, _has("displacement")),
            ASSOCIATION,
            Expected(measured.measured, _has("intensity")),
        ),
        "Outliers and vacancies": (
            Expected(sites.outliers),
            if_group("vacancies", vacancies.vacancies),
        ),
        **COMPARED,
        "Clusters": (CLASSES_ON_FRAMES, *CLASSES),
        "Changes over time": (if_group("tracks", tracks.over_time),),
        "Model quality": QUALITY,
    },
    recorded=frame_words,
    findings=findings,
    facts=facts,
    descriptors={
        "intensity": Descriptor("intensity"),
        "width": Descriptor("width"),
        "ellipticity": Descriptor("ellipticity"),
        "nearest_distance": Descriptor("nearest neighbour"),
        "mean_distance": Descriptor("three nearest, mean"),
        "displacement": Descriptor("displacement"),
        "contrast": Descriptor("contrast to the nearest"),
    },
    frames="images",
    channels=images_of_frames,
    show_background=images.show_pale_image,
)
