"""`ProcessConfig`: the settings of all stages for one recording."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from invae.config.compute import ComputeConfig
from invae.config.describe import WallsConfig
from invae.config.ingest import IngestConfig
from invae.config.kinds import DescribeConfig
from invae.config.model import AnyModelConfig, ModelConfig
from invae.config.pairs import PairsModelConfig
from invae.config.results import AnalyseConfig, EmbedConfig, ReportConfig
from invae.config.schema import Config
from invae.config.search import SearchConfig
from invae.config.spectra import PairsConfig
from invae.config.training import TrainingConfig


class ProcessConfig(Config):
    """Settings of all stages for one recording."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = "custom"
    """Name of the configuration."""
    version: str = "1"
    """Version of the configuration; every reviewed change gets a new one."""
    description: str = ""
    """One line for the list of `invae configs`."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of all random numbers."""
    ingest: IngestConfig = IngestConfig()
    describe: DescribeConfig = WallsConfig()
    model: AnyModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    embed: EmbedConfig = EmbedConfig()
    analyse: AnalyseConfig = AnalyseConfig()
    report: ReportConfig = ReportConfig()
    compute: ComputeConfig = ComputeConfig()
    search: Annotated[SearchConfig, Field(exclude_if=lambda search: search == SearchConfig())] = (
        SearchConfig()
    )
    """Active measurement (`invae measure`); the other stages do not use it."""

    @model_validator(mode="after")
    def _pairs_have_a_model_of_pairs(self) -> Self:
        model, pairs = self.model, isinstance(self.describe, PairsConfig)
        if pairs and not isinstance(model, PairsModelConfig):
            raise ValueError("describe.kind is pairs, so that model.kind must be pairs too")
        if isinstance(model, PairsModelConfig) and not pairs:
            raise ValueError("model.kind is pairs, so that describe.kind must be pairs too")
        if (
            isinstance(model, PairsModelConfig)
            and model.family == "spec2im"
            and not model.uses_process
        ):
            raise ValueError(
                "model.family is spec2im, whose images are judged by a Gaussian process; set model.process to true and leave model.likelihood as it is"
            )
        return self
