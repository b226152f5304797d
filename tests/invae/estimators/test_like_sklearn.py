"""The estimators' settings, copies, pickles and figures, as users of scikit-learn expect them."""

import io
import pickle
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline

from invae import Clustering, EncoderDecoder, InvariantVAE
from invae.errors import ConfigError
from invae.estimators.labels import numbered

SETTINGS: dict[str, Any] = {
    "family": "jrVAE",
    "n_classes": 2,
    "latent_dim": 3,
    "training": {"epochs": 2},
}


def copy_of(estimator: object) -> Any:
    return clone(estimator)


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    y, x = np.mgrid[:16, :16] - 7.5
    rng = np.random.default_rng(0)
    bars = np.exp(-((y[None] / rng.uniform(1, 3, (80, 1, 1))) ** 2) - (x[None] / 5) ** 2)
    return (bars + rng.normal(0, 0.1, bars.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def vae(patches) -> InvariantVAE:
    return InvariantVAE(**SETTINGS, seed=1).fit(patches)


def test_settings_are_those_that_were_given(vae):
    settings = vae.get_params()
    assert settings["n_classes"] == 2
    assert settings["beta"] == 1.0
    assert settings["seed"] == 1


def test_a_clone_has_the_same_settings_and_has_seen_nothing(vae, patches):
    copy = copy_of(vae)
    assert copy.get_params() == vae.get_params()
    assert not copy.is_trained
    np.testing.assert_array_equal(copy.fit(patches).transform(patches), vae.transform(patches))


def test_changed_settings_need_another_training():
    vae = InvariantVAE("rVAE").set_params(latent_dim=5)
    assert vae.config.latent_dim == 5
    with pytest.raises(ConfigError, match="no setting latent_dims"):
        vae.set_params(latent_dims=5)


def test_a_pickle_gives_the_same_latents(vae, patches):
    again = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(again.transform(patches), vae.transform(patches))
    assert again.get_params() == vae.get_params()
    assert not pickle.loads(pickle.dumps(InvariantVAE("rVAE"))).is_trained


def test_a_loaded_model_has_its_settings(vae, tmp_path):
    vae.save(tmp_path)
    loaded = InvariantVAE.load(tmp_path)
    assert loaded.get_params()["family"] == "jrVAE"
    assert loaded.get_params()["latent_dim"] == 3
    assert copy_of(loaded).config == loaded.config


def test_it_is_a_step_of_a_pipeline(patches):
    steps = make_pipeline(InvariantVAE("rVAE", training={"epochs": 2}), KMeans(2, random_state=0))
    assert set(steps.fit_predict(patches)) == {0, 1}


def test_the_reconstruction_is_in_the_pose_of_the_patch(vae, patches):
    decoded = vae.reconstruct(patches)
    assert decoded.shape == (len(patches), 1, 16, 16)
    stated = vae.encode(patches)["reconstruction_error"].to_numpy()
    middle = (np.mgrid[:16, :16] - 7.5) ** 2
    inside = middle.sum(0) < 36
    error = np.sqrt(((decoded[:, 0].to_numpy() - patches)[:, inside] ** 2).mean(1))
    assert np.corrcoef(error, stated)[0, 1] > 0.9


def test_the_score_is_the_mean_elbo(vae, patches):
    assert vae.score(patches) == pytest.approx(float(vae.encode(patches)["elbo"].mean()))
    noise = np.random.default_rng(1).normal(0, 1, patches.shape).astype(np.float32)
    assert vae.score(noise) < vae.score(patches)


def test_latents_carry_the_verdict(vae, patches):
    attrs = vae.encode(patches).attrs
    assert attrs["verdict"] == vae.verdict().light
    assert {finding["name"] for finding in attrs["findings"]} >= {"overfitting", "few_sites"}


def test_figures_are_drawn(vae, patches, tmp_path):
    figures = {
        "manifold": vae.plot_manifold(3),
        "latent": vae.plot_latent(patches),
        "history": vae.plot_history(),
        "reconstructions": vae.plot_reconstructions(patches, 4),
    }
    for name, figure in figures.items():
        assert isinstance(figure, Figure)
        figure.savefig(tmp_path / name)
    assert len(figures["manifold"].axes) == 2
    assert len(figures["reconstructions"].axes) == 8


def test_notebooks_show_settings_and_state(vae):
    assert "trained" in vae._repr_html_()
    assert "jrVAE" in vae._repr_html_()
    assert repr(InvariantVAE("rVAE", latent_dim=3)) == "InvariantVAE(latent_dim=3)"


@pytest.mark.parametrize("kind", [Clustering, EncoderDecoder])
def test_other_estimators_can_be_copied(kind):
    assert copy_of(kind(seed=4)).get_params()["seed"] == 4


class Terminal(io.StringIO):
    """Standard error of a person who looks."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("verbose", "is_shown"), [(1, True), (0, False)])
def test_a_training_shows_a_bar_unless_it_is_turned_off(patches, monkeypatch, verbose, is_shown):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    InvariantVAE("VAE", training={"epochs": 2}, verbose=verbose).fit(patches)
    assert ("2/2" in terminal.getvalue()) == is_shown


def test_scripts_and_callers_with_their_own_progress_see_no_bar(patches, monkeypatch, capsys):
    calls: list[tuple[int, int]] = []
    InvariantVAE("VAE", training={"epochs": 2}).fit(patches)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    own: dict[str, Any] = {"progress": lambda done, total: calls.append((done, total))}
    InvariantVAE("VAE", training={"epochs": 2}).fit(patches, **own)
    assert calls[-1] == (2, 2)
    assert capsys.readouterr().err == terminal.getvalue() == ""


def test_a_misspelt_setting_names_the_nearest_one():
    options: dict[str, Any] = {"latent_dims": 3}
    with pytest.raises(TypeError, match=r"no setting latent_dims; did you mean latent_dim\?"):
        InvariantVAE("rVAE", **options)
    with pytest.raises(ConfigError, match=r"did you mean latent_dim\?"):
        InvariantVAE("rVAE").set_params(**options)
    with pytest.raises(ConfigError, match="did you mean 'jrVAE'"):
        InvariantVAE("jrVA")


WORDS = ["b", "a", "", None, "b", "a"]
CATEGORIES = pd.Series(pd.Categorical(["b", "a", None, None, "b", "a"], ["a", "b"]))


@pytest.mark.parametrize(
    "labels",
    [WORDS, np.array(WORDS, dtype=object), CATEGORIES],
    ids=["list", "array", "categories"],
)
def test_labels_may_be_words(labels):
    numbers, names = numbered(labels)
    assert numbers.tolist() == [1, 0, -1, -1, 1, 0]
    assert names == ("a", "b")


def test_numbers_stay_numbers_and_categories_keep_their_order():
    assert numbered(np.array([2, -1, 0]))[0].tolist() == [2, -1, 0]
    assert numbered(pd.Categorical(["low", "high"], ["low", "high"]))[1] == ("low", "high")


def test_classes_have_the_names_of_their_labels_also_after_saving(patches, tmp_path):
    labels = np.where(np.arange(len(patches)) % 2, "thin", "thick")
    labels[::5] = ""
    vae = InvariantVAE("ssrVAE", training={"epochs": 1}, verbose=0).fit(patches, y=labels)
    assert vae.encode(patches)["class"].attrs["flag_meanings"] == "thick thin"
    vae.save(tmp_path)
    loaded = InvariantVAE.load(tmp_path)
    assert loaded.encode(patches)["class"].attrs["flag_meanings"] == "thick thin"
    assert pickle.loads(pickle.dumps(vae)).class_names == ("thick", "thin")


def test_conditions_may_be_words(patches):
    words = np.where(np.arange(len(patches)) % 2, "up", "down")
    options: dict[str, Any] = {"training": {"epochs": 1}, "verbose": 0}
    by_words = InvariantVAE("cVAE", **options).fit(patches, condition=words)
    by_numbers = InvariantVAE("cVAE", **options).fit(patches, condition=(words == "up") * 1)
    np.testing.assert_array_equal(
        by_words.encode(patches, condition=words)["content"],
        by_numbers.encode(patches, condition=(words == "up") * 1)["content"],
    )


@pytest.mark.parametrize("own", [("site", "row", "column"), ("spot", "height", "width")])
def test_a_reconstruction_has_the_dims_of_the_patches(vae, patches, own):
    labelled = xr.DataArray(patches, dims=own)
    decoded = vae.reconstruct(labelled)
    assert decoded.dims == own
    np.testing.assert_array_equal(decoded, vae.reconstruct(patches)[:, 0])


def test_a_reconstruction_has_the_order_of_named_axes(vae, patches):
    labelled = xr.DataArray(patches, dims=("site", "row", "column")).transpose("row", "column", "site")  # fmt: skip
    decoded = vae.reconstruct(labelled)
    assert decoded.dims == labelled.dims
    np.testing.assert_array_equal(decoded.transpose("site", ...), vae.reconstruct(patches)[:, 0])


def test_decoded_patches_and_traversals_have_the_same_dims(vae):
    assert vae.decode(np.zeros((1, 3))).dims == ("site", "channel", "y", "x")
    assert vae.traversal(2).dims[-3:] == ("channel", "y", "x")
