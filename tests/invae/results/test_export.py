"""Exports are whole or absent."""

import pytest

from invae import results
from invae.errors import InputError


def test_an_export_that_cannot_be_written_leaves_nothing(copied, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        results.export(copied, to="csv", target=tmp_path / "missing" / "sites.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.zarr"]
