"""What a recording holds, and whether it suits a configuration.

Names, dimensions and attributes decide. Only for a scan of diffraction patterns, a few patterns are read: crystals with separate discs
need another configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from invae.config import ProcessConfig, named
from invae.config.kinds import Content, Kind, kind_of
from invae.dims import IMAGE, K_X, K_Y, SCAN_X, SCAN_Y
from invae.errors import ConfigError
from invae.readers.beside_spectra import holds_spectra
from invae.readers.channel_roles import roles_of
from invae.readers.separate_discs import has_separate_discs

UNTOLD = ("", "unknown", "simulated")
"""Modalities that do not say what a recording is."""
SHOWN = 4
"""Channels that a message lists."""
USUAL: Mapping[Content, str] = {
    "4D-STEM": "fourd-rvae",
    "spectra": "spectra-vae",
    "PFM": "pfm-walls",
}
"""Configuration for a content, the first that a recording has."""
SEPARATE_DISCS = "fourd-nbed"
"""Configuration for a 4D-STEM scan with discs apart from the direct beam."""
SMALL_IMAGE = 64
"""Longest side of images that show one object each [px]."""
FRAMES_OF_MOVIE = 4
"""Fewest images of a size that are a movie."""


def contents_of(recording: xr.Dataset) -> set[Content]:
    """What a recording holds; images beside spectra count only if they are PFM."""
    if {SCAN_Y, SCAN_X, K_Y, K_X} <= {*recording.dims}:
        return {"4D-STEM"}
    images = _images(recording)
    found: set[Content] = {"spectra"} if holds_spectra(recording) else set()
    kinds = {role.kind for role in roles_of(recording, images)}
    if "polarization" in images or kinds >= {"amplitude", "phase"} or kinds >= {"x", "y"}:
        return {*found, "PFM"}
    return found or ({"images"} if images else set())


def _images(recording: xr.Dataset) -> list[str]:
    return sorted(str(n) for n, channel in recording.data_vars.items() if channel.dims == IMAGE)


def refuse_other_kind(recording: xr.Dataset, config: ProcessConfig, *, name: str) -> None:
    """Refuse a recording that a configuration is not made for; one whose content is unknown is accepted.

    Args:
        recording: A recording, opened or stored.
        config: Settings of all stages.
        name: Name of its file or folder, for the message.

    Raises:
        ConfigError: The recording is of another kind, or lacks a channel that the configuration names.
    """
    kind, found = kind_of(config.describe), contents_of(recording)
    if chosen := _chosen_channels(config, kind):
        _refuse_missing(chosen, recording, name=name)
    elif found and not found & {*kind.contents}:
        raise ConfigError(
            f"{name}: {config.name} needs {kind.needs}; this is {_words(recording, found)}"
            f"{_advice(recording, found, kind)}"
        )


@dataclass(frozen=True)
class Pick:
    """The configuration for a recording, and why."""

    config: str
    sentence: str
    """What the recording is, and the other configurations that suit it."""


def picked(recording: xr.Dataset, *, name: str) -> Pick:
    """The usual configuration for what a recording holds.

    Args:
        recording: A recording, opened or stored.
        name: Name of its file, for the message.

    Raises:
        ConfigError: No configuration suits it, or its content is unknown.
    """
    found = contents_of(recording)
    modality = str(recording.attrs.get("modality", ""))
    fitting = fitting_configs(found, modality=modality)
    if not fitting:
        raise ConfigError(
            f"{name}: it is not known what this recording is; choose a configuration with --config, see `invae configs`"
        )
    usual = _usual(recording, found)
    is_named = any(one.startswith(f"{modality.lower()}-") for one in fitting)
    suits = usual in fitting or (not is_named and _suits(usual, found))
    chosen = usual if suits else fitting[0]
    others = [one for one in fitting if one != chosen]
    more = f"; {_either(others)} would also do (--config)" if others else ""
    why = " with separate discs" if chosen == SEPARATE_DISCS else ""
    return Pick(chosen, f"{name} is {_words(recording, found)}{why}: configuration {chosen}{more}")


def _suits(config: str, found: set[Content]) -> bool:
    """Whether a configuration accepts a content."""
    return bool(found & {*kind_of(named.load(config).describe).contents})


def _usual(recording: xr.Dataset, found: set[Content]) -> str:
    """The configuration that most users want for a content."""
    if "4D-STEM" in found and has_separate_discs(recording):
        return SEPARATE_DISCS
    for content, config in USUAL.items():
        if content in found:
            return config
    if max(recording.sizes.get("y", 0), recording.sizes.get("x", 0)) <= SMALL_IMAGE:
        return "cards-rvae"
    return "stem-movie" if recording.sizes.get("frame", 1) >= FRAMES_OF_MOVIE else "stem-atoms"


def _chosen_channels(config: ProcessConfig, kind: Kind) -> dict[str, str]:
    """The channels that the configuration names, by channel, with the setting that names each."""
    chosen: dict[str, str] = {}
    for setting in kind.channels:
        value = getattr(config.describe, setting)
        names = [value] if isinstance(value, str) else (value or ())
        chosen |= dict.fromkeys(names, setting)
    return chosen


def _refuse_missing(chosen: dict[str, str], recording: xr.Dataset, *, name: str) -> None:
    for channel, setting in chosen.items():
        if channel not in recording.data_vars:
            there = ", ".join(map(str, recording.data_vars))
            raise ConfigError(
                f"{name}: describe.{setting} names {channel!r}; the recording has {there}"
            )


def _words(recording: xr.Dataset, found: set[Content]) -> str:
    """What the recording is: its modality if the file says so, else its content."""
    modality = str(recording.attrs.get("modality", ""))
    if found == {"images"} and modality in (*UNTOLD, "PFM"):
        names = _images(recording)
        more = ", …" if len(names) > SHOWN else ""
        return f"images ({', '.join(names[:SHOWN])}{more})"
    return " and ".join(sorted(found)) if modality in UNTOLD else modality


def _advice(recording: xr.Dataset, found: set[Content], kind: Kind) -> str:
    """The configurations that suit the recording, and the setting that names a channel of it."""
    modality = str(recording.attrs.get("modality", ""))
    fitting = fitting_configs(found, modality=modality)
    ways = [f"try {_either(fitting)}"] if fitting else []
    if _images(recording) and ("images" in kind.contents or modality in UNTOLD):
        ways += [f"name the channel with describe.{setting}" for setting in kind.channels[:1]]
    return f": {', or '.join(ways)}" if ways else ""


def fitting_configs(found: set[Content], *, modality: str) -> list[str]:
    """Named configurations made for a content; those named after the modality, if there are any."""
    names = [
        name
        for name in named.available()
        if "@" not in name and kind_of(named.load(name).describe).contents[0] in found
    ]
    return [name for name in names if name.startswith(f"{modality.lower()}-")] or names


def _either(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
