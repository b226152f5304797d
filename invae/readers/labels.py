"""Names and units: from the instrument's words to those of invae and CF."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

NM_PER_METRE = 1e9
IGOR_EPOCH = datetime(1904, 1, 1)
"""Start of the clock of Asylum's instruments, which has no time zone."""

# A label may be truncated, and the rest of an older label may follow it: "Phase1Retracece", "AmplitudeRetr".
_DIRECTION = re.compile(r"[ _-]*(Retr(?:a(?:c(?:e\w*)?)?)?|Trac(?:e\w*)?)$")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})")
"""A letter as ImageJ writes it in its description of a file."""
_SYNONYMS = {
    "topography": "height",
    "topo": "height",
    "ampl": "amplitude",
    "amp": "amplitude",
    "defl": "deflection",
    "freq": "frequency",
}
_UNITS_OF = {
    "height": "m",
    "z_sensor": "m",
    "amplitude": "m",
    "deflection": "m",
    "phase": "degree",
    "frequency": "Hz",
    "user_in": "V",
    "potential": "V",
    "lateral": "V",
    "current": "A",
    "count": "count",
}
"""Units of the channels in Asylum's software, by quantity; an .ibw file does not hold them."""

_SPELLINGS = {
    "": "1",
    "none": "1",
    "dimensionless": "1",
    "a.u.": "1",
    "a. u.": "1",
    "arb. units": "1",
    "arb. unit": "1",
    "arb": "1",
    "arbitrary": "1",
    "counts": "count",
    "electrons": "count",
    "electron": "count",
    "deg": "degree",
    "degrees": "degree",
    "°": "degree",
    "radian": "rad",
    "radians": "rad",
    "\u00c5": "angstrom",
    "\u212b": "angstrom",
    "A": "A",
    "Ang": "angstrom",
    "Angstrom": "angstrom",
    "ångström": "angstrom",
    "angstroms": "angstrom",
    "micron": "um",
    "microns": "um",
    "micrometer": "um",
    "micrometre": "um",
    "nanometer": "nm",
    "nanometre": "nm",
    "nanometers": "nm",
    "meter": "m",
    "metre": "m",
    "meters": "m",
    "volt": "V",
    "volts": "V",
    "sec": "s",
    "seconds": "s",
    "second": "s",
    "pixels": "pixel",
    "px": "pixel",
    "%": "percent",
}
_PREFIXES = {"": 1, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "c": 1e-2, "k": 1e3}
_BASES = (
    "m",
    "V",
    "A",
    "Hz",
    "s",
    "N",
    "W",
    "F",
    "eV",
    "rad",
    "K",
    "Pa",
    "J",
    "C",
    "T",
    "g",
    "ohm",
)
_WHOLE = ("1", "count", "degree", "angstrom", "pixel", "percent")


def _ascii(label: str) -> str:
    return unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().strip()


def words(label: str) -> list[str]:
    """The words and numbers of a label: `PRPhase2` is PR, Phase, 2."""
    return _WORD.findall(_ascii(label))


def channel_name(label: str) -> tuple[str, str]:
    """The canonical name of a channel and its direction (`trace`, `retrace` or empty)."""
    ascii_label = _ascii(label)
    match = _DIRECTION.search(ascii_label)
    stem = ascii_label[: match.start()] if match else ascii_label
    direction = "" if match is None else ("retrace" if match[1].startswith("Retr") else "trace")
    name = "_".join(_SYNONYMS.get(word.lower()) or word.lower() for word in words(stem))
    name = name or "channel"
    return (f"channel_{name}" if name[0].isdigit() else name), direction


def unique(names: Sequence[str]) -> list[str]:
    """The names, with _1, _2, … appended to those that occur several times."""
    total, counts, taken = Counter(names), Counter[str](), set(names)
    unique_names = []
    for name in names:
        if total[name] == 1:
            unique_names.append(name)
            continue
        counts[name] += 1
        while f"{name}_{counts[name]}" in taken:
            counts[name] += 1
        unique_names.append(f"{name}_{counts[name]}")
    return unique_names


def quantity(name: str) -> str:
    """The quantity that a channel measures: its name without number and without the pass of the measurement."""
    return re.sub(r"(_\d+)+$", "", name).removeprefix("nap_")


def usual_units(name: str) -> str:
    """The unit of this channel in Asylum's software; empty if unknown."""
    return _UNITS_OF.get(quantity(name), "")


def canonical_units(units: str) -> str | None:
    """The unit in the spelling of pint and CF; none if unknown."""
    text = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), units.strip())
    text = text.replace("µ", "u").replace("μ", "u")
    text = _SPELLINGS.get(text, _SPELLINGS.get(text.lower(), text))
    parts = re.split(r"([/* ])", text)
    spelled: list[str | None] = [p if p in "/* " else _simple(p) for p in parts if p]
    known = [part for part in spelled if part is not None]
    return ("".join(known) or "1") if len(known) == len(spelled) else None


def _simple(unit: str) -> str | None:
    unit = _SPELLINGS.get(unit, unit)
    base = re.sub(r"(\^|\*\*)?-?\d+$", "", unit) if unit != "1" else unit
    if base in _WHOLE:
        return unit
    for name in _BASES:
        if base.endswith(name) and base[: -len(name)] in (*_PREFIXES, "M", "G"):
            return unit
    return None


def nanometres(units: str) -> float | None:
    """Size of this unit in nm; none if it is no length."""
    spelled = canonical_units(units)
    if spelled == "angstrom":
        return 0.1
    if spelled is None or not re.fullmatch(r"[fpnumck]?m", spelled):
        return None
    return _PREFIXES[spelled[:-1]] * NM_PER_METRE


def igor_time(metadata: Mapping[str, Any]) -> datetime | None:
    """Time at which an Asylum instrument finished a frame, by its own clock (seconds since 1904)."""
    try:
        seconds = float(metadata.get("Seconds", "nan"))
    except (TypeError, ValueError):
        return None
    if not 0 < seconds < 2**33:
        return None
    return IGOR_EPOCH + timedelta(seconds=seconds)


def modality(names: Sequence[str], dims: Sequence[str], metadata: Mapping[str, Any]) -> str:
    """The kind of recording, from names, axes and metadata; `unknown` if they do not show it."""
    mode = f"{metadata.get('experiment_type', '')} {metadata.get('ImagingMode', '')}".upper()
    kinds = {quantity(name) for name in names}
    kinds |= {word for name in names for word in name.split("_")}
    if "k_y" in dims:
        return "4D-STEM"
    if "STEM" in mode:
        return "STEM"
    if "PFM" in mode or {"amplitude", "phase"} <= kinds:
        return "PFM"
    if kinds & {"height", "deflection", "topography"}:
        return "AFM"
    return "unknown"
