"""The notebooks run, print a verdict or a score, and are listed. `make docs` runs them too and puts their output on the site."""

import os
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.md"))


def cells(notebook: Path) -> list[str]:
    """Code of the cells, in order."""
    blocks = re.findall(
        r"^```\{code-cell\} python\n(.*?)^```$", notebook.read_text("utf-8"), re.S | re.M
    )
    return [re.sub(r"^:tags:.*\n", "", block) for block in blocks]


def test_there_are_six_and_they_are_listed():
    assert len(NOTEBOOKS) == 6
    learn = (DOCS / "site" / "learn.md").read_text("utf-8")
    for notebook in NOTEBOOKS:
        assert learn.count(f"../notebooks/{notebook.stem}") == 2, "in the table and in the contents"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_python_after_their_shell_commands_are_left_out(notebook):
    for cell in cells(notebook):
        lines = [line for line in cell.splitlines() if not line.startswith("!")]
        compile("\n".join(lines), notebook.name, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells(notebook)]
    )
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = "".join(str(output) for cell in book.cells for output in cell.get("outputs", []))
    assert "image/png" in shown
    assert any(words in shown for words in ("verdict: ", "R² on held-out pairs", "learnable from"))
