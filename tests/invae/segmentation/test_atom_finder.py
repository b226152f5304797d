"""The network that marks atoms: where it looks, what does not matter to it, and how it is trained and kept."""

import json

import numpy as np
import pytest
import torch

from invae.config.segment import AtomNetworkConfig
from invae.errors import InputError, StoreError
from invae.models.networks.unet import REACH, UNet
from invae.segmentation.atom_finder import centres, mark, probability
from invae.segmentation.atom_images import draw
from invae.segmentation.network_folder import SHIPPED, load, save
from invae.segmentation.score import match, summary
from invae.segmentation.train import train

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


def test_a_network_is_kept_and_made_again(tmp_path):
    config = tiny()
    network = train(config)
    save(tmp_path / "kept", network, config, scores={"f1": 0.5})
    again = load(tmp_path / "kept")
    image = draw(config.images, seed=1, number=0).image
    np.testing.assert_allclose(mark(image, again), mark(image, network), atol=2e-3)
    assert json.loads((tmp_path / "kept" / "atoms.json").read_text())["judged"] == {"f1": 0.5}
    (tmp_path / "kept" / "atoms.safetensors").write_bytes(b"no weights")
    with pytest.raises(StoreError, match=r"holds no network that marks atoms.*invae train-finder"):
        probability(image[None], weights=tmp_path / "kept")


def test_the_shipped_network_is_small_and_made_with_the_settings_as_they_are():
    assert sum(path.stat().st_size for path in SHIPPED.glob("atoms.*")) < 300_000
    card = json.loads((SHIPPED / "atoms.json").read_text())
    assert AtomNetworkConfig.model_validate(card["config"]) == AtomNetworkConfig()
    assert sum(p.numel() for p in UNet(card["config"]["width"]).parameters()) < 130_000


@pytest.mark.parametrize(
    ("shape", "tile", "message"),
    [((8, 8), 256, r"shape \(8, 8\); a stack"), ((1, 8, 8), 20, "tile 20 is no multiple of 8")],
)
def test_a_wrong_input_is_named(shape, tile, message):
    with pytest.raises(InputError, match=message):
        probability(np.zeros(shape), tile=tile)
