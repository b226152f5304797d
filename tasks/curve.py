"""The training curve: a drawing in the Prefect UI, redrawn every few seconds during training."""

import math
import time
from collections.abc import Sequence

from tasks.artifacts import LivePicture, key_of

SECONDS_BETWEEN_DRAWINGS = 4.0
WIDTH, HEIGHT, MARGIN = 640, 320, 48
"""Size of the drawing and of the margin around its axes [px]."""

COLOURS = {"training": "#4c72b0", "held out": "#c44e52"}


class LiveCurve:
    """ELBO per patch, or another measure, of the training and the held-out sites against the epoch."""

    def __init__(self, recording: str, *, measure: str = "ELBO") -> None:
        self._picture = LivePicture(
            key_of(recording, "training"),
            description=f"Training on {recording}: {measure} by epoch",
        )
        self._measure = measure
        self._curves: dict[str, list[float]] = {name: [] for name in COLOURS}
        self._last = time.monotonic()

    def add(self, *, training: float, held_out: float) -> None:
        """The values of one more epoch [nats per patch]."""
        self._curves["training"].append(training)
        self._curves["held out"].append(held_out)
        if time.monotonic() - self._last >= SECONDS_BETWEEN_DRAWINGS:
            self.draw()

    def draw(self) -> None:
        """Show the epochs so far."""
        self._last = time.monotonic()
        if any(self._curves.values()):
            self._picture.show(drawing(self._curves, measure=self._measure))


def drawing(curves: dict[str, list[float]], *, measure: str = "ELBO") -> str:
    """An SVG of curves over their index, with labelled axes; values that are not finite are omitted."""
    values = [v for curve in curves.values() for v in curve if math.isfinite(v)] or [0.0]
    low, high = min(values), max(values)
    span, length = (high - low) or 1.0, max(map(len, curves.values()))
    lines = [
        _line(curve, colour=COLOURS[name], low=low, span=span, length=length)
        + _text(name, x=WIDTH - MARGIN - 90, y=HEIGHT - MARGIN - 14 - 18 * i, colour=COLOURS[name])
        for i, (name, curve) in enumerate(curves.items())
    ]
    axes = (
        f'<path d="M{MARGIN},{MARGIN / 2} V{HEIGHT - MARGIN} H{WIDTH - MARGIN / 2}" '
        'fill="none" stroke="#444"/>'
        + _text(f"{high:.4g}", x=4, y=MARGIN / 2 + 5)
        + _text(f"{low:.4g}", x=4, y=HEIGHT - MARGIN)
        + _text(f"{measure} [nats per patch]", x=MARGIN + 6, y=MARGIN / 2 + 5)
        + _text(f"epoch {length}", x=WIDTH - MARGIN - 30, y=HEIGHT - MARGIN + 18)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><rect width="100%" height="100%" fill="white"/>'
        f"{axes}{''.join(lines)}</svg>"
    )


def _line(curve: Sequence[float], *, colour: str, low: float, span: float, length: int) -> str:
    points = [
        f"{MARGIN + (WIDTH - 1.5 * MARGIN) * index / max(length - 1, 1):.1f},"
        f"{HEIGHT - MARGIN - (HEIGHT - 1.5 * MARGIN) * (value - low) / span:.1f}"
        for index, value in enumerate(curve)
        if math.isfinite(value)
    ]
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _text(words: str, *, x: float, y: float, colour: str = "#444") -> str:
    return (
        f'<text x="{x}" y="{y}" font-family="sans-serif" font-size="12" fill="{colour}">'
        f"{words}</text>"
    )
