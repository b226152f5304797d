"""The glossary agrees with the schema of results, and pages lead to it."""

import re
from pathlib import Path

import pytest

from invae.results import SCHEMA

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "glossary.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]
VARIABLES = [(row[3], row[4].strip("`")) for row in ROWS if len(row) == 5 and "`" in row[4]]


def test_no_term_is_explained_twice():
    terms = [term.strip() for row in ROWS for term in row[0].split(",") if term != "term"]
    assert len(terms) == len(set(terms))
    assert len(terms) > 60


@pytest.mark.parametrize(("unit", "variable"), VARIABLES)
def test_units_are_those_of_the_schema(unit, variable):
    field = SCHEMA[""][variable]
    assert field.units in {None, unit} or unit == "its own"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/concepts.md"])
def test_a_reader_finds_the_glossary(page):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text("utf-8"))
    assert "glossary.md" in {Path(link).name for link in links}
