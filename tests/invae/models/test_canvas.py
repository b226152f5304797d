"""The canvas: all shifts at once are the same as one after another."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from invae.config import ModelConfig
from invae.models.batch import Geometry, Patches
from invae.models.build import build
from invae.models.canvas import (
    Canvas,
    CanvasGenerator,
    Home,
    OnCanvas,
    ShiftPosterior,
    cubic,
    shift_margin,
)
from invae.models.encoding import encode_batch
from invae.models.evaluation import evaluate
from invae.models.fields import Code, WholeField
from invae.models.latents import NormalPrior
from invae.models.likelihoods import Bernoulli, Gaussian, Noise, Poisson, log_prob
from invae.models.signals import Signals

GEOMETRIES = {
    "image": (Geometry(1, 12, 12), (4, 4)),
    "not square, two channels": (Geometry(2, 9, 14), (2, 5)),
    "spectrum": (Geometry(1, 1, 40), (0, 9)),
}
NOISES = {"gaussian": lambda n: Gaussian(n, sd=0.4), "bernoulli": Bernoulli, "poisson": Poisson}
PRIOR = NormalPrior(0.4)


class Fixed(torch.nn.Module):
    """A decoder that knows one field."""

    def __init__(self, field: torch.Tensor) -> None:
        super().__init__()
        self.field = field

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        return self.field.expand(len(code), -1, -1, -1)


def smooth(shape: tuple[int, ...], *, seed: int = 0) -> torch.Tensor:
    """Fields without detail finer than a few pixels."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.randn(*shape, generator=generator, dtype=torch.float64)
    for axis in (axis for axis in (-2, -1) for _ in range(2) if shape[axis] > 1):
        rough = 0.5 * rough + 0.25 * (rough.roll(1, axis) + rough.roll(-1, axis))
    return 2 * rough


def on_canvas(
    name: str, *, noise: Noise | None = None, finer: int = 1, n: int = 3, seed: int = 0
) -> OnCanvas:
    geometry, margin = GEOMETRIES[name]
    canvas = Canvas(geometry, margin=margin, finer=finer).double()
    whole = canvas.geometry
    field = smooth((n, whole.n_channels, whole.height, whole.width), seed=seed)
    noise = noise or Gaussian(geometry.n_channels, sd=0.4)
    return OnCanvas(canvas, noise.double(), PRIOR, field, torch.zeros(n, 2).double())


def frames(likelihood: OnCanvas, shift: tuple[float, float]) -> torch.Tensor:
    """What the frame shows of a field moved by so many pixels."""
    moved = torch.tensor([shift], dtype=torch.float64) / likelihood.canvas.half_side
    return likelihood.canvas.crop(likelihood.field, moved.expand(len(likelihood.field), -1))


def some(geometry: Geometry, n: int, *, masked: bool, seed: int = 1) -> Patches:
    generator = torch.Generator().manual_seed(seed)
    shape = (n, geometry.n_channels, geometry.height, geometry.width)
    values = torch.randint(0, 2, shape, generator=generator).double()
    valid = torch.rand(shape, generator=generator) > 0.3 if masked else None
    return Patches(values if valid is None else values * valid, valid)


