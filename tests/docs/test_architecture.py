"""The page about the architecture says what the code says."""

import xml.etree.ElementTree as ET

import pytest

from docs import architecture
from invae.stages.stages import STAGES

REMEDY = f"run `{architecture.COMMAND}`"


@pytest.mark.parametrize("page", architecture.TABLES, ids=lambda page: page.name)
def test_the_tables_are_those_of_the_code(page):
    assert page.read_text("utf-8") == architecture.page(page), REMEDY


def test_the_picture_is_that_of_the_code():
    assert architecture.PICTURE.read_text("utf-8") == architecture.picture(), REMEDY


def test_the_picture_names_every_room_stage_and_store():
    texts = {element.text for element in ET.fromstring(architecture.picture()).iter()}
    stores = {stage.output for stage in STAGES.values()}
    assert texts >= {*architecture.rooms(), *STAGES, *stores}


@pytest.mark.parametrize("package", ["invae", "tasks", "flows"])
def test_every_package_says_in_one_line_what_it_is_for(package):
    for file in (architecture.ROOT / package).rglob("__init__.py"):
        line = architecture.line_of(file.parent)
        assert len(line) <= 110, f"{file}: {len(line)} characters"
        assert line.endswith("."), file


def test_a_room_stands_above_all_that_it_imports():
    rows = architecture.levels({"page": ["store", "names"], "store": ["names"], "names": []})
    assert rows == [["names"], ["store"], ["page"]]


def test_a_circle_of_imports_is_refused():
    with pytest.raises(ValueError, match=r"one.*two"):
        architecture.levels({"one": ["two"], "two": ["one"], "names": []})


def test_imports_inside_functions_count(tmp_path):
    file = tmp_path / "module.py"
    file.write_text("import invae.models.vae\ndef late():\n    from invae import results\n")
    assert architecture.imported_rooms(file) == {"models", "results"}
