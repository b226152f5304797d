"""The turning disc: exact over all angles, a proper likelihood of the whole frame."""

import math
from dataclasses import replace

import pytest
import torch
from torch import distributions

from invae.models.batch import Geometry, Patches
from invae.models.fields import Code, Field
from invae.models.generators import FINER, DiscGenerator, OnDisc
from invae.models.geometry.circle import AnglePosterior, CirclePrior
from invae.models.geometry.polar import PolarGrid
from invae.models.latents import Latents
from invae.models.likelihoods import SPEED, Bernoulli, Canonical, Gaussian, Noise, Poisson, log_prob
from invae.models.orientation import Landmarks

SIZE, N_ANGLES = 16, 32


class Fixed(Field):
    """A decoder that knows one field."""

    def __init__(self, field: torch.Tensor) -> None:
        super().__init__()
        self.field = field

    def forward(self, latents: Latents) -> torch.Tensor:
        return self.field[:1].expand(len(latents["content"]), -1, -1, -1)


def smooth_field(grid: PolarGrid, *, n_channels: int = 1) -> torch.Tensor:
    """Few harmonics, no symmetry."""
    angle = torch.arange(N_ANGLES, dtype=torch.float64) * (2 * math.pi / N_ANGLES)
    ring = torch.linspace(0.2, 1, grid.n_radii, dtype=torch.float64)[:, None]
    field = ring * angle.cos() + 0.5 * ring * (2 * angle + 0.7).sin() + 0.3 * (3 * angle).cos()
    return torch.stack([field * (1 + c) for c in range(n_channels)])[None]


N_PATCHES = 3


def disc(noise: Noise, *, prior: CirclePrior | None = None, n_channels: int = 1) -> OnDisc:
    grid = PolarGrid(Geometry(n_channels, SIZE, SIZE), n_angles=N_ANGLES).double()
    grid.pixel_area = grid._pixel_area()  # that of the constructor has the digits of float32
    field = smooth_field(grid, n_channels=n_channels)
    field = field.expand(N_PATCHES, -1, -1, -1)
    return OnDisc(grid, noise.double(), prior or CirclePrior(), field, None)


def patches(n: int = N_PATCHES, *, n_channels: int = 1, masked: bool = False) -> Patches:
    generator = torch.Generator().manual_seed(3)
    shape = (n, n_channels, SIZE, SIZE)
    values = torch.rand(shape, generator=generator, dtype=torch.float64)
    valid = torch.rand(shape, generator=generator) > 0.3 if masked else None
    return Patches(values if valid is None else values * valid, valid)


NOISES = {"gaussian": lambda n: Gaussian(n, sd=0.4), "bernoulli": Bernoulli, "poisson": Poisson}


def log_background(noise: Noise, values: torch.Tensor) -> torch.Tensor:
    """Log density of pixels outside the disc, pixel by pixel."""
    if isinstance(noise, Gaussian):
        texture = torch.exp(2 * SPEED * noise.raw_log_texture)
        sd = ((2 * noise.log_sd).exp() + texture).sqrt()
        return distributions.Normal(noise.background, sd).log_prob(values)
    assert isinstance(noise, Canonical)
    return log_prob(noise, values, noise.background.expand_as(values))


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("noise", NOISES)
def test_scores_are_those_of_the_field_turned_by_hand(noise, n_channels, masked):
    likelihood = disc(NOISES[noise](n_channels), n_channels=n_channels)
    sample = patches(n_channels=n_channels, masked=masked)
    fast = likelihood.scores(sample)[:, ::FINER]
    torch.testing.assert_close(fast, turned_by_hand(likelihood, sample))


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("moved", [False, True], ids=["still", "moved"])
@pytest.mark.parametrize("noise", NOISES)
def test_gradients_of_scores_are_those_of_the_field_turned_by_hand(noise, moved, masked):
    """Of the field, of the centre, and of the weights of the noise; a field of few frequencies is transformed as one."""
    likelihood = disc(NOISES[noise](2).requires_grad_(), n_channels=2)
    centre = torch.tensor([[0.1, -0.2], [0.5, 0.3], [0.0, 0.04]], dtype=torch.float64)
    centre, field = centre.requires_grad_(), likelihood.field.clone().requires_grad_()
    smooth = smooth_field(likelihood.grid, n_channels=2) * field.mean((2, 3), keepdim=True)
    likelihood = replace(likelihood, field=smooth, centre=centre if moved else None)
    sample = patches(n_channels=2, masked=masked)
    fast = replace(likelihood, n_frequencies=4).scores(sample)[:, ::FINER]
    weights = [field, *([centre] if moved else []), *likelihood.noise.parameters()]
    random = torch.Generator().manual_seed(4)
    each = torch.randn(fast.shape, generator=random, dtype=torch.float64)
    by_hand, by_waves = (
        torch.autograd.grad((each * scores).sum(), weights, allow_unused=True, retain_graph=True)
        for scores in (turned_by_hand(likelihood, sample), fast)
    )
    torch.testing.assert_close(by_waves, by_hand)


