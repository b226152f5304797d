"""Pairs through the stages train, embed and analyse: held-out predictions, resumption, other models, schema."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae import EncoderDecoder, results
from invae.config import ComputeConfig
from invae.config.pairs import PairsModelConfig
from invae.errors import ConfigError, InputError, StoreError
from invae.pairs.embed import embed
from invae.pairs.train import train
from invae.storage import store
from tests.invae.conftest import Run


@pytest.fixture(scope="module")
def result(pair_run: Run) -> dict[str, xr.Dataset]:
    return {k: v.load() for k, v in results.open_result(pair_run.store("analyse")).items()}


def train_again(run: Run, target, *, patches: Path | list[Path] | None = None, **more) -> None:
    assert isinstance(run.config.model, PairsModelConfig)
    train(
        patches or run.store("describe"),
        target,
        model=run.config.model,
        training=run.config.training,
        seed=0,
        receipt=run.receipt("train"),
        compute=ComputeConfig(device="cpu"),
        **more,
    )


def test_a_result_of_pairs_fits_its_schema(pair_run: Run, result):
    results.validate(pair_run.store("analyse"))
    assert {"pairs", "scores", "examples", "directions", "summary"} <= set(result)
    assert "traversal" not in result


def test_a_missing_variable_of_pairs_is_named(pair_run: Run, tmp_path):
    import shutil

    shutil.copytree(pair_run.store("analyse"), tmp_path / "result.zarr")
    shutil.rmtree(tmp_path / "result.zarr" / "pairs" / "lower")
    with pytest.raises(StoreError, match=r"pairs/lower.* is missing"):
        results.validate(tmp_path / "result.zarr")


def test_predictions_of_a_run_are_those_of_members_that_have_not_seen_the_site(
    pair_run: Run, result
):
    model = EncoderDecoder.load(pair_run.store("train"), device="cpu")
    np.testing.assert_array_equal(result["pairs"]["predicted"], model.held_out["mean"])
    specimen, fold = (result[""][name].to_numpy() for name in ("specimen", "fold"))
    assert all(len(np.unique(fold[specimen == s])) == 1 for s in np.unique(specimen))
    embedding = store.open_store(pair_run.store("embed"))
    np.testing.assert_array_equal(result[""]["relative_error"], embedding["error"])


def test_the_library_of_a_run_finds_its_own_patches_and_spectra(pair_run: Run, result):
    from invae.results import library

    band = float(result[""]["measured_band"][11])
    found = library.find([pair_run.folder], band=band, number=1)
    assert int(found["number"][0]) == 11
    patch = store.open_store(pair_run.store("describe"))["patch"][11]
    np.testing.assert_array_equal(found["patch"][0], patch)
    predicted = float(result[""]["predicted_band"][11])
    assert float(found["predicted_value"][0]) == pytest.approx(predicted, rel=1e-6)
    assert float(found["y"][0]) == float(result[""]["y"][11])


def test_every_baseline_is_scored_on_the_same_pairs(result):
    table = result["scores"]
    assert list(table["predictor"].to_numpy()[:2]) == ["model", "mean"]
    assert not table.attrs["leaks"]
    assert float(table["r2"][1]) < 0.1
    assert np.isfinite(table["crps"]).all()
    inside = table["coverage"].to_numpy()
    assert ((inside > 0.5) & (inside <= 1)).all()
    summary = result["summary"]
    assert float(summary["r2"]) == float(table["r2"][0])


def test_intervals_contain_the_prediction_and_have_the_unit_of_spectra(result):
    pairs = result["pairs"]
    assert ((pairs["lower"] < pairs["predicted"]) & (pairs["predicted"] < pairs["upper"])).all()
    assert pairs["lower"].attrs["units"] == pairs["measured"].attrs["units"] == "1/eV"
    assert result[""]["measured_band"].attrs["units"] == "1"
    assert result[""]["measured_peak"].attrs["units"] == "eV"


@pytest.mark.parametrize("after", [2, 7, 10])
def test_a_killed_training_goes_on_to_the_same_values(pair_run: Run, tmp_path, after):
    """Three networks with held-out pairs of three epochs each, then one with all pairs."""
    seen = 0

    def kill(epoch: object) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            raise KeyboardInterrupt

    target = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        train_again(pair_run, target, on_epoch=kill)
    assert not target.exists()
    train_again(pair_run, target)
    undisturbed = pair_run.store("train")
    assert not (target / "checkpoints").exists()
    for file in undisturbed.iterdir():
        if file.name not in (store.RECEIPT_FILE, "manifest.json"):
            assert file.read_bytes() == (target / file.name).read_bytes(), file.name


def test_progress_of_a_training_rises_to_its_end(pair_run: Run, tmp_path):
    said: list[tuple[int, int]] = []
    train_again(
        pair_run, tmp_path / "model", progress=lambda done, total: said.append((done, total))
    )
    assert said == sorted(said)
    assert said[-1] == (100, 100)


def test_a_model_of_another_recording_predicts_every_site(pair_run: Run, tmp_path):
    """Another key of the descriptors stands for another recording."""
    import dataclasses

    receipt = pair_run.receipt("embed")
    other = dataclasses.replace(receipt, inputs={**receipt.inputs, "describe": "other"})
    target = tmp_path / "embedding.zarr"
    told = {"config": pair_run.config.embed, "receipt": other, "compute": pair_run.config.compute}
    embed(pair_run.store("describe"), pair_run.store("train"), target, **told)
    sites = store.open_store(target)
    assert "not on this one" in sites.attrs["trained_on"]
    assert (sites["fold"] == -1).all()
    own = store.open_store(pair_run.store("embed"))
    assert float(sites["error"].mean()) != float(own["error"].mean())


def test_a_model_of_patches_of_another_size_is_refused(pair_run: Run, small_run: Run, tmp_path):
    told = {"config": pair_run.config.embed, "receipt": pair_run.receipt("embed"), "compute": pair_run.config.compute}  # fmt: skip
    with pytest.raises(StoreError, match="no model of pairs"):
        embed(pair_run.store("describe"), small_run.store("train"), tmp_path / "e.zarr", **told)


def test_several_recordings_are_refused_in_one_line(pair_run: Run, tmp_path):
    with pytest.raises(ConfigError, match="learns from one"):
        train_again(pair_run, tmp_path / "model", patches=[pair_run.store("describe")] * 2)


def test_pixels_of_another_size_are_refused():
    from invae.pairs.fitted import refuse_other_pixels

    refuse_other_pixels(1.0, 1.01)
    refuse_other_pixels(None, 1.0)
    with pytest.raises(InputError, match=r"2 nm wide, .* 1 nm"):
        refuse_other_pixels(2.0, 1.0)
