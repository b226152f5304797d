"""4D-STEM of graphene: the same content for symmetry partners, the angle of the field, and a vacancy as an outlier."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from benchmarks.ideal import ideal
from benchmarks.trial import Goal, Scores, Trial, shortened, train
from invae import InvariantVAE, dims
from invae.analysis.diffraction.lattice import deviations_from_lattice
from invae.analysis.diffraction.surprise import FIELDS, model_surprise, surprise
from invae.config import GrapheneConfig, PatternsConfig, ProcessConfig
from invae.config.named import load
from invae.descriptors.describe import describe
from invae.descriptors.diffraction.scale import on_scale
from invae.descriptors.diffraction.scan import survey
from invae.readers.ingest import ingest
from invae.storage import manifest, store
from invae.storage.provenance import Receipt
from invae.synthetic import graphene
from invae.synthetic.flake import make_flake

SCANS, PARTNERS = 10_000, 20_000
"""Added to a trial's seed: scans, and positions with their partners."""
N_DRAWS = 8
"""Number of times that the noise of partners is drawn."""
NEAR = 0.07
"""Largest distance of a probe that sees the vacancy: half a bond [nm]."""
BOUNDED = 1000
"""Largest number of electrons per pattern for the ideal observer: with more it misses nothing."""


def run(trial: Trial, seed: int, quick: bool) -> Scores:
    """Process a scan with a vacancy by the stages of a shipped configuration, and score it with the ground truth."""
    settings = dict(trial.settings["scan"]) | ({"n_scan_y": 16, "n_scan_x": 16} if quick else {})
    process = load(trial.settings["config"])
    with tempfile.TemporaryDirectory() as folder:
        scan = rotated(settings, seed=SCANS + seed)
        source = Path(folder) / "scan.zarr"
        graphene.simulate(source, config=scan, seed=SCANS + seed)
        recording, patches = described(source, process)
        model = process.model.model_dump(mode="json", exclude_unset=True)
        model["training"] = process.training.model_dump(mode="json", exclude_unset=True)
        training = train(shortened(model, quick=quick), patches, seed=seed)
        plain = {"family": "VAE", "latent_dim": model["latent_dim"], "training": model["training"]}
        other = train(shortened(plain, quick=quick), patches, seed=seed)
        truth = store.open_store(source, group="truth").load()
        maps = store.open_store(recording, group="maps").load()
        values = store.open_store(patches)["patch"].to_numpy()
        latents, others = (m.model.encode(patches) for m in (training, other))
        values_of = _vacancy(latents, others, values, maps, truth, process)
        values_of |= _bounds(source, scan, truth, seed=SCANS + seed)
        values_of |= _second_draw(training.model, source, patches, scan, process, seed=SCANS + seed)
        values_of |= _angle_residual(latents, truth, dose=settings["dose"])
        values_of |= _partner_scores(
            training.model, recording, settings, _patterns(process), seed=PARTNERS + seed
        )
    return values_of | training.cost


def rotated(settings: dict[str, Any], *, seed: int) -> GrapheneConfig:
    """A scan with a random rotation of the lattice."""
    angle = float(np.random.default_rng(seed).uniform(0, 60))
    return GrapheneConfig.model_validate({**settings, "angle": angle})


def _patterns(process: ProcessConfig) -> PatternsConfig:
    assert isinstance(process.describe, PatternsConfig)
    return process.describe


def described(source: Path, process: ProcessConfig) -> tuple[Path, Path]:
    """The recording and its patches, made by the stages."""
    recording = source.parent / "run" / "recording.zarr"
    patches = source.parent / "descriptors.zarr"
    recording.parent.mkdir()
    receipt = Receipt("ingest", "k" * 32, "scan", (), {}, {}, "hash", 0, "code")
    ingest([source], recording, config=process.ingest, receipt=receipt, compute=process.compute)
    describe(recording, patches, config=process.describe, receipt=receipt, compute=process.compute)
    return recording, patches