def turned_by_hand(likelihood: OnDisc, sample: Patches) -> torch.Tensor:
    """Scores at the directions of the grid, pixel by pixel and direction by direction."""
    field, model, grid = likelihood.field, likelihood.noise, likelihood.grid
    view = grid.observe(sample, likelihood.centre)
    fraction = torch.ones_like(view.values) if view.fraction is None else view.fraction
    outside = log_background(model, sample.values) * sample.weight
    inside = model.log_base(sample.values) * sample.weight - outside
    rest = outside.sum((1, 2, 3)) + grid.integrate(inside, likelihood.centre)
    slow = []
    for k in range(N_ANGLES):
        natural = model.natural(field.roll(k, -1))
        gain = view.values * natural - fraction * model.log_partition(natural)
        slow.append((grid.area * gain).sum((1, 2, 3)) + rest)
    return torch.stack(slow, -1)


@pytest.mark.parametrize("prior", [CirclePrior(), CirclePrior(0.7)], ids=["uniform", "narrow"])
def test_the_exact_marginal_is_the_numerical_integral(prior):
    """Log ∫ p(angle) p(x|angle), with the angle's posterior and divergence adding up to it."""
    likelihood, sample = disc(Gaussian(1, sd=0.8), prior=prior), patches()
    evidence = likelihood.evidence(sample)
    divergence = evidence.posterior["angle"].kl(prior)
    scores = likelihood.scores(sample)
    n_turns = scores.shape[-1]
    grid = torch.arange(n_turns, dtype=torch.float64) * (2 * math.pi / n_turns)
    integral = (scores + prior.log_prob(grid)).logsumexp(-1) + math.log(2 * math.pi / n_turns)
    torch.testing.assert_close(evidence.log_likelihood - divergence, integral)
    assert (divergence > 0).all()


def test_the_gradient_is_that_of_the_marginal():
    likelihood, sample = disc(Gaussian(1, sd=0.8)), patches()
    field = likelihood.field.requires_grad_()
    evidence = likelihood.evidence(sample)
    bound = evidence.log_likelihood - evidence.posterior["angle"].kl(CirclePrior())
    marginal = likelihood.scores(sample).logsumexp(-1)
    torch.testing.assert_close(
        torch.autograd.grad(bound.sum(), field, retain_graph=True),
        torch.autograd.grad(marginal.sum(), field),
    )


def test_a_field_of_constant_level_is_the_ordinary_likelihood():
    """Without anything to turn, the disc and its background are independent pixels of one level."""
    noise = Gaussian(1, sd=0.5).double()
    with torch.no_grad():
        noise.raw_log_texture.fill_(-10)
        noise.background.fill_(0.2)
    grid = PolarGrid(Geometry(1, SIZE, SIZE), n_angles=N_ANGLES).double()
    field = torch.full((N_PATCHES, 1, grid.n_radii, N_ANGLES), 0.2, dtype=torch.float64)
    sample = patches()
    log_likelihood = OnDisc(grid, noise, CirclePrior(), field, None).evidence(sample).log_likelihood
    expected = distributions.Normal(0.2, 0.5).log_prob(sample.values).sum((1, 2, 3))
    torch.testing.assert_close(log_likelihood, expected, rtol=1e-3, atol=0)