@pytest.mark.parametrize("finer", [1, 2])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_all_shifts_at_once_are_the_same_as_one_after_another(name, noise, masked, finer):
    geometry, margin = GEOMETRIES[name]
    likelihood = on_canvas(name, noise=NOISES[noise](geometry.n_channels), finer=finer)
    patches = some(geometry, 3, masked=masked)
    scores = likelihood.scores(patches)
    fine = [finer if m else 1 for m in margin]
    assert scores.shape[1:] == tuple(2 * m * k + 1 for m, k in zip(margin, fine, strict=True))
    for row in range(scores.shape[1]):
        for column in range(scores.shape[2]):
            shift = (row / fine[0] - margin[0], column / fine[1] - margin[1])
            seen = frames(likelihood, shift)
            density = log_prob(likelihood.noise, patches.values, seen) * patches.weight
            torch.testing.assert_close(scores[:, row, column], density.sum((1, 2, 3)))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_evidence_and_divergence_make_up_the_marginal_likelihood(name):
    geometry, _ = GEOMETRIES[name]
    likelihood = on_canvas(name)
    found = likelihood.evidence(some(geometry, 3, masked=True))
    scores = likelihood.scores(some(geometry, 3, masked=True))
    posterior = found.posterior["shift"]
    assert isinstance(posterior, ShiftPosterior)
    marginal = (scores + posterior.log_prior(PRIOR)).flatten(1).logsumexp(-1)
    torch.testing.assert_close(found.log_likelihood - posterior.kl(PRIOR), marginal)
    torch.testing.assert_close(posterior.log_prior(PRIOR).exp().sum().item(), 3.0)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-4, 4)])
def test_a_pattern_shifted_by_whole_pixels_is_found_there(shift):
    likelihood = on_canvas("image")
    posterior = likelihood.evidence(Patches(frames(likelihood, shift))).posterior["shift"]
    assert isinstance(posterior, ShiftPosterior)
    best = posterior.log_prob.flatten(1).argmax(-1)
    expected = torch.tensor(shift) + 4
    assert best.tolist() == [int(expected[0] * 9 + expected[1])] * 3


def test_a_patch_moved_by_whole_pixels_moves_its_posterior_by_exactly_that():
    """Under a mask that hides what came in at the edge, and a prior that prefers no shift."""
    likelihood = on_canvas("image")
    flat = NormalPrior(1e6)
    likelihood = replace(likelihood, prior=flat)
    patch = frames(likelihood, (0, 0))
    valid = torch.zeros_like(patch, dtype=torch.bool)
    valid[..., 4:8, 4:8] = True
    before = likelihood.evidence(Patches(patch * valid, valid)).posterior["shift"]
    moved, seen = (a.roll((2, -3), (2, 3)) for a in (patch, valid))
    after = likelihood.evidence(Patches(moved * seen, seen)).posterior["shift"]
    assert isinstance(before, ShiftPosterior)
    assert isinstance(after, ShiftPosterior)
    one, other = before.log_prob[:, :7, 3:], after.log_prob[:, 2:, :6]
    torch.testing.assert_close(one.flatten(1).log_softmax(-1), other.flatten(1).log_softmax(-1))


@pytest.mark.parametrize("finer", [1, 2])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_shifts_between_the_pixels_are_found(name, finer):
    likelihood = on_canvas(name, finer=finer, n=20)
    unit = likelihood.canvas.half_side
    for part in (0.15, 0.25, 0.4):
        shift = (part if likelihood.canvas.margin[0] else 0.0, 1 - part)
        found = likelihood.evidence(Patches(frames(likelihood, shift))).posterior["shift"]
        assert isinstance(found, ShiftPosterior)
        wrong = (found.shift * unit - torch.tensor(shift)).abs()
        assert float(wrong.max()) < 0.25 / finer
        assert float(wrong.mean()) < 0.08


def test_several_fields_for_every_patch_stand_in_a_row():
    geometry, _ = GEOMETRIES["image"]
    likelihood, patches = on_canvas("image", n=6), some(geometry, 3, masked=True)
    together = likelihood.scores(patches)
    for state in (0, 1):
        field, home = likelihood.field[state::2], likelihood.home[state::2]
        one = replace(likelihood, field=field, home=home)
        torch.testing.assert_close(together[state::2], one.scores(patches))


def test_gradients_are_those_of_the_sum_over_all_shifts():
    likelihood, geometry = on_canvas("spectrum", n=2, finer=2), GEOMETRIES["spectrum"][0]
    patches = some(geometry, 2, masked=True)

    def marginal(field: torch.Tensor, home: torch.Tensor) -> torch.Tensor:
        found = replace(likelihood, field=field, home=home).evidence(patches)
        return found.log_likelihood - found.posterior["shift"].kl(PRIOR)

    given = (likelihood.field.clone(), torch.tensor([[0.0, 0.1], [0.0, -0.2]]).double())
    assert torch.autograd.gradcheck(marginal, tuple(v.requires_grad_() for v in given))


