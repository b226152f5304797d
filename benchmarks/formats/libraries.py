"""What igor2 and gwyfile read of a file: the libraries of the formats themselves."""

from pathlib import Path

import gwyfile
import gwyfile.objects
import gwyfile.util
import igor2.binarywave
import numpy as np

from benchmarks.formats.reading import Reading


def by_igor2(file: Path) -> list[Reading]:
    """The layers of an Igor wave (x, y, layer), in the order of the wave; the unit is that of the wave."""
    wave = igor2.binarywave.load(str(file))["wave"]
    header, values = wave["wave_header"], np.asarray(wave["wData"])
    steps = [float(step) for step in header["sfA"]]
    units = [_text(unit) for unit in header["dimUnits"]]
    axes = tuple(zip("xy", steps, units, strict=False))
    names = [_text(label) for label in wave["labels"][2][1:]]
    unit = _text(header["dataUnits"])
    return [
        Reading(names[number] if number < len(names) else str(number), layer, axes, unit)
        for number, layer in enumerate(np.moveaxis(values, -1, 0))
    ]


def _text(letters: bytes | np.ndarray) -> str:
    """Text of a header that is filled up with zeros."""
    raw = letters if isinstance(letters, bytes) else b"".join(np.ravel(letters).tolist())
    return raw.rstrip(b"\0").decode("latin-1")


def by_gwyfile(file: Path) -> list[Reading]:
    """The images of a Gwyddion file, by their titles."""
    fields = gwyfile.util.get_datafields(gwyfile.load(str(file)))
    return [_of_field(title, field) for title, field in fields.items()]


def _of_field(title: str, field: gwyfile.objects.GwyDataField) -> Reading:
    values = np.asarray(field.data)
    length, unit = (
        "" if unit is None else str(unit.unitstr) for unit in (field.si_unit_xy, field.si_unit_z)
    )
    rows, columns = values.shape
    axes = (
        ("y", float(np.asarray(field.yreal)) / rows, length),
        ("x", float(np.asarray(field.xreal)) / columns, length),
    )
    return Reading(title, values, axes, unit)
