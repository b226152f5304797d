"""Settings of the ingest stage."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.scan import ScanConfig
from invae.config.schema import Config

Positions = Annotated[int, Field(ge=1)]
AxisName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Orientation = Literal[
    "as_read",
    "flip_y",
    "flip_x",
    "turn_180",
    "transpose",
    "turn_90",
    "turn_270",
    "transpose_turn_180",
]


class IngestConfig(Config):
    """From the instrument's files to `recording.zarr`."""

    channels: tuple[str, ...] | None = None
    """Names of the channels to keep; all when empty. Of several signals of patterns the counts are kept."""
    format: str | None = None
    """Name of the reader (see `invae formats`); detected from content and extension when empty."""
    dims: tuple[AxisName, ...] | None = None
    """Names of the axes in the order of the file, if it does not name them or names them wrongly: `frame`, `y`, `x`, `channel`, `scan_y`, `scan_x`,
    `k_y`, `k_x`, `point` or a spectral axis such as `energy`."""
    orientation: Orientation = "as_read"
    """How images, grids and scans are mirrored or turned after reading; turns are positive as `np.rot90`."""
    dataset: str | None = None
    """Name of the array to read of an HDF5 file that holds several, such as `/entry/data/data`; the format is then `hdf5`."""
    order: Literal["given", "name", "time"] = "given"
    """Order of the files of a series: as given, by name, or by the instrument's clock."""
    other_areas: bool = False
    """Whether the files of a series may show other areas, or be turned, by the offsets and scan angles in their headers."""
    frame_interval: Annotated[float, Field(gt=0)] | None = None
    """Time between frames [s]; replaces the value in the files."""
    pixel_size: Annotated[float, Field(gt=0)] | None = None
    """Size of a pixel [nm]; replaces the value in the files."""
    scan_shape: tuple[Positions, Positions] | None = None
    """Rows and columns of a 4D-STEM scan as recorded, flyback included; replaces the values in the files."""
    scan_order: Literal["raster", "serpentine"] = "raster"
    """Whether all rows of the scan run in the same direction (raster), or every second one backwards (serpentine)."""
    flyback: Annotated[int, Field(ge=0)] = 0
    """Number of positions dropped at the end of each row of the scan."""
    drop_constant: bool = False
    """Whether channels that are constant or have no finite value are removed. The notes list them either way."""
    shard_mb: Annotated[float, Field(gt=0, le=512)] = 32
    """Size of one shard, the unit of writing and resuming [MB, uncompressed]."""
    scan: ScanConfig = ScanConfig()
    """4D-STEM: the part of the detector that is kept, and the maps computed in the same pass."""
