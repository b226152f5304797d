"""Every setting that a user can choose; this package imports neither torch nor xarray.

`ProcessConfig` is the flow's parameter, the content of the YAML file and the record in every result.
Names are imported on first use: a model needs no settings of readers or simulations (0.1 s of CPU).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invae.config.atoms import AtomsConfig as AtomsConfig
    from invae.config.atoms import DenseConfig as DenseConfig
    from invae.config.compute import ComputeConfig as ComputeConfig
    from invae.config.describe import ImagesConfig as ImagesConfig
    from invae.config.describe import WallsConfig as WallsConfig
    from invae.config.ingest import IngestConfig as IngestConfig
    from invae.config.kinds import DescribeConfig as DescribeConfig
    from invae.config.model import AnyModelConfig as AnyModelConfig
    from invae.config.model import ModelConfig as ModelConfig
    from invae.config.patterns import PatternsConfig as PatternsConfig
    from invae.config.plasmons import PlasmonsConfig as PlasmonsConfig
    from invae.config.polycrystal import PolycrystalConfig as PolycrystalConfig
    from invae.config.process import ProcessConfig as ProcessConfig
    from invae.config.results import AnalyseConfig as AnalyseConfig
    from invae.config.results import EmbedConfig as EmbedConfig
    from invae.config.results import GrainsConfig as GrainsConfig
    from invae.config.results import ReportConfig as ReportConfig
    from invae.config.scan import BandConfig as BandConfig
    from invae.config.scan import ScanConfig as ScanConfig
    from invae.config.scenes import AtomFramesConfig as AtomFramesConfig
    from invae.config.scenes import GrapheneConfig as GrapheneConfig
    from invae.config.scenes import GrapheneMovieConfig as GrapheneMovieConfig
    from invae.config.scenes import LatticeConfig as LatticeConfig
    from invae.config.schema import Config as Config
    from invae.config.search import SearchConfig as SearchConfig
    from invae.config.spectra import PairsConfig as PairsConfig
    from invae.config.spectra import SpectraConfig as SpectraConfig
    from invae.config.synthetic import CardsConfig as CardsConfig
    from invae.config.synthetic import DigitsConfig as DigitsConfig
    from invae.config.synthetic import DomainsConfig as DomainsConfig
    from invae.config.synthetic import ShiftsConfig as ShiftsConfig
    from invae.config.training import TrainingConfig as TrainingConfig
    from invae.config.watch import WatchConfig as WatchConfig

_MODULES = {
    "AnalyseConfig": "results",
    "AnyModelConfig": "model",
    "AtomFramesConfig": "scenes",
    "AtomsConfig": "atoms",
    "BandConfig": "scan",
    "CardsConfig": "synthetic",
    "ComputeConfig": "compute",
    "Config": "schema",
    "DenseConfig": "atoms",
    "DescribeConfig": "kinds",
    "DigitsConfig": "synthetic",
    "DomainsConfig": "synthetic",
    "EmbedConfig": "results",
    "GrainsConfig": "results",
    "GrapheneConfig": "scenes",
    "GrapheneMovieConfig": "scenes",
    "ImagesConfig": "describe",
    "IngestConfig": "ingest",
    "LatticeConfig": "scenes",
    "ModelConfig": "model",
    "PairsConfig": "spectra",
    "PatternsConfig": "patterns",
    "PlasmonsConfig": "plasmons",
    "PolycrystalConfig": "polycrystal",
    "ProcessConfig": "process",
    "ReportConfig": "results",
    "ScanConfig": "scan",
    "SearchConfig": "search",
    "ShiftsConfig": "synthetic",
    "SpectraConfig": "spectra",
    "TrainingConfig": "training",
    "WallsConfig": "describe",
    "WatchConfig": "watch",
}
"""Module of this package that defines a name."""


def __getattr__(name: str) -> Any:
    """The configuration of this name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
