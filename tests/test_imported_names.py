"""Every name that a file imports from this project exists, also in files that no test runs: benchmarks, examples, pages."""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE_BY_TESTS = {"invae.config.particles", "invae.analysis.first", "invae.analysis.second"}
"""Modules of examples that tests write."""
IMPORT = re.compile(r"from (invae|tasks|flows|benchmarks|tests)(\.\w+)* import \w+(, \w+)*$")
"""A whole line of code in a string, as tests give it to another process."""
OWN = ("invae", "tasks", "flows", "benchmarks", "docs", "examples", "deployments", "tests")


def missing_names(text: str) -> list[str]:
    """Names that a source text, or code in its strings, imports from this project and that are not there."""
    tree = ast.parse(text)
    strings = [
        n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]
    inner = [
        ast.parse(line.strip())
        for value in strings
        for line in value.splitlines()
        if IMPORT.match(line.strip())
    ]
    nodes = [n for part in (tree, *inner) for n in ast.walk(part) if isinstance(n, ast.ImportFrom)]
    return [
        f"{node.module}.{alias.name}"
        for node in nodes
        if node.module is not None and node.module.split(".")[0] in OWN
        for alias in node.names
        if not exists(node.module, alias.name)
    ]


def exists(module: str, name: str) -> bool:
    """Whether `from module import name` succeeds; the module is imported only if its text does not say."""
    if name in _defined(module) or module in MADE_BY_TESTS:
        return True
    try:
        return hasattr(import_module(module), name)
    except ModuleNotFoundError:
        return False


@cache
def _defined(module: str) -> frozenset[str]:
    """Names that a module defines or imports at its top level, and the modules of a package."""
    folder = ROOT / module.replace(".", "/")
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    names = {path.stem for path in folder.iterdir()} if folder.is_dir() else set[str]()
    for node in ast.parse(file.read_text()).body if file.is_file() else ():
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {
                    n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)
                }
            case _:
                pass
    return frozenset(names)


def test_every_name_that_is_imported_from_this_project_exists():
    found = [path for name in OWN for path in sorted((ROOT / name).rglob("*.py"))]
    # environments of other programs lie in hidden folders
    every = [p for p in found if not any(part[0] == "." for part in p.relative_to(ROOT).parts)]
    files = [path for path in every if path != Path(__file__)]
    assert len(files) > 400
    wrong = {str(file.relative_to(ROOT)): missing_names(file.read_text()) for file in files}
    assert {file: names for file, names in wrong.items() if names} == {}


def test_a_name_that_is_gone_is_noticed():
    assert missing_names("from invae.dims import SITE, gone") == ["invae.dims.gone"]
    assert missing_names("CODE = 'from invae.dims import gone'") == ["invae.dims.gone"]
    assert missing_names("def late():\n    from invae import InvariantVAE, Gone") == ["invae.Gone"]
