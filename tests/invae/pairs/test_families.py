"""Families of both signals through every stage: partners and numbers of pairs that no network has seen, and images made for spectra."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from invae import DualVAE, EncoderDecoder, results
from invae.config import PlasmonsConfig, ProcessConfig
from invae.errors import StoreError
from invae.pairs import folder
from invae.pairs.partners import ranks
from invae.regression.scores import relative_error
from invae.storage import store
from invae.synthetic.plasmons import simulate
from tests.invae.conftest import Run, _through_all_stages

N_CLUSTERS = 64


def run_of(tmp_path: Path, family: str) -> Run:
    """All stages of small clusters, with short trainings."""
    config = ProcessConfig.model_validate(
        {
            "name": family,
            "describe": {"kind": "pairs", "window": 24},
            "model": {
                "kind": "pairs",
                "family": family,
                "latent_dim": 3,
                "private_dim": 2,
                "beta": 1,
                "n_members": 1,
                "n_folds": 2,
                "image": {"channels": [8], "n_angles": 16},
                "hidden": [16],
                "image_hidden": [16],
                "spectrum_hidden": [16],
            },
            "training": {"epochs": 2, "batch_size": 16},
            "report": {"dpi": 50},
            "compute": {"workers": 1, "device": "cpu"},
        }
    )
    sample = {"kind": "clusters", "n_clusters": N_CLUSTERS, "pixels": 24, "n_energies": 16}
    source = tmp_path / "clusters.zarr"
    simulated = {"sample": sample, "pixel_size": 5.0}
    simulate(source, config=PlasmonsConfig.model_validate(simulated), seed=1)
    return _through_all_stages(tmp_path, source, config)


@pytest.fixture(scope="module")
def dual_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("dual"), "dual")


@pytest.fixture(scope="module")
def design_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("spec2im"), "spec2im")


def groups_of(run: Run) -> dict[str, xr.Dataset]:
    return {k: v.load() for k, v in results.open_result(run.store("analyse")).items()}


def test_partners_were_looked_for_among_pairs_of_the_same_part(dual_run: Run):
    results.validate(dual_run.store("analyse"))
    fitted = folder.load(dual_run.store("train"))
    fold, found = fitted.held_out.fold, fitted.held_out.ranks
    assert set(fold) == {0, 1}
    assert (found < np.bincount(fold)[fold][:, None]).all()
    table = groups_of(dual_run)["partners"]
    assert (table["images_found"].diff("within") >= 0).all()
    expected = [(found[:, 0] < k).mean() for k in table["within"].to_numpy()]
    np.testing.assert_allclose(table["images_found"], expected)


def test_numbers_are_read_from_the_latents_of_pairs_that_no_network_has_seen(dual_run: Run):
    table = groups_of(dual_run)["numbers"]
    np.testing.assert_allclose(table["from_spectrum"].sum("read"), 1)
    embedding = store.open_store(dual_run.store("embed"))
    assert embedding["content_unseen"].shape == (N_CLUSTERS, 2, 3)
    assert not np.allclose(embedding["content_unseen"][:, 0], embedding["content"])


def figures_of(run: Run, target: Path) -> set[str]:
    run.report(target)
    assert "Figures not shown" not in (target / "index.html").read_text()
    return {path.stem for path in (target / "figures").iterdir()}


def test_the_report_has_both_planes(dual_run: Run, tmp_path):
    found = figures_of(dual_run, tmp_path / "report")
    assert {"both_planes", "partners", "numbers", "plane"} <= found


def test_the_model_of_a_run_is_one_of_the_library(dual_run: Run, design_run: Run):
    model = DualVAE.load(dual_run.store("train"), device="cpu")
    assert model.config.family == "dual"
    with pytest.raises(StoreError, match=r"dual; load it with invae\.DualVAE"):
        EncoderDecoder.load(dual_run.store("train"))
    with pytest.raises(StoreError, match=r"spec2im; load it with invae\.EncoderDecoder"):
        DualVAE.load(design_run.store("train"))


def test_designs_are_judged_by_members_that_have_not_seen_the_wanted_pair(design_run: Run):
    results.validate(design_run.store("analyse"))
    groups = groups_of(design_run)
    made, fold = groups["designs"], groups[""]["fold"].to_numpy()
    site, nearest = (made[name].to_numpy() for name in ("site", "nearest"))
    assert len(np.unique(site)) == len(site)
    assert (fold[site] != fold[nearest]).all()
    measured = groups["pairs"]["measured"].to_numpy()
    expected = relative_error(made["spectrum"].to_numpy(), measured[site][:, None])
    np.testing.assert_allclose(made["error"], expected, rtol=1e-5)
    assert (made["error_best"] <= made["error"].min("sample") + 1e-6).all()
    library = {int(s): np.flatnonzero(fold != fold[s]) for s in site}
    for wanted, found in zip(site, nearest, strict=True):
        distance = ((measured[library[int(wanted)]] - measured[wanted]) ** 2).sum(1)
        assert library[int(wanted)][distance.argmin()] == found


def test_the_report_shows_images_made_for_spectra(design_run: Run, tmp_path):
    assert {"made", "design_errors"} <= figures_of(design_run, tmp_path / "report")


def test_the_rank_of_a_partner_counts_what_is_nearer(dual_run: Run):
    """One pair alone has no rival; a pair given twice has one at the same distance, which is not nearer."""
    fitted = folder.load(dual_run.store("train"))
    patches = store.open_store(dual_run.store("describe"))
    images, spectra = (patches[n].to_numpy()[:1] for n in ("patch", "spectrum"))
    assert (ranks(fitted.networks, images, spectra) == 0).all()
    twice = (np.repeat(images, 2, axis=0), np.repeat(spectra, 2, axis=0))
    assert (ranks(fitted.networks, *twice) == 0).all()
