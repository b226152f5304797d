"""From latents to an answer: classes, maps, manifold, baseline, descriptors and what they have to do with each other."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from invae import dims, store
from invae.analysis import clusters, examples, linear, maps, traversal
from invae.analysis.association import associate
from invae.analysis.decoding import decoder_of
from invae.analysis.orientation import wall_normal
from invae.analysis.pinning import evolution, pinning, wall_motion
from invae.analysis.summary import summarise
from invae.analysis.switching import LABELS as DESCRIPTORS
from invae.analysis.switching import describe_sites
from invae.config import AnalyseConfig, ComputeConfig
from invae.progress import Progress, silent
from invae.provenance import Receipt

REACH = 12.0
"""A wall point takes the value of the nearest site if that lies within this distance [pixel]."""
SAME = 0.95
"""Content dimensions with a larger correlation say the same."""
SHARES = {"descriptors": (0, 50), "components": (50, 75), "maps": (75, 90), "rest": (90, 100)}
"""How far each part takes the work, begin and end [percent]."""


@dataclass(frozen=True)
class Inputs:
    """The stores of the stages before, and how they are looked at."""

    recording: Path
    patches: Path
    model: Path
    embedding: Path
    config: AnalyseConfig
    seed: int
    compute: ComputeConfig
    progress: Progress

    def frame_maps(self) -> xr.Dataset:
        """Maps of all frames, unread."""
        return store.open_store(self.patches, group="maps")

    def part(self, name: str) -> Progress:
        """Progress of one part as a percentage of the whole stage."""
        start, stop = SHARES[name]

        def told(done: int, total: int, /) -> None:
            self.progress(start + (stop - start) * done // max(total, 1), 100)

        return told


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
    # One thread: several add up in any order, and values would differ in their last digits from run to run.
    with threadpool_limits(1):
        groups = _site_groups(inputs)
        _add_images(inputs, groups)
        groups["summary"] = summarise(groups)
    pixels = store.open_store(patches)[[dims.PATCH_Y, dims.PATCH_X]].load()
    for group, dataset in groups.items():
        known = {name: pixels[name] for name in pixels.coords if name in dataset.sizes}
        store.write_dataset(partial, dataset.assign_coords(known), group=group)
    progress(100, 100)
    store.publish(partial, target, receipt)


def _site_groups(inputs: Inputs) -> dict[str, xr.Dataset]:
    """What is known of the sites, and what follows from it: the root group and those without images of frames."""
    sites = store.open_store(inputs.embedding).load()
    classes = clusters.classify(
        sites["content"], max_clusters=inputs.config.max_clusters, seed=inputs.seed
    )
    components = linear.principal_components(
        inputs.patches,
        n_components=inputs.config.pca_components,
        n_compared=_numbers_per_patch(sites),
        judged=_described(inputs, sites),
        seed=inputs.seed,
        compute=inputs.compute,
        progress=inputs.part("components"),
    )
    described = describe_sites(
        inputs.frame_maps(),
        sites,
        window=int(store.open_store(inputs.patches).sizes[dims.PATCH_Y]),
        config=inputs.config,
        compute=inputs.compute,
        progress=inputs.part("descriptors"),
    )
    of_site = [name for name in components.data_vars if dims.SITE in components[name].dims]
    sites = sites.merge(classes[["cluster", "cluster_probability"]])
    sites = sites.merge(components[of_site]).merge(described)
    sites["wall_normal"] = wall_normal(inputs.patches)
    sites.attrs |= {"notes": _notes(inputs, classes), **_origin(inputs)}
    baseline = components.drop_vars(of_site)
    baseline["bic"] = classes["bic"]
    baseline.attrs = {name: classes.attrs[name] for name in ("turns", "agreement", "n_classes")}
    groups = {"": sites, "baseline": baseline, "training": _history(inputs.model)}
    groups["association"] = _associations(inputs, sites)
    return groups | _decoded(inputs, sites)


def _numbers_per_patch(sites: xr.Dataset) -> int:
    """Numbers that the model spends on a patch: content, angle and shift."""
    return sites.sizes[dims.LATENT] + ("angle" in sites) + 2 * ("shift" in sites)


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
    return {**kept, **shape, "family": card["config"]["family"]}


def _notes(inputs: Inputs, classes: xr.Dataset) -> list[str]:
    """Remarks of all stages, each once."""
    found = [
        *store.open_store(inputs.recording).attrs.get("notes", []),
        *store.open_store(inputs.patches).attrs.get("notes", []),
        *clusters.remarks(classes),
        *_redundancy(store.open_store(inputs.embedding)["content"].load()),
    ]
    if inputs.frame_maps().sizes[dims.FRAME] < 2:
        found.append("one frame: no evolution of walls and no pinning")
    return list(dict.fromkeys(found))


def _redundancy(content: xr.DataArray) -> list[str]:
    """A line for every pair of content dimensions that say the same."""
    values = content.transpose(dims.LATENT, dims.SITE).to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        together = np.abs(np.atleast_2d(np.corrcoef(values)))
    return [
        f"content {first + 1} and content {second + 1} rise and fall together "
        f"(correlation {together[first, second]:.2f}): one dimension would do, or more sites are needed"
        for first, second in np.argwhere(np.triu(together > SAME, k=1))
    ]


def _history(model: Path) -> xr.Dataset:
    """The training's terms over epochs, `<term>_training` and `<term>_held_out`."""
    epochs = json.loads((model / "history.json").read_text())
    variables = {}
    for part, words in (("training", "while training"), ("held_out", "on held-out sites")):
        for term in epochs[0][part] if epochs else ():
            values = np.array([epoch[part][term] for epoch in epochs], dtype=float)
            long_name = f"{term.replace('_', ' ')} per patch {words} [nat]"
            variables[f"{term}_{part}"] = (dims.EPOCH, values, dims.attrs(long_name))
    best = np.array([epoch["best"] for epoch in epochs], dtype=bool)
    variables["best"] = (dims.EPOCH, best, {"long_name": "best epoch so far"})
    number = (dims.EPOCH, np.arange(1, len(epochs) + 1), dims.attrs("epoch"))
    return xr.Dataset(variables, coords={dims.EPOCH: number})


