"""Active measurement by AtomAI's deep kernel learning, as in the notebook of its documentation; run by the interpreter of AtomAI's own environment."""

# pyright: reportMissingImports=false

import json
import sys
import time

import numpy as np
import torch
from atomai.models import dklGPR
from scipy.stats import norm

Arrays = dict[str, np.ndarray]


def search(images: np.ndarray, target: np.ndarray, *, seed: int, budget: int, opening: int, cycles: int) -> Arrays:  # fmt: skip
    """The sites in the order of their measurement, the share of the others inside their 90 % interval, and seconds of a processor.

    The network and the process are trained anew after every measurement; the site with the largest expected improvement is next.

    Args:
        images: of the candidates (site, y, x).
        target: (site).
        seed: of the first sites and the network.
        budget: number of measurements.
        opening: number of random sites before the first proposal.
        cycles: training steps after each measurement.
    """
    flat = images.reshape(len(images), -1)
    flat = (flat - flat.min()) / np.ptp(flat)
    chosen = list(np.random.default_rng(seed).choice(len(flat), opening, replace=False))
    began = time.process_time()
    while True:
        known = (target[chosen] - target[chosen].mean()) / target[chosen].std()
        model = dklGPR(flat.shape[1], embedim=2, precision="single", seed=seed, device="cpu")
        model.fit(flat[chosen], known, training_cycles=cycles, lr=1e-2, print_loss=10 * cycles)
        mean, variance = (np.asarray(each).ravel() for each in model.predict(flat, verbose=False))
        if len(chosen) == budget:
            break
        gain = expected_improvement(mean, np.sqrt(variance), known.max())
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    scaled = (target - target[chosen].mean()) / target[chosen].std()
    inside = np.abs(scaled - mean) <= 1.645 * np.sqrt(variance)
    coverage = np.delete(inside, chosen).mean()
    seconds = time.process_time() - began
    return {"order": np.array(chosen), "coverage": coverage, "seconds_cpu": np.array(seconds)}


def expected_improvement(mean: np.ndarray, sd: np.ndarray, best: float) -> np.ndarray:
    """Expected improvement over the best measured value, with a margin of 0.01 as in AtomAI's notebook (site)."""
    above = mean - best - 0.01
    return above * norm.cdf(above / sd) + sd * norm.pdf(above / sd)


def main() -> None:
    """Read the request named on the command line, search, write the answer."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        request = json.load(stream)
    torch.set_num_threads(request["threads"])
    with np.load(request["arrays"]) as arrays:
        images, target = arrays["images"], arrays["target"]
    options = {name: request[name] for name in ("seed", "budget", "opening", "cycles")}
    np.savez(request["answer"], **search(images, target, **options))  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main()
