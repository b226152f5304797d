"""Spectra from images and images from spectra: known relations, intervals, folders, refusals."""

import json

import numpy as np
import pytest
import xarray as xr

from invae import EncoderDecoder
from invae.errors import ConfigError, InputError, StoreError
from invae.regression import scores
from tests.invae.estimators.pair_data import ENERGIES, spots

QUICK = {"epochs": 30}


@pytest.fixture(scope="module")
def pairs():
    return spots(160, seed=0)


@pytest.fixture(scope="module")
def unseen():
    return spots(80, seed=1)


@pytest.fixture(scope="module")
def fitted(pairs):
    return EncoderDecoder(n_members=1, n_folds=2, training=QUICK).fit(pairs)


@pytest.fixture(scope="module")
def backwards(pairs):
    return EncoderDecoder("spectrum", "image", n_members=1, n_folds=2, training=QUICK).fit(pairs)


def test_spectra_of_unseen_images_are_predicted(fitted, unseen):
    said = fitted.predict(unseen["image"])
    assert scores.r2(said["mean"].to_numpy(), unseen["clean"]) > 0.9
    assert said["mean"].dims == ("site", "energy")
    np.testing.assert_array_equal(said["energy"], ENERGIES)


def test_predictions_do_not_change_with_rotation_and_mirror_images(fitted, unseen):
    upright = fitted.predict(unseen["image"])["mean"].to_numpy()
    for other in (np.rot90(unseen["image"], axes=(1, 2)), unseen["image"][:, ::-1]):
        np.testing.assert_allclose(fitted.predict(other.copy())["mean"], upright, atol=0.02)


def test_intervals_hold_about_what_they_say(fitted, unseen):
    said = fitted.predict(unseen["image"])
    inside = scores.coverage(said["lower"].to_numpy(), said["upper"].to_numpy(), unseen["spectrum"])
    assert 0.8 < inside < 0.99
    half = (said["upper"] - said["lower"]).to_numpy() / 2
    total = np.hypot(said["sd_noise"], said["sd_model"]).to_numpy()
    np.testing.assert_allclose(half / total, (half / total).flat[0], rtol=1e-3)


def test_samples_with_noise_scatter_as_predicted(fitted, unseen):
    said = fitted.predict(unseen["image"])
    drawn = fitted.sample(unseen["image"], 400, noise=True).to_numpy()
    total = np.hypot(said["sd_noise"], said["sd_model"]).to_numpy()
    assert np.median(drawn.std(0) / total) == pytest.approx(1, abs=0.1)
    plain = fitted.sample(unseen["image"], 50).to_numpy()
    assert np.median(plain.std(0) / total) < 0.8


def test_every_pair_has_a_prediction_of_members_that_have_not_seen_it(fitted, pairs):
    held_out = fitted.held_out
    assert held_out.attrs["by"] == "specimen"
    assert not held_out.attrs["leaks"]
    assert np.isfinite(held_out["mean"]).all()
    np.testing.assert_array_equal(held_out["spectrum"], pairs["spectrum"])
    assert held_out.attrs["r2"] == pytest.approx(
        scores.r2(held_out["mean"].to_numpy(), pairs["spectrum"]), abs=1e-6
    )


def test_an_image_of_noise_makes_the_model_less_sure(fitted, unseen):
    strange = np.random.default_rng(5).normal(size=unseen["image"].shape).astype(np.float32)
    near, far = (float(fitted.predict(i)["sd_model"].mean()) for i in (unseen["image"], strange))
    assert far > 1.5 * near


def test_a_saved_estimator_says_the_same(fitted, unseen, tmp_path):
    fitted.save(tmp_path / "model")
    again = EncoderDecoder.load(tmp_path / "model")
    xr.testing.assert_identical(again.predict(unseen["image"]), fitted.predict(unseen["image"]))
    xr.testing.assert_identical(again.encode(unseen["image"]), fitted.encode(unseen["image"]))
    xr.testing.assert_identical(again.held_out, fitted.held_out)


