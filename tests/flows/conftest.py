"""A small recording with known answers, and what an undisturbed run makes of it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from invae.config import ProcessConfig, named
from invae.config.synthetic import DomainsConfig
from invae.synthetic.domains import simulate

CHANGES = (
    "training.epochs=3",
    "training.checkpoint_seconds=0",
    "describe.patches.window=16",
    "ingest.shard_mb=0.1",
    "analyse.max_clusters=2",
    "report.dpi=50",
    "analyse.traversal_steps=3",
    "analyse.pca_components=2",
)


@dataclass(frozen=True)
class Run:
    """A finished run of the flow."""

    source: Path
    out: Path
    config: ProcessConfig

    @property
    def folder(self) -> Path:
        return self.out / self.source.stem


@pytest.fixture(scope="session")
def config() -> ProcessConfig:
    return named.load("demo", changes=CHANGES)


@pytest.fixture(scope="session")
def recording(tmp_path_factory) -> Path:
    """A simulated series."""
    target = tmp_path_factory.mktemp("simulated") / "domains.zarr"
    series = named.changed({}, ["rows=64", "columns=64", "n_frames=8", "margin=16"])
    simulate(target, config=DomainsConfig.model_validate(series), seed=11)
    return target


@pytest.fixture(scope="session")
def undisturbed(prefect_server, recording, config, tmp_path_factory) -> Run:
    """What one run from the first stage to the last makes."""
    from flows.process import process

    out = tmp_path_factory.mktemp("undisturbed")
    process([str(recording)], str(out), config)
    return Run(recording, out, config)
