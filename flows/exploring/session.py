"""What the live page asks for: the data of the view, decoded patches, virtual detectors, labels."""

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr

from invae import dims
from invae.analysis.classes import members_of
from invae.analysis.decoding import decoder_of
from invae.errors import InputError, StoreError
from invae.report.explorer import packing
from invae.report.explorer.payload import payload
from invae.results.reading import open_result
from invae.scans.detector import Detector, virtual_image
from invae.stages.stages import STAGES
from invae.storage import store

LABELS = "labels.json"
"""Named selections of a recording, in its folder."""
LONGEST_NAME = 40
MOST_LABELS = 50


def output(folder: Path, stage: str) -> Path:
    """What a stage wrote into the folder of a recording."""
    return folder / STAGES[stage].output


def version_of(folder: Path) -> str:
    """The key of the finished result; empty while there is none."""
    receipt = store.read_receipt(output(folder, "analyse"))
    return "" if receipt is None else receipt.key


@dataclass
class Session:
    """One finished result, opened for as long as it is current.

    Raises:
        StoreError: there is no finished result in the folder.
    """

    folder: Path
    version: str
    lock: Lock = field(default_factory=Lock)
    """One decoding at a time: the network is not made for several threads."""

    @cached_property
    def result(self) -> dict[str, xr.Dataset]:
        """Groups of the result."""
        return open_result(output(self.folder, "analyse"))

    @cached_property
    def data(self) -> dict[str, Any]:
        """The data of the view, with what only the live page has."""
        shown = payload(self.result)
        if shown is None:
            raise StoreError(f"{self.folder} has no interactive view; run `invae analyse` again")
        return {**shown, "live": {"detector": self._detector(), "labels": self.labels()}}

    def _detector(self) -> dict[str, Any] | None:
        """The mean pattern of a stored scan, its optic axis and the radius of the bright-field disc."""
        if "scan" not in self.result or not output(self.folder, "ingest").is_dir():
            return None
        scan = self.result["scan"]
        pattern = np.log1p(np.maximum(scan["mean_pattern"].to_numpy().astype(float), 0))
        y, x = (float(value) for value in scan.attrs["centre"])
        radius = float(scan.attrs["disc_radius"])
        return {"mean": packing.stack(pattern[None]), "y": y, "x": x, "radius": radius}

    @cached_property
    def _content(self) -> np.ndarray:
        return self.result[""]["content"].transpose(dims.SITE, dims.LATENT).to_numpy()

    @cached_property
    def _given(self) -> list[Any]:
        members = members_of(self.result[""].load())
        return [member.given for member in members] or [{}]

    @cached_property
    def _decode(self):
        return decoder_of(output(self.folder, "train"))

    def decode(self, place: list[float], member: int) -> bytes:
        """The patch decoded at a place of the latent plane, as 32-bit numbers (y, x); other dimensions at their median.

        Raises:
            InputError: it is no place of the plane, or no class.
        """
        plane = self.data["plane"]
        values = np.asarray(place, dtype=np.float64)
        if values.ndim != 1 or len(values) < len(plane) or not np.isfinite(values).all():
            raise InputError(f"{place} is no place in a plane of {len(plane)} dimensions")
        if not 0 <= member < len(self._given):
            raise InputError(f"there is no class {member}; there are {len(self._given)}")
        content = np.median(self._content, axis=0)
        content[plane] = values[: len(plane)]
        with self.lock:
            decoded = self._decode(content[None].astype(np.float32), self._given[member])
        channel = int(self.result["explorer"].attrs["channel_index"])
        return decoded[0, channel].astype("<f4").tobytes()

    def detector(self, detector: Detector) -> dict[str, Any]:
        """The image of a virtual detector on the stored scan, as a channel of the view."""
        scan = store.open_store(output(self.folder, "ingest"))
        image = virtual_image(scan, detector)
        return {**packing.stack(image[None]), "title": f"detector: {detector.words}", "unit": ""}

    def labels(self) -> dict[str, list[int]]:
        """Named selections: positions along `site`."""
        path = self.folder / LABELS
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def label(self, name: str, shown: list[int]) -> dict[str, list[int]]:
        """Save the sites under a name; a site has one label, the newest. No sites remove the name.

        Args:
            name: of the label.
            shown: positions of the sites in the view.

        Raises:
            InputError: the name or a site cannot be used.
        """
        name = name.strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise InputError(f"a label needs a name of 1 to {LONGEST_NAME} printable characters")
        positions = self.result["explorer"]["shown"].to_numpy()
        if any(not 0 <= site < len(positions) for site in shown):
            raise InputError(f"sites are numbers from 0 to {len(positions) - 1}")
        chosen = {int(positions[site]) for site in shown}
        labels = {
            key: [s for s in sites if s not in chosen] for key, sites in self.labels().items()
        }
        labels[name] = sorted(chosen)
        labels = {key: sites for key, sites in labels.items() if sites}
        if len(labels) > MOST_LABELS:
            raise InputError(f"there are already {MOST_LABELS} labels; remove one first")
        partial = self.folder / f".{LABELS}.partial"
        partial.write_text(json.dumps(labels, indent=1), encoding="utf-8")
        os.replace(partial, self.folder / LABELS)
        return labels
