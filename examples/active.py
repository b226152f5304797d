"""Figures of active measurement on a simulated map of energy losses: path, map and best sites beside random ones, into docs/.

    python -m examples.active --out docs

One map and three starts take a minute. The figures show what a search does, the scoreboard (benchmarks/) how good it is.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.trials.active import Pool, plasmons, searched
from invae.active import Search
from invae.active.outcome import outcome
from invae.config import ReportConfig
from invae.report import as_bytes, style
from invae.report.search import panels

DPI = 90
MAP, STARTS = 1, (0, 1, 2)
METHODS: Mapping[str, Mapping[str, str]] = {
    "Gaussian process": {},
    "best map": {"acquisition": "variance"},
    "random sites": {"surrogate": "random"},
}


def found_so_far(search: Search, target: np.ndarray) -> np.ndarray:
    """Share of the best 1 % of all sites that is measured, after every measurement."""
    top = np.argsort(-target)[: max(1, round(0.01 * len(target)))]
    return np.cumsum(np.isin([one.candidate for one in search.history], top)) / len(top)


def beside_random(pool: Pool, searches: Mapping[str, Sequence[Search]]) -> Figure:
    """Share of the best sites, mean over the starts, for every method."""
    figure = style.new_figure(2.8)
    axis = figure.subplots()
    colours = (style.ACCENT, style.SECOND, style.MUTED)
    for (name, several), colour in zip(searches.items(), colours, strict=True):
        shares = np.mean([found_so_far(one, pool.target) for one in several], axis=0)
        axis.plot(np.arange(1, len(shares) + 1), shares, color=colour, label=name)
        print(f"{name}: {shares[-1]:.2f} of the best 1 % with {len(shares)} measurements")
    axis.set(xlabel="measurements", ylabel="share of the best 1 % of the sites", ylim=(0, 1))
    axis.legend(fontsize=8)
    return figure


def main() -> None:
    """Search, draw, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the pages")
    out: Path = parser.parse_args().out / "images" / "active"
    out.mkdir(parents=True, exist_ok=True)
    pool = plasmons(MAP)
    searches = {
        name: [searched(pool, start, **options) for start in STARTS]
        for name, options in METHODS.items()
    }
    first = searches["Gaussian process"][0]
    result = outcome(first, first.stop)
    with style.applied(DPI):
        write(beside_random(pool, searches), out / "beside_random.png")
        for draw in (panels.path, panels.predicted_map, panels.calibration):
            drawing = draw(result, ReportConfig())
            write(drawing.figure, out / f"{drawing.name}.png")
    print(out)


def write(figure: Figure, file: Path) -> None:
    """Write a figure; equal figures are equal bytes."""
    file.write_bytes(as_bytes(figure, "png"))


if __name__ == "__main__":
    main()
