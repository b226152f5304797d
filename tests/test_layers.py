"""The import rules, as tables: a room imports only rooms above it, a library only where it belongs.

Every rule looks at all files and returns every violation as `file:line imports name: reason`.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

LAYERS: list[set[str]] = [
    {"errors", "dims", "progress", "deadlines"},
    {"redaction"},
    {"latent_table"},
    {"config"},
    {"storage"},
    {"samples"},
    {"scans"},
    {"readers"},
    {"synthetic"},
    {"models"},
    {"verdict"},
    {"training"},
    {"regression"},
    {"pairs"},
    {"segmentation"},
    {"descriptors"},
    {"embedding"},
    {"estimators"},
    {"active"},
    {"analysis"},
    {"results"},
    {"report"},
    {"stages"},
]
"""The rooms of `invae`, each below those it may import."""

PACKAGES = {"invae": {"tasks", "flows"}, "tasks": {"flows"}, "flows": set()}
"""The three packages, and those that each must not import."""

ONLY_IN = {
    "matplotlib": {"invae/report", "invae/estimators/plots.py"},
    "prefect": {"flows", "tasks"},
    "typer": {"flows"},
    "rich": {"flows"},
    "dask": {"invae/storage/blocks.py"},
    "distributed": {"invae/storage/dask_cluster.py"},
}
"""Libraries, and the only places that may import them."""

NEVER = {"pickle", "cloudpickle", "joblib", "dill"}
"""Libraries that execute what they read."""

NOT_IN_CONFIG = {"torch", "xarray", "numpy"}

BARE_MACHINE = ("invae/models", "invae/training", "invae/verdict")
"""Rooms that must import on a machine without the libraries below."""
NOT_ON_BARE_MACHINE = {"prefect", "dask", "distributed", "zarr"}


class Import(NamedTuple):
    """One imported name."""

    line: int
    name: str
    """Full name: `invae.storage.store.open_store`."""
    at_import: bool
    """Whether it runs when the file is imported: not inside a function or under TYPE_CHECKING."""

    @property
    def top(self) -> str:
        """The package that the name lies in."""
        return self.name.split(".")[0]


Sources = Mapping[str, list[Import]]
"""What every file imports, by its path from the root."""


def read_sources(root: Path) -> Sources:
    """The imports of every source file of the three packages."""
    files = sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))
    return {
        path.relative_to(root).as_posix(): list(imports_of(path.relative_to(root), root))
        for path in files
    }


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Everything that one file imports, wherever in it."""
    tree = ast.parse((root / path).read_text())
    at_import = set(map(id, _run_at_import(tree.body)))
    for node in ast.walk(tree):
        runs = id(node) in at_import
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, runs) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _module_of(node, path)
            yield Import(node.lineno, module, runs)
            yield from (Import(node.lineno, f"{module}.{alias.name}", runs) for alias in node.names)


def _module_of(node: ast.ImportFrom, path: Path) -> str:
    """The full name of the module in `from module import …`."""
    folder = path.parts[: len(path.parts) - node.level] if node.level else ()
    return ".".join(filter(None, (*folder, node.module)))


def _run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ClassDef | ast.If | ast.Try | ast.With):
            yield from _run_at_import(node.body)
        yield node


def violation(path: str, found: Import, reason: str) -> str:
    """One line of a failed rule."""
    return f"{path}:{found.line} imports {found.name}: {reason}"


def wrong_rooms(sources: Sources) -> Iterator[str]:
    """Imports of a room that does not stand above the importing one, and rooms that are in no layer."""
    levels = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
    rooms = {path.split("/")[1].removesuffix(".py") for path in sources if path[:6] == "invae/"}
    rooms -= {"__init__"}
    yield from (
        f"invae/{room} is in no layer: give it a place in LAYERS"
        for room in sorted(rooms - levels.keys())
    )
    for path, imports in sources.items():
        room = path.split("/")[1].removesuffix(".py")
        if not path.startswith("invae/") or room not in levels:
            continue
        for one in imports:
            other = [*one.name.split("."), ""][1] if one.top == "invae" else ""
            if other in levels and other != room and levels[other] >= levels[room]:
                yield violation(path, one, f"{other} does not stand above {room}")


def wrong_packages(sources: Sources) -> Iterator[str]:
    """Imports against the direction flows → tasks → invae."""
    for path, imports in sources.items():
        package = path.split("/")[0]
        for one in imports:
            if one.top in PACKAGES[package]:
                yield violation(path, one, f"{package} must not depend on {one.top}")


