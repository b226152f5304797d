"""Amplitude and phase of one measurement are taken, in the right unit, and the choice is told."""

from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr

from invae.config import WallsConfig
from invae.descriptors.domains.signals import Signals, find_signals, read_complex
from invae.errors import ConfigError, InputError
from tests.invae.descriptors.conftest import disc, lock_in

SHAPE = (48, 40)
TRUTH = disc(SHAPE, (24, 20), 11)
RECORDED = lock_in(TRUTH, offset=0.4, noise=0.1)
AMPLITUDE, PHASE = RECORDED["amplitude"], RECORDED["phase"]


def recording(
    labels: Mapping[str, str],
    *,
    units: str = "rad",
    values: Mapping[str, np.ndarray] | None = None,
    directions: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """One frame with a channel for every name, with the instrument's label."""
    variables = {}
    for name, label in labels.items():
        phase = "phase" in label.lower() and "amp" not in label.lower()
        image = (values or {}).get(name, PHASE if phase else AMPLITUDE)
        attrs = {"label": label, "units": units if phase else "m"}
        if directions and name in directions:
            attrs["direction"] = directions[name]
        variables[name] = (("frame", "y", "x"), image[None].astype(np.float32), attrs)
    return xr.Dataset(variables)


def chosen(dataset: xr.Dataset, **config: str | float | tuple[str, str]) -> Signals:
    return find_signals(dataset, config=WallsConfig.model_validate(config))


def polarization_is_right(dataset: xr.Dataset, signals: Signals) -> bool:
    response = read_complex(dataset, signals, slice(0, 1))[0] * np.exp(-0.4j)
    return bool((np.sign(response.real) == np.sign(TRUTH)).mean() > 0.97)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["Amplitude", "Phase"], (0, 1)),
        (["AmplitudeRetrace", "PhaseTrace", "AmplitudeTrace", "PhaseRetrace"], (2, 1)),
        (["AmplitudeRetrace", "PhaseTrace", "PhaseRetrace"], (0, 2)),
        (["HeightRetrace", "AmplitudeRetrace", "PhaseTrace", "AmplitudeTrace", "PhaseRetrace"], (1, 4)),
        (["Phase2Retrace", "Amplitude2Retrace", "Amplitude1Retrace", "Phase1Retrace"], (2, 3)),
        (["Amplitude1Retrace", "Phase1Trace", "Phase1Retrace"], (0, 2)),
        (["NapAmplitude", "NapPhase", "Phase", "Amplitude"], (3, 2)),
        (["Amplitude Lateral", "Phase Lateral", "Amplitude Vertical", "Phase Vertical"], (2, 3)),
        (["Lateral Amplitude", "Amplitude", "Lateral Phase", "Phase"], (1, 3)),
        (["PFM in-plane phase", "PFM in-plane amp", "PFM out of plane phase", "PFM out of plane amp"], (3, 2)),
        (["Phase", "Amplitude", "PR Phase", "PR Amplitude"], (3, 2)),
        (["Z-Axis [Fwd]", "PFM Amplitude [Fwd]", "PFM Phase [Fwd]"], (1, 2)),
        (["Amplitude (Retrace)", "Phase (Trace)", "Phase (Retrace)"], (0, 2)),
        (["Log Amplitude", "Drive amplitude", "Amplitude Error", "PFMAmp", "PFMPhase"], (3, 4)),
    ],
)  # fmt: skip
def test_amplitude_and_phase_are_of_one_measurement(
    labels: list[str], expected: tuple[int, int]
) -> None:
    names = {f"channel_{chr(97 + n)}": label for n, label in enumerate(labels)}
    signals = chosen(recording(names))
    found = tuple(list(names).index(name) for name in (signals.amplitude, signals.phase))
    assert found == expected


def test_the_direction_of_the_reader_counts_where_the_label_has_none() -> None:
    names = {"amplitude": "Amp", "phase_1": "Phase", "phase_2": "Phase"}
    directions = {"amplitude": "retrace", "phase_1": "trace", "phase_2": "retrace"}
    with pytest.raises(InputError, match="is of the same measurement"):
        chosen(recording(names, directions=directions))  # phase_2 repeats the label of phase_1
    names["phase_2"] = "Phase, backwards"
    assert chosen(recording(names, directions=directions)).phase == "phase_2"


def test_equal_labels_are_paired_in_their_order() -> None:
    names = {"amplitude_1": "Amplitude", "phase_1": "Phase", "amplitude_2": "Amplitude", "phase_2": "Phase"}  # fmt: skip
    assert chosen(recording(names), amplitude="amplitude_2").phase == "phase_2"
    assert chosen(recording(names), phase="phase_1").amplitude == "amplitude_1"


def test_a_choice_among_several_is_told_with_the_others() -> None:
    names = {"a": "AmplitudeRetrace", "p": "PhaseRetrace", "b": "AmplitudeTrace", "q": "PhaseTrace"}
    (remark,) = chosen(recording(names)).remarks
    assert "channels b (AmplitudeTrace) and q (PhaseTrace) are used" in remark
    assert "a with p" in remark
    assert chosen(recording({"a": "AmplitudeRetrace", "p": "PhaseRetrace"})).remarks == ()


