"""What must never be in the code: readers that execute what they read, shells, passwords that are written down."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("invae", "tasks", "flows", "deployments")

FORBIDDEN_CALLS = {
    "eval": "executes its argument",
    "torch.load": "reads pickles; weights are safetensors",
    "yaml.load": "makes any object; yaml.safe_load does not",
    "yaml.unsafe_load": "makes any object",
    "pd.read_pickle": "reads pickles",
    "pandas.read_pickle": "reads pickles",
    "os.system": "is a shell",
    "os.popen": "is a shell",
    "scipy.io.loadmat": "does not check what kind of file it reads",
}
"""Calls, and why they are not made."""

FORBIDDEN_METHODS = {
    "extractall": "writes wherever an archive says",
    "read_pickle": "reads pickles",
    "to_pickle": "writes pickles",
}

NUMPY_READERS = {"np.load", "numpy.load"}


def unsafe_calls(root: Path) -> Iterator[str]:
    """Every call of the packages that must not be made, as `file:line: name reason`."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    where = f"{path.relative_to(root)}:{node.lineno}: {ast.unparse(node.func)}"
                    yield from (f"{where} {reason}" for reason in _faults(node))


def _faults(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    method = name.rpartition(".")[2]
    if name in FORBIDDEN_CALLS:
        yield FORBIDDEN_CALLS[name]
    elif method in FORBIDDEN_METHODS:
        yield FORBIDDEN_METHODS[method]
    if _keyword(call, "allow_pickle") not in (None, False):
        yield "allows pickles"
    elif name in NUMPY_READERS and _keyword(call, "allow_pickle") is not False:
        yield "does not refuse pickles"
    if _keyword(call, "shell") not in (None, False):
        yield "is a shell"
    if name == "exec" and ast.unparse(call.args[0]) != "''":
        yield "executes its argument"


def _keyword(call: ast.Call, name: str) -> object:
    """The constant given for a keyword; none if it is not given."""
    for one in call.keywords:
        if one.arg == name and isinstance(one.value, ast.Constant):
            return one.value.value
    return None


def test_nothing_that_is_read_is_executed():
    found = list(unsafe_calls(ROOT))
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "line",
    [
        "torch.load('x')",
        "np.load('x')",
        "np.load('x', allow_pickle=True)",
        "archive.extractall('x')",
        "subprocess.run('x', shell=True)",
        "exec('x')",
    ],
)
def test_an_unsafe_call_is_named_with_its_file_and_line(tmp_path, line):
    """So that the test above can fail."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "bad.py").write_text(f"import x\n{line}\n")
    (found,) = unsafe_calls(tmp_path)
    assert found.startswith(f"tasks/bad.py:2: {line.partition('(')[0]} ")
