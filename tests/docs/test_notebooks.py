"""The notebooks run, print a verdict or a score, and are listed. `make docs` runs them too and puts their output on the site."""

import os
import re
import shlex
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

from flows.cli.main import execute

matplotlib.use("Agg")

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


SMALLER: Mapping[str, Mapping[str, str]] = {
    "own-array": {"n, side = 600, 24": "n, side = 60, 16", '"epochs": 15': '"epochs": 1'},
    "pfm-series": {
        "n_frames=12": "n_frames=4 --set rows=64 --set columns=64 --set margin=16",
        '"epochs": 15': '"epochs": 1',
        "(2, 6, 10)": "(0, 1, 2)",
        "steps=6": "steps=2",
        "plt.subplots(6, 6": "plt.subplots(2, 2",
    },
    "atoms": {
        "imaging.rows=256": "imaging.rows=96",
        "imaging.columns=256": "imaging.columns=96",
        '"epochs": 25': '"epochs": 1',
    },
    "4d-stem": {
        "n_scan_y=24": "n_scan_y=8",
        "n_scan_x=24": "n_scan_x=9 --set n_k=24",
        '"epochs": 12': '"epochs": 1',
    },
    "image-to-spectrum": {
        "measure(160,": "measure(40,",
        "measure(60,": "measure(6,",
        '"epochs": 30': '"epochs": 1',
    },
    "where-to-measure-next": {
        "side, half = 40, 6": "side, half = 12, 3",
        "budget=80": "budget=12",
        "side**2 // 100": "side**2 // 20",
    },
}
"""What makes a notebook small: text → what replaces it wherever it stands."""


def small(notebook: Path) -> list[str]:
    """The cells of a notebook with little data and one epoch."""
    text = cells(notebook)
    for old, new in SMALLER[notebook.stem].items():
        assert any(old in cell for cell in text), f"{notebook.name} has no {old!r} any more"
        text = [cell.replace(old, new) for cell in text]
    return text


def run_shell(line: str) -> None:
    """A line that begins with `!`: `invae` in this process, `rm` not at all."""
    program, *arguments = shlex.split(line)
    if program == "invae":
        assert execute(arguments) == 0, line


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_small(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with plt.rc_context({"figure.max_open_warning": 0}), warnings.catch_warnings():
        # after one epoch a class may be empty, and values may not vary
        warnings.simplefilter("ignore")
        for cell in small(notebook):
            for line in cell.splitlines():
                if line.startswith("!"):
                    run_shell(line[1:])
            plain = [line for line in cell.splitlines() if not line.startswith("!")]
            exec(compile("\n".join(plain), notebook.name, "exec"), names)
    assert plt.get_fignums(), "it draws"
    plt.close("all")


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
