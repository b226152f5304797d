"""What a page needs to show the patch and the reconstruction of any site without the model: the group `explorer`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import map_coordinates
from sklearn.utils.extmath import randomized_svd

from invae import dims
from invae.analysis.decoding import latents_of
from invae.analysis.traversal import AXES, Decode, Member, most_informative
from invae.storage import store

N_NODES = 17
"""Decoded patches along each axis. On walls, bilinear interpolation between them departs by 0.004 where the patches have an sd of 0.84."""
OUTER = 0.005
"""Share of the sites beyond the nodes at either end of an axis."""
MOST_SITES = 100_000
"""More sites are sampled evenly."""
N_COMPONENTS = 24
N_FITTED = 1000
"""Number of sites whose reconstructions give the components."""
BLOCK = 1024
MOST_PATCH_PIXELS = 1_500_000
"""Of all stored patches together."""
COMPARED_WIDTH = 16
"""About this many rows and columns of a patch are compared with its frame."""
LARGEST_RESIDUAL = 0.2
"""Share of the patches' sd. If cuts from the frame differ by more, patches are stored."""


@dataclass(frozen=True)
class Sources:
    """Where the explorer's pictures come from."""

    patches: Path | xr.Dataset
    """The store of the patches, or `patch` and `valid` (site, channel, patch_y, patch_x)."""
    decode: Decode
    members: Sequence[Member]
    """Classes or conditions with decoded nodes of their own; empty for all sites together."""
    frames: xr.DataArray | None = None
    """(frame, y, x), from which the patches were cut."""
    seed: int = 0

    @property
    def opened(self) -> xr.Dataset:
        """The patches and their masks, lazily if they come from a store."""
        if isinstance(self.patches, xr.Dataset):
            return self.patches[["patch", "valid"]]
        return store.open_store(self.patches)[["patch", "valid"]]

    @property
    def channels(self) -> list[str]:
        """Names of the channels of a patch."""
        return [str(name) for name in self.opened[dims.CHANNEL].to_numpy()]

    @property
    def channel(self) -> int:
        """The shown channel: the present frame of a series, else the first."""
        return self.channels.index("t") if "t" in self.channels else 0


def explore(sites: xr.Dataset, sources: Sources) -> xr.Dataset:
    """Decoded patches on a grid, and what gives the patch and the reconstruction of each shown site.

    * `decoded (class, node_1, node_2, patch_y, patch_x)`: upright patches over the plane of the two most informative content dimensions;
      the others stay at their median.
    * `shown (shown)`: positions of the shown sites along `site`; `member (shown)`: position of their class along `class`.
    * `coefficient (shown, part)` and `part_picture (part, patch_y, patch_x)`, where the plane does not determine the reconstruction: the
      upright reconstruction is the weighted sum of the pictures; the last weight is 1.
    * `gain`, `offset (shown)`, where the patches were cut from the frames: the patch is about gain × frame + offset.
    * `patch (stored, patch_y, patch_x)` and `stored (stored)`, where they were not: some patches, and their positions along `shown`.

    Args:
        sites: `content` and what else the family infers (site).
        sources: pictures and decoder.
    """
    n_sites = sites.sizes[dims.SITE]
    shown = np.unique(np.linspace(0, n_sites - 1, min(n_sites, MOST_SITES)).round().astype(int))
    part = sites.isel({dims.SITE: shown})
    group = _nodes(sites, sources)
    group["shown"] = ("shown", shown, dims.attrs("position along `site`"))
    group["member"] = ("shown", _member_of(shown, sources), dims.attrs("position along `class`"))
    if not _is_plane_enough(sites, sources):
        group = group.merge(_parts(part, sources))
    group = group.merge(_cuts(part, shown, sources))
    if "gain" not in group:
        group = group.merge(_stored(shown, sources))
    name = sources.channels[sources.channel]
    return group.assign_attrs(channel=name, channel_index=sources.channel)


def _is_plane_enough(sites: xr.Dataset, sources: Sources) -> bool:
    """Whether class and place in the plane determine the upright reconstruction."""
    others = {"target"} if sources.members else {"target", "condition", "class"}
    return sites.sizes[dims.LATENT] <= len(AXES) and not others & {*sites.variables}


