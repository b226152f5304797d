"""ASTAR block files (.blo): 8-bit patterns of a precession scan, each after a header of six bytes."""

import struct
from pathlib import Path

import numpy as np

from invae import dims
from invae.errors import InputError
from invae.readers.calibration import axis, calibrated
from invae.readers.formats import rosettasciio
from invae.readers.formats.raw_frames import Frames, Part, Present, declared_frames, product
from invae.readers.raw import Channel, Raw, Reader

MAGIC = b"IMGBLO"
HEAD_BYTES = 6
HEADER = "<6s H 3I 5H 2d I H I d 22d"
"""Name, version, offsets and flags; sizes and angles; steps, energy, detector, camera length, time; distortions."""
PLUGIN = rosettasciio.Plugin("blockfile")


def _recognises(path: Path, head: bytes) -> bool:
    return head.startswith(MAGIC)


def _read(path: Path) -> Raw:
    size = path.stat().st_size
    if size < struct.calcsize(HEADER):
        raise InputError(f"{path}: has {size} bytes, fewer than its header; copy it again")
    signals, notes = PLUGIN.signals_and_warnings(path)
    metadata = rosettasciio.metadata_of(signals[0])
    header = signals[0]["original_metadata"]["blockfile_header"]
    shape, side = (int(header["NY"]), int(header["NX"])), int(header["DP_SZ"])
    frames, present = _frames(path, shape, side, start=int(header["Data_offset_2"]))
    steps = {dims.SCAN_Y: float(header["SY"]), dims.SCAN_X: float(header["SX"])}
    axes = {
        dim: axis(dim, max(n, 2), steps[dim], "nm") for dim, n in zip(steps, shape, strict=True)
    }
    channel = Channel("pattern", frames.pixels(path, rosettasciio.ERRORS),
                      (dims.FRAME, dims.K_Y, dims.K_X), "count")  # fmt: skip
    return Raw(
        (channel,),
        calibrated(axes),
        metadata,
        # rosettasciio fills missing patterns with zeros and says so; they are not read here
        notes=(*(present.notes or notes), _detector_note(int(header["SDP"]))),
        beam=rosettasciio.beam_of(metadata),
        scan_shape=shape,
        unfinished=present.message,
    )


def _frames(path: Path, shape: tuple[int, int], side: int, *, start: int) -> tuple[Frames, Present]:
    """The positions of the patterns, and which of them are in the file."""
    n_frames, stride = product((*shape, side), path) // side, HEAD_BYTES + side * side
    source = f"its header ({shape[0]} × {shape[1]})"
    present = declared_frames(path, n_frames, head=start, stride=stride, source=source)
    part = Part(path, present.n_frames, start + HEAD_BYTES)
    return Frames((part,), (side, side), np.dtype("u1"), stride), present


def _detector_note(pixels_per_metre: int) -> str:
    """A block file holds the pixel size on the camera's screen, but no angle."""
    step = f"{100 / pixels_per_metre:.4g} cm" if pixels_per_metre else "unknown"
    return f"the pixel size of the detector is {step}, which is no angle: k is in pixels"


READER = Reader(
    name="blo",
    extensions=(".blo",),
    description="ASTAR block files (needs invae[em])",
    recognises=_recognises,
    read=_read,
    errors=rosettasciio.ERRORS,
)
