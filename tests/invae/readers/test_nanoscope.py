"""Bruker NanoScope: values by hard value, bytes per pixel and sensitivity, in numbers of 16 and 32 bits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from invae.errors import InputError, InvaeError
from invae.readers import open_recording
from tests.invae.readers.random_damage import every_damage_has_one_line

NUMBERS = np.random.default_rng(1).integers(-20000, 20000, (6, 8))
START = 8192
HEIGHT = "V [Sens. Zsens] (0.006713765 V/LSB) 6.498924 V"
"""As in a file of version 5: the range of a step is that of the scanner, the hard value that of the numbers."""
SENSITIVITIES = {"@Sens. Zsens": "V 11.43219 nm/V", "@Sens. ZsensSens": "V 166.6319 nm/V"}
SENSITIVITIES |= {"@Sens. Amplitude": "V 20.0 nm/V", "@Sens. Current": "V 10.0 nA/V"}


@dataclass(frozen=True)
class Image:
    """One image as NanoScope writes it."""

    numbers: np.ndarray = field(default_factory=lambda: NUMBERS.astype("<i2"))
    scale: str = HEIGHT
    name: str = 'S [Height] "Height"'
    entries: Mapping[str, str | None] = field(default_factory=dict)
    before: str = "@2:"


def write_spm(
    path: Path,
    *images: Image,
    version: str = "0x05120130",
    scan: Mapping[str, str] | None = None,
    sensitivities: Mapping[str, str] = SENSITIVITIES,
) -> Path:
    """Sections of text, then the numbers of every image, the lowest line first."""
    lines = ["\\*File list", f"\\Version: {version}", "\\Date: 03:23:39 PM Tue Feb 05 2013"]
    lines += ["\\*Scanner list", *(f"\\{key}: {value}" for key, value in sensitivities.items())]
    settings = {"Samps/line": "8", "Lines": "6", "X Offset": "300 nm", "Y Offset": "-2.5 ~m"}
    settings |= {"Rotate Ang.": "1.5708", **(scan or {})}
    lines += ["\\*Ciao scan list", *(f"\\{key}: {value}" for key, value in settings.items())]
    data, start = b"", START
    for image in images:
        numbers = image.numbers[::-1].tobytes()
        rows, columns = image.numbers.shape
        entries: dict[str, str | None] = {
            "Data offset": str(start),
            "Data length": str(len(numbers)),
            "Bytes/pixel": str(image.numbers.dtype.itemsize),
            "Samps/line": str(columns),
            "Number of lines": str(rows),
            "Aspect Ratio": "1:1",
            "Scan Size": "400 150 nm",
            "Line Direction": "Trace",
            f"{image.before}Image Data": image.name,
            f"{image.before}Z scale": image.scale,
            **image.entries,
        }
        lines.append("\\*Ciao image list")
        lines += [f"\\{key}: {value}" for key, value in entries.items() if value is not None]
        data, start = data + numbers, start + len(numbers)
    head = "\r\n".join([*lines, "\\*File list end", "\x1a"]).encode("latin-1")
    path.write_bytes(head.ljust(START, b"\0") + data)
    return path


def test_numbers_of_16_bits_are_scaled_by_the_hard_value(tmp_path: Path) -> None:
    recording = open_recording(write_spm(tmp_path / "scan.001", Image()))
    expected = NUMBERS * 6.498924 / 65536 * 11.43219
    np.testing.assert_allclose(recording["height"][0], expected, rtol=1e-12)
    np.testing.assert_allclose(recording["height"][0, 1:5:2, ::-2], expected[1:5:2, ::-2])
    assert recording["height"].attrs["units"] == "nm"
    assert recording["height"].attrs["direction"] == "trace"
    assert recording.attrs["acquired"] == "2013-02-05T15:23:39"
    assert recording.attrs["format"] == "nanoscope"


def test_numbers_of_32_bits_are_scaled_by_their_own_range(tmp_path: Path) -> None:
    """The step in the brackets is that of one number here: 0.804163 V / 2^32."""
    scale = "V [Sens. ZsensSens] (0.0000000001872337 V/LSB) 0.804163 V"
    image = Image((NUMBERS * 50000).astype("<i4"), scale, 'S [ZSensor] "Height Sensor"')
    recording = open_recording(write_spm(tmp_path / "scan.spm", image, version="0x09400103"))
    expected = NUMBERS * 50000.0 * 0.0000000001872337 * 166.6319
    np.testing.assert_allclose(recording["height_sensor"][0], expected, rtol=1e-6)


def test_since_version_9_2_numbers_have_32_bits_whatever_the_bytes_per_pixel(
    tmp_path: Path,
) -> None:
    image = Image(NUMBERS.astype("<i4"), entries={"Bytes/pixel": "2"})
    recording = open_recording(write_spm(tmp_path / "scan.spm", image, version="0x09300000"))
    np.testing.assert_allclose(recording["height"][0], NUMBERS * 6.498924 / 65536 * 11.43219)


UNITS = {
    "V [Sens. Amplitude] (0.0003051758 mV/LSB) 20.0 mV": ("nm", 20.0 / 1000 * 20.0),
    "V [Sens. Current] (0.0003 V/LSB) 20.0 V": ("nA", 20.0 * 10.0),
    "V [] (0.005493164 \u00ba/LSB) 360.0 \u00ba": ("degree", 360.0),
    "V (0.0003051758 V/LSB) 20.0 V": ("V", 20.0),
    "V [Sens. Stiff] (0.0003 Arb/LSB) 20.0 Arb": ("N/m", 20.0 * 3),
    "V [Sens. Modulus] (0.0003 Arb/LSB) 20.0 Arb": ("Pa", 20.0 * 2),
    "V [Sens. Bare] (0.0003 V/LSB) 20.0 V": ("V", 20.0 * 1.5),
    "V [Sens. Phase] (0.0003 V/LSB) 20.0 V": ("degree", 20.0 * 18),
}


@pytest.mark.parametrize("scale", UNITS)
def test_units_follow_from_the_sensitivity_and_the_hard_value(scale: str, tmp_path: Path) -> None:
    units, factor = UNITS[scale]
    more = {"@Sens. Bare": "V 1.5 ", "@Sens. Phase": "V 18.0 "}
    more |= {"@Sens. Stiff": "V 3.0 N/m*Arb", "@Sens. Modulus": "V 2.0 Pa/Arb"}
    image = Image(scale=scale, name='S [Phase] "Signal A"')
    path = write_spm(tmp_path / "a.spm", image, sensitivities=SENSITIVITIES | more)
    signal = open_recording(path)["signal_a"]
    np.testing.assert_allclose(signal[0], NUMBERS * factor / 65536)
    assert signal.attrs["units"] == units


def test_all_images_are_channels_with_their_direction_and_pass(tmp_path: Path) -> None:
    volts = "V (0.0003051758 V/LSB) 20.0 V"
    recording = open_recording(
        write_spm(
            tmp_path / "scan.spm",
            Image(),
            Image(NUMBERS.astype("<i2") + 1, volts, 'S [Amp] "Amplitude"', {"Line Direction": "Retrace"}),
            Image(NUMBERS.astype("<i2") + 2, volts, 'S [Amp] "Amplitude"', before="@3:"),
        )
    )  # fmt: skip
    assert list(recording) == ["height", "amplitude", "amplitude_nap"]
    np.testing.assert_allclose(recording["amplitude"][0], (NUMBERS + 1) * 20.0 / 65536)
    np.testing.assert_allclose(recording["amplitude_nap"][0], (NUMBERS + 2) * 20.0 / 65536)
    assert recording["amplitude"].attrs["direction"] == "retrace"
    assert recording["amplitude"].attrs["label"] == "Amplitude"


def test_axes_and_place_are_those_of_the_header(tmp_path: Path) -> None:
    recording = open_recording(write_spm(tmp_path / "scan.spm", Image()))
    np.testing.assert_allclose(recording["x"], np.arange(8) * 50)
    np.testing.assert_allclose(recording["y"], np.arange(6) * 25)
    metadata = json.loads(recording.attrs["metadata"])
    assert float(metadata["XOffset"]) == pytest.approx(3e-7)
    assert float(metadata["YOffset"]) == pytest.approx(-2.5e-6)
    assert float(metadata["ScanAngle"]) == pytest.approx(90, abs=1e-3)


def test_micrometres_and_a_single_size_are_read(tmp_path: Path) -> None:
    image = Image(entries={"Scan Size": None, "Scan size": "1.2 ~m"})
    recording = open_recording(write_spm(tmp_path / "scan.spm", image))
    np.testing.assert_allclose(recording["x"], np.arange(8) * 150)
    np.testing.assert_allclose(recording["y"], np.arange(6) * 200)


def test_a_scan_that_was_stopped_keeps_the_distance_of_its_lines(tmp_path: Path) -> None:
    path = write_spm(tmp_path / "scan.spm", Image(), scan={"Lines": "12"})
    np.testing.assert_allclose(open_recording(path)["y"], np.arange(6) * 12.5)


def test_pixels_of_a_scan_that_is_not_square_are_square_with_a_note(tmp_path: Path) -> None:
    image = Image(entries={"Scan Size": "10 10 ~m", "Aspect Ratio": "2:1"})
    recording = open_recording(write_spm(tmp_path / "scan.spm", image))
    np.testing.assert_allclose(recording["y"], np.arange(6) * 1250)
    assert any("pixels are taken as square" in note for note in recording.attrs["notes"])


def test_the_size_of_the_scan_counts_where_that_of_the_image_is_wrong(tmp_path: Path) -> None:
    image = Image(entries={"Samps/line": "4", "Number of lines": "4"})
    recording = open_recording(write_spm(tmp_path / "scan.spm", image))
    np.testing.assert_allclose(recording["height"][0], NUMBERS * 6.498924 / 65536 * 11.43219)


def test_a_channel_without_a_known_scale_is_left_out_or_refused(tmp_path: Path) -> None:
    odd = Image(scale="V [Sens. Gone] (0.1 V/LSB) 20.0 V", name='S [Odd] "Odd"')
    modulus = Image(scale="V [Sens. Zsens] (0.1 Arb/LSB) 20.0 Arb", name='S [Mod] "Modulus"')
    recording = open_recording(write_spm(tmp_path / "a.spm", odd, Image(), modulus))
    assert list(recording) == ["height"]
    for name in ("Odd", "Modulus"):
        assert f"channel {name} was left out: the scale of its values is unknown" in recording.attrs["notes"]  # fmt: skip
    with pytest.raises(InputError, match=r"no known scale of its values \(Odd\).*Gwyddion"):
        open_recording(write_spm(tmp_path / "b.spm", odd))


def test_what_is_no_image_or_not_whole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.spm"
    with pytest.raises(InputError, match=r"Bruker NanoScope with no image.*Gwyddion"):
        open_recording(write_spm(path))
    with pytest.raises(InputError, match=r"force curves of NanoScope.*Gwyddion"):
        open_recording(write_spm(path, Image(), scan={"Operating mode": "Force Volume"}))
    with pytest.raises(InputError, match=r"Height has 5 × 8 values in 96 bytes"):
        open_recording(
            write_spm(path, Image(entries={"Number of lines": "5"}), scan={"Lines": "5"})
        )
    whole = write_spm(path, Image()).read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="its header requires"):
        open_recording(path)
    path.write_bytes(whole[:200])
    with pytest.raises(InputError, match="Bruker NanoScope whose header has no end"):
        open_recording(path)


def refusal(path: Path) -> str:
    try:
        open_recording(path).load()
    except InvaeError as error:
        return str(error)
    return ""


def test_no_damage_escapes_as_another_error(tmp_path: Path) -> None:
    path = write_spm(tmp_path / "scan.spm", Image())
    every_damage_has_one_line(path, refusal, changed=1201)


def test_sensitivities_are_those_of_the_scanner_or_of_the_scan(tmp_path: Path) -> None:
    image = Image(scale="V [Sens. Twice] (0.0003 V/LSB) 20.0 V", name='S [A] "Signal A"')
    more = Image(scale="V [Sens. Scan] (0.0003 V/LSB) 20.0 V", name='S [B] "Signal B"')
    of_scan = {"@Sens. Twice": "V 9.0 nm/V", "@Sens. Scan": "V 4.0 nm/V"}
    path = write_spm(
        tmp_path / "a.spm", image, more, scan=of_scan, sensitivities={"@Sens. Twice": "V 2.0 nm/V"}
    )
    recording = open_recording(path)
    np.testing.assert_allclose(recording["signal_a"][0], NUMBERS * 20.0 / 65536 * 2)
    np.testing.assert_allclose(recording["signal_b"][0], NUMBERS * 20.0 / 65536 * 4)
