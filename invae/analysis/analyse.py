"""The analyse stage: from the stores of a recording to `result.zarr`."""

from pathlib import Path

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from invae import dims
from invae.analysis import baselines, clusters, examples, exploration, linear, traversal
from invae.analysis.angle_posterior import angle_examples
from invae.analysis.association import associate
from invae.analysis.classes import class_names, empty_classes, members_of
from invae.analysis.confusion import compare, known_classes
from invae.analysis.decoding import decoder_of, states_of
from invae.analysis.ground_truth import angle_scores, known_numbers, linear_scores
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Analysis
from invae.analysis.summary import summarise
from invae.analysis.traversal import Decode
from invae.analysis.verdict import judged
from invae.config import AnalyseConfig, ComputeConfig
from invae.config.kinds import load
from invae.latent_table import plain_numbers
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.json_text import parsed
from invae.storage.provenance import Receipt

REDUNDANT = 0.95
"""Content dimensions with a larger correlation are redundant."""


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
    """Write `result.zarr`: all results, in labelled groups (`invae.results.SCHEMA`).

    Args:
        recording: the ingested recording.
        patches: the store of its descriptors.
        model: the trained model.
        embedding: latents of every site.
        target: the store to make.
        config: settings of the stage.
        seed: of the starts of mixture and components, and of the resampling.
        receipt: of the result.
        compute: where blocks run.
        progress: called with the percentage done.

    Raises:
        InputError: there are too few sites, or some content is not finite.
    """
    inputs = Inputs(recording, patches, model, embedding, config, seed, compute, progress)
    partial = store.begin(target, receipt.key)
    own: Analysis = load(inputs.kind.analysis)
    # One thread: several threads sum in any order, and the last digits of values would differ from run to run.
    with threadpool_limits(1):
        groups = _site_groups(inputs, own)
        own.add_groups(inputs, groups)
        groups["explorer"] = _exploration(inputs, groups, own)
        groups["summary"] = summarise(groups, own=own.summarise(groups))
    pixels = store.open_store(patches)[[dims.PATCH_Y, dims.PATCH_X]].load()
    for group, dataset in groups.items():
        known = {name: pixels[name] for name in pixels.coords if name in dataset.sizes}
        store.write_dataset(partial, dataset.assign_coords(known), group=group)
    progress(100, 100)
    store.publish(partial, target, receipt)


def _site_groups(inputs: Inputs, own: Analysis) -> dict[str, xr.Dataset]:
    """The root group, and all groups that every kind of recording has."""
    baselines.refuse_missing(inputs.config.baselines)
    sites = _sites(inputs)
    classes = clusters.classify(
        sites["content"], max_clusters=inputs.config.max_clusters, seed=inputs.seed
    )
    components = linear.principal_components(
        inputs.patches,
        n_components=max(inputs.config.pca_components, _numbers_per_patch(sites)),
        n_compared=_numbers_per_patch(sites),
        judged=_described_pixels(inputs, sites),
        seed=inputs.seed,
        compute=inputs.compute,
        progress=inputs.part("components"),
    )
    of_site = [name for name in components.data_vars if dims.SITE in components[name].dims]
    sites = sites.merge(classes[["cluster", "cluster_probability"]]).merge(components[of_site])
    sites = own.describe(inputs, sites)
    notes = [*_notes(inputs, classes), *own.notes(inputs)]
    sites.attrs |= {"notes": list(dict.fromkeys(notes)), **_origin(inputs)}
    sites = judged(inputs.model, sites)
    baseline = components.drop_vars(of_site)
    baseline["bic"] = classes["bic"]
    baseline.attrs = {name: classes.attrs[name] for name in ("turns", "agreement", "n_classes")}
    groups = {"": sites, "baseline": baseline, "training": _history(inputs.model)}
    described = [name for name in own.measured if name in sites]
    if described:
        groups["association"] = _associations(inputs, sites, described)
    groups |= _baseline_group(inputs, sites, components)
    return groups | _truth_groups(sites, groups.get("baselines")) | _decoded(inputs, sites)


def _sites(inputs: Inputs) -> xr.Dataset:
    """The embedding, with the conditions of the model and the joint class."""
    sites = store.open_store(inputs.embedding).load()
    patches = store.open_store(inputs.patches)
    if "condition" in patches.variables and "condition" not in sites.variables:
        names = {"condition_name": patches["condition_name"].load()}
        sites["condition"] = patches["condition"].load().variable
        sites = sites.assign_coords(names)
    state = states_of(sites)
    if state is not None:
        words = dims.flags(class_names(sites), "joint class of all discrete latent variables")
        sites["joint_class"] = (dims.SITE, state.astype(np.int32), words)
    return sites


