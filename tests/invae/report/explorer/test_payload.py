"""Numbers and pictures as compressed text, and what a page holds of a result."""

import base64
import json
import re
import zlib
from typing import Any

import numpy as np
import pytest

from invae.report.explorer import module, packing, payload
from invae.results import open_result
from tests.invae.report.explorer.conftest import data_of


def codes(packed: Any, dtype: Any) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), dtype)


def test_a_column_keeps_its_values_within_half_a_step_and_its_gaps():
    values = np.array([-3.0, np.nan, 5.0, 1.234, np.inf])
    packed: Any = packing.column(values)
    read = codes(packed, "<u2")
    assert (read == packing.UNKNOWN_COLUMN).tolist() == [False, True, False, False, True]
    step = (packed["hi"] - packed["lo"]) / (packing.UNKNOWN_COLUMN - 1)
    known = np.isfinite(values)
    np.testing.assert_allclose(packed["lo"] + read[known] * step, values[known], atol=step / 2)


@pytest.mark.parametrize("values", [np.full(3, 7.0), np.full(3, np.nan), np.zeros(0)])
def test_a_column_without_a_range_can_be_read(values):
    packed: Any = packing.column(values)
    assert packed["hi"] > packed["lo"]
    assert len(codes(packed, "<u2")) == len(values)


def test_a_stack_is_exact_to_a_quarter_of_its_noise():
    rng = np.random.default_rng(0)
    clean = np.sin(np.arange(64) / 9)[None, :, None] * np.cos(np.arange(80) / 7)
    stack = np.repeat(clean, 3, axis=0) + rng.normal(0, 0.1, (3, 64, 80))
    stack[1, 5, 6] = np.nan
    packed: Any = packing.stack(stack)
    differences = codes(packed, np.uint8).reshape(stack.shape)
    read = np.cumsum(differences, axis=-1, dtype=np.uint8)
    assert read[1, 5, 6] == packing.UNKNOWN_PIXEL
    assert (read == packing.UNKNOWN_PIXEL).sum() == 1
    known = np.isfinite(stack)
    error = (packed["lo"] + read * packed["step"] - stack)[known]
    assert np.sqrt(np.mean(error**2)) < 0.25 * 0.1


def test_images_that_are_too_large_are_binned(small_run, monkeypatch):
    result = open_result(small_run.store("analyse"))
    whole = data_of(result)["image"]
    size = len(whole["channels"][0]["data"])
    monkeypatch.setattr(payload, "MOST_IMAGE_CHARACTERS", size // 2)
    binned = data_of(result)["image"]
    assert (whole["bin"], binned["bin"]) == (1, 2)
    assert binned["channels"][0]["h"] == whole["h"] // 2
    assert sum(len(one["data"]) for one in binned["channels"]) <= size // 2


def test_the_data_of_a_page_are_the_same_every_time(small_run):
    texts = [module.embedded(data_of(open_result(small_run.store("analyse")))) for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_result_of_an_earlier_version_has_no_view(small_run):
    result = open_result(small_run.store("analyse"))
    assert payload.payload({name: group for name, group in result.items() if name != "explorer"}) is None  # fmt: skip


def test_embedded_text_cannot_leave_its_element():
    hostile = "</script><!--<script>\u2028&"
    text = module.embedded({"a": hostile})
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == {"a": hostile}


def test_the_program_does_not_end_its_own_element():
    assert "</script" not in module.program().lower()
    assert "\r" not in module.program() + module.style()
    assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML", module.program())
