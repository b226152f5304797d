"""A result of one run, to be damaged and handed on."""

import shutil

import pytest


@pytest.fixture
def copied(small_run, tmp_path):
    """A result that may be damaged."""
    return shutil.copytree(small_run.store("analyse"), tmp_path / "result.zarr")
