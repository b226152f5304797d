"""Names and units are those of the field."""

import pytest

from invae.readers import labels


@pytest.mark.parametrize(
    ("label", "name", "direction"),
    [
        ("HeightRetrace", "height", "retrace"),
        ("Phase1Retracece", "phase_1", "retrace"),  # the rest of a longer label follows
        ("Phase2Retraceace", "phase_2", "retrace"),
        ("AmplitudeRetr", "amplitude", "retrace"),  # cut short
        ("DeflectionTrace", "deflection", "trace"),
        ("NapUserIn0Retrace", "nap_user_in_0", "retrace"),
        ("ZSensorTrace", "z_sensor", "trace"),
        ("Z Height", "z_height", ""),
        ("Topography", "height", ""),
        ("amplitude_1", "amplitude_1", ""),
        ("Größe [nm]", "groe_nm", ""),
        ("位相", "channel", ""),
        ("2nd harmonic", "channel_2_nd_harmonic", ""),
        ("", "channel", ""),
    ],
)
def test_labels_become_names(label: str, name: str, direction: str) -> None:
    assert labels.channel_name(label) == (name, direction)


def test_a_name_is_its_own_name() -> None:
    for label in ("HeightRetrace", "Phase1Retracece", "NapUserIn0Retrace", "Z Height"):
        name, _ = labels.channel_name(label)
        assert labels.channel_name(name)[0] == name


def test_names_that_stand_there_twice_are_numbered() -> None:
    assert labels.unique(["height", "phase", "height"]) == ["height_1", "phase", "height_2"]
    assert labels.unique(["phase", "phase_1", "phase"]) == ["phase_2", "phase_1", "phase_3"]


@pytest.mark.parametrize(
    ("units", "canonical"),
    [
        ("deg", "degree"),
        ("°", "degree"),
        ("µm", "um"),
        ("μm", "um"),
        ("\\u00B5m", "um"),
        ("\\u00C5", "angstrom"),
        ("Å", "angstrom"),
        ("\u212b", "angstrom"),
        ("counts", "count"),
        ("a.u.", "1"),
        ("", "1"),
        ("pm/V", "pm/V"),
        ("1/nm", "1/nm"),
        ("mV", "mV"),
        ("m", "m"),
        ("kHz", "kHz"),
        ("nm^2", "nm^2"),
        ("furlong", None),
        ("nm / fortnight", None),
    ],
)
def test_units_are_spelled_as_cf_spells_them(units: str, canonical: str | None) -> None:
    assert labels.canonical_units(units) == canonical


@pytest.mark.parametrize(
    ("units", "nm"), [("m", 1e9), ("um", 1e3), ("Å", 0.1), ("nm", 1), ("pm", 1e-3), ("V", None)]
)
def test_lengths_are_told_in_nanometres(units: str, nm: float | None) -> None:
    assert labels.nanometres(units) == pytest.approx(nm)


def test_the_instruments_clock_counts_from_1904() -> None:
    taken = labels.igor_time({"Seconds": "3806987446.5"})
    assert taken is not None
    assert taken.isoformat() == "2024-08-20T08:30:46.500000"
    for told in ({}, {"Seconds": "soon"}, {"Seconds": "nan"}, {"Seconds": -1}):
        assert labels.igor_time(told) is None