@pytest.mark.parametrize("damage", ["missing weights", "cut card", "other network"])
def test_a_damaged_folder_is_refused_in_one_line(fitted, tmp_path, damage):
    folder = tmp_path / "model"
    fitted.save(folder)
    if damage == "missing weights":
        (folder / "member_00.safetensors").unlink()
    elif damage == "cut card":
        (folder / "model.json").write_text((folder / "model.json").read_text()[:200])
    else:
        card = json.loads((folder / "model.json").read_text())
        card["config"]["latent_dim"] = 3
        (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(StoreError) as caught:
        EncoderDecoder.load(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_the_seed_decides_every_value(pairs, unseen):
    small = {k: v[:48] for k, v in pairs.items() if k not in ("axis", "clean")}
    said = [
        EncoderDecoder(n_members=1, n_folds=2, seed=3, training={"epochs": 2})
        .fit(small)
        .predict(unseen["image"])
        for _ in range(2)
    ]
    xr.testing.assert_identical(*said)


def test_images_of_a_spectrum_have_the_distance_that_made_it(backwards, unseen):
    """The radius of gyration of the samples grows with the position of the peak."""
    drawn = backwards.sample(unseen["spectrum"], 4, seed=0).to_numpy()[:, :, 0].clip(0)
    y, x = np.indices(drawn.shape[2:]) - (drawn.shape[-1] - 1) / 2
    radius = np.sqrt((drawn * (y**2 + x**2)).sum((2, 3)) / drawn.sum((2, 3))).mean(0)
    peak = scores.peak_position(unseen["clean"], ENERGIES)
    assert np.corrcoef(radius, peak)[0, 1] > 0.8


def test_images_are_chosen_by_the_spectra_predicted_of_them(backwards, pairs, unseen):
    """Eight tries for each image: their spectra are nearer to the wanted ones, and the nearest comes first."""
    judge = EncoderDecoder(n_members=0, n_folds=2).fit(pairs)

    def errors(tries: int) -> np.ndarray:
        images = backwards.sample(unseen["spectrum"], 4, tries=tries).to_numpy()
        return np.stack(
            [
                scores.relative_error(judge.predict(one)["mean"].to_numpy(), unseen["clean"])
                for one in images
            ]
        )

    chosen, plain = errors(8), errors(1)
    assert (np.median(chosen, 0) < np.median(plain, 0)).mean() > 0.75
    assert (chosen[0] < chosen[-1]).mean() > 0.75


def test_tries_need_a_process(fitted, unseen):
    alone = EncoderDecoder(
        "spectrum", "image", process=False, n_members=1, training={"epochs": 1}
    ).fit({k: unseen[k] for k in ("image", "spectrum")})
    assert alone.sample(unseen["spectrum"], 2).sizes["sample"] == 2
    with pytest.raises(InputError, match="process=True"):
        alone.sample(unseen["spectrum"], 2, tries=4)


def test_latent_variables_follow_the_distance(fitted, unseen):
    content = fitted.encode(unseen["image"])["content"].to_numpy()
    peak = scores.peak_position(unseen["clean"], ENERGIES)
    design = np.c_[content, np.ones(len(content))]
    fit = design @ np.linalg.lstsq(design, peak, rcond=None)[0]
    assert np.corrcoef(fit, peak)[0, 1] > 0.9


def test_a_mixture_has_both_spectra_of_one_image():
    rng = np.random.default_rng(0)
    pairs = spots(160, seed=4)
    hidden = rng.random(160) < 0.5
    spectra = np.where(hidden[:, None], pairs["spectrum"], pairs["spectrum"][:, ::-1]).astype(
        np.float32
    )
    model = EncoderDecoder(
        n_members=1,
        n_folds=2,
        model={"likelihood": {"kind": "mixture", "n_components": 2}},
        training=QUICK,
    ).fit({"image": pairs["image"], "spectrum": spectra, "specimen": pairs["specimen"]})
    both = np.stack((pairs["clean"], pairs["clean"][:, ::-1]))
    drawn = model.sample(pairs["image"], 8).to_numpy()
    nearest = ((drawn[:, None] - both) ** 2).mean(-1).argmin(1)
    assert 0.2 < nearest.mean() < 0.8
    assert (nearest.std(0) > 0).mean() > 0.6


def test_counts_are_predicted_as_rates(pairs, unseen):
    rng = np.random.default_rng(0)
    counts = rng.poisson(50 * pairs["clean"] + 2).astype(np.float32)
    model = EncoderDecoder(
        n_members=1, n_folds=2, model={"likelihood": {"kind": "poisson"}}, training=QUICK
    ).fit({**pairs, "spectrum": counts})
    said = model.predict(unseen["image"])
    assert scores.r2(said["mean"].to_numpy(), 50 * unseen["clean"] + 2) > 0.8
    assert (said["mean"] > 0).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spectrum": None}, "spectrum"),
        ({"image": np.zeros((160, 20, 20))}, "constant"),
        ({"spectrum": np.ones((160, 24))}, "constant"),
        ({"spectrum": np.full((160, 24), np.nan)}, "NaN"),
        ({"spectrum": np.ones((159, 24))}, "159"),
        ({"axis": np.arange(5)}, "5"),
        ({"specimen": np.zeros(3)}, "3"),
    ],
)
def test_pairs_that_cannot_be_used_are_refused_in_one_line(pairs, change, words):
    given = {k: v for k, v in {**pairs, **change}.items() if v is not None}
    with pytest.raises(InputError) as caught:
        EncoderDecoder(n_members=0).fit(given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_pair_is_refused(pairs):
    with pytest.raises(InputError, match="1 pair"):
        EncoderDecoder(n_members=0).fit({k: v[:1] for k, v in pairs.items() if k != "axis"})


def test_patches_of_another_size_are_refused(fitted):
    with pytest.raises(InputError, match="24 × 24"):
        fitted.predict(np.random.default_rng(0).normal(size=(4, 24, 24)))


@pytest.mark.parametrize(
    "options",
    [
        {"source": "image", "target": "image"},
        {"n_members": 0, "process": False},
        {"coverage": 1.5},
        {"model": {"latent": 3}},
    ],
)
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(ConfigError):
        EncoderDecoder(**options)


def test_nothing_is_predicted_before_fit():
    with pytest.raises(InputError, match="fit"):
        EncoderDecoder().predict(np.zeros((2, 8, 8)))
