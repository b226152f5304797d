"""A model: from named signals to a posterior over named latents, and from named latents to a likelihood of signals."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from invae.errors import ConfigError, InputError
from invae.models.batch import Annotations, Geometry, StandardiseNumbers
from invae.models.generators import Evidence, Picture
from invae.models.inference import Inference, Noise
from invae.models.latents import Latents, Posterior, Prior
from invae.models.signals import SignalParts, Signals


class VAE(nn.Module):
    """Recognisers and generators of signals with common named latents."""

    def __init__(
        self,
        signals: Mapping[str, SignalParts],
        *,
        priors: Mapping[str, Prior],
        poses: Sequence[str],
        drawn: Mapping[str, int],
        n_targets: int = 0,
        n_conditions: int = 0,
    ) -> None:
        """Combine the parts.

        Args:
            signals: Parts by the name of their signal; at least one signal is seen, and one is explained. Poses belong
                to the first one.
            priors: Prior of every latent, by name.
            poses: Names of the poses (see `invae.latent_table`).
            drawn: Number of components of every latent that is drawn from an encoder's posterior.
            n_targets: Number of variables that are known for some sites.
            n_conditions: Number of variables given with every site.

        Raises:
            ConfigError: No signal is seen, or none is explained.
        """
        super().__init__()
        self.signals = nn.ModuleDict(signals)
        self.standardise_target = StandardiseNumbers(n_targets)
        self.standardise_condition = StandardiseNumbers(n_conditions)
        self.priors, self.drawn, self.poses = dict(priors), dict(drawn), tuple(poses)
        for what, names in (("sees", self.seen), ("explains", self.explained)):
            if not names:
                raise ConfigError(f"a model of {', '.join(signals)} {what} none of these signals")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all signals."""
        return tuple(self.signals)

    @property
    def seen(self) -> tuple[str, ...]:
        """Names of the signals from which latents are inferred."""
        return tuple(name for name in self.signals if self.parts(name).seen)

    @property
    def explained(self) -> tuple[str, ...]:
        """Names of the signals that have a likelihood."""
        return tuple(name for name in self.signals if self.parts(name).explained)

    @property
    def geometries(self) -> dict[str, Geometry]:
        """Shapes of all signals, by name."""
        return {name: self.parts(name).geometry for name in self.names}

    @property
    def main(self) -> SignalParts:
        """The parts of the signal to which poses belong; in a model of one signal, of that one."""
        return self.parts(self.names[0])

    def parts(self, name: str) -> SignalParts:
        """The parts of a signal."""
        parts = self.signals[name]
        assert isinstance(parts, SignalParts)
        return parts

    def cleared(self, batch: Signals) -> Signals:
        """The batch with foreign objects filled and hidden, where the model looks for them."""
        looking = [n for n in self.names if n in batch and self.parts(n).foreign is not None]
        if not looking:
            return batch
        cleared = {name: self.parts(name).cleared(batch[name]) for name in looking}
        return replace(batch, patches={**batch.patches, **cleared})

    def infer(self, batch: Signals, noise: Noise | None = None) -> Inference:
        """Posteriors of the encoded latents, and values drawn with `noise`, or the means without.

        Every signal that the model sees and the batch has is used. Latents that come only from missing signals are absent.

        Raises:
            InputError: The batch has no signal that the model sees.
        """
        present = [name for name in self.seen if name in batch]
        if not present:
            raise InputError(
                f"the model sees {', '.join(self.seen)}; the batch has {', '.join(batch)}"
            )
        batch, known = self.cleared(batch), self._known(batch.known)
        posterior: dict[str, Posterior] = {}
        latents: dict[str, Tensor] = {}
        for name in present:
            inference = self.parts(name).infer(batch[name], known, noise)
            _refuse_overlap(posterior, inference.posterior, name)
            posterior |= inference.posterior
            latents |= inference.latents
        if known.condition is not None:
            latents["condition"] = known.condition
        return Inference(posterior, latents)

    def evidence(self, latents: Latents, batch: Signals) -> Evidence:
        """Log-likelihood of the explained signals of a batch, summed over them [nats, of densities in the data's own units].

        Raises:
            InputError: The batch has no signal that the model explains.
        """
        present = [name for name in self.explained if name in batch]
        if not present:
            explained = ", ".join(self.explained)
            raise InputError(f"the model explains {explained}; the batch has {', '.join(batch)}")
        batch = self.cleared(batch)
        first, *others = present
        total = self.parts(first).evidence(latents, batch[first])
        for name in others:
            more = self.parts(name).evidence(latents, batch[name])
            _refuse_overlap(total.posterior, more.posterior, name)
            log_likelihood = total.log_likelihood + more.log_likelihood
            total = Evidence(log_likelihood, {**total.posterior, **more.posterior})
        return total

    def decode(self, latents: Latents, *, signal: str | None = None) -> Picture:
        """An expected signal in the data's own units, and where the decoder describes it.

        Args:
            latents: Values by name.
            signal: Name of the signal; the first explained one when empty.
        """
        return self.parts(signal or self.explained[0]).decode(latents)

    def _known(self, known: Annotations) -> Annotations:
        """Annotations standardised for the parts."""
        n_conditions = len(self.standardise_condition.offset)
        given = 0 if known.condition is None else known.condition.shape[-1]
        if given != n_conditions:
            raise InputError(
                f"the model takes {n_conditions} conditions with every patch, {given} were given"
            )
        condition = None if not n_conditions else self.standardise_condition(known.condition)
        # Penalties may use targets in a family without target variables; the parts do not get them.
        unread = known.target is None or not len(self.standardise_target.offset)
        target = None if unread else self.standardise_target(known.target)
        return replace(known, condition=condition, target=target)

    def noise(self, n_patches: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Standard normal values for every drawn latent, on the generator's device."""
        return {
            name: torch.randn(n_patches, size, generator=generator, device=generator.device)
            for name, size in self.drawn.items()
        }


def _refuse_overlap(
    first: Mapping[str, Posterior], second: Mapping[str, Posterior], signal: str
) -> None:
    """Refuse a latent that is inferred twice: its posteriors would have to be fused."""
    if both := sorted(set(first) & set(second)):
        raise ConfigError(
            f"{', '.join(both)} would be inferred from {signal} and from another signal; "
            f"give each signal a latent of its own, such as {signal}.{both[0]}"
        )
