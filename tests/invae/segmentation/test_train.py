"""Simulated images to learn from, training on them, and the judgement of what was learned."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from invae.config.segment import AtomNetworkConfig
from invae.models.networks.unet import UNet
from invae.segmentation.atom_finder import mark
from invae.segmentation.atom_images import batch_of_atoms, draw, marks, standardise
from invae.segmentation.learner import ImageBatch
from invae.segmentation.score import match
from invae.segmentation.train import fit_of, train
from invae.training.fit import Fit

TINY = {"width": 4, "n_steps": 2, "batch_size": 2, "images": {"size": 32}}


def tiny(**changes) -> AtomNetworkConfig:
    return AtomNetworkConfig.model_validate({**TINY, **changes})


def network(config: AtomNetworkConfig) -> UNet:
    torch.manual_seed(config.seed)
    return UNet(config.width)


def begin(config: AtomNetworkConfig, **options) -> Fit[ImageBatch]:
    return fit_of(config, network(config), **options)


def test_an_image_is_marked_where_its_atoms_are():
    made = draw(AtomNetworkConfig().images, seed=8, number=3)
    wanted = marks(made.places, size=128, sd=1.5)
    rows, columns = made.places.round().astype(int).T
    assert wanted[rows, columns].min() > np.exp(-0.5 * 0.5 / 1.5**2) - 1e-6
    assert wanted.max() <= 1
    distance = np.hypot(*(np.indices((128, 128))[:, None] - made.places.T[..., None, None])).min(0)
    assert wanted[distance > 6].max() < 0.01


def test_images_are_as_varied_as_the_ranges_and_follow_from_seed_and_number():
    config = AtomNetworkConfig().images
    made = [draw(config, seed=2, number=number) for number in range(30)]
    spacings = np.array([one.spacing for one in made])
    assert ((spacings >= 6) & (spacings <= 28)).all()
    assert spacings.max() > 1.5 * spacings.min()
    np.testing.assert_array_equal(draw(config, seed=2, number=7).image, made[7].image)
    assert not np.array_equal(draw(config, seed=3, number=7).image, made[7].image)
    assert standardise(made[0].image).std() == pytest.approx(1, rel=1e-3)


def test_the_seed_decides_the_weights_and_nothing_else_does():
    first = train(tiny()).state_dict()
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again, other = train(tiny()).state_dict(), train(tiny(seed=1)).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["mark.weight"], other["mark.weight"])


def test_the_loop_takes_the_steps_of_plain_adam_under_a_cosine():
    """Bit for bit; the network in the package was trained by such steps, up to rounding."""
    config = tiny(n_steps=6, steps_per_epoch=6)
    fit, plain = begin(config), network(config)
    assert len(list(fit.epochs())) == 1
    optimizer = torch.optim.Adam(plain.parameters(), fused=True)
    plain.train()
    for step, batch in enumerate(fit.training.epoch(0, seed=config.seed)):
        done = (step + 1) / 6
        rate = min(1.0, done / 0.05) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        optimizer.param_groups[0]["lr"] = config.learning_rate * rate
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits
        loss(plain(batch.images), batch.marks).backward()
        optimizer.step()
    expected = plain.state_dict()
    assert all(torch.equal(v, expected[n]) for n, v in fit.learner.module.state_dict().items())


def test_the_best_epoch_on_held_out_images_remains():
    fit = begin(tiny(n_steps=12, steps_per_epoch=3, learning_rate=0.5))
    epochs = list(fit.epochs())
    assert [len(e.held_out) for e in epochs] == [1, 1, 1, 1]
    best = max(epochs, key=lambda e: e.score)
    assert fit.validate()["log_likelihood"] == pytest.approx(best.score, rel=1e-6)


def test_every_step_has_its_own_images_however_the_epochs_divide():
    seen: list[tuple[int, int]] = []
    config = tiny(n_steps=7, steps_per_epoch=3)
    images = begin(config, progress=lambda *done: seen.append(done)).training
    batches = [batch for epoch in range(3) for batch in images.epoch(epoch, seed=0)]
    assert seen == [(step, 7) for step in range(1, 8)]
    expected = batch_of_atoms(config, range(12, 14))
    assert torch.equal(batches[6].images, expected.images)
    assert torch.equal(batches[6].marks, expected.marks)
    assert len({batch.images.sum().item() for batch in batches}) == 7


def test_a_training_that_no_longer_improves_stops():
    epochs = list(
        begin(tiny(n_steps=20, steps_per_epoch=1, patience=2, learning_rate=1e-12)).epochs()
    )
    assert len(epochs) < 20


def test_training_lowers_the_loss():
    config = tiny(n_steps=25, images={"size": 64, "electrons": (900, 1000)}, learning_rate=0.02)
    made = draw(config.images, seed=77, number=0)
    wanted = torch.from_numpy(marks(made.places, size=64, sd=config.mark_sd))

    def loss(n_steps: int) -> float:
        trained = train(config.model_copy(update={"n_steps": n_steps}))
        return float(torch.nn.functional.binary_cross_entropy(
            torch.from_numpy(mark(made.image, trained)), wanted
        ))  # fmt: skip

    assert loss(25) < 0.8 * loss(1)


def test_places_match_one_to_one():
    true = np.array([[0.0, 0], [10, 10], [20, 0]])
    found = np.array([[0.3, 0.4], [0.5, 0], [10, 13], [40, 40]])
    got = match(found, true, within=2)
    assert (got.n_right, got.n_false, got.n_missed, got.square) == (1, 3, 2, 0.25)
    assert match(np.zeros((0, 2)), true, within=2).n_missed == 3


def test_a_range_that_descends_is_refused():
    with pytest.raises(ValidationError, match="spacing runs from 9 to 6"):
        AtomNetworkConfig.model_validate({"images": {"spacing": [9, 6]}})
