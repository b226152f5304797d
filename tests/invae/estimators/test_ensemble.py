"""The same model from several seeds."""

from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

import invae
from invae import Ensemble, InvariantVAE
from invae.config.synthetic import CardsConfig
from invae.errors import InputError, StoreError
from invae.synthetic import cards

N_MEMBERS = 3


@pytest.fixture(scope="module")
def drawn():
    suits = ("spades", "diamonds", "hearts")
    return cards.draw(
        CardsConfig(n_per_suit=80, size=24, angle=8, shear=3, shift=0, noise=0.05, suits=suits),
        seed=5,
    )


@pytest.fixture(scope="module")
def ensemble(drawn) -> Ensemble:
    training = {"epochs": 16, "batch_size": 32}
    template = InvariantVAE("jVAE", n_classes=3, seed=1, training=training)
    calls: list[tuple[int, int]] = []
    made = Ensemble(template, n_members=N_MEMBERS)
    made.fit(drawn["image"].to_numpy(), progress=lambda *done: calls.append(done))
    assert calls[-1] == (N_MEMBERS * 16, N_MEMBERS * 16)
    assert all(first[0] <= second[0] for first, second in pairwise(calls))
    return made


def test_members_differ_and_their_words_do_not(ensemble, drawn):
    weights = [next(iter(m.trained.model.state_dict().values())) for m in ensemble.members]
    assert len({m.seed for m in ensemble.members}) == N_MEMBERS
    assert len(weights) == N_MEMBERS
    latents, suit = ensemble.encode(drawn["image"].to_numpy()), drawn["suit"].to_numpy()
    assert latents["agreement"].mean() > 0.9
    for name in np.unique(suit):
        classes = latents["class"].values[suit == name]
        assert (classes == np.bincount(classes).argmax()).mean() > 0.9
    assert latents["content_dispersion"].dims == latents["content"].dims
    assert set(latents["class_probability"].dims) == {"site", "class"}
    np.testing.assert_allclose(latents["class_probability"].sum("class"), 1, atol=1e-5)
    assert latents.attrs["n_members"] == N_MEMBERS


def test_a_saved_ensemble_says_the_same(ensemble, drawn, tmp_path):
    images = drawn["image"].to_numpy()[:50]
    ensemble.save(tmp_path)
    again = Ensemble.load(tmp_path)
    xr.testing.assert_identical(ensemble.encode(images), again.encode(images))
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".json", ".safetensors"}


def test_the_template_stays_untrained(drawn):
    template = InvariantVAE("VAE", training={"epochs": 1})
    Ensemble(template, n_members=2).fit(drawn["image"].to_numpy()[:40])
    with pytest.raises(InputError, match="has seen no data"):
        _ = template.trained


def test_errors_say_what_to_do(tmp_path):
    template = InvariantVAE("VAE")
    with pytest.raises(InputError, match=r"1 member\(s\) disagrees on nothing; take 2 or more"):
        Ensemble(template, n_members=1)
    with pytest.raises(InputError, match="call fit or load first"):
        Ensemble(template).encode(np.zeros((2, 16, 16)))
    with pytest.raises(StoreError, match="holds no ensemble"):
        Ensemble.load(tmp_path)
    assert "Ensemble" in dir(invae)


def test_members_have_as_many_classes_as_the_first_one_has_found(drawn):
    template = InvariantVAE("jVAE", n_classes=5, training={"epochs": 10, "batch_size": 32})
    ensemble = Ensemble(template, n_members=2).fit(drawn["image"].to_numpy())
    first, second = ensemble.members
    found = first.trained.config.n_classes
    assert found < (5,)
    assert second.trained.config.n_classes == found
    assert second.training.surplus_classes == "keep"
    latents = ensemble.encode(drawn["image"].to_numpy()[:20])
    assert (latents.sizes["class"],) == found


def digest_of(ensemble: Ensemble, images: np.ndarray) -> str:
    """SHA-256 of all weights, histories and latents."""
    whole = sha256()
    for member in ensemble.members:
        whole.update(repr([epoch.to_json() for epoch in member.history]).encode())
        for value in member.trained.model.state_dict().values():
            whole.update(value.numpy().tobytes())
    for value in ensemble.encode(images).variables.values():
        whole.update(np.ascontiguousarray(value.values).tobytes())
    return whole.hexdigest()


@pytest.mark.parametrize(
    ("family", "workers"),
    [("VAE", (1, 2)), pytest.param("jVAE", (1, 2, 4), marks=pytest.mark.slow)],
)
def test_values_and_calls_do_not_depend_on_the_number_of_workers(drawn, family, workers):
    images = drawn["image"].to_numpy()[:60]
    classes = 2 if family == "jVAE" else None
    template = InvariantVAE(family, n_classes=classes, training={"epochs": 2}, device="cpu")
    digests, last = set(), set()
    for number in workers:
        calls: list[tuple[int, int]] = []
        made = Ensemble(template, n_members=3)
        made.fit(images, workers=number, progress=lambda *done, calls=calls: calls.append(done))
        digests.add(digest_of(made, images))
        last.add(calls[-1])
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert len(digests) == 1
    assert last == {(6, 6)}


def test_an_error_in_a_member_is_the_one_of_a_single_model(drawn):
    images = drawn["image"].to_numpy()[:40].copy()
    images[3, 2, 2] = np.nan
    for workers in (1, 2):
        with pytest.raises(InputError, match="1 values are NaN or infinite, the first in patch 3"):
            Ensemble(InvariantVAE("VAE", device="cpu"), n_members=2).fit(images, workers=workers)
