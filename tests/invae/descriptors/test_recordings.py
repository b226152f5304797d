"""What the stage must reach: on simulated series against their truth, and on recordings from the
instrument.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi
import xarray as xr

from invae.config import IngestConfig, WallsConfig
from invae.config.describe import DelayChannels, PatchConfig
from invae.config.synthetic import DomainsConfig, ProbeConfig
from invae.readers.ingest import ingest
from invae.storage import store
from invae.storage.provenance import Receipt
from invae.synthetic.domains import simulate
from tests.invae.descriptors.conftest import Describe

DELAY = WallsConfig(patches=PatchConfig(channels=DelayChannels()))


@dataclass(frozen=True)
class Simulated:
    truth: xr.Dataset
    maps: xr.Dataset
    contours: xr.Dataset


@pytest.fixture(params=[(101, 10.0, 3.0), (102, 3.0, 1.5), (103, 30.0, 3.0)])
def simulated(request: pytest.FixtureRequest, tmp_path: Path, described: Describe) -> Simulated:
    """A series of a seed, a signal-to-noise ratio and a largest drift per frame [px]."""
    seed, snr, drift = request.param
    probe = ProbeConfig(snr=snr, drift=drift, scars=1, tip_loss=0.3)
    config = DomainsConfig(rows=96, columns=112, n_frames=14, margin=48, probe=probe)
    simulate(tmp_path / "series.zarr", config=config, seed=seed)
    path = described(tmp_path / "series.zarr", DELAY)
    return Simulated(
        store.open_store(tmp_path / "series.zarr", group="truth").load(),
        store.open_store(path, group="maps").load(),
        store.open_store(path, group="contours").load(),
    )


def within(points: np.ndarray, lines: np.ndarray, reach: float) -> float:
    """Share of the points that have a line within reach, over all frames."""
    near = np.stack([np.asarray(ndi.distance_transform_edt(~frame)) for frame in lines]) <= reach
    return float(near[points].mean())


def test_walls_drift_and_masks_of_a_simulated_series_are_the_true_ones(
    simulated: Simulated,
) -> None:
    truth, maps = simulated.truth, simulated.maps
    valid: np.ndarray = maps["valid"].to_numpy()
    walls, true_walls = maps["wall"].to_numpy() == 1, truth["wall"].to_numpy()
    precision, recall = within(walls, true_walls, 2), within(true_walls & valid, walls, 2)
    assert 2 * precision * recall / (precision + recall) >= 0.97  # the mark is 0.95 at SNR 10
    error = np.linalg.norm(maps["drift"].to_numpy() - truth["drift"].to_numpy(), axis=1)
    assert error.max() < 0.2  # the mark is 0.3 px
    lost, scarred = truth["tip_loss"].to_numpy(), truth["scar"].to_numpy()
    masked = ~np.asarray(valid.any(axis=2))
    assert masked[lost].mean() > 0.95
    assert masked[scarred].mean() > 0.7  # a scar may fall beside another
    assert masked[~lost & ~scarred].mean() < 0.01
    assert float(maps["phase_offset"]) == pytest.approx(0.6, abs=np.deg2rad(3))


def test_edges_of_lamellae_of_a_simulated_series_are_the_true_ones(simulated: Simulated) -> None:
    found = simulated.maps["wall"].to_numpy() == 2
    edge = simulated.truth["non180_edge"].to_numpy()
    known = edge & simulated.maps["valid"].to_numpy()
    precision, recall = within(found, edge, 2), within(known, found, 2)
    f1 = 2 * precision * recall / (precision + recall)
    assert f1 > 0.83, "dips of the amplitude reach 0.63 to 0.77"
    assert min(precision, recall) > 0.75


def taken_in(files: list[Path], folder: Path) -> Path:
    receipt = Receipt("ingest", "i" * 32, "recording", (), {}, {}, "hash", 0, "code")
    ingest(files, folder / "recording.zarr", config=IngestConfig(), receipt=receipt)
    return folder / "recording.zarr"


@pytest.fixture
def pzt(shared_data: Path, tmp_path: Path, described: Describe) -> Path:
    """Descriptors of three scans of one PZT area."""
    files = [shared_data / "pfm" / f"PZT_final000{number}.h5" for number in (1, 2, 3)]
    return described(taken_in(files, tmp_path), DELAY)


def test_the_three_scans_of_pzt_drift_as_others_found(pzt: Path) -> None:
    maps = store.open_store(pzt, group="maps")
    drift, sd = maps["drift"].to_numpy(), maps["drift_sd"].to_numpy()
    np.testing.assert_allclose(drift[1:], [(3.0, 1.4), (3.8, 4.4)], atol=1)
    assert (
        (sd[1:] > 0.2) & (sd[1:] < 1.0)
    ).all()  # the scanner drifts while it scans: regions differ by 1 px


def test_the_lost_stripes_of_pzt_are_masked_and_hold_no_wall(pzt: Path) -> None:
    maps = store.open_store(pzt, group="maps").load()
    contours = store.open_store(pzt, group="contours").load()
    assert maps.attrs["scan_lines"] == "rows"
    lost = maps["invalid_reason"].to_numpy() == 2
    assert lost[0].mean() < 0.01
    for frame in (1, 2):
        assert lost[frame][:70].all()  # the scan goes upwards
        assert not lost[frame][80:].any()
        y = contours["y"].to_numpy()[contours["frame"].to_numpy() == frame]
        assert len(y) > 500
        assert y.min() > 69


@pytest.mark.parametrize(
    ("file", "offset"), [("scan_0001.ibw", 22), ("PTO_110_Virgin0001.gwy", -28)]
)
def test_single_frames_from_the_instrument_give_walls_and_a_remark(
    file: str, offset: float, shared_data: Path, tmp_path: Path, described: Describe
) -> None:
    recording = taken_in([shared_data / "pfm" / file], tmp_path)
    patches = store.open_store(described(recording, DELAY))
    maps = store.open_store(tmp_path / "descriptors.zarr", group="maps").load()
    assert any("one frame" in note for note in patches.attrs["notes"])
    assert patches["channel"].to_numpy().tolist() == ["t"]
    assert 150 < patches.sizes["site"] < 600
    assert np.rad2deg(float(maps["phase_offset"])) == pytest.approx(offset, abs=2)
    assert maps.attrs["scan_lines"] == "rows"
    assert float(maps["valid"].mean()) > 0.99
