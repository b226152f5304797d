"""What must never be in the code: readers that execute what they read, shells, passwords that are written down."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT)
    for name in ("invae", "tasks", "flows", "deployments")
    for path in (ROOT / name).rglob("*.py")
)

FORBIDDEN_CALLS = {
    "eval": "runs what it is given",
    "torch.load": "reads pickles; weights are safetensors",
    "yaml.load": "makes any object; yaml.safe_load does not",
    "yaml.unsafe_load": "makes any object",
    "pd.read_pickle": "reads pickles",
    "pandas.read_pickle": "reads pickles",
    "os.system": "is a shell",
    "os.popen": "is a shell",
    "scipy.io.loadmat": "is not told apart from other files",
}
"""Calls, and why they are not made."""

FORBIDDEN_METHODS = {
    "extractall": "writes wherever an archive says",
    "read_pickle": "reads pickles",
    "to_pickle": "writes pickles",
}

NUMPY_READERS = {"np.load", "numpy.load"}


def calls(path: Path) -> list[ast.Call]:
    tree = ast.parse((ROOT / path).read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def keyword(call: ast.Call, name: str) -> object:
    """The constant given for a keyword; none if it is not given."""
    for one in call.keywords:
        if one.arg == name and isinstance(one.value, ast.Constant):
            return one.value.value
    return None


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nothing_that_is_read_is_executed(path):
    for call in calls(path):
        name = ast.unparse(call.func)
        place = f"{path}:{call.lineno}: {name}"
        assert name not in FORBIDDEN_CALLS, f"{place} {FORBIDDEN_CALLS[name]}"
        method = name.rpartition(".")[2]
        assert method not in FORBIDDEN_METHODS, f"{place} {FORBIDDEN_METHODS[method]}"
        assert keyword(call, "allow_pickle") in (None, False), f"{place} allows pickles"
        assert keyword(call, "shell") in (None, False), f"{place} is a shell"
        if name in NUMPY_READERS:
            assert keyword(call, "allow_pickle") is False, f"{place} says nothing of pickles"
        if name == "exec":
            assert ast.unparse(call.args[0]) == "''", f"{place} runs what it is given"


def test_the_walk_finds_what_it_looks_for(tmp_path, monkeypatch):
    """So that the test above can fail."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    for line in ("torch.load('x')", "np.load('x')", "np.load('x', allow_pickle=True)"):
        (tmp_path / "bad.py").write_text(line)
        with pytest.raises(AssertionError, match=r"bad\.py:1"):
            test_nothing_that_is_read_is_executed(Path("bad.py"))
