"""A result as one HTML page, with every figure also as a file."""

import io
from collections.abc import Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from invae.config import ComputeConfig, ReportConfig
from invae.errors import ConfigError, StoreError
from invae.progress import Progress, silent
from invae.report import style
from invae.report.contents import figures_of
from invae.report.explorer.payload import payload
from invae.report.figure import Drawing, LeftOut, Result
from invae.report.page import Shown, page
from invae.results.reading import open_result
from invae.storage import store
from invae.storage.provenance import Receipt

CSS_PIXELS = 104
"""Width of an inch of a figure on the page [CSS pixel]; the resolution of the picture is `dpi`."""
UNDATED: Mapping[str, Mapping[str, None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}
"""Metadata to leave out: dates would make the files of equal figures differ."""


def report(
    result: Path,
    target: Path,
    *,
    config: ReportConfig,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write `index.html`, which needs no other file, and `figures/`.

    Args:
        result: a finished result.zarr.
        target: the folder to make.
        config: title, resolution, colours, formats.
        receipt: of the report.
        compute: not used; figures are drawn one after the other.
        progress: called with the number of figures drawn.

    Raises:
        StoreError: there is no finished result at `result`.
        ConfigError: there is no colour map of that name.
    """
    if config.colormap not in matplotlib.colormaps:
        raise ConfigError(f"report.colormap {config.colormap!r} does not exist; viridis does")
    analysed = store.read_receipt(result)
    if analysed is None:
        raise StoreError(f"{result} is missing or unfinished; run `invae analyse` first")
    groups = open_result(result)
    partial = store.begin(target, receipt.key)
    with store.writing(target):
        (partial / "figures").mkdir(exist_ok=True)
        figures = partial / "figures"
        sections, left_out = _draw_all(groups, figures, config=config, progress=progress)
        title = config.title or analysed.recording
        text = page(
            groups,
            sections,
            left_out,
            title=title,
            receipts=[analysed, receipt],
            explorer=payload(groups, colormap=config.colormap),
        )
        # The digests in the page's policy are those of line ends without a carriage return.
        (partial / "index.html").write_text(text, encoding="utf-8", newline="\n")
    store.publish(partial, target, receipt)


def _draw_all(
    groups: Result, folder: Path, *, config: ReportConfig, progress: Progress
) -> tuple[dict[str, list[Shown]], list[str]]:
    """Draw and write all figures; returns them by section, and the reasons of those that are left out."""
    expected = figures_of(groups)
    sections: dict[str, list[Shown]] = {name: [] for name in expected}
    left_out: list[str] = []
    draws = [(name, draw) for name, section in expected.items() for draw in section]
    for done, (name, draw) in enumerate(draws, start=1):
        with style.applied(config.dpi):
            try:
                drawing = draw(groups, config)
            except LeftOut as absent:
                left_out.append(str(absent))
            else:
                sections[name].append(write_drawing(drawing, folder, config))
        progress(done, len(draws))
    return sections, left_out


def write_drawing(drawing: Drawing, folder: Path, config: ReportConfig) -> Shown:
    """Write the figure in the chosen formats; returns it as it goes into the page."""
    png = as_bytes(drawing.figure, "png")
    for suffix in config.formats:
        content = png if suffix == "png" else as_bytes(drawing.figure, suffix)
        (folder / f"{drawing.name}.{suffix}").write_bytes(content)
    width = round(drawing.figure.get_figwidth() * CSS_PIXELS)
    words = (drawing.name, drawing.title, drawing.how_to_read, drawing.numbers)
    return Shown(*words, png, width, drawing.table)


def as_bytes(figure: Figure, suffix: str) -> bytes:
    """The figure as a file of that format; equal figures are equal bytes."""
    with io.BytesIO() as stream:
        figure.savefig(stream, format=suffix, metadata=dict(UNDATED[suffix]))
        return stream.getvalue()


__all__ = ["Result", "as_bytes", "report", "write_drawing"]
