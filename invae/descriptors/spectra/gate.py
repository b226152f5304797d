"""The quality gate over all spectra of a recording, block by block, and the spectra that pass it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from invae.config import ComputeConfig
from invae.config.spectra import GateConfig
from invae.descriptors import block_results
from invae.descriptors.spectra.quality import REASONS, assess
from invae.descriptors.spectra.source import Spectra
from invae.dims import SITE, attrs, flags
from invae.errors import InputError
from invae.progress import Progress
from invae.storage import store
from invae.storage.blocks import map_blocks

STAGE = "gate"
BLOCK_VALUES = 2_000_000
"""Values that are judged together, against each other. The filter needs about 15 copies of them."""
OUTSIDE = "outside image"
"""Reason of a spectrum whose window leaves the image."""
ALL_REASONS = (*REASONS, OUTSIDE)
EXCLUDED = "excluded"
"""Group of a patch store, and its dimension: the spectra that are no sites, with the reason."""
PLACE = ("frame", "y", "x", "y_nm", "x_nm", "grid_row", "grid_column", "specimen")


@dataclass(frozen=True)
class Gated:
    """The answer of the gate for every spectrum; the spectra themselves lie in pieces of the unfinished store."""

    spectra: Spectra
    pieces: tuple[Path, ...]
    starts: np.ndarray
    """Number of valid spectra before each piece, and in all."""
    reason: np.ndarray
    """(spectrum): index into `REASONS`."""
    n_spikes: np.ndarray
    """(spectrum): values that were replaced."""
    sd: np.ndarray
    """(spectrum): of the noise of a stored value; NaN if unknown."""

    @property
    def valid(self) -> np.ndarray:
        """Indices of the valid spectra."""
        return np.flatnonzero(self.reason == 0)

    def values(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """`spectrum` and `scale` of some valid spectra, given by their ascending indices in the recording."""
        rank = np.searchsorted(self.valid, chosen)
        wanted = slice(int(rank[0]), int(rank[-1]) + 1)
        found = {
            name: block_results.gather_range(self.pieces, name, self.starts, wanted)
            for name in ("spectrum", "scale")
        }
        return {name: values[rank - rank[0]] for name, values in found.items()}

    def remark(self) -> str:
        """One line for the report."""
        share = self.n_spikes[self.valid].sum() / max(len(self.valid) * self.n_values, 1)
        refused = ", ".join(f"{n} {name}" for name, n in counts(self.reason).items())
        line = f"{len(self.valid)} of {len(self.reason)} spectra valid"
        line += f" ({refused})" if refused else ""
        return f"{line}; {share:.1%} of their values replaced as spikes"

    @property
    def n_values(self) -> int:
        """Values of a spectrum before binning."""
        return len(self.spectra.kept)


def counts(reason: np.ndarray) -> dict[str, int]:
    """Number of spectra for every reason that occurs, without the valid ones."""
    numbers = np.bincount(reason, minlength=len(ALL_REASONS))[1:]
    return {name: int(n) for name, n in zip(ALL_REASONS[1:], numbers, strict=True) if n}


def gated(
    spectra: Spectra,
    partial_store: Path,
    *,
    config: GateConfig,
    compute: ComputeConfig,
    progress: Progress,
) -> Gated:
    """Judge and clean all spectra; a piece that exists is not made again.

    Raises:
        InputError: fewer than two spectra are valid.
    """
    block_results.begin(partial_store)
    length = max(1, BLOCK_VALUES // max(1, len(spectra.kept)))
    blocks = store.blocks(len(spectra), length)
    map_blocks(
        partial(_judge, spectra=spectra, partial_store=partial_store, config=config),
        blocks,
        compute=compute,
        progress=progress,
    )
    pieces = [block_results.path_of(partial_store, STAGE, block.start) for block in blocks]
    reason, n_spikes, sd = (
        block_results.gather(pieces, name) for name in ("reason", "n_spikes", "sd")
    )
    _refuse_too_few(reason, spectra)
    n_valid = [int((reason[block] == 0).sum()) for block in blocks]
    starts = np.concatenate([[0], np.cumsum(n_valid)]).astype(np.int64)
    return Gated(spectra, tuple(pieces), starts, reason, n_spikes, sd)


def _judge(block: slice, *, spectra: Spectra, partial_store: Path, config: GateConfig) -> None:
    piece = block_results.path_of(partial_store, STAGE, block.start)
    if piece.exists():
        return
    quality = assess(
        spectra.read(block),
        threshold=config.threshold,
        most_spikes=config.most_spikes,
        most_amplitude=config.most_amplitude,
    )
    kept = [REASONS.index(name) for name in config.keep]
    reason = np.where(np.isin(quality.reason, kept), 0, quality.reason).astype(np.int8)
    binned = spectra.binned(quality.cleaned[reason == 0].astype(np.float64))
    scale = spectra.scale(binned)
    sd = quality.spectrum_sd / np.sqrt(spectra.n_bin)
    sd[reason == 0] /= scale
    block_results.save(
        piece,
        reason=reason,
        n_spikes=quality.n_spikes.astype(np.int32),
        sd=sd,
        spectrum=(binned / scale[:, None]).astype(np.float32),
        scale=scale,
    )


def _refuse_too_few(reason: np.ndarray, spectra: Spectra) -> None:
    n_valid = int((reason == 0).sum())
    if n_valid >= 2:
        return
    why = ", ".join(f"{n} {name}" for name, n in counts(reason).items())
    raise InputError(
        f"{spectra.recording.parent.name}: {n_valid} of {len(reason)} spectra of {spectra.name} can be "
        f"used{f' ({why})' if why else ''}; at least 2 are needed: choose another describe.spectrum or "
        "relax describe.gate"
    )


def of_sites(gate: Gated, chosen: np.ndarray) -> dict[str, xr.Variable]:
    """Coordinates over `site` that the gate knows."""
    units = str(gate.spectra.value_attrs()["units"])
    return {
        "spectrum_sd": xr.Variable(SITE, gate.sd[chosen], attrs("sd of the noise of one value of the spectrum", units)),
        "n_spikes": xr.Variable(SITE, gate.n_spikes[chosen], attrs("values replaced as spikes")),
    }  # fmt: skip


def excluded(places: xr.Dataset, reason: np.ndarray) -> xr.Dataset:
    """The group `excluded`: place and reason of every spectrum that is no site.

    Args:
        places: frame, y, x and more of every spectrum, over `site`.
        reason: (spectrum), index into `ALL_REASONS`.
    """
    out = np.flatnonzero(reason)
    columns = {
        name: (EXCLUDED, places[name].to_numpy()[out], places[name].attrs)
        for name in PLACE
        if name in places
    }
    why = flags(ALL_REASONS, "why the spectrum is no site")
    return xr.Dataset({**columns, "reason": (EXCLUDED, reason[out].astype(np.int8), why)})


def tell(reason: np.ndarray) -> dict[str, object]:
    """Attributes of the root group: number of recorded and of excluded spectra."""
    return {"n_recorded": len(reason), "n_excluded": counts(reason)}
