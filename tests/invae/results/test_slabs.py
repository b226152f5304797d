"""Pieces cover an array once, are bounded, and split no chunk."""

import numpy as np
import pytest
import xarray as xr

from invae.results.slabs import slabs


def array(shape: tuple[int, ...], chunks: tuple[int, ...] | None) -> xr.DataArray:
    """Numbers that differ, as if they came from a store with these chunks."""
    names = [f"axis_{k}" for k in range(len(shape))]
    values = xr.DataArray(np.arange(np.prod(shape)).reshape(shape), dims=names)
    if chunks is not None:
        values.encoding["chunks"] = chunks
    return values


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((10, 7, 6, 5), (4, 4, 6, 5)),
        ((10, 7, 6, 5), (1, 7, 3, 5)),
        ((3, 1000), (1, 13)),
        ((17,), (5,)),
        ((2, 3), None),
        ((), ()),
    ],
)
@pytest.mark.parametrize("limit", [100, 1000, 100_000])
def test_pieces_cover_the_array_once_within_the_limit(shape, chunks, limit):
    values, sizes = array(shape, chunks), []
    seen, found = np.zeros(shape, int), np.zeros(shape, int)
    one_chunk = np.prod(chunks if chunks is not None else shape) * 8
    for place, piece in slabs(values, tell=sizes.append, limit=limit):
        seen[place] += 1
        found[place] = piece
        assert piece.nbytes <= max(limit, one_chunk)
        for part, chunk in zip(place, chunks or shape, strict=True):
            assert part.start % chunk == 0
    assert (seen == 1).all()
    np.testing.assert_array_equal(found, values)
    assert sum(sizes) == values.nbytes


def test_pieces_are_as_large_as_the_limit_allows():
    values = array((64, 10, 10), (2, 10, 10))
    pieces = [piece for _, piece in slabs(values, tell=lambda n: None, limit=17 * 800)]
    assert [len(piece) for piece in pieces] == [16, 16, 16, 16]
