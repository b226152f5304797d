"""The report of a 4D-STEM scan."""

from collections.abc import Iterator

from invae import dims
from invae.report.contents import (
    CLASSES,
    COMPARED,
    LATENT_SPACE,
    POSTERIOR,
    QUALITY,
    has_three_dimensions,
)
from invae.report.diffraction import grains, scan
from invae.report.facts import field_of_view, pixel_words, size_facts, value_of
from invae.report.figure import Result
from invae.report.kind import Channel, Expected, KindPage
from invae.report.style import count


def recorded(result: Result) -> Iterator[str]:
    """Size of the scan, and number of surprising regions."""
    yield f"scan of {field_of_view(scan.maps_of(result))}"
    if "grains" in result:
        yield count(result["grains"].sizes["grain"], "grain")
    yield count(float(result["summary"]["n_surprises"]), "surprising region")


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Scan, detector and surprise."""
    maps, patterns = scan.maps_of(result), result["scan"]
    yield "field of view", field_of_view(maps)
    yield "scan", f"{maps.sizes[dims.Y]} × {maps.sizes[dims.X]} probes, {pixel_words(maps)}"
    yield "detector", f"{patterns.sizes[dims.K_Y]} × {patterns.sizes[dims.K_X]} px"
    yield from grains.facts(result)
    yield from size_facts(result, "area", "areas of one cluster")
    yield "surprising regions", value_of(result, "n_surprises")
    yield "largest surprise", value_of(result, "surprise_max", " sd")


def channels(result: Result) -> Iterator[Channel]:
    """Images of the virtual detectors."""
    maps = scan.maps_of(result)
    for name, title in (
        ("haadf", "HAADF"),
        ("abf", "ABF"),
        ("bf", "bright field"),
        ("com_r", "centre of mass, magnitude"),
        ("surprise_map", "surprise"),
    ):
        if name in maps:
            yield Channel(title, maps[name])


GRAINS = (grains.overview, grains.patterns, grains.statistics, grains.strain)

PAGE = KindPage(
    {
        "Grains": tuple(Expected(draw, grains.has_lattices) for draw in GRAINS),
        "Scan": (Expected(scan.panels), Expected(scan.surprises), Expected(scan.detector)),
        "Latent variables": (
            *LATENT_SPACE,
            Expected(scan.colours, has_three_dimensions),
            POSTERIOR,
        ),
        **COMPARED,
        "Clusters": CLASSES,
        "Model quality": (*QUALITY, Expected(scan.comparison)),
    },
    recorded=recorded,
    facts=facts,
    channels=channels,
)
