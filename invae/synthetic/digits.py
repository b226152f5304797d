"""Digits of an MNIST file, rotated and shifted by known amounts; MNIST(U) if both are uniform."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import xarray as xr

from invae import dims
from invae.config.synthetic import DigitsConfig
from invae.errors import InputError
from invae.progress import Progress, silent
from invae.storage.provenance import Receipt, digest_path
from invae.synthetic.posing import Poses, posed
from invae.synthetic.scene import Scene, receipt_of_scene, uniform, write_scene

GZIP = b"\x1f\x8b"
IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
"""First number of an idx file: unsigned bytes, in three dimensions or in one."""
LARGEST_FILE = 1 << 30
"""Largest declared size of an idx file [bytes]."""


def turn(
    images: np.ndarray, labels: np.ndarray | None, config: DigitsConfig, *, seed: int
) -> xr.Dataset:
    """A set in memory: `image (frame, y, x)` and `digit` (if known), `angle` [rad], `shift (frame, axis)` [pixel].

    Args:
        images: Upright digits (frame, y, x), square, uint8 or between 0 and 1.
        labels: Class of each digit (frame,).
        config: Rotation and shift.
        seed: Seed of all random numbers.

    Raises:
        InputError: If images or labels have other shapes, or do not fit into the frame.
    """
    return scene(images, labels, config, seed=seed).in_memory()


def simulate(
    target: Path,
    *,
    config: DigitsConfig,
    seed: int,
    images: Path,
    labels: Path | None = None,
    receipt: Receipt | None = None,
    progress: Progress = silent,
) -> None:
    """Write a set as a Zarr store, block by block: images at the root, ground truth in the group `truth`.

    Raises:
        InputError: If a file is missing, truncated or of another format.
    """
    receipt = receipt or make_receipt(
        target, config=config, seed=seed, images=images, labels=labels
    )
    digits = read_images(images)
    classes = None if labels is None else read_labels(labels)
    if classes is not None and len(classes) != len(digits):
        raise InputError(
            f"{labels}: holds {len(classes)} labels for the {len(digits)} images of {images.name}; "
            "give the file that belongs to them"
        )
    write_scene(
        target, scene(digits, classes, config, seed=seed), receipt=receipt, progress=progress
    )


def make_receipt(
    target: Path, *, config: DigitsConfig, seed: int, images: Path, labels: Path | None = None
) -> Receipt:
    """The receipt of a set of digits, with the digests of its files.

    Raises:
        InputError: If a file cannot be read.
    """
    sources = [digest_path(path) for path in (images, labels) if path is not None]
    return receipt_of_scene(
        "digits", target, config=config, seed=seed, module=__name__, sources=sources
    )


def scene(
    images: np.ndarray, labels: np.ndarray | None, config: DigitsConfig, *, seed: int
) -> Scene:
    """The factors of a set, and the rendering of its images from the upright digits."""
    if images.ndim != 3 or images.shape[1] != images.shape[2] or not len(images):
        raise InputError(f"digits have shape {images.shape}; give (frame, side, side)")
    if labels is not None and labels.shape != images.shape[:1]:
        raise InputError(
            f"labels have shape {labels.shape} for {len(images)} digits; give one each"
        )
    side = images.shape[1]
    size = config.size or side
    if size < side:
        raise InputError(f"size {size} px is smaller than the digits' {side} px; enlarge it")
    n_frames = min(len(images), config.n_images or len(images))
    poses = Poses(
        angle=uniform(seed, "angle", limit=np.deg2rad(config.angle), shape=(n_frames,)),
        shear=np.zeros(n_frames),
        shift=uniform(seed, "shift", limit=2 * config.shift, shape=(n_frames, 2)),
    )
    white = 255 if images.dtype == np.uint8 else 1

    def clean_images(block: slice) -> np.ndarray:
        upright = images[block] / np.float32(white)
        return posed(upright, poses[block], size=size, extent=side / size)

    return Scene(
        name="digits",
        config=config,
        seed=seed,
        shape=(size, size),
        truth=_truth(None if labels is None else labels[:n_frames], poses, size=size),
        clean_images=clean_images,
        noise=np.full(n_frames, config.noise),
    )


def _truth(labels: np.ndarray | None, poses: Poses, *, size: int) -> xr.Dataset:
    variables = {
        "angle": ("frame", poses.angle, dims.attrs("angle, positive as np.rot90", "rad")),
        "shift": (
            ("frame", "axis"),
            poses.shift * size / 2,
            dims.attrs(
                "position of the digit's centre relative to the centre of the frame", "pixel"
            ),
        ),
    }
    if labels is not None:
        names = [str(digit) for digit in range(max(10, int(labels.max()) + 1))]
        flags = dims.flags(names, "digit") | {"units": "1"}
        variables["digit"] = ("frame", labels.astype(np.int8), flags)
    return xr.Dataset(variables, coords={"axis": ["y", "x"]})


def read_images(path: Path) -> np.ndarray:
    """The images of an idx file (frame, y, x), uint8.

    Raises:
        InputError: If it is missing, truncated or not an idx file of images.
    """
    return _read_idx(path, magic=IMAGES_MAGIC, n_dims=3, what="images")


def read_labels(path: Path) -> np.ndarray:
    """The labels of an idx file (frame,), uint8.

    Raises:
        InputError: If it is missing, truncated or not an idx file of labels.
    """
    return _read_idx(path, magic=LABELS_MAGIC, n_dims=1, what="labels")


def _read_idx(path: Path, *, magic: int, n_dims: int, what: str) -> np.ndarray:
    """One idx file, compressed or not.

    Source: LeCun, Cortes & Burges, the MNIST database: big-endian magic number, sizes, bytes.
    """
    content = _content(path)
    header = 4 * (1 + n_dims)
    first_number = int.from_bytes(content[:4], "big")
    if len(content) < header or first_number != magic:
        raise InputError(
            f"{path}: begins with {first_number}, but an idx file of {what} begins with {magic}; "
            f"give MNIST's …-{what}-idx{n_dims}-ubyte file"
        )
    shape = np.frombuffer(content[4:header], ">i4").astype(int).tolist()
    n_bytes = math.prod(shape)
    if min(shape) < 1 or len(content) - header != n_bytes:
        raise InputError(
            f"{path}: holds {len(content) - header} bytes, but its {' × '.join(map(str, shape))} {what} "
            f"need {n_bytes}; copy it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    """The bytes of a file, decompressed if it is gzip."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == GZIP
        with gzip.open(path) if compressed else path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: is damaged or truncated ({error}); copy it again") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if len(content) > LARGEST_FILE:
        raise InputError(f"{path}: holds more than {LARGEST_FILE >> 20} MB; give an MNIST file")
    return content
