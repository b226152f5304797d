"""Instruments: what they measure, and that a folder is asked once."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from invae.active.drift import shift_of
from invae.active.folder_instrument import Folder, NoAnswer
from invae.active.instruments import Replay, SimulatedDomains, instrument_of, simulated_of
from invae.config.plasmons import PlasmonsConfig
from invae.config.synthetic import DomainsConfig
from invae.errors import ConfigError, InputError
from invae.synthetic import domains, plasmons


def sites_at(candidates, number=0, **coords) -> xr.Dataset:
    n = len(candidates)
    usual = {"frame": np.zeros(n, int), "y": np.arange(n) + 0.0, "x": np.arange(n) + 0.0}
    named = {"candidate": np.asarray(candidates), **usual, **coords}
    return xr.Dataset(coords={k: ("site", v) for k, v in named.items()}, attrs={"number": number})


def answer(path: Path, text: str) -> None:
    hidden = path.with_name(f".{path.name}")
    hidden.write_text(text)
    hidden.rename(path)


def test_replay_gives_the_spectra_of_the_sites():
    spectra = np.arange(40.0).reshape(10, 4)
    store = xr.Dataset({"spectrum": (("site", "voltage"), spectra)}, {"voltage": np.arange(4.0)})
    measured = Replay(store).measure(sites_at([7, 2]))
    np.testing.assert_array_equal(measured["spectrum"], spectra[[7, 2]])
    assert measured["valid"].all()


def test_replay_without_spectra_is_refused():
    with pytest.raises(InputError, match="replay needs measured spectra"):
        Replay(xr.Dataset({"patch": ("site", np.zeros(3))}))


def test_simulated_particles_give_the_recorded_spectra_up_to_noise(tmp_path):
    config = PlasmonsConfig.model_validate({"sample": {"kind": "assembly", "n_assemblies": 2}})
    plasmons.simulate(tmp_path / "recording.zarr", config=config, seed=1)
    recording, truth = plasmons.simulate_dataset(config, seed=1)
    chosen = np.array([3, 70, 100])
    places: dict[str, Any] = {
        "frame": recording["point_frame"].to_numpy()[chosen],
        "y_nm": recording["point_y_nm"].to_numpy()[chosen],
        "x_nm": recording["point_x_nm"].to_numpy()[chosen],
    }
    instrument = simulated_of(tmp_path / "recording.zarr", seed=0)
    measured = instrument.measure(sites_at(chosen, **places))
    clean, sd = (truth[name].to_numpy()[chosen] for name in ("spectrum", "spectrum_sd"))
    np.testing.assert_allclose(measured["spectrum_sd"], sd)
    away = (measured["spectrum"].to_numpy() - clean) / sd[:, None]
    assert 0.85 < away.std() < 1.15
    again = instrument.measure(sites_at(chosen[1:], **{k: v[1:] for k, v in places.items()}))
    np.testing.assert_array_equal(again["spectrum"], measured["spectrum"][1:])


def test_the_offset_of_simulated_loops_follows_the_domains_and_their_area_does_not():
    config = DomainsConfig.model_validate({"rows": 48, "columns": 48, "n_frames": 1, "margin": 16})
    _, truth = domains.simulate_dataset(config, 5)
    y, x = np.indices((48, 48)).reshape(2, -1)
    sites = sites_at(np.arange(48**2), y=y + 0.0, x=x + 0.0)
    loops = SimulatedDomains(truth, seed=0).measure(sites)["spectrum"].to_numpy()
    shown = truth["polarization"].to_numpy()[0].ravel()
    height = loops.max(1) - loops.min(1)
    assert np.corrcoef(loops.mean(1), shown)[0, 1] > 0.5
    assert abs(np.corrcoef(height, shown)[0, 1]) < 0.1


def test_a_recording_without_truth_cannot_be_simulated(tmp_path):
    with pytest.raises(InputError, match="has no truth to measure"):
        simulated_of(tmp_path, seed=0)


@pytest.mark.parametrize("name", ["telescope", "folder:", "replay:x"])
def test_an_unknown_instrument_is_named(tmp_path, name):
    with pytest.raises(ConfigError, match=f"instrument '{name}' does not exist"):
        instrument_of(name, tmp_path, seed=0, timeout=1)


CSV = "voltage [V],a [pm],b [pm]\n0,1,4\n1,2,5\n2,3,6\n"
JSON = json.dumps(
    {
        "axis": [0, 1, 2],
        "spectra": [[1, 2, 3], [4, 5, 6]],
        "axis_name": "voltage",
        "axis_units": "V",
        "units": "pm",
    }
)


@pytest.mark.parametrize(("suffix", "text"), [(".csv", CSV), (".json", JSON)])
def test_a_folder_asks_and_takes_the_answer(tmp_path, suffix, text):
    folder = Folder(tmp_path, timeout=20)
    found = []
    asking = threading.Thread(target=lambda: found.append(folder.measure(sites_at([5, 6], 12))))
    asking.start()
    request = tmp_path / "request-000012.json"
    while not request.exists():
        time.sleep(0.01)
    words = json.loads(request.read_text())
    assert [site["candidate"] for site in words["sites"]] == [5, 6]
    assert words["sites"][1]["y"] == 1.0
    answer(tmp_path / f"answer-000012{suffix}", text)
    asking.join(20)
    (measured,) = found
    np.testing.assert_array_equal(measured["spectrum"], [[1, 2, 3], [4, 5, 6]])
    assert measured["voltage"].attrs["units"] == "V"
    assert measured["spectrum"].attrs["units"] == "pm"


def test_an_answered_request_is_not_asked_again(tmp_path):
    answer(tmp_path / "answer-000003.csv", CSV)
    first = Folder(tmp_path, timeout=1).measure(sites_at([5, 6], 3))
    request = tmp_path / "request-000003.json"
    before = request.stat().st_mtime_ns
    again = Folder(tmp_path, timeout=1).measure(sites_at([5, 6], 3))
    assert request.stat().st_mtime_ns == before
    xr.testing.assert_identical(first, again)


def test_the_request_of_another_search_is_refused(tmp_path):
    answer(tmp_path / "answer-000003.csv", CSV)
    Folder(tmp_path, timeout=1).measure(sites_at([5, 6], 3))
    with pytest.raises(InputError, match="asks for other sites than this search"):
        Folder(tmp_path, timeout=1).measure(sites_at([7, 8], 3))


def test_no_answer_in_time_is_an_error_of_the_machine(tmp_path):
    with pytest.raises(NoAnswer, match=r"no answer to request 0 within 0\.1 s"):
        Folder(tmp_path, timeout=0.1).measure(sites_at([1]))


def test_a_failed_measurement_is_invalid(tmp_path):
    (tmp_path / "answer-000000.failed").touch()
    measured = Folder(tmp_path, timeout=1).measure(sites_at([1]))
    assert not measured["valid"].any()


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".csv", "voltage [V],a\n0,x\n", "cannot be read: could not convert"),
        (".csv", "voltage [V],a\n0,1\n1,2\n", r"shape \(1, 2\); 2 sites × 2 values"),
        (".json", '{"axis": [0, 1]}', "cannot be read: 'spectra'"),
        (
            ".json",
            '{"axis": [0, 1], "spectra": [[1, 2], [3, 4]], "candidates": [5, 9]}',
            r"answers candidates \[5, 9\] instead of \[5, 6\]",
        ),
    ],
)
def test_an_unusable_answer_is_named(tmp_path, suffix, text, message):
    answer(tmp_path / f"answer-000000{suffix}", text)
    with pytest.raises(InputError, match=message):
        Folder(tmp_path, timeout=1).measure(sites_at([5, 6]))


def test_a_moved_image_has_its_shift():
    rng = np.random.default_rng(0)
    from scipy.ndimage import gaussian_filter, shift

    field = gaussian_filter(rng.normal(size=(80, 80)), 2)
    moved = shift(field, (3.4, -2.2), mode="grid-wrap")
    np.testing.assert_allclose(shift_of(field, moved), (3.4, -2.2), atol=0.15)
