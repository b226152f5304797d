"""The contents of a path as text."""

import numpy as np
import pytest

from invae import results
from invae.errors import InputError


def test_info_tells_dims_units_and_provenance_of_every_kind_of_thing(small_run):
    text = results.info(small_run.store("analyse"))
    assert "[maps]" in text
    assert "angle (site) float32 [rad]" in text
    assert "made by: analyse of run" in text
    assert "sha256" in text
    assert "seed: 0" in text
    assert "y (y) float64 [nm]" in results.info(small_run.store("ingest"))
    text = results.info(small_run.store("train"))
    assert "model.safetensors" in text
    assert "made by: train" in text


def test_info_reads_files_of_the_instrument(tmp_path):
    np.save(tmp_path / "image.npy", np.zeros((4, 5)))
    assert "y 4, x 5" in results.info(tmp_path / "image.npy")


def test_info_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; check the path"):
        results.info(tmp_path / "nothing")