def _decoded(inputs: Inputs, sites: xr.Dataset) -> dict[str, xr.Dataset]:
    """What the decoder draws: the manifold, the classes, examples."""
    decode = decoder_of(inputs.model, device=inputs.compute.device)
    channels = [str(name) for name in store.open_store(inputs.patches)[dims.CHANNEL].to_numpy()]
    names = [str(name) for name in sites["cluster_name"].to_numpy()]
    return {
        "traversal": traversal.manifold(
            sites["content"],
            decode,
            steps=inputs.config.traversal_steps,
            channels=channels,
            content_sd=sites.get("content_sd"),
        ),
        "clusters": examples.of_each_class(inputs.patches, sites, decode, names=names),
        "examples": examples.reconstructions(inputs.patches, sites, decode),
    }


def _associations(inputs: Inputs, sites: xr.Dataset) -> xr.Dataset:
    n_latents = sites.sizes[dims.LATENT]
    features = xr.Dataset(
        {f"content_{index + 1}": sites["content"].isel(latent=index) for index in range(n_latents)}
    )
    for index in range(min(n_latents, sites.sizes["component_index"])):
        features[f"pca_{index + 1}"] = sites["pca"].isel(component_index=index, drop=True)
    spaces = {"content": sites["content"], "pca": sites["pca"][:, :n_latents]}
    return associate(
        features.reset_coords(drop=True),
        sites[list(DESCRIPTORS)].reset_coords(drop=True),
        spaces,
        sites=sites,
        window=float(sites.attrs["window"]),
        seed=inputs.seed,
    )


def _add_images(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """The groups that show frames: `frames` of all, `maps`, `walls` and `grid` of the chosen ones."""
    sites, everything = groups[""], inputs.frame_maps()
    n_frames = everything.sizes[dims.FRAME]
    size = everything.sizes[dims.Y] * everything.sizes[dims.X]
    frames = maps.chosen_frames(n_frames, n_pixels=size)
    groups["frames"] = maps.frame_table(
        inputs.patches,
        site_frames=sites[dims.FRAME].to_numpy(),
        config=inputs.config,
        compute=inputs.compute,
        progress=inputs.part("maps"),
    )
    images = maps.image_maps(inputs.recording, inputs.patches, frames=frames)
    walls = maps.wall_points(inputs.patches, sites, frames=frames, reach=REACH)
    if n_frames > 1:
        moved = _changes(inputs, frames)
        images = images.assign(
            {name: moved[name] for name in ("transition", "pinning", "wall_frames")}
        )
        walls["normal_velocity"] = moved["normal_velocity"]
    groups["maps"], groups["walls"] = images, walls
    if (sites["kind"] == dims.KINDS.index("grid")).all():
        groups["grid"] = maps.grid_maps(sites, frames=frames)


def _changes(inputs: Inputs, frames: np.ndarray) -> dict[str, xr.Variable]:
    """How walls move and where they stay, on the grid of the maps."""
    everything = inputs.frame_maps()
    contours = store.open_store(inputs.patches, group="contours").load()
    numbers = frames.tolist()
    changed = evolution(everything, frames=numbers, config=inputs.config)
    motion = wall_motion(everything, contours, frames=numbers, config=inputs.config)
    stays = pinning(
        everything, config=inputs.config, compute=inputs.compute, progress=inputs.part("rest")
    )
    return {
        "transition": changed["transition"].variable,
        "normal_velocity": motion["normal_velocity"].variable,
        "pinning": stays["pinning"].variable,
        "wall_frames": stays["wall_frames"].variable,
    }
