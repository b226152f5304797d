"""Pairs on grids through every stage under the named configurations: what the image shows is predicted, what it does not is said."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

from flows.cli.commands import execute
from invae import results
from invae.config import ProcessConfig, named
from invae.dims import attrs
from invae.stages import stages
from invae.storage import store
from invae.verdict.findings import verdict_in

SIDE, STEP = 20, 20.0
QUICK = ("model.n_members=0", "report.dpi=50", "compute.device=cpu", "compute.workers=1")


def field() -> np.ndarray:
    """A smooth map (y, x) between 0.5 and 1.5."""
    y, x = np.indices((SIDE, SIDE))
    values = np.sin(0.5 * y) + np.cos(0.4 * x) + 0.3 * np.sin(0.9 * (x + y))
    return (values - values.min()) / np.ptp(values) + 0.5


def loops(path: Path, *, shown: np.ndarray) -> Path:
    """Two cycles of hysteresis loops (y, x, voltage) whose size is `field()`, and an image of something."""
    rng, height = np.random.default_rng(0), field()[..., None]
    up = np.linspace(-4, 4, 12)
    bias = np.tile(np.r_[up, up[::-1]], 2)
    direction = np.tile(np.repeat([1.0, -1.0], 12), 2)
    response = height * np.tanh((bias - 1.5 * direction * height) * 1.2)
    response += 0.05 * rng.normal(size=response.shape)
    image = shown + 0.02 * rng.normal(size=shown.shape)
    axes = {name: (name, np.arange(SIDE) * STEP, attrs(name, "nm")) for name in "yx"}
    variables = {
        "response": (("y", "x", "voltage"), response.astype(np.float32), attrs("response", "pm")),
        "amplitude": (("frame", "y", "x"), image[None].astype(np.float32), attrs("amplitude")),
    }
    voltage = ("voltage", bias, attrs("voltage", "V"))
    store.write_dataset(path, xr.Dataset(variables, axes | {"voltage": voltage}))
    return path


def run(source: Path, out: Path, config: ProcessConfig) -> Path:
    """All stages without a server; the folder of the recording."""
    quiet, folder = Console(quiet=True), out / source.stem
    execute.run_ingest([source], folder, config, console=quiet)
    for stage in list(stages.STAGES)[1:]:
        execute.run_stage(stage, folder, config, console=quiet)
    return folder


def test_loops_on_a_grid_are_predicted_and_mapped_and_made_once(tmp_path):
    source = loops(tmp_path / "loops.zarr", shown=field())
    config = named.load("beps-im2spec", changes=(*QUICK, "describe.window=3"))
    folder = run(source, tmp_path / "out", config)
    results.validate(folder / "result.zarr")
    groups = {k: v.load() for k, v in results.open_result(folder / "result.zarr").items()}
    assert float(groups["summary"]["r2"]) > 0.7
    assert groups["pairs"]["measured"].dims == ("site", "voltage")
    assert not float(groups["summary"]["leaks"])
    assert "place" in groups["scores"]["predictor"]
    assert float(groups["reliability"]["r"]) > 0.9
    maps = groups["band_maps"]
    assert maps["measured"].attrs["units"] == "pm*V"
    assert np.isfinite(maps["measured"]).sum() == groups[""].sizes["site"]
    assert "measured_peak" not in groups[""]
    page = (folder / "report" / "index.html").read_text()
    assert "two cycles of every spectrum" in page
    assert "Figures not shown" not in page
    assert all(step.current for step in stages.plan(folder, stages.sources_of([source]), config))


@pytest.mark.parametrize(
    ("window", "words"),
    [(3, "not learnable from this image"), (10, "undecided: held-out pairs lie")],
)
def test_an_image_that_has_nothing_to_do_with_the_spectra_is_said_to_be_so(tmp_path, window, words):
    """Windows of 10 px leave no blocks apart: held-out pairs lie among training pairs, and smooth spectra can be guessed from them."""
    noise = np.random.default_rng(3).uniform(0.5, 1.5, (SIDE, SIDE))
    source = loops(tmp_path / "loops.zarr", shown=noise)
    config = named.load("beps-im2spec", changes=(*QUICK, f"describe.window={window}"))
    folder = run(source, tmp_path / "out", config)
    verdict = verdict_in(store.open_store(folder / "result.zarr").attrs)
    assert verdict is not None
    assert verdict.findings[0].what.startswith(words)
    assert words in (folder / "report" / "index.html").read_text()


@pytest.mark.parametrize("name", ["eels-im2spec", "beps-im2spec", "sts-im2spec"])
def test_the_shipped_configurations_are_of_pairs(name):
    written = named.load(name).model_dump()
    assert written["model"]["kind"] == written["describe"]["kind"] == "pairs"
