"""Digest of code by what it does: comments, docstrings, layout, import order and file names do not count.

The digest of a module covers the module and every module of this package that it imports, directly or through others.
A changed number, operator or call changes it. A changed comment, a format run or a moved file does not.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parent
DATA_SUFFIXES = {".css", ".html", ".jinja", ".json", ".safetensors"}
"""Files beside a module that it may read."""
WITHOUT_VALUES = (
    "invae.config",
    "invae.errors",
    "invae.progress",
    "invae.readers.content",
    "invae.readers.registry",
    "invae.redaction",
    "invae.storage.code_digest",
    "invae.storage.dask_cluster",
    "invae.storage.machine",
    "invae.storage.provenance",
)
"""Modules that compute no values. Settings and the chosen reader are in keys themselves; the others report, or say
where blocks run."""
SILENT_FIELDS = {"kind", "type_comment", "type_params", "type_ignores", "ctx"}
"""Fields of the syntax tree without meaning, or not present in all versions of Python."""


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 of what some modules (`invae.readers.ingest`, …) and all that they import do."""
    reached = sorted({own_digest(name) for name in imported_by(*modules)})
    return hashlib.sha256("\n".join(reached).encode()).hexdigest()


@cache
def file_digest() -> str:
    """SHA-256 of all files of this package, byte for byte: whether another machine runs the same code."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in DATA_SUFFIXES | {".py"}:
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()


def imported_by(*modules: str) -> frozenset[str]:
    """The modules, and those of this package that they import: at the top or within functions, through others too.

    A package that only lies above a module in the tree of folders does not count: its `__init__` counts where
    something is imported from it.
    """
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in _module(name).internal if computes(other)]
    return frozenset(reached)


def computes(module: str) -> bool:
    """Whether the values of a stage can depend on a module."""
    return not any(module == name or module.startswith(f"{name}.") for name in WITHOUT_VALUES)


@cache
def own_digest(module: str) -> str:
    """SHA-256 of one module: its statements, the names that it imports and what they stand for, and its data files.

    An imported module of this package enters by its statements, not by its name.
    """
    parsed = _module(module)
    names = [
        f"{_statements(name.module) if name.is_internal else name.module}:{name.member}:{name.alias}"
        for name in parsed.names
    ]
    parts = (parsed.statements, *sorted(names), *_data_digests(parsed.path.parent))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class _Import:
    """One imported name: what it is called there and here."""

    module: str
    member: str
    """Empty where the module itself is imported."""
    alias: str

    @property
    def is_internal(self) -> bool:
        return self.module.split(".")[0] == PACKAGE.name


@dataclass(frozen=True)
class _Module:
    """A source file, parsed once."""

    path: Path
    statements: str
    """SHA-256 of its statements without imports."""
    names: tuple[_Import, ...]
    internal: frozenset[str] = field(init=False)
    """Modules of this package that it imports."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "internal", frozenset(name.module for name in self.names if name.is_internal)
        )


@cache
def _module(name: str) -> _Module:
    path = _path_of(name)
    if path is None:
        raise ModuleNotFoundError(f"{name} is no module of {PACKAGE.name}")
    statements, imports = _parsed(path.read_bytes())
    names = tuple(dict.fromkeys(name for node in imports for name in _names(node)))
    return _Module(path, statements, names)


@cache
def _parsed(source: bytes) -> tuple[str, tuple[ast.Import | ast.ImportFrom, ...]]:
    """SHA-256 of the statements of a file, and its imports."""
    words: list[str] = []
    imports: list[ast.Import | ast.ImportFrom] = []
    _read(ast.parse(source), words, imports)
    return hashlib.sha256(" ".join(words).encode()).hexdigest(), tuple(imports)


def _statements(module: str) -> str:
    return _module(module).statements if computes(module) else ""


def _path_of(module: str) -> Path | None:
    """The file of a module; nothing if there is none."""
    place = ROOT.joinpath(*module.split("."))
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def _names(node: ast.Import | ast.ImportFrom) -> Iterator[_Import]:
    """The names of an import; a module of this package is named itself, not as a member of its folder."""
    for name in node.names:
        if isinstance(node, ast.Import):
            yield _Import(name.name, "", name.asname or name.name.split(".")[0])
            continue
        package = node.module or ""  # imports in this project are absolute (a test holds it)
        whole = f"{package}.{name.name}"
        if package.split(".")[0] == PACKAGE.name and _path_of(whole):
            yield _Import(whole, "", name.asname or name.name)
        else:
            yield _Import(package, name.name, name.asname or name.name)


def _read(
    node: ast.AST,
    words: list[str],
    imports: list[ast.Import | ast.ImportFrom],
    *,
    in_error: bool = False,
) -> None:
    """Add a syntax tree as words, without docstrings, positions and the words of error messages; imports go apart.

    `ast.dump` writes another text in another version of Python, and keys would change with it.
    """
    in_error = in_error or isinstance(node, ast.Raise)
    words.append("(" + type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if value is None or value == [] or name in SILENT_FIELDS:
            continue
        words.append(name)
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, ast.Import | ast.ImportFrom):
                imports.append(part)
            elif isinstance(part, ast.AST):
                if not (isinstance(part, ast.stmt) and _is_silent(part)):
                    _read(part, words, imports, in_error=in_error)
            elif not (in_error and isinstance(part, str) and isinstance(node, ast.Constant)):
                words.append(repr(part))
    words.append(")")


def _is_silent(statement: ast.stmt) -> bool:
    """Whether a statement computes nothing: a docstring, or one that stands where a statement must."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    return isinstance(statement, ast.Pass)


def _data_digests(folder: Path) -> Iterator[str]:
    """Digests of the data files of a package, and of those in its folders that are no packages."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not (path / "__init__.py").exists():
            yield from _data_digests(path)
        elif path.suffix in DATA_SUFFIXES:
            yield hashlib.sha256(path.read_bytes()).hexdigest()