def test_a_turned_patch_gets_the_same_likelihood_and_a_turned_posterior():
    likelihood, sample = disc(Gaussian(2, sd=0.6), n_channels=2), patches(n_channels=2)
    turned = Patches(sample.values.rot90(1, (2, 3)))
    before, after = likelihood.evidence(sample), likelihood.evidence(turned)
    torch.testing.assert_close(before.log_likelihood, after.log_likelihood, rtol=1e-6, atol=1e-4)
    step = FINER * N_ANGLES // 4
    angle_before, angle_after = before.posterior["angle"], after.posterior["angle"]
    assert isinstance(angle_before, AnglePosterior)
    assert isinstance(angle_after, AnglePosterior)
    torch.testing.assert_close(
        angle_after.log_prob.exp(),
        angle_before.log_prob.exp().roll(step, -1),
        rtol=1e-3,
        atol=1e-5,
    )


@pytest.mark.parametrize("noise", NOISES)
def test_moving_the_disc_off_the_frame_never_pays(noise):
    """The field that made the patch is worth most where it lies; far outside nothing but the background is left."""
    model = NOISES[noise](1)
    likelihood = disc(model)
    grid = likelihood.grid
    generator = DiscGenerator(
        Fixed(likelihood.field), model, grid=grid, prior=CirclePrior(), gauge=Landmarks(Code(1)),
        geometry=Geometry(1, SIZE, SIZE),
    ).double()  # fmt: skip
    content, angle = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    picture = generator.picture(
        {"content": content, "angle": angle, "shift": content.new_zeros(1, 2)}
    )
    sample = Patches(picture.mean.detach())
    worth = []
    for step in (0.0, 0.25, 0.5, 1.0, 1.5, 3.0):
        shift = torch.tensor([[0.0, step]], dtype=torch.float64)
        latents = {"content": content, "shift": shift}
        log_likelihood = generator.likelihood(latents).evidence(sample).log_likelihood
        worth.append(float(log_likelihood.detach()))
    assert max(worth) == worth[0]
    background = log_background(model, sample.values).sum().detach()
    assert worth[-1] == pytest.approx(float(background))


@pytest.mark.parametrize("noise", NOISES)
def test_a_masked_pixel_changes_nothing(noise):
    likelihood, sample = disc(NOISES[noise](1)), patches(masked=True)
    assert sample.valid is not None
    one = likelihood.evidence(sample).log_likelihood
    altered = torch.where(sample.valid, sample.values, torch.tensor(0.0, dtype=torch.float64))
    torch.testing.assert_close(
        one, likelihood.evidence(Patches(altered, sample.valid)).log_likelihood
    )
    blind = Patches(sample.values * 0, torch.zeros_like(sample.valid))
    torch.testing.assert_close(likelihood.evidence(blind).log_likelihood, torch.zeros_like(one))


def test_a_quarter_turn_is_rot90():
    likelihood = disc(Gaussian(2, sd=0.4), n_channels=2)
    generator = DiscGenerator(
        Fixed(likelihood.field), likelihood.noise, grid=likelihood.grid, prior=CirclePrior(), gauge=Landmarks(Code(1)),
        geometry=Geometry(2, SIZE, SIZE),
    ).double()  # fmt: skip
    content = torch.zeros(1, 1, dtype=torch.float64)
    upright, turned = (
        generator.picture({"content": content, "angle": content + angle}).mean
        for angle in (0.3, 0.3 + math.pi / 2)
    )
    torch.testing.assert_close(turned, upright.rot90(1, (2, 3)), rtol=0, atol=1e-5)


def test_the_picture_of_the_true_latents_explains_best():
    likelihood = disc(Gaussian(1, sd=0.3))
    grid, field = likelihood.grid, likelihood.field
    generator = DiscGenerator(
        Fixed(field), likelihood.noise, grid=grid, prior=CirclePrior(), gauge=Landmarks(Code(1)),
        geometry=Geometry(1, SIZE, SIZE),
    ).double()  # fmt: skip
    content = torch.zeros(4, 1, dtype=torch.float64)
    angle = torch.tensor([[0.1], [1.3], [-2.0], [3.0]], dtype=torch.float64)
    picture = generator.picture({"content": content, "angle": angle})
    likelihood = generator.likelihood({"content": content})
    posterior = likelihood.evidence(Patches(picture.mean.detach())).posterior["angle"]
    assert isinstance(posterior, AnglePosterior)
    assert (posterior.angle - angle.squeeze(-1)).cos().min() > 0.9998
    assert log_prob(likelihood.noise, picture.mean, picture.mean).isfinite().all()