def _vacancy(
    latents: xr.Dataset,
    others: xr.Dataset,
    values: np.ndarray,
    maps: xr.Dataset,
    truth: xr.Dataset,
    process: ProcessConfig,
) -> Scores:
    """ROC-AUC of the probes at the vacancy, by the outlier score of the model and of the baselines."""
    shape, near = (truth.sizes[dims.SCAN_Y], truth.sizes[dims.SCAN_X]), _near(truth)
    y, x = np.indices(shape).reshape(2, -1)
    deflection, names = ["com_y", "com_x"], list(FIELDS)
    com = np.stack([maps[name].to_numpy().ravel() for name in deflection], axis=1)
    pca = PCA(latents.sizes[dims.LATENT]).fit_transform(values.reshape(len(values), -1))
    sites = {
        "model": latents[["content", "content_sd", "log_likelihood"]].drop_vars(("y", "x")),
        "plain": others[["content", "content_sd", "log_likelihood"]].drop_vars(("y", "x")),
        "pca": _only_content(pca),
        "com": _only_content(com),
    }
    sites = {
        name: values_of.assign_coords(y=(dims.SITE, y), x=(dims.SITE, x))
        for name, values_of in sites.items()
    }
    radius = process.analyse.surprise_radius
    auc = {
        f"auc_{name}": surprise(
            method, shape, radius=radius, maps=maps[deflection if name == "com" else names]
        ).to_numpy()
        for name, method in sites.items()
    }
    auc |= {
        f"auc_{name}_alone": model_surprise(method, shape, radius=radius)
        for name, method in sites.items()
    }
    fields = np.stack([maps[name].to_numpy() for name in names], axis=-1)
    residual = deviations_from_lattice(fields, from_zero=np.array(list(FIELDS.values())))
    auc["auc_lattice"] = np.zeros(shape) if residual is None else residual.missing
    return {name: float(roc_auc_score(near, score.ravel())) for name, score in auc.items()}


def _near(truth: xr.Dataset) -> np.ndarray:
    """Whether a probe sees the vacancy (site,)."""
    return truth["distance"].to_numpy().ravel() < NEAR


def _bounds(source: Path, scan: GrapheneConfig, truth: xr.Dataset, *, seed: int) -> Scores:
    """ROC-AUC of an observer who knows all patterns without noise, from all patterns and from single ones."""
    if scan.dose > BOUNDED:
        return {}
    counts = store.open_store(source)["pattern"].to_numpy()
    observer = ideal(counts, scan, seed=seed, near=NEAR)
    near = _near(truth)
    return {
        "auc_bound": float(roc_auc_score(near, observer.whole.ravel())),
        "auc_bound_single": float(roc_auc_score(near, observer.single.ravel())),
    }


def _second_draw(
    model: InvariantVAE,
    source: Path,
    patches: Path,
    scan: GrapheneConfig,
    process: ProcessConfig,
    *,
    seed: int,
) -> Scores:
    """Rms difference to another draw of the electrons in units of the stated sd, and the share within 1.96 of it, over both latents."""
    flake = make_flake(scan, seed=seed, reach=graphene.optics_of(scan).window / 2)
    expected = np.stack([graphene.shares(row, flake, scan) for row in flake.probes])
    counts = np.random.default_rng([seed, 2]).poisson(scan.dose * expected)
    again = source.parent / "again" / "scan.zarr"
    shutil.copytree(source, again)
    zarr.open_group(again, mode="r+")["pattern"][...] = counts.astype(np.uint32)
    manifest.write(again)
    first, second = (model.encode(path) for path in (patches, described(again, process)[1]))
    content = (first["content"] - second["content"]) / np.hypot(
        first["content_sd"], second["content_sd"]
    )
    turned = np.angle(np.exp(1j * (first["angle"] - second["angle"]).to_numpy()))
    sd = [np.sqrt(-2 * np.log(one["angle_resultant"].to_numpy())) for one in (first, second)]
    z = {"content": content.to_numpy(), "angle": turned / np.hypot(*sd)}
    scores = {f"z_{name}": float(np.sqrt((value**2).mean())) for name, value in z.items()}
    return scores | {
        f"covered_{name}": float((np.abs(value) < 1.96).mean()) for name, value in z.items()
    }


def _only_content(content: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {
            "content": ((dims.SITE, dims.LATENT), content),
            "log_likelihood": (dims.SITE, np.zeros(len(content))),
        }
    )


def _angle_residual(latents: xr.Dataset, truth: xr.Dataset, *, dose: float) -> Scores:
    """Median difference between the angle and the direction of the true deflection where a single pattern shows it [degree]."""
    y, x = (truth[f"com_{axis}"].to_numpy().ravel() for axis in "yx")
    convergence = GrapheneConfig().convergence
    visible = np.hypot(y, x) > convergence / 2 / np.sqrt(dose)
    residual = np.angle(np.exp(1j * (latents["angle"].to_numpy() - np.arctan2(-y, x))))
    if not visible.any():
        return {}
    return {
        "angle_residual": float(np.degrees(np.median(np.abs(residual[visible])))),
        "share_known": float(visible.mean()),
    }


