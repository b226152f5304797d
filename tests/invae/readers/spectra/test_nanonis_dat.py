"""Point spectra of Nanonis: text files of one point each."""

from pathlib import Path

import numpy as np
import pytest

from invae.config import IngestConfig
from invae.errors import InputError
from invae.readers import open_recording
from invae.readers.ingest import ingest
from tests.invae.readers.spectra.conftest import write_sxm

BIAS = np.linspace(-0.3, 0.3, 7)


def write_dat(
    path: Path,
    columns: dict[str, np.ndarray],
    *,
    place: tuple[float, float] | None = (-890.53e-12, 29.6968e-9),
) -> Path:
    """A file as the instrument exports it: entries end with a tab, an empty entry, `[DATA]`, columns apart by tabs."""
    entries = {"Experiment": "bias spectroscopy", "Saved Date": "23.11.2022 18:55:20", "User": ""}
    if place is not None:
        entries |= {"X (m)": f"{place[0]:.6E}", "Y (m)": f"{place[1]:.6E}"}
    entries |= {"Start time": "23.11.2022 18:55:16", "Bias Spectroscopy>Num Pixel": str(len(BIAS))}
    header = "".join(f"{name}\t{text}\t\r\n" for name, text in entries.items())
    rows = ["\t".join(f"{value:.6E}" for value in row) for row in np.stack([*columns.values()], 1)]
    table = "\r\n".join(["\t".join(columns), *rows])
    path.write_text(f"{header}\t\r\n[DATA]\r\n{table}\r\n", "latin-1")
    return path


def current(scale: float) -> dict[str, np.ndarray]:
    return {"Bias calc (V)": BIAS, "Current (A)": scale * 1e-10 * BIAS, "LI Demod 1 X (A)": scale * 1e-12 * np.ones(7)}  # fmt: skip


def test_a_spectrum_has_its_bias_its_place_and_its_time(tmp_path: Path) -> None:
    recording = open_recording(write_dat(tmp_path / "one.dat", current(1.0)))
    assert recording["current"].dims == ("point", "voltage")
    assert recording["current"].attrs["units"] == "A"
    np.testing.assert_allclose(recording["current"][0], 1e-10 * BIAS)
    np.testing.assert_allclose(recording["voltage"], BIAS)
    assert recording["voltage"].attrs["units"] == "V"
    np.testing.assert_allclose(recording["point_y_nm"], [-29.6968])
    np.testing.assert_allclose(recording["point_x_nm"], [-0.89053])
    assert recording.attrs["acquired"] == "2022-11-23T18:55:16"
    assert recording.attrs["modality"] == "STS"


def test_several_files_are_the_spectra_of_several_points_and_are_stored(tmp_path, receipt_for):
    places = [(1e-9, 2e-9), (3e-9, 4e-9), (5e-9, 4e-9)]
    files = [write_dat(tmp_path / f"{n}.dat", current(1.0 + n), place=at) for n, at in enumerate(places)]  # fmt: skip
    recording = open_recording(files)
    assert recording["current"].shape == (3, 7)
    np.testing.assert_allclose(recording["current"][:, 0], -3e-11 * np.array([1, 2, 3]))
    np.testing.assert_allclose(recording["point_x_nm"], [1, 3, 5])
    assert recording.attrs["sources"] == ["0.dat", "1.dat", "2.dat"]
    target = tmp_path / "recording.zarr"
    ingest(files, target, config=IngestConfig(), receipt=receipt_for(*files))
    np.testing.assert_allclose(open_recording(target)["current"], recording["current"])


def test_points_lie_on_the_image_of_the_same_session(tmp_path: Path) -> None:
    """The image is turned; the place of each of its pixels in the instrument's coordinates is that of the formula on the page of formats."""
    write_sxm(tmp_path / "image.sxm")
    image = open_recording(tmp_path / "image.sxm")
    (cy, cx), (height, width), angle = (image.attrs[f"grid_{n}"] for n in ("centre_nm", "size_nm", "angle_deg"))  # fmt: skip
    n, m = image.sizes["y"], image.sizes["x"]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    pixels, files = [(0, 0), (n - 1, 1), (1, m - 1)], []
    for row, column in pixels:
        down, right = (row - (n - 1) / 2) * height / n, (column - (m - 1) / 2) * width / m
        at = (cx + cos * right + sin * down, -(cy - sin * right + cos * down))
        files.append(write_dat(tmp_path / f"{row}-{column}.dat", current(1.0), place=(at[0] * 1e-9, at[1] * 1e-9)))  # fmt: skip
    recording = open_recording([*files, tmp_path / "image.sxm"])
    assert abs(angle) > 1
    np.testing.assert_allclose(recording["point_y_nm"], [image["y"][row] for row, _ in pixels], atol=1e-3)  # fmt: skip
    np.testing.assert_allclose(recording["point_x_nm"], [image["x"][column] for _, column in pixels], atol=1e-3)  # fmt: skip
    assert recording["height_1"].dims == ("frame", "y", "x")
    assert recording.attrs["sources"] == [*(file.name for file in files), "image.sxm"]


def test_a_backward_sweep_follows_the_forward_one_as_measured(tmp_path: Path) -> None:
    columns = {"Bias (V)": BIAS, "Current (A)": BIAS, "Current [bwd] (A)": BIAS + 10}
    recording = open_recording(write_dat(tmp_path / "both.dat", columns))
    np.testing.assert_allclose(recording["voltage"], [*BIAS, *BIAS[::-1]])
    np.testing.assert_allclose(recording["current"][0], [*BIAS, *(BIAS[::-1] + 10)])
    assert recording["direction"].to_numpy().tolist() == [0] * 7 + [1] * 7


def test_of_repeated_sweeps_the_average_is_read(tmp_path: Path) -> None:
    columns = {"Bias calc (V)": BIAS, "Current [AVG] (A)": BIAS, "Current [00001] (A)": 2 * BIAS, "Current [00002] (A)": 0 * BIAS}  # fmt: skip
    recording = open_recording(write_dat(tmp_path / "repeated.dat", columns))
    assert list(recording) == ["current"]
    np.testing.assert_allclose(recording["current"][0], BIAS)
    assert any("average" in note for note in recording.attrs["notes"])


def test_files_that_do_not_fit_are_refused_in_one_line(tmp_path: Path) -> None:
    one = write_dat(tmp_path / "one.dat", current(1.0))
    other = current(1.0) | {"Bias calc (V)": BIAS + 0.1}
    approach = {"Z rel (m)": BIAS, "Current (A)": BIAS}
    singles = {"Bias (V)": BIAS, "Current [00001] (A)": BIAS}
    cut = tmp_path / "cut.dat"
    cut.write_text(one.read_text("latin-1").partition("[DATA]")[0], "latin-1")
    refused = {
        "is at the place of one.dat; average": [one, write_dat(tmp_path / "again.dat", current(2.0))],
        "another axis than one.dat": [one, write_dat(tmp_path / "other.dat", other)],
        "its first column is 'Z rel \\(m\\)'; only sweeps of the bias": [write_dat(tmp_path / "z.dat", approach)],
        "are single sweeps; export their average": [write_dat(tmp_path / "single.dat", singles)],
        "has no X \\(m\\); export the place": [write_dat(tmp_path / "nowhere.dat", current(1.0), place=None)],
        "has no \\[DATA\\] with values": [cut],
    }  # fmt: skip
    for words, files in refused.items():
        with pytest.raises(InputError, match=words) as caught:
            open_recording(files)
        assert "\n" not in str(caught.value)
