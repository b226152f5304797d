"""Pictures that a trained model draws, empty where its decoder has nothing to say."""

from pathlib import Path

import numpy as np
import torch

from invae.analysis.traversal import Decode
from invae.training.checkpoint import device_of
from invae.training.saved import load

BATCH = 256
LEAST_SUPPORT = 0.5
"""A pixel of which the decoder speaks for a smaller share is left empty."""


def decoder_of(model: Path, *, device: str = "cpu") -> Decode:
    """The decoder of a saved model, on arrays; NaN outside of what it describes (the corners around a disc).

    Raises:
        StoreError: there is no model at `model`.
    """
    place = device_of(device)
    trained = load(model, device=place).model
    unit = trained.geometry.half_side

    def draw(latents: dict[str, np.ndarray]) -> np.ndarray:
        picture = trained.decode({k: torch.from_numpy(v).to(place) for k, v in latents.items()})
        mean, support = picture.mean.cpu().numpy(), picture.support.cpu().numpy()
        return np.where(support[:, None] >= LEAST_SUPPORT, mean, np.nan)

    @torch.no_grad()
    def decode(
        content: np.ndarray,
        /,
        *,
        angle: np.ndarray | None = None,
        shift: np.ndarray | None = None,
    ) -> np.ndarray:
        n = len(content)
        given = {
            "angle": np.zeros((n, 1)) if angle is None else angle.reshape(n, 1),
            "shift": np.zeros((n, 2)) if shift is None else shift / unit,
        }
        latents = {name: given[name] for name in trained.poses} | {"content": content}
        latents = {name: np.asarray(value, dtype=np.float32) for name, value in latents.items()}
        pieces = [
            draw({name: value[start : start + BATCH] for name, value in latents.items()})
            for start in range(0, n, BATCH)
        ]
        return np.concatenate(pieces)

    return decode
