"""Taking in a 4D-STEM scan: every pattern once, its maps beside it, and the same whatever happens on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import map_coordinates
from xarray.backends import BackendArray
from xarray.core import indexing

from invae import dims
from invae.config import ComputeConfig, IngestConfig
from invae.errors import ConfigError, InputError
from invae.readers.ingest import ingest, ingest_dataset
from invae.storage import store
from invae.storage.provenance import Receipt
from tests.invae.readers.held import contents

ReceiptFor = Callable[..., Receipt]
TakeIn = Callable[..., Path]
SCAN = ("scan_y", "scan_x")
DETECTOR = ("k_y", "k_x")


class Counted(BackendArray):
    """Patterns that count how often each of them was read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.reads = np.zeros(values.shape[:2], int)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        self.reads[key[:2]] += 1
        return self.values[key]


def patterns(
    scan: tuple[int, int] = (9, 10), detector: tuple[int, int] = (32, 36), *, seed: int = 0
) -> np.ndarray:
    """Poisson counts of a disc about (15.3, 18.1), radius 9, that moves by half a pixel over the scan."""
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.linspace(-0.5, 0.5, n) for n in scan), indexing="ij"))
    y, x = (axis - place for axis, place in zip(np.indices(detector), (15.3, 18.1), strict=True))
    distance = np.hypot(y - places[0][..., None, None], x - places[1][..., None, None])
    return random.poisson(8 / (1 + np.exp(3 * (distance - 9))) + 0.1).astype("u2")


