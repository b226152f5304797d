"""The HTML page: one file, nothing loaded from elsewhere, everything that came with a recording escaped."""

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.errors import visible
from invae.report import style
from invae.report.atoms.sites import named_outliers
from invae.report.diffraction.scan import maps_of
from invae.report.figure import Result
from invae.report.images import frames_of, has_frames, pixel_nm
from invae.report.latent_plane import DESCRIPTORS
from invae.storage.provenance import Receipt

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser loads nothing and runs nothing, whatever a name in a recording says."""


def escape(text: str, *, quote: bool = True) -> str:
    """Text as a browser shows it, whatever it is."""
    return html.escape(visible(text), quote=quote)


@dataclass(frozen=True)
class Shown:
    """A figure as it goes into the page."""

    name: str
    title: str
    how_to_read: str
    numbers: str
    png: bytes
    width: int
    """Width on the page [CSS pixel]."""


def page(
    result: Result,
    sections: Mapping[str, Sequence[Shown]],
    left_out: Sequence[str],
    *,
    title: str,
    receipts: Sequence[Receipt],
) -> str:
    """The whole page.

    Args:
        result: groups of the result.
        sections: title of a section → its figures.
        left_out: which figures are not there, and why.
        title: of the page; escaped.
        receipts: of the result and of the report.
    """
    notes = [str(note) for note in result[""].attrs.get("notes", [])]
    parts = [
        f"<header><h1>{escape(title)}</h1><p class='lead'>{escape(headline(result))}</p></header>",
        _summary(result),
        _list("Notes", notes),
        _contents(sections),
        *(_section(name, figures, result) for name, figures in sections.items() if figures),
        _list("Left out", left_out),
        _provenance(receipts),
    ]
    css = files("invae.report").joinpath("page.css").read_text()
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{css}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def headline(result: Result) -> str:
    """What was found, in one sentence."""
    summary, words = result["summary"], []
    if has_frames(result):
        view = field_of_view(frames_of(result))
        words.append(f"{_count(summary, 'n_frames', 'frame')} of {view}")
    if "n_walls" in summary:
        words.append(f"{style.number(float(summary['n_walls']), 2)} walls in a frame")
    classes = _count(summary, "n_classes" if "n_classes" in summary else "n_clusters", "class")
    if "scan" in result:
        words.append(f"a scan of {field_of_view(maps_of(result))}")
    if "n_surprises" in summary:
        words.append(_count(summary, "n_surprises", "surprising place"))
    what = _what(result)
    words.append(f"{_count(summary, 'n_sites', what)} in {classes}")
    if "accuracy" in summary:
        words.append(f"accuracy {style.number(float(summary['accuracy']))}")
    if "angle_score" in summary:
        words.append(f"angle {style.number(float(summary['angle_score']))} of 1 in the worst class")
    if "n_outliers" in summary:
        words.append(f"{style.number(float(summary['n_outliers']))} unlike their likes")
    if "n_vacancies" in summary:
        words.append(_count(summary, "n_vacancies", "empty site"))
    if "drift_max" in summary:
        words.append(f"drift up to {_with_sd(summary, 'drift_max', 'drift_sd')} px")
    if "masked_share" in summary:
        words.append(f"{style.number(100 * float(summary['masked_share']))} % masked")
    return "; ".join(words) + "."


def _what(result: Result) -> str:
    """What a site is."""
    if "scan" in result:
        return "site"
    if not has_frames(result):
        return "image"
    kinds = result[""]["kind"].to_numpy()
    return "atom" if (kinds == dims.KINDS.index("atom")).all() else "site"


def _count(summary: xr.Dataset, name: str, word: str) -> str:
    """`1 class`, `4 classes`."""
    count = float(summary[name])
    plural = "" if count == 1 else "es" if word.endswith("s") else "s"
    return f"{style.number(count)} {word}{plural}"


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


def _with_sd(summary: xr.Dataset, name: str, sd: str) -> str:
    value = float(summary[name])
    return _pair(value, float(summary[sd])) if sd in summary else f"{value:.1f}"


def _summary(result: Result) -> str:
    rows = [(escape(name), escape(value)) for name, value in _facts(result)]
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f"<dl class='facts'>{cells}</dl>"


def _facts(result: Result) -> Iterable[tuple[str, str]]:
    """Name and value of what stands at the top."""
    sites, summary = result[""], result["summary"]
    yield (
        "recording",
        ", ".join(str(sites.attrs.get(k)) for k in ("modality", "format") if sites.attrs.get(k)),
    )
    if has_frames(result):
        yield from _facts_of_frames(frames_of(result), summary)
    if "scan" in result:
        yield from _facts_of_scan(result)
    yield f"{_what(result)}s", _known(summary, "n_sites")
    channels = ", ".join(str(name) for name in sites.attrs.get("channels", []))
    yield "patches", f"{sites.attrs.get('window', '–')} px; channels {channels}"
    yield (
        "model",
        f"{sites.attrs.get('family', '–')}, {sites.sizes[dims.LATENT]} content dimension(s)",
    )
    yield "ELBO, held out", _known(summary, "elbo_held_out", " nat per patch")
    yield "ELBO, trained on", _known(summary, "elbo_training", " nat per patch")
    if "n_classes" in summary:
        yield "classes of the model", _known(summary, "n_classes")
    yield "classes" if "n_classes" not in summary else "clusters", _known(summary, "n_clusters")
    yield "reconstruction error", _known(summary, "reconstruction_error")
    yield "the same, principal components", _known(summary, "pca_error")
    for name, words in (
        ("accuracy", "accuracy of the classes"),
        ("adjusted_rand", "adjusted Rand index"),
        ("angle_score", "angle, worst class"),
        ("angle_agreement", "angle follows wall"),
    ):
        if name in summary:
            yield words, f"{_known(summary, name)} of 1"


def _facts_of_frames(maps: xr.Dataset, summary: xr.Dataset) -> Iterable[tuple[str, str]]:
    size = pixel_nm(maps)
    yield "field of view", field_of_view(maps)
    pixel = f"{size:.4g} nm each" if size else "not calibrated"
    yield "pixels", f"{maps.sizes[dims.Y]} × {maps.sizes[dims.X]}, {pixel}"
    yield "frames", _known(summary, "n_frames")
    if "masked_share" in summary:
        yield "masked", _known(summary, "masked_share", " %", 100)
    if "n_walls" in summary:
        yield "walls in a frame", _known(summary, "n_walls")
    if "n_tracks" in summary:
        yield "atoms followed in time", _known(summary, "n_tracks")
    if "n_outliers" in summary:
        yield "unlike their likes", _known(summary, "n_outliers")
    if "n_vacancies" in summary:
        yield "empty sites", _known(summary, "n_vacancies")
    if "drift_max" in summary:
        yield "largest drift", f"{_with_sd(summary, 'drift_max', 'drift_sd')} px"


def _facts_of_scan(result: Result) -> Iterable[tuple[str, str]]:
    maps, scan = maps_of(result), result["scan"]
    yield "field of view", field_of_view(maps)
    yield "probes", f"{maps.sizes[dims.Y]} × {maps.sizes[dims.X]}"
    yield "detector", f"{scan.sizes[dims.K_Y]} × {scan.sizes[dims.K_X]} px"
    yield "surprising places", _known(result["summary"], "n_surprises")
    yield "largest surprise", _known(result["summary"], "surprise_max", " sd")


def _known(summary: xr.Dataset, name: str, unit: str = "", scale: float = 1.0) -> str:
    return f"{style.number(scale * float(summary[name]))}{unit}" if name in summary else "–"


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<section class='aside'><h2>{escape(title)}</h2><ul>{items}</ul></section>"


def _contents(sections: Mapping[str, Sequence[Shown]]) -> str:
    links = "".join(
        f"<li><a href='#{_anchor(name)}'>{escape(name)}</a></li>"
        for name, figures in sections.items()
        if figures
    )
    return f"<nav><ul>{links}<li><a href='#provenance'>Provenance</a></li></ul></nav>"


def _anchor(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def _section(name: str, figures: Sequence[Shown], result: Result) -> str:
    body = "\n".join(_figure(shown) for shown in figures)
    names = {shown.name for shown in figures}
    above = _class_table(result) if "classes" in names else ""
    below = _outlier_table(result) if "outliers" in names else ""
    return f"<section id='{_anchor(name)}'><h2>{escape(name)}</h2>{above}{body}{below}</section>"


def _figure(shown: Shown) -> str:
    data = base64.b64encode(shown.png).decode()
    alt = escape(f"{shown.title}. {shown.numbers}", quote=True)
    numbers = f"<p class='numbers'>{escape(shown.numbers)}</p>" if shown.numbers else ""
    return (
        f"<figure id='{escape(shown.name, quote=True)}'><h3>{escape(shown.title)}</h3>"
        f"<img alt='{alt}' style='width:{shown.width}px' src='data:image/png;base64,{data}'>"
        f"<figcaption><p><b>How to read it.</b> {escape(shown.how_to_read)}</p>{numbers}</figcaption></figure>"
    )


def _class_table(result: Result) -> str:
    """Mean ± sd of every descriptor in every class."""
    sites = result[""]
    label = sites["cluster"].to_numpy()
    known = [
        name for name in DESCRIPTORS if name in sites and np.isfinite(sites[name].to_numpy()).any()
    ]
    heads = [style.in_units(DESCRIPTORS[name], sites[name].attrs.get("units")) for name in known]
    rows = []
    for number in range(sites.sizes["cluster_name"]):
        here = label == number
        cells = [str(number + 1), style.number(float(here.sum()))]
        cells += [_mean_and_sd(sites[name].to_numpy()[here]) for name in known]
        rows.append(cells)
    table = _table(["class", "sites", *heads], rows)
    return f"<div class='wide'>{table}<p class='numbers'>Mean ± standard deviation over the sites of a class.</p></div>"


def _outlier_table(result: Result) -> str:
    """The strongest outliers, numbered as in the picture."""
    return f"<div class='wide'>{_table(*named_outliers(result))}</div>"


def _mean_and_sd(values: np.ndarray) -> str:
    """Mean ± standard deviation of what is known."""
    values = values[np.isfinite(values)]
    if not values.size:
        return "–"
    return _pair(float(values.mean()), float(values.std()))


def _pair(mean: float, sd: float) -> str:
    """`0.594 ± 0.13`, with as many decimals as the spread deserves."""
    size = sd if sd > 1e-3 * abs(mean) else abs(mean)
    decimals = min(4, max(0, 1 - math.floor(math.log10(size)))) if size > 0 else 0
    return f"{mean:.{decimals}f} ± {sd:.{decimals}f}".replace("-", "−")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _provenance(receipts: Sequence[Receipt]) -> str:
    first = receipts[0]
    sources = _table(
        ["source", "bytes", "SHA-256"],
        [
            [source.name, style.number(float(source.n_bytes)), source.sha256]
            for source in first.sources
        ],
    )
    stages = _table(
        ["stage", "made", "key", "code"],
        [[receipt.stage, receipt.created, receipt.key, receipt.code] for receipt in receipts],
    )
    versions = _table(["package", "version"], [[str(k), str(v)] for k, v in first.versions.items()])
    facts = _table(
        ["setting", "value"],
        [
            [
                "configuration",
                f"{first.config.get('name', '–')} version {first.config.get('version', '–')}",
            ],
            ["hash of the configuration", first.config_hash],
            ["seed", str(first.seed)],
            *[[f"key of {stage}", key] for stage, key in first.inputs.items()],
        ],
    )
    config = escape(_json(first.config))
    return (
        "<section id='provenance' class='provenance'><h2>Provenance</h2>"
        f"{sources}{stages}{facts}{versions}"
        f"<details><summary>Whole configuration (JSON)</summary><pre>{config}</pre></details></section>"
    )


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False)
