"""Where the pattern of a patch lies."""

import math

import pytest
import torch
from torch.nn import functional

from invae.models.batch import Geometry, Patches
from invae.models.centring import BLURS, FAINT, CentreFinder, blur_matrix, cell_of, slope_matrix
from invae.models.networks.encoders import POSE_LOG_SD, bounded

SIZE = 48


def disc(*, at: tuple[float, float], size: int = SIZE, contrast: float = 1.0) -> torch.Tensor:
    """A disc with a soft edge, its centre `at` (y, x) from that of the patch [pixel]."""
    axis = torch.arange(size) - (size - 1) / 2
    y, x = torch.meshgrid(axis - at[0], axis - at[1], indexing="ij")
    return contrast * torch.sigmoid(2 * (8 - torch.hypot(y, x)))


def found(patches: Patches, *, seed: int = 0) -> torch.Tensor:
    """Shift of the patches [pixel]."""
    torch.manual_seed(seed)
    finder = CentreFinder(Geometry(*patches.values.shape[1:]), prior_sd=0.2)
    with torch.no_grad():
        return finder(patches, None).latents["shift"] * patches.values.shape[-1] / 2


@pytest.mark.parametrize("contrast", [1.0, -1.0])
@pytest.mark.parametrize("at", [(0.0, 0.0), (4.0, -6.0), (-7.3, 2.6)])
def test_an_untrained_finder_knows_where_the_pattern_is(at, contrast):
    shift = found(Patches(disc(at=at, contrast=contrast).expand(1, 1, -1, -1)))
    torch.testing.assert_close(shift, torch.tensor([at]), atol=0.3, rtol=0)


def test_the_centre_turns_with_the_patch():
    values = torch.rand(3, 2, SIZE, SIZE) + disc(at=(5, 3))
    valid = torch.rand(3, 2, SIZE, SIZE) > 0.2
    before = found(Patches(values * valid, valid))
    after = found(Patches((values * valid).rot90(1, (2, 3)), valid.rot90(1, (2, 3))))
    torch.testing.assert_close(
        after, torch.stack((-before[:, 1], before[:, 0]), -1), atol=1e-4, rtol=0
    )


def test_what_is_masked_does_not_pull():
    values, valid = disc(at=(4, 4)).expand(1, 1, -1, -1), torch.ones(1, 1, SIZE, SIZE).bool()
    valid[..., :8, :] = False
    spoiled = torch.where(valid, values, 50.0)
    clean = found(Patches(values * valid, valid))
    torch.testing.assert_close(found(Patches(spoiled, valid)), clean)
    torch.testing.assert_close(clean, torch.tensor([[4.0, 4.0]]), atol=0.5, rtol=0)


def test_a_patch_of_which_nothing_is_known_is_centred():
    empty = Patches(torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE).bool())
    torch.testing.assert_close(found(empty), torch.zeros(1, 2), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("size", "cell"), [((48, 48), 2), ((32, 32), 1), ((8, 20), 1), ((45, 60), 3), ((47, 96), 1)]
)
def test_cells_fill_the_patch(size, cell):
    assert cell_of(Geometry(1, *size)) == cell


def blurred(images: torch.Tensor, sd: float) -> torch.Tensor:
    """Images blurred by convolutions, edge pixels continued."""
    reach = max(1, round(2.5 * sd))
    offset = torch.arange(-reach, reach + 1, dtype=images.dtype)
    kernel = torch.softmax(-0.5 * (offset / sd) ** 2, dim=0)
    wide = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    square = (kernel[:, None] * kernel)[None, None]
    return torch.stack([functional.conv2d(c[:, None], square)[:, 0] for c in wide.unbind(1)], 1)


def energy(images: torch.Tensor) -> torch.Tensor:
    """Squared length of the gradient by central differences, edge pixels continued."""
    wide = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    y, x = wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1], wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2]
    return (y / 2) ** 2 + (x / 2) ** 2


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (15, 12), (1, 20)])
def test_features_by_matrices_are_those_of_convolutions(size, masked):
    generator = torch.Generator().manual_seed(0)
    values, share = torch.rand(2, 3, 2, *size, generator=generator, dtype=torch.float64)
    finder = CentreFinder(Geometry(2, *size), prior_sd=0.2).double()
    finder.blur_y, finder.blur_x = (torch.stack([blur_matrix(n, s) for s in BLURS]) for n in size)
    levels, energies = finder._features(values, share if masked else None)
    for number, sd in enumerate(BLURS):
        slow = blurred(values * share, sd) / blurred(share, sd) if masked else blurred(values, sd)
        level = levels[:, number].transpose(0, 1).unflatten(2, size)
        torch.testing.assert_close(level, slow)
        torch.testing.assert_close(
            energies[:, number].transpose(0, 1).unflatten(2, size), energy(slow) + FAINT
        )


def test_blurring_keeps_a_constant_and_a_ramp_has_its_slope():
    torch.testing.assert_close(blur_matrix(9, 1.2).sum(1), torch.ones(9, dtype=torch.float64))
    ramp = 0.5 * torch.arange(9.0, dtype=torch.float64)
    torch.testing.assert_close(
        (slope_matrix(9) @ ramp)[1:-1], torch.full((7,), 0.5, dtype=torch.float64)
    )


def test_the_log_sd_is_that_of_the_mean_hidden_numbers():
    """Its layer acts on every cell, and the weighted mean follows."""
    torch.manual_seed(0)
    finder = CentreFinder(Geometry(1, 24, 24), prior_sd=0.2).double()
    torch.nn.init.normal_(finder.say.weight)
    patches = Patches(torch.rand(3, 1, 24, 24, dtype=torch.float64))
    posterior = finder(patches, None).posterior["shift"]
    levels, energies = (part.flatten(0, 1) for part in finder._features(patches.values, None))
    numbers = torch.cat((levels, energies.log())).movedim(0, -1)
    hidden = functional.gelu(finder.mix(numbers))
    score = finder.power * energies[1].log() + finder.say(hidden).squeeze(-1)
    weight = torch.softmax(score, dim=-1)
    raw = finder.log_sd((weight.unsqueeze(-1) * hidden).sum(1))
    log_sd = bounded(raw, *POSE_LOG_SD) + math.log(0.2)
    torch.testing.assert_close(posterior.log_sd, log_sd.expand(-1, 2))
