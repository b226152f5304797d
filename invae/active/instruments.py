"""Instruments: `measure(sites)` gives a Dataset over the same sites with `spectrum`, `valid` and, if known, `spectrum_sd`."""

from pathlib import Path
from typing import Protocol

import numpy as np
import xarray as xr

from invae import dims
from invae.active.candidates import CANDIDATE
from invae.active.measurements import GATED, SPECTRUM
from invae.config.plasmons import PlasmonsConfig
from invae.errors import ConfigError, InputError
from invae.storage import store
from invae.storage.json_text import parsed
from invae.synthetic.plasmon_specimens import (
    clean_spectra,
    energies_of,
    particles_of,
)

TRUTH = "truth"
NAMES = ("replay", "simulated", "folder:DIR")


class Instrument(Protocol):
    """Measures spectra at sites."""

    def measure(self, sites: xr.Dataset) -> xr.Dataset:
        """`spectrum` (site, axis), `valid` (site), and if known `spectrum_sd` (site), for these sites in their order."""
        ...


def instrument_of(name: str, patches: Path, *, seed: int, timeout: float) -> Instrument:
    """The instrument of a name: replay, simulated or folder:DIR.

    Args:
        name: Of the instrument.
        patches: Store of the candidates.
        seed: Of the noise of a simulated instrument.
        timeout: Time that a folder has for an answer [s].

    Raises:
        ConfigError: There is no such instrument.
    """
    kind, _, rest = name.partition(":")
    if kind == "replay" and not rest:
        return Replay(patches)
    if kind == "simulated" and not rest:
        return simulated_of(patches.parent / "recording.zarr", seed=seed)
    if kind == "folder" and rest:
        from invae.active.folder_instrument import Folder

        return Folder(rest, timeout=timeout)
    raise ConfigError(f"instrument {name!r} does not exist; give {', '.join(NAMES)}")


class Replay:
    """Spectra that were measured before, of a store of pairs."""

    def __init__(self, patches: str | Path | xr.Dataset) -> None:
        """Open the store.

        Raises:
            InputError: It has no spectra.
        """
        given = patches if isinstance(patches, xr.Dataset) else store.open_store(Path(patches))
        if SPECTRUM not in given:
            raise InputError(
                "replay needs measured spectra beside the patches; describe the recording with describe.kind=pairs, "
                "or choose another instrument"
            )
        self._pairs = given

    def measure(self, sites: xr.Dataset) -> xr.Dataset:
        """The stored spectra of the candidates."""
        chosen = sites[CANDIDATE].to_numpy()
        spectra = (
            self._pairs[SPECTRUM]
            .isel({dims.SITE: chosen})
            .load()
            .drop_vars([name for name, c in self._pairs.coords.items() if dims.SITE in c.dims])
        )
        measured = xr.Dataset({SPECTRUM: spectra, "valid": (dims.SITE, np.ones(len(chosen), bool))})
        if "spectrum_sd" in self._pairs.variables:
            sd = self._pairs["spectrum_sd"].isel({dims.SITE: chosen}).to_numpy()
            measured["spectrum_sd"] = (dims.SITE, sd)
        return measured.assign_attrs({GATED: True})


def simulated_of(recording: Path, *, seed: int) -> "Instrument":
    """An instrument on the specimen of a simulated recording.

    Raises:
        InputError: The recording has no truth of plasmons or domains.
    """
    if not (recording / TRUTH / "zarr.json").is_file():
        raise InputError(
            f"{recording} has no truth to measure; make a recording with `invae simulate plasmons` or `invae simulate domains`"
        )
    truth = store.open_store(recording, group=TRUTH)
    if "n_particles" in truth:
        settings = parsed(truth.attrs["settings"])
        return SimulatedPlasmons(
            truth, PlasmonsConfig.model_validate(settings["config"]), seed=seed
        )
    if "polarization" in truth:
        return SimulatedDomains(truth, seed=seed)
    raise InputError(f"{recording} is no simulation of plasmons or domains")


