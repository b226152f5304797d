"""Several small networks at once, from features of a patch to its class: each begins elsewhere, and the best is kept."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ClassHeads(nn.Module):
    """Networks with one hidden layer; all see the same features and learn independently of each other."""

    def __init__(self, n_features: int, n_classes: int, *, n_heads: int, width: int) -> None:
        """Draw the weights from the global random numbers, as `nn.Linear` does.

        Args:
            n_features: Numbers of each patch.
            n_classes: Number of classes.
            n_heads: Number of networks.
            width: Units of the hidden layer.
        """
        super().__init__()
        self.hidden = _weights(n_heads, n_features, width)
        self.hidden_offset = _weights(n_heads, 1, width, n_inputs=n_features)
        self.output = _weights(n_heads, width, n_classes)
        self.output_offset = _weights(n_heads, 1, n_classes, n_inputs=width)

    def __len__(self) -> int:
        """Number of networks."""
        return len(self.hidden)

    def forward(self, features: Float[Tensor, "item feature"]) -> Float[Tensor, "head item class"]:
        """Log odds of the classes, by every network."""
        inputs = features.expand(len(self), -1, -1)
        hidden = torch.baddbmm(self.hidden_offset, inputs, self.hidden).relu()
        return torch.baddbmm(self.output_offset, hidden, self.output)

    def keep(self, heads: Sequence[int]) -> None:
        """Drop all networks but some."""
        chosen = list(heads)
        for name, weight in list(self.named_parameters()):
            setattr(self, name, nn.Parameter(weight.detach()[chosen].clone()))


def _weights(n_heads: int, *shape: int, n_inputs: int | None = None) -> nn.Parameter:
    """Weights of a layer of every network, uniform within ± 1/√inputs."""
    limit = (shape[0] if n_inputs is None else n_inputs) ** -0.5
    return nn.Parameter(torch.empty(n_heads, *shape).uniform_(-limit, limit))