def _partner_scores(
    model: InvariantVAE,
    recording: Path,
    settings: dict[str, Any],
    patterns: PatternsConfig,
    *,
    seed: int,
) -> Scores:
    """Spread of the content over partners ÷ that over positions, and the distance of mirror partners."""
    config = GrapheneConfig.model_validate(
        {**settings, "structure": "perfect", "places": "partners", "n_scan_y": 100, "n_scan_x": 6}
    )
    flake = make_flake(config, seed=seed, reach=graphene.optics_of(config).window / 2)
    expected = np.stack([graphene.shares(row, flake, config) for row in flake.probes])
    scan, _ = survey(store.open_store(recording), recording, config=patterns)
    rng, contents = np.random.default_rng(seed), []
    for _ in range(N_DRAWS):
        counts = rng.poisson(config.dose * scan.n_added[0] * expected)
        values = on_scale(scan, scan.resampling.of(counts)[:, :, None])
        valid = np.broadcast_to(scan.resampling.valid(counts=False), values.shape)
        content = model.encode(np.where(valid, values, 0).astype(np.float32), valid=valid.copy())
        contents.append(content["content"].to_numpy().reshape(len(expected), 6, -1))
    draws = np.stack(contents)
    total = draws[:, :, :3].reshape(-1, draws.shape[-1]).var(0).sum()
    mean, noise = draws.mean(0), draws.var(0, ddof=1)[:, :3].mean((0, 1)).sum() / N_DRAWS
    systematic = mean[:, :3].var(1, ddof=1).mean(0).sum() - noise
    distance = ((mean[:, :3].mean(1) - mean[:, 3:].mean(1)) ** 2).sum(-1)
    with_noise = draws[:, :, :3].var(2, ddof=1).mean((0, 1)).sum()
    return {
        "c3_spread": float(np.sqrt(max(systematic, 0.0) / total)),
        "c3_spread_noisy": float(np.sqrt(with_noise / total)),
        "mirror_distance": float(np.sqrt(np.median(distance) / total)),
    }


SCAN = {"structure": "vacancy", "n_scan_y": 48, "n_scan_x": 48, "n_k": 48, "k_max": 52}


def _at(dose: float, name: str, *, spread: float | None, angle: float | None) -> Trial:
    angles = (
        Goal("angle_residual", "median difference between the angle and the direction of the true deflection, where that exceeds the noise of one pattern [°]", "–", angle, better="low"),
    )  # fmt: skip
    bounds = (
        Goal("auc_bound", "bound: an observer who knows every pattern without noise, and the lattice"),
        Goal("auc_bound_single", "the same from the probe's own pattern only"),
    )  # fmt: skip
    return Trial(
        name=f"fourd-{name}",
        words=f"`fourd-rvae` on 4D-STEM of graphene with a vacancy, {dose:g} electrons per pattern",
        run=run,
        settings={"scan": {**SCAN, "dose": dose}, "config": "fourd-rvae"},
        goals=(
            Goal("auc_model", "vacancy, ROC-AUC of the outlier score", "–", 0.99 if dose >= 1e3 else None),
            Goal("auc_plain", "the same for a plain VAE on the same patches"),
            Goal("auc_pca", "the same for PCA of the same patches with as many components"),
            Goal("auc_com", "the same for the centre of mass of single patterns"),
            Goal("auc_model_alone", "without the lattice of the maps, from the content only: model"),
            Goal("auc_plain_alone", "plain VAE"),
            Goal("auc_pca_alone", "PCA"),
            Goal("auc_com_alone", "centre of mass"),
            Goal("auc_lattice", "from the lattice of CoM and HAADF only, without a model"),
            *(bounds if dose <= BOUNDED else ()),
            *(angles if angle is not None else ()),
            Goal("z_content", "difference of the content to another draw of the electrons in units of the stated sd, rms (1: as stated)"),
            Goal("covered_content", "share within 1.96 of it (0.95: as stated)"),
            Goal("z_angle", "the same of the angle, rms"),
            Goal("covered_angle", "share within 1.96 of it"),
            Goal("c3_spread", "spread of the content over C₃ partners ÷ total, noise averaged out", "–", spread, better="low"),
            Goal("c3_spread_noisy", "the same with the noise of one patch", better="low"),
            Goal("mirror_distance", "distance of mirror partners ÷ total"),
        ),
        chapter="microscopy",
        n_seeds=3,
        remark="Every seed is another scan with another offset and rotation of the lattice, processed by ingest, describe and training as shipped; the ground truth is used "
        "for the scores only. All outlier scores are computed in one way: from the values of a method at the probes, and from the deviations of the maps from their lattice, which are "
        "CoM and HAADF for all methods on patches, CoM for the centre of mass. Partners are other positions with as many electrons as a summed patch.",
    )  # fmt: skip


TRIALS = (
    _at(1e4, "high", spread=0.05, angle=5.0),
    _at(1e3, "middle", spread=None, angle=15.0),
    _at(1e2, "low", spread=None, angle=None),
)
