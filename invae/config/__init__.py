"""Every setting that a person may choose; imports neither torch nor xarray.

`ProcessConfig` is the flow's parameter, the YAML file and the record in every result, all the same thing.
"""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.atoms import AtomsConfig, DenseConfig
from invae.config.describe import DescribeConfig, ImagesConfig, WallsConfig
from invae.config.ingest import IngestConfig
from invae.config.model import ModelConfig
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
    """Where the work runs; it changes no value and is in no hash."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; auto takes the GPU if there is one."""
    workers: Annotated[int, Field(ge=1)] | None = None
    """Blocks worked on at once; the number of cores when empty."""
    scheduler: str = "threads"
    """Dask: `threads`, `processes` (a cluster on this machine) or a scheduler's address."""


class ProcessConfig(Config):
    """All stages for one recording."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = "custom"
    """Name of the configuration."""
    version: str = "1"
    """Version of the configuration; a reviewed change gets a new one."""
    description: str = ""
    """One line for `invae configs`."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Everything random follows from this."""
    ingest: IngestConfig = IngestConfig()
    describe: DescribeConfig = WallsConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    embed: EmbedConfig = EmbedConfig()
    analyse: AnalyseConfig = AnalyseConfig()
    report: ReportConfig = ReportConfig()
    compute: ComputeConfig = ComputeConfig()
