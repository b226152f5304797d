"""The import rules, as a table: a room imports what stands above it, and nothing below."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS: list[set[str]] = [
    {"errors", "dims", "progress", "redaction"},
    {"config"},
    {"storage"},
    {"samples"},
    {"scans"},
    {"readers"},
    {"synthetic"},
    {"models"},
    {"training"},
    {"segmentation"},
    {"descriptors"},
    {"embedding"},
    {"estimators"},
    {"analysis"},
    {"results"},
    {"report"},
    {"stages"},
]
"""The rooms of `invae`, each below those it may import."""

ONLY_IN = {
    "matplotlib": {"invae/report"},
    "prefect": {"flows", "tasks"},
    "typer": {"flows"},
    "rich": {"flows"},
    "dask": {"invae/storage/blocks.py"},
    "distributed": {"invae/storage/dask_cluster.py"},
}
"""Libraries, and the only places that may import them."""

NEVER = {"pickle", "cloudpickle", "joblib", "dill"}

BARE_MACHINE = {"invae/models", "invae/training"}
"""Rooms that must import on a machine without prefect, dask and zarr."""


def modules() -> list[Path]:
    """Every source file of the three packages, relative to the root."""
    files = [p for name in ("invae", "tasks", "flows") for p in (ROOT / name).rglob("*.py")]
    return sorted(p.relative_to(ROOT) for p in files)


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full names of what a file imports; optionally only what it imports when it is itself imported."""
    tree = ast.parse((ROOT / path).read_text())
    nodes = list(ast.walk(tree)) if not top_level_only else list(_executed(tree.body))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _executed(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that run on import: not those inside functions or under TYPE_CHECKING."""
    found: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ClassDef | ast.If | ast.Try | ast.With):
            found += _executed(node.body)
        found.append(node)
    return found


def layer(room: str) -> int:
    """Position of a room in the table."""
    for index, rooms in enumerate(LAYERS):
        if room in rooms:
            return index
    raise AssertionError(f"invae/{room} is in no layer; give it a place in LAYERS")


def room_of(module: str) -> str | None:
    """The room of `invae` that a full module name lies in."""
    parts = module.split(".")
    return parts[1] if parts[0] == "invae" and len(parts) > 1 else None


@pytest.mark.parametrize("path", [p for p in modules() if p.parts[0] == "invae"], ids=str)
def test_a_room_imports_only_what_stands_above_it(path):
    room = path.parts[1].removesuffix(".py")
    if room == "__init__":
        return
    for name in imported(path):
        other = room_of(name)
        if other is None or not _is_room(other) or other == room:
            continue
        assert layer(other) < layer(room), f"{path} imports {name}, which stands below it"


def _is_room(name: str) -> bool:
    return (ROOT / "invae" / name).is_dir() or (ROOT / "invae" / f"{name}.py").is_file()


@pytest.mark.parametrize("path", modules(), ids=str)
def test_packages_depend_in_one_direction(path):
    forbidden = {"invae": {"tasks", "flows"}, "tasks": {"flows"}, "flows": set()}[path.parts[0]]
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & forbidden
    assert not tops & NEVER, f"{path} imports {tops & NEVER}: nothing is ever unpickled here"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_libraries_stay_in_their_rooms(path):
    tops = {name.split(".")[0] for name in imported(path)}
    for library, places in ONLY_IN.items():
        if library in tops:
            assert any(path.as_posix().startswith(place) for place in places), (
                f"{path} imports {library}, which belongs to {sorted(places)}"
            )


def test_the_flow_itself_imports_tasks_and_configuration_only():
    names = {n for n in imported(Path("flows/process.py")) if n.split(".")[0] == "invae"}
    assert all(name.startswith("invae.config") for name in names), names


def test_configuration_imports_neither_torch_nor_xarray():
    for path in (ROOT / "invae" / "config").rglob("*.py"):
        tops = {name.split(".")[0] for name in imported(path.relative_to(ROOT))}
        assert not tops & {"torch", "xarray", "numpy"}


def test_models_and_training_import_on_a_bare_gpu_machine():
    """Follow the imports that run at import time; none may reach prefect, dask or zarr."""
    seen: set[str] = set()
    todo = [p for p in modules() if any(p.as_posix().startswith(room) for room in BARE_MACHINE)]
    while todo:
        path = todo.pop()
        for name in imported(path, top_level_only=True):
            top = name.split(".")[0]
            assert top not in {"prefect", "dask", "distributed", "zarr"}, f"{path} imports {name}"
            for candidate in (
                name.replace(".", "/") + ".py",
                name.replace(".", "/") + "/__init__.py",
            ):
                if top == "invae" and candidate not in seen and (ROOT / candidate).is_file():
                    seen.add(candidate)
                    todo.append(Path(candidate))


def test_importing_the_package_is_fast():
    """`import invae` must not bring torch, dask or zarr with it."""
    import subprocess

    code = "import sys, invae; print([m for m in ('torch', 'dask', 'zarr', 'xarray') if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
