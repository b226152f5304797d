"""The view in notebooks."""

import json

import pytest

from invae.errors import InputError, StoreError
from invae.report.explorer import module, widget
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
