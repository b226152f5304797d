"""The analyse stage of models of pairs: held-out predictions, scores beside baselines, maps and a verdict."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from invae import dims
from invae.analysis.pairs.designs import judged
from invae.analysis.pairs.latents import directions, placed
from invae.analysis.pairs.maps import band_maps
from invae.analysis.pairs.partners import found_partners, read_numbers
from invae.analysis.pairs.reliability import noise_ceiling, reliability
from invae.analysis.pairs.scores import compared
from invae.analysis.pairs.verdict import verdict
from invae.analysis.verdict import scalars_of
from invae.config import AnalyseConfig, ComputeConfig
from invae.descriptors.pairs.images import FIRST, SUM
from invae.pairs import folder
from invae.pairs.data import SPECTRUM, Pairs, pairs_of
from invae.pairs.embed import DESIGNS, refuse_other
from invae.pairs.fitted import Fitted
from invae.pairs.prediction import NORMAL_90
from invae.progress import Progress, silent
from invae.regression import scores
from invae.regression.measures import Axis, band, has_peaks, peak
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.training.device import device_of
from invae.verdict.findings import Verdict

RANKS = ("best", "median", "worst")
TRUTH = f"truth_{SPECTRUM}"
DESIGN_WORDS = {
    "error": "of the spectrum of an image made for it",
    "error_of_eight": "of the spectrum of the best of the images made for it",
    "error_best": "of the spectrum of the best image of all tries",
    "error_nearest": "of the nearest training spectrum",
    "error_true": "of the spectrum predicted of the true image",
}
HELD_OUT_WORDS = {
    "specimen": "whole specimens",
    "block": "blocks of space",
    "site": "single sites, which leaks where patches overlap",
}


@dataclass(frozen=True)
class Inputs:
    """What the analysis reads."""

    fitted: Fitted
    given: Pairs
    patches: xr.Dataset
    sites: xr.Dataset
    """The embedding."""
    designs: xr.Dataset | None
    """Images made for spectra."""

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
    made = None
    if fitted.config.family == "spec2im":
        made = store.open_store(embedding, group=DESIGNS)
    inputs = Inputs(fitted, given, store.open_store(patches), sites, made)
    partial = store.begin(target, receipt.key)
    # Sums over several threads differ in the last digits from run to run.
    with threadpool_limits(1):
        groups = _groups(inputs, seed=seed, progress=progress)
    groups[""].attrs |= _origin(recording, inputs)
    for group, dataset in groups.items():
        store.write_dataset(partial, dataset, group=group)
    progress(100, 100)
    store.publish(partial, target, receipt)


def _groups(inputs: Inputs, *, seed: int, progress: Progress) -> dict[str, xr.Dataset]:
    table = compared(
        inputs, seed=seed, progress=lambda done, total: progress(90 * done // total, 100)
    )
    repeated = reliability(inputs.patches, inputs.axis)
    groups = {
        "": _sites(inputs),
        "pairs": _pairs(inputs),
        "scores": table,
        "examples": _examples(inputs),
        "training": _training(inputs.fitted),
    }
    if repeated is not None:
        groups["reliability"] = repeated
    maps = band_maps(groups[""], inputs.sd, units=inputs.axis.value_units)
    if maps is not None:
        groups["band_maps"] = maps
    if inputs.fitted.networks:
        groups |= _latents(inputs, groups[""])
    if inputs.fitted.config.has_partners:
        groups["partners"] = found_partners(inputs.sites)
        numbers = read_numbers(inputs.sites, seed=seed)
        if numbers is not None:
            groups["numbers"] = numbers
    if inputs.designs is not None:
        groups["designs"] = judged(
            inputs.designs, inputs.given.patches, inputs.measured, inputs.predicted
        )
    found = verdict(table, repeated, shares_noise=inputs.patches.attrs.get("image") in (SUM, FIRST))
    groups["summary"] = _summary(inputs, table, repeated, found)
    groups["summary"] = groups["summary"].assign(_scores_of_family(groups))
    groups[""].attrs |= found.attrs()
    return groups


def _latents(inputs: Inputs, sites: xr.Dataset) -> dict[str, xr.Dataset]:
    """Places of all sites in a plane of the latent variables, and spectra along its directions."""
    content = inputs.sites["content"].to_numpy()
    words = dims.attrs("first two principal components of the content")
    plane_of = (dims.SITE, "direction")
    if not inputs.fitted.config.networks_predict:
        sites["plane"] = (plane_of, placed(content, content), words)
        return {}
    group, place = directions(inputs.fitted, content)
    sites["plane"] = (plane_of, place, words)
    if "content_spectrum" in inputs.sites:
        of_spectra = placed(inputs.sites["content_spectrum"].to_numpy(), content)
        words = dims.attrs("the same components of the content that the spectrum says")
        sites["plane_spectrum"] = (plane_of, of_spectra, words)
    return {"directions": group}


def _scores_of_family(groups: Mapping[str, xr.Dataset]) -> dict[str, xr.Variable]:
    """Numbers of the summary that only some families have."""
    found: dict[str, xr.Variable] = {}
    if "partners" in groups:
        table = groups["partners"]
        for k in (1, 10):
            if k in table["within"]:
                share = float(table["images_found"].sel(within=k))
                words = f"share of spectra whose image is among the nearest {k}"
                found[f"recall_{k}"] = xr.Variable((), share, dims.attrs(words))
    if "designs" in groups:
        table = groups["designs"]
        for name, values in (
            ("error", table["error"].to_numpy().ravel()),
            ("error_of_eight", table["error"].min("sample").to_numpy()),
            ("error_best", table["error_best"].to_numpy()),
            ("error_nearest", table["error_nearest"].to_numpy()),
            ("error_true", table["error_true"].to_numpy()),
        ):
            words = f"median relative error {DESIGN_WORDS[name]}"
            found[f"design_{name}"] = xr.Variable((), float(np.median(values)), dims.attrs(words))
    return found


def _sites(inputs: Inputs) -> xr.Dataset:
    """One row per pair."""
    sites, axis = inputs.sites, inputs.axis
    found = xr.Dataset(
        coords={name: c for name, c in sites.coords.items() if c.dims == (dims.SITE,)}
    )
    found["relative_error"] = sites["error"]
    if "content" in sites:
        found["content"] = sites["content"]
    for name, spectra in (("measured", inputs.measured), ("predicted", inputs.predicted)):
        words = dims.attrs(f"integral of the {name} spectrum over its axis", axis.band_units)
        found[f"{name}_band"] = (dims.SITE, band(spectra, axis), words)
        if has_peaks(inputs.measured, axis):
            words = dims.attrs(f"position of the maximum of the {name} spectrum", axis.units)
            found[f"{name}_peak"] = (dims.SITE, peak(spectra, axis), words)
    return found


def _pairs(inputs: Inputs) -> xr.Dataset:
    """Spectra as measured and as predicted by members that have not seen them."""
    axis, half = inputs.axis, NORMAL_90 * inputs.sd
    over = (dims.SITE, axis.name)
    level = f"{100 * inputs.fitted.config.coverage:g} %"
    values = {
        "measured": (inputs.measured, "measured spectrum"),
        "predicted": (inputs.predicted, "predicted spectrum, held out"),
        "lower": (inputs.predicted - half, f"lower end of the {level} interval"),
        "upper": (inputs.predicted + half, f"upper end of the {level} interval"),
    }
    group = xr.Dataset(
        {
            n: (over, v.astype(np.float32), dims.attrs(w, axis.value_units))
            for n, (v, w) in values.items()
        },
        coords=axis.coords(),
    )
    by_energy = scores.r2_by_energy(inputs.predicted, inputs.measured)
    group["r2"] = (axis.name, by_energy, dims.attrs("R² of the prediction, value by value"))
    if TRUTH in inputs.patches:
        words = dims.attrs("spectrum without noise", axis.value_units)
        group["truth"] = (over, inputs.patches[TRUTH].to_numpy(), words)
    return group


def _examples(inputs: Inputs) -> xr.Dataset:
    """Patches of the best, the median and the worst prediction."""
    error = inputs.sites["error"].to_numpy()
    order = np.argsort(error)
    site = order[[0, len(order) // 2, len(order) - 1]]
    patch = ("example", *dims.PATCH[1:])
    names = [str(name) for name in inputs.patches[dims.CHANNEL].to_numpy()]
    return xr.Dataset(
        {
            "patch": (patch, inputs.given.patches[site], dims.attrs("patch around a site")),
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
            **{n: inputs.patches[n].load().variable for n in (dims.PATCH_Y, dims.PATCH_X)},
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


def _summary(
    inputs: Inputs, table: xr.Dataset, repeated: xr.Dataset | None, found: Verdict
) -> xr.Dataset:
    own = table.sel(predictor="model")
    scalars = {
        "n_sites": (len(inputs.given), "pairs", "1"),
        **scalars_of(found),
        **{
            str(name): (float(own[name]), str(own[name].attrs["long_name"]), str(own[name].attrs["units"]))
            for name in own.data_vars
        },
        "leaks": (float(inputs.fitted.leaks), "whether held-out pairs may overlap with training pairs", "1"),
        "network_weight": (inputs.fitted.held_out.weight, "weight of the networks; the rest is that of the Gaussian process", "1"),
        "r2_ceiling": (noise_ceiling(inputs.patches, inputs.measured), "R² of a prediction that leaves only the noise", "1"),
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


def _origin(recording: Path, inputs: Inputs) -> dict[str, object]:
    """Origin of the recording, the model, and remarks of all stages."""
    source = store.open_store(recording)
    origin = {name: source.attrs[name] for name in ("modality", "format") if name in source.attrs}
    notes = [*source.attrs.get("notes", []), *inputs.patches.attrs.get("notes", [])]
    if "trained_on" in inputs.sites.attrs:
        notes.append(str(inputs.sites.attrs["trained_on"]))
    config = inputs.fitted.config
    return {
        **origin,
        "window": inputs.fitted.patch[1],
        "channels": list(inputs.fitted.channels),
        "family": config.family,
        "n_members": config.n_members,
        "latent_dim": config.latent_dim,
        "coverage": config.coverage,
        "recording_kind": "pairs",
        "held_out_by": HELD_OUT_WORDS[inputs.fitted.by],
        "spectrum_axis": inputs.axis.name,
        "spectrum": str(inputs.patches.attrs.get(SPECTRUM, SPECTRUM)),
        "specimens": json.dumps(_specimens(inputs)),
        "notes": list(dict.fromkeys(notes)),
    }


def _specimens(inputs: Inputs) -> list[int]:
    """Pairs of every specimen."""
    if inputs.given.specimen is None:
        return [len(inputs.given)]
    return np.unique(inputs.given.specimen, return_counts=True)[1].tolist()
