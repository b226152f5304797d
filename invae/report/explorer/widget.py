"""The interactive view as a widget of notebooks (extra `explore`)."""

from importlib import import_module
from pathlib import Path
from typing import Any

from invae.errors import InputError
from invae.report.explorer import module
from invae.report.explorer.payload import payload
from invae.results.reading import open_result

RENDER = """
export default {
  async render({ model, el }) {
    const root = element("div", { className: "explorer" });
    el.append(root);
    const app = await mount(root, model.get("data"));
    root.addEventListener("select", () => {
      model.set("selected_rows", app.selectedSites());
      model.save_changes();
    });
  },
};
"""
"""Shows the data of the widget, and sends the selection back."""


def explore(result: str | Path) -> Any:
    """The interactive view of a finished result, as an `anywidget.AnyWidget` for a notebook.

    Its `selected` are the positions of the selected sites along `site`.

    Args:
        result: the folder of a run, or its `result.zarr`.

    Raises:
        StoreError: There is no finished result.
        InputError: anywidget is missing, or the result has no view.
    """
    folder = Path(result)
    inside = folder / "result.zarr"
    groups = open_result(inside if inside.is_dir() else folder)
    data = payload(groups)
    if data is None:
        raise InputError(f"{result} has no interactive view; run `invae analyse` again")
    return _widget_class()(data=data, shown=groups["explorer"]["shown"].to_numpy().tolist())


def _widget_class() -> Any:
    """The class of the widget.

    Raises:
        InputError: anywidget is missing.
    """
    try:
        anywidget, traitlets = import_module("anywidget"), import_module("traitlets")
    except ImportError as error:
        raise InputError(f"{error.name} is missing; pip install 'invae[explore]'") from error

    class Explorer(anywidget.AnyWidget):
        """The view; `selected` follows the lasso."""

        _esm = module.program(RENDER)
        _css = module.style()
        data = traitlets.Dict().tag(sync=True)
        selected_rows = traitlets.List(traitlets.Int()).tag(sync=True)
        shown = traitlets.List(traitlets.Int())

        @property
        def selected(self) -> list[int]:
            """Positions of the selected sites along `site`."""
            return [self.shown[row] for row in self.selected_rows]

    return Explorer
