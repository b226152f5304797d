"""The analyse stage of models of pairs: held-out predictions, scores beside baselines, maps and a verdict."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from invae import dims
from invae.analysis.pairs.latents import plane
from invae.analysis.pairs.maps import band_maps
from invae.analysis.pairs.measures import Axis, band, is_monotonic, peak
from invae.analysis.pairs.reliability import noise_ceiling, reliability
from invae.analysis.pairs.scores import compared
from invae.analysis.pairs.verdict import verdict
from invae.config import AnalyseConfig, ComputeConfig
from invae.pairs import folder
from invae.pairs.data import SPECTRUM, Pairs, pairs_of
from invae.pairs.embed import refuse_other
from invae.pairs.fitted import Fitted
from invae.pairs.prediction import NORMAL_90
from invae.progress import Progress, silent
from invae.regression import scores
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.training.device import device_of

RANKS = ("best", "median", "worst")
TRUTH = f"truth_{SPECTRUM}"
HELD_OUT_WORDS = {
    "specimen": "whole specimens",
    "block": "blocks of space",
    "site": "single sites, which leaks where patches overlap",
}


@dataclass(frozen=True)
class Told:
    """What the analysis reads."""

    fitted: Fitted
    given: Pairs
    patches: xr.Dataset
    sites: xr.Dataset
    """The embedding."""

    @property
    def axis(self) -> Axis:
        """Axis of the spectra."""
        own = self.fitted.axis
        return Axis(own.name, own.values, own.units, self.fitted.units)

    @property
    def measured(self) -> np.ndarray:
        """Spectra (site, energy)."""
        assert self.given.spectra is not None
        return self.given.spectra

    @property
    def predicted(self) -> np.ndarray:
        """Held-out predictions (site, energy)."""
        return self.sites["predicted"].to_numpy()

    @property
    def sd(self) -> np.ndarray:
        """Sd of an observation about its prediction."""
        return self.sites["predicted_sd"].to_numpy()


def analyse(
    recording: Path,
    patches: Path,
    model: Path,
    embedding: Path,
    target: Path,
    *,
    config: AnalyseConfig,
    seed: int,
    receipt: Receipt,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> None:
    """Write `result.zarr`: what was measured and predicted of every site, scores, maps and a verdict (`invae.results.pairs`).

    Args:
        recording: A finished recording.
        patches: A finished descriptor store of pairs.
        model: Folder of the model.
        embedding: A finished embedding.
        target: The store to make.
        config: Not used; settings of classes and maps of latent variables do not apply.
        seed: Of the folds of the baselines, if the model comes from another recording.
        receipt: Of this stage.
        compute: Device.
        progress: Called with percent and 100.

    Raises:
        StoreError: A store is missing or unfinished.
        InputError: The model was made for other pairs.
    """
    fitted, given = folder.load(model, device=device_of(compute.device)), pairs_of(patches)
    refuse_other(fitted, given, patches)
    sites = store.open_store(embedding).load()
    told = Told(fitted, given, store.open_store(patches), sites)
    partial = store.begin(target, receipt.key)
    # Sums over several threads differ in the last digits from run to run.
    with threadpool_limits(1):
        groups = _groups(told, seed=seed, progress=progress)
    groups[""].attrs |= _origin(recording, told)
    for group, dataset in groups.items():
        store.write_dataset(partial, dataset, group=group)
    progress(100, 100)
    store.publish(partial, target, receipt)


def _groups(told: Told, *, seed: int, progress: Progress) -> dict[str, xr.Dataset]:
    table = compared(
        told, seed=seed, progress=lambda done, total: progress(90 * done // total, 100)
    )
    repeated = reliability(told.patches, told.axis)
    groups = {
        "": _sites(told),
        "pairs": _pairs(told),
        "scores": table,
        "examples": _examples(told),
        "training": _training(told.fitted),
    }
    if repeated is not None:
        groups["reliability"] = repeated
    maps = band_maps(groups[""], told.sd)
    if maps is not None:
        groups["band_maps"] = maps
    if told.fitted.networks:
        groups["directions"], place = plane(told.fitted, told.sites["content"].to_numpy())
        groups[""]["plane"] = ((dims.SITE, "direction"), place, dims.attrs("first two principal components of the content"))  # fmt: skip
    groups["summary"] = _summary(told, table, repeated)
    groups[""].attrs["verdict"] = verdict(table, repeated)
    return groups


def _sites(told: Told) -> xr.Dataset:
    """One row per pair."""
    sites, axis = told.sites, told.axis
    found = xr.Dataset(
        coords={name: c for name, c in sites.coords.items() if c.dims == (dims.SITE,)}
    )
    found["relative_error"] = sites["error"]
    if "content" in sites:
        found["content"] = sites["content"]
    for name, spectra in (("measured", told.measured), ("predicted", told.predicted)):
        words = dims.attrs(f"integral of the {name} spectrum over its axis", axis.band_units)
        found[f"{name}_band"] = (dims.SITE, band(spectra, axis), words)
        if is_monotonic(axis):
            words = dims.attrs(f"position of the maximum of the {name} spectrum", axis.units)
            found[f"{name}_peak"] = (dims.SITE, peak(spectra, axis), words)
    return found


def _pairs(told: Told) -> xr.Dataset:
    """Spectra as measured and as predicted by members that have not seen them."""
    axis, half = told.axis, NORMAL_90 * told.sd
    over = (dims.SITE, axis.name)
    level = f"{100 * told.fitted.config.coverage:g} %"
    values = {
        "measured": (told.measured, "measured spectrum"),
        "predicted": (told.predicted, "predicted spectrum, held out"),
        "lower": (told.predicted - half, f"lower end of the {level} interval"),
        "upper": (told.predicted + half, f"upper end of the {level} interval"),
    }
    group = xr.Dataset(
        {
            n: (over, v.astype(np.float32), dims.attrs(w, axis.value_units))
            for n, (v, w) in values.items()
        },
        coords=axis.coords(),
    )
    by_energy = scores.r2_by_energy(told.predicted, told.measured)
    group["r2"] = (axis.name, by_energy, dims.attrs("R² of the prediction, value by value"))
    if TRUTH in told.patches:
        words = dims.attrs("spectrum without noise", axis.value_units)
        group["truth"] = (over, told.patches[TRUTH].to_numpy(), words)
    return group


def _examples(told: Told) -> xr.Dataset:
    """Patches of the best, the median and the worst prediction."""
    error = told.sites["error"].to_numpy()
    order = np.argsort(error)
    site = order[[0, len(order) // 2, len(order) - 1]]
    patch = ("example", *dims.PATCH[1:])
    names = [str(name) for name in told.patches[dims.CHANNEL].to_numpy()]
    return xr.Dataset(
        {
            "patch": (patch, told.given.patches[site], dims.attrs("patch around a site")),
            "error": ("example", error[site], dims.attrs("relative error of the spectrum")),
            "rank": (
                "example",
                np.arange(len(RANKS), dtype=np.int8),
                dims.flags(RANKS, "rank of the example"),
            ),
            "site": ("example", site, dims.attrs("number of the site")),
        },
        coords={
            dims.CHANNEL: names,
            **{n: told.patches[n].load().variable for n in (dims.PATCH_Y, dims.PATCH_X)},
        },
    )


def _training(fitted: Fitted) -> xr.Dataset:
    """Score of every epoch of every network: those with held-out pairs first."""
    everyone = [*fitted.held_out.histories, *fitted.histories]
    n_epochs = max(map(len, everyone), default=0)
    shape = (len(everyone), n_epochs)
    values = {part: np.full(shape, np.nan) for part in ("training", "held_out")}
    for member, history in enumerate(everyone):
        for part, curve in values.items():
            known = [epoch[part].get("score", np.nan) for epoch in history]
            curve[member, : len(known)] = known
    variables = {
        f"score_{part}": (("member", dims.EPOCH), curve, dims.attrs(f"log-likelihood of a spectrum, {part.replace('_', '-')} pairs [nat]"))
        for part, curve in values.items()
    }  # fmt: skip
    final = np.arange(len(everyone)) >= len(fitted.held_out.histories)
    return xr.Dataset(
        {
            **variables,
            "final": ("member", final, {"long_name": "network has learned from all pairs"}),
        },
        coords={dims.EPOCH: (dims.EPOCH, np.arange(1, n_epochs + 1), dims.attrs("epoch"))},
    )


def _summary(told: Told, table: xr.Dataset, repeated: xr.Dataset | None) -> xr.Dataset:
    own = table.sel(predictor="model")
    scalars = {
        "n_sites": (len(told.given), "pairs", "1"),
        **{
            str(name): (float(own[name]), str(own[name].attrs["long_name"]), str(own[name].attrs["units"]))
            for name in own.data_vars
        },
        "leaks": (float(told.fitted.leaks), "whether held-out pairs may overlap with training pairs", "1"),
        "network_weight": (told.fitted.held_out.weight, "weight of the networks; the rest is that of the Gaussian process", "1"),
        "r2_ceiling": (noise_ceiling(told.patches, told.measured), "R² of a prediction that leaves only the noise", "1"),
    }  # fmt: skip
    if repeated is not None:
        scalars["reliability"] = (float(repeated["r"]), "correlation between repetitions", "1")
    return xr.Dataset(
        {
            name: xr.Variable((), value, dims.attrs(words, units))
            for name, (value, words, units) in scalars.items()
            if np.isfinite(value)
        }
    )


def _origin(recording: Path, told: Told) -> dict[str, object]:
    """Origin of the recording, the model, and remarks of all stages."""
    source = store.open_store(recording)
    origin = {name: source.attrs[name] for name in ("modality", "format") if name in source.attrs}
    notes = [*source.attrs.get("notes", []), *told.patches.attrs.get("notes", [])]
    if "trained_on" in told.sites.attrs:
        notes.append(str(told.sites.attrs["trained_on"]))
    config = told.fitted.config
    return {
        **origin,
        "window": told.fitted.patch[1],
        "channels": list(told.fitted.channels),
        "family": config.family,
        "n_members": config.n_members,
        "latent_dim": config.latent_dim,
        "coverage": config.coverage,
        "recording_kind": "pairs",
        "held_out_by": HELD_OUT_WORDS[told.fitted.by],
        "spectrum_axis": told.axis.name,
        "specimens": json.dumps(_specimens(told)),
        "notes": list(dict.fromkeys(notes)),
    }


def _specimens(told: Told) -> list[int]:
    """Pairs of every specimen."""
    if told.given.specimen is None:
        return [len(told.given)]
    return np.unique(told.given.specimen, return_counts=True)[1].tolist()