def test_what_does_not_belong_together_is_asked_for_and_taken_when_named() -> None:
    dataset = recording({"amplitude": "AmplitudeTrace", "phase": "PhaseRetrace"})
    with pytest.raises(InputError, match=r"AmplitudeTrace.*PhaseRetrace.*describe\.amplitude"):
        chosen(dataset)
    signals = chosen(dataset, amplitude="amplitude", phase="phase")
    assert "different measurements" in signals.remarks[0]


def test_the_words_for_the_report_name_the_labels() -> None:
    dataset = recording({"amplitude": "PR Amplitude", "phase": "PR Phase"})
    assert chosen(dataset).words(dataset) == "amplitude PR Amplitude, phase PR Phase"


QUADRATURES = {"pfm_x": AMPLITUDE * np.cos(PHASE), "pfm_y": AMPLITUDE * np.sin(PHASE)}


@pytest.mark.parametrize("config", [{}, {"polarization": ("pfm_x", "pfm_y")}])
def test_x_and_y_of_a_lock_in_are_the_response(config: dict[str, tuple[str, str]]) -> None:
    dataset = recording(
        {"height": "Height", "pfm_x": "PFM X", "pfm_y": "PFM Y"}, values=QUADRATURES
    )
    signals = chosen(dataset, **config)
    assert (signals.polarization, signals.quadrature) == ("pfm_x", "pfm_y")
    assert signals.has_phase
    assert polarization_is_right(dataset, signals)
    assert signals.words(dataset) == "X PFM X, Y PFM Y"


def test_x_alone_is_the_polarization() -> None:
    dataset = recording({"pfm_x": "PFM X", "pfm_y": "PFM Y"}, values=QUADRATURES)
    signals = chosen(dataset, polarization="pfm_x")
    np.testing.assert_array_equal(
        read_complex(dataset, signals, slice(0, 1))[0].real, dataset["pfm_x"][0]
    )
    assert not signals.has_phase
    with pytest.raises(ConfigError, match=r"describe\.polarization names 'pfm_z'"):
        chosen(dataset, polarization=("pfm_x", "pfm_z"))


def test_positions_are_no_lock_in() -> None:
    with pytest.raises(InputError, match="walls need amplitude and phase"):
        chosen(recording({"x": "X sensor", "y": "Y sensor", "height": "Height"}))


def with_phase(factor: float, units: str) -> xr.Dataset:
    names = {"amplitude": "Amplitude", "phase": "Phase"}
    return recording(names, units=units, values={"phase": PHASE * factor})


@pytest.mark.parametrize(
    ("factor", "units", "told"),
    [
        (1.0, "rad", ""),
        (180 / np.pi, "degree", ""),
        (180 / np.pi, "V", "taken as degree"),
        (180 / np.pi, "1", "taken as degree"),
        (1.0, "1", "taken as rad"),
        (1.0, "degree", "taken as rad"),
        (180 / np.pi, "rad", "taken as degree"),
    ],
)
def test_the_unit_of_the_phase_follows_from_its_range_if_the_file_is_wrong(
    factor: float, units: str, told: str
) -> None:
    dataset = with_phase(factor, units)
    signals = chosen(dataset)
    assert polarization_is_right(dataset, signals)
    assert told in " ".join(signals.remarks)
    assert bool(signals.remarks) == bool(told)


@pytest.mark.parametrize(("factor", "units"), [(10 / np.pi, "V"), (1.0, "V"), (15.0, "1")])
def test_a_phase_of_unclear_unit_is_one_question(factor: float, units: str) -> None:
    dataset = with_phase(factor, units)
    with pytest.raises(InputError, match=r"degree or rad\? set describe.phase_unit"):
        chosen(dataset)
    signals = chosen(dataset, phase_unit=180 / np.pi / factor)
    assert polarization_is_right(dataset, signals)


def test_the_setting_counts_before_range_and_file() -> None:
    assert chosen(with_phase(1.0, "rad"), phase_unit="degree").phase_unit == pytest.approx(
        np.pi / 180
    )


def test_a_small_phase_in_degree_stays_in_degree_and_is_remarked() -> None:
    one_domain = {"phase": 20 + np.random.default_rng(0).normal(size=SHAPE)}
    dataset = recording({"amplitude": "Amp", "phase": "Phase"}, units="degree", values=one_domain)
    signals = chosen(dataset)
    assert signals.phase_unit == pytest.approx(np.pi / 180)
    assert "spans only" in signals.remarks[0]


def test_a_levelled_amplitude_is_told_and_does_not_turn_signs() -> None:
    names = {"amplitude": "Amplitude", "phase": "Phase"}
    dataset = recording(names, values={"amplitude": AMPLITUDE - AMPLITUDE.mean()})
    signals = chosen(dataset)
    assert polarization_is_right(dataset, signals)
    assert "are below 0" in signals.remarks[0]
    assert "describe.polarization=amplitude" in signals.remarks[0]
    assert chosen(recording(names)).level == 0


def test_a_phase_from_0_to_360_is_one_from_minus_180_to_180() -> None:
    values = {"phase": np.rad2deg(PHASE) % 360, "amplitude": AMPLITUDE}
    dataset = recording({"amplitude": "Amplitude", "phase": "Phase"}, units="degree", values=values)
    assert polarization_is_right(dataset, chosen(dataset))
