"""Patches with known content, angle and shift, drawn from formulas; a small series taken through every stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from invae.config import GrapheneConfig, ProcessConfig
from invae.config.model_kinds import model_kind_of
from invae.config.synthetic import CardsConfig, DomainsConfig
from invae.progress import Progress, silent
from invae.stages import stages
from invae.storage.provenance import Receipt


@dataclass(frozen=True)
class Letters:
    """Patches of the letter L whose short arm varies, and what was drawn."""

    patches: np.ndarray
    """(site, channel, y, x), about 0 outside and 1 inside."""
    angle: np.ndarray
    """[rad], positive as np.rot90."""
    shift: np.ndarray
    """(site, axis) [pixel], y then x."""
    arm: np.ndarray
    """Length of the short arm [pixel]."""


class DrawLetters(Protocol):
    def __call__(
        self,
        n: int,
        *,
        seed: int,
        size: tuple[int, int] = (24, 24),
        n_channels: int = 1,
        largest_shift: float = 0.0,
        noise: float = 0.1,
    ) -> Letters: ...


def _stroke(y: np.ndarray, x: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """A line of width 3 px with soft edges; start and stop are (site, 2)."""
    along = (stop - start)[:, None, None]
    offset = np.stack((y, x), -1) - start[:, None, None]
    part = ((offset * along).sum(-1) / (along**2).sum(-1)).clip(0, 1)
    distance = np.linalg.norm(offset - part[..., None] * along, axis=-1)
    return 1 / (1 + np.exp(3 * (distance - 1.5)))


@pytest.fixture(scope="session")
def draw_letters() -> DrawLetters:
    """Letters by number, seed and size."""

    def draw(
        n: int,
        *,
        seed: int,
        size: tuple[int, int] = (24, 24),
        n_channels: int = 1,
        largest_shift: float = 0.0,
        noise: float = 0.1,
    ) -> Letters:
        rng = np.random.default_rng(seed)
        angle = rng.uniform(-np.pi, np.pi, n)
        shift = rng.uniform(-largest_shift, largest_shift, (n, 2))
        reach = min(size) * 0.3
        arm = rng.uniform(0.3, 1.0, n) * reach
        y, x = np.meshgrid(*(np.arange(s) - (s - 1) / 2 for s in size), indexing="ij")
        y, x = (grid - shift[:, k, None, None] for k, grid in enumerate((y, x)))
        cos, sin = (f(angle)[:, None, None] for f in (np.cos, np.sin))
        y, x = cos * y + sin * x, cos * x - sin * y
        corner = np.tile([reach * 0.7, -reach * 0.3], (n, 1))
        top, right = corner - [1.7 * reach, 0], corner + np.stack((0 * arm, arm), -1)
        image = np.maximum(_stroke(y, x, corner, top), _stroke(y, x, corner, right))
        sign = np.array([1.0, -1.0, 0.5])[:n_channels, None, None]
        patches = image[:, None] * sign + noise * rng.normal(size=(n, n_channels, *size))
        return Letters(patches.astype(np.float32), angle, shift, arm)

    return draw


@dataclass(frozen=True)
class Run:
    """The stores of a recording that went through every stage up to the embedding, and its result."""

    folder: Path
    config: ProcessConfig

    def store(self, stage: str) -> Path:
        """What a stage made."""
        return self.folder / stages.STAGES[stage].output

    def receipt(self, stage: str) -> Receipt:
        """Under which a stage is made again."""
        return stages.receipt_of(stages.STAGES[stage], self.folder, self.config)

    def analyse(self, target: Path, *, progress: Progress = silent, **changes: object) -> Path:
        """The result, made again elsewhere, with other settings of `analyse`."""
        model_kind_of(self.config.model).function("analyse")(
            self.store("ingest"),
            self.store("describe"),
            self.store("train"),
            self.store("embed"),
            target,
            config=self.config.analyse.model_copy(update=changes),
            seed=self.config.seed,
            receipt=self.receipt("analyse"),
            compute=self.config.compute,
            progress=progress,
        )
        return target

    def report(self, target: Path, *, result: Path | None = None, **changes: object) -> Path:
        """The report, made elsewhere, with other settings."""
        from invae.report import report

        report(
            result or self.store("analyse"),
            target,
            config=self.config.report.model_copy(update=changes),
            receipt=self.receipt("report"),
            compute=self.config.compute,
        )
        return target


def _series(folder: Path, *, n_frames: int, sites: str = "wall") -> Run:
    """A small simulated series through every stage."""
    from invae.synthetic.domains import simulate

    config = ProcessConfig.model_validate(
        {
            "name": "tiny",
            "describe": {
                "sites": {"kind": sites, "spacing": 10},
                "patches": {"window": 16, "channels": {"kind": "delay"}},
            },
            "training": {"epochs": 2, "batch_size": 64},
            "analyse": {"max_clusters": 4, "traversal_steps": 4, "pca_components": 6},
            "report": {"dpi": 50},
            "compute": {"workers": 1},
        }
    )
    source = folder / "series.zarr"
    series = DomainsConfig(rows=64, columns=72, n_frames=n_frames)
    simulate(source, config=series, seed=1)
    return _through_all_stages(folder, source, config)


def _cards(folder: Path, *, model: dict[str, object], **describe: object) -> Run:
    """A few cards through every stage."""
    from invae.synthetic.cards import simulate

    config = ProcessConfig.model_validate(
        {
            "name": "cards",
            "describe": {"kind": "images", **describe},
            "model": model,
            "training": {"epochs": 2, "batch_size": 40},
            "analyse": {
                "max_clusters": 4,
                "traversal_steps": 4,
                "pca_components": 6,
                "baselines": ["pca", "nmf", "kmeans"],
            },
            "report": {"dpi": 50},
            "compute": {"workers": 1},
        }
    )
    source = folder / "cards.zarr"
    simulate(source, config=CardsConfig(n_per_suit=30, size=16, shift=0), seed=1)
    return _through_all_stages(folder, source, config)


def _atoms(folder: Path, *, describe: Mapping[str, object], model: Mapping[str, object]) -> Run:
    """A small movie of a lattice with a few foreign atoms through every stage."""
    from invae.config.scenes import AtomFramesConfig
    from invae.synthetic.atoms import simulate

    config = ProcessConfig.model_validate(
        {
            "name": "movie",
            "describe": describe,
            "model": model,
            "training": {
                "epochs": 1,
                "batch_size": 64,
                "class_start": "fresh",
                "angle_start": "free",
            },
            "analyse": {
                "max_clusters": 2,
                "traversal_steps": 3,
                "pca_components": 4,
                "example_angles": 2,
                "baselines": [],
            },
            "report": {"dpi": 50},
            "compute": {"workers": 1},
        }
    )
    source = folder / "movie.zarr"
    imaging = {"n_frames": 3, "rows": 96, "columns": 96, "pixel_size": 0.03, "atom_sd": 0.07}
    movie = AtomFramesConfig.model_validate({"imaging": imaging, "doped": 0.05})
    simulate(source, config=movie, seed=1)
    return _through_all_stages(folder, source, config)


def scan_through_all_stages(folder: Path, model: Mapping[str, object]) -> Run:
    """A few diffraction patterns of graphene through every stage."""
    from invae.synthetic.graphene import simulate

    config = ProcessConfig.model_validate(
        {
            "name": "scan",
            "describe": {"kind": "patterns", "window": 8, "neighbours": 5},
            "model": model,
            "training": {"epochs": 2, "batch_size": 40},
            "analyse": {
                "max_clusters": 3,
                "traversal_steps": 3,
                "pca_components": 6,
                "baselines": ["pca", "nmf"],
                "surprise_radius": 1.5,
            },
            "report": {"dpi": 50},
            "compute": {"workers": 1},
        }
    )
    source = folder / "graphene.zarr"
    simulate(source, config=GrapheneConfig(n_scan_y=11, n_scan_x=13, n_k=16), seed=1)
    return _through_all_stages(folder, source, config)


def _through_all_stages(folder: Path, source: Path, config: ProcessConfig) -> Run:
    from invae.descriptors.describe import describe
    from invae.readers.ingest import ingest

    train, embed = (model_kind_of(config.model).function(stage) for stage in ("train", "embed"))
    run = Run(folder / "run", config)
    run.folder.mkdir()
    first = stages.receipt_of_recording(run.folder, stages.sources_of([source]), config)
    here: dict[str, Any] = {"compute": config.compute}
    ingest([source], run.store("ingest"), config=config.ingest, receipt=first, **here)
    told = {"config": config.describe, "receipt": run.receipt("describe"), **here}
    describe(run.store("ingest"), run.store("describe"), **told)
    how = {"model": config.model, "training": config.training, "seed": 0, **here}
    train(run.store("describe"), run.store("train"), receipt=run.receipt("train"), **how)
    asked = {"config": config.embed, "receipt": run.receipt("embed"), **here}
    embed(run.store("describe"), run.store("train"), run.store("embed"), **asked)
    run.analyse(run.store("analyse"))
    return run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A series of four frames, sites on walls."""
    return _series(tmp_path_factory.mktemp("series"), n_frames=4)


