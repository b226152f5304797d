"""The applied field of every frame: from the recording, a table, or the force that moves the walls; never invented."""

import numpy as np
import xarray as xr

from invae import dims
from invae.config import AnalyseConfig
from invae.errors import ConfigError

FIELD, SIGN = "applied_field", "field_sign"
RECORDED = ("applied_field", "field", "bias", "voltage")
"""Names of the field in a recording, over frames."""


def sign_of(maps: xr.Dataset, frame: int, *, config: AnalyseConfig) -> int:
    """Sign of the polarization that counts as the domain in a frame: +1, −1, or 0 in a frame without a field.

    It is +1, the positive domain, where the field is unknown.
    """
    if SIGN in maps:
        return int(maps[SIGN][frame])
    return -1 if config.field == "negative" else 1


def with_field(maps: xr.Dataset, field: xr.DataArray | None) -> xr.Dataset:
    """The maps with `applied_field` and its sign by frame, where it is known."""
    if field is None:
        return maps
    sign = np.sign(field.to_numpy()).astype(np.int8)
    words = dims.attrs("sign of the applied field")
    return maps.assign({FIELD: field, SIGN: (dims.FRAME, sign, words)})


def field_of_frames(
    recording: xr.Dataset, *, n_frames: int, config: AnalyseConfig
) -> xr.DataArray | None:
    """The field (frame) from the table or the recording; none if it is unknown, constant, or that of the walls.

    Raises:
        ConfigError: the recording has no field, or the table lacks a frame.
    """
    if config.field_table:
        return _labelled(_of_table(config, n_frames), "the table of fields")
    if config.field != "recorded":
        return None
    for name in RECORDED:
        if name in recording.variables and recording[name].dims == (dims.FRAME,):
            values = recording[name].to_numpy().astype(np.float64)
            return _labelled(values, f"the recording ({name})", recording[name].attrs.get("units"))
    raise ConfigError(
        f"analyse.field is recorded, but the recording has none of {', '.join(RECORDED)} over frames; give "
        "analyse.field_table, a CSV file of frame and field"
    )


def _of_table(config: AnalyseConfig, n_frames: int) -> np.ndarray:
    rows = dict(config.field_table)
    lacking = [frame for frame in range(n_frames) if frame not in rows]
    if lacking:
        raise ConfigError(
            f"analyse.field_table lacks frame {lacking[0]}; it needs all of 0 to {n_frames - 1}"
        )
    return np.array([rows[frame] for frame in range(n_frames)], np.float64)


def of_walls(drive: xr.Dataset) -> xr.DataArray:
    """The field as the walls feel it: the force on them by frame, 0 where its interval includes 0.

    Args:
        drive: `wall_drive`, `wall_drive_low` and `wall_drive_high` (frame).
    """
    low, high = drive["wall_drive_low"].to_numpy(), drive["wall_drive_high"].to_numpy()
    certain = (low > 0) | (high < 0)
    values = np.where(certain, drive["wall_drive"].to_numpy(), 0.0)
    return _labelled(values, "the force that moves the walls", "pixel")


def _labelled(values: np.ndarray, source: str, units: str | None = None) -> xr.DataArray:
    words = dims.attrs("applied field at the start of the frame", units or "1", source=source)
    return xr.DataArray(values, dims=dims.FRAME, attrs=words)
