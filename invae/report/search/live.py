"""One picture of a running search, for the UI."""

from invae.active.outcome import outcome
from invae.active.search import Search
from invae.report import as_bytes, style
from invae.report.search import panels

DPI = 70


def live_picture(search: Search) -> str:
    """Path, best value and calibration so far, as SVG."""
    result = outcome(search, "")
    with style.applied(DPI):
        figure = style.new_figure(3.0)
        path, best, calibration = figure.subplots(1, 3)
        panels.draw_path(path, result)
        panels.draw_best(best, result)
        if panels.has_predictions(result):
            panels.draw_calibration(calibration, result)
        else:
            calibration.set_axis_off()
        figure.suptitle(str(result[""].attrs["learnable"]), fontsize=8, wrap=True)
        return as_bytes(figure, "svg").decode()
