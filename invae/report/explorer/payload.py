"""The data of the interactive view: sites, images, decoded patches, and their colours."""

from collections.abc import Iterator, Sequence

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.colors import to_hex

from invae import dims
from invae.errors import visible
from invae.latent_table import poses
from invae.report import images, latent_plane, style
from invae.report.explorer import packing
from invae.report.explorer.packing import Packed
from invae.report.figure import Result
from invae.report.kind import Channel, page_of
from invae.results.reading import kind_of

MOST_IMAGE_CHARACTERS = 2_600_000
"""Of all images in the page; larger ones are binned, or their further channels are left out."""
MOST_COLUMNS = 24
"""Quantities that can be chosen as colour."""
LONGEST = 60
"""Letters of a name."""
SHADES = 64
GROUP = "explorer"


def payload(result: Result, *, colormap: str = "viridis") -> Packed | None:
    """All data of the interactive view; None for results without sites in a latent space.

    Args:
        result: groups of the result.
        colormap: of numbers.
    """
    if GROUP not in result:
        return None
    group, sites = result[GROUP].load(), result[""].load()
    shown = group["shown"].to_numpy()
    part = sites.isel({dims.SITE: shown})
    numbers = _frame_numbers(result, part)
    kind = kind_of(result)
    return {
        "n": len(shown),
        "n_all": sites.sizes[dims.SITE],
        "site": kind.site,
        "sites": kind.sites,
        "frames": _frames(result, numbers),
        "image": _image(result, numbers),
        "plane": _plane(group),
        "columns": [*_roles(result, part, group, numbers), *_quantities(result, shown)],
        "patch": _patch(result, group),
        "nodes": _nodes(group),
        "parts": _parts(group),
        "stored": _stored(group),
        "colours": _colours(colormap),
        "channel": text(group.attrs.get("channel", "")),
    }


def text(words: object) -> str:
    """A name from a recording: visible, and not too long."""
    shown = " ".join(visible(str(words)).split())
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _frame_numbers(result: Result, sites: xr.Dataset) -> np.ndarray:
    """Numbers of all frames with sites or an image."""
    numbers = [sites[dims.FRAME].to_numpy()] if dims.FRAME in sites.variables else [np.zeros(1)]
    if images.has_frames(result):
        numbers.append(images.frames_of(result)[dims.FRAME].to_numpy())
    return np.unique(np.concatenate(numbers)).astype(int)


def _frames(result: Result, numbers: np.ndarray) -> Packed:
    """The frames of the slider: numbers, and times where they are known."""
    frames = result.get("frames", images.frames_of(result) if images.has_frames(result) else None)
    if frames is None or "time" not in frames.coords:
        return {"numbers": numbers.tolist(), "times": None, "unit": ""}
    times = dict(
        zip(frames[dims.FRAME].to_numpy().tolist(), frames["time"].to_numpy(), strict=True)
    )
    values = [float(times.get(number, np.nan)) for number in numbers.tolist()]
    shown = [value if np.isfinite(value) else None for value in values]
    return {
        "numbers": numbers.tolist(),
        "times": shown,
        "unit": text(frames["time"].attrs.get("units", "s")),
    }


def _image(result: Result, numbers: np.ndarray) -> Packed | None:
    """The images below the sites; None if the sites do not lie on images."""
    channels = list(_of_kind(result))
    if not channels:
        return None
    first = channels[0].values
    kept = first[dims.FRAME].to_numpy().tolist() if dims.FRAME in first.dims else None
    position = {number: at for at, number in enumerate(kept or [])}
    at = [position.get(number, -1) if kept else 0 for number in numbers.tolist()]
    stacks, binned = _fitting(channels)
    height, width = first.sizes[dims.Y], first.sizes[dims.X]
    return {
        "h": height,
        "w": width,
        "bin": binned,
        "at": at,
        "pixel_nm": _pixel_nm(first),
        "channels": stacks,
    }


