"""The pages about the architecture: `python -m docs.architecture` writes their tables and the picture from the code.

Rooms are the folders of `invae` and its single modules. Their lines are the first lines of docstrings, their imports are read
from the syntax trees, and the way of a recording from `invae.stages` and the tasks. Nothing is imported from the rooms.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.written import replaced
from docs.architecture_picture import Column, draw
from invae.stages.stages import STAGES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
COMMAND = "python -m docs.architecture"


@dataclass(frozen=True)
class Room:
    """A folder of a package, or a single module of `invae`."""

    path: str
    """From the root, `/` between folders; `.py` at the end of a module."""
    line: str
    """What it is for, the first line of its docstring."""
    imports: tuple[str, ...]
    """Names of the other rooms of `invae` that it imports, sorted."""


@cache
def rooms() -> Mapping[str, Room]:
    """All rooms of `invae` by name; folders inside a room are not rooms of their own."""
    package = ROOT / "invae"
    modules = [path for path in package.glob("*.py") if path.name != "__init__.py"]
    places = sorted([*_packages(package), *modules])
    names = {path.stem for path in places}
    return {path.stem: _room(path, names) for path in places}


def _room(path: Path, names: set[str]) -> Room:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    imports = {name for file in files for name in imported_rooms(file)} & names - {path.stem}
    return Room(path.relative_to(ROOT).as_posix(), line_of(path), tuple(sorted(imports)))


def _packages(folder: Path) -> list[Path]:
    """The packages directly in a folder, by name."""
    return sorted(path.parent for path in folder.glob("*/__init__.py"))


def line_of(path: Path) -> str:
    """First line of the docstring of a module or package.

    Raises:
        ValueError: if it has no docstring.
    """
    file = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    if not text:
        raise ValueError(
            f"{file.relative_to(ROOT)} has no docstring; say in one line what it is for"
        )
    return text.splitlines()[0]


def imported_rooms(file: Path) -> set[str]:
    """Second parts of the names below `invae` that a file imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("invae.")}


def levels(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Rooms in levels: each imports only from levels before its own, the first level imports nothing.

    Raises:
        ValueError: if rooms import each other in a circle.
    """
    height: dict[str, int] = {}
    while len(height) < len(imports):
        ready = [n for n, used in imports.items() if n not in height and height.keys() >= set(used)]
        if not ready:
            raise ValueError(f"a circle of imports among {sorted(imports.keys() - height.keys())}")
        height |= {n: 1 + max((height[used] for used in imports[n]), default=-1) for n in ready}
    rows: list[list[str]] = [[] for _ in range(1 + max(height.values()))]
    for name in sorted(height):
        rows[height[name]].append(name)
    return rows


def room_of_stage(stage: str) -> str:
    """The room whose function carries out a stage, for a VAE."""
    return STAGES[stage].module.split(".")[1]


def table_of_stages() -> str:
    """Which room does the work of a stage, what it reads and what it writes."""
    lines = ["| stage | task | room | reads | writes |", "| --- | --- | --- | --- | --- |"]
    for stage in STAGES.values():
        read = (
            ", ".join(f"`{STAGES[name].output}`" for name in stage.inputs)
            or "the recording's files"
        )
        task, room = f"`tasks/{stage.name}.py`", f"`invae/{room_of_stage(stage.name)}/`"
        lines.append(f"| {stage.name} | {task} | {room} | {read} | `{stage.output}` |")
    return "\n".join(lines) + "\n"


def table_of_rooms() -> str:
    """One line for every room of `invae`, its folders below it, and what it imports."""
    lines = ["| `invae/` | what it does | imports |", "| --- | --- | --- |"]
    for room in rooms().values():
        imports = ", ".join(room.imports) or "–"
        folder = ROOT / room.path
        slash = "/" if folder.is_dir() else ""
        lines.append(f"| `{folder.name}{slash}` | {room.line} | {imports} |")
        inner = _packages(folder) if slash else []
        lines += [f"| `{folder.name}/{path.name}/` | {line_of(path)} | |" for path in inner]
    return "\n".join(lines) + "\n"


def table_of_the_rest() -> str:
    """One line for `tasks`, for `flows`, its folders and its flows."""
    flows = ROOT / "flows"
    places = [ROOT / "tasks", flows, *_flows(), *_packages(flows)]
    lines = ["| `tasks/`, `flows/` | what it does |", "| --- | --- |"]
    for path in places:
        name = path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "")
        lines.append(f"| `{name}` | {line_of(path)} |")
    return "\n".join(lines) + "\n"


def _flows() -> list[Path]:
    return sorted(path for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")


def picture() -> str:
    """The picture as SVG."""
    order = list(STAGES)
    columns = [
        Column(
            stage=stage.name,
            room=room_of_stage(stage.name),
            store=stage.output,
            reads=tuple(order.index(name) for name in stage.inputs),
        )
        for stage in STAGES.values()
    ]
    beside = [f"{path.name}/" for path in _packages(ROOT / "flows")]
    rows = levels({name: room.imports for name, room in rooms().items()})
    return draw(columns, flows=[*(path.stem for path in _flows()), *beside], levels=rows)


def lines_of_rooms() -> str:
    """One line for every room, without what it imports."""
    places = [
        *(ROOT / room.path for room in rooms().values()),
        ROOT / "tasks",
        *_packages(ROOT / "flows"),
    ]
    names = [path.relative_to(ROOT).as_posix() + ("/" if path.is_dir() else "") for path in places]
    rows = (f"| `{name}` | {line_of(path)} |" for name, path in zip(names, places, strict=True))
    return "\n".join(["| room | what it does |", "| --- | --- |", *rows]) + "\n"


def page(path: Path) -> str:
    """A page with its tables as the code has them."""
    text = path.read_text("utf-8")
    for name, table in TABLES[path].items():
        text = replaced(path, name, table(), old=text)
    return text


def main() -> None:
    """Write pages and picture."""
    pages, drawing = {path: page(path) for path in TABLES}, picture()
    for path, text in pages.items():
        path.write_text(text, "utf-8")
    PICTURE.write_text(drawing, "utf-8")


TABLES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    PAGE: {"stages": table_of_stages, "rooms": table_of_rooms, "flows": table_of_the_rest},
    ROOT / "CONTRIBUTING.md": {"lines": lines_of_rooms},
}
"""Tables by the name of their marks, for every page."""

if __name__ == "__main__":
    main()