def test_the_picture_shows_the_field_where_the_shift_puts_it():
    geometry, margin = GEOMETRIES["image"]
    canvas = Canvas(geometry, margin=margin).double()
    field = smooth((1, 1, 20, 20))
    noise = Gaussian(1, sd=1.0).double()
    whole = WholeField(Fixed(field), Code(2))
    home = Home(Code(2), canvas, prior_sd=0.2).double()
    generator = CanvasGenerator(whole, noise, home=home, canvas=canvas, prior=PRIOR)
    unit, content = canvas.half_side, torch.zeros(1, 2, dtype=torch.float64)
    for shift in ((0, 0), (2, -3), (-4, 4)):
        moved = torch.tensor([shift], dtype=torch.float64) / unit
        mean = generator.picture({"content": content, "shift": moved}).mean
        y, x = 4 - shift[0], 4 - shift[1]
        torch.testing.assert_close(mean, field[..., y : y + 12, x : x + 12])


def test_the_interpolation_is_exact_for_parabolas_and_continues_the_edge():
    pixel = torch.arange(9, dtype=torch.float64)
    place = torch.tensor([1.3, 4.5, 6.99], dtype=torch.float64)
    torch.testing.assert_close(cubic(place, 9) @ pixel**2, place**2)
    outside = torch.tensor([-3.0, 0.0, 8.0, 40.0], dtype=torch.float64)
    torch.testing.assert_close(cubic(outside, 9) @ pixel, outside.clamp(0, 8))


def test_a_canvas_can_be_read_at_the_coordinates_of_its_pixels():
    canvas = Canvas(Geometry(1, 1, 10), margin=(0, 3))
    field = torch.randn(1, 2, 1, 16)
    torch.testing.assert_close(
        canvas.interpolate(field, canvas.coords.view(1, -1, 2)), field[:, :, 0]
    )
    assert canvas.coords[0, 3].tolist() == pytest.approx([0, -0.9])


def test_the_margin_holds_three_sd_but_at_most_half_a_frame():
    assert shift_margin(Geometry(1, 48, 48), prior_sd=0.1) == (8, 8)
    assert shift_margin(Geometry(1, 48, 48), prior_sd=1.0) == (24, 24)
    assert shift_margin(Geometry(1, 1, 100), prior_sd=0.1) == (0, 15)
    assert shift_margin(Geometry(1, 20, 40), prior_sd=0.4) == (10, 20)


def peaks(*places: tuple[float, float], width: float = 0.05, n: int = 41) -> ShiftPosterior:
    """Equal peaks at shifts, along x ten times as wide as along y."""
    step = 1 / 40
    flat, home = torch.zeros(1, n, n).double(), torch.zeros(1, 2).double()
    y, x = (axis[0] for axis in ShiftPosterior(flat, home, (step, step)).axes)
    heights = [
        -0.5 * (((y[:, None] - a) / width) ** 2 + ((x - b) / (2 * width)) ** 2) for a, b in places
    ]
    return ShiftPosterior.from_scores(
        torch.stack(heights).logsumexp(0)[None], NormalPrior(1e6), home=home, step=(step, step)
    )


def test_mean_sd_and_mode_are_those_of_a_normal():
    found = peaks((0.0613, -0.1234))
    expected = torch.tensor([[0.0613, -0.1234]], dtype=torch.float64)
    torch.testing.assert_close(found.shift, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.mean, expected, rtol=0, atol=2e-3)
    torch.testing.assert_close(
        found.sd, torch.tensor([[0.05, 0.1]], dtype=torch.float64), rtol=0.02, atol=0
    )


