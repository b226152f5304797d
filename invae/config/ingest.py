"""How a recording is taken in."""

from typing import Annotated, Literal

from pydantic import Field

from invae.config.scan import ScanConfig
from invae.config.schema import Config

Positions = Annotated[int, Field(ge=1)]


class IngestConfig(Config):
    """From the instrument's files to `recording.zarr`."""

    channels: tuple[str, ...] | None = None
    """Channels to keep, by name; all of them when empty, of several signals of patterns the counts."""
    format: str | None = None
    """Name of the reader (see `invae formats`); found by content and extension when empty."""
    order: Literal["given", "name", "time"] = "given"
    """How the files of a series follow each other: as given, by name, or by the instrument's clock."""
    frame_interval: Annotated[float, Field(gt=0)] | None = None
    """Time between frames [s]; overrides what the files say."""
    pixel_size: Annotated[float, Field(gt=0)] | None = None
    """Size of a pixel [nm]; overrides what the files say."""
    scan_shape: tuple[Positions, Positions] | None = None
    """Rows and columns of a 4D-STEM scan as recorded, flyback included; overrides what the files say."""
    scan_order: Literal["raster", "serpentine"] = "raster"
    """Whether all rows of the scan run the same way, or every second one backwards."""
    flyback: Annotated[int, Field(ge=0)] = 0
    """Positions at the end of each row of the scan that are dropped."""
    drop_constant: bool = False
    """Leave out channels that are constant or hold no number; they are noted either way."""
    shard_mb: Annotated[float, Field(gt=0, le=512)] = 32
    """Size of one shard, the unit of writing and of resuming [MB, uncompressed]."""
    scan: ScanConfig = ScanConfig()
    """4D-STEM: what of the detector is kept, and the maps made in the same pass."""
