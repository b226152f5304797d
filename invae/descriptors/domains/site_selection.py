"""Selection of sites: candidates whose surroundings are valid in every frame of the patch."""

from functools import lru_cache

import numpy as np

from invae.config.describe import WallConfig
from invae.descriptors import block_results
from invae.descriptors.domains.frame_maps import STAGE as FRAMES
from invae.descriptors.domains.masks import REASONS
from invae.descriptors.domains.series import Series
from invae.descriptors.patches import valid_share
from invae.descriptors.sites import evenly, per_frame
from invae.dims import FRAME
from invae.errors import InputError

STAGE = "choice"
HIDES_MUCH = 0.3
"""Masks that hide a larger share of the area are named where no site is left."""
WORTH_TELLING = 0.005
"""Least share of the area for which a mask is named."""
MOST_FRAMES = 16
"""Largest number of frames from which these shares are taken."""
SETTINGS = {
    "bad_line": "describe.masks.bad_line_threshold",
    "tip_loss": "describe.masks.tip_loss_alignment and tip_loss_fraction",
    "not_finite": "values that are missing in the recording",
    "drawn": "mask in the file, describe.masks.drawn",
}
"""What decides about each mask."""


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
    """The error for a recording in which no patch can be cut; it names the masks that hide much of the area."""
    name, config = series.recording.name, series.config
    finding = f"no domain wall in {series.n_frames} frame(s)"
    if n_candidates:
        finding = (
            f"none of {n_candidates} sites has {config.sites.min_valid:.0%} valid pixels "
            f"within {config.patches.window} px in every frame it needs"
        )
    masked = _masked(series)
    reasons = [f"the masks hide {masked}"] if masked else []
    reasons += [series.signals.hint] if series.signals.hint else []
    if reasons:
        return InputError(f"{name}: {finding}: {'; '.join(reasons)}")
    if n_candidates:
        return InputError(
            f"{name}: {finding}; lower describe.sites.min_valid or describe.patches.window"
        )
    return InputError(
        f"{name}: {finding}; lower describe.walls.smoothing ({_smoothing(config.walls)}) or min_contrast "
        f"({config.walls.min_contrast:g}), or set describe.sites.kind=grid"
    )


def _smoothing(config: WallConfig) -> str:
    return "by the noise" if config.smoothing is None else f"{config.smoothing:g} px"


def _masked(series: Series) -> str:
    """Share of the area that each mask hides, with its setting; empty if all together hide little."""
    n_frames = series.n_frames
    some = np.unique(np.linspace(0, n_frames - 1, min(n_frames, MOST_FRAMES)).astype(int))
    reasons = series.maps()["invalid_reason"].isel({FRAME: some}).to_numpy()
    shares = np.bincount(reasons.ravel(), minlength=len(REASONS)) / reasons.size
    if shares[1:].sum() < HIDES_MUCH:
        return ""
    finding = [
        f"{share:.0%} of the area as {reason} ({SETTINGS[reason]})"
        for reason, share in zip(REASONS[1:], shares[1:], strict=True)
        if share >= WORTH_TELLING
    ]
    return ", ".join(finding)
