"""The view in notebooks."""

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from invae import InvariantVAE
from invae.errors import InputError, StoreError
from invae.report.explorer import module, widget
from invae.report.explorer.of_estimator import groups_of
from invae.report.explorer.payload import payload
from invae.results import open_result
from tests.invae.report.explorer.conftest import data_of
from tests.invae.report.explorer.test_view import circle, n_selected

HARNESS = """
const sent = {};
window.sent = sent;
const model = {
  get: () => JSON.parse(document.getElementById("data").textContent),
  set: (name, value) => { sent[name] = value; },
  save_changes: () => { sent.saved = true; },
};
await shownWidget.render({ model, el: document.getElementById("cell") });
"""


def test_without_anywidget_the_error_names_the_extra(small_run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "anywidget", None)
    with pytest.raises(InputError, match=r"pip install 'invae\[explore\]'"):
        widget.explore(small_run.folder)


PATCHES = np.random.default_rng(0).normal(size=(60, 12, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    """Models without and with classes, hardly trained."""
    return {
        name: InvariantVAE(name, n_classes=n, training={"epochs": 1}).fit(PATCHES)
        for name, n in (("rVAE", None), ("jrVAE", 2))
    }


def test_a_fitted_model_shows_its_patches(fitted):
    pytest.importorskip("anywidget")
    view = fitted["rVAE"].explore(PATCHES)
    assert view.data["n"] == len(PATCHES)
    view.selected_rows = [3]
    assert view.selected == [3]


def test_a_fitted_model_without_anywidget_names_the_extra(fitted, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "anywidget", None)
    with pytest.raises(InputError, match=r"pip install 'invae\[explore\]'"):
        fitted["rVAE"].explore(PATCHES)


@pytest.mark.parametrize(("family", "colour"), [("rVAE", "cluster"), ("jrVAE", "model class")])
def test_the_view_of_a_model_holds_its_latents_and_its_patches(fitted, family, colour):
    groups = groups_of(fitted[family], PATCHES)
    data: Any = payload(groups)
    assert {"content 1", "content 2", colour, "inferred angle"} <= {
        column.get("title") for column in data["columns"]
    }
    assert (data["patch"]["h"], data["stored"]["count"]) == (12, 60)
    np.testing.assert_array_equal(groups["explorer"]["patch"], PATCHES)


def test_the_view_of_a_model_takes_named_axes_and_spectra(fitted):
    last = np.moveaxis(PATCHES, 0, -1)
    groups = groups_of(fitted["rVAE"], last, names=("y", "x", "site"))
    np.testing.assert_array_equal(groups["explorer"]["patch"], PATCHES)
    spectra = xr.DataArray(PATCHES[:, 0], dims=("site", "energy"))
    model = InvariantVAE("VAE", training={"epochs": 1}).fit(spectra)
    assert payload(groups_of(model, spectra)) is not None


def test_a_model_without_patches_or_without_training_is_refused(fitted):
    pytest.importorskip("anywidget")
    with pytest.raises(InputError, match=r"vae\.explore\(patches\)"):
        widget.explore(fitted["rVAE"])
    with pytest.raises(InputError, match="has seen no data"):
        InvariantVAE("rVAE").explore(PATCHES)


def test_a_folder_without_a_result_is_refused(tmp_path):
    with pytest.raises(StoreError):
        widget.explore(tmp_path)


def test_the_widget_holds_the_data_and_gives_the_selected_sites(small_run):
    pytest.importorskip("anywidget")
    view = widget.explore(small_run.folder)
    assert view.data == payload(open_result(small_run.store("analyse")))
    view.selected_rows = [2, 5]
    assert view.selected == [2, 5]


def test_the_module_of_the_widget_draws_and_sends_the_selection(chromium, small_run, tmp_path):
    text = module.program(widget.RENDER).replace("export default", "const shownWidget =")
    data = module.embedded(data_of(open_result(small_run.store("analyse"))))
    page = tmp_path / "notebook.html"
    page.write_text(
        f'<!doctype html><style>{module.style()}</style><div id="cell"></div>'
        f'<script type="application/json" id="data">{data}</script>'
        f'<script type="module">{text}{HARNESS}</script>',
        encoding="utf-8",
    )
    chromium.forget()
    chromium.open(page.as_uri())
    chromium.wait_until("document.querySelector('.explorer')?.dataset.ready === '1'")
    chromium.settle()
    chromium.drag(circle(chromium, "#x-plane", radius=0.3))
    count = n_selected(chromium)
    sent = json.loads(chromium.evaluate("JSON.stringify(window.sent)"))
    assert count == len(sent["selected_rows"]) > 0
    assert sent["saved"]
    assert chromium.messages() == []