def _baseline_group(
    inputs: Inputs, sites: xr.Dataset, components: xr.Dataset
) -> dict[str, xr.Dataset]:
    """Latents and clusters of methods without invariance, with as many clusters as the model has classes."""
    if not inputs.config.baselines:
        return {}
    known, state = known_classes(sites), states_of(sites)
    n_classes = int(sites["cluster"].max()) + 1 if state is None else len(class_names(sites))
    methods = baselines.compare_methods(
        inputs.patches,
        components,
        methods=inputs.config.baselines,
        n_components=_numbers_per_patch(sites),
        n_classes=len(known.meanings) if known else n_classes,
        seed=inputs.seed,
        compute=inputs.compute,
    )
    return {"baselines": methods}


def _truth_groups(sites: xr.Dataset, methods: xr.Dataset | None) -> dict[str, xr.Dataset]:
    """Scores against ground truth: classes, angle, numbers."""
    known, numbers, label = known_classes(sites), known_numbers(sites), _class_of_sites(sites)
    groups: dict[str, xr.Dataset] = {}
    if known:
        groups["confusion"] = compare(
            _labellings(sites, methods), known, n_found={"class": len(class_names(sites))}
        )
    scores = xr.Dataset()
    if "angle" in numbers and "angle" in sites:
        certainty = sites["angle_resultant"].to_numpy() if "angle_resultant" in sites else None
        inferred, true = sites["angle"].to_numpy(), numbers["angle"]
        scores = angle_scores(inferred, true, known=known, label=label, certainty=certainty)
    latents = [np.atleast_2d(sites[n].to_numpy().T).T for n in plain_numbers(sites.variables)]
    spaces = {"latents": np.concatenate(latents, axis=1)}
    if methods is not None and "pca" in methods["baseline"]:
        spaces["pca"] = methods["content"].sel(baseline="pca").to_numpy()
    readout = linear_scores(spaces, numbers, label=label)
    if readout.sizes["variable"]:
        scores = scores.merge(readout)
    return {**groups, "known": scores} if scores.data_vars else groups


def _labellings(sites: xr.Dataset, methods: xr.Dataset | None) -> dict[str, np.ndarray]:
    """All labellings of the sites, by name."""
    state = states_of(sites)
    labellings = {} if state is None else {"class": state}
    labellings["cluster"] = sites["cluster"].to_numpy()
    if methods is not None:
        for name in map(str, methods["baseline"].to_numpy()):
            labellings[name] = methods["cluster"].sel(baseline=name).to_numpy()
    return labellings


def _class_of_sites(sites: xr.Dataset) -> np.ndarray:
    """The class of each site: of the model if it has classes, else the cluster."""
    state = states_of(sites)
    return sites["cluster"].to_numpy() if state is None else state


def _numbers_per_patch(sites: xr.Dataset) -> int:
    """Number of latent variables of a patch: content, target and pose."""
    names = [*plain_numbers(sites.variables), *({"angle"} & {*sites.variables})]
    present = [sites[name].shape for name in names]
    return sum(shape[1] if len(shape) > 1 else 1 for shape in present)


def _described_pixels(inputs: Inputs, sites: xr.Dataset) -> np.ndarray:
    """Pixels (patch_y, patch_x) that the decoder describes for a centred pattern."""
    decode = decoder_of(inputs.model, device=inputs.compute.device)
    middle = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()[:1]
    return np.isfinite(decode(middle)[0, 0])


def _origin(inputs: Inputs) -> dict[str, object]:
    """Origin of the recording, shape of the patches, and kind of recording."""
    recording = store.open_store(inputs.recording)
    patches = store.open_store(inputs.patches)
    origin = {
        name: recording.attrs[name] for name in ("modality", "format") if name in recording.attrs
    }
    card = parsed((inputs.model / "model.json").read_text())
    shape = {"window": patches.sizes[dims.PATCH_Y], "channels": [*map(str, card["channels"])]}
    return {
        **origin,
        **shape,
        "family": card["config"]["family"],
        "recording_kind": inputs.kind.name,
    }


def _notes(inputs: Inputs, classes: xr.Dataset) -> list[str]:
    """Remarks of all stages."""
    return [
        *store.open_store(inputs.recording).attrs.get("notes", []),
        *store.open_store(inputs.patches).attrs.get("notes", []),
        *filter(None, [store.open_store(inputs.embedding).attrs.get("trained_on")]),
        *clusters.remarks(classes),
        *empty_classes(store.open_store(inputs.embedding)),
        *_redundancy(store.open_store(inputs.embedding)["content"].load()),
    ]


