"""The estimator: known angles and shifts are recovered, and wrong use raises an error of one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from invae import InvariantVAE
from invae.config import ComputeConfig, WallsConfig
from invae.config.synthetic import DomainsConfig
from invae.descriptors.describe import describe
from invae.errors import ConfigError, InputError, StoreError
from invae.models.geometry.circle import CirclePrior
from invae.models.latents import NormalPrior
from invae.synthetic.domains import make_receipt, simulate

QUICK = {"epochs": 2, "batch_size": 16}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quick(family: str = "rtVAE", **options) -> InvariantVAE:
    return InvariantVAE(family, training=QUICK, device="cpu", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 12, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(noise) -> InvariantVAE:
    return quick().fit(noise)


@pytest.fixture(scope="module", params=[1, 3], ids=["one channel", "three channels"])
def taught(request, draw_letters) -> tuple[InvariantVAE, int]:
    """A model that has seen 1,200 letters at any angle, moved by up to 3 px."""
    letters = draw_letters(1200, seed=10, n_channels=request.param, largest_shift=3.0)
    vae = InvariantVAE("rtVAE", training={"epochs": 15}, device="cpu")
    return vae.fit(letters.patches), request.param


def test_angles_and_shifts_of_unseen_letters_are_found(taught, draw_letters):
    vae, n_channels = taught
    letters = draw_letters(400, seed=77, n_channels=n_channels, largest_shift=3.0)
    latents = vae.encode(letters.patches)
    offset = latents["angle"].to_numpy() - letters.angle
    assert np.abs(np.exp(1j * offset).mean()) >= 0.99
    assert float(latents["angle_resultant"].mean()) >= 0.99
    # The pattern's own centre is the model's choice; in its own frame it is the same point of every letter.
    cos, sin = np.cos(letters.angle), np.sin(letters.angle)
    residual = []
    for axis in (0, 1):
        design = np.column_stack(
            (letters.shift[:, axis], cos, sin, cos * letters.arm, sin * letters.arm)
        )
        shift = latents["shift"].to_numpy()[:, axis]
        fit, *_ = np.linalg.lstsq(design, shift, rcond=None)
        assert fit[0] == pytest.approx(1, abs=0.1)
        residual.append(1 - np.var(shift - design @ fit) / np.var(shift))
    assert min(residual) >= 0.95
    read = np.abs(np.corrcoef(latents["content"].to_numpy().T, letters.arm)[-1, :-1])
    assert read.max() > 0.9


def test_turning_unseen_patches_turns_the_angle_and_keeps_the_content(taught, draw_letters):
    vae, n_channels = taught
    patches = draw_letters(200, seed=78, n_channels=n_channels, largest_shift=3.0).patches
    valid = np.random.default_rng(0).random(patches.shape) > 0.1
    for mask in (None, valid):
        turned_mask = None if mask is None else np.rot90(mask, axes=(2, 3))
        upright = vae.encode(patches, valid=mask)
        turned = vae.encode(np.rot90(patches, axes=(2, 3)), valid=turned_mask)
        offset = turned["angle"] - upright["angle"] - np.pi / 2
        assert float(np.cos(offset).min()) > 0.9999
        spread = upright["content"].std("site")
        assert float((np.abs(turned["content"] - upright["content"]) / spread).max()) < 0.001
        y, x = upright["shift"].transpose("axis", "site")
        expected = np.stack((-x, y), -1)
        np.testing.assert_allclose(turned["shift"], expected, atol=0.01)


def test_a_reconstruction_looks_like_the_patch(taught, draw_letters):
    vae, n_channels = taught
    letters = draw_letters(50, seed=79, n_channels=n_channels, largest_shift=3.0, noise=0.0)
    latents = vae.encode(letters.patches)
    drawn = vae.decode(latents["content"], angle=latents["angle"], shift=latents["shift"])
    assert drawn.dims == ("site", "channel", "y", "x")
    error = np.sqrt(((drawn.to_numpy() - letters.patches) ** 2).mean())
    assert error < 0.4 * letters.patches.std()
    assert float(latents["reconstruction_error"].mean()) < 0.5 * letters.patches.std()


def test_walls_of_a_simulated_series_keep_their_content_when_turned(tmp_path):
    recording, patches = tmp_path / "recording.zarr", tmp_path / "descriptors.zarr"
    scene = DomainsConfig.model_validate({"rows": 96, "columns": 96, "n_frames": 6})
    simulate(recording, config=scene, seed=5)
    compute = ComputeConfig(device="cpu", workers=1)
    settings = {"patches": {"window": 24, "channels": {"kind": "delay"}}}
    describe(
        recording,
        patches,
        config=WallsConfig.model_validate(settings),
        receipt=make_receipt(recording, config=scene, seed=5),
        compute=compute,
    )
    with xr.open_zarr(patches, consolidated=False, chunks=None) as dataset:
        values, valid = dataset["patch"].to_numpy(), dataset["valid"].to_numpy()
    training, held_out = np.arange(0, len(values), 2), np.arange(1, len(values), 2)
    vae = quick().fit(values[training], valid=valid[training])
    upright = vae.encode(values[held_out], valid=valid[held_out])
    quarter = [np.rot90(array[held_out], axes=(2, 3)) for array in (values, valid)]
    turned = vae.encode(quarter[0], valid=quarter[1])
    spread = upright["content"].std("site")
    assert float((np.abs(turned["content"] - upright["content"]) / spread).max()) < 0.01
    offset = turned["angle"] - upright["angle"] - np.pi / 2
    assert float(np.quantile(np.cos(offset), 0.02)) > 0.999


@pytest.mark.parametrize("family", ["AE", "VAE", "tVAE", "rVAE", "rtVAE"])
def test_names_never_differ_and_what_a_family_lacks_is_absent(family, noise):
    latents = quick(family).fit(noise).encode(noise)
    lacks = {
        "AE": {"content_sd", "angle", "angle_resultant", "shift", "shift_sd"},
        "VAE": {"angle", "angle_resultant", "shift", "shift_sd"},
        "tVAE": {"angle", "angle_resultant"},
        "rVAE": {"shift", "shift_sd"},
        "rtVAE": set(),
    }[family]
    everything = {"content", "content_sd", "angle", "angle_resultant", "shift", "shift_sd"}
    everything |= {"log_likelihood", "elbo", "reconstruction_error"}
    assert set(latents.data_vars) == everything - lacks


def test_labels_go_through(noise):
    labelled = xr.DataArray(
        noise,
        dims=("site", "y", "x"),
        coords={"frame": ("site", np.arange(40) // 10), "sample": ("site", np.arange(40.0))},
    )
    latents = quick("rVAE").fit(labelled).encode(labelled)
    np.testing.assert_array_equal(latents["frame"], labelled["frame"])
    np.testing.assert_array_equal(latents["sample"], labelled["sample"])


def test_channels_keep_their_names(noise):
    both = xr.DataArray(
        np.stack((noise, -noise), 1),
        dims=("site", "channel", "patch_y", "patch_x"),
        coords={"channel": ["up", "down"]},
    )
    vae = quick("rVAE").fit(both)
    assert vae.decode(np.zeros((1, 2)))["channel"].to_numpy().tolist() == ["up", "down"]


@pytest.mark.parametrize(("latent_dim", "axes"), [(1, 1), (2, 2), (3, 2)])
def test_a_traversal_spans_the_first_two_dimensions(noise, latent_dim, axes):
    manifold = quick("rVAE", latent_dim=latent_dim).fit(noise).traversal(steps=4)
    names = tuple(f"latent_{k}" for k in range(1, axes + 1))
    assert manifold.dims == ("class", *names, "channel", "y", "x")
    assert manifold.shape == (1, *[4] * axes, 1, 12, 12)
    assert bool((manifold["latent_1"].diff("latent_1") > 0).all())
    assert np.isfinite(manifold).all()


def test_decode_moves_and_turns(fitted):
    content = np.zeros((1, 2))
    upright = fitted.decode(content)
    turned = fitted.decode(content, angle=np.array([np.pi / 2]))
    np.testing.assert_allclose(turned, np.rot90(upright, axes=(2, 3)), atol=1e-4)
    moved = fitted.decode(content, shift=np.array([[2.0, 0.0]]))
    inner, shifted = upright[0, 0, 3:8, 3:8], moved[0, 0, 5:10, 3:8]
    np.testing.assert_allclose(shifted, inner, atol=1e-4)


def test_one_patch_is_enough(noise):
    vae = quick().fit(noise[:1])
    assert vae.encode(noise[:1]).sizes["site"] == 1
    assert len(vae.history) == 2


def test_a_patch_that_is_not_square_is_not_sheared():
    wide = np.random.default_rng(0).normal(size=(30, 8, 20)).astype(np.float32)
    vae = quick().fit(wide)
    turned = vae.decode(np.zeros((1, 2)), angle=np.array([np.pi / 2]))
    upright = vae.decode(np.zeros((1, 2)))
    assert turned.shape == (1, 1, 8, 20)
    middle = slice(6, 14)
    np.testing.assert_allclose(
        turned[0, 0, :, middle], np.rot90(upright[0, 0, :, middle]), atol=1e-4
    )


def test_save_and_load_keep_everything(fitted, noise, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = InvariantVAE.load(tmp_path / "model", device="cpu")
    assert (loaded.training, loaded.seed) == (fitted.training, fitted.seed)
    xr.testing.assert_identical(loaded.encode(noise), fitted.encode(noise))
    xr.testing.assert_identical(loaded.traversal(3), fitted.traversal(3))
    assert loaded.config == fitted.config
    assert loaded.history == fitted.history


def test_the_priors_are_saved(noise, tmp_path):
    vae = quick(translation={"prior_sd": 0.3}, rotation={"prior_sd": 0.7}).fit(noise)
    vae.save(tmp_path)
    priors = InvariantVAE.load(tmp_path).trained.model.priors
    assert (priors["shift"], priors["angle"]) == (NormalPrior(0.3), CirclePrior(0.7))


def test_encoding_is_repeatable_whatever_was_drawn_before(fitted, noise):
    first = fitted.encode(noise)
    torch.randn(7)
    np.random.default_rng().random(7)
    xr.testing.assert_identical(fitted.encode(noise), first)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (3, 3)])
def test_small_patches_of_any_shape_work(shape):
    patches = np.random.default_rng(0).normal(size=(10, *shape))
    assert np.isfinite(quick().fit(patches).encode(patches)["content"]).all()


def test_epochs_are_reported(noise):
    calls, epochs = [], []
    quick("rVAE").fit(noise, progress=lambda *at: calls.append(at), on_epoch=epochs.append)
    assert calls[-1] == (2, 2)
    assert [epoch.epoch for epoch in epochs] == [0, 1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"family": "rvae"}, "family: Input should be 'AE', 'VAE'"),
        ({"latent_dim": 0}, "latent_dim: Input should be greater than or equal to 1"),
        ({"pose_inference": "guess"}, "pose_inference: Input should be"),
        ({"rotation": {"priorsd": 1}}, "rotation.priorsd: Extra inputs are not permitted"),
        ({"encoder": {"kind": "cnn"}}, "encoder: Input tag 'cnn'"),
        ({"training": {"epoch": 3}}, "epoch: Extra inputs are not permitted"),
        ({"n_classes": 4}, r"rVAE takes no n_classes \(given 4\); leave it out"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        InvariantVAE(**options)
    assert "\n" not in str(caught.value)


def test_a_misspelt_argument_is_refused():
    with pytest.raises(TypeError, match="latentdim"):
        InvariantVAE(latentdim=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda a: np.where(a > 2, np.nan, a), "values are NaN or infinite"),
        (lambda a: np.where(a > 2, np.inf, a), "values are NaN or infinite"),
        (lambda a: a[0, 0], r"patches have shape \(12,\)"),
        (lambda a: a * 0 + 1, r"all patches are constant \(1\)"),
        (lambda a: a.astype(complex), "patches are of type complex128"),
        (lambda a: a[:0], r"shape \(0, 1, 12, 12\)"),
    ],
)
def test_patches_that_cannot_be_used_are_refused(noise, spoil, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        quick().fit(spoil(noise))
    assert "\n" not in str(caught.value)


def test_nan_under_a_mask_is_fine(noise):
    spoilt = np.where(noise > 2, np.nan, noise)
    latents = (
        quick().fit(spoilt, valid=np.isfinite(spoilt)).encode(spoilt, valid=np.isfinite(spoilt))
    )
    assert np.isfinite(latents["content"]).all()
    assert np.isfinite(latents["reconstruction_error"]).all()


def test_a_bernoulli_refuses_data_outside_0_and_1(noise):
    with pytest.raises(InputError, match="a Bernoulli likelihood takes 0 to 1"):
        quick(likelihood={"kind": "bernoulli"}).fit(noise)


def test_using_a_model_that_has_seen_nothing_is_an_error(noise, tmp_path):
    for use in (
        lambda vae: vae.encode(noise),
        lambda vae: vae.traversal(),
        lambda vae: vae.save(tmp_path),
    ):
        with pytest.raises(InputError, match="has seen no data; call fit or load first"):
            use(quick())


def test_latents_that_a_family_lacks_are_refused(noise):
    vae = quick("rVAE").fit(noise)
    with pytest.raises(InputError, match="family rVAE has no shift"):
        vae.decode(np.zeros((1, 2)), shift=np.zeros((1, 2)))
    with pytest.raises(InputError, match="has no classes"):
        vae.decode(np.zeros((1, 2)), class_=np.zeros(1))
    with pytest.raises(InputError, match=r"content has shape \(2, 3\)"):
        vae.decode(np.zeros((2, 3)))


def test_other_patches_than_the_model_was_made_for_are_refused(fitted, noise):
    with pytest.raises(InputError, match="1 channels of 12 × 11 pixels, the model takes 1 of 12"):
        fitted.encode(noise[:, :, :11])


def test_a_folder_without_a_model_and_a_damaged_one_are_named(fitted, tmp_path: Path):
    with pytest.raises(StoreError, match="nothing holds no model that can be loaded"):
        InvariantVAE.load(tmp_path / "nothing")
    fitted.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(StoreError, match="holds no model that can be loaded"):
        InvariantVAE.load(tmp_path)


def test_a_store_has_its_own_mask(noise, tmp_path):
    with pytest.raises(InputError, match="has its own mask and condition; leave `valid`"):
        quick().fit(tmp_path / "descriptors.zarr", valid=noise > 0)
