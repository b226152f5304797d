"""Spectra of one peak with individual position and width, for tests of shifts in one dimension."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config.synthetic import ShiftsConfig
from invae.synthetic.scene import Scene, Simulator, stream


def scene(config: ShiftsConfig, *, seed: int) -> Scene:
    """The factors of a set, and the rendering of its signals exp(−(x − position)²/2·width²).

    Signals lie along x, y has length 1; the ground truth holds `position`, `width` and `noise` of each.
    """
    n_steps = int(config.position / config.position_step + 1e-9)
    steps = stream(seed, "shift").integers(-n_steps, n_steps, config.n_signals, endpoint=True)
    position = steps * config.position_step
    width = stream(seed, "width").uniform(*config.width, config.n_signals)
    noise = stream(seed, "noise").uniform(*config.noise, config.n_signals)
    axis = np.linspace(-config.extent, config.extent, config.n_points)

    def clean_images(block: slice) -> np.ndarray:
        distance = (axis - position[block, None]) / width[block, None]
        return np.exp(-(distance**2) / 2).astype(np.float32)[:, None]

    return Scene(
        name="shifts",
        config=config,
        seed=seed,
        shape=(1, config.n_points),
        truth=_truth(position, width, noise, pixel=float(axis[1] - axis[0])),
        clean_images=clean_images,
        noise=noise,
    )


def _truth(
    position: np.ndarray, width: np.ndarray, noise: np.ndarray, *, pixel: float
) -> xr.Dataset:
    return xr.Dataset(
        {
            "position": (
                "frame",
                position,
                dims.attrs("centre of the peak on its axis", pixel_size=pixel),
            ),
            "width": ("frame", width, dims.attrs("sd of the peak on its axis", pixel_size=pixel)),
            "noise": ("frame", noise, dims.attrs("sd of the noise; the peak has height 1")),
        }
    )


SIMULATOR = Simulator("shifts", scene)
draw, simulate, make_receipt = SIMULATOR.draw, SIMULATOR.simulate, SIMULATOR.make_receipt