def recording(
    values: np.ndarray | Counted, *, units: str = "pixel", step: float = 1.0, **attrs: Any
) -> xr.Dataset:
    """As a reader hands it over."""
    lazily = indexing.LazilyIndexedArray(values) if isinstance(values, Counted) else values
    axes = {dim: (dim, np.arange(n) * 0.1, {"units": "nm"}) for dim, n in zip(SCAN, values.shape[:2], strict=True)}  # fmt: skip
    axes |= {dim: (dim, (np.arange(n) - n // 2) * step, {"units": units}) for dim, n in zip(DETECTOR, values.shape[2:], strict=True)}  # fmt: skip
    signal = ((*SCAN, *DETECTOR), lazily, {"units": "count"})
    return xr.Dataset({"pattern": signal}, axes, {"modality": "4D-STEM", **attrs})


@pytest.fixture
def take_in(tmp_path: Path, receipt_for: ReceiptFor) -> TakeIn:
    """Ingest a recording; where it lies then."""

    def take_in(
        given: xr.Dataset,
        *,
        name: str = "recording",
        workers: int = 1,
        progress: Any = None,
        **scan: Any,
    ) -> Path:
        target = tmp_path / name / "recording.zarr"
        more = {} if progress is None else {"progress": progress}
        ingest_dataset(
            given,
            target,
            config=IngestConfig.model_validate({"scan": {"slab_mb": 0.1, **scan}}),
            receipt=receipt_for(),
            compute=ComputeConfig(workers=workers),
            **more,
        )
        return target

    return take_in


def test_patterns_and_their_maps_arrive(take_in: TakeIn) -> None:
    values = patterns()
    target = take_in(recording(values, units="mrad", step=1.5), descan="none")
    arrived, maps = store.open_store(target), store.open_store(target, group="maps")
    np.testing.assert_array_equal(arrived["pattern"], values)
    np.testing.assert_array_equal(maps["sum"], values.sum(axis=(2, 3)))
    np.testing.assert_allclose(maps["mean_pattern"], values.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(maps["max_pattern"], values.max(axis=(0, 1)))
    assert maps["detector_valid"].values.all()
    for name, dim in zip(("com_y", "com_x"), DETECTOR, strict=True):
        place = arrived[dim].to_numpy()
        axis = place[:, None] if dim == "k_y" else place
        com = (values * axis).sum(axis=(2, 3)) / values.sum(axis=(2, 3))
        np.testing.assert_allclose(maps[name], com, atol=1e-5)
        assert maps[name].attrs["units"] == arrived[dim].attrs["units"] == "mrad"
    distance = np.hypot(*np.meshgrid(arrived["k_y"], arrived["k_x"], indexing="ij")) / 1.5
    inside = distance < maps.attrs["disc_radius"]
    np.testing.assert_array_equal(maps["bf"], values[..., inside].sum(axis=-1))
    profile = [values[..., np.rint(distance) == ring].mean(axis=-1) for ring in range(12)]
    np.testing.assert_allclose(
        maps["radial_profile"][..., :12], np.stack(profile, axis=-1), rtol=1e-6
    )
    np.testing.assert_allclose(maps["k"][:3], [0, 1.5, 3])


@pytest.mark.parametrize("descan", ["none", "plane"])
def test_a_beam_that_wanders_over_the_scan_is_told(descan: str, take_in: TakeIn) -> None:
    values = patterns(detector=(40, 48))
    for column in range(values.shape[1]):
        values[:, column] = np.roll(values[:, column], column, axis=-1)
    notes = store.open_store(take_in(recording(values), descan=descan)).attrs["notes"]
    (note,) = (note for note in notes if "wander" in note)
    assert float(note.split(" pixels")[0].split()[-1]) == pytest.approx(9 + 1, abs=1.5)
    assert ("set ingest.scan.descan=plane" in note) == (descan == "none")
    still = store.open_store(take_in(recording(patterns()), name="still")).attrs["notes"]
    assert not any("wander" in note for note in still)


def test_the_axis_is_where_the_disc_is(take_in: TakeIn) -> None:
    maps = store.open_store(take_in(recording(patterns())), group="maps")
    np.testing.assert_allclose(maps.attrs["centre"], (15.3, 18.1), atol=0.1)
    assert abs(maps.attrs["disc_radius"] - 9) < 0.2
    assert abs(float(np.interp(15.3, np.arange(32), maps["k_y"]))) < 0.1
    told = store.open_store(
        take_in(recording(patterns(), units="mrad"), name="told", centre="file"), group="maps"
    )
    assert told.attrs["centre"] == [16, 18]
    assert told["k_y"].to_numpy()[16] == 0


@pytest.mark.parametrize("scan", [(1, 30), (30, 1), (11, 13)])
def test_threads_slabs_and_one_line_scans_change_no_byte(
    scan: tuple[int, int], take_in: TakeIn
) -> None:
    values = patterns(scan)
    one, four = (take_in(recording(values), name=f"{n}", workers=n) for n in (1, 4))
    assert contents(one) == contents(four)
    whole = take_in(recording(values), name="whole", slab_mb=96)
    for name in ("sum", "haadf", "com_r", "mean_pattern", "max_pattern", "radial_profile"):
        found, expected = (store.open_store(path, group="maps")[name] for path in (one, whole))
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_array_equal(store.open_store(one)["pattern"], values)


def test_a_run_that_was_killed_goes_on_without_reading_again(take_in: TakeIn) -> None:
    values = patterns((48, 10))
    undisturbed = take_in(recording(values), name="a")

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_in(recording(values), name="b", progress=stop)
    growing = next((undisturbed.parents[1] / "b").glob(".*.partial"))
    written = {file: file.stat().st_mtime_ns for file in growing.glob("pattern/c/*/*/0/0")}
    assert len(written) == 3
    source, told = Counted(values), []
    again = take_in(recording(source), name="b", progress=lambda *now: told.append(now))
    assert contents(again) == contents(undisturbed)
    for file, changed in written.items():
        assert (again / file.relative_to(growing)).stat().st_mtime_ns == changed
    assert not source.reads[:12].any()  # nor was the sample looked at again
    assert (source.reads[12:] == 1).all()
    assert told[-1] == (12, 12)


def test_every_pattern_is_read_once_beside_the_sample(take_in: TakeIn) -> None:
    source = Counted(patterns((40, 10)))
    take_in(recording(source))
    assert source.reads.min() == 1
    assert source.reads.max() == 2
    assert (source.reads == 2).sum() == 160


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize("crop", [None, 22])
def test_binning_and_cropping_keep_counts_and_centre(
    binning: int, crop: int | None, take_in: TakeIn
) -> None:
    values = patterns()
    target = take_in(recording(values, units="mrad", step=2.0), bin=binning, crop=crop)
    arrived, maps = store.open_store(target), store.open_store(target, group="maps")
    side = (crop // binning,) * 2 if crop else (32 // binning, 36 // binning)
    assert arrived["pattern"].shape == (9, 10, *side)
    assert arrived["pattern"].dtype == ("u2" if binning == 1 else "u4")
    centre, radius = maps.attrs["centre"], maps.attrs["disc_radius"] * binning
    assert abs(radius - 9) < 0.2
    whole = store.open_store(
        take_in(recording(values, units="mrad", step=2.0), name="w"), group="maps"
    )
    np.testing.assert_allclose(
        maps["com_y"], whole["com_y"], atol=0.35 if crop else 0.1
    )  # [mrad], pixels of 2
    if crop:
        np.testing.assert_allclose(centre, (np.array(side) - 1) / 2, atol=0.51)
    else:
        np.testing.assert_array_equal(maps["sum"], whole["sum"])
    np.testing.assert_allclose(np.diff(arrived["k_x"]), 2.0 * binning)
    peak = arrived["pattern"].sum(SCAN)
    for dim in DETECTOR:
        assert abs(float((peak * arrived[dim]).sum() / peak.sum())) < 0.5


def test_a_crop_that_does_not_fit_is_noted(take_in: TakeIn) -> None:
    arrived = store.open_store(take_in(recording(patterns((4, 5))), crop=34))
    assert arrived["pattern"].shape == (4, 5, 32, 34)
    assert any("a crop of 34 pixels does not fit around" in note for note in arrived.attrs["notes"])


def test_faulty_pixels_are_left_out_of_the_maps_and_kept_in_the_patterns(take_in: TakeIn) -> None:
    values, sound = patterns((16, 16)), patterns((16, 16))
    values[..., 4, 5], values[..., 14, 17] = 60_000, 0
    sound[..., 4, 5] = sound[..., 14, 17] = 0
    target = take_in(recording(values))
    arrived, maps = store.open_store(target), store.open_store(target, group="maps")
    assert np.argwhere(~maps["detector_valid"].values).tolist() == [[4, 5], [14, 17]]
    np.testing.assert_array_equal(maps["sum"], sound.sum(axis=(2, 3)))
    np.testing.assert_array_equal(arrived["pattern"], values)
    assert "1 hot and 1 dead detector pixels are left out of the maps" in arrived.attrs["notes"]
    kept = take_in(recording(values), name="kept", bad_pixels="keep")
    total = store.open_store(kept, group="maps")["sum"]
    np.testing.assert_array_equal(total, values.sum(axis=(2, 3), dtype=int))


def test_the_deflection_is_turned_into_the_axes_of_the_scan(take_in: TakeIn) -> None:
    scan = np.stack(np.meshgrid(*2 * (np.linspace(-1, 1, 24),), indexing="ij"))
    pull = -8 * scan * np.exp(-6 * (scan**2).sum(axis=0))  # towards an atom in the middle
    cos, sin = np.cos(0.6), np.sin(0.6)
    seen = cos * pull[0] + sin * pull[1], cos * pull[1] - sin * pull[0]
    y, x = np.indices((32, 32)) - 15.5
    distance = np.hypot(y - seen[0][..., None, None], x - seen[1][..., None, None])
    values = (100 / (1 + np.exp(3 * (distance - 9)))).astype("f4")
    target = take_in(recording(values), rotation="auto", slab_mb=1)
    maps = store.open_store(target, group="maps")
    assert abs(maps.attrs["scan_rotation"] - 0.6) < 0.02
    assert not maps.attrs["transposed"]
    for name, part in zip(("com_y", "com_x"), pull, strict=True):
        np.testing.assert_allclose(maps[name] - maps[name].mean(), part, atol=0.05)
    by_hand = take_in(recording(values), name="by_hand", rotation=np.degrees(0.6), slab_mb=1)
    found = store.open_store(by_hand, group="maps")
    np.testing.assert_allclose(found["com_x"], maps["com_x"], atol=0.05)


def test_the_convergence_calibrates_a_detector_that_is_not(take_in: TakeIn) -> None:
    target = take_in(recording(patterns()), convergence=18.0, haadf={"inner": 25, "units": "mrad"})
    arrived, maps = store.open_store(target), store.open_store(target, group="maps")
    assert arrived["k_y"].attrs["units"] == maps["com_y"].attrs["units"] == "mrad"
    assert abs(float(np.diff(arrived["k_y"])[0]) - 2) < 0.05
    beyond = np.hypot(*np.meshgrid(arrived["k_y"], arrived["k_x"], indexing="ij")) >= 25
    np.testing.assert_array_equal(maps["haadf"], patterns()[..., beyond].sum(axis=-1))


def test_three_probes_related_by_the_symmetry_of_graphene_see_one_deflection(
    shared_data: Path, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    path, target = shared_data / "4dstem/graphene_vacancy.npz", tmp_path / "recording.zarr"
    config = IngestConfig(channels=("data",))
    ingest([path], target, config=config, receipt=receipt_for(path))
    maps = store.open_store(target, group="maps").load()
    assert maps["com_y"].attrs["units"] == "mrad"
    down, right = maps["com_y"].to_numpy(), maps["com_x"].to_numpy()
    # an atom lies at row 23.35, and pulls from both sides
    assert down[20:23, 16].min() > 0 > down[24:27, 16].max()
    # [angstrom] about the vacancy in row and column 16; a probe every 0.2
    for radius in (1.0, 1.2, 2.0):
        angle = np.radians([0, 120, 240])
        places = 16 + radius / 0.2 * np.stack([-np.sin(angle), np.cos(angle)])
        y, x = (map_coordinates(part, places, order=3) for part in (down, right))
        length, direction = np.hypot(y, x), np.degrees(np.arctan2(-y, x))
        assert length.min() > 0.45
        assert np.ptp(length) < 0.03 * length.mean()
        np.testing.assert_allclose(np.diff(direction) % 360, 120, atol=1.5)


def test_an_empty_detector_is_one_line(take_in: TakeIn) -> None:
    with pytest.raises(InputError, match=r"nothing to analyse: channel pattern is constant \(0\)"):
        take_in(recording(np.zeros((4, 5, 16, 16), "u2")))


def test_without_a_disc_all_of_the_detector_is_bright_field(take_in: TakeIn) -> None:
    values = np.random.default_rng(0).poisson(5, (6, 7, 24, 24)).astype("u1")
    target = take_in(recording(values))
    maps = store.open_store(target, group="maps")
    np.testing.assert_array_equal(maps["bf"], maps["sum"])
    assert maps.attrs["disc_radius"] == 0
    assert any(
        "no bright-field disc was found" in note for note in store.open_store(target).attrs["notes"]
    )


def test_gaps_negative_values_and_empty_patterns_are_noted(take_in: TakeIn) -> None:
    values = patterns().astype("f4")
    values[2, 3, 4, 5], values[2, 3, 4, 6], values[0, 0] = np.nan, np.inf, 0
    values[5, 5, 1, 1] = -3
    target = take_in(recording(values))
    arrived, maps = store.open_store(target), store.open_store(target, group="maps")
    np.testing.assert_array_equal(arrived["pattern"], values)
    finite = np.where(np.isfinite(values), values, 0)
    np.testing.assert_allclose(maps["sum"], finite.sum(axis=(2, 3)), rtol=1e-6)
    assert np.isnan(maps["com_r"][0, 0])
    assert np.isfinite(maps["mean_pattern"]).all()
    notes = arrived.attrs["notes"]
    assert "channel pattern has 1 NaN and 1 infinite values" in notes
    assert "patterns have values down to -3, which are no counts" in notes
    assert "patterns without counts: 1; they have no centre of mass" in notes


def test_a_field_too_weak_to_turn_is_not_turned(take_in: TakeIn) -> None:
    target = take_in(recording(patterns((1, 40))), rotation="auto", descan="plane")
    assert store.open_store(target, group="maps").attrs["scan_rotation"] == 0
    assert any("ingest.scan.rotation" in note for note in store.open_store(target).attrs["notes"])


def test_a_band_in_mrad_needs_a_calibration(take_in: TakeIn) -> None:
    message = r"ingest\.scan\.haadf is in mrad.*set ingest\.scan\.convergence"
    with pytest.raises(ConfigError, match=message) as refused:
        take_in(recording(patterns()), haadf={"inner": 60, "units": "mrad"})
    assert "\n" not in str(refused.value)


def test_an_empty_band_is_refused() -> None:
    with pytest.raises(ValueError, match="a band from 2 to 1 disc is empty"):
        IngestConfig.model_validate({"scan": {"bf": {"inner": 2, "outer": 1}}})


def test_of_several_signals_the_counts_are_taken_or_the_one_that_is_named(
    take_in: TakeIn, receipt_for: ReceiptFor, tmp_path: Path
) -> None:
    both = recording(patterns()).rename(pattern="counts")
    both["fraction"] = both["counts"] / 7.0
    target = take_in(both)
    assert store.open_store(target)["pattern"].dtype == np.uint16
    assert any("pattern is counts; other signals are fraction" in note for note in store.open_store(target).attrs["notes"])  # fmt: skip
    config = IngestConfig(channels=("fraction",))
    ingest_dataset(both, tmp_path / "f.zarr", config=config, receipt=receipt_for())
    assert store.open_store(tmp_path / "f.zarr")["pattern"].dtype == np.float64


def test_chunks_and_files_are_those_that_were_measured(tmp_path: Path) -> None:
    chunk, tile = store.scan_tile((112, 120), item_bytes=192 * 192 * 2, tile_bytes=96e6)
    assert chunk == (4, 4)
    assert tile == (8, 120)
    for shape, item, size in (
        ((256, 256), 4096, 96e6),
        ((1, 700), 5000, 1e6),
        ((64, 2048), 663_552, 96e6),
    ):
        chunk, tile = store.scan_tile(shape, item_bytes=item, tile_bytes=size)
        assert chunk[0] * chunk[1] * item <= 1.3 * store.CHUNK_BYTES
        assert tile[0] * tile[1] * item <= size
        assert all(n % part == 0 for n, part in zip(tile, chunk, strict=True))
        covered = np.zeros(shape, int)
        for place in store.tiles(shape, tile):
            covered[place] += 1
        assert (covered == 1).all()


def test_the_recording_opens_again_as_a_recording(take_in: TakeIn) -> None:
    from invae.readers import open_recording

    target = take_in(recording(patterns()))
    again = open_recording(target)
    assert again["pattern"].dims == (*SCAN, *DETECTOR)
    assert again.attrs["modality"] == "4D-STEM"
    np.testing.assert_array_equal(again["pattern"], patterns())
    assert dims.K_Y in again.coords