def _redundancy(content: xr.DataArray) -> list[str]:
    """A remark on every pair of redundant content dimensions."""
    values = content.transpose(dims.LATENT, dims.SITE).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.abs(np.atleast_2d(np.corrcoef(values)))
    return [
        f"content {first + 1} and content {second + 1} are correlated "
        f"({correlation[first, second]:.2f}); use one dimension less, or more sites"
        for first, second in np.argwhere(np.triu(correlation > REDUNDANT, k=1))
    ]


def _history(model: Path) -> xr.Dataset:
    """The terms of the training over epochs, `<term>_training` and `<term>_held_out`."""
    epochs = parsed((model / "history.json").read_text())
    variables = {}
    for part, words in (("training", "on training sites"), ("held_out", "on held-out sites")):
        for term in epochs[0][part] if epochs else ():
            values = np.array([epoch[part][term] for epoch in epochs], dtype=float)
            word = term.replace("_", " ")
            named = f"weight beta {words}" if term == "beta" else f"{word} per patch {words} [nat]"
            variables[f"{term}_{part}"] = (dims.EPOCH, values, dims.attrs(named))
    best = np.array([epoch["best"] for epoch in epochs], dtype=bool)
    variables["best"] = (dims.EPOCH, best, {"long_name": "best epoch so far"})
    number = (dims.EPOCH, np.arange(1, len(epochs) + 1), dims.attrs("epoch"))
    if epochs and epochs[0].get("angles"):
        counts = np.array([epoch["angles"] for epoch in epochs], dtype=np.int64)
        variables["angle_count"] = (
            (dims.EPOCH, "bin"),
            counts,
            dims.attrs("training sites by inferred angle, in equal bins from −π to π"),
        )
    return xr.Dataset(variables, coords={dims.EPOCH: number})


def _decoded(inputs: Inputs, sites: xr.Dataset) -> dict[str, xr.Dataset]:
    """Decoded groups: manifold, clusters, classes and examples; and posteriors of the angle of some sites."""
    decode = decoder_of(inputs.model, device=inputs.compute.device)
    names = [str(name) for name in sites["cluster_name"].to_numpy()]
    groups = {
        "traversal": _manifold(inputs, sites, decode),
        "clusters": examples.of_each_cluster(inputs.patches, sites, decode, names=names),
        "examples": examples.reconstructions(inputs.patches, sites, decode),
    }
    if names_of_classes := class_names(sites):
        groups["classes"] = examples.of_each_class(
            inputs.patches, sites, decode, names=names_of_classes, seed=inputs.seed
        )
    known = known_classes(sites)
    angles = angle_examples(
        inputs.patches,
        inputs.model,
        sites,
        label=known.label if known else _class_of_sites(sites),
        most=inputs.config.example_angles,
        device=inputs.compute.device,
    )
    return groups if angles is None else {**groups, "angles": angles}


def _manifold(inputs: Inputs, sites: xr.Dataset, decode: Decode) -> xr.Dataset:
    channels = [str(name) for name in store.open_store(inputs.patches)[dims.CHANNEL].to_numpy()]
    return traversal.manifold(
        sites["content"],
        decode,
        steps=inputs.config.traversal_steps,
        channels=channels,
        content_sd=sites.get("content_sd"),
        members=members_of(sites),
    )


def _exploration(inputs: Inputs, groups: dict[str, xr.Dataset], own: Analysis) -> xr.Dataset:
    """What the page shows of every site."""
    frames = None if own.frames is None else groups[own.frames[0]][own.frames[1]]
    decode = decoder_of(inputs.model, device=inputs.compute.device)
    members = members_of(groups[""])
    sources = exploration.Sources(inputs.patches, decode, members, frames, inputs.seed)
    return exploration.explore(groups[""], sources)


def _associations(inputs: Inputs, sites: xr.Dataset, described: list[str]) -> xr.Dataset:
    n_latents = sites.sizes[dims.LATENT]
    features = xr.Dataset(
        {f"content_{index + 1}": sites["content"].isel(latent=index) for index in range(n_latents)}
    )
    for index in range(min(n_latents, sites.sizes["component_index"])):
        features[f"pca_{index + 1}"] = sites["pca"].isel(component_index=index, drop=True)
    spaces = {"content": sites["content"], "pca": sites["pca"][:, :n_latents]}
    return associate(
        features.reset_coords(drop=True),
        sites[described].reset_coords()[described],
        spaces,
        sites=sites,
        window=float(sites.attrs["window"]),
        seed=inputs.seed,
    )
