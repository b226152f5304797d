"""Fields: the decoder's one input, and a decoder asked at the points of a pulled-back grid."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from invae.config.synthetic import CardsConfig
from invae.models.batch import Geometry
from invae.models.fields import Code, PosedField
from invae.models.geometry.pose import POSES, pixel_grid
from invae.synthetic import cards

SIZE = 48


class Drawn(nn.Module):
    """A decoder that knows one upright picture."""

    picture: Tensor

    def __init__(self, picture: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("picture", torch.from_numpy(picture)[None, None])

    def forward(self, coords: Tensor, code: Tensor) -> Tensor:
        place = coords.flip(-1).unsqueeze(1).to(self.picture.dtype)
        table = self.picture.expand(len(coords), -1, -1, -1)
        return nn.functional.grid_sample(table, place, align_corners=False).squeeze(2)


@pytest.mark.parametrize(
    ("code", "size"),
    [
        (Code(2), 2),
        (Code(3, n_conditions=2), 5),
        (Code(2, n_targets=1), 3),
        (Code(2, n_states=4), 2 * 4 + 4),
        (Code(2, n_states=6, n_targets=1, n_conditions=3), 2 * 6 + 6 + 1 + 3),
    ],
)
def test_a_code_has_the_size_it_says(code, size):
    assert code.size == size
    generator = torch.Generator().manual_seed(0)
    sizes = {"content": code.latent_dim, "class": code.n_states, "target": code.n_targets}
    sizes["condition"] = code.n_conditions
    latents = {name: torch.rand(5, n, generator=generator) for name, n in sizes.items()}
    assert code(latents).shape == (5, size)


def test_a_code_holds_the_content_in_the_place_of_its_class():
    code = Code(2, n_states=3, n_conditions=1)
    content, state = torch.tensor([[5.0, 7.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    values = code({"content": content, "class": state, "condition": torch.tensor([[9.0]])})
    assert values.tolist() == [[0, 0, 5, 7, 0, 0, 0, 1, 0, 9]]


def test_weights_near_one_class_give_a_code_near_its_own():
    code, content = Code(2, n_states=2), torch.tensor([[1.0, -1.0]])
    sure, nearly = (torch.tensor([[w, 1 - w]]) for w in (1.0, 0.999))
    values = [code({"content": content, "class": state}) for state in (sure, nearly)]
    assert (values[0] - values[1]).abs().max() < 0.01


@pytest.mark.parametrize("suit", cards.SUITS)
def test_a_posed_field_draws_what_the_cards_simulator_draws(suit):
    """Signs and order of shift, turn and shear, against a picture that was drawn without the model."""
    config = CardsConfig.model_validate(
        {"n_per_suit": 12, "angle": 180, "shear": 20, "shift": 0.1, "suits": [suit]}
    )
    drawn = cards.draw(config, seed=3)
    latents = {
        "content": torch.zeros(12, 1),
        "shift": torch.from_numpy(drawn["shift"].to_numpy() / (SIZE / 2)).float(),
        "angle": torch.from_numpy(drawn["angle"].to_numpy()).float()[:, None],
        "shear": torch.from_numpy(drawn["shear"].to_numpy()).float()[:, None],
    }
    field = PosedField(
        Drawn(cards.upright(suit, config.fill)),
        Code(1),
        poses={name: POSES[name] for name in ("shift", "angle", "shear")},
        grid=pixel_grid(Geometry(1, SIZE, SIZE)).unflatten(0, (SIZE, SIZE)),
    )
    images, truth = field(latents)[:, 0].numpy(), drawn["image"].to_numpy()
    # The simulator averages 3 × 3 samples per pixel, the field takes one: only edges differ.
    assert np.abs(images - truth).mean() < 0.02
    likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images, truth, strict=True)]
    assert min(likeness) > 0.97
    assert min(likeness) > max(_likenesses_of_wrong_signs(field, latents, truth))


def _likenesses_of_wrong_signs(
    field: PosedField, latents: dict[str, Tensor], truth: np.ndarray
) -> list[float]:
    """Correlation with images whose angle, shear or shift has the other sign, the mean over all."""
    correlations = []
    for name in ("shift", "angle", "shear"):
        images = field({**latents, name: -latents[name]})[:, 0].numpy()
        correlations.append(float(np.corrcoef(images.ravel(), truth.ravel())[0, 1]))
    return correlations


def test_a_decoder_is_asked_at_magnified_points():
    class Ramp(nn.Module):
        def forward(self, coords: Tensor, code: Tensor) -> Tensor:
            return coords.transpose(1, 2)

    grid = pixel_grid(Geometry(2, 4, 6)).unflatten(0, (4, 6))
    field = PosedField(Ramp(), Code(1), poses={"scale": POSES["scale"]}, grid=grid)
    scaled = field({"content": torch.zeros(1, 1), "scale": torch.tensor([[math.log(2)]])})
    torch.testing.assert_close(scaled[0], grid.permute(2, 0, 1) / 2)
