"""How far stated standard deviations cover another draw of the noise: measured at the end of a training with noise of the model's own.

The sd of a shift is stated at the inferred angle, that of an angle at the inferred shift, and an encoder does not know how far it bends
what it gets. So sites are reconstructed, noise is drawn twice as the model has learned it, and the latents of both draws are compared.
"""

from collections.abc import Mapping

import numpy as np
import torch

from invae.models.batch import Patches
from invae.models.encoding import encode_batch
from invae.models.evaluation import evaluate
from invae.models.likelihoods import Gaussian
from invae.models.signals import IMAGE, Signals
from invae.models.vae import VAE
from invae.training.batches import Batches

Values = Mapping[str, np.ndarray]

SEED = 0
COVERED, NORMAL = 0.95, 1.959964
"""Share of the sites that an interval is to cover, and half its length in standard deviations."""
LEAST_SITES = 50
"""Sites of equal class in both draws, below which nothing is measured."""
LEAST_VARIANCE = 1e-12


@torch.no_grad()
def sd_ratios(model: VAE, batches: Batches) -> dict[str, float] | None:
    """Factors by latent variable, by which stated sds would have to be multiplied to cover 95 % of another draw of the noise.

    Args:
        model: A trained model of images.
        batches: Of some sites.

    Returns:
        None for other likelihoods than the Gaussian one, and for too few sites.
    """
    generator = model.main.generator
    if generator is None or not isinstance(generator.noise, Gaussian):
        return None
    noise = torch.Generator().manual_seed(SEED)
    drawn = [_two_draws(model, batch, generator.noise, noise) for batch in batches.in_order()]
    one, other = (
        {name: np.concatenate([pair[k][name] for pair in drawn]) for name in drawn[0][0]}
        for k in range(2)
    )
    same = one["class"] == other["class"] if "class" in one else np.ones(len(one["elbo"]), bool)
    if same.sum() < LEAST_SITES:
        return None
    return {name: _ratio(z[same]) for name, z in standard_differences(one, other).items()}


def standard_differences(one: Values, other: Values) -> dict[str, np.ndarray]:
    """Differences of two encodings of the same sites in units of their stated sd (site, …), by latent variable."""
    names = [name.removesuffix("_sd") for name in one if name.endswith("_sd")]
    differences = {
        name: (one[name] - other[name])
        / np.sqrt(one[f"{name}_sd"] ** 2 + other[f"{name}_sd"] ** 2 + LEAST_VARIANCE)
        for name in names
    }
    if "angle" in one:
        variance = sum(-2 * np.log(each["angle_resultant"].clip(1e-6, 1)) for each in (one, other))
        turned = np.angle(np.exp(1j * (one["angle"] - other["angle"])))
        differences["angle"] = turned / np.sqrt(variance + LEAST_VARIANCE)
    return differences


def widened(values: Values, ratios: Mapping[str, float] | None) -> dict[str, np.ndarray]:
    """Values of sites whose stated sds are multiplied by the ratios above 1; the resultant of the angle follows from its sd."""
    wide = dict(values)
    for name, ratio in (ratios or {}).items():
        if ratio <= 1:
            continue
        if name == "angle":
            wide["angle_resultant"] = values["angle_resultant"] ** np.float32(ratio**2)
        elif f"{name}_sd" in values:
            wide[f"{name}_sd"] = values[f"{name}_sd"] * np.float32(ratio)
    return wide


def _two_draws(
    model: VAE, batch: Signals, law: Gaussian, generator: torch.Generator
) -> list[dict[str, np.ndarray]]:
    """Latents of the reconstructions of a batch under two draws of the noise."""
    evaluation = evaluate(model, batch)
    mean = evaluation.decode(evaluation.completed).mean
    sd = (law.log_sd.exp() * model.main.standardise.scale).to(mean)
    draws = [mean + sd * torch.randn(mean.shape, generator=generator).to(mean) for _ in range(2)]
    return [
        encode_batch(model, Signals({IMAGE: Patches(draw, batch[IMAGE].valid)}, batch.known))
        for draw in draws
    ]


def _ratio(differences: np.ndarray) -> float:
    """The largest ratio of a component (site, component)."""
    columns = np.abs(differences).reshape(len(differences), -1)
    return float((np.quantile(columns, COVERED, axis=0) / NORMAL).max())
