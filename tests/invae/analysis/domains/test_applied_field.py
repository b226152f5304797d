"""The sign of the field: from the recording, a table or the walls, and never invented."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from invae import dims
from invae.analysis.domains.applied_field import field_of_frames, of_walls, sign_of, with_field
from invae.analysis.domains.switching import read_frame
from invae.config import AnalyseConfig
from invae.errors import ConfigError

FRAMES = 3
RECORDED = xr.Dataset({"bias": ("frame", [2.0, -1.0, 0.0], {"units": "V"})})
EMPTY = xr.Dataset()


def field(recording: xr.Dataset, **settings) -> xr.DataArray | None:
    return field_of_frames(
        recording, n_frames=FRAMES, config=AnalyseConfig.model_validate(settings)
    )


@pytest.mark.parametrize("setting", ["unknown", "positive", "negative", "walls"])
def test_a_recorded_field_is_not_taken_unless_asked_for(setting):
    assert field(RECORDED, field=setting) is None


def test_a_recorded_field_keeps_its_values_and_unit():
    found = field(RECORDED, field="recorded")
    assert found is not None
    assert found.to_numpy().tolist() == [2.0, -1.0, 0.0]
    assert found.attrs["units"] == "V"
    assert "bias" in found.attrs["source"]


def test_a_recording_without_a_field_is_refused():
    with pytest.raises(ConfigError, match="field_table"):
        field(EMPTY, field="recorded")


def test_a_table_is_read_with_or_without_a_head(tmp_path: Path):
    for name, head in (("a", "frame,field\n"), ("b", "")):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"{head}0,1.5\n1,-2\n2,0\n")
        found = field(EMPTY, field_table=str(path))
        assert found is not None
        assert found.to_numpy().tolist() == [1.5, -2.0, 0.0]


def test_the_configuration_holds_the_rows_of_the_table_not_its_path(tmp_path: Path):
    path = tmp_path / "fields.csv"
    path.write_text("0,1.5\n1,-2\n")
    config = AnalyseConfig.model_validate({"field_table": str(path)})
    assert config.field_table == ((0, 1.5), (1, -2.0))
    assert config.field_is_known
    assert AnalyseConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\n0,2\n", "frame 0 twice"),
        ("0,1\n1,up\n", "line 2"),
        ("frame,field\n", "line 1"),
        ("0,nan\n1,1\n2,\n", "line 3"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "fields.csv"
    path.write_text(text)
    with pytest.raises(ValidationError, match=message):
        AnalyseConfig.model_validate({"field_table": str(path)})


def test_a_missing_table_is_refused(tmp_path: Path):
    with pytest.raises(ValidationError, match="cannot be read"):
        AnalyseConfig.model_validate({"field_table": str(tmp_path / "none.csv")})


def test_a_table_and_a_field_exclude_each_other():
    with pytest.raises(ValidationError, match="only one"):
        AnalyseConfig.model_validate({"field_table": [[0, 1.0]], "field": "positive"})


def test_a_table_that_lacks_a_frame_is_refused():
    with pytest.raises(ConfigError, match="lacks frame 1"):
        field(EMPTY, field_table=[[0, 1.0], [2, 1.0]])


def test_the_force_on_walls_gives_a_sign_only_where_it_is_certain():
    ends = {"wall_drive": [1.0, -1.0, 0.4], "wall_drive_low": [0.5, -2.0, -0.1], "wall_drive_high": [1.5, -0.2, 0.9]}  # fmt: skip
    drive = xr.Dataset({name: ("frame", values) for name, values in ends.items()})
    assert of_walls(drive).to_numpy().tolist() == [1.0, -1.0, 0.0]


def maps() -> xr.Dataset:
    p = np.ones((FRAMES, 16, 16), np.float32)
    p[:, :, 10:] = -1
    shown = xr.Dataset(
        {
            "polarization": (dims.IMAGE, p),
            "wall": (dims.IMAGE, np.zeros(p.shape, np.uint8)),
            "valid": (dims.IMAGE, np.ones(p.shape, bool)),
            "drift": (("frame", "axis"), np.zeros((FRAMES, 2))),
        }
    )
    return with_field(shown, field(RECORDED, field="recorded"))


def test_each_frame_is_switched_by_its_own_sign():
    config = AnalyseConfig(field="recorded")
    assert [sign_of(maps(), frame, config=config) for frame in range(FRAMES)] == [1, -1, 0]
    for frame, expected in enumerate((1, -1, 0)):
        sign = read_frame(maps(), frame, config=config).sign
        assert (sign[8, 2], sign[8, 14]) == (expected, -expected)


def test_a_field_that_turns_around_flips_no_pixel():
    flips = read_frame(maps(), 0, config=AnalyseConfig(field="recorded")).flips
    assert np.nansum(flips) == 0
