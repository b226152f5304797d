"""Networks as features of a Gaussian process: deep kernel learning, and a Bayesian last layer."""

import warnings
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from invae.active.belief import Data, coverage
from invae.active.features import Feature, scaled
from invae.active.pool_process import Learned, PoolProcess, Settings, learn, standardised
from invae.active.whole_data import Measurements, WholeDataLearner, train
from invae.errors import ConfigError

HIDDEN = (64, 32)
DIMENSIONS = 3
"""Outputs of the network of a deep kernel."""
STEPS, RATE, WEIGHT_DECAY = 200, 1e-2, 1e-4
NOISE_PRIOR = (-2.0, 1.0)
"""Mean and sd of the prior on the log variance of the noise, relative to the values: without it the network explains the noise."""
LEAST_COVERAGE = 0.8
LAST = 16
"""Outputs of the hidden layers on which the Bayesian last layer stands."""

Made = tuple[tuple[Feature, ...], Learned]


def network(n_inputs: int, n_outputs: int) -> nn.Sequential:
    """A small network with smooth activations."""
    sizes = (n_inputs, *HIDDEN)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))


def deep_kernel(inputs: np.ndarray, data: Data, *, seed: int) -> Made:
    """Features that a network learns together with a Matérn kernel by the marginal likelihood, and the settings of the kernel.

    Warns if the 90 % intervals hold less than 80 % of left-out measurements.

    Source: Wilson et al. 2016, arXiv:1511.02222, eq. 5.

    Args:
        inputs: Of all candidates (site, value).
        data: Measured candidates.
        seed: Of the weights.

    Raises:
        ConfigError: GPyTorch is not installed.
    """
    try:
        import gpytorch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            "surrogate dkl needs GPyTorch; install it with `pip install invae[active]`"
        ) from error
    z, _ = standardised(data)
    x, y = _tensor(inputs[data.sites]), _tensor(z)
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    net = network(inputs.shape[1], DIMENSIONS)
    torch.random.set_rng_state(generator_state)
    kernel = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=2.5))
    log_noise = nn.Parameter(torch.tensor(NOISE_PRIOR[0]))
    kernel.register_parameter("log_noise", log_noise)

    def loss(batch: Measurements) -> Tensor:
        return _negative_log_likelihood(kernel, net(batch.inputs), batch.values, log_noise)

    learner = WholeDataLearner(nn.ModuleList([net, kernel]), loss, decay=WEIGHT_DECAY, decaying=net)
    train(learner, Measurements(x, y), n_steps=STEPS, rate=RATE, seed=seed)
    with torch.no_grad():
        made = net(_tensor(inputs)).double().numpy() / float(kernel.base_kernel.lengthscale)
        ratio = float(log_noise.exp() / kernel.outputscale)
    feature = Feature((made,), (1.0,), (0.0,))
    learned = Learned(Settings((1.0,), (0,), (1.0,), (0.0,)), ratio, float("nan"))
    _warn_of_narrow_intervals(feature, learned, data)
    return (feature,), learned


def _negative_log_likelihood(
    kernel: nn.Module, shown: Tensor, y: Tensor, log_noise: Tensor
) -> Tensor:
    import gpytorch  # pyright: ignore[reportMissingImports]

    noise = log_noise.exp() + 1e-4
    covariance = kernel(shown).to_dense() + noise * torch.eye(len(y))
    normal = gpytorch.distributions.MultivariateNormal(torch.zeros(len(y)), covariance)
    prior = 0.5 * ((log_noise - NOISE_PRIOR[0]) / NOISE_PRIOR[1]) ** 2
    scale = 0.5 * kernel.outputscale.log() ** 2  # pyright: ignore[reportCallIssue]
    return prior + scale - normal.log_prob(y)


def _warn_of_narrow_intervals(feature: Feature, learned: Learned, data: Data) -> None:
    belief = PoolProcess((feature,), learned, data).belief()
    share = coverage(belief.left_out_mean, belief.left_out_sd, data.values)
    if len(data) >= 10 and share < LEAST_COVERAGE:
        warnings.warn(
            f"deep kernel: 90 % intervals hold {share:.0%} of {len(data)} left-out measurements; use surrogate gp, or measure more first",
            stacklevel=2,
        )


def last_layer(inputs: np.ndarray, data: Data, *, seed: int) -> Made:
    """Features of a network that was trained to predict the target, under a Bayesian linear layer.

    Source: Bayesian last layers for active measurement follow arXiv:2501.00952.

    Args:
        inputs: Of all candidates (site, value).
        data: Measured candidates.
        seed: Of the weights.
    """
    z, _ = standardised(data)
    x, y = _tensor(inputs[data.sites]), _tensor(z)
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    body, head = network(inputs.shape[1], LAST), nn.Linear(LAST, 1)
    torch.random.set_rng_state(generator_state)

    def loss(batch: Measurements) -> Tensor:
        return ((head(torch.tanh(body(batch.inputs)))[:, 0] - batch.values) ** 2).mean()

    both = nn.ModuleList([body, head])
    learner = WholeDataLearner(both, loss, decay=10 * WEIGHT_DECAY, decaying=both)
    train(learner, Measurements(x, y), n_steps=STEPS, rate=RATE, seed=seed)
    with torch.no_grad():
        made = torch.tanh(body(_tensor(inputs))).double().numpy()
    # a linear kernel of this weight is a Bayesian linear layer
    feature = Feature((scaled(made),), (1.0,), (1e3,))
    return (feature,), learn((feature,), data)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
