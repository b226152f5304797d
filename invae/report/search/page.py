"""The page of an active measurement."""

import json
from collections.abc import Iterator
from pathlib import Path

from invae.config import ReportConfig
from invae.report import style, write_drawing
from invae.report.facts import judged
from invae.report.figure import LeftOut, Result
from invae.report.page import TEMPLATE, Section, Shown, code, environment, provenance
from invae.report.search.panels import FIGURES
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.verdict.findings import verdict_in


def write_page(
    result: Result, target: Path, *, config: ReportConfig, receipt: Receipt, title: str
) -> Path:
    """Write `index.html` and `figures/`; an earlier report is replaced when this one is complete. Returns the page.

    Args:
        result: Groups of the outcome.
        target: The folder to make.
        config: Resolution, colours, formats.
        receipt: Of the search.
        title: Of the page.
    """
    partial = store.begin(target, receipt.key)
    sections: dict[str, list[Shown]] = {}
    left_out: list[str] = []
    with store.writing(target):
        (partial / "figures").mkdir(exist_ok=True)
        for name, draws in FIGURES.items():
            sections[name] = []
            for draw in draws:
                with style.applied(config.dpi):
                    try:
                        drawing = draw(result, config)
                    except LeftOut as absent:
                        left_out.append(str(absent))
                    else:
                        sections[name].append(write_drawing(drawing, partial / "figures", config))
        text = _page(result, sections, left_out, title=title, receipt=receipt)
        (partial / "index.html").write_text(text, encoding="utf-8", newline="\n")
    store.publish(partial, target, receipt)
    return target / "index.html"


def _page(
    result: Result,
    sections: dict[str, list[Shown]],
    left_out: list[str],
    *,
    title: str,
    receipt: Receipt,
) -> str:
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            code=code(),
            title=title,
            sentences=(headline(result), *judged(result)),
            verdict=verdict_in(result[""].attrs),
            facts=list(facts(result)),
            method=[],
            notes=[str(note) for note in result[""].attrs["notes"]],
            sections=[Section(name, figures) for name, figures in sections.items() if figures],
            left_out=left_out,
            tables=provenance([receipt]),
            configuration=json.dumps(receipt.config, indent=1, ensure_ascii=False),
        )
    )


def headline(result: Result) -> str:
    """Whether the target can be learned, then the best value and why the search ended."""
    attrs, measured = result[""].attrs, result["measured"]
    best = style.number(float(measured["best"][-1]))
    n = style.count(measured.sizes["observation"], "measurement")
    return (
        f"{attrs['learnable']}. {n}; best {attrs['target']}: {best} {attrs['units']}; stopped by "
        f"{attrs['why_stopped'] or 'nothing yet'}."
    )


def facts(result: Result) -> Iterator[tuple[str, str]]:
    """Names and values for the top of the page."""
    sites, measured = result[""], result["measured"]
    yield "candidates", style.number(sites.sizes["site"])
    yield "measurements", style.number(measured.sizes["observation"])
    yield "not usable", style.number(int((~measured["valid"].to_numpy().astype(bool)).sum()))
    yield "target", f"{sites.attrs['direction']} {sites.attrs['target']}"
    yield "surrogate", str(sites.attrs["surrogate"])
    yield "stopped by", str(sites.attrs["why_stopped"] or "nothing yet")
