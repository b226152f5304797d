"""The script for an accelerator runs whole on a processor, with little data, so that it is ready."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu

BARE = {"prefect", "dask", "zarr", "xarray", "sklearn", "matplotlib"}
"""Packages that the script must not need."""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("page")
    gpu.main(["--device", "cpu", "--quick", "--out", str(folder)])
    (page,) = folder.iterdir()
    assert page.name.startswith("gpu_20")
    assert page.name.endswith("_cpu.md")
    return page.read_text()


def values_of(page: str) -> dict[str, list[str]]:
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[2:]}


def test_every_measurement_has_a_value_and_the_goals_stand_beside(page):
    values = values_of(page)
    for family in gpu.FAMILIES:
        rate, beside, _ = values[f"train {family}, batches of {gpu.PEER_BATCH}"]
        assert float(rate.split()[0].replace(",", "")) > 0
        assert 0 < float(beside.split()[0]) < 1
        assert values[f"encode {family}, 16²"][0].endswith("patterns/s")
    assert values["encode rVAE, 16²"][2] == "≥ 100,000/s of 64²"
    assert "MB/s" in values["ingest of 9 MB"][0]
    assert "Little data" in page


def test_the_processor_equals_itself(page):
    rows = {k: v for k, v in values_of(page).items() if "difference from the processor" in k}
    assert len(rows) == 9
    assert {float(value) for value, _, _ in rows.values()} == {0.0}
    assert all(goal.endswith("yes") for _, _, goal in rows.values())


def test_other_weights_are_noticed():
    some = gpu.patterns(64, 16, seed=0)
    here, there = (gpu.training_of("rVAE", some, gpu.CPU, batch=64) for _ in range(2))
    next(here.epochs())
    found = gpu.differences(here, there)
    assert all(found[name] > gpu.BOUNDS[name] for name in ("content", "angle", "gradient"))


def test_peers_that_are_not_installed_are_named():
    rates, rows = gpu.peers(gpu.patterns(8, 16, seed=0), gpu.QUICK)
    assert rates == {}
    assert [row.beside for row in rows] == ["atomai is not installed", "pyroved is not installed"]


def test_the_patterns_turn_and_are_reproducible():
    some = gpu.patterns(200, 24, seed=4)
    assert some.min() >= 0
    assert some.max() <= 1
    np.testing.assert_array_equal(some, gpu.patterns(200, 24, seed=4))
    rows = np.argmax(some.reshape(200, -1), axis=1) // 24
    assert {True, False} == set((rows < 12).tolist())


def test_the_script_imports_on_a_machine_without_stores():
    tree = ast.parse(Path(gpu.__file__).read_text())
    names = {
        name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or node.names[0].name]
    }
    rooms = {name.split(".")[1] for name in names if name.startswith("invae.")}
    assert rooms <= {"config", "models", "training"}
    assert not {name.split(".")[0] for name in names} & BARE


def test_a_rate_is_a_median_of_items_per_second():
    assert gpu.per_second(lambda: 10, torch.device("cpu"), seconds=0.01) > 1000
