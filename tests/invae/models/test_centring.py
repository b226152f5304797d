"""Where the pattern of a patch lies."""

import pytest
import torch

from invae.models.batch import Geometry, Patches
from invae.models.centring import CentreFinder, blurred, cell_of, gradient_energy

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


def test_blurring_keeps_a_constant_and_a_ramp_has_its_slope():
    flat = torch.full((1, 1, 9, 9), 3.0)
    torch.testing.assert_close(blurred(flat, 1.2), flat)
    ramp = 0.5 * torch.arange(9.0).expand(1, 1, 9, 9)
    torch.testing.assert_close(gradient_energy(ramp)[..., 1:-1], torch.full((1, 1, 9, 7), 0.25))
