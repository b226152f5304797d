"""The network that marks atoms: where it looks, what does not matter to it, and how it is trained and kept."""

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from invae.config.segment import AtomNetworkConfig
from invae.errors import InputError, StoreError
from invae.segment.finder import centres, mark, probability
from invae.segment.images import draw, marks, standardised
from invae.segment.judge import match, summary
from invae.segment.network import REACH, AtomNetwork
from invae.segment.saved import SHIPPED, WEIGHTS_FILE, load, save
from invae.segment.train import train

TINY = {"width": 4, "n_steps": 2, "batch_size": 2, "images": {"size": 32}}


def tiny(**changes) -> AtomNetworkConfig:
    return AtomNetworkConfig.model_validate({**TINY, **changes})


def test_nothing_beyond_its_reach_matters():
    network = load()
    image = torch.randn((1, 1, 304, 304), generator=torch.Generator().manual_seed(1))
    image.requires_grad_()
    network(image)[0, 0, 150, 150].backward()
    assert image.grad is not None
    felt = image.grad[0, 0].abs()
    felt_from = np.argwhere(felt.numpy() > 0) - 150
    assert 20 < np.abs(felt_from).max() <= REACH


@pytest.mark.parametrize("shape", [(70, 133), (200, 96), (24, 16)])
def test_tiles_give_what_the_whole_gives(shape):
    image = np.random.default_rng(3).poisson(5, shape)
    whole = probability(image[None], tile=256)
    np.testing.assert_allclose(probability(image[None], tile=64), whole, atol=1e-5)
    assert whole.shape == (1, *shape)
    assert whole.dtype == np.float32


def test_neither_dose_nor_gain_nor_the_other_images_matter():
    image = draw(AtomNetworkConfig().images, seed=5, number=0).image
    first = probability(np.stack([image, 7 * image + 100, image[::-1]]))
    np.testing.assert_allclose(first[1], first[0], atol=1e-3)
    np.testing.assert_allclose(first[:1], probability(image[None]), atol=1e-6)


def test_what_is_not_known_holds_no_atom_and_an_empty_image_none_either():
    image = draw(AtomNetworkConfig().images, seed=6, number=1).image
    image[20:60, 30:90] = np.nan
    marked = probability(image[None])[0]
    assert (marked[20:60, 30:90] == 0).all()
    assert np.isfinite(marked).all()
    assert (probability(np.full((1, 32, 40), np.nan)) == 0).all()
    assert len(centres(probability(np.full((1, 64, 64), 3.0))[0])) == 0


@pytest.mark.parametrize("seed", [11, 4321])
def test_atoms_of_a_clear_image_are_found_in_their_places(seed):
    config = AtomNetworkConfig().images.model_copy(
        update={"electrons": (800.0, 1000.0), "vacancies": 0.1, "jitter": 0.2, "disorder": 0.03}
    )
    found = []
    for number in range(8):
        made = draw(config, seed=seed, number=number)
        inside = ((made.places > 4) & (made.places < 123)).all(1)
        at = centres(mark(made.image, load()))
        at = at[((at > 4) & (at < 123)).all(1)]
        found.append(match(at, made.places[inside], within=0.3 * made.spacing))
    score = summary(found)
    assert score["f1"] > 0.97
    assert score["rms"] < 0.9


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
    assert standardised(made[0].image).std() == pytest.approx(1, rel=1e-3)


def test_the_seed_decides_the_weights_and_nothing_else_does():
    first = train(tiny()).state_dict()
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again, other = train(tiny()).state_dict(), train(tiny(seed=1)).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["mark.weight"], other["mark.weight"])


def test_training_lowers_the_loss():
    config = tiny(n_steps=25, images={"size": 64, "electrons": (900, 1000)}, learning_rate=0.02)
    made = draw(config.images, seed=77, number=0)
    wanted = torch.from_numpy(marks(made.places, size=64, sd=config.mark_sd))

    def loss(n_steps: int) -> float:
        network = train(config.model_copy(update={"n_steps": n_steps}))
        return float(torch.nn.functional.binary_cross_entropy(
            torch.from_numpy(mark(made.image, network)), wanted
        ))  # fmt: skip

    assert loss(25) < 0.8 * loss(1)


def test_a_network_is_kept_and_made_again(tmp_path):
    config = tiny()
    network = train(config)
    save(tmp_path / "kept", network, config, judged={"f1": 0.5})
    again = load(tmp_path / "kept")
    image = draw(config.images, seed=1, number=0).image
    np.testing.assert_allclose(mark(image, again), mark(image, network), atol=2e-3)
    assert json.loads((tmp_path / "kept" / "atoms.json").read_text())["judged"] == {"f1": 0.5}
    (tmp_path / "kept" / WEIGHTS_FILE).write_bytes(b"no weights")
    with pytest.raises(StoreError, match=r"holds no network that marks atoms.*invae train-finder"):
        probability(image[None], weights=tmp_path / "kept")


def test_the_shipped_network_is_small_and_made_with_the_settings_as_they_are():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 300_000
    card = json.loads((SHIPPED / "atoms.json").read_text())
    assert AtomNetworkConfig.model_validate(card["config"]) == AtomNetworkConfig()
    assert sum(p.numel() for p in AtomNetwork(card["config"]["width"]).parameters()) < 130_000


def test_places_match_one_to_one():
    true = np.array([[0.0, 0], [10, 10], [20, 0]])
    found = np.array([[0.3, 0.4], [0.5, 0], [10, 13], [40, 40]])
    got = match(found, true, within=2)
    assert (got.n_right, got.n_false, got.n_missed, got.square) == (1, 3, 2, 0.25)
    assert match(np.zeros((0, 2)), true, within=2).n_missed == 3


@pytest.mark.parametrize(
    ("shape", "tile", "message"),
    [((8, 8), 256, r"shape \(8, 8\); a stack"), ((1, 8, 8), 20, "tile 20 is no multiple of 8")],
)
def test_a_wrong_input_is_named(shape, tile, message):
    with pytest.raises(InputError, match=message):
        probability(np.zeros(shape), tile=tile)


def test_a_range_that_descends_is_refused():
    with pytest.raises(ValidationError, match="spacing begins with 9, above its end 6"):
        AtomNetworkConfig.model_validate({"images": {"spacing": [9, 6]}})
