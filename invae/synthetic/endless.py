"""A recording of any length that is stored nowhere: every frame is computed when it is read.

A few simulated frames are shown forwards and backwards, each through its own window and with its own noise.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from invae import dims
from invae.config.synthetic import DomainsConfig
from invae.synthetic.domains import drift_path, simulate_dataset, static_parts
from invae.synthetic.probe import CHANNELS
from invae.synthetic.sample import stream

BANK_FRAMES = 8
CLEAN_SNR = 1e4


@dataclass(frozen=True)
class Bank:
    """A few frames without noise, larger than the recorded frames by the margin on each side."""

    response: np.ndarray
    """Complex piezoresponse (frame, y, x) [pm]."""
    height: np.ndarray
    """(frame, y, x) [nm]."""
    deflection: np.ndarray
    """(frame, y, x) [nm]."""
    corners: np.ndarray
    """First pixel of every recorded frame in the frames of the bank (frame, axis) [px]."""
    config: DomainsConfig
    seed: int

    def image(self, channel: str, frame: int) -> np.ndarray:
        """One channel of one recorded frame (y, x); the same at every call."""
        position = frame % (2 * BANK_FRAMES - 2)
        index = min(position, 2 * BANK_FRAMES - 2 - position)
        rows, columns = (
            slice(corner, corner + n)
            for corner, n in zip(
                self.corners[frame], (self.config.rows, self.config.columns), strict=True
            )
        )
        probe = self.config.probe
        noise_stream = 0 if channel in ("amplitude", "phase") else 1 + (channel == "height")
        generator = np.random.Generator(np.random.SFC64([self.seed, frame, noise_stream]))
        if channel in ("height", "deflection"):
            clean = getattr(self, channel)[index, rows, columns]
            noise = generator.standard_normal(clean.shape, np.float32)
            return clean + np.float32(clean.std() / probe.height_snr) * noise
        clean = self.response[index, rows, columns]
        noise = generator.standard_normal((*clean.shape, 2), np.float32).view(np.complex64)[..., 0]
        noisy = clean + np.float32(probe.response / probe.snr) * noise
        return np.abs(noisy) if channel == "amplitude" else np.angle(noisy)


class _Channel(BackendArray):
    """One channel of the whole recording; xarray reads slices of it."""

    def __init__(self, bank: Bank, name: str) -> None:
        self.bank, self.name = bank, name
        self.shape = (len(bank.corners), bank.config.rows, bank.config.columns)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[int | slice, ...]) -> np.ndarray:
        frames, within = np.arange(self.shape[0])[key[0]], key[1:]
        if np.ndim(frames) == 0:
            return self.bank.image(self.name, int(frames))[within]
        images = [self.bank.image(self.name, int(frame))[within] for frame in frames]
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), self.dtype)


def endless(config: DomainsConfig, seed: int, *, n_frames: int) -> tuple[xr.Dataset, xr.Dataset]:
    """A lazy recording of `n_frames` frames, and its drift; memory holds only a few frames."""
    config = config.model_copy(update={"n_frames": n_frames})
    recording, truth = static_parts(config, seed)
    whole = np.rint(drift_path(config, seed)).astype(int)
    bank = _make_bank(config, seed, corners=whole + config.margin)
    channels = {
        name: xr.Variable(
            dims.IMAGE,
            indexing.LazilyIndexedArray(_Channel(bank, name)),
            {**attrs, "direction": "trace"},
        )
        for name, attrs in CHANNELS.items()
    }
    drift = truth["drift"].copy(data=(whole - whole[0]).astype(float))
    return recording.assign(channels), drift.to_dataset()


def _make_bank(config: DomainsConfig, seed: int, *, corners: np.ndarray) -> Bank:
    probe = config.probe.model_copy(
        update={
            "snr": CLEAN_SNR,
            "height_snr": CLEAN_SNR,
            "drift": 0.0,
            "scars": 0.0,
            "tip_loss": 0.0,
        }
    )
    larger = config.model_copy(
        update={
            "rows": config.rows + 2 * config.margin,
            "columns": config.columns + 2 * config.margin,
            "n_frames": BANK_FRAMES,
            "probe": probe,
        }
    )
    frames, _ = simulate_dataset(larger, seed)
    response = frames["amplitude"] * np.exp(1j * frames["phase"])
    return Bank(
        response=response.to_numpy().astype(np.complex64),
        height=frames["height"].to_numpy(),
        deflection=frames["deflection"].to_numpy(),
        corners=corners,
        config=config,
        seed=int(stream(seed, "noise").integers(2**31)),
    )
