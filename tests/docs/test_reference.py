"""Generated pages of the reference say what the code says, and the table of packages follows its checks."""

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.peers import features, recipes
from docs import cli_reference, settings_reference

ROOT = Path(__file__).parents[2]
INVAE = features.names_of(ROOT / "invae")


@pytest.mark.parametrize("written", [cli_reference, settings_reference], ids=lambda m: m.PAGE.name)
def test_the_page_is_that_of_the_code(written):
    assert written.PAGE.read_text("utf-8") == written.page(), f"run `python -m {written.__name__}`"


def test_every_setting_and_its_default_is_listed():
    page = settings_reference.page()
    assert (
        "| `training.batch_size` | Number of sites per step; a smaller set is one batch. |" in page
    )
    assert "`describe.patches.channels`" in page
    assert "## describe, kind atoms" in page


def test_options_are_listed_with_their_values_and_defaults():
    page = cli_reference.page()
    assert "| `--device auto\\|cpu\\|cuda` |" in page
    assert "| `--out, -o DIR\\|URL` |" in page
    assert "## invae library find" in page


def test_every_extra_is_explained():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    page = (ROOT / "docs" / "installation.md").read_text("utf-8")
    assert set(re.findall(r"invae\[(\w+)\]", page)) >= set(extras)


def test_what_invae_has_is_defined_in_it():
    for feature in features.FEATURES:
        features.cell(feature, "invae", INVAE)


def test_a_name_that_is_not_defined_is_noticed():
    feature = features.Feature("anything", r"^zebra", {"invae": "Zebra"})
    with pytest.raises(ValueError, match="Zebra"):
        features.cell(feature, "invae", INVAE)


def test_a_no_that_the_code_contradicts_is_noticed():
    feature = features.Feature("anything", r"^InvariantVAE$", {})
    with pytest.raises(ValueError, match="InvariantVAE"):
        features.cell(feature, "invae", INVAE)


def test_names_in_the_code_of_a_package_are_found(tmp_path):
    (tmp_path / "one.py").write_text("class A:\n    def b(self, c): ...\ndef d(*, e): ...\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "two.py").write_text("def left_out(): ...\n")
    names = features.names_of(tmp_path)
    assert {"one", "A", "A.b", "A.b(c)", "d", "d(e)"} <= names
    assert "left_out" not in names


def test_steps_are_commands_and_statements_without_imports():
    assert recipes.steps("\nimport a\nx = a.b()\ny = x\n") == ["x = a.b()", "y = x"]
    assert len(recipes.steps("invae ingest a.npy\ninvae describe")) == 2


def test_commands_of_a_recipe_are_processes():
    python = Path("python")
    assert recipes.commands("\nimport a\n", python) == [["python", "-c", "\nimport a\n"]]
    first, second = recipes.commands("invae ingest a.npy\ninvae describe", python)
    assert first[-2:] == ["ingest", "a.npy"]
    assert second[-1] == "describe"
