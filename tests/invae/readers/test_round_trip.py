"""Whatever is written in a format, and whatever is taken in, comes back as it was."""

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from invae.config import ComputeConfig, IngestConfig
from invae.readers import all_readers, labels, open_recording
from invae.readers.ingest import ingest_dataset
from invae.readers.registry import MICROSCOPES, PROBES, SPECTROSCOPES, readers_of
from invae.storage import store
from invae.storage.provenance import Receipt

OTHERS = (*MICROSCOPES, *SPECTROSCOPES, *PROBES)
"""Formats with tests of their own."""
FORMATS = [reader.name for reader in all_readers() if reader not in readers_of(OTHERS)]
TYPES = {
    "gwy": ["f8"],
    "ibw": ["f4", "f8", "i1", "i2", "i4", "u1", "u2", "u4"],
    "tiff": ["f4", "u1", "u2"],
}
ALL_TYPES = ["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">f4", ">u2", "f2", "?"]
NAMES = st.text("abcdefgxyzäλ_ 0123456789ABC", min_size=1, max_size=9).filter(str.strip)
QUIET = settings(derandomize=True, max_examples=12, deadline=None, database=None)


@st.composite
def channels(draw: st.DrawFn, name: str) -> dict[str, np.ndarray]:
    """Up to three channels of one shape and any type, with NaN and infinities."""
    n_frames = 1 if name in ("ibw", "gwy") else draw(st.integers(1, 4))
    shape = (n_frames, draw(st.integers(2, 9)), draw(st.integers(2, 9)))
    dtype = np.dtype(draw(st.sampled_from(TYPES.get(name, ALL_TYPES))))
    count = 1 if name in ("npy", "tiff", "hdf5") else draw(st.integers(1, 3))
    labels_drawn = draw(st.lists(NAMES, min_size=count, max_size=count, unique_by=str.lower))
    return {label.strip(): draw(arrays.arrays(dtype, shape)) for label in labels_drawn}


@pytest.mark.parametrize("name", FORMATS)
def test_any_recording_comes_back_as_it_was(
    name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from_conftest: Any = request.getfixturevalue("writers")

    @QUIET
    @given(made=channels(name), pixel=st.floats(0.01, 1e4))
    def check(made: dict[str, np.ndarray], pixel: float) -> None:
        path = tmp_path_factory.mktemp("any") / f"any{from_conftest.suffix[name]}"
        reserved = {"y", "x", "meta", "frame", "energy", "voltage", "metadata"}
        assume(not reserved & {label.lower() for label in made})
        assume(len({label.lower() for label in made}) == len(made))
        from_conftest.write[name](path, made, pixel=pixel)
        recording = open_recording(path)
        expected = list(made.values())
        found = list(recording.data_vars.values())
        if name in ("zarr", "netcdf"):  # these have no order of their own
            expected = [made[label] for label in sorted(made)]
        assert len(found) == len(expected)
        for variable, values in zip(found, expected, strict=True):
            np.testing.assert_array_equal(variable.values, values)
            assert variable.dtype == values.dtype.newbyteorder("=")
        np.testing.assert_allclose(np.diff(recording["x"]), pixel, rtol=1e-3)

    check()


@QUIET
@given(
    made=channels("npz"),
    shard=st.sampled_from([1e-5, 1e-4, 1e-3, 1.0]),
    workers=st.integers(1, 3),
)
def test_any_recording_is_taken_in_as_it_is(
    made: dict[str, np.ndarray],
    shard: float,
    workers: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    names = labels.unique([f"{labels.channel_name(label)[0]}_channel" for label in made])
    differ = [np.unique(v[np.isfinite(v)]).size > 1 for v in made.values()]
    assume(any(differ))
    recording = xr.Dataset(
        {
            n: (("frame", "y", "x"), v, {"units": "1"})
            for n, v in zip(names, made.values(), strict=True)
        }
    )
    target = tmp_path_factory.mktemp("any") / "recording.zarr"
    ingest_dataset(
        recording,
        target,
        config=IngestConfig(shard_mb=shard),
        receipt=Receipt("ingest", "k" * 20, "any", (), {}, {}, "", 0, ""),
        compute=ComputeConfig(workers=workers),
    )
    arrived = store.open_store(target)
    for name in recording:
        np.testing.assert_array_equal(arrived[name], recording[name])
        values = recording[name].values
        assert arrived[name].attrs["n_nan"] == np.isnan(values).sum()
        assert arrived[name].attrs["n_infinite"] == np.isinf(values).sum()


@given(st.text(max_size=40))
@settings(derandomize=True, max_examples=200, deadline=None, database=None)
def test_any_label_becomes_a_name_that_is_its_own(label: str) -> None:
    name, direction = labels.channel_name(label)
    assert name.isidentifier()
    assert name == name.lower()
    assert direction in ("", "trace", "retrace")
    assert labels.channel_name(name)[0] == name
    units = labels.canonical_units(label)
    assert units is None or labels.canonical_units(units) == units


@given(st.lists(st.sampled_from(["height", "phase", "phase_1", "phase_2"]), max_size=8))
@settings(derandomize=True, max_examples=100, deadline=None, database=None)
def test_names_become_different(names: list[str]) -> None:
    different = labels.unique(names)
    assert len(set(different)) == len(names)
    for name, new in zip(names, different, strict=True):
        assert new == name or new.startswith(f"{name}_")
