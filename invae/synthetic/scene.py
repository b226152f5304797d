"""Independent frames whose ground truth is drawn first: an image depends on its own factors only, not on its block."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import xarray as xr

from invae import dims
from invae.config.schema import Config
from invae.progress import Progress, silent
from invae.storage import store
from invae.storage.code_digest import code_digest
from invae.storage.provenance import (
    Receipt,
    Source,
    digest_json,
    now,
    stage_key,
    versions,
)
from invae.storage.store import Variable

SHARD_BYTES = 32e6
IMAGE = "image"
TRUTH = "truth"


@dataclass(frozen=True)
class Scene:
    """The ground truth of every frame, and the rendering of a block of frames."""

    name: str
    config: Config
    seed: int
    shape: tuple[int, int]
    """Shape of a frame (y, x) [px]."""
    truth: xr.Dataset
    """Variables over `frame`."""
    clean_images: Callable[[slice], np.ndarray]
    """Returns the frames of a block (frame, y, x) without noise, float32, for blocks of any length."""
    noise: np.ndarray
    """Sd of the noise of every frame (frame,)."""
    pixel_size: float | None = None
    """Pixel size of the axes y and x [nm]; without it they count pixels."""

    def __len__(self) -> int:
        """Number of frames."""
        return self.truth.sizes[dims.FRAME]

    def images(self, block: slice) -> np.ndarray:
        """The recorded frames of a block (frame, y, x); every frame has its own stream of noise."""
        images = self.clean_images(block)
        for image, frame in zip(images, range(block.start, block.stop), strict=True):
            if self.noise[frame] > 0:
                normal = stream(self.seed, "noise", frame).standard_normal(image.shape, np.float32)
                image += np.float32(self.noise[frame]) * normal
        return images

    def in_memory(self) -> xr.Dataset:
        """Images and truth in one Dataset."""
        image = (dims.IMAGE, self.images(slice(0, len(self))), self.layout[IMAGE].attrs)
        return self.truth.assign({IMAGE: image}).assign_coords(self.coords.coords)

    @property
    def layout(self) -> dict[str, Variable]:
        """The layout of the images in a store."""
        attrs = dims.attrs(f"image of the set {self.name}", quantity="intensity")
        return {IMAGE: Variable(dims.IMAGE, (len(self), *self.shape), np.float32, attrs)}

    @property
    def coords(self) -> xr.Dataset:
        """Axes and metadata of the images."""
        settings = {"config": self.config.model_dump(mode="json"), "seed": self.seed}
        step, units = (1.0, "pixel") if self.pixel_size is None else (self.pixel_size, "nm")
        axes = {
            "frame": ("frame", np.arange(len(self)), dims.attrs("number of the image")),
            "y": ("y", np.arange(self.shape[0]) * step, dims.attrs("y, downwards", units)),
            "x": ("x", np.arange(self.shape[1]) * step, dims.attrs("x", units)),
        }
        attrs = {"modality": "simulated", "format": "simulated", "notes": []}
        return xr.Dataset(coords=axes, attrs={**attrs, "metadata": json.dumps(settings)})


def write_scene(
    target: Path, scene: Scene, *, receipt: Receipt, progress: Progress = silent
) -> None:
    """Write a set as a Zarr store: images at the root, ground truth in the group `truth`.

    Memory is bounded by one shard; an interrupted run resumes with the first missing block.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = store.begin(target, receipt.key)
    shard = store.shard_length(scene.layout, shard_bytes=SHARD_BYTES)
    store.lay_out(partial, scene.layout, shard=shard, coords=scene.coords)
    store.write_dataset(partial, scene.truth, group=TRUTH)
    for block in store.blocks(len(scene), shard):
        if not store.block_is_written(partial, [IMAGE], start=block.start, shard=shard):
            images = {IMAGE: scene.images(block)}
            store.write_block(partial, images, start=block.start, shard=shard)
        progress(block.stop, len(scene))
    store.publish(partial, target, receipt)


def is_written(
    partial: Path, layouts: Mapping[str, Mapping[str, Variable]], *, start: int, shard: int
) -> bool:
    """Whether the block that begins at `start` is written in all groups of a store."""
    return all(
        store.block_is_written(partial, list(names), start=start, shard=shard, group=group)
        for group, names in layouts.items()
    )


def receipt_of_scene(
    name: str,
    target: Path,
    *,
    config: Config,
    seed: int,
    module: str,
    sources: Sequence[Source] = (),
) -> Receipt:
    """The receipt of a set before an image is made; `module` is the module of its scene."""
    values = config.model_dump(mode="json")
    code = code_digest(module, __name__)
    inputs = [name, *(source.sha256 for source in sources)]
    return Receipt(
        stage="simulate",
        key=stage_key("simulate", inputs=inputs, config=values, code=code, seed=seed),
        recording=target.stem,
        sources=tuple(sources),
        inputs={},
        config=values,
        config_hash=digest_json(values),
        seed=seed,
        code=code,
        versions=versions(),
        created=now(),
    )


Settings = TypeVar("Settings", bound=Config, contravariant=True)


class MakesScene(Protocol[Settings]):
    """A function from a configuration to a scene."""

    def __call__(self, config: Settings, /, *, seed: int) -> Scene: ...


@dataclass(frozen=True)
class Simulator(Generic[Settings]):
    """Sets of one kind, in memory or as a store."""

    name: str
    scene: MakesScene[Settings]

    def draw(self, config: Settings, *, seed: int) -> xr.Dataset:
        """A set in memory: `image (frame, y, x)` and the ground truth of its scene."""
        return self.scene(config, seed=seed).in_memory()

    def make_receipt(self, target: Path, *, config: Settings, seed: int) -> Receipt:
        """The receipt of a set before an image is made."""
        module = self.scene.__module__
        return receipt_of_scene(self.name, target, config=config, seed=seed, module=module)

    def simulate(
        self,
        target: Path,
        *,
        config: Settings,
        seed: int,
        receipt: Receipt | None = None,
        progress: Progress = silent,
    ) -> None:
        """Write a set as a Zarr store, block by block: images at the root, ground truth in the group `truth`."""
        receipt = receipt or self.make_receipt(target, config=config, seed=seed)
        write_scene(target, self.scene(config, seed=seed), receipt=receipt, progress=progress)


STREAMS = (
    "order",
    "angle",
    "shear",
    "shift",
    "width",
    "noise",
    "background",
    "grains",
    "reflections",
)
"""Independent random streams; append new ones, so that the others keep their values."""


def stream(seed: int, name: str, frame: int = 0) -> np.random.Generator:
    """The generator of one random stream; independent of all other streams."""
    return np.random.default_rng([seed, STREAMS.index(name), frame])


def uniform(seed: int, name: str, *, limit: float, shape: Sequence[int]) -> np.ndarray:
    """Samples of one stream from U(-limit, limit)."""
    return stream(seed, name).uniform(-limit, limit, shape)