class SimulatedPlasmons:
    """Energy losses of simulated particles at any place; equal places have equal noise."""

    def __init__(self, truth: xr.Dataset, config: PlasmonsConfig, *, seed: int) -> None:
        self._truth, self._config, self._seed = truth, config, seed

    def measure(self, sites: xr.Dataset) -> xr.Dataset:
        """Spectra with noise at y_nm and x_nm of every site."""
        config, rows, sds = self._config, [], []
        for k in range(sites.sizes[dims.SITE]):
            frame, candidate = int(sites[dims.FRAME][k]), int(sites[CANDIDATE][k])
            point = np.array([[float(sites["y_nm"][k]), float(sites["x_nm"][k])]])
            particles = particles_of(self._truth, frame)
            clean = clean_spectra(particles, point, config)
            # the noise is relative to the spectra of the whole specimen
            sd = float(self._truth["spectrum_sd"][frame * config.sample.n_points])
            noise = np.random.default_rng([self._seed, frame, candidate]).normal(size=clean.shape)
            rows.append((clean + sd * noise)[0])
            sds.append(sd)
        energy = ("energy", energies_of(config), dims.attrs("energy", "eV"))
        return _measured(np.array(rows), energy, np.array(sds), units="1/eV")


BIAS = 8.0
"""Largest bias of a simulated loop [V]."""
STEPS = 64
NEAR, FAR = 1.5, 6.0
"""Sd of the domain at the tip and of its surroundings [px]."""
LOOP_NOISE = 0.1
HIDDEN_OFFSET, HIDDEN_HEIGHT = 0.06, 0.3
"""Sd of the offset and of the relative height of loops that follow from defects, which no image shows."""


class SimulatedDomains:
    """Hysteresis loops on simulated ferroelectric domains.

    The offset of a loop is the polarization at the tip minus that of the surroundings, which drive a domain back: it is largest in narrow
    domains, and the image shows it. The height of a loop, and so its area, follows from defects that the image does not show.
    """

    def __init__(self, truth: xr.Dataset, *, seed: int) -> None:
        from scipy.ndimage import gaussian_filter

        self._seed = seed
        polarization = truth["polarization"].to_numpy().astype(float)
        hidden = np.random.default_rng([seed, 41]).normal(size=(2, *polarization.shape))
        apart = [gaussian_filter(one, NEAR) - gaussian_filter(one, FAR) for one in polarization]
        self._offset = np.stack(apart) + HIDDEN_OFFSET * hidden[0]
        self._height = 1 + HIDDEN_HEIGHT * hidden[1]

    def measure(self, sites: xr.Dataset) -> xr.Dataset:
        """Loops with noise at the nearest pixel of every site."""
        up = np.linspace(-BIAS, BIAS, STEPS // 2)
        bias = np.r_[up, up[::-1]]
        rows = []
        for k in range(sites.sizes[dims.SITE]):
            frame, y, x = (round(float(sites[name][k])) for name in (dims.FRAME, dims.Y, dims.X))
            coercive = np.r_[np.full(STEPS // 2, 2.5), np.full(STEPS // 2, -2.5)]
            loop = self._height[frame, y, x] * np.tanh((bias - coercive) / 1.5)
            rng = np.random.default_rng([self._seed, frame, int(sites[CANDIDATE][k])])
            rows.append(loop + self._offset[frame, y, x] + LOOP_NOISE * rng.normal(size=STEPS))
        voltage = ("voltage", bias, dims.attrs("bias", "V"))
        return _measured(np.array(rows), voltage, np.full(len(rows), LOOP_NOISE), units="1")


def _measured(
    spectra: np.ndarray, axis: tuple[str, np.ndarray, dict], sd: np.ndarray, *, units: str
) -> xr.Dataset:
    name = axis[0]
    return xr.Dataset(
        {
            SPECTRUM: ((dims.SITE, name), spectra, dims.attrs("measured spectrum", units)),
            "valid": (dims.SITE, np.ones(len(spectra), bool)),
            "spectrum_sd": (dims.SITE, sd),
        },
        coords={name: axis},
    )
