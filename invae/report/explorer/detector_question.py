"""The virtual detector that a question of the live page describes."""

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.image import imread

from invae.errors import InputError
from invae.scans.detector import Detector, Disc, Ellipse, Outline, Place, Rectangle, Weights

MOST_CORNERS = 2000
NPY, PNG = b"\x93NUMPY", b"\x89PNG"
"""First bytes of the files that masks can be."""


def detector_of(question: Mapping[str, Any]) -> Detector:
    """The detector of a question; a ring if it names no shape.

    * `ring`: `y`, `x`, `inner`, `outer`.
    * `rectangle`, `ellipse`: two opposite `corners`, each (row, column).
    * `outline`: three `corners` or more.
    * `file`: `content`, a .npy or .png file in base64.

    Raises:
        InputError: The shape cannot be used.
        ValueError, KeyError, TypeError: It is not described.
    """
    match dict(question).get("shape", "ring"):
        case "ring":
            return Disc(*(float(question[name]) for name in ("y", "x", "inner", "outer")))
        case "file":
            return Weights(read_mask(base64.b64decode(question["content"], validate=True)))
        case shape:
            return _drawn(shape, [(float(y), float(x)) for y, x in question["corners"]])


def _drawn(shape: object, corners: list[Place]) -> Detector:
    if not np.isfinite(corners).all() or len(corners) > MOST_CORNERS:
        raise InputError(f"an outline has at most {MOST_CORNERS} corners on the detector")
    if shape == "outline" and len(corners) > 2:
        return Outline(corners)
    if shape in ("rectangle", "ellipse") and len(corners) == 2:
        return (Rectangle if shape == "rectangle" else Ellipse)(*corners)
    raise InputError(f"{shape} with {len(corners)} corners is no detector")


def read_mask(content: bytes) -> np.ndarray:
    """Weights (k_y, k_x) from a .npy file, or 0 and 1 from a .png: 1 where it is not black.

    Raises:
        InputError: It is no such file, or holds no image.
    """
    try:
        if content.startswith(NPY):
            values = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float64)
        elif content.startswith(PNG):
            values = _grey(np.asarray(imread(io.BytesIO(content), format="png"))) > 0
        else:
            raise InputError("a mask is a .npy or a .png file with the size of the patterns")
    except (ValueError, OSError, EOFError, SyntaxError, binascii.Error) as error:
        raise InputError(
            f"the mask cannot be read ({error}); give a .npy or a .png file"
        ) from error
    if values.ndim != 2:
        raise InputError(f"the mask has {values.ndim} dimensions; give an image (rows, columns)")
    return values.astype(np.float64)


def _grey(picture: np.ndarray) -> np.ndarray:
    """The brightest colour of every pixel, without opacity."""
    return picture if picture.ndim == 2 else picture[..., :3].max(axis=-1)