@pytest.fixture(scope="session")
def single_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One frame, sites on a grid."""
    return _series(tmp_path_factory.mktemp("single"), n_frames=1, sites="grid")


@pytest.fixture(scope="session")
def card_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Single images with known suits and angles, sorted into classes and turned by the model."""
    model = {"family": "jrVAE", "n_classes": 4}
    return _cards(tmp_path_factory.mktemp("cards"), model=model)


@pytest.fixture(scope="session")
def conditional_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Single images whose suit is told to a model without pose, with three content dimensions."""
    model = {"family": "cVAE", "latent_dim": 3, "n_conditions": 4}
    return _cards(tmp_path_factory.mktemp("conditional"), model=model, condition=["suit"])


@pytest.fixture(scope="session")
def atom_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A movie of three frames, patches centred on atoms, two classes whichever way they are turned."""
    describe = {"kind": "atoms", "window_nm": 0.6}
    model = {"family": "jrVAE", "n_classes": 2, "pose_inference": "exact"}
    return _atoms(tmp_path_factory.mktemp("atoms"), describe=describe, model=model)


@pytest.fixture(scope="session")
def dense_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A movie of three frames in windows, their place apart from what they show."""
    describe = {"kind": "dense", "window": 16, "spacing": 10}
    model = {"family": "tVAE", "pose_inference": "exact"}
    return _atoms(tmp_path_factory.mktemp("dense"), describe=describe, model=model)


@pytest.fixture(scope="session")
def scan_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small 4D-STEM scan."""
    model = {"family": "rVAE", "latent_dim": 3}
    return scan_through_all_stages(tmp_path_factory.mktemp("scan"), model)


@pytest.fixture(scope="session")
def pair_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Images of plasmonic particles with spectra at points, three specimens."""
    from invae.config import PlasmonsConfig
    from invae.synthetic.plasmons import simulate

    folder = tmp_path_factory.mktemp("pairs")
    config = ProcessConfig.model_validate(
        {
            "name": "plasmons",
            "describe": {"kind": "pairs", "window": 16},
            "model": {
                "kind": "pairs",
                "latent_dim": 4,
                "n_members": 1,
                "n_folds": 3,
                "image": {"channels": [8, 8], "n_angles": 16},
                "hidden": [16],
            },
            "training": {"epochs": 3, "batch_size": 16, "checkpoint_seconds": 0},
            "report": {"dpi": 50},
            "compute": {"workers": 1, "device": "cpu"},
        }
    )
    sample = {"kind": "assembly", "n_assemblies": 3, "n_probes": 20, "n_energies": 16, "extent": 120, "reach": 40, "pixels": 60}  # fmt: skip
    source = folder / "plasmons.zarr"
    simulate(source, config=PlasmonsConfig.model_validate({"sample": sample}), seed=1)
    return _through_all_stages(folder, source, config)
