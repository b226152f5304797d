"""Settings of active measurement: target, surrogate, acquisition, costs, and the end of a search."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from invae.config.schema import Config
from invae.config.spectra import GateConfig

SurrogateName = Literal["gp", "dkl", "ensemble", "transfer", "last-layer", "random", "raster"]
AcquisitionName = Literal["log-ei", "ucb", "thompson", "variance", "novelty", "expected-error"]
FeatureName = Literal["content", "place"]
Share = Annotated[float, Field(ge=0, le=1)]
NEEDS_MODEL = ("transfer",)


class CostConfig(Config):
    """Time and dose of a measurement."""

    seconds: Annotated[float, Field(gt=0)] = 1.0
    """Time of one measurement [s]."""
    travel: Annotated[float, Field(ge=0)] = 0.0
    """Time to move the probe [s/nm, or s/px of images without calibration]. Above 0 the gain per second decides."""
    dose: Annotated[float, Field(ge=0)] = 1.0
    """Dose of one measurement, in any unit."""
    dose_radius: Annotated[float, Field(ge=0)] = 0.0
    """Radius about a measured site that receives its dose [px]; at 0 only the site itself."""
    most_dose: Annotated[float, Field(gt=0)] | None = None
    """Largest dose of any place; sites where a measurement would exceed it are not proposed. No limit when empty."""
    total_dose: Annotated[float, Field(gt=0)] | None = None
    """Dose of the whole search, after which it ends. No limit when empty."""


class SearchConfig(Config):
    """A search for sites with the largest or smallest target, or for the best map of it."""

    target: str = "band"
    """Number of a spectrum: band, height, peak, centre, area, offset, coercive, or `module:function` of your own."""
    target_range: tuple[float, float] | None = None
    """Smallest and largest value of the axis that counts [unit of the axis]; the whole axis when empty."""
    direction: Literal["largest", "smallest"] = "largest"
    """Whether large or small values are looked for."""
    scale: Literal["linear", "arcsinh"] = "linear"
    """arcsinh compresses values beyond the median magnitude, for targets of which a few are many times as large as the others."""
    surrogate: SurrogateName = "gp"
    """What predicts the target. gp: a Gaussian process on the features. dkl: the same on features that a network learns (extra
    `active`). ensemble: several predictors of whole spectra, so that the target may change midway. transfer: a Gaussian process on what a
    model of other specimens predicts. last-layer: a network whose last layer is Bayesian. random, raster: no prediction, to compare with."""
    features: Annotated[tuple[FeatureName, ...], Field(min_length=1)] = ("content", "place")
    """content: what the patch shows, independent of rotation and mirror images. place: where it is."""
    acquisition: AcquisitionName | None = None
    """How the next site follows from the prediction. log-ei, ucb, thompson look for the target; variance makes the best map; novelty looks for
    spectra unlike all measured ones; expected-error for sites that are predicted badly. The best one of the surrogate when empty."""
    kappa: Annotated[float, Field(ge=0, le=10)] = 2.0
    """Standard deviations that ucb adds to the mean; successive proposals use half of it, it, and twice it."""
    budget: Annotated[int, Field(ge=1)] = 90
    """Number of measurements."""
    initial: Annotated[int, Field(ge=2, le=1000)] = 6
    """Measurements before the first prediction; they fill the space of what the patches show."""
    random_share: Share = 0.05
    """Share of the sites that are random: the predictions there are an honest test."""
    patience: Annotated[int, Field(ge=1)] = 3
    """Successive proposals with an expected gain below `least_gain` after which the search ends."""
    least_gain: Share = 0.01
    """Expected improvement, relative to the range of the measured values, below which a proposal gains nothing; at 0 the search uses its budget."""
    stagnation: Annotated[int, Field(ge=2)] = 10
    """Successive proposals within two windows after which one site far from all measured ones is proposed."""
    window: Annotated[float, Field(gt=0)] | None = None
    """Side of a patch [px]; from the candidates when empty."""
    cost: CostConfig = CostConfig()
    gate: GateConfig = GateConfig(most_amplitude=1000)
    """Which measured spectra can be used, unless the instrument judges them itself. Large amplitudes are usable: they may be the target."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of all random choices."""

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if self.target_range is not None and self.target_range[0] >= self.target_range[1]:
            low, high = self.target_range
            raise ValueError(
                f"target_range runs from {low:g} to {high:g}; give the smaller value first"
            )
        return self

    @model_validator(mode="after")
    def _starts_within_the_budget(self) -> Self:
        if self.initial > self.budget:
            raise ValueError(
                f"initial is {self.initial}, budget {self.budget}; give a budget of at least as many"
            )
        return self


class InstrumentConfig(Config):
    """The instrument of a search, and when a person is asked."""

    name: str = "replay"
    """replay: spectra measured before. simulated: the specimen of a simulated recording. folder:DIR: requests and answers as files."""
    batch: Annotated[int, Field(ge=1, le=1000)] = 1
    """Sites that are measured before the next proposal."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Longest time for one answer of a folder [s]."""
    together: Annotated[float, Field(ge=0)] = 2.0
    """Measurements are made in one task run until so much time has passed [s]."""
    ask_every: Annotated[int, Field(ge=0)] = 0
    """Measurements after which the run pauses until a person answers in the Prefect UI; 0 never asks."""
    ask_timeout: Annotated[float, Field(gt=0)] = 600.0
    """Longest pause [s]; without an answer the search ends."""
    model: str | None = None
    """Folder of a trained model of pairs, for surrogates that use one."""
