"""The picture of the architecture as SVG: stages, rooms and stores in columns, and all rooms in levels of imports."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 1080
LEFT, COLUMN, GAP = 148, 150, 14
"""Width of the labels at the left, distance of two columns, free space between two boxes [px]."""
BOX, STEP = 34, 46
"""Height of a box and distance of two rows [px]."""
FLOWS, TASKS, ROOMS = 24, 96, 160
"""Tops of the first three rows [px]."""
INK, GREY, LINE = "#1b2a41", "#5c6b80", "#7b8ba0"
FILLS = {
    "flow": "#e8e3f3",
    "task": "#f6ead9",
    "stage": "#2a6f97",
    "room": "#dcebf5",
    "store": "#ffffff",
}


@dataclass(frozen=True)
class Column:
    """One stage: its room, the store that it writes, and the columns whose stores it reads."""

    stage: str
    room: str
    store: str
    reads: tuple[int, ...]


def draw(
    columns: Sequence[Column], *, flows: Sequence[str], levels: Sequence[Sequence[str]]
) -> str:
    """The whole picture.

    Args:
        columns: The stages in their order.
        flows: Names of the flows and of the folders beside them.
        levels: Names of rooms; each imports from levels before its own only.
    """
    stores = ROOMS + BOX + 72
    rooms = stores + STEP * len(columns) + 56
    height = rooms + STEP * len(levels) + 8
    blue = {column.room for column in columns}
    parts = [
        _head(height),
        *_flows(flows),
        *_stages(columns),
        *_stores(columns, y=stores),
        *_levels(levels, y=rooms, blue=blue),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _head(height: int) -> str:
    title = "Stages, rooms and stores: the way of a recording, and which room imports which"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13">\n<title>{title}</title>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{LINE}"/></marker></defs>'
    )


def _flows(names: Sequence[str]) -> list[str]:
    width = (WIDTH - LEFT - GAP) / len(names)
    band = f'<rect x="{LEFT - 8}" y="{FLOWS - 8}" width="{WIDTH - LEFT - 8}" height="{BOX + 16}" rx="8" fill="#f4f1fa"/>'
    boxes = [
        _box(name, x=LEFT + i * width, y=FLOWS, width=width - GAP, kind="flow")
        for i, name in enumerate(names)
    ]
    return [
        *_label("flows/", "order of the stages,", "command line, service", y=FLOWS),
        band,
        *boxes,
    ]


def _stages(columns: Sequence[Column]) -> list[str]:
    parts = _label("tasks/", "Prefect: retries,", "progress, locks", y=TASKS)
    parts += _label("invae/", "the science,", "without Prefect", y=ROOMS)
    for i, column in enumerate(columns):
        x, middle = LEFT + i * COLUMN, _middle(i)
        parts += [
            _arrow(f"M{middle:g} {FLOWS + BOX + 8} V{TASKS}"),
            _box(column.stage, x=x, y=TASKS, width=COLUMN - GAP, kind="task"),
            _arrow(f"M{middle:g} {TASKS + BOX} V{ROOMS}"),
            _box(column.room, x=x, y=ROOMS, width=COLUMN - GAP, kind="stage"),
        ]
    return parts


def _stores(columns: Sequence[Column], *, y: int) -> list[str]:
    """Every store below its stage, a line from it to the stages that read it, and a dot for each of them."""
    parts = [
        *_label("stores", "one folder", "per recording", y=y),
        *_legend(y + STEP * len(columns)),
    ]
    for i, column in enumerate(columns):
        row = y + i * STEP
        parts.append(_arrow(f"M{_middle(i):g} {ROOMS + BOX} V{row}"))
        readers = [j for j, other in enumerate(columns) if i in other.reads]
        if readers:
            parts.append(_line(f"M{_middle(i):g} {row + BOX / 2:g} H{_middle(readers[-1]):g}"))
        parts += [_dot(_middle(j), row + BOX / 2) for j in readers]
        parts.append(
            _box(column.store, x=LEFT + i * COLUMN, y=row, width=COLUMN - GAP, kind="store")
        )
    files = ROOMS + BOX + 36
    parts.append(_text("instrument's files", x=16, y=files + 5, size=13))
    parts.append(_line(f"M{LEFT - 12} {files} H{_middle(0):g}"))
    return [*parts, _dot(_middle(0), files)]


def _legend(y: float) -> list[str]:
    lines = ("the stage above", "reads this store")
    words = [
        _text(line, x=32, y=y - 32 + 14 * i, size=11, colour=GREY) for i, line in enumerate(lines)
    ]
    return [_dot(20, y - 29), *words]


def _middle(column: int) -> float:
    return LEFT + column * COLUMN + (COLUMN - GAP) / 2


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="5" fill="{INK}"/>'


def _levels(levels: Sequence[Sequence[str]], *, y: int, blue: set[str]) -> list[str]:
    parts = [
        f'<path d="M16 {y - 40} H{WIDTH - 16}" stroke="#d5dde6"/>',
        _text(
            "all rooms of invae/: a room imports only from rows below its own",
            x=LEFT,
            y=y - 14,
            size=13,
        ),
    ]
    for i, names in enumerate(reversed(levels)):
        row = y + i * STEP
        parts.append(_text(f"level {len(levels) - i}", x=16, y=row + 22, size=11, colour=GREY))
        width = min(COLUMN, (WIDTH - LEFT) / len(names))
        for j, name in enumerate(names):
            kind = "stage" if name in blue else "room"
            parts.append(_box(name, x=LEFT + j * width, y=row, width=width - GAP, kind=kind))
    return parts


def _box(name: str, *, x: float, y: float, width: float, kind: str) -> str:
    colour = "#ffffff" if kind == "stage" else INK
    edge = LINE if kind == "store" else FILLS[kind]
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX}" rx="6" fill="{FILLS[kind]}" stroke="{edge}"/>'
        f'<text x="{x + width / 2:g}" y="{y + BOX / 2 + 5:g}" text-anchor="middle" fill="{colour}">{escape(name)}</text>'
    )


def _label(name: str, *lines: str, y: float) -> list[str]:
    small = [
        _text(line, x=16, y=y + 27 + 13 * i, size=11, colour=GREY) for i, line in enumerate(lines)
    ]
    return [_text(name, x=16, y=y + 12, size=14, bold=True), *small]


def _text(
    text: str, *, x: float, y: float, size: int, colour: str = INK, bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'


def _line(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'


def _arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#arrow)"/>'
