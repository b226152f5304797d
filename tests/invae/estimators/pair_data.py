"""Small pairs with a known relation: two spots whose distance moves the peak of the spectrum."""

import numpy as np

SIZE, N_ENERGIES = 20, 24
ENERGIES = np.linspace(0.5, 1.1, N_ENERGIES)


def spots(n: int, *, seed: int, noise: float = 0.02) -> dict[str, np.ndarray]:
    """Images, spectra, their axis, and the specimen (eight of them)."""
    rng = np.random.default_rng(seed)
    apart, angle = rng.uniform(2, 8, n), rng.uniform(0, 2 * np.pi, n)
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    top, left = ((apart * f(angle))[:, None, None] for f in (np.sin, np.cos))
    image = np.exp(-(y**2 + x**2) / 6) + np.exp(-((y - top) ** 2 + (x - left) ** 2) / 6)
    clean = np.exp(-((ENERGIES - 0.55 - 0.06 * apart[:, None]) ** 2) / 0.006)
    return {
        "image": (image + noise * rng.normal(size=image.shape)).astype(np.float32),
        "spectrum": (clean + noise * rng.normal(size=clean.shape)).astype(np.float32),
        "axis": ENERGIES,
        "specimen": np.arange(n) % 8,
        "clean": clean,
    }
