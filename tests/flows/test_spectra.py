"""Spectra through every stage under the named configurations: mixtures and shifts are recovered, and the page shows them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from sklearn.linear_model import LinearRegression

from flows.cli.commands import execute
from invae import results
from invae.config import ProcessConfig, named
from invae.dims import attrs
from invae.stages import stages
from invae.storage import store

SIDE = 18
ENERGY = np.linspace(0.0, 4.0, 48)
QUICK = (
    "report.dpi=50",
    "analyse.traversal_steps=4",
    "analyse.max_clusters=3",
    "compute.device=cpu",
    "compute.workers=1",
)
FIGURES = {"spectra", "maps", "manifold", "scatter", "class_patches", "bic", "training", "examples", "error", "components", "linear_maps", "beside"}  # fmt: skip


def peak(centre: np.ndarray | float, width: float = 0.25) -> np.ndarray:
    return np.exp(-(((ENERGY - np.asarray(centre)[..., None]) / width) ** 2) / 2)


def recorded(path: Path, spectra: np.ndarray) -> Path:
    """Spectra (y, x, energy) with noise as a store, one of them constant and one not finite."""
    values = spectra + 0.02 * np.random.default_rng(1).normal(size=spectra.shape)
    values[2, 3], values[4, 5, 6] = 0.5, np.nan
    axes = {name: (name, np.arange(SIDE) * 2.0, attrs(name, "nm")) for name in "yx"}
    energy = ("energy", ENERGY, attrs("energy", "eV"))
    variable = (("y", "x", "energy"), values.astype(np.float32), attrs("eels", "count"))
    image = (("y", "x"), np.add.outer(np.arange(SIDE), np.arange(SIDE)) * 1.0, attrs("haadf"))
    dataset = xr.Dataset({"eels": variable, "haadf": image}, axes | {"energy": energy})
    store.write_dataset(path, dataset)
    return path


def run(source: Path, out: Path, config: ProcessConfig) -> Path:
    """All stages without a server; the folder of the recording."""
    quiet, folder = Console(quiet=True), out / source.stem
    execute.run_ingest([source], folder, config, console=quiet)
    for stage in list(stages.STAGES)[1:]:
        execute.run_stage(stage, folder, config, console=quiet)
    return folder


def explained(found: np.ndarray, known: np.ndarray) -> float:
    return float(LinearRegression().fit(found, known).score(found, known))


def share() -> np.ndarray:
    """A smooth map of the share of the first of two components."""
    y, x = np.indices((SIDE, SIDE)) / (SIDE - 1)
    return 0.5 + 0.4 * np.sin(3 * x) * np.cos(4 * y)


def test_the_map_of_a_mixture_of_two_spectra_is_recovered(tmp_path: Path) -> None:
    mixed = share()[..., None] * peak(1.2) + (1 - share())[..., None] * peak(2.6)
    source = recorded(tmp_path / "mixture.zarr", mixed)
    changes = (*QUICK, "training.epochs=40", "training.batch_size=32", "model.latent_dim=1")
    folder = run(source, tmp_path / "out", named.load("spectra-vae", changes=changes))
    result = folder / stages.STAGES["analyse"].output
    results.validate(result)
    maps = store.open_store(result, group="map").load()
    valid = maps["reason_map"].to_numpy() == 0
    assert valid.sum() == SIDE**2 - 2
    assert explained(maps["content_map"].to_numpy()[valid], share()[valid]) > 0.95
    for name, least in (("pca_map", 0.95), ("nmf_map", 0.8)):
        assert explained(maps[name].to_numpy()[valid], share()[valid]) > least
    assert np.isnan(maps["content_map"][2, 3]).all()
    assert {"haadf", "error_map", "cluster_map"} <= {*maps}
    page = (folder / "report" / "index.html").read_text()
    assert "grid of 18 × 18 spectra" in page
    assert "322 spectra in" in page
    assert "2 spectra excluded" in page
    shown = {file.stem for file in (folder / "report" / "figures").iterdir()}
    assert FIGURES | {"excluded"} <= shown


def test_a_peak_that_shifts_is_described_by_its_shift(tmp_path: Path) -> None:
    centre = 1.6 + 0.8 * share()
    source = recorded(tmp_path / "shifts.zarr", peak(centre))
    changes = (*QUICK, "training.epochs=15", "training.batch_size=32", "model.latent_dim=1")
    folder = run(source, tmp_path / "out", named.load("spectra-tvae", changes=changes))
    maps = store.open_store(folder / stages.STAGES["analyse"].output, group="map").load()
    valid = maps["reason_map"].to_numpy() == 0
    shift = maps["shift_map"].sel(axis="x").to_numpy()[valid] * (ENERGY[1] - ENERGY[0])
    assert np.corrcoef(shift, centre[valid])[0, 1] > 0.98
    assert np.std(shift) == pytest.approx(np.std(centre[valid]), rel=0.1)


@pytest.mark.slow
def test_two_kinds_of_spectra_are_the_classes_of_a_jvae(tmp_path: Path) -> None:
    first = share() > 0.5
    source = recorded(tmp_path / "kinds.zarr", np.where(first[..., None], peak(1.2), peak(2.6)))
    model = ("model.family=jVAE", "model.n_classes=2", "model.latent_dim=1")
    changes = (*QUICK, *model, "training.epochs=20", "training.batch_size=32")
    folder = run(source, tmp_path / "out", named.load("spectra-vae", changes=changes))
    maps = store.open_store(folder / stages.STAGES["analyse"].output, group="map").load()
    found, valid = maps["class_map"].to_numpy(), maps["reason_map"].to_numpy() == 0
    agreement = (found[valid] == first[valid]).mean()
    assert max(agreement, 1 - agreement) > 0.98
    shown = {file.stem for file in (folder / "report" / "figures").iterdir()}
    assert {"model_classes", "class_probability"} <= shown
