"""The interactive view as a widget of notebooks (extra `explore`)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from invae.errors import InputError
from invae.estimators.inputs import Data
from invae.estimators.invariant_vae import InvariantVAE
from invae.report.explorer import module
from invae.report.explorer.of_estimator import groups_of
from invae.report.explorer.payload import payload
from invae.report.figure import Result
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


def explore(
    result: str | Path | InvariantVAE,
    patches: Data | None = None,
    *,
    dims: Sequence[str] | None = None,
) -> Any:
    """The interactive view of a finished result or of a fitted model, as an `anywidget.AnyWidget` for a notebook.

    Its `selected` are the positions of the selected sites along `site`.

    Args:
        result: the folder of a run, or its `result.zarr`; or a fitted `InvariantVAE`.
        patches: for a model, as in `InvariantVAE.encode`.
        dims: names of the axes of a plain array of patches.

    Raises:
        StoreError: There is no finished result.
        InputError: anywidget is missing, the result has no view, or a model was given without patches.
    """
    kind = _widget_class()
    groups = _groups(result, patches, dims)
    data = payload(groups)
    if data is None:
        raise InputError(f"{result} has no interactive view; run `invae analyse` again")
    return kind(data=data, shown=groups["explorer"]["shown"].to_numpy().tolist())


def _groups(
    result: str | Path | InvariantVAE, patches: Data | None, names: Sequence[str] | None
) -> Result:
    if isinstance(result, str | Path):
        folder = Path(result)
        inside = folder / "result.zarr"
        return open_result(inside if inside.is_dir() else folder)
    if patches is None:
        raise InputError("the view of a model shows patches; give them: vae.explore(patches)")
    return groups_of(result, patches, names=names)


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
