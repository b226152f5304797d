"""Descriptors of domains at a site: walls, share of one polarization, curvature, convexity, changes until the next frame.

The domain is that of positive polarization, or the switched one where the sign of the field is known.

Source: definitions of this project; there are no published ones. `p` is the signed polarization above the level half way between
both domains, smoothed by a Gaussian of `SMOOTHING` so that noise forms no domains; Ω is the square window around a site without masked pixels.
"""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import xarray as xr

from invae import dims
from invae.analysis.domains.applied_field import sign_of
from invae.config import AnalyseConfig, ComputeConfig
from invae.descriptors.domains.walls import EIGHT, WALL_180, smoothed, wall_level
from invae.descriptors.layout import pixel_sizes
from invae.progress import Progress, silent
from invae.storage.blocks import map_blocks

SMOOTHING = 1.5
"""Sd of the Gaussian before signs and curvatures are taken [px]."""
MIN_WALL = 5
"""Smallest number of pixels of a wall in the window."""
SITES_AT_ONCE = 256

DOMAIN_FRACTION, SWITCHING_DEGREE = "domain_fraction", "switching_degree"
DESCRIPTORS = (
    "wall_count",
    DOMAIN_FRACTION,
    SWITCHING_DEGREE,
    "wall_curvature",
    "domain_convexity",
    "switch_significance",
)
"""Names of all descriptors; a result has one of the two shares."""


def labels(config: AnalyseConfig) -> dict[str, tuple[str, str]]:
    """Long name and units of the descriptors of a site, by name."""
    known = config.field_is_known
    domain, other = ("switched", "unswitched") if known else ("positive", "negative")
    share = (
        (SWITCHING_DEGREE, "switched share of the window")
        if known
        else (DOMAIN_FRACTION, "share of the window with positive polarization")
    )
    return {
        "wall_count": ("number of walls in the window", "1"),
        share[0]: (share[1], "1"),
        "wall_curvature": (
            f"curvature of the wall, positive if the {domain} domain bulges out",
            "1/pixel",
        ),
        "domain_convexity": (f"{domain} minus {other} share of a disc centred on the wall", "1"),
        "switch_significance": (
            "share of the window whose polarization changes sign until the next frame",
            "1",
        ),
    }


@dataclass(frozen=True)
class Frame:
    """Maps of one frame, (y, x) each."""

    sign: np.ndarray
    """+1 in the domain, −1 outside, 0 unknown."""
    flips: np.ndarray
    """1 if the sign differs in the next frame, 0 if not, NaN if unknown."""
    wall: np.ndarray
    """Skeleton of the 180-degree walls, bool."""
    curvature: np.ndarray
    """[1/pixel] on valid pixels, NaN elsewhere."""


def describe_sites(
    maps: xr.Dataset,
    sites: xr.Dataset,
    *,
    window: int,
    config: AnalyseConfig,
    compute: ComputeConfig,
    progress: Progress = silent,
) -> xr.Dataset:
    """The five descriptors of every site, (site); NaN if no pixel contributes.

    Args:
        maps: `polarization`, `wall`, `valid` (frame, y, x) and `drift` (frame, axis), read frame by frame.
        sites: `frame`, `y`, `x` (site), in pixels of the site's frame.
        window: side of Ω [pixel].
        config: sign of the field, radius of the disc of the convexity.
        compute: number of frames in parallel.
        progress: called with the number of frames.
    """
    places = np.column_stack([sites[name].to_numpy() for name in (dims.Y, dims.X)])
    number = sites[dims.FRAME].to_numpy()
    frames = np.unique(number)

    def describe(frame: int) -> np.ndarray:
        images = read_frame(maps, frame, config=config)
        return around(
            images, places[number == frame], window=window, disc_radius=config.disc_radius
        )

    found = map_blocks(describe, list(frames), compute=compute, progress=progress)
    words = labels(config)
    values = np.full((len(number), len(words)), np.nan)
    for frame, answer in zip(frames, found, strict=True):
        values[number == frame] = answer
    answer = xr.Dataset(
        {
            name: (dims.SITE, values[:, column], dims.attrs(*words[name]))
            for column, name in enumerate(words)
        }
    )
    sizes = pixel_sizes(maps)
    if sizes is not None:
        in_nm = answer["wall_curvature"] / float(np.mean(sizes))
        in_nm.attrs = dims.attrs(words["wall_curvature"][0], "1/nm")
        answer["wall_curvature_nm"] = in_nm
    return answer


def signed_polarization(maps: xr.Dataset, frame: int, *, config: AnalyseConfig) -> np.ndarray:
    """Smoothed polarization (y, x), NaN if unknown; with a known field, positive where it is switched.

    In frames without a field nothing is switched: NaN.
    """
    sign = sign_of(maps, frame, config=config)
    smooth = smooth_polarization(maps, frame)
    return sign * smooth if sign else np.full_like(smooth, np.nan)


def smooth_polarization(maps: xr.Dataset, frame: int) -> np.ndarray:
    """Smoothed polarization (y, x) above the level of walls, NaN if unknown.

    Its sign is that of the domain, and its zero lines are the walls, also where a background is added to the response.
    """
    here = maps.isel({dims.FRAME: frame})
    polarization, valid = here["polarization"].to_numpy(), here["valid"].to_numpy()
    smooth = smoothed(polarization, valid, sd=SMOOTHING)
    return smooth - wall_level(polarization, valid, sd=SMOOTHING)