def pickles(sources: Sources) -> Iterator[str]:
    """Imports of libraries that execute what they read."""
    for path, imports in sources.items():
        yield from (violation(path, one, "unpickles") for one in imports if one.top in NEVER)


def misplaced_libraries(sources: Sources) -> Iterator[str]:
    """Imports of a library outside of the places that may have it."""
    for path, imports in sources.items():
        for one in imports:
            places = ONLY_IN.get(one.top)
            if places is not None and not any(path.startswith(place) for place in places):
                yield violation(path, one, f"belongs in {', '.join(sorted(places))}")


def science_in_the_flow(sources: Sources) -> Iterator[str]:
    """What the flow `process` imports of `invae` besides its configuration."""
    for one in sources["flows/process.py"]:
        if one.top == "invae" and not one.name.startswith("invae.config"):
            yield violation("flows/process.py", one, "a flow imports tasks and configuration only")


def arrays_in_the_configuration(sources: Sources) -> Iterator[str]:
    """Imports of array libraries in the configuration, which commands read before any work."""
    for path, imports in sources.items():
        if path.startswith("invae/config/"):
            for one in imports:
                if one.top in NOT_IN_CONFIG:
                    yield violation(path, one, "the configuration imports no arrays")


def more_than_a_bare_machine_has(sources: Sources) -> Iterator[str]:
    """Libraries that models and training reach through the imports that run at import time."""
    todo = [path for path in sources if path.startswith(BARE_MACHINE)]
    seen = set(todo)
    while todo:
        path = todo.pop()
        for one in (one for one in sources[path] if one.at_import):
            if one.top in NOT_ON_BARE_MACHINE:
                yield violation(path, one, "models and training import without it")
            stem = one.name.replace(".", "/")
            for file in (f"{stem}.py", f"{stem}/__init__.py"):
                if file in sources and file not in seen:
                    seen.add(file)
                    todo.append(file)


RULES = (
    wrong_rooms,
    wrong_packages,
    pickles,
    misplaced_libraries,
    science_in_the_flow,
    arrays_in_the_configuration,
    more_than_a_bare_machine_has,
)


@cache
def sources_here() -> Sources:
    """The imports of every file of this checkout."""
    return read_sources(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_import_breaks_the_rule(rule):
    found = list(rule(sources_here()))
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    ("rule", "path", "text", "expected"),
    [
        (wrong_rooms, "invae/models/a.py", "from invae import analysis", "invae.analysis"),
        (wrong_rooms, "invae/models/a.py", "from ..report import page", "invae.report.page"),
        (wrong_rooms, "invae/scans/a.py", "def f():\n  import invae.readers", "invae.readers"),
        (wrong_packages, "tasks/a.py", "from flows import process", "flows.process"),
        (wrong_packages, "invae/config/a.py", "import tasks.runs", "tasks.runs"),
        (pickles, "flows/a.py", "import os, pickle", "pickle"),
        (misplaced_libraries, "invae/analysis/a.py", "import dask.array as da", "dask.array"),
        (misplaced_libraries, "tasks/a.py", "from rich import print", "rich.print"),
        (science_in_the_flow, "flows/process.py", "import invae.models", "invae.models"),
        (arrays_in_the_configuration, "invae/config/a.py", "import numpy as np", "numpy"),
        (more_than_a_bare_machine_has, "invae/training/a.py", "import zarr", "zarr"),
    ],
)
def test_a_violation_is_named_with_its_file_and_line(tmp_path, rule, path, text, expected):
    """So that every rule above can fail."""
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(f'"""Made up."""\n{text}\n')
    line = 2 + text.count("\n")
    found = list(rule(read_sources(tmp_path)))
    assert any(one.startswith(f"{path}:{line} imports {expected}: ") for one in found), found


def test_a_library_that_is_reached_through_another_file_is_found(tmp_path):
    files = {
        "invae/training/fit.py": "from invae.storage import store",
        "invae/storage/store.py": "import zarr",
        "invae/training/lazy.py": "def f():\n  import prefect",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (found,) = more_than_a_bare_machine_has(read_sources(tmp_path))
    assert found.startswith("invae/storage/store.py:1 imports zarr: ")


def test_a_room_without_a_layer_is_named(tmp_path):
    (tmp_path / "invae" / "cellar").mkdir(parents=True)
    (tmp_path / "invae" / "cellar" / "a.py").touch()
    (found,) = wrong_rooms(read_sources(tmp_path))
    assert found == "invae/cellar is in no layer: give it a place in LAYERS"
