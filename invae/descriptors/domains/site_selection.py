"""Selection of sites: candidates whose surroundings are valid in every frame of the patch."""

from functools import lru_cache

import numpy as np

from invae.descriptors import block_results
from invae.descriptors.domains.frame_maps import STAGE as FRAMES
from invae.descriptors.domains.series import Series
from invae.descriptors.patches import valid_share
from invae.descriptors.sites import evenly, per_frame
from invae.dims import FRAME
from invae.errors import InputError

STAGE = "choice"


def choose_block(frames: slice, *, series: Series, drift: np.ndarray) -> None:
    """Select sites among the candidates of a block of frames, and save them as a piece, sorted by
    frame, y, x.
    """
    piece = block_results.path_of(series.partial, STAGE, frames.start)
    if piece.exists():
        return
    site, site_frame = block_results.load(
        block_results.path_of(series.partial, FRAMES, frames.start), "site", "site_frame"
    )
    maps, settings = series.maps(), series.config
    delays = sorted({channel.delay for channel in series.channels})
    most = per_frame(series.n_frames, config=settings.sites)

    @lru_cache(maxsize=len(delays) + 1)
    def valid(frame: int) -> np.ndarray:
        return maps["valid"].isel({FRAME: frame}).to_numpy()

    chosen = [np.zeros((0, 2))]
    counts = []
    for frame in range(frames.start, frames.stop):
        here = site[site_frame == frame]
        others = [frame + delay for delay in delays]
        if len(here) and min(others) >= 0 and max(others) < series.n_frames:
            shares = [
                valid_share(
                    valid(other),
                    here + drift[frame] - drift[other],
                    window=settings.patches.window,
                )
                for other in others
            ]
            here = here[np.min(shares, axis=0) >= settings.sites.min_valid]
            here = here[evenly(len(here), most=most)]
            here = here[np.lexsort((here[:, 1], here[:, 0]))]
        else:
            here = here[:0]
        chosen.append(here)
        counts.append(len(here))
    numbers = np.arange(frames.start, frames.stop, dtype=np.int32)
    block_results.save(piece, site=np.concatenate(chosen), site_frame=np.repeat(numbers, counts))


def no_sites(series: Series, *, n_candidates: int) -> InputError:
    """The error for a recording in which no patch can be cut."""
    name, config = series.recording.name, series.config
    if n_candidates == 0:
        return InputError(
            f"{name}: no domain wall in {series.n_frames} frame(s); lower describe.walls.smoothing "
            f"({config.walls.smoothing:g} px) or min_contrast ({config.walls.min_contrast:g}), or "
            "set describe.sites.kind=grid"
        )
    return InputError(
        f"{name}: none of {n_candidates} sites has {config.sites.min_valid:.0%} valid pixels "
        f"within {config.patches.window} px in every frame it needs; lower describe.sites.min_valid or "
        "describe.patches.window"
    )
