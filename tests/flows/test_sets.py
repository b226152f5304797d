"""Sets with known answers through every stage, under the named configurations."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from flows.cli.commands import execute
from invae.config import CardsConfig, DigitsConfig, ProcessConfig, ShiftsConfig, named
from invae.stages import stages
from invae.storage import store
from invae.synthetic import cards, shifts
from invae.synthetic.digits import scene
from invae.synthetic.scene import receipt_of_scene, write_scene

CARDS = ("cards-vae", "cards-rvae", "cards-jvae", "cards-jrvae", "cards-cvae", "cards-ssvae")
SHORT = (
    "training.epochs=2",
    "report.dpi=50",
    "analyse.traversal_steps=3",
    "analyse.max_clusters=5",
    "compute.device=cpu",
    "compute.workers=1",
)


def run(source: Path, out: Path, config: ProcessConfig) -> Path:
    """All stages of a set, without a server; its folder."""
    quiet, folder = Console(quiet=True), out / source.stem
    execute.run_ingest([source], folder, config, console=quiet)
    for stage in list(stages.STAGES)[1:]:
        execute.run_stage(stage, folder, config, console=quiet)
    return folder


def result_of(folder: Path) -> xr.Dataset:
    return store.open_store(folder / stages.STAGES["analyse"].output).load()


@pytest.fixture(scope="module")
def few_cards(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("few") / "cards.zarr"
    cards.simulate(target, config=CardsConfig(n_per_suit=20, size=24), seed=4)
    return target


@pytest.fixture(scope="module")
def many_cards(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("many") / "cards.zarr"
    cards.simulate(target, config=CardsConfig(n_per_suit=100), seed=4)
    return target


def test_a_set_of_cards_goes_from_pictures_to_a_report(few_cards, tmp_path):
    folder = run(few_cards, tmp_path, named.load("cards-jrvae", changes=SHORT))
    result = result_of(folder)
    truth = store.open_store(few_cards, group="truth")
    np.testing.assert_array_equal(result["truth_suit"], truth["suit"])
    assert {"content", "angle", "shift", "class", "class_probability"} <= set(result.variables)
    assert int(result["held_out"].sum()) == 12
    assert (folder / "report" / "index.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", CARDS)
def test_every_configuration_for_cards_ends_with_a_report(name, many_cards, tmp_path):
    folder = run(many_cards, tmp_path, named.load(name, changes=SHORT))
    assert np.isfinite(result_of(folder)["content"]).all()
    assert (folder / "report" / "index.html").is_file()


@pytest.mark.slow
def test_a_set_of_peaks_ends_with_a_report(tmp_path):
    shifts.simulate(tmp_path / "shifts.zarr", config=ShiftsConfig(n_signals=400), seed=3)
    config = named.load("shifts-tvae", changes=SHORT)
    result = result_of(run(tmp_path / "shifts.zarr", tmp_path / "out", config))
    assert np.isfinite(result["shift"]).all()
    assert "truth_position" in result.coords


@pytest.mark.slow
def test_a_set_of_digits_ends_with_a_report(tmp_path):
    images = np.zeros((400, 28, 28), np.uint8)
    images[:, 6:22, 12:16] = 255
    images[::2, 6:10, 12:22] = 255
    settings, target = DigitsConfig(), tmp_path / "digits.zarr"
    receipt = receipt_of_scene("digits", target, config=settings, seed=3, module=scene.__module__)
    write_scene(target, scene(images, None, settings, seed=3), receipt=receipt)
    config = named.load("digits-avae", changes=SHORT)
    result = result_of(run(target, tmp_path / "out", config))
    assert np.isfinite(result["angle"]).all()
