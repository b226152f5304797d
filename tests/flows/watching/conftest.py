"""A watched folder with small recordings, and a server that knows their configuration but runs nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.soak import machine
from flows.watching import contents
from flows.watching.watcher import Watcher
from invae.config import WatchConfig

TINY = {**machine.TINY, "name": "tiny", "version": "3"}
"""As fast as it goes."""


def write_images(path: Path, *, seed: int) -> Path:
    """A set of small images, each with one blurred spot."""
    y, x = np.mgrid[:12, :12]
    centres = np.random.default_rng(seed).uniform(3, 9, (60, 2))
    distance = (y - centres[:, :1, None]) ** 2 + (x - centres[:, 1:, None]) ** 2
    np.save(path, np.exp(-distance / 6).astype("f4"))
    return path


@pytest.fixture(autouse=True)
def patient(monkeypatch) -> None:
    """A scan waits until small recordings are read, however busy the machine is."""
    monkeypatch.setattr(contents, "SECONDS", 60.0)


@pytest.fixture
def box(tmp_path) -> Path:
    """The watched folder."""
    path = tmp_path / "box"
    path.mkdir()
    return path


@pytest.fixture
def tiny(tmp_path) -> Path:
    """The file of a configuration."""
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def watched(box, tmp_path, tiny) -> Callable[..., WatchConfig]:
    """Makes what is watched; nothing has to settle unless it is said."""

    def make(**changes: object) -> WatchConfig:
        places = {"folder": str(box), "out": str(tmp_path / "out"), "config": str(tiny)}
        return WatchConfig.model_validate({"settle": 0, **places, **changes})

    return make


@pytest.fixture(scope="session")
def deployed(prefect_server) -> str:
    """A deployment of the configuration that nobody carries out."""
    from flows.process import process

    deployment: Any = process.to_deployment(
        "tiny", parameters={"sources": [], "out": "", "config": TINY}
    )
    deployment.apply()
    return prefect_server


@pytest.fixture
def watcher(deployed, watched) -> Watcher:
    """A watcher to which every recording has settled at once."""
    return Watcher(watched())