def _member_of(shown: np.ndarray, sources: Sources) -> np.ndarray:
    answer = np.zeros(len(shown), dtype=np.int32)
    for number, member in enumerate(sources.members):
        answer[member.sites[shown]] = number
    return answer


def _nodes(sites: xr.Dataset, sources: Sources) -> xr.Dataset:
    """Decoded patches on an even grid over the plane, for every class."""
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy().astype(np.float64)
    axes = most_informative(sites["content"], sites.get("content_sd"))
    ends = [np.quantile(content[:, axis], (OUTER, 1 - OUTER)) for axis in axes]
    nodes = [np.linspace(low, high, N_NODES) for low, high in ends]
    nodes = [*nodes, np.zeros(1)][: len(AXES)]
    grid = np.tile(np.median(content, axis=0), (len(nodes[0]) * len(nodes[1]), 1))
    for column, mesh in zip(axes, np.meshgrid(*nodes, indexing="ij"), strict=False):
        grid[:, column] = mesh.ravel()
    members = sources.members or [Member("all", np.ones(len(content), dtype=bool))]
    decoded = [
        sources.decode(grid.astype(np.float32), member.given)[:, sources.channel]
        for member in members
    ]
    shape = (len(members), len(nodes[0]), len(nodes[1]))
    pictures = np.stack(decoded).reshape(*shape, *decoded[0].shape[1:]).astype(np.float32)
    named = {
        f"node_{number + 1}": (
            f"node_{number + 1}",
            values,
            dims.attrs(f"content dimension {axes[number] + 1}", content_dimension=axes[number])
            if number < len(axes)
            else dims.attrs("unused: the content has one dimension"),
        )
        for number, values in enumerate(nodes)
    }
    over = (dims.CLASS, "node_1", "node_2", dims.PATCH_Y, dims.PATCH_X)
    words = dims.attrs("decoded patch, upright and centred")
    names = (dims.CLASS, [member.name for member in members])
    return xr.Dataset({"decoded": (over, pictures, words)}, coords={**named, "class_name": names})


def _upright(sites: xr.Dataset, sources: Sources) -> np.ndarray:
    """Upright reconstructions of some sites (site, y, x)."""
    latents = latents_of(sites)
    given = {name: latents[name] for name in ("class", "target", "condition") if name in latents}
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    return sources.decode(content.astype(np.float32), given)[:, sources.channel]


def _parts(sites: xr.Dataset, sources: Sources) -> xr.Dataset:
    """Upright reconstructions as sums of a few pictures, by singular values."""
    n_sites = sites.sizes[dims.SITE]
    some = np.unique(np.linspace(0, n_sites - 1, min(n_sites, N_FITTED)).round().astype(int))
    fitted = _upright(sites.isel({dims.SITE: some}), sources)
    known = np.isfinite(fitted).all(axis=0)
    rows = fitted[:, known].astype(np.float64)
    mean = rows.mean(axis=0)
    most = min(N_COMPONENTS, *rows.shape)
    _, _, basis = randomized_svd(rows - mean, n_components=most, random_state=sources.seed)
    weights = np.concatenate(
        [
            (_upright(sites.isel({dims.SITE: block}), sources)[:, known] - mean) @ basis.T
            for block in store.blocks(n_sites, BLOCK)
        ]
    )
    pictures = np.full((len(basis) + 1, *known.shape), np.nan, dtype=np.float32)
    pictures[:, known] = np.vstack([basis, mean])
    full = np.column_stack([weights, np.ones(n_sites)]).astype(np.float32)
    over = ("part", dims.PATCH_Y, dims.PATCH_X)
    return xr.Dataset(
        {
            "part_picture": (over, pictures, dims.attrs("summand of upright reconstructions")),
            "coefficient": (("shown", "part"), full, dims.attrs("weight of the summand")),
        }
    )


