"""The page of a result of pairs."""

from collections.abc import Iterator

from invae.report.facts import value_of
from invae.report.figure import Result
from invae.report.kind import Expected, KindPage, if_group
from invae.report.pairs import designs, maps, partners, predictions
from invae.report.pairs.axes import places, spectral_axis
from invae.report.style import count, number
from invae.verdict.findings import verdict_in


def headline(result: Result) -> str:
    """Number of pairs, the verdict and the coverage."""
    summary = result["summary"]
    n_pairs = count(float(summary["n_sites"]), "pair")
    level = f"{100 * float(result[''].attrs['coverage']):g} %"
    found = verdict_in(result[""].attrs)
    sentence = str(result[""].attrs["verdict"]) if found is None else found.findings[0].what
    return f"{n_pairs}; {sentence}; {level} intervals hold {100 * float(summary['coverage']):.0f} % of the values."


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Names and values for the top of the page."""
    sites, summary = result[""], result["summary"]
    axis, label = places(result)
    units = {"peak_error": result["pairs"][spectral_axis(result)].attrs.get("units", "")}
    yield "pairs", value_of(result, "n_sites")
    yield (
        "patches",
        f"{sites.attrs['window']} px; channels {', '.join(map(str, sites.attrs['channels']))}",
    )
    yield (
        "spectra",
        f"{label}, {number(float(axis[0]))} to {number(float(axis[-1]))}, {len(axis)} values",
    )
    yield "model", f"{sites.attrs['family']}, {count(float(sites.attrs['n_members']), 'network')}, {count(float(sites.attrs['latent_dim']), 'latent variable')}"  # fmt: skip
    yield "held out by", str(sites.attrs["held_out_by"])
    yield "R² of held-out spectra", value_of(result, "r2")
    for name, words in (
        ("r2_truth", "R² against spectra without noise"),
        ("r2_ceiling", "R² if only the noise were left"),
        ("relative_error", "median relative error"),
        ("peak_error", "median peak error"),
        ("coverage", "values inside their interval"),
        ("reliability", "correlation of repetitions"),
        ("recall_1", "spectra whose image is the nearest"),
        ("recall_10", "spectra whose image is among the nearest ten"),
        ("design_error", "relative error of one image made for a spectrum"),
        ("design_error_of_eight", "of the best of eight"),
        ("design_error_nearest", "of the nearest training spectrum"),
    ):
        if name in summary:
            yield words, value_of(result, name, f" {units[name]}" if name in units else "")


def has_networks(result: Result) -> bool:
    """Whether the model has networks beside its Gaussian process."""
    return result["training"].sizes.get("member", 0) > 0


PAGE = KindPage(
    {
        "Pairs": (Expected(predictions.overview), if_group("reliability", predictions.repeated)),
        "Predicted spectra": (
            Expected(predictions.examples),
            Expected(predictions.by_place),
            Expected(predictions.scores),
        ),
        "Maps": (Expected(maps.band),),
        "Images made for spectra": (
            if_group("designs", designs.made),
            if_group("designs", designs.errors),
        ),
        "Latent variables": (
            if_group("directions", maps.plane),
            if_group("partners", partners.both_planes),
            if_group("partners", partners.found),
            if_group("numbers", partners.numbers),
        ),
        "Model quality": (Expected(predictions.training, has_networks),),
    },
    facts=facts,
    headline=headline,
    only_own_facts=True,
)
