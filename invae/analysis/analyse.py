"""From latents to an answer: classes, maps, manifold, baselines, descriptors and what they have to do with each other."""

import json
from pathlib import Path

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from invae import dims
from invae.analysis import baselines, clusters, examples, linear, traversal
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
from invae.config import AnalyseConfig, ComputeConfig
from invae.config.kinds import load
from invae.latent_table import plain_numbers
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.provenance import Receipt

SAME = 0.95
"""Content dimensions with a larger correlation say the same."""


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
    """Write `result.zarr`: everything a report shows, one labelled group per question (`invae.results.SCHEMA`).

    Args:
        recording: the ingested recording.
        patches: its descriptors.
        model: the trained model.
        embedding: latents of every site.
        target: the store to make.
        config: how latents become classes and maps.
        seed: of the mixture's starts, of the components' starts and of the resampling.
        receipt: what it is made from.
        compute: where blocks run.
        progress: told the percentage done.

    Raises:
        InputError: the embedding holds too few sites, or content that is not finite.
    """
    inputs = Inputs(recording, patches, model, embedding, config, seed, compute, progress)
    partial = store.begin(target, receipt.key)
    own: Analysis = load(inputs.kind.analysis)
    # One thread: several add up in any order, and values would differ in their last digits from run to run.
    with threadpool_limits(1):
        groups = _site_groups(inputs, own)
        own.add_groups(inputs, groups)
        groups["summary"] = summarise(groups, own=own.summarise(groups))
    pixels = store.open_store(patches)[[dims.PATCH_Y, dims.PATCH_X]].load()
    for group, dataset in groups.items():
        known = {name: pixels[name] for name in pixels.coords if name in dataset.sizes}
        store.write_dataset(partial, dataset.assign_coords(known), group=group)
    progress(100, 100)
    store.publish(partial, target, receipt)


def _site_groups(inputs: Inputs, own: Analysis) -> dict[str, xr.Dataset]:
    """What is known of the sites, and what follows from it: the root group and those without images of frames."""
    baselines.refuse_missing(inputs.config.baselines)
    sites = _sites(inputs)
    classes = clusters.classify(
        sites["content"], max_clusters=inputs.config.max_clusters, seed=inputs.seed
    )
    components = linear.principal_components(
        inputs.patches,
        n_components=max(inputs.config.pca_components, _numbers_per_patch(sites)),
        n_compared=_numbers_per_patch(sites),
        judged=_described(inputs, sites),
        seed=inputs.seed,
        compute=inputs.compute,
        progress=inputs.part("components"),
    )
    of_site = [name for name in components.data_vars if dims.SITE in components[name].dims]
    sites = sites.merge(classes[["cluster", "cluster_probability"]]).merge(components[of_site])
    sites = own.describe(inputs, sites)
    notes = [*_notes(inputs, classes), *own.notes(inputs)]
    sites.attrs |= {"notes": list(dict.fromkeys(notes)), **_origin(inputs)}
    baseline = components.drop_vars(of_site)
    baseline["bic"] = classes["bic"]
    baseline.attrs = {name: classes.attrs[name] for name in ("turns", "agreement", "n_classes")}
    groups = {"": sites, "baseline": baseline, "training": _history(inputs.model)}
    described = [name for name in own.measured if name in sites]
    if described:
        groups["association"] = _associations(inputs, sites, described)
    groups |= _beside(inputs, sites, components)
    return groups | _against_known(sites, groups.get("baselines")) | _decoded(inputs, sites)


def _sites(inputs: Inputs) -> xr.Dataset:
    """The embedding, with the conditions that the model was given."""
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


def _beside(inputs: Inputs, sites: xr.Dataset, components: xr.Dataset) -> dict[str, xr.Dataset]:
    """What methods without invariance say of the sites, with as many classes as the model has."""
    if not inputs.config.baselines:
        return {}
    known, state = known_classes(sites), states_of(sites)
    n_classes = int(sites["cluster"].max()) + 1 if state is None else len(class_names(sites))
    found = baselines.beside(
        inputs.patches,
        components,
        methods=inputs.config.baselines,
        n_components=_numbers_per_patch(sites),
        n_classes=len(known.meanings) if known else n_classes,
        seed=inputs.seed,
    )
    return {"baselines": found}