def _cuts(sites: xr.Dataset, shown: np.ndarray, sources: Sources) -> xr.Dataset:
    """Gain and offset from frame to patch, if cuts from the frames give the patches; else an empty Dataset."""
    if sources.frames is None:
        return xr.Dataset()
    frames = sources.frames.load()
    number = {int(frame): at for at, frame in enumerate(frames[dims.FRAME].to_numpy())}
    at = np.array([number.get(int(frame), -1) for frame in sites[dims.FRAME].to_numpy()])
    fits = np.full((len(at), 2), np.nan)
    residuals: list[np.ndarray] = []
    opened = sources.opened
    for block in store.blocks(len(at), BLOCK):
        some = np.arange(len(at))[block]
        some = some[at[some] >= 0]
        if not len(some):
            continue
        patch, places = _thinned(opened, sites, shown, some, sources.channel)
        cut = np.empty_like(patch)
        for frame in np.unique(at[some]):
            here = at[some] == frame
            image = frames[int(frame)].to_numpy().astype(np.float64)
            cut[here] = map_coordinates(image, places[:, here], order=1, cval=np.nan)
        fits[some], residual = _fitted(cut, patch)
        residuals.append(residual)
    shares = np.concatenate(residuals) if residuals else np.ones(1)
    if not float(np.nanmedian(shares)) <= LARGEST_RESIDUAL:
        return xr.Dataset()
    words = ("factor from the frame to the patch", "offset from the frame to the patch")
    return xr.Dataset(
        {
            name: ("shown", fits[:, column].astype(np.float32), dims.attrs(text))
            for column, (name, text) in enumerate(zip(("gain", "offset"), words, strict=True))
        },
    )


def _thinned(
    opened: xr.Dataset, sites: xr.Dataset, shown: np.ndarray, some: np.ndarray, channel: int
) -> tuple[np.ndarray, np.ndarray]:
    """Some pixels of some patches (site, pixel), NaN where invalid, and their places in the frame (2, site, pixel)."""
    height, width = opened.sizes[dims.PATCH_Y], opened.sizes[dims.PATCH_X]
    rows, columns = (
        np.arange(0, n, max(1, round(n / COMPARED_WIDTH)), dtype=np.int64) for n in (height, width)
    )
    chosen = opened.isel({dims.SITE: shown[some], dims.CHANNEL: channel}).load()
    chosen = chosen.isel({dims.PATCH_Y: rows, dims.PATCH_X: columns})
    patch = np.where(chosen["valid"].to_numpy(), chosen["patch"].to_numpy(), np.nan)
    y = sites[dims.Y].to_numpy()[some][:, None, None] + (rows - (height - 1) / 2)[None, :, None]
    x = sites[dims.X].to_numpy()[some][:, None, None] + (columns - (width - 1) / 2)[None, None]
    places = np.stack(np.broadcast_arrays(y, x)).reshape(2, len(some), -1)
    return patch.reshape(len(some), -1).astype(np.float64), places


def _fitted(cut: np.ndarray, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of patch on cut: gain and offset (site, 2), and the rms residual as a share of the patch's sd (site)."""
    known = np.isfinite(cut) & np.isfinite(patch)
    n = np.maximum(known.sum(axis=1, keepdims=True), 1)
    x, y = (np.where(known, values, 0.0) for values in (cut, patch))
    mean_x, mean_y = x.sum(axis=1, keepdims=True) / n, y.sum(axis=1, keepdims=True) / n
    x, y = (np.where(known, v - m, 0.0) for v, m in ((cut, mean_x), (patch, mean_y)))
    variance = np.maximum((x**2).sum(axis=1, keepdims=True), 1e-30)
    gain = (x * y).sum(axis=1, keepdims=True) / variance
    spread = np.maximum((y**2).sum(axis=1), 1e-30)
    residual = np.sqrt(((y - gain * x) ** 2).sum(axis=1) / spread)
    return np.hstack([gain, mean_y - gain * mean_x]), residual


def _stored(shown: np.ndarray, sources: Sources) -> xr.Dataset:
    """Patches of some of the shown sites, evenly chosen."""
    opened = sources.opened
    n_pixels = opened.sizes[dims.PATCH_Y] * opened.sizes[dims.PATCH_X]
    most = max(1, min(len(shown), MOST_PATCH_PIXELS // n_pixels))
    stored = np.unique(np.linspace(0, len(shown) - 1, most).round().astype(int))
    part = opened.isel({dims.SITE: shown[stored], dims.CHANNEL: sources.channel}).load()
    values = np.where(part["valid"].to_numpy(), part["patch"].to_numpy(), np.nan)
    over = ("stored", dims.PATCH_Y, dims.PATCH_X)
    return xr.Dataset(
        {
            "patch": (over, values.astype(np.float32), dims.attrs("patch")),
            "stored": ("stored", stored, dims.attrs("position along `shown`")),
        }
    )