def _of_kind(result: Result) -> Iterator[Channel]:
    """The images of the kind of recording, if the places of the sites in them are known."""
    page = page_of(result)
    if all(name in result[""].variables for name in page.place):
        yield from page.channels(result)


def _fitting(channels: Sequence[Channel]) -> tuple[list[Packed], int]:
    """Channels as stacks, binned until the first one fits; further ones as long as there is room."""
    binned, stacks, room = 1, [], MOST_IMAGE_CHARACTERS
    for channel in channels:
        values = channel.values.to_numpy().astype(np.float64)
        values = values if values.ndim == 3 else values[None]
        pictures = packing.stack(_binned(values, binned))
        while not stacks and len(str(pictures["data"])) > room:
            binned *= 2
            pictures = packing.stack(_binned(values, binned))
        if len(str(pictures["data"])) > room:
            continue
        room -= len(str(pictures["data"]))
        unit = text(channel.values.attrs.get("units", ""))
        stacks.append({**pictures, "title": text(channel.title), "unit": unit})
    return stacks, binned


def _binned(values: np.ndarray, size: int) -> np.ndarray:
    """Means over squares of `size` pixels; incomplete squares at the far edges are left out."""
    if size == 1:
        return values
    n, height, width = values.shape
    rows, columns = height // size, width // size
    cut = values[:, : rows * size, : columns * size]
    return cut.reshape(n, rows, size, columns, size).mean(axis=(2, 4))


def _pixel_nm(image: xr.DataArray) -> list[float] | None:
    """Height and width of a pixel [nm]; None if they are unknown."""
    sides = []
    for axis in (dims.Y, dims.X):
        if axis not in image.coords or image[axis].attrs.get("units") != "nm" or len(image[axis]) < 2:  # fmt: skip
            return None
        places = image[axis].to_numpy()
        sides.append(abs(float(places[-1] - places[0])) / (len(places) - 1))
    return sides


def _plane(group: xr.Dataset) -> list[int]:
    """The shown content dimensions."""
    nodes = (group[name].attrs.get("content_dimension") for name in ("node_1", "node_2"))
    return [int(dimension) for dimension in nodes if dimension is not None]


def _roles(
    result: Result, sites: xr.Dataset, group: xr.Dataset, numbers: np.ndarray
) -> Iterator[Packed]:
    """Columns that the view needs: frame, place, pose, cut, class of the decoder."""
    if dims.FRAME in sites.variables:
        at = np.searchsorted(numbers, sites[dims.FRAME].to_numpy())
    else:
        at = np.zeros(sites.sizes[dims.SITE])
    columns = {"frame": at, "member": group["member"].to_numpy()}
    row, column = page_of(result).place
    if row in sites.variables and column in sites.variables:
        columns |= {"y": sites[row].to_numpy(), "x": sites[column].to_numpy()}
    single = [row.name for row in poses().values() if row.dim is None]
    columns |= {name: sites[name].to_numpy() for name in single if name in sites.variables}
    if "shift" in sites.variables:
        shift = sites["shift"].transpose(dims.SITE, dims.AXIS).to_numpy()
        columns |= {"shift_y": shift[:, 0], "shift_x": shift[:, 1]}
    columns |= {name: group[name].to_numpy() for name in ("gain", "offset") if name in group}
    if len(group["shown"]) < result[""].sizes[dims.SITE]:
        columns["number"] = group["shown"].to_numpy()
    for name, values in columns.items():
        if name == "angle":
            values = np.angle(np.exp(1j * values))
        yield {"name": name, "kind": "role", **packing.column(values)}


