"""Every setting that a user can choose; this package imports neither torch nor xarray.

`ProcessConfig` is the flow's parameter, the content of the YAML file and the record in every result.
"""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.atoms import AtomsConfig, DenseConfig
from invae.config.describe import DescribeConfig, ImagesConfig, WallsConfig
from invae.config.ingest import IngestConfig
from invae.config.model import AnyModelConfig, ModelConfig
from invae.config.patterns import PatternsConfig
from invae.config.results import AnalyseConfig, EmbedConfig, ReportConfig
from invae.config.scan import BandConfig, ScanConfig
from invae.config.scenes import AtomFramesConfig, GrapheneConfig, GrapheneMovieConfig, LatticeConfig
from invae.config.schema import Config
from invae.config.synthetic import CardsConfig, DigitsConfig, DomainsConfig, ShiftsConfig
from invae.config.training import TrainingConfig
from invae.config.watch import WatchConfig

__all__ = [
    "AnalyseConfig",
    "AnyModelConfig",
    "AtomFramesConfig",
    "AtomsConfig",
    "BandConfig",
    "CardsConfig",
    "ComputeConfig",
    "Config",
    "DenseConfig",
    "DescribeConfig",
    "DigitsConfig",
    "DomainsConfig",
    "EmbedConfig",
    "GrapheneConfig",
    "GrapheneMovieConfig",
    "ImagesConfig",
    "IngestConfig",
    "LatticeConfig",
    "ModelConfig",
    "PatternsConfig",
    "ProcessConfig",
    "ReportConfig",
    "ScanConfig",
    "ShiftsConfig",
    "TrainingConfig",
    "WallsConfig",
    "WatchConfig",
]


class ComputeConfig(Config):
    """Where the work runs. These settings change no result and are in no hash."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the models; auto uses the GPU if there is one."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Number of blocks processed in parallel; the number of cores when empty."""
    scheduler: str = "threads"
    """Dask scheduler: `threads`, `processes` (a cluster on this machine) or the address of a scheduler."""


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
