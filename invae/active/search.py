"""`Search`: proposes the next sites to measure, and learns from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from invae import dims
from invae.active import stopping
from invae.active.belief import NORMAL_90, Belief
from invae.active.candidates import CANDIDATE, Candidates, candidates_of
from invae.active.foreknowledge import foreknowledge_of
from invae.active.history import Calibration, Observation, calibration
from invae.active.measurements import measurements_of
from invae.active.proposals import FEWEST, Proposal, State, allowed_in, interval, propose
from invae.active.reliability import Learnable, learnable
from invae.active.surrogates import BLIND, Foreknowledge, Pool
from invae.active.targets import Scale, Target, measured_of, refuse_other_axis
from invae.config.search import NEEDS_MODEL, SearchConfig
from invae.errors import ConfigError, InputError

if TYPE_CHECKING:
    import xarray as xr

    from invae.regression.measures import Axis


class Search:
    """Ask and tell: `suggest` proposes sites, `observe` takes what was measured there.

    Every proposal depends on the seed, on the number of measurements and on the measurements in their order, on nothing else:
    a search that is resumed proposes what an undisturbed one would have proposed.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> y, x = np.indices((12, 12)).reshape(2, -1)
        >>> search = Search({"image": rng.normal(size=(144, 8, 8)), "y": y, "x": x}, features=("place",), budget=20)
        >>> while not search.stop:
        ...     sites = search.suggest()
        ...     search.observe(sites, values=np.sin(sites["y"] / 3))
        >>> len(search.history) <= 20
        True
    """

    def __init__(
        self,
        candidates: Candidates | Mapping[str, Any] | xr.Dataset | str | Path,
        config: SearchConfig | None = None,
        *,
        model: Any = None,
        forbidden: np.ndarray | None = None,
        **options: Any,
    ) -> None:
        """Choose the target, and the candidates.

        Args:
            candidates: Dataset or store with `patch` (site, channel, patch_y, patch_x), `y` and `x` [px]; or a mapping with `image`, `y`, `x`.
            config: Settings; the options replace single ones.
            model: A trained `EncoderDecoder` or its folder, for the surrogates transfer, dkl and last-layer.
            forbidden: Candidates that must not be measured (site,), boolean.
            options: Settings of `invae.config.search.SearchConfig`: target, surrogate, features, acquisition, budget, seed, …

        Raises:
            ConfigError: An option does not exist or has no such value.
            InputError: The candidates cannot be used.
        """
        self.config = _config(config, options)
        self.candidates = (
            candidates if isinstance(candidates, Candidates) else candidates_of(candidates)
        )
        self.forbidden = _mask(forbidden, len(self.candidates))
        self.history: list[Observation] = []
        self.axis: Axis | None = None
        self.spectrum_units = "1"
        self.foreknowledge: Foreknowledge | None = (
            None if model is None else foreknowledge_of(model, self.candidates)
        )
        if self.config.surrogate in NEEDS_MODEL and self.foreknowledge is None:
            raise ConfigError(
                f"surrogate {self.config.surrogate} needs model=, a trained EncoderDecoder or its folder"
            )
        self._pool = Pool(self.candidates, self.config, self.foreknowledge)
        self._learned: dict[tuple[int, str], Any] = {}

    def suggest(self, batch: int = 1) -> xr.Dataset:
        """The next sites to measure (site,), best first; none when the search has ended.

        Coordinates: candidate, frame, y, x [px], y_nm, x_nm where known. Variables: `reason`; `predicted`, `lower`, `upper` (90 %) of
        the target before the measurement; `expected_gain`, the expected improvement relative to the range of the values so far.
        Asked twice without an observation in between, it proposes the same sites.

        Raises:
            InputError: The target is constant.
        """
        if batch < 1:
            raise InputError(f"batch is {batch}; give 1 or more")
        state, scale = self._state()
        n = 0 if self.stop else min(batch, self.config.budget - len(self.history))
        return self._labelled(propose(state, n), scale)

    def observe(
        self,
        sites: xr.Dataset,
        spectra: Any = None,
        *,
        values: Any = None,
        sd: Any = None,
        valid: Any = None,
        axis: Any = None,
    ) -> None:
        """Take what was measured at sites.

        Args:
            sites: As `suggest` gave them, or a Dataset with `candidate`.
            spectra: (site, energy), a DataArray or array; or the Dataset of an instrument with `spectrum`, `valid`, `spectrum_sd`.
            values: The target itself (site,), in place of spectra.
            sd: Sd of the values, or of one channel of the spectra.
            valid: Whether each can be used; values that are not finite never can.
            axis: Values of the axis of spectra that are a plain array.

        Raises:
            InputError: Sites and measurements do not fit, another site was measured, or spectra have another axis than those before.
        """
        taken = measurements_of(
            sites,
            spectra,
            values=values,
            sd=sd,
            valid=valid,
            axis=axis,
            known=self._measured_so_far(),
            gate=self.config.gate,
        )
        if taken.axis is not None:
            if self.axis is not None:
                refuse_other_axis(self.axis, taken.axis)
            self.axis = self.axis or taken.axis
        self._refuse_other_sites(sites)
        self.history += taken.observations(sites, self.config.target)

    @property
    def stop(self) -> str:
        """Why the search ends; empty while it goes on."""
        allowed = allowed_in(self._pool, [one.candidate for one in self.history], self.forbidden)
        standing = stopping.Standing(self.history, allowed, self.calibration, self.config)
        return stopping.reason_to_stop(standing)

    def predict(self) -> xr.Dataset:
        """The target at every candidate (site,): `mean`, `sd` (of a measurement), `sd_model`, `lower`, `upper` (90 %), in its unit.

        Raises:
            InputError: There are too few valid measurements, or the surrogate predicts nothing.
        """
        import xarray as xr

        belief, scale = self.belief()
        low, high = (
            scale.back(belief.mean + side * NORMAL_90 * belief.sd_of_measurement)
            for side in (-1, 1)
        )
        lower, upper = np.minimum(low, high), np.maximum(low, high)
        model = [scale.back(belief.mean + side * belief.sd) for side in (-1, 1)]
        columns = {
            "mean": (scale.back(belief.mean), f"predicted {self.config.target}"),
            "sd": ((upper - lower) / (2 * NORMAL_90), "sd of a measurement"),
            "sd_model": (np.abs(model[1] - model[0]) / 2, "sd that the measurements leave open"),
            "lower": (lower, "lower end of the 90 % interval"),
            "upper": (upper, "upper end of the 90 % interval"),
        }
        units = self.target.units
        return xr.Dataset(
            {
                name: (dims.SITE, v, dims.attrs(words, units))
                for name, (v, words) in columns.items()
            },
            coords=self.candidates.places(np.arange(len(self.candidates))),
        )

    def belief(self) -> tuple[Belief, Scale]:
        """What the surrogate believes, on the scale that is maximised, and that scale.

        Raises:
            InputError: There are too few valid measurements, or the surrogate predicts nothing.
        """
        state, scale = self._state()
        n = len(state.measured.data)
        if self.config.surrogate in BLIND:
            raise InputError(f"surrogate {self.config.surrogate} predicts nothing; choose gp")
        if n < FEWEST:
            raise InputError(f"{n} valid measurements are too few to predict; {FEWEST} are needed")
        return state.belief(state.measured), scale

    @property
    def target(self) -> Target:
        """The target of this search."""
        return Target(self.config, self.axis)

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Target of every observation and its sd (observation,); NaN where it is invalid."""
        pairs = [self.target.value(one) for one in self.history]
        both = np.array(pairs, float).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    @property
    def calibration(self) -> Calibration:
        """How often the intervals held the measured value."""
        return calibration(self.history, self.values()[0], self.config.target)

    @property
    def learnable(self) -> Learnable:
        """Whether the target can be learned from image and place, in one sentence."""
        state, _ = self._state()
        return learnable(self._pool, state.measured)

    def exclude(self, y: tuple[float, float], x: tuple[float, float], frame: int = 0) -> int:
        """Forbid an area [px]; returns the number of candidates in it."""
        yx = self.candidates.yx
        inside = (yx >= (y[0], x[0])).all(1) & (yx <= (y[1], x[1])).all(1)
        inside &= self.candidates.frame == frame
        self.forbidden = self.forbidden | inside
        return int(inside.sum())

    def retarget(self, target: str, target_range: tuple[float, float] | None = None) -> None:
        """Look for another number of the spectra from now on; what was measured stays.

        Raises:
            ConfigError: There is no such target.
            InputError: Only numbers were measured.
        """
        from invae.active.scalarisers import scalariser

        scalariser(target)
        if any(one.valid and one.spectrum is None for one in self.history):
            raise InputError("only numbers were measured; another target needs spectra")
        self.config = replaced(self.config, target=target, target_range=target_range)
        self._pool.config = self.config

    def save(self, path: str | Path) -> None:
        """Write a store with candidates, settings and measurements; an older one is replaced when it is complete."""
        from invae.active.search_store import save

        save(self, Path(path))

    @classmethod
    def resume(cls, path: str | Path) -> Search:
        """The search of a store; it proposes what the saved one would have.

        Raises:
            StoreError: There is none.
        """
        from invae.active.search_store import resume

        return resume(Path(path))

    def _state(self) -> tuple[State, Scale]:
        values, sd = self.values()
        measured, scale = measured_of(self.history, values, sd, self.target)
        return State(self._pool, self.history, measured, self.forbidden, self._learned), scale

    def _measured_so_far(self) -> np.ndarray:
        """Valid spectra (measured, energy), beside which the gate judges new ones."""
        known = [one.spectrum for one in self.history if one.valid and one.spectrum is not None]
        return np.stack(known) if known else np.zeros((0, 0))

    def _labelled(self, proposals: list[Proposal], scale: Scale) -> xr.Dataset:
        import xarray as xr

        sites = np.array([one.candidate for one in proposals], int)
        ends = [sorted(map(float, scale.back(np.array(interval(one))))) for one in proposals]
        columns = {
            "reason": np.array([one.reason for one in proposals], object),
            "predicted": np.array([float(scale.back(np.array(one.mean))) for one in proposals]),
            "lower": np.array([low for low, _ in ends]),
            "upper": np.array([high for _, high in ends]),
            "expected_gain": np.array([one.expected_gain for one in proposals]),
        }
        return xr.Dataset(
            {name: (dims.SITE, values) for name, values in columns.items()},
            coords=self.candidates.places(sites),
            attrs={"number": len(self.history), "target": self.config.target},
        )

    def _refuse_other_sites(self, sites: xr.Dataset) -> None:
        """Refuse sites that are no candidates, or that are measured already."""
        chosen = np.asarray(sites[CANDIDATE], int)
        known = {one.candidate for one in self.history}
        for site in chosen:
            if not 0 <= site < len(self.candidates):
                raise InputError(
                    f"candidate {site} does not exist; there are {len(self.candidates)} from 0"
                )
        again = [int(site) for site in chosen if site in known]
        if again or len(set(chosen.tolist())) < len(chosen):
            raise InputError(f"candidate {(again or chosen.tolist())[0]} is measured twice")


def replaced(config: SearchConfig, **changes: Any) -> SearchConfig:
    """Settings with other values.

    Raises:
        ConfigError: An option does not exist or has no such value.
    """
    return _config(config, changes)


def _config(config: SearchConfig | None, options: Mapping[str, Any]) -> SearchConfig:
    given = {} if config is None else config.model_dump()
    try:
        return SearchConfig.model_validate({**given, **options})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{place or 'search'}: {first['msg']}") from error


def _mask(forbidden: np.ndarray | None, n: int) -> np.ndarray:
    if forbidden is None:
        return np.zeros(n, bool)
    mask = np.asarray(forbidden, bool)
    if mask.shape != (n,):
        raise InputError(f"forbidden has shape {mask.shape}; ({n},) is needed, one per candidate")
    return mask