def read_frame(maps: xr.Dataset, frame: int, *, config: AnalyseConfig) -> Frame:
    """Maps of one frame, compared with the next frame after drift correction."""
    sign = sign_of(maps, frame, config=config)
    p = smooth_polarization(maps, frame)
    known = np.isfinite(p)
    flips = np.full(p.shape, np.nan)
    if frame + 1 < maps.sizes[dims.FRAME]:
        later = onto(smooth_polarization(maps, frame + 1), drift_between(maps, frame, frame + 1))
        both = known & np.isfinite(later)
        flips[both] = (p[both] > 0) != (later[both] > 0)
    wall = maps["wall"].isel({dims.FRAME: frame}).to_numpy() == WALL_180
    bent = curvature(sign * p if sign else np.full_like(p, np.nan))
    return Frame(np.where(known, np.where(p > 0, sign, -sign), 0), flips, wall & known, bent)


def drift_between(maps: xr.Dataset, first: int, second: int) -> np.ndarray:
    """Drift between the two frames, (y, x) [pixel]."""
    drift = maps["drift"].isel({dims.FRAME: [first, second]}).to_numpy()
    return drift[1] - drift[0]


def onto(image: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """An image (y, x) moved by a drift [pixel]; NaN outside the image."""
    return ndi.shift(image, drift, order=1, cval=np.nan)


def curvature(p: np.ndarray) -> np.ndarray:
    """Curvature of the level lines of p (y, x) [1/pixel]: 1/R around a disc of positive p of radius R.

    −∇·(∇p/|∇p|) by central differences; NaN next to unknown pixels and if it is not resolved.
    """
    d_y, d_x = np.gradient(p.astype(np.float64))
    d_yy, d_yx = np.gradient(d_y)
    d_xx = np.gradient(d_x, axis=1)
    slope = np.hypot(d_y, d_x)
    bend = d_xx * d_y**2 - 2 * d_x * d_y * d_yx + d_yy * d_x**2
    bent = np.divide(-bend, slope**3, out=np.full(p.shape, np.nan), where=slope > 1e-6)
    return np.where(np.abs(bent) < 1 / SMOOTHING, bent, np.nan)


def around(frame: Frame, places: np.ndarray, *, window: float, disc_radius: float) -> np.ndarray:
    """Descriptors of the sites of one frame (site, descriptor), in the order of `labels`.

    Wall count, the share of the domain and switch significance are computed over Ω, convexity and curvature over the disc. Curvature
    is the mean over wall pixels, so that convexity ≈ −(2/3π)·radius·curvature for an arc.
    """
    reach = int(np.ceil(max(window / 2, disc_radius))) + 1
    cuts = [slice(i, i + SITES_AT_ONCE) for i in range(0, len(places), SITES_AT_ONCE)]
    padded = {
        "sign": np.pad(frame.sign, reach),
        "flips": np.pad(frame.flips, reach, constant_values=np.nan),
        "wall": np.pad(frame.wall, reach),
        "curvature": np.pad(frame.curvature, reach, constant_values=np.nan),
    }
    steps = np.arange(-reach, reach + 1)
    answers = []
    for cut in cuts:
        whole = np.rint(places[cut]).astype(int)
        rows, columns = ((whole[:, i, None] + steps + reach) for i in (0, 1))
        tiles = {
            name: image[rows[:, :, None], columns[:, None, :]] for name, image in padded.items()
        }
        off_y, off_x = (steps + (whole - places[cut])[:, i, None] for i in (0, 1))
        half = (window - 1) / 2
        square = (np.abs(off_y) <= half)[:, :, None] & (np.abs(off_x) <= half)[:, None, :]
        disc = off_y[:, :, None] ** 2 + off_x[:, None, :] ** 2 <= disc_radius**2
        answers.append(_measure(tiles, square, disc))
    return np.concatenate(answers) if answers else np.empty((0, len(DESCRIPTORS) - 1))


def _measure(tiles: dict[str, np.ndarray], square: np.ndarray, disc: np.ndarray) -> np.ndarray:
    sign = tiles["sign"]
    return np.column_stack(
        [
            count_walls(tiles["wall"] & square),
            _mean((1 + sign) / 2, square & (sign != 0)),
            _mean(tiles["curvature"], disc & tiles["wall"] & np.isfinite(tiles["curvature"])),
            _mean(sign, disc & (sign != 0)),
            _mean(tiles["flips"], square & np.isfinite(tiles["flips"])),
        ]
    )


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean of each tile over some of its pixels; NaN without pixels."""
    count = where.sum(axis=(1, 2))
    total = np.where(where, values, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def count_walls(walls: np.ndarray) -> np.ndarray:
    """Connected pieces (8 neighbours) of at least `MIN_WALL` pixels in each tile of (tile, y, x), bool."""
    in_a_tile = np.zeros((3, 3, 3), bool)
    in_a_tile[1] = EIGHT
    pieces = np.empty(walls.shape, np.int32)
    ndi.label(walls, in_a_tile, output=pieces)
    n_pieces = int(pieces.max(initial=0))
    long_enough = np.bincount(pieces.ravel(), minlength=n_pieces + 1)[1:] >= MIN_WALL
    tile_of_piece = np.zeros(n_pieces, int)
    at = np.nonzero(pieces)
    tile_of_piece[pieces[at] - 1] = at[0]
    return np.bincount(tile_of_piece[long_enough], minlength=len(walls)).astype(float)
