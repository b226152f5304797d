"""Writers: small files of spectra and of their images, as the instruments' programs write them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

ROWS, COLUMNS, STEPS = 3, 4, 12
SWEEP = np.linspace(-0.5, 0.6, STEPS)
CENTRE, SIZE_NM, ANGLE = (120e-9, -40e-9), (8.0, 6.0), 30.0
"""Centre (x, y) [m], width and height [nm], clockwise angle [degree] of the grids of Nanonis."""
Spectra = Mapping[str, np.ndarray]
"""Values (y, x, step) by label, y down."""


def loops(rows: int = ROWS, columns: int = COLUMNS, steps: int = STEPS) -> np.ndarray:
    """Values that differ everywhere (y, x, step)."""
    return (np.arange(rows * columns * steps).reshape(rows, columns, steps) + 0.5).astype("f4")


def write_3ds(
    path: Path,
    spectra: Spectra | None = None,
    *,
    height: np.ndarray | None = None,
    backward: Spectra | None = None,
    sweep: tuple[float, float] = (-0.5, 0.6),
    signal: str = "Bias (V)",
    n_written: int | None = None,
    entries: Mapping[str, str | None] | None = None,
    sweeps_of: Callable[[int], tuple[float, float]] | None = None,
) -> None:
    """A grid of Nanonis; `n_written` spectra of an aborted one; `entries` replace lines of the header or remove them."""
    spectra = {"Current (A)": loops()} if spectra is None else spectra
    backward = backward or {}
    rows, columns, steps = next(iter(spectra.values())).shape
    height = np.arange(rows * columns).reshape(rows, columns) * 1e-12 if height is None else height
    channels = [*spectra, *(label.replace(" (", " [bwd] (") for label in backward)]
    cubes = [cube[::-1] for cube in (*spectra.values(), *backward.values())]
    header: dict[str, str | None] = {
        "Grid dim": f'"{columns} x {rows}"',
        "Grid settings": f"{CENTRE[0]:E};{CENTRE[1]:E};{SIZE_NM[0] * 1e-9:E};"
        f"{SIZE_NM[1] * 1e-9:E};{ANGLE:E}",
        "Sweep Signal": f'"{signal}"',
        "Fixed parameters": '"Sweep Start;Sweep End"',
        "Experiment parameters": '"X (m);Y (m);Z (m);Settling time (s)"',
        "# Parameters (4 byte)": "6",
        "Experiment size (bytes)": str(4 * steps * len(channels)),
        "Points": str(steps),
        "Channels": f'"{";".join(channels)}"',
        "Date": '"04.06.2016 20:13:23"',
    }
    header |= dict(entries or {})
    text = "".join(f"{key}={value}\r\n" for key, value in header.items() if value is not None)
    records = []
    for n in range(rows * columns if n_written is None else n_written):
        row, column = divmod(n, columns)
        start, end = sweep if sweeps_of is None else sweeps_of(n)
        x, y = place_of(row, column, rows, columns)
        parameters = [start, end, x, y, height[::-1][row, column], 0.01]
        records.append(np.concatenate([parameters, *(cube[row, column] for cube in cubes)]))
    numbers = np.array(records, ">f4").tobytes()
    path.write_bytes(text.encode() + b":HEADER_END:\r\n" + numbers)


def place_of(row: int, column: int, rows: int, columns: int) -> tuple[float, float]:
    """Place (x, y) [m] of a point, rows counted upwards, in a frame that is turned clockwise."""
    right = (column - (columns - 1) / 2) * SIZE_NM[0] / columns * 1e-9
    up = (row - (rows - 1) / 2) * SIZE_NM[1] / rows * 1e-9
    cos, sin = np.cos(np.deg2rad(ANGLE)), np.sin(np.deg2rad(ANGLE))
    return CENTRE[0] + cos * right + sin * up, CENTRE[1] - sin * right + cos * up


def write_sxm(
    path: Path,
    images: Mapping[str, tuple[str, np.ndarray, np.ndarray | None]] | None = None,
    *,
    direction: str = "down",
    entries: Mapping[str, str | None] | None = None,
) -> None:
    """Images of Nanonis by name, each with unit, forward and backward values (y, x), y down and x to the right."""
    first = np.arange(12, dtype="f4").reshape(3, 4)
    images = {"Z": ("m", first, first + 100)} if images is None else images
    rows, columns = next(iter(images.values()))[1].shape
    table = ["", "\tChannel\tName\tUnit\tDirection\tCalibration\tOffset"]
    blocks = []
    for number, (name, (unit, forward, backward)) in enumerate(images.items()):
        passes = "fwd" if backward is None else "both"
        table.append(f"\t{number}\t{name}\t{unit}\t{passes}\t1.0E+0\t0.0E+0")
        lines = [forward] if backward is None else [forward, backward[:, ::-1]]
        blocks += [image[::-1] if direction == "up" else image for image in lines]
    header: dict[str, str | None] = {
        "NANONIS_VERSION": "2",
        "SCANIT_TYPE": "              FLOAT            MSBFIRST",
        "REC_DATE": " 24.05.2015",
        "REC_TIME": "12:12:12",
        "SCAN_TIME": "             1.000E-1             1.000E-1",
        "ACQ_TIME": "       1.0",
        "BIAS": "            1.000E-1",
        "SCAN_PIXELS": f"       {columns}       {rows}",
        "SCAN_RANGE": f"           {SIZE_NM[0]}E-9           {SIZE_NM[1]}E-9",
        "SCAN_OFFSET": f"             {CENTRE[0]:E}         {CENTRE[1]:E}",
        "SCAN_ANGLE": f"            {ANGLE:E}",
        "SCAN_DIR": direction,
        "DATA_INFO": "\n".join(table[1:]) + "\n",
    }
    header |= dict(entries or {})
    text = "".join(f":{key}:\n{value}\n" for key, value in header.items() if value is not None)
    numbers = b"".join(np.asarray(block, ">f4").tobytes() for block in blocks)
    path.write_bytes(text.encode() + b":SCANIT_END:\n\n\n\x1a\x04" + numbers)


def write_usid(
    path: Path,
    values: np.ndarray | None = None,
    *,
    steps: Mapping[str, tuple[str, np.ndarray]] | None = None,
    order: np.ndarray | None = None,
    positions: np.ndarray | None = None,
    labels: Sequence[str] = ("X", "Y"),
    name: str = "Raw_Data",
    mode: str = "w",
    attrs: Mapping[str, str] | None = None,
) -> None:
    """A main dataset of pyUSID: `values` (y, x, step), or (row, step) with `positions` (row, index); rows in any order."""
    values = loops() if values is None else values
    rows, columns = values.shape[:2]
    if positions is None:
        positions = np.stack(np.meshgrid(range(columns), range(rows)), -1).reshape(-1, 2)
        values = values.reshape(rows * columns, -1)
    order = np.arange(len(values)) if order is None else order
    n_steps = values.shape[1]
    steps = {"DC_Offset": ("V", np.linspace(-2, 2, n_steps))} if steps is None else steps
    table = np.stack([number for _, number in steps.values()])
    indices = np.stack([np.unique(row, return_inverse=True)[1] for row in table])
    with h5py.File(path, mode) as file:
        group = file.require_group(f"Measurement_000/{name}_group")
        main = group.create_dataset(name, data=values[order])
        main.attrs.update({"quantity": "Piezoresponse", "units": "pm", **(attrs or {})})
        parts = {
            "Position_Indices": (positions[order].astype("u4"), labels, ["m"] * len(labels)),
            "Position_Values": (positions[order] * 5e-9, labels, ["m"] * len(labels)),
            "Spectroscopic_Indices": (
                indices.astype("u4"),
                [*steps],
                [u for u, _ in steps.values()],
            ),
            "Spectroscopic_Values": (table, [*steps], [u for u, _ in steps.values()]),
        }
        for part, (data, names, units) in parts.items():
            held = group.create_dataset(part, data=data)
            held.attrs["labels"], held.attrs["units"] = list(names), list(units)
            main.attrs[part] = held.ref


WRITERS: Mapping[str, Callable[..., None]] = {
    "3ds": write_3ds,
    "sxm": write_sxm,
    "usid": write_usid,
}
SUFFIX = {"3ds": ".3ds", "sxm": ".sxm", "usid": ".h5"}


@pytest.fixture(params=WRITERS)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small file of every format."""
    file = tmp_path / f"recording{SUFFIX[request.param]}"
    WRITERS[request.param](file)
    return file