def _against_known(sites: xr.Dataset, beside: xr.Dataset | None) -> dict[str, xr.Dataset]:
    """Scores against what is known of the sites: classes, angle, numbers."""
    known, numbers, label = known_classes(sites), known_numbers(sites), _found(sites)
    groups: dict[str, xr.Dataset] = {}
    if known:
        groups["confusion"] = compare(
            _labellings(sites, beside), known, n_found={"class": len(class_names(sites))}
        )
    scored = xr.Dataset()
    if "angle" in numbers and "angle" in sites:
        certainty = sites["angle_resultant"].to_numpy() if "angle_resultant" in sites else None
        found, true = sites["angle"].to_numpy(), numbers["angle"]
        scored = angle_scores(found, true, known=known, label=label, certainty=certainty)
    latents = [np.atleast_2d(sites[n].to_numpy().T).T for n in plain_numbers(sites.variables)]
    spaces = {"latents": np.concatenate(latents, axis=1)}
    if beside is not None and "pca" in beside["baseline"]:
        spaces["pca"] = beside["content"].sel(baseline="pca").to_numpy()
    read = linear_scores(spaces, numbers, label=label)
    if read.sizes["variable"]:
        scored = scored.merge(read)
    return {**groups, "known": scored} if scored.data_vars else groups


def _labellings(sites: xr.Dataset, beside: xr.Dataset | None) -> dict[str, np.ndarray]:
    """All classes that sites were sorted into, by name."""
    state = states_of(sites)
    found = {} if state is None else {"class": state}
    found["cluster"] = sites["cluster"].to_numpy()
    if beside is not None:
        methods = map(str, beside["baseline"].to_numpy())
        found |= {name: beside["cluster"].sel(baseline=name).to_numpy() for name in methods}
    return found


def _found(sites: xr.Dataset) -> np.ndarray:
    """The class of each site: the model's own, or by its content."""
    state = states_of(sites)
    return sites["cluster"].to_numpy() if state is None else state


def _numbers_per_patch(sites: xr.Dataset) -> int:
    """Numbers that the model spends on a patch: content, target and pose."""
    names = [*plain_numbers(sites.variables), *({"angle"} & {*sites.variables})]
    present = [sites[name].shape for name in names]
    return sum(shape[1] if len(shape) > 1 else 1 for shape in present)


def _described(inputs: Inputs, sites: xr.Dataset) -> np.ndarray:
    """Pixels (patch_y, patch_x) of which the decoder speaks, pattern in the middle."""
    decode = decoder_of(inputs.model, device=inputs.compute.device)
    middle = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()[:1]
    return np.isfinite(decode(middle)[0, 0])


def _origin(inputs: Inputs) -> dict[str, object]:
    """What the recording says of itself, and the shape of the patches."""
    recording = store.open_store(inputs.recording)
    patches = store.open_store(inputs.patches)
    kept = {
        name: recording.attrs[name] for name in ("modality", "format") if name in recording.attrs
    }
    card = json.loads((inputs.model / "model.json").read_text())
    shape = {"window": patches.sizes[dims.PATCH_Y], "channels": [*map(str, card["channels"])]}
    return {
        **kept,
        **shape,
        "family": card["config"]["family"],
        "recording_kind": inputs.kind.name,
    }


def _notes(inputs: Inputs, classes: xr.Dataset) -> list[str]:
    """Remarks of all stages."""
    found = [
        *store.open_store(inputs.recording).attrs.get("notes", []),
        *store.open_store(inputs.patches).attrs.get("notes", []),
        *filter(None, [store.open_store(inputs.embedding).attrs.get("trained_on")]),
        *clusters.remarks(classes),
        *empty_classes(store.open_store(inputs.embedding)),
        *_redundancy(store.open_store(inputs.embedding)["content"].load()),
    ]
    return found


def _redundancy(content: xr.DataArray) -> list[str]:
    """A line for every pair of content dimensions that say the same."""
    values = content.transpose(dims.LATENT, dims.SITE).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        together = np.abs(np.atleast_2d(np.corrcoef(values)))
    return [
        f"content {first + 1} and content {second + 1} are correlated "
        f"({together[first, second]:.2f}); use one dimension less, or more sites"
        for first, second in np.argwhere(np.triu(together > SAME, k=1))
    ]


def _history(model: Path) -> xr.Dataset:
    """The training's terms over epochs, `<term>_training` and `<term>_held_out`."""
    epochs = json.loads((model / "history.json").read_text())
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
    """What the decoder draws: the manifold, the classes, examples; and the angle's posterior of some sites."""
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
        label=known.label if known else _found(sites),
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
