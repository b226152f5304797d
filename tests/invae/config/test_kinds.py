"""The table of kinds: every reference leads somewhere, and what all kinds share knows none of them."""

import ast
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from invae import analysis, descriptors, report, results
from invae.analysis.kind import Analysis
from invae.config import DescribeConfig, ModelConfig, ProcessConfig
from invae.config.kinds import KINDS, Kind, kind_named, kind_of, load, recorded_kind
from invae.config.pairs import PairsModelConfig
from invae.config.schema import Config
from invae.errors import ConfigError
from invae.report.kind import KindPage
from invae.results.kind import Schema
from invae.stages.stages import STAGES

ROOMS = ("atoms", "diffraction", "domains", "grains", "image_sets", "pairs", "spectra", "windows")
"""Folders, in each of the rooms, that belong to one kind."""


@pytest.mark.parametrize("name", KINDS)
def test_every_reference_of_a_row_leads_to_what_it_promises(name):
    row = KINDS[name]
    assert callable(load(row.describe))
    assert isinstance(load(row.analysis), Analysis)
    assert isinstance(load(row.schema), Schema)
    assert isinstance(load(row.page), KindPage)


@pytest.mark.parametrize("name", KINDS)
def test_the_default_settings_of_a_kind_lead_back_to_its_row(name):
    settings = TypeAdapter(DescribeConfig).validate_python({"kind": name})
    assert kind_of(settings) is KINDS[name]
    model = PairsModelConfig() if name == "pairs" else ModelConfig()
    whole = ProcessConfig(describe=settings, model=model).model_dump(mode="json")
    assert recorded_kind(whole) is KINDS[name]


def test_a_configuration_of_earlier_versions_that_names_no_kind_is_one_of_walls():
    assert recorded_kind({"describe": {}}) is KINDS["walls"]


def test_a_kind_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(ConfigError, match=r"'crystals'.*'walls', 'images'"):
        kind_named("crystals")
    with pytest.raises(ValidationError, match="kind must be one of 'walls', 'images'"):
        TypeAdapter(DescribeConfig).validate_python({"kind": "crystals"})
    with pytest.raises(ConfigError, match="Config belongs to no kind"):
        kind_of(Config())


@pytest.mark.parametrize("row", KINDS.values(), ids=lambda row: row.name)
def test_a_stage_uses_modules_of_its_own_kind_alone(row: Kind):
    rooms = {
        stage: {module.split(".")[1] for module in row.modules(stage)}
        for stage in STAGES
        if row.modules(stage)
    }
    expected = {"describe": {"descriptors"}, "analyse": {"analysis"}}
    assert rooms == {**expected, "report": {"report", "results"}}


def _shared() -> list[Path]:
    """Modules that all kinds share."""
    rooms = (Path(str(room.__file__)).parent for room in (analysis, descriptors, report, results))
    return sorted(
        path
        for room in rooms
        for path in room.rglob("*.py")
        if not {*path.relative_to(room).parts} & {*ROOMS, *(f"{name}.py" for name in ROOMS)}
    )


@pytest.mark.parametrize("path", _shared(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_shared_module_imports_no_kind(path: Path):
    """Else the code of one kind would count for the results of all others."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and "config" not in node.module:
            names = {*node.module.split("."), *(alias.name for alias in node.names)}
            assert not names & {*ROOMS}, f"{path}:{node.lineno} imports {node.module}"