def _quantities(result: Result, shown: np.ndarray) -> Iterator[Packed]:
    """Columns that can be chosen as colour and stand in the list of a site's values."""
    for number, quantity in enumerate(_all_quantities(result)[:MOST_COLUMNS]):
        values = quantity.values[shown].astype(np.float64)
        kind = "number"
        if quantity.classes:
            kind, values = "class", np.where(values >= 0, values, np.nan)
        elif quantity.cyclic:
            kind = "angle"
        elif quantity.signed:
            kind = "signed"
        yield {
            "name": f"q{number}",
            "title": text(quantity.title),
            "unit": text(quantity.units or ""),
            "kind": kind,
            "classes": [text(name) for name in quantity.classes],
            **packing.column(values),
        }


def _all_quantities(result: Result) -> list[latent_plane.Colouring]:
    """Contents first, as the plane needs them; then class, angle, measured and true quantities, certainty and errors."""
    sites = result[""]
    content = sites["content"].transpose(dims.SITE, dims.LATENT).to_numpy()
    own = [latent_plane.Colouring(f"content {k + 1}", content[:, k]) for k in range(content.shape[1])]  # fmt: skip
    rest = []
    for name, title in (
        ("angle_resultant", "certainty of the angle"),
        ("reconstruction_error", "reconstruction error"),
        ("outlier_score", "deviation / threshold"),
        ("surprise", "surprise"),
        ("elbo", "ELBO"),
    ):
        if name in sites.variables:
            rest.append(latent_plane.Colouring(title, sites[name].to_numpy().astype(float)))
    return [*own, *latent_plane.colourings(result), *rest]


def _patch(result: Result, group: xr.Dataset) -> Packed:
    """Size of a patch and the range of its values."""
    height, width = group.sizes[dims.PATCH_Y], group.sizes[dims.PATCH_X]
    examples = result["examples"]["patch"].isel({dims.CHANNEL: group.attrs["channel_index"]})
    low, high = style.limits(examples.to_numpy())
    return {"h": height, "w": width, "lo": low, "hi": high}


def _nodes(group: xr.Dataset) -> Packed:
    """Decoded patches (class × node 1 × node 2, y, x) and the ends of the axes."""
    decoded = group["decoded"].transpose(dims.CLASS, "node_1", "node_2", dims.PATCH_Y, dims.PATCH_X)
    axes = []
    for name in ("node_1", "node_2"):
        nodes = group[name].to_numpy()
        axes.append({"n": len(nodes), "lo": float(nodes[0]), "hi": float(nodes[-1])})
    pictures = decoded.to_numpy().reshape(-1, *decoded.shape[-2:])
    known = pictures[np.isfinite(pictures)]
    bounds = (float(known.min()), float(known.max())) if known.size else None
    names = [text(name) for name in group["class_name"].to_numpy()]
    return {"axes": axes, "classes": names, **packing.stack(pictures, bounds=bounds)}


def _parts(group: xr.Dataset) -> Packed | None:
    """Pictures and weights whose sums are the reconstructions; None if the nodes give them."""
    if "coefficient" not in group:
        return None
    weights = packing.weights(group["coefficient"].to_numpy().astype(np.float64))
    return {"weights": weights, "pictures": packing.numbers(group["part_picture"].to_numpy())}


def _stored(group: xr.Dataset) -> Packed | None:
    """Patches in the page; None if they are cut from the images."""
    if "patch" not in group:
        return None
    at = group["stored"].to_numpy()
    return {"at": packing.column(at), **packing.stack(group["patch"].to_numpy().astype(np.float64))}


def _colours(colormap: str) -> Packed:
    """Colours of numbers, signed numbers, angles and classes, as #rrggbb."""
    levels = np.linspace(0, 1, SHADES)
    maps = {"number": colormap, "signed": "coolwarm"}
    tables = {name: matplotlib.colormaps[cmap](levels) for name, cmap in maps.items()}
    tables["angle"] = style.cyclic()(np.linspace(0, 1, SHADES, endpoint=False))
    named = {name: [to_hex(colour) for colour in table] for name, table in tables.items()}
    return {**named, "class": list(style.CLASSES)}
