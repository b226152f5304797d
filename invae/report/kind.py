"""The part of a report that belongs to one kind of recording: figures, facts, labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import xarray as xr
from matplotlib.axes import Axes

from invae import dims
from invae.config.kinds import load
from invae.report.figure import Draw, Result
from invae.results.reading import kind_of


def always(result: Result) -> bool:
    """Expect a figure in every report."""
    return True


@dataclass(frozen=True)
class Expected:
    """A figure, and when it is expected. One that is expected and cannot be drawn is named on the page."""

    draw: Draw
    when: Callable[[Result], bool] = always


def if_group(name: str, draw: Draw) -> Expected:
    """A figure of a group that not every result has."""
    return Expected(draw, lambda result: name in result)


@dataclass(frozen=True)
class Descriptor:
    """A variable of the sites that was measured on the recording."""

    label: str
    """In figures and tables."""
    signed: bool = False
    """Whether its sign has a meaning."""


@dataclass(frozen=True, eq=False)
class Channel:
    """Images of one signal on which the sites lie, for the interactive view."""

    title: str
    values: xr.DataArray
    """(frame, y, x) or (y, x); pixels that are not valid are NaN."""


def no_channels(result: Result) -> Iterable[Channel]:
    """No images."""
    return ()


def images_of_frames(result: Result) -> Iterable[Channel]:
    """The recorded frames."""
    yield Channel("image", result["images"]["image"])


def no_facts(result: Result) -> Iterable[tuple[str, str]]:
    """No facts."""
    return ()


def no_words(result: Result) -> Iterable[str]:
    """No words."""
    return ()


def square_patches(result: Result) -> str:
    """Side and channels of square patches."""
    told = result[""].attrs
    channels = ", ".join(str(name) for name in told.get("channels", []))
    return f"{told.get('window', '–')} px; channels {channels}"


def _no_background(axis: Axes, frames: xr.Dataset, index: int) -> None:
    return None


@dataclass(frozen=True)
class KindPage:
    """The report of one kind of recording."""

    sections: Mapping[str, Sequence[Expected]]
    """Section → its figures, in the order of the page."""
    recorded: Callable[[Result], Iterable[str]] = no_words
    """Parts of the headline on the recording."""
    findings: Callable[[Result], Iterable[str]] = no_words
    """Parts of the headline on findings other than classes."""
    facts: Callable[[Result], Iterable[tuple[str, str]]] = no_facts
    """Names and values for the top of the page."""
    patches: Callable[[Result], str] = square_patches
    """Size and channels of a patch, for the top of the page."""
    descriptors: Mapping[str, Descriptor] = field(default_factory=dict)
    """Variables of the sites that figures show in addition to the latents."""
    frames: str = ""
    """Group with the frames on which the sites lie; none where patches are images of their own."""
    channels: Callable[[Result], Iterable[Channel]] = no_channels
    """Images for the interactive view; patches are cut from the first, where they are cut from frames."""
    place: tuple[str, str] = (dims.Y, dims.X)
    """Variables of the sites with their row and column in these images [pixel]."""
    show_background: Callable[[Axes, xr.Dataset, int], None] = _no_background
    """Draws a frame of that group in pale colours, on which the values of the sites are drawn."""
    headline: Callable[[Result], str] | None = None
    """The whole headline, for results without clusters of latent variables."""
    only_own_facts: bool = False
    """Whether `facts` are all facts at the top of the page."""
    error_label: str = "rms error per pixel"
    """Name and unit of the reconstruction error."""


def page_of(result: Result) -> KindPage:
    """The page of the kind of recording that a result is of."""
    return load(kind_of(result).page)


def label_of(result: Result, descriptor: str) -> str:
    """The name of a descriptor in figures."""
    known = page_of(result).descriptors
    return known[descriptor].label if descriptor in known else descriptor.replace("_", " ")