def test_the_mode_of_a_pattern_that_repeats_is_one_of_its_peaks():
    found = peaks((0.0, -0.3), (0.0, 0.3))
    assert abs(float(found.mean[0, 1])) < 1e-6
    assert abs(abs(float(found.shift[0, 1])) - 0.3) < 0.01


def test_the_divergence_vanishes_at_the_prior_only():
    flat = torch.zeros(1, 9, 9, dtype=torch.float64)
    home = torch.tensor([[0.1, -0.2]]).double()
    same = ShiftPosterior.from_scores(flat, PRIOR, home=home, step=(0.1, 0.1))
    assert float(same.kl(PRIOR)) == pytest.approx(0, abs=1e-9)
    assert float(peaks((0.2, 0.1)).kl(PRIOR)) > 1


def test_shifts_are_counted_from_where_the_content_has_its_home():
    here = peaks((0.1, -0.2))
    home = torch.tensor([[0.1, -0.3]]).double()
    there = replace(here, home=home)
    for one, other in ((here.shift, there.shift), (here.mean, there.mean)):
        torch.testing.assert_close(one, other + home)
    torch.testing.assert_close(here.sd, there.sd)


def test_a_picture_has_its_home_where_the_shifts_are_counted_from():
    geometry, margin = GEOMETRIES["image"]
    canvas = Canvas(geometry, margin=margin).double()
    home = Home(Code(2), canvas, prior_sd=0.2).double()
    torch.nn.init.constant_(home.last.bias, 2 / (0.2 * canvas.half_side))
    whole, noise = WholeField(Fixed(smooth((1, 1, 20, 20))), Code(2)), Gaussian(1, sd=0.1).double()
    generator = CanvasGenerator(whole, noise, home=home, canvas=canvas, prior=PRIOR)
    content = {"content": torch.zeros(1, 2).double()}
    shift = torch.tensor([[1.0, -3.0]]).double() / canvas.half_side
    patches = Patches(generator.picture({**content, "shift": shift}).mean.detach())
    found = generator.likelihood(content).evidence(patches).posterior["shift"]
    assert isinstance(found, ShiftPosterior)
    torch.testing.assert_close(found.shift, shift, rtol=0, atol=0.05 / canvas.half_side)


def test_a_peak_at_the_edge_stays_there():
    found = peaks((2.0, 0.0))
    assert float(found.shift[0, 0]) == pytest.approx(0.5)
    assert math.isfinite(float(found.sd[0, 0]))


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(
    "asked",
    [
        {"family": "VAE", "decoder": {"kind": "conv", "channels": [4, 4]}},
        {"family": "tVAE"},
        {"family": "tVAE", "likelihood": {"kind": "poisson"}},
        {"family": "tVAE", "pose_inference": "amortised", "decoder": {"kind": "canvas"}},
        {"family": "jtVAE", "n_classes": 3, "decoder": {"kind": "conv", "channels": [4, 4]}},
        {"family": "skip-tVAE", "translation": {"finer": 4}},
    ],
    ids=lambda asked: ", ".join(map(str, asked.values())),
)
def test_spectra_are_patches_one_pixel_high(asked, masked):
    geometry = Geometry(2, 1, 24)
    model = build(ModelConfig.model_validate(asked), geometry, seed=0)
    patches = some(geometry, 3, masked=masked)
    patches = Patches(patches.values.float(), patches.valid)
    found = evaluate(
        model, Signals.of_image(patches), model.noise(3, torch.Generator().manual_seed(0))
    )
    (-found.terms.elbo.mean()).backward()
    assert all(w.grad.isfinite().all() for w in model.parameters() if w.grad is not None)
    latents = encode_batch(model, Signals.of_image(patches))
    if "shift" in latents:
        assert latents["shift"].shape == (3, 2)
        assert np.isfinite(latents["shift_sd"]).all()
        assert (abs(latents["shift"][:, 0]) < 1e-6).all() or "amortised" in asked.values()
