"""The part of an analysis that belongs to 4D-STEM scans: maps of the latents, and surprising regions."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.segmentation import watershed

from invae import dims
from invae.analysis.diffraction.surprise import places, surprise
from invae.analysis.grains.groups import add_grains, scalars_of
from invae.analysis.inputs import Inputs
from invae.analysis.kind import Analysis, Scalars
from invae.analysis.sizes import equivalent_diameters, pixel_area, size_scalars
from invae.config import AnalyseConfig
from invae.latent_table import LATENTS
from invae.storage import store

SCAN = (dims.SCAN_Y, dims.SCAN_X)
MAPPED = {
    "content": "content_map",
    **{name: f"{name}_map" for name, row in LATENTS.items() if row.mapped},
    "cluster": "cluster_map",
    "class": "class_map",
    "reconstruction_error": "error_map",
    "surprise": "surprise_map",
}
"""Variable of the sites → name of its map."""
WHERE = ("y", "x", "y_nm", "x_nm")
LINEAR = ("pca", "nmf")
"""Methods without invariance whose coordinates become maps."""


def add_groups(inputs: Inputs, groups: dict[str, xr.Dataset]) -> None:
    """Add `surprise` to the sites, the groups `scan` and `surprises`, and those of the grains if they are searched for.

    Args:
        inputs: the stores; the recording has a group `maps`.
        groups: groups of the result so far; the sites are "".
    """
    shape = _shape(inputs)
    sites = groups[""]
    recorded = store.open_store(inputs.recording, group="maps").load()
    scores = surprise(
        sites,
        shape,
        radius=inputs.config.surprise_radius,
        maps=recorded if inputs.config.surprise_lattice == "find" else None,
    )
    groups[""] = sites.assign(surprise=scores)
    latents = latent_maps(groups[""], shape) | _baseline_maps(groups, sites, shape)
    groups["scan"] = recorded.assign(latents)
    if inputs.config.grains is not None:
        add_grains(inputs, groups, inputs.config.grains)
    groups["surprises"] = surprising(groups[""], shape, config=inputs.config)


def _shape(inputs: Inputs) -> tuple[int, int]:
    pattern = store.open_store(inputs.recording)["pattern"]
    return pattern.sizes[dims.SCAN_Y], pattern.sizes[dims.SCAN_X]


def latent_maps(sites: xr.Dataset, shape: tuple[int, int]) -> dict[str, xr.Variable]:
    """Variables of the sites as maps over the scan (scan_y, scan_x, …); NaN, or −1, without a site."""
    return {
        name: raster(sites[source], sites, shape)
        for source, name in MAPPED.items()
        if source in sites
    }


def raster(values: xr.DataArray, sites: xr.Dataset, shape: tuple[int, int]) -> xr.Variable:
    """Values of sites (site, …) at their probes (scan_y, scan_x, …)."""
    more = [str(dim) for dim in values.dims if dim != dims.SITE]
    empty = -1 if values.dtype.kind == "i" else np.nan
    image = np.full((*shape, *(values.sizes[dim] for dim in more)), empty, dtype=values.dtype)
    image[places(sites)] = values.transpose(dims.SITE, *more).to_numpy()
    return xr.Variable((*SCAN, *more), image, values.attrs)


def _baseline_maps(
    groups: Mapping[str, xr.Dataset], sites: xr.Dataset, shape: tuple[int, int]
) -> dict[str, xr.Variable]:
    """Maps of methods without invariance, with as many coordinates as the model has."""
    baselines = groups.get("baselines")
    if baselines is None:
        return {}
    methods = {str(name) for name in baselines["baseline"].to_numpy()}
    maps = {}
    for name in sorted(methods & set(LINEAR)):
        content = baselines["content"].sel(baseline=name, drop=True)
        content = content.rename({"coordinate": f"{name}_index"})
        maps[f"{name}_map"] = raster(content, sites, shape)
    return maps


def surprising(sites: xr.Dataset, shape: tuple[int, int], *, config: AnalyseConfig) -> xr.Dataset:
    """Peaks of the surprise above the threshold, the highest first: `site`, `surprise`, and the centre of the surprising region."""
    values = raster(sites["surprise"], sites, shape).to_numpy()
    known = np.nan_to_num(values, nan=-np.inf)
    known = np.where(np.isfinite(known), known, known[np.isfinite(known)].min())
    peaks = peak_local_max(
        known,
        min_distance=max(1, round(2 * config.surprise_radius)),
        threshold_abs=config.surprise_threshold,
        exclude_border=False,
    )
    number = np.full(shape, -1)
    number[places(sites)] = np.arange(sites.sizes[dims.SITE])
    peaks = peaks[number[tuple(peaks.T)] >= 0]
    at_peaks = number[tuple(peaks.T)]
    shares = _shares(known * (number >= 0), peaks)[:, *places(sites)]
    at = sites.isel({dims.SITE: at_peaks})
    columns = {
        "site": (at_peaks, dims.attrs("position of the peak along `site`")),
        "surprise": (at["surprise"].to_numpy(), at["surprise"].attrs),
        **{name: (shares @ sites[name].to_numpy(), sites[name].attrs) for name in WHERE},
    }
    return xr.Dataset({name: ("peak", *column) for name, column in columns.items()})


def _shares(surprise: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Share of every probe in the surprise around each peak, (peak, scan_y, scan_x); shares of a peak sum to 1.

    The region of a peak is connected with it, at least half as high, and on its own side of the valleys to other peaks. The centre of
    the region locates a defect better than the peak: the surroundings of a missing atom differ along three arms, and noise decides which
    of them is the highest.

    Args:
        surprise: (scan_y, scan_x), finite, 0 without a site.
        peaks: positions (peak, 2), with a surprise above 0.
    """
    marker = np.zeros(surprise.shape, np.int32)
    marker[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    side = watershed(-surprise, marker)
    share = np.zeros((len(peaks), *surprise.shape))
    for row, peak in enumerate(map(tuple, peaks)):
        high = (side == row + 1) & (surprise >= surprise[peak] / 2)
        region = np.asarray(label(high, connectivity=1))
        share[row] = np.where(region == region[peak], surprise, 0)
    return share / share.sum(axis=(1, 2), keepdims=True)


def summarise(groups: Mapping[str, xr.Dataset]) -> Scalars:
    """Number of surprising regions, the largest surprise, and sizes of connected areas."""
    strongest = float(groups[""]["surprise"].max())
    scan = groups["scan"]
    area, unit = pixel_area(scan[dims.SCAN_Y], scan[dims.SCAN_X])
    labels = scan["cluster_map"].transpose(dims.SCAN_Y, dims.SCAN_X).to_numpy()
    areas = equivalent_diameters(labels, area=area)
    return {
        **(
            scalars_of(groups)
            or size_scalars(areas, name="area", word="connected area of one cluster", unit=unit)
        ),
        "n_surprises": (groups["surprises"].sizes["peak"], "surprising regions of the scan", "1"),
        "surprise_max": (strongest, "largest surprise (robust z-score)", "1"),
    }


ANALYSIS = Analysis(add_groups=add_groups, summarise=summarise)
