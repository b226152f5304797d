"""Vacancies, circled on the image."""

import numpy as np

from invae import dims
from invae.config import ReportConfig
from invae.report import images, style
from invae.report.figure import Drawing, LeftOut, Result

TITLE = "Vacancies"


def vacancies(result: Result, config: ReportConfig) -> Drawing:
    """The frame with most vacancies, without and with circles around them."""
    empty, frames = result["vacancies"], result["images"]
    if not empty.sizes["vacancy"]:
        raise LeftOut(TITLE, "no vacancy was detected")
    own = empty[dims.FRAME].to_numpy()
    counts = [int((own == number).sum()) for number in frames[dims.FRAME].to_numpy()]
    index = int(np.argmax(counts))
    figure, axes = style.panels(2, columns=2, panel_height=images.panel_height(frames, 2))
    here = own == int(frames[dims.FRAME][index])
    for axis in axes:
        title = images.frame_title(frames, index)
        images.prepare(axis, frames, title=title, bar=axis is axes[0])
        images.show_background(axis, result, index)
    axes[1].plot(
        empty[dims.X].to_numpy()[here],
        empty[dims.Y].to_numpy()[here],
        "o",
        ms=10,
        mfc="none",
        mec=style.CLASSES[1],
        mew=1.6,
        zorder=5,
    )
    ratio = (empty["height"] / empty["expected"]).to_numpy()
    return Drawing(
        "vacancies",
        TITLE,
        "Circles mark expected lattice sites where no atom was detected. The group `vacancies` of the result lists them "
        "with the intensity measured there and the intensity expected of an atom on such a site. If the measured value is "
        "well above zero, a weak atom may have been missed. Beyond the edge of a crystal, and inside large holes, only "
        "the rim is marked.",
        figure,
        f"{empty.sizes['vacancy']} in all frames, {counts[index]} in this frame; measured over expected intensity: median "
        f"{style.number(float(np.median(ratio)))}, maximum {style.number(float(ratio.max()))}.",
    )
