"""Code is digested by what it does: what changes no value changes no digest, and what changes one does."""

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from invae.config.kinds import KINDS
from invae.stages.stages import STAGES, code_of
from invae.storage import code_digest as digests

WALLS = KINDS["walls"]
MODULES = {name: (stage.module, *WALLS.modules(name)) for name, stage in STAGES.items()}
"""Of every stage of a recording of domain walls; they import the others."""
ALL_MODULES = {
    m
    for stage in STAGES.values()
    for kind in KINDS.values()
    for m in (stage.module, *kind.modules(stage.name))
}
ROOMS = {
    "ingest": "invae/scans/window.py",
    "describe": "invae/descriptors/domains/walls.py",
    "train": "invae/models/geometry/polar.py",
    "embed": "invae/embedding/embed.py",
    "analyse": "invae/analysis/linear.py",
    "report": "invae/report/style.py",
}
"""A file of every stage."""

Edit = Callable[[str], str]


def forget() -> None:
    """Read all files again."""
    for function in (digests.code_digest, digests.own_digest, digests.file_digest, digests._module):
        function.cache_clear()


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A copy of the package, once."""
    root = tmp_path_factory.mktemp("code")
    skipped = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(digests.PACKAGE, root / "invae", ignore=skipped)
    return root


@pytest.fixture
def copy(package, monkeypatch) -> Iterator[Path]:
    """A copy of the package that may be edited; digests are of it, and a test leaves it as it was."""
    before = {path: path.read_bytes() for path in package.rglob("*") if path.is_file()}
    monkeypatch.setattr(digests, "ROOT", package)
    monkeypatch.setattr(digests, "PACKAGE", package / "invae")
    forget()
    yield package
    for path in package.rglob("*"):
        if path.is_file() and path not in before:
            path.unlink()
    for path, content in before.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    forget()


def stage_digests() -> dict[str, str]:
    forget()
    return {name: code_of(stage, kind=WALLS) for name, stage in STAGES.items()}


def changed_stages(root: Path, file: str, edit: Edit) -> set[str]:
    """The stages whose digest changes when a file is edited."""
    before, path = stage_digests(), root / file
    text = path.read_text()
    edited = edit(text)
    assert edited != text
    path.write_text(edited)
    after = stage_digests()
    path.write_text(text)
    return {name for name in before if before[name] != after[name]}


def with_other_docstrings(text: str) -> str:
    return re.sub(r'"""(?=\w)', '"""Another word: ', text)


def with_comments(text: str) -> str:
    lines = [
        f"{line}  # a remark" if line.startswith("def ") else line for line in text.split("\n")
    ]
    return "# A remark.\n" + "\n".join(lines)


def with_blank_lines(text: str) -> str:
    return re.sub(r"\n(?=def |class |@|from |import )", "\n\n\n", text)


def without_layout(text: str) -> str:
    """Everything a formatter could change."""
    return ast.unparse(ast.parse(text))


def with_imports_reversed(text: str) -> str:
    tree = ast.parse(text)
    places = [
        i for i, node in enumerate(tree.body) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    nodes = [tree.body[i] for i in places]
    for place, node in zip(places, reversed(nodes), strict=True):
        tree.body[place] = node
    return ast.unparse(tree)


@pytest.mark.parametrize("file", ROOMS.values())
@pytest.mark.parametrize(
    "edit",
    [
        with_other_docstrings,
        with_comments,
        with_blank_lines,
        without_layout,
        with_imports_reversed,
    ],
)
def test_what_changes_no_value_changes_no_digest(copy, file, edit):
    assert changed_stages(copy, file, edit) == set()


def test_other_words_of_an_error_change_no_digest_and_another_error_does(copy):
    file = "invae/descriptors/domains/walls.py"
    text = (copy / file).read_text() + (
        "\n\ndef refuse(n: int) -> None:\n    if n > 3:\n        raise ValueError(f'{n} is too many')\n"
    )
    (copy / file).write_text(text)
    assert not changed_stages(copy, file, lambda t: t.replace("is too many", "are more than three"))
    assert "describe" in changed_stages(copy, file, lambda t: t.replace("n > 3", "n > 4"))
    assert "describe" in changed_stages(copy, file, lambda t: t.replace("ValueError", "TypeError"))


def test_a_moved_file_changes_no_digest(copy):
    before = stage_digests()
    (copy / "invae/models/geometry/polar.py").rename(copy / "invae/models/disc.py")
    for path in (copy / "invae").rglob("*.py"):
        text = path.read_text()
        path.write_text(text.replace("invae.models.geometry.polar", "invae.models.disc"))
    assert stage_digests() == before


class Mutation(ast.NodeTransformer):
    """Changes the first number, operator or call that it meets outside of annotations and error messages."""

    def __init__(self, kind: str) -> None:
        self.kind, self.done = kind, False

    def visit(self, node: ast.AST) -> ast.AST:
        if self.done or isinstance(node, ast.Raise):
            return node
        match node:
            case ast.Constant(value=int() | float() as value) if (
                self.kind == "number" and not isinstance(value, bool)
            ):
                self.done = True
                return ast.copy_location(ast.Constant(value + 1), node)
            case ast.BinOp(op=operator) if self.kind == "operator":
                self.done = True
                node.op = ast.Sub() if isinstance(operator, ast.Add) else ast.Add()
                return node
            case ast.Call() if self.kind == "call":
                self.done = True
                node.func = ast.Name("another", ast.Load())
                return node
        return super().generic_visit(node)


@pytest.mark.parametrize("kind", ["number", "operator", "call"])
def test_a_changed_number_operator_or_call_changes_the_digest_of_every_module(copy, kind):
    n_mutated = 0
    for module in sorted(digests.imported_by(*ALL_MODULES)):
        path = copy / digests._module(module).path.relative_to(copy)
        text, mutation = path.read_text(), Mutation(kind)
        mutated = ast.unparse(mutation.visit(ast.parse(text)))
        if not mutation.done:
            continue
        before = digests.own_digest(module)
        path.write_text(mutated)
        forget()
        assert digests.own_digest(module) != before, f"{module}: {kind}"
        path.write_text(text)
        forget()
        n_mutated += 1
    assert n_mutated > 80


@pytest.mark.parametrize(("stage", "file"), ROOMS.items())
@pytest.mark.parametrize("kind", ["number", "call"])
def test_a_mutation_changes_the_stages_that_run_it(copy, stage, file, kind):
    def mutated(text: str) -> str:
        return ast.unparse(Mutation(kind).visit(ast.parse(text)))

    changed = changed_stages(copy, file, mutated)
    module = file.removesuffix(".py").replace("/", ".")
    assert stage in changed
    assert changed == {n for n, m in MODULES.items() if module in digests.imported_by(*m)}


def test_a_name_imported_from_elsewhere_changes_the_digest(copy):
    for name, number in (("first", 1), ("second", 2)):
        (copy / f"invae/analysis/{name}.py").write_text(f"SHARE = {number}\n")
    user = copy / "invae/analysis/user.py"
    user.write_text("from invae.analysis.first import SHARE\n")
    before = digests.own_digest("invae.analysis.user")
    user.write_text("from invae.analysis.second import SHARE\n")
    forget()
    assert digests.own_digest("invae.analysis.user") != before


def test_data_beside_a_module_counts(copy):
    module = "invae.segmentation.atom_finder"
    before = digests.own_digest(module), digests.own_digest("invae.scans.window")
    (copy / "invae/segmentation/weights/atoms.safetensors").write_bytes(b"others")
    forget()
    assert digests.own_digest(module) != before[0]
    assert digests.own_digest("invae.scans.window") == before[1]


def test_workers_of_a_cluster_compare_all_files_byte_for_byte(copy):
    before = digests.file_digest()
    path = copy / ROOMS["report"]
    path.write_text(with_comments(path.read_text()))
    forget()
    assert digests.file_digest() != before


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(ModuleNotFoundError, match=r"invae\.no_such_room"):
        digests.code_digest("invae.no_such_room")


def test_imports_are_absolute():
    for path in digests.PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}:{node.lineno}"
